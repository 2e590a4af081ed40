/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit.h - the main() that every CUnit program here shares.
 *
 *   static void cuts_two_lines(void) { ... CU_ASSERT_EQUAL(...); }
 *
 *   UNIT_MAIN("lines",
 *		UNIT_TEST(cuts_two_lines),
 *		UNIT_TEST(refuses_a_long_line))
 *
 * Exit status 0 when every test ran and passed, else 1. Each failed assertion is shown as
 * "FILE:LINE - EXPRESSION". A program whose tests assert nothing fails, too.
 */
#ifndef REHOME_TESTS_UNIT_UNIT_H
#define REHOME_TESTS_UNIT_UNIT_H

#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"

struct unit_test {
	const char *name;
	void (*run)(void);
};

/* clang-format off */
#define UNIT_TEST(function) { #function, function }
/* clang-format on */

#define UNIT_MAIN(suite, ...)                                             \
	int main(void)                                                    \
	{                                                                 \
		static const struct unit_test tests_[] = { __VA_ARGS__ }; \
                                                                          \
		return unit_main(suite, tests_, ARRAY_SIZE(tests_));      \
	}

static inline int unit_register(const char *suite_name, const struct unit_test *tests, size_t count)
{
	CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);

	if (!suite)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			return -1;
	return 0;
}

static inline int unit_main(const char *suite_name, const struct unit_test *tests, size_t count)
{
	bool passed;

	setvbuf(stdout, NULL, _IOLBF, 0); /* keeps its order with what stderr gets */
	if (CU_initialize_registry() != CUE_SUCCESS ||
	    unit_register(suite_name, tests, count) < 0) {
		fprintf(stderr, "%s: %s\n", suite_name, CU_get_error_msg());
		return EXIT_FAILURE;
	}

	CU_basic_set_mode(CU_BRM_VERBOSE);
	passed = CU_basic_run_tests() == CUE_SUCCESS && CU_get_number_of_tests_run() == count &&
		 CU_get_number_of_failure_records() == 0 && CU_get_number_of_asserts() > 0;
	CU_cleanup_registry();
	return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
