/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * digest.h - what a set of mappings is, in a few numbers, so that two who should have the same can
 * see where they differ. Pure; docs/protocol.md, "Digests", has the arithmetic for other languages.
 *
 * A mapping is hashed to 64 bits; its MAC chooses one of DIGEST_LEAVES leaves, DIGEST_FANOUT of
 * which are a bucket. A digest has the sum, modulo 2^64, of the hashes in each: so it does not
 * depend on any order, and a mapping that comes, goes or changes costs an addition or two. A small
 * set is compared by buckets; in a large one a bucket still has thousands, so leaves are summed up,
 * too.
 *
 * It finds what was missed, by accident. It is no defence against who chooses mappings so that sums
 * agree; what that could hide is a change of a mapping, until it changes again.
 */
#ifndef REHOME_NVA_DIGEST_H
#define REHOME_NVA_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nva/wire.h"

enum {
	DIGEST_BUCKETS = 256,
	DIGEST_FANOUT = 256,
	DIGEST_LEAVES = DIGEST_BUCKETS * DIGEST_FANOUT,
	DIGEST_LARGE = 1 << 16, /* mappings; from so many on, leaves are summed up */
	DIGEST_SUM_SIZE = 8,	/* bytes of a sum on the wire, big endian */
	DIGEST_BUCKETS_SIZE = DIGEST_BUCKETS * DIGEST_SUM_SIZE,
	DIGEST_BUCKET_BITS_SIZE = DIGEST_BUCKETS / 8,
	DIGEST_LEAF_BITS_SIZE = DIGEST_LEAVES / 8,
};

/* All zero: of nothing. */
struct digest {
	uint64_t buckets[DIGEST_BUCKETS];
	uint64_t *leaves; /* owned, DIGEST_LEAVES of them; NULL: not summed up */
};

void digest_clear(struct digest *digest);

/* The leaf of a MAC; its bucket is that over DIGEST_FANOUT. */
uint32_t digest_leaf(struct mac mac);

/* The hash of a mapping is that of all but its addresses, and of each of them, added up. */
uint64_t digest_hash(const struct mapping *mapping);
uint64_t digest_hash_identity(struct mac mac, uint32_t flags, uint64_t generation, struct uuid vm,
			      struct ip vtep);
uint64_t digest_hash_address(struct mac mac, struct ip ip);

/* @hash comes to @leaf; for one that goes, give its negative. */
void digest_add(struct digest *digest, uint32_t leaf, uint64_t hash);

/* Sums as bytes. */
void digest_write(const uint64_t *sums, size_t count, uint8_t *ret_bytes);
/*
 * Sets the bit of each of @count sums that is not what @theirs says, in @bits from bit @first on.
 * Returns how many.
 */
size_t digest_compare(const uint64_t *sums, const uint8_t *theirs, size_t count, uint8_t *bits,
		      size_t first);

/* Bits are counted from the lowest of the first byte. */
static inline bool digest_bit(const uint8_t *bits, size_t index)
{
	return bits[index / 8] >> index % 8 & 1;
}

/* True when the leaf is among @bits, which are of buckets or of leaves, as their size tells. */
static inline bool digest_covers(const uint8_t *bits, size_t size, uint32_t leaf)
{
	return digest_bit(bits, size == DIGEST_BUCKET_BITS_SIZE ? leaf / DIGEST_FANOUT : leaf);
}

#endif
