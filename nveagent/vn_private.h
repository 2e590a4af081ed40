/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vn_private.h - how a VN keeps its places, claims and VTEPs; shared by vn.c (what it is told),
 * vn_ask.c (what it knows), vn_table.c (the storage) and vn_kernel.c (what follows for the kernel).
 *
 * A remote mapping with an IPv4 and an IPv6 address takes one place and two claims: about 140
 * bytes with their indexes. So addresses are kept as 16 bytes, VTEPs by number, and both link to
 * each other by number (pool.h).
 */
#ifndef REHOME_NVEAGENT_VN_PRIVATE_H
#define REHOME_NVEAGENT_VN_PRIVATE_H

#include <assert.h>
#include <uthash.h>

#include "nva/digest.h"
#include "nveagent/pool.h"
#include "nveagent/vn.h"

enum {
	VN_VTEPS_MAX = UINT16_MAX, /* other than none; kept until the VN goes */
	VN_PLACE_BITS = 21,	   /* VN_MAPPINGS_MAX, and as many that are only here */
	VN_FLAG_BITS = 6, /* MAPPING_FLAGS */
	VN_RELEASED_MAX =
		4096, /* addresses remembered that nobody has any more: guests may still think so */
	VN_LOOKS_MAX = 1024, /* records looked at in one vn_collect(), though nothing changed */
	VN_LEAVES_MIN = 1 << 13, /* mappings; from so many on a digest's leaves are kept: 512 KiB */
};

/* What the kernel was told for one layer of a MAC, or for an address. */
enum told {
	TOLD_NOTHING,
	TOLD_THIS,
	TOLD_OTHER, /* an entry of ours, not known which */
	/*
	 * not by us. A MAC: by the forward device, or learned; may be replaced. An address: see
	 * @theirs
	 */
	TOLD_TAKEN,
};

/* One MAC: what is known of it, and what the kernel was told. */
struct place {
	struct mac mac; /* key */
	uint16_t known : 1; /* false once it was given back, and may be somebody else's */
	uint16_t mapped : 1;
	uint16_t stale : 1; /* not named by the snapshot that is coming in */
	uint16_t held : 1;
	uint16_t dirty : 1;
	uint16_t told_bridge : 2; /* enum told */
	uint16_t told_vxlan : 2;
	uint16_t told_sticky : 1;
	uint16_t theirs_bridge : 1; /* somebody made an entry permanent, at port @told_port */
	uint16_t theirs_vxlan : 1;
	uint64_t generation : 64 - VN_FLAG_BITS;
	uint64_t flags : VN_FLAG_BITS; /* enum mapping_flags */
	struct uuid vm;
	uint32_t next, next_dirty;
	uint32_t pin;	    /* ifindex of the local port; 0: none */
	uint32_t told_port; /* ifindex in the bridge layer */
	uint32_t claims;    /* the first one */
	uint16_t vtep, told_vtep;
};

/*
 * One MAC says that it has an address; more than one may say so of the same. One of an address's
 * claims, perhaps of a MAC that does not make it any more (@place 0), knows what the kernel was
 * told of the address.
 */
struct claim {
	uint8_t octet[16]; /* key; IPv4 as ::ffff:a.b.c.d, and @v4 */
	uint32_t next, next_dirty, next_of_place;
	uint32_t place : VN_PLACE_BITS;
	uint32_t v4 : 1;
	uint32_t dirty : 1;
	uint32_t released : 1; /* in vn->released */
	uint32_t told : 2;     /* enum told */
	uint32_t known : 1;    /* as of a place */
	uint32_t alone : 1;    /* there has been no other claim of the address since it was made */
};

static_assert(MAPPING_FLAGS < 1 << VN_FLAG_BITS, "a digest is of all flags");
static_assert(sizeof(struct place) == 56 && sizeof(struct claim) == 32, "100,000 of them are kept");

struct vtep {
	struct ip ip; /* key */
	uint16_t number;
	bool member, flooded; /* of the VN; in the kernel's head-end list, by us */
	bool theirs;	      /* in that list by somebody else */
	UT_hash_handle hh;
};

struct vn {
	uint32_t vni;
	struct ip vtep;
	struct vn_devices devices;

	struct pool place_pool, claim_pool;
	struct pool_index places, claims;
	size_t mapping_count;
	struct digest digest; /* of the mappings */
	uint32_t dirty_places, dirty_claims;
	bool synced, grace, pull;
	bool kernel_known; /* the kernel has nothing of ours that we do not know of */
	bool taken_over;   /* some of that is from an earlier life, and perhaps of no use */

	struct vtep **vteps; /* by number - 1 */
	struct vtep *vtep_index;
	size_t vtep_count;

	struct ip *members;
	size_t member_count;
	size_t told_count; /* the first of them: what the NVA's newest list names */
	struct ip *kept;   /* members before the grace began */
	size_t kept_count;
	bool flood_dirty;

	uint32_t released
		[VN_RELEASED_MAX]; /* claims of nobody, the oldest at @released_at; 0: none yet */
	size_t released_at;
	uint32_t audit_place, audit_claim; /* the last item that the audit has asked for */
	struct vn_news news[VN_NEWS_MAX];
	size_t news_count;
};

static inline struct place *place_at(const struct vn *vn, uint32_t number)
{
	return pool_item(&vn->place_pool, number);
}

/* --- vn_digest.c: what the mappings are, in a few numbers --- */
void vn_digest_enter(struct vn *vn, const struct place *place);
/* Before it changes, or goes. */
void vn_digest_leave(struct vn *vn, const struct place *place);

static inline struct claim *claim_at(const struct vn *vn, uint32_t number)
{
	return pool_item(&vn->claim_pool, number);
}

/* --- vn_table.c --- */
void vn_table_init(struct vn *vn);
void vn_table_clear(struct vn *vn);

/* 0 when there is none; place_add() also when there is no memory. */
uint32_t place_find(const struct vn *vn, struct mac mac);
uint32_t place_add(struct vn *vn, struct mac mac);
void place_touch(struct vn *vn, uint32_t number);
/* Forgets a place that nothing is known of and the kernel was told nothing of. */
void place_drop_if_empty(struct vn *vn, uint32_t number);
/*
 * Calls @each for all of them, as they stand in memory: a hundred thousand take half a millisecond,
 * where the order of their hashes would take ten times as long. It may drop the one it is given.
 */
void place_each(struct vn *vn, void (*each)(struct vn *vn, uint32_t number, void *userdata),
		void *userdata);

/*
 * The first claim of an address, or of that of claim @number, and the next one of the same after
 * @number; 0: none.
 */
uint32_t claim_find(const struct vn *vn, struct ip ip);
uint32_t claim_first(const struct vn *vn, uint32_t number);
uint32_t claim_next(const struct vn *vn, uint32_t number);
/* One more claim of @ip, whose first is @first (0: none), by nobody yet; 0: no memory. */
uint32_t claim_add(struct vn *vn, struct ip ip, uint32_t first);
void claim_each(struct vn *vn, void (*each)(struct vn *vn, uint32_t number, void *userdata),
		void *userdata);
struct ip claim_ip(const struct claim *claim);
void claim_touch(struct vn *vn, uint32_t number);
/* What nobody claims any more is remembered until VN_RELEASED_MAX newer ones are. */
void claim_drop_if_empty(struct vn *vn, uint32_t number);
/* Makes @ips what @place claims. 0, or -ENOMEM (some are missing then). */
int claims_set(struct vn *vn, uint32_t place, const struct ip *ips, size_t count);
/* The kernel's entries of all its addresses are not right any more. */
void claims_retell(struct vn *vn, const struct place *place);
/* Returns how many; @ips has room for MAPPING_IPS_MAX. */
uint8_t claims_get(const struct vn *vn, const struct place *place, struct ip *ips);

/* The number of a VTEP, 0 for none, or -ENOSPC, -ENOMEM. */
int vtep_number(struct vn *vn, struct ip ip);
struct ip vtep_ip(const struct vn *vn, uint16_t number);

/* --- vn_kernel.c --- */

/* The entry that @place should have in the bridge, or the VXLAN device; false for none. */
bool vn_wanted_bridge(const struct vn *vn, const struct place *place, struct fdb_entry *ret_entry);
bool vn_wanted_vxlan(const struct vn *vn, const struct place *place, struct fdb_entry *ret_entry);

/* What is to be said of an address. */
struct vn_answer {
	unsigned owners;
	uint32_t owner;	 /* the claim, if it is the only one */
	uint32_t holder; /* the claim that knows what the kernel was told; 0: nothing */
};
/* @first: of its claims. */
struct vn_answer vn_look_at(const struct vn *vn, uint32_t first);
struct fdb_entry vn_neighbour_entry(const struct vn *vn, uint32_t claim);
struct fdb_entry vn_flood_entry(const struct vn *vn, struct ip vtep);

#endif
