/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_qemu.c - one QMP connection on the agent's loop.
 *
 *	away --connect--> negotiating --query-status answered--> up --EOF--> away
 *	away, and it was up before, and nobody listens any more --> gone
 *
 * connect() to a UNIX stream socket never waits here: the socket is non-blocking, and the kernel
 * answers at once (connected into the backlog, EAGAIN when that is full, ECONNREFUSED when nobody
 * listens, ENOENT). When QEMU ends it closes the connection first and its listening socket a moment
 * later, so the attempt right after an EOF can still succeed; the next one tells.
 */
#include "nveagent/watch_qemu.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/log.h"
#include "nveagent/ring_search.h"
#include "qmp/migration.h"
#include "qmp/session.h"

enum {
	RECEIVE_SIZE = 1 << 14,
	RECEIVES_MAX = 16, /* per turn of the loop, so that one QEMU cannot hold it */
	RETRY_US = WATCH_QEMU_RETRY_MS * 1000,
	/* After QEMU broke off: long enough for it to close its listening socket. */
	REFUSED_RETRY_US = 5000,
};

/* QEMU's own defaults for the announcements after a migration (migration/migration.c). */
static const struct qmp_announce announce_again = {
	.initial_ms = 50,
	.max_ms = 550,
	.rounds = 5,
	.step_ms = 100,
};

struct qemu_watch {
	struct loop *loop;
	const struct qemu_watch_events *events;
	void *userdata;
	struct sockaddr_un address;
	struct loop_timer *retry;
	int fd;			     /* -1: away */
	struct loop_watch *watch;    /* of fd */
	struct qmp_session *session; /* of fd */
	struct ring_search *search;  /* NULL: none is under way */
	uint64_t search_id;	     /* of its question */
	bool wants_write;	     /* the present interest of the watch */
	bool up;		     /* negotiated, on the present connection */
	bool was_up;		     /* once, on any */
	bool *freed; /* becomes true when a callback frees us; NULL outside on_ready() */
};

/* --- what our commands' answers mean --- */

typedef void answer_fn(struct qemu_watch *watch, const struct qmp_message *message);

static void on_status(struct qemu_watch *watch, const struct qmp_message *message)
{
	struct qmp_vm_status status;

	if (qmp_vm_status_parse(message->return_value, &status) == 0)
		watch->events->status(watch->userdata, status.running,
				      status.state == QMP_RUN_INMIGRATE);
	else
		log_warning("%s: the answer to query-status does not parse",
			    watch->address.sun_path);
}

static void on_nothing(struct qemu_watch *watch, const struct qmp_message *message)
{
}

/* What each of our commands carries as its token. */
struct question {
	const char *command;
	answer_fn *answer;
};
static const struct question question_events = { "migrate-set-capabilities", on_nothing };
static const struct question question_status = { "query-status", on_status };
static const struct question question_announce = { "announce-self", on_nothing };
static answer_fn on_search;
static const struct question question_search = { "x-query-virtio", on_search };

/* @r: what the builder of @request returned. */
static int ask(struct qemu_watch *watch, const struct question *question, int r,
	       struct json_object *request)
{
	return r < 0 ? r : qmp_session_command(watch->session, request, (void *) question, NULL);
}

/* --- the search for the ring --- */

static int search_on(struct qemu_watch *watch)
{
	struct json_object *request = NULL;
	int r = ring_search_request(watch->search, &request);

	return r < 0 ? r : qmp_session_command(watch->session, request, (void *) &question_search,
					       &watch->search_id);
}

/* Answers to a search given up before have other ids. */
static void on_search(struct qemu_watch *watch, const struct qmp_message *message)
{
	struct guest_ring_place place;
	int r;

	if (!watch->search || message->id != watch->search_id)
		return;
	r = ring_search_answer(watch->search, message->return_value, &place);
	if (r == 0)
		r = search_on(watch);
	if (r == 0)
		return;
	watch->search = ring_search_free(watch->search);
	if (r < 0)
		log_info("%s: the NIC's receive ring is not known: %s", watch->address.sun_path,
			 strerror(-r));
	else
		watch->events->ring(watch->userdata, &place);
}

static int ask_first(struct qemu_watch *watch)
{
	struct json_object *request = NULL;
	int r;

	r = qmp_request_set_capabilities(QMP_CAPABILITY_EVENTS, 0, &request);
	r = ask(watch, &question_events, r, request);
	if (r < 0)
		return r;
	r = qmp_request_query_status(&request);
	return ask(watch, &question_status, r, request);
}

static void on_message(struct qemu_watch *watch, const struct qmp_message *message)
{
	const struct question *question = message->token;

	switch (message->kind) {
	case QMP_MESSAGE_READY:
		watch->up = watch->was_up = true;
		break;
	case QMP_MESSAGE_EVENT:
		watch->events->event(watch->userdata, &message->event);
		break;
	case QMP_MESSAGE_RETURN:
		question->answer(watch, message);
		break;
	case QMP_MESSAGE_ERROR:
		log_warning("%s: %s: %s", watch->address.sun_path, question->command,
			    message->error_text);
		break;
	}
}

/* --- the connection --- */

static void go_away(struct qemu_watch *watch)
{
	watch->watch = loop_watch_free(watch->watch);
	watch->search = ring_search_free(watch->search);
	watch->session = qmp_session_free(watch->session);
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = -1;
}

static int flush(struct qemu_watch *watch)
{
	size_t size;
	const char *data = qmp_session_to_send(watch->session, &size);
	ssize_t n = size > 0 ? send(watch->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (n > 0)
		qmp_session_sent(watch->session, (size_t) n);

	(void) qmp_session_to_send(watch->session, &size);
	if ((size > 0) == watch->wants_write)
		return 0;
	watch->wants_write = size > 0;
	return loop_watch_set(watch->watch,
			      watch->wants_write ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* 1 when something came, 0 when there is nothing now, -ECONNRESET at the end, or an error. */
static int receive(struct qemu_watch *watch)
{
	char data[RECEIVE_SIZE];
	ssize_t n = recv(watch->fd, data, sizeof(data), MSG_DONTWAIT);
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	r = qmp_session_receive(watch->session, data, (size_t) n);
	return r < 0 ? r : 1;
}

/* Hands on what has come. 0, or an error of the session; *freed ends it early. */
static int digest(struct qemu_watch *watch, const bool *freed)
{
	struct qmp_message message;
	int r;

	while ((r = qmp_session_next(watch->session, &message)) > 0) {
		on_message(watch, &message);
		if (*freed)
			return 0;
	}
	return r;
}

static int exchange(struct qemu_watch *watch, const bool *freed)
{
	int r = 1;

	for (unsigned i = 0; i < RECEIVES_MAX && r > 0; i++) {
		int failed;

		r = receive(watch);
		failed = digest(
			watch, freed); /* also when the stream has ended: what came before counts */
		if (*freed)
			return 0;
		if (failed < 0)
			return failed;
	}
	return r < 0 ? r : flush(watch);
}

static void on_ready(void *userdata, unsigned ready)
{
	struct qemu_watch *watch = userdata;
	bool freed = false;
	int r;

	watch->freed = &freed;
	r = exchange(watch, &freed);
	if (freed)
		return;
	watch->freed = NULL;
	if (r == 0)
		return;

	if (r != -ECONNRESET)
		log_warning("%s: %s; connecting again", watch->address.sun_path, strerror(-r));
	go_away(watch);
	loop_timer_start(watch->retry, watch->up ? REFUSED_RETRY_US : RETRY_US);
	watch->up = false;
}

static int open_connection(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int try_connect(struct qemu_watch *watch)
{
	watch->fd = open_connection(&watch->address);
	if (watch->fd < 0)
		return watch->fd;
	watch->session = qmp_session_new();
	if (!watch->session)
		return -ENOMEM;
	watch->wants_write = false;
	watch->watch = loop_watch_new(watch->loop, "qmp", watch->fd, LOOP_READ, on_ready, watch);
	if (!watch->watch || loop_watch_set_urgent(watch->watch) < 0)
		return -ENOMEM;
	return ask_first(watch); /* sent once QEMU has greeted */
}

static void on_retry(void *userdata)
{
	struct qemu_watch *watch = userdata;
	int r = try_connect(watch);

	if (r == 0)
		return;
	go_away(watch);
	if (watch->was_up && (r == -ECONNREFUSED || r == -ENOENT)) {
		watch->events->gone(watch->userdata);
		return;
	}
	loop_timer_start(watch->retry, RETRY_US);
}

/* --- coming and going --- */

int qemu_watch_new(struct loop *loop, const char *path, const struct qemu_watch_events *events,
		   void *userdata, struct qemu_watch **ret_watch)
{
	_cleanup_(qemu_watch_freep) struct qemu_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->fd = -1;
	watch->loop = loop;
	watch->events = events;
	watch->userdata = userdata;
	watch->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(watch->address.sun_path))
		return -ENAMETOOLONG;
	memcpy(watch->address.sun_path, path, strlen(path) + 1);
	watch->retry = loop_timer_new(loop, on_retry, watch);
	if (!watch->retry || loop_timer_start(watch->retry, 0) < 0)
		return -ENOMEM;
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

struct qemu_watch *qemu_watch_free(struct qemu_watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->freed)
		*watch->freed = true;
	go_away(watch);
	loop_timer_free(watch->retry);
	free(watch);
	return NULL;
}

int qemu_watch_announce(struct qemu_watch *watch)
{
	struct json_object *request = NULL;
	int r;

	if (watch->fd < 0)
		return -ENOTCONN;
	r = qmp_request_announce_self(&announce_again, &request);
	r = ask(watch, &question_announce, r, request);
	if (r < 0 || watch->freed)
		return r; /* within a callback: sent when it returns */
	return flush(watch);
}

int qemu_watch_find_ring(struct qemu_watch *watch, struct mac mac)
{
	int r;

	if (watch->fd < 0)
		return -ENOTCONN;
	watch->search = ring_search_free(watch->search);
	watch->search = ring_search_new(mac);
	if (!watch->search)
		return -ENOMEM;
	r = search_on(watch);
	if (r < 0 || watch->freed)
		return r;
	return flush(watch);
}
