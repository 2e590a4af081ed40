// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_lease.c - NVEs that are away.
 *
 *   session ends ──▶ leased ──lease_us──▶ stale ──withdraw_us──▶ withdrawn, and forgotten
 *
 * A lease protects: nobody gets what the NVE serves without asking it. After that its mappings are
 * stale: its host may be dead, or only its agent, while its VMs run on. So they stay as they are,
 * in the directory and in every kernel, but whoever serves one of the MACs now may have it without
 * being asked for consent. What nobody has claimed in the end is withdrawn. A stale NVE that comes
 * back is as one in its lease, but for what others have claimed.
 */
#include <inttypes.h>

#include "nva/directory_internal.h"

bool nve_has_ended(const struct nve *nve, uint64_t now_us)
{
	return !nve->connected && now_us >= nve->lease_end_us;
}

void nve_expire(struct directory *directory, uint64_t now_us, struct nve *nve)
{
	while (!TAILQ_EMPTY(&nve->members))
		member_remove(directory, now_us, TAILQ_FIRST(&nve->members));
	journal_nve_gone(directory, nve);
	table_remove(&directory->nve_names, &nve->by_name);
	directory->nves[nve->id] = NULL;
	free(nve);
}

static void withdraw(struct directory *directory, uint64_t now_us, struct nve *nve)
{
	char vtep[IP_TEXT_SIZE];

	notice(directory, "NVE %s (%s) has not come back: withdrawing its %zu mappings", nve->name,
	       ip_text(nve->vtep, vtep), nve->entry_count);
	nve_expire(directory, now_us, nve);
}

static void become_stale(struct directory *directory, uint64_t now_us, struct nve *nve)
{
	struct member *member;
	char vtep[IP_TEXT_SIZE];

	nve->stale = true;
	notice(directory,
	       "The lease of NVE %s (%s) has ended: its %zu mappings stay, but whoever serves one "
	       "of them now gets it",
	       nve->name, ip_text(nve->vtep, vtep), nve->entry_count);
	TAILQ_FOREACH(member, &nve->members, of_nve) {
		pull_end(directory, member);
		moves_owner_stale(directory, now_us, member->vni, nve);
		convergences_check(directory, member->vni, false);
	}
}

/* The time has not come yet, or never will. */
static bool may_stay(const struct directory *directory, const struct nve *nve, uint64_t now_us)
{
	return now_us - nve->lease_end_us < directory->config.withdraw_us ||
	       directory->config.withdraw_us == DIRECTORY_WITHDRAW_NEVER;
}

void nve_tick(struct directory *directory, uint64_t now_us, struct nve *nve)
{
	if (nve->connected) {
		if (nve->resync_end_us && now_us >= nve->resync_end_us)
			nve_settle(directory, now_us, nve);
		return;
	}
	if (!nve_has_ended(nve, now_us))
		return;
	if (!may_stay(directory, nve, now_us))
		withdraw(directory, now_us, nve);
	else if (!nve->stale)
		become_stale(directory, now_us, nve);
}

bool nve_make_room(struct directory *directory, uint64_t now_us)
{
	struct nve *oldest = NULL;

	for (size_t i = 0; i < directory->nve_end; i++) {
		struct nve *nve = directory->nves[i];

		if (nve && nve_has_ended(nve, now_us) &&
		    (!oldest || nve->lease_end_us < oldest->lease_end_us))
			oldest = nve;
	}
	if (oldest)
		withdraw(directory, now_us, oldest);
	return oldest;
}

/* What the present incarnation of its NVE has not said again. */
static void remove_unsaid(struct directory *directory, uint64_t now_us, struct member *member)
{
	struct vni *vni = member->vni;
	uint32_t id = member->first_entry;

	while (id) {
		struct entry *entry = pool_at(&vni->pool, id);

		id = entry->next;
		if (entry->epoch != member->nve->epoch)
			entry_expire(directory, now_us, vni, entry);
	}
}

void nve_settle(struct directory *directory, uint64_t now_us, struct nve *nve)
{
	struct member *member, *following;

	nve->resync_end_us = 0;
	moves_settle(directory, nve);
	QUEUE_FOREACH_SAFE(member, &nve->members, of_nve, following)
	if (member->subscribed || member->snapshot != SNAPSHOT_NONE)
		remove_unsaid(directory, now_us, member);
	else
		member_remove(directory, now_us, member);
}
