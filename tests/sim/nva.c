/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva.c - a real directory and a store, and the turns between them: what nva/server.c and
 * nva/server_deliver.c do.
 *
 * A turn comes some time after something has arrived, as a loop comes round: what arrived until
 * then is told together. What may not be told before it is durable waits in its session.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/nva_private.h"

enum {
	TURN_MAX_US = 2000,
	PAUSE_MAX_US = 50000, /* nva/server.h, SERVER_PAUSE_MAX_MS */
	TICK_US = 100000,     /* nva/server.h, SERVER_TICK_MS */
	WRITE_MAX_US = 30000, /* a commit, on a slow disk */
	FULL_RETRY_US = 3000,
	BEGAN_S = 1700000000, /* CLOCK_REALTIME when the run begins */
};

/* --- turns --- */

void nva_turn_soon(struct nva *nva)
{
	timer_hasten(&nva->sim->clock, &nva->turn, random_delay(&nva->sim->random, TURN_MAX_US));
}

static void deliver_one(struct nva *nva, const struct directory_output *output, uint64_t ticket)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (output->message.kind == NVO3_CONVERGED)
		check_converged(nva->sim->check, &output->message);
	if (nvo3_pack(&output->message, &frame, &size) < 0) {
		sim_fail(nva->sim, "the NVA cannot pack %s", nvo3_kind_name(output->message.kind));
		return;
	}
	for (size_t i = 0; i < output->to_count; i++) {
		struct session *session = nva->nve_sessions[output->to[i]];

		if (!session)
			continue;
		if (output->message.kind == NVO3_UPDATE && output->message.snapshot)
			check_snapshot(nva->sim->check, session->name, output->message.vni);
		session_send(session, frame, size, ticket);
		if (session_is_full(session))
			directory_hold(nva->directory, output->to[i], true);
	}
}

void nva_deliver(struct nva *nva)
{
	bool held = nva->sim->clock.now_us < nva->pause_end_us;
	uint64_t ticket = store_commit(nva->store);
	struct directory_output *output;
	int r;

	if (ticket <= store_durable(nva->store))
		ticket = 0;
	(void) directory_hold_changes(nva->directory, held);
	while ((r = directory_next_output(nva->directory, &output)) > 0) {
		deliver_one(nva, output, ticket);
		directory_output_free(output);
	}
	if (r < 0)
		abort();
}

/* Returns whether a session has enough to read for now. */
static bool hold_the_full(struct nva *nva)
{
	struct session *session;
	bool any = false;

	TAILQ_FOREACH(session, &nva->sessions, of_nva) {
		if (session->state != SESSION_OPEN)
			continue;
		directory_hold(nva->directory, session->nve, session_is_full(session));
		any |= session_is_full(session);
	}
	return any;
}

static void on_turn(void *object)
{
	struct nva *nva = object;
	struct sim *sim = nva->sim;
	char text[DIRECTORY_NOTICE_SIZE];

	if (sim->clock.now_us >= nva->pause_end_us &&
	    random_chance(&sim->random, sim->weather.pause_percent))
		nva->pause_end_us = sim->clock.now_us + random_below(&sim->random, PAUSE_MAX_US);
	(void) hold_the_full(nva);
	nva_deliver(nva);
	while (directory_next_notice(nva->directory, text))
		sim_trace(sim, "nva", "%s", text);
	if (hold_the_full(nva))
		timer_hasten(&sim->clock, &nva->turn, FULL_RETRY_US);
	if (directory_hold_changes(nva->directory, sim->clock.now_us < nva->pause_end_us))
		timer_hasten(&sim->clock, &nva->turn, nva->pause_end_us - sim->clock.now_us);
}

static void on_durable(void *userdata)
{
	struct nva *nva = userdata;
	struct session *session;

	TAILQ_FOREACH(session, &nva->sessions, of_nva)
		session_release(session, store_durable(nva->store));
}

static void on_tick(void *object)
{
	struct nva *nva = object;
	struct session *session, *next;

	for (session = TAILQ_FIRST(&nva->sessions); session; session = next) {
		next = TAILQ_NEXT(session, of_nva);
		if (session->state == SESSION_CLOSED)
			session_free(session);
	}
	if (directory_tick(nva->directory, nva->sim->clock.now_us) < 0)
		abort();
	nva_turn_soon(nva);
	timer_start(&nva->sim->clock, &nva->tick, TICK_US);
}

/* --- life --- */

static void trace_change(const struct nva *nva, const struct change *change)
{
	const struct mapping *mapping = &change->mapping;
	const struct endpoint *endpoint = sim_endpoint(nva->sim, mapping->vni, mapping->mac);
	char name[8];

	if (endpoint && change->kind == CHANGE_MAPPING)
		sim_trace(nva->sim, "nva", "%s is %s's, generation %llu, %u addresses",
			  endpoint_name(endpoint, name), change->name,
			  (unsigned long long) mapping->generation, mapping->ip_count);
	else if (endpoint && change->kind == CHANGE_REMOVED)
		sim_trace(nva->sim, "nva", "%s is nobody's, generation %llu is gone",
			  endpoint_name(endpoint, name), (unsigned long long) mapping->generation);
}

static void on_change(void *userdata, const struct change *change)
{
	struct nva *nva = userdata;
	struct change dated = *change;

	trace_change(nva, change);

	if (change->kind == CHANGE_REMOVED)
		dated.removed_s = BEGAN_S + nva->sim->clock.now_us / 1000000;
	check_change(nva->sim->check, change);
	(void) store_append(nva->store, &dated);
}

static int restore_one(void *userdata, const struct change *change)
{
	struct nva *nva = userdata;
	const char *what = "";
	uint64_t now_us = nva->sim->clock.now_us;

	if (directory_restore(nva->directory, now_us, BEGAN_S + now_us / 1000000, change, &what) <
	    0)
		sim_fail(nva->sim, "the store cannot be restored: %s (%s of %s in VNI %u)", what,
			 change_kind_name(change->kind), change->name, change->mapping.vni);
	return nva->sim->failure[0] ? -EBADMSG : 0;
}

void nva_start(struct nva *nva)
{
	struct sim *sim = nva->sim;
	const struct directory_config config = {
		.name = "nva",
		.incarnation = 1000 + ++nva->starts,
		.hash_seed = random_u64(&sim->random),
		.lease_us = SIM_LEASE_S * UINT64_C(1000000),
		.withdraw_us = sim->weather.withdraw_us,
		.consent_timeout_us = SIM_CONSENT_S * UINT64_C(1000000),
	};
	char message[STORE_MESSAGE_SIZE];

	nva->store = memory_store_open(&nva->disk, on_durable, nva);
	if (directory_new(&config, sim->clock.now_us, &nva->directory) < 0)
		abort();
	(void) store_load(nva->store, restore_one, nva, message);
	if (directory_begin(nva->directory, sim->clock.now_us, on_change, nva) < 0)
		abort();
	(void) store_commit(nva->store);
	nva->pause_end_us = 0;
	sim_trace(sim, "nva", "starts%s", nva->disk.size ? "" : ", and knows nothing");
	check_started(sim->check);
	timer_start(&sim->clock, &nva->tick, TICK_US);
}

static void stop(struct nva *nva)
{
	timer_stop(&nva->sim->clock, &nva->turn);
	timer_stop(&nva->sim->clock, &nva->tick);
	memset(nva->nve_sessions, 0, sizeof(nva->nve_sessions));
	while (!TAILQ_EMPTY(&nva->sessions))
		session_free(TAILQ_FIRST(&nva->sessions));
	nva->directory = directory_free(nva->directory);
}

void nva_crash(struct nva *nva, bool silent, bool forget)
{
	struct session *session;

	sim_trace(nva->sim, "nva", "crashes%s%s", silent ? " with its host" : "",
		  forget ? ", and loses its disk" : "");
	check_journal(nva->sim->check);
	TAILQ_FOREACH(session, &nva->sessions, of_nva) {
		if (session->state == SESSION_CLOSED)
			continue;
		session->state = SESSION_CLOSED;
		link_close(session->link, LINK_NVA, silent);
	}
	stop(nva);
	memory_store_crash(nva->store);
	nva->store = NULL;
	if (!forget)
		return;
	disk_clear(&nva->disk);
	nva->sim->memory++;
	check_forgotten(nva->sim->check);
}

static void on_written(void *userdata, const struct change *change)
{
	struct nva *nva = userdata;

	check_written(nva->sim->check, change);
}

struct nva *nva_new(struct sim *sim)
{
	struct nva *nva = calloc(1, sizeof(*nva));

	if (!nva)
		abort();
	nva->sim = sim;
	nva->disk = (struct disk){
		.clock = &sim->clock,
		.random = &sim->random,
		.write_us = WRITE_MAX_US,
		.written = on_written,
		.userdata = nva,
	};
	nva->turn = (struct timer){ .run = on_turn, .object = nva };
	nva->tick = (struct timer){ .run = on_tick, .object = nva };
	TAILQ_INIT(&nva->sessions);
	return nva;
}

struct nva *nva_free(struct nva *nva)
{
	if (!nva)
		return NULL;
	stop(nva);
	nva->store = store_free(nva->store);
	disk_clear(&nva->disk);
	free(nva);
	return NULL;
}

struct disk *nva_disk(struct nva *nva)
{
	return &nva->disk;
}

const struct store *nva_store(const struct nva *nva)
{
	return nva->store;
}

struct directory *nva_directory(const struct nva *nva)
{
	return nva->directory;
}
