/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pace.h - when somebody who has a great number of kernel entries to make should let others have
 * the CPU, and for how long. Pure.
 *
 * Theory of operation
 *
 * The agent runs under SCHED_RR: while it goes from slice to slice, nobody else runs on its CPU.
 * The kernel leaves work to workers of the very CPU on which entries are made, and needs it done:
 *
 *   per-CPU memory   each new entry of a VXLAN device takes some, without waiting, for the route
 *                    that it remembers (vxlan_core.c, vxlan_fdb_append()). For some 200 entries it
 *                    is at hand; a worker makes more when it becomes scarce (mm/percpu.c,
 *                    pcpu_balance_workfn()), in some microseconds.
 *   hash tables      of the bridge's and the VXLAN device's entries are doubled by a worker, in up
 *                    to ten milliseconds (lib/rhashtable.c, rht_deferred_worker()). The other work
 *                    of that CPU waits behind it.
 *
 * Without per-CPU memory, an entry has no place for its route as long as it lives (Linux 6.18), or
 * is refused (6.1: ENOMEM); and the kernel looks through all its per-CPU memory in vain, interrupts
 * off: 20 us where an entry otherwise takes 2. A hundred thousand entries thus took two seconds and
 * a half, and four of five remembered no route.
 *
 * So there is a short rest after each PACE_WORK_US of work, which is enough for the memory. When a
 * change takes several times as long as it did, the workers are behind: each rest is twice as long
 * as the last one until it does not any more. What is urgent ends a rest (loop.h); a message of the
 * NVA about a move may wait for the longest one.
 */
#ifndef REHOME_NVEAGENT_PACE_H
#define REHOME_NVEAGENT_PACE_H

#include <stddef.h>
#include <stdint.h>

enum {
	PACE_WORK_US = 500, /* between two rests */
	PACE_REST_US = 100,
	PACE_REST_MAX_US = 1000, /* as long waits what is not urgent */
	PACE_SLOW = 3,		 /* times the usual: the kernel's workers are behind */
	PACE_FORGET = 64,	 /* measures; the usual time may have become longer by itself */
};

/* Begins zeroed. */
struct pace {
	uint64_t worked_us, changes; /* since the last rest */
	uint64_t usual_ns;	     /* of a change */
	uint64_t rest_us;	     /* the last one */
};

/* @changes have taken @us. Returns how long to rest now, in microseconds; 0: go on. */
uint64_t pace_worked(struct pace *pace, uint64_t us, size_t changes);

#endif
