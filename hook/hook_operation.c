/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook/hook_operation.h"

#include <assert.h>
#include <string.h>

#include "common/cleanup.h"

const struct hook_operation hook_operations[] = {
	/* clang-format off */
	/* name		XML	tell	refuse	comment */
	{ "migrate",	true,	true,	true,	"at the destination; failing: no migration" },
	{ "restore",	true,	true,	false,	"a saved guest comes back; failing: it does not" },
	{ "prepare",	true,	true,	false,	"nothing is there yet; failing: no start" },
	{ "start",	true,	true,	false,	"the taps are there; failing: no start" },
	{ "started",	true,	true,	false,	"QEMU runs; failing: it is killed" },
	{ "stopped",	true,	true,	false,	"QEMU is gone; the status is ignored" },
	{ "release",	true,	true,	false,	"resources are given back; the status is ignored" },
	{ "reconnect",	true,	true,	false,	"the daemon is back; failing: the guest dies" },
	{ "attach",	true,	true,	false,	"until libvirt 5.5; failing: QEMU is not adopted" },
	/* clang-format on */
};
const size_t hook_operation_count = ARRAY_SIZE(hook_operations);

const struct hook_operation *hook_operation_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(hook_operations); i++)
		if (strcmp(hook_operations[i].name, name) == 0)
			return &hook_operations[i];
	return NULL;
}

static const struct {
	const char *name;
	bool admits; /* an agent is here and has not said no */
} answers[] = {
	/* clang-format off */
	[HOOK_ANSWER_READY]	= { "ready",	true },
	[HOOK_ANSWER_ERROR]	= { "error",	true },
	[HOOK_ANSWER_REFUSE]	= { "refuse",	false },
	[HOOK_ANSWER_AWAY]	= { "away",	false },
	[HOOK_ANSWER_SILENT]	= { "silent",	false },
	[HOOK_ANSWER_GARBLED]	= { "garbled",	false },
	[HOOK_ANSWER_UNASKED]	= { "unasked",	false },
	/* clang-format on */
};
static_assert(ARRAY_SIZE(answers) == HOOK_ANSWER_COUNT, "an answer has no row");

const char *hook_answer_name(enum hook_answer answer)
{
	return answers[answer].name;
}

bool hook_refuses(const struct hook_operation *operation, enum hook_answer answer,
		  bool require_agent)
{
	return require_agent && operation && operation->may_refuse && !answers[answer].admits;
}
