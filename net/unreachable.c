/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/unreachable.h"

#include <stdbool.h>
#include <string.h>

#include "net/frames_wire.h"

struct ipv4_wire {
	uint8_t version_size; /* the size in units of 4 bytes */
	uint8_t service;
	uint8_t total_size[2];
	uint8_t id[2];
	uint8_t fragment[2]; /* flags, and the offset in units of 8 bytes */
	uint8_t time_to_live;
	uint8_t protocol;
	uint8_t checksum[2];
	uint8_t source[4];
	uint8_t destination[4];
};
static_assert(sizeof(struct ipv4_wire) == 20, "RFC 791 section 3.1, without options");

/* ICMP's and ICMPv6's are the same: RFC 792 page 4, RFC 4443 section 3.1. */
struct icmp_wire {
	uint8_t type;
	uint8_t code;
	uint8_t checksum[2];
	uint8_t unused[4];
};
static_assert(sizeof(struct icmp_wire) == 8, "the offending packet follows");

struct ipv4_error {
	struct ether_wire ether;
	struct ipv4_wire ip;
	struct icmp_wire icmp;
};

struct ipv6_error {
	struct ether_wire ether;
	struct ipv6_wire ip;
	struct icmp_wire icmp;
};

enum {
	ETHER_TYPE_IPV4 = 0x0800, /* RFC 894 */
	IPV4_VERSION = 4,
	IPV4_SIZE_UNIT = 4,
	IPV4_OFFSET_MASK = 0x1fff, /* of ipv4_wire.fragment */
	IPV4_PROTOCOL_ICMP = 1,	   /* RFC 792 */
	IPV4_ERROR_MAX = 576,	   /* bytes of the whole datagram: RFC 1812 section 4.3.2.3 */
	IPV6_ERROR_MAX = 1280,	   /* the same: RFC 4443 section 2.4 (c) */
	TIME_TO_LIVE = 64,	   /* RFC 1700, "IP time to live parameter" */
	ICMP_UNREACHABLE = 3,	   /* RFC 792 */
	ICMP_HOST_UNREACHABLE = 1,
	ICMPV6_UNREACHABLE = 1, /* RFC 4443 section 3.1 */
	ICMPV6_ADDRESS_UNREACHABLE = 3,
	ICMPV6_ERRORS_END = 128, /* types below are errors: RFC 4443 section 2.1 */
	ICMPV6_REDIRECT = 137,	 /* RFC 4861 section 4.5 */
};

/* Types that are no errors and no redirects: RFC 792, RFC 1256, RFC 950. */
static bool is_icmp_query(uint8_t type)
{
	static const uint8_t queries[] = { 0, 8, 9, 10, 13, 14, 15, 16, 17, 18 };

	return memchr(queries, type, sizeof(queries)) != NULL;
}

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += be16_read(bytes + i);
	if (size % 2)
		sum += (uint64_t) bytes[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~sum;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* --- IPv4 --- */

static bool is_host(const uint8_t *address)
{
	struct ip ip;

	/* 0.0.0.0/8 is "this network": RFC 1122 section 3.2.1.3. */
	return address[0] != 0 && ip_from_bytes(address, 4, &ip) == 0 && ip_is_unicast(ip) &&
	       !ip_is_loopback(ip);
}

static bool may_answer_ipv4(const struct ipv4_wire *ip, size_t header_size, size_t size)
{
	if (ip->version_size >> 4 != IPV4_VERSION || header_size < sizeof(*ip) ||
	    header_size > size || be16_read(ip->total_size) < header_size)
		return false;
	if (be16_read(ip->fragment) & IPV4_OFFSET_MASK)
		return false;
	if (ip->protocol == IPV4_PROTOCOL_ICMP &&
	    (size <= header_size || !is_icmp_query(((const uint8_t *) ip)[header_size])))
		return false;
	return is_host(ip->source) && is_host(ip->destination);
}

static size_t build_ipv4(const struct ether_wire *ether, const uint8_t *packet, size_t size,
			 uint8_t *buffer)
{
	const struct ipv4_wire *ip = (const struct ipv4_wire *) packet;
	size_t header_size = size < sizeof(*ip) ? 0 : (ip->version_size & 0xf) * IPV4_SIZE_UNIT;
	struct ipv4_error error = { .ether = *ether };
	size_t icmp_size;

	if (!header_size || !may_answer_ipv4(ip, header_size, size))
		return 0;
	size = least(least(size, be16_read(ip->total_size)),
		     IPV4_ERROR_MAX - sizeof(error.ip) - sizeof(error.icmp));
	icmp_size = sizeof(error.icmp) + size;

	error.ip.version_size = IPV4_VERSION << 4 | sizeof(error.ip) / IPV4_SIZE_UNIT;
	be16_write(error.ip.total_size, (uint16_t) (sizeof(error.ip) + icmp_size));
	error.ip.time_to_live = TIME_TO_LIVE;
	error.ip.protocol = IPV4_PROTOCOL_ICMP;
	memcpy(error.ip.source, ip->destination, sizeof(ip->destination));
	memcpy(error.ip.destination, ip->source, sizeof(ip->source));
	be16_write(error.ip.checksum, checksum((const uint8_t *) &error.ip, sizeof(error.ip)));
	error.icmp.type = ICMP_UNREACHABLE;
	error.icmp.code = ICMP_HOST_UNREACHABLE;

	memcpy(buffer, &error, sizeof(error));
	memcpy(buffer + sizeof(error), packet, size);
	be16_write(buffer + offsetof(struct ipv4_error, icmp.checksum),
		   checksum(buffer + offsetof(struct ipv4_error, icmp), icmp_size));
	return sizeof(error) + size;
}

/* --- IPv6 --- */

static bool is_ipv6_host(const uint8_t *address)
{
	struct ip ip;

	return ip_from_bytes(address, 16, &ip) == 0 && ip_is_unicast(ip) && !ip_is_loopback(ip);
}

/*
 * What follows an extension header cannot be told from an error cheaply: then there is no answer.
 */
static bool may_answer_ipv6(const struct ipv6_wire *ip, size_t size)
{
	const uint8_t *payload = (const uint8_t *) (ip + 1);

	if (ip->version_class_flow[0] >> 4 != IPV6_VERSION)
		return false;
	switch (ip->next_header) {
	case IPV6_NEXT_HOP_BY_HOP:
	case IPV6_NEXT_ROUTING:
	case IPV6_NEXT_FRAGMENT:
	case IPV6_NEXT_DESTINATION:
		return false;
	case IPV6_NEXT_ICMPV6:
		if (size <= sizeof(*ip) || payload[0] < ICMPV6_ERRORS_END ||
		    payload[0] == ICMPV6_REDIRECT)
			return false;
		break;
	default:
		break;
	}
	return is_ipv6_host(ip->source) && is_ipv6_host(ip->destination);
}

static size_t build_ipv6(const struct ether_wire *ether, const uint8_t *packet, size_t size,
			 uint8_t *buffer)
{
	const struct ipv6_wire *ip = (const struct ipv6_wire *) packet;
	struct ipv6_error error = { .ether = *ether };
	size_t icmp_size;

	if (size < sizeof(*ip) || !may_answer_ipv6(ip, size))
		return 0;
	size = least(least(size, sizeof(*ip) + be16_read(ip->payload_size)),
		     IPV6_ERROR_MAX - sizeof(error.ip) - sizeof(error.icmp));
	icmp_size = sizeof(error.icmp) + size;

	error.ip.version_class_flow[0] = IPV6_VERSION << 4;
	be16_write(error.ip.payload_size, (uint16_t) icmp_size);
	error.ip.next_header = IPV6_NEXT_ICMPV6;
	error.ip.hop_limit = TIME_TO_LIVE;
	memcpy(error.ip.source, ip->destination, sizeof(ip->destination));
	memcpy(error.ip.destination, ip->source, sizeof(ip->source));
	error.icmp.type = ICMPV6_UNREACHABLE;
	error.icmp.code = ICMPV6_ADDRESS_UNREACHABLE;

	memcpy(buffer, &error, sizeof(error));
	memcpy(buffer + sizeof(error), packet, size);
	be16_write(buffer + offsetof(struct ipv6_error, icmp.checksum),
		   icmpv6_checksum(&error.ip, buffer + offsetof(struct ipv6_error, icmp),
				   icmp_size));
	return sizeof(error) + size;
}

size_t unreachable_build(const uint8_t *frame, size_t size, uint8_t *buffer)
{
	const struct ether_wire *ether = (const struct ether_wire *) frame;
	struct ether_wire back;

	if (size < sizeof(*ether) || mac_is_group(ether->destination) ||
	    mac_is_group(ether->source) || mac_is_zero(ether->source))
		return 0;
	back = (struct ether_wire){ .destination = ether->source, .source = ether->destination };
	memcpy(back.type, ether->type, sizeof(back.type));

	switch (be16_read(ether->type)) {
	case ETHER_TYPE_IPV4:
		return build_ipv4(&back, frame + sizeof(*ether), size - sizeof(*ether), buffer);
	case ETHER_TYPE_IPV6:
		return build_ipv6(&back, frame + sizeof(*ether), size - sizeof(*ether), buffer);
	default:
		return 0;
	}
}
