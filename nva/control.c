// SPDX-License-Identifier: LGPL-2.1-or-later
/* control.c - the clients of the control socket: connections, lines, and how much of them waits. */
#include "nva/control_private.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/json.h"
#include "common/unix_socket.h"

static struct client *client_free(struct client *client)
{
	LIST_REMOVE(client, link);
	client->control->client_count--;
	bufferevent_free(client->stream);
	lines_free(client->lines);
	import_free(client->import);
	json_unref(client->held);
	free(client);
	return NULL;
}

static bool is_full(const struct client *client)
{
	return evbuffer_get_length(bufferevent_get_output(client->stream)) > CONTROL_OUTPUT_PAUSE;
}

/*
 * Answers lines until there are none, or the client has too much to read. Returns 0 or a negative
 * errno.
 */
static int answer_lines(struct client *client)
{
	const char *line;
	size_t size;
	int r = 0;

	while (r == 0 && !client->held && !is_full(client) &&
	       lines_next(client->lines, &line, &size) > 0)
		r = control_answer(client, line, size);
	if (is_full(client) || client->ended || client->held)
		bufferevent_disable(client->stream, EV_READ);
	else
		bufferevent_enable(client->stream, EV_READ);
	return r;
}

static int take_input(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->stream);
	char chunk[CONTROL_LINE_MAX];
	int n, r = 0;

	while (r == 0 && !client->held && !is_full(client) &&
	       (n = evbuffer_remove(input, chunk, sizeof(chunk))) > 0) {
		r = lines_push(client->lines, chunk, (size_t) n);
		if (r == 0)
			r = answer_lines(client);
	}
	return r;
}

/* Goes on with what has arrived; frees a client that is done or cannot be served. */
static void serve(struct client *client)
{
	int r = answer_lines(client);

	if (r == 0)
		r = take_input(client);
	if (r == 0 && client->ended && client->import) {
		client->import = import_free(client->import);
		r = control_send_error(
			client, "the last line, {\"end\":...}, is missing; nothing was imported");
	}
	if (r < 0 || (client->ended && !client->held &&
		      evbuffer_get_length(bufferevent_get_output(client->stream)) == 0))
		client_free(client);
}

static void on_readable(struct bufferevent *stream, void *userdata)
{
	serve(userdata);
}

static void on_writable(struct bufferevent *stream, void *userdata)
{
	serve(userdata);
}

static void on_event(struct bufferevent *stream, short what, void *userdata)
{
	struct client *client = userdata;

	client->ended = true;
	if (what & BEV_EVENT_EOF)
		serve(client);
	else
		client_free(client);
}

static int client_new(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->control = control;
	client->lines = lines_new(CONTROL_LINE_MAX);
	client->stream = bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!client->lines || !client->stream) {
		if (client->stream)
			(void) bufferevent_setfd(client->stream, -1); /* stays the caller's */
		if (client->stream)
			bufferevent_free(client->stream);
		lines_free(client->lines);
		free(client);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&control->clients, client, link);
	control->client_count++;
	bufferevent_setcb(client->stream, on_readable, on_writable, on_event, client);
	bufferevent_setwatermark(client->stream, EV_READ, 0, CONTROL_INPUT_MAX);
	bufferevent_enable(client->stream, EV_READ | EV_WRITE);
	return 0;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		      int size, void *userdata)
{
	static const char full[] = "{\"ok\":false,\"error\":\"too many clients: try again\"}\n";
	struct control *control = userdata;

	if (control->client_count < CONTROL_CLIENTS_MAX && client_new(control, fd) == 0)
		return;
	(void) send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	evutil_closesocket(fd);
}

/* --- life --- */

int control_new(struct event_base *base, const char *path, const struct control_subject *subject,
		struct control **ret_control)
{
	_cleanup_(control_freep) struct control *control = calloc(1, sizeof(*control));
	_cleanup_close_ int fd = -1;

	if (!control)
		return -ENOMEM;
	control->base = base;
	control->subject = *subject;
	LIST_INIT(&control->clients);
	fd = unix_socket_listen(path, 0600);
	if (fd < 0)
		return fd;
	control->path = strdup(path);
	control->listener = evconnlistener_new(
		base, on_accept, control, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!control->path || !control->listener)
		return -ENOMEM;
	(void) TAKE_FD(fd);
	*ret_control = TAKE_PTR(control);
	return 0;
}

void control_release(struct control *control, uint64_t ticket)
{
	struct client *client, *following;

	for (client = LIST_FIRST(&control->clients); client; client = following) {
		following = LIST_NEXT(client, link);
		if (!client->held || client->ticket > ticket)
			continue;
		if (control_release_held(client, ticket) < 0)
			client_free(client);
		else
			serve(client);
	}
}

void control_change(struct control *control, struct directory *directory, const char *text)
{
	struct client *client, *following;

	control->subject.directory = directory;
	for (client = LIST_FIRST(&control->clients); client; client = following) {
		following = LIST_NEXT(client, link);
		if (!client->held)
			continue;
		client->held = json_unref(client->held);
		if (control_send_error(client, text) < 0)
			client_free(client);
		else
			serve(client);
	}
}

struct control *control_free(struct control *control)
{
	if (!control)
		return NULL;
	while (!LIST_EMPTY(&control->clients))
		client_free(LIST_FIRST(&control->clients));
	if (control->exporter && kill(control->exporter, SIGKILL) == 0)
		(void) waitpid(control->exporter, NULL, 0);
	if (control->listener)
		evconnlistener_free(control->listener);
	if (control->path)
		(void) unlink(control->path);
	free(control->path);
	free(control);
	return NULL;
}
