/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_member.h - NVEs and the VNIs they take part in; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_MEMBER_H
#define REHOME_NVA_DIRECTORY_MEMBER_H

#include <sys/queue.h>

#include "nva/directory.h"
#include "nva/directory_converge.h"
#include "nva/table.h"

struct entry;
struct pull;
struct resync;
struct vni;

/* clang-format off */
enum snapshot_state {
	SNAPSHOT_NONE,			/* it has all */
	SNAPSHOT_ASKED,			/* stands in directory->asked */
	SNAPSHOT_BEGUN,			/* stands in directory->begun */
};

/* An NVE takes part in a VNI. */
struct member {
	TAILQ_ENTRY(member) of_vni, of_nve;
	struct table_link link;		/* vni->member_table, by NVE */
	struct vni *vni;
	struct nve *nve;
	uint32_t first_entry;		/* that it owns in this VNI; 0: none */
	struct resync *resync;		/* what it remembers, until its snapshot is over; owned */
	struct pull *pull;		/* what it holds, owned; NULL: it is pushed everything */
	/* in the present session; its snapshot has begun at least */
	bool subscribed;
	enum snapshot_state snapshot;
	TAILQ_ENTRY(member) of_snapshots;
	uint64_t snapshot_position;	/* in vni->by_mac, of what it has not been sent */
	/* of the last UPDATE of its snapshot; UINT64_MAX: not sent yet */
	uint64_t snapshot_revision;
	uint64_t members_version;	/* of the MEMBERS it was sent */
};
TAILQ_HEAD(member_queue, member);

struct nve {
	uint32_t id;			/* index in directory->nves */
	struct table_link by_name;	/* directory->nve_names */
	char name[NVO3_NAME_MAX + 1];
	struct ip vtep;
	enum nvo3_role role;
	uint64_t incarnation;
	bool connected, journalled;
	bool stale;			/* its lease has ended, and that was dealt with */
	bool held;			/* it has enough to read; its snapshots wait */
	uint32_t epoch;			/* grows with each new incarnation */
	uint32_t session;		/* grows with each session */
	uint64_t lease_end_us;		/* when not connected */
	/* when connected: what is not confirmed by then goes; 0: settled */
	uint64_t resync_end_us;
	uint64_t acked, sent;		/* revisions of the present session */
	struct member_queue members;
	size_t member_count;
	size_t entry_count;		/* it owns, in all VNIs */
	size_t interest_count;		/* in what others own, in all VNIs where it pulls */
	struct handover_queue handovers; /* it is to confirm */
};
/* clang-format on */

struct member *member_find(const struct directory *directory, const struct vni *vni,
			   const struct nve *nve);
/* NULL without memory. */
struct member *member_new(struct directory *directory, struct vni *vni, struct nve *nve);
struct nve *nve_find(const struct directory *directory, const char *name);
/* A name and a VTEP that no NVE has. 0, -ENOSPC at the cap, or -ENOMEM. */
int nve_new(struct directory *directory, const char *name, struct ip vtep, struct nve **ret_nve);
/* What was said by another incarnation is no longer confirmed. */
void nve_set_incarnation(struct nve *nve, uint64_t incarnation);
void member_subscribe(struct directory *directory, struct nve *nve,
		      const struct nvo3_message *message);
void member_remove(struct directory *directory, uint64_t now_us, struct member *member);
/* Its NVE, or this directory's patience, has ended. */
void entry_expire(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry);

/* --- directory_lease.c: NVEs that are away --- */
/* It has neither a session nor a lease. */
bool nve_has_ended(const struct nve *nve, uint64_t now_us);
/* Removes it, and everything of it. */
void nve_expire(struct directory *directory, uint64_t now_us, struct nve *nve);
/* Removes what a session has not said again in the time of a lease. */
void nve_settle(struct directory *directory, uint64_t now_us, struct nve *nve);
/* May free @nve. */
void nve_tick(struct directory *directory, uint64_t now_us, struct nve *nve);
/* Removes the one that has been stale for the longest time; false: none is. */
bool nve_make_room(struct directory *directory, uint64_t now_us);

#endif
