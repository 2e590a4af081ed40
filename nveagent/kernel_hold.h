/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_hold.h - a device's queue that holds what comes until it is told to let it out. Internal
 * to kernel_*.c.
 */
#ifndef REHOME_NVEAGENT_KERNEL_HOLD_H
#define REHOME_NVEAGENT_KERNEL_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/kernel.h"

struct kernel_hold;

/*
 * Gives the device @ifindex, which is not up yet, a queue that will hold. @own_mac: its own
 * address, for which its driver drops frames. A kernel without sch_tbf is no error: then nothing
 * is held. Returns 0 or a negative errno.
 */
int kernel_hold_new(struct kernel *kernel, uint32_t ifindex, struct mac own_mac,
		    struct kernel_hold **ret_hold);
/*
 * The same for a device that is up and has its queue: of an earlier life, and taken to hold, with
 * whatever is in it. @gone: frames that the device has dropped so far, taken for fillers.
 */
int kernel_hold_adopt(struct kernel *kernel, uint32_t ifindex, struct mac own_mac, uint64_t gone,
		      struct kernel_hold **ret_hold);
/* The queue goes with its device. */
struct kernel_hold *kernel_hold_free(struct kernel_hold *hold);
DEFINE_CLEANUP(struct kernel_hold, kernel_hold_free)

/* What is below the device. */
struct hold_underlay {
	uint32_t mbit;	  /* Mbit/s; 0: not known */
	bool is_hardware; /* kernel_link_is_hardware() */
};

/* The device is up: from now on the queue holds. */
int kernel_hold_begin(struct kernel_hold *hold, struct hold_underlay underlay);
bool kernel_hold_holds(const struct kernel_hold *hold);

/* How many frames wait, while it holds. */
int kernel_hold_count(struct kernel_hold *hold, uint32_t *ret_frames);

/* From now on kernel_hold_await_empty() lets frames out; nothing new is to arrive. */
void kernel_hold_empty(struct kernel_hold *hold);
/*
 * Lets them out in order, on one CPU: stays on it until it returns something else than
 * -EINPROGRESS, which means that @deadline_us (CLOCK_MONOTONIC) came first. 0: the queue is empty,
 * and what it sent has left the host's backlogs; what still arrives passes. -ETIMEDOUT: nothing has
 * left it for HOLD_STUCK_US.
 */
int kernel_hold_await_empty(struct kernel_hold *hold, uint64_t deadline_us);
/* Holds again, what comes from now on. Does nothing to a queue that holds. */
int kernel_hold_again(struct kernel_hold *hold);

/* Everything passes from now on. Returns when the queue is empty, as kernel_hold_await_empty(). */
int kernel_hold_pass(struct kernel_hold *hold);

enum {
	HOLD_STUCK_US = 1000000,
};

struct kernel_hold_counters {
	uint64_t dropped, queued, queued_bytes; /* packets, and bytes of those that wait */
	uint64_t fillers; /* frames of our own that have left; the device counts each as a drop */
};
int kernel_hold_read(struct kernel_hold *hold, struct kernel_hold_counters *ret_counters);

#endif
