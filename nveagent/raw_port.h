/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * raw_port.h - sends Ethernet frames out of one device, with what the network stack had left to do (checksum, segmentation)
 * described by a virtio-net header; packet(7), PACKET_VNET_HDR.
 */
#ifndef REHOME_NVEAGENT_RAW_PORT_H
#define REHOME_NVEAGENT_RAW_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum {
	RAW_PORT_SEND_BUFFER = 64 << 20, /* frames may wait in a queue of the device or of the underlay */
};

struct raw_port;
struct virtio_net_hdr; /* <linux/virtio_net.h>: the 10 bytes of it, host byte order */

/* @bypass: hand frames to the driver at once, past the device's queueing discipline (PACKET_QDISC_BYPASS). */
int raw_port_open(uint32_t ifindex, bool bypass, struct raw_port **ret_port);
struct raw_port *raw_port_free(struct raw_port *port);
DEFINE_CLEANUP(struct raw_port, raw_port_free)

/* @vnet may be NULL: nothing left to do. Returns 0 or what send(2) said, e.g. -EMSGSIZE, -ENETDOWN, -ENOBUFS. */
int raw_port_send(struct raw_port *port, const struct virtio_net_hdr *vnet, const uint8_t *frame, size_t size);

#endif
