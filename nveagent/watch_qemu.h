/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_qemu.h - one QEMU without libvirt, through its QMP socket, on the agent's loop
 * (qmp/session.h does the protocol).
 */
#ifndef REHOME_NVEAGENT_WATCH_QEMU_H
#define REHOME_NVEAGENT_WATCH_QEMU_H

#include <stdbool.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/guest_ring.h"
#include "nveagent/loop.h"
#include "qmp/event.h"

enum {
	WATCH_QEMU_RETRY_MS = 500, /* between attempts while the socket is not there or broke off */
};

/* Any of these may free the watch. */
struct qemu_watch_events {
	/*
	 * After each (re)connection, once query-status is answered: @running, or @incoming (run
	 * state "inmigrate"), or neither (paused). Events that QEMU sent before that answer have
	 * been told before it.
	 */
	void (*status)(void *userdata, bool running, bool incoming);
	void (*event)(void *userdata, const struct qmp_event *event);
	/*
	 * A QEMU that was connected has ended: the connection is gone and nobody listens at its
	 * path any more. No more callbacks follow. A QEMU that was not there yet, or one whose
	 * monitor somebody else holds, is waited for without end.
	 */
	void (*gone)(void *userdata);
	/* What qemu_watch_find_ring() found; it may find nothing, and say nothing. */
	void (*ring)(void *userdata, const struct guest_ring_place *place);
};

struct qemu_watch;

/*
 * @path: copied. @events: all; borrowed. Connects, at once and again, by itself, from the
 * loop; switches the migration capability "events" on. QEMU serves one client per monitor: this
 * must be one of our own. Returns 0, -ENAMETOOLONG (unix(7)), or -ENOMEM.
 */
int qemu_watch_new(struct loop *loop, const char *path, const struct qemu_watch_events *events,
		   void *userdata, struct qemu_watch **ret_watch);
struct qemu_watch *qemu_watch_free(struct qemu_watch *watch);
DEFINE_CLEANUP(struct qemu_watch, qemu_watch_free)

/* Queues announce-self (QMP); 0, -ENOTCONN, or an error of qmp_session_command(). */
int qemu_watch_announce(struct qemu_watch *watch);

/*
 * Asks QEMU where the receive ring of its NIC with that MAC is (ring_search.h), anew if that was
 * being asked. 0, -ENOTCONN, -ENOMEM, or an error of qmp_session_command().
 */
int qemu_watch_find_ring(struct qemu_watch *watch, struct mac mac);

#endif
