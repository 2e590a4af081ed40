/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nve_session.c - the agent's session with the NVA: nveagent/nva_link.c, and what begins and ends
 * with it.
 */
#include <stdlib.h>

#include "nva/digest.h"
#include "tests/sim/check.h"
#include "tests/sim/nva.h"
#include "tests/sim/nve_private.h"

enum {
	RETRY_MAX_US = 2000000,	  /* nveagent/nva_link.h, NVA_LINK_RETRY_MAX_MS */
	SILENT_NVE_US = 10000000, /* twice NVA_LINK_PING_S */
	SILENT_NVA_US = 15000000, /* nva/session.h, SESSION_DEAD_S */
	GRACE_US = 3000000,	  /* less than a lease, as AGENT_GRACE_S is */
};

uint64_t agent_next_id(struct nve *nve)
{
	return ++nve->last_id;
}

static void put_on(struct nve *nve, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (nvo3_pack(message, &frame, &size) < 0)
		sim_fail(nve->sim, "%s cannot pack %s", nve->name, nvo3_kind_name(message->kind));
	else
		link_send(nve->link, LINK_NVE, frame, size);
}

void agent_send(struct nve *nve, const struct nvo3_message *message)
{
	if (message->kind != NVO3_ACK)
		sim_trace(nve->sim, nve->name, "%s %s id %llu generation %llu",
			  nve->state == NVE_UP ? "sends" : "cannot send",
			  nvo3_kind_name(message->kind), (unsigned long long) message->id,
			  (unsigned long long) message->generation);
	if (nve->state == NVE_UP)
		put_on(nve, message);
}

void agent_hang_up(struct nve *nve, bool silent)
{
	if (nve->link)
		link_close(nve->link, LINK_NVE, silent);
	nve->link = NULL;
	nve->state = NVE_WAITING;
	reader_clear(&nve->reader);
}

static void session_down(struct nve *nve, const char *reason)
{
	struct sim *sim = nve->sim;

	sim_trace(sim, nve->name, "no session: %s", reason);
	agent_hang_up(nve, false);
	nve->unconfirmed = 0;
	timer_start(&sim->clock, &nve->retry, nve->retry_us);
	nve->retry_us = nve->retry_us * 2 < RETRY_MAX_US ? nve->retry_us * 2 : RETRY_MAX_US;
	consents_clear(nve->consents);
	for (size_t i = 0; i < SIM_VNIS; i++)
		query_forget(nve->vns[i].queries);
	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++)
		if (nve->ports[i])
			nve->ports[i]->facts.asked_for = false;
}

static void begin_grace(struct nve *nve)
{
	for (size_t i = 0; i < SIM_VNIS; i++)
		vn_begin_grace(nve->vns[i].vn);
	timer_start(&nve->sim->clock, &nve->grace, GRACE_US);
}

void agent_on_grace(void *object)
{
	struct nve *nve = object;

	for (size_t i = 0; i < SIM_VNIS; i++) {
		vn_end_grace(nve->vns[i].vn, agent_on_mapping, &nve->vns[i]);
		agent_flush(&nve->vns[i]);
	}
}

/* A puller says what it holds. */
struct held {
	const struct nve *nve;
	struct mapping *mappings; /* owned */
	size_t count;
};

static void add_held(void *userdata, const struct mapping *mapping)
{
	struct held *held = userdata;

	if (ip_cmp(mapping->vtep, held->nve->vtep) == 0 || held->count == NVO3_BATCH_MAX)
		return;
	held->mappings[held->count++] =
		(struct mapping){ .vni = mapping->vni, .mac = mapping->mac };
}

/* nveagent/agent_pull.c; nobody here holds more than one list has room for. */
static void subscribe(struct nve_vn *vn)
{
	struct held held = { .nve = vn->nve };
	uint8_t sums[DIGEST_BUCKETS_SIZE];
	struct nvo3_message message = {
		.kind = NVO3_SUBSCRIBE,
		.id = agent_next_id(vn->nve),
		.vni = vn->vni,
		.pull = vn->nve->pull,
	};

	vn_set_pull(vn->vn, vn->nve->pull);
	if (vn->nve->pull) {
		held.mappings = calloc(NVO3_BATCH_MAX, sizeof(*held.mappings));
		vn_each(vn->vn, add_held, &held);
		message.removed = held.mappings;
		message.removed_count = held.count;
	} else if (vn->nve->digests && vn_digest(vn->vn, sums)) {
		message.digest = sums;
		message.digest_size = sizeof(sums);
	}
	agent_send(vn->nve, &message);
	free(held.mappings);
}

/* The word may have been lost with the session, or with the NVA. */
static void ask_converged(const struct port *port)
{
	const struct nvo3_message question = {
		.kind = NVO3_CONVERGED,
		.vni = port->endpoint->vni,
		.mac = port->endpoint->mac,
		.generation = port->generation,
	};

	if (port->state == MOBILITY_FORWARDING || port->state == MOBILITY_SETTLING)
		agent_send(port->nve, &question);
}

static void session_up(struct nve *nve, uint64_t incarnation)
{
	sim_trace(nve->sim, nve->name, "session up");
	nve->state = NVE_UP;
	nve->retry_us = NVE_RETRY_MIN_US;
	if (nve->nva_incarnation && nve->nva_incarnation != incarnation)
		begin_grace(nve);
	nve->nva_incarnation = incarnation;
	withdrawals_begin_session(nve->withdrawals);
	for (size_t i = 0; i < SIM_VNIS; i++)
		if (nve->vns[i].joined)
			subscribe(&nve->vns[i]);
	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++) {
		if (nve->ports[i])
			ask_converged(nve->ports[i]);
		if (nve->ports[i])
			port_input(nve->ports[i], MOBILITY_NVA_UP);
	}
}

static void trace(const struct nve *nve, const struct nvo3_message *message)
{
	if (message->kind == NVO3_UPDATE)
		sim_trace(nve->sim, nve->name,
			  "hears update of VNI %u, revision %llu: %zu mappings, %zu gone%s%s",
			  message->vni, (unsigned long long) message->revision,
			  message->mapping_count, message->removed_count,
			  message->snapshot ? ", a snapshot" : "",
			  message->snapshot_end ? ", its end" : "");
	else
		sim_trace(nve->sim, nve->name, "hears %s id %llu generation %llu%s%s",
			  nvo3_kind_name(message->kind), (unsigned long long) message->id,
			  (unsigned long long) message->generation, message->text[0] ? ": " : "",
			  message->text);
}

static bool on_message(void *object, const struct nvo3_message *message)
{
	struct nve *nve = object;

	trace(nve, message);
	check_heard(nve->sim->check, nve, message);
	if (message->kind == NVO3_ERROR) {
		session_down(nve, message->text);
		return false;
	}
	if (nve->state == NVE_GREETING && message->kind == NVO3_WELCOME)
		session_up(nve, message->incarnation);
	else if (nve->state != NVE_UP || !agent_take(nve, message))
		sim_fail(nve->sim, "%s hears %s, which is not for it", nve->name,
			 nvo3_kind_name(message->kind));
	return true;
}

static void on_hear(void *object, const uint8_t *data, size_t size)
{
	struct nve *nve = object;
	const char *what;

	if (reader_take(&nve->reader, data, size, on_message, nve, &what) < 0)
		sim_fail(nve->sim, "%s was sent a malformed message: %s", nve->name, what);
}

static void on_closed(void *object)
{
	session_down(object, "the connection ended");
}

void agent_on_retry(void *object)
{
	struct nve *nve = object;
	struct sim *sim = nve->sim;
	struct link_end ends[LINK_SIDES] = {
		[LINK_NVE] = { .hear = on_hear, .closed = on_closed, .object = nve },
	};
	struct nvo3_message hello = {
		.kind = NVO3_HELLO,
		.version = NVO3_VERSION,
		.role = nve->gateway ? NVO3_ROLE_GATEWAY : NVO3_ROLE_NVE,
		.vtep = nve->vtep,
		.incarnation = nve->lives,
	};

	if (!nve->cut)
		ends[LINK_NVA] = nva_accept(sim->nva);
	if (!ends[LINK_NVA].object) {
		session_down(nve, "cannot connect");
		return;
	}
	nve->link = link_new(&sim->network, ends);
	nva_accepted(sim->nva, ends[LINK_NVA].object, nve->link);
	nve->memory = sim->memory;
	nve->state = NVE_GREETING;
	(void) snprintf(hello.name, sizeof(hello.name), "%s", nve->name);
	put_on(nve, &hello);
}

void agent_cut(struct nve *nve, bool cut)
{
	struct random *random = &nve->sim->random;
	const uint64_t give_up_us[LINK_SIDES] = {
		[LINK_NVE] = random_below(random, SILENT_NVE_US),
		[LINK_NVA] = random_below(random, SILENT_NVA_US),
	};

	sim_trace(nve->sim, nve->name, cut ? "is cut off" : "is connected again");
	nve->cut = cut;
	if (nve->link)
		link_stall(nve->link, cut, give_up_us);
}
