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
	index->heads.item_size = sizeof(uint32_t);
	index->seed = UINT64_C(0x2545f4914f6cdd1d);
	(void) getrandom(&index->seed, sizeof(index->seed), 0);
}

void pool_index_clear(struct pool_index *index)
{
	pool_drop(&index->heads);
	index->size = index->count = 0;
	index->mask = 0;
}

static uint32_t *head_of(const struct pool_index *index, uint32_t number)
{
	return pool_index_head(index, index->hash(pool_item(index->pool, number), index->seed));
}

static void link_in(struct pool_index *index, uint32_t number)
{
	uint32_t *head = head_of(index, number);

	*pool_index_next(index, number) = *head;
	*head = number;
}

/* The items of the chain that has had those of chain @added until now are divided. */
static void split(struct pool_index *index, size_t added)
{
	uint32_t *old = pool_item(&index->heads, (uint32_t) (added & (index->mask >> 1)) + 1);
	uint32_t number = *old, next;

	*old = POOL_NONE;
	for (; number != POOL_NONE; number = next) {
		next = *pool_index_next(index, number);
		link_in(index, number);
	}
}

/* A table that cannot grow gets longer chains. */
static void widen(struct pool_index *index)
{
	size_t added = index->size;

	if (pool_take(&index->heads) == POOL_NONE)
		return;
	index->size++;
	if (added > 0)
		split(index, added);
	if (index->size > index->mask)
		index->mask = 2 * index->mask + 1;
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
