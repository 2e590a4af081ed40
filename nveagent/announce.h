/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * announce.h - one round of announcements on behalf of a VM that has just begun to run here
 * (draft-ietf-nvo3-vmm section 4.2): for each IPv4 address a gratuitous ARP request (RFC 5227
 * section 2.3) and reply (RFC 5944 section 4.6), for each IPv6 address an unsolicited NA to all
 * nodes (RFC 4861 section 7.2.6; routers make an entry of it, RFC 9131), and one RARP request with
 * the MAC (RFC 903), as QEMU's own self-announcement: switches that snoop ARP or ND may drop what
 * they do not expect, and a VM may have addresses that nobody knows.
 */
#ifndef REHOME_NVEAGENT_ANNOUNCE_H
#define REHOME_NVEAGENT_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "nveagent/frame_out.h"

/* Who is announced. */
struct announce_who {
	struct mac mac;
	const struct ip *ips; /* others than unicast ones are left out */
	size_t ip_count;
	bool router; /* as its own NAs and RAs say: hosts drop a router that denies being one */
};

/*
 * Where to. Each frame leaves by that port alone and does not enter the bridge, so it comes back by
 * no other port. The caller leaves the VM's own tap out of @ports: a guest that hears its own
 * announcement takes it for an address conflict (RFC 5227 section 2.4).
 *
 * @vteps: VTEPs that no directory tells, and that learn from what they are sent. NVEs with an agent
 * do not need this, and are spared the flooding.
 */
struct announce_where {
	const uint32_t *ports; /* indexes of bridge ports */
	size_t port_count;
	const struct ip *vteps;
	size_t vtep_count;
	uint32_t vni;
	uint16_t vxlan_port;
};

/*
 * Never waits: what a port cannot take at once is not sent. Returns how many frames were sent (0
 * when there is nowhere to send to), or a negative errno when none could be.
 */
int announce(struct frame_out *out, const struct announce_who *who,
	     const struct announce_where *where);

#endif
