// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * server_session.c - ties the sessions to the directory.
 *
 * A session ends inside its own events, or inside a delivery to it, so it is only taken out of
 * nve_sessions[] then; the tick frees it.
 */
#include "nva/server_internal.h"

#include <errno.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"

/* An NVA that would take over: it only wants to know when this one is gone. */
static int greet_standby(struct server *server, struct session *session,
			 const struct nvo3_message *hello)
{
	struct nvo3_message welcome = {
		.kind = NVO3_WELCOME,
		.id = hello->id,
		.version = NVO3_VERSION,
		.incarnation = 1,
	};
	(void) snprintf(welcome.name, sizeof(welcome.name), "%s", server->config.name);
	session_set_watching(session, hello->name);
	log_notice("NVA %s stands by", session_name(session));
	session_send_message(session, &welcome);
	return 0;
}

static int greet(struct server *server, struct session *session, const struct nvo3_message *hello,
		 char *reterr_text)
{
	struct session *older;
	char vtep[IP_TEXT_SIZE];
	bool replaced;
	uint32_t nve;
	int r;

	if (hello->kind != NVO3_HELLO || session_is_watching(session)) {
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, "%s %s",
				nvo3_kind_name(hello->kind),
				session_is_watching(session) ? "from a standby" : "before HELLO");
		return -EPROTO;
	}
	if (server->standby) {
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, "%s",
				store_elsewhere(server->store));
		return -EPROTO;
	}
	if (hello->role == NVO3_ROLE_STANDBY)
		return greet_standby(server, session, hello);
	r = directory_connect(server->directory, clock_monotonic_us(), hello, &nve, &replaced,
			      reterr_text);
	if (r == -ENOMEM) {
		server_stop(server, log_errno(r, "The directory cannot go on"));
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, "the NVA is out of memory");
	}
	if (r < 0)
		return -EPROTO;

	older = server->nve_sessions[nve];
	server->nve_sessions[nve] = session;
	session_set_open(session, nve, hello->name);
	if (replaced)
		session_refuse(older,
			       "this NVE has a newer session"); /* the directory knows already */
	log_notice("NVE %s is connected, VTEP %s%s", session_name(session),
		   ip_text(hello->vtep, vtep), hello->role == NVO3_ROLE_GATEWAY ? ", gateway" : "");
	return 0;
}

static int on_message(void *userdata, struct session *session, const struct nvo3_message *message,
		      char *reterr_text)
{
	struct server *server = userdata;
	const char *what = "";
	uint32_t nve;
	int r;

	if (!session_is_open(session, &nve))
		return greet(server, session, message, reterr_text);
	r = directory_receive(server->directory, clock_monotonic_us(), nve, message, &what);
	if (r == -EPROTO)
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1,
				"%s: %s is not for an NVE to send now",
				nvo3_kind_name(message->kind), what);
	if (r == -ENOMEM)
		server_stop(server, log_errno(r, "The directory cannot go on"));
	return r == -EPROTO ? r : 0;
}

static void on_last_words(void *userdata)
{
	server_deliver(userdata);
}

static void on_drained(void *userdata, struct session *session)
{
	struct server *server = userdata;
	uint32_t nve;

	if (session_is_open(session, &nve) && server->nve_sessions[nve] == session)
		directory_hold(server->directory, nve, false);
}

static void on_closed(void *userdata, struct session *session, const char *reason)
{
	struct server *server = userdata;
	uint32_t nve;

	if (session_is_open(session, &nve) && server->nve_sessions[nve] == session) {
		server->nve_sessions[nve] = NULL;
		directory_disconnect(server->directory, clock_monotonic_us(), nve);
	}
	if (server->standby) /* as often as agents look for the one that leads */
		log_debug("Session of %s ends: %s", session_name(session), reason);
	else
		log_notice("Session of %s ends: %s", session_name(session), reason);
}

const struct session_events server_session_events = {
	.message = on_message,
	.last_words = on_last_words,
	.drained = on_drained,
	.closed = on_closed,
};
