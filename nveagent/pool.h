/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.h - many small items of one size, by number, and a hash table over them: four bytes an item
 * for the table, no header, no pointer, and at most a thousand items' room stands empty. A hundred
 * thousand remote mappings are held in it. Items never move.
 */
#ifndef REHOME_NVEAGENT_POOL_H
#define REHOME_NVEAGENT_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
	POOL_NONE = 0, /* no item has this number */
	POOL_ITEMS_PER_CHUNK = 1024,
};

struct pool {
	size_t item_size; /* at least 4; set by the owner, the rest begins as zero */
	uint8_t **chunks;
	size_t chunk_count;
	uint32_t used; /* numbers 1 to @used have been given out */
	uint32_t free; /* the first one given back; each holds the number of the next */
};

/* Gives back all memory. */
void pool_drop(struct pool *pool);

/* A zeroed item; POOL_NONE when out of memory. */
uint32_t pool_take(struct pool *pool);
void pool_give(struct pool *pool, uint32_t number);

/* The item of a number that pool_take() gave. */
static inline void *pool_item(const struct pool *pool, uint32_t number)
{
	uint32_t index = number - 1;

	return pool->chunks[index / POOL_ITEMS_PER_CHUNK] +
	       index % POOL_ITEMS_PER_CHUNK * pool->item_size;
}

/*
 * Chains of items with the same hash. It grows by one chain with each item, of which it divides one
 * other (linear hashing, W. Litwin 1980): a table of any size never has to be made anew, for which
 * whoever puts the 131,073rd item in would wait tens of milliseconds. The owner sets the first
 * three members; each item has a uint32_t at @next_offset that belongs to the index.
 */
struct pool_index {
	const struct pool *pool;
	size_t next_offset;
	uint64_t (*hash)(const void *item, uint64_t seed);
	uint64_t seed; /* from index_init(): who chooses addresses cannot choose chains */
	struct pool heads; /* of the chains, the first one of number 1: they never move, either */
	size_t size;	   /* chains */
	uint64_t mask;	   /* twice the greatest power of two up to @size, less one */
	size_t count;	   /* items */
};

void pool_index_init(struct pool_index *index);
void pool_index_clear(struct pool_index *index);

/* Returns 0 or -ENOMEM (@number is not in the index then). */
int pool_index_put(struct pool_index *index, uint32_t number);
void pool_index_remove(struct pool_index *index, uint32_t number);

/* Where the chain of @hash begins: those behind the last one are not divided from theirs yet. */
static inline uint32_t *pool_index_head(const struct pool_index *index, uint64_t hash)
{
	uint64_t chain = hash & index->mask;

	chain = chain < index->size ? chain : chain & (index->mask >> 1);
	return pool_item(&index->heads, (uint32_t) chain + 1);
}

/* The items whose hash may be @hash: the first one, and the one after @number; POOL_NONE ends. */
static inline uint32_t pool_index_first(const struct pool_index *index, uint64_t hash)
{
	return index->size ? *pool_index_head(index, hash) : POOL_NONE;
}

static inline uint32_t *pool_index_next(const struct pool_index *index, uint32_t number)
{
	return (uint32_t *) ((uint8_t *) pool_item(index->pool, number) + index->next_offset);
}

/* A hash of @size bytes, at most 16, for use in @hash functions. */
uint64_t pool_hash(const void *data, size_t size, uint64_t seed);

#endif
