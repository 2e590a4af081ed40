// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory.c - the directory's inputs: its life, messages by kind, and time.
 *
 * Theory of operation
 *
 *   HELLO, end of session ──▶ directory_member.c ──┐
 *   REGISTER, WITHDRAW ─────▶ directory_register.c ─┤         ┌─▶ answers: queued at once
 *   MOVE_INTENT ... ABORT ──▶ directory_move.c ─────┼─ tell ──┤
 *   QUERY, DROP ────────────▶ directory_interest.c ─┤         │
 *   ACK ──────▶ directory_handover.c, _converge.c ──┤         └─▶ changes: marked, then one
 *   UPDATE per VNI
 *   time ───────────────────▶ directory_tick() ─────┘
 *
 * The rules of ownership, in the order they are asked (B: the present owner; N: who wants the MAC):
 *   1. nobody serves it, or B's lease has ended, or B only learned it from its bridge: N has it;
 *   2. B is N: nothing changes but what N says about it;
 *   3. B consents to N: N may commit the generation after B's;
 *   4. otherwise N is refused, and told whose it is.
 * So a generation of one MAC is given to one NVE only, and an NVE that reads a lower one knows that
 * it is old news.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "nva/directory_internal.h"
#include "nva/reservations.h"

static void fill_limits(struct directory_limits *limits)
{
	if (limits->vni_mappings == 0)
		limits->vni_mappings = DIRECTORY_VNI_MAPPINGS_DEFAULT;
	if (limits->nve_mappings == 0)
		limits->nve_mappings = DIRECTORY_NVE_MAPPINGS_DEFAULT;
	if (limits->nve_interests == 0)
		limits->nve_interests = DIRECTORY_NVE_INTERESTS_DEFAULT;
	if (limits->mapping_addresses == 0)
		limits->mapping_addresses = MAPPING_IPS_DEFAULT;
}

int directory_new(const struct directory_config *config, uint64_t now_us,
		  struct directory **ret_directory)
{
	struct directory *directory = calloc(1, sizeof(*directory));

	if (!directory)
		return -ENOMEM;
	directory->config = *config;
	fill_limits(&directory->config.limits);
	directory->started_us = now_us;
	TAILQ_INIT(&directory->vnis);
	TAILQ_INIT(&directory->vnis_to_tell);
	TAILQ_INIT(&directory->tombstones_by_age);
	TAILQ_INIT(&directory->outputs);
	TAILQ_INIT(&directory->asked);
	TAILQ_INIT(&directory->begun);
	TAILQ_INIT(&directory->notices);
	*ret_directory = directory;
	return 0;
}

static void free_vni(struct directory *directory, struct vni *vni)
{
	struct member *member;

	while ((member = TAILQ_FIRST(&vni->members))) {
		pull_end(directory, member);
		resync_end(member);
		TAILQ_REMOVE(&vni->members, member, of_vni);
		free(member);
	}
	vni_free(directory, vni);
}

struct directory *directory_free(struct directory *directory)
{
	if (!directory)
		return NULL;
	outputs_clear(directory);
	while (!TAILQ_EMPTY(&directory->vnis))
		free_vni(directory, TAILQ_FIRST(&directory->vnis));
	for (size_t i = 0; i < directory->nve_end; i++)
		free(directory->nves[i]);
	tombstones_clear(directory);
	table_clear(&directory->vni_table);
	table_clear(&directory->nve_names);
	free(directory);
	return NULL;
}

void directory_reserve(struct directory *directory, const struct reservations *reservations)
{
	directory->reservations = reservations;
}

/* --- messages --- */

static void subscription_take(struct directory *directory, uint64_t now_us, struct nve *nve,
			      const struct nvo3_message *message)
{
	member_subscribe(directory, nve, message);
}

static void ack_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		     const struct nvo3_message *message)
{
	struct member *member;

	if (message->revision <= nve->acked)
		return;
	nve->acked = message->revision;
	handovers_confirmed(directory, nve);
	TAILQ_FOREACH(member, &nve->members, of_nve)
		convergences_check(directory, member->vni, false);
}

static struct entry *query_find(const struct directory *directory, const struct vni *vni,
				const struct nvo3_message *query)
{
	return mac_is_zero(query->mac) ? entry_find_ip(directory, vni, query->ip)
				       : entry_find(directory, vni, query->mac);
}

/*
 * What a member that pulls is told once, it must be told of again: else it would hold what is old.
 */
static bool may_know(struct directory *directory, struct member *member, const struct entry *entry,
		     char *reterr_text)
{
	if (!member->pull || entry->owner == member->nve->id ||
	    interest_add(directory, member, entry))
		return true;
	(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1,
			"the NVA keeps at most %u mappings up to date for one NVE",
			directory->config.limits.nve_interests);
	return false;
}

static void query_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		       const struct nvo3_message *message)
{
	struct nvo3_message answer = { .kind = NVO3_ANSWER, .id = message->id };
	const struct vni *vni = vni_find(directory, message->vni);
	struct member *member = vni ? member_find(directory, vni, nve) : NULL;
	const struct entry *entry = member ? query_find(directory, vni, message) : NULL;

	directory->counters[COUNTER_QUERIES]++;
	if (!member)
		(void) snprintf(answer.text, sizeof(answer.text), "%s",
				"this NVE has not subscribed to the VNI");
	if (entry && !may_know(directory, member, entry, answer.text))
		entry = NULL;
	if (entry) {
		answer.mappings = malloc(sizeof(*answer.mappings));
		if (!answer.mappings) {
			directory->out_of_memory = true;
			return;
		}
		handover_mapping(directory, vni, entry, nve,
				 &answer.mappings[answer.mapping_count++]);
		directory->counters[COUNTER_ANSWERED]++;
	}
	/* A client that asks for it by RARP may never have been heard, nor be served anywhere. */
	if (member && !mac_is_zero(message->mac))
		answer.ip = reservations_find(directory->reservations, message->vni, message->mac);
	tell(directory, nve, &answer);
}

static void status_take(struct directory *directory, uint64_t now_us, struct nve *nve,
			const struct nvo3_message *message)
{
	static const char too_long[] =
		"{\"error\":\"too long for a message: ask the NVA's control socket\"}";
	struct nvo3_message reply = { .kind = NVO3_STATUS_REPLY, .id = message->id };
	_cleanup_(json_unrefp) struct json_object *status = NULL;
	const char *text;

	if (directory_status(directory, now_us, &status) < 0 ||
	    (directory->about && directory->about(directory->about_userdata, status) < 0)) {
		directory->out_of_memory = true;
		return;
	}
	text = json_object_to_json_string_ext(status, JSON_C_TO_STRING_PLAIN);
	if (text)
		reply.json = strdup(strlen(text) <= NVO3_JSON_MAX ? text : too_long);
	if (reply.json)
		tell(directory, nve, &reply);
	else
		directory->out_of_memory = true;
}

void directory_set_about(struct directory *directory, directory_about *about, void *userdata)
{
	directory->about = about;
	directory->about_userdata = userdata;
}

typedef void message_taker(struct directory *directory, uint64_t now_us, struct nve *nve,
			   const struct nvo3_message *message);

/* What an NVE may send in a session; PING, PONG and ERROR are the session's own business. */
static message_taker *const takers[NVO3_KIND_COUNT] = {
	[NVO3_SUBSCRIBE] = subscription_take,
	[NVO3_REGISTER] = registration_take,
	[NVO3_REGISTER_BATCH] = batch_take,
	[NVO3_WITHDRAW] = withdrawal_take,
	[NVO3_MOVE_INTENT] = intent_take,
	[NVO3_CONSENTED] = consented_take,
	[NVO3_COMMIT] = commit_take,
	[NVO3_ABORT] = abort_take,
	[NVO3_FLOWS] = flows_take,
	[NVO3_ACK] = ack_take,
	[NVO3_QUERY] = query_take,
	[NVO3_STATUS] = status_take,
	[NVO3_DROP] = drop_take,
	[NVO3_DIGEST] = digest_take,
	[NVO3_CONVERGED] = converged_take,
};

int directory_receive(struct directory *directory, uint64_t now_us, uint32_t nve_id,
		      const struct nvo3_message *message, const char **reterr_what)
{
	struct nve *nve = directory->nves[nve_id];

	if ((unsigned) message->kind >= NVO3_KIND_COUNT || !takers[message->kind]) {
		*reterr_what = "kind";
		return -EPROTO;
	}
	if (message->kind == NVO3_ACK && message->revision > nve->sent) {
		*reterr_what = "revision"; /* it confirms what it was never sent */
		return -EPROTO;
	}
	takers[message->kind](directory, now_us, nve, message);
	return directory->out_of_memory ? -ENOMEM : 0;
}

/* --- time --- */

int directory_tick(struct directory *directory, uint64_t now_us)
{
	struct vni *vni;

	for (size_t i = 0; i < directory->nve_end; i++)
		if (directory->nves[i])
			nve_tick(directory, now_us, directory->nves[i]);
	TAILQ_FOREACH(vni, &directory->vnis, of_directory) {
		moves_tick(directory, now_us, vni);
		handovers_tick(directory, now_us, vni);
		convergences_tick(directory, now_us, vni);
	}
	tombstones_age(directory, now_us);
	return directory->out_of_memory ? -ENOMEM : 0;
}
