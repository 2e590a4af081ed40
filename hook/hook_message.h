/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook_message.h - the line the hook sends to the agent, and what the agent's reply means. No I/O.
 */
#ifndef REHOME_HOOK_HOOK_MESSAGE_H
#define REHOME_HOOK_HOOK_MESSAGE_H

#include "hook/hook_operation.h"
#include "nveagent/domain_xml.h"

enum {
	HOOK_REPLY_SIZE_MAX = 4096, /* an ok, or one sentence */
	HOOK_TEXT_SIZE = 512,	    /* one line for the user */
};

/* A call of the hook, as libvirt makes it. */
struct hook_call {
	const char *object, *operation, *sub, *extra;
};

/*
 * Builds {"op":"hook",...} without a newline; the caller frees *ret_line with free(). Members that
 * the XML does not tell yet (bridge, tap) are left out. Returns 0 or -ENOMEM.
 */
int hook_message_build(const struct hook_call *call, const struct domain *domain, char **ret_line);

/*
 * Reads the agent's reply: READY, ERROR, REFUSE or GARBLED. @ret_text (HOOK_TEXT_SIZE bytes) is the
 * agent's own sentence, without control characters, or "" when it gave none.
 */
enum hook_answer hook_message_read(const char *reply, char *ret_text);

#endif
