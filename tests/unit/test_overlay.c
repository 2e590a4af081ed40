/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of forwarding entries, and what turns the actual one into the desired one. */
#include <string.h>

#include "nveagent/overlay.h"
#include "tests/unit/unit.h"

enum { TAP = 3, OTHER_TAP = 4, VXLAN = 7, FORWARD = 8 };

static const struct mac nobody;
static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac other = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

/* Per family: three VTEPs in ascending order. */
static const char *const vteps[][3] = {
	{ "192.0.2.1", "192.0.2.2", "192.0.2.3" },
	{ "2001:db8::1", "2001:db8::2", "2001:db8::3" },
};

static struct ip vtep(size_t family, size_t index)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(vteps[family][index], &ip), 0);
	return ip;
}

static struct fdb_entry behind_port(uint32_t ifindex, struct mac mac)
{
	return (struct fdb_entry) { .layer = FDB_LAYER_BRIDGE, .ifindex = ifindex, .mac = mac, .ours = true };
}

static struct fdb_entry behind_vtep(struct mac mac, struct ip ip)
{
	return (struct fdb_entry) {
		.layer = FDB_LAYER_VXLAN, .ifindex = VXLAN, .mac = mac, .vtep = ip, .ours = true
	};
}

/* As the kernel would show it: what somebody configured, and what the bridge learned. */
static struct fdb_entry configured(struct fdb_entry entry)
{
	entry.ours = false;
	entry.fixed = true;
	return entry;
}

static struct fdb_entry learned(struct fdb_entry entry)
{
	entry.ours = false;
	return entry;
}

static struct fdb_entry sticky(struct fdb_entry entry)
{
	entry.sticky = true;
	return entry;
}

static struct fdb_table *table_of(const struct fdb_entry *entries, size_t count)
{
	struct fdb_table *table = fdb_table_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &entries[i]), 0);
	return table;
}

/* Two tables and their difference; end() gives back all of it. */
struct scene {
	struct fdb_table *desired, *actual;
	struct fdb_change *changes;
	int count;
	size_t conflicts;
};

#define ENTRIES(...)                                                             \
	(const struct fdb_entry[]) { __VA_ARGS__ },                              \
		sizeof((const struct fdb_entry[]) { __VA_ARGS__ }) / sizeof(struct fdb_entry)
#define NOTHING NULL, 0

static struct scene compare(const struct fdb_entry *desired, size_t desired_count,
			    const struct fdb_entry *actual, size_t actual_count)
{
	struct scene scene = {
		.desired = table_of(desired, desired_count),
		.actual = table_of(actual, actual_count),
		.conflicts = 99,
	};

	scene.count = fdb_diff(scene.desired, scene.actual, &scene.changes, &scene.conflicts);
	CU_ASSERT_FATAL(scene.count >= 0);
	return scene;
}

static void end(struct scene *scene)
{
	fdb_table_free(scene->desired);
	fdb_table_free(scene->actual);
	free(scene->changes);
}

static void expect_change(const struct scene *scene, int index, enum fdb_op op, struct fdb_entry entry)
{
	const struct fdb_change *change = &scene->changes[index];

	CU_ASSERT_FATAL(index < scene->count);
	CU_ASSERT_STRING_EQUAL(fdb_op_name(change->op), fdb_op_name(op));
	CU_ASSERT_EQUAL(change->entry.layer, entry.layer);
	CU_ASSERT_EQUAL(change->entry.ifindex, entry.ifindex);
	CU_ASSERT_EQUAL(mac_cmp(change->entry.mac, entry.mac), 0);
	CU_ASSERT_EQUAL(ip_cmp(change->entry.vtep, entry.vtep), 0);
	CU_ASSERT_EQUAL(change->entry.port, entry.port);
	CU_ASSERT_EQUAL(change->entry.vni, entry.vni);
	CU_ASSERT_EQUAL(change->entry.sticky, entry.sticky);
}

/* The one and only change of the two tables that @scene compares; no conflict. */
static void expect_only(struct scene scene, enum fdb_op op, struct fdb_entry entry)
{
	CU_ASSERT_EQUAL(scene.count, 1);
	CU_ASSERT_EQUAL(scene.conflicts, 0);
	expect_change(&scene, 0, op, entry);
	end(&scene);
}

static void expect_none(struct scene scene, size_t conflicts)
{
	CU_ASSERT_EQUAL(scene.count, 0);
	CU_ASSERT_EQUAL(scene.conflicts, conflicts);
	end(&scene);
}

/* --- the table --- */

static void an_empty_table_has_nothing(void)
{
	_cleanup_(fdb_table_freep) struct fdb_table *table = table_of(NOTHING);

	CU_ASSERT_EQUAL(fdb_table_count(table), 0);
	CU_ASSERT_PTR_NULL(fdb_table_find(table, FDB_LAYER_BRIDGE, TAP, vm));
	CU_ASSERT_PTR_NULL(fdb_table_find(table, FDB_LAYER_VXLAN, VXLAN, nobody));
	CU_ASSERT_PTR_NULL(fdb_table_free(NULL));
}

/* In the bridge layer a MAC is behind one port, whichever. */
static void a_mac_is_behind_one_port(void)
{
	_cleanup_(fdb_table_freep) struct fdb_table *table =
		table_of(ENTRIES(behind_port(TAP, vm), behind_port(OTHER_TAP, vm), behind_port(TAP, other)));
	const struct fdb_entry *found = fdb_table_find(table, FDB_LAYER_BRIDGE, 0, vm);

	CU_ASSERT_EQUAL(fdb_table_count(table), 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	CU_ASSERT_EQUAL(found->ifindex, OTHER_TAP);
	CU_ASSERT_PTR_NULL(fdb_table_find(table, FDB_LAYER_VXLAN, TAP, vm));
}

/* In the VXLAN layer a MAC is behind one VTEP per device: the forward device may name another. */
static void a_mac_is_behind_one_vtep_of_a_device(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry forward = behind_vtep(vm, vtep(family, 2));
		_cleanup_(fdb_table_freep) struct fdb_table *table = NULL;
		const struct fdb_entry *found;

		forward.ifindex = FORWARD;
		table = table_of(ENTRIES(behind_vtep(vm, vtep(family, 0)), forward, behind_vtep(vm, vtep(family, 1))));
		CU_ASSERT_EQUAL(fdb_table_count(table), 2);
		found = fdb_table_find(table, FDB_LAYER_VXLAN, VXLAN, vm);
		CU_ASSERT_PTR_NOT_NULL_FATAL(found);
		CU_ASSERT_EQUAL(ip_cmp(found->vtep, vtep(family, 1)), 0);
		found = fdb_table_find(table, FDB_LAYER_VXLAN, FORWARD, vm);
		CU_ASSERT_PTR_NOT_NULL_FATAL(found);
		CU_ASSERT_EQUAL(ip_cmp(found->vtep, vtep(family, 2)), 0);
	}
}

static void the_zero_mac_has_a_list(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry again = behind_vtep(nobody, vtep(family, 1));
		_cleanup_(fdb_table_freep) struct fdb_table *table = NULL;
		const struct fdb_entry *entries, *found;

		again.port = 8472;
		table = table_of(ENTRIES(behind_vtep(nobody, vtep(family, 2)), behind_vtep(nobody, vtep(family, 1)),
					 behind_vtep(nobody, vtep(family, 0)), again));
		CU_ASSERT_EQUAL_FATAL(fdb_table_count(table), 3);
		entries = fdb_table_entries(table);
		for (size_t i = 0; i < 3; i++)
			CU_ASSERT_EQUAL(ip_cmp(entries[i].vtep, vtep(family, i)), 0);
		CU_ASSERT_EQUAL(entries[1].port, 8472);

		found = fdb_table_find(table, FDB_LAYER_VXLAN, VXLAN, nobody);
		CU_ASSERT_PTR_NOT_NULL_FATAL(found);
		CU_ASSERT_EQUAL(ip_cmp(found->vtep, vtep(family, 0)), 0);
		CU_ASSERT_PTR_NULL(fdb_table_find(table, FDB_LAYER_VXLAN, FORWARD, nobody));
	}
}

/* 0 to MANY-1 in a scattered order: MANY is prime, hence each once. */
enum { MANY = 1009, STRIDE = 386 };

static struct mac numbered(uint32_t number)
{
	return (struct mac) { { 0x02, 0, 0, (uint8_t) (number >> 16), (uint8_t) (number >> 8), (uint8_t) number } };
}

static void expect_each_once_in_order(const struct fdb_table *table)
{
	const struct fdb_entry *entries = fdb_table_entries(table);

	CU_ASSERT_EQUAL_FATAL(fdb_table_count(table), MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(mac_cmp(entries[i].mac, numbered(i)), 0);
		CU_ASSERT_PTR_EQUAL(fdb_table_find(table, FDB_LAYER_BRIDGE, TAP, numbered(i)), &entries[i]);
	}
	CU_ASSERT_PTR_NULL(fdb_table_find(table, FDB_LAYER_BRIDGE, TAP, numbered(MANY)));
}

/* Each put twice, and read in between: what was put last counts. */
static void stays_sorted_whatever_comes(void)
{
	_cleanup_(fdb_table_freep) struct fdb_table *table = table_of(NOTHING);

	for (uint32_t i = 0; i < 2 * MANY; i++) {
		struct fdb_entry entry = behind_port(i, numbered(i % MANY * STRIDE % MANY));

		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &entry), 0);
		if (i % 97 == 0)
			CU_ASSERT_EQUAL(fdb_table_count(table), i < MANY ? i + 1 : MANY);
	}
	expect_each_once_in_order(table);
	for (uint32_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(fdb_table_find(table, FDB_LAYER_BRIDGE, 0, numbered(i * STRIDE % MANY))->ifindex, MANY + i);

	fdb_table_clear(table);
	CU_ASSERT_EQUAL(fdb_table_count(table), 0);
	for (uint32_t i = MANY; i-- > 0;) {
		struct fdb_entry entry = behind_port(TAP, numbered(i));

		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &entry), 0);
	}
	expect_each_once_in_order(table);
}

/* The entry to put may be one of the table that has to grow for it: at some count it is full. */
static void takes_an_entry_of_its_own(void)
{
	_cleanup_(fdb_table_freep) struct fdb_table *table = table_of(NOTHING);

	for (uint32_t i = 0; i < MANY; i++) {
		struct fdb_entry entry = behind_port(TAP, numbered(i));

		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &entry), 0);
		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &fdb_table_entries(table)[i / 2]), 0);
		CU_ASSERT_EQUAL(fdb_table_count(table), i + 1);
	}
	expect_each_once_in_order(table);
}

/* --- the difference --- */

static void nothing_from_nothing(void)
{
	struct fdb_change *changes = NULL;
	_cleanup_(fdb_table_freep) struct fdb_table *empty = table_of(NOTHING);

	expect_none(compare(NOTHING, NOTHING), 0);
	CU_ASSERT_EQUAL(fdb_diff(empty, empty, &changes, NULL), 0);
	free(changes);
}

static void adds_what_is_missing(void)
{
	expect_only(compare(ENTRIES(behind_port(TAP, vm)), NOTHING), FDB_OP_ADD, behind_port(TAP, vm));
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry unicast = behind_vtep(vm, vtep(family, 0)), listed = behind_vtep(nobody, vtep(family, 0));

		expect_only(compare(ENTRIES(unicast), NOTHING), FDB_OP_ADD, unicast);
		expect_only(compare(ENTRIES(listed), NOTHING), FDB_OP_ADD, listed);
	}
}

static void deletes_what_is_ours_and_not_wanted(void)
{
	expect_only(compare(NOTHING, ENTRIES(sticky(behind_port(TAP, vm)))), FDB_OP_DELETE, sticky(behind_port(TAP, vm)));
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry unicast = behind_vtep(vm, vtep(family, 0)), listed = behind_vtep(nobody, vtep(family, 0));

		expect_only(compare(NOTHING, ENTRIES(unicast)), FDB_OP_DELETE, unicast);
		expect_only(compare(NOTHING, ENTRIES(listed)), FDB_OP_DELETE, listed);
	}
}

/* A MAC that moved, or is pinned or let go, is one replacement. */
static void replaces_what_differs(void)
{
	expect_only(compare(ENTRIES(behind_port(VXLAN, vm)), ENTRIES(behind_port(TAP, vm))), FDB_OP_REPLACE,
		    behind_port(VXLAN, vm));
	expect_only(compare(ENTRIES(sticky(behind_port(TAP, vm))), ENTRIES(behind_port(TAP, vm))), FDB_OP_REPLACE,
		    sticky(behind_port(TAP, vm)));
	expect_only(compare(ENTRIES(behind_port(TAP, vm)), ENTRIES(sticky(behind_port(TAP, vm)))), FDB_OP_REPLACE,
		    behind_port(TAP, vm));

	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry have = behind_vtep(vm, vtep(family, 0)), moved = behind_vtep(vm, vtep(family, 1));
		struct fdb_entry other_port = have, other_vni = have;

		other_port.port = 8472;
		other_vni.vni = 200;
		expect_only(compare(ENTRIES(moved), ENTRIES(have)), FDB_OP_REPLACE, moved);
		expect_only(compare(ENTRIES(moved), ENTRIES(behind_vtep(vm, vtep(1 - family, 0)))), FDB_OP_REPLACE, moved);
		expect_only(compare(ENTRIES(other_port), ENTRIES(have)), FDB_OP_REPLACE, other_port);
		expect_only(compare(ENTRIES(other_vni), ENTRIES(have)), FDB_OP_REPLACE, other_vni);
	}
}

/* The kernel cannot replace an entry of the zero MAC's list. */
static void a_listed_entry_is_added_before_the_old_one_goes(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry have = behind_vtep(nobody, vtep(family, 0)), want = have;
		struct scene scene;

		want.port = 8472;
		scene = compare(ENTRIES(want), ENTRIES(have));
		CU_ASSERT_EQUAL_FATAL(scene.count, 2);
		expect_change(&scene, 0, FDB_OP_ADD, want);
		expect_change(&scene, 1, FDB_OP_DELETE, have);
		end(&scene);
	}
}

static void changes_the_list_one_vtep_at_a_time(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry first = behind_vtep(nobody, vtep(family, 0)), second = behind_vtep(nobody, vtep(family, 1)),
				 third = behind_vtep(nobody, vtep(family, 2));
		struct scene scene = compare(ENTRIES(second, third), ENTRIES(first, second));

		CU_ASSERT_EQUAL_FATAL(scene.count, 2);
		CU_ASSERT_EQUAL(scene.conflicts, 0);
		expect_change(&scene, 0, FDB_OP_ADD, third);
		expect_change(&scene, 1, FDB_OP_DELETE, first);
		end(&scene);
	}
}

/* What is learned or kept by others goes on existing. */
static void leaves_what_is_not_ours(void)
{
	struct fdb_entry device = configured(behind_port(TAP, vm)), marked = behind_port(TAP, vm);

	device.local = marked.local = true;
	expect_none(compare(NOTHING, ENTRIES(configured(behind_port(TAP, vm)), learned(behind_port(TAP, other)))), 0);
	expect_none(compare(NOTHING, ENTRIES(device)), 0);
	expect_none(compare(NOTHING, ENTRIES(marked)), 0);
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++)
		expect_none(compare(NOTHING, ENTRIES(configured(behind_vtep(nobody, vtep(family, 0))),
						     configured(behind_vtep(vm, vtep(family, 0))),
						     learned(behind_vtep(other, vtep(family, 1))))), 0);
}

/* Also in place: the mark has to be put on it, lest it age. */
static void takes_over_what_was_learned(void)
{
	expect_only(compare(ENTRIES(behind_port(VXLAN, vm)), ENTRIES(learned(behind_port(TAP, vm)))), FDB_OP_REPLACE,
		    behind_port(VXLAN, vm));
	expect_only(compare(ENTRIES(behind_port(VXLAN, vm)), ENTRIES(learned(behind_port(VXLAN, vm)))), FDB_OP_REPLACE,
		    behind_port(VXLAN, vm));
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry want = behind_vtep(vm, vtep(family, 0));

		expect_only(compare(ENTRIES(want), ENTRIES(learned(want))), FDB_OP_REPLACE, want);
		expect_only(compare(ENTRIES(want), ENTRIES(learned(behind_vtep(vm, vtep(family, 1))))), FDB_OP_REPLACE, want);
	}
}

static void an_operators_entry_is_a_conflict(void)
{
	struct fdb_entry device = configured(behind_port(TAP, vm));

	device.local = true;
	expect_none(compare(ENTRIES(behind_port(VXLAN, vm)), ENTRIES(configured(behind_port(TAP, vm)))), 1);
	expect_none(compare(ENTRIES(behind_port(VXLAN, vm)), ENTRIES(learned(sticky(behind_port(TAP, vm))))), 1);
	expect_none(compare(ENTRIES(behind_port(VXLAN, vm)), ENTRIES(device)), 1);
	expect_none(compare(ENTRIES(sticky(behind_port(TAP, vm))), ENTRIES(configured(behind_port(TAP, vm)))), 1);
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++)
		expect_none(compare(ENTRIES(behind_vtep(vm, vtep(family, 0)), behind_vtep(other, vtep(family, 0))),
				    ENTRIES(configured(behind_vtep(vm, vtep(family, 1))),
					    configured(behind_vtep(other, vtep(family, 2))))), 2);
}

static void an_operators_entry_that_says_the_same_is_none(void)
{
	expect_none(compare(ENTRIES(behind_port(TAP, vm)), ENTRIES(configured(behind_port(TAP, vm)))), 0);
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++)
		expect_none(compare(ENTRIES(behind_vtep(vm, vtep(family, 0))),
				    ENTRIES(configured(behind_vtep(vm, vtep(family, 0))))), 0);
}

/* The list has one mark: what we added to somebody else's would not be recognisable as ours. */
static void somebody_elses_list_stays_theirs(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry first = behind_vtep(nobody, vtep(family, 0)), second = behind_vtep(nobody, vtep(family, 1)),
				 third = behind_vtep(nobody, vtep(family, 2));

		expect_none(compare(ENTRIES(first, third), ENTRIES(configured(first), configured(second))), 1);
		expect_none(compare(ENTRIES(second, third), ENTRIES(configured(first))), 2);
		/* Unicast entries of the same device are another matter. */
		expect_only(compare(ENTRIES(first, behind_vtep(vm, vtep(family, 1))), ENTRIES(configured(first))),
			    FDB_OP_ADD, behind_vtep(vm, vtep(family, 1)));
	}
}

/* Destinations, then what points at them; deletions last and the other way round. */
static void makes_before_it_breaks(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry old = behind_vtep(numbered(1), vtep(family, 0)), moving = behind_vtep(vm, vtep(family, 0)),
				 moved = behind_vtep(vm, vtep(family, 1)), new = behind_vtep(other, vtep(family, 1));
		struct scene scene =
			compare(ENTRIES(behind_port(VXLAN, vm), behind_port(VXLAN, other), moved, new),
				ENTRIES(behind_port(TAP, vm), behind_port(VXLAN, numbered(1)), moving, old));

		CU_ASSERT_EQUAL_FATAL(scene.count, 6);
		expect_change(&scene, 0, FDB_OP_REPLACE, moved);
		expect_change(&scene, 1, FDB_OP_ADD, new);
		expect_change(&scene, 2, FDB_OP_REPLACE, behind_port(VXLAN, vm));
		expect_change(&scene, 3, FDB_OP_ADD, behind_port(VXLAN, other));
		expect_change(&scene, 4, FDB_OP_DELETE, behind_port(VXLAN, numbered(1)));
		expect_change(&scene, 5, FDB_OP_DELETE, old);
		end(&scene);
	}
}

/* --- run again --- */

static bool same_key(const struct fdb_entry *a, const struct fdb_entry *b)
{
	return a->layer == b->layer && mac_cmp(a->mac, b->mac) == 0 &&
	       (a->layer == FDB_LAYER_BRIDGE || a->ifindex == b->ifindex) &&
	       (!mac_is_zero(a->mac) || (ip_cmp(a->vtep, b->vtep) == 0 && a->port == b->port));
}

/* What the kernel would hold after one more change. */
static struct fdb_table *after(const struct fdb_table *before, const struct fdb_change *change)
{
	struct fdb_table *table = table_of(NOTHING);

	for (size_t i = 0; i < fdb_table_count(before); i++) {
		const struct fdb_entry *entry = &fdb_table_entries(before)[i];

		if (change->op != FDB_OP_DELETE || !same_key(entry, &change->entry))
			CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, entry), 0);
	}
	if (change->op != FDB_OP_DELETE)
		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &change->entry), 0);
	return table;
}

/* Applies all changes; the outcome differs no more, and what conflicted conflicts still. */
static void expect_settled(struct scene scene)
{
	struct fdb_change *changes = NULL;
	size_t conflicts = 99;

	CU_ASSERT_TRUE(scene.count > 0);
	for (int i = 0; i < scene.count; i++) {
		struct fdb_table *next = after(scene.actual, &scene.changes[i]);

		fdb_table_free(scene.actual);
		scene.actual = next;
	}
	CU_ASSERT_EQUAL(fdb_diff(scene.desired, scene.actual, &changes, &conflicts), 0);
	CU_ASSERT_EQUAL(conflicts, scene.conflicts);
	free(changes);
	end(&scene);
}

static void its_own_result_needs_no_change(void)
{
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++) {
		struct fdb_entry first = behind_vtep(nobody, vtep(family, 0)), second = behind_vtep(nobody, vtep(family, 1)),
				 third = behind_vtep(nobody, vtep(family, 2)), ported = second;

		ported.port = 8472;
		expect_settled(compare(ENTRIES(sticky(behind_port(TAP, vm)), behind_port(VXLAN, other),
					       behind_vtep(other, vtep(family, 1)), ported, third),
				       ENTRIES(behind_port(VXLAN, vm), learned(behind_port(TAP, other)),
					       behind_vtep(vm, vtep(family, 1)), first, second)));
		expect_settled(compare(ENTRIES(behind_port(VXLAN, vm), behind_port(VXLAN, other)),
				       ENTRIES(configured(behind_port(TAP, vm)), behind_port(TAP, other))));
	}
}

static void operations_have_names(void)
{
	CU_ASSERT_STRING_EQUAL(fdb_op_name(FDB_OP_ADD), "add");
	CU_ASSERT_STRING_EQUAL(fdb_op_name(FDB_OP_REPLACE), "replace");
	CU_ASSERT_STRING_EQUAL(fdb_op_name(FDB_OP_DELETE), "delete");
}

UNIT_MAIN("overlay",
	UNIT_TEST(an_empty_table_has_nothing),
	UNIT_TEST(a_mac_is_behind_one_port),
	UNIT_TEST(a_mac_is_behind_one_vtep_of_a_device),
	UNIT_TEST(the_zero_mac_has_a_list),
	UNIT_TEST(stays_sorted_whatever_comes),
	UNIT_TEST(takes_an_entry_of_its_own),
	UNIT_TEST(nothing_from_nothing),
	UNIT_TEST(adds_what_is_missing),
	UNIT_TEST(deletes_what_is_ours_and_not_wanted),
	UNIT_TEST(replaces_what_differs),
	UNIT_TEST(a_listed_entry_is_added_before_the_old_one_goes),
	UNIT_TEST(changes_the_list_one_vtep_at_a_time),
	UNIT_TEST(leaves_what_is_not_ours),
	UNIT_TEST(takes_over_what_was_learned),
	UNIT_TEST(an_operators_entry_is_a_conflict),
	UNIT_TEST(an_operators_entry_that_says_the_same_is_none),
	UNIT_TEST(somebody_elses_list_stays_theirs),
	UNIT_TEST(makes_before_it_breaks),
	UNIT_TEST(its_own_result_needs_no_change),
	UNIT_TEST(operations_have_names))
