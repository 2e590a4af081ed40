/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "nveagent/consents.h"
#include "tests/unit/unit.h"

static struct consents *new_consents(void)
{
	struct consents *consents = consents_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(consents);
	return consents;
}

static struct consent question(uint64_t id, uint32_t vni, uint8_t last)
{
	return (struct consent){ .id = id,
				 .vni = vni,
				 .mac = { { 0x52, 0x54, 0, 0xaa, 0, last } } };
}

static int add(struct consents *consents, struct consent consent)
{
	return consents_add(consents, &consent);
}

static void the_oldest_comes_first_and_each_once(void)
{
	_cleanup_(consents_freep) struct consents *consents = new_consents();
	struct consent consent;

	CU_ASSERT_FALSE(consents_take(consents, &consent));
	CU_ASSERT_EQUAL(add(consents, question(7, 100, 1)), 0);
	CU_ASSERT_EQUAL(add(consents, question(8, 100, 1)), 0);
	CU_ASSERT_EQUAL(add(consents, question(7, 100, 1)), 0);
	CU_ASSERT_EQUAL(add(consents, question(7, 200, 1)), 0);
	for (uint64_t id = 7; id <= 8; id++) {
		CU_ASSERT_TRUE(consents_take(consents, &consent));
		CU_ASSERT_EQUAL(consent.id, id);
		CU_ASSERT_EQUAL(consent.vni, 100);
	}
	CU_ASSERT_TRUE(consents_take(consents, &consent));
	CU_ASSERT_EQUAL(consent.vni, 200);
	CU_ASSERT_FALSE(consents_take(consents, &consent));
}

static void one_that_was_called_off_is_forgotten(void)
{
	_cleanup_(consents_freep) struct consents *consents = new_consents();
	struct consent consent;

	CU_ASSERT_EQUAL(add(consents, question(1, 100, 1)), 0);
	CU_ASSERT_EQUAL(add(consents, question(2, 200, 1)), 0);
	CU_ASSERT_EQUAL(add(consents, question(3, 100, 2)), 0);
	consents_forget(consents, 100, question(0, 0, 1).mac);
	CU_ASSERT_TRUE(consents_take(consents, &consent));
	CU_ASSERT_EQUAL(consent.id, 2);
	consents_clear(consents);
	CU_ASSERT_FALSE(consents_take(consents, &consent));
}

static void there_is_a_cap(void)
{
	_cleanup_(consents_freep) struct consents *consents = new_consents();

	for (uint64_t id = 0; id < CONSENTS_MAX; id++)
		CU_ASSERT_EQUAL(add(consents, question(id, 100, 1)), 0);
	CU_ASSERT_EQUAL(add(consents, question(CONSENTS_MAX, 100, 1)), -ENOSPC);
	CU_ASSERT_EQUAL(add(consents, question(0, 100, 1)), 0);
}

UNIT_MAIN("consents",
	UNIT_TEST(the_oldest_comes_first_and_each_once),
	UNIT_TEST(one_that_was_called_off_is_forgotten),
	UNIT_TEST(there_is_a_cap))
