/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames_wire.h - the headers that frames.h reads and builds, as sent.
 *
 * Every field is made of bytes, in network order, so that a header may lie at any address.
 */
#ifndef REHOME_NET_FRAMES_WIRE_H
#define REHOME_NET_FRAMES_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct ether_wire {
	struct mac destination, source;
	uint8_t type[2];
};
static_assert(sizeof(struct ether_wire) == 14, "IEEE 802.3 section 3.1.1");

enum {
	ETHER_TYPE_ARP = 0x0806,  /* RFC 826, "Packet format" */
	ETHER_TYPE_RARP = 0x8035, /* RFC 903 section 3 */
	ETHER_TYPE_IPV6 = 0x86dd, /* RFC 2464 section 3 */
};

/* RFC 826 with the lengths of Ethernet and IPv4; RFC 903 keeps the format. */
struct arp_wire {
	uint8_t hardware_type[2];
	uint8_t protocol_type[2];
	uint8_t hardware_size;
	uint8_t protocol_size;
	uint8_t operation[2];
	struct mac sender_mac;
	uint8_t sender_ip[4];
	struct mac target_mac;
	uint8_t target_ip[4];
};
static_assert(sizeof(struct arp_wire) == 28, "RFC 826: 8 bytes, then twice 6 + 4");

enum {
	ARP_HARDWARE_ETHERNET = 1,  /* RFC 826 */
	ARP_PROTOCOL_IPV4 = 0x0800, /* RFC 826: the EtherType of IPv4 */
	ARP_OPERATION_REQUEST = 1,  /* RFC 826 */
	ARP_OPERATION_REPLY = 2,    /* RFC 826 */
	RARP_OPERATION_REQUEST = 3, /* RFC 903 section 3, "request reverse" */
	RARP_OPERATION_REPLY = 4,   /* RFC 903 section 3, "reply reverse" */
};

struct ipv6_wire {
	uint8_t version_class_flow[4];
	uint8_t payload_size[2];
	uint8_t next_header;
	uint8_t hop_limit;
	uint8_t source[16];
	uint8_t destination[16];
};
static_assert(sizeof(struct ipv6_wire) == 40, "RFC 8200 section 3");

/* How an extension header starts that may stand before ICMPv6. */
struct ipv6_extension_wire {
	uint8_t next_header;
	uint8_t size; /* in units of 8 bytes, the first 8 not counted */
	uint8_t data[6];
};
static_assert(sizeof(struct ipv6_extension_wire) == 8, "RFC 8200 section 4");

enum {
	IPV6_VERSION = 6,
	IPV6_NEXT_HOP_BY_HOP = 0,   /* RFC 8200 section 4.3 */
	IPV6_NEXT_ROUTING = 43,	    /* RFC 8200 section 4.4 */
	IPV6_NEXT_ICMPV6 = 58,	    /* RFC 4443 section 1 */
	IPV6_NEXT_FRAGMENT = 44,    /* RFC 8200 section 4.5 */
	IPV6_NEXT_DESTINATION = 60, /* RFC 8200 section 4.6 */
};

/* NS and NA have one layout: RFC 4861 sections 4.3 and 4.4. */
struct nd_wire {
	uint8_t type;
	uint8_t code;
	uint8_t checksum[2];
	uint8_t flags; /* NA only */
	uint8_t reserved[3];
	uint8_t target[16];
};
static_assert(sizeof(struct nd_wire) == 24, "RFC 4861 sections 7.1.1 and 7.1.2: 24 or more");

/* RA: RFC 4861 section 4.2. */
struct ra_wire {
	uint8_t type;
	uint8_t code;
	uint8_t checksum[2];
	uint8_t hop_limit;
	uint8_t flags;
	uint8_t lifetime[2];
	uint8_t reachable[4];
	uint8_t retransmit[4];
};
static_assert(sizeof(struct ra_wire) == 16, "RFC 4861 section 6.1.2: 16 or more");

/* RFC 4861 section 4.6.1 with the length that RFC 2464 section 6 gives. */
struct nd_option_wire {
	uint8_t type;
	uint8_t size; /* in units of 8 bytes, this header counted */
	struct mac mac;
};
static_assert(sizeof(struct nd_option_wire) == 8, "RFC 2464 section 6");

enum {
	ND_TYPE_RA = 134,      /* RFC 4861 section 4.2 */
	ND_TYPE_NS = 135,      /* RFC 4861 section 4.3 */
	ND_TYPE_NA = 136,      /* RFC 4861 section 4.4 */
	ND_HOP_LIMIT = 255,    /* RFC 4861 sections 7.1.1 and 7.1.2: no router forwarded it */
	ND_FLAG_ROUTER = 0x80, /* RFC 4861 section 4.4, as are the next two */
	ND_FLAG_SOLICITED = 0x40,
	ND_FLAG_OVERRIDE = 0x20,
	ND_OPTION_SOURCE = 1, /* RFC 4861 section 4.6.1 */
	ND_OPTION_TARGET = 2,
};

static inline uint16_t be16_read(const uint8_t *bytes)
{
	return (uint16_t) (bytes[0] << 8 | bytes[1]);
}

static inline void be16_write(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t) (value >> 8);
	bytes[1] = (uint8_t) value;
}

/*
 * The Internet checksum (RFC 1071) of an ICMPv6 message and its pseudo-header (RFC 8200
 * section 8.1), in host order: 0 for a received message that is whole, or what to write into a zero
 * checksum field.
 */
static inline uint16_t icmpv6_checksum(const struct ipv6_wire *ip, const uint8_t *message,
				       size_t size)
{
	uint64_t sum = size + IPV6_NEXT_ICMPV6;

	for (size_t i = 0; i < sizeof(ip->source); i += 2)
		sum += (uint64_t) be16_read(ip->source + i) + be16_read(ip->destination + i);
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += be16_read(message + i);
	if (size % 2)
		sum += (uint64_t) message[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~sum;
}

#endif
