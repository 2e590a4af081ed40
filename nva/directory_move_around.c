// SPDX-License-Identifier: LGPL-2.1-or-later
/* directory_move_around.c - what happens around moves: owners and members that change, time. */
#include <stdio.h>

#include "nva/directory_internal.h"
#include "nva/directory_move_step.h"

void moves_owner_changed(struct directory *directory, uint64_t now_us, struct vni *vni,
			 struct entry *entry)
{
	const struct mapping endpoint = { .vni = vni->number, .mac = entry->mac };
	struct move *moves[MOVES_OF_MAX];
	size_t count = moves_of(directory, vni, entry->mac, moves);

	for (size_t i = 0; i < count; i++) {
		struct move *move = moves[i];

		if (move->to->id != entry->owner) {
			move_ask(directory, now_us, move, entry);
			continue;
		}
		if (move->commit_held)
			tell_yes(directory, move->to, NVO3_COMMITTED, move->commit_id, &endpoint,
				 entry->generation, move->from);
		move_free(directory, move);
	}
}

static struct move *find_asked(const struct directory *directory, const struct vni *vni,
			       struct mac mac)
{
	struct move *moves[MOVES_OF_MAX];
	size_t count = moves_of(directory, vni, mac, moves);

	for (size_t i = 0; i < count; i++)
		if (moves[i]->state == MOVE_ASKED)
			return moves[i];
	return NULL;
}

void moves_owner_left(struct directory *directory, uint64_t now_us, struct vni *vni, struct mac mac)
{
	struct move *move;

	/*
	 * A grant can lead to a commit, whose new owner the others then ask: so look anew each
	 * time.
	 */
	while (!entry_find(directory, vni, mac) && (move = find_asked(directory, vni, mac))) {
		/* It may not have heard the question yet, and serve the MAC again when it does. */
		tell_off(directory, move, move->from, "the present NVE has withdrawn it");
		move_grant(directory, now_us, move,
			   generation_next(directory, vni->number, mac, 0));
	}
}

void moves_withdrawn(struct directory *directory, const struct vni *vni, const struct nve *nve,
		     struct mac mac)
{
	struct move *move = move_find(directory, vni, mac, nve);

	if (move)
		move_abort(directory, move, move->from, "the new NVE withdraws it");
}

/*
 * A COMMIT that waits is void: the VM may be gone when the answer comes, and nobody be there to say
 * so.
 */
void moves_session_ended(struct directory *directory, const struct nve *nve)
{
	const struct member *member;
	struct move *move;

	TAILQ_FOREACH(member, &nve->members, of_nve)
		TAILQ_FOREACH(move, &member->vni->moves, of_vni)
			if (move->to == nve)
				move->commit_held = false;
}

void moves_settle(struct directory *directory, const struct nve *nve)
{
	const struct member *member;
	struct move *move, *following;

	TAILQ_FOREACH(member, &nve->members, of_nve)
		QUEUE_FOREACH_SAFE(move, &member->vni->moves, of_vni, following)
	if (move->to == nve && move->session != nve->session)
		move_abort(directory, move, move->from, "the new NVE does not want it any more");
}

static struct move *find_asked_of(const struct vni *vni, const struct nve *nve)
{
	struct move *move;

	TAILQ_FOREACH(move, &vni->moves, of_vni)
		if (move->state == MOVE_ASKED && move->from == nve)
			return move;
	return NULL;
}

void moves_owner_stale(struct directory *directory, uint64_t now_us, struct vni *vni,
		       const struct nve *nve)
{
	const struct entry *entry;
	struct move *move;

	/* A grant can lead to a commit, and that change the queue anywhere: look anew each time. */
	while (!directory->out_of_memory && (move = find_asked_of(vni, nve))) {
		entry = entry_find(directory, vni, move->mapping.mac);
		move->unasked = true;
		move_grant(directory, now_us, move, entry->generation + 1);
	}
}

void moves_owner_back(struct directory *directory, uint64_t now_us, const struct nve *nve)
{
	const struct member *member;
	struct move *move;

	TAILQ_FOREACH(member, &nve->members, of_nve)
		TAILQ_FOREACH(move, &member->vni->moves, of_vni) {
			const struct entry *entry =
				entry_find(directory, member->vni, move->mapping.mac);

			if (entry && move->unasked && move->from == nve)
				move_ask(directory, now_us, move, entry);
		}
}

void moves_member_left(struct directory *directory, struct vni *vni, const struct nve *nve)
{
	struct move *move, *following;

	QUEUE_FOREACH_SAFE(move, &vni->moves, of_vni, following)
	{
		if (move->to == nve)
			move_abort(directory, move, move->from, "the new NVE is gone");
		else if (move->from == nve)
			move->from = NULL;
	}
}

/*
 * An NVE that was started anew while its VM leaves has forgotten that it said yes, and would not be
 * ready for the VM's stop. A second answer changes nothing. What was granted without a question is
 * nothing to ask about.
 */
void moves_ask_again(struct directory *directory, const struct nve *nve)
{
	const struct member *member;
	const struct move *move;

	TAILQ_FOREACH(member, &nve->members, of_nve)
		TAILQ_FOREACH(move, &member->vni->moves, of_vni)
			if (move->from == nve && move->consent_id)
				ask_owner(directory, move);
}

/* The deadline of a question has passed. Frees @move. */
static void give_up(struct directory *directory, uint64_t now_us, struct move *move)
{
	const struct entry *entry = entry_find(directory, move->vni, move->mapping.mac);
	bool connected = move->from && move->from->connected;
	char reason[NVO3_TEXT_MAX + 1];

	if (move->commit_held && entry && !connected) {
		move_grant(directory, now_us, move, entry->generation + 1);
		return;
	}
	(void) snprintf(reason, sizeof(reason), "NVE %s %s",
			move->from ? move->from->name : "(gone)",
			connected ? "did not consent in time"
				  : "could not be asked in time: it has no session");
	tell_off(directory, move, move->from, reason); /* an answer would come too late now */
	move_refuse(directory, move, reason);
}

static struct move *find_overdue(const struct vni *vni, uint64_t now_us)
{
	struct move *move;

	TAILQ_FOREACH(move, &vni->moves, of_vni)
		if (move->state == MOVE_ASKED && now_us >= move->deadline_us)
			return move;
	return NULL;
}

void moves_tick(struct directory *directory, uint64_t now_us, struct vni *vni)
{
	struct move *move;

	/*
	 * A commit may change the queue anywhere: look anew each time. Each turn ends or postpones
	 * one question.
	 */
	while (!directory->out_of_memory && (move = find_overdue(vni, now_us)))
		give_up(directory, now_us, move);
}

void moves_clear(struct directory *directory, struct vni *vni)
{
	while (!TAILQ_EMPTY(&vni->moves))
		move_free(directory, TAILQ_FIRST(&vni->moves));
	table_clear(&vni->move_table);
}
