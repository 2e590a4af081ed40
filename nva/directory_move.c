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
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nva/directory_internal.h"

static const char *const move_state_names[] = {
	[MOVE_ASKED] = "asked",
	[MOVE_GRANTED] = "granted",
};
static_assert(ARRAY_SIZE(move_state_names) == MOVE_STATE_COUNT, "a state has no name");

const char *move_state_name(enum move_state state)
{
	return move_state_names[state];
}

static struct move *move_find(const struct vni *vni, struct mac mac, const struct nve *to)
{
	struct move *move;

	TAILQ_FOREACH(move, &vni->moves, of_vni)
		if (move->to == to && mac_cmp(move->mapping.mac, mac) == 0)
			return move;
	return NULL;
}

static size_t count_moves(const struct vni *vni, struct mac mac)
{
	const struct move *move;
	size_t n = 0;

	TAILQ_FOREACH(move, &vni->moves, of_vni)
		n += mac_cmp(move->mapping.mac, mac) == 0;
	return n;
}

static void move_free(struct directory *directory, struct move *move)
{
	TAILQ_REMOVE(&move->vni->moves, move, of_vni);
	directory->move_count--;
	free(move);
}

/* --- messages --- */

/* MOVE_GRANTED or COMMITTED with a yes. */
static void tell_yes(struct directory *directory, const struct nve *nve, enum nvo3_kind kind,
		     uint64_t id, const struct mapping *mapping, uint64_t generation,
		     const struct nve *old)
{
	struct nvo3_message yes = {
		.kind = kind,
		.id = id,
		.vni = mapping->vni,
		.mac = mapping->mac,
		.generation = generation,
		.granted = true,
		.vtep = old ? old->vtep : (struct ip){ 0 },
	};

	tell(directory, nve, &yes);
}

/* MOVE_GRANTED or COMMITTED with a no. */
static void tell_no(struct directory *directory, const struct nve *nve, enum nvo3_kind kind,
		    uint64_t id, uint32_t vni, struct mac mac, const char *reason)
{
	struct nvo3_message no = { .kind = kind, .id = id, .vni = vni, .mac = mac };

	(void) snprintf(no.text, sizeof(no.text), "%s", reason);
	tell(directory, nve, &no);
}

static void refuse_intent(struct directory *directory, const struct nve *nve,
			  const struct nvo3_message *intent, const char *reason)
{
	directory->counters[COUNTER_MOVES_REFUSED]++;
	tell_no(directory, nve, NVO3_MOVE_GRANTED, intent->id, intent->mappings[0].vni,
		intent->mappings[0].mac, reason);
}

static void refuse_commit(struct directory *directory, const struct nve *nve, uint64_t id,
			  uint32_t vni, struct mac mac, const char *reason)
{
	directory->counters[COUNTER_COMMITS_REFUSED]++;
	tell_no(directory, nve, NVO3_COMMITTED, id, vni, mac, reason);
}

static void ask_owner(struct directory *directory, const struct move *move)
{
	struct nvo3_message consent = {
		.kind = NVO3_CONSENT,
		.id = move->consent_id,
		.vni = move->mapping.vni,
		.mac = move->mapping.mac,
		.vtep = move->to->vtep,
		.vm = move->mapping.vm,
	};

	tell(directory, move->from, &consent);
}

/* --- the steps of one move --- */

static void move_ask(struct directory *directory, uint64_t now_us, struct move *move,
		     const struct entry *entry)
{
	move->state = MOVE_ASKED;
	move->from = entry->owner;
	move->generation = 0;
	move->consent_id = ++directory->last_consent_id;
	move->deadline_us = now_us + directory->config.consent_timeout_us;
	ask_owner(directory, move);
}

/* The VM runs at move->to from now on. Frees @move. */
static void move_commit(struct directory *directory, uint64_t now_us, struct move *move,
			uint64_t commit_id)
{
	struct vni *vni = move->vni;
	struct entry *entry = entry_find(directory, vni, move->mapping.mac);

	entry = entry_assign(directory, vni, entry, move->to, &move->mapping, move->generation);
	if (entry) {
		directory->counters[COUNTER_MOVES_COMMITTED]++;
		tell_yes(directory, move->to, NVO3_COMMITTED, commit_id, &move->mapping,
			 entry->generation, move->from);
		handover_new(directory, now_us, entry, move->from);
		convergence_new(directory, now_us, vni, entry, move->from);
	} else {
		refuse_commit(directory, move->to, commit_id, vni->number, move->mapping.mac,
			      "the NVA has no room for another mapping of this VNI");
	}
	move_free(directory, move);
	if (entry)
		moves_owner_changed(directory, now_us, entry);
}

/* May free @move: a COMMIT that waited is done. */
static void move_grant(struct directory *directory, uint64_t now_us, struct move *move,
		       uint64_t generation)
{
	move->state = MOVE_GRANTED;
	move->generation = generation;
	directory->counters[COUNTER_MOVES_GRANTED]++;
	tell_yes(directory, move->to, NVO3_MOVE_GRANTED, move->intent_id, &move->mapping,
		 generation, move->from);
	if (move->commit_held)
		move_commit(directory, now_us, move, move->commit_id);
}

/* Frees @move. */
static void move_refuse(struct directory *directory, struct move *move, const char *reason)
{
	const struct mapping *mapping = &move->mapping;

	directory->counters[COUNTER_MOVES_REFUSED]++;
	tell_no(directory, move->to, NVO3_MOVE_GRANTED, move->intent_id, mapping->vni, mapping->mac,
		reason);
	if (move->commit_held)
		refuse_commit(directory, move->to, move->commit_id, mapping->vni, mapping->mac,
			      reason);
	move_free(directory, move);
}

/* Tells @other that @move is off, and frees it. */
static void move_abort(struct directory *directory, struct move *move, const struct nve *other,
		       const char *reason)
{
	struct nvo3_message abort = {
		.kind = NVO3_ABORT,
		.vni = move->mapping.vni,
		.mac = move->mapping.mac,
		.generation = move->generation,
	};

	directory->counters[COUNTER_MOVES_ABORTED]++;
	if (other == move->to && move->commit_held)
		refuse_commit(directory, other, move->commit_id, abort.vni, abort.mac, reason);
	(void) snprintf(abort.text, sizeof(abort.text), "%s", reason);
	tell(directory, other, &abort);
	move_free(directory, move);
}

/* --- MOVE_INTENT --- */

/* What makes an intent impossible, or NULL. */
static const char *intent_fault(const struct directory *directory, const struct vni *vni,
				const struct nve *nve, const struct entry *entry,
				const struct mapping *mapping)
{
	if (!vni || !member_find(directory, vni, nve))
		return "this NVE has not subscribed to the VNI";
	if (!ip_is_none(mapping->vtep) && ip_cmp(mapping->vtep, nve->vtep) != 0)
		return "the mapping names a VTEP that is not the sender's";
	if (mapping->generation > DIRECTORY_CLAIM_MAX)
		return "no generation is that high";
	if (entry && is_another_vm(entry, mapping))
		return "the MAC belongs to another VM";
	return NULL;
}

static struct move *move_new(struct directory *directory, struct vni *vni, struct nve *nve)
{
	struct move *move = calloc(1, sizeof(*move));

	if (!move) {
		directory->out_of_memory = true;
		return NULL;
	}
	move->vni = vni;
	move->to = nve;
	TAILQ_INSERT_TAIL(&vni->moves, move, of_vni);
	directory->move_count++;
	return move;
}

static void intent_begin(struct directory *directory, uint64_t now_us, struct nve *nve,
			 const struct nvo3_message *message, struct vni *vni, struct entry *entry)
{
	const struct mapping *mapping = &message->mappings[0];
	uint64_t generation = generation_free(directory, now_us, vni, entry, mapping);
	struct move *move;

	if (directory->move_count >= DIRECTORY_MOVES_MAX ||
	    count_moves(vni, mapping->mac) >= DIRECTORY_MAC_MOVES_MAX) {
		refuse_intent(directory, nve, message, "the NVA has no room for another move");
		return;
	}
	move = move_new(directory, vni, nve);
	if (!move)
		return;
	move->mapping = *mapping;
	move->intent_id = message->id;
	move->from = entry ? entry->owner : NULL;
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
	struct move *move = vni ? move_find(vni, mapping->mac, nve) : NULL;
	const char *fault = intent_fault(directory, vni, nve, entry, mapping);

	directory->counters[COUNTER_INTENTS]++;
	if (fault)
		refuse_intent(directory, nve, message, fault);
	else if (entry && entry->owner == nve)
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
	struct move *move, *following;

	QUEUE_FOREACH_SAFE(move, &granted->vni->moves, of_vni, following)
	if (move != granted && move->state == MOVE_GRANTED &&
	    mac_cmp(move->mapping.mac, granted->mapping.mac) == 0)
		move_abort(directory, move, move->to, "the present NVE lets the VM go elsewhere");
}

void consented_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		    const struct nvo3_message *message)
{
	struct vni *vni = vni_find(directory, message->vni);
	struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;
	struct move *move = vni ? TAILQ_FIRST(&vni->moves) : NULL;

	while (move && (move->state != MOVE_ASKED || move->consent_id != message->id))
		move = TAILQ_NEXT(move, of_vni);
	/* An answer that came too late, or from whom was not asked, changes nothing. */
	if (!move || !entry || move->from != nve || mac_cmp(move->mapping.mac, message->mac) != 0)
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
				entry->owner->name);
		refuse_commit(directory, nve, message->id, message->vni, message->mac, reason);
		return;
	}
	move = move_new(directory, vni, nve);
	if (!move)
		return;
	move->mapping = mapping;
	move->generation = generation;
	move->from = entry ? entry->owner : NULL;
	if (generation > 0) {
		move_commit(directory, now_us, move, message->id);
		return;
	}
	commit_hold(move, message);
	move_ask(directory, now_us, move, entry);
}

void commit_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message)
{
	const struct mapping endpoint = { .vni = message->vni, .mac = message->mac };
	struct vni *vni = vni_find(directory, message->vni);
	struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;
	struct move *move = vni ? move_find(vni, message->mac, nve) : NULL;

	if (!vni || !member_find(directory, vni, nve) || message->generation > DIRECTORY_CLAIM_MAX)
		refuse_commit(
			directory, nve, message->id, message->vni, message->mac,
			"this NVE has not subscribed to the VNI, or the generation is impossible");
	else if (entry && entry->owner == nve)
		tell_yes(directory, nve, NVO3_COMMITTED, message->id, &endpoint, entry->generation,
			 nve);
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
	struct vni *vni = vni_find(directory, message->vni);
	struct move *move, *following;

	if (!vni)
		return;
	QUEUE_FOREACH_SAFE(move, &vni->moves, of_vni, following)
	{
		bool late = message->generation != 0 && move->state == MOVE_GRANTED &&
			    message->generation != move->generation;

		if (late || mac_cmp(move->mapping.mac, message->mac) != 0)
			continue;
		if (move->to == nve)
			move_abort(directory, move, move->from, message->text);
		else if (move->from == nve)
			move_abort(directory, move, move->to, message->text);
	}
}

/* --- what happens around moves --- */

void moves_owner_changed(struct directory *directory, uint64_t now_us, struct entry *entry)
{
	const struct mapping endpoint = { .vni = entry->vni->number, .mac = entry->mac };
	struct move *move, *following;

	QUEUE_FOREACH_SAFE(move, &entry->vni->moves, of_vni, following)
	{
		if (mac_cmp(move->mapping.mac, entry->mac) != 0)
			continue;
		if (move->to != entry->owner) {
			move_ask(directory, now_us, move, entry);
			continue;
		}
		if (move->commit_held)
			tell_yes(directory, move->to, NVO3_COMMITTED, move->commit_id, &endpoint,
				 entry->generation, move->from);
		move_free(directory, move);
	}
}

static struct move *find_asked(const struct vni *vni, struct mac mac)
{
	struct move *move;

	TAILQ_FOREACH(move, &vni->moves, of_vni)
		if (move->state == MOVE_ASKED && mac_cmp(move->mapping.mac, mac) == 0)
			return move;
	return NULL;
}

void moves_owner_left(struct directory *directory, uint64_t now_us, struct vni *vni, struct mac mac)
{
	struct move *move;

	/*
	 * A grant can lead to a commit, whose new owner the others then ask: so look anew each
	 * time.
	 */
	while (!entry_find(directory, vni, mac) && (move = find_asked(vni, mac)))
		move_grant(directory, now_us, move,
			   generation_next(directory, vni->number, mac, 0));
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

void moves_ask_again(struct directory *directory, const struct nve *nve)
{
	const struct member *member;
	const struct move *move;

	TAILQ_FOREACH(member, &nve->members, of_nve)
		TAILQ_FOREACH(move, &member->vni->moves, of_vni)
			if (move->state == MOVE_ASKED && move->from == nve)
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
}
