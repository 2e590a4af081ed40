/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_forward.h - what carries one moving MAC to its new NVE; no netlink in this header.
 * Internal to kernel_*.c and inflight.c.
 */
#ifndef REHOME_NVEAGENT_KERNEL_FORWARD_H
#define REHOME_NVEAGENT_KERNEL_FORWARD_H

#include "nveagent/kernel.h"

struct kernel_forward;

/*
 * Makes the devices. Nothing is sent to them yet. -EINVAL: @mac is zero or a group; -EAFNOSUPPORT:
 * @new_vtep is of another family than the VNI's VTEP; or what kernel_lane_new() says.
 */
int kernel_forward_new(struct kernel *kernel, const struct vni_devices *devices, struct mac mac,
		       struct ip new_vtep, struct kernel_forward **ret_forward);
struct kernel_forward *kernel_forward_free(struct kernel_forward *forward); /* removes them */
DEFINE_CLEANUP(struct kernel_forward, kernel_forward_free)

/*
 * Takes over what an earlier life left, as after kernel_forward_take(); what waits is still there,
 * in order. 0 or a negative errno: then the devices stay as they were.
 */
int kernel_forward_adopt(struct kernel *kernel, const struct vni_devices *devices,
			 const struct kernel_left *left, struct kernel_forward **ret_forward);
/* The devices stay, and go on as they are, for kernel_forward_adopt(). Accepts NULL. */
struct kernel_forward *kernel_forward_leave(struct kernel_forward *forward);

/* The device to send by what must come before everything that is held. */
uint32_t kernel_forward_ifindex(const struct kernel_forward *forward);
/* False: the kernel has no sch_tbf. */
bool kernel_forward_holds(const struct kernel_forward *forward);

/* From now on the bridge's frames for the MAC are held. One system call. */
int kernel_forward_take(struct kernel_forward *forward);
/*
 * What is held leaves in order; later frames follow. Returns 0 when it has left the host's
 * backlogs,
 * -EINPROGRESS when @budget_us were over before: call it again soon, until it returns 0. Call it
 * again
 * after an error, too. -ETIMEDOUT: the queue does not empty itself; frames may overtake now.
 */
int kernel_forward_release(struct kernel_forward *forward, uint64_t budget_us);
/* The bridge's entry: MAC -> @tap_ifindex, sticky and ours. */
int kernel_forward_return(struct kernel_forward *forward, uint32_t tap_ifindex);
/*
 * From now on what leaves goes out of @tap_ifindex. For what is held; before
 * kernel_forward_release().
 */
int kernel_forward_turn_back(struct kernel_forward *forward, uint32_t tap_ifindex);

struct kernel_forward_counters {
	uint64_t sent, dropped, queued, queued_bytes; /* packets, and bytes of those that wait */
	uint32_t rounds;     /* lanes that were emptied */
	uint64_t release_us; /* from the first call of kernel_forward_release() until it was done */
};
int kernel_forward_read(struct kernel_forward *forward,
			struct kernel_forward_counters *ret_counters);

#endif
