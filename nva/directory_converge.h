/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory_converge.h - a committed move until everybody knows: the old NVE first, then all; for
 * directory*.c.
 */
#ifndef REHOME_NVA_DIRECTORY_CONVERGE_H
#define REHOME_NVA_DIRECTORY_CONVERGE_H

#include <sys/queue.h>

#include "nva/directory.h"

struct directory;
struct entry;
struct member;
struct nve;
struct vni;

/* clang-format off */
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

/* A member that pulls must confirm a wave. */
struct waiter {
	TAILQ_ENTRY(waiter) of_wave;
	struct member *member;
	uint64_t revision;		/* that it was sent */
	/* it had no session, as nobody has after a restart: for its lease */
	bool absent;
};
TAILQ_HEAD(waiter_queue, waiter);

/* The moves that one UPDATE told of: they converge together. */
struct wave {
	TAILQ_ENTRY(wave) of_vni;
	uint64_t revision;		/* to be confirmed; 0: by the waiters alone */
	struct waiter_queue waiters;	/* members that pull and were told of one of the moves */
	/* the first in the queue that has not confirmed; NULL: not looked for yet */
	struct member *blocker;
	struct convergence_queue convergences;
};
TAILQ_HEAD(wave_queue, wave);
/* clang-format on */

/* --- directory_handover.c: the old NVE first --- */
/*
 * @entry has just been committed to its owner; @from (or NULL) served it before. Tells @from, and
 * once it has confirmed, all.
 */
void handover_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry, struct nve *from);
/*
 * What @nve may know of @entry: whoever is not told of its move yet, that it is where it was.
 * Otherwise as entry_mapping().
 */
void handover_mapping(const struct directory *directory, const struct vni *vni,
		      const struct entry *entry, const struct nve *nve,
		      struct mapping *ret_mapping);
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
/*
 * CONVERGED of an NVE: it did not hear whether its move has converged, or this directory has
 * started anew and forgot that it had not. It is told when all have what there is now.
 */
void converged_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		    const struct nvo3_message *message);
/* That of the move of @mac away from @from; NULL: it has converged, or never was. */
struct convergence *convergence_find(const struct vni *vni, struct mac mac, const struct nve *from);
void convergences_member_left(struct vni *vni, const struct nve *nve);
void convergences_tick(struct directory *directory, uint64_t now_us, struct vni *vni);
void convergences_clear(struct directory *directory, struct vni *vni);

#endif
