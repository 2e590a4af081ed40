/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.h - the client's side of the QEMU Machine Protocol: bytes in, messages out, no I/O.
 *
 * The daemon's event loop and the blocking client both drive it:
 *
 *	on readable:  qmp_session_receive(), then qmp_session_next() until it returns 0
 *	on writable:  qmp_session_to_send(), write, qmp_session_sent()
 *
 * The session answers the greeting by itself (qmp_capabilities, none enabled). Commands given
 * before QEMU accepted that wait inside and go out then, in their order.
 *
 * Source: QEMU docs/interop/qmp-spec.txt.
 */
#ifndef REHOME_QMP_SESSION_H
#define REHOME_QMP_SESSION_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "qmp/event.h"

enum {
	QMP_LINE_MAX = 1 << 20,	  /* QEMU's longest answer, query-qmp-schema, is about 200 KiB */
	QMP_OUTSTANDING_MAX = 64, /* QEMU itself queues 8 and then stops reading (monitor/qmp.c) */
	QMP_QUEUED_BYTES_MAX = 1 << 18, /* unsent bytes: our commands are below 1 KiB each */
	QMP_ID_NONE = 0,		/* no command has it */
};

struct qmp_session;

enum qmp_message_kind {
	QMP_MESSAGE_READY, /* once: QEMU accepted the negotiation and takes commands */
	QMP_MESSAGE_RETURN,
	QMP_MESSAGE_ERROR,
	QMP_MESSAGE_EVENT,
};

struct qmp_version {
	uint32_t major, minor, micro;
};

/* What it points to is borrowed: valid until the next call of qmp_session_next() or _free(). */
struct qmp_message {
	enum qmp_message_kind kind;
	uint64_t id; /* RETURN, ERROR: what qmp_session_command() gave; else NONE */
	void *token; /* RETURN, ERROR: what was given to qmp_session_command() */
	struct json_object *return_value; /* RETURN: of any JSON type but null */
	const char *error_class;	  /* ERROR: "GenericError", "CommandNotFound", ... */
	const char *error_text;		  /* ERROR: for people; QEMU changes the wording */
	const char *event_name;		  /* EVENT: also of a kind that event.h does not know */
	struct qmp_event event;		  /* EVENT */
};

/* Returns a session that awaits the greeting, or NULL when out of memory. */
struct qmp_session *qmp_session_new(void);
struct qmp_session *qmp_session_free(struct qmp_session *session);
DEFINE_CLEANUP(struct qmp_session, qmp_session_free)

/*
 * Builds a request: {"execute": @command, "arguments": @arguments}.
 * @arguments: NULL for none; taken over, also on failure.
 * Returns 0 (the caller owns *ret_request) or -ENOMEM.
 */
int qmp_request_new(const char *command, struct json_object *arguments,
		    struct json_object **ret_request);

/*
 * Queues a request, at any time. Its answer will carry @token and the id, which is also stored in
 * *ret_id unless that is NULL.
 * @request: from qmp_request_new() or a builder of migration.h; taken over, also on failure.
 * Returns 0, or
 *   -ENOBUFS  QMP_OUTSTANDING_MAX commands await their answer, or QMP_QUEUED_BYTES_MAX bytes would
 *             be exceeded
 *   -ENOMEM
 *   what made the session fail, if it has
 */
int qmp_session_command(struct qmp_session *session, struct json_object *request, void *token,
			uint64_t *ret_id);

/*
 * Takes bytes that QEMU sent. Never reads, writes or blocks: the caller owns the socket.
 * They stay in memory until qmp_session_next() has returned 0: call it before receiving more.
 * Returns 0, or
 *   -EMSGSIZE a line is longer than QMP_LINE_MAX (lines before it can still be had)
 *   -ENOMEM
 *   what made the session fail before
 */
int qmp_session_receive(struct qmp_session *session, const char *data, size_t size);

/*
 * Gives the next message. Answers to ids that are not outstanding are dropped, as the specification
 * asks (section 2.4).
 * Returns 1, 0 when the bytes received hold no further one, or, and from then on,
 *   -EBADMSG  a line is not a JSON object, or not one of the four kinds of message with the members
 *             it must have
 *   -EPROTO   well-formed but out of place: a second greeting, an error without an id (QEMU did not
 *             understand us; which command it was cannot be known), or QEMU refused the negotiation
 *   -EMSGSIZE, -ENOMEM, -ENOBUFS
 */
int qmp_session_next(struct qmp_session *session, struct qmp_message *ret_message);

/* The bytes to send next, borrowed until the next call on @session; and after sending some. */
const char *qmp_session_to_send(const struct qmp_session *session, size_t *ret_size);
void qmp_session_sent(struct qmp_session *session, size_t size);

/* Commands whose answer has not come. */
size_t qmp_session_outstanding(const struct qmp_session *session);

/* Returns 0, or -EAGAIN before the greeting. */
int qmp_session_version(const struct qmp_session *session, struct qmp_version *ret_version);

#endif
