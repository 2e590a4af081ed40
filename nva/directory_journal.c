// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_journal.c - what outlives a restart: given out as it happens, and taken back.
 *
 * All but the moves under way. An NVE that waits for a grant asks again in its next session. One
 * that was granted and has committed meanwhile says so again, and its owner is asked once more
 * (directory_move.c); a move that was committed is in every snapshot. Leases begin anew: for as
 * long as one lasts, nobody's absence is held against him.
 */
#include <errno.h>
#include <string.h>

#include "nva/directory_internal.h"

/* --- out --- */

static void journal(const struct directory *directory, const struct change *change)
{
	if (directory->journal)
		directory->journal(directory->journal_userdata, change);
}

static struct change change_of_nve(enum change_kind kind, const struct nve *nve, uint32_t vni)
{
	struct change change = {
		.kind = kind,
		.incarnation = nve->incarnation,
		.vtep = nve->vtep,
		.role = nve->role,
		.mapping = { .vni = vni },
	};

	memcpy(change.name, nve->name, sizeof(change.name));
	return change;
}

static void journal_of_nve(const struct directory *directory, enum change_kind kind,
			   const struct nve *nve, uint32_t vni)
{
	const struct change change = change_of_nve(kind, nve, vni);

	journal(directory, &change);
}

/* Of a mapping that its NVE has not confirmed since its last start, no incarnation is right: 0. */
static void change_of_entry(const struct directory *directory, const struct vni *vni,
			    const struct entry *entry, struct change *ret_change)
{
	const struct nve *owner = entry_owner(directory, entry);

	ret_change->kind = CHANGE_MAPPING;
	ret_change->incarnation = entry->epoch == owner->epoch ? owner->incarnation : 0;
	memcpy(ret_change->name, owner->name, sizeof(ret_change->name));
	entry_mapping(directory, vni, entry, &ret_change->mapping);
}

void journal_nve(struct directory *directory, const struct nve *nve)
{
	journal_of_nve(directory, CHANGE_NVE, nve, 0);
}

void journal_nve_gone(struct directory *directory, const struct nve *nve)
{
	journal_of_nve(directory, CHANGE_NVE_GONE, nve, 0);
}

void journal_member(struct directory *directory, const struct member *member)
{
	journal_of_nve(directory, CHANGE_MEMBER, member->nve, member->vni->number);
}

void journal_member_gone(struct directory *directory, const struct member *member)
{
	journal_of_nve(directory, CHANGE_MEMBER_GONE, member->nve, member->vni->number);
}

void journal_entry(struct directory *directory, const struct vni *vni, const struct entry *entry)
{
	struct change change;

	if (!directory->journal)
		return;
	change_of_entry(directory, vni, entry, &change);
	journal(directory, &change);
}

void journal_tombstone(struct directory *directory, uint32_t vni, struct mac mac,
		       uint64_t generation)
{
	const struct change change = {
		.kind = CHANGE_REMOVED,
		.mapping = { .vni = vni, .mac = mac, .generation = generation },
	};

	journal(directory, &change);
}

/* --- all at once --- */

static void dump_nves(const struct directory *directory, directory_journal *taker, void *userdata)
{
	for (size_t i = 0; i < directory->nve_end; i++) {
		const struct nve *nve = directory->nves[i];
		const struct member *member;
		struct change change;

		if (!nve)
			continue;
		change = change_of_nve(CHANGE_NVE, nve, 0);
		taker(userdata, &change);
		TAILQ_FOREACH(member, &nve->members, of_nve) {
			change = change_of_nve(CHANGE_MEMBER, nve, member->vni->number);
			taker(userdata, &change);
		}
	}
}

static void dump_entries(const struct directory *directory, const struct vni *vni,
			 directory_journal *taker, void *userdata)
{
	uint32_t ids[INDEX_SEGMENT_MAX];
	struct change change = { 0 };
	uint64_t position = 0;

	while (position < INDEX_END) {
		size_t count = index_walk(&vni->by_mac, position, ids, &position);

		for (size_t i = 0; i < count; i++) {
			change_of_entry(directory, vni, pool_at(&vni->pool, ids[i]), &change);
			change.vtep = change.mapping.vtep;
			taker(userdata, &change);
		}
	}
}

void directory_dump(const struct directory *directory, uint64_t now_us, uint64_t now_s,
		    directory_journal *taker, void *userdata)
{
	const struct tombstone *tombstone;
	const struct vni *vni;

	dump_nves(directory, taker, userdata);
	TAILQ_FOREACH(vni, &directory->vnis, of_directory)
		dump_entries(directory, vni, taker, userdata);
	TAILQ_FOREACH(tombstone, &directory->tombstones_by_age, by_age) {
		const struct change change = {
			.kind = CHANGE_REMOVED,
			.mapping = { .vni = tombstone->vni,
				     .mac = tombstone->mac,
				     .generation = tombstone->generation },
			.removed_s = now_s - (now_us - tombstone->since_us) / 1000000,
		};

		taker(userdata, &change);
	}
}

/* --- back in --- */

struct entry *entry_place(struct directory *directory, struct member *owner, struct entry *entry,
			  const struct change *change)
{
	const struct mapping *mapping = &change->mapping;

	if (entry) {
		digest_leave(directory, owner->vni, entry);
		entry_set_owner(directory, entry, owner);
	} else {
		entry = entry_new(directory, owner, mapping->mac);
	}
	if (!entry)
		return NULL;
	entry->generation = mapping->generation;
	entry->epoch = owner->nve->epoch - (change->incarnation != owner->nve->incarnation);
	entry->flags = (uint8_t) mapping->flags;
	entry->vm = mapping->vm;
	(void) entry_set_addresses(directory, owner->vni, entry, mapping->ips, mapping->ip_count);
	digest_enter(directory, owner->vni, entry);
	return entry;
}

/* What a change is about, and when. */
struct restoring {
	uint64_t now_us, now_s;
	const struct change *change;
	struct nve *nve; /* of that name; may be NULL */
	struct vni *vni; /* of that number; may be NULL */
};

/* Each returns what is wrong, or NULL. */
static const char *restore_identity(struct directory *directory, const struct restoring *restoring)
{
	directory->config.incarnation = restoring->change->incarnation;
	directory->remembers = true;
	return NULL;
}

static bool vtep_is_taken(const struct directory *directory, struct ip vtep)
{
	for (size_t i = 0; i < directory->nve_end; i++)
		if (directory->nves[i] && ip_cmp(directory->nves[i]->vtep, vtep) == 0)
			return true;
	return false;
}

static const char *restore_nve(struct directory *directory, const struct restoring *restoring)
{
	const struct change *change = restoring->change;
	struct nve *nve = restoring->nve;
	int r = 0;

	if (nve ? ip_cmp(nve->vtep, change->vtep) != 0 : vtep_is_taken(directory, change->vtep))
		return "two NVEs have one name or one VTEP";
	if (!nve)
		r = nve_new(directory, change->name, change->vtep, &nve);
	if (r == -ENOSPC)
		return "there are more NVEs than this NVA has room for";
	if (r < 0) {
		directory->out_of_memory = true;
		return NULL;
	}
	nve->role = change->role;
	nve_set_incarnation(nve, change->incarnation);
	nve->journalled = true;
	nve->lease_end_us = restoring->now_us + directory->config.lease_us;
	return NULL;
}

static const char *restore_nve_gone(struct directory *directory, const struct restoring *restoring)
{
	if (restoring->nve)
		nve_expire(directory, restoring->now_us, restoring->nve);
	return NULL;
}

static const char *restore_member(struct directory *directory, const struct restoring *restoring)
{
	struct vni *vni = vni_get(directory, restoring->change->mapping.vni);

	if (!restoring->nve)
		return "a VNI has a member that is no NVE";
	if (!vni && !directory->out_of_memory)
		return "there are more VNIs than this NVA has room for";
	if (vni && !member_find(directory, vni, restoring->nve))
		(void) member_new(directory, vni, restoring->nve);
	return NULL;
}

static const char *restore_member_gone(struct directory *directory,
				       const struct restoring *restoring)
{
	struct member *member = restoring->vni && restoring->nve
					? member_find(directory, restoring->vni, restoring->nve)
					: NULL;

	if (member)
		member_remove(directory, restoring->now_us, member);
	return NULL;
}

static const char *restore_mapping(struct directory *directory, const struct restoring *restoring)
{
	const struct mapping *mapping = &restoring->change->mapping;
	struct vni *vni = restoring->vni;
	struct member *member = vni && restoring->nve ? member_find(directory, vni, restoring->nve)
						      : NULL;
	struct entry *entry;

	if (!member)
		return "a mapping is of an NVE that does not take part in its VNI";
	entry = entry_find(directory, vni, mapping->mac);
	if (!entry && vni->by_mac.count >= directory->config.limits.vni_mappings)
		return "a VNI has more mappings than this NVA has room for";
	(void) entry_place(directory, member, entry, restoring->change);
	return NULL;
}

static const char *restore_removed(struct directory *directory, const struct restoring *restoring)
{
	const struct mapping *mapping = &restoring->change->mapping;
	struct vni *vni = restoring->vni;
	struct entry *entry = vni ? entry_find(directory, vni, mapping->mac) : NULL;
	uint64_t then_s = restoring->change->removed_s;
	uint64_t age_s = restoring->now_s > then_s ? restoring->now_s - then_s : 0;

	if (entry)
		entry_remove(directory, restoring->now_us, vni, entry);
	tombstone_forget(directory, mapping->vni, mapping->mac);
	if (age_s < DIRECTORY_TOMBSTONE_AGE_S)
		tombstone_put(directory, restoring->now_us - age_s * UINT64_C(1000000),
			      mapping->vni, mapping->mac, mapping->generation);
	return NULL;
}

static const char *(*const restorers[CHANGE_KIND_COUNT])(struct directory *directory,
							 const struct restoring *restoring) = {
	[CHANGE_IDENTITY] = restore_identity,	    [CHANGE_NVE] = restore_nve,
	[CHANGE_NVE_GONE] = restore_nve_gone,	    [CHANGE_MEMBER] = restore_member,
	[CHANGE_MEMBER_GONE] = restore_member_gone, [CHANGE_MAPPING] = restore_mapping,
	[CHANGE_REMOVED] = restore_removed,
};

int directory_restore(struct directory *directory, uint64_t now_us, uint64_t now_s,
		      const struct change *change, const char **reterr_what)
{
	const struct restoring restoring = {
		.now_us = now_us,
		.now_s = now_s,
		.change = change,
		.nve = change->name[0] ? nve_find(directory, change->name) : NULL,
		.vni = change->mapping.vni ? vni_find(directory, change->mapping.vni) : NULL,
	};
	const char *what = restorers[change->kind](directory, &restoring);

	if (directory->out_of_memory)
		return -ENOMEM;
	if (what)
		*reterr_what = what;
	return what ? -EINVAL : 0;
}

/* Nobody is connected: what happened while it was restored is for nobody. */
static int tell_nobody(struct directory *directory)
{
	struct directory_output *output;
	int r;

	while ((r = directory_next_output(directory, &output)) > 0)
		directory_output_free(output);
	return r;
}

/*
 * Also where what is restored was restored long ago: a standby follows for as long as another NVA
 * leads.
 */
static void leases_begin(struct directory *directory, uint64_t now_us)
{
	for (size_t i = 0; i < directory->nve_end; i++)
		if (directory->nves[i])
			directory->nves[i]->lease_end_us = now_us + directory->config.lease_us;
}

int directory_begin(struct directory *directory, uint64_t now_us, directory_journal *begun,
		    void *userdata)
{
	const struct change identity = {
		.kind = CHANGE_IDENTITY,
		.incarnation = directory->config.incarnation,
	};

	directory->journal = begun;
	directory->journal_userdata = userdata;
	leases_begin(directory, now_us);
	if (directory->remembers)
		directory->moves_lost_until_us = now_us + directory->config.lease_us;
	else
		journal(directory, &identity);
	return tell_nobody(directory);
}

uint64_t directory_generation(const struct directory *directory, uint32_t number, struct mac mac)
{
	const struct vni *vni = vni_find(directory, number);
	const struct entry *entry = vni ? entry_find(directory, vni, mac) : NULL;

	return entry ? entry->generation : generation_next(directory, number, mac, 0) - 1;
}

void directory_count(const struct directory *directory, struct directory_counts *ret_counts)
{
	const struct vni *vni;

	*ret_counts = (struct directory_counts){
		.nves = directory->nve_names.count,
		.vnis = directory->vni_table.count,
		.tombstones = directory->tombstones.count,
	};
	TAILQ_FOREACH(vni, &directory->vnis, of_directory)
		ret_counts->mappings += vni->by_mac.count;
}
