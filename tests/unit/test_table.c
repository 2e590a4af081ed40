// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_table.c - the intrusive hash table: what was added is found, newest first, however it grew.
 */
#include <string.h>

#include "nva/table.h"
#include "tests/unit/unit.h"

enum {
	ITEMS = 5000,
	SAME_HASH = 7, /* items that share each hash */
};

struct item {
	unsigned number;
	struct table_link link;
};

static uint64_t hash_of(unsigned number)
{
	uint32_t key = number / SAME_HASH;

	return table_hash(1, &key, sizeof(key));
}

static struct item *items_in(struct table *table)
{
	struct item *items = calloc(ITEMS, sizeof(*items));

	CU_ASSERT_PTR_NOT_NULL_FATAL(items);
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i].number = i;
		CU_ASSERT_EQUAL_FATAL(table_add(table, &items[i].link, hash_of(i)), 0);
	}
	CU_ASSERT_EQUAL(table->count, ITEMS);
	return items;
}

static void equal_hashes_come_newest_first(void)
{
	_cleanup_(table_clear) struct table table = { 0 };
	_cleanup_free_ struct item *items = items_in(&table);

	CU_ASSERT_PTR_NOT_NULL_FATAL(items);
	for (unsigned i = 0; i < ITEMS; i++) {
		unsigned last = (i / SAME_HASH + 1) * SAME_HASH - 1;
		struct table_link *link = table_first(&table, hash_of(i));

		for (unsigned expected = last < ITEMS ? last : ITEMS - 1;; expected--) {
			CU_ASSERT_PTR_NOT_NULL_FATAL(link);
			CU_ASSERT_EQUAL(TABLE_ITEM(link, struct item, link)->number, expected);
			link = table_older(link);
			if (expected == i / SAME_HASH * SAME_HASH)
				break;
		}
		CU_ASSERT_PTR_NULL(link);
	}
}

static void a_walk_meets_each_once(void)
{
	_cleanup_(table_clear) struct table table = { 0 };
	_cleanup_free_ struct item *items = items_in(&table);
	_cleanup_free_ bool *met = calloc(ITEMS, sizeof(*met));
	struct table_link *link = NULL;
	unsigned count = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(items);
	CU_ASSERT_PTR_NOT_NULL_FATAL(met);
	while ((link = table_walk(&table, link))) {
		unsigned number = TABLE_ITEM(link, struct item, link)->number;

		CU_ASSERT_FALSE(met[number]);
		met[number] = true;
		count++;
	}
	CU_ASSERT_EQUAL(count, ITEMS);
}

static void what_was_removed_is_gone(void)
{
	_cleanup_(table_clear) struct table table = { 0 };
	_cleanup_free_ struct item *items = items_in(&table);

	for (unsigned i = 0; i < ITEMS; i += 2)
		table_remove(&table, &items[i].link);
	CU_ASSERT_EQUAL(table.count, ITEMS / 2);
	for (unsigned i = 0; i < ITEMS; i++) {
		struct table_link *link = table_first(&table, hash_of(i));

		while (link && link != &items[i].link)
			link = table_older(link);
		CU_ASSERT_EQUAL(link != NULL, i % 2 == 1);
	}
}

static void an_empty_table_finds_nothing(void)
{
	const struct table table = { 0 };

	CU_ASSERT_PTR_NULL(table_first(&table, 1));
	CU_ASSERT_PTR_NULL(table_walk(&table, NULL));
}

/*
 * Consecutive MACs must not share buckets; nor may who knows the function, but not the seed, choose
 * them so.
 */
static void hashes_spread_and_depend_on_the_seed(void)
{
	enum { BUCKETS = 1024, KEYS = 8 * BUCKETS };
	unsigned used_words[BUCKETS] = { 0 }, used_high[BUCKETS] = { 0 };
	unsigned used[BUCKETS] = { 0 }, fullest = 0, same = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		const uint8_t mac[] = { 0x52, 0x54, 0, 0, (uint8_t) (i >> 8), (uint8_t) i };
		uint64_t hash = table_hash(1, mac, sizeof(mac));

		used[hash % BUCKETS]++;
		same += hash % BUCKETS == table_hash(2, mac, sizeof(mac)) % BUCKETS;
		used_words[table_hash_words(1, i, 6) >> 54]++;
		used_high[table_hash_words(1, (uint64_t) i << 32, 6) >> 54]++;
	}
	for (unsigned i = 0; i < BUCKETS; i++)
		for (unsigned k = 0; k < 3; k++) {
			unsigned count = k == 0 ? used[i] : k == 1 ? used_words[i] : used_high[i];

			fullest = count > fullest ? count : fullest;
		}
	CU_ASSERT_TRUE(
		fullest <
		32); /* 8 on average; a random function exceeds 31 once in a billion buckets */
	CU_ASSERT_TRUE(same < 64); /* 8 expected */
}

static void every_byte_counts(void)
{
	uint8_t key[17] = { 0 };

	for (size_t size = 1; size <= sizeof(key); size++) {
		uint64_t before = table_hash(3, key, size);

		CU_ASSERT_NOT_EQUAL(before, table_hash(3, key, size - 1));
		for (size_t i = 0; i < size; i++) {
			key[i] = 1;
			CU_ASSERT_NOT_EQUAL(before, table_hash(3, key, size));
			key[i] = 0;
		}
	}
}

UNIT_MAIN("table", UNIT_TEST(equal_hashes_come_newest_first), UNIT_TEST(a_walk_meets_each_once),
	  UNIT_TEST(what_was_removed_is_gone), UNIT_TEST(an_empty_table_finds_nothing),
	  UNIT_TEST(hashes_spread_and_depend_on_the_seed), UNIT_TEST(every_byte_counts))
