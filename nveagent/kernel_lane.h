/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_lane.h - a device that carries one MAC to its new NVE, with a queue that can hold.
 * Internal to kernel_*.c.
 */
#ifndef REHOME_NVEAGENT_KERNEL_LANE_H
#define REHOME_NVEAGENT_KERNEL_LANE_H

#include "nveagent/kernel_hold.h"
#include "nveagent/kernel_netlink.h"

enum {
	KERNEL_LANES_MAX = 2048,  /* on one host; two for each MAC in flight */
	FORWARD_UDP_PORT = 14789, /* of the lanes themselves; nothing is sent to or taken from it */
	FORWARD_SOURCE_PORT =
		49152, /* first of the dynamic ports: RFC 7348 section 5, RFC 6335 section 6 */
};

/* True for the name and the address of a device that kernel_lane_new() made, in whatever life. */
bool kernel_lane_is_ours(const char *name, struct mac mac);

struct kernel_lane;

/*
 * Makes the device with its entry to @new_vtep and, where the kernel has sch_tbf, its held queue.
 * Nothing is sent to it yet. @twin: another lane of the same MAC, or NULL.
 * -EADDRINUSE: a program that is not ours holds FORWARD_UDP_PORT. -EMFILE: KERNEL_LANES_MAX are
 * there.
 */
int kernel_lane_new(struct kernel *kernel, const struct vni_devices *devices, struct mac mac,
		    struct ip new_vtep, const struct kernel_lane *twin,
		    struct kernel_lane **ret_lane);
struct kernel_lane *kernel_lane_free(struct kernel_lane *lane); /* removes the device */
DEFINE_CLEANUP(struct kernel_lane, kernel_lane_free)

/* Takes over a lane of an earlier life, as if it held. 0 or a negative errno: the device stays. */
int kernel_lane_adopt(struct kernel *kernel, const struct vni_devices *devices, struct mac mac,
		      struct ip new_vtep, uint32_t ifindex, struct kernel_lane **ret_lane);
/* The device stays as it is, for kernel_lane_adopt(). Accepts NULL. */
struct kernel_lane *kernel_lane_leave(struct kernel_lane *lane);

uint32_t kernel_lane_ifindex(const struct kernel_lane *lane);
struct kernel_hold *kernel_lane_hold(struct kernel_lane *lane);

/*
 * The bridge's entry: MAC -> the lane, sticky and ours. Prepared by kernel_lane_new(); one system
 * call.
 */
int kernel_lane_take(struct kernel_lane *lane);
/*
 * The same for any port: how many of @messages (KERNEL_FDB_MESSAGES_MAX) were built, or an errno.
 */
int kernel_lane_build_entry(struct mac mac, uint32_t ifindex, struct nl_msg **messages);
int kernel_lane_send_entry(struct kernel *kernel, struct nl_msg *const *messages, int count);

/* Turns the lane round: what leaves it comes back in by it and goes out of @tap_ifindex. */
int kernel_lane_turn_back(struct kernel_lane *lane, uint32_t tap_ifindex);

struct kernel_lane_counters {
	uint64_t sent, dropped, queued, queued_bytes; /* packets, and bytes of those that wait */
};
int kernel_lane_read(struct kernel_lane *lane, struct kernel_lane_counters *ret_counters);

#endif
