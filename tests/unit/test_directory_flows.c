// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_directory_flows.c - who may send a VM's connection tracking entries to whom, and how much.
 */
#include "tests/unit/directory_world.h"

/* @old serves mac1, and @new was granted it at generation 2. */
struct trio {
	uint32_t old, new, other;
};

static struct trio granted(struct world *world)
{
	struct trio trio = {
		.old = join(world, "hv1", "192.0.2.1"),
		.new = join(world, "hv2", "2001:db8::2"),
		.other = join(world, "hv3", "192.0.2.3"),
	};

	own(world, trio.old, mac1, MAPPING_VM);
	send_mapping(world, trio.new, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(world, trio.old, 1, true);
	deliver(world);
	forget(world);
	return trio;
}

static void send_flows(struct world *world, uint32_t nve, const char *text, size_t size)
{
	const struct nvo3_message message = {
		.kind = NVO3_FLOWS,
		.vni = VNI,
		.mac = mac1,
		.flows = (uint8_t *) text,
		.flows_size = size,
	};

	send_from(world, nve, &message);
}

static void expect_flows(struct world *world, uint32_t nve, uint64_t generation, const char *text)
{
	const struct nvo3_message *flows = take(world, nve, NVO3_FLOWS);

	CU_ASSERT_EQUAL(flows->generation, generation);
	CU_ASSERT_EQUAL(flows->vni, VNI);
	CU_ASSERT_EQUAL(mac_cmp(flows->mac, mac1), 0);
	CU_ASSERT_EQUAL_FATAL(flows->flows_size, strlen(text));
	CU_ASSERT_EQUAL(memcmp(flows->flows, text, strlen(text)), 0);
}

static void pass_to_who_was_granted(void)
{
	WORLD(world);
	struct trio trio = granted(world);

	send_flows(world, trio.old, "one", 3);
	send_flows(world, trio.old, "two", 3);
	expect_flows(world, trio.new, 2, "one");
	expect_flows(world, trio.new, 2, "two");
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "flows"), 2);
}

static void pass_after_the_commit_until_it_has_converged(void)
{
	WORLD(world);
	struct trio trio = granted(world);

	send_endpoint(world, trio.new, NVO3_COMMIT, mac1, 2);
	deliver(world);
	forget(world);
	send_flows(world, trio.old, "late", 4);
	expect_flows(world, trio.new, 2, "late");

	ack(world, trio.old); /* the handover */
	ack(world, trio.old);
	ack(world, trio.new);
	ack(world, trio.other);
	deliver(world);
	forget(world);
	CU_ASSERT_EQUAL(counter(world, "converged"), 1);
	send_flows(world, trio.old, "too late", 8);
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "flows_dropped"), 1);
}

static void nobody_else_may_send_them(void)
{
	WORLD(world);
	struct trio trio = granted(world);

	send_flows(world, trio.other, "x", 1);
	send_flows(world, trio.new, "x", 1);
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "flows_dropped"), 2);
}

static void without_a_grant_they_go_nowhere(void)
{
	WORLD(world);
	uint32_t old = join(world, "hv1", "192.0.2.1"), new = join(world, "hv2", "2001:db8::2");

	send_flows(world, old, "x", 1); /* of a VNI without moves */
	own(world, old, mac1, MAPPING_VM);
	send_flows(world, old, "x", 1);
	send_mapping(world, new, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	deliver(world);
	forget(world);
	send_flows(world, old, "x", 1); /* asked, not granted */
	answer_consent(world, old, 1, true);
	send_endpoint(world, old, NVO3_ABORT, mac1, 0);
	deliver(world);
	forget(world);
	send_flows(world, old, "x", 1);
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "flows_dropped"), 4);
}

static void caps_what_a_move_may_send(void)
{
	WORLD(world);
	struct trio trio = granted(world);
	_cleanup_free_ char *much = calloc(1, NVO3_FLOWS_MAX);

	CU_ASSERT_PTR_NOT_NULL_FATAL(much);
	for (size_t sent = 0; sent < DIRECTORY_MOVE_FLOWS_MAX; sent += NVO3_FLOWS_MAX)
		send_flows(world, trio.old, much, NVO3_FLOWS_MAX);
	deliver(world);
	forget(world);
	CU_ASSERT_EQUAL(counter(world, "flows_dropped"), 0);
	send_flows(world, trio.old, "x", 1);
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "flows_dropped"), 1);
}

UNIT_MAIN("directory_flows", UNIT_TEST(pass_to_who_was_granted),
	  UNIT_TEST(pass_after_the_commit_until_it_has_converged),
	  UNIT_TEST(nobody_else_may_send_them), UNIT_TEST(without_a_grant_they_go_nowhere),
	  UNIT_TEST(caps_what_a_move_may_send))
