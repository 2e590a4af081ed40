/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva.c - sessions around a real directory and a store.
 *
 *   bytes ──▶ frames ──▶ directory ──turn──▶ outputs ──▶ held for their ticket ──▶ link
 *
 * A turn comes some time after something has arrived, as a loop comes round: what arrived until
 * then is told together. What may not be told before it is durable waits in its session.
 */
#include "tests/sim/nva.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "tests/sim/check.h"
#include "tests/sim/reader.h"

enum {
	TURN_MAX_US = 2000,
	PAUSE_MAX_US = 50000, /* nva/server.h, SERVER_PAUSE_MAX_MS */
	TICK_US = 100000,     /* nva/server.h, SERVER_TICK_MS */
	WRITE_MAX_US = 30000, /* a commit, on a slow disk */
	FULL_RETRY_US = 3000,
	BEGAN_S = 1700000000, /* CLOCK_REALTIME when the run begins */
};

enum session_state { SESSION_GREETING, SESSION_OPEN, SESSION_CLOSED };

/* A frame that may be sent when @ticket is durable. */
struct held {
	STAILQ_ENTRY(held) next;
	uint64_t ticket;
	size_t size;
	uint8_t frame[];
};
STAILQ_HEAD(held_queue, held);

struct session {
	TAILQ_ENTRY(session) of_nva;
	struct nva *nva;
	struct link *link;
	enum session_state state;
	uint32_t nve; /* when open */
	char name[NVO3_NAME_MAX + 1];
	struct ip vtep;
	struct reader reader;
	struct held_queue held;
	size_t held_size;
};
TAILQ_HEAD(session_queue, session);

struct nva {
	struct sim *sim;
	struct disk disk;
	struct store *store;	     /* NULL: it is down */
	struct directory *directory; /* the same */
	uint64_t starts;
	struct session_queue sessions;
	struct session *nve_sessions[DIRECTORY_NVES_MAX];
	struct timer turn, tick;
	uint64_t pause_end_us;
};

static void turn_soon(struct nva *nva)
{
	timer_hasten(&nva->sim->clock, &nva->turn, random_delay(&nva->sim->random, TURN_MAX_US));
}

/* --- sessions --- */

static void session_free(struct session *session)
{
	struct held *held;

	while ((held = STAILQ_FIRST(&session->held))) {
		STAILQ_REMOVE_HEAD(&session->held, next);
		free(held);
	}
	TAILQ_REMOVE(&session->nva->sessions, session, of_nva);
	reader_clear(&session->reader);
	free(session);
}

/* Freed by the tick. */
static void session_end(struct session *session, const char *reason, bool silent)
{
	struct nva *nva = session->nva;

	if (session->state == SESSION_CLOSED)
		return;
	sim_trace(nva->sim, "nva", "session of %s ends: %s", session->name, reason);
	if (session->state == SESSION_OPEN && nva->nve_sessions[session->nve] == session) {
		nva->nve_sessions[session->nve] = NULL;
		check_session_end(nva->sim->check, session->name);
		directory_disconnect(nva->directory, nva->sim->clock.now_us, session->nve);
		turn_soon(nva);
	}
	session->state = SESSION_CLOSED;
	link_close(session->link, LINK_NVA, silent);
}

static bool check_frame(void *object, const struct nvo3_message *message)
{
	struct session *session = object;

	check_told(session->nva->sim->check, message, session->vtep);
	return true;
}

static void put_out(struct session *session, const uint8_t *frame, size_t size)
{
	struct reader reader = { 0 };
	const char *what;

	if (reader_take(&reader, frame, size, check_frame, session, &what) < 0)
		sim_fail(session->nva->sim, "the NVA sends a malformed message: %s", what);
	reader_clear(&reader);
	link_send(session->link, LINK_NVA, frame, size);
}

static void session_send(struct session *session, const uint8_t *frame, size_t size,
			 uint64_t ticket)
{
	struct held *held;

	if (session->state == SESSION_CLOSED)
		return;
	if (ticket == 0 && STAILQ_EMPTY(&session->held)) {
		put_out(session, frame, size);
		return;
	}
	held = malloc(sizeof(*held) + size);
	if (!held)
		abort();
	held->ticket = ticket;
	held->size = size;
	memcpy(held->frame, frame, size);
	STAILQ_INSERT_TAIL(&session->held, held, next);
	session->held_size += size;
}

static void session_release(struct session *session, uint64_t durable)
{
	struct held *held;

	while ((held = STAILQ_FIRST(&session->held)) && held->ticket <= durable) {
		STAILQ_REMOVE_HEAD(&session->held, next);
		session->held_size -= held->size;
		if (session->state != SESSION_CLOSED)
			put_out(session, held->frame, held->size);
		free(held);
	}
}

static void session_say(struct session *session, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (nvo3_pack(message, &frame, &size) == 0)
		session_send(session, frame, size, 0);
}

/* --- turns --- */

/* It has enough to read for now: nva/session.h, session_is_full(). */
static bool is_full(const struct session *session)
{
	return session->held_size + link_waiting(session->link, LINK_NVA) >
	       session->nva->sim->weather.full_size;
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
		if (is_full(session))
			directory_hold(nva->directory, output->to[i], true);
	}
}

static void deliver(struct nva *nva)
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
		directory_hold(nva->directory, session->nve, is_full(session));
		any |= is_full(session);
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
	deliver(nva);
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
	turn_soon(nva);
	timer_start(&nva->sim->clock, &nva->tick, TICK_US);
}

/* --- what arrives --- */

static void refuse(struct session *session, const char *text)
{
	struct nvo3_message error = { .kind = NVO3_ERROR };

	if (session->state == SESSION_CLOSED)
		return;
	deliver(session->nva);
	(void) snprintf(error.text, sizeof(error.text), "%s", text);
	session_say(session, &error); /* lost if something is held before it */
	session_end(session, error.text, false);
}

static bool greet(struct session *session, const struct nvo3_message *hello)
{
	struct nva *nva = session->nva;
	char text[NVO3_TEXT_MAX + 1] = "no HELLO";
	struct session *older;
	bool replaced;
	uint32_t nve;

	(void) snprintf(session->name, sizeof(session->name), "%s", hello->name);
	session->vtep = hello->vtep;
	if (hello->kind != NVO3_HELLO || directory_connect(nva->directory, nva->sim->clock.now_us,
							   hello, &nve, &replaced, text) < 0) {
		refuse(session, text);
		return false;
	}
	check_session(nva->sim->check, session->name);
	older = nva->nve_sessions[nve];
	nva->nve_sessions[nve] = session;
	session->state = SESSION_OPEN;
	session->nve = nve;
	sim_trace(nva->sim, "nva", "%s is connected", session->name);
	if (replaced)
		refuse(older, "this NVE has a newer session");
	return true;
}

static bool on_message(void *object, const struct nvo3_message *message)
{
	struct session *session = object;
	struct nva *nva = session->nva;
	char text[NVO3_TEXT_MAX + 1];
	const char *what = "";
	int r;

	nva->sim->messages++;
	turn_soon(nva);
	if (session->state == SESSION_GREETING)
		return greet(session, message);
	check_said(nva->sim->check, session->name, message);
	r = directory_receive(nva->directory, nva->sim->clock.now_us, session->nve, message, &what);
	check_heeded(nva->sim->check);
	if (r == 0)
		return true;
	(void) snprintf(text, sizeof(text), "%s: %s is not for an NVE to send now",
			nvo3_kind_name(message->kind), what);
	sim_fail(nva->sim, "the NVA ends the session of %s: %s", session->name, text);
	refuse(session, text);
	return false;
}

static void on_hear(void *object, const uint8_t *data, size_t size)
{
	struct session *session = object;
	const char *what;

	if (reader_take(&session->reader, data, size, on_message, session, &what) < 0)
		sim_fail(session->nva->sim, "%s sent a malformed message: %s", session->name, what);
}

static void on_closed(void *object)
{
	session_end(object, "it was closed", false);
}

struct link_end nva_accept(struct nva *nva)
{
	struct session *session;

	if (!nva->directory)
		return (struct link_end){ 0 };
	session = calloc(1, sizeof(*session));
	if (!session)
		abort();
	session->nva = nva;
	STAILQ_INIT(&session->held);
	TAILQ_INSERT_TAIL(&nva->sessions, session, of_nva);
	return (struct link_end){ .hear = on_hear, .closed = on_closed, .object = session };
}

void nva_accepted(struct nva *nva, void *end, struct link *link)
{
	struct session *session = end;

	session->link = link;
}

struct link *nva_session_link(const struct nva *nva, const char *name)
{
	const struct session *session;

	TAILQ_FOREACH(session, &nva->sessions, of_nva)
		if (session->state == SESSION_OPEN && strcmp(session->name, name) == 0)
			return session->link;
	return NULL;
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
