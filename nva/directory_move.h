/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_move.h - moves by consent, until they are committed; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_MOVE_H
#define REHOME_NVA_DIRECTORY_MOVE_H

#include <sys/queue.h>

#include "nva/directory.h"
#include "nva/table.h"

struct entry;
struct nve;
struct vni;

/* clang-format off */
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
	bool unasked;			/* granted because the lease of @from had ended */
	uint32_t session;		/* of the new NVE, in which it last said that it wants it */
	size_t flows_size;		/* passed on so far */
};
TAILQ_HEAD(move_queue, move);
/* clang-format on */

const char *move_state_name(enum move_state state);

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
/* The lease of @nve has ended: who asked for what it serves gets it. */
void moves_owner_stale(struct directory *directory, uint64_t now_us, struct vni *vni,
		       const struct nve *nve);
/* @nve is back after its lease: it is asked for what others have been granted meanwhile. */
void moves_owner_back(struct directory *directory, uint64_t now_us, const struct nve *nve);
/* @nve withdraws what it may have been about to get. */
void moves_withdrawn(struct directory *directory, const struct vni *vni, const struct nve *nve,
		     struct mac mac);
/* The session of @nve ends: it repeats what it still wants in its next one. */
void moves_session_ended(struct directory *directory, const struct nve *nve);
/* What it has not repeated in its present session by now it does not want any more. */
void moves_settle(struct directory *directory, const struct nve *nve);
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

#endif
