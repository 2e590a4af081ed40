/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * random.h - a small generator whose whole state is a number: a seed gives the same run everywhere.
 */
#ifndef REHOME_TESTS_SIM_RANDOM_H
#define REHOME_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static inline uint64_t random_u64(struct random *random)
{
	uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to @end - 1. */
static inline uint64_t random_below(struct random *random, uint64_t end)
{
	return random_u64(random) % end;
}

static inline bool random_chance(struct random *random, unsigned percent)
{
	return random_below(random, 100) < percent;
}

/* Mostly short, at times up to @max: delays of networks, disks and schedulers are like that. */
static inline uint64_t random_delay(struct random *random, uint64_t max)
{
	unsigned shift = (unsigned) random_below(random, 8);

	return random_below(random, (max >> shift) + 1);
}

#endif
