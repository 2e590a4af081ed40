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

static void shows_the_newest_first(void)
{
	_cleanup_(ledger_freep) struct ledger *ledger = new_ledger();
	_cleanup_(json_unrefp) struct json_object *all = NULL, *one = NULL;
	struct json_object *events;

	for (uint64_t at = 10; at <= 30; at += 10)
		ledger_note(ledger, ledger_begin(ledger, at), at + 1, "stop", "heard %d us later", 7);

	all = ledger_to_json(ledger, 0);
	one = ledger_to_json(ledger, 1);
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(all), 3);
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(one), 1);
	CU_ASSERT_EQUAL(number(all, 0, "started_us"), 30);
	CU_ASSERT_EQUAL(number(all, 2, "started_us"), 10);
	CU_ASSERT_EQUAL(number(one, 0, "started_us"), 30);
	CU_ASSERT_EQUAL_FATAL(json_get_array(json_object_array_get_idx(one, 0), "events", &events), 0);
	CU_ASSERT_EQUAL(number(events, 0, "at_us"), 31);
}

static void an_empty_ledger_is_an_empty_list(void)
{
	_cleanup_(ledger_freep) struct ledger *ledger = new_ledger();
	_cleanup_(json_unrefp) struct json_object *all = ledger_to_json(ledger, 0);

	CU_ASSERT_EQUAL(json_object_array_length(all), 0);
}

UNIT_MAIN("ledger",
	UNIT_TEST(keeps_the_newest),
	UNIT_TEST(cuts_and_counts_what_does_not_fit),
	UNIT_TEST(shows_the_newest_first),
	UNIT_TEST(an_empty_ledger_is_an_empty_list))
