/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva_session.c - an NVE's session at the NVA: what nva/session.c and nva/server_session.c do.
 *
 *   bytes ──▶ frames ──▶ directory          outputs ──▶ held for their ticket ──▶ link
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/nva_private.h"

void session_free(struct session *session)
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

void session_end(struct session *session, const char *reason, bool silent)
{
	struct nva *nva = session->nva;

	if (session->state == SESSION_CLOSED)
		return;
	sim_trace(nva->sim, "nva", "session of %s ends: %s", session->name, reason);
	if (session->state == SESSION_OPEN && nva->nve_sessions[session->nve] == session) {
		nva->nve_sessions[session->nve] = NULL;
		check_session_end(nva->sim->check, session->name);
		directory_disconnect(nva->directory, nva->sim->clock.now_us, session->nve);
		nva_turn_soon(nva);
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

void session_send(struct session *session, const uint8_t *frame, size_t size, uint64_t ticket)
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

void session_release(struct session *session, uint64_t durable)
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

bool session_is_full(const struct session *session)
{
	return session->held_size + link_waiting(session->link, LINK_NVA) >
	       session->nva->sim->weather.full_size;
}

/* --- what arrives --- */

static void refuse(struct session *session, const char *text)
{
	struct nvo3_message error = { .kind = NVO3_ERROR };

	if (session->state == SESSION_CLOSED)
		return;
	nva_deliver(session->nva);
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
	nva_turn_soon(nva);
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
