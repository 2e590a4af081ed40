/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "nveagent/address_table.h"
#include "tests/unit/unit.h"

#define S     1000000ull
#define AGE   (100 * S)
#define START (1000 * S)

static struct address_table table;

static struct ip ip(const char *text)
{
	struct ip value = { 0 };

	CU_ASSERT_EQUAL(ip_from_text(text, &value), 0);
	return value;
}

/* The @n-th of many addresses, every other one IPv6. */
static struct ip many(unsigned n)
{
	char text[IP_TEXT_SIZE];

	snprintf(text, sizeof(text), n % 2 ? "2001:db8::%x" : "198.51.100.%u", n + 1);
	return ip(text);
}

static void begin(uint8_t cap, uint64_t age_us)
{
	address_table_clear(&table); /* of the test before */
	address_table_init(&table, (struct address_policy){ .cap = cap, .age_us = age_us });
}

/* Runs what is due, in order, up to @until_us. Returns how many probes were sent. */
static unsigned run(uint64_t until_us, unsigned *ret_gone)
{
	unsigned probes = 0;

	*ret_gone = 0;
	while (address_table_due(&table) <= until_us) {
		struct address_work work = address_table_work(&table, address_table_due(&table));

		probes += (unsigned) work.probe_count;
		*ret_gone += (unsigned) work.gone_count;
	}
	return probes;
}

static void takes_each_address_once(void)
{
	static const char *const addresses[] = { "198.51.100.1", "169.254.7.7", "2001:db8::1",
						 "fe80::1", "2001:db8::a:b:c:d" };
	struct ip ips[MAPPING_IPS_MAX];

	begin(16, AGE);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		CU_ASSERT_FALSE(address_table_has(&table, ip(addresses[i])));
		CU_ASSERT_EQUAL(address_table_hear(&table, ip(addresses[i]), START), ADDRESS_NEW);
		CU_ASSERT_EQUAL(address_table_hear(&table, ip(addresses[i]), START), ADDRESS_KNOWN);
		CU_ASSERT_TRUE(address_table_has(&table, ip(addresses[i])));
	}
	CU_ASSERT_EQUAL_FATAL(address_table_copy(&table, ips), ARRAY_SIZE(addresses));
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		CU_ASSERT_EQUAL(ip_cmp(ips[i], ip(addresses[i])), 0);
}

static void asks_the_silent_three_times(void)
{
	uint64_t due_us;
	unsigned gone;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	due_us = address_table_due(&table);
	CU_ASSERT(due_us > START + AGE * 3 / 4 - 1 && due_us <= START + AGE);
	CU_ASSERT_EQUAL(run(due_us - 1, &gone), 0);
	CU_ASSERT_EQUAL(run(due_us + 2 * S, &gone), 3);
	CU_ASSERT_EQUAL(gone, 0);
	CU_ASSERT_EQUAL(run(due_us + 3 * S, &gone), 0);
	CU_ASSERT_EQUAL(gone, 1);
	CU_ASSERT_EQUAL(table.count, 0);
	CU_ASSERT_EQUAL(address_table_due(&table), ADDRESS_NEVER);
}

static void keeps_who_answers(void)
{
	uint64_t due_us;
	unsigned gone;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	(void) address_table_hear(&table, many(1), START);
	for (int i = 0; i < 20; i++) {
		due_us = address_table_due(&table);
		(void) run(due_us + 2 * S, &gone); /* the third question */
		(void) address_table_hear(&table, many(0), due_us + 2 * S + 1);
		(void) address_table_hear(&table, many(1), due_us + 2 * S + 1);
		CU_ASSERT_EQUAL(gone, 0);
	}
	CU_ASSERT_EQUAL(table.count, 2);
}

static void never_asks_without_an_age(void)
{
	begin(16, 0);
	(void) address_table_hear(&table, many(0), START);
	address_table_verify(&table, START + 10 * AGE);
	(void) address_table_adopt(&table, many(1), true, START);
	CU_ASSERT_EQUAL(address_table_due(&table), ADDRESS_NEVER);
}

/* RFC 5227 section 2.1.1: the guest would take our probe for a conflict. */
static void waits_while_the_guest_probes(void)
{
	uint64_t due_us;
	unsigned gone;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	address_table_hold(&table, many(1), START); /* one that it does not have yet */
	due_us = address_table_due(&table);
	(void) run(due_us, &gone);
	address_table_hold(&table, many(0), due_us + S / 2);
	address_table_verify(&table, due_us + S / 2);
	CU_ASSERT_EQUAL(address_table_due(&table), due_us + S / 2 + ADDRESS_HOLD_US);
	CU_ASSERT_EQUAL(run(address_table_due(&table) + 2 * S, &gone), 3);
	CU_ASSERT_EQUAL(gone, 0);
}

static void has_room_for_so_many(void)
{
	begin(4, AGE);
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(address_table_hear(&table, many(i), START),
				i < 4 ? ADDRESS_NEW : ADDRESS_OVER_CAP);
	CU_ASSERT_EQUAL(table.count, 4);
	CU_ASSERT_EQUAL(table.refused.over_cap, 6);
	CU_ASSERT_FALSE(address_table_adopt(&table, many(9), false, START));
	CU_ASSERT_TRUE(address_table_has(&table, many(0)));
}

/* A full table: the address that the guest gave up goes soon, not after the age. */
static void makes_room_for_who_changes_addresses(void)
{
	uint64_t now_us = START + 20 * S;
	unsigned gone;

	begin(4, AGE);
	for (unsigned i = 0; i < 4; i++)
		(void) address_table_hear(&table, many(i), START);
	for (unsigned i = 1; i < 4; i++)
		(void) address_table_hear(&table, many(i), now_us); /* but not 0 */
	CU_ASSERT_EQUAL(address_table_hear(&table, many(7), now_us), ADDRESS_OVER_CAP);
	CU_ASSERT_EQUAL(run(now_us + ADDRESS_VERIFY_SPREAD_US + 3 * S, &gone), 3);
	CU_ASSERT_EQUAL(gone, 1);
	CU_ASSERT_FALSE(address_table_has(&table, many(0)));
	CU_ASSERT_EQUAL(address_table_hear(&table, many(7), now_us + 5 * S), ADDRESS_NEW);
}

/* However many are claimed, what gets through is the burst and the rate. */
static void takes_new_ones_at_a_rate(void)
{
	unsigned taken = 0, seconds = 60;
	uint64_t now_us = START;

	begin(16, AGE);
	for (unsigned n = 0; now_us < START + seconds * S; n++, now_us += 10) {
		/* A guest that floods 100,000 claims a second, and gives each up at once. */
		table.count = 0;
		taken += address_table_hear(&table, many(n % 250), now_us) == ADDRESS_NEW;
	}
	CU_ASSERT_EQUAL(taken, ADDRESS_NEW_BURST - 1 + seconds * S / ADDRESS_NEW_INTERVAL_US);
	CU_ASSERT_EQUAL(table.refused.over_rate, seconds * 100000 - taken);
	CU_ASSERT_EQUAL(table.refused.over_cap, 0);
}

static void verifies_what_was_not_heard_of_late(void)
{
	uint64_t now_us = START + ADDRESS_VERIFY_GAP_US;
	unsigned gone;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	(void) address_table_hear(&table, many(1), START + 1);
	address_table_verify(&table, now_us);
	CU_ASSERT_EQUAL(run(now_us + ADDRESS_VERIFY_SPREAD_US, &gone), 1);
	(void) address_table_hear(&table, many(0), now_us + 2 * S);

	(void) address_table_hear(&table, many(1), now_us + 2 * S);
	address_table_verify(&table, now_us + 3 * S);
	CU_ASSERT_EQUAL(run(now_us + 10 * S, &gone), 0);
}

/* Another endpoint claims the address: who had it is asked at once, however lately it was heard. */
static void doubts_what_another_claims(void)
{
	unsigned gone;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	(void) address_table_hear(&table, many(1), START);
	address_table_doubt(&table, many(1), START + 1);
	address_table_doubt(&table, many(2), START + 1); /* not its own */
	CU_ASSERT_EQUAL(address_table_due(&table), START + 1);
	CU_ASSERT_EQUAL(run(START + 1 + 3 * S, &gone), 3);
	CU_ASSERT_EQUAL(gone, 1);
	CU_ASSERT_TRUE(address_table_has(&table, many(0)));
	CU_ASSERT_FALSE(address_table_has(&table, many(1)));
}

/* Verifying again must not begin again: who does not answer must go. */
static void verifies_once_at_a_time(void)
{
	uint64_t now_us = START + 20 * S;
	unsigned gone = 0, probes = 0, some;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	for (int i = 0; i < 20; i++, now_us += S / 4) {
		address_table_verify(&table, now_us);
		probes += run(now_us, &some);
		gone += some;
	}
	CU_ASSERT_EQUAL(probes, 3);
	CU_ASSERT_EQUAL(gone, 1);
}

static void adopts_what_the_directory_knows(void)
{
	unsigned gone;

	begin(4, AGE);
	CU_ASSERT_TRUE(address_table_adopt(&table, many(0), false, START));
	CU_ASSERT_TRUE(address_table_adopt(&table, many(1), true, START));
	CU_ASSERT_FALSE(address_table_adopt(&table, many(1), true, START));
	CU_ASSERT_EQUAL(run(START + ADDRESS_VERIFY_SPREAD_US + 3 * S, &gone), 3);
	CU_ASSERT_EQUAL(gone, 1);
	CU_ASSERT_TRUE(address_table_has(&table, many(0)));
}

static void retains_what_it_is_told(void)
{
	struct ip ips[] = { many(3), many(1) };

	begin(16, AGE);
	for (unsigned i = 0; i < 4; i++)
		(void) address_table_hear(&table, many(i), START);
	CU_ASSERT_FALSE(address_table_equals(&table, ips, 2));
	address_table_retain(&table, ips, 2);
	CU_ASSERT_TRUE(address_table_equals(&table, ips, 2));
	CU_ASSERT_FALSE(address_table_equals(&table, ips, 1));
	address_table_retain(&table, NULL, 0);
	CU_ASSERT_TRUE(address_table_equals(&table, NULL, 0));
}

static void forgives_a_guest_that_stood_still(void)
{
	uint64_t later_us = START + 10 * AGE;
	unsigned gone;

	begin(16, AGE);
	(void) address_table_hear(&table, many(0), START);
	(void) address_table_work(&table, later_us);
	address_table_restart(&table, later_us);
	CU_ASSERT_EQUAL(run(later_us + AGE * 3 / 4 - 1, &gone), 0);
	CU_ASSERT_EQUAL(table.count, 1);
}

/* Ports that start together are not asked together. */
static void spreads_its_questions(void)
{
	uint64_t first_us = ADDRESS_NEVER, last_us = 0;

	for (unsigned n = 0; n < 200; n++) {
		uint64_t due_us;

		begin(16, AGE);
		(void) address_table_hear(&table, many(n), START);
		due_us = address_table_due(&table);
		first_us = due_us < first_us ? due_us : first_us;
		last_us = due_us > last_us ? due_us : last_us;
	}
	CU_ASSERT(last_us - first_us > AGE / 5);
}

UNIT_MAIN("address_table", UNIT_TEST(takes_each_address_once),
	  UNIT_TEST(asks_the_silent_three_times), UNIT_TEST(keeps_who_answers),
	  UNIT_TEST(never_asks_without_an_age), UNIT_TEST(waits_while_the_guest_probes),
	  UNIT_TEST(has_room_for_so_many), UNIT_TEST(makes_room_for_who_changes_addresses),
	  UNIT_TEST(takes_new_ones_at_a_rate), UNIT_TEST(verifies_what_was_not_heard_of_late),
	  UNIT_TEST(verifies_once_at_a_time), UNIT_TEST(doubts_what_another_claims),
	  UNIT_TEST(adopts_what_the_directory_knows), UNIT_TEST(retains_what_it_is_told),
	  UNIT_TEST(forgives_a_guest_that_stood_still), UNIT_TEST(spreads_its_questions))
