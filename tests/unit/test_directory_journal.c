// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_directory_journal.c - a directory made from another one's journal knows what that one knew.
 */
#include "tests/unit/directory_world.h"

enum {
	NVES = 4,
	MACS = 6,
	VNIS = 3,
	ROUNDS = 200,
	STEPS = 200,
	NOW_S = 1700000000,
};

static const char *const vteps[NVES] = { "192.0.2.1", "2001:db8::2", "192.0.2.3", "2001:db8::4" };

/* --- journals --- */

struct journal {
	struct change *changes;
	size_t count;
};

static void note(void *userdata, const struct change *change)
{
	struct journal *journal = userdata;
	struct change *changes =
		reallocarray(journal->changes, journal->count + 1, sizeof(*changes));
	uint8_t bytes[CHANGE_SIZE_MAX];
	struct change *last;

	CU_ASSERT_PTR_NOT_NULL_FATAL(changes);
	journal->changes = changes;
	last = &changes[journal->count++];
	/* as a store gives it back */
	CU_ASSERT_EQUAL_FATAL(change_unpack(bytes, change_pack(change, bytes), last), 0);
	if (last->kind == CHANGE_REMOVED)
		last->removed_s = NOW_S;
}

static void begin(struct world *world, struct journal *journal)
{
	CU_ASSERT_EQUAL_FATAL(directory_begin(world->directory, world->now_us, note, journal), 0);
}

static int restore_result(struct world *world, const struct change *change, const char **ret_what)
{
	return directory_restore(world->directory, world->now_us, NOW_S, change, ret_what);
}

static void restore(struct world *world, const struct journal *journal)
{
	for (size_t i = 0; i < journal->count; i++) {
		const char *what = "";

		if (restore_result(world, &journal->changes[i], &what) != 0) {
			printf("change %zu: %s\n", i, what);
			CU_FAIL_FATAL("not restored");
		}
	}
}

/* --- comparing --- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* The elements of @array, sorted; each and the list to be freed. */
static char **texts_of(struct json_object *array, size_t *ret_count)
{
	size_t count = json_object_array_length(array);
	char **texts = calloc(count + 1, sizeof(*texts));

	CU_ASSERT_PTR_NOT_NULL_FATAL(texts);
	for (size_t i = 0; i < count; i++)
		texts[i] = strdup(json_object_to_json_string(json_object_array_get_idx(array, i)));
	qsort(texts, count, sizeof(*texts), compare_texts);
	*ret_count = count;
	return texts;
}

static bool same_elements(struct json_object *a, struct json_object *b)
{
	size_t count, other;
	char **left = texts_of(a, &count), **right = texts_of(b, &other);
	bool same = count == other;

	for (size_t i = 0; same && i < count; i++)
		same = strcmp(left[i], right[i]) == 0;
	for (size_t i = 0; i < count; i++)
		free(left[i]);
	for (size_t i = 0; i < other; i++)
		free(right[i]);
	free(left);
	free(right);
	return same;
}

static bool same_mappings(const struct world *a, const struct world *b)
{
	struct json_object *left, *right;
	bool same;

	CU_ASSERT_EQUAL_FATAL(directory_mappings(a->directory, 0, &left), 0);
	CU_ASSERT_EQUAL_FATAL(directory_mappings(b->directory, 0, &right), 0);
	same = same_elements(left, right);
	json_object_put(left);
	json_object_put(right);
	return same;
}

static void expect_same(const struct world *a, const struct world *b)
{
	struct directory_counts left, right;

	directory_count(a->directory, &left);
	directory_count(b->directory, &right);
	CU_ASSERT_EQUAL(left.nves, right.nves);
	CU_ASSERT_EQUAL(left.vnis, right.vnis);
	CU_ASSERT_EQUAL(left.mappings, right.mappings);
	CU_ASSERT_EQUAL(left.tombstones, right.tombstones);
	CU_ASSERT_TRUE(same_mappings(a, b));
}

/* --- random lives --- */

struct life {
	struct world *world;
	uint32_t ids[NVES];
	bool connected[NVES];
	unsigned seed;
};

static unsigned draw(struct life *life, unsigned below)
{
	return (unsigned) rand_r(&life->seed) % below;
}

static void live_session(struct life *life, unsigned i)
{
	char name[8];

	if (life->connected[i]) {
		disconnect(life->world, life->ids[i]);
		life->connected[i] = false;
		return;
	}
	(void) snprintf(name, sizeof(name), "hv%u", i);
	life->ids[i] = connect_as(life->world, name, vteps[i], 1 + draw(life, 2));
	life->connected[i] = true;
	for (unsigned n = 0; n < 2; n++)
		subscribe(life->world, life->ids[i], VNI + draw(life, VNIS));
}

/* A message of any kind, about any MAC, with whatever generation. */
static void live_message(struct life *life, unsigned i)
{
	static const enum nvo3_kind kinds[] = { NVO3_REGISTER,	  NVO3_REGISTER, NVO3_WITHDRAW,
						NVO3_MOVE_INTENT, NVO3_COMMIT,	 NVO3_ABORT };
	enum nvo3_kind kind = kinds[draw(life, ARRAY_SIZE(kinds))];
	struct mac mac = { { 2, 0, 0, 0, 0, (uint8_t) draw(life, MACS) } };
	struct mapping mapping = mapping_of(mac, draw(life, 3));
	struct nvo3_message message = { .kind = kind,
					.id = ++life->world->last_id,
					.vni = VNI + draw(life, VNIS),
					.mac = mac,
					.mappings = &mapping,
					.mapping_count = 1 };

	mapping.vni = message.vni;
	mapping.ip_count = (uint8_t) draw(life, 3);
	mapping.ips[0].octet[3] = (uint8_t) draw(life, 200);
	send_from(life->world, life->ids[i], &message);
}

static void answer_questions(struct life *life)
{
	struct world *world = life->world;

	deliver(world);
	for (struct delivery *delivery = world->deliveries; delivery; delivery = delivery->next) {
		const struct nvo3_message *asked = &delivery->output->message;
		const struct nvo3_message yes = { .kind = NVO3_CONSENTED,
						  .id = asked->id,
						  .vni = asked->vni,
						  .mac = asked->mac,
						  .granted = draw(life, 4) > 0 };

		for (unsigned i = 0; asked->kind == NVO3_CONSENT && i < NVES; i++)
			if (life->connected[i] && life->ids[i] == delivery->to)
				send_from(world, delivery->to, &yes);
	}
	forget(world);
}

static void live(struct life *life)
{
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = draw(life, NVES), what = draw(life, 20);

		if (what == 0)
			pass(life->world, SECONDS(draw(life, 80)));
		else if (what < 3)
			live_session(life, i);
		else if (life->connected[i])
			live_message(life, i);
		if (what == 7)
			answer_questions(life);
	}
	deliver(life->world);
	forget(life->world);
}

static void a_journal_makes_the_same_directory(void)
{
	size_t mappings = 0, tombstones = 0;

	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		WORLD(world);
		WORLD(again);
		struct life life = { .world = world, .seed = seed };
		struct journal journal = { 0 };
		struct directory_counts counts;

		begin(world, &journal);
		live(&life);
		again->now_us = world->now_us;
		restore(again, &journal);
		begin(again, &journal);
		expect_same(world, again);
		directory_count(world->directory, &counts);
		mappings += counts.mappings;
		tombstones += counts.tombstones;
		free(journal.changes);
	}
	CU_ASSERT_TRUE(mappings > ROUNDS);
	CU_ASSERT_TRUE(tombstones > ROUNDS);
}

/* --- all at once --- */

static void dump(const struct world *world, struct journal *journal)
{
	directory_dump(world->directory, world->now_us, NOW_S, note, journal);
}

static void a_dump_makes_the_same_directory(void)
{
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		WORLD(world);
		WORLD(again);
		struct life life = { .world = world, .seed = seed };
		struct journal journal = { 0 };

		live(&life);
		dump(world, &journal);
		again->now_us = world->now_us;
		restore(again, &journal);
		expect_same(world, again);
		free(journal.changes);
	}
}

static int merge_result(struct world *world, const struct world *from, size_t *ret_taken,
			size_t *ret_kept, const char **ret_what)
{
	return directory_merge(world->directory, world->now_us, from->directory, ret_taken,
			       ret_kept, ret_what);
}

static void generations_of(const struct world *world, uint64_t *generations)
{
	for (uint32_t i = 0; i < VNIS * MACS; i++) {
		struct mac mac = { { 2, 0, 0, 0, 0, (uint8_t) (i % MACS) } };

		generations[i] = directory_generation(world->directory, VNI + i / MACS, mac);
	}
}

/* Into nothing, into the same, and two different lives into each other. */
static void a_merge_keeps_the_higher_generations(void)
{
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		WORLD(world);
		WORLD(other);
		WORLD(again);
		struct life lives[] = { { .world = world, .seed = seed },
					{ .world = other, .seed = seed + ROUNDS } };
		struct directory_counts counts;
		uint64_t before[VNIS * MACS], from[VNIS * MACS], merged[VNIS * MACS];
		size_t taken, kept;
		const char *what;

		live(&lives[0]);
		live(&lives[1]);
		CU_ASSERT_EQUAL_FATAL(merge_result(again, world, &taken, &kept, &what), 0);
		expect_same(world, again);
		directory_count(world->directory, &counts);
		CU_ASSERT_EQUAL(taken, counts.mappings + counts.tombstones);
		CU_ASSERT_EQUAL(kept, 0);
		CU_ASSERT_EQUAL(merge_result(again, world, &taken, &kept, &what), 0);
		CU_ASSERT_EQUAL(taken, 0);
		CU_ASSERT_EQUAL(kept, counts.mappings + counts.tombstones);

		generations_of(other, before);
		generations_of(world, from);
		CU_ASSERT_EQUAL(merge_result(other, world, &taken, &kept, &what), 0);
		generations_of(other, merged);
		/* Lower than in @from only where it is served here, and was withdrawn there. */
		for (size_t i = 0; i < VNIS * MACS; i++)
			CU_ASSERT_TRUE(merged[i] >= before[i] &&
				       (merged[i] == before[i] || merged[i] == from[i]));
		deliver(other);
		CU_ASSERT_EQUAL(merge_result(other, world, &taken, &kept, &what), 0);
		CU_ASSERT_EQUAL(taken, 0);
	}
}

/* What was imported is a lease's time to be confirmed by its NVE. */
static void what_is_merged_must_be_confirmed(void)
{
	struct change nve = { .kind = CHANGE_NVE,
			      .name = "hv1",
			      .vtep = { AF_INET, { 192, 0, 2, 1 } } };
	struct change member = { .kind = CHANGE_MEMBER, .name = "hv1", .mapping.vni = VNI };
	struct change mapping = { .kind = CHANGE_MAPPING, .name = "hv1" };
	struct journal journal = { .changes = (struct change[3]){ nve, member }, .count = 3 };
	struct directory_counts counts;
	size_t taken, kept;
	const char *what;
	uint32_t id;
	WORLD(world);
	WORLD(from);

	mapping.mapping = mapping_of(mac1, MAPPING_VM);
	mapping.mapping.generation = 5;
	journal.changes[2] = mapping;
	restore(from, &journal);
	id = join(world, "hv1", vteps[0]);
	pass(world, SECONDS(WORLD_LEASE_S + 1)); /* its session has settled */
	CU_ASSERT_EQUAL_FATAL(merge_result(world, from, &taken, &kept, &what), 0);
	CU_ASSERT_EQUAL(taken, 1);
	CU_ASSERT_EQUAL(take(world, id, NVO3_UPDATE)->mappings[0].generation, 5);
	forget(world);
	pass(world, SECONDS(WORLD_LEASE_S - 1));
	directory_count(world->directory, &counts);
	CU_ASSERT_EQUAL(counts.mappings, 1);
	pass(world, SECONDS(2));
	directory_count(world->directory, &counts);
	CU_ASSERT_EQUAL(counts.mappings, 0);
	CU_ASSERT_EQUAL(directory_generation(world->directory, VNI, mac1), 5);
}

/* --- single facts --- */

static void who_it_is_is_told_once(void)
{
	struct journal journal = { 0 };
	WORLD(world);
	WORLD(again);
	uint32_t nve;

	begin(world, &journal);
	CU_ASSERT_EQUAL_FATAL(journal.count, 1);
	CU_ASSERT_EQUAL(journal.changes[0].kind, CHANGE_IDENTITY);
	CU_ASSERT_EQUAL(journal.changes[0].incarnation, 7);
	journal.changes[0].incarnation = 99;
	restore(again, &journal);
	begin(again, &journal);
	CU_ASSERT_EQUAL(journal.count, 1);
	nve = connect_as(again, "hv1", vteps[0], 1);
	CU_ASSERT_EQUAL(take(again, nve, NVO3_WELCOME)->incarnation, 99);
	free(journal.changes);
}

/* The same session, the same registration: there is nothing to keep. */
static void what_changes_nothing_is_not_journalled(void)
{
	struct journal journal = { 0 };
	WORLD(world);
	uint32_t nve;

	begin(world, &journal);
	nve = join(world, "hv1", vteps[0]);
	own(world, nve, mac1, MAPPING_VM);
	CU_ASSERT_EQUAL(journal.count, 4); /* identity, NVE, member, mapping */
	disconnect(world, nve);
	nve = join(world, "hv1", vteps[0]);
	own(world, nve, mac1, MAPPING_VM);
	CU_ASSERT_EQUAL(journal.count, 4);
	nve = connect_as(world, "hv1", vteps[0], 2); /* it has started anew */
	subscribe(world, nve, VNI);
	own(world, nve, mac1, MAPPING_VM);
	CU_ASSERT_EQUAL(journal.count, 6); /* NVE, mapping */
	free(journal.changes);
}

static void what_does_not_fit_is_refused(void)
{
	static const struct change nve = { .kind = CHANGE_NVE,
					   .name = "hv1",
					   .incarnation = 1,
					   .vtep = { AF_INET, { 192, 0, 2, 1 } } };
	struct change another = nve, mapping = { .kind = CHANGE_MAPPING, .name = "hv1" };
	const struct change member = { .kind = CHANGE_MEMBER, .name = "hv9", .mapping.vni = VNI };
	const char *what;
	WORLD(world);

	mapping.mapping = mapping_of(mac1, MAPPING_VM);
	mapping.mapping.generation = 1;
	CU_ASSERT_EQUAL(restore_result(world, &mapping, &what), -EINVAL);
	CU_ASSERT_EQUAL(restore_result(world, &nve, &what), 0);
	CU_ASSERT_EQUAL(restore_result(world, &mapping, &what), -EINVAL);
	CU_ASSERT_STRING_EQUAL(what, "a mapping is of an NVE that does not take part in its VNI");
	CU_ASSERT_EQUAL(restore_result(world, &member, &what), -EINVAL);
	another.name[2] = '2';
	CU_ASSERT_EQUAL(restore_result(world, &another, &what), -EINVAL);
	CU_ASSERT_STRING_EQUAL(what, "two NVEs have one name or one VTEP");
	another = nve;
	another.vtep.octet[3] = 2;
	CU_ASSERT_EQUAL(restore_result(world, &another, &what), -EINVAL);
}

static void a_withdrawal_ages_while_the_nva_is_down(void)
{
	struct change removed = { .kind = CHANGE_REMOVED };
	struct directory_counts counts;
	const char *what;
	WORLD(world);

	removed.mapping = mapping_of(mac1, 0);
	removed.mapping.generation = 5;
	removed.removed_s = NOW_S - DIRECTORY_TOMBSTONE_AGE_S;
	CU_ASSERT_EQUAL(restore_result(world, &removed, &what), 0);
	directory_count(world->directory, &counts);
	CU_ASSERT_EQUAL(counts.tombstones, 0);
	removed.removed_s++;
	CU_ASSERT_EQUAL(restore_result(world, &removed, &what), 0);
	directory_count(world->directory, &counts);
	CU_ASSERT_EQUAL(counts.tombstones, 1);
	pass(world, SECONDS(1));
	directory_count(world->directory, &counts);
	CU_ASSERT_EQUAL(counts.tombstones, 0);
}

/* --- what a restart forgets --- */

static void ask_converged(struct world *world, uint32_t nve, uint64_t generation)
{
	const struct nvo3_message question = {
		.kind = NVO3_CONVERGED, .vni = VNI, .mac = mac1, .generation = generation
	};

	send_from(world, nve, &question);
}

static uint32_t back(struct world *world, const char *name, const char *vtep)
{
	uint32_t nve = connect_as(world, name, vtep, 1);

	subscribe(world, nve, VNI);
	deliver(world);
	forget(world);
	return nve;
}

/*
 * hv1's VM has moved to hv2 when the NVA was killed: hv3 has not confirmed, perhaps not even heard.
 */
static void a_move_converges_after_a_restart(void)
{
	WORLD(before);
	WORLD(world);
	struct journal journal = { 0 };
	uint32_t hv1, hv2, hv3;

	begin(before, &journal);
	hv1 = join(before, "hv1", vteps[0]);
	hv2 = join(before, "hv2", vteps[1]);
	(void) join(before, "hv3", vteps[2]);
	(void) join(before, "gone", vteps[3]);
	own(before, hv1, mac1, MAPPING_VM);
	send_mapping(before, hv2, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(before, hv1, take(before, hv1, NVO3_CONSENT)->id, true);
	send_endpoint(before, hv2, NVO3_COMMIT, mac1, 2);
	restore(world, &journal);
	CU_ASSERT_EQUAL(directory_begin(world->directory, world->now_us, NULL, NULL), 0);

	hv1 = back(world, "hv1", vteps[0]);
	hv2 = back(world, "hv2", vteps[1]);
	ask_converged(world, hv1, 1); /* it had not heard of generation 2 */
	ask_converged(world, hv1, 1); /* once is enough */
	ask_converged(world, hv2, 2);
	ask_converged(world, hv2, 3); /* which there is not */
	ack(world, hv1);
	ack(world, hv2);
	CU_ASSERT_TRUE(is_quiet(world)); /* hv3 and gone are in their leases */
	hv3 = back(world, "hv3", vteps[2]);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, hv3);
	CU_ASSERT_TRUE(is_quiet(world));
	pass(world, SECONDS(WORLD_LEASE_S)); /* the last one's end */
	deliver(world);
	for (const struct delivery *next = world->deliveries; next; next = next->next)
		if (next->output->message.kind == NVO3_CONVERGED) {
			CU_ASSERT_EQUAL(next->output->message.generation, 2);
			CU_ASSERT_TRUE(next->to == hv1 || next->to == hv2);
		}
	CU_ASSERT_EQUAL(counter(world, "converged"), 2);
	free(journal.changes);
}

/* Only the session was lost, and the word with it. */
static void who_missed_the_word_is_told_at_once(void)
{
	WORLD(world);
	uint32_t hv1 = join(world, "hv1", vteps[0]), hv2 = join(world, "hv2", vteps[1]);

	own(world, hv1, mac1, MAPPING_VM);
	ack(world, hv1);
	ack(world, hv2);
	ask_converged(world, hv2, 1);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_CONVERGED)->generation, 1);
	ask_converged(world, hv2, 2);
	CU_ASSERT_TRUE(is_quiet(world));
}

UNIT_MAIN("directory_journal", UNIT_TEST(a_journal_makes_the_same_directory),
	  UNIT_TEST(a_move_converges_after_a_restart),
	  UNIT_TEST(who_missed_the_word_is_told_at_once),
	  UNIT_TEST(a_dump_makes_the_same_directory),
	  UNIT_TEST(a_merge_keeps_the_higher_generations),
	  UNIT_TEST(what_is_merged_must_be_confirmed), UNIT_TEST(who_it_is_is_told_once),
	  UNIT_TEST(what_changes_nothing_is_not_journalled),
	  UNIT_TEST(what_does_not_fit_is_refused),
	  UNIT_TEST(a_withdrawal_ages_while_the_nva_is_down))
