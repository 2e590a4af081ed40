/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vn_digest.c - a VN's mappings as sums, for a comparison with the directory (nva/digest.h). */
#include <errno.h>
#include <stdlib.h>

#include "nveagent/vn_private.h"

static uint64_t hash_of(const struct vn *vn, const struct place *place)
{
	uint64_t hash = digest_hash_identity(place->mac, place->flags, place->generation, place->vm,
					     vtep_ip(vn, place->vtep));

	for (uint32_t claim = place->claims; claim; claim = claim_at(vn, claim)->next_of_place)
		hash += digest_hash_address(place->mac, claim_ip(claim_at(vn, claim)));
	return hash;
}

static void sum_up(struct vn *vn, uint32_t number, void *userdata)
{
	const struct place *place = place_at(vn, number);
	uint64_t *leaves = userdata;

	if (place->mapped)
		leaves[digest_leaf(place->mac)] += hash_of(vn, place);
}

static int need_leaves(struct vn *vn)
{
	uint64_t *leaves;

	if (vn->digest.leaves)
		return 0;
	leaves = calloc(DIGEST_LEAVES, sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	place_each(vn, sum_up, leaves);
	vn->digest.leaves = leaves;
	return 0;
}

void vn_digest_enter(struct vn *vn, const struct place *place)
{
	digest_add(&vn->digest, digest_leaf(place->mac), hash_of(vn, place));
	/* Summed up while that is quick, not when a million are there and somebody asks. */
	if (!vn->digest.leaves && vn->mapping_count >= VN_LEAVES_MIN)
		(void) need_leaves(vn);
}

void vn_digest_leave(struct vn *vn, const struct place *place)
{
	digest_add(&vn->digest, digest_leaf(place->mac), -hash_of(vn, place));
}

bool vn_digest(const struct vn *vn, uint8_t *sums)
{
	digest_write(vn->digest.buckets, DIGEST_BUCKETS, sums);
	return vn->synced && vn->mapping_count >= VN_DIGEST_MIN;
}

int vn_digest_leaves(struct vn *vn, const uint8_t *asked, uint8_t **ret_sums, size_t *ret_size)
{
	const size_t size = DIGEST_FANOUT * DIGEST_SUM_SIZE;
	uint8_t *sums = malloc(DIGEST_BUCKETS * size), *end = sums;

	if (!sums || need_leaves(vn) < 0) {
		free(sums);
		return -ENOMEM;
	}
	for (size_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++) {
		if (!digest_bit(asked, bucket))
			continue;
		digest_write(vn->digest.leaves + bucket * DIGEST_FANOUT, DIGEST_FANOUT, end);
		end += size;
	}
	*ret_sums = sums;
	*ret_size = (size_t) (end - sums);
	return 0;
}
