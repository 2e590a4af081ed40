/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* server_internal.h - what the daemon is made of; for server*.c. */
#ifndef REHOME_NVA_SERVER_INTERNAL_H
#define REHOME_NVA_SERVER_INTERNAL_H

#include <event2/event.h>
#include <event2/listener.h>

#include "nva/control.h"
#include "nva/directory.h"
#include "nva/reservations.h"
#include "nva/server.h"
#include "nva/session.h"
#include "nva/store.h"

enum {
	SESSIONS_MAX = DIRECTORY_NVES_MAX + SERVER_SPARE_SESSIONS,
};

struct server {
	struct nva_config config;
	struct event_base *base;
	struct event *signals[2], *tick;
	struct event *pause; /* ends the pause between two rounds of UPDATEs */
	uint64_t pause_end_us;
	struct evconnlistener *listeners[NVA_LISTEN_MAX];
	struct control *control;
	struct directory *directory;
	struct reservations *reservations; /* NULL: none are configured */
	struct store *store; /* NULL: nothing is kept */
	struct event *store_event;
	enum store_state store_state; /* as last logged */
	bool standby;		      /* another NVA leads, or nobody: nobody is told anything */
	struct session *sessions[SESSIONS_MAX];
	size_t session_count;
	struct session *nve_sessions[DIRECTORY_NVES_MAX]; /* by the directory's number */
	uint32_t to_flush[DIRECTORY_NVES_MAX];
	bool flush_marked[DIRECTORY_NVES_MAX]; /* stands in to_flush[] */
	size_t flush_count;
	uint64_t turned_away; /* connections over SESSIONS_MAX, since the last tick */
	bool stopped;
	int result; /* why the loop ended */
};

/* The loop ends: because of a signal (0), or because it cannot go on. */
void server_stop(struct server *server, int result);

/* --- server.c --- */
/* Empty; takes the place of server->directory, which is not freed. 0 or a negative errno. */
int server_make_directory(struct server *server);

/* --- server_cluster.c: one NVA of several --- */
void server_join(struct server *server);
/* Of a status: "store", and "standbys", the NVAs that would notice at once if this one ended. */
int server_about(void *server, struct json_object *status);

/* --- server_accept.c: listeners, connections --- */
/* At config.listen[@i]. As server_new(). */
int server_listen_at(struct server *server, size_t i, char *reterr_message);
/* Several times a second: what could not be accepted is tried again. */
void server_accept_tick(struct server *server);

/* --- server_session.c: what sessions say --- */
extern const struct session_events server_session_events;

/* --- server_journal.c: the directory's changes, and the store --- */
/* The directory's journal. */
void server_journal(void *userdata, const struct change *change);
/* What was kept, into the directory; what happens from now on, into the store. As server_new(). */
int server_restore(struct server *server, char *reterr_message);

/* --- server_deliver.c: the directory's outputs --- */
/* Into the sessions; nothing is written yet. */
void server_deliver(struct server *server);
/* One turn's outputs. Returns whether there is more to do at once. */
bool server_deliver_and_flush(struct server *server);
/*
 * Wakes the loop at the end of the pause between two rounds, when there is something to tell then.
 */
void server_await_pause(struct server *server);

#endif
