/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory_internal.h - what the directory is made of; for directory*.c.
 *
 *   directory ── nves[]     one per name, connected or in its lease
 *             ├─ vnis       each: members, entries, by MAC and by IP, conflicts, moves, convergences,
 *             │             and what is to be told
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
 *   - A VNI exists as long as it has a member or something to tell.
 *   - Memory that is missing sets directory->out_of_memory, which every public function reports;
 *     nothing else fails.
 */
#ifndef REHOME_NVA_DIRECTORY_INTERNAL_H
#define REHOME_NVA_DIRECTORY_INTERNAL_H

#include <assert.h>
#include <sys/queue.h>

#include "nva/directory.h"
#include "nva/index.h"
#include "nva/table.h"

/* TAILQ_FOREACH that allows @item to be removed; glibc's <sys/queue.h> lacks it. */
#define QUEUE_FOREACH_SAFE(item, queue, link, following)                                       \
	for ((item) = TAILQ_FIRST(queue); (item) && ((following) = TAILQ_NEXT(item, link), 1); \
	     (item) = (following))

struct vni;
struct entry;

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
	COUNTER_FLOWS_DROPPED,		/* of no move that is granted, or over DIRECTORY_MOVE_FLOWS_MAX */
	COUNTER_CONFLICTS,		/* that began */
	COUNTER_CONFLICTS_RESOLVED,
	COUNTER_COUNT,
};

/* A growing list of values; all zero: empty. */
struct id_list {
	uint32_t *ids;			/* owned */
	size_t count, room;
};

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
	bool subscribed;		/* in the present session; its snapshot has begun at least */
	enum snapshot_state snapshot;
	TAILQ_ENTRY(member) of_snapshots;
	uint64_t snapshot_position;	/* in vni->by_mac, of what it has not been sent */
	uint64_t snapshot_revision;	/* of the last UPDATE of its snapshot; UINT64_MAX: not sent yet */
	uint64_t members_version;	/* of the MEMBERS it was sent */
};
TAILQ_HEAD(member_queue, member);

/* A committed move that its old NVE is told of before the others. */
struct handover {
	TAILQ_ENTRY(handover) of_vni, of_nve;
	struct vni *vni;
	struct entry *entry;
	struct nve *from;		/* the old NVE */
	uint64_t revision;		/* it is to confirm */
	uint64_t deadline_us;
};
TAILQ_HEAD(handover_queue, handover);

struct nve {
	uint32_t id;			/* index in directory->nves */
	struct table_link by_name;	/* directory->nve_names */
	char name[NVO3_NAME_MAX + 1];
	struct ip vtep;
	enum nvo3_role role;
	uint64_t incarnation;
	bool connected, journalled;
	bool held;			/* it has enough to read; its snapshots wait */
	uint32_t epoch;			/* grows with each new incarnation */
	uint64_t lease_end_us;		/* when not connected */
	uint64_t resync_end_us;		/* when connected: what is not confirmed by then goes; 0: settled */
	uint64_t acked, sent;		/* revisions of the present session */
	struct member_queue members;
	size_t member_count;
	size_t entry_count;		/* it owns, in all VNIs */
	struct handover_queue handovers; /* it is to confirm */
};

/* --- entries: see directory_entry.c --- */

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
	uint32_t fresh;			/* the lowest number never used; 0: none left in the chunks */
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

/* A mapping that is gone, until that has been told. */
struct removal {
	struct mac mac;
	uint64_t generation;
};

enum move_state {
	MOVE_ASKED,			/* the owner has not answered */
	MOVE_GRANTED,
	MOVE_STATE_COUNT,
};

/* An NVE wants to serve a MAC. */
struct move {
	struct table_link link;		/* vni->move_table, by MAC */
	TAILQ_ENTRY(move) of_vni;
	struct vni *vni;
	struct nve *from;		/* the owner asked; NULL: nobody serves it */
	struct nve *to;
	struct mapping mapping;		/* of the intent */
	uint64_t intent_id, consent_id;
	enum move_state state;
	uint64_t deadline_us;		/* MOVE_ASKED */
	uint64_t generation;		/* MOVE_GRANTED: the one to commit */
	bool commit_held;		/* a COMMIT waits for the answer */
	uint64_t commit_id;
	size_t flows_size;		/* passed on so far */
};
TAILQ_HEAD(move_queue, move);

/* A committed move that not every member has confirmed. */
struct convergence {
	TAILQ_ENTRY(convergence) link;	/* vni->untold or wave->convergences */
	struct mac mac;
	uint64_t generation;
	uint64_t deadline_us;
	struct nve *from, *to;
	size_t flows_size;		/* passed on since the commit */
};
TAILQ_HEAD(convergence_queue, convergence);

/* The moves that one UPDATE told of: they converge together. */
struct wave {
	TAILQ_ENTRY(wave) of_vni;
	uint64_t revision;		/* to be confirmed */
	struct member *blocker;		/* the first in the queue that has not confirmed; NULL: not looked for yet */
	struct convergence_queue convergences;
};
TAILQ_HEAD(wave_queue, wave);

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
	struct removal *removed;	/* owned */
	size_t removed_count, removed_room;
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

struct queued_output {
	TAILQ_ENTRY(queued_output) link;
	struct directory_output *output;
};
TAILQ_HEAD(output_queue, queued_output);

struct notice {
	TAILQ_ENTRY(notice) link;
	char text[DIRECTORY_NOTICE_SIZE];
};
TAILQ_HEAD(notice_queue, notice);

struct directory {
	struct directory_config config;
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
	bool remembers;			/* it goes on from an earlier life */
	uint64_t moves_lost_until_us;	/* of which moves that were under way are not remembered */
	size_t move_count, convergence_count;
	uint64_t counters[COUNTER_COUNT];
};
/* clang-format on */

const char *move_state_name(enum move_state state);

/* --- directory_vni.c: VNIs, tombstones --- */
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
 * A MAC not yet in @vni, for @owner, which then has it. NULL without memory. The caller sets the rest.
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

/* --- directory_journal.c: what outlives a restart --- */
void journal_nve(struct directory *directory, const struct nve *nve);
void journal_nve_gone(struct directory *directory, const struct nve *nve);
void journal_member(struct directory *directory, const struct member *member);
void journal_member_gone(struct directory *directory, const struct member *member);
void journal_entry(struct directory *directory, const struct vni *vni, const struct entry *entry);
void journal_tombstone(struct directory *directory, uint32_t vni, struct mac mac,
		       uint64_t generation);
/* Makes @entry, or a new one, what @change says, for @owner. NULL without memory. */
struct entry *entry_place(struct directory *directory, struct member *owner, struct entry *entry,
			  const struct change *change);

/* --- directory_tell.c: outputs --- */
/* Takes over what @message owns. Nothing is sent to an NVE without a session. */
void tell(struct directory *directory, const struct nve *nve, struct nvo3_message *message);
/* The session of @nve ends: what waits for it is not for its next one. */
void tell_no_more(struct directory *directory, const struct nve *nve);
/* Marks what the next call of directory_next_output() tells the members. */
void tell_later(struct directory *directory, struct vni *vni);
void tell_entry_later(struct directory *directory, struct vni *vni, struct entry *entry);
/* The list of members, at once. */
void tell_members_to(struct directory *directory, struct member *member);
/* A line for the daemon's log; over DIRECTORY_NOTICES_MAX it is left out. */
__attribute__((format(printf, 2, 3))) void notice(struct directory *directory, const char *format,
						  ...);
void outputs_clear(struct directory *directory);

/* --- directory_snapshot.c: the whole of a VNI for a new subscriber --- */
/* Once more from the beginning, if need be. */
void snapshot_ask(struct directory *directory, struct member *member);
/* Queues MEMBERS and the first UPDATE for one that has asked and is not held; false: there is none. */
bool snapshot_begin_one(struct directory *directory);
/* Queues the next UPDATE for one that has begun and is not held; false: there is none. */
bool snapshot_continue_one(struct directory *directory);
/* Ends it, be it complete or not. */
void snapshot_end(struct directory *directory, struct member *member);

/* --- directory_member.c: NVEs and their VNIs --- */
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
bool nve_has_ended(const struct nve *nve, uint64_t now_us);
void nve_expire(struct directory *directory, uint64_t now_us, struct nve *nve);
void nve_settle(struct directory *directory, uint64_t now_us, struct nve *nve);

/* --- directory_register.c: registrations --- */
/*
 * The generation @nve gets @mapping's MAC with, without anyone's consent; 0: only its owner can
 * give it up.
 */
uint64_t generation_free(const struct directory *directory, uint64_t now_us, const struct vni *vni,
			 const struct entry *entry, const struct mapping *mapping);
/* Both name a VM, and not the same. */
bool is_another_vm(const struct entry *entry, const struct mapping *mapping);
/*
 * Why @member cannot have @mapping as one more, written to @reterr_text (NVO3_TEXT_MAX + 1 bytes); or
 * false. @entry: the present one, or NULL.
 */
bool is_over_a_limit(const struct directory *directory, const struct member *member,
		     const struct entry *entry, const struct mapping *mapping, char *reterr_text);
/*
 * Makes @member the owner of @mapping's MAC; what is known of the same VM is kept. @entry: the present
 * one, or NULL. Returns NULL without memory.
 */
struct entry *entry_assign(struct directory *directory, struct member *member, struct entry *entry,
			   const struct mapping *mapping, uint64_t generation);
void registration_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		       const struct nvo3_message *message);
void batch_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message);
void withdrawal_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		     const struct nvo3_message *message);

/* --- directory_move.c: moves --- */
void intent_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message);
void consented_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		    const struct nvo3_message *message);
void commit_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message);
void abort_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message);
/* @entry has another owner than before (or is new): whoever wants it too must ask that one. */
void moves_owner_changed(struct directory *directory, uint64_t now_us, struct vni *vni,
			 struct entry *entry);
/* Nobody serves @mac any more: whoever asked for it gets it. */
void moves_owner_left(struct directory *directory, uint64_t now_us, struct vni *vni,
		      struct mac mac);
/* @nve is no longer a member of @vni. */
void moves_member_left(struct directory *directory, struct vni *vni, const struct nve *nve);
/* Asks @nve, which is back, again. */
void moves_ask_again(struct directory *directory, const struct nve *nve);
void moves_tick(struct directory *directory, uint64_t now_us, struct vni *vni);
void moves_clear(struct directory *directory, struct vni *vni);

/* --- directory_flows.c: what follows a VM --- */
/* Passes FLOWS on to the NVE that was granted @nve's VM, or has it since. */
void flows_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message);

/* --- directory_handover.c: the old NVE first --- */
/*
 * @entry has just been committed to its owner; @from (or NULL) served it before. Tells @from, and
 * once it has confirmed, all.
 */
void handover_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry, struct nve *from);
/* Nobody need be waited for any more: the entry goes, or has yet another owner. */
void handover_drop(struct vni *vni, struct entry *entry);
/* Ends those that @nve has confirmed, or all of them if it has no session. */
void handovers_confirmed(struct directory *directory, struct nve *nve);
void handovers_tick(struct directory *directory, uint64_t now_us, struct vni *vni);
void handovers_clear(struct vni *vni);
void handovers_member_left(struct directory *directory, struct vni *vni, const struct nve *nve);

/* --- directory_converge.c: who has confirmed --- */
void convergence_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		     const struct entry *entry, struct nve *from);
/*
 * The UPDATE with everything committed until now has this revision; what is being handed over is
 * not in it.
 */
void convergences_told(struct directory *directory, struct vni *vni, uint64_t revision);
/* Ends those that every subscribed member has confirmed. @restart: the queue of members changed. */
void convergences_check(struct directory *directory, struct vni *vni, bool restart);
/* That of the move of @mac away from @from; NULL: it has converged, or never was. */
struct convergence *convergence_find(const struct vni *vni, struct mac mac, const struct nve *from);
void convergences_member_left(struct vni *vni, const struct nve *nve);
void convergences_tick(struct directory *directory, uint64_t now_us, struct vni *vni);
void convergences_clear(struct directory *directory, struct vni *vni);

#endif
