// SPDX-License-Identifier: LGPL-2.1-or-later
/* test_directory_lease.c - NVEs that are away: leased, stale, withdrawn, and back. */
#include "tests/unit/directory_world.h"

enum { WITHDRAW_S = 600 };

static const struct uuid vm2 = { { 2 } };

static struct world *stale_world(uint64_t withdraw_us)
{
	const struct directory_limits limits = { 0 };

	return world_make(limits, withdraw_us);
}

/* hv1 has served mac1, and has been away for just longer than its lease; hv2 and hv3 know. */
static void leave(struct world *world, uint32_t *ret_hv1, uint32_t *ret_hv2)
{
	*ret_hv1 = join(world, "hv1", "192.0.2.1");
	*ret_hv2 = join(world, "hv2", "2001:db8::2");
	own(world, *ret_hv1, mac1, MAPPING_VM);
	ack(world, *ret_hv2);
	disconnect(world, *ret_hv1);
	deliver(world);
	forget(world);
	pass(world, SECONDS(WORLD_LEASE_S));
}

static void expect_notice(struct world *world, const char *wanted)
{
	char text[DIRECTORY_NOTICE_SIZE] = "";

	CU_ASSERT_TRUE(directory_next_notice(world->directory, text));
	CU_ASSERT_STRING_EQUAL(text, wanted);
	CU_ASSERT_FALSE(directory_next_notice(world->directory, text));
}

static void what_is_stale_stays_known(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(SECONDS(WITHDRAW_S));
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .mac = mac1 };
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	CU_ASSERT_TRUE(is_quiet(world));
	expect_notice(world, "The lease of NVE hv1 (192.0.2.1) has ended: its 1 mappings stay, but "
			     "whoever serves one of them now gets it");
	send_from(world, hv2, &query);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_ANSWER)->mapping_count, 1);

	pass(world, SECONDS(WITHDRAW_S) - 1);
	CU_ASSERT_TRUE(is_quiet(world));
	pass(world, 1);
	expect_notice(world, "NVE hv1 (192.0.2.1) has not come back: withdrawing its 1 mappings");
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_MEMBERS)->member_count, 1);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_UPDATE)->removed_count, 1);
	CU_ASSERT_EQUAL(counter(world, "expired"), 1);
}

static void never_is_never(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(DIRECTORY_WITHDRAW_NEVER);
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	pass(world, SECONDS(UINT64_C(10) * 365 * 86400));
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "expired"), 0);
}

static void who_serves_it_now_gets_it(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(SECONDS(WITHDRAW_S));
	const struct nvo3_message *got;
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	send_mapping(world, hv2, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	got = take(world, hv2, NVO3_REGISTERED);
	CU_ASSERT_TRUE(got->granted);
	CU_ASSERT_EQUAL(got->generation, 2);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_UPDATE)->mappings[0].generation, 2);

	/* It comes back, and learns that it has lost it. */
	hv1 = connect_as(world, "hv1", "192.0.2.1", 1);
	subscribe(world, hv1, VNI);
	(void) take(world, hv1, NVO3_WELCOME);
	(void) take(world, hv1, NVO3_MEMBERS);
	got = take(world, hv1, NVO3_UPDATE);
	CU_ASSERT_EQUAL(got->mappings[0].generation, 2);
	CU_ASSERT_EQUAL(ip_cmp(got->mappings[0].vtep, ip_of("2001:db8::2")), 0);
	send_mapping(world, hv1, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_FALSE(take(world, hv1, NVO3_REGISTERED)->granted);
}

static void what_nobody_claimed_is_there_when_it_is_back(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(SECONDS(WITHDRAW_S));
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	pass(world, SECONDS(WITHDRAW_S) - 1);
	hv1 = connect_as(world, "hv1", "192.0.2.1", 1);
	subscribe(world, hv1, VNI);
	(void) take(world, hv1, NVO3_WELCOME);
	(void) take(world, hv1, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(take(world, hv1, NVO3_UPDATE)->mapping_count, 1);
	pass(world, SECONDS(WITHDRAW_S));
	CU_ASSERT_TRUE(is_quiet(world)); /* nobody else was told anything */
	send_mapping(world, hv2, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_FALSE(take(world, hv2, NVO3_REGISTERED)->granted);
}

static void a_move_need_not_wait_for_it(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(SECONDS(WITHDRAW_S));
	struct mapping other_vm = mapping_of(mac1, MAPPING_VM);
	const struct nvo3_message *got;
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	other_vm.vm = vm2; /* the MAC was given to another VM meanwhile */
	send_mapping(world, hv2, NVO3_MOVE_INTENT, other_vm);
	got = take(world, hv2, NVO3_MOVE_GRANTED);
	CU_ASSERT_TRUE(got->granted);
	CU_ASSERT_EQUAL(got->generation, 2);
	send_endpoint(world, hv2, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_TRUE(take(world, hv2, NVO3_COMMITTED)->granted);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_UPDATE)->mappings[0].generation, 2);
	ack(world, hv2);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_CONVERGED)->generation, 2);
}

static void a_move_that_waits_is_granted_when_the_lease_ends(void)
{
	const struct directory_limits limits = { 0 };
	_cleanup_(world_freep) struct world *world = world_make(limits, SECONDS(WITHDRAW_S));
	uint32_t hv1 = join(world, "hv1", "192.0.2.1"), hv2 = join(world, "hv2", "2001:db8::2");

	own(world, hv1, mac1, MAPPING_VM);
	disconnect(world, hv1);
	pass(world, SECONDS(WORLD_LEASE_S - 1));
	send_mapping(world, hv2, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	deliver(world);
	forget(world);
	pass(world, SECONDS(1));
	CU_ASSERT_TRUE(take(world, hv2, NVO3_MOVE_GRANTED)->granted);
}

/*
 * Both say that they have the VM now: the one that was granted it by absence alone must ask after
 * all.
 */
static void who_is_back_in_time_is_asked(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(SECONDS(WITHDRAW_S));
	const struct nvo3_message *got;
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	send_mapping(world, hv2, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_TRUE(take(world, hv2, NVO3_MOVE_GRANTED)->granted);
	hv1 = connect_as(world, "hv1", "192.0.2.1", 1);
	(void) take(world, hv1, NVO3_WELCOME);
	got = take(world, hv1, NVO3_CONSENT);
	send_endpoint(world, hv2, NVO3_COMMIT, mac1, 2);
	deliver(world);
	for (const struct delivery *next = world->deliveries; next; next = next->next)
		CU_ASSERT_NOT_EQUAL(next->output->message.kind, NVO3_COMMITTED);
	answer_consent(world, hv1, got->id, true);
	CU_ASSERT_TRUE(take(world, hv2, NVO3_MOVE_GRANTED)->granted);
	CU_ASSERT_TRUE(take(world, hv2, NVO3_COMMITTED)->granted);
}

static void a_stale_name_or_vtep_is_free(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(DIRECTORY_WITHDRAW_NEVER);
	uint32_t hv1, hv2;

	leave(world, &hv1, &hv2);
	(void) connect_as(world, "renamed", "192.0.2.1", 1); /* asserts that it is let in */
	(void) take(world, hv2, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(take(world, hv2, NVO3_UPDATE)->removed_count, 1);
}

/* Where every number is taken, the longest absence makes room. */
static void stale_ones_make_room(void)
{
	_cleanup_(world_freep) struct world *world = stale_world(DIRECTORY_WITHDRAW_NEVER);
	char name[16], vtep[32];
	uint32_t nve = 0;

	for (unsigned i = 0; i < DIRECTORY_NVES_MAX; i++) {
		(void) snprintf(name, sizeof(name), "hv%u", i);
		(void) snprintf(vtep, sizeof(vtep), "10.1.%u.%u", i / 250, i % 250 + 1);
		nve = connect_as(world, name, vtep, 1);
		if (i < 2) {
			disconnect(world, nve);
			pass(world, SECONDS(1));
		}
	}
	pass(world, SECONDS(WORLD_LEASE_S));
	CU_ASSERT_EQUAL(connect_as(world, "one-more", "2001:db8::1", 1), 0); /* hv0's */
	CU_ASSERT_EQUAL(connect_as(world, "and-another", "2001:db8::2", 1), 1);
	deliver(world);
	forget(world);
}

UNIT_MAIN("directory_lease", UNIT_TEST(what_is_stale_stays_known), UNIT_TEST(never_is_never),
	  UNIT_TEST(who_serves_it_now_gets_it),
	  UNIT_TEST(what_nobody_claimed_is_there_when_it_is_back),
	  UNIT_TEST(a_move_need_not_wait_for_it),
	  UNIT_TEST(a_move_that_waits_is_granted_when_the_lease_ends),
	  UNIT_TEST(who_is_back_in_time_is_asked), UNIT_TEST(a_stale_name_or_vtep_is_free),
	  UNIT_TEST(stale_ones_make_room))
