// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/session.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/clock.h"

enum session_state { SESSION_GREETING, SESSION_OPEN, SESSION_LINGERING, SESSION_CLOSED };

/* Frames that may be sent when @ticket is released. */
struct held {
	TAILQ_ENTRY(held) link;
	uint64_t ticket;
	struct evbuffer *frames;
};
TAILQ_HEAD(held_queue, held);

struct session {
	struct bufferevent *stream; /* owned */
	struct held_queue held;	    /* oldest first, at most one of each ticket */
	size_t held_size;	    /* bytes in it */
	const struct session_events *events;
	void *userdata;
	enum session_state state;
	uint32_t nve; /* when open */
	char address[ENDPOINT_TEXT_SIZE];
	char name[SESSION_NAME_SIZE];
	bool paused;	   /* not read from: too much waits to be sent */
	uint64_t began_us; /* of the present state */
	uint64_t alive_us; /* when it was last heard, or took something */
	uint64_t pinged_us;
	uint64_t last_id; /* of our PINGs */
	size_t waiting;	  /* bytes to send, at the last tick */
};

static uint64_t seconds(uint64_t s)
{
	return s * 1000000;
}

static size_t bytes_waiting(const struct session *session)
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

/* --- the end --- */

static void end(struct session *session, const char *reason)
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
	end(session, reason);
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
	if (bytes_waiting(session) == 0)
		(void) shutdown(bufferevent_getfd(session->stream), SHUT_WR);
}

/* --- output --- */

bool session_is_full(const struct session *session)
{
	return bytes_waiting(session) > SESSION_OUTPUT_FULL;
}

/* What arrived before the pause has its turn in the loop, like what arrives after it. */
static void resume_if_drained(struct session *session)
{
	if (!session->paused || bytes_waiting(session) > SESSION_OUTPUT_FULL / 2)
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
	resume_if_drained(session);
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

static int hold(struct session *session, const uint8_t *frame, size_t size, uint64_t ticket)
{
	struct held *held = held_get(session, ticket);

	if (!held || evbuffer_add(held->frames, frame, size) < 0)
		return -ENOMEM;
	session->held_size += size;
	return 0;
}

void session_send(struct session *session, const uint8_t *frame, size_t size, uint64_t ticket)
{
	int r;

	if (session->state == SESSION_CLOSED || session->state == SESSION_LINGERING)
		return;
	if (bytes_waiting(session) + size > SESSION_OUTPUT_MAX) {
		end(session, "it does not take what it is sent");
		return;
	}
	if (ticket > 0 || !TAILQ_EMPTY(&session->held))
		r = hold(session, frame, size, ticket);
	else
		r = bufferevent_write(session->stream, frame, size);
	if (r < 0)
		end(session, "out of memory");
	else if (bytes_waiting(session) > SESSION_OUTPUT_PAUSE)
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
			end(session, "out of memory");
			return;
		}
		session->held_size -= size - evbuffer_get_length(first->frames);
		held_free(session, first);
	}
	session_flush(session);
}

static void send_message(struct session *session, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (nvo3_pack(message, &frame, &size) < 0)
		return;
	session_send(session, frame, size, 0);
	session_flush(session);
}

/* Life signs tell of nothing but life: they wait for no disk. */
static void send_sign(struct session *session, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (nvo3_pack(message, &frame, &size) < 0)
		return;
	if (bufferevent_write(session->stream, frame, size) < 0)
		end(session, "out of memory");
	else
		session_flush(session);
}

void session_refuse(struct session *session, const char *text)
{
	struct nvo3_message error = { .kind = NVO3_ERROR };

	if (session->state == SESSION_CLOSED || session->state == SESSION_LINGERING)
		return;
	session->events->last_words(session->userdata);
	(void) snprintf(error.text, sizeof(error.text), "%s", text);
	send_message(session, &error);
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
		end(session, text);
	} else if (message->kind == NVO3_PING) {
		send_sign(session, &pong);
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
		end(session, "out of memory");
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
	if (session->state == SESSION_LINGERING && bytes_waiting(session) == 0)
		(void) shutdown(bufferevent_getfd(stream), SHUT_WR);
	if (session->state == SESSION_OPEN && !session_is_full(session))
		session->events->drained(session->userdata, session);
	resume_if_drained(session);
}

static void on_event(struct bufferevent *stream, short what, void *userdata)
{
	struct session *session = userdata;

	if (what & BEV_EVENT_EOF)
		end(session, "it closed the connection");
	else if (what & BEV_EVENT_ERROR)
		end(session, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

/* --- time --- */

static void tick_open(struct session *session, uint64_t now_us)
{
	struct nvo3_message ping = { .kind = NVO3_PING, .id = session->last_id + 1 };
	uint64_t silence_us = now_us > session->alive_us ? now_us - session->alive_us : 0;

	if (silence_us >= seconds(SESSION_DEAD_S)) {
		end(session, "it has been silent too long");
		return;
	}
	if (silence_us < seconds(SESSION_PING_S) ||
	    now_us - session->pinged_us < seconds(SESSION_PING_S))
		return;
	session->pinged_us = now_us;
	session->last_id++;
	send_sign(session, &ping);
}

void session_tick(struct session *session, uint64_t now_us)
{
	size_t waiting = bytes_waiting(session);

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
			end(session, "it was refused");
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
	while (!TAILQ_EMPTY(&session->held))
		held_free(session, TAILQ_FIRST(&session->held));
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

bool session_is_open(const struct session *session, uint32_t *ret_nve)
{
	if (session->state != SESSION_OPEN)
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
