/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tap_steer.h - keeps all flows of a multi-queue tap in one queue while a VM arrives.
 *
 * Theory of operation
 *
 * The tun driver gives a frame to the queue from which the guest last sent in that flow, and to one
 * chosen by hash while it has not (tun_automq_select_queue() in drivers/net/tun.c). At a
 * destination it knows no flow. So what waited for the VM goes to a queue by hash; the guest
 * answers from the queue it has always used; and what comes next goes there and overtakes.
 * Measured: 9 of some 60 packets that had waited were overtaken.
 *
 * A steering program (TUNSETSTEERINGEBPF, Linux 4.16) that always says 0 prevents it. The driver
 * learns no flows meanwhile (tun_get_user()), so that each changes its queue once when the program
 * goes: that is better done when the guest has caught up.
 */
#ifndef REHOME_NVEAGENT_TAP_STEER_H
#define REHOME_NVEAGENT_TAP_STEER_H

#include <stdbool.h>

#include "common/cleanup.h"

struct tap_steer;

/*
 * Steers everything that is sent out of @tap, which some other process holds, to its first queue.
 * Returns 0 or a negative errno:
 *   -EBUSY  the process that holds the tap has BPF programs, perhaps one that steers: left alone
 *   -ENOENT, -EPERM  as tap_queue_open(); -EPERM also where bpf(2) is not allowed
 */
int tap_steer_new(const char *tap, struct tap_steer **ret_steer);

/* True while the first queue has frames that nobody has read yet. */
bool tap_steer_is_busy(const struct tap_steer *steer);

/* Leaves it to the driver again. */
struct tap_steer *tap_steer_free(struct tap_steer *steer);
DEFINE_CLEANUP(struct tap_steer, tap_steer_free)

/* The same for what an earlier life of the agent has set. 0 or as tap_steer_new(). */
int tap_steer_undo(const char *tap);

#endif
