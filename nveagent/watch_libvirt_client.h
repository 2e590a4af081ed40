/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_libvirt_client.h - what those files of watch_libvirt.h share that know libvirt. */
#ifndef REHOME_NVEAGENT_WATCH_LIBVIRT_CLIENT_H
#define REHOME_NVEAGENT_WATCH_LIBVIRT_CLIENT_H

#include <libvirt/libvirt.h>

#include "nveagent/watch_libvirt_internal.h"

/* --- watch_libvirt_events.c: the callbacks of one connection --- */

enum {
	LIBVIRT_REGISTRATIONS = 4,
};
struct libvirt_registrations {
	int ids[LIBVIRT_REGISTRATIONS]; /* -1: not registered */
	bool close_callback;
};
/*
 * Returns 0, or -EIO with libvirt's last error set. What was registered must be taken back in
 * either case.
 */
int libvirt_events_register(struct libvirt_shared *shared, virConnectPtr connection,
			    struct libvirt_registrations *registrations);
void libvirt_events_deregister(virConnectPtr connection,
			       struct libvirt_registrations *registrations);

/* --- watch_libvirt_ask.c: calls about one domain; they wait for libvirtd --- */

struct libvirt_answer {
	bool valid; /* libvirt answered all we need; nothing may be told otherwise */
	enum libvirt_domain_state state;
	bool migrating_out;
	const char *name;      /* borrowed from the virDomainPtr; NULL: no such domain */
	struct domain *domain; /* owned; needed unless STOPPED */
};

/* When to ask for the domain's job, which can wait for QEMU's monitor. */
enum libvirt_ask_job {
	LIBVIRT_ASK_JOB_NEVER,
	LIBVIRT_ASK_JOB_IF_PAUSED,
	LIBVIRT_ASK_JOB_ALWAYS,
};

/* The answer's name lives as long as @domain. */
struct libvirt_answer libvirt_ask(virDomainPtr domain, enum libvirt_ask_job job);
/*
 * True when the last call failed because there is no such domain; a broken connection must not look
 * like that.
 */
bool libvirt_no_such_domain(void);
/* Has QEMU announce itself; taints the domain. A failure is logged at debug level. */
void libvirt_announce(virDomainPtr domain);
/*
 * Asks QEMU where a NIC's receive ring is; taints the domain. Returns 0, an error of
 * ring_search_answer(), or -EIO when libvirt or QEMU refused; logged at debug level.
 */
int libvirt_find_ring(virDomainPtr domain, struct mac mac, struct guest_ring_place *ret_place);

#endif
