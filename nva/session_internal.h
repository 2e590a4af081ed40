/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session_internal.h - what a session is made of; for session*.c. */
#ifndef REHOME_NVA_SESSION_INTERNAL_H
#define REHOME_NVA_SESSION_INTERNAL_H

#include <sys/queue.h>

#include "nva/session.h"

enum session_state { SESSION_GREETING, SESSION_OPEN, SESSION_LINGERING, SESSION_CLOSED };

/* Of a session that is watching. */
#define SESSION_NO_NVE UINT32_MAX

/* Frames that may be sent when @ticket is released. */
struct held {
	TAILQ_ENTRY(held) link;
	uint64_t ticket;
	struct evbuffer *frames;
};
TAILQ_HEAD(held_queue, held);

struct session {
	struct bufferevent *stream; /* owned */
	struct held_queue held;	    /* oldest first, at most one of each ticket */
	size_t held_size;	    /* bytes in it */
	const struct session_events *events;
	void *userdata;
	enum session_state state;
	uint32_t nve; /* when open */
	char address[ENDPOINT_TEXT_SIZE];
	char name[SESSION_NAME_SIZE];
	bool paused;	   /* not read from: too much waits to be sent */
	uint64_t began_us; /* of the present state */
	uint64_t alive_us; /* when it was last heard, or took something */
	uint64_t pinged_us;
	uint64_t last_id; /* of our PINGs */
	size_t waiting;	  /* bytes to send, at the last tick */
};

/* Once; what it says is not heard any more. */
void session_end(struct session *session, const char *reason);

/* --- session_output.c --- */
size_t session_bytes_waiting(const struct session *session);
/* Life signs tell of nothing but life: they wait for no disk. */
void session_send_sign(struct session *session, const struct nvo3_message *message);
/* What arrived before the pause has its turn in the loop, like what arrives after it. */
void session_resume_if_drained(struct session *session);

#endif
