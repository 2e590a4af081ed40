/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory_entry.h - mappings: the memory they stand in, and how they are found by MAC and by
 * address; for directory*.c.
 */
#ifndef REHOME_NVA_DIRECTORY_ENTRY_H
#define REHOME_NVA_DIRECTORY_ENTRY_H

#include <assert.h>
#include <sys/queue.h>

#include "nva/directory.h"
#include "nva/index.h"
#include "nva/table.h"

struct directory;
struct member;
struct nve;
struct vni;

/* clang-format off */
/* More than one address of a family. */
struct spill {
	size_t count;
	struct ip ips[];
};

enum entry_state {
	ENTRY_IPV4 = 1 << 0,		/* .ipv4 is set */
	ENTRY_IPV6 = 1 << 1,		/* .ipv6 is set */
	ENTRY_SPILLED = 1 << 2,		/* .spill is set instead of both */
	ENTRY_CHANGED = 1 << 3,		/* stands in vni->changed */
	ENTRY_HANDOVER = 1 << 4,	/* stands in vni->handovers */
	ENTRY_IPV6_FIRST = 1 << 5,	/* was given before .ipv4 */
};

/* A mapping: one cache line. */
struct entry {
	struct mac mac;
	uint16_t owner;			/* nve->id; its VTEP is the mapping's */
	uint64_t generation : 48, flags : 8, state : 8;
	uint32_t epoch;			/* of the owner, when it last said that it serves this */
	uint32_t next, previous;	/* of the same owner in the same VNI; 0: none */
	uint8_t ipv4[4];
	union {
		uint8_t ipv6[16];
		struct spill *spill;	/* owned */
	};
	struct uuid vm;
};
static_assert(sizeof(struct entry) == 64, "an entry is a cache line");
static_assert(DIRECTORY_NVES_MAX <= UINT16_MAX, "an owner has 16 bits");
static_assert(NVO3_GENERATION_MAX <= UINT64_C(1) << 48, "a generation has 48 bits");

struct entry_chunk;

/* The memory of entries, which never move. A number is its place in it. */
struct entry_pool {
	struct entry_chunk **chunks;	/* owned */
	size_t chunk_count, chunk_room;
	/* the lowest number never used; 0: none left in the chunks */
	uint32_t fresh;
	uint32_t unused;		/* first of those given back, chained by .next; 0: none */
	size_t count;			/* in use */
};

/* An entry of an address that another entry answers for. */
struct claim {
	struct table_link link;		/* vni->claims, by address and entry */
	TAILQ_ENTRY(claim) of_conflict;
	struct conflict *conflict;
	struct entry *entry;
};
TAILQ_HEAD(claim_queue, claim);

/* An address that several entries of a VNI claim. */
struct conflict {
	struct table_link link;		/* vni->conflicts, by address */
	TAILQ_ENTRY(conflict) of_vni;
	struct ip ip;
	struct claim_queue claims;	/* those that wait, the earliest first */
	size_t claim_count;
};
TAILQ_HEAD(conflict_queue, conflict);
/* clang-format on */

/* --- directory_pool.c: the memory of entries --- */
/* All zero but for its place; NULL without memory. */
struct entry *pool_new(struct entry_pool *pool);
void pool_free(struct entry_pool *pool, struct entry *entry);
struct entry *pool_at(const struct entry_pool *pool, uint32_t id);
uint32_t entry_id(const struct entry *entry);
void pool_clear(struct entry_pool *pool);

/* --- directory_entry.c: entries by MAC --- */
uint32_t hash_of_mac(const struct directory *directory, struct mac mac);
struct entry *entry_find(const struct directory *directory, const struct vni *vni, struct mac mac);
struct nve *entry_owner(const struct directory *directory, const struct entry *entry);
/*
 * A MAC not yet in @vni, for @owner, which then has it. NULL without memory. The caller sets the
 * rest.
 */
struct entry *entry_new(struct directory *directory, struct member *owner, struct mac mac);
/* @entry belongs to another member of the same VNI from now on. */
void entry_set_owner(struct directory *directory, struct entry *entry, struct member *owner);
/* Each address once; true when that changed anything. */
bool entry_set_addresses(struct directory *directory, struct vni *vni, struct entry *entry,
			 const struct ip *ips, size_t count);
/* Frees it, leaves a tombstone, and marks it to be told. */
void entry_remove(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry);
void entry_mapping(const struct directory *directory, const struct vni *vni,
		   const struct entry *entry, struct mapping *ret_mapping);
/* At most @max of its addresses; returns how many. */
size_t entry_ips(const struct entry *entry, struct ip *ret_ips, size_t max);
bool entry_has_ip(const struct entry *entry, struct ip ip);
/* Asks the memory for what entry_find() and claims of @mapping will look at. */
void entry_prefetch(const struct directory *directory, const struct vni *vni,
		    const struct mapping *mapping);
/* Of a VNI that is freed as a whole. */
void entries_clear(struct directory *directory, struct vni *vni);

/* --- directory_address.c: entries by IP, and conflicts --- */
uint32_t hash_of_ip(const struct directory *directory, struct ip ip);
/* The entry that answers for @ip: the first that claimed it. */
struct entry *entry_find_ip(const struct directory *directory, const struct vni *vni, struct ip ip);
void address_claim(struct directory *directory, struct vni *vni, struct entry *entry, struct ip ip);
/* @entry must have claimed it. */
void address_release(struct directory *directory, struct vni *vni, struct entry *entry,
		     struct ip ip);
void conflicts_clear(struct directory *directory, struct vni *vni);

#endif
