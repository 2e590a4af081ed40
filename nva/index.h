/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * index.h - a hash index of millions of 32-bit numbers, without a long pause when it grows.
 *
 * The index knows hashes and numbers, not keys: the caller compares. Extendible hashing (Fagin,
 * Nievergelt, Pippenger, Strong 1979): the top bits of the hash choose a segment, and a segment
 * that is full is split in two. So growing by one costs at most one split, or the doubling of an
 * array of one pointer per segment; 10 to 20 bytes are used for a number.
 *
 * A segment holds a contiguous range of hashes, which splitting only refines. That makes a position
 * in a walk a plain hash, good for as long as the walk takes, whatever is added or removed
 * meanwhile.
 *
 * Hashes must be drawn with a secret seed (table_hash()), and keys be different from each other:
 * some hundreds of numbers of one hash do not fit.
 */
#ifndef REHOME_NVA_INDEX_H
#define REHOME_NVA_INDEX_H

#include <stddef.h>
#include <stdint.h>

enum {
	INDEX_SEGMENT_MAX = 512, /* numbers that one step of a walk may give */
};

/* The position past the last hash. */
#define INDEX_END (UINT64_C(1) << 32)

struct segment;

/* All zero: empty. */
struct index {
	struct segment **segments; /* 1 << depth of them, neighbours may be the same; NULL: empty */
	unsigned depth;
	size_t count;
};

/* @id is not 0, and may be there for other hashes. Returns 0, or -ENOMEM. */
int index_add(struct index *index, uint32_t hash, uint32_t id);
/* @id must be there with this hash. */
void index_remove(struct index *index, uint32_t hash, uint32_t id);
/* @old must be there with this hash; @id takes its place. */
void index_replace(struct index *index, uint32_t hash, uint32_t old, uint32_t id);

struct index_probe {
	const struct segment *segment;
	uint32_t hash;
	unsigned at, mask;
};

/*
 * The numbers of @hash, one after the other; 0 when there is no more. The index must not change
 * meanwhile.
 */
uint32_t index_first(const struct index *index, uint32_t hash, struct index_probe *ret_probe);
uint32_t index_next(struct index_probe *probe);

/* Asks the memory for what index_first() will look at. */
void index_prefetch(const struct index *index, uint32_t hash);

/*
 * One step of a walk in the order of hashes: writes the numbers whose hash lies in [@position,
 * *ret_next) to @ids, which has room for INDEX_SEGMENT_MAX, and returns how many they are. Begin
 * with 0; it is over when *ret_next is INDEX_END. @position is 0 or an earlier *ret_next.
 */
size_t index_walk(const struct index *index, uint64_t position, uint32_t *ids, uint64_t *ret_next);

/* Releases everything; the index is empty again. */
void index_clear(struct index *index);

#endif
