/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.h - what happened in each move, and when (MISSION B5). Memory only, the newest
 * LEDGER_MOVES_MAX moves; no I/O.
 */
#ifndef REHOME_NVEAGENT_LEDGER_H
#define REHOME_NVEAGENT_LEDGER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "net/uuid.h"

enum {
	LEDGER_MOVES_MAX = 256,
	LEDGER_EVENTS_MAX = 64,	/* of one move; what comes after is counted, not kept */
	LEDGER_WHAT_SIZE = 24,
	LEDGER_DETAIL_SIZE = 128,
	LEDGER_VM_SIZE = 64,
};

enum ledger_role { LEDGER_OLD_NVE, LEDGER_NEW_NVE };

struct ledger_event {
	uint64_t at_us;	/* CLOCK_REALTIME */
	char what[LEDGER_WHAT_SIZE];
	char detail[LEDGER_DETAIL_SIZE];
};

/* A move as one NVE saw it. Its members may be set freely; events are added with ledger_note(). */
struct ledger_move {
	uint64_t id; /* of this agent's life, from 1 */
	char vm[LEDGER_VM_SIZE];
	struct uuid uuid;
	uint32_t vni;
	struct mac mac;
	enum ledger_role role;
	struct ip from, to;
	uint64_t generation;
	const char *state; /* static text */
	bool over;
	uint64_t started_us;
	uint64_t pulled, forwarded, dropped;
	unsigned event_count, events_lost;
	struct ledger_event events[LEDGER_EVENTS_MAX];
};

struct ledger;

struct ledger *ledger_new(void);
struct ledger *ledger_free(struct ledger *ledger);
DEFINE_CLEANUP(struct ledger, ledger_free)

/* The id of a new move, whose other members are zero. The oldest record makes room. */
uint64_t ledger_begin(struct ledger *ledger, uint64_t now_us);

/* NULL when that move is not (or no longer) kept. Borrowed until the next ledger_begin(). */
struct ledger_move *ledger_find(struct ledger *ledger, uint64_t id);

/* Both texts are cut to their sizes. Nothing happens for a move that is not kept. */
void ledger_note(struct ledger *ledger, uint64_t id, uint64_t at_us, const char *what,
		 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The id of the newest move; 0: there was none. Those before it have the numbers below. */
uint64_t ledger_newest(const struct ledger *ledger);

/* As docs/man/nvectl.1.scd shows it. NULL when out of memory. */
struct json_object *ledger_move_to_json(const struct ledger_move *move);

#endif
