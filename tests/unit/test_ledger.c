/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "common/json.h"
#include "nveagent/ledger.h"
#include "tests/unit/unit.h"

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = ledger_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(ledger);
	return ledger;
}

static void keeps_the_newest(void)
{
	_cleanup_(ledger_freep) struct ledger *ledger = new_ledger();
	uint64_t first = ledger_begin(ledger, 1000);

	CU_ASSERT_EQUAL(first, 1);
	CU_ASSERT_PTR_NULL(ledger_find(ledger, 0));
	CU_ASSERT_PTR_NULL(ledger_find(ledger, 2));
	CU_ASSERT_EQUAL(ledger_find(ledger, first)->started_us, 1000);

	for (unsigned i = 0; i < LEDGER_MOVES_MAX; i++)
		(void) ledger_begin(ledger, 2000);
	CU_ASSERT_PTR_NULL(ledger_find(ledger, first));
	CU_ASSERT_EQUAL(ledger_find(ledger, first + 1)->started_us, 2000);
}

static void cuts_and_counts_what_does_not_fit(void)
{
	_cleanup_(ledger_freep) struct ledger *ledger = new_ledger();
	uint64_t id = ledger_begin(ledger, 0);
	char longest[LEDGER_DETAIL_SIZE * 2];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (unsigned i = 0; i < LEDGER_EVENTS_MAX + 3; i++)
		ledger_note(ledger, id, i, longest, "%s", longest);
	ledger_note(ledger, id + 1, 0, "nobody", "is told");

	CU_ASSERT_EQUAL(ledger_find(ledger, id)->event_count, LEDGER_EVENTS_MAX);
	CU_ASSERT_EQUAL(ledger_find(ledger, id)->events_lost, 3);
	CU_ASSERT_EQUAL(strlen(ledger_find(ledger, id)->events[0].what), LEDGER_WHAT_SIZE - 1);
	CU_ASSERT_EQUAL(strlen(ledger_find(ledger, id)->events[0].detail), LEDGER_DETAIL_SIZE - 1);
}

static uint64_t number(struct json_object *array, size_t index, const char *key)
{
	uint64_t value = 0;

	CU_ASSERT_EQUAL(json_get_u64(json_object_array_get_idx(array, index), key, &value), 0);
	return value;
}

static void counts_on(void)
{
	_cleanup_(ledger_freep) struct ledger *ledger = new_ledger();

	CU_ASSERT_EQUAL(ledger_newest(ledger), 0);
	CU_ASSERT_PTR_NULL(ledger_find(ledger, 0));
	for (uint64_t at = 10; at <= 30; at += 10)
		CU_ASSERT_EQUAL(ledger_begin(ledger, at), at / 10);
	CU_ASSERT_EQUAL(ledger_newest(ledger), 3);
}

static void shows_a_move(void)
{
	_cleanup_(ledger_freep) struct ledger *ledger = new_ledger();
	_cleanup_(json_unrefp) struct json_object *move = NULL;
	uint64_t id = ledger_begin(ledger, 30), started_us = 0;
	struct json_object *events;

	ledger_note(ledger, id, 31, "stop", "heard %d us later", 7);
	move = ledger_move_to_json(ledger_find(ledger, id));
	CU_ASSERT_PTR_NOT_NULL_FATAL(move);
	CU_ASSERT_EQUAL(json_get_u64(move, "started_us", &started_us), 0);
	CU_ASSERT_EQUAL(started_us, 30);
	CU_ASSERT_EQUAL_FATAL(json_get_array(move, "events", &events), 0);
	CU_ASSERT_EQUAL(number(events, 0, "at_us"), 31);
}

UNIT_MAIN("ledger",
	UNIT_TEST(keeps_the_newest),
	UNIT_TEST(cuts_and_counts_what_does_not_fit),
	UNIT_TEST(counts_on),
	UNIT_TEST(shows_a_move))
