/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h - the NVA's control socket: one JSON object per line, one line back for each.
 *
 *   {"op":"status"}              -> {"ok":true, "name":..., "nves":[...], "vnis":[...],
 *                                   "counters":{...}, "store":{...}}
 *   {"op":"mappings","vni":100}  -> {"ok":true, "mappings":[...]}; without "vni": of all VNIs
 *   {"op":"reassign","vni":100,"mac":"...","to":"hv2"}, or with "vm" for "mac"; "dry_run":true
 *                                -> {"ok":true, "mappings":[...]}, once that is durable
 *   {"op":"export"}              -> an export (control_transfer.h), after which it closes
 *   {"op":"import"}              -> {"ok":true}; then the lines of an export, and one answer to
 *                                   all of them: {"ok":true, "taken":..., "kept":...}
 *   anything else                -> {"ok":false, "error":"..."}; so is, unasked, what a client
 *                                   over the cap is told
 */
#ifndef REHOME_NVA_CONTROL_H
#define REHOME_NVA_CONTROL_H

#include <event2/event.h>

#include "common/cleanup.h"
#include "nva/directory.h"
#include "nva/store.h"

enum {
	CONTROL_CLIENTS_MAX = 16,
	CONTROL_LINE_MAX = 4096,
	CONTROL_INPUT_MAX = 2 * CONTROL_LINE_MAX, /* read ahead of the line that is answered */
	CONTROL_OUTPUT_PAUSE = 1 << 20,	/* bytes; who does not read its answers is not read from */
};

struct control;

/* What the operator's requests are about. */
struct control_subject {
	struct directory *directory; /* borrowed */
	const struct store *store;   /* borrowed; NULL: none */
	/* Something has changed: tells everybody, and returns the ticket of it. */
	uint64_t (*changed)(void *userdata);
	directory_about *about;
	void *userdata;
};

/*
 * Listens at @path, which is removed at the end. Returns 0, an error of unix_socket_listen(), or
 * -ENOMEM.
 */
int control_new(struct event_base *base, const char *path, const struct control_subject *subject,
		struct control **ret_control);
/* Everything up to @ticket is durable, and may be answered. */
void control_release(struct control *control, uint64_t ticket);
/*
 * @directory takes the place of the one before. What waits to be answered about that fails, with
 * @text.
 */
void control_change(struct control *control, struct directory *directory, const char *text);
struct control *control_free(struct control *control);
DEFINE_CLEANUP(struct control, control_free)

#endif
