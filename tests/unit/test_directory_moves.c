// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_directory_moves.c - moves: every input in every state of a MAC, consent, convergence, and a
 * long random run in which each NVE's copy of the directory must stay equal to it.
 */
#include "tests/unit/directory_world.h"

/* --- every input in every state --- */

/*
 * What the NVE was told, UPDATE and MEMBERS left out, like "move-granted 2,committed 2"; "-":
 * nothing.
 */
static const char *told(struct world *world, uint32_t nve, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	deliver(world);
	for (struct delivery *delivery = world->deliveries; delivery; delivery = delivery->next) {
		const struct nvo3_message *message = &delivery->output->message;
		uint64_t generation = message->generation;

		if (delivery->to != nve || message->kind == NVO3_UPDATE ||
		    message->kind == NVO3_MEMBERS)
			continue;
		used += (size_t) snprintf(text + used, size - used, "%s%s", used ? "," : "",
					  nvo3_kind_name(message->kind));
		if (message->mapping_count)
			generation = message->mappings[0].generation;
		if (message->granted || message->mapping_count)
			used += (size_t) snprintf(text + used, size - used, " %llu",
						  (unsigned long long) generation);
		else if (message->kind != NVO3_CONSENT && message->kind != NVO3_ABORT)
			used += (size_t) snprintf(text + used, size - used, " no");
	}
	forget(world);
	return used ? text : "-";
}

enum state {
	UNKNOWN, /* nobody serves the MAC, nobody did */
	MINE,
	OTHERS,	       /* another NVE's VM */
	OTHERS_LEASED, /* the other has no session, but its lease */
	OTHERS_ENDED,
	OTHERS_LEARNED,
	WITHDRAWN,
	ASKED, /* another's, and I want it */
	GRANTED,
	HELD, /* asked, and my commit waits */
	STATE_COUNT,
};

struct pair {
	uint32_t me, other;
	uint64_t consent_id;
};

static void prepare(struct world *world, enum state state, struct pair *pair)
{
	pair->other = join(world, "hv1", "192.0.2.1");
	pair->me = join(world, "hv2", "2001:db8::2");
	pair->consent_id = 0;
	if (state == MINE)
		own(world, pair->me, mac1, MAPPING_VM);
	else if (state != UNKNOWN)
		own(world, pair->other, mac1,
		    state == OTHERS_LEARNED ? MAPPING_LEARNED : MAPPING_VM);
	if (state == WITHDRAWN)
		send_endpoint(world, pair->other, NVO3_WITHDRAW, mac1, 1);
	if (state == OTHERS_LEASED || state == OTHERS_ENDED)
		disconnect(world, pair->other);
	if (state == OTHERS_ENDED)
		pass(world, SECONDS(WORLD_LEASE_S));
	if (state == ASKED || state == GRANTED || state == HELD) {
		send_mapping(world, pair->me, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
		deliver(world);
		forget(world);
		pair->consent_id = 1; /* the directory's first question */
	}
	if (state == GRANTED)
		answer_consent(world, pair->other, pair->consent_id, true);
	if (state == HELD)
		send_endpoint(world, pair->me, NVO3_COMMIT, mac1, 0);
	deliver(world);
	forget(world);
}

enum input {
	REGISTER_VM,
	REGISTER_LEARNED,
	WITHDRAW,
	INTENT,
	CONSENTED,
	COMMIT,
	COMMIT_WRONG, /* of a generation that was not granted */
	ABORT,
	QUERY,
	INPUT_COUNT,
};

static void put_in(struct world *world, enum input input, uint32_t nve, uint64_t consent_id)
{
	const struct nvo3_message query = { .kind = NVO3_QUERY,
					    .vni = VNI,
					    .ip = ip_of("fd00::1") };

	switch (input) {
	case REGISTER_VM:
		send_mapping(world, nve, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
		break;
	case REGISTER_LEARNED:
		send_mapping(world, nve, NVO3_REGISTER, mapping_of(mac1, MAPPING_LEARNED));
		break;
	case WITHDRAW:
		send_endpoint(world, nve, NVO3_WITHDRAW, mac1, 0);
		break;
	case INTENT:
		send_mapping(world, nve, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
		break;
	case CONSENTED:
		answer_consent(world, nve, consent_id, true);
		break;
	case COMMIT:
		send_endpoint(world, nve, NVO3_COMMIT, mac1, 0);
		break;
	case COMMIT_WRONG:
		send_endpoint(world, nve, NVO3_COMMIT, mac1, 9);
		break;
	case ABORT:
		send_endpoint(world, nve, NVO3_ABORT, mac1, 0);
		break;
	case QUERY:
		send_from(world, nve, &query);
		break;
	case INPUT_COUNT:
		break;
	}
}

/* What I am told, by state and by my input. */
static const char *const my_inputs[STATE_COUNT][INPUT_COUNT] = {
	[UNKNOWN] = { "registered 1", "registered 1", "-", "move-granted 1", "-",
		      "committed 1,converged no", "committed 9,converged no", "-", "answer no" },
	[MINE] = { "registered 1", "registered 1", "-", "move-granted 1", "-", "committed 1",
		   "committed 1", "-", "answer 1" },
	[OTHERS] = { "registered no", "registered no", "-", "-", "-", "committed no",
		     "committed no", "-", "answer 1" },
	[OTHERS_LEASED] = { "registered no", "registered no", "-", "-", "-", "committed no",
			    "committed no", "-", "answer 1" },
	[OTHERS_ENDED] = { "registered 2", "registered 2", "-", "move-granted 2", "-",
			   "committed 2,converged no", "committed 9,converged no", "-",
			   "answer no" },
	[OTHERS_LEARNED] = { "registered 2", "registered 2", "-", "move-granted 2", "-",
			     "committed 2,converged no", "committed 2,converged no", "-",
			     "answer 1" },
	[WITHDRAWN] = { "registered 2", "registered 2", "-", "move-granted 2", "-",
			"committed 2,converged no", "committed 9,converged no", "-", "answer no" },
	[ASKED] = { "registered no", "registered no", "-", "-", "-", "-", "-", "-", "answer 1" },
	[GRANTED] = { "registered no", "registered no", "-", "move-granted 2", "-",
		      "committed 2,converged no", "committed no", "-", "answer 1" },
	[HELD] = { "registered no", "registered no", "-", "-", "-", "-", "-", "-", "answer 1" },
};

static void my_input_in_every_state(void)
{
	for (unsigned state = 0; state < STATE_COUNT; state++) {
		for (unsigned input = 0; input < INPUT_COUNT; input++) {
			WORLD(world);
			struct pair pair;
			char text[256];
			const char *got;

			prepare(world, (enum state) state, &pair);
			put_in(world, (enum input) input, pair.me, pair.consent_id);
			if (state != OTHERS_LEASED && state != OTHERS_ENDED)
				ack(world, pair.other); /* the old NVE is told first */
			ack(world, pair.me);
			if (state != OTHERS_LEASED && state != OTHERS_ENDED)
				ack(world, pair.other);
			got = told(world, pair.me, text, sizeof(text));
			if (strcmp(got, my_inputs[state][input]) != 0)
				printf("state %u input %u: %s\n", state, input, got);
			CU_ASSERT_STRING_EQUAL(got, my_inputs[state][input]);
		}
	}
}

/* clang-format off */
/* What I am told, by state and by the present owner's input. */
static const struct {
	enum state state;
	enum input input;
	bool yes;
	const char *told;
} owner_inputs[] = {
	{ OTHERS, REGISTER_VM, true, "-" },	{ ASKED, REGISTER_VM, true, "-" },
	{ GRANTED, REGISTER_VM, true, "-" },	{ HELD, REGISTER_VM, true, "-" },
	{ OTHERS, WITHDRAW, true, "-" },	{ ASKED, WITHDRAW, true, "move-granted 2" },
	{ GRANTED, WITHDRAW, true, "-" },	{ HELD, WITHDRAW, true, "move-granted 2,committed 2" },
	{ OTHERS, CONSENTED, true, "-" },	{ ASKED, CONSENTED, true, "move-granted 2" },
	{ GRANTED, CONSENTED, true, "-" },	{ HELD, CONSENTED, true, "move-granted 2,committed 2" },
	{ OTHERS, CONSENTED, false, "-" },	{ ASKED, CONSENTED, false, "move-granted no" },
	{ GRANTED, CONSENTED, false, "-" },	{ HELD, CONSENTED, false, "move-granted no,committed no" },
	{ OTHERS, ABORT, true, "-" },		{ ASKED, ABORT, true, "abort" },
	{ GRANTED, ABORT, true, "abort" },	{ HELD, ABORT, true, "committed no,abort" },
	{ ASKED, INTENT, true, "-" },		{ GRANTED, INTENT, true, "-" },
	{ ASKED, COMMIT, true, "-" },		{ GRANTED, COMMIT, true, "-" },
};
/* clang-format on */

static void the_owners_input_in_every_state(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(owner_inputs); i++) {
		WORLD(world);
		struct pair pair;
		char text[256];
		const char *got;

		prepare(world, owner_inputs[i].state, &pair);
		if (owner_inputs[i].input == CONSENTED)
			answer_consent(world, pair.other, pair.consent_id, owner_inputs[i].yes);
		else
			put_in(world, owner_inputs[i].input, pair.other, pair.consent_id);
		got = told(world, pair.me, text, sizeof(text));
		if (strcmp(got, owner_inputs[i].told) != 0)
			printf("case %zu: %s\n", i, got);
		CU_ASSERT_STRING_EQUAL(got, owner_inputs[i].told);
	}
}

/* What I am told when the time to consent has passed, by whether the owner has a session. */
static void the_deadline_in_every_state(void)
{
	static const struct {
		enum state state;
		bool owner_gone;
		const char *told;
	} cases[] = {
		{ ASKED, false, "move-granted no" },
		{ ASKED, true, "move-granted no" },
		{ GRANTED, false, "-" },
		{ GRANTED, true, "-" },
		{ HELD, false, "move-granted no,committed no" },
		{ HELD, true, "move-granted 2,committed 2" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WORLD(world);
		struct pair pair;
		char text[256];

		prepare(world, cases[i].state, &pair);
		if (cases[i].owner_gone)
			disconnect(world, pair.other);
		pass(world, SECONDS(WORLD_CONSENT_S) - 1);
		CU_ASSERT_STRING_EQUAL(told(world, pair.me, text, sizeof(text)), "-");
		pass(world, 1);
		CU_ASSERT_STRING_EQUAL(told(world, pair.me, text, sizeof(text)), cases[i].told);
	}
}

/* The owner's lease ends while I wait: as if it had withdrawn. */
static void the_end_of_the_owners_lease_grants(void)
{
	WORLD(world);
	uint32_t other = join(world, "hv1", "192.0.2.1"), me = join(world, "hv2", "2001:db8::2");
	char text[256];

	own(world, other, mac1, MAPPING_VM);
	disconnect(world, other);
	pass(world, SECONDS(WORLD_LEASE_S - 1));
	send_mapping(world, me, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_STRING_EQUAL(told(world, me, text, sizeof(text)), "-");
	pass(world, SECONDS(1));
	CU_ASSERT_STRING_EQUAL(told(world, me, text, sizeof(text)), "move-granted 2");
	send_endpoint(world, me, NVO3_COMMIT, mac1, 2);
	ack(world, me);
	CU_ASSERT_STRING_EQUAL(told(world, me, text, sizeof(text)), "committed 2,converged no");
}

/* --- one move, looked at closely --- */

static void a_move_from_ipv4_to_ipv6_underlay(void)
{
	WORLD(world);
	uint32_t old = join(world, "hv1", "192.0.2.1"), new = join(world, "hv2", "2001:db8::2"),
		 peer = join(world, "peer", "192.0.2.3");
	struct mapping wanted = mapping_of(mac1, MAPPING_VM);
	const uint32_t all[] = { old, new, peer };
	const struct nvo3_message *message;
	uint64_t revision = 0;

	deliver(world);
	forget(world);
	own(world, old, mac1, MAPPING_VM);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		ack(world, all[i]);
	wanted.ip_count = 0; /* the new NVE has not heard the VM yet */
	send_mapping(world, new, NVO3_MOVE_INTENT, wanted);
	message = take(world, old, NVO3_CONSENT);
	CU_ASSERT_EQUAL(ip_cmp(message->vtep, ip_of("2001:db8::2")), 0);
	CU_ASSERT_EQUAL(uuid_cmp(message->vm, vm1), 0);
	CU_ASSERT_EQUAL(mac_cmp(message->mac, mac1), 0);
	CU_ASSERT_TRUE(is_quiet(world));

	answer_consent(world, old, message->id, true);
	message = take(world, new, NVO3_MOVE_GRANTED);
	CU_ASSERT_EQUAL(message->id, world->last_id);
	CU_ASSERT_TRUE(message->granted);
	CU_ASSERT_EQUAL(message->generation, 2);
	CU_ASSERT_EQUAL(ip_cmp(message->vtep, ip_of("192.0.2.1")), 0);
	CU_ASSERT_TRUE(is_quiet(world));

	send_endpoint(world, new, NVO3_COMMIT, mac1, 2);
	message = take(world, new, NVO3_COMMITTED);
	CU_ASSERT_EQUAL(message->id, world->last_id);
	CU_ASSERT_EQUAL(message->generation, 2);
	message = take(world, old, NVO3_UPDATE); /* before the others */
	CU_ASSERT_EQUAL_FATAL(message->mapping_count, 1);
	CU_ASSERT_EQUAL(message->mappings[0].generation, 2);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, old);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		message = take(world, all[i], NVO3_UPDATE);
		CU_ASSERT_EQUAL_FATAL(message->mapping_count, 1);
		CU_ASSERT_EQUAL(message->mappings[0].generation, 2);
		CU_ASSERT_EQUAL(ip_cmp(message->mappings[0].vtep, ip_of("2001:db8::2")), 0);
		CU_ASSERT_EQUAL(message->mappings[0].ip_count, 2); /* known from before */
		revision = message->revision;
	}
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, old);
	ack(world, peer);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, new);
	message = take(world, old, NVO3_CONVERGED);
	CU_ASSERT_EQUAL(message->generation, 2);
	CU_ASSERT_EQUAL(message->revision, revision);
	(void) take(world, new, NVO3_CONVERGED);
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "moves_committed"), 1);
	CU_ASSERT_EQUAL(counter(world, "converged"), 1);
}

static void an_intent_said_again_is_answered_under_its_new_id(void)
{
	WORLD(world);
	struct pair pair;
	const struct nvo3_message *message;

	prepare(world, ASKED, &pair);
	disconnect(world, pair.me);
	CU_ASSERT_EQUAL(connect_as(world, "hv2", "2001:db8::2", 1), pair.me);
	subscribe(world, pair.me, VNI);
	deliver(world);
	forget(world);
	send_mapping(world, pair.me, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_TRUE(is_quiet(world)); /* the owner is not asked twice */
	answer_consent(world, pair.other, pair.consent_id, true);
	message = take(world, pair.me, NVO3_MOVE_GRANTED);
	CU_ASSERT_EQUAL(message->id, world->last_id);
}

/* It may have been started anew, and have forgotten that it said yes. */
static void an_owner_that_comes_back_is_asked_again(void)
{
	static const enum state states[] = { ASKED, GRANTED };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		WORLD(world);
		struct pair pair;
		const struct nvo3_message *message;

		prepare(world, states[i], &pair);
		disconnect(world, pair.other);
		(void) connect_as(world, "hv1", "192.0.2.1", 1);
		(void) take(world, pair.other, NVO3_WELCOME);
		message = take(world, pair.other, NVO3_CONSENT);
		CU_ASSERT_EQUAL(message->id, pair.consent_id);
		if (states[i] == ASKED)
			continue;
		answer_consent(world, pair.other, pair.consent_id, true);
		answer_consent(world, pair.other, pair.consent_id, false);
		CU_ASSERT_TRUE(is_quiet(world)); /* it stands */
	}
}

static void an_abort_reaches_the_other_side(void)
{
	static const enum state states[] = { ASKED, GRANTED, HELD };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		WORLD(world);
		struct pair pair;
		struct nvo3_message abort = {
			.kind = NVO3_ABORT, .vni = VNI, .mac = mac1, .text = "cancelled"
		};
		const struct nvo3_message *message;

		prepare(world, states[i], &pair);
		send_from(world, pair.me, &abort);
		message = take(world, pair.other, NVO3_ABORT);
		CU_ASSERT_STRING_EQUAL(message->text, "cancelled");
		CU_ASSERT_TRUE(is_quiet(world));
		send_endpoint(world, pair.me, NVO3_COMMIT, mac1, 2);
		CU_ASSERT_FALSE(take(world, pair.me, NVO3_COMMITTED)->granted);
	}
}

static void an_abort_of_an_earlier_round_is_late(void)
{
	WORLD(world);
	struct pair pair;

	prepare(world, GRANTED, &pair);
	send_endpoint(world, pair.other, NVO3_ABORT, mac1, 1);
	CU_ASSERT_TRUE(is_quiet(world));
	send_endpoint(world, pair.me, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_TRUE(take(world, pair.me, NVO3_COMMITTED)->granted);
}

static void a_new_nve_that_ends_frees_the_old_one(void)
{
	WORLD(world);
	struct pair pair;

	prepare(world, GRANTED, &pair);
	disconnect(world, pair.me);
	CU_ASSERT_TRUE(is_quiet(world));
	pass(world, SECONDS(WORLD_LEASE_S));
	(void) take(world, pair.other, NVO3_ABORT);
}

/* --- what the new NVE does not want any more, or wants again --- */

static void reconnect(struct world *world, struct pair *pair)
{
	disconnect(world, pair->me);
	CU_ASSERT_EQUAL(connect_as(world, "hv2", "2001:db8::2", 1), pair->me);
	subscribe(world, pair->me, VNI);
	deliver(world);
	forget(world);
}

static void a_commit_of_its_own_confirms_it_after_a_start(void)
{
	WORLD(world);
	uint32_t nve = join(world, "hv1", "192.0.2.1");
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .mac = mac1 };

	own(world, nve, mac1, MAPPING_VM);
	disconnect(world, nve);
	nve = connect_as(world, "hv1", "192.0.2.1", 2);
	subscribe(world, nve, VNI);
	send_endpoint(world, nve, NVO3_COMMIT, mac1, 0);
	pass(world, SECONDS(WORLD_LEASE_S));
	deliver(world);
	forget(world);
	send_from(world, nve, &query);
	CU_ASSERT_EQUAL(take(world, nve, NVO3_ANSWER)->mapping_count, 1);
}

static void who_withdraws_wants_nothing_more(void)
{
	static const enum state states[] = { ASKED, GRANTED, HELD };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		WORLD(world);
		struct pair pair;
		char text[256];

		prepare(world, states[i], &pair);
		send_endpoint(world, pair.me, NVO3_WITHDRAW, mac1, 0);
		(void) take(world, pair.other, NVO3_ABORT);
		answer_consent(world, pair.other, pair.consent_id, true);
		CU_ASSERT_STRING_EQUAL(told(world, pair.me, text, sizeof(text)), "-");
		CU_ASSERT_EQUAL(counter(world, "moves_committed"), 0);
	}
}

static void a_commit_that_waits_ends_with_its_session(void)
{
	WORLD(world);
	struct pair pair;
	char text[256];

	prepare(world, HELD, &pair);
	reconnect(world, &pair);
	answer_consent(world, pair.other, pair.consent_id, true);
	CU_ASSERT_STRING_EQUAL(told(world, pair.me, text, sizeof(text)), "move-granted 2");
	send_endpoint(world, pair.me, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_TRUE(take(world, pair.me, NVO3_COMMITTED)->granted);
}

static void what_is_not_wanted_again_is_off_after_a_lease(void)
{
	for (unsigned again = 0; again < 2; again++) {
		WORLD(world);
		struct pair pair;

		prepare(world, GRANTED, &pair);
		reconnect(world, &pair);
		if (again)
			send_mapping(world, pair.me, NVO3_MOVE_INTENT,
				     mapping_of(mac1, MAPPING_VM));
		pass(world, SECONDS(WORLD_LEASE_S) - 1);
		CU_ASSERT_EQUAL(counter(world, "moves_aborted"), 0);
		pass(world, 1);
		CU_ASSERT_EQUAL(counter(world, "moves_aborted"), again ? 0 : 1);
		if (!again)
			(void) take(world, pair.other, NVO3_ABORT);
	}
}

/*
 * A question that is over is taken back, or the owner would answer it, and prepare for it, much
 * later.
 */
static void a_question_that_is_over_is_taken_back(void)
{
	WORLD(late);
	WORLD(gone);
	struct pair pair;

	prepare(late, ASKED, &pair);
	pass(late, SECONDS(WORLD_CONSENT_S));
	(void) take(late, pair.other, NVO3_ABORT);

	prepare(gone, ASKED, &pair);
	send_endpoint(gone, pair.other, NVO3_WITHDRAW, mac1, 0);
	(void) take(gone, pair.other, NVO3_ABORT);
	CU_ASSERT_EQUAL(take(gone, pair.me, NVO3_MOVE_GRANTED)->generation, 2);
}

static void another_vm_cannot_take_the_mac(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	struct mapping wanted = mapping_of(mac1, MAPPING_VM);

	own(world, a, mac1, MAPPING_VM);
	wanted.vm.octet[0] = 2;
	send_mapping(world, b, NVO3_MOVE_INTENT, wanted);
	CU_ASSERT_FALSE(take(world, b, NVO3_MOVE_GRANTED)->granted);
	CU_ASSERT_TRUE(is_quiet(world));
}

/* --- several who want the same --- */

static void a_tie_keeps_the_present_owner(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");

	/* Nobody serves it: both are granted generation 1, and the first to commit has it. */
	send_mapping(world, a, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_EQUAL(take(world, a, NVO3_MOVE_GRANTED)->generation, 1);
	CU_ASSERT_EQUAL(take(world, b, NVO3_MOVE_GRANTED)->generation, 1);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 1);
	CU_ASSERT_TRUE(take(world, b, NVO3_COMMITTED)->granted);
	(void) take(world, b, NVO3_CONSENT); /* the other's wish is now b's to answer */
	send_endpoint(world, a, NVO3_COMMIT, mac1, 1);
	(void) take(world, a, NVO3_UPDATE);
	(void) take(world, b, NVO3_UPDATE);
	CU_ASSERT_TRUE(is_quiet(world));
	pass(world, SECONDS(WORLD_CONSENT_S));
	CU_ASSERT_FALSE(take(world, a, NVO3_MOVE_GRANTED)->granted);
	CU_ASSERT_FALSE(take(world, a, NVO3_COMMITTED)->granted);
}

static void a_vm_that_moves_on_before_the_commit(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 c = join(world, "hv3", "192.0.2.3");
	uint64_t to_b, to_c;

	(void) is_quiet(world);
	forget(world);
	own(world, a, mac1, MAPPING_VM);
	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	to_b = take(world, a, NVO3_CONSENT)->id;
	send_mapping(world, c, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	to_c = take(world, a, NVO3_CONSENT)->id;
	CU_ASSERT_NOT_EQUAL(to_b, to_c);
	answer_consent(world, a, to_b, true);
	CU_ASSERT_EQUAL(take(world, b, NVO3_MOVE_GRANTED)->generation, 2);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_TRUE(take(world, b, NVO3_COMMITTED)->granted);
	answer_consent(world, a, to_c, true); /* not its VM any more */
	to_c = take(world, b, NVO3_CONSENT)->id;
	answer_consent(world, b, to_c, true);
	CU_ASSERT_EQUAL(take(world, c, NVO3_MOVE_GRANTED)->generation, 3);
	send_endpoint(world, c, NVO3_COMMIT, mac1, 3);
	CU_ASSERT_EQUAL(take(world, c, NVO3_COMMITTED)->generation, 3);
}

/*
 * The second handover begins before the first has ended: both moves converge, with the UPDATE that
 * tells all.
 */
static void a_handover_can_be_overtaken(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 c = join(world, "hv3", "192.0.2.3");
	const struct nvo3_message *message;

	(void) is_quiet(world);
	forget(world);
	own(world, a, mac1, MAPPING_VM);
	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(world, a, take(world, a, NVO3_CONSENT)->id, true);
	(void) take(world, b, NVO3_MOVE_GRANTED);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 2);
	(void) take(world, b, NVO3_COMMITTED);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mappings[0].generation, 2);
	send_mapping(world, c, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(world, b, take(world, b, NVO3_CONSENT)->id, true);
	(void) take(world, c, NVO3_MOVE_GRANTED);
	send_endpoint(world, c, NVO3_COMMIT, mac1, 3);
	(void) take(world, c, NVO3_COMMITTED);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mappings[0].generation, 3);
	ack(world, a);
	own(world, c, (struct mac){ { 2, 0, 0, 0, 0, 9 } },
	    MAPPING_VM); /* an UPDATE that is not about it */
	ack(world, a);
	ack(world, c);
	CU_ASSERT_EQUAL(counter(world, "converged"), 0);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, b);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mappings[0].generation, 3);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mappings[0].generation, 3);
	CU_ASSERT_EQUAL(take(world, c, NVO3_UPDATE)->mappings[0].generation, 3);
	ack(world, a);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, c);
	CU_ASSERT_EQUAL(take(world, a, NVO3_CONVERGED)->generation, 2);
	CU_ASSERT_EQUAL(take(world, b, NVO3_CONVERGED)->generation, 2);
	message = take(world, b, NVO3_CONVERGED);
	CU_ASSERT_EQUAL(message->generation, 3);
	CU_ASSERT_EQUAL(take(world, c, NVO3_CONVERGED)->generation, 3);
	CU_ASSERT_TRUE(is_quiet(world));
}

/* How a handover ends when the old NVE does not confirm. */
static void a_handover_waits_for_nobody_long(void)
{
	enum { IN_TIME, OVERDUE, DISCONNECTED, EXPIRED, LEFT, WITHDRAWN_AGAIN, ENDS };

	for (unsigned end = 0; end < ENDS; end++) {
		WORLD(world);
		struct pair pair;
		const struct nvo3_message *update;

		prepare(world, GRANTED, &pair);
		send_endpoint(world, pair.me, NVO3_COMMIT, mac1, 2);
		(void) take(world, pair.me, NVO3_COMMITTED);
		(void) take(world, pair.other, NVO3_UPDATE);
		pass(world, DIRECTORY_HANDOVER_MS * 1000 - 1);
		/* The new owner's own news wait, too. */
		send_mapping(world, pair.me, NVO3_REGISTER,
			     mapping_of(mac1, MAPPING_VM | MAPPING_LEARNED));
		CU_ASSERT_TRUE(take(world, pair.me, NVO3_REGISTERED)->granted);
		CU_ASSERT_TRUE(is_quiet(world));
		switch (end) {
		case IN_TIME:
			ack(world, pair.other);
			break;
		case OVERDUE:
			pass(world, 1);
			break;
		case DISCONNECTED:
			disconnect(world, pair.other);
			pass(world, 0);
			break;
		case EXPIRED:
			disconnect(world, pair.other);
			pass(world, SECONDS(WORLD_LEASE_S));
			(void) take(world, pair.me, NVO3_MEMBERS);
			break;
		case LEFT:
			disconnect(world, pair.other);
			(void) connect_as(world, "hv1", "192.0.2.1", 2);
			pass(world, SECONDS(WORLD_LEASE_S));
			(void) take(world, pair.me, NVO3_MEMBERS);
			break;
		case WITHDRAWN_AGAIN:
			send_endpoint(world, pair.me, NVO3_WITHDRAW, mac1, 2);
			break;
		}
		update = take(world, pair.me, NVO3_UPDATE);
		CU_ASSERT_EQUAL(update->mapping_count, end == WITHDRAWN_AGAIN ? 0 : 1);
		CU_ASSERT_EQUAL(update->removed_count, end == WITHDRAWN_AGAIN ? 1 : 0);
		ack(world, pair.me);
		if (end == IN_TIME || end == OVERDUE || end == WITHDRAWN_AGAIN)
			ack(world, pair.other);
		CU_ASSERT_EQUAL(take(world, pair.me, NVO3_CONVERGED)->generation, 2);
	}
}

static void a_later_consent_ends_the_earlier_grant(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 c = join(world, "hv3", "192.0.2.3");

	(void) is_quiet(world);
	forget(world);
	own(world, a, mac1, MAPPING_VM);
	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(world, a, take(world, a, NVO3_CONSENT)->id, true);
	(void) take(world, b, NVO3_MOVE_GRANTED);
	send_mapping(world, c, NVO3_MOVE_INTENT,
		     mapping_of(mac1, MAPPING_VM)); /* the first migration failed */
	answer_consent(world, a, take(world, a, NVO3_CONSENT)->id, true);
	(void) take(world, b, NVO3_ABORT);
	CU_ASSERT_EQUAL(take(world, c, NVO3_MOVE_GRANTED)->generation, 2);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_FALSE(take(world, b, NVO3_COMMITTED)->granted);
}

/* An NVA that lost its memory granted a move of a MAC whose owner had not come back yet. */
static void an_owner_that_appears_late_is_asked(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	struct mapping mine = mapping_of(mac1, MAPPING_VM);
	const struct nvo3_message *message;

	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_EQUAL(take(world, b, NVO3_MOVE_GRANTED)->generation, 1);
	mine.generation = 5;
	send_mapping(world, a, NVO3_REGISTER, mine);
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 5);
	message = take(world, a, NVO3_CONSENT);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 1); /* of the grant that no longer is: waits */
	answer_consent(world, a, message->id, true);
	(void) take(world, b, NVO3_UPDATE);
	CU_ASSERT_EQUAL(take(world, b, NVO3_MOVE_GRANTED)->generation, 6);
	CU_ASSERT_EQUAL(take(world, b, NVO3_COMMITTED)->generation, 6);
}

static void caps_who_wants_the_same_mac(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), nve = 0;

	own(world, a, mac1, MAPPING_VM);
	for (unsigned i = 0; i <= DIRECTORY_MAC_MOVES_MAX; i++) {
		char name[32], vtep[32];

		(void) snprintf(name, sizeof(name), "new%u", i);
		(void) snprintf(vtep, sizeof(vtep), "192.0.2.%u", 10 + i);
		nve = join(world, name, vtep);
		send_mapping(world, nve, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
		if (i < DIRECTORY_MAC_MOVES_MAX) {
			deliver(world);
			forget(world);
		}
	}
	CU_ASSERT_FALSE(take(world, nve, NVO3_MOVE_GRANTED)->granted);
}

static void caps_the_moves(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");

	for (unsigned i = 0; i <= DIRECTORY_MOVES_MAX; i++) {
		const struct mac mac = { { 2, 0, 0, 0, (uint8_t) (i >> 8), (uint8_t) i } };

		send_mapping(world, a, NVO3_MOVE_INTENT, mapping_of(mac, MAPPING_VM));
		CU_ASSERT_EQUAL(take(world, a, NVO3_MOVE_GRANTED)->granted,
				i < DIRECTORY_MOVES_MAX);
		forget(world);
	}
}

/* --- convergence --- */

/* mac1 moves from @old to @new, committed and told, confirmed by nobody. */
static void move_it(struct world *world, uint32_t old, uint32_t new)
{
	const struct nvo3_message *message;
	uint64_t generation;

	send_mapping(world, new, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	deliver(world);
	message = take(world, old, NVO3_CONSENT);
	answer_consent(world, old, message->id, true);
	message = take(world, new, NVO3_MOVE_GRANTED);
	CU_ASSERT_TRUE(message->granted);
	generation = message->generation;
	send_endpoint(world, new, NVO3_COMMIT, mac1, generation);
	CU_ASSERT_TRUE(take(world, new, NVO3_COMMITTED)->granted);
	ack(world, old); /* the handover */
	deliver(world);
	forget(world);
}

static void the_dead_do_not_block(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 dead = join(world, "hv3", "192.0.2.3"), dying = join(world, "hv4", "192.0.2.4");

	own(world, a, mac1, MAPPING_VM);
	disconnect(world, dead);
	move_it(world, a, b);
	ack(world, a);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	disconnect(world, dying);
	take_converged(world, a, b);
}

static void who_comes_late_must_confirm_its_snapshot(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 late = join(world, "hv3", "192.0.2.3");

	own(world, a, mac1, MAPPING_VM);
	disconnect(world, late);
	move_it(world, a, b);
	ack(world, a);
	CU_ASSERT_EQUAL(connect_as(world, "hv3", "192.0.2.3", 1), late);
	subscribe(world, late, VNI);
	(void) take(world, late, NVO3_WELCOME);
	(void) take(world, late, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(take(world, late, NVO3_UPDATE)->mappings[0].generation, 2);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, late);
	take_converged(world, a, b);
}

/* The one that confirmed first has to do it again after it was away. */
static void a_confirmation_ends_with_its_session(void)
{
	WORLD(world);
	uint32_t first = join(world, "hv3", "192.0.2.3"), a = join(world, "hv1", "192.0.2.1"),
		 b = join(world, "hv2", "192.0.2.2");

	own(world, a, mac1, MAPPING_VM);
	move_it(world, a, b);
	ack(world, first);
	disconnect(world, first);
	(void) connect_as(world, "hv3", "192.0.2.3", 1);
	subscribe(world, first, VNI);
	deliver(world);
	forget(world);
	ack(world, a);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, first);
	take_converged(world, a, b);
}

/* What it then sends to the new place would overtake what the old NVE holds of it. */
static void who_comes_in_between_is_told_the_old_place(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2"), c;
	const struct nvo3_message *got;

	own(world, a, mac1, MAPPING_VM);
	ack(world, a);
	ack(world, b);
	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(world, a, take(world, a, NVO3_CONSENT)->id, true);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mappings[0].generation, 2);
	forget(world);

	c = connect_as(world, "hv3", "192.0.2.3", 1);
	subscribe(world, c, VNI);
	(void) take(world, c, NVO3_WELCOME);
	(void) take(world, c, NVO3_MEMBERS);
	got = take(world, c, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(got->mapping_count, 1);
	CU_ASSERT_EQUAL(got->mappings[0].generation, 1);
	CU_ASSERT_EQUAL(ip_cmp(got->mappings[0].vtep, ip_of("192.0.2.1")), 0);
	forget(world);

	/* The new NVE knows; it may have lost the answer with its session. */
	disconnect(world, b);
	b = connect_as(world, "hv2", "2001:db8::2", 1);
	subscribe(world, b, VNI);
	(void) take(world, b, NVO3_WELCOME);
	(void) take(world, b, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mappings[0].generation, 2);
	forget(world);

	ack(world, a);
	got = take(world, c, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(got->mapping_count, 1);
	CU_ASSERT_EQUAL(got->mappings[0].generation, 2);
	CU_ASSERT_EQUAL(ip_cmp(got->mappings[0].vtep, ip_of("2001:db8::2")), 0);
}

/* It has confirmed a higher revision, but of another VNI, before it got this one's snapshot. */
static void a_confirmation_of_another_vni_does_not_count(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 late = connect_as(world, "hv3", "192.0.2.3", 1);

	own(world, a, mac1, MAPPING_VM);
	move_it(world, a, b);
	subscribe(world, late, VNI + 1);
	deliver(world);
	ack(world, late);
	subscribe(world, late, VNI);
	deliver(world);
	forget(world);
	ack(world, a);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, late);
	(void) take(world, a, NVO3_CONVERGED);
}

static void a_member_that_leaves_no_longer_blocks(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2"),
		 gone = join(world, "hv3", "192.0.2.3");

	own(world, a, mac1, MAPPING_VM);
	disconnect(world, gone);
	(void) connect_as(world, "hv3", "192.0.2.3", 2); /* restarted, without this VNI */
	move_it(world, a, b);
	ack(world, a);
	ack(world, b);
	take_converged(world, a, b);
}

static void who_never_confirms_is_given_up(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");

	own(world, a, mac1, MAPPING_VM);
	move_it(world, a, b);
	ack(world, a);
	pass(world, SECONDS(DIRECTORY_CONVERGE_MAX_S) - 1);
	CU_ASSERT_EQUAL(counter(world, "not_converged"), 0);
	pass(world, 1);
	CU_ASSERT_EQUAL(counter(world, "not_converged"), 1);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void back_and_forth_converges_each_time(void)
{
	WORLD(world);
	uint32_t nves[] = { join(world, "hv1", "192.0.2.1"), join(world, "hv2", "2001:db8::2") };

	own(world, nves[0], mac1, MAPPING_VM);
	for (unsigned i = 0; i < 25;
	     i++) { /* EVPN would have frozen the MAC at 5: RFC 7432 section 15.1 */
		move_it(world, nves[i % 2], nves[(i + 1) % 2]);
		ack(world, nves[0]);
		ack(world, nves[1]);
		CU_ASSERT_EQUAL(take(world, nves[0], NVO3_CONVERGED)->generation, i + 2);
		CU_ASSERT_EQUAL(take(world, nves[1], NVO3_CONVERGED)->generation, i + 2);
	}
	CU_ASSERT_EQUAL(counter(world, "converged"), 25);
}

/* --- a long random run --- */

enum {
	RANDOM_NVES = 5,
	RANDOM_VNIS = 2,
	RANDOM_MACS = 6,
	RANDOM_STEPS = 60000,
};

/* What an NVE holds of one (VNI, MAC): 0, or the generation and whose it is. */
struct held {
	uint64_t generation;
	struct ip vtep;
	bool in_snapshot;
};

struct replica {
	uint32_t nve;
	bool connected, subscribed[RANDOM_VNIS];
	uint64_t incarnation;
	struct held held[RANDOM_VNIS][RANDOM_MACS];
	uint64_t consent_ids[16];
	unsigned consent_at;
};

static uint32_t draw(uint64_t *seed, uint32_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t) (*seed >> 32) % n;
}

static struct mac random_mac(unsigned i)
{
	return (struct mac){ { 2, 0, 0, 0, 0, (uint8_t) (i + 1) } };
}

static void apply_update(struct replica *replica, const struct nvo3_message *update)
{
	unsigned vni = update->vni - VNI;

	if (update->snapshot)
		for (unsigned i = 0; i < RANDOM_MACS; i++)
			replica->held[vni][i].in_snapshot = false;
	for (size_t i = 0; i < update->removed_count; i++) {
		struct held *held = &replica->held[vni][update->removed[i].mac.octet[5] - 1];

		if (held->generation <= update->removed[i].generation)
			held->generation = 0;
	}
	for (size_t i = 0; i < update->mapping_count; i++) {
		const struct mapping *mapping = &update->mappings[i];
		struct held *held = &replica->held[vni][mapping->mac.octet[5] - 1];

		/*
		 * The rule that every NVE applies: the higher generation wins, and the same one is
		 * of the same NVE.
		 */
		if (held->generation == mapping->generation)
			CU_ASSERT_EQUAL(ip_cmp(held->vtep, mapping->vtep), 0);
		if (mapping->generation >= held->generation)
			*held = (struct held){ mapping->generation, mapping->vtep, true };
	}
	if (update->snapshot_end)
		for (unsigned i = 0; i < RANDOM_MACS; i++)
			if (update->snapshot && !replica->held[vni][i].in_snapshot)
				replica->held[vni][i].generation = 0;
}

static void receive(struct world *world, struct replica *replicas)
{
	deliver(world);
	for (struct delivery *delivery = world->deliveries; delivery; delivery = delivery->next) {
		const struct nvo3_message *message = &delivery->output->message;
		struct replica *replica = replicas;

		while (replica < replicas + RANDOM_NVES && replica->nve != delivery->to)
			replica++;
		CU_ASSERT_TRUE_FATAL(replica < replicas + RANDOM_NVES && replica->connected);
		if (message->kind == NVO3_UPDATE)
			apply_update(replica, message);
		if (message->kind == NVO3_CONSENT)
			replica->consent_ids[replica->consent_at++ % 16] = message->id;
	}
	forget(world);
}

/* The second round is for those that the end of time in the first one began. */
static void end_handovers(struct world *world, struct replica *replicas)
{
	for (unsigned round = 0; round < 2; round++) {
		receive(world, replicas);
		for (unsigned i = 0; i < RANDOM_NVES; i++)
			if (replicas[i].connected)
				ack(world, replicas[i].nve);
		pass(world, 0);
	}
	receive(world, replicas);
}

static void random_reconnect(struct world *world, struct replica *replica, unsigned i,
			     uint64_t *seed)
{
	char name[32], vtep[32];

	if (replica->connected) {
		disconnect(world, replica->nve);
		replica->connected = false;
		replica->nve = UINT32_MAX;
		return;
	}
	if (draw(seed, 2)) {
		replica->incarnation++;
		memset(replica->held, 0, sizeof(replica->held));
	}
	(void) snprintf(name, sizeof(name), "hv%u", i);
	(void) snprintf(vtep, sizeof(vtep), i % 2 ? "192.0.2.%u" : "2001:db8::%u", i + 1);
	replica->nve = connect_as(world, name, vtep, replica->incarnation);
	replica->connected = true;
	memset(replica->subscribed, 0, sizeof(replica->subscribed));
}

static void random_message(struct world *world, struct replica *replica, uint64_t *seed)
{
	static const enum nvo3_kind kinds[] = {
		NVO3_REGISTER,	NVO3_REGISTER,	NVO3_WITHDRAW,	NVO3_MOVE_INTENT, NVO3_MOVE_INTENT,
		NVO3_CONSENTED, NVO3_CONSENTED, NVO3_COMMIT,	NVO3_COMMIT,	  NVO3_ABORT,
		NVO3_ACK,	NVO3_ACK,	NVO3_SUBSCRIBE, NVO3_SUBSCRIBE,	  NVO3_QUERY,
	};
	const uint32_t flags[] = { MAPPING_VM, MAPPING_LEARNED, 0 };
	struct mapping mapping = {
		.vni = VNI + draw(seed, RANDOM_VNIS),
		.mac = random_mac(draw(seed, RANDOM_MACS)),
		.ip_count = (uint8_t) draw(seed, 3),
		.ips = { ip_of(draw(seed, 2) ? "10.0.0.1" : "10.0.0.2"), ip_of("fd00::1") },
		.flags = flags[draw(seed, 3)],
	};
	struct nvo3_message message = {
		.kind = kinds[draw(seed, ARRAY_SIZE(kinds))],
		.id = replica->consent_ids[draw(seed, 16)],
		.vni = mapping.vni,
		.mac = mapping.mac,
		.generation = draw(seed, 4) ? 0 : draw(seed, 5),
		.granted = draw(seed, 4) != 0,
		.revision = world->told[replica->nve],
		.mappings = &mapping,
		.mapping_count = 1,
	};

	if (message.kind == NVO3_SUBSCRIBE)
		replica->subscribed[message.vni - VNI] = true;
	send_from(world, replica->nve, &message);
}

static struct mapping ask_for(struct world *world, uint32_t nve, unsigned vni, unsigned mac)
{
	const struct nvo3_message query = { .kind = NVO3_QUERY,
					    .vni = VNI + vni,
					    .mac = random_mac(mac) };
	const struct nvo3_message *answer;

	send_from(world, nve, &query);
	answer = take(world, nve, NVO3_ANSWER);
	return answer->mapping_count ? answer->mappings[0] : (struct mapping){ 0 };
}

/* Every subscribed NVE holds exactly what the directory answers. */
static void compare(struct world *world, struct replica *replicas)
{
	for (unsigned r = 0; r < RANDOM_NVES; r++) {
		for (unsigned vni = 0; vni < RANDOM_VNIS; vni++) {
			for (unsigned mac = 0; mac < RANDOM_MACS; mac++) {
				const struct held *held = &replicas[r].held[vni][mac];
				struct mapping mapping;

				if (!replicas[r].connected || !replicas[r].subscribed[vni])
					continue;
				mapping = ask_for(world, replicas[r].nve, vni, mac);
				CU_ASSERT_EQUAL(mapping.generation, held->generation);
				if (held->generation)
					CU_ASSERT_EQUAL(ip_cmp(mapping.vtep, held->vtep), 0);
			}
		}
	}
	forget(world);
}

static void every_copy_stays_equal(void)
{
	struct replica replicas[RANDOM_NVES];
	uint64_t seed = 88172645463325252u;
	WORLD(world);

	memset(replicas, 0, sizeof(replicas));
	for (unsigned i = 0; i < RANDOM_NVES; i++)
		replicas[i].nve = UINT32_MAX;
	for (unsigned step = 0; step < RANDOM_STEPS; step++) {
		unsigned i = draw(&seed, RANDOM_NVES);

		if (draw(&seed, 40) == 0)
			random_reconnect(world, &replicas[i], i, &seed);
		else if (draw(&seed, 30) == 0)
			pass(world, SECONDS(draw(&seed, 40)));
		else if (replicas[i].connected)
			random_message(world, &replicas[i], &seed);
		if (draw(&seed, 3) == 0)
			receive(world, replicas);
		if (step % 16 == 0) {
			end_handovers(world, replicas);
			compare(world, replicas);
		}
	}
	CU_ASSERT_TRUE(counter(world, "moves_committed") > 500);
	CU_ASSERT_TRUE(counter(world, "converged") > 500);
	CU_ASSERT_TRUE(counter(world, "expired") > 100);
	CU_ASSERT_TRUE(counter(world, "moves_aborted") > 100);
}

UNIT_MAIN(
	"directory_moves", UNIT_TEST(my_input_in_every_state),
	UNIT_TEST(the_owners_input_in_every_state), UNIT_TEST(the_deadline_in_every_state),
	UNIT_TEST(the_end_of_the_owners_lease_grants), UNIT_TEST(a_move_from_ipv4_to_ipv6_underlay),
	UNIT_TEST(an_intent_said_again_is_answered_under_its_new_id),
	UNIT_TEST(an_owner_that_comes_back_is_asked_again),
	UNIT_TEST(an_abort_reaches_the_other_side), UNIT_TEST(an_abort_of_an_earlier_round_is_late),
	UNIT_TEST(a_commit_of_its_own_confirms_it_after_a_start),
	UNIT_TEST(who_withdraws_wants_nothing_more),
	UNIT_TEST(a_commit_that_waits_ends_with_its_session),
	UNIT_TEST(what_is_not_wanted_again_is_off_after_a_lease),
	UNIT_TEST(a_question_that_is_over_is_taken_back),
	UNIT_TEST(a_new_nve_that_ends_frees_the_old_one), UNIT_TEST(another_vm_cannot_take_the_mac),
	UNIT_TEST(a_tie_keeps_the_present_owner), UNIT_TEST(a_vm_that_moves_on_before_the_commit),
	UNIT_TEST(a_handover_can_be_overtaken), UNIT_TEST(a_handover_waits_for_nobody_long),
	UNIT_TEST(a_later_consent_ends_the_earlier_grant),
	UNIT_TEST(an_owner_that_appears_late_is_asked), UNIT_TEST(caps_who_wants_the_same_mac),
	UNIT_TEST(caps_the_moves), UNIT_TEST(the_dead_do_not_block),
	UNIT_TEST(who_comes_late_must_confirm_its_snapshot),
	UNIT_TEST(who_comes_in_between_is_told_the_old_place),
	UNIT_TEST(a_confirmation_ends_with_its_session),
	UNIT_TEST(a_confirmation_of_another_vni_does_not_count),
	UNIT_TEST(a_member_that_leaves_no_longer_blocks), UNIT_TEST(who_never_confirms_is_given_up),
	UNIT_TEST(back_and_forth_converges_each_time), UNIT_TEST(every_copy_stays_equal))
