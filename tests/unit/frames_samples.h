/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames_samples.h - frames that Linux 6.18 sent between two namespaces (52:54:00:aa:00:10 with
 * 192.0.2.16 and 2001:db8::10, 52:54:00:aa:00:11 with 192.0.2.17 and 2001:db8::11), as tcpdump
 * showed them; the RARP ones are laid out by hand after RFC 903, the RA after RFC 4861.
 */
#ifndef REHOME_TESTS_UNIT_FRAMES_SAMPLES_H
#define REHOME_TESTS_UNIT_FRAMES_SAMPLES_H

#include <stdint.h>

#define MAC_10		 0x52, 0x54, 0x00, 0xaa, 0x00, 0x10
#define MAC_11		 0x52, 0x54, 0x00, 0xaa, 0x00, 0x11
#define MAC_ALL		 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define MAC_NONE	 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
#define IP4_16		 0xc0, 0x00, 0x02, 0x10 /* 192.0.2.16 */
#define IP4_17		 0xc0, 0x00, 0x02, 0x11 /* 192.0.2.17 */
#define IP6_10		 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10
#define IP6_11		 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11
#define IP6_LOCAL_10	 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 0xaa, 0, 0x10
#define IP6_NONE	 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define IP6_ALL_NODES	 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01
#define IP6_SOLICITED_11 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x00, 0x00, 0x11

#define ARP_FIXED                                         \
	0x00, 0x01,	    /* hardware type: Ethernet */ \
		0x08, 0x00, /* protocol type: IPv4 */     \
		0x06, 0x04  /* sizes of their addresses */
#define IPV6_FIXED                                         \
	0x60, 0x00, 0x00, 0x00, /* version, class, flow */ \
		0x00, 0x20,	/* payload: 32 bytes */    \
		0x3a,		/* next header: ICMPv6 */  \
		0xff		/* hop limit */

/* One field a line. */
/* clang-format off */
static const uint8_t arp_request[] = {
	MAC_ALL, MAC_10,	/* destination, source */
	0x08, 0x06,		/* EtherType: ARP */
	ARP_FIXED,
	0x00, 0x01,		/* operation: request */
	MAC_10, IP4_16,		/* sender */
	MAC_NONE, IP4_17,	/* target */
};

static const uint8_t arp_reply[] = {
	MAC_10, MAC_11,
	0x08, 0x06,
	ARP_FIXED,
	0x00, 0x02,		/* operation: reply */
	MAC_11, IP4_17,		/* sender */
	MAC_10, IP4_16,		/* target */
};

static const uint8_t rarp_request[] = {
	MAC_ALL, MAC_10,
	0x80, 0x35,		/* EtherType: RARP */
	ARP_FIXED,
	0x00, 0x03,		/* operation: request reverse */
	MAC_10, 0, 0, 0, 0,	/* sender, its IP undefined */
	MAC_10, 0, 0, 0, 0,	/* target: the sender itself */
};

static const uint8_t rarp_reply[] = {
	MAC_10, MAC_11,
	0x80, 0x35,
	ARP_FIXED,
	0x00, 0x04,		/* operation: reply reverse */
	MAC_11, IP4_17,		/* the server */
	MAC_10, IP4_16,		/* who asked, and its IP */
};

static const uint8_t ns[] = {
	0x33, 0x33, 0xff, 0x00, 0x00, 0x11, MAC_10,
	0x86, 0xdd,		/* EtherType: IPv6 */
	IPV6_FIXED,
	IP6_10,			/* source */
	IP6_SOLICITED_11,	/* destination */
	0x87, 0x00,		/* NS, code 0 */
	0xca, 0xec,		/* checksum */
	0x00, 0x00, 0x00, 0x00,	/* reserved */
	IP6_11,			/* target */
	0x01, 0x01, MAC_10,	/* source link-layer address option */
};

static const uint8_t ns_probe[] = {
	0x33, 0x33, 0xff, 0x00, 0x00, 0x11, MAC_11,
	0x86, 0xdd,
	IPV6_FIXED,
	IP6_NONE,
	IP6_SOLICITED_11,
	0x87, 0x00,
	0xa3, 0xef,
	0x00, 0x00, 0x00, 0x00,
	IP6_11,
	0x0e, 0x01, 0x4e, 0x73, 0x5d, 0x46, 0xef, 0x1a,	/* nonce option: RFC 3971 section 5.3.2 */
};

static const uint8_t na[] = {
	MAC_10, MAC_11,
	0x86, 0xdd,
	IPV6_FIXED,
	IP6_11,
	IP6_10,
	0x88, 0x00,		/* NA, code 0 */
	0x39, 0x37,
	0x60, 0x00, 0x00, 0x00,	/* solicited, override */
	IP6_11,
	0x02, 0x01, MAC_11,	/* target link-layer address option */
};

static const uint8_t na_unsolicited[] = {
	0x33, 0x33, 0x00, 0x00, 0x00, 0x01, MAC_10,
	0x86, 0xdd,
	IPV6_FIXED,
	IP6_10,
	IP6_ALL_NODES,
	0x88, 0x00,
	0xa7, 0xff,
	0x20, 0x00, 0x00, 0x00,	/* override */
	IP6_10,
	0x02, 0x01, MAC_10,
};

static const uint8_t router_advertisement[] = {
	0x33, 0x33, 0x00, 0x00, 0x00, 0x01, MAC_10,
	0x86, 0xdd,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x18, 0x3a, 0xff,
	IP6_LOCAL_10,
	IP6_ALL_NODES,
	0x86, 0x00,		/* ICMPv6 type 134 */
	0x91, 0x02,
	0x40, 0x00,		/* hop limit, flags */
	0x07, 0x08,		/* router lifetime: 1800 s */
	0, 0, 0, 0, 0, 0, 0, 0,	/* reachable time, retransmit timer: not said */
	0x01, 0x01, MAC_10,	/* source link-layer address option */
};

static const uint8_t router_solicitation[] = {
	0x33, 0x33, 0x00, 0x00, 0x00, 0x02, MAC_10,
	0x86, 0xdd,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x3a, 0xff,
	0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0x00, 0xff, 0xfe, 0xaa, 0x00, 0x10,
	0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02,
	0x85, 0x00,		/* ICMPv6 type 133 */
	0xd9, 0x11,
	0x00, 0x00, 0x00, 0x00,
	0x01, 0x01, MAC_10,
};
/* clang-format on */

#endif
