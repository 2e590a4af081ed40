/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory_internal.h - what the directory is made of; for directory*.c.
 *
 *   directory ── nves[]     one per name, connected or in its lease
 *             ├─ vnis       each: members, entries, by MAC and by IP, conflicts, interests, moves,
 *             │             convergences, and what is to be told
 *             ├─ asked, begun  members that are still to be sent a snapshot, or the rest of it
 *             └─ tombstones the last generation of withdrawn mappings, oldest first
 *
 * What there are millions of, entries and addresses, is known by 32-bit numbers and stands in
 * tables that grow in small steps; what there are thousands of is plain linked structures.
 *
 * Invariants
 *   - The owner of an entry, and both sides of a move, handover or convergence, are members of
 *     its VNI (or NULL for a side).
 *   - An address is answered for by one entry, the first that claimed it; the others wait in a
 *     conflict.
 *   - A member that pulls has an interest in an entry only if it does not own it.
 *   - A VNI exists as long as it has a member or something to tell.
 *   - Memory that is missing sets directory->out_of_memory, which every public function reports;
 *     nothing else fails.
 */
#ifndef REHOME_NVA_DIRECTORY_INTERNAL_H
#define REHOME_NVA_DIRECTORY_INTERNAL_H

#include "nva/directory.h"
#include "nva/directory_converge.h"
#include "nva/directory_entry.h"
#include "nva/directory_interest.h"
#include "nva/directory_journal.h"
#include "nva/directory_member.h"
#include "nva/directory_move.h"
#include "nva/directory_register.h"
#include "nva/directory_resync.h"
#include "nva/directory_tell.h"
#include "nva/directory_vni.h"

/* TAILQ_FOREACH that allows @item to be removed; glibc's <sys/queue.h> lacks it. */
#define QUEUE_FOREACH_SAFE(item, queue, link, following)                                       \
	for ((item) = TAILQ_FIRST(queue); (item) && ((following) = TAILQ_NEXT(item, link), 1); \
	     (item) = (following))

/* clang-format off */
enum counter {
	COUNTER_REGISTERED,
	COUNTER_REFUSED,		/* registrations */
	COUNTER_WITHDRAWN,
	COUNTER_EXPIRED,		/* mappings whose NVE's lease ended */
	COUNTER_INTENTS,
	COUNTER_MOVES_GRANTED,
	COUNTER_MOVES_REFUSED,
	COUNTER_MOVES_COMMITTED,
	COUNTER_COMMITS_REFUSED,
	COUNTER_MOVES_ABORTED,
	COUNTER_CONVERGED,
	COUNTER_NOT_CONVERGED,		/* given up */
	COUNTER_UPDATES,		/* UPDATE messages, each receiver counted */
	COUNTER_SNAPSHOTS,
	COUNTER_QUERIES,
	COUNTER_ANSWERED,		/* queries that found something */
	COUNTER_FLOWS,			/* FLOWS passed on */
	/* of no move that is granted, or over DIRECTORY_MOVE_FLOWS_MAX */
	COUNTER_FLOWS_DROPPED,
	COUNTER_CONFLICTS,		/* that began */
	COUNTER_CONFLICTS_RESOLVED,
	COUNTER_RESYNCS,		/* snapshots of what differs only */
	COUNTER_REASSIGNED,		/* by an operator */
	COUNTER_INTERESTS_REFUSED,	/* over the cap of an NVE */
	COUNTER_COUNT,
};

struct directory {
	struct directory_config config;
	const struct reservations *reservations; /* borrowed; NULL: none */
	uint64_t started_us;
	uint64_t revision;		/* of the last UPDATE */
	uint64_t last_consent_id;
	bool out_of_memory;
	bool changes_held;
	struct nve *nves[DIRECTORY_NVES_MAX];
	size_t nve_end;			/* past the highest number ever given */
	struct table nve_names;
	struct vni_queue vnis, vnis_to_tell;
	struct table vni_table;
	struct table tombstones;
	struct tombstone_queue tombstones_by_age;
	struct output_queue outputs;
	struct member_queue asked, begun; /* by .of_snapshots */
	struct notice_queue notices;
	size_t notice_count;
	size_t conflict_count;
	directory_journal *journal;	/* NULL: nobody keeps what happens */
	void *journal_userdata;
	directory_about *about;		/* NULL: there is nothing to add */
	void *about_userdata;
	bool remembers;			/* it goes on from an earlier life */
	uint64_t moves_lost_until_us;	/* of which moves that were under way are not remembered */
	size_t move_count, convergence_count;
	uint64_t counters[COUNTER_COUNT];
};
/* clang-format on */

#endif
