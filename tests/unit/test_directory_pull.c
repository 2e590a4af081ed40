// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_directory_pull.c - members that pull: what they are told, what they are not, and who must
 * confirm a move.
 */
#include "tests/unit/directory_world.h"

static const struct mac mac2 = { { 0x52, 0x54, 0x00, 0x00, 0x00, 0x02 } };
static const struct mac mac3 = { { 0x52, 0x54, 0x00, 0x00, 0x00, 0x03 } };

static struct nvo3_message list_of(enum nvo3_kind kind, struct mapping *list, size_t count)
{
	return (struct nvo3_message){
		.kind = kind,
		.vni = VNI,
		.pull = kind == NVO3_SUBSCRIBE,
		.removed = list,
		.removed_count = count,
	};
}

/* SUBSCRIBE with pull, or DROP, of up to two MACs; none: zero. */
static void send_list(struct world *world, uint32_t nve, enum nvo3_kind kind, struct mac a,
		      struct mac b)
{
	struct mapping list[] = { { .vni = VNI, .mac = a }, { .vni = VNI, .mac = b } };
	struct nvo3_message message =
		list_of(kind, list, (size_t) !mac_is_zero(a) + !mac_is_zero(b));

	send_from(world, nve, &message);
}

static const struct mac no_mac;

static uint32_t join_pulling(struct world *world, const char *name, const char *vtep)
{
	uint32_t nve = connect_as(world, name, vtep, 1);

	send_list(world, nve, NVO3_SUBSCRIBE, no_mac, no_mac);
	deliver(world);
	forget(world);
	ack(world, nve);
	return nve;
}

static struct mapping plain(struct mac mac, const char *ip)
{
	return (struct mapping){
		.vni = VNI,
		.mac = mac,
		.ips = { ip_of(ip) },
		.ip_count = 1,
		.flags = MAPPING_VM,
	};
}

static void serve(struct world *world, uint32_t nve, struct mac mac, const char *ip)
{
	send_mapping(world, nve, NVO3_REGISTER, plain(mac, ip));
	deliver(world);
	forget(world);
	ack(world, nve);
}

/* Asks by MAC; the answer is looked at no further. */
static void pull_mac(struct world *world, uint32_t nve, struct mac mac)
{
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .mac = mac };

	send_from(world, nve, &query);
	CU_ASSERT_EQUAL(take(world, nve, NVO3_ANSWER)->mapping_count, 1);
	forget(world);
}

/* @owner serves mac1, as @other knows, and @puller holds it. */
static void serve_and_pull(struct world *world, uint32_t owner, uint32_t other, uint32_t puller)
{
	serve(world, owner, mac1, "10.0.0.1");
	ack(world, other);
	pull_mac(world, puller, mac1);
}

/* @to takes the VM over from @from; both are left to confirm what they are told. */
static void move(struct world *world, uint32_t from, uint32_t to, struct mac mac, const char *ip,
		 uint64_t generation)
{
	struct nvo3_message yes = {
		.kind = NVO3_CONSENTED, .vni = VNI, .mac = mac, .granted = true
	};
	const struct nvo3_message *asked;

	send_mapping(world, to, NVO3_MOVE_INTENT, plain(mac, ip));
	asked = take(world, from, NVO3_CONSENT);
	yes.id = asked->id;
	send_from(world, from, &yes);
	(void) take(world, to, NVO3_MOVE_GRANTED);
	send_endpoint(world, to, NVO3_COMMIT, mac, generation);
	(void) take(world, to, NVO3_COMMITTED);
	CU_ASSERT_EQUAL(take(world, from, NVO3_UPDATE)->mapping_count, 1);
	ack(world, from); /* the others may know now */
}

static void it_is_told_what_it_owns_and_asked_for(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join_pulling(world, "hv2", "2001:db8::2");
	const struct nvo3_message by_ip = { .kind = NVO3_QUERY,
					    .vni = VNI,
					    .ip = ip_of("fd00::1") };
	const struct nvo3_message *got;

	serve(world, a, mac1, "fd00::1");
	CU_ASSERT_TRUE(is_quiet(world));

	send_mapping(world, b, NVO3_REGISTER, plain(mac2, "10.0.0.2"));
	(void) take(world, b, NVO3_REGISTERED);
	got = take(world, b, NVO3_UPDATE); /* its own */
	CU_ASSERT_EQUAL_FATAL(got->mapping_count, 1);
	CU_ASSERT_EQUAL(mac_cmp(got->mappings[0].mac, mac2), 0);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mapping_count, 1);
	CU_ASSERT_TRUE(is_quiet(world));

	send_from(world, b, &by_ip);
	got = take(world, b, NVO3_ANSWER);
	CU_ASSERT_EQUAL_FATAL(got->mapping_count, 1);
	CU_ASSERT_EQUAL(mac_cmp(got->mappings[0].mac, mac1), 0);

	send_mapping(world, a, NVO3_REGISTER, plain(mac1, "10.0.0.1"));
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mapping_count, 1);
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 0);
	got = take(world, b, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(got->removed_count, 1);
	CU_ASSERT_EQUAL(got->removed[0].generation, 1);
	forget(world);

	serve(world, a, mac1, "fd00::1"); /* it is back; who wants it asks again */
	send_mapping(world, a, NVO3_REGISTER, plain(mac1, "10.0.0.1"));
	(void) take(world, a, NVO3_REGISTERED);
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void it_is_not_told_of_what_it_dropped(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join_pulling(world, "hv2", "2001:db8::2");

	serve(world, a, mac1, "10.0.0.1");
	serve(world, a, mac2, "10.0.0.2");
	pull_mac(world, b, mac1);
	pull_mac(world, b, mac2);
	pull_mac(world, b, mac2); /* again is not twice */
	send_list(world, b, NVO3_DROP, mac1, mac3);
	send_list(world, b, NVO3_DROP, mac1, no_mac);

	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 0);
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_TRUE(is_quiet(world));
	send_endpoint(world, a, NVO3_WITHDRAW, mac2, 0);
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->removed_count, 1);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void over_the_cap_it_is_told_why(void)
{
	const struct directory_limits limits = { .nve_interests = 1 };
	_cleanup_(world_freep) struct world *world = world_with(limits);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join_pulling(world, "hv2", "2001:db8::2");
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .mac = mac2 };
	const struct nvo3_message *got;

	serve(world, a, mac1, "10.0.0.1");
	serve(world, a, mac2, "10.0.0.2");
	pull_mac(world, b, mac1);
	send_from(world, b, &query);
	got = take(world, b, NVO3_ANSWER);
	CU_ASSERT_EQUAL(got->mapping_count, 0);
	CU_ASSERT_STRING_EQUAL(got->text,
			       "the NVA keeps at most 1 mappings up to date for one NVE");
	CU_ASSERT_EQUAL(counter(world, "interests_refused"), 1);
	send_list(world, b, NVO3_DROP, mac1, no_mac);
	pull_mac(world, b, mac2);
}

static void a_move_waits_for_who_was_told_of_it(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");
	uint32_t d = join_pulling(world, "hv4", "2001:db8::4");

	serve_and_pull(world, a, b, c);
	move(world, a, b, mac1, "10.0.0.1", 2);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mapping_count, 1);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mapping_count, 1);
	CU_ASSERT_EQUAL(take(world, c, NVO3_UPDATE)->mappings[0].generation, 2);
	CU_ASSERT_TRUE(is_quiet(world)); /* nothing for d */
	ack(world, a);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world)); /* c has not confirmed */
	ack(world, c);
	take_converged(world, a, b);
	CU_ASSERT_TRUE(is_quiet(world));
	(void) d;
}

static void a_puller_that_left_is_not_waited_for(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");

	serve(world, a, mac1, "10.0.0.1");
	pull_mac(world, c, mac1);
	move(world, a, b, mac1, "10.0.0.1", 2);
	ack(world, a);
	ack(world, b);
	deliver(world);
	forget(world);
	disconnect(world, c);
	take_converged(world, a, b);
	pass(world, SECONDS(WORLD_LEASE_S)); /* its interests end with it */
	ack(world, a);
	ack(world, b);
}

static void gateways_come_first_pulling_or_not(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	struct nvo3_message hello = hello_of("gw1", "2001:db8::9", 1);
	char text[NVO3_TEXT_MAX + 1];
	uint32_t gateway = 0, b = join_pulling(world, "hv2", "192.0.2.2");
	uint32_t order[3];
	size_t count = 0;
	bool replaced;

	hello.role = NVO3_ROLE_GATEWAY;
	CU_ASSERT_EQUAL_FATAL(connect_result(world, &hello, &gateway, &replaced, text), 0);
	send_list(world, gateway, NVO3_SUBSCRIBE, no_mac, no_mac);
	deliver(world);
	forget(world);
	serve(world, a, mac1, "10.0.0.1");
	pull_mac(world, b, mac1);
	pull_mac(world, gateway, mac1);
	send_mapping(world, a, NVO3_REGISTER, plain(mac1, "10.0.0.2"));
	deliver(world);
	for (const struct delivery *next = world->deliveries; next; next = next->next)
		if (next->output->message.kind == NVO3_UPDATE && count < 3)
			order[count++] = next->to;
	CU_ASSERT_EQUAL_FATAL(count, 3);
	CU_ASSERT_EQUAL(order[0], gateway);
	CU_ASSERT_EQUAL(order[1], a);
	CU_ASSERT_EQUAL(order[2], b);
	forget(world);
}

static void the_old_nve_goes_on_knowing(void)
{
	WORLD(world);
	uint32_t a = join_pulling(world, "hv1", "192.0.2.1");
	uint32_t b = join_pulling(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");
	const struct nvo3_message *got;

	serve(world, a, mac1, "10.0.0.1");
	move(world, a, b, mac1, "10.0.0.1", 2);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mapping_count, 1);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mapping_count, 1);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, a);
	ack(world, b);
	take_converged(world, a, b);

	move(world, b, c, mac1, "10.0.0.1", 3);
	got = take(world, a, NVO3_UPDATE); /* where what it sends on must go now */
	CU_ASSERT_EQUAL(got->mappings[0].generation, 3);
	(void) take(world, b, NVO3_UPDATE);
	(void) take(world, c, NVO3_UPDATE);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, b);
	ack(world, c);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, a);
	take_converged(world, b, c);
}

/* What is not told to all yet is not answered either: it would overtake what the old NVE holds. */
static void a_question_in_between_is_answered_as_before(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .mac = mac1 };
	const struct nvo3_message *got;

	serve(world, a, mac1, "10.0.0.1");
	deliver(world);
	forget(world);
	send_mapping(world, b, NVO3_MOVE_INTENT, plain(mac1, "10.0.0.1"));
	got = take(world, a, NVO3_CONSENT);
	answer_consent(world, a, got->id, true);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 2);
	deliver(world);
	forget(world);

	send_from(world, c, &query);
	got = take(world, c, NVO3_ANSWER);
	CU_ASSERT_EQUAL_FATAL(got->mapping_count, 1);
	CU_ASSERT_EQUAL(got->mappings[0].generation, 1);
	CU_ASSERT_EQUAL(ip_cmp(got->mappings[0].vtep, ip_of("192.0.2.1")), 0);
	ack(world, a);
	got = take(world, c, NVO3_UPDATE);
	CU_ASSERT_EQUAL(got->mappings[0].generation, 2);
	CU_ASSERT_EQUAL(ip_cmp(got->mappings[0].vtep, ip_of("2001:db8::2")), 0);
}

static void its_list_comes_back_with_it(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join_pulling(world, "hv2", "2001:db8::2");
	struct mapping held = { .vni = VNI, .mac = mac1 };
	struct nvo3_message part = list_of(NVO3_SUBSCRIBE, &held, 1);
	const struct nvo3_message *got;

	serve(world, a, mac1, "10.0.0.1");
	serve(world, a, mac2, "10.0.0.2");
	serve(world, a, mac3, "10.0.0.3");
	pull_mac(world, b, mac3);
	disconnect(world, b);
	b = connect_as(world, "hv2", "2001:db8::2", 1);
	CU_ASSERT_TRUE(take(world, b, NVO3_WELCOME)->features & NVO3_FEATURE_PULL);

	part.more = true;
	send_from(world, b, &part);
	CU_ASSERT_TRUE(is_quiet(world));
	send_list(world, b, NVO3_SUBSCRIBE, mac2, (struct mac){ { 2 } });
	(void) take(world, b, NVO3_MEMBERS);
	got = take(world, b, NVO3_UPDATE);
	CU_ASSERT_TRUE(got->snapshot && got->snapshot_end);
	CU_ASSERT_EQUAL(got->mapping_count, 2); /* 3 is not wanted any more, and 02:... is gone */
	CU_ASSERT_TRUE(is_quiet(world));
	send_endpoint(world, a, NVO3_WITHDRAW, mac3, 0);
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_TRUE(is_quiet(world));

	/* Everything, from now on. */
	subscribe(world, b, VNI);
	(void) take(world, b, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mapping_count, 2);
	serve(world, a, mac3, "10.0.0.3");
	send_endpoint(world, a, NVO3_WITHDRAW, mac3, 0);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->removed_count, 1);
}

/* It comes back in the middle of a move: that waits for its snapshot, if that has the MAC. */
static void a_move_waits_for_a_puller_that_is_back(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");

	serve(world, a, mac1, "10.0.0.1");
	ack(world, b);
	move(world, a, b, mac1, "10.0.0.1", 2);
	deliver(world);
	forget(world);
	ack(world, a);
	send_list(world, c, NVO3_SUBSCRIBE, mac1, no_mac);
	(void) take(world, c, NVO3_MEMBERS);
	(void) take(world, c, NVO3_UPDATE);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, c);
	take_converged(world, a, b);
}

/*
 * It is withdrawn before anybody was told of the move: who is told only that must confirm only
 * that.
 */
static void a_move_that_ended_at_once_waits_too(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	uint32_t b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");

	serve_and_pull(world, a, b, c);
	move(world, a, b, mac1, "10.0.0.1", 2);
	send_endpoint(world, b, NVO3_WITHDRAW, mac1, 2);
	deliver(world);
	forget(world);
	ack(world, a);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world)); /* c holds generation 1 yet */
	ack(world, c);
	take_converged(world, a, b);
}

/*
 * It was withdrawn before the new NVE said that it comes: who held it need not know of the new
 * place, but must have let go of the old one.
 */
static void a_move_waits_for_who_was_told_of_the_end(void)
{
	WORLD(world);
	uint32_t a = join_pulling(world, "hv1", "192.0.2.1");
	uint32_t b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join_pulling(world, "hv3", "192.0.2.3");

	serve_and_pull(world, a, b, c);
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 1);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->removed_count, 1);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->removed_count, 1);
	CU_ASSERT_EQUAL(take(world, c, NVO3_UPDATE)->removed_count, 1);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 0);
	(void) take(world, b, NVO3_COMMITTED);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mappings[0].generation, 2);
	ack(world, b);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, c);
	CU_ASSERT_TRUE(is_quiet(world)); /* what was a's own is so in its kernel yet */
	ack(world, a);
	CU_ASSERT_EQUAL(take(world, b, NVO3_CONVERGED)->generation, 2);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void nobody_drops_where_it_has_no_business(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");

	serve(world, a, mac1, "10.0.0.1");
	send_list(world, a, NVO3_DROP, mac1, no_mac); /* it is pushed everything */
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 0);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->removed_count, 1);
	CU_ASSERT_TRUE(is_quiet(world));
}

/* --- a VN of a million --- */

enum {
	MILLION = 1000000,
	FULL_BATCH = 2000,
	OWNERS = 20,
	WANTED = 50, /* each 20,000th */
};

static struct mac nth_mac(uint32_t n)
{
	return (struct mac){ { 2, 0, (uint8_t) (n >> 24), (uint8_t) (n >> 16), (uint8_t) (n >> 8),
			       (uint8_t) n } };
}

static struct mapping nth(uint32_t n)
{
	return (struct mapping){
		.vni = VNI,
		.mac = nth_mac(n),
		.ips = { { .family = AF_INET,
			   .octet = { 10, (uint8_t) (n >> 16), (uint8_t) (n >> 8),
				      (uint8_t) n } } },
		.ip_count = 1,
		.flags = MAPPING_LEARNED,
	};
}

static void send_batch(struct world *world, uint32_t nve, uint32_t from, struct mapping *batch)
{
	const struct nvo3_message message = {
		.kind = NVO3_REGISTER_BATCH,
		.mappings = batch,
		.mapping_count = FULL_BATCH,
	};

	for (uint32_t i = 0; i < FULL_BATCH; i++)
		batch[i] = nth(from + i);
	send_from(world, nve, &message);
}

/* Throws the outputs away, and returns how many mappings were in those for @nve. */
static size_t mappings_told_to(struct world *world, uint32_t nve)
{
	struct directory_output *output;
	size_t count = 0;

	while (directory_next_output(world->directory, &output) > 0) {
		for (size_t i = 0; i < output->to_count; i++) {
			if (output->message.kind == NVO3_UPDATE)
				world->told[output->to[i]] = output->message.revision;
			if (output->to[i] == nve)
				count += output->message.mapping_count +
					 output->message.removed_count;
		}
		directory_output_free(output);
	}
	return count;
}

static void a_puller_holds_little_of_a_million(void)
{
	WORLD(world);
	_cleanup_free_ struct mapping *batch = calloc(FULL_BATCH, sizeof(*batch));
	struct mapping held[WANTED];
	struct nvo3_message list;
	uint32_t owners[OWNERS], puller;

	for (unsigned i = 0; i < OWNERS; i++) {
		char name[8], vtep[16];

		(void) snprintf(name, sizeof(name), "hv%u", i);
		(void) snprintf(vtep, sizeof(vtep), "192.0.2.%u", i + 1);
		owners[i] = join_pulling(world, name, vtep);
	}
	puller = join_pulling(world, "puller", "2001:db8::1");
	for (uint32_t n = 0; n < MILLION; n += FULL_BATCH) {
		send_batch(world, owners[n / FULL_BATCH % OWNERS], n, batch);
		CU_ASSERT_EQUAL(mappings_told_to(world, puller), 0);
	}

	for (uint32_t i = 0; i < WANTED; i++) {
		const struct nvo3_message query = { .kind = NVO3_QUERY,
						    .vni = VNI,
						    .ip = nth(i * 20000).ips[0] };

		send_from(world, puller, &query);
		held[i] = (struct mapping){ .vni = VNI, .mac = nth_mac(i * 20000) };
	}
	CU_ASSERT_EQUAL(mappings_told_to(world, puller), WANTED); /* the answers */

	/* 100,000 of them are seen elsewhere; five of these it holds. */
	for (uint32_t n = 0; n < MILLION / 10; n += FULL_BATCH)
		send_batch(world, owners[(n / FULL_BATCH + 1) % OWNERS], n, batch);
	CU_ASSERT_EQUAL(mappings_told_to(world, puller), 5);

	/* Coming back costs what it holds, not what there is. */
	list = list_of(NVO3_SUBSCRIBE, held, WANTED);
	send_from(world, puller, &list);
	CU_ASSERT_EQUAL(mappings_told_to(world, puller), WANTED);
}

UNIT_MAIN("directory_pull", UNIT_TEST(it_is_told_what_it_owns_and_asked_for),
	  UNIT_TEST(it_is_not_told_of_what_it_dropped), UNIT_TEST(over_the_cap_it_is_told_why),
	  UNIT_TEST(a_move_waits_for_who_was_told_of_it),
	  UNIT_TEST(a_puller_that_left_is_not_waited_for),
	  UNIT_TEST(gateways_come_first_pulling_or_not), UNIT_TEST(the_old_nve_goes_on_knowing),
	  UNIT_TEST(a_question_in_between_is_answered_as_before),
	  UNIT_TEST(its_list_comes_back_with_it), UNIT_TEST(a_move_waits_for_a_puller_that_is_back),
	  UNIT_TEST(a_move_that_ended_at_once_waits_too),
	  UNIT_TEST(a_move_waits_for_who_was_told_of_the_end),
	  UNIT_TEST(nobody_drops_where_it_has_no_business),
	  UNIT_TEST(a_puller_holds_little_of_a_million))
