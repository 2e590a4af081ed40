/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swallowed.h - which frames QEMU took from its tap and never gave to its guest.
 *
 * Theory of operation
 *
 * When a VM stops, QEMU (net/tap.c, net/net.c, net/queue.c; 7.2) goes on reading its tap in three
 * phases:
 *
 *   runstate set ──── vCPUs stop ──── handlers told ── STOP sent ─────────────▶ time
 *        A: the first frame read          B: each frame read from here on has
 *        is queued, reading pauses,       no guest to go to: queued or purged,
 *        the handlers purge it            never delivered
 *
 * So of the frames that left by the tap and are not in its ring any more
 *   - those that left after STOP (QEMU's own timestamp, same clock) are certainly lost to the
 *     guest;
 *   - of those before, only the last one per queue can have been read in phase A. Whether it was
 *     cannot be seen from
 *     outside: it is sent again (at least once rather than at most once), and counted as
 *     doubtful. A frame older than
 *     SWALLOWED_DOUBT_US was read long before any phase A.
 *
 * Measured with 1,000 packets/s on a busy host: 1 to 4 frames per move, always these.
 */
#ifndef REHOME_NVEAGENT_SWALLOWED_H
#define REHOME_NVEAGENT_SWALLOWED_H

#include <stddef.h>
#include <stdint.h>

#include "nveagent/parked.h"
#include "nveagent/tail.h"

enum {
	SWALLOWED_DOUBT_US = 100000,	/* vCPUs take no longer to stop */
	SWALLOWED_MAX = 4096,		/* frames looked at; QEMU reads a handful */
};

struct swallowed_counters {
	uint64_t certain, doubtful;
};

/*
 * Puts the frames that QEMU swallowed in front of @parked, which holds what was in the tap's
 * ring, in order.
 * @tail: settled, of the tap. @stopped_us: QEMU's timestamp of STOP, CLOCK_REALTIME. @until_us:
 * frames that left by the tap from
 * then on do not count, because they may still be in its queue. @queues: of the tap.
 * Returns 0, or -ENOSPC, -ENOMEM: then @parked is as before.
 */
int swallowed_recover(const struct tail *tail, uint64_t stopped_us, uint64_t until_us, size_t queues,
		      struct parked *parked, struct swallowed_counters *ret_counters);

#endif
