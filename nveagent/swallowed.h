/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swallowed.h - which frames QEMU took from its tap and never gave to its guest.
 *
 * Theory of operation
 *
 * When a VM stops, QEMU (net/tap.c, net/net.c, net/queue.c, softmmu/cpus.c, migration/migration.c;
 * 7.2) goes on reading its tap, while the guest gets nothing any more:
 *
 *   runstate set ── vCPUs stop ── handlers told ── STOP sent ── lock released ──────▶ time
 *        A: the first frame read is              (nobody reads)      B: the first frame read is
 *        queued, reading pauses until                                queued; never delivered
 *        the handlers purge it
 *
 * The lock is QEMU's big one. The thread that migrates holds it from "vCPUs stop" until it pauses
 * before the switch-over, some milliseconds, or until the state is sent. Who empties the tap's
 * queue before that leaves nothing for B.
 *
 * So of the frames that left by the tap and are not in its queue any more
 *   - those that left after STOP (QEMU's own timestamp, same clock) are certainly lost to the
 *   guest;
 *   - so is one that is newer than a frame that was still in the queue: it was read in B, while the
 *     queue was being emptied (a guest that is behind has many there);
 *   - of the others only the newest ones can have been read in A or B: one per queue, two when the
 *     tap's queue was emptied after the lock was released, unless B's is one of the certain ones.
 *     Whether they were cannot be seen from outside: they are sent again (at least once rather than
 *     at most once), and counted as doubtful. A frame older by SWALLOWED_DOUBT_US than STOP, and
 *     than all that were still in the queue, was read long before any of that.
 * Where the guest's own receive ring can be read (guest_ring.h) there is no doubt: what the guest
 * was not given and is not in the tap's queue was swallowed, and nothing else.
 *
 * A guest whose receive ring is full makes QEMU queue a frame before STOP, which ends like one of
 * A.
 *
 * If the guest goes on here after all, QEMU delivers B first of all, before it reads its tap again
 * (virtio_net_set_status(), hw/net/virtio-net.c). So B must not be given back, and whatever is
 * older than B comes after it: A, and what we took from the tap's queue before QEMU took B. Nobody
 * can change that; only an empty queue when the lock is released avoids it. Which of the two a
 * single frame is, the guest's ring tells once more: B is the first element filled after the stop.
 *
 * Measured with 10,000 packets/s on a busy host, where STOP was heard after the lock had been
 * released in some moves: with one doubtful frame always, one packet lost in one of 20. With 20,000
 * packets/s of 1,400 bytes, hundreds of which waited in the queue at STOP: one read in B in 5 of 20
 * moves.
 */
#ifndef REHOME_NVEAGENT_SWALLOWED_H
#define REHOME_NVEAGENT_SWALLOWED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "nveagent/delivered.h"
#include "nveagent/parked.h"
#include "nveagent/tail.h"

enum {
	SWALLOWED_DOUBT_US = 100000,	/* vCPUs take no longer to stop */
	SWALLOWED_MAX = 4096,		/* frames recovered; QEMU reads a handful */
};

/* What is known of the stop. */
struct swallowed_case {
	struct mac mac;	     /* the VM's */
	uint64_t stopped_us; /* QEMU's timestamp of STOP, CLOCK_REALTIME */
	/*
	 * frames that left by the tap from then on do not count, because they may still be in its
	 * queue
	 */
	uint64_t until_us;
	size_t queues;	     /* of the tap */
	bool late;	     /* its queue was emptied after QEMU's lock was released */
	bool gaps;	     /* the tail may lack frames (tail_settle()) */
	bool exact;	     /* the guest's ring has told: */
	size_t undelivered;  /* of the newest frames, so many were not given to the guest */
	/* and this first, now that it goes on; NULL: not known */
	const struct delivered_witness *first_since;
};

struct swallowed_counters {
	uint64_t certain, doubtful;
	bool beyond; /* the tail does not reach back to all that was in the queue */
};

/*
 * Puts the frames that QEMU swallowed into @parked, which holds what was in the tap's queue, each
 * in its place (with several queues: in front).
 * @tail: settled, of the tap.
 * Returns 0, or -ENOSPC, -ENOMEM: then @parked is as before.
 */
int swallowed_recover(const struct tail *tail, const struct swallowed_case *what,
		      struct parked *parked, struct swallowed_counters *ret_counters);

#endif
