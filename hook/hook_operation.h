/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook_operation.h - what each of libvirt's hook operations means to us, and the one decision the
 * hook makes. Pure.
 *
 * Source of the operations: libvirt docs/hooks.rst, "/etc/libvirt/hooks/qemu", and
 * src/util/virhook.c.
 */
#ifndef REHOME_HOOK_HOOK_OPERATION_H
#define REHOME_HOOK_HOOK_OPERATION_H

#include <stdbool.h>
#include <stddef.h>

struct hook_operation {
	const char *name;
	bool carries_xml;    /* libvirt writes the domain XML to our stdin */
	bool tells_agent;    /* the agent wants to know */
	bool may_refuse;     /* a failing hook ends the operation and harms no running guest */
	const char *comment; /* when libvirt calls it, and what our failing would do */
};

/* The table of all operations. */
extern const struct hook_operation hook_operations[];
extern const size_t hook_operation_count;

/*
 * NULL for an operation that this table does not know: a newer libvirt's. Such a call succeeds and
 * is told to nobody.
 */
const struct hook_operation *hook_operation_find(const char *name);

/* What came of telling the agent. */
enum hook_answer {
	HOOK_ANSWER_READY,   /* it said ok */
	HOOK_ANSWER_ERROR,   /* it said something went wrong, but not that the VM must stay away */
	HOOK_ANSWER_REFUSE,  /* it said this host is not ready for this VM */
	HOOK_ANSWER_AWAY,    /* nobody answers at the socket, or the connection was closed */
	HOOK_ANSWER_SILENT,  /* no reply before the deadline */
	HOOK_ANSWER_GARBLED, /* a reply that is not of our protocol */
	HOOK_ANSWER_UNASKED, /* the domain XML could not be read, so there was nothing to ask */
	HOOK_ANSWER_COUNT,
};
const char *hook_answer_name(enum hook_answer answer);

/*
 * True when the hook must fail. Only with @require_agent, only for an operation that may refuse,
 * and only when @answer does not show that an agent here has taken the VM on. @operation may be
 * NULL (unknown).
 */
bool hook_refuses(const struct hook_operation *operation, enum hook_answer answer,
		  bool require_agent);

#endif
