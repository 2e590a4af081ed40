/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbour.h - the ARP, RARP and ND that one local device sends: a packet socket with a kernel
 * filter on that device. Only frames the endpoints behind it send count.
 *
 * A guest can send more of them than anybody wants to read. So they are read at a bounded rate;
 * what comes faster waits in a small buffer and is then dropped, and counted, by the kernel, at the
 * sender's cost. Each device has its own socket: a flood on one takes nothing from another.
 */
#ifndef REHOME_NVEAGENT_NEIGHBOUR_H
#define REHOME_NVEAGENT_NEIGHBOUR_H

#include <stdint.h>

#include "common/cleanup.h"
#include "net/frames.h"
#include "nveagent/loop.h"

enum {
	NEIGHBOUR_FRAMES_BURST = 256, /* read at once, then */
	NEIGHBOUR_FRAMES_PER_S = 500, /* so many; a claim that is lost in a flood comes again */
};

struct neighbour_events {
	/*
	 * A whole ARP request or reply, RARP request, NS, NA or RA. May free the watch. It is only
	 * the endpoint's word, and frames that the port's guard drops are heard too (a packet
	 * socket is before tc ingress): what to make of it is the caller's to decide.
	 */
	void (*heard)(void *userdata, const struct frame *frame);
	/* Frames came faster than they are read: once in the life of a watch. */
	void (*flooded)(void *userdata);
};

struct neighbour_watch;

/*
 * @ifindex: a bridge port, or any Ethernet device. When it is deleted the watch falls silent.
 * @events: borrowed. Returns 0, -ENODEV, -EPERM (without CAP_NET_RAW), -ENOMEM, or what the system
 * call said.
 */
int neighbour_watch_new(struct loop *loop, uint32_t ifindex, const struct neighbour_events *events,
			void *userdata, struct neighbour_watch **ret_watch);
struct neighbour_watch *neighbour_watch_free(struct neighbour_watch *watch);
DEFINE_CLEANUP(struct neighbour_watch, neighbour_watch_free)

/* Frames that the kernel dropped because they came too fast. */
uint64_t neighbour_watch_dropped(struct neighbour_watch *watch);

#endif
