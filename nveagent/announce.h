/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * announce.h - GARP and unsolicited NA on behalf of a VM that has just begun to run here
 * (draft-ietf-nvo3-vmm section 4.2, RFC 5227 section 2.3, RFC 4861 section 7.2.6).
 */
#ifndef REHOME_NVEAGENT_ANNOUNCE_H
#define REHOME_NVEAGENT_ANNOUNCE_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

/*
 * Sends one announcement for each of @ips out of every device of @ports (indexes of bridge ports).
 * Each frame leaves by that port alone and does not enter the bridge, so it comes back by no other
 * port. The caller leaves the VM's own tap out of @ports: a guest that hears its own announcement
 * takes it for an address conflict (RFC 5227 section 2.4). With no IP known: a RARP request with
 * the MAC, as QEMU's own self-announcement.
 *
 * Never waits: what a port cannot take at once is not sent.
 * Returns how many frames were sent (0 when @port_count is 0), or a negative errno when none could
 * be.
 */
int announce(struct mac mac, const struct ip *ips, size_t ip_count, const uint32_t *ports,
	     size_t port_count);

#endif
