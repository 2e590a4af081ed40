/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbour.h - which IP addresses live behind a port, from the ARP and ND it sends
 * (draft-ietf-nvo3-vmm section 4.2). A packet socket with a kernel filter for ARP and ICMPv6
 * 135/136 on that one port; only frames the endpoint sends count.
 */
#ifndef REHOME_NVEAGENT_NEIGHBOUR_H
#define REHOME_NVEAGENT_NEIGHBOUR_H

#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/loop.h"

struct neighbour_watch;

/*
 * The endpoint @mac behind this port says that it owns the unicast address @ip. Called for each
 * frame that says so; may free the watch. The frame's Ethernet source is @mac: who speaks for
 * another MAC (proxy, forger) is not heard. It is still only the endpoint's word, and frames that
 * the port's guard drops are heard too (a packet socket is before tc ingress): whether this MAC may
 * have that address is the caller's to decide.
 */
typedef void (*neighbour_handler)(void *userdata, struct mac mac, struct ip ip);

/*
 * @ifindex: a bridge port, or any Ethernet device. When it is deleted the watch falls silent.
 * Returns 0, -ENODEV, -EPERM (without CAP_NET_RAW), -ENOMEM, or what the system call said.
 */
int neighbour_watch_new(struct loop *loop, uint32_t ifindex, neighbour_handler claim,
			void *userdata, struct neighbour_watch **ret_watch);
struct neighbour_watch *neighbour_watch_free(struct neighbour_watch *watch);
DEFINE_CLEANUP(struct neighbour_watch, neighbour_watch_free)

#endif
