// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * session_output.c - what a session sends: held until what it tells of is durable, then written as
 * fast as the peer reads; the peer is not read from meanwhile if that is slow.
 */
#include "nva/session_internal.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>

size_t session_bytes_waiting(const struct session *session)
{
	return session->held_size + evbuffer_get_length(bufferevent_get_output(session->stream));
}

static void held_free(struct session *session, struct held *held)
{
	session->held_size -= evbuffer_get_length(held->frames);
	TAILQ_REMOVE(&session->held, held, link);
	evbuffer_free(held->frames);
	free(held);
}

bool session_is_full(const struct session *session)
{
	return session_bytes_waiting(session) > SESSION_OUTPUT_FULL;
}

void session_resume_if_drained(struct session *session)
{
	if (!session->paused || session_bytes_waiting(session) > SESSION_OUTPUT_FULL / 2)
		return;
	session->paused = false;
	bufferevent_enable(session->stream, EV_READ);
	bufferevent_trigger(session->stream, EV_READ,
			    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/*
 * Most messages fit into the socket at once: writing them here spares the event loop two calls to
 * epoll for each. A stream that is no plain socket would have to be left to libevent alone.
 */
void session_flush(struct session *session)
{
	struct evbuffer *output = bufferevent_get_output(session->stream);

	if (session->state == SESSION_CLOSED || evbuffer_get_length(output) == 0 ||
	    (bufferevent_get_enabled(session->stream) & EV_WRITE))
		return;
	(void) evbuffer_unfreeze(output, 1);
	(void) evbuffer_write(output, bufferevent_getfd(session->stream));
	(void) evbuffer_freeze(output, 1);
	if (evbuffer_get_length(output) > 0)
		bufferevent_enable(session->stream, EV_WRITE); /* which meets the error, if any */
	session_resume_if_drained(session);
}

static void pause_reading(struct session *session)
{
	session->paused = true;
	bufferevent_disable(session->stream, EV_READ);
}

/* The queue's end, for @ticket; NULL without memory. */
static struct held *held_get(struct session *session, uint64_t ticket)
{
	struct held *last = TAILQ_LAST(&session->held, held_queue);
	struct held *held;

	if (last && last->ticket >= ticket)
		return last;
	held = calloc(1, sizeof(*held));
	if (!held)
		return NULL;
	held->ticket = ticket;
	held->frames = evbuffer_new();
	if (!held->frames) {
		free(held);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&session->held, held, link);
	return held;
}

static int hold(struct session *session, struct out_frame *frame, uint64_t ticket)
{
	struct held *held = held_get(session, ticket);

	if (!held || out_frame_append(frame, held->frames) < 0)
		return -ENOMEM;
	session->held_size += out_frame_size(frame);
	return 0;
}

void session_send(struct session *session, struct out_frame *frame, uint64_t ticket)
{
	int r;

	if (session->state == SESSION_CLOSED || session->state == SESSION_LINGERING)
		return;
	if (session_bytes_waiting(session) + out_frame_size(frame) > SESSION_OUTPUT_MAX) {
		session_end(session, "it does not take what it is sent");
		return;
	}
	if (ticket > 0 || !TAILQ_EMPTY(&session->held))
		r = hold(session, frame, ticket);
	else
		r = out_frame_append(frame, bufferevent_get_output(session->stream));
	if (r < 0)
		session_end(session, "out of memory");
	else if (session_bytes_waiting(session) > SESSION_OUTPUT_PAUSE)
		pause_reading(session);
}

void session_release(struct session *session, uint64_t ticket)
{
	struct held *first = TAILQ_FIRST(&session->held);

	if (!first || first->ticket > ticket)
		return;
	while ((first = TAILQ_FIRST(&session->held)) && first->ticket <= ticket) {
		size_t size = evbuffer_get_length(first->frames);

		if (session->state != SESSION_CLOSED &&
		    bufferevent_write_buffer(session->stream, first->frames) < 0) {
			session_end(session, "out of memory");
			return;
		}
		session->held_size -= size - evbuffer_get_length(first->frames);
		held_free(session, first);
	}
	session_flush(session);
}

void session_send_sign(struct session *session, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (nvo3_pack(message, &frame, &size) < 0)
		return;
	if (bufferevent_write(session->stream, frame, size) < 0)
		session_end(session, "out of memory");
	else
		session_flush(session);
}

void session_drop_held(struct session *session)
{
	while (!TAILQ_EMPTY(&session->held))
		held_free(session, TAILQ_FIRST(&session->held));
}
