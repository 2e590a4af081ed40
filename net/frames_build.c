/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "net/frames.h"
#include "net/frames_wire.h"

/* --- ARP and RARP --- */

struct arp_frame {
	struct ether_wire ether;
	struct arp_wire arp;
};
static_assert(sizeof(struct arp_frame) == 42, "no padding between the headers");
static_assert(sizeof(struct arp_frame) < FRAME_SIZE_MIN, "every ARP frame is padded");
static_assert(FRAME_SIZE_MIN <= FRAME_BUILD_SIZE, "a padded frame fits");

/* One end of an ARP packet. */
struct arp_end {
	struct mac mac;
	struct ip ip; /* IPv4, or none: zero on the wire */
};

static bool fits_arp(struct ip ip)
{
	return ip.family == AF_INET || ip_is_none(ip);
}

static size_t build_arp(uint16_t ether_type, uint16_t operation, struct mac destination,
			struct arp_end sender, struct arp_end target, uint8_t *buffer)
{
	struct arp_frame frame = {
		.ether = {.destination = destination, .source = sender.mac},
		.arp = {
			.hardware_size = sizeof(frame.arp.sender_mac),
			.protocol_size = sizeof(frame.arp.sender_ip),
			.sender_mac = sender.mac,
			.target_mac = target.mac,
		},
	};

	if (!fits_arp(sender.ip) || !fits_arp(target.ip))
		return 0;

	be16_write(frame.ether.type, ether_type);
	be16_write(frame.arp.hardware_type, ARP_HARDWARE_ETHERNET);
	be16_write(frame.arp.protocol_type, ARP_PROTOCOL_IPV4);
	be16_write(frame.arp.operation, operation);
	memcpy(frame.arp.sender_ip, sender.ip.octet, sizeof(frame.arp.sender_ip));
	memcpy(frame.arp.target_ip, target.ip.octet, sizeof(frame.arp.target_ip));

	memset(buffer, 0, FRAME_SIZE_MIN);
	memcpy(buffer, &frame, sizeof(frame));
	return FRAME_SIZE_MIN;
}

size_t frame_build_garp(struct mac mac, struct ip ip, uint8_t *buffer)
{
	return frame_build_arp_request(mac, ip, ip, buffer);
}

/* RFC 5944 section 4.6 */
size_t frame_build_garp_reply(struct mac mac, struct ip ip, uint8_t *buffer)
{
	struct arp_end self = { mac, ip };

	if (ip_is_none(ip))
		return 0;
	return build_arp(ETHER_TYPE_ARP, ARP_OPERATION_REPLY, mac_broadcast, self, self, buffer);
}

size_t frame_build_arp_request(struct mac source, struct ip sender, struct ip target,
			       uint8_t *buffer)
{
	return frame_build_arp_poll(source, sender, mac_broadcast, target, buffer);
}

size_t frame_build_arp_poll(struct mac source, struct ip sender, struct mac to_mac,
			    struct ip target, uint8_t *buffer)
{
	if (ip_is_none(target))
		return 0;
	return build_arp(ETHER_TYPE_ARP, ARP_OPERATION_REQUEST, to_mac,
			 (struct arp_end){ source, sender }, (struct arp_end){ .ip = target },
			 buffer);
}

size_t frame_build_arp_reply(struct mac source, struct ip sender, struct mac to_mac,
			     struct ip to_ip, uint8_t *buffer)
{
	if (ip_is_none(sender))
		return 0;
	return build_arp(ETHER_TYPE_ARP, ARP_OPERATION_REPLY, to_mac,
			 (struct arp_end){ source, sender }, (struct arp_end){ to_mac, to_ip },
			 buffer);
}

/* The sender's and the target's IP are undefined in a request (RFC 903 section 3): zero. */
size_t frame_build_rarp_request(struct mac mac, uint8_t *buffer)
{
	struct arp_end self = { .mac = mac };

	return build_arp(ETHER_TYPE_RARP, RARP_OPERATION_REQUEST, mac_broadcast, self, self,
			 buffer);
}

size_t frame_build_rarp_reply(struct mac server_mac, struct ip server_ip, struct mac mac,
			      struct ip ip, uint8_t *buffer)
{
	if (ip_is_none(server_ip) || ip_is_none(ip))
		return 0;
	return build_arp(ETHER_TYPE_RARP, RARP_OPERATION_REPLY, mac,
			 (struct arp_end){ server_mac, server_ip }, (struct arp_end){ mac, ip },
			 buffer);
}

/* --- Neighbor Discovery --- */

struct nd_frame {
	struct ether_wire ether;
	struct ipv6_wire ip;
	struct nd_wire nd;
	struct nd_option_wire option; /* left out when its type is 0 */
};
static_assert(sizeof(struct nd_frame) == 86, "no padding between the headers");
static_assert(sizeof(struct nd_frame) - sizeof(struct nd_option_wire) >= FRAME_SIZE_MIN,
	      "no ND frame is padded");
static_assert(sizeof(struct nd_frame) <= FRAME_BUILD_SIZE, "an ND frame fits");

/* What the ND builders differ in. */
struct nd_message {
	uint8_t type, flags, option;
	struct mac source;
	struct ip sender; /* none: unspecified */
	struct mac to_mac;
	struct ip to_ip;
	struct ip target;
};

/* RFC 4291 section 2.7.1 */
static const struct ip all_nodes = { AF_INET6, { 0xff, 0x02, [15] = 1 } };

/* RFC 4291 section 2.7.1 */
static struct ip solicited_node(struct ip ip)
{
	struct ip group = { AF_INET6, { 0xff, 0x02, [11] = 0x01, [12] = 0xff } };

	memcpy(group.octet + 13, ip.octet + 13, 3);
	return group;
}

/* RFC 2464 section 7 */
static struct mac multicast_mac(struct ip group)
{
	struct mac mac = { { 0x33, 0x33 } };

	memcpy(mac.octet + 2, group.octet + 12, 4);
	return mac;
}

static size_t build_nd(const struct nd_message *message, uint8_t *buffer)
{
	size_t option_size = message->option ? sizeof(struct nd_option_wire) : 0;
	size_t nd_size = sizeof(struct nd_wire) + option_size;
	struct nd_frame frame = {
		.ether = {.destination = message->to_mac, .source = message->source},
		.ip = {
			.version_class_flow = {IPV6_VERSION << 4},
			.next_header = IPV6_NEXT_ICMPV6,
			.hop_limit = ND_HOP_LIMIT,
		},
		.nd = {.type = message->type, .flags = message->flags},
		.option = {.type = message->option, .size = 1, .mac = message->source},
	};
	uint8_t *icmpv6 = buffer + offsetof(struct nd_frame, nd);

	be16_write(frame.ether.type, ETHER_TYPE_IPV6);
	be16_write(frame.ip.payload_size, (uint16_t) nd_size);
	memcpy(frame.ip.source, message->sender.octet, sizeof(frame.ip.source));
	memcpy(frame.ip.destination, message->to_ip.octet, sizeof(frame.ip.destination));
	memcpy(frame.nd.target, message->target.octet, sizeof(frame.nd.target));

	memcpy(buffer, &frame, sizeof(frame));
	be16_write(icmpv6 + offsetof(struct nd_wire, checksum),
		   icmpv6_checksum(&frame.ip, icmpv6, nd_size));
	return offsetof(struct nd_frame, nd) + nd_size;
}

size_t frame_build_unsolicited_na(struct mac mac, struct ip ip, bool router, uint8_t *buffer)
{
	struct nd_message message = {
		.type = ND_TYPE_NA,
		.flags = ND_FLAG_OVERRIDE | (router ? ND_FLAG_ROUTER : 0),
		.option = ND_OPTION_TARGET,
		.source = mac,
		.sender = ip,
		.to_mac = multicast_mac(all_nodes),
		.to_ip = all_nodes,
		.target = ip,
	};

	return ip.family == AF_INET6 ? build_nd(&message, buffer) : 0;
}

size_t frame_build_ns_poll(struct mac source, struct ip sender, struct mac to_mac, struct ip target,
			   uint8_t *buffer)
{
	struct nd_message message = {
		.type = ND_TYPE_NS,
		.option = ND_OPTION_SOURCE,
		.source = source,
		.sender = sender,
		.to_mac = to_mac,
		.to_ip = target,
		.target = target,
	};

	if (target.family != AF_INET6 || sender.family != AF_INET6)
		return 0;
	return build_nd(&message, buffer);
}

size_t frame_build_ns(struct mac source, struct ip sender, struct ip target, uint8_t *buffer)
{
	struct ip group = solicited_node(target);
	struct nd_message message = {
		.type = ND_TYPE_NS,
		/* A probe has no sender yet: RFC 4861 section 4.3. */
		.option = ip_is_none(sender) ? 0 : ND_OPTION_SOURCE,
		.source = source,
		.sender = sender,
		.to_mac = multicast_mac(group),
		.to_ip = group,
		.target = target,
	};

	if (target.family != AF_INET6 || sender.family == AF_INET)
		return 0;
	return build_nd(&message, buffer);
}

/* The answer to a probe goes to everyone, unsolicited: RFC 4861 section 7.2.4. */
size_t frame_build_na(struct mac source, struct ip target, struct mac to_mac, struct ip to_ip,
		      uint8_t *buffer)
{
	struct nd_message message = {
		.type = ND_TYPE_NA,
		.flags = ND_FLAG_OVERRIDE | ND_FLAG_SOLICITED,
		.option = ND_OPTION_TARGET,
		.source = source,
		.sender = target,
		.to_mac = to_mac,
		.to_ip = to_ip,
		.target = target,
	};

	if (target.family != AF_INET6 || to_ip.family == AF_INET)
		return 0;
	return ip_is_none(to_ip) ? frame_build_unsolicited_na(source, target, false, buffer)
				 : build_nd(&message, buffer);
}
