/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control_private.h - what the parts of the control socket share: control.c, control_answer.c. */
#ifndef REHOME_NVA_CONTROL_PRIVATE_H
#define REHOME_NVA_CONTROL_PRIVATE_H

#include <sys/queue.h>
#include <sys/types.h>

#include "common/lines.h"
#include "nva/control.h"
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

/* --- control_answer.c --- */
/*
 * Takes one line of a client and answers it, or holds the answer. Returns 0 or a negative errno:
 * the client cannot be served any more, or its connection is another process's now.
 */
int control_answer(struct client *client, const char *line, size_t size);
/* Sends the held answer if it need not be held any more. 0 or -ENOMEM, as the next one. */
int control_release_held(struct client *client, uint64_t durable);
int control_send_error(struct client *client, const char *text);

#endif
