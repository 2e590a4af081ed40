/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flow.h - entries of the kernel's connection tracking as values, and as bytes on their way from
 * the old NVE to the new one (docs/protocol.md, "Flows"). Pure: no netlink, no socket.
 *
 * What is carried is what a firewall at the new host needs to go on judging the VM's connections.
 * What is not: counters, timestamps, helpers and their expectations. The window that TCP tracking
 * has seen cannot be: the kernel neither shows nor takes it (nlattr_to_tcp() in
 * net/netfilter/nf_conntrack_proto_tcp.c).
 */
#ifndef REHOME_NVEAGENT_FLOW_H
#define REHOME_NVEAGENT_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

/* clang-format off */
enum {
	/* of one port in one move: what is read, and what is taken from a peer */
	FLOWS_MAX = 16384,
	FLOWS_VERSION = 1,		/* of the encoding */
	FLOW_LABELS_SIZE = 16,		/* NF_CT_LABELS_MAX_SIZE */
	/* the kernel's longest default is 5 days, of an established TCP connection */
	FLOW_TIMEOUT_MAX_S = 30 * 86400,
	FLOW_TCP_STATE_MAX = 9,		/* enum tcp_conntrack: TCP_CONNTRACK_SYN_SENT2 */
	FLOW_TCP_SCALE_MAX = 14,	/* RFC 7323 section 2.3 */
	FLOW_SCTP_STATE_MAX = 9,	/* enum sctp_conntrack */
};

/* Bits of flow.status, numbered as the kernel's enum ip_conntrack_status. */
enum flow_status {
	FLOW_SEEN_REPLY = 1 << 1,
	FLOW_ASSURED = 1 << 2,
	FLOW_FIXED_TIMEOUT = 1 << 10,
	FLOW_STATUS_ALL = FLOW_SEEN_REPLY | FLOW_ASSURED | FLOW_FIXED_TIMEOUT,
};

/*
 * Bits of flow.tcp.flags, numbered as the kernel's IP_CT_TCP_FLAG_*. Those that speak of the window
 * seen so far (DATA_UNACKNOWLEDGED, MAXACK_SET, CHALLENGE_ACK) mean nothing without it.
 */
enum flow_tcp_flag {
	FLOW_TCP_WINDOW_SCALE = 0x01,
	FLOW_TCP_SACK_PERM = 0x02,
	FLOW_TCP_CLOSE_INIT = 0x04,
	FLOW_TCP_LIBERAL = 0x08,
	FLOW_TCP_FLAGS_ALL = 0x0f,
};

enum flow_direction { FLOW_ORIGINAL, FLOW_REPLY, FLOW_DIRECTIONS };
/* clang-format on */

/*
 * One direction. @src_port, @dst_port, host byte order: ports; of GRE its keys; of ICMP the
 * identifier, and type * 256 + code; 0 of protocols that have none.
 */
struct flow_tuple {
	struct ip src, dst;
	uint16_t src_port, dst_port;
};

struct flow {
	/*
	 * Of one family. That of the reply is the other one turned round, unless addresses are
	 * translated.
	 */
	struct flow_tuple tuples[FLOW_DIRECTIONS];
	uint8_t protocol; /* IPPROTO_... */
	/* bit 1 << direction: the VN's zone holds for that direction; else the default one */
	uint8_t zones;
	bool has_labels;
	uint32_t status;    /* enum flow_status */
	uint32_t timeout_s; /* 1 to FLOW_TIMEOUT_MAX_S */
	uint32_t mark;
	uint8_t labels[FLOW_LABELS_SIZE];
	struct {
		uint8_t state, flags[FLOW_DIRECTIONS], scale[FLOW_DIRECTIONS];
	} tcp; /* IPPROTO_TCP only */
	struct {
		uint8_t state;
		uint32_t tags[FLOW_DIRECTIONS];
	} sctp; /* IPPROTO_SCTP only */
};

/* Is one of @ips an end of @flow: the source of one of its two directions? */
bool flow_has_end(const struct flow *flow, const struct ip *ips, size_t count);

/*
 * Is there source or destination translation (@source true or false): does the reply not go to
 * where the first packet came from, or not come from where it was sent?
 */
bool flow_is_translated(const struct flow *flow, bool source);

/*
 * Packs the first flows, as many as fit into @max bytes. Returns how many (*ret_data is then the
 * caller's to free), or -ENOMEM, or -EMSGSIZE when not one fits.
 */
int flows_pack(const struct flow *flows, size_t count, size_t max, uint8_t **ret_data,
	       size_t *ret_size);

/*
 * Reads and checks all of it, or none. Returns how many flows there are (*ret_flows is then the
 * caller's to free), or
 *   -EBADMSG          malformed; *reterr_what, static text, names the field
 *   -EPROTONOSUPPORT  another FLOWS_VERSION
 *   -ENOMEM
 */
int flows_unpack(const uint8_t *data, size_t size, struct flow **ret_flows,
		 const char **reterr_what);

#endif
