// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_address.c - entries by IP, and what happens when two claim the same.
 *
 * A virtual router's address, a takeover that the NVEs have not seen yet, a typing error, a lie:
 * the directory cannot tell. So an address that is in use stays with the entry that claimed it
 * first; the later claims wait, in their order, until those before them end. That is said once,
 * when the conflict begins, and once when it is over.
 */
#include <string.h>

#include "nva/directory_internal.h"

/* What follows an IPv4 address in a struct ip is zero. */
uint32_t hash_of_ip(const struct directory *directory, struct ip ip)
{
	uint64_t words[2];

	memcpy(words, ip.octet, sizeof(words));
	return (uint32_t) (table_hash_words(directory->config.hash_seed ^ ip.family, words[0],
					    words[1]) >>
			   32);
}

static uint64_t hash_of_claim(const struct directory *directory, uint32_t ip_hash, uint32_t entry)
{
	const uint32_t key[] = { ip_hash, entry };

	return table_hash(directory->config.hash_seed, key, sizeof(key));
}

static struct entry *find_holder(const struct directory *directory, const struct vni *vni,
				 struct ip ip, uint32_t hash)
{
	struct index_probe probe;

	for (uint32_t id = index_first(&vni->by_ip, hash, &probe); id; id = index_next(&probe)) {
		struct entry *entry = pool_at(&vni->pool, id);

		if (entry_has_ip(entry, ip))
			return entry;
	}
	return NULL;
}

struct entry *entry_find_ip(const struct directory *directory, const struct vni *vni, struct ip ip)
{
	return find_holder(directory, vni, ip, hash_of_ip(directory, ip));
}

/* --- conflicts --- */

static struct conflict *conflict_find(const struct vni *vni, struct ip ip, uint32_t hash)
{
	struct table_link *link = table_first(&vni->conflicts, hash);

	for (; link; link = table_older(link)) {
		struct conflict *conflict = TABLE_ITEM(link, struct conflict, link);

		if (ip_cmp(conflict->ip, ip) == 0)
			return conflict;
	}
	return NULL;
}

static void notice_begin(struct directory *directory, const struct vni *vni, struct ip ip,
			 const struct entry *holder, const struct entry *other)
{
	char text[IP_TEXT_SIZE], first[MAC_TEXT_SIZE], second[MAC_TEXT_SIZE];

	notice(directory,
	       "VNI %u: conflict: %s is claimed by %s (NVE %s), which keeps it, and by %s (NVE %s)",
	       vni->number, ip_text(ip, text), mac_text(holder->mac, first),
	       entry_owner(directory, holder)->name, mac_text(other->mac, second),
	       entry_owner(directory, other)->name);
}

static void notice_end(struct directory *directory, const struct vni *vni, struct ip ip,
		       const struct entry *holder)
{
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	notice(directory, "VNI %u: the conflict over %s has ended: only %s (NVE %s) claims it",
	       vni->number, ip_text(ip, text), mac_text(holder->mac, mac),
	       entry_owner(directory, holder)->name);
}

static struct conflict *conflict_new(struct directory *directory, struct vni *vni, struct ip ip,
				     uint32_t hash)
{
	struct conflict *conflict = calloc(1, sizeof(*conflict));

	if (!conflict || table_add(&vni->conflicts, &conflict->link, hash) < 0) {
		directory->out_of_memory = true;
		free(conflict);
		return NULL;
	}
	conflict->ip = ip;
	TAILQ_INIT(&conflict->claims);
	TAILQ_INSERT_TAIL(&vni->conflict_queue, conflict, of_vni);
	directory->conflict_count++;
	directory->counters[COUNTER_CONFLICTS]++;
	return conflict;
}

static void conflict_free(struct directory *directory, struct vni *vni, struct conflict *conflict)
{
	table_remove(&vni->conflicts, &conflict->link);
	TAILQ_REMOVE(&vni->conflict_queue, conflict, of_vni);
	directory->conflict_count--;
	free(conflict);
}

static void claim_free(struct vni *vni, struct claim *claim)
{
	table_remove(&vni->claims, &claim->link);
	TAILQ_REMOVE(&claim->conflict->claims, claim, of_conflict);
	claim->conflict->claim_count--;
	free(claim);
}

static void wait_for_it(struct directory *directory, struct vni *vni, struct conflict *conflict,
			struct entry *entry, uint32_t hash)
{
	struct claim *claim = calloc(1, sizeof(*claim));

	if (!claim || table_add(&vni->claims, &claim->link,
				hash_of_claim(directory, hash, entry_id(entry))) < 0) {
		directory->out_of_memory = true;
		free(claim);
		return;
	}
	claim->conflict = conflict;
	claim->entry = entry;
	TAILQ_INSERT_TAIL(&conflict->claims, claim, of_conflict);
	conflict->claim_count++;
}

static struct claim *claim_find(const struct directory *directory, const struct vni *vni,
				const struct conflict *conflict, const struct entry *entry,
				uint32_t hash)
{
	struct table_link *link =
		table_first(&vni->claims, hash_of_claim(directory, hash, entry_id(entry)));

	for (; link; link = table_older(link)) {
		struct claim *claim = TABLE_ITEM(link, struct claim, link);

		if (claim->conflict == conflict && claim->entry == entry)
			return claim;
	}
	return NULL;
}

/* The first of those that wait, which waits no more. */
static struct entry *promote(struct vni *vni, struct conflict *conflict)
{
	struct claim *first = TAILQ_FIRST(&conflict->claims);
	struct entry *entry = first->entry;

	claim_free(vni, first);
	return entry;
}

static void end_if_over(struct directory *directory, struct vni *vni, struct conflict *conflict,
			const struct entry *holder)
{
	if (conflict->claim_count > 0)
		return;
	notice_end(directory, vni, conflict->ip, holder);
	directory->counters[COUNTER_CONFLICTS_RESOLVED]++;
	conflict_free(directory, vni, conflict);
}

/* --- claims --- */

void address_claim(struct directory *directory, struct vni *vni, struct entry *entry, struct ip ip)
{
	uint32_t hash = hash_of_ip(directory, ip);
	struct entry *holder = find_holder(directory, vni, ip, hash);
	struct conflict *conflict;

	if (!holder) {
		if (index_add(&vni->by_ip, hash, entry_id(entry)) < 0)
			directory->out_of_memory = true;
		return;
	}
	conflict = conflict_find(vni, ip, hash);
	if (!conflict) {
		conflict = conflict_new(directory, vni, ip, hash);
		notice_begin(directory, vni, ip, holder, entry);
	}
	if (conflict)
		wait_for_it(directory, vni, conflict, entry, hash);
}

void address_release(struct directory *directory, struct vni *vni, struct entry *entry,
		     struct ip ip)
{
	uint32_t hash = hash_of_ip(directory, ip);
	struct conflict *conflict = conflict_find(vni, ip, hash);
	struct claim *claim = conflict ? claim_find(directory, vni, conflict, entry, hash) : NULL;
	struct entry *holder = entry;

	if (!conflict) {
		index_remove(&vni->by_ip, hash, entry_id(entry));
		return;
	}
	if (claim) {
		claim_free(vni, claim);
		holder = find_holder(directory, vni, ip, hash);
	} else {
		holder = promote(vni, conflict);
		index_replace(&vni->by_ip, hash, entry_id(entry), entry_id(holder));
	}
	end_if_over(directory, vni, conflict, holder);
}

void conflicts_clear(struct directory *directory, struct vni *vni)
{
	struct conflict *conflict;

	while ((conflict = TAILQ_FIRST(&vni->conflict_queue))) {
		while (!TAILQ_EMPTY(&conflict->claims))
			claim_free(vni, TAILQ_FIRST(&conflict->claims));
		conflict_free(directory, vni, conflict);
	}
	table_clear(&vni->claims);
	table_clear(&vni->conflicts);
}
