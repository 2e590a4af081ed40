/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock.h - virtual time, in microseconds, and the timers that make everything here happen. */
#ifndef REHOME_TESTS_SIM_CLOCK_H
#define REHOME_TESTS_SIM_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero but for @run and @object: not running. */
struct timer {
	void (*run)(void *object);
	void *object;
	uint64_t when_us;
	uint64_t order; /* of two that are due at once, the one that was started first */
	size_t place;	/* in the heap, from 1; 0: not running */
};

struct clock {
	uint64_t now_us;
	uint64_t last_order;
	struct timer **heap; /* owned */
	size_t count, room;
};

/* Starts it, anew if it was running. */
void timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us);
/* Only if that is earlier than it would run, or it does not run. */
void timer_hasten(struct clock *clock, struct timer *timer, uint64_t delay_us);
void timer_stop(struct clock *clock, struct timer *timer);
static inline bool timer_runs(const struct timer *timer)
{
	return timer->place != 0;
}

/*
 * Runs the next timer that is due at @until_us at the latest; false: there is none, and it is
 * @until_us.
 */
bool clock_step(struct clock *clock, uint64_t until_us);
void clock_clear(struct clock *clock);

#endif
