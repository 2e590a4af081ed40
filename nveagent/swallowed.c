/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/swallowed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* A frame of B that came after STOP is certain, and leaves only one of A in doubt. */
static size_t doubts_max(const struct swallowed_case *what,
			 const struct swallowed_counters *counters)
{
	return what->late && counters->certain == 0 ? 2 * what->queues : what->queues;
}

/* What was in the tap's queue, newest first, each to be found once. */
struct ring {
	struct parked_frame *frames;
	bool *found;
	size_t count;
	bool gaps;	    /* the tail may lack some of them; they are in its order */
	size_t next;	    /* behind the one found last: the likely one */
	size_t to_find;	    /* of those that the tail has, too */
	uint64_t oldest_us; /* when the oldest one found left by the tap */
	size_t place; /* in the order they were parked: of the one found last; count before that */
};

/* A frame that QEMU swallowed. */
struct missing {
	size_t age;   /* in the tail */
	size_t place; /* it belongs in front of the parked frame of that number */
	bool in_qemu; /* read in B, and so in QEMU's own queue */
};

static void ring_clear(struct ring *ring)
{
	free(ring->frames);
	free(ring->found);
}

static bool is_group(const struct parked_frame *frame)
{
	return frame->data[0] & 1; /* IEEE 802 section 8.2.2 */
}

static int ring_of(const struct parked *parked, bool gaps, struct ring *ring)
{
	size_t at = 0, i = parked->count;

	*ring = (struct ring){
		.frames = calloc(parked->count + 1, sizeof(*ring->frames)),
		.found = calloc(parked->count + 1, sizeof(*ring->found)),
		.count = parked->count,
		.gaps = gaps,
		.place = parked->count,
		.oldest_us = UINT64_MAX,
	};
	if (!ring->frames || !ring->found)
		return -ENOMEM;
	while (i > 0 && parked_next(parked, &at, &ring->frames[i - 1]))
		ring->to_find += !is_group(&ring->frames[--i]);
	return 0;
}

static bool is_that(const struct ring *ring, size_t i, const struct tail_frame *frame)
{
	const struct parked_frame *candidate = &ring->frames[i];

	return !ring->found[i] && candidate->size == frame->size &&
	       memcmp(candidate->data, frame->data, frame->size) == 0;
}

static void settle(struct ring *ring, size_t i)
{
	ring->to_find -= !ring->found[i] && !is_group(&ring->frames[i]);
	ring->found[i] = true;
}

/*
 * True when @frame was still in the ring. With one queue it is the next one, but behind a gap in
 * the tail: the frames in between are not to be found there.
 */
static bool ring_take(struct ring *ring, const struct tail_frame *frame)
{
	for (size_t n = 0; n < ring->count; n++) {
		size_t i = (ring->next + n) % ring->count;

		if (!is_that(ring, i, frame))
			continue;
		for (size_t skipped = ring->next; ring->gaps && skipped < i; skipped++)
			settle(ring, skipped);
		settle(ring, i);
		ring->next = i + 1;
		ring->place = ring->count - 1 - i;
		ring->oldest_us = frame->at_us;
		return true;
	}
	return false;
}

/* QEMU reads one frame in B; older ones were still in the queue then. */
static bool read_amid_queue(const struct swallowed_case *what, const struct ring *ring,
			    const struct swallowed_counters *counters)
{
	return what->queues == 1 && !what->gaps && ring->to_find > 0 && counters->certain == 0;
}

/*
 * No older frame can have been read in A or B. One that waited in the queue for long may have been
 * read just then, so age counts from the oldest one that was still in it.
 */
static bool is_end(const struct swallowed_case *what, const struct ring *ring,
		   const struct tail_frame *frame, const struct swallowed_counters *counters)
{
	uint64_t since_us = ring->oldest_us < what->stopped_us ? ring->oldest_us : what->stopped_us;

	return counters->doubtful == doubts_max(what, counters) ||
	       (ring->to_find == 0 && frame->at_us + SWALLOWED_DOUBT_US < since_us);
}

/*
 * The tail may have frames for others, too. Broadcast and multicast is given back only where
 * nothing is in doubt; what the VM sent itself never is.
 */
static bool is_for_vm(const struct swallowed_case *what, const struct tail_frame *frame)
{
	if (frame->size < 2 * MAC_SIZE ||
	    memcmp(frame->data + MAC_SIZE, what->mac.octet, MAC_SIZE) == 0)
		return false;
	return memcmp(frame->data, what->mac.octet, MAC_SIZE) == 0 ||
	       (what->exact && frame->data[0] & 1);
}

/* A is one frame: of two, the newer one is B. A single one is, if the guest goes on with it. */
static bool is_kept(const struct tail *tail, const struct swallowed_case *what,
		    const struct missing *missing)
{
	struct tail_frame frame;

	return what->first_since && tail_get(tail, missing->age, &frame) &&
	       delivered_is(what->first_since, frame.data, frame.size);
}

/* The frames in @tail that are missing, newest first; how many. */
static size_t find_missing(const struct tail *tail, const struct swallowed_case *what,
			   struct ring *ring, struct missing *missing,
			   struct swallowed_counters *counters)
{
	struct tail_frame frame;
	size_t n = 0, age;

	for (age = 0; n < SWALLOWED_MAX && tail_get(tail, age, &frame); age++) {
		bool in_b;

		if (what->exact ? age >= what->undelivered : is_end(what, ring, &frame, counters))
			break;
		if (!is_for_vm(what, &frame) || frame.at_us >= what->until_us ||
		    ring_take(ring, &frame))
			continue;
		in_b = frame.at_us > what->stopped_us || read_amid_queue(what, ring, counters);
		counters->certain += in_b || what->exact;
		counters->doubtful += !in_b && !what->exact;
		/* What was read from several queues is not in the order in which it came. */
		missing[n++] = (struct missing){ age, what->queues == 1 ? ring->place : 0, in_b };
	}
	counters->beyond =
		what->queues == 1 && ring->to_find > 0 && !tail_get(tail, age, &frame);
	if (what->exact && what->queues == 1 && n > 0)
		missing[0].in_qemu |= n > 1 || is_kept(tail, what, &missing[0]);
	return n;
}

/* What QEMU read last of all is still in its own queue. */
static int add_missing(const struct tail *tail, const struct missing *missing, bool newest,
		       struct parked *whole)
{
	struct tail_frame frame;

	if (!tail_get(tail, missing->age, &frame))
		return 0;
	return parked_add(whole, &frame.vnet, frame.data, frame.size, newest && missing->in_qemu);
}

/* @parked with each of @missing, newest first, in its place. */
static int merge(const struct tail *tail, const struct missing *missing, size_t count,
		 const struct parked *parked, struct parked *whole)
{
	struct parked_frame frame;
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0; i++) {
		for (; r == 0 && count > 0 && missing[count - 1].place <= i; count--)
			r = add_missing(tail, &missing[count - 1], count == 1, whole);
		if (r < 0 || !parked_next(parked, &at, &frame))
			break;
		r = parked_add(whole, &frame.vnet, frame.data, frame.size, frame.in_qemu);
	}
	return r;
}

static int recover(const struct tail *tail, const struct swallowed_case *what, struct ring *ring,
		   struct parked *parked, struct swallowed_counters *counters)
{
	_cleanup_free_ struct missing *missing = calloc(SWALLOWED_MAX, sizeof(*missing));
	struct parked whole = { 0 };
	size_t count;
	int r;

	if (!missing)
		return -ENOMEM;
	count = find_missing(tail, what, ring, missing, counters);
	if (count == 0)
		return 0;
	r = merge(tail, missing, count, parked, &whole);
	parked_clear(r < 0 ? &whole : parked);
	if (r == 0)
		*parked = whole;
	return r;
}

int swallowed_recover(const struct tail *tail, const struct swallowed_case *what,
		      struct parked *parked, struct swallowed_counters *ret_counters)
{
	struct swallowed_counters counters = { 0 };
	struct ring ring;
	int r = ring_of(parked, what->gaps && what->queues == 1, &ring);

	if (r == 0)
		r = recover(tail, what, &ring, parked, &counters);
	ring_clear(&ring);
	if (r == 0)
		*ret_counters = counters;
	return r;
}
