// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS_MIN = 16,
};

/* Both halves of the 128-bit product: each bit of the input reaches each bit of the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

/*
 * Odd constants with about half of their bits set: 2^64 over the golden ratio, and over the root of
 * 2.
 */
static const uint64_t k1 = UINT64_C(0x9e3779b97f4a7c15), k2 = UINT64_C(0xb504f333f9de6485);

uint64_t table_hash_words(uint64_t seed, uint64_t a, uint64_t b)
{
	return fold(fold(fold(seed ^ a, k1) ^ b, k2), seed | 1);
}

uint64_t table_hash(uint64_t seed, const void *data, size_t size)
{
	uint64_t hash = seed ^ fold(size + k1, k2), word;

	for (; size >= sizeof(word);
	     size -= sizeof(word), data = (const char *) data + sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		hash = fold(hash ^ word, k1);
	}
	word = 0;
	memcpy(&word, data, size);
	return fold(fold(hash ^ word, k2), seed | 1);
}

static struct table_link **bucket_of(const struct table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->bucket_count - 1)];
}

/*
 * Doubles the buckets. Links of one bucket end up in two; appending them in the order they stand
 * keeps the newest of equal hashes first.
 */
static void move_bucket(struct table *table, struct table_link *link)
{
	struct table_link **low_end = NULL, **high_end = NULL;

	while (link) {
		struct table_link *next = link->next, **bucket = bucket_of(table, link->hash);
		struct table_link ***end =
			bucket < table->buckets + table->bucket_count / 2 ? &low_end : &high_end;

		if (!*end)
			*end = bucket;
		link->next = NULL;
		**end = link;
		*end = &link->next;
		link = next;
	}
}

static int grow(struct table *table)
{
	struct table old = *table;

	table->bucket_count = old.bucket_count ? old.bucket_count * 2 : BUCKETS_MIN;
	table->buckets = calloc(table->bucket_count, sizeof(struct table_link *));
	if (!table->buckets) {
		*table = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.bucket_count; i++)
		move_bucket(table, old.buckets[i]);
	free(old.buckets);
	return 0;
}

int table_add(struct table *table, struct table_link *link, uint64_t hash)
{
	struct table_link **bucket;

	if (table->count >= table->bucket_count && grow(table) < 0 && table->bucket_count == 0)
		return -ENOMEM;

	bucket = bucket_of(table, hash);
	link->hash = hash;
	link->next = *bucket;
	*bucket = link;
	table->count++;
	return 0;
}

void table_remove(struct table *table, struct table_link *link)
{
	struct table_link **at = bucket_of(table, link->hash);

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	link->next = NULL;
	table->count--;
}

struct table_link *table_first(const struct table *table, uint64_t hash)
{
	struct table_link *link = table->bucket_count ? *bucket_of(table, hash) : NULL;

	while (link && link->hash != hash)
		link = link->next;
	return link;
}

struct table_link *table_older(const struct table_link *link)
{
	struct table_link *older = link->next;

	while (older && older->hash != link->hash)
		older = older->next;
	return older;
}

struct table_link *table_walk(const struct table *table, const struct table_link *link)
{
	size_t bucket = 0;

	if (link && link->next)
		return link->next;
	if (link)
		bucket = (link->hash & (table->bucket_count - 1)) + 1;
	for (; bucket < table->bucket_count; bucket++)
		if (table->buckets[bucket])
			return table->buckets[bucket];
	return NULL;
}

void table_clear(struct table *table)
{
	free(table->buckets);
	*table = (struct table){ 0 };
}
