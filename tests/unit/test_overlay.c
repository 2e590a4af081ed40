/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of forwarding entries. */
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
	return (struct fdb_entry){
		.layer = FDB_LAYER_BRIDGE, .ifindex = ifindex, .mac = mac, .ours = true
	};
}

static struct fdb_entry behind_vtep(struct mac mac, struct ip ip)
{
	return (struct fdb_entry) {
		.layer = FDB_LAYER_VXLAN, .ifindex = VXLAN, .mac = mac, .vtep = ip, .ours = true
	};
}

static struct fdb_table *table_of(const struct fdb_entry *entries, size_t count)
{
	struct fdb_table *table = fdb_table_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL_FATAL(fdb_table_put(table, &entries[i]), 0);
	return table;
}

#define ENTRIES(...)                                                             \
	(const struct fdb_entry[]) { __VA_ARGS__ },                              \
		sizeof((const struct fdb_entry[]) { __VA_ARGS__ }) / sizeof(struct fdb_entry)
#define NOTHING NULL, 0

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
	_cleanup_(fdb_table_freep) struct fdb_table *table = table_of(
		ENTRIES(behind_port(TAP, vm), behind_port(OTHER_TAP, vm), behind_port(TAP, other)));
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
		table = table_of(ENTRIES(behind_vtep(vm, vtep(family, 0)), forward,
					 behind_vtep(vm, vtep(family, 1))));
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
		table = table_of(ENTRIES(behind_vtep(nobody, vtep(family, 2)),
					 behind_vtep(nobody, vtep(family, 1)),
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
	return (struct mac){ { 0x02, 0, 0, (uint8_t) (number >> 16), (uint8_t) (number >> 8),
			       (uint8_t) number } };
}

static void expect_each_once_in_order(const struct fdb_table *table)
{
	const struct fdb_entry *entries = fdb_table_entries(table);

	CU_ASSERT_EQUAL_FATAL(fdb_table_count(table), MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(mac_cmp(entries[i].mac, numbered(i)), 0);
		CU_ASSERT_PTR_EQUAL(fdb_table_find(table, FDB_LAYER_BRIDGE, TAP, numbered(i)),
				    &entries[i]);
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
		CU_ASSERT_EQUAL(fdb_table_find(table, FDB_LAYER_BRIDGE, 0,
					       numbered(i * STRIDE % MANY))
					->ifindex,
				MANY + i);

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
	UNIT_TEST(operations_have_names))
