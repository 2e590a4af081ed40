/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inflight_private.h - what inflight.c and inflight_recover.c share. */
#ifndef REHOME_NVEAGENT_INFLIGHT_PRIVATE_H
#define REHOME_NVEAGENT_INFLIGHT_PRIVATE_H

#include "nveagent/inflight.h"
#include "nveagent/parked.h"
#include "nveagent/tail.h"
#include "nveagent/tap_queue.h"

enum stage { STAGE_ARMED, STAGE_PARKED, STAGE_RELEASING, STAGE_FORWARDING, STAGE_RETURNED };

struct inflight {
	enum stage stage;
	struct mac mac;
	uint32_t tap_ifindex;  /* 0: gone when armed */
	struct kernel *kernel; /* borrowed */
	struct kernel_forward *forward;
	struct tap_queue *tap;	 /* NULL: nothing to pull */
	struct tail *tail;	 /* what the tap was given last; NULL: not known */
	struct guest_ring *ring; /* NULL: not known */
	bool recovered;		 /* and what QEMU swallowed of it has been parked */
	struct raw_port *port;	 /* on the forward device, past its queue */
	struct parked parked;
	uint64_t stopped_us;  /* CLOCK_REALTIME: QEMU's STOP */
	uint64_t drained_us;  /* CLOCK_REALTIME: when the tap's queue was last begun to be read */
	uint64_t emptied_us;  /* and when it was first found empty */
	uint64_t unlocked_us; /* and when QEMU's main loop could go on; 0: not known */
	uint64_t taken_us;    /* CLOCK_MONOTONIC of t0 */
	struct inflight_counters counters; /* our part; the kernel's is read when asked for */
};

/* The VM stands still, and may not for long: looks at its ring for the last time. */
void inflight_stop_ring(struct inflight *inflight);
/*
 * Adds what QEMU took from the tap, before @until_us (CLOCK_REALTIME), and threw away, in its place
 * among what is parked; once. @returning: to the guest here.
 */
void inflight_recover(struct inflight *inflight, uint64_t until_us, bool returning);

#endif
