/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_vni.h - a VNI, and the generations of what was withdrawn; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_VNI_H
#define REHOME_NVA_DIRECTORY_VNI_H

#include "nva/digest.h"
#include "nva/directory_converge.h"
#include "nva/directory_entry.h"
#include "nva/directory_interest.h"
#include "nva/directory_member.h"
#include "nva/directory_move.h"
#include "nva/directory_tell.h"

/* clang-format off */
struct vni {
	struct table_link link;		/* directory->vni_table */
	TAILQ_ENTRY(vni) of_directory;
	TAILQ_ENTRY(vni) to_tell;	/* directory->vnis_to_tell */
	uint32_t number;
	bool telling;			/* stands in vnis_to_tell */
	struct entry_pool pool;
	struct index by_mac, by_ip;	/* entries */
	struct table claims, conflicts;
	struct conflict_queue conflict_queue;
	struct table member_table;
	struct member_queue members;
	size_t member_count;
	uint64_t members_version;
	struct id_list changed;		/* entries; without ENTRY_CHANGED: told or gone meanwhile */
	struct removal_list removed;
	struct digest digest;		/* of all entries */
	struct table interests;		/* of members that pull, by entry */
	struct pull_queue pulls;	/* those members */
	struct handover_queue handovers;
	struct move_queue moves;
	struct table move_table;
	struct convergence_queue untold;
	struct wave_queue waves;
};
TAILQ_HEAD(vni_queue, vni);

struct tombstone {
	struct table_link link;		/* directory->tombstones */
	TAILQ_ENTRY(tombstone) by_age;
	uint32_t vni;
	struct mac mac;
	uint64_t generation;
	uint64_t since_us;
};
TAILQ_HEAD(tombstone_queue, tombstone);
/* clang-format on */

struct vni *vni_find(const struct directory *directory, uint32_t number);
/* Finds or makes; NULL at the cap or without memory. */
struct vni *vni_get(struct directory *directory, uint32_t number);
/* Its members are gone, or freed by the caller. */
struct vni *vni_free(struct directory *directory, struct vni *vni);
bool vni_is_unused(const struct vni *vni);

/* Remembers the generation of what is withdrawn; the oldest memory makes room. */
void tombstone_put(struct directory *directory, uint64_t now_us, uint32_t vni, struct mac mac,
		   uint64_t generation);
void tombstone_forget(struct directory *directory, uint32_t vni, struct mac mac);
/* The first generation of a MAC nobody serves, for an NVE that remembers @claimed. */
uint64_t generation_next(const struct directory *directory, uint32_t vni, struct mac mac,
			 uint64_t claimed);
void tombstones_age(struct directory *directory, uint64_t now_us);
void tombstones_clear(struct directory *directory);

#endif
