// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_snapshot.c - the whole of a VNI for a member that has just subscribed.
 *
 * A subscription only asks for it: so a thousand NVEs that come back together do not all get it at
 * once, and one that subscribes again and again gets one. It goes out in UPDATEs of up to PART_MAX
 * mappings in the order of the index by MAC, and only as fast as the NVE takes it
 * (directory_hold()): a million mappings are 70 MB. Meanwhile changes are told as to every member.
 * One that the walk has yet to reach is then told twice, which is harmless; one behind it is told
 * by its own UPDATE only, which comes later than the snapshot's. So the NVE's copy is right when
 * the last part has arrived, without anything being held back or copied.
 */
#include <string.h>

#include "nva/directory_internal.h"

enum {
	PART_MAX = NVO3_BATCH_MAX /
		   2,	/* mappings, which fit into a frame however many addresses each has */
	STEPS_MAX = 64, /* of the walk for one part: 32768 entries, of which few may be wanted */
};

static bool is_wanted(const struct member *member, const struct entry *entry)
{
	const struct resync *resync = member->resync;

	return !resync || digest_covers(resync->scope, resync->scope_size, digest_leaf(entry->mac));
}

/* Adds whole steps of the walk as long as they fit for sure, and it has not looked at too many. */
static void fill(struct directory *directory, struct member *member, struct nvo3_message *message)
{
	const struct vni *vni = member->vni;
	uint32_t ids[INDEX_SEGMENT_MAX];

	for (unsigned steps = 0; member->snapshot_position < INDEX_END && steps < STEPS_MAX &&
				 message->mapping_count + INDEX_SEGMENT_MAX <= PART_MAX;
	     steps++) {
		size_t count = index_walk(&vni->by_mac, member->snapshot_position, ids,
					  &member->snapshot_position);

		for (size_t i = 0; i < count; i++)
			__builtin_prefetch(pool_at(&vni->pool, ids[i]));
		for (size_t i = 0; i < count; i++) {
			const struct entry *entry = pool_at(&vni->pool, ids[i]);

			if (is_wanted(member, entry))
				handover_mapping(directory, vni, entry, member->nve,
						 &message->mappings[message->mapping_count++]);
		}
	}
}

static size_t room_for(const struct vni *vni)
{
	return vni->by_mac.count < PART_MAX ? vni->by_mac.count : PART_MAX;
}

/* The first part of one that is not of all says what it is of; none of it, if nothing differs. */
static bool limit(struct member *member, struct nvo3_message *message)
{
	const struct resync *resync = member->resync;
	static const uint8_t nothing[DIGEST_LEAF_BITS_SIZE];

	if (!resync || !message->snapshot)
		return true;
	message->digest = malloc(resync->scope_size);
	if (!message->digest)
		return false;
	memcpy(message->digest, resync->scope, resync->scope_size);
	message->digest_size = resync->scope_size;
	if (memcmp(resync->scope, nothing, resync->scope_size) == 0)
		member->snapshot_position = INDEX_END;
	return true;
}

static void tell_part(struct directory *directory, struct member *member)
{
	struct nvo3_message message = {
		.kind = NVO3_UPDATE,
		.vni = member->vni->number,
		.snapshot = member->snapshot_position == 0,
		.mappings = malloc((room_for(member->vni) + 1) * sizeof(struct mapping)),
	};

	if (!message.mappings || !limit(member, &message)) {
		directory->out_of_memory = true;
		nvo3_message_clear(&message);
		return;
	}
	fill(directory, member, &message);
	message.snapshot_end = member->snapshot_position == INDEX_END;
	message.revision = member->nve->sent = ++directory->revision;
	directory->counters[COUNTER_UPDATES]++;
	if (message.snapshot_end) {
		snapshot_end(directory, member);
		resync_end(member);
	}
	tell(directory, member->nve, &message);
}

void snapshot_ask(struct directory *directory, struct member *member)
{
	snapshot_end(directory, member);
	member->snapshot = SNAPSHOT_ASKED;
	member->snapshot_position = 0;
	TAILQ_INSERT_TAIL(&directory->asked, member, of_snapshots);
}

static struct member *find_ready(const struct member_queue *queue)
{
	struct member *member = TAILQ_FIRST(queue);

	while (member && member->nve->held)
		member = TAILQ_NEXT(member, of_snapshots);
	return member;
}

bool snapshot_begin_one(struct directory *directory)
{
	struct member *member = find_ready(&directory->asked);

	if (!member)
		return false;
	TAILQ_REMOVE(&directory->asked, member, of_snapshots);
	member->snapshot = SNAPSHOT_NONE;
	if (!resync_compare(directory, member))
		return true;
	TAILQ_INSERT_TAIL(&directory->begun, member, of_snapshots);
	member->snapshot = SNAPSHOT_BEGUN;
	member->snapshot_revision = UINT64_MAX;
	member->subscribed = true;
	directory->counters[COUNTER_SNAPSHOTS]++;
	tell_members_to(directory, member);
	if (member->pull) {
		pull_tell_snapshot(directory, member);
		snapshot_end(directory, member);
	} else {
		tell_part(directory, member);
	}
	convergences_check(directory, member->vni, true);
	return true;
}

bool snapshot_continue_one(struct directory *directory)
{
	struct member *member = find_ready(&directory->begun);

	if (!member)
		return false;
	tell_part(directory, member);
	return true;
}

void snapshot_end(struct directory *directory, struct member *member)
{
	if (member->snapshot == SNAPSHOT_NONE)
		return;
	TAILQ_REMOVE(member->snapshot == SNAPSHOT_ASKED ? &directory->asked : &directory->begun,
		     member, of_snapshots);
	if (member->snapshot == SNAPSHOT_BEGUN)
		member->snapshot_revision = directory->revision;
	member->snapshot = SNAPSHOT_NONE;
}
