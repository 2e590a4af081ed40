/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory_store.h - a store (nva/store.h) whose disk is memory that outlives it: commits become
 * durable one after the other, some time after they were made; a crash loses those that are not,
 * but for some.
 */
#ifndef REHOME_TESTS_SIM_MEMORY_STORE_H
#define REHOME_TESTS_SIM_MEMORY_STORE_H

#include "nva/store.h"
#include "tests/sim/clock.h"
#include "tests/sim/random.h"

/* What is on it, as bytes (nva/change.h), in the order in which it was written. */
struct disk {
	struct clock *clock;
	struct random *random;
	uint64_t write_us; /* at most, for a commit */
	/* A change has become durable. */
	void (*written)(void *userdata, const struct change *change);
	void *userdata;
	uint8_t *data; /* owned; records of a size in two bytes and a change */
	size_t size, room;
};

/* A store on @disk, both borrowed by the caller; @ready is called when more has become durable. */
struct store *memory_store_open(struct disk *disk, void (*ready)(void *userdata), void *userdata);

/*
 * The machine it runs on stops: of the commits that are not durable none, some or all still become
 * so, in their order, each as a whole. Frees the store.
 */
void memory_store_crash(struct store *store);

/* Everything that was appended, durable or not, in order. Returns 0 or what @each returned. */
int memory_store_each(const struct store *store,
		      int (*each)(void *userdata, const struct change *change), void *userdata);

void disk_put(struct disk *disk, const struct change *change);
void disk_clear(struct disk *disk);

#endif
