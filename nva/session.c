// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/session_internal.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/clock.h"

static uint64_t seconds(uint64_t s)
{
	return s * 1000000;
}

/* --- the end --- */

void session_end(struct session *session, const char *reason)
{
	if (session->state == SESSION_CLOSED)
		return;
	bufferevent_setcb(session->stream, NULL, NULL, NULL, NULL);
	bufferevent_disable(session->stream, EV_READ | EV_WRITE);
	if (session->state != SESSION_LINGERING) /* else that was told when it was refused */
		session->events->closed(session->userdata, session, reason);
	session->state = SESSION_CLOSED;
}

void session_close(struct session *session, const char *reason)
{
	session_end(session, reason);
}

/*
 * Closing at once with unread input makes TCP send a reset (RFC 2525 section 2.17), which can
 * overtake the ERROR. So the input is read and thrown away until the peer closes, for a while.
 */
static void linger(struct session *session, const char *reason)
{
	session->events->closed(session->userdata, session, reason);
	session->state = SESSION_LINGERING;
	session->began_us = clock_monotonic_us();
	bufferevent_enable(session->stream, EV_READ);
	if (session_bytes_waiting(session) == 0)
		(void) shutdown(bufferevent_getfd(session->stream), SHUT_WR);
}

void session_send_message(struct session *session, const struct nvo3_message *message)
{
	_cleanup_(out_frame_freep) struct out_frame *frame = NULL;
	uint8_t *data;
	size_t size;

	if (nvo3_pack(message, &data, &size) < 0)
		return;
	frame = out_frame_new(data, size);
	if (!frame)
		return;
	session_send(session, frame, 0);
	session_flush(session);
}

void session_refuse(struct session *session, const char *text)
{
	struct nvo3_message error = { .kind = NVO3_ERROR };

	if (session->state == SESSION_CLOSED || session->state == SESSION_LINGERING)
		return;
	session->events->last_words(session->userdata);
	(void) snprintf(error.text, sizeof(error.text), "%s", text);
	session_send_message(session, &error);
	if (session->state != SESSION_CLOSED)
		linger(session, error.text);
}

/* --- input --- */

static void refuse_field(struct session *session, const char *what)
{
	char text[NVO3_TEXT_MAX + 1];

	(void) snprintf(text, sizeof(text), "malformed message: %s", what);
	session_refuse(session, text);
}

static void take_message(struct session *session, const struct nvo3_message *message)
{
	struct nvo3_message pong = { .kind = NVO3_PONG, .id = message->id };
	char text[NVO3_TEXT_MAX + 1];

	if (message->kind == NVO3_ERROR) {
		(void) snprintf(text, sizeof(text), "it says: %.200s", message->text);
		session_end(session, text);
	} else if (message->kind == NVO3_PING) {
		session_send_sign(session, &pong);
	} else if (message->kind != NVO3_PONG &&
		   session->events->message(session->userdata, session, message, text) < 0) {
		session_refuse(session, text);
	}
}

/*
 * Reads the length of the frame that comes next; false when it is not there yet or impossible
 * (refused).
 */
static bool peek_frame(struct session *session, struct evbuffer *input, size_t *ret_size)
{
	uint8_t length[NVO3_LENGTH_SIZE];
	ssize_t n = evbuffer_copyout(input, length, sizeof(length));
	long size = nvo3_frame_size(length, n < 0 ? 0 : (size_t) n);

	if (size < 0)
		refuse_field(session, "length");
	if (size <= 0)
		return false;
	*ret_size = (size_t) size;
	return evbuffer_get_length(input) >= *ret_size;
}

static void take_frame(struct session *session, struct evbuffer *input, size_t size)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	const uint8_t *frame = evbuffer_pullup(input, (ssize_t) size);
	const char *what = "";
	int r = -ENOMEM;

	if (frame)
		r = nvo3_unpack(frame + NVO3_LENGTH_SIZE, size - NVO3_LENGTH_SIZE, &message, &what);
	(void) evbuffer_drain(input, size);
	if (r == 0)
		take_message(session, &message);
	else if (r == -EBADMSG)
		refuse_field(session, what);
	else
		session_end(session, "out of memory");
}

static void take_input(struct session *session)
{
	struct evbuffer *input = bufferevent_get_input(session->stream);
	size_t size;

	while ((session->state == SESSION_GREETING || session->state == SESSION_OPEN) &&
	       !session->paused && peek_frame(session, input, &size))
		take_frame(session, input, size);
	if (session->state == SESSION_LINGERING)
		(void) evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_readable(struct bufferevent *stream, void *userdata)
{
	struct session *session = userdata;

	session->alive_us = clock_monotonic_us();
	take_input(session);
}

/* Called when at most half of SESSION_OUTPUT_FULL waits in the stream. */
static void on_writable(struct bufferevent *stream, void *userdata)
{
	struct session *session = userdata;

	if (evbuffer_get_length(bufferevent_get_output(stream)) == 0)
		bufferevent_disable(stream,
				    EV_WRITE); /* until session_flush() leaves a rest again */
	if (session->state == SESSION_LINGERING && session_bytes_waiting(session) == 0)
		(void) shutdown(bufferevent_getfd(stream), SHUT_WR);
	if (session->state == SESSION_OPEN && !session_is_full(session))
		session->events->drained(session->userdata, session);
	session_resume_if_drained(session);
}

static void on_event(struct bufferevent *stream, short what, void *userdata)
{
	struct session *session = userdata;

	if (what & BEV_EVENT_EOF)
		session_end(session, "it closed the connection");
	else if (what & BEV_EVENT_ERROR)
		session_end(session, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

/* --- time --- */

static void tick_open(struct session *session, uint64_t now_us)
{
	struct nvo3_message ping = { .kind = NVO3_PING, .id = session->last_id + 1 };
	uint64_t silence_us = now_us > session->alive_us ? now_us - session->alive_us : 0;

	if (silence_us >= seconds(SESSION_DEAD_S)) {
		session_end(session, "it has been silent too long");
		return;
	}
	if (silence_us < seconds(SESSION_PING_S) ||
	    now_us - session->pinged_us < seconds(SESSION_PING_S))
		return;
	session->pinged_us = now_us;
	session->last_id++;
	session_send_sign(session, &ping);
}

void session_tick(struct session *session, uint64_t now_us)
{
	size_t waiting = session_bytes_waiting(session);

	if (waiting < session->waiting)
		session->alive_us = now_us; /* it reads: a pause of ours is no silence of its */
	session->waiting = waiting;

	switch (session->state) {
	case SESSION_GREETING:
		if (now_us > session->began_us + seconds(SESSION_GREETING_S))
			session_refuse(session, "no HELLO came");
		break;
	case SESSION_OPEN:
		tick_open(session, now_us);
		break;
	case SESSION_LINGERING:
		if (now_us > session->began_us + seconds(SESSION_LINGER_S))
			session_end(session, "it was refused");
		break;
	case SESSION_CLOSED:
		break;
	}
}

/* --- life --- */

int session_new(struct bufferevent *stream, struct ip peer, uint16_t port, uint64_t now_us,
		const struct session_events *events, void *userdata, struct session **ret_session)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		bufferevent_free(stream);
		return -ENOMEM;
	}
	session->stream = stream;
	TAILQ_INIT(&session->held);
	session->events = events;
	session->userdata = userdata;
	session->began_us = session->alive_us = session->pinged_us = now_us;
	endpoint_text(peer, port, session->address);
	(void) snprintf(session->name, sizeof(session->name), "%s", session->address);
	bufferevent_setcb(stream, on_readable, on_writable, on_event, session);
	bufferevent_setwatermark(stream, EV_READ, 0, NVO3_FRAME_MAX);
	bufferevent_setwatermark(stream, EV_WRITE, SESSION_OUTPUT_FULL / 2, 0);
	(void) bufferevent_set_max_single_read(stream, SESSION_READ_MAX);
	bufferevent_disable(stream, EV_WRITE);
	bufferevent_enable(stream, EV_READ);
	*ret_session = session;
	return 0;
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	session_drop_held(session);
	bufferevent_free(session->stream);
	free(session);
	return NULL;
}

void session_set_open(struct session *session, uint32_t nve, const char *name)
{
	(void) snprintf(session->name, sizeof(session->name), "%s (%s)", name, session->address);
	session->nve = nve;
	session->state = SESSION_OPEN;
}

void session_set_watching(struct session *session, const char *name)
{
	session_set_open(session, SESSION_NO_NVE, name);
}

bool session_is_watching(const struct session *session)
{
	return session->state == SESSION_OPEN && session->nve == SESSION_NO_NVE;
}

bool session_is_open(const struct session *session, uint32_t *ret_nve)
{
	if (session->state != SESSION_OPEN || session->nve == SESSION_NO_NVE)
		return false;
	*ret_nve = session->nve;
	return true;
}

bool session_is_over(const struct session *session)
{
	return session->state == SESSION_CLOSED;
}

const char *session_name(const struct session *session)
{
	return session->name;
}
