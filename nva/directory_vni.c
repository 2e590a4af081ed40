// SPDX-License-Identifier: LGPL-2.1-or-later
/* directory_vni.c - VNIs, and the generations of what was withdrawn from them. */
#include <string.h>

#include "nva/directory_internal.h"

/* --- VNIs --- */

static uint64_t hash_of_vni(const struct directory *directory, uint32_t number)
{
	return table_hash(directory->config.hash_seed, &number, sizeof(number));
}

struct vni *vni_find(const struct directory *directory, uint32_t number)
{
	struct table_link *link =
		table_first(&directory->vni_table, hash_of_vni(directory, number));

	for (; link; link = table_older(link)) {
		struct vni *vni = TABLE_ITEM(link, struct vni, link);

		if (vni->number == number)
			return vni;
	}
	return NULL;
}

static struct vni *vni_new(struct directory *directory, uint32_t number)
{
	struct vni *vni = calloc(1, sizeof(*vni));

	if (!vni ||
	    table_add(&directory->vni_table, &vni->link, hash_of_vni(directory, number)) < 0) {
		directory->out_of_memory = true;
		free(vni);
		return NULL;
	}
	vni->number = number;
	TAILQ_INIT(&vni->members);
	TAILQ_INIT(&vni->conflict_queue);
	TAILQ_INIT(&vni->handovers);
	TAILQ_INIT(&vni->moves);
	TAILQ_INIT(&vni->untold);
	TAILQ_INIT(&vni->waves);
	TAILQ_INIT(&vni->pulls);
	TAILQ_INSERT_TAIL(&directory->vnis, vni, of_directory);
	return vni;
}

struct vni *vni_get(struct directory *directory, uint32_t number)
{
	struct vni *vni = vni_find(directory, number);

	if (vni || directory->vni_table.count >= DIRECTORY_VNIS_MAX)
		return vni;
	return vni_new(directory, number);
}

bool vni_is_unused(const struct vni *vni)
{
	return vni->member_count == 0 && vni->by_mac.count == 0 && !vni->telling;
}

struct vni *vni_free(struct directory *directory, struct vni *vni)
{
	moves_clear(directory, vni);
	handovers_clear(vni);
	convergences_clear(directory, vni);
	entries_clear(directory, vni);
	if (vni->telling)
		TAILQ_REMOVE(&directory->vnis_to_tell, vni, to_tell);
	TAILQ_REMOVE(&directory->vnis, vni, of_directory);
	table_remove(&directory->vni_table, &vni->link);
	table_clear(&vni->member_table);
	digest_clear(&vni->digest);
	table_clear(&vni->interests);
	id_list_clear(&vni->changed);
	removal_list_clear(&vni->removed);
	free(vni);
	return NULL;
}

/* --- tombstones --- */

static uint64_t hash_of_endpoint(const struct directory *directory, uint32_t vni, struct mac mac)
{
	return table_hash(directory->config.hash_seed ^ vni, mac.octet, sizeof(mac.octet));
}

static struct tombstone *tombstone_find(const struct directory *directory, uint32_t vni,
					struct mac mac)
{
	struct table_link *link =
		table_first(&directory->tombstones, hash_of_endpoint(directory, vni, mac));

	for (; link; link = table_older(link)) {
		struct tombstone *tombstone = TABLE_ITEM(link, struct tombstone, link);

		if (tombstone->vni == vni && mac_cmp(tombstone->mac, mac) == 0)
			return tombstone;
	}
	return NULL;
}

static void tombstone_free(struct directory *directory, struct tombstone *tombstone)
{
	table_remove(&directory->tombstones, &tombstone->link);
	TAILQ_REMOVE(&directory->tombstones_by_age, tombstone, by_age);
	free(tombstone);
}

void tombstone_put(struct directory *directory, uint64_t now_us, uint32_t vni, struct mac mac,
		   uint64_t generation)
{
	struct tombstone *tombstone = calloc(1, sizeof(*tombstone));
	uint64_t hash = hash_of_endpoint(directory, vni, mac);

	if (!tombstone || table_add(&directory->tombstones, &tombstone->link, hash) < 0) {
		directory->out_of_memory = true;
		free(tombstone);
		return;
	}
	tombstone->vni = vni;
	tombstone->mac = mac;
	tombstone->generation = generation;
	tombstone->since_us = now_us;
	TAILQ_INSERT_TAIL(&directory->tombstones_by_age, tombstone, by_age);
	if (directory->tombstones.count > DIRECTORY_TOMBSTONES_MAX)
		tombstone_free(directory, TAILQ_FIRST(&directory->tombstones_by_age));
}

void tombstone_forget(struct directory *directory, uint32_t vni, struct mac mac)
{
	struct tombstone *tombstone =
		directory->tombstones.count > 0 ? tombstone_find(directory, vni, mac) : NULL;

	if (tombstone)
		tombstone_free(directory, tombstone);
}

uint64_t generation_next(const struct directory *directory, uint32_t vni, struct mac mac,
			 uint64_t claimed)
{
	const struct tombstone *tombstone =
		directory->tombstones.count > 0 ? tombstone_find(directory, vni, mac) : NULL;
	uint64_t next = tombstone ? tombstone->generation + 1 : 1;

	return claimed > next ? claimed : next;
}

void tombstones_age(struct directory *directory, uint64_t now_us)
{
	struct tombstone *oldest;

	while ((oldest = TAILQ_FIRST(&directory->tombstones_by_age)) &&
	       now_us - oldest->since_us >= DIRECTORY_TOMBSTONE_AGE_S * UINT64_C(1000000))
		tombstone_free(directory, oldest);
}

void tombstones_clear(struct directory *directory)
{
	while (!TAILQ_EMPTY(&directory->tombstones_by_age))
		tombstone_free(directory, TAILQ_FIRST(&directory->tombstones_by_age));
	table_clear(&directory->tombstones);
}
