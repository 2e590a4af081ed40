/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_forward.h - the forward device of one moving MAC; no netlink in this header. Internal to
 * kernel_*.c and inflight.c.
 */
#ifndef REHOME_NVEAGENT_KERNEL_FORWARD_H
#define REHOME_NVEAGENT_KERNEL_FORWARD_H

#include "nveagent/kernel.h"
#include "nveagent/kernel_hold.h"

enum {
	FORWARD_DEVICES_MAX = 1024,	/* MACs in flight at once on one host */
	FORWARD_UDP_PORT = 14789,	/* of the forward devices themselves; nothing is sent to or taken from it */
	FORWARD_SOURCE_PORT = 49152,	/* first of the dynamic ports: RFC 7348 section 5, RFC 6335 section 6 */
};

/* True for the name and the address of a device that kernel_forward_new() made, in whatever life. */
bool kernel_forward_is_ours(const char *name, struct mac mac);

struct kernel_forward;

/*
 * Makes the device with its entry to @new_vtep and, where the kernel has sch_tbf, its held queue.
 * Nothing is sent to it yet.
 * -EADDRINUSE: a program that is not ours holds FORWARD_UDP_PORT. -EMFILE: FORWARD_DEVICES_MAX
 * are there.
 */
int kernel_forward_new(struct kernel *kernel, const struct vni_devices *devices, struct mac mac, struct ip new_vtep,
		       struct kernel_forward **ret_forward);
struct kernel_forward *kernel_forward_free(struct kernel_forward *forward); /* removes the device */
DEFINE_CLEANUP(struct kernel_forward, kernel_forward_free)

uint32_t kernel_forward_ifindex(const struct kernel_forward *forward);
bool kernel_forward_holds(const struct kernel_forward *forward);

/*
 * The bridge's entry: MAC -> the forward device, sticky and ours. Prepared by
 * kernel_forward_new(); one system call.
 */
int kernel_forward_take(struct kernel_forward *forward);
/* kernel_hold_release() */
int kernel_forward_release(struct kernel_forward *forward, uint64_t budget_us);
/* The bridge's entry: MAC -> @tap_ifindex, sticky and ours. */
int kernel_forward_return(struct kernel_forward *forward, uint32_t tap_ifindex);
/*
 * Turns the device round: what leaves it comes back in by it and goes out of @tap_ifindex. For
 * what is held; before
 * kernel_forward_release().
 */
int kernel_forward_turn_back(struct kernel_forward *forward, uint32_t tap_ifindex);

struct kernel_forward_counters {
	uint64_t sent, dropped, queued_bytes;
	struct kernel_hold_release how; /* what was held was let out */
};
int kernel_forward_read(struct kernel_forward *forward, struct kernel_forward_counters *ret_counters);

#endif
