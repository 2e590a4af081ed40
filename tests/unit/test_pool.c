/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "nveagent/pool.h"
#include "tests/unit/unit.h"

enum { MANY = 5000 };

struct item {
	uint32_t key, next;
	uint64_t data;
};

static unsigned hashed; /* calls of item_hash() */

static uint64_t item_hash(const void *item, uint64_t seed)
{
	hashed++;
	return pool_hash(&((const struct item *) item)->key, sizeof(uint32_t), seed);
}

struct shelf {
	struct pool pool;
	struct pool_index index;
};

static void begin(struct shelf *shelf)
{
	*shelf = (struct shelf){ .pool = { .item_size = sizeof(struct item) } };
	shelf->index = (struct pool_index){ .pool = &shelf->pool,
					    .next_offset = offsetof(struct item, next),
					    .hash = item_hash };
	pool_index_init(&shelf->index);
}

static void end(struct shelf *shelf)
{
	pool_index_clear(&shelf->index);
	pool_drop(&shelf->pool);
}

static uint32_t put(struct shelf *shelf, uint32_t key)
{
	uint32_t number = pool_take(&shelf->pool);
	struct item *item;

	CU_ASSERT_NOT_EQUAL_FATAL(number, POOL_NONE);
	item = pool_item(&shelf->pool, number);
	CU_ASSERT_EQUAL(item->data, 0);
	item->key = key;
	item->data = UINT64_MAX;
	CU_ASSERT_EQUAL(pool_index_put(&shelf->index, number), 0);
	return number;
}

static uint32_t find(const struct shelf *shelf, uint32_t key)
{
	uint32_t number =
		pool_index_first(&shelf->index, pool_hash(&key, sizeof(key), shelf->index.seed));

	while (number && ((const struct item *) pool_item(&shelf->pool, number))->key != key)
		number = *pool_index_next(&shelf->index, number);
	return number;
}

static void finds_what_was_put(void)
{
	struct shelf shelf;

	begin(&shelf);
	CU_ASSERT_EQUAL(find(&shelf, 1), POOL_NONE);
	for (uint32_t key = 0; key < MANY; key++) {
		CU_ASSERT_EQUAL(find(&shelf, key), POOL_NONE);
		(void) put(&shelf, key);
	}
	for (uint32_t key = 0; key < MANY; key++)
		CU_ASSERT_NOT_EQUAL(find(&shelf, key), POOL_NONE);
	CU_ASSERT_EQUAL(find(&shelf, MANY), POOL_NONE);
	end(&shelf);
}

/* What is given back is zeroed and used again before there is more. */
static void gives_numbers_again(void)
{
	struct shelf shelf;

	begin(&shelf);
	for (uint32_t key = 0; key < MANY; key++)
		(void) put(&shelf, key);
	for (uint32_t key = 0; key < MANY; key += 2) {
		uint32_t number = find(&shelf, key);

		pool_index_remove(&shelf.index, number);
		pool_give(&shelf.pool, number);
	}
	for (uint32_t key = 0; key < MANY; key++)
		CU_ASSERT_EQUAL(find(&shelf, key) == POOL_NONE, key % 2 == 0);
	for (uint32_t key = 0; key < MANY; key += 2)
		CU_ASSERT(put(&shelf, MANY + key) <= MANY);
	CU_ASSERT_EQUAL(shelf.index.count, MANY);
	end(&shelf);
}

static void an_item_stays_where_it_is(void)
{
	struct shelf shelf;
	const void *first;

	begin(&shelf);
	first = pool_item(&shelf.pool, put(&shelf, 0));
	for (uint32_t key = 1; key < MANY; key++)
		(void) put(&shelf, key);
	CU_ASSERT_PTR_EQUAL(pool_item(&shelf.pool, 1), first);
	end(&shelf);
}

/* However many there are already: nothing waits while a table is made anew. */
static void no_put_takes_long(void)
{
	/* as good as never longer, of one item on average */
	enum { VERY_MANY = 300000, CHAIN = 24 };
	struct shelf shelf;

	begin(&shelf);
	for (uint32_t key = 0; key < VERY_MANY; key++) {
		hashed = 0;
		(void) put(&shelf, key);
		CU_ASSERT_FATAL(hashed <= CHAIN);
	}
	for (uint32_t key = 0; key < VERY_MANY; key++) {
		uint32_t number = find(&shelf, key);

		CU_ASSERT_NOT_EQUAL_FATAL(number, POOL_NONE);
		if (key % 3)
			continue;
		pool_index_remove(&shelf.index, number);
		pool_give(&shelf.pool, number);
	}
	for (uint32_t key = 0; key < VERY_MANY; key++)
		CU_ASSERT_EQUAL(find(&shelf, key) == POOL_NONE, key % 3 == 0);
	CU_ASSERT_EQUAL(shelf.index.count, VERY_MANY - VERY_MANY / 3);
	end(&shelf);
}

UNIT_MAIN("pool", UNIT_TEST(finds_what_was_put), UNIT_TEST(gives_numbers_again),
	  UNIT_TEST(an_item_stays_where_it_is), UNIT_TEST(no_put_takes_long))
