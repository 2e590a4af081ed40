// SPDX-License-Identifier: LGPL-2.1-or-later
/* test_directory_reassign.c - an operator gives mappings to another NVE. */
#include "tests/unit/directory_world.h"

static const struct mac mac2 = { { 0x52, 0x54, 0x00, 0x00, 0x00, 0x02 } };

static struct directory_reassignment by_mac(const char *to)
{
	struct directory_reassignment what = { .vni = VNI, .mac = mac1 };

	(void) snprintf(what.to, sizeof(what.to), "%s", to);
	return what;
}

/* The result; *ret_first and *ret_count if it is 0. */
static int reassign(struct world *world, const struct directory_reassignment *what,
		    struct directory_reassigned *ret_first, size_t *ret_count, char *reterr_text)
{
	_cleanup_free_ struct directory_reassigned *list = NULL;
	int r = directory_reassign(world->directory, world->now_us, what, &list, ret_count,
				   reterr_text);

	if (r == 0)
		*ret_first = list[0];
	return r;
}

static void expect_done(struct world *world, struct directory_reassignment what, size_t count,
			uint64_t generation, bool changed)
{
	char text[NVO3_TEXT_MAX + 1] = "";
	struct directory_reassigned first = { 0 };
	size_t got = 0;

	CU_ASSERT_EQUAL_FATAL(reassign(world, &what, &first, &got, text), 0);
	CU_ASSERT_EQUAL(got, count);
	CU_ASSERT_EQUAL(first.generation, generation);
	CU_ASSERT_EQUAL(first.changed, changed);
}

static void expect_refused(struct world *world, struct directory_reassignment what, int error,
			   const char *says)
{
	char text[NVO3_TEXT_MAX + 1] = "";
	struct directory_reassigned first;
	size_t count;

	CU_ASSERT_EQUAL(reassign(world, &what, &first, &count, text), error);
	CU_ASSERT_STRING_EQUAL(text, says);
	CU_ASSERT_EQUAL(counter(world, "reassigned"), 0);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void a_mac_goes_over_as_if_it_had_moved(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join(world, "hv3", "192.0.2.3");
	char text[DIRECTORY_NOTICE_SIZE] = "";
	const struct nvo3_message *got;

	own(world, a, mac1, MAPPING_VM);
	expect_done(world, by_mac("hv2"), 1, 2, true);
	CU_ASSERT_TRUE(directory_next_notice(world->directory, text));
	CU_ASSERT_STRING_EQUAL(text,
			       "An operator gives 52:54:00:00:00:01 in VNI 100, which NVE hv1 "
			       "served, to NVE hv2: generation 2");
	got = take(world, a, NVO3_UPDATE); /* the old NVE first */
	CU_ASSERT_EQUAL(got->mappings[0].generation, 2);
	CU_ASSERT_EQUAL(got->mappings[0].ip_count, 2); /* what is known of it stays */
	CU_ASSERT_EQUAL(uuid_cmp(got->mappings[0].vm, vm1), 0);
	CU_ASSERT_TRUE(is_quiet(world));
	ack(world, a);
	(void) take(world, a, NVO3_UPDATE);
	(void) take(world, b, NVO3_UPDATE);
	(void) take(world, c, NVO3_UPDATE);
	ack(world, a);
	ack(world, b);
	ack(world, c);
	(void) take(world, a, NVO3_CONVERGED);
	(void) take(world, b, NVO3_CONVERGED);

	expect_done(world, by_mac("hv2"), 1, 2, false); /* once more */
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "reassigned"), 1);
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_FALSE(take(world, a, NVO3_REGISTERED)->granted);
}

static void nonsense_is_refused(void)
{
	const struct directory_limits limits = { .nve_mappings = 1 };
	_cleanup_(world_freep) struct world *world = world_with(limits);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	struct directory_reassignment what = by_mac("hv9");
	uint32_t away = connect_as(world, "away", "192.0.2.8", 1);

	(void) connect_as(world, "elsewhere", "192.0.2.9", 1);
	disconnect(world, away);
	own(world, a, mac1, MAPPING_VM);
	expect_refused(world, what, -ENOENT, "there is no NVE hv9");
	expect_refused(world, by_mac("away"), -ENOTCONN,
		       "NVE away has no session: it serves nobody now");
	expect_refused(world, by_mac("elsewhere"), -EADDRNOTAVAIL,
		       "NVE elsewhere takes no part in VNI 100 now");
	what = by_mac("hv2");
	what.mac = mac2;
	expect_refused(world, what, -ENOENT, "nobody serves this MAC in this VNI");
	what.vm = vm1;
	expect_refused(world, what, -EINVAL, "name a MAC and its VNI, or a VM; not both");
	what = by_mac("hv2");
	what.vni = 0;
	expect_refused(world, what, -EINVAL, "name a MAC and its VNI, or a VM; not both");
	what.mac = (struct mac){ { 0 } };
	what.vm = (struct uuid){ { 9 } };
	expect_refused(world, what, -ENOENT, "nobody serves this VM");
	own(world, b, mac2, MAPPING_LEARNED);
	expect_refused(world, by_mac("hv2"), -ENOSPC,
		       "the NVA has no room for more than 1 mappings of one NVE");
}

static void a_vm_goes_with_all_that_it_has_or_stays(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	struct directory_reassignment what = by_mac("hv2");
	struct mapping elsewhere = mapping_of(mac2, MAPPING_VM);

	subscribe(world, a, VNI + 1);
	elsewhere.vni = VNI + 1;
	own(world, a, mac1, MAPPING_VM);
	send_mapping(world, a, NVO3_REGISTER, elsewhere);
	deliver(world);
	forget(world);
	what.mac = (struct mac){ { 0 } };
	what.vni = 0;
	what.vm = vm1;
	expect_refused(world, what, -EADDRNOTAVAIL, "NVE hv2 takes no part in VNI 101 now");
	subscribe(world, b, VNI + 1);
	deliver(world);
	forget(world);
	what.dry = true;
	expect_done(world, what, 2, 1, false);
	CU_ASSERT_TRUE(is_quiet(world));
	what.dry = false;
	expect_done(world, what, 2, 2, true);
	CU_ASSERT_EQUAL(counter(world, "reassigned"), 2);
	what.vni = VNI + 1;
	expect_done(world, what, 1, 2, false);
}

/* Who had been granted it by the one before must ask the new one. */
static void it_ends_what_was_granted(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	uint32_t c = join(world, "hv3", "192.0.2.3");

	own(world, a, mac1, MAPPING_VM);
	send_mapping(world, c, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	answer_consent(world, a, take(world, a, NVO3_CONSENT)->id, true);
	CU_ASSERT_TRUE(take(world, c, NVO3_MOVE_GRANTED)->granted);
	expect_done(world, by_mac("hv2"), 1, 2, true);
	(void) take(world, b, NVO3_CONSENT);
	send_endpoint(world, c, NVO3_COMMIT, mac1, 2);
	deliver(world);
	for (const struct delivery *next = world->deliveries; next; next = next->next)
		CU_ASSERT_NOT_EQUAL(next->output->message.kind, NVO3_COMMITTED);
	forget(world);
}

UNIT_MAIN("directory_reassign", UNIT_TEST(a_mac_goes_over_as_if_it_had_moved),
	  UNIT_TEST(nonsense_is_refused), UNIT_TEST(a_vm_goes_with_all_that_it_has_or_stays),
	  UNIT_TEST(it_ends_what_was_granted))
