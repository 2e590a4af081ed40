/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every operation, times every answer of the agent, times strictness: the whole decision. */
#include "hook/hook_operation.h"

#include <assert.h>
#include <string.h>

#include "unit.h"

/* libvirt docs/hooks.rst, "/etc/libvirt/hooks/qemu". */
static const char *const documented[] = {
	/* clang-format off */
	"prepare", "start", "started", "stopped", "release", "migrate",
	"restore", "reconnect", "attach",
	/* clang-format on */
};

static void knows_every_documented_operation(void)
{
	CU_ASSERT_EQUAL(hook_operation_count, ARRAY_SIZE(documented));
	for (size_t i = 0; i < ARRAY_SIZE(documented); i++) {
		const struct hook_operation *operation = hook_operation_find(documented[i]);

		CU_ASSERT_PTR_NOT_NULL_FATAL(operation);
		CU_ASSERT_STRING_EQUAL(operation->name, documented[i]);
		CU_ASSERT(operation->carries_xml && operation->tells_agent &&
			  operation->comment[0]);
	}
}

static void knows_no_other(void)
{
	CU_ASSERT_PTR_NULL(hook_operation_find(""));
	CU_ASSERT_PTR_NULL(hook_operation_find("Migrate"));
	CU_ASSERT_PTR_NULL(hook_operation_find("migrated"));
	CU_ASSERT_PTR_NULL(hook_operation_find("-"));
}

static void only_an_incoming_migration_may_be_refused(void)
{
	for (size_t i = 0; i < hook_operation_count; i++)
		CU_ASSERT_EQUAL(hook_operations[i].may_refuse,
				strcmp(hook_operations[i].name, "migrate") == 0);
}

static const struct {
	const char *name;
	enum hook_answer answer;
	bool refuses_strict_migrate;
} expected[] = {
	/* clang-format off */
	{ "ready",	HOOK_ANSWER_READY,	false },
	{ "error",	HOOK_ANSWER_ERROR,	false },
	{ "refuse",	HOOK_ANSWER_REFUSE,	true },
	{ "away",	HOOK_ANSWER_AWAY,	true },
	{ "silent",	HOOK_ANSWER_SILENT,	true },
	{ "garbled",	HOOK_ANSWER_GARBLED,	true },
	{ "unasked",	HOOK_ANSWER_UNASKED,	true },
	/* clang-format on */
};
static_assert(ARRAY_SIZE(expected) == HOOK_ANSWER_COUNT, "an answer is not tested");

static void decides_for_every_answer(void)
{
	const struct hook_operation *migrate = hook_operation_find("migrate");

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		CU_ASSERT_STRING_EQUAL(hook_answer_name(expected[i].answer), expected[i].name);
		CU_ASSERT_EQUAL(hook_refuses(migrate, expected[i].answer, true),
				expected[i].refuses_strict_migrate);
		CU_ASSERT_FALSE(hook_refuses(migrate, expected[i].answer, false));
	}
}

static void refuses_nothing_else(void)
{
	for (size_t i = 0; i < hook_operation_count; i++)
		for (size_t j = 0; j < ARRAY_SIZE(expected); j++)
			if (strcmp(hook_operations[i].name, "migrate") != 0) {
				CU_ASSERT_FALSE(hook_refuses(&hook_operations[i],
							     expected[j].answer, true));
				CU_ASSERT_FALSE(hook_refuses(&hook_operations[i],
							     expected[j].answer, false));
			}
	for (size_t j = 0; j < ARRAY_SIZE(expected); j++)
		CU_ASSERT_FALSE(hook_refuses(NULL, expected[j].answer,
					     true)); /* a newer libvirt's operation */
}

UNIT_MAIN("hook_operation", UNIT_TEST(knows_every_documented_operation), UNIT_TEST(knows_no_other),
	  UNIT_TEST(only_an_incoming_migration_may_be_refused), UNIT_TEST(decides_for_every_answer),
	  UNIT_TEST(refuses_nothing_else))
