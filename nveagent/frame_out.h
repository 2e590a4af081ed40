/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame_out.h - sends single Ethernet frames out of any device, and, in VXLAN, to any VTEP. The
 * sockets live as long as the agent: closing a packet socket waits for every CPU
 * (net/packet/af_packet.c, packet_release(), synchronize_net()), some 20 ms.
 *
 * Never waits: what cannot be taken at once is not sent. A whole queue is raw_port.h's business.
 */
#ifndef REHOME_NVEAGENT_FRAME_OUT_H
#define REHOME_NVEAGENT_FRAME_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"

struct frame_out;

/*
 * @vtep: this NVE's, the source of what goes to VTEPs; "none": only devices. 0 or a negative errno.
 */
int frame_out_new(struct ip vtep, struct frame_out **ret_out);
struct frame_out *frame_out_free(struct frame_out *out);
DEFINE_CLEANUP(struct frame_out, frame_out_free)

/*
 * Out of the device, past any bridge it is a port of. Returns 0 or what sendto(2) said, e.g. -ENXIO
 * (no such device), -ENETDOWN, -ENOBUFS.
 */
int frame_out_device(struct frame_out *out, uint32_t ifindex, const uint8_t *frame, size_t size);

/*
 * To one VTEP, in VXLAN (RFC 7348 section 5), from a port of the kernel's choice; @port in host
 * byte order. @size: up to FRAME_BUILD_SIZE. Returns 0, -EMSGSIZE, -EAFNOSUPPORT without a VTEP of
 * our own of that family, or what sendmsg(2) said.
 */
int frame_out_vtep(struct frame_out *out, uint32_t vni, struct ip vtep, uint16_t port,
		   const uint8_t *frame, size_t size);

#endif
