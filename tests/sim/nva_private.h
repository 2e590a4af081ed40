/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nva_private.h - what the parts of the NVA share: nva*.c. */
#ifndef REHOME_TESTS_SIM_NVA_PRIVATE_H
#define REHOME_TESTS_SIM_NVA_PRIVATE_H

#include <sys/queue.h>

#include "tests/sim/nva.h"
#include "tests/sim/reader.h"

enum session_state { SESSION_GREETING, SESSION_OPEN, SESSION_CLOSED };

/* A frame that may be sent when @ticket is durable. */
struct held {
	STAILQ_ENTRY(held) next;
	uint64_t ticket;
	size_t size;
	uint8_t frame[];
};
STAILQ_HEAD(held_queue, held);

struct session {
	TAILQ_ENTRY(session) of_nva;
	struct nva *nva;
	struct link *link;
	enum session_state state;
	uint32_t nve; /* when open */
	char name[NVO3_NAME_MAX + 1];
	struct ip vtep;
	struct reader reader;
	struct held_queue held;
	size_t held_size;
};
TAILQ_HEAD(session_queue, session);

struct nva {
	struct sim *sim;
	struct disk disk;
	struct store *store;	     /* NULL: it is down */
	struct directory *directory; /* the same */
	uint64_t starts;
	struct session_queue sessions;
	struct session *nve_sessions[DIRECTORY_NVES_MAX];
	struct timer turn, tick;
	uint64_t pause_end_us;
};

/* --- nva.c: turns --- */
void nva_turn_soon(struct nva *nva);
/* All that the directory has to say, to the sessions. */
void nva_deliver(struct nva *nva);

/* --- nva_session.c --- */
void session_free(struct session *session);
/* It is freed by the tick. @silent: the other end is not told. */
void session_end(struct session *session, const char *reason, bool silent);
/* When @ticket is durable, and everything before it has left; 0: it need not wait for itself. */
void session_send(struct session *session, const uint8_t *frame, size_t size, uint64_t ticket);
void session_release(struct session *session, uint64_t durable);
/* It has enough to read for now: nva/session.h, session_is_full(). */
bool session_is_full(const struct session *session);

#endif
