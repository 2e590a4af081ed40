// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_entry.c - entries by MAC, their owners and their addresses.
 *
 * Almost every endpoint has at most one address of each family, for which an entry has room. One
 * with more keeps them all in a block of its own.
 */
#include <string.h>

#include "nva/directory_internal.h"

uint32_t hash_of_mac(const struct directory *directory, struct mac mac)
{
	uint64_t word = 0;

	memcpy(&word, mac.octet, sizeof(mac.octet));
	return (uint32_t) (table_hash_words(directory->config.hash_seed, word, MAC_SIZE) >> 32);
}

struct entry *entry_find(const struct directory *directory, const struct vni *vni, struct mac mac)
{
	struct index_probe probe;
	uint32_t id = index_first(&vni->by_mac, hash_of_mac(directory, mac), &probe);

	for (; id; id = index_next(&probe)) {
		struct entry *entry = pool_at(&vni->pool, id);

		if (mac_cmp(entry->mac, mac) == 0)
			return entry;
	}
	return NULL;
}

void entry_prefetch(const struct directory *directory, const struct vni *vni,
		    const struct mapping *mapping)
{
	index_prefetch(&vni->by_mac, hash_of_mac(directory, mapping->mac));
	for (size_t i = 0; i < mapping->ip_count; i++)
		index_prefetch(&vni->by_ip, hash_of_ip(directory, mapping->ips[i]));
}

/* --- owners --- */

struct nve *entry_owner(const struct directory *directory, const struct entry *entry)
{
	return directory->nves[entry->owner];
}

static void link_owner(struct entry *entry, struct member *owner)
{
	const struct vni *vni = owner->vni;

	entry->owner = (uint16_t) owner->nve->id;
	entry->previous = 0;
	entry->next = owner->first_entry;
	if (entry->next)
		pool_at(&vni->pool, entry->next)->previous = entry_id(entry);
	owner->first_entry = entry_id(entry);
	owner->nve->entry_count++;
}

static void unlink_owner(struct directory *directory, struct vni *vni, struct entry *entry)
{
	struct nve *nve = entry_owner(directory, entry);

	if (entry->next)
		pool_at(&vni->pool, entry->next)->previous = entry->previous;
	if (entry->previous)
		pool_at(&vni->pool, entry->previous)->next = entry->next;
	else
		member_find(directory, vni, nve)->first_entry = entry->next;
	nve->entry_count--;
}

void entry_set_owner(struct directory *directory, struct entry *entry, struct member *owner)
{
	struct vni *vni = owner->vni;
	struct member *before;

	if (entry->owner == owner->nve->id)
		return;
	before = TAILQ_EMPTY(&vni->pulls)
			 ? NULL
			 : member_find(directory, vni, entry_owner(directory, entry));
	unlink_owner(directory, vni, entry);
	link_owner(entry, owner);
	if (owner->pull)
		interest_drop(directory, owner, entry);
	if (before && before->pull) /* it sends on what still arrives there */
		(void) interest_add(directory, before, entry);
}

/* --- life --- */

struct entry *entry_new(struct directory *directory, struct member *owner, struct mac mac)
{
	struct vni *vni = owner->vni;
	struct entry *entry = pool_new(&vni->pool);

	if (!entry || index_add(&vni->by_mac, hash_of_mac(directory, mac), entry_id(entry)) < 0) {
		directory->out_of_memory = true;
		if (entry)
			pool_free(&vni->pool, entry);
		return NULL;
	}
	entry->mac = mac;
	link_owner(entry, owner);
	tombstone_forget(directory, vni->number, mac);
	return entry;
}

static void tell_removal_later(struct directory *directory, struct vni *vni,
			       const struct entry *entry)
{
	if (!removal_list_add(&vni->removed, entry->mac, entry->generation))
		directory->out_of_memory = true;
	interests_end(directory, vni, entry);
	tell_later(directory, vni);
}

void entry_remove(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry)
{
	digest_leave(directory, vni, entry);
	tombstone_put(directory, now_us, vni->number, entry->mac, entry->generation);
	journal_tombstone(directory, vni->number, entry->mac, entry->generation);
	tell_removal_later(directory, vni, entry);
	handover_drop(vni, entry);
	(void) entry_set_addresses(directory, vni, entry, NULL, 0);
	index_remove(&vni->by_mac, hash_of_mac(directory, entry->mac), entry_id(entry));
	unlink_owner(directory, vni, entry);
	pool_free(&vni->pool, entry);
}

void entries_clear(struct directory *directory, struct vni *vni)
{
	uint32_t ids[INDEX_SEGMENT_MAX];
	uint64_t position = 0;

	while (position < INDEX_END) {
		size_t count = index_walk(&vni->by_mac, position, ids, &position);

		for (size_t i = 0; i < count; i++) {
			const struct entry *entry = pool_at(&vni->pool, ids[i]);

			if (entry->state & ENTRY_SPILLED)
				free(entry->spill);
		}
	}
	conflicts_clear(directory, vni);
	index_clear(&vni->by_mac);
	index_clear(&vni->by_ip);
	pool_clear(&vni->pool);
}

void entry_mapping(const struct directory *directory, const struct vni *vni,
		   const struct entry *entry, struct mapping *ret_mapping)
{
	ret_mapping->vni = vni->number;
	ret_mapping->mac = entry->mac;
	ret_mapping->vtep = entry_owner(directory, entry)->vtep;
	ret_mapping->generation = entry->generation;
	ret_mapping->vm = entry->vm;
	ret_mapping->flags = entry->flags;
	ret_mapping->ip_count = (uint8_t) entry_ips(entry, ret_mapping->ips, MAPPING_IPS_MAX);
}

/* --- addresses --- */

static struct ip inline_ipv4(const struct entry *entry)
{
	struct ip ip = { .family = AF_INET };

	memcpy(ip.octet, entry->ipv4, sizeof(entry->ipv4));
	return ip;
}

static struct ip inline_ipv6(const struct entry *entry)
{
	struct ip ip = { .family = AF_INET6 };

	memcpy(ip.octet, entry->ipv6, sizeof(entry->ipv6));
	return ip;
}

size_t entry_ips(const struct entry *entry, struct ip *ret_ips, size_t max)
{
	bool swap = entry->state & ENTRY_IPV6_FIRST;
	size_t count = 0;

	if (entry->state & ENTRY_SPILLED) {
		count = entry->spill->count < max ? entry->spill->count : max;
		memcpy(ret_ips, entry->spill->ips, count * sizeof(*ret_ips));
		return count;
	}
	for (unsigned i = 0; i < 2 && count < max; i++) {
		bool is_ipv4 = (i == 0) != swap;

		if (entry->state & (is_ipv4 ? ENTRY_IPV4 : ENTRY_IPV6))
			ret_ips[count++] = is_ipv4 ? inline_ipv4(entry) : inline_ipv6(entry);
	}
	return count;
}

static bool has_ip(const struct ip *ips, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_cmp(ips[i], ip) == 0)
			return true;
	return false;
}

bool entry_has_ip(const struct entry *entry, struct ip ip)
{
	if (entry->state & ENTRY_SPILLED)
		return has_ip(entry->spill->ips, entry->spill->count, ip);
	if (ip.family == AF_INET)
		return (entry->state & ENTRY_IPV4) &&
		       memcmp(entry->ipv4, ip.octet, sizeof(entry->ipv4)) == 0;
	return (entry->state & ENTRY_IPV6) &&
	       memcmp(entry->ipv6, ip.octet, sizeof(entry->ipv6)) == 0;
}

static bool fits_inline(const struct ip *ips, size_t count)
{
	return count < 2 || (count == 2 && ips[0].family != ips[1].family);
}

static void store_inline(struct entry *entry, const struct ip *ips, size_t count)
{
	if (count == 2 && ips[0].family == AF_INET6)
		entry->state |= ENTRY_IPV6_FIRST;
	for (size_t i = 0; i < count; i++) {
		bool is_ipv4 = ips[i].family == AF_INET;

		entry->state |= is_ipv4 ? ENTRY_IPV4 : ENTRY_IPV6;
		memcpy(is_ipv4 ? entry->ipv4 : entry->ipv6, ips[i].octet, ip_size(ips[i]));
	}
}

/* False without memory: the entry is left as it was. */
static bool store(struct entry *entry, const struct ip *ips, size_t count)
{
	struct spill *old = entry->state & ENTRY_SPILLED ? entry->spill : NULL, *spill = NULL;

	if (!fits_inline(ips, count)) {
		spill = malloc(sizeof(*spill) + count * sizeof(*ips));
		if (!spill)
			return false;
		spill->count = count;
		memcpy(spill->ips, ips, count * sizeof(*ips));
	}
	free(old);
	entry->state &= (uint8_t) ~(ENTRY_SPILLED | ENTRY_IPV4 | ENTRY_IPV6 | ENTRY_IPV6_FIRST);
	if (spill) {
		entry->state |= ENTRY_SPILLED;
		entry->spill = spill;
	} else {
		store_inline(entry, ips, count);
	}
	return true;
}

static size_t make_unique(const struct ip *ips, size_t count, struct ip *ret_unique)
{
	size_t n = 0;

	for (size_t i = 0; i < count && n < MAPPING_IPS_MAX; i++)
		if (!has_ip(ret_unique, n, ips[i]))
			ret_unique[n++] = ips[i];
	return n;
}

bool entry_set_addresses(struct directory *directory, struct vni *vni, struct entry *entry,
			 const struct ip *ips, size_t count)
{
	struct ip old[MAPPING_IPS_MAX], new[MAPPING_IPS_MAX];
	size_t old_count = entry_ips(entry, old, MAPPING_IPS_MAX);
	size_t new_count = make_unique(ips, count, new), common = 0;

	for (size_t i = 0; i < old_count; i++)
		common += has_ip(new, new_count, old[i]);
	if (common == old_count && common == new_count)
		return false;

	for (size_t i = 0; i < old_count; i++)
		if (!has_ip(new, new_count, old[i]))
			address_release(directory, vni, entry, old[i]);
	if (!store(entry, new, new_count)) {
		directory->out_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < new_count; i++)
		if (!has_ip(old, old_count, new[i]))
			address_claim(directory, vni, entry, new[i]);
	return true;
}
