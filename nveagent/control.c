/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/json.h"
#include "common/lines.h"
#include "common/unix_socket.h"
#include "nveagent/listing.h"

enum { READ_SIZE = 64 << 10, ERROR_SIZE = 512 };

struct client;

struct control_request {
	struct client *client;	/* NULL once it has gone */
	char *answer;		/* NULL until answered; kept until those before it are */
	struct listing listing; /* an answer that is made in pieces, in its place */
	struct control_request *prev, *next;
};

struct client {
	struct control *control;
	int fd;
	struct loop_watch *watch;
	struct lines *lines;
	struct control_request *requests; /* unanswered or waiting for their turn */
	unsigned request_count;
	struct byte_queue output;
	struct loop_timer *more; /* runs while the next piece of a list may be made */
	bool deaf;    /* it has shut down its side: closed when all its requests are answered */
	bool closing; /* freed as soon as no handler of it is running */
	bool busy;
	struct client *prev, *next;
};

struct control {
	struct loop *loop;
	char *path;
	int fd;
	struct loop_watch *watch;
	control_handler handler;
	void *userdata;
	struct client *clients;
	unsigned client_count;
};

/* --- clients --- */

static void forget_request(struct control_request *request)
{
	DL_DELETE(request->client->requests, request);
	request->client->request_count--;
	listing_clear(&request->listing);
	free(request->answer);
	free(request);
}

static void client_free(struct client *client)
{
	struct control_request *request, *next;

	DL_DELETE(client->control->clients, client);
	client->control->client_count--;
	DL_FOREACH_SAFE(client->requests, request, next)
	{
		if (request->answer || listing_is_there(&request->listing)) {
			forget_request(request);
		} else {
			/* Its owner still holds it, and will answer into the void. */
			DL_DELETE(client->requests, request);
			request->client = NULL;
		}
	}
	client->watch = loop_watch_free(client->watch);
	client->lines = lines_free(client->lines);
	client->more = loop_timer_free(client->more);
	close(client->fd);
	byte_queue_clear(&client->output);
	free(client);
}

static void client_close(struct client *client)
{
	if (client->busy)
		client->closing = true;
	else
		client_free(client);
}

static int append_line(struct client *client, const char *text)
{
	struct byte_queue *output = &client->output;
	size_t size = strlen(text);
	int r;

	if (byte_queue_size(output) + size + 1 > CONTROL_OUTPUT_MAX)
		return -EMSGSIZE;
	r = byte_queue_append(output, text, size);
	return r == 0 ? byte_queue_append(output, "\n", 1) : r;
}

static int flush(struct client *client)
{
	struct byte_queue *output = &client->output;

	while (byte_queue_size(output) > 0) {
		ssize_t n = send(client->fd, output->data + output->start, byte_queue_size(output),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -errno;
		output->start += (size_t) n;
	}
	return loop_watch_set(client->watch, (client->deaf ? 0u : LOOP_READ) |
						     (byte_queue_size(output) ? LOOP_WRITE : 0u));
}

/* Of the list whose turn has come the next piece, when the loop comes round. */
static int list_on(struct client *client)
{
	if (!client->requests || !listing_is_there(&client->requests->listing) ||
	    byte_queue_size(&client->output) >= CONTROL_LIST_AHEAD)
		return 0;
	return loop_timer_start(client->more, 0);
}

static bool is_done(const struct client *client)
{
	return client->deaf && !client->requests && byte_queue_size(&client->output) == 0;
}

/* Sends the answers whose turn has come. */
static void send_answers(struct client *client)
{
	int r = 0;

	while (r == 0 && client->requests && client->requests->answer) {
		r = append_line(client, client->requests->answer);
		forget_request(client->requests);
	}
	if (r == 0)
		r = flush(client);
	if (r == 0)
		r = list_on(client);
	if (r < 0 || is_done(client))
		client_close(client);
}

static void on_more(void *userdata)
{
	struct client *client = userdata;
	int r = listing_make(&client->requests->listing, &client->output);

	if (r == 0)
		forget_request(client->requests);
	if (r < 0)
		client_close(client);
	else
		send_answers(client);
}

/* --- requests --- */

struct json_object *control_ok(void)
{
	_cleanup_(json_unrefp) struct json_object *reply = json_object_new_object();

	return reply && json_add_bool(reply, "ok", true) == 0 ? TAKE_PTR(reply) : NULL;
}

void control_reply(struct control_request *request, struct json_object *reply)
{
	_cleanup_(json_unrefp) struct json_object *owned = reply;
	const char *text = owned ? json_text(owned) : NULL;

	if (!request->client) {
		free(request);
		return;
	}
	request->answer = strdup(text ? text : "{\"ok\":false,\"error\":\"out of memory\"}");
	if (!request->answer)
		client_close(request->client);
	else
		send_answers(request->client);
}

void control_reply_list(struct control_request *request, const struct control_list *list)
{
	listing_begin(&request->listing, list);
	if (request->client) {
		send_answers(request->client);
		return;
	}
	listing_clear(&request->listing);
	free(request);
}

void control_reply_error(struct control_request *request, const char *format, ...)
{
	_cleanup_(json_unrefp) struct json_object *reply = json_object_new_object();
	char text[ERROR_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	if (!reply || json_add_bool(reply, "ok", false) < 0 ||
	    json_add_string(reply, "error", text) < 0)
		reply = json_unref(reply);
	control_reply(request, TAKE_PTR(reply));
}

static struct control_request *request_new(struct client *client)
{
	struct control_request *request = NULL;

	if (client->request_count < CONTROL_REQUESTS_MAX)
		request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	request->client = client;
	DL_APPEND(client->requests, request);
	client->request_count++;
	return request;
}

static void take_line(struct client *client, const char *line, size_t size)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	struct control_request *request = request_new(client);

	if (!request) {
		client->closing = true;
		return;
	}
	if (json_parse_object(line, size, &object) < 0)
		control_reply_error(request, "the request is not one JSON object on one line");
	else
		client->control->handler(client->control->userdata, object, request);
}

static void take_lines(struct client *client)
{
	const char *line;
	size_t size;

	while (!client->closing && lines_next(client->lines, &line, &size) > 0)
		take_line(client, line, size);
}

static void read_some(struct client *client)
{
	char data[READ_SIZE];
	ssize_t n = recv(client->fd, data, sizeof(data), MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 0) {
		client->deaf = true;
		send_answers(client);
		return;
	}
	if (n < 0) {
		client_close(client);
		return;
	}

	client->busy = true;
	r = lines_push(client->lines, data, (size_t) n);
	take_lines(client);
	client->busy = false;
	if (r < 0 || client->closing)
		client_free(client);
}

static void on_client(void *userdata, unsigned ready)
{
	struct client *client = userdata;

	if (ready & LOOP_READ)
		read_some(client);
	else
		send_answers(client);
}

/* --- the listener --- */

static void turn_away(int fd)
{
	static const char line[] = "{\"ok\":false,\"error\":\"too many clients; try again\"}\n";

	(void) send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void client_new(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		turn_away(fd);
		return;
	}
	client->control = control;
	client->fd = fd;
	DL_APPEND(control->clients, client);
	control->client_count++;
	client->lines = lines_new(CONTROL_LINE_MAX);
	client->watch =
		loop_watch_new(control->loop, "control-client", fd, LOOP_READ, on_client, client);
	client->more = loop_timer_new(control->loop, on_more, client);
	if (!client->lines || !client->watch || !client->more)
		client_free(client);
}

static void on_listener(void *userdata, unsigned ready)
{
	struct control *control = userdata;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (control->client_count >= CONTROL_CLIENTS_MAX)
		turn_away(fd);
	else
		client_new(control, fd);
}

int control_new(struct loop *loop, const char *path, control_handler handler, void *userdata,
		struct control **ret_control)
{
	_cleanup_(control_freep) struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return -ENOMEM;
	control->loop = loop;
	control->handler = handler;
	control->userdata = userdata;
	control->fd = unix_socket_listen(path, 0660);
	if (control->fd < 0)
		return control->fd;
	control->path = strdup(path);
	control->watch =
		loop_watch_new(loop, "control", control->fd, LOOP_READ, on_listener, control);
	if (!control->path || !control->watch)
		return -ENOMEM;
	*ret_control = TAKE_PTR(control);
	return 0;
}

struct control *control_free(struct control *control)
{
	struct client *client, *next;

	if (!control)
		return NULL;
	DL_FOREACH_SAFE(control->clients, client, next)
	client_free(client);
	control->watch = loop_watch_free(control->watch);
	if (control->path)
		(void) unlink(control->path);
	if (control->fd >= 0)
		close(control->fd);
	free(control->path);
	free(control);
	return NULL;
}
