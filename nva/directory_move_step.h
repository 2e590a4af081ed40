/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_move_step.h - the steps of one move; for directory_move*.c. */
#ifndef REHOME_NVA_DIRECTORY_MOVE_STEP_H
#define REHOME_NVA_DIRECTORY_MOVE_STEP_H

#include "nva/directory_internal.h"

enum {
	MOVES_OF_MAX =
		DIRECTORY_MAC_MOVES_MAX + 1, /* a COMMIT without an intent is one for a moment */
};

/* The moves of @mac, the oldest first, in an array of MOVES_OF_MAX. Returns how many they are. */
size_t moves_of(const struct directory *directory, const struct vni *vni, struct mac mac,
		struct move **ret_moves);
struct move *move_find(const struct directory *directory, const struct vni *vni, struct mac mac,
		       const struct nve *to);
/* NULL without memory. */
struct move *move_new(struct directory *directory, struct vni *vni, struct nve *nve,
		      const struct mapping *mapping);
void move_free(struct directory *directory, struct move *move);

/* Asks the owner of @entry, or another one anew. */
void move_ask(struct directory *directory, uint64_t now_us, struct move *move,
	      const struct entry *entry);
/* May free @move: a COMMIT that waited is done. */
void move_grant(struct directory *directory, uint64_t now_us, struct move *move,
		uint64_t generation);
/* The VM runs at move->to from now on. Frees @move. */
void move_commit(struct directory *directory, uint64_t now_us, struct move *move,
		 uint64_t commit_id);
/* Frees @move. */
void move_refuse(struct directory *directory, struct move *move, const char *reason);
/* ABORT to @nve, who may be NULL. */
void tell_off(struct directory *directory, const struct move *move, const struct nve *nve,
	      const char *reason);
/* Tells @other that @move is off, and frees it. */
void move_abort(struct directory *directory, struct move *move, const struct nve *other,
		const char *reason);

/* MOVE_GRANTED or COMMITTED with a yes. */
void tell_yes(struct directory *directory, const struct nve *nve, enum nvo3_kind kind, uint64_t id,
	      const struct mapping *mapping, uint64_t generation, const struct nve *old);
void refuse_intent(struct directory *directory, const struct nve *nve,
		   const struct nvo3_message *intent, const char *reason);
void refuse_commit(struct directory *directory, const struct nve *nve, uint64_t id, uint32_t vni,
		   struct mac mac, const char *reason);
/* CONSENT, again if need be. */
void ask_owner(struct directory *directory, const struct move *move);

#endif
