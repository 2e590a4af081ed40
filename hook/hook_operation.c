/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook/hook_operation.h"

#include <assert.h>
#include <string.h>

#include "common/cleanup.h"

const struct hook_operation hook_operations[] = {
	/* name		XML	tell	refuse	comment */
	{ "migrate",	true,	true,	true,	"destination, before QEMU starts: failing cancels the migration, "
						"the guest goes on at the source" },
	{ "restore",	true,	true,	false,	"before a saved guest is restored: failing would abort the restore" },
	{ "prepare",	true,	true,	false,	"before resources are labelled: failing would keep the guest from starting" },
	{ "start",	true,	true,	false,	"taps exist, the guest does not run: failing would keep it from starting" },
	{ "started",	true,	true,	false,	"QEMU runs: failing would kill it" },
	{ "stopped",	true,	true,	false,	"QEMU is gone: libvirt ignores the status" },
	{ "release",	true,	true,	false,	"resources are given back: libvirt ignores the status" },
	{ "reconnect",	true,	true,	false,	"the daemon finds a running guest again: failing kills that guest" },
	{ "attach",	true,	true,	false,	"adopting a QEMU started by hand, until libvirt 5.5: failing would detach it" },
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
	bool admits;	/* an agent is here and has not said no */
} answers[] = {
	[HOOK_ANSWER_READY]	= { "ready",	true },
	[HOOK_ANSWER_ERROR]	= { "error",	true },
	[HOOK_ANSWER_REFUSE]	= { "refuse",	false },
	[HOOK_ANSWER_AWAY]	= { "away",	false },
	[HOOK_ANSWER_SILENT]	= { "silent",	false },
	[HOOK_ANSWER_GARBLED]	= { "garbled",	false },
	[HOOK_ANSWER_UNASKED]	= { "unasked",	false },
};
static_assert(ARRAY_SIZE(answers) == HOOK_ANSWER_COUNT, "an answer has no row");

const char *hook_answer_name(enum hook_answer answer)
{
	return answers[answer].name;
}

bool hook_refuses(const struct hook_operation *operation, enum hook_answer answer, bool require_agent)
{
	return require_agent && operation && operation->may_refuse && !answers[answer].admits;
}
