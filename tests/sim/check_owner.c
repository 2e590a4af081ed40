/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check_owner.c - who may have an endpoint, and who is told first: see check.h.
 *
 * All of it is judged by what was said: by NVEs (check_said()) and by the directory's journal
 * (check_change()), which speaks while an NVE is heeded or time passes.
 */
#include <string.h>

#include "tests/sim/check_private.h"

static struct check_session *session_of(struct check *check, unsigned nve)
{
	return &check->sessions[nve - 1];
}

static uint64_t now_us(const struct check *check)
{
	return check->sim->clock.now_us;
}

/* --- what NVEs say --- */

/* It was told of them with @revision or before; or it is not waited for any more: UINT64_MAX. */
static void confirm_handovers(struct check *check, unsigned nve, uint64_t revision)
{
	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++) {
		struct record *record = &check->records[i];
		bool told = record->handover.revision && record->handover.revision <= revision;

		if (record->handover.from == nve && (told || revision == UINT64_MAX))
			record->handover.from = 0;
	}
}

void check_session(struct check *check, const char *name)
{
	unsigned nve = check_nve_of_name(name);

	*session_of(check, nve) = (struct check_session){ .open = true, .since_us = now_us(check) };
	confirm_handovers(check, nve, UINT64_MAX);
}

void check_session_end(struct check *check, const char *name)
{
	check_session(check, name);
	session_of(check, check_nve_of_name(name))->open = false;
}

static void note_wish(struct check *check, struct record *record, unsigned nve,
		      const struct nvo3_message *message)
{
	uint64_t *wanted_us = &record->wanted_us[nve - 1];

	if (message->kind == NVO3_ABORT || message->kind == NVO3_WITHDRAW)
		*wanted_us = 0;
	else if (*wanted_us == 0)
		*wanted_us = now_us(check);
}

/* A yes is for good: who starts anew is asked again, and may have forgotten it. */
static void note_answer(struct record *record, const struct nvo3_message *message)
{
	if (message->kind == NVO3_CONSENTED && message->granted) {
		record->consented = true;
		record->consent_id = message->id;
	} else if (message->kind == NVO3_CONSENTED && message->id != record->consent_id) {
		record->consented = false;
	}
	if (message->kind == NVO3_ABORT && message->generation == 0)
		record->consented = false;
}

void check_said(struct check *check, const char *name, const struct nvo3_message *message)
{
	bool is_intent = message->kind == NVO3_MOVE_INTENT;
	const struct mapping *mapping = is_intent ? &message->mappings[0] : NULL;
	struct record *record = is_intent ? check_record(check, mapping->vni, mapping->mac)
					  : check_record(check, message->vni, message->mac);
	unsigned nve = check_nve_of_name(name);

	check->speaker = nve;
	check->saying = message->kind;
	if (message->kind == NVO3_ACK)
		confirm_handovers(check, nve, message->revision);
	if (!record)
		return;
	if (is_intent || message->kind == NVO3_COMMIT || message->kind == NVO3_ABORT ||
	    message->kind == NVO3_WITHDRAW)
		note_wish(check, record, nve, message);
	if (record->owner == nve)
		note_answer(record, message);
}

void check_heeded(struct check *check)
{
	check->speaker = 0;
}

void check_owner_forget(struct check *check)
{
	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++) {
		memset(check->records[i].wanted_us, 0, sizeof(check->records[i].wanted_us));
		check->records[i].handover.from = 0;
		check->records[i].consent_id = 0;
	}
}

/* --- what the directory makes of it --- */

static bool has_waited(const struct check *check, uint64_t since_us, uint64_t seconds)
{
	return since_us && now_us(check) - since_us >= seconds * 1000000;
}

static bool may_lose(struct check *check, const struct record *record, unsigned to)
{
	const struct check_session *owner = session_of(check, record->owner);

	if (record->learned || record->consented)
		return true;
	return !owner->open && (has_waited(check, owner->since_us, SIM_LEASE_S) ||
				has_waited(check, record->wanted_us[to - 1], SIM_CONSENT_S));
}

/* What an agent has not said again after it has started anew goes, too. */
static bool may_end(struct check *check, const struct record *record)
{
	const struct check_session *owner = session_of(check, record->owner);
	uint64_t withdraw_us = check->sim->weather.withdraw_us;

	if (check->speaker == record->owner && check->saying == NVO3_WITHDRAW)
		return true;
	if (owner->open)
		return has_waited(check, owner->since_us, SIM_LEASE_S);
	return withdraw_us != DIRECTORY_WITHDRAW_NEVER &&
	       has_waited(check, owner->since_us + withdraw_us, SIM_LEASE_S);
}

/* A move begins to be told, if it is one: what is registered is told to all at once. */
static void begin_handover(struct check *check, struct record *record, const struct change *change)
{
	const struct check_session *owner = session_of(check, record->owner);
	bool registered = check->speaker &&
			  (check->saying == NVO3_REGISTER || check->saying == NVO3_REGISTER_BATCH);

	if (registered || !owner->begun[change->mapping.vni - SIM_FIRST_VNI])
		return;
	record->handover.from = record->owner;
	record->handover.generation = change->mapping.generation;
	record->handover.revision = 0;
	record->handover.since_us = now_us(check);
}

static void judge(struct check *check, struct record *record, const struct change *change,
		  unsigned to)
{
	char name[8];

	if (to == 0 && !may_end(check, record))
		sim_fail(check->sim, "%s is taken from hv%u, which has not withdrawn it",
			 check_name(check, record, name), record->owner);
	if (to != 0 && !may_lose(check, record, to))
		sim_fail(check->sim, "%s goes from hv%u to hv%u without consent",
			 check_name(check, record, name), record->owner, to);
	record->handover.from = 0;
	if (to != 0)
		begin_handover(check, record, change);
}

void check_change(struct check *check, const struct change *change)
{
	struct record *record = check_record(check, change->mapping.vni, change->mapping.mac);
	unsigned owner = change->kind == CHANGE_MAPPING ? check_nve_of_name(change->name) : 0;

	check_note_member(check, change);
	if (!record || (change->kind != CHANGE_MAPPING && change->kind != CHANGE_REMOVED))
		return;
	if (record->owner && owner != record->owner)
		judge(check, record, change, owner);
	if (owner != record->owner)
		record->consented = false;
	record->owner = (uint8_t) owner;
	record->learned = change->mapping.flags & MAPPING_LEARNED;
}

void check_handover_told(struct check *check, struct record *record, uint64_t generation,
			 uint64_t revision, unsigned nve)
{
	uint64_t patience_us = DIRECTORY_HANDOVER_MS * UINT64_C(1000);
	char name[8];

	/* The new NVE has committed it, and knows. */
	if (!record->handover.from || generation < record->handover.generation ||
	    nve == record->owner)
		return;
	if (nve == record->handover.from) {
		if (!record->handover.revision)
			record->handover.revision = revision;
		return;
	}
	if (now_us(check) - record->handover.since_us < patience_us)
		sim_fail(check->sim,
			 "hv%u is told of %s's generation %llu before hv%u has confirmed it", nve,
			 check_name(check, record, name), (unsigned long long) generation,
			 record->handover.from);
}
