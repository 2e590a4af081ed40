// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * server_journal.c - what the directory's journal is told goes into the store; when it is durable,
 * the sessions may send what was held for that.
 */
#include "nva/server_internal.h"

#include <errno.h>

#include "common/clock.h"
#include "common/log.h"
#include "nva/server_store.h"

void server_journal(void *userdata, const struct change *change)
{
	struct server *server = userdata;
	struct change dated = *change;

	if (server->standby)
		return; /* it ends what was of the lead */
	if (change->kind == CHANGE_REMOVED)
		dated.removed_s = clock_realtime_us() / 1000000;
	if (store_append(server->store, &dated) < 0)
		server_stop(server, log_errno(-ENOMEM, "The store cannot go on"));
}

static void note_store_state(struct server *server)
{
	const char *text;
	enum store_state state = store_state(server->store, &text);

	if (state == server->store_state)
		return;
	server->store_state = state;
	if (state == STORE_WORKS)
		log_notice("The store works again");
	else
		log_error("%s", text);
	if (state == STORE_FAILED)
		server_stop(server, -EIO);
}

/* It may have been held for what has just left. */
static void release(struct server *server, struct session *session, uint64_t durable)
{
	uint32_t nve;

	session_release(session, durable);
	if (session_is_open(session, &nve) && server->nve_sessions[nve] == session &&
	    !session_is_full(session))
		directory_hold(server->directory, nve, false);
}

/* More has become durable, or nothing will for a while. */
static void on_store(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	uint64_t durable;

	store_dispatch(server->store);
	note_store_state(server);
	durable = store_durable(server->store);
	for (size_t i = 0; i < server->session_count; i++)
		release(server, server->sessions[i], durable);
	control_release(server->control, durable);
}

static int begin(struct server *server, char *reterr_message)
{
	int r = server_store_restore(server->store, server->directory, reterr_message);

	if (r == 0)
		r = directory_begin(server->directory, clock_monotonic_us(),
				    server->store ? server_journal : NULL, server);
	if (r == 0)
		(void) store_commit(server->store);
	return r;
}

int server_restore(struct server *server, char *reterr_message)
{
	int r = server_store_open(&server->config, false, &server->store, reterr_message);

	if (r < 0)
		return r;
	if (server->config.store == NVA_STORE_ETCD)
		server_join(server);
	else
		r = begin(server, reterr_message);
	if (r < 0 || !server->store)
		return r;
	server->store_event = event_new(server->base, store_fd(server->store), EV_READ | EV_PERSIST,
					on_store, server);
	return server->store_event && event_add(server->store_event, NULL) == 0 ? 0 : -ENOMEM;
}
