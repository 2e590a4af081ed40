/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * raw_port.h - sends Ethernet frames out of one device, with what the network stack had left to do
 * (checksum, segmentation) described by a virtio-net header; packet(7), PACKET_VNET_HDR.
 *
 * Whoever sends a whole queue of frames at the speed of a CPU must not overrun what lies below. A
 * network card holds on to frames until it has sent them: then the small send buffer makes us wait.
 * A virtual link (veth) does not: it puts them into the backlog of the CPU that sends, which drops
 * when it is full, and may be slow to empty because our own process competes with ksoftirqd. So the
 * backlogs are looked at now and then. For the same reason frames sent on two CPUs may overtake
 * each other; hence raw_port_pin().
 */
#ifndef REHOME_NVEAGENT_RAW_PORT_H
#define REHOME_NVEAGENT_RAW_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum {
	RAW_PORT_SEND_BUFFER =
		512 << 10,   /* bytes that may wait below us; some 450 frames of 1500 bytes */
	RAW_PORT_BURST = 64, /* frames between two looks at the CPUs' backlogs */
	RAW_PORT_BACKLOG_MAX =
		250, /* frames; the kernel drops beyond net.core.netdev_max_backlog, 1000 */
	RAW_PORT_PAUSE_US = 50,
	RAW_PORT_CALM_US_MAX = 50000, /* reached only where the CPUs' backlogs never are empty */
	RAW_PORT_ROOM_US_MAX =
		/* waited for a backlog to shrink; on a starved machine ksoftirqd runs late */
	200000,
};

struct raw_port;
struct virtio_net_hdr; /* <linux/virtio_net.h>: the 10 bytes of it, host byte order */

/*
 * @bypass: hand frames to the driver at once, past the device's queueing discipline
 * (PACKET_QDISC_BYPASS).
 */
int raw_port_open(uint32_t ifindex, bool bypass, struct raw_port **ret_port);
struct raw_port *raw_port_free(struct raw_port *port);
DEFINE_CLEANUP(struct raw_port, raw_port_free)

/*
 * @vnet may be NULL: nothing left to do. Returns 0 or what send(2) said, e.g. -EMSGSIZE,
 * -ENETDOWN, -ENOBUFS.
 */
int raw_port_send(struct raw_port *port, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		  size_t size);

/* Stays on the present CPU until raw_port_settle(): frames sent from two CPUs can change places. */
void raw_port_pin(struct raw_port *port);
/*
 * Returns when no CPU has frames in its backlog and what was sent by @port has left the device
 * below, as far as can be seen, or after @us_max: on a busy host a backlog may never be empty.
 * Whatever must come after what was sent before, on any CPU, is sent after this.
 */
void raw_port_await_calm(const struct raw_port *port, uint64_t us_max);
/* The same, for at most RAW_PORT_CALM_US_MAX; and ends raw_port_pin(). */
void raw_port_settle(struct raw_port *port);
/*
 * Returns when no CPU's backlog is long, for a bounded time; raw_port_send() does so every
 * RAW_PORT_BURST frames.
 */
void raw_port_await_room(const struct raw_port *port);

#endif
