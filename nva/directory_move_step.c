// SPDX-License-Identifier: LGPL-2.1-or-later
/* directory_move_step.c - the steps of one move, and what the NVEs are told of them. */
#include <stdio.h>
#include <string.h>

#include "nva/directory_internal.h"
#include "nva/directory_move_step.h"

static const char *const move_state_names[] = {
	[MOVE_ASKED] = "asked",
	[MOVE_GRANTED] = "granted",
};
static_assert(ARRAY_SIZE(move_state_names) == MOVE_STATE_COUNT, "a state has no name");

const char *move_state_name(enum move_state state)
{
	return move_state_names[state];
}

/* --- the moves of a MAC --- */

size_t moves_of(const struct directory *directory, const struct vni *vni, struct mac mac,
		struct move **ret_moves)
{
	struct table_link *link = table_first(&vni->move_table, hash_of_mac(directory, mac));
	size_t count = 0;

	for (; link && count < MOVES_OF_MAX; link = table_older(link)) {
		struct move *move = TABLE_ITEM(link, struct move, link);

		if (mac_cmp(move->mapping.mac, mac) == 0)
			ret_moves[count++] = move;
	}
	for (size_t i = 0; i < count / 2; i++) { /* the table gives the newest first */
		struct move *newer = ret_moves[i];

		ret_moves[i] = ret_moves[count - 1 - i];
		ret_moves[count - 1 - i] = newer;
	}
	return count;
}

struct move *move_find(const struct directory *directory, const struct vni *vni, struct mac mac,
		       const struct nve *to)
{
	struct move *moves[MOVES_OF_MAX];
	size_t count = moves_of(directory, vni, mac, moves);

	for (size_t i = 0; i < count; i++)
		if (moves[i]->to == to)
			return moves[i];
	return NULL;
}

struct move *move_new(struct directory *directory, struct vni *vni, struct nve *nve,
		      const struct mapping *mapping)
{
	struct move *move = calloc(1, sizeof(*move));

	if (!move ||
	    table_add(&vni->move_table, &move->link, hash_of_mac(directory, mapping->mac)) < 0) {
		directory->out_of_memory = true;
		free(move);
		return NULL;
	}
	move->vni = vni;
	move->to = nve;
	move->session = nve->session;
	move->mapping = *mapping;
	TAILQ_INSERT_TAIL(&vni->moves, move, of_vni);
	directory->move_count++;
	return move;
}

void move_free(struct directory *directory, struct move *move)
{
	TAILQ_REMOVE(&move->vni->moves, move, of_vni);
	table_remove(&move->vni->move_table, &move->link);
	directory->move_count--;
	free(move);
}

/* --- messages --- */

/* MOVE_GRANTED or COMMITTED with a yes. */
void tell_yes(struct directory *directory, const struct nve *nve, enum nvo3_kind kind, uint64_t id,
	      const struct mapping *mapping, uint64_t generation, const struct nve *old)
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

void refuse_intent(struct directory *directory, const struct nve *nve,
		   const struct nvo3_message *intent, const char *reason)
{
	directory->counters[COUNTER_MOVES_REFUSED]++;
	tell_no(directory, nve, NVO3_MOVE_GRANTED, intent->id, intent->mappings[0].vni,
		intent->mappings[0].mac, reason);
}

void refuse_commit(struct directory *directory, const struct nve *nve, uint64_t id, uint32_t vni,
		   struct mac mac, const char *reason)
{
	directory->counters[COUNTER_COMMITS_REFUSED]++;
	tell_no(directory, nve, NVO3_COMMITTED, id, vni, mac, reason);
}

void ask_owner(struct directory *directory, const struct move *move)
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

void move_ask(struct directory *directory, uint64_t now_us, struct move *move,
	      const struct entry *entry)
{
	move->state = MOVE_ASKED;
	move->unasked = false;
	move->from = entry_owner(directory, entry);
	move->generation = 0;
	move->consent_id = ++directory->last_consent_id;
	move->deadline_us = now_us + directory->config.consent_timeout_us;
	ask_owner(directory, move);
}

/* The VM runs at move->to from now on. Frees @move. */
void move_commit(struct directory *directory, uint64_t now_us, struct move *move,
		 uint64_t commit_id)
{
	struct vni *vni = move->vni;
	struct member *member = member_find(directory, vni, move->to);
	struct entry *entry = entry_find(directory, vni, move->mapping.mac);
	char reason[NVO3_TEXT_MAX + 1] = "";

	if (is_over_a_limit(directory, member, entry, &move->mapping, reason))
		entry = NULL;
	else
		entry = entry_assign(directory, member, entry, &move->mapping, move->generation);
	if (entry) {
		directory->counters[COUNTER_MOVES_COMMITTED]++;
		tell_yes(directory, move->to, NVO3_COMMITTED, commit_id, &move->mapping,
			 entry->generation, move->from);
		handover_new(directory, now_us, vni, entry, move->from);
		convergence_new(directory, now_us, vni, entry, move->from);
	} else {
		refuse_commit(directory, move->to, commit_id, vni->number, move->mapping.mac,
			      reason);
	}
	move_free(directory, move);
	if (entry)
		moves_owner_changed(directory, now_us, vni, entry);
}

/* May free @move: a COMMIT that waited is done. */
void move_grant(struct directory *directory, uint64_t now_us, struct move *move,
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
void move_refuse(struct directory *directory, struct move *move, const char *reason)
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

void tell_off(struct directory *directory, const struct move *move, const struct nve *nve,
	      const char *reason)
{
	struct nvo3_message abort = {
		.kind = NVO3_ABORT,
		.vni = move->mapping.vni,
		.mac = move->mapping.mac,
		.generation = move->generation,
	};

	(void) snprintf(abort.text, sizeof(abort.text), "%s", reason);
	tell(directory, nve, &abort);
}

/* Tells @other that @move is off, and frees it. */
void move_abort(struct directory *directory, struct move *move, const struct nve *other,
		const char *reason)
{
	const struct mapping *mapping = &move->mapping;

	directory->counters[COUNTER_MOVES_ABORTED]++;
	if (other == move->to && move->commit_held)
		refuse_commit(directory, other, move->commit_id, mapping->vni, mapping->mac,
			      reason);
	tell_off(directory, move, other, reason);
	move_free(directory, move);
}
