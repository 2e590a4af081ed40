// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_table.c - the directory's memory: VNIs, entries by MAC and by IP, tombstones.
 *
 * Two entries of a VNI may claim the same IP (a virtual router address, a takeover, a lie): both
 * stay, and a question by IP finds the later claim.
 */
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
	TAILQ_INIT(&vni->changed);
	TAILQ_INIT(&vni->removed);
	TAILQ_INIT(&vni->handovers);
	TAILQ_INIT(&vni->moves);
	TAILQ_INIT(&vni->convergences);
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
	return vni->member_count == 0 && vni->entries.count == 0 && !vni->telling;
}

struct vni *vni_free(struct directory *directory, struct vni *vni)
{
	moves_clear(directory, vni);
	convergences_clear(directory, vni);
	if (vni->telling)
		TAILQ_REMOVE(&directory->vnis_to_tell, vni, to_tell);
	TAILQ_REMOVE(&directory->vnis, vni, of_directory);
	table_remove(&directory->vni_table, &vni->link);
	table_clear(&vni->entries);
	table_clear(&vni->addresses);
	table_clear(&vni->member_table);
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

void tombstone_put(struct directory *directory, uint64_t since_us, uint32_t vni, struct mac mac,
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
	tombstone->since_us = since_us;
	TAILQ_INSERT_TAIL(&directory->tombstones_by_age, tombstone, by_age);
	if (directory->tombstones.count > DIRECTORY_TOMBSTONES_MAX)
		tombstone_free(directory, TAILQ_FIRST(&directory->tombstones_by_age));
}

void tombstone_forget(struct directory *directory, uint32_t vni, struct mac mac)
{
	struct tombstone *tombstone = tombstone_find(directory, vni, mac);

	if (tombstone)
		tombstone_free(directory, tombstone);
}

uint64_t generation_next(const struct directory *directory, uint32_t vni, struct mac mac,
			 uint64_t claimed)
{
	const struct tombstone *tombstone = tombstone_find(directory, vni, mac);
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

/* --- entries --- */

static uint64_t hash_of_mac(const struct directory *directory, struct mac mac)
{
	return table_hash(directory->config.hash_seed, mac.octet, sizeof(mac.octet));
}

struct entry *entry_find(const struct directory *directory, const struct vni *vni, struct mac mac)
{
	struct table_link *link = table_first(&vni->entries, hash_of_mac(directory, mac));

	for (; link; link = table_older(link)) {
		struct entry *entry = TABLE_ITEM(link, struct entry, link);

		if (mac_cmp(entry->mac, mac) == 0)
			return entry;
	}
	return NULL;
}

struct entry *entry_new(struct directory *directory, struct vni *vni, struct mac mac)
{
	struct entry *entry;

	if (vni->entries.count >= DIRECTORY_VNI_MAPPINGS_MAX)
		return NULL;
	entry = calloc(1, sizeof(*entry));
	if (!entry || table_add(&vni->entries, &entry->link, hash_of_mac(directory, mac)) < 0) {
		directory->out_of_memory = true;
		free(entry);
		return NULL;
	}
	entry->vni = vni;
	entry->mac = mac;
	tombstone_forget(directory, vni->number, mac);
	return entry;
}

void entry_set_owner(struct entry *entry, struct nve *owner)
{
	if (entry->owner)
		TAILQ_REMOVE(&entry->owner->entries, entry, of_owner);
	if (owner)
		TAILQ_INSERT_TAIL(&owner->entries, entry, of_owner);
	entry->owner = owner;
}

struct entry *entry_free(struct entry *entry)
{
	if (!entry)
		return NULL;
	free(entry->addresses);
	free(entry);
	return NULL;
}

static void remove_addresses(struct entry *entry)
{
	for (size_t i = 0; i < entry->address_count; i++)
		table_remove(&entry->vni->addresses, &entry->addresses[i].link);
	free(entry->addresses);
	entry->addresses = NULL;
	entry->address_count = 0;
}

void entry_remove(struct directory *directory, uint64_t now_us, struct entry *entry)
{
	tombstone_put(directory, now_us, entry->vni->number, entry->mac, entry->generation);
	journal_removed(directory, entry);
	table_remove(&entry->vni->entries, &entry->link);
	remove_addresses(entry);
	entry_set_owner(entry, NULL);
	handover_drop(entry);
	if (entry->changed)
		TAILQ_REMOVE(&entry->vni->changed, entry, to_tell);
	entry->changed = false;
	TAILQ_INSERT_TAIL(&entry->vni->removed, entry, to_tell);
	tell_later(directory, entry->vni);
}

void entry_mapping(const struct entry *entry, struct mapping *ret_mapping)
{
	*ret_mapping = (struct mapping){
		.vni = entry->vni->number,
		.mac = entry->mac,
		.ip_count = entry->address_count,
		.vtep = entry->owner->vtep,
		.generation = entry->generation,
		.vm = entry->vm,
		.flags = entry->flags,
	};
	for (size_t i = 0; i < entry->address_count; i++)
		ret_mapping->ips[i] = entry->addresses[i].ip;
}

/* --- addresses --- */

static uint64_t hash_of_ip(const struct directory *directory, struct ip ip)
{
	return table_hash(directory->config.hash_seed ^ ip.family, ip.octet, sizeof(ip.octet));
}

struct entry *entry_find_ip(const struct directory *directory, const struct vni *vni, struct ip ip)
{
	struct table_link *link = table_first(&vni->addresses, hash_of_ip(directory, ip));

	for (; link; link = table_older(link)) {
		const struct address *address = TABLE_ITEM(link, struct address, link);

		if (ip_cmp(address->ip, ip) == 0)
			return address->entry;
	}
	return NULL;
}

static bool has_ip(const struct ip *ips, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_cmp(ips[i], ip) == 0)
			return true;
	return false;
}

static bool has_exactly(const struct entry *entry, const struct ip *ips, size_t count)
{
	if (entry->address_count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!has_ip(ips, count, entry->addresses[i].ip))
			return false;
	return true;
}

bool entry_set_addresses(struct directory *directory, struct entry *entry, const struct ip *ips,
			 size_t count)
{
	struct ip unique[MAPPING_IPS_MAX];
	struct address *addresses;
	size_t n = 0;

	for (size_t i = 0; i < count && n < MAPPING_IPS_MAX; i++)
		if (!has_ip(unique, n, ips[i]))
			unique[n++] = ips[i];
	if (has_exactly(entry, unique, n))
		return false;

	addresses = calloc(n + 1, sizeof(*addresses));
	if (!addresses) {
		directory->out_of_memory = true;
		return false;
	}
	remove_addresses(entry);
	entry->addresses = addresses;
	for (size_t i = 0; i < n; i++) {
		addresses[i] = (struct address){ .entry = entry, .ip = unique[i] };
		if (table_add(&entry->vni->addresses, &addresses[i].link,
			      hash_of_ip(directory, unique[i])) < 0) {
			directory->out_of_memory = true;
			break;
		}
		entry->address_count++;
	}
	return true;
}
