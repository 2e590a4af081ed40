/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/clock.h"

#include <time.h>

enum {
	US_PER_S = 1000 * 1000,
	NS_PER_US = 1000,
};

/* clock_gettime(2) cannot fail here: every Linux has both clocks, and the address is valid. */
static uint64_t read_us(clockid_t clock)
{
	struct timespec now = { 0 };

	(void) clock_gettime(clock, &now);
	return (uint64_t) now.tv_sec * US_PER_S + (uint64_t) now.tv_nsec / NS_PER_US;
}

uint64_t clock_monotonic_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_us(void)
{
	return read_us(CLOCK_REALTIME);
}
