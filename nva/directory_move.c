// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_move.c - how a MAC changes its NVE with the consent of both.
 *
 *   MOVE_INTENT ──▶ nobody serves it, or may be asked ─────────────────▶ GRANTED ──COMMIT──▶ (done)
 *        │                                                                  ▲
 *        └────────▶ ASKED ── CONSENTED yes, owner withdraws or expires ─────┘
 *                     │
 *                     └── CONSENTED no, or the deadline passes ──▶ refused
 *
 * Several NVEs may want one MAC: a VM may go from A to B to C faster than B's commit arrives. Each
 * has its own move, and when the owner changes, the moves that remain ask the new owner. An
 * explicit consent ends what was granted to another NVE before.
 *
 * A COMMIT that comes before the answer waits for it; the VM runs at the new NVE already. If the
 * owner then neither answers in time nor has a session, its host is taken for dead and the commit
 * is done; if it has a session, the commit is refused.
 */
#include <stdio.h>

#include "nva/directory_internal.h"
#include "nva/directory_move_step.h"

/* --- MOVE_INTENT --- */

/* What makes an intent impossible, or NULL. */
static const char *intent_fault(const struct directory *directory, uint64_t now_us,
				const struct vni *vni, const struct nve *nve,
				const struct entry *entry, const struct mapping *mapping)
{
	if (!vni || !member_find(directory, vni, nve))
		return "this NVE has not subscribed to the VNI";
	if (!ip_is_none(mapping->vtep) && ip_cmp(mapping->vtep, nve->vtep) != 0)
		return "the mapping names a VTEP that is not the sender's";
	if (mapping->generation > DIRECTORY_CLAIM_MAX)
		return "no generation is that high";
	if (entry && is_another_vm(entry, mapping) &&
	    !nve_has_ended(entry_owner(directory, entry), now_us))
		return "the MAC belongs to another VM";
	return NULL;
}

static void intent_begin(struct directory *directory, uint64_t now_us, struct nve *nve,
			 const struct nvo3_message *message, struct vni *vni, struct entry *entry)
{
	const struct mapping *mapping = &message->mappings[0];
	uint64_t generation = generation_free(directory, now_us, vni, entry, mapping);
	struct move *others[MOVES_OF_MAX], *move;

	if (directory->move_count >= DIRECTORY_MOVES_MAX ||
	    moves_of(directory, vni, mapping->mac, others) >= DIRECTORY_MAC_MOVES_MAX) {
		refuse_intent(directory, nve, message, "the NVA has no room for another move");
		return;
	}
	move = move_new(directory, vni, nve, mapping);
	if (!move)
		return;
	move->intent_id = message->id;
	move->from = entry ? entry_owner(directory, entry) : NULL;
	move->unasked = entry && nve_has_ended(move->from, now_us);
	if (generation > 0)
		move_grant(directory, now_us, move, generation);
	else
		move_ask(directory, now_us, move, entry);
}

/* The same NVE says it again, perhaps in a new session: its new id is answered. */
static void intent_repeat(struct directory *directory, struct move *move,
			  const struct nvo3_message *message)
{
	move->mapping = message->mappings[0];
	move->intent_id = message->id;
	move->session = move->to->session;
	if (move->state == MOVE_GRANTED)
		tell_yes(directory, move->to, NVO3_MOVE_GRANTED, move->intent_id, &move->mapping,
			 move->generation, move->from);
}

void intent_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message)
{
	const struct mapping *mapping = &message->mappings[0];
	struct vni *vni = vni_find(directory, mapping->vni);
	struct entry *entry = vni ? entry_find(directory, vni, mapping->mac) : NULL;
	struct move *move = vni ? move_find(directory, vni, mapping->mac, nve) : NULL;
	const char *fault = intent_fault(directory, now_us, vni, nve, entry, mapping);

	directory->counters[COUNTER_INTENTS]++;
	if (fault)
		refuse_intent(directory, nve, message, fault);
	else if (entry && entry->owner == nve->id)
		tell_yes(directory, nve, NVO3_MOVE_GRANTED, message->id, mapping, entry->generation,
			 nve);
	else if (move)
		intent_repeat(directory, move, message);
	else
		intent_begin(directory, now_us, nve, message, vni, entry);
}

/* --- CONSENTED --- */

static void abort_other_grants(struct directory *directory, const struct move *granted)
{
	struct move *moves[MOVES_OF_MAX];
	size_t count = moves_of(directory, granted->vni, granted->mapping.mac, moves);

	for (size_t i = 0; i < count; i++)
		if (moves[i] != granted && moves[i]->state == MOVE_GRANTED)
			move_abort(directory, moves[i], moves[i]->to,
				   "the present NVE lets the VM go elsewhere");
}

static struct move *find_question(const struct directory *directory, const struct vni *vni,
				  struct mac mac, uint64_t consent_id)
{
	struct move *moves[MOVES_OF_MAX];
	size_t count = moves_of(directory, vni, mac, moves);

	for (size_t i = 0; i < count; i++)
		if (moves[i]->state == MOVE_ASKED && moves[i]->consent_id == consent_id)
			return moves[i];
	return NULL;
}

void consented_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		    const struct nvo3_message *message)
{
	struct vni *vni = vni_find(directory, message->vni);
	struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;
	struct move *move = vni ? find_question(directory, vni, message->mac, message->id) : NULL;

	/* An answer that came too late, or from whom was not asked, changes nothing. */
	if (!move || !entry || move->from != nve)
		return;
	if (!message->granted) {
		move_refuse(directory, move,
			    message->text[0] ? message->text : "the present NVE says no");
		return;
	}
	abort_other_grants(directory, move);
	move_grant(directory, now_us, move, entry->generation + 1);
}

/* --- COMMIT --- */

/* A grant is still of the present owner: a change of owner would have turned it into a question. */
static void commit_granted(struct directory *directory, uint64_t now_us, struct move *move,
			   const struct nvo3_message *message)
{
	if (message->generation == 0 || message->generation == move->generation)
		move_commit(directory, now_us, move, message->id);
	else
		refuse_commit(directory, move->to, message->id, message->vni, message->mac,
			      "another generation was granted");
}

static void commit_hold(struct move *move, const struct nvo3_message *message)
{
	move->commit_held = true;
	move->commit_id = message->id;
	move->session = move->to->session;
}

/*
 * A VM that runs at its new NVE while this NVA, which has started anew, no longer knows that this
 * was granted: its owner is asked (again). It is the next generation that was granted, if the NVE
 * had been told at all.
 */
static bool was_perhaps_granted(const struct directory *directory, uint64_t now_us,
				const struct entry *entry, const struct nvo3_message *commit)
{
	return now_us < directory->moves_lost_until_us &&
	       (commit->generation == 0 || commit->generation == entry->generation + 1);
}

/* Nothing was asked before: right only if nobody would have had to be asked. */
static void commit_unasked(struct directory *directory, uint64_t now_us, struct nve *nve,
			   struct vni *vni, struct entry *entry, const struct nvo3_message *message)
{
	const struct mapping mapping = {
		.vni = message->vni,
		.mac = message->mac,
		.generation = message->generation,
		.flags = MAPPING_VM,
	};
	uint64_t generation = generation_free(directory, now_us, vni, entry, &mapping);
	char reason[NVO3_TEXT_MAX + 1];
	struct move *move;

	if (entry && generation == 0 && !was_perhaps_granted(directory, now_us, entry, message)) {
		(void) snprintf(reason, sizeof(reason), "nothing was granted, and NVE %s serves it",
				entry_owner(directory, entry)->name);
		refuse_commit(directory, nve, message->id, message->vni, message->mac, reason);
		return;
	}
	move = move_new(directory, vni, nve, &mapping);
	if (!move)
		return;
	move->generation = generation;
	move->from = entry ? entry_owner(directory, entry) : NULL;
	if (generation > 0) {
		move_commit(directory, now_us, move, message->id);
		return;
	}
	commit_hold(move, message);
	move_ask(directory, now_us, move, entry);
}

/* It has it already: that it says so again confirms it, as a registration would. */
static void commit_again(struct directory *directory, const struct member *member,
			 struct entry *entry, uint64_t commit_id)
{
	const struct mapping endpoint = { .vni = member->vni->number, .mac = entry->mac };

	entry_confirm(directory, member, entry);
	tell_yes(directory, member->nve, NVO3_COMMITTED, commit_id, &endpoint, entry->generation,
		 member->nve);
}

void commit_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message)
{
	struct vni *vni = vni_find(directory, message->vni);
	struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;
	struct move *move = vni ? move_find(directory, vni, message->mac, nve) : NULL;
	const struct member *member = vni ? member_find(directory, vni, nve) : NULL;

	if (!member || message->generation > DIRECTORY_CLAIM_MAX)
		refuse_commit(
			directory, nve, message->id, message->vni, message->mac,
			"this NVE has not subscribed to the VNI, or the generation is impossible");
	else if (entry && entry->owner == nve->id)
		commit_again(directory, member, entry, message->id);
	else if (!move)
		commit_unasked(directory, now_us, nve, vni, entry, message);
	else if (move->state == MOVE_GRANTED)
		commit_granted(directory, now_us, move, message);
	else
		commit_hold(move, message);
}

/* --- ABORT --- */

void abort_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message)
{
	const struct vni *vni = vni_find(directory, message->vni);
	struct move *moves[MOVES_OF_MAX];
	size_t count = vni ? moves_of(directory, vni, message->mac, moves) : 0;

	for (size_t i = 0; i < count; i++) {
		struct move *move = moves[i];
		bool late = message->generation != 0 && move->state == MOVE_GRANTED &&
			    message->generation != move->generation;

		if (late)
			continue;
		if (move->to == nve)
			move_abort(directory, move, move->from, message->text);
		else if (move->from == nve)
			move_abort(directory, move, move->to, message->text);
	}
}
