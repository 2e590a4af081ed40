/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_tc.h - the few traffic control objects we use: ingress filters, and a root queue that
 * holds. Internal to kernel_*.c.
 *
 * Filters are classic BPF programs (cls_bpf), which need neither bpf(2) nor act_gact: a
 * direct-action program drops by its return value. Ours have the preference TC_PREFERENCE, by which
 * they are found again.
 */
#ifndef REHOME_NVEAGENT_KERNEL_TC_H
#define REHOME_NVEAGENT_KERNEL_TC_H

#include <assert.h>
#include <stdbool.h>

#include "nveagent/kernel_netlink.h"

enum {
	TC_PREFERENCE = 0x7268,		  /* "rh"; lower ones, e.g. an operator's, run first */
	TC_PREFERENCE_LAST = 0x7269,	  /* of tc_drop_all() */
	TC_QUEUE_HANDLE = 0x7268 << 16,
	TC_QUEUE_BYTES_MAX = 64 << 20,	     /* held frames: 50 ms of 10 Gbit/s */
	/* longest frame held: GSO without BIG TCP is below 64 KiB; longer bundles are cut */
	TC_QUEUE_FRAME_SIZE_MAX = 128 << 10,
};

/*
 * What is needed to undo a redirect after a crash; stored in the action's cookie (TCA_ACT_COOKIE,
 * 16 bytes at most).
 */
struct tc_cookie {
	char magic[4];		/* TC_COOKIE_GUARD, or another's */
	uint32_t target;	/* ifindex */
	uint8_t flood;		/* bit i: enum link_flood i was on */
	uint8_t ipv6;		/* 1: the target had IPv6 on */
	uint8_t steered;	/* 1: all flows are steered to the target's first queue */
	uint8_t reserved[5];
};
static_assert(sizeof(struct tc_cookie) == 16, "TC_COOKIE_MAX_SIZE of the kernel is 16");
#define TC_COOKIE_GUARD "rhg1"

/* A filter of ours on a device's ingress, as found. */
struct tc_filter {
	uint32_t handle;
	struct tc_cookie cookie; /* all zero when it has none of ours */
};

/*
 * Makes the clsact qdisc of a device. *ret_made is false when there was one (or an ingress qdisc)
 * already.
 *
 * Making or removing one interrupts the device: for a few milliseconds it drops what it should send
 * (net/sched/sch_api.c, qdisc_graft(), dev_deactivate()). So it is made before traffic flows, and
 * stays, empty, as long as the device.
 */
int tc_clsact_ensure(struct kernel *kernel, uint32_t ifindex, bool *ret_made);
/* Removes it when no filter is left on its ingress and egress. */
int tc_clsact_remove_if_empty(struct kernel *kernel, uint32_t ifindex);

/* Drops everything that comes in by @ifindex and that no redirect of ours took. */
int tc_drop_all(struct kernel *kernel, uint32_t ifindex);
/* Drops RARP, and what has another source address than @mac; leaves the rest to later filters. */
int tc_drop_strangers(struct kernel *kernel, uint32_t ifindex, uint32_t handle, struct mac mac);
/*
 * Sends what comes in for @mac out of cookie->target, and tells no later filter. Makes the clsact
 * qdisc when there is none. -EEXIST: the handle is in use; nothing changed.
 */
int tc_redirect(struct kernel *kernel, uint32_t ifindex, uint32_t handle, struct mac mac,
		struct tc_cookie *cookie);
/* 0 also when the filter, the qdisc or the device is gone. */
int tc_filter_remove(struct kernel *kernel, uint32_t ifindex, uint32_t handle);
/* Calls @each for every filter of ours on the ingress of @ifindex. */
int tc_filter_each(struct kernel *kernel, uint32_t ifindex,
		   int (*each)(void *userdata, const struct tc_filter *filter), void *userdata);

/*
 * A root queue (sch_tbf): tokens come at @rate into a bucket of @burst + @overhead, and a frame
 * takes its size + @overhead. tc_queue_build() makes it (@make) or changes it; a change keeps what
 * is in it, and fills the bucket.
 */
struct tc_queue {
	uint64_t rate;		/* bytes/s */
	uint16_t overhead;	/* bytes */
	/* bytes; a frame that is longer is cut when it is a bundle (tbf_segment()), else dropped */
	uint32_t burst;
};
int tc_queue_build(uint32_t ifindex, bool make, const struct tc_queue *queue,
		   struct nl_msg **ret_message);
struct tc_queue_counters {
	uint64_t dropped, queued_bytes;
	uint32_t queued, sent;	/* packets */
};
/* -ENODATA when there is no such queue. */
int tc_queue_read(struct kernel *kernel, uint32_t ifindex, struct tc_queue_counters *ret_counters);

#endif
