// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_handover.c - the old NVE is told of a committed move before anybody else.
 *
 * From the VM's stop on, the old NVE holds what arrives for it. If the other NVEs learned of the
 * move first, what they then send straight to the new NVE would overtake that. So:
 *
 *   COMMIT ──▶ UPDATE to the old NVE alone ──▶ it releases what it held, and ACKs ──▶ UPDATE to
 *   everybody
 *
 * An old NVE that has no session, or does not confirm within DIRECTORY_HANDOVER_MS, is not waited
 * for.
 */
#include "nva/directory_internal.h"

static void unqueue(struct entry *entry)
{
	TAILQ_REMOVE(&entry->vni->handovers, entry, of_handover);
	entry->handover_from = NULL;
}

/* Everybody may know now. */
static void finish(struct directory *directory, struct entry *entry)
{
	unqueue(entry);
	tell_entry_later(directory, entry);
}

static void tell_old_nve(struct directory *directory, struct entry *entry)
{
	struct nvo3_message update = {
		.kind = NVO3_UPDATE,
		.vni = entry->vni->number,
		.mappings = calloc(1, sizeof(*update.mappings)),
		.mapping_count = 1,
	};

	if (!update.mappings) {
		directory->out_of_memory = true;
		return;
	}
	entry_mapping(entry, &update.mappings[0]);
	update.revision = entry->handover_revision = ++directory->revision;
	entry->handover_from->sent = update.revision;
	directory->counters[COUNTER_UPDATES]++;
	tell(directory, entry->handover_from, &update);
}

void handover_new(struct directory *directory, uint64_t now_us, struct entry *entry,
		  struct nve *from)
{
	const struct member *member = from ? member_find(directory, entry->vni, from) : NULL;

	handover_drop(entry);
	if (!member || !member->subscribed || from == entry->owner) {
		tell_entry_later(directory, entry);
		return;
	}
	if (entry->changed)
		TAILQ_REMOVE(&entry->vni->changed, entry, to_tell);
	entry->changed = false;
	entry->handover_from = from;
	entry->handover_deadline_us = now_us + DIRECTORY_HANDOVER_MS * UINT64_C(1000);
	TAILQ_INSERT_TAIL(&entry->vni->handovers, entry, of_handover);
	tell_old_nve(directory, entry);
}

void handover_drop(struct entry *entry)
{
	if (entry->handover_from)
		unqueue(entry);
}

void handovers_check(struct directory *directory, uint64_t now_us, struct vni *vni)
{
	struct entry *entry, *following;

	QUEUE_FOREACH_SAFE(entry, &vni->handovers, of_handover, following)
	{
		const struct nve *from = entry->handover_from;
		bool confirmed = from->acked >= entry->handover_revision;

		if (confirmed || !from->connected || now_us >= entry->handover_deadline_us)
			finish(directory, entry);
	}
}

void handovers_member_left(struct directory *directory, struct vni *vni, const struct nve *nve)
{
	struct entry *entry, *following;

	QUEUE_FOREACH_SAFE(entry, &vni->handovers, of_handover, following)
	if (entry->handover_from == nve)
		finish(directory, entry);
}
