/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt.h - what libvirt and, through it, QEMU say about the VMs of this host.
 *
 * Theory of operation
 *
 *   libvirtd --events--> events thread --\
 *                                         queue, eventfd --> agent's thread: the callbacks below
 *   libvirtd <--calls--> calls thread ---/
 *
 * libvirt's client calls block: a connection to a hung libvirtd, a domain's XML behind a busy job.
 * The agent must react to STOP within a millisecond, so the thread that runs libvirt's event loop
 * makes no call at all, and a second thread makes them all: connecting, listing, asking for a
 * domain's XML. Both hand values over through one queue.
 *
 * What a caller may rely on
 *   - Callbacks run on the agent's thread, out of its loop, and may free the watch.
 *   - qemu() comes in the order in which QEMU spoke.
 *   - domain() never contradicts a qemu() before it: what a call read before a STOP or RESUME
 *     arrived is corrected.
 *   - A domain that vanished while libvirtd was away is told as STOPPED before resynced().
 *   - When the connection is lost the watch connects again by itself, then lists all domains again.
 */
#ifndef REHOME_NVEAGENT_WATCH_LIBVIRT_H
#define REHOME_NVEAGENT_WATCH_LIBVIRT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "net/uuid.h"
#include "nveagent/domain_xml.h"
#include "nveagent/guest_ring.h"
#include "nveagent/loop.h"
#include "qmp/event.h"

enum {
	/* Events that wait for the agent's thread; over it they are dropped, and all is listed. */
	WATCH_LIBVIRT_QUEUE_MAX = 4096,
	WATCH_LIBVIRT_DOMAINS_MAX = 4096, /* of one host */
	WATCH_LIBVIRT_RINGS_MAX = 64,	  /* to be found; each takes some milliseconds */
	/* Between two attempts to connect: doubled after each that failed, up to the second. */
	WATCH_LIBVIRT_RETRY_MIN_MS = 100,
	WATCH_LIBVIRT_RETRY_MAX_MS = 2000,
	/* A libvirtd that answers nothing for (COUNT + 1) of these is taken for dead. */
	WATCH_LIBVIRT_KEEPALIVE_S = 5,
	WATCH_LIBVIRT_KEEPALIVE_COUNT = 3,
	WATCH_LIBVIRT_STOP_S = 2, /* how long libvirt_watch_free() waits for a call to return */
};

enum libvirt_domain_state {
	LIBVIRT_DOMAIN_RUNNING,
	LIBVIRT_DOMAIN_PAUSED,	 /* vCPUs stopped, whoever asked for it */
	LIBVIRT_DOMAIN_INCOMING, /* paused because a migration into this host is under way */
	LIBVIRT_DOMAIN_STOPPED,	 /* no QEMU any more */
	LIBVIRT_DOMAIN_STATE_COUNT,
};
const char *libvirt_domain_state_name(enum libvirt_domain_state state);

struct libvirt_watch_events {
	/*
	 * Connected (true, @reason NULL) or lost. After true every active domain is told through
	 * domain(), then resynced(). Lost is also told before the first success, and again when the
	 * reason changes. When more than WATCH_LIBVIRT_QUEUE_MAX events waited, they are dropped
	 * and lost, then connected, is told in their place.
	 */
	void (*connected)(void *userdata, bool connected, const char *reason);
	/*
	 * A domain's state and devices, after a lifecycle event, a NIC plugged or unplugged, a
	 * refresh, and in a listing.
	 * @domain: borrowed; for STOPPED only name and uuid count, and after
	 * libvirt_watch_refresh() of a VM that libvirt does not know the name is "".
	 * @migrating_out: a live migration out of this host is under way (from the job's
	 * statistics, which can wait for QEMU's monitor: only asked in a listing, and for a paused
	 * domain of which QEMU has said nothing yet).
	 */
	void (*domain)(void *userdata, const struct domain *domain, enum libvirt_domain_state state,
		       bool migrating_out);
	void (*resynced)(void *userdata);
	/* A QEMU monitor event of the kinds of qmp/event.h, with QEMU's timestamp. */
	void (*qemu)(void *userdata, struct uuid vm, const struct qmp_event *event);
	/* What libvirt_watch_find_ring() found; it may find nothing, and say nothing. */
	void (*ring)(void *userdata, struct uuid vm, struct mac mac,
		     const struct guest_ring_place *place);
};

struct libvirt_watch;

/*
 * Starts the threads at once. @uri: copied. @events: all five callbacks; borrowed.
 * Returns 0, or
 *   -EBUSY  this process has a watch already: libvirt's event loop is one per process
 *   -ENOMEM, or what pthread_create(3) or eventfd(2) said
 */
int libvirt_watch_new(struct loop *loop, const char *uri, const struct libvirt_watch_events *events,
		      void *userdata, struct libvirt_watch **ret_watch);
/*
 * No callback comes any more. Stops the threads and waits for them, but no longer than
 * WATCH_LIBVIRT_STOP_S: one that is stuck in a call to a hung libvirtd releases what it holds when
 * the call returns. Accepts NULL.
 */
struct libvirt_watch *libvirt_watch_free(struct libvirt_watch *watch);
DEFINE_CLEANUP(struct libvirt_watch, libvirt_watch_free)

/*
 * Asks for a domain's state and devices again (as after a hook call); answered through domain(),
 * once connected. Never blocks. Returns 0, -ENOSPC over WATCH_LIBVIRT_DOMAINS_MAX, or -ENOMEM.
 */
int libvirt_watch_refresh(struct libvirt_watch *watch, struct uuid vm);

/*
 * Has QEMU send its self-announcement again (QMP announce-self, through libvirt's monitor
 * passthrough, which taints the domain: only done when the agent's configuration says so). Never
 * blocks; failures are only logged at debug level. Returns 0, -ENOTCONN while libvirtd is away, or
 * -ENOENT when no such domain is known.
 */
int libvirt_watch_announce(struct libvirt_watch *watch, struct uuid vm);

/*
 * Asks QEMU where the receive ring of the VM's NIC with that MAC is (ring_search.h), the same way,
 * on the same condition. Never blocks. Returns 0, -ENOTCONN, -ENOENT, or -ENOSPC when
 * WATCH_LIBVIRT_RINGS_MAX are wanted already.
 */
int libvirt_watch_find_ring(struct libvirt_watch *watch, struct uuid vm, struct mac mac);

#endif
