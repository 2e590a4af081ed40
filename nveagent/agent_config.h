/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_config.h - the agent's configuration file; docs/operations.md describes each key. */
#ifndef REHOME_NVEAGENT_AGENT_CONFIG_H
#define REHOME_NVEAGENT_AGENT_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/log.h"
#include "net/addr.h"
#include "nva/wire.h"
#include "nveagent/nva_link.h"

enum {
	AGENT_VNIS_MAX = 256,
	AGENT_PATH_SIZE = 108,	/* sun_path of unix(7) */
	AGENT_URI_SIZE = 256,
	AGENT_CONNTRACK_NONE = -1, /* connection tracking entries do not follow a VM */
};

struct vni_config {
	uint32_t vni;
	char bridge[IFNAMSIZ], vxlan[IFNAMSIZ];
	uint16_t port;
	struct ip rarp_server;	/* who RARP replies say they come from: the client's boot server */
	int conntrack_zone;	/* of the VN's connections (16 bits), or AGENT_CONNTRACK_NONE */
	bool create;	/* make the bridge and the VXLAN device when they are missing */
	bool pull;	/* ask the NVA for what is needed, instead of being told everything */
	bool suppress;	/* answer ARP and NS here for what the directory knows */
	unsigned line;	/* of the file, for errors found later */
};

struct agent_config {
	char name[NVO3_NAME_MAX + 1];
	struct ip vtep;
	unsigned vtep_line;
	struct nva_endpoint nvas[NVA_LINK_ENDPOINTS_MAX];
	size_t nva_count;
	bool insecure_plain;	/* a plain connection to an NVA that is not on loopback */
	char socket[AGENT_PATH_SIZE];
	char libvirt_uri[AGENT_URI_SIZE];	/* "none": no libvirt on this host */
	/* ask QEMU for the receive ring through libvirt, too, which taints the domain */
	bool guest_ring;
	/* also QMP announce-self through libvirt, which taints the domain */
	bool qemu_announce;
	unsigned forward_timeout_s;	/* the cap on forwarding for a VM that left */
	unsigned quiet_interval_ms;	/* forwarding ends when nothing came for that long */
	/* after that, frames for a VM that left are sent on one by one; 0: never */
	unsigned late_s;
	bool icmp_unreachable;		/* they are answered when nobody knows the VM any more */
	unsigned neighbour_age_s;	/* of silence, then an address is asked for; 0: never is */
	unsigned pull_age_s;		/* without use, then what was pulled is dropped */
	unsigned port_addresses;	/* that one MAC may have */
	unsigned port_macs;		/* learned on one bridge port */
	unsigned queue_packets;		/* of a destination tap during a move */
	enum log_level log_level;
	struct vni_config vnis[AGENT_VNIS_MAX];
	size_t vni_count;
};

/*
 * Reads @path over the defaults. Returns 0, or a negative errno with one line for the user in
 * @reterr_message (CONFIG_MESSAGE_SIZE bytes).
 */
int agent_config_read(const char *path, struct agent_config *ret_config, char *reterr_message);

#endif
