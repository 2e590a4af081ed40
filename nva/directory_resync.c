// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_resync.c - a member that remembers the VNI is told only what differs.
 *
 *   SUBSCRIBE, sums of buckets ──▶ compare ──▶ small VNI: a snapshot of the buckets that differ
 *                                     └─ large ──▶ DIGEST: which buckets ──▶ DIGEST: sums of their
 *                                                  leaves ──▶ a snapshot of the leaves that differ
 *
 * All comparisons are made when the snapshot could begin, which is when the member is told of
 * changes again; whatever has changed until then is found. In a VNI of a million, a difference
 * costs about the 4 KiB of its bucket's leaves and its leaf's 15 mappings, instead of 70 MB.
 */
#include <string.h>

#include "nva/directory_internal.h"

/* --- the digest of a VNI --- */

static uint64_t hash_of(const struct directory *directory, const struct entry *entry)
{
	struct ip ips[MAPPING_IPS_MAX];
	size_t count = entry_ips(entry, ips, MAPPING_IPS_MAX);
	uint64_t hash = digest_hash_identity(entry->mac, entry->flags, entry->generation, entry->vm,
					     entry_owner(directory, entry)->vtep);

	for (size_t i = 0; i < count; i++)
		hash += digest_hash_address(entry->mac, ips[i]);
	return hash;
}

/* Of all but @without, which is being added. */
static void sum_up_leaves(struct directory *directory, struct vni *vni, const struct entry *without)
{
	uint64_t *leaves = calloc(DIGEST_LEAVES, sizeof(*leaves));
	uint32_t ids[INDEX_SEGMENT_MAX];
	uint64_t position = 0;

	if (!leaves) {
		directory->out_of_memory = true;
		return;
	}
	while (position < INDEX_END) {
		size_t count = index_walk(&vni->by_mac, position, ids, &position);

		for (size_t i = 0; i < count; i++)
			__builtin_prefetch(pool_at(&vni->pool, ids[i]));
		for (size_t i = 0; i < count; i++) {
			const struct entry *entry = pool_at(&vni->pool, ids[i]);

			if (entry != without)
				leaves[digest_leaf(entry->mac)] += hash_of(directory, entry);
		}
	}
	vni->digest.leaves = leaves;
}

void digest_enter(struct directory *directory, struct vni *vni, const struct entry *entry)
{
	if (!vni->digest.leaves && vni->by_mac.count >= DIGEST_LARGE)
		sum_up_leaves(directory, vni, entry);
	digest_add(&vni->digest, digest_leaf(entry->mac), hash_of(directory, entry));
}

void digest_leave(struct directory *directory, struct vni *vni, const struct entry *entry)
{
	digest_add(&vni->digest, digest_leaf(entry->mac), -hash_of(directory, entry));
}

/* --- comparing --- */

void resync_end(struct member *member)
{
	if (!member->resync)
		return;
	free(member->resync->leaves);
	free(member->resync);
	member->resync = NULL;
}

void resync_subscribe(struct directory *directory, struct member *member,
		      const struct nvo3_message *message)
{
	resync_end(member);
	if (message->digest_size != DIGEST_BUCKETS_SIZE || member->pull)
		return;
	member->resync = calloc(1, sizeof(*member->resync));
	if (!member->resync) {
		directory->out_of_memory = true;
		return;
	}
	memcpy(member->resync->buckets, message->digest, DIGEST_BUCKETS_SIZE);
}

static size_t count_bits(const uint8_t *bits, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += (size_t) __builtin_popcount(bits[i]);
	return count;
}

static void ask_for_leaves(struct directory *directory, struct member *member,
			   const uint8_t *different)
{
	struct nvo3_message question = {
		.kind = NVO3_DIGEST,
		.vni = member->vni->number,
		.digest = malloc(DIGEST_BUCKET_BITS_SIZE),
		.digest_size = DIGEST_BUCKET_BITS_SIZE,
	};

	if (!question.digest) {
		directory->out_of_memory = true;
		return;
	}
	memcpy(question.digest, different, DIGEST_BUCKET_BITS_SIZE);
	memcpy(member->resync->asked, different, DIGEST_BUCKET_BITS_SIZE);
	member->resync->waits = true;
	tell(directory, member->nve, &question);
}

void digest_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message)
{
	const struct vni *vni = vni_find(directory, message->vni);
	struct member *member = vni ? member_find(directory, vni, nve) : NULL;
	struct resync *resync = member ? member->resync : NULL;

	if (!resync || !resync->waits)
		return; /* of a subscription that was replaced by another */
	resync->waits = false;
	if (message->digest_size !=
	    count_bits(resync->asked, sizeof(resync->asked)) * DIGEST_FANOUT * DIGEST_SUM_SIZE) {
		resync_end(member); /* then it gets everything */
	} else {
		resync->leaves = malloc(message->digest_size);
		if (resync->leaves)
			memcpy(resync->leaves, message->digest, message->digest_size);
		else
			directory->out_of_memory = true;
	}
	snapshot_ask(directory, member);
}

/* Where a bucket differs and its leaves are known, those that do; else all of them. */
static void compare_leaves(const struct vni *vni, struct resync *resync, const uint8_t *different)
{
	const uint8_t *theirs = resync->leaves;

	for (size_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++) {
		const uint64_t *ours = vni->digest.leaves + bucket * DIGEST_FANOUT;
		bool asked = digest_bit(resync->asked, bucket);

		if (digest_bit(different, bucket) && asked)
			(void) digest_compare(ours, theirs, DIGEST_FANOUT, resync->scope,
					      bucket * DIGEST_FANOUT);
		else if (digest_bit(different, bucket))
			memset(resync->scope + bucket * DIGEST_FANOUT / 8, 0xff, DIGEST_FANOUT / 8);
		if (asked)
			theirs += DIGEST_FANOUT * DIGEST_SUM_SIZE;
	}
	resync->scope_size = DIGEST_LEAF_BITS_SIZE;
}

bool resync_compare(struct directory *directory, struct member *member)
{
	const struct vni *vni = member->vni;
	struct resync *resync = member->resync;
	uint8_t different[DIGEST_BUCKET_BITS_SIZE] = { 0 };
	size_t count;

	if (!resync)
		return true;
	count = digest_compare(vni->digest.buckets, resync->buckets, DIGEST_BUCKETS, different, 0);
	if (count > 0 && vni->digest.leaves && !resync->leaves) {
		ask_for_leaves(directory, member, different);
		return false;
	}
	memset(resync->scope, 0, sizeof(resync->scope));
	if (count > 0 && vni->digest.leaves) {
		compare_leaves(vni, resync, different);
	} else {
		memcpy(resync->scope, different, sizeof(different));
		resync->scope_size = sizeof(different);
	}
	directory->counters[COUNTER_RESYNCS]++;
	return true;
}
