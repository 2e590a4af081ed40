// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_converge.c - when has everybody confirmed a move?
 *
 * The moves that one UPDATE told of converge together: they are a wave. A wave waits for each
 * member of the VNI that is subscribed in its present session. It keeps a pointer to the first one
 * that has not confirmed; until that one does, nothing need be looked at, and then the search goes
 * on from there: those before it have confirmed, and a confirmation is not taken back. What does
 * change the queue (a member leaves, or subscribes and must confirm its snapshot) restarts the
 * search.
 *
 * A member that pulls is waited for only if it was told of one of the wave's moves, or has not
 * confirmed its snapshot: what it held before may have been anything. The former stand in a list of
 * the wave's own.
 */
#include "nva/directory_internal.h"

static void convergence_free(struct directory *directory, struct convergence_queue *queue,
			     struct convergence *convergence)
{
	TAILQ_REMOVE(queue, convergence, link);
	directory->convergence_count--;
	free(convergence);
}

static void waiter_free(struct wave *wave, struct waiter *waiter)
{
	TAILQ_REMOVE(&wave->waiters, waiter, of_wave);
	free(waiter);
}

static void wave_free(struct vni *vni, struct wave *wave)
{
	while (!TAILQ_EMPTY(&wave->waiters))
		waiter_free(wave, TAILQ_FIRST(&wave->waiters));
	TAILQ_REMOVE(&vni->waves, wave, of_vni);
	free(wave);
}

/* In @queue; NULL at the cap, or without memory. */
static struct convergence *add_to(struct directory *directory, uint64_t now_us,
				  struct convergence_queue *queue, const struct entry *entry)
{
	struct convergence *convergence;

	/* Over the cap the old NVE is not told, and stops forwarding by its own timer. */
	if (directory->convergence_count >= DIRECTORY_CONVERGENCES_MAX) {
		directory->counters[COUNTER_NOT_CONVERGED]++;
		return NULL;
	}
	convergence = calloc(1, sizeof(*convergence));
	if (!convergence) {
		directory->out_of_memory = true;
		return NULL;
	}
	convergence->mac = entry->mac;
	convergence->generation = entry->generation;
	convergence->deadline_us = now_us + DIRECTORY_CONVERGE_MAX_S * UINT64_C(1000000);
	TAILQ_INSERT_TAIL(queue, convergence, link);
	directory->convergence_count++;
	return convergence;
}

void convergence_new(struct directory *directory, uint64_t now_us, struct vni *vni,
		     const struct entry *entry, struct nve *from)
{
	struct convergence *convergence = add_to(directory, now_us, &vni->untold, entry);

	if (!convergence)
		return;
	convergence->from = from;
	convergence->to = entry_owner(directory, entry);
}

static struct convergence *find_in(const struct convergence_queue *queue, struct mac mac,
				   const struct nve *from)
{
	struct convergence *convergence;

	TAILQ_FOREACH(convergence, queue, link)
		if (convergence->from == from && mac_cmp(convergence->mac, mac) == 0)
			return convergence;
	return NULL;
}

struct convergence *convergence_find(const struct vni *vni, struct mac mac, const struct nve *from)
{
	struct convergence *found = find_in(&vni->untold, mac, from);
	const struct wave *wave;

	TAILQ_FOREACH(wave, &vni->waves, of_vni) {
		if (found)
			break;
		found = find_in(&wave->convergences, mac, from);
	}
	return found;
}

static struct wave *wave_new(struct directory *directory, struct vni *vni, uint64_t revision)
{
	struct wave *wave = calloc(1, sizeof(*wave));

	if (!wave) {
		directory->out_of_memory = true;
		return NULL;
	}
	wave->revision = revision;
	TAILQ_INIT(&wave->convergences);
	TAILQ_INIT(&wave->waiters);
	TAILQ_INSERT_TAIL(&vni->waves, wave, of_vni);
	return wave;
}

static bool is_being_handed_over(const struct directory *directory, const struct vni *vni,
				 struct mac mac)
{
	const struct entry *entry = entry_find(directory, vni, mac);

	return entry && (entry->state & ENTRY_HANDOVER);
}

/* --- members that pull --- */

struct waiting {
	struct directory *directory;
	struct wave *wave;
};

static void wait_for(void *userdata, struct member *member)
{
	const struct waiting *waiting = userdata;
	struct waiter *waiter;

	if (!member->subscribed)
		return;
	TAILQ_FOREACH(waiter, &waiting->wave->waiters, of_wave) {
		if (waiter->member != member)
			continue;
		waiter->revision = member->nve->sent;
		return;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter) {
		waiting->directory->out_of_memory = true;
		return;
	}
	waiter->member = member;
	waiter->revision = member->nve->sent;
	TAILQ_INSERT_TAIL(&waiting->wave->waiters, waiter, of_wave);
}

static void wait_for_pulls(struct directory *directory, struct vni *vni, struct wave *wave,
			   const struct convergence *convergence)
{
	const struct entry *entry;
	struct waiting waiting = { directory, wave };
	struct pull *pull;

	if (TAILQ_EMPTY(&vni->pulls))
		return;
	entry = entry_find(directory, vni, convergence->mac);
	if (entry)
		interests_each(directory, vni, entry, wait_for, &waiting);
	/* It may have been withdrawn before or since: who holds what was, is told of that only. */
	TAILQ_FOREACH(pull, &vni->pulls, of_vni)
		if (pull_may_hold_gone(pull, convergence->mac))
			wait_for(&waiting, pull->member);
}

static bool is_waited_for(const struct waiter *waiter)
{
	const struct member *member = waiter->member;

	if (!member->subscribed)
		return waiter->absent && !member->nve->stale;
	return member->nve->acked < waiter->revision;
}

static bool waits(struct wave *wave)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(&wave->waiters))) {
		if (is_waited_for(waiter))
			return true;
		waiter_free(wave, waiter);
	}
	return false;
}

static void wait_no_more(struct wave *wave, const struct nve *nve)
{
	struct waiter *waiter, *following;

	QUEUE_FOREACH_SAFE(waiter, &wave->waiters, of_wave, following)
	if (waiter->member->nve == nve)
		waiter_free(wave, waiter);
}

/* --- waves --- */

void convergences_told(struct directory *directory, struct vni *vni, uint64_t revision)
{
	struct convergence *convergence, *following;
	struct wave *wave = NULL;

	QUEUE_FOREACH_SAFE(convergence, &vni->untold, link, following)
	{
		if (is_being_handed_over(directory, vni, convergence->mac))
			continue;
		if (!wave)
			wave = wave_new(directory, vni, revision);
		if (!wave)
			return;
		wait_for_pulls(directory, vni, wave, convergence);
		TAILQ_REMOVE(&vni->untold, convergence, link);
		TAILQ_INSERT_TAIL(&wave->convergences, convergence, link);
	}
}

static bool blocks(const struct member *member, uint64_t revision)
{
	if (!member->subscribed)
		return false;
	return member->nve->acked < member->snapshot_revision ||
	       (!member->pull && member->nve->acked < revision);
}

/* True when nobody blocks it any more. */
static bool has_converged(const struct vni *vni, struct wave *wave)
{
	struct member *member = wave->blocker;

	if (!member)
		member = TAILQ_FIRST(&vni->members);
	while (member && !blocks(member, wave->revision))
		member = TAILQ_NEXT(member, of_vni);
	wave->blocker = member;
	return !member && !waits(wave);
}

static void tell_converged(struct directory *directory, const struct vni *vni, uint64_t revision,
			   const struct convergence *convergence)
{
	const struct nve *sides[] = { convergence->from, convergence->to };

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct nvo3_message converged = {
			.kind = NVO3_CONVERGED,
			.vni = vni->number,
			.mac = convergence->mac,
			.generation = convergence->generation,
			.revision = revision,
		};

		tell(directory, sides[i], &converged);
	}
}

static void wave_end(struct directory *directory, struct vni *vni, struct wave *wave)
{
	struct convergence *convergence;

	while ((convergence = TAILQ_FIRST(&wave->convergences))) {
		tell_converged(directory, vni, wave->revision, convergence);
		directory->counters[COUNTER_CONVERGED]++;
		convergence_free(directory, &wave->convergences, convergence);
	}
	wave_free(vni, wave);
}

void convergences_check(struct directory *directory, struct vni *vni, bool restart)
{
	struct wave *wave, *following;

	QUEUE_FOREACH_SAFE(wave, &vni->waves, of_vni, following)
	{
		if (restart)
			wave->blocker = NULL;
		if (has_converged(vni, wave))
			wave_end(directory, vni, wave);
	}
}

static void forget_side(struct convergence_queue *queue, const struct nve *nve)
{
	struct convergence *convergence;

	TAILQ_FOREACH(convergence, queue, link) {
		if (convergence->from == nve)
			convergence->from = NULL;
		if (convergence->to == nve)
			convergence->to = NULL;
	}
}

void convergences_member_left(struct vni *vni, const struct nve *nve)
{
	struct wave *wave;

	forget_side(&vni->untold, nve);
	TAILQ_FOREACH(wave, &vni->waves, of_vni) {
		wave->blocker = NULL;
		wait_no_more(wave, nve);
		forget_side(&wave->convergences, nve);
	}
}

static void give_up(struct directory *directory, uint64_t now_us, struct convergence_queue *queue)
{
	struct convergence *convergence, *following;

	QUEUE_FOREACH_SAFE(convergence, queue, link, following)
	{
		if (now_us < convergence->deadline_us)
			continue;
		directory->counters[COUNTER_NOT_CONVERGED]++;
		convergence_free(directory, queue, convergence);
	}
}

void convergences_tick(struct directory *directory, uint64_t now_us, struct vni *vni)
{
	struct wave *wave, *following;

	give_up(directory, now_us, &vni->untold);
	QUEUE_FOREACH_SAFE(wave, &vni->waves, of_vni, following)
	{
		give_up(directory, now_us, &wave->convergences);
		if (TAILQ_EMPTY(&wave->convergences))
			wave_free(vni, wave);
	}
}

static void clear_queue(struct directory *directory, struct convergence_queue *queue)
{
	while (!TAILQ_EMPTY(queue))
		convergence_free(directory, queue, TAILQ_FIRST(queue));
}

void convergences_clear(struct directory *directory, struct vni *vni)
{
	struct wave *wave;

	clear_queue(directory, &vni->untold);
	while ((wave = TAILQ_FIRST(&vni->waves))) {
		clear_queue(directory, &wave->convergences);
		wave_free(vni, wave);
	}
}

/* --- asked for --- */

static bool is_known(const struct convergence_queue *queue, struct mac mac, const struct nve *nve)
{
	const struct convergence *convergence;

	TAILQ_FOREACH(convergence, queue, link)
		if (mac_cmp(convergence->mac, mac) == 0 &&
		    (convergence->from == nve || convergence->to == nve))
			return true;
	return false;
}

/* It will be told without asking. */
static bool is_going_to_be_told(const struct vni *vni, struct mac mac, const struct nve *nve)
{
	const struct wave *wave;

	TAILQ_FOREACH(wave, &vni->waves, of_vni)
		if (is_known(&wave->convergences, mac, nve))
			return true;
	return is_known(&vni->untold, mac, nve);
}

/* All that each member has been sent so far; after a restart, those who are still to come, too. */
static void wait_for_all(struct directory *directory, uint64_t now_us, struct vni *vni,
			 struct wave *wave)
{
	struct waiting waiting = { directory, wave };
	struct member *member;

	TAILQ_FOREACH(member, &vni->members, of_vni) {
		struct waiter *waiter;

		if (member->subscribed) {
			wait_for(&waiting, member);
			continue;
		}
		if (now_us >= directory->moves_lost_until_us || member->nve->stale)
			continue;
		waiter = calloc(1, sizeof(*waiter));
		if (!waiter) {
			directory->out_of_memory = true;
			return;
		}
		waiter->member = member;
		waiter->absent = true;
		TAILQ_INSERT_TAIL(&wave->waiters, waiter, of_wave);
	}
}

void converged_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		    const struct nvo3_message *message)
{
	struct vni *vni = vni_find(directory, message->vni);
	const struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;
	struct convergence *convergence;
	struct wave *wave;

	if (!entry || !member_find(directory, vni, nve) ||
	    entry->generation < message->generation || (entry->state & ENTRY_HANDOVER) ||
	    is_going_to_be_told(vni, entry->mac, nve))
		return;
	wave = wave_new(directory, vni, 0);
	if (!wave)
		return;
	convergence = add_to(directory, now_us, &wave->convergences, entry);
	if (!convergence) {
		wave_free(vni, wave);
		return;
	}
	convergence->from = nve;
	wait_for_all(directory, now_us, vni, wave);
	convergences_check(directory, vni, false);
}
