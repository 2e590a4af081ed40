/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/swallowed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct window {
	uint64_t stopped_us, until_us;
	size_t queues;
	bool late;
};

/* A frame of B that came after STOP is certain, and leaves only one of A in doubt. */
static size_t doubts_max(const struct window *window, const struct swallowed_counters *counters)
{
	return window->late && counters->certain == 0 ? 2 * window->queues : window->queues;
}

/* What was in the ring, newest first, each to be found once. */
struct ring {
	struct parked_frame *frames;
	bool *found;
	size_t count;
};

static void ring_clear(struct ring *ring)
{
	free(ring->frames);
	free(ring->found);
}

static int ring_of(const struct parked *parked, struct ring *ring)
{
	size_t at = 0, i = parked->count;

	*ring = (struct ring){
		.frames = calloc(parked->count + 1, sizeof(*ring->frames)),
		.found = calloc(parked->count + 1, sizeof(*ring->found)),
		.count = parked->count,
	};
	if (!ring->frames || !ring->found)
		return -ENOMEM;
	while (i > 0 && parked_next(parked, &at, &ring->frames[i - 1]))
		i--;
	return 0;
}

/*
 * True when @frame was still in the ring. With one queue the first frame not found yet is the
 * one.
 */
static bool ring_take(struct ring *ring, const struct tail_frame *frame)
{
	for (size_t i = 0; i < ring->count; i++) {
		const struct parked_frame *candidate = &ring->frames[i];

		if (ring->found[i] || candidate->size != frame->size ||
		    memcmp(candidate->data, frame->data, frame->size) != 0)
			continue;
		ring->found[i] = true;
		return true;
	}
	return false;
}

/* Ages in @tail of the frames that are missing, newest first; how many. */
static size_t find_missing(const struct tail *tail, const struct window *window, struct ring *ring,
			   size_t *ages, struct swallowed_counters *counters)
{
	struct tail_frame frame;
	size_t n = 0;

	for (size_t age = 0; age < SWALLOWED_MAX && tail_get(tail, age, &frame); age++) {
		if (frame.at_us + SWALLOWED_DOUBT_US < window->stopped_us ||
		    counters->doubtful == doubts_max(window, counters))
			break;
		if (frame.at_us >= window->until_us || ring_take(ring, &frame))
			continue;
		if (frame.at_us > window->stopped_us)
			counters->certain++;
		else
			counters->doubtful++;
		ages[n++] = age;
	}
	return n;
}

/* The missing ones, oldest first. What QEMU read last of all is still in its own queue. */
static int collect(const struct tail *tail, uint64_t stopped_us, const size_t *ages, size_t count,
		   struct parked *missing)
{
	struct tail_frame frame;
	int r = 0;

	for (size_t i = count; i-- > 0 && r == 0;)
		if (tail_get(tail, ages[i], &frame))
			r = parked_add(missing, &frame.vnet, frame.data, frame.size,
				       i == 0 && frame.at_us > stopped_us);
	return r;
}

static int recover(const struct tail *tail, const struct window *window, struct ring *ring,
		   struct parked *parked, struct swallowed_counters *counters)
{
	_cleanup_free_ size_t *ages = calloc(SWALLOWED_MAX, sizeof(*ages));
	struct parked missing = { 0 };
	size_t count;
	int r;

	if (!ages)
		return -ENOMEM;
	count = find_missing(tail, window, ring, ages, counters);
	r = collect(tail, window->stopped_us, ages, count, &missing);
	if (r == 0)
		r = parked_append(&missing, parked);
	if (r < 0)
		parked_clear(&missing);
	else
		*parked = missing;
	return r;
}

int swallowed_recover(const struct tail *tail, uint64_t stopped_us, uint64_t until_us,
		      size_t queues, bool late, struct parked *parked,
		      struct swallowed_counters *ret_counters)
{
	const struct window window = { stopped_us, until_us, queues, late };
	struct swallowed_counters counters = { 0 };
	struct ring ring;
	int r = ring_of(parked, &ring);

	if (r == 0)
		r = recover(tail, &window, &ring, parked, &counters);
	ring_clear(&ring);
	if (r == 0)
		*ret_counters = counters;
	return r;
}
