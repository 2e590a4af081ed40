// SPDX-License-Identifier: LGPL-2.1-or-later
/* control_answer.c - what an operator can ask for, and the answers. */
#include "nva/control_private.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/json.h"
#include "nva/control_reassign.h"

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

/* --- answers --- */

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

int control_release_held(struct client *client, uint64_t durable)
{
	_cleanup_(json_unrefp) struct json_object *held = NULL;

	if (!client->held || client->ticket > durable)
		return 0;
	held = TAKE_PTR(client->held);
	return send_line(client, held);
}

int control_send_error(struct client *client, const char *text)
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
	return control_release_held(client, store_durable(control->subject.store));
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
		return control_send_error(client, elsewhere); /* it led when the import began */
	r = import_apply(import, control->subject.directory, &taken, &kept, &what);

	if (r == -EEXIST) {
		(void) snprintf(text, sizeof(text), "%s; nothing was imported", what);
		return control_send_error(client, text);
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
	return control_send_error(client, text);
}

int control_answer(struct client *client, const char *line, size_t size)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	_cleanup_(json_unrefp) struct json_object *reply = json_object_new_object();
	const char *text = "out of memory";

	if (client->import)
		return take_import_line(client, line, size);
	if (json_parse_object(line, size, &request) < 0)
		return control_send_error(client, "the request is not a JSON object");
	if (!reply || json_add_bool(reply, "ok", true) < 0)
		return -ENOMEM;
	client->changed = false;
	if (dispatch(client, request, reply, &text) < 0)
		return control_send_error(client, text);
	if (client->changed)
		return send_when_durable(client, TAKE_PTR(reply));
	return client->handed_over ? -ECANCELED : send_line(client, reply);
}
