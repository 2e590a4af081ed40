/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_forward.c - holds what comes for a moving MAC, and lets it out in order while more comes.
 *
 * Theory of operation
 *
 * A queue is run by whichever CPU comes by: the one that lets it out, or one on which a frame
 * arrives for it. What one CPU has sent may still wait in that CPU's backlog (a virtual link) or
 * transmit queue (a network card) when another CPU runs the queue next, and the later frames
 * overtake the earlier ones. So a queue must not be emptied while frames arrive for it.
 *
 * Hence two lanes, devices with a held queue each (kernel_lane.c, kernel_hold.c). One is the
 * bridge's choice for the MAC; new frames wait there. To let out what it holds:
 *
 *   1. the bridge's entry is pointed at the other lane, which holds: new frames wait there,
 *   2. the first lane is emptied, on one CPU, as fast as what lies below can take it,
 *   3. all backlogs are awaited,
 *   4. and the two change their parts.
 *
 * While n frames leave, fewer come, so each round has fewer: 3,000, 200, 10. When LAST_FRAMES are
 * left, everything may pass, arriving frames too: only these few race with another CPU's next
 * frame, for the microseconds in which they are handed down.
 *
 * A frame that was looked up before 1. and arrives in the first lane late passes at once: it is
 * still before all that wait in the other one.
 *
 * Where the kernel has no sch_tbf there is one lane, and nothing is held.
 */
#include "nveagent/kernel_forward.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_lane.h"

enum {
	LANES = 2,
	LAST_FRAMES = 2,
	ROUNDS_MAX = 16, /* if frames come as fast as they leave it never ends: then all may pass */
};

/* ADOPTED: the lane that is not the bridge's choice may have frames that are older. */
enum phase { PHASE_HOLDING, PHASE_EMPTYING, PHASE_PASSING, PHASE_ADOPTED };

struct kernel_forward {
	struct kernel *kernel; /* borrowed */
	struct mac mac;
	struct kernel_lane *lanes[LANES]; /* the second one is NULL where nothing is held */
	unsigned active;		  /* the bridge's choice */
	enum phase phase;
	uint32_t rounds;
	uint64_t started_us; /* CLOCK_MONOTONIC of the first release; 0: none yet */
	uint64_t release_us;
};

static int make_lanes(struct kernel_forward *forward, const struct vni_devices *devices,
		      struct ip new_vtep)
{
	int r = kernel_lane_new(forward->kernel, devices, forward->mac, new_vtep, NULL,
				&forward->lanes[0]);

	if (r < 0)
		return r;
	if (!kernel_hold_holds(kernel_lane_hold(forward->lanes[0]))) {
		forward->phase = PHASE_PASSING;
		return 0;
	}
	return kernel_lane_new(forward->kernel, devices, forward->mac, new_vtep, forward->lanes[0],
			       &forward->lanes[1]);
}

int kernel_forward_new(struct kernel *kernel, const struct vni_devices *devices, struct mac mac,
		       struct ip new_vtep, struct kernel_forward **ret_forward)
{
	_cleanup_(kernel_forward_freep) struct kernel_forward *forward =
		calloc(1, sizeof(*forward));
	int r;

	if (!forward)
		return -ENOMEM;
	if (mac_is_zero(mac) || mac_is_group(mac))
		return -EINVAL;
	if (new_vtep.family != devices->vtep.family)
		return -EAFNOSUPPORT;

	forward->kernel = kernel;
	forward->mac = mac;
	r = make_lanes(forward, devices, new_vtep);
	if (r < 0)
		return r;
	*ret_forward = TAKE_PTR(forward);
	return 0;
}

static int adopt_lanes(struct kernel_forward *forward, const struct vni_devices *devices,
		       const struct kernel_left *left)
{
	int r = 0;

	for (int i = 0; i < LANES && left->lanes[i] && r == 0; i++)
		r = kernel_lane_adopt(forward->kernel, devices, left->mac, left->new_vtep,
				      left->lanes[i], &forward->lanes[i]);
	return r;
}

int kernel_forward_adopt(struct kernel *kernel, const struct vni_devices *devices,
			 const struct kernel_left *left, struct kernel_forward **ret_forward)
{
	struct kernel_forward *forward = calloc(1, sizeof(*forward));
	int r;

	if (!forward)
		return -ENOMEM;
	forward->kernel = kernel;
	forward->mac = left->mac;
	r = adopt_lanes(forward, devices, left);
	if (r < 0) {
		(void) kernel_forward_leave(forward);
		return r;
	}
	forward->phase = forward->lanes[1] ? PHASE_ADOPTED : PHASE_PASSING;
	*ret_forward = forward;
	return 0;
}

struct kernel_forward *kernel_forward_leave(struct kernel_forward *forward)
{
	for (int i = 0; forward && i < LANES; i++)
		forward->lanes[i] = kernel_lane_leave(forward->lanes[i]);
	return kernel_forward_free(forward);
}

struct kernel_forward *kernel_forward_free(struct kernel_forward *forward)
{
	if (!forward)
		return NULL;

	for (int i = 0; i < LANES; i++)
		kernel_lane_free(forward->lanes[i]);
	free(forward);
	return NULL;
}

uint32_t kernel_forward_ifindex(const struct kernel_forward *forward)
{
	return kernel_lane_ifindex(forward->lanes[0]);
}

bool kernel_forward_holds(const struct kernel_forward *forward)
{
	return forward->lanes[1] != NULL;
}

int kernel_forward_take(struct kernel_forward *forward)
{
	return kernel_lane_take(forward->lanes[forward->active]);
}

int kernel_forward_return(struct kernel_forward *forward, uint32_t tap_ifindex)
{
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX];
	int count = kernel_lane_build_entry(forward->mac, tap_ifindex, messages);
	int r = count < 0 ? count : kernel_lane_send_entry(forward->kernel, messages, count);

	for (int i = 0; i < count; i++)
		nlmsg_free(messages[i]);
	return r;
}

int kernel_forward_turn_back(struct kernel_forward *forward, uint32_t tap_ifindex)
{
	int r = 0;

	for (int i = 0; i < LANES && forward->lanes[i] && r == 0; i++)
		r = kernel_lane_turn_back(forward->lanes[i], tap_ifindex);
	return r;
}

/* --- releasing --- */

static struct kernel_hold *hold_of(const struct kernel_forward *forward, unsigned lane)
{
	return kernel_lane_hold(forward->lanes[lane]);
}

/* 1., and the beginning of 2.; or, with as good as nothing left, the end. */
static int begin_round(struct kernel_forward *forward)
{
	unsigned full = forward->active, other = LANES - 1 - full;
	uint32_t queued;
	int r = kernel_hold_count(hold_of(forward, full), &queued);

	if (r == 0 && (queued <= LAST_FRAMES || forward->rounds == ROUNDS_MAX)) {
		r = kernel_hold_pass(hold_of(forward, full));
		if (r == 0)
			forward->phase = PHASE_PASSING;
		return r;
	}

	if (r == 0)
		r = kernel_hold_again(hold_of(forward, other));
	if (r == 0)
		r = kernel_lane_take(forward->lanes[other]);
	if (r < 0)
		return r;
	forward->active = other;
	forward->phase = PHASE_EMPTYING;
	kernel_hold_empty(hold_of(forward, full));
	return 0;
}

/* The rest of 2., and 3. */
static int end_round(struct kernel_forward *forward, uint64_t deadline_us)
{
	int r = kernel_hold_await_empty(hold_of(forward, LANES - 1 - forward->active), deadline_us);

	if (r == 0) {
		forward->rounds++;
		forward->phase = PHASE_HOLDING;
	}
	return r;
}

/* As if it had been switched from just now. */
static int begin_adopted(struct kernel_forward *forward)
{
	kernel_hold_empty(hold_of(forward, LANES - 1 - forward->active));
	forward->phase = PHASE_EMPTYING;
	return 0;
}

static int release(struct kernel_forward *forward, uint64_t deadline_us)
{
	int r = 0;

	while (r == 0 && forward->phase != PHASE_PASSING) {
		switch (forward->phase) {
		case PHASE_ADOPTED:
			r = begin_adopted(forward);
			break;
		case PHASE_HOLDING:
			r = begin_round(forward);
			break;
		case PHASE_EMPTYING:
			r = end_round(forward, deadline_us);
			break;
		case PHASE_PASSING:
			break;
		}
	}
	return r;
}

int kernel_forward_release(struct kernel_forward *forward, uint64_t budget_us)
{
	uint64_t now = clock_monotonic_us();
	int r;

	if (forward->phase == PHASE_PASSING)
		return 0;
	if (!forward->started_us)
		forward->started_us = now;
	r = release(forward, now + budget_us);
	forward->release_us = clock_monotonic_us() - forward->started_us;
	return r;
}

int kernel_forward_read(struct kernel_forward *forward,
			struct kernel_forward_counters *ret_counters)
{
	struct kernel_forward_counters sum = {
		.rounds = forward->rounds,
		.release_us = forward->release_us,
	};

	for (int i = 0; i < LANES && forward->lanes[i]; i++) {
		struct kernel_lane_counters counters;
		int r = kernel_lane_read(forward->lanes[i], &counters);

		if (r < 0)
			return r;
		sum.sent += counters.sent;
		sum.dropped += counters.dropped;
		sum.queued += counters.queued;
		sum.queued_bytes += counters.queued_bytes;
	}
	*ret_counters = sum;
	return 0;
}
