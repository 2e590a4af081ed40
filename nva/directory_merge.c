// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_merge.c - brings one directory's knowledge into another that is in use: an import.
 *
 * The higher generation wins, a tie keeps what is there. What comes in was not said by its NVE in
 * this life, so it has a lease's time to confirm it, like after a restart of its own.
 */
#include <errno.h>
#include <string.h>

#include "nva/directory_internal.h"

/* --- may it be? --- */

static const char *nve_conflict(const struct directory *directory, const struct nve *nve)
{
	for (size_t i = 0; i < directory->nve_end; i++) {
		const struct nve *other = directory->nves[i];
		bool same_name = other && strcmp(other->name, nve->name) == 0;

		if (other && same_name != (ip_cmp(other->vtep, nve->vtep) == 0))
			return "the name or the VTEP of an NVE in it is another NVE's here";
	}
	return NULL;
}

static const char *room_conflict(const struct directory *directory, const struct directory *from)
{
	const struct vni *vni;

	if (directory->nve_names.count + from->nve_names.count > DIRECTORY_NVES_MAX)
		return "there would be more NVEs than this NVA has room for";
	if (directory->vni_table.count + from->vni_table.count > DIRECTORY_VNIS_MAX)
		return "there would be more VNIs than this NVA has room for";
	TAILQ_FOREACH(vni, &from->vnis, of_directory) {
		const struct vni *here = vni_find(directory, vni->number);

		if (here &&
		    here->by_mac.count + vni->by_mac.count > directory->config.limits.vni_mappings)
			return "a VNI would have more mappings than this NVA has room for";
		if (here && here->member_count + vni->member_count > DIRECTORY_VNI_MEMBERS_MAX)
			return "a VNI would have more members than this NVA has room for";
	}
	return NULL;
}

static const char *conflict(const struct directory *directory, const struct directory *from)
{
	const char *what = room_conflict(directory, from);

	for (size_t i = 0; !what && i < from->nve_end; i++)
		if (from->nves[i])
			what = nve_conflict(directory, from->nves[i]);
	return what;
}

/* --- into it --- */

struct merging {
	struct directory *directory;
	uint64_t now_us;
	size_t taken, kept;
};

static void take_nve(struct merging *merging, const struct change *change)
{
	struct directory *directory = merging->directory;
	struct nve *nve = nve_find(directory, change->name);

	if (nve) {
		if (nve->connected && nve->resync_end_us == 0)
			nve->resync_end_us = merging->now_us + directory->config.lease_us;
		return;
	}
	if (nve_new(directory, change->name, change->vtep, &nve) < 0) {
		directory->out_of_memory = true;
		return;
	}
	nve->role = change->role;
	nve_set_incarnation(nve, change->incarnation);
	nve->lease_end_us = merging->now_us + directory->config.lease_us;
	nve->journalled = true;
	journal_nve(directory, nve);
}

static void take_member(struct merging *merging, const struct change *change)
{
	struct directory *directory = merging->directory;
	struct vni *vni = vni_get(directory, change->mapping.vni);
	struct nve *nve = nve_find(directory, change->name);

	if (vni && nve && !member_find(directory, vni, nve))
		(void) member_new(directory, vni, nve);
}

static void take_mapping(struct merging *merging, const struct change *change)
{
	struct directory *directory = merging->directory;
	struct vni *vni = vni_find(directory, change->mapping.vni);
	struct nve *nve = nve_find(directory, change->name);
	struct member *member = vni && nve ? member_find(directory, vni, nve) : NULL;
	struct entry *entry = vni ? entry_find(directory, vni, change->mapping.mac) : NULL;

	if (!member)
		return; /* out of memory */
	if (directory_generation(directory, vni->number, change->mapping.mac) >=
	    change->mapping.generation) {
		merging->kept++;
		return;
	}
	if (entry)
		handover_drop(vni, entry);
	entry = entry_place(directory, member, entry, change);
	if (!entry)
		return;
	merging->taken++;
	journal_entry(directory, vni, entry);
	tell_entry_later(directory, vni, entry);
	moves_owner_changed(directory, merging->now_us, vni, entry);
}

/* What is served is not taken away: its NVE has said so to this directory. */
static void take_removed(struct merging *merging, const struct change *change)
{
	struct directory *directory = merging->directory;
	const struct mapping *mapping = &change->mapping;
	const struct vni *vni = vni_find(directory, mapping->vni);

	if ((vni && entry_find(directory, vni, mapping->mac)) ||
	    directory_generation(directory, mapping->vni, mapping->mac) >= mapping->generation) {
		merging->kept++;
		return;
	}
	tombstone_forget(directory, mapping->vni, mapping->mac);
	tombstone_put(directory, merging->now_us, mapping->vni, mapping->mac, mapping->generation);
	journal_tombstone(directory, mapping->vni, mapping->mac, mapping->generation);
	merging->taken++;
}

static void take(void *userdata, const struct change *change)
{
	static void (*const takers[CHANGE_KIND_COUNT])(struct merging * merging,
						       const struct change *change) = {
		[CHANGE_NVE] = take_nve,
		[CHANGE_MEMBER] = take_member,
		[CHANGE_MAPPING] = take_mapping,
		[CHANGE_REMOVED] = take_removed,
	};
	struct merging *merging = userdata;

	if (takers[change->kind] && !merging->directory->out_of_memory)
		takers[change->kind](merging, change);
}

int directory_merge(struct directory *directory, uint64_t now_us, const struct directory *from,
		    size_t *ret_taken, size_t *ret_kept, const char **reterr_what)
{
	struct merging merging = { .directory = directory, .now_us = now_us };
	const char *what = conflict(directory, from);

	if (what) {
		*reterr_what = what;
		return -EEXIST;
	}
	directory_dump(from, now_us, 0, take, &merging);
	if (directory->out_of_memory)
		return -ENOMEM;
	*ret_taken = merging.taken;
	*ret_kept = merging.kept;
	return 0;
}
