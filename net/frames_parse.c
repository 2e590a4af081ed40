/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames_parse.c - from the bytes of an Ethernet frame to what it says, and what that proves.
 *
 * A guest sends these bytes, and the port guard decides by what is read here. So a frame that hides
 * its message must not pass for another: extension headers before ICMPv6 are walked as a receiver
 * walks them. Only a fragmented message is FRAME_OTHER: receivers ignore ND messages that came in
 * fragments (RFC 6980 section 5).
 */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "net/frames.h"
#include "net/frames_wire.h"

static const char *const kind_names[] = {
	[FRAME_OTHER] = "other",
	[FRAME_ARP_REQUEST] = "ARP request",
	[FRAME_ARP_REPLY] = "ARP reply",
	[FRAME_RARP_REQUEST] = "RARP request",
	[FRAME_RARP_REPLY] = "RARP reply",
	[FRAME_NS] = "NS",
	[FRAME_NA] = "NA",
	[FRAME_RA] = "RA",
};
static_assert(ARRAY_SIZE(kind_names) == FRAME_KIND_COUNT, "a kind of frame has no name");

const char *frame_kind_name(enum frame_kind kind)
{
	return kind < FRAME_KIND_COUNT ? kind_names[kind] : "invalid";
}

/* The part of a frame that is still to be read. */
struct reader {
	const uint8_t *position;
	size_t size;
};

/* The next @size bytes, or NULL when there are fewer; then nothing is taken. */
static const void *take(struct reader *reader, size_t size)
{
	const uint8_t *taken = reader->position;

	if (reader->size < size)
		return NULL;
	reader->position += size;
	reader->size -= size;
	return taken;
}

static struct ip ipv4(const uint8_t octet[4])
{
	struct ip ip = { .family = AF_INET };

	memcpy(ip.octet, octet, 4);
	return ip;
}

static struct ip ipv6(const uint8_t octet[16])
{
	struct ip ip = { .family = AF_INET6 };

	memcpy(ip.octet, octet, 16);
	return ip;
}

static bool is_multicast(const uint8_t octet[16])
{
	return octet[0] == 0xff; /* RFC 4291 section 2.7 */
}

static bool is_unspecified(const uint8_t octet[16])
{
	static const uint8_t zero[16];

	return memcmp(octet, zero, sizeof(zero)) == 0;
}

/* --- ARP and RARP --- */

static const struct arp_operation {
	uint16_t ether_type, operation;
	enum frame_kind kind;
} arp_operations[] = {
	{ ETHER_TYPE_ARP, ARP_OPERATION_REQUEST, FRAME_ARP_REQUEST },
	{ ETHER_TYPE_ARP, ARP_OPERATION_REPLY, FRAME_ARP_REPLY },
	{ ETHER_TYPE_RARP, RARP_OPERATION_REQUEST, FRAME_RARP_REQUEST },
	{ ETHER_TYPE_RARP, RARP_OPERATION_REPLY, FRAME_RARP_REPLY },
};

static int parse_arp(struct reader *reader, uint16_t ether_type, struct frame *frame)
{
	const struct arp_wire *arp = take(reader, sizeof(*arp));

	if (!arp)
		return -EBADMSG;
	if (be16_read(arp->hardware_type) != ARP_HARDWARE_ETHERNET ||
	    be16_read(arp->protocol_type) != ARP_PROTOCOL_IPV4 ||
	    arp->hardware_size != sizeof(arp->sender_mac) ||
	    arp->protocol_size != sizeof(arp->sender_ip))
		return -EBADMSG;

	for (size_t i = 0; i < ARRAY_SIZE(arp_operations); i++) {
		const struct arp_operation *known = &arp_operations[i];

		if (known->ether_type == ether_type &&
		    known->operation == be16_read(arp->operation))
			frame->kind = known->kind;
	}
	if (frame->kind == FRAME_OTHER)
		return 0;

	frame->sender_mac = arp->sender_mac;
	frame->sender_ip = ipv4(arp->sender_ip);
	frame->target_mac = arp->target_mac;
	frame->target_ip = ipv4(arp->target_ip);
	return 0;
}

/* --- Neighbor Discovery --- */

/*
 * Reads the options to their end. *ret_mac is the link-layer address of the first option of type
 * @wanted, zero when there is none; *ret_found says which.
 */
static int parse_options(struct reader *reader, uint8_t wanted, struct mac *ret_mac,
			 bool *ret_found)
{
	struct mac mac = { 0 };
	bool found = false;

	while (reader->size > 0) {
		const uint8_t *start = reader->position;
		const struct nd_option_wire *option = take(reader, sizeof(*option));

		if (!option || option->size == 0 ||
		    !take(reader, (option->size - 1) * sizeof(*option)))
			return -EBADMSG;
		if (*start != wanted || found)
			continue;
		if (option->size != 1)
			return -EBADMSG; /* RFC 2464 section 6 */
		mac = option->mac;
		found = true;
	}
	*ret_mac = mac;
	*ret_found = found;
	return 0;
}

/* ff02::1:ff00:0/104, RFC 4291 section 2.7.1 */
static bool is_solicited_node(const uint8_t octet[16])
{
	static const uint8_t prefix[13] = { 0xff, 0x02, [11] = 0x01, [12] = 0xff };

	return memcmp(octet, prefix, sizeof(prefix)) == 0;
}

/* What RFC 4861 section 7.1.1 asks of an NS and parse_nd() does not. */
static int parse_ns(const struct ipv6_wire *ip, bool has_option, struct frame *frame)
{
	bool probe = is_unspecified(ip->source);

	if (probe && (has_option || !is_solicited_node(ip->destination)))
		return -EBADMSG;
	frame->kind = FRAME_NS;
	if (!probe)
		frame->sender_ip = ipv6(ip->source);
	return 0;
}

/* What RFC 4861 section 7.1.2 asks of an NA and parse_nd() does not. */
static int parse_na(const struct ipv6_wire *ip, const struct nd_wire *nd, struct frame *frame)
{
	bool solicited = nd->flags & ND_FLAG_SOLICITED;

	if (solicited && is_multicast(ip->destination))
		return -EBADMSG;
	frame->kind = FRAME_NA;
	frame->sender_ip = ipv6(nd->target);
	frame->na_solicited = solicited;
	frame->na_override = nd->flags & ND_FLAG_OVERRIDE;
	frame->na_router = nd->flags & ND_FLAG_ROUTER;
	return 0;
}

/* fe80::/10, RFC 4291 section 2.5.6 */
static bool is_link_local(const uint8_t octet[16])
{
	return octet[0] == 0xfe && (octet[1] & 0xc0) == 0x80;
}

/* What RFC 4861 section 6.1.2 asks of an RA and parse_nd() does not. */
static int parse_ra(struct reader *reader, const struct ipv6_wire *ip, struct frame *frame)
{
	bool found;
	int r;

	if (!take(reader, sizeof(struct ra_wire)) || !is_link_local(ip->source))
		return -EBADMSG;
	r = parse_options(reader, ND_OPTION_SOURCE, &frame->sender_mac, &found);
	if (r < 0)
		return r;
	frame->kind = FRAME_RA;
	frame->sender_ip = ipv6(ip->source);
	return 0;
}

static int parse_neighbour(struct reader *reader, const struct ipv6_wire *ip, struct frame *frame)
{
	const struct nd_wire *nd = take(reader, sizeof(*nd));
	bool is_ns, found;
	int r;

	if (!nd || is_multicast(nd->target))
		return -EBADMSG;
	is_ns = nd->type == ND_TYPE_NS;
	r = parse_options(reader, is_ns ? ND_OPTION_SOURCE : ND_OPTION_TARGET, &frame->sender_mac,
			  &found);
	if (r < 0)
		return r;

	frame->target_ip = ipv6(nd->target);
	return is_ns ? parse_ns(ip, found, frame) : parse_na(ip, nd, frame);
}

/* @reader: an ICMPv6 message, from its type on to the end of the IPv6 payload. */
static int parse_nd(struct reader *reader, const struct ipv6_wire *ip, bool checksum_done,
		    struct frame *frame)
{
	const uint8_t *message = reader->position; /* type, code */

	if (reader->size == 0)
		return -EBADMSG;
	if (message[0] != ND_TYPE_NS && message[0] != ND_TYPE_NA && message[0] != ND_TYPE_RA)
		return 0;
	if (reader->size < 2 || message[1] != 0 || ip->hop_limit != ND_HOP_LIMIT ||
	    is_multicast(ip->source))
		return -EBADMSG;
	if (checksum_done && icmpv6_checksum(ip, message, reader->size) != 0)
		return -EBADMSG;
	return message[0] == ND_TYPE_RA ? parse_ra(reader, ip, frame)
					: parse_neighbour(reader, ip, frame);
}

static bool is_extension(uint8_t next_header)
{
	return next_header == IPV6_NEXT_HOP_BY_HOP || next_header == IPV6_NEXT_ROUTING ||
	       next_header == IPV6_NEXT_DESTINATION;
}

static int parse_ipv6(struct reader *reader, bool checksum_done, struct frame *frame)
{
	const struct ipv6_wire *ip = take(reader, sizeof(*ip));
	const struct ipv6_extension_wire *extension;
	struct reader payload = *reader;
	uint8_t next_header;
	bool truncated;

	if (!ip || ip->version_class_flow[0] >> 4 != IPV6_VERSION)
		return -EBADMSG;

	truncated = be16_read(ip->payload_size) > payload.size;
	if (!truncated)
		payload.size = be16_read(ip->payload_size); /* what follows is padding */

	next_header = ip->next_header;
	while (is_extension(next_header)) {
		extension = take(&payload, sizeof(*extension));
		if (!extension || !take(&payload, extension->size * sizeof(*extension)))
			return -EBADMSG;
		next_header = extension->next_header;
	}

	if (next_header != IPV6_NEXT_ICMPV6)
		return 0;
	if (truncated)
		return -EBADMSG;
	return parse_nd(&payload, ip, checksum_done, frame);
}

int frame_parse(const uint8_t *data, size_t size, bool checksum_done, struct frame *ret_frame)
{
	struct reader reader = { .position = data, .size = size };
	const struct ether_wire *ether = take(&reader, sizeof(*ether));
	struct frame frame = { .kind = FRAME_OTHER };
	uint16_t type;
	int r = 0;

	if (!ether)
		return -EBADMSG;
	frame.destination = ether->destination;
	frame.source = ether->source;

	type = be16_read(ether->type);
	if (type == ETHER_TYPE_ARP || type == ETHER_TYPE_RARP)
		r = parse_arp(&reader, type, &frame);
	else if (type == ETHER_TYPE_IPV6)
		r = parse_ipv6(&reader, checksum_done, &frame);
	if (r < 0)
		return r;

	*ret_frame = frame;
	return 0;
}

bool frame_claims(const struct frame *frame, struct mac *ret_mac, struct ip *ret_ip)
{
	struct mac mac = frame->sender_mac;

	switch (frame->kind) {
	case FRAME_ARP_REQUEST:
	case FRAME_ARP_REPLY:
		break;
	case FRAME_NS:
	case FRAME_NA:
	case FRAME_RA:
		if (mac_is_zero(mac))
			mac = frame->source; /* the option may be left out */
		break;
	case FRAME_OTHER:
	case FRAME_RARP_REQUEST:
	case FRAME_RARP_REPLY:
	case FRAME_KIND_COUNT:
		return false;
	}

	if (mac_is_zero(mac) || mac_is_group(mac) || !ip_is_unicast(frame->sender_ip))
		return false;
	*ret_mac = mac;
	*ret_ip = frame->sender_ip;
	return true;
}
