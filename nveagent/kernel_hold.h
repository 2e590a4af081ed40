/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_hold.h - the queue of a forward device: it holds what comes, and lets it out in order
 * when it is told to. Internal to kernel_*.c.
 */
#ifndef REHOME_NVEAGENT_KERNEL_HOLD_H
#define REHOME_NVEAGENT_KERNEL_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/kernel.h"

enum {
	HOLD_PIECE_US_MAX = 8000, /* one piece, on a host that is overloaded; else a tenth of that */
};

struct kernel_hold;

/*
 * Gives the device @ifindex, which is not up yet, a queue that will hold. @own_mac: its own
 * address, for which its driver drops frames. A kernel without sch_tbf is no error: then nothing
 * is held. Returns 0 or a negative errno.
 */
int kernel_hold_new(struct kernel *kernel, uint32_t ifindex, struct mac own_mac,
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

struct kernel_hold_release {
	uint32_t grants; /* pieces it went in */
	uint32_t pushes; /* of them those that no arriving frame set off */
	uint64_t us;	 /* how long it took */
};

/*
 * Lets everything out in order; later frames follow. Returns 0 when the queue is empty and its frames
 * have left the host's backlogs; -EINPROGRESS when @budget_us were over before: call it again soon,
 * until it returns 0. It may take HOLD_PIECE_US_MAX more than the budget. Call it again after an
 * error, too.
 */
int kernel_hold_release(struct kernel_hold *hold, uint64_t budget_us);
struct kernel_hold_release kernel_hold_how(const struct kernel_hold *hold);

struct kernel_hold_counters {
	uint64_t dropped, queued_bytes;
	uint64_t fillers; /* frames of our own that were sent; the device counts each as a drop */
};
int kernel_hold_read(struct kernel_hold *hold, struct kernel_hold_counters *ret_counters);

#endif
