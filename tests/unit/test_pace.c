/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/pace.h"

#include "tests/unit/unit.h"

enum { SLICE = 64, USUAL_US = 2 * SLICE, SICK_US = 10 * USUAL_US };

/* Works by slices of @us until there is a rest; how many slices that took. */
static unsigned until_rest(struct pace *pace, uint64_t us, uint64_t *ret_rest_us)
{
	unsigned slices = 0;

	do
		*ret_rest_us = pace_worked(pace, us, SLICE);
	while (++slices < PACE_WORK_US && *ret_rest_us == 0);
	return slices;
}

static void a_little_work_needs_no_rest(void)
{
	struct pace pace = { 0 };

	CU_ASSERT_EQUAL(pace_worked(&pace, PACE_WORK_US - 1, SLICE), 0);
	CU_ASSERT_EQUAL(pace_worked(&pace, 1, SLICE), PACE_REST_US);
	CU_ASSERT_EQUAL(pace_worked(&pace, 1, SLICE), 0);
}

static void rests_are_short_and_regular(void)
{
	struct pace pace = { 0 };
	uint64_t rest_us;

	for (unsigned i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(until_rest(&pace, USUAL_US, &rest_us),
				(PACE_WORK_US + USUAL_US - 1) / USUAL_US);
		CU_ASSERT_EQUAL(rest_us, PACE_REST_US);
	}
}

static void rests_grow_while_the_kernel_is_behind(void)
{
	struct pace pace = { 0 };
	uint64_t rest_us;

	(void) until_rest(&pace, USUAL_US, &rest_us);
	for (uint64_t wanted = 2 * PACE_REST_US; wanted < PACE_REST_MAX_US; wanted *= 2) {
		(void) until_rest(&pace, SICK_US, &rest_us);
		CU_ASSERT_EQUAL(rest_us, wanted);
	}
	for (unsigned i = 0; i < 3; i++) {
		(void) until_rest(&pace, SICK_US, &rest_us);
		CU_ASSERT_EQUAL(rest_us, PACE_REST_MAX_US);
	}
	(void) until_rest(&pace, USUAL_US, &rest_us);
	CU_ASSERT_EQUAL(rest_us, PACE_REST_US);
	(void) until_rest(&pace, SICK_US, &rest_us);
	CU_ASSERT_EQUAL(rest_us, 2 * PACE_REST_US);
}

/* On a machine that has become slow, for whatever reason, rests do not stay long for ever. */
static void what_is_always_slow_becomes_usual(void)
{
	struct pace pace = { 0 };
	unsigned rests = 0;
	uint64_t rest_us;

	(void) until_rest(&pace, USUAL_US, &rest_us);
	do
		(void) until_rest(&pace, SICK_US, &rest_us);
	while (++rests < 1000 && rest_us != PACE_REST_US);
	CU_ASSERT_TRUE(rests > 16); /* as long as doubling a table takes */
	CU_ASSERT_TRUE(rests < 200);
}

static void work_without_changes_tells_nothing(void)
{
	struct pace pace = { 0 };

	CU_ASSERT_EQUAL(pace_worked(&pace, 10 * PACE_WORK_US, 0), 0);
	CU_ASSERT_EQUAL(pace_worked(&pace, 0, 0), 0);
}

UNIT_MAIN("pace",
	UNIT_TEST(a_little_work_needs_no_rest),
	UNIT_TEST(rests_are_short_and_regular),
	UNIT_TEST(rests_grow_while_the_kernel_is_behind),
	UNIT_TEST(what_is_always_slow_becomes_usual),
	UNIT_TEST(work_without_changes_tells_nothing))
