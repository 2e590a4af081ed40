// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * server_deliver.c - the directory's outputs, to the sessions of the NVEs they are for.
 *
 * All outputs of a turn, then one write to each session that has something. So the busier it is,
 * the more changes travel in one UPDATE, and the fewer messages each of them costs. For the same
 * reason a round of UPDATEs that took long is followed by a pause in which changes are collected,
 * until all NVEs have confirmed what they were sent; an idle NVA tells at once. A session that has
 * enough to read is held: the directory makes no more of its snapshot until it has drained.
 */
#include "nva/server_internal.h"

#include <errno.h>

#include "common/clock.h"
#include "common/log.h"

static void send_to(struct server *server, uint32_t nve, struct out_frame *frame, uint64_t ticket)
{
	struct session *session = server->nve_sessions[nve];

	if (!session)
		return;
	if (!server->flush_marked[nve])
		server->to_flush[server->flush_count++] = nve;
	server->flush_marked[nve] = true;
	session_send(session, frame, ticket);
	if (server->nve_sessions[nve] && session_is_full(session))
		directory_hold(server->directory, nve, true);
}

static void deliver_one(struct server *server, const struct directory_output *output,
			uint64_t ticket)
{
	_cleanup_(out_frame_freep) struct out_frame *frame = NULL;
	uint8_t *data;
	size_t size;
	int r = nvo3_pack(&output->message, &data, &size);

	if (r == 0) {
		frame = out_frame_new(data, size);
		r = frame ? 0 : -ENOMEM;
	}
	if (r < 0) {
		server_stop(server, log_errno(r, "Cannot pack a message of kind %s",
					      nvo3_kind_name(output->message.kind)));
		return;
	}
	for (size_t i = 0; i < output->to_count; i++)
		send_to(server, output->to[i], frame, ticket);
}

static void log_notices(struct server *server)
{
	char text[DIRECTORY_NOTICE_SIZE];

	while (directory_next_notice(server->directory, text))
		log_warning("%s", text);
}

/* What this turn's outputs wait for; 0: nothing. */
static uint64_t ticket_of_turn(struct server *server)
{
	uint64_t ticket = store_confirm(server->store);

	return ticket > store_durable(server->store) ? ticket : 0;
}

static bool is_pausing(const struct server *server)
{
	return clock_monotonic_us() < server->pause_end_us &&
	       !directory_is_confirmed(server->directory);
}

/*
 * Whatever the directory says now may tell of any change until now: it waits for all of them, and
 * that it is still this NVA's to tell. A standby's outputs are of what it was told, for nobody.
 */
void server_deliver(struct server *server)
{
	bool held = is_pausing(server), first = true;
	uint64_t ticket = 0;
	int r;

	if (!server->standby)
		(void) store_commit(server->store);
	(void) directory_hold_changes(server->directory, held);

	do {
		_cleanup_(directory_output_freep) struct directory_output *output = NULL;

		r = directory_next_output(server->directory, &output);
		if (r <= 0 || server->standby)
			continue;
		if (first)
			ticket = ticket_of_turn(server);
		first = false;
		deliver_one(server, output, ticket);
	} while (r > 0);
	if (r < 0)
		server_stop(server, log_errno(r, "The directory cannot go on"));
	log_notices(server);
}

/*
 * Returns whether there is more to deliver at once: a session takes a snapshot as fast as it is
 * made.
 */
static bool flush(struct server *server)
{
	bool more = false;

	for (size_t i = 0; i < server->flush_count; i++) {
		uint32_t nve = server->to_flush[i];
		struct session *session = server->nve_sessions[nve];
		bool was_full = session && session_is_full(session);

		server->flush_marked[nve] = false;
		if (session)
			session_flush(session);
		if (!was_full || session_is_full(session))
			continue;
		directory_hold(server->directory, nve, false);
		more = true;
	}
	server->flush_count = 0;
	return more;
}

bool server_deliver_and_flush(struct server *server)
{
	uint64_t began_us = clock_monotonic_us(), now_us, pause_us;
	size_t receivers;
	bool more;

	server_deliver(server);
	receivers = server->flush_count;
	more = flush(server);
	now_us = clock_monotonic_us();
	if (now_us < server->pause_end_us || receivers == 0)
		return more;
	pause_us = (now_us - began_us) * SERVER_PAUSE_PERCENT / 100;
	if (pause_us > SERVER_PAUSE_MAX_MS * UINT64_C(1000))
		pause_us = SERVER_PAUSE_MAX_MS * UINT64_C(1000);
	server->pause_end_us = now_us + pause_us;
	return more;
}

void server_await_pause(struct server *server)
{
	uint64_t now_us = clock_monotonic_us();
	bool held = now_us < server->pause_end_us && is_pausing(server);
	struct timeval timeout = { .tv_usec = held ? (suseconds_t) (server->pause_end_us - now_us)
						   : 0 };

	if (directory_hold_changes(server->directory, held) &&
	    !evtimer_pending(server->pause, NULL))
		(void) event_add(server->pause, &timeout);
}
