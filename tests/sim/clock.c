/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock.c - a binary heap of timers, each of which knows its place in it. */
#include "tests/sim/clock.h"

#include <stdlib.h>

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->when_us != b->when_us ? a->when_us < b->when_us : a->order < b->order;
}

static void put(struct clock *clock, size_t place, struct timer *timer)
{
	clock->heap[place - 1] = timer;
	timer->place = place;
}

static void rise(struct clock *clock, struct timer *timer)
{
	size_t place = timer->place;

	while (place > 1 && is_before(timer, clock->heap[place / 2 - 1])) {
		put(clock, place, clock->heap[place / 2 - 1]);
		place /= 2;
	}
	put(clock, place, timer);
}

static void sink(struct clock *clock, struct timer *timer)
{
	size_t place = timer->place;

	while (place * 2 <= clock->count) {
		size_t child = place * 2;

		if (child < clock->count && is_before(clock->heap[child], clock->heap[child - 1]))
			child++;
		if (!is_before(clock->heap[child - 1], timer))
			break;
		put(clock, place, clock->heap[child - 1]);
		place = child;
	}
	put(clock, place, timer);
}

void timer_stop(struct clock *clock, struct timer *timer)
{
	size_t place = timer->place;
	struct timer *last;

	if (!place)
		return;
	timer->place = 0;
	last = clock->heap[--clock->count];
	if (last == timer)
		return;
	put(clock, place, last);
	rise(clock, last);
	sink(clock, last);
}

void timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
	timer_stop(clock, timer);
	timer->when_us = clock->now_us + delay_us;
	timer->order = ++clock->last_order;
	if (clock->count == clock->room) {
		size_t room = clock->room ? clock->room * 2 : 64;
		struct timer **heap = reallocarray(clock->heap, room, sizeof(struct timer *));

		if (!heap)
			abort();
		clock->heap = heap;
		clock->room = room;
	}
	clock->count++;
	put(clock, clock->count, timer);
	rise(clock, timer);
}

void timer_hasten(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
	if (!timer_runs(timer) || timer->when_us > clock->now_us + delay_us)
		timer_start(clock, timer, delay_us);
}

bool clock_step(struct clock *clock, uint64_t until_us)
{
	struct timer *first = clock->count ? clock->heap[0] : NULL;

	if (!first || first->when_us > until_us) {
		clock->now_us = until_us;
		return false;
	}
	clock->now_us = first->when_us;
	timer_stop(clock, first);
	first->run(first->object);
	return true;
}

void clock_clear(struct clock *clock)
{
	free(clock->heap);
	*clock = (struct clock){ 0 };
}
