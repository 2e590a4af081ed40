// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/lines.h"
#include "common/unix_socket.h"
#include "nva/control_reassign.h"
#include "nva/control_transfer.h"

struct client {
	LIST_ENTRY(client) link;
	struct control *control;
	struct bufferevent *stream;   /* owned */
	struct lines *lines;	      /* owned */
	bool ended;		      /* it asks no more, but may still read */
	bool handed_over;	      /* to the process that exports */
	struct import *import;	      /* owned; its lines come */
	struct json_object *held;     /* an answer that waits for @ticket */
	bool changed;		      /* by the present request, whose answer must wait for that */
	char text[NVO3_TEXT_MAX + 1]; /* why the present request was refused */
	uint64_t ticket;
};

struct control {
	struct event_base *base;
	struct control_subject subject;
	pid_t exporter; /* 0: none */
	char *path;
	struct evconnlistener *listener;
	LIST_HEAD(client_list, client) clients;
	size_t client_count;
};

/* --- operations --- */

/* Each fills @reply, or writes a static text to *reterr_text. Returns 0 or a negative errno. */
static int reply_status(struct client *client, struct json_object *request,
			struct json_object *reply, const char **reterr_text)
{
	const struct control_subject *subject = &client->control->subject;
	_cleanup_(json_unrefp) struct json_object *status = NULL;

	if (subject->about(subject->userdata, reply) < 0 ||
	    directory_status(subject->directory, clock_monotonic_us(), &status) < 0)
		return -ENOMEM;
	json_object_object_foreach(status, key, value) {
		if (json_add(reply, key, json_object_get(value)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int reply_mappings(struct client *client, struct json_object *request,
			  struct json_object *reply, const char **reterr_text)
{
	struct json_object *mappings = NULL;
	uint32_t vni = 0;
	int r = json_get_u32(request, "vni", &vni);

	if (r != -ENOENT && (r < 0 || vni < 1 || vni > VNI_MAX)) {
		*reterr_text = "vni should be a number, 1 to 16777215";
		return -EINVAL;
	}
	if (directory_mappings(client->control->subject.directory, vni, &mappings) < 0)
		return -ENOMEM;
	return json_add(reply, "mappings", mappings);
}

/* One at a time: each may take as much memory as the directory itself. */
static int reply_export(struct client *client, struct json_object *request,
			struct json_object *reply, const char **reterr_text)
{
	struct control *control = client->control;
	pid_t pid;

	if (control->exporter && waitpid(control->exporter, NULL, WNOHANG) == 0) {
		*reterr_text = "another export is under way";
		return -EBUSY;
	}
	control->exporter = 0;
	if (evbuffer_get_length(bufferevent_get_output(client->stream)) > 0) {
		*reterr_text = "ask for an export on a connection of its own";
		return -EBUSY;
	}
	pid = export_begin(control->subject.directory, bufferevent_getfd(client->stream));
	if (pid < 0) {
		*reterr_text = "no process can be made to export";
		return pid;
	}
	control->exporter = pid;
	client->handed_over = true;
	return 0;
}

static int reply_reassign(struct client *client, struct json_object *request,
			  struct json_object *reply, const char **reterr_text)
{
	int r = control_reassign(client->control->subject.directory, request, reply, client->text);

	if (r < 0 && r != -ENOMEM)
		*reterr_text = client->text;
	client->changed = r > 0;
	return r < 0 ? r : 0;
}

static int reply_import(struct client *client, struct json_object *request,
			struct json_object *reply, const char **reterr_text)
{
	const struct client *other;

	LIST_FOREACH(other, &client->control->clients, link)
		if (other->import) {
			*reterr_text = "another import is under way";
			return -EBUSY;
		}
	client->import = import_new();
	return client->import ? 0 : -ENOMEM;
}

static const struct operation {
	const char *name;
	int (*reply)(struct client *client, struct json_object *request, struct json_object *reply,
		     const char **reterr_text);
	bool writes; /* of several NVAs, only the one that leads does */
} operations[] = {
	{ "status", reply_status, false },    { "mappings", reply_mappings, false },
	{ "reassign", reply_reassign, true }, { "export", reply_export, false },
	{ "import", reply_import, true },
};

static int run_operation(const struct operation *operation, struct client *client,
			 struct json_object *request, struct json_object *reply,
			 const char **reterr_text)
{
	const char *elsewhere = store_elsewhere(client->control->subject.store);

	if (operation->writes && elsewhere) {
		*reterr_text = elsewhere;
		return -EROFS;
	}
	return operation->reply(client, request, reply, reterr_text);
}

static int dispatch(struct client *client, struct json_object *request, struct json_object *reply,
		    const char **reterr_text)
{
	const char *name;

	if (json_get_string(request, "op", &name) < 0) {
		*reterr_text = "the request has no \"op\"";
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, name) == 0)
			return run_operation(&operations[i], client, request, reply, reterr_text);
	*reterr_text = "unknown op; there are: status, mappings, reassign, export, import";
	return -EOPNOTSUPP;
}

/* --- clients --- */

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

static int send_line(struct client *client, struct json_object *object)
{
	size_t size;
	const char *text = json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);

	if (!text || bufferevent_write(client->stream, text, size) < 0 ||
	    bufferevent_write(client->stream, "\n", 1) < 0)
		return -ENOMEM;
	return 0;
}

/* Sends the held answer if it need not be held any more. */
static int release(struct client *client, uint64_t durable)
{
	_cleanup_(json_unrefp) struct json_object *held = NULL;

	if (!client->held || client->ticket > durable)
		return 0;
	held = TAKE_PTR(client->held);
	return send_line(client, held);
}

static int send_error(struct client *client, const char *text)
{
	_cleanup_(json_unrefp) struct json_object *reply = json_object_new_object();

	if (!reply || json_add_bool(reply, "ok", false) < 0 ||
	    json_add_string(reply, "error", text) < 0)
		return -ENOMEM;
	return send_line(client, reply);
}

/* The directory has changed: @reply, which is taken over, is sent when that will last. */
static int send_when_durable(struct client *client, struct json_object *reply)
{
	struct control *control = client->control;

	client->ticket = control->subject.changed(control->subject.userdata);
	client->held = reply;
	return release(client, store_durable(control->subject.store));
}

/* The answer to all lines of an import, which is over. */
static int finish_import(struct client *client)
{
	struct control *control = client->control;
	_cleanup_(import_freep) struct import *import = TAKE_PTR(client->import);
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	const char *what = "";
	const char *elsewhere = store_elsewhere(control->subject.store);
	char text[IMPORT_TEXT_SIZE];
	size_t taken, kept;
	int r;

	if (elsewhere)
		return send_error(client, elsewhere); /* it led when the import began */
	r = import_apply(import, control->subject.directory, &taken, &kept, &what);

	if (r == -EEXIST) {
		(void) snprintf(text, sizeof(text), "%s; nothing was imported", what);
		return send_error(client, text);
	}
	if (r < 0)
		return r;
	reply = json_object_new_object();
	if (!reply || json_add_bool(reply, "ok", true) < 0 ||
	    json_add_u64(reply, "taken", taken) < 0 || json_add_u64(reply, "kept", kept) < 0)
		return -ENOMEM;
	return send_when_durable(client, TAKE_PTR(reply));
}

static int take_import_line(struct client *client, const char *line, size_t size)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	char text[IMPORT_TEXT_SIZE] = "the NVA is out of memory; nothing was imported";
	int r = json_parse_object(line, size, &object);

	/* What is no object fails as one that holds nothing does. */
	if (r == -EBADMSG)
		object = json_object_new_object();
	r = object ? import_line(client->import, object, text) : -ENOMEM;
	if (r == 0)
		return 0;
	if (r > 0)
		return finish_import(client);
	client->import = import_free(client->import);
	client->ended = true; /* the lines that follow mean nothing */
	return send_error(client, text);
}

static int answer(struct client *client, const char *line, size_t size)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	_cleanup_(json_unrefp) struct json_object *reply = json_object_new_object();
	const char *text = "out of memory";

	if (client->import)
		return take_import_line(client, line, size);
	if (json_parse_object(line, size, &request) < 0)
		return send_error(client, "the request is not a JSON object");
	if (!reply || json_add_bool(reply, "ok", true) < 0)
		return -ENOMEM;
	client->changed = false;
	if (dispatch(client, request, reply, &text) < 0)
		return send_error(client, text);
	if (client->changed)
		return send_when_durable(client, TAKE_PTR(reply));
	return client->handed_over ? -ECANCELED : send_line(client, reply);
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
		r = answer(client, line, size);
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
		r = send_error(client,
			       "the last line, {\"end\":...}, is missing; nothing was imported");
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
		if (release(client, ticket) < 0)
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
		if (send_error(client, text) < 0)
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
