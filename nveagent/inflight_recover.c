/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inflight_recover.c - what QEMU took from the tap and never gave to its guest: watched for while
 * armed, found when all has been pulled. swallowed.h and guest_ring.h tell how it can be known.
 */
#include "nveagent/inflight_private.h"

#include <errno.h>
#include <time.h>

#include "common/clock.h"
#include "nveagent/guest_ring.h"
#include "nveagent/swallowed.h"

enum {
	UNLOCKED_US = 300, /* QEMU says so a moment after it released its lock */
	GO_ON_US = 5000,   /* from its word that the guest goes on until that has what QEMU kept */
	GO_ON_LOOK_US = 50,
};

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = GO_ON_LOOK_US * 1000 };

	(void) nanosleep(&pause, NULL);
}

/* swallowed.h tells why. Not knowing when QEMU's main loop went on is as bad as being late. */
static bool was_late(const struct inflight *inflight)
{
	return inflight->emptied_us + UNLOCKED_US >= inflight->unlocked_us;
}

void inflight_unlocked(struct inflight *inflight, uint64_t unlocked_us)
{
	if (!inflight->unlocked_us && inflight->stage == STAGE_PARKED)
		inflight->unlocked_us = unlocked_us;
}

/*
 * A stall of the whole host of 0.2 s, and the burst that follows, can fill the tail: what QEMU
 * swallowed is most likely still there, because it is older than what was in the tap's queue.
 */
static bool can_be_seen(int settled)
{
	return settled == 0 || settled == -ENOBUFS || settled == -ETIMEDOUT;
}

/* Asks the guest's ring, where it is known; the tail is settled. */
static void ask_ring(struct inflight *inflight, struct swallowed_case *what)
{
	struct inflight_counters *counters = &inflight->counters;
	uint64_t started = clock_monotonic_us();
	struct tail_frames frames = { 0 };
	int r;

	if (!inflight->ring)
		return;
	r = tail_list(inflight->tail, &frames);
	if (r == 0)
		r = guest_ring_undelivered(inflight->ring, &frames, inflight->mac,
					   &what->undelivered);
	tail_frames_clear(&frames);
	what->exact = counters->exact = r == 0;
	counters->ring_error = r;
	counters->judge_us = (uint32_t) (clock_monotonic_us() - started);
}

/*
 * The guest goes on here. What QEMU read when its lock was released it still has, and gives it to
 * the guest before it reads its tap again: what that was, if anything. False: not known.
 */
static bool see_what_was_kept(const struct inflight *inflight, struct delivered_witness *ret_first)
{
	uint64_t deadline = clock_monotonic_us() + GO_ON_US;
	int r = -ENOENT;

	while (inflight->ring && inflight->counters.exact && was_late(inflight)) {
		r = guest_ring_first_since(inflight->ring, ret_first);
		if (r != -EAGAIN || clock_monotonic_us() >= deadline)
			break;
		pause_briefly();
	}
	return r == 0;
}

void inflight_recover(struct inflight *inflight, uint64_t until_us, bool returning)
{
	struct inflight_counters *counters = &inflight->counters;
	struct swallowed_counters found = { 0 };
	struct delivered_witness first;
	struct swallowed_case what = {
		.mac = inflight->mac,
		.stopped_us = inflight->stopped_us,
		.until_us = until_us,
		.late = was_late(inflight),
	};
	int settled, r = 0;

	if (!inflight->tail || !inflight->stopped_us || inflight->recovered)
		return;
	what.queues = tap_queue_count(inflight->tap);
	settled = tail_settle(inflight->tail, inflight->stopped_us - SWALLOWED_DOUBT_US);
	if (can_be_seen(settled)) {
		what.gaps = settled < 0;
		if (settled != -ETIMEDOUT)
			ask_ring(inflight, &what);
		else if (inflight->ring)
			counters->ring_error = settled;
		if (returning && see_what_was_kept(inflight, &first))
			what.first_since = &first;
		r = swallowed_recover(inflight->tail, &what, &inflight->parked, &found);
	}
	counters->swallowed = found.certain;
	counters->doubtful = found.doubtful;
	if (found.beyond && settled == 0)
		settled = -ENOBUFS;
	if (r < 0 || settled < 0)
		counters->tap_error = r < 0 ? r : settled;
	/*
	 * It is closed at the end: closing a packet socket awaits an RCU grace period, and packets
	 * are waiting.
	 */
	inflight->recovered = true;
}

void inflight_know_ring(struct inflight *inflight, const struct guest_ring_place *place)
{
	int r;

	if (!inflight->tail || inflight->stage != STAGE_ARMED ||
	    tap_queue_count(inflight->tap) != 1 ||
	    (inflight->ring && guest_ring_is_at(inflight->ring, place)))
		return;
	inflight->ring = guest_ring_free(inflight->ring);
	r = guest_ring_open(tap_queue_owner(inflight->tap), place, &inflight->ring);
	if (r == 0)
		r = tail_widen(inflight->tail);
	if (r < 0)
		inflight->ring = guest_ring_free(inflight->ring);
	inflight->counters.ring_error = r;
}

uint64_t inflight_tend(struct inflight *inflight)
{
	bool armed = inflight->stage == STAGE_ARMED;
	uint64_t now;

	if (inflight->tail && armed)
		tail_trim(inflight->tail);
	if (!inflight->ring || !armed)
		return TAIL_TRIM_MS * UINT64_C(1000);
	now = clock_realtime_us();
	guest_ring_look(inflight->ring, now, !tap_queue_is_readable(inflight->tap));
	return GUEST_RING_LOOK_US;
}

void inflight_stop_ring(struct inflight *inflight)
{
	uint64_t started = clock_monotonic_us();

	if (!inflight->ring)
		return;
	guest_ring_stop(inflight->ring);
	inflight->counters.ring_us = (uint32_t) (clock_monotonic_us() - started);
}
