/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory_internal.h - what the directory is made of; for directory*.c.
 *
 *   directory ── nves[]     one per name, connected or in its lease
 *             ├─ vnis       each: members, entries by MAC and by IP, moves, convergences, and
 *             what is to be told
 *             └─ tombstones the last generation of withdrawn mappings, oldest first
 *
 * Invariants
 *   - The owner of an entry, and both sides of a move, handover or convergence, are members of
 *     its VNI (or NULL for a side).
 *   - A VNI exists as long as it has a member or something to tell.
 *   - Memory that is missing sets directory->out_of_memory, which every public function reports;
 *     nothing else fails.
 */
#ifndef REHOME_NVA_DIRECTORY_INTERNAL_H
#define REHOME_NVA_DIRECTORY_INTERNAL_H

#include <assert.h>
#include <sys/queue.h>

#include "nva/directory.h"
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
	COUNTER_COUNT,
};

/* An NVE takes part in a VNI. */
struct member {
	TAILQ_ENTRY(member) of_vni, of_nve;
	struct table_link link;		/* vni->member_table, by NVE */
	struct vni *vni;
	struct nve *nve;
	bool subscribed;		/* in the present session */
	uint64_t snapshot_revision;	/* of the last UPDATE of its snapshot */
	uint64_t members_version;	/* of the MEMBERS it was sent */
};
TAILQ_HEAD(member_queue, member);
TAILQ_HEAD(entry_queue, entry);

struct nve {
	uint32_t id;			/* index in directory->nves */
	struct table_link by_name;	/* directory->nve_names */
	char name[NVO3_NAME_MAX + 1];
	struct ip vtep;
	enum nvo3_role role;
	uint64_t incarnation;
	bool connected, journalled;
	uint64_t lease_end_us;		/* when not connected */
	uint64_t resync_end_us;		/* when connected: what is not confirmed by then goes; 0: settled */
	uint64_t acked, sent;		/* revisions of the present session */
	struct member_queue members;
	size_t member_count;
	struct entry_queue entries;	/* it owns */
};

/* An address of an entry, found by (VNI, IP). */
struct address {
	struct table_link link;		/* vni->addresses */
	struct entry *entry;
	struct ip ip;
};

struct entry {
	struct table_link link;		/* vni->entries, by MAC; until it is removed */
	TAILQ_ENTRY(entry) of_owner;
	TAILQ_ENTRY(entry) to_tell;	/* vni->changed or vni->removed */
	TAILQ_ENTRY(entry) of_handover;	/* vni->handovers, while handover_from is set */
	struct vni *vni;
	struct nve *owner;
	struct mac mac;
	bool changed;			/* stands in vni->changed */
	struct nve *handover_from;	/* the old NVE, which is told first; NULL: none */
	uint64_t handover_revision, handover_deadline_us;
	uint8_t address_count;
	struct address *addresses;	/* owned */
	uint64_t generation;
	uint64_t incarnation;		/* of the owner, when it last said that it serves this */
	struct uuid vm;
	uint32_t flags;
};

enum move_state {
	MOVE_ASKED,			/* the owner has not answered */
	MOVE_GRANTED,
	MOVE_STATE_COUNT,
};

/* An NVE wants to serve a MAC. */
struct move {
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
	TAILQ_ENTRY(convergence) of_vni;
	struct mac mac;
	uint64_t generation;
	uint64_t revision;		/* to be confirmed; 0: not told yet */
	uint64_t deadline_us;
	struct nve *from, *to;
	size_t flows_size;		/* passed on since the commit */
	struct member *blocker;		/* the first in the queue that has not confirmed; NULL: not looked for yet */
};
TAILQ_HEAD(convergence_queue, convergence);

struct vni {
	struct table_link link;		/* directory->vni_table */
	TAILQ_ENTRY(vni) of_directory;
	TAILQ_ENTRY(vni) to_tell;	/* directory->vnis_to_tell */
	uint32_t number;
	bool telling;			/* stands in vnis_to_tell */
	struct table entries, addresses, member_table;
	struct member_queue members;
	size_t member_count;
	uint64_t members_version;
	struct entry_queue changed, removed, handovers;
	struct move_queue moves;
	struct convergence_queue convergences;
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

struct directory {
	struct directory_config config;
	uint64_t started_us;
	uint64_t revision;		/* of the last UPDATE */
	uint64_t last_consent_id;
	bool out_of_memory;
	struct nve *nves[DIRECTORY_NVES_MAX];
	size_t nve_end;			/* past the highest number ever given */
	struct table nve_names;
	struct vni_queue vnis, vnis_to_tell;
	struct table vni_table;
	struct table tombstones;
	struct tombstone_queue tombstones_by_age;
	struct output_queue outputs;
	directory_journal *journal;	/* NULL: nobody keeps what happens */
	void *journal_userdata;
	bool remembers;			/* it goes on from an earlier life */
	uint64_t moves_lost_until_us;	/* of which moves that were under way are not remembered */
	size_t move_count, convergence_count;
	uint64_t counters[COUNTER_COUNT];
};
/* clang-format on */

const char *move_state_name(enum move_state state);

/* --- directory_table.c: VNIs, entries, addresses, tombstones --- */
struct vni *vni_find(const struct directory *directory, uint32_t number);
/* Finds or makes; NULL at the cap or without memory. */
struct vni *vni_get(struct directory *directory, uint32_t number);
struct vni *vni_free(struct directory *directory, struct vni *vni);
bool vni_is_unused(const struct vni *vni);

struct entry *entry_find(const struct directory *directory, const struct vni *vni, struct mac mac);
/* The entry that claimed @ip last. */
struct entry *entry_find_ip(const struct directory *directory, const struct vni *vni, struct ip ip);
/*
 * A MAC not yet in @vni. NULL at the cap or without memory. The caller sets its owner and the rest.
 */
struct entry *entry_new(struct directory *directory, struct vni *vni, struct mac mac);
void entry_set_owner(struct entry *entry, struct nve *owner);
/* Each address once; true when that changed anything. */
bool entry_set_addresses(struct directory *directory, struct entry *entry, const struct ip *ips,
			 size_t count);
/* Takes it out of the tables and leaves a tombstone; it is freed when that has been told. */
void entry_remove(struct directory *directory, uint64_t now_us, struct entry *entry);
struct entry *entry_free(struct entry *entry);
void entry_mapping(const struct entry *entry, struct mapping *ret_mapping);

/* The first generation of a MAC nobody serves, for an NVE that remembers @claimed. */
uint64_t generation_next(const struct directory *directory, uint32_t vni, struct mac mac,
			 uint64_t claimed);
void tombstones_age(struct directory *directory, uint64_t now_us);
void tombstones_clear(struct directory *directory);

/* Remembers @generation; the oldest memory makes room. */
void tombstone_put(struct directory *directory, uint64_t since_us, uint32_t vni, struct mac mac,
		   uint64_t generation);
void tombstone_forget(struct directory *directory, uint32_t vni, struct mac mac);

/* --- directory_journal.c: what outlives a restart --- */
void journal_nve(struct directory *directory, const struct nve *nve);
void journal_nve_gone(struct directory *directory, const struct nve *nve);
void journal_member(struct directory *directory, const struct member *member);
void journal_member_gone(struct directory *directory, const struct member *member);
void journal_entry(struct directory *directory, const struct entry *entry);
void journal_removed(struct directory *directory, const struct entry *entry);
void journal_tombstone(struct directory *directory, uint32_t vni, struct mac mac,
		       uint64_t generation);
/*
 * Makes @entry, or a new one, what @change says, for @owner. NULL at the cap or without memory.
 */
struct entry *entry_place(struct directory *directory, struct vni *vni, struct entry *entry,
			  struct nve *owner, const struct change *change);

/* --- directory_tell.c: outputs --- */
/* Takes over what @message owns. Nothing is sent to an NVE without a session. */
void tell(struct directory *directory, const struct nve *nve, struct nvo3_message *message);
/* The session of @nve ends: what waits for it is not for its next one. */
void tell_no_more(struct directory *directory, const struct nve *nve);
/* Marks what the next call of directory_next_output() tells the members. */
void tell_later(struct directory *directory, struct vni *vni);
void tell_entry_later(struct directory *directory, struct entry *entry);
/* MEMBERS and a snapshot, at once. */
void tell_subscriber(struct directory *directory, struct member *member);
void outputs_clear(struct directory *directory);

/* --- directory_member.c: NVEs and their VNIs --- */
struct member *member_find(const struct directory *directory, const struct vni *vni,
			   const struct nve *nve);
/* NULL without memory. */
struct member *member_new(struct directory *directory, struct vni *vni, struct nve *nve);
struct nve *nve_find(const struct directory *directory, const char *name);
/* A name and a VTEP that no NVE has. 0, -ENOSPC at the cap, or -ENOMEM. */
int nve_new(struct directory *directory, const char *name, struct ip vtep, struct nve **ret_nve);
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
 * Makes @nve the owner of @mapping's MAC; what is known of the same VM is kept. @entry: the present
 * one, or NULL. Returns NULL at a cap or without memory.
 */
struct entry *entry_assign(struct directory *directory, struct vni *vni, struct entry *entry,
			   struct nve *nve, const struct mapping *mapping, uint64_t generation);
void registration_take(struct directory *directory, uint64_t now_us, struct nve *nve,
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
void moves_owner_changed(struct directory *directory, uint64_t now_us, struct entry *entry);
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
void handover_new(struct directory *directory, uint64_t now_us, struct entry *entry,
		  struct nve *from);
/* Nobody need be waited for any more: the entry goes, or has yet another owner. */
void handover_drop(struct entry *entry);
/* Ends those that are confirmed, overdue, or whose old NVE has no session. */
void handovers_check(struct directory *directory, uint64_t now_us, struct vni *vni);
void handovers_member_left(struct directory *directory, struct vni *vni, const struct nve *nve);

/* --- directory_converge.c: who has confirmed --- */
void convergence_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		     const struct entry *entry, struct nve *from);
/*
 * The UPDATE with everything committed until now has this revision; what is being handed over is
 * not in it.
 */
void convergences_told(const struct directory *directory, struct vni *vni, uint64_t revision);
/* Ends those that every subscribed member has confirmed. @restart: the queue of members changed. */
void convergences_check(struct directory *directory, struct vni *vni, bool restart);
/* That of the move of @mac away from @from; NULL: it has converged, or never was. */
struct convergence *convergence_find(const struct vni *vni, struct mac mac, const struct nve *from);
void convergences_member_left(struct vni *vni, const struct nve *nve);
void convergences_tick(struct directory *directory, uint64_t now_us, struct vni *vni);
void convergences_clear(struct directory *directory, struct vni *vni);

#endif
