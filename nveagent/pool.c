/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void pool_drop(struct pool *pool)
{
	for (size_t i = 0; i < pool->chunk_count; i++)
		free(pool->chunks[i]);
	free(pool->chunks);
	*pool = (struct pool){ .item_size = pool->item_size };
}

static int grow(struct pool *pool)
{
	uint8_t **chunks = reallocarray(pool->chunks, pool->chunk_count + 1, sizeof(*pool->chunks));

	if (!chunks)
		return -1;
	pool->chunks = chunks;
	chunks[pool->chunk_count] = calloc(POOL_ITEMS_PER_CHUNK, pool->item_size);
	if (!chunks[pool->chunk_count])
		return -1;
	pool->chunk_count++;
	return 0;
}

uint32_t pool_take(struct pool *pool)
{
	uint32_t number = pool->free;

	if (number != POOL_NONE) {
		void *item = pool_item(pool, number);

		memcpy(&pool->free, item, sizeof(pool->free));
		memset(item, 0, pool->item_size);
		return number;
	}
	if (pool->used == pool->chunk_count * POOL_ITEMS_PER_CHUNK && grow(pool) < 0)
		return POOL_NONE;
	return ++pool->used;
}

void pool_give(struct pool *pool, uint32_t number)
{
	memcpy(pool_item(pool, number), &pool->free, sizeof(pool->free));
	pool->free = number;
}

/* --- the index --- */

enum { INDEX_SIZE_FIRST = 64, INDEX_GROWTH = 16 }; /* room for a sixteenth more at a time */

/* Two rounds of multiply and fold, each of 8 bytes: enough against somebody without the seed. */
static uint64_t mix(uint64_t value, uint64_t seed)
{
	__uint128_t product = (__uint128_t) (value ^ seed) * (seed | 1);

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

uint64_t pool_hash(const void *data, size_t size, uint64_t seed)
{
	uint64_t words[2] = { 0 };

	memcpy(words, data, size);
	return mix(words[1] ^ UINT64_C(0x9e3779b97f4a7c15), mix(words[0], seed));
}

void pool_index_init(struct pool_index *index)
{
	index->seed = UINT64_C(0x2545f4914f6cdd1d);
	(void) getrandom(&index->seed, sizeof(index->seed), 0);
}

void pool_index_clear(struct pool_index *index)
{
	free(index->heads);
	index->heads = NULL;
	index->size = index->room = index->count = 0;
}

static uint32_t *head_of(const struct pool_index *index, uint32_t number)
{
	uint64_t hash = index->hash(pool_item(index->pool, number), index->seed);

	return &index->heads[pool_index_chain(index, hash)];
}

static void link_in(struct pool_index *index, uint32_t number)
{
	uint32_t *head = head_of(index, number);

	*pool_index_next(index, number) = *head;
	*head = number;
}

static int make_room(struct pool_index *index)
{
	size_t room = index->room ? index->room + index->room / INDEX_GROWTH : INDEX_SIZE_FIRST;
	uint32_t *heads;

	if (index->size < index->room)
		return 0;
	heads = reallocarray(index->heads, room, sizeof(*heads));
	if (!heads)
		return -ENOMEM;
	index->heads = heads;
	index->room = room;
	return 0;
}

static void begin(struct pool_index *index)
{
	memset(index->heads, 0, INDEX_SIZE_FIRST * sizeof(*index->heads));
	index->size = INDEX_SIZE_FIRST;
	index->mask = 2 * INDEX_SIZE_FIRST - 1;
}

/* One chain more; the items of the one that has had its items until now are divided. */
static void split(struct pool_index *index)
{
	size_t old = index->size & (index->mask >> 1);
	uint32_t number = index->heads[old], next;

	index->heads[old] = index->heads[index->size] = POOL_NONE;
	index->size++;
	for (; number != POOL_NONE; number = next) {
		next = *pool_index_next(index, number);
		link_in(index, number);
	}
	if (index->size > index->mask)
		index->mask = 2 * index->mask + 1;
}

/* A table that cannot grow gets longer chains. */
static void widen(struct pool_index *index)
{
	if (make_room(index) < 0)
		return;
	if (index->size)
		split(index);
	else
		begin(index);
}

int pool_index_put(struct pool_index *index, uint32_t number)
{
	if (index->count >= index->size)
		widen(index);
	if (!index->size)
		return -ENOMEM;
	link_in(index, number);
	index->count++;
	return 0;
}

void pool_index_remove(struct pool_index *index, uint32_t number)
{
	uint32_t *link = head_of(index, number);

	while (*link != number)
		link = pool_index_next(index, *link);
	*link = *pool_index_next(index, number);
	index->count--;
}
