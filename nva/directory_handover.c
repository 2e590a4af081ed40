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
 * Whoever asks or gets a snapshot in between is told where it was, but for the old NVE and the new
 * one. An old NVE that has no session, or does not confirm within DIRECTORY_HANDOVER_MS, is not
 * waited for.
 */
#include "nva/directory_internal.h"

static void handover_free(struct handover *handover)
{
	handover->entry->state &= (uint8_t) ~ENTRY_HANDOVER;
	TAILQ_REMOVE(&handover->vni->handovers, handover, of_vni);
	TAILQ_REMOVE(&handover->from->handovers, handover, of_nve);
	free(handover);
}

/* Everybody may know now. */
static void finish(struct directory *directory, struct handover *handover)
{
	struct entry *entry = handover->entry;
	struct vni *vni = handover->vni;

	handover_free(handover);
	tell_entry_later(directory, vni, entry);
}

static void tell_old_nve(struct directory *directory, struct handover *handover)
{
	struct nvo3_message update = {
		.kind = NVO3_UPDATE,
		.vni = handover->vni->number,
		.mappings = malloc(sizeof(*update.mappings)),
		.mapping_count = 1,
	};

	if (!update.mappings) {
		directory->out_of_memory = true;
		return;
	}
	entry_mapping(directory, handover->vni, handover->entry, &update.mappings[0]);
	update.revision = handover->revision = ++directory->revision;
	handover->from->sent = update.revision;
	directory->counters[COUNTER_UPDATES]++;
	tell(directory, handover->from, &update);
}

static void begin(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry, struct nve *from)
{
	struct handover *handover = calloc(1, sizeof(*handover));

	if (!handover) {
		directory->out_of_memory = true;
		return;
	}
	handover->vni = vni;
	handover->entry = entry;
	handover->from = from;
	handover->deadline_us = now_us + DIRECTORY_HANDOVER_MS * UINT64_C(1000);
	TAILQ_INSERT_TAIL(&vni->handovers, handover, of_vni);
	TAILQ_INSERT_TAIL(&from->handovers, handover, of_nve);
	entry->state &= (uint8_t) ~ENTRY_CHANGED;
	entry->state |= ENTRY_HANDOVER;
	tell_old_nve(directory, handover);
}

void handover_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry, struct nve *from)
{
	struct member *member = from ? member_find(directory, vni, from) : NULL;

	handover_drop(vni, entry);
	if (!member || !member->subscribed || from == entry_owner(directory, entry)) {
		tell_entry_later(directory, vni, entry);
		return;
	}
	if (member->pull) /* it may have withdrawn it, and is about to be told of it all the same */
		(void) interest_add(directory, member, entry);
	begin(directory, now_us, vni, entry, from);
}

void handover_drop(struct vni *vni, struct entry *entry)
{
	struct handover *handover, *following;

	if (!(entry->state & ENTRY_HANDOVER))
		return;
	QUEUE_FOREACH_SAFE(handover, &vni->handovers, of_vni, following)
	if (handover->entry == entry)
		handover_free(handover);
}

void handover_mapping(const struct directory *directory, const struct vni *vni,
		      const struct entry *entry, const struct nve *nve, struct mapping *ret_mapping)
{
	const struct handover *handover;

	entry_mapping(directory, vni, entry, ret_mapping);
	if (!(entry->state & ENTRY_HANDOVER) || entry->owner == nve->id)
		return;
	TAILQ_FOREACH(handover, &vni->handovers, of_vni)
		if (handover->entry == entry && handover->from != nve) {
			ret_mapping->vtep = handover->from->vtep;
			ret_mapping->generation -= ret_mapping->generation > 1;
		}
}

void handovers_confirmed(struct directory *directory, struct nve *nve)
{
	struct handover *handover, *following;

	QUEUE_FOREACH_SAFE(handover, &nve->handovers, of_nve, following)
	if (!nve->connected || nve->acked >= handover->revision)
		finish(directory, handover);
}

void handovers_tick(struct directory *directory, uint64_t now_us, struct vni *vni)
{
	struct handover *handover, *following;

	QUEUE_FOREACH_SAFE(handover, &vni->handovers, of_vni, following)
	if (now_us >= handover->deadline_us)
		finish(directory, handover);
}

void handovers_member_left(struct directory *directory, struct vni *vni, const struct nve *nve)
{
	struct handover *handover, *following;

	QUEUE_FOREACH_SAFE(handover, &vni->handovers, of_vni, following)
	if (handover->from == nve)
		finish(directory, handover);
}

void handovers_clear(struct vni *vni)
{
	while (!TAILQ_EMPTY(&vni->handovers))
		handover_free(TAILQ_FIRST(&vni->handovers));
}
