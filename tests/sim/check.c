/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - what must be true whatever happens: see check.h. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check_private.h"
#include "tests/sim/nva.h"

/* Which NVE a name or a VTEP is of, counted from 1; 0: none. Both are made in agent_new(). */
unsigned check_nve_of_name(const char *name)
{
	return name[0] ? (unsigned) atoi(name + 2) : 0;
}

unsigned check_nve_of_vtep(struct ip vtep)
{
	return vtep.octet[vtep.family == AF_INET6 ? 15 : 3];
}

struct record *check_record(struct check *check, uint32_t vni, struct mac mac)
{
	const struct endpoint *endpoint = sim_endpoint(check->sim, vni, mac);

	return endpoint ? &check->records[endpoint->index] : NULL;
}

const char *check_name(const struct check *check, const struct record *record, char *buffer)
{
	return endpoint_name(&check->sim->endpoints[record - check->records], buffer);
}

/* --- a generation is one NVE's --- */

/* @who says that @nve has @generation. */
static void claim(struct check *check, struct record *record, uint64_t generation, unsigned nve,
		  const char *who)
{
	uint8_t *owner = generation < SIM_GENERATIONS ? &record->owners[generation] : NULL;
	char name[8];

	if (!owner || nve == 0)
		return;
	if (*owner != 0 && *owner != nve)
		sim_fail(check->sim, "%s: %s has generation %llu at hv%u, which was hv%u's", who,
			 check_name(check, record, name), (unsigned long long) generation, nve,
			 *owner);
	*owner = (uint8_t) nve;
}

void check_written(struct check *check, const struct change *change)
{
	const struct mapping *mapping = &change->mapping;
	struct record *record = check_record(check, mapping->vni, mapping->mac);

	if (!record || (change->kind != CHANGE_MAPPING && change->kind != CHANGE_REMOVED))
		return;
	if (change->kind == CHANGE_MAPPING)
		claim(check, record, mapping->generation, check_nve_of_name(change->name),
		      "the disk");
	record->durable = mapping->generation;
}

/* --- what is told is durable --- */

/* One thing that a message says: @nve (0: nobody, or whoever it is) has @generation. */
typedef void statement(struct check *check, struct record *record, uint64_t generation,
		       unsigned nve);

static void each_mapping(struct check *check, const struct mapping *mappings, size_t count,
			 bool served, statement *each)
{
	for (size_t i = 0; i < count; i++) {
		struct record *record = check_record(check, mappings[i].vni, mappings[i].mac);

		if (record)
			each(check, record, mappings[i].generation,
			     served ? check_nve_of_vtep(mappings[i].vtep) : 0);
	}
}

static void each_statement(struct check *check, const struct nvo3_message *message, unsigned to,
			   statement *each)
{
	struct record *record = check_record(check, message->vni, message->mac);
	bool of_receiver = message->kind == NVO3_REGISTERED || message->kind == NVO3_COMMITTED;

	if (record && ((of_receiver && message->granted) || message->kind == NVO3_CONVERGED))
		each(check, record, message->generation, of_receiver ? to : 0);
	if (message->kind != NVO3_UPDATE && message->kind != NVO3_ANSWER)
		return;
	each_mapping(check, message->mappings, message->mapping_count, true, each);
	each_mapping(check, message->removed, message->removed_count, false, each);
}

static void must_be_durable(struct check *check, struct record *record, uint64_t generation,
			    unsigned nve)
{
	char name[8];

	claim(check, record, generation, nve, "a message");
	if (generation > record->durable)
		sim_fail(check->sim, "%s: generation %llu is told before it is durable",
			 check_name(check, record, name), (unsigned long long) generation);
}

void check_told(struct check *check, const struct nvo3_message *message, struct ip vtep)
{
	unsigned to = check_nve_of_vtep(vtep);

	each_statement(check, message, to, must_be_durable);
	for (size_t i = 0; i < message->mapping_count && message->kind == NVO3_UPDATE; i++) {
		const struct mapping *mapping = &message->mappings[i];
		struct record *record = check_record(check, mapping->vni, mapping->mac);

		if (record)
			check_handover_told(check, record, mapping->generation, message->revision,
					    to);
	}
}

static void is_heard(struct check *check, struct record *record, uint64_t generation, unsigned nve)
{
	if (generation > record->heard)
		record->heard = generation;
}

void check_heard(struct check *check, const struct nve *nve, const struct nvo3_message *message)
{
	if (nve->memory == check->sim->memory)
		each_statement(check, message, 0, is_heard);
}

void check_forgotten(struct check *check)
{
	memset(check->records, 0, sizeof(check->records));
	memset(check->copies, 0, sizeof(check->copies));
}

void check_note_member(struct check *check, const struct change *change)
{
	unsigned nve = check_nve_of_name(change->name);

	if (nve && nve <= SIM_NVES_MAX &&
	    (change->kind == CHANGE_MEMBER || change->kind == CHANGE_MEMBER_GONE))
		check->members[nve - 1][change->mapping.vni - SIM_FIRST_VNI] = change->kind ==
									       CHANGE_MEMBER;
}

static void note_known(void *userdata, const struct change *change)
{
	struct check *check = userdata;
	struct record *record = check_record(check, change->mapping.vni, change->mapping.mac);

	check_note_member(check, change);
	if (record && change->kind == CHANGE_MAPPING) {
		record->owner = (uint8_t) check_nve_of_name(change->name);
		record->learned = change->mapping.flags & MAPPING_LEARNED;
	}
}

/* What was not durable has not happened. */
static void find_known(struct check *check)
{
	uint64_t now_us = check->sim->clock.now_us;

	memset(check->members, 0, sizeof(check->members));
	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++)
		check->records[i].owner = 0;
	directory_dump(nva_directory(check->sim->nva), now_us, 0, note_known, check);
}

void check_started(struct check *check)
{
	struct sim *sim = check->sim;

	memset(check->sessions, 0, sizeof(check->sessions));
	for (unsigned i = 0; i < SIM_NVES_MAX; i++)
		check->sessions[i].since_us = sim->clock.now_us;
	check_owner_forget(check);
	find_known(check);
	check->started_us = sim->clock.now_us;
	for (unsigned i = 0; i < sim->weather.endpoint_count; i++) {
		const struct endpoint *endpoint = &sim->endpoints[i];
		uint64_t known =
			directory_generation(nva_directory(sim->nva), endpoint->vni, endpoint->mac);
		char name[8];

		if (known < check->records[i].heard)
			sim_fail(sim, "%s: generation %llu was acknowledged, and the NVA has %llu",
				 endpoint_name(endpoint, name),
				 (unsigned long long) check->records[i].heard,
				 (unsigned long long) known);
	}
}

/* --- copies --- */

void check_copy(struct check *check, const struct nve *nve, const struct mapping *mapping)
{
	struct record *record = check_record(check, mapping->vni, mapping->mac);
	uint64_t *last;
	char name[8];

	if (!record || nve->memory != check->sim->memory)
		return;
	last = &check->copies[nve->index][record - check->records];
	if (mapping->generation < *last)
		sim_fail(check->sim, "%s: %s had generation %llu, and takes %llu", nve->name,
			 check_name(check, record, name), (unsigned long long) *last,
			 (unsigned long long) mapping->generation);
	*last = mapping->generation;
}

/* What is gone comes back with another generation: the same one has been there all the time. */
void check_lost(struct check *check, const struct nve *nve, uint32_t vni, struct mac mac)
{
	const struct record *record = check_record(check, vni, mac);
	const struct directory *directory = nva_directory(check->sim->nva);
	uint64_t had;
	char name[8];

	if (!record || !directory || nve->memory != check->sim->memory)
		return;
	had = check->copies[nve->index][record - check->records];
	if (had && record->owner && directory_generation(directory, vni, mac) == had)
		sim_fail(check->sim, "%s has lost %s, generation %llu, which the directory has",
			 nve->name, check_name(check, record, name), (unsigned long long) had);
}

void check_copy_anew(struct check *check, const struct nve *nve)
{
	memset(check->copies[nve->index], 0, sizeof(check->copies[nve->index]));
}

/* --- CONVERGED --- */

void check_snapshot(struct check *check, const char *name, uint32_t vni)
{
	check->sessions[check_nve_of_name(name) - 1].begun[vni - SIM_FIRST_VNI] = true;
}

/*
 * An NVA that has lost its memory does not know what a puller served: it keeps that for the time of
 * its grace.
 */
static bool keeps_old_copies(const struct nve *nve)
{
	return nve->pull && timer_runs(&nve->grace);
}

/* The NVA's session with @nve is one that this life of it has, too, and its snapshot has begun. */
static bool is_there(const struct check *check, const struct nve *nve, uint32_t vni)
{
	return nve->agent_up && nve->link && !keeps_old_copies(nve) &&
	       check->sessions[nve->index].begun[vni - SIM_FIRST_VNI] &&
	       nva_session_link(check->sim->nva, nve->name) == nve->link;
}

/*
 * It has not come back since the NVA has started anew, and has the time of a lease for it. That
 * counts for who has asked: a move of this life of the NVA is told by a revision.
 */
static bool is_expected(const struct check *check, const struct nve *nve,
			const struct nvo3_message *converged)
{
	const struct check_session *session = &check->sessions[nve->index];
	uint64_t lease_us = SIM_LEASE_S * UINT64_C(1000000);

	return converged->revision == 0 && nve->memory == check->sim->memory &&
	       check->members[nve->index][converged->vni - SIM_FIRST_VNI] && !session->open &&
	       session->since_us == check->started_us &&
	       check->sim->clock.now_us < check->started_us + lease_us;
}

/* Some generation from @from on was @nve's. */
static bool had_since(const struct record *record, uint64_t from, unsigned nve)
{
	for (uint64_t generation = from; generation < SIM_GENERATIONS; generation++)
		if (record->owners[generation] == nve)
			return true;
	return false;
}

static bool is_behind(struct nve *nve, const struct record *record,
		      const struct nvo3_message *converged)
{
	struct nve_vn *vn = agent_vn_find(nve, converged->vni);
	const struct fdb_entry *entry =
		kernel_find(vn->kernel, FDB_LAYER_VXLAN, NVE_VXLAN_IFINDEX, converged->mac);
	struct mapping mapping;

	if (vn->vn && vn_find(vn->vn, converged->mac, &mapping) &&
	    mapping.generation < converged->generation)
		return true;
	return entry && !had_since(record, converged->generation, check_nve_of_vtep(entry->vtep));
}

void check_converged(struct check *check, const struct nvo3_message *message)
{
	struct record *record = check_record(check, message->vni, message->mac);
	struct sim *sim = check->sim;
	char name[8];

	for (unsigned i = 0; record && i < sim->weather.nve_count; i++)
		if ((is_there(check, sim->nves[i], message->vni) ||
		     is_expected(check, sim->nves[i], message)) &&
		    is_behind(sim->nves[i], record, message))
			sim_fail(
				sim,
				"%s: generation %llu has converged, says the NVA, but %s is behind",
				check_name(check, record, name),
				(unsigned long long) message->generation, sim->nves[i]->name);
}

/* --- the journal --- */

/* A sum over changes in any order. */
struct sum {
	uint64_t value;
	size_t count;
	const struct sim *sim; /* NULL, or tells each */
	const char *what;
};

static void add_change(void *userdata, const struct change *change)
{
	struct sum *sum = userdata;
	uint8_t bytes[CHANGE_SIZE_MAX];
	struct change undated = *change;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	char mac[MAC_TEXT_SIZE];
	size_t size;

	undated.removed_s = 0;
	size = change_pack(&undated, bytes);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	sum->value += hash;
	sum->count++;
	if (sum->sim)
		sim_trace(sum->sim, sum->what, "%s %s inc %llu vni %u %s gen %llu ips %u",
			  change_kind_name(change->kind), change->name,
			  (unsigned long long) change->incarnation, change->mapping.vni,
			  mac_text(change->mapping.mac, mac),
			  (unsigned long long) change->mapping.generation,
			  change->mapping.ip_count);
}

static struct sum sum_of(const struct directory *directory, uint64_t now_us, const struct sim *sim,
			 const char *what)
{
	struct sum sum = { .sim = sim, .what = what };

	directory_dump(directory, now_us, now_us / 1000000, add_change, &sum);
	return sum;
}

struct copying {
	struct directory *copy;
	uint64_t now_us;
};

static int copy_change(void *userdata, const struct change *change)
{
	const struct copying *copying = userdata;
	struct change undated = *change;
	const char *what;

	undated.removed_s = copying->now_us / 1000000;
	return directory_restore(copying->copy, copying->now_us, copying->now_us / 1000000,
				 &undated, &what);
}

void check_journal(struct check *check)
{
	const struct directory_config config = { .name = "copy", .incarnation = 1, .lease_us = 1 };
	const struct directory *directory = nva_directory(check->sim->nva);
	struct copying copying = { .now_us = check->sim->clock.now_us };
	struct sum live, copied;

	if (directory_new(&config, copying.now_us, &copying.copy) < 0)
		abort();
	if (memory_store_each(nva_store(check->sim->nva), copy_change, &copying) != 0)
		sim_fail(check->sim, "the journal cannot be read back");
	live = sum_of(directory, copying.now_us, NULL, "");
	copied = sum_of(copying.copy, copying.now_us, NULL, "");
	if (live.value != copied.value) {
		(void) sum_of(directory, copying.now_us, check->sim, "live");
		(void) sum_of(copying.copy, copying.now_us, check->sim, "journal");
		sim_fail(check->sim,
			 "the journal makes another directory: %zu things, not %zu, or others",
			 copied.count, live.count);
	}
	directory_free(copying.copy);
}

/* --- life --- */

struct check *check_new(struct sim *sim)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		abort();
	check->sim = sim;
	return check;
}

struct check *check_free(struct check *check)
{
	free(check);
	return NULL;
}
