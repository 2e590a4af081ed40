// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_pool.c - the memory of entries.
 *
 * Entries stand in chunks, side by side and without a header each. A chunk is aligned to
 * CHUNK_SIZE, so that an entry's address tells its chunk, the chunk its first number, and so the
 * entry needs no room for its own. Numbers are (chunk << CHUNK_SHIFT) + place; place 0 is the
 * chunk's head, so 0 is the number of no entry.
 */
#include <string.h>

#include "nva/directory_internal.h"

enum {
	CHUNK_SIZE = 1 << 16,
	CHUNK_SHIFT = 10,
	/* One place less than would fit leaves malloc room for its own head between two chunks. */
	CHUNK_PLACES = (1 << CHUNK_SHIFT) - 1,
};

struct entry_chunk {
	union {
		uint32_t number;		    /* of this chunk */
		struct entry entries[CHUNK_PLACES]; /* the first one is where .number stands */
	};
};
static_assert(sizeof(struct entry_chunk) <= CHUNK_SIZE, "a chunk has its size");

static int add_chunk(struct entry_pool *pool)
{
	size_t room = pool->chunk_room ? pool->chunk_room * 2 : 16;
	struct entry_chunk **chunks = pool->chunks;
	void *chunk;

	if (pool->chunk_count >= UINT32_MAX >> CHUNK_SHIFT)
		return -1;
	if (pool->chunk_count == pool->chunk_room) {
		chunks = realloc(pool->chunks, room * sizeof(struct entry_chunk *));
		if (!chunks)
			return -1;
		pool->chunks = chunks;
		pool->chunk_room = room;
	}
	if (posix_memalign(&chunk, CHUNK_SIZE, sizeof(struct entry_chunk)) != 0)
		return -1;
	chunks[pool->chunk_count] = chunk;
	chunks[pool->chunk_count]->number = (uint32_t) pool->chunk_count;
	pool->fresh = ((uint32_t) pool->chunk_count << CHUNK_SHIFT) + 1;
	pool->chunk_count++;
	return 0;
}

struct entry *pool_at(const struct entry_pool *pool, uint32_t id)
{
	return &pool->chunks[id >> CHUNK_SHIFT]->entries[id & ((1 << CHUNK_SHIFT) - 1)];
}

uint32_t entry_id(const struct entry *entry)
{
	const struct entry_chunk *chunk =
		(const void *) ((uintptr_t) entry & ~(uintptr_t) (CHUNK_SIZE - 1));

	return (chunk->number << CHUNK_SHIFT) + (uint32_t) (entry - chunk->entries);
}

struct entry *pool_new(struct entry_pool *pool)
{
	struct entry *entry;

	if (pool->unused) {
		entry = pool_at(pool, pool->unused);
		pool->unused = entry->next;
	} else {
		if (!pool->fresh && add_chunk(pool) < 0)
			return NULL;
		entry = pool_at(pool, pool->fresh);
		pool->fresh++;
		if ((pool->fresh & ((1 << CHUNK_SHIFT) - 1)) == CHUNK_PLACES)
			pool->fresh = 0;
	}
	pool->count++;
	memset(entry, 0, sizeof(*entry));
	return entry;
}

void pool_free(struct entry_pool *pool, struct entry *entry)
{
	entry->state = 0; /* lists of numbers may still have it */
	entry->next = pool->unused;
	pool->unused = entry_id(entry);
	pool->count--;
}

void pool_clear(struct entry_pool *pool)
{
	for (size_t i = 0; i < pool->chunk_count; i++)
		free(pool->chunks[i]);
	free(pool->chunks);
	*pool = (struct entry_pool){ 0 };
}
