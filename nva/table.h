/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.h - an intrusive hash table: the link stands inside the object, so that adding one
 * allocates nothing but buckets.
 *
 * The table knows hashes, not keys: the caller compares. Equal hashes are met newest first. Two
 * words a link, against the seven of uthash's handle, matter in a directory of millions.
 */
#ifndef REHOME_NVA_TABLE_H
#define REHOME_NVA_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next;
	uint64_t hash;
};

struct table {
	struct table_link **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
};

#define TABLE_ITEM(link, type, member) ((type *) (void *) ((char *) (link) -offsetof(type, member)))

/*
 * A hash of @size bytes. @seed is drawn at start, so that whoever picks the keys cannot make them
 * collide.
 */
uint64_t table_hash(uint64_t seed, const void *data, size_t size);
/* The same for what fits into two words; another hash than that of their bytes. */
uint64_t table_hash_words(uint64_t seed, uint64_t a, uint64_t b);

/*
 * Returns 0, or -ENOMEM when there is no bucket at all; a table that cannot grow gets slower, not
 * wrong.
 */
int table_add(struct table *table, struct table_link *link, uint64_t hash);
/* @link must be in @table. */
void table_remove(struct table *table, struct table_link *link);

/*
 * The newest link of this hash, and the next older one of the same hash; NULL when there is none.
 */
struct table_link *table_first(const struct table *table, uint64_t hash);
struct table_link *table_older(const struct table_link *link);

/* Every link once, in no order: start with NULL. @link must still be in @table. */
struct table_link *table_walk(const struct table *table, const struct table_link *link);

/* Releases the buckets; the objects are the caller's. */
void table_clear(struct table *table);

#endif
