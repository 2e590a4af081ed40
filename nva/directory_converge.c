// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_converge.c - when has everybody confirmed a move?
 *
 * A convergence waits for each member of the VNI that is subscribed in its present session. It
 * keeps a pointer to the first one that has not confirmed; until that one does, nothing need be
 * looked at, and then the search goes on from there: those before it have confirmed, and a
 * confirmation is not taken back. What does change the queue (a member leaves, or subscribes and
 * must confirm its snapshot) restarts the search.
 */
#include "nva/directory_internal.h"

static void convergence_free(struct directory *directory, struct vni *vni,
			     struct convergence *convergence)
{
	TAILQ_REMOVE(&vni->convergences, convergence, of_vni);
	directory->convergence_count--;
	free(convergence);
}

void convergence_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		     const struct entry *entry, struct nve *from)
{
	struct convergence *convergence;

	/* Over the cap the old NVE is not told, and stops forwarding by its own timer. */
	if (directory->convergence_count >= DIRECTORY_CONVERGENCES_MAX) {
		directory->counters[COUNTER_NOT_CONVERGED]++;
		return;
	}
	convergence = calloc(1, sizeof(*convergence));
	if (!convergence) {
		directory->out_of_memory = true;
		return;
	}
	convergence->mac = entry->mac;
	convergence->generation = entry->generation;
	convergence->deadline_us = now_us + DIRECTORY_CONVERGE_MAX_S * UINT64_C(1000000);
	convergence->from = from;
	convergence->to = entry->owner;
	TAILQ_INSERT_TAIL(&vni->convergences, convergence, of_vni);
	directory->convergence_count++;
}

struct convergence *convergence_find(const struct vni *vni, struct mac mac, const struct nve *from)
{
	struct convergence *convergence;

	TAILQ_FOREACH(convergence, &vni->convergences, of_vni)
		if (convergence->from == from && mac_cmp(convergence->mac, mac) == 0)
			return convergence;
	return NULL;
}

void convergences_told(const struct directory *directory, struct vni *vni, uint64_t revision)
{
	struct convergence *convergence;

	TAILQ_FOREACH(convergence, &vni->convergences, of_vni) {
		const struct entry *entry = entry_find(directory, vni, convergence->mac);
		bool handing_over = entry && entry->handover_from;

		if (convergence->revision == 0 && !handing_over)
			convergence->revision = revision;
	}
}

static bool blocks(const struct member *member, uint64_t revision)
{
	if (!member->subscribed)
		return false;
	return member->nve->acked < revision || member->nve->acked < member->snapshot_revision;
}

/* True when nobody blocks it any more. */
static bool has_converged(const struct vni *vni, struct convergence *convergence)
{
	struct member *member = convergence->blocker;

	if (convergence->revision == 0)
		return false;
	if (!member)
		member = TAILQ_FIRST(&vni->members);
	while (member && !blocks(member, convergence->revision))
		member = TAILQ_NEXT(member, of_vni);
	convergence->blocker = member;
	return !member;
}

static void tell_converged(struct directory *directory, const struct vni *vni,
			   const struct convergence *convergence)
{
	const struct nve *sides[] = { convergence->from, convergence->to };

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct nvo3_message converged = {
			.kind = NVO3_CONVERGED,
			.vni = vni->number,
			.mac = convergence->mac,
			.generation = convergence->generation,
			.revision = convergence->revision,
		};

		tell(directory, sides[i], &converged);
	}
}

void convergences_check(struct directory *directory, struct vni *vni, bool restart)
{
	struct convergence *convergence, *following;

	QUEUE_FOREACH_SAFE(convergence, &vni->convergences, of_vni, following)
	{
		if (restart)
			convergence->blocker = NULL;
		if (!has_converged(vni, convergence))
			continue;
		tell_converged(directory, vni, convergence);
		directory->counters[COUNTER_CONVERGED]++;
		convergence_free(directory, vni, convergence);
	}
}

void convergences_member_left(struct vni *vni, const struct nve *nve)
{
	struct convergence *convergence;

	TAILQ_FOREACH(convergence, &vni->convergences, of_vni) {
		convergence->blocker = NULL;
		if (convergence->from == nve)
			convergence->from = NULL;
		if (convergence->to == nve)
			convergence->to = NULL;
	}
}

void convergences_tick(struct directory *directory, uint64_t now_us, struct vni *vni)
{
	struct convergence *convergence, *following;

	QUEUE_FOREACH_SAFE(convergence, &vni->convergences, of_vni, following)
	{
		if (now_us < convergence->deadline_us)
			continue;
		directory->counters[COUNTER_NOT_CONVERGED]++;
		convergence_free(directory, vni, convergence);
	}
}

void convergences_clear(struct directory *directory, struct vni *vni)
{
	while (!TAILQ_EMPTY(&vni->convergences))
		convergence_free(directory, vni, TAILQ_FIRST(&vni->convergences));
}
