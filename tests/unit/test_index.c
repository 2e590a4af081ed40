// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_index.c - the index of numbers: what was added is found, whatever was removed and however it
 * grew, and a walk meets what was there all the time exactly once.
 */
#include <string.h>

#include "nva/index.h"
#include "nva/table.h"
#include "tests/unit/unit.h"

enum {
	MILLION = 1000000,
	SOME = 50000,
};

static uint32_t hash_of(uint32_t id)
{
	return (uint32_t) (table_hash(1, &id, sizeof(id)) >> 32);
}

static bool has(const struct index *index, uint32_t id)
{
	struct index_probe probe;
	uint32_t found = index_first(index, hash_of(id), &probe);

	while (found && found != id)
		found = index_next(&probe);
	return found == id;
}

static void add(struct index *index, uint32_t from, uint32_t to)
{
	for (uint32_t id = from; id < to; id++)
		CU_ASSERT_EQUAL_FATAL(index_add(index, hash_of(id), id), 0);
}

static void finds_each_of_a_million(void)
{
	_cleanup_(index_clear) struct index index = { 0 };
	unsigned missing = 0, false_ones = 0;

	add(&index, 1, MILLION + 1);
	CU_ASSERT_EQUAL(index.count, MILLION);
	for (uint32_t id = 1; id <= MILLION; id++) {
		missing += !has(&index, id);
		false_ones += has(&index, id + MILLION);
	}
	CU_ASSERT_EQUAL(missing, 0);
	CU_ASSERT_EQUAL(false_ones, 0);
}

static void finds_what_is_left_while_it_grows(void)
{
	_cleanup_(index_clear) struct index index = { 0 };
	unsigned wrong = 0;

	/* Of each round's numbers every third goes, while earlier ones stay. */
	for (uint32_t round = 0; round < 50; round++) {
		uint32_t from = 1 + round * 1000;

		add(&index, from, from + 1000);
		for (uint32_t id = from; id < from + 1000; id += 3)
			index_remove(&index, hash_of(id), id);
	}
	for (uint32_t id = 1; id <= 50000; id++)
		wrong += has(&index, id) == ((id - 1) % 1000 % 3 == 0);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(index.count, 50 * 666);
}

static void can_be_emptied_and_filled_again(void)
{
	_cleanup_(index_clear) struct index index = { 0 };

	for (unsigned round = 0; round < 3; round++) {
		add(&index, 1, SOME);
		for (uint32_t id = 1; id < SOME; id++)
			index_remove(&index, hash_of(id), id);
		CU_ASSERT_EQUAL(index.count, 0);
		CU_ASSERT_FALSE(has(&index, 1));
	}
}

/* As one mapping stands there for each of its addresses. */
static void a_number_may_have_several_hashes(void)
{
	enum { HASHES = 4, NUMBERS = 3000 };
	_cleanup_(index_clear) struct index index = { 0 };
	struct index_probe probe;
	unsigned wrong = 0;

	for (uint32_t id = 1; id <= NUMBERS; id++)
		for (uint32_t i = 0; i < HASHES; i++)
			CU_ASSERT_EQUAL_FATAL(index_add(&index, hash_of(id) + i, id), 0);
	for (uint32_t id = 1; id <= NUMBERS; id++)
		index_remove(&index, hash_of(id) + id % HASHES, id);
	for (uint32_t id = 1; id <= NUMBERS; id++)
		for (uint32_t i = 0; i < HASHES; i++) {
			uint32_t found = index_first(&index, hash_of(id) + i, &probe);

			while (found && found != id)
				found = index_next(&probe);
			wrong += (found == id) != (i != id % HASHES);
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void equal_hashes_are_all_given(void)
{
	_cleanup_(index_clear) struct index index = { 0 };
	struct index_probe probe;
	unsigned sum = 0, count = 0;

	add(&index, 1000, 3000);
	for (uint32_t id = 1; id <= 20; id++)
		CU_ASSERT_EQUAL_FATAL(index_add(&index, UINT32_MAX, id), 0);
	index_remove(&index, UINT32_MAX, 7);
	index_replace(&index, UINT32_MAX, 8, 100);
	for (uint32_t id = index_first(&index, UINT32_MAX, &probe); id; id = index_next(&probe)) {
		sum += id;
		count++;
	}
	CU_ASSERT_EQUAL(count, 19);
	CU_ASSERT_EQUAL(sum, 210 - 7 - 8 + 100);
}

/* Some hundreds of numbers of one hash have no place: that is an error, not an endless loop. */
static void too_many_equal_hashes_are_refused(void)
{
	_cleanup_(index_clear) struct index index = { 0 };
	uint32_t id = 1;

	while (id < 2 * INDEX_SEGMENT_MAX && index_add(&index, 42, id) == 0)
		id++;
	CU_ASSERT_TRUE(id > 300 && id < INDEX_SEGMENT_MAX);
	CU_ASSERT_EQUAL(index.count, id - 1);
}

/* What comes and goes during a walk may be met or not; what stays is met once. */
static void a_walk_meets_what_stays_once(void)
{
	_cleanup_(index_clear) struct index index = { 0 };
	_cleanup_free_ uint8_t *met = calloc(4 * SOME, 1);
	uint32_t ids[INDEX_SEGMENT_MAX], fresh = SOME;
	uint64_t position = 0;
	unsigned wrong = 0, steps = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(met);
	add(&index, 1, SOME);
	while (position < INDEX_END) {
		uint64_t before = position;
		size_t count = index_walk(&index, position, ids, &position);

		CU_ASSERT_TRUE_FATAL(position > before);
		CU_ASSERT_TRUE_FATAL(count <= INDEX_SEGMENT_MAX);
		for (size_t i = 0; i < count; i++)
			met[ids[i]]++;
		if (fresh < 3 * SOME)
			add(&index, fresh, fresh + 1000); /* makes it split, ahead and behind */
		if (fresh < 3 * SOME && fresh > SOME)
			for (uint32_t id = fresh - 1000; id < fresh; id++)
				index_remove(&index, hash_of(id), id);
		fresh += 1000 * (fresh < 3 * SOME);
		steps++;
	}
	for (uint32_t id = 1; id < SOME; id++)
		wrong += met[id] != 1;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_TRUE(steps > 50);
}

static void an_empty_index_finds_nothing(void)
{
	const struct index index = { 0 };
	struct index_probe probe;
	uint32_t ids[INDEX_SEGMENT_MAX];
	uint64_t next = 0;

	index_prefetch(&index, 1);
	CU_ASSERT_EQUAL(index_first(&index, 1, &probe), 0);
	CU_ASSERT_EQUAL(index_walk(&index, 0, ids, &next), 0);
	CU_ASSERT_EQUAL(next, INDEX_END);
}

UNIT_MAIN("index", UNIT_TEST(finds_each_of_a_million), UNIT_TEST(finds_what_is_left_while_it_grows),
	  UNIT_TEST(can_be_emptied_and_filled_again), UNIT_TEST(a_number_may_have_several_hashes),
	  UNIT_TEST(equal_hashes_are_all_given), UNIT_TEST(too_many_equal_hashes_are_refused),
	  UNIT_TEST(a_walk_meets_what_stays_once), UNIT_TEST(an_empty_index_finds_nothing))
