/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.c - a QMP session on a socket, blocking, with deadlines.
 *
 * The socket may be blocking or not: each read and write is asked not to wait (MSG_DONTWAIT), and
 * all waiting is one ppoll() that knows the deadline.
 */
#include "qmp/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/unix_socket.h"

enum {
	RECEIVE_SIZE = 1 << 14,
	MICROS_PER_MS = 1000,
	MICROS_PER_SECOND = 1000000,
	NANOS_PER_MICRO = 1000,
};

struct qmp_client {
	int fd;
	unsigned timeout_ms;
	struct qmp_session *session;
	qmp_event_fn *observer;
	void *userdata;
	struct qmp_event events[QMP_EVENTS_QUEUED_MAX]; /* a ring: oldest at first_event */
	size_t first_event, event_count;
	bool events_lost;
	char error[QMP_ERROR_TEXT_SIZE];
};

struct qmp_client *qmp_client_free(struct qmp_client *client)
{
	if (!client)
		return NULL;

	qmp_session_free(client->session);
	close(client->fd);
	free(client);
	return NULL;
}

static uint64_t deadline_after_ms(unsigned timeout_ms)
{
	return clock_monotonic_us() + (uint64_t) timeout_ms * MICROS_PER_MS;
}

/* Waits until the socket can do one of @events. Returns what it can do, -ETIMEDOUT or an error. */
static int wait_ready(int fd, short events, uint64_t deadline_us)
{
	struct pollfd entry = {.fd = fd, .events = events};
	int r;

	do {
		uint64_t now_us = clock_monotonic_us();
		uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
		struct timespec left = {
			.tv_sec = (time_t) (left_us / MICROS_PER_SECOND),
			.tv_nsec = (long) (left_us % MICROS_PER_SECOND * NANOS_PER_MICRO),
		};

		r = ppoll(&entry, 1, &left, NULL);
	} while (r < 0 && errno == EINTR);

	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : entry.revents;
}

static bool is_transient(int error)
{
	return error == EAGAIN || error == EINTR;
}

static int send_some(struct qmp_client *client)
{
	size_t size;
	const char *data = qmp_session_to_send(client->session, &size);
	ssize_t n = send(client->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (is_transient(errno) || errno == EPIPE))
		return 0; /* a peer that closed: reading tells, after its last words */
	if (n < 0)
		return -errno;
	qmp_session_sent(client->session, (size_t) n);
	return 0;
}

static int receive_some(struct qmp_client *client)
{
	char data[RECEIVE_SIZE];
	ssize_t n = recv(client->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && is_transient(errno))
		return 0;
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	return qmp_session_receive(client->session, data, (size_t) n);
}

/* Waits, then moves bytes one step, both ways. */
static int exchange(struct qmp_client *client, uint64_t deadline_us)
{
	size_t unsent;
	int ready, r = 0;

	(void) qmp_session_to_send(client->session, &unsent);
	ready = wait_ready(client->fd, unsent > 0 ? POLLIN | POLLOUT : POLLIN, deadline_us);
	if (ready < 0)
		return ready;
	if (ready & (POLLIN | POLLHUP | POLLERR))
		r = receive_some(client);
	if (r == 0 && (ready & POLLOUT))
		r = send_some(client);
	return r;
}

static int next_message(struct qmp_client *client, uint64_t deadline_us,
			struct qmp_message *ret_message)
{
	int r;

	while ((r = qmp_session_next(client->session, ret_message)) == 0) {
		r = exchange(client, deadline_us);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static void notify(struct qmp_client *client, const struct qmp_message *message)
{
	if (client->observer)
		client->observer(&message->event, message->event_name, client->userdata);
}

static void keep_event(struct qmp_client *client, const struct qmp_event *event)
{
	size_t slot = (client->first_event + client->event_count) % QMP_EVENTS_QUEUED_MAX;

	client->events[slot] = *event;
	if (client->event_count < QMP_EVENTS_QUEUED_MAX) {
		client->event_count++;
		return;
	}
	client->first_event = (client->first_event + 1) % QMP_EVENTS_QUEUED_MAX;
	client->events_lost = true;
}

static struct qmp_event take_event(struct qmp_client *client)
{
	struct qmp_event event = client->events[client->first_event];

	client->first_event = (client->first_event + 1) % QMP_EVENTS_QUEUED_MAX;
	client->event_count--;
	return event;
}

/* Waits for the answer to @id; QMP_ID_NONE: for the end of the negotiation. */
static int await_answer(struct qmp_client *client, uint64_t id, uint64_t deadline_us,
			struct qmp_message *ret_message)
{
	struct qmp_message message;
	int r;

	do {
		r = next_message(client, deadline_us, &message);
		if (r < 0)
			return r;
		if (message.kind != QMP_MESSAGE_EVENT && message.id == id) {
			*ret_message = message;
			return 0;
		}
		if (message.kind == QMP_MESSAGE_EVENT) {
			notify(client, &message);
			keep_event(client, &message.event);
		}
	} while (clock_monotonic_us() < deadline_us); /* a flood of events must not hold us */
	return -ETIMEDOUT;
}

static int client_new(int fd, unsigned timeout_ms, uint64_t deadline_us,
		      struct qmp_client **ret_client)
{
	_cleanup_close_ int taken = fd;
	_cleanup_(qmp_client_freep) struct qmp_client *client = calloc(1, sizeof(*client));
	struct qmp_message ready;
	int r;

	if (!client)
		return -ENOMEM;
	client->fd = TAKE_FD(taken);
	client->timeout_ms = timeout_ms;
	client->session = qmp_session_new();
	if (!client->session)
		return -ENOMEM;

	r = await_answer(client, QMP_ID_NONE, deadline_us, &ready);
	if (r < 0)
		return r;
	*ret_client = TAKE_PTR(client);
	return 0;
}

int qmp_client_new(int fd, unsigned timeout_ms, struct qmp_client **ret_client)
{
	return client_new(fd, timeout_ms, deadline_after_ms(timeout_ms), ret_client);
}

int qmp_client_open(const char *path, unsigned timeout_ms, struct qmp_client **ret_client)
{
	uint64_t deadline_us = deadline_after_ms(timeout_ms);
	int fd = unix_socket_connect(path, timeout_ms);

	return fd < 0 ? fd : client_new(fd, timeout_ms, deadline_us, ret_client);
}

void qmp_client_observe(struct qmp_client *client, qmp_event_fn *observer, void *userdata)
{
	client->observer = observer;
	client->userdata = userdata;
}

static int refused(struct qmp_client *client, const struct qmp_message *message)
{
	(void) snprintf(client->error, sizeof(client->error), "%s: %s", message->error_class,
			message->error_text);
	return -EREMOTEIO;
}

int qmp_client_call(struct qmp_client *client, struct json_object *request,
		    struct json_object **ret_value)
{
	uint64_t deadline_us = deadline_after_ms(client->timeout_ms);
	struct qmp_message answer;
	uint64_t id;
	int r;

	r = qmp_session_command(client->session, request, NULL, &id);
	if (r < 0)
		return r;
	r = await_answer(client, id, deadline_us, &answer);
	if (r < 0)
		return r;
	if (answer.kind == QMP_MESSAGE_ERROR)
		return refused(client, &answer);

	if (ret_value)
		*ret_value = json_object_get(answer.return_value);
	return 0;
}

const char *qmp_client_error(const struct qmp_client *client)
{
	return client->error;
}

int qmp_client_wait_event(struct qmp_client *client, uint64_t deadline_us,
			  struct qmp_event *ret_event)
{
	struct qmp_message message;
	int r;

	if (client->events_lost) {
		client->events_lost = false;
		return -EOVERFLOW;
	}
	if (client->event_count > 0) {
		*ret_event = take_event(client);
		return 0;
	}

	do { /* what is not an event answers a call that gave up */
		r = next_message(client, deadline_us, &message);
		if (r < 0)
			return r;
	} while (message.kind != QMP_MESSAGE_EVENT);

	notify(client, &message);
	*ret_event = message.event;
	return 0;
}

struct qmp_version qmp_client_version(const struct qmp_client *client)
{
	struct qmp_version version = {0};

	(void) qmp_session_version(client->session, &version); /* known since qmp_client_new() */
	return version;
}
