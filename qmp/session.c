/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.c - the client's side of QMP, without I/O.
 *
 * Theory of operation
 *
 *   bytes --> lines --> one JSON object --> by its key: QMP, event, return, error --> message
 *
 *   AWAIT_GREETING --QMP--> NEGOTIATING --return--> READY
 *
 * Unsent bytes are one buffer. Only its first `sendable` bytes are shown to the caller: none before
 * the greeting; after it the qmp_capabilities line, which is put in front of whatever waits
 * already; everything once QEMU has accepted. So a command is serialised when it is given, in every
 * state alike.
 *
 * Invariants
 *   - sendable <= size <= QMP_QUEUED_BYTES_MAX, plus the one qmp_capabilities line
 *   - ids are never used twice, so that a late answer cannot be taken for another command's
 *   - once failed != 0 no message is given and no byte is taken or shown any more
 *
 * Source: QEMU docs/interop/qmp-spec.txt, sections 2.2 (greeting), 2.4 (answers), 2.5 (events), 4
 * (negotiation).
 */
#include "qmp/session.h"

#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "common/lines.h"

enum {
	NEGOTIATION_LINE_MAX = 128,
};

enum state {
	AWAIT_GREETING,
	NEGOTIATING,
	READY,
};

struct output {
	char *data; /* owned; QMP_QUEUED_BYTES_MAX at most, grown by need */
	size_t size, sendable, capacity;
};

struct command {
	uint64_t id;
	void *token;
};

struct qmp_session {
	enum state state;
	int failed;	  /* 0, or the error every later call returns */
	int input_failed; /* the same, once the lines before the bad one are used up */
	struct lines *input;
	struct output output;
	struct qmp_version version;
	struct command outstanding[QMP_OUTSTANDING_MAX];
	size_t outstanding_count;
	uint64_t last_id;
	uint64_t negotiation_id;     /* of qmp_capabilities */
	struct json_object *current; /* what the message given last points into */
};

struct qmp_session *qmp_session_free(struct qmp_session *session)
{
	if (!session)
		return NULL;

	lines_free(session->input);
	json_unref(session->current);
	free(session->output.data);
	free(session);
	return NULL;
}

struct qmp_session *qmp_session_new(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->input = lines_new(QMP_LINE_MAX);
	if (!session->input)
		return NULL;
	return TAKE_PTR(session);
}

/* Opens a gap of @size bytes at @offset; returns it, or NULL when out of memory. */
static char *output_gap(struct output *output, size_t offset, size_t size)
{
	size_t needed = output->size + size;

	if (needed > output->capacity) {
		char *grown = realloc(output->data, needed * 2);

		if (!grown)
			return NULL;
		output->data = grown;
		output->capacity = needed * 2;
	}
	memmove(output->data + offset + size, output->data + offset, output->size - offset);
	output->size = needed;
	return output->data + offset;
}

/* Writes @request, with @id, as a line at @offset of the output, which may grow to @limit bytes. */
static int output_request(struct output *output, size_t offset, size_t limit,
			  struct json_object *request, uint64_t id, size_t *ret_size)
{
	const char *text;
	char *gap;
	size_t size;
	int r;

	r = json_add_u64(request, "id", id);
	if (r < 0)
		return r;
	text = json_object_to_json_string_length(
		request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	if (!text)
		return -ENOMEM;
	if (output->size + size + 1 > limit)
		return -ENOBUFS;

	gap = output_gap(output, offset, size + 1);
	if (!gap)
		return -ENOMEM;
	memcpy(gap, text, size);
	gap[size] = '\n';
	*ret_size = size + 1;
	return 0;
}

int qmp_request_new(const char *command, struct json_object *arguments,
		    struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *taken = arguments;
	_cleanup_(json_unrefp) struct json_object *request = json_object_new_object();
	int r;

	if (!request)
		return -ENOMEM;
	r = json_add_string(request, "execute", command);
	if (r < 0)
		return r;
	if (taken) {
		r = json_add(request, "arguments", TAKE_PTR(taken));
		if (r < 0)
			return r;
	}
	*ret_request = TAKE_PTR(request);
	return 0;
}

int qmp_session_command(struct qmp_session *session, struct json_object *request, void *token,
			uint64_t *ret_id)
{
	_cleanup_(json_unrefp) struct json_object *taken = request;
	uint64_t id = session->last_id + 1;
	size_t size;
	int r;

	if (session->failed)
		return session->failed;
	if (session->outstanding_count == QMP_OUTSTANDING_MAX)
		return -ENOBUFS;
	r = output_request(&session->output, session->output.size, QMP_QUEUED_BYTES_MAX, taken, id,
			   &size);
	if (r < 0)
		return r;

	if (session->state == READY)
		session->output.sendable = session->output.size;
	session->outstanding[session->outstanding_count++] = (struct command){id, token};
	session->last_id = id;
	if (ret_id)
		*ret_id = id;
	return 0;
}

/* Puts qmp_capabilities in front of what waits; nothing has been sent before it. */
static int negotiate(struct qmp_session *session)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	size_t size;
	int r;

	r = qmp_request_new("qmp_capabilities", NULL, &request);
	if (r < 0)
		return r;
	r = output_request(&session->output, 0, QMP_QUEUED_BYTES_MAX + NEGOTIATION_LINE_MAX,
			   request, session->last_id + 1, &size);
	if (r < 0)
		return r;

	session->negotiation_id = ++session->last_id;
	session->output.sendable = size;
	session->state = NEGOTIATING;
	return 0;
}

/*
 * The readers of messages return 1 with *message filled, 0 when there is nothing to tell, or an
 * error.
 */

static int on_greeting(struct qmp_session *session, struct json_object *line,
		       struct qmp_message *message)
{
	struct json_object *greeting, *version, *qemu;
	struct qmp_version v;

	if (session->state != AWAIT_GREETING)
		return -EPROTO;
	if (json_get_object(line, "QMP", &greeting) < 0 ||
	    json_get_object(greeting, "version", &version) < 0 ||
	    json_get_object(version, "qemu", &qemu) < 0 ||
	    json_get_u32(qemu, "major", &v.major) < 0 ||
	    json_get_u32(qemu, "minor", &v.minor) < 0 || json_get_u32(qemu, "micro", &v.micro) < 0)
		return -EBADMSG;

	session->version = v;
	return negotiate(session);
}

static int on_event(struct qmp_session *session, struct json_object *line,
		    struct qmp_message *message)
{
	int r;

	r = qmp_event_parse(line, &message->event);
	if (r < 0)
		return r;
	message->kind = QMP_MESSAGE_EVENT;
	r = json_get_string(line, "event", &message->event_name);
	return r < 0 ? r : 1;
}

/* Removes the command with @id from those outstanding; false when it is not among them. */
static bool take_command(struct qmp_session *session, uint64_t id, struct command *ret_command)
{
	for (size_t i = 0; i < session->outstanding_count; i++) {
		if (session->outstanding[i].id != id)
			continue;
		*ret_command = session->outstanding[i];
		session->outstanding[i] = session->outstanding[--session->outstanding_count];
		return true;
	}
	return false;
}

/* For an answer of either kind: fills whose it is. */
static int match_answer(struct qmp_session *session, struct json_object *line,
			struct qmp_message *message)
{
	struct command command;
	uint64_t id;

	if (json_get_u64(line, "id", &id) < 0 || !take_command(session, id, &command))
		return 0;
	message->id = command.id;
	message->token = command.token;
	return 1;
}

static bool is_negotiation(const struct qmp_session *session, struct json_object *line)
{
	uint64_t id;

	return session->state == NEGOTIATING && json_get_u64(line, "id", &id) == 0 &&
	       id == session->negotiation_id;
}

static int on_return(struct qmp_session *session, struct json_object *line,
		     struct qmp_message *message)
{
	if (is_negotiation(session, line)) {
		session->state = READY;
		session->output.sendable = session->output.size;
		message->kind = QMP_MESSAGE_READY;
		return 1;
	}
	message->kind = QMP_MESSAGE_RETURN;
	message->return_value = json_object_object_get(line, "return");
	if (!message->return_value)
		return -EBADMSG;
	return match_answer(session, line, message);
}

static int on_error(struct qmp_session *session, struct json_object *line,
		    struct qmp_message *message)
{
	struct json_object *error;

	if (json_get_object(line, "error", &error) < 0 ||
	    json_get_string(error, "class", &message->error_class) < 0 ||
	    json_get_string(error, "desc", &message->error_text) < 0)
		return -EBADMSG;
	if (!json_object_object_get_ex(line, "id", NULL) || is_negotiation(session, line))
		return -EPROTO;

	message->kind = QMP_MESSAGE_ERROR;
	return match_answer(session, line, message);
}

static const struct {
	const char *key;
	int (*read)(struct qmp_session *session, struct json_object *line,
		    struct qmp_message *message);
} readers[] = {
	{"event", on_event},
	{"return", on_return},
	{"error", on_error},
	{"QMP", on_greeting},
};

static int read_line(struct qmp_session *session, const char *text, size_t size,
		     struct qmp_message *message)
{
	int r;

	r = json_parse_object(text, size, &session->current);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		if (json_object_object_get_ex(session->current, readers[i].key, NULL))
			return readers[i].read(session, session->current, message);
	return -EBADMSG;
}

int qmp_session_receive(struct qmp_session *session, const char *data, size_t size)
{
	if (!session->failed && !session->input_failed)
		session->input_failed = lines_push(session->input, data, size);
	return session->failed ? session->failed : session->input_failed;
}

int qmp_session_next(struct qmp_session *session, struct qmp_message *ret_message)
{
	const char *text;
	size_t size;
	int r = session->failed;

	while (r == 0) {
		struct qmp_message message = {0};

		session->current = json_unref(session->current);
		r = lines_next(session->input, &text, &size);
		if (r == 0)
			return session->failed = session->input_failed;
		r = read_line(session, text, size, &message);
		if (r > 0)
			*ret_message = message;
	}
	if (r < 0)
		session->failed = r;
	return r;
}

const char *qmp_session_to_send(const struct qmp_session *session, size_t *ret_size)
{
	*ret_size = session->failed ? 0 : session->output.sendable;
	return session->output.data;
}

void qmp_session_sent(struct qmp_session *session, size_t size)
{
	struct output *output = &session->output;

	output->size -= size;
	output->sendable -= size;
	if (output->size > 0)
		memmove(output->data, output->data + size, output->size);
}

size_t qmp_session_outstanding(const struct qmp_session *session)
{
	return session->outstanding_count;
}

int qmp_session_version(const struct qmp_session *session, struct qmp_version *ret_version)
{
	if (session->state == AWAIT_GREETING)
		return -EAGAIN;
	*ret_version = session->version;
	return 0;
}
