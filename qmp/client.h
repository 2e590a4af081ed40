/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h - a QMP session on a socket, for code that may wait: one call at a time, each with a
 * deadline.
 *
 * Events that arrive while a call waits are not lost: they are handed to the observer at once, if
 * there is one, and kept in order for qmp_client_wait_event().
 */
#ifndef REHOME_QMP_CLIENT_H
#define REHOME_QMP_CLIENT_H

#include <json-c/json.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "qmp/event.h"
#include "qmp/session.h"

enum {
	QMP_TIMEOUT_MS = 5000,	     /* for those with no reason for another */
	QMP_EVENTS_QUEUED_MAX = 256, /* a migration that converges has below 50 */
	QMP_ERROR_TEXT_SIZE = 256,   /* with the NUL; a longer text is cut */
};

struct qmp_client;

typedef void qmp_event_fn(const struct qmp_event *event, const char *event_name, void *userdata);

/*
 * Connects to QEMU's monitor socket at @path and negotiates.
 * @timeout_ms: for all of that, and then for each call
 * Returns 0, an error of unix_socket_connect() or of qmp_client_new().
 */
int qmp_client_open(const char *path, unsigned timeout_ms, struct qmp_client **ret_client);

/*
 * The same on a connected stream socket. @fd is taken over, also on failure.
 * Returns 0, or
 *   -ETIMEDOUT  no greeting, or no answer to the negotiation, in time (QEMU serves one client per
 *               monitor)
 *   -ECONNRESET the peer closed
 *   -ENOMEM, an error of qmp_session_next(), or what the system call said
 */
int qmp_client_new(int fd, unsigned timeout_ms, struct qmp_client **ret_client);
struct qmp_client *qmp_client_free(struct qmp_client *client);
DEFINE_CLEANUP(struct qmp_client, qmp_client_free)

/* @observer: NULL for none; must not call into @client. */
void qmp_client_observe(struct qmp_client *client, qmp_event_fn *observer, void *userdata);

/*
 * Sends @request and waits for its answer. @request is taken over, also on failure.
 * *ret_value: what QEMU returned, owned by the caller; may be NULL when nobody asks.
 * Returns 0, or
 *   -EREMOTEIO  QEMU refused: qmp_client_error() says why
 *   -ETIMEDOUT  no answer in time; it is dropped should it come later, and the client goes on
 *               working
 *   -ECONNRESET the peer closed
 *   -ENOBUFS, -ENOMEM, an error of qmp_session_next(), or what the system call said
 */
int qmp_client_call(struct qmp_client *client, struct json_object *request,
		    struct json_object **ret_value);

/* "CLASS: description" of the last -EREMOTEIO; "" before one. Borrowed until the next call. */
const char *qmp_client_error(const struct qmp_client *client);

/*
 * Gives the oldest event not given yet, or waits for one.
 * @deadline_us: CLOCK_MONOTONIC; one that has passed means: what is there already
 * Returns 0, or
 *   -ETIMEDOUT  none came
 *   -EOVERFLOW  once, when more than QMP_EVENTS_QUEUED_MAX came during calls: the oldest are lost
 *   -ECONNRESET, -ENOMEM, an error of qmp_session_next(), or what the system call said
 */
int qmp_client_wait_event(struct qmp_client *client, uint64_t deadline_us,
			  struct qmp_event *ret_event);

/* What the greeting said. */
struct qmp_version qmp_client_version(const struct qmp_client *client);

#endif
