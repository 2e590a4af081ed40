/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.h - a TCP connection of the virtual network: two pipes of bytes, each in order, cut into
 * other pieces than it was written in, with delays of its own; and its ends.
 *
 * It breaks anywhere: what was on its way arrives up to some byte, and each end learns of it by
 * itself, much later perhaps. While it is stalled nothing arrives; either end may give up then.
 */
#ifndef REHOME_TESTS_SIM_LINK_H
#define REHOME_TESTS_SIM_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "tests/sim/clock.h"
#include "tests/sim/random.h"

enum link_side { LINK_NVE, LINK_NVA, LINK_SIDES };

struct link_end {
	/* Bytes have arrived. Either may be the last thing the end hears, if it closes. */
	void (*hear)(void *object, const uint8_t *data, size_t size);
	/* Nothing will arrive any more: the other end, or the network, is gone. */
	void (*closed)(void *object);
	void *object; /* NULL: this end is closed */
};

struct link;

/* What a network is like. */
struct network {
	struct clock *clock;
	struct random *random;
	uint64_t delay_us;	/* at most, of a piece */
	unsigned whole_percent; /* how often all that is there arrives at once */
	struct link *links;
};

/* Aborts without memory, like everything here. The ends are copied. */
struct link *link_new(struct network *network, const struct link_end ends[LINK_SIDES]);
/* Frees those with two closed ends: not from within a callback. */
void network_reap(struct network *network);
void network_clear(struct network *network);

void link_send(struct link *link, enum link_side from, const void *data, size_t size);
/* Bytes from @from that have not arrived. */
size_t link_waiting(const struct link *link, enum link_side from);
/*
 * @side closes it, and hears nothing any more. The other end hears what is on its way, and that it
 * was closed; @silent: it does not, until it gives up by itself (the host is gone, not only the
 * program).
 */
void link_close(struct link *link, enum link_side side, bool silent);
/* The network breaks it. */
void link_break(struct link *link);
/*
 * Nothing arrives until that is taken back; after @give_up_us an end that still waits is told that
 * it is closed.
 */
void link_stall(struct link *link, bool stalled, const uint64_t give_up_us[LINK_SIDES]);

#endif
