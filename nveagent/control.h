/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h - the agent's control socket: one JSON object a line in, one a line out, in the order
 * asked. Knows nothing of what is asked; docs/operations.md lists the operations.
 */
#ifndef REHOME_NVEAGENT_CONTROL_H
#define REHOME_NVEAGENT_CONTROL_H

#include <json-c/json.h>

#include "common/cleanup.h"
#include "nveagent/loop.h"

enum {
	CONTROL_LINE_MAX = 1 << 20,
	CONTROL_CLIENTS_MAX = 64,	/* over it a new one is turned away with an error line */
	/* bytes that wait for a slow client; over it it is closed */
	CONTROL_OUTPUT_MAX = 64 << 20,
	/* unanswered requests of one client; over it it is closed */
	CONTROL_REQUESTS_MAX = 64,
	/* bytes of a list that wait for a slow client; then no more are made */
	CONTROL_LIST_AHEAD = 256 << 10,
};

struct control;
struct control_request;

/*
 * Every request must be answered once, now or later, by control_reply(). @object: borrowed for
 * the call.
 */
typedef void (*control_handler)(void *userdata, struct json_object *object,
				struct control_request *request);

/* Listens at @path; the errors are those of unix_socket_listen(). */
int control_new(struct loop *loop, const char *path, control_handler handler, void *userdata,
		struct control **ret_control);
/*
 * Closes the socket and removes its path. Requests that are open stay their owners' to answer, into
 * the void.
 */
struct control *control_free(struct control *control);
DEFINE_CLEANUP(struct control, control_free)

/*
 * Takes @reply over (NULL: "out of memory"); @request is spent. A client that has gone makes no
 * difference.
 */
void control_reply(struct control_request *request, struct json_object *reply);

/*
 * An answer too long to be made at once, whose making must not hold the loop: the members of an
 * object, a list, and "ok" or "error" behind it.
 */
struct control_list {
	struct json_object *head; /* members that stand before the list; may be NULL. Taken over */
	const char *key;	  /* of the list; static */
	/*
	 * Appends the next items to @array, as many as take a few 100 us. Returns 1 when there may
	 * be more, 0 when that was all, or an errno, which ends the answer. Called when the loop
	 * comes round, and not before the client has read most of what was made.
	 */
	int (*next)(void *state, struct json_object *array);
	const char *what; /* what could not be done after an errno; static */
	void (*free)(void *state);
	/* taken over; freed by @free when the answer is complete, or its client gone */
	void *state;
};

/* Replies {HEAD..., KEY: [...], "ok": true}; @request is spent. */
void control_reply_list(struct control_request *request, const struct control_list *list);

/* {"ok":false,"error":TEXT} */
void control_reply_error(struct control_request *request, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* {"ok":true}, to add to. NULL when out of memory. */
struct json_object *control_ok(void);

#endif
