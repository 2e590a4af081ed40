/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.h - one NVE's connection at the NVA: frames in and out, life signs, and an orderly end.
 * Knows no directory.
 *
 *   greeting ──session_set_open()──▶ open
 *       │                             │
 *       └───── session_refuse() ──────┴──▶ lingering ──▶ closed
 *       └───── session_close(), errors, silence ─────────▶ closed
 *
 * A peer that does not read what it is sent is not read from either, so that it cannot ask for
 * more; what others cause to be sent to it is bounded by SESSION_OUTPUT_MAX. What may not be sent
 * yet, because it tells of something that is not durable, is held and counts as waiting.
 */
#ifndef REHOME_NVA_SESSION_H
#define REHOME_NVA_SESSION_H

#include <event2/bufferevent.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nva/out_frame.h"
#include "nva/wire.h"

enum {
	SESSION_GREETING_S = 5,		 /* the HELLO must be there by then */
	SESSION_PING_S = 5,		 /* of silence, then a PING */
	SESSION_DEAD_S = 15,		 /* of silence, then the end */
	SESSION_LINGER_S = 2,		 /* for a peer to read why it was refused */
	SESSION_OUTPUT_PAUSE = 1 << 20,	 /* bytes that wait; over it nothing more is read */
	SESSION_OUTPUT_MAX = 64 << 20,	 /* what a peer has not taken, before it is given up */
	SESSION_OUTPUT_FULL = 512 << 10, /* over it no more of a snapshot is made */
	SESSION_READ_MAX = 256 << 10,	 /* bytes of one session, before others have their turn */
	SESSION_NAME_SIZE = NVO3_NAME_MAX + ENDPOINT_TEXT_SIZE + 4,
};

struct session;

struct session_events {
	/*
	 * A message other than PING, PONG and ERROR. Returns 0, or -EPROTO after writing into
	 * @reterr_text (NVO3_TEXT_MAX + 1 bytes) what the peer did wrong: it is refused then.
	 */
	int (*message)(void *userdata, struct session *session, const struct nvo3_message *message,
		       char *reterr_text);
	/* The session is going to be refused: answers to what came before it should be sent now. */
	void (*last_words)(void *userdata);
	/* It has taken what waited: session_is_full() no more. */
	void (*drained)(void *userdata, struct session *session);
	/*
	 * The session ends now, for @reason; no event of it follows. It may still have to linger:
	 * free it when session_is_over().
	 */
	void (*closed)(void *userdata, struct session *session, const char *reason);
};

/*
 * Takes over @stream. @events and @userdata are borrowed. Returns 0 or -ENOMEM (@stream is freed
 * then, too).
 */
int session_new(struct bufferevent *stream, struct ip peer, uint16_t port, uint64_t now_us,
		const struct session_events *events, void *userdata, struct session **ret_session);
/* Not from within one of its events. */
struct session *session_free(struct session *session);
DEFINE_CLEANUP(struct session, session_free)

/* The greeting was accepted: @nve is the directory's number of the NVE called @name. */
void session_set_open(struct session *session, uint32_t nve, const char *name);
/* It was accepted, but is of no NVE: life signs are all that is said in it. */
void session_set_watching(struct session *session, const char *name);
bool session_is_watching(const struct session *session);
/* True between session_set_open() and the end, with the number in *ret_nve. */
bool session_is_open(const struct session *session, uint32_t *ret_nve);
bool session_is_over(const struct session *session);
/* "hv1 (192.0.2.1:40000)", or the address alone before the greeting; borrowed. */
const char *session_name(const struct session *session);

/*
 * Queues @frame, to be sent after session_release() of @ticket, and of whatever was queued
 * before it; 0: no need to wait for more than that. Tickets do not fall, but for 0. May end the
 * session. It leaves with session_flush().
 */
void session_send(struct session *session, struct out_frame *frame, uint64_t ticket);
/* One that waits for nothing but what was queued before it; it leaves at once. */
void session_send_message(struct session *session, const struct nvo3_message *message);
/* Everything up to @ticket may be sent; what waited for that leaves at once. */
void session_release(struct session *session, uint64_t ticket);
/* Forgets what waits for a ticket: nobody may be told that any more. */
void session_drop_held(struct session *session);
/* Writes what is queued, as far as the peer takes it; the rest follows by itself. */
void session_flush(struct session *session);
bool session_is_full(const struct session *session);
/* Sends ERROR with @text, and ends once the peer has had a chance to read it. */
void session_refuse(struct session *session, const char *text);
void session_close(struct session *session, const char *reason);
/* Several times a second. */
void session_tick(struct session *session, uint64_t now_us);

#endif
