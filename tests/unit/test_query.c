/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "nveagent/query.h"
#include "tests/unit/unit.h"

enum { START_US = 1000000 };

static const struct mac guest = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };

static struct query_key key_of(uint32_t number)
{
	struct query_key key = { .ip = { .family = AF_INET } };

	memcpy(key.ip.octet, &number, sizeof(number));
	return key;
}

static struct mac mac_of(uint32_t number)
{
	return (struct mac){ { 2, 0, 0, (uint8_t) (number >> 16), (uint8_t) (number >> 8),
			       (uint8_t) number } };
}

static struct query_table *new_table(void)
{
	struct query_table *table = query_table_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	return table;
}

static enum query_result ask(struct query_table *table, uint64_t now_us, uint32_t number,
			     uint64_t id)
{
	struct query_key key = key_of(number);
	struct frame question = { .kind = FRAME_ARP_REQUEST, .source = guest, .target_ip = key.ip };

	return query_ask(table, now_us, &key, guest, &question, id);
}

static void who_asks_the_same_waits_together(void)
{
	_cleanup_(query_table_freep) struct query_table *table = new_table();
	struct frame questions[QUERY_WAITERS_MAX];
	struct query_key key, wanted = key_of(1);

	CU_ASSERT_EQUAL(ask(table, START_US, 1, 7), QUERY_SEND);
	for (int i = 1; i < QUERY_WAITERS_MAX + 3; i++)
		CU_ASSERT_EQUAL(ask(table, START_US, 1, 8), QUERY_JOINED);
	CU_ASSERT_EQUAL(query_answer(table, START_US, 8, true, &key, questions), -ENOENT);
	CU_ASSERT_EQUAL(query_answer(table, START_US, 7, true, &key, questions), QUERY_WAITERS_MAX);
	CU_ASSERT_EQUAL(memcmp(&key, &wanted, sizeof(key)), 0);
	CU_ASSERT_EQUAL(mac_cmp(questions[0].source, guest), 0);
	CU_ASSERT_EQUAL(query_answer(table, START_US, 7, true, &key, questions), -ENOENT);
	CU_ASSERT_EQUAL(query_count(table), 0);
}

static void a_no_holds_for_a_while(void)
{
	_cleanup_(query_table_freep) struct query_table *table = new_table();
	struct frame questions[QUERY_WAITERS_MAX];
	struct query_key key;

	CU_ASSERT_EQUAL(ask(table, START_US, 1, 7), QUERY_SEND);
	CU_ASSERT_EQUAL(query_answer(table, START_US + 10, 7, false, &key, questions), 1);
	CU_ASSERT_EQUAL(ask(table, START_US + 10 + QUERY_NO_US - 1, 1, 8), QUERY_NO);
	CU_ASSERT_EQUAL(ask(table, START_US + 10 + QUERY_NO_US, 1, 9), QUERY_SEND);
}

static void a_lost_answer_is_asked_for_again(void)
{
	_cleanup_(query_table_freep) struct query_table *table = new_table();
	struct frame questions[QUERY_WAITERS_MAX];
	struct query_key key;

	CU_ASSERT_EQUAL(ask(table, START_US, 1, 7), QUERY_SEND);
	CU_ASSERT_EQUAL(ask(table, START_US + QUERY_OPEN_US, 1, 8), QUERY_SEND);
	CU_ASSERT_EQUAL(query_answer(table, START_US + QUERY_OPEN_US, 7, true, &key, questions),
			-ENOENT);
	CU_ASSERT_EQUAL(query_answer(table, START_US + QUERY_OPEN_US, 8, true, &key, questions), 1);
}

static void an_end_of_the_session_forgets_all(void)
{
	_cleanup_(query_table_freep) struct query_table *table = new_table();
	struct frame questions[QUERY_WAITERS_MAX];
	struct query_key key;

	CU_ASSERT_EQUAL(ask(table, START_US, 1, 7), QUERY_SEND);
	query_forget(table);
	CU_ASSERT_EQUAL(query_answer(table, START_US, 7, true, &key, questions), -ENOENT);
	CU_ASSERT_EQUAL(ask(table, START_US, 1, 8), QUERY_SEND);
}

/* 100,000 questions a second of one MAC, for a second. */
static void who_floods_is_limited(void)
{
	_cleanup_(query_table_freep) struct query_table *table = new_table();
	struct query_key key = key_of(1 << 20);
	unsigned sent = 0;

	for (uint32_t i = 0; i < 100000; i++)
		sent += ask(table, START_US + i * 10, i, i + 1) == QUERY_SEND;
	CU_ASSERT(sent >= QUERY_ASKER_RATE && sent <= QUERY_ASKER_RATE + QUERY_ASKER_BURST);
	/* Another MAC still has its share. */
	CU_ASSERT_EQUAL(query_ask(table, START_US + 1000000, &key, mac_of(1), NULL, 1 << 20),
			QUERY_SEND);
}

static void many_who_flood_are_limited_together(void)
{
	_cleanup_(query_table_freep) struct query_table *table = new_table();
	unsigned sent = 0;

	for (uint32_t i = 0; i < 100000; i++) {
		struct query_key key = key_of(i);

		sent += query_ask(table, START_US + i * 10, &key, mac_of(i), NULL, i + 1) ==
			QUERY_SEND;
	}
	CU_ASSERT(sent >= QUERY_RATE && sent <= QUERY_RATE + QUERY_BURST);
	CU_ASSERT(query_count(table) <= QUERIES_MAX);
}

UNIT_MAIN("query", UNIT_TEST(who_asks_the_same_waits_together), UNIT_TEST(a_no_holds_for_a_while),
	  UNIT_TEST(a_lost_answer_is_asked_for_again), UNIT_TEST(an_end_of_the_session_forgets_all),
	  UNIT_TEST(who_floods_is_limited), UNIT_TEST(many_who_flood_are_limited_together))
