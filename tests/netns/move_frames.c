/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* move_frames.c - numbered frames and TCP bundles: RFC 9293 section 3.1, RFC 5737. */
#include "tests/netns/move_frames.h"

#include <arpa/inet.h>
#include <linux/ip.h>
#include <netinet/tcp.h>
#include <string.h>

#include "tests/netns/netns.h"

enum {
	ETHERTYPE_TEST = 0x88b5, /* IEEE 802 local experimental 1 */
	ETHERTYPE_IPV4 = 0x0800,
	ETHERNET_SIZE = 14,
	TCP_OFFSET = ETHERNET_SIZE + sizeof(struct iphdr),
	DATA_OFFSET = TCP_OFFSET + sizeof(struct tcphdr),
	BUNDLE_DATA = MOVE_BUNDLE_SEGMENTS * MOVE_SEGMENT_SIZE,
	PORT = 7,
	SOURCE = 0xcb007101, /* 203.0.113.1 */
	DESTINATION = 0xcb007102,
};

size_t move_frame_build(struct mac to, struct mac from, uint32_t number, uint8_t *frame)
{
	return numbered_frame(to, from, ETHERTYPE_TEST, number, MOVE_FRAME_SIZE, frame);
}

/* The ones' complement sum of RFC 1071. */
static uint16_t sum_bytes(const void *data, size_t size, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? bytes[i] : (uint32_t) bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) sum;
}

/* Of the pseudo-header. */
static uint16_t pseudo_sum(const struct iphdr *ip, size_t tcp_size)
{
	return sum_bytes(&ip->saddr, sizeof(ip->saddr) + sizeof(ip->daddr),
			 IPPROTO_TCP + (uint32_t) tcp_size);
}

/* With CHECKSUM_PARTIAL the field holds the pseudo-header's sum (include/linux/skbuff.h). */
size_t move_bundle_build(struct mac to, struct mac from, uint32_t number,
			 struct virtio_net_hdr *ret_vnet, uint8_t *frame)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons(sizeof(ip) + sizeof(struct tcphdr) + BUNDLE_DATA),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(SOURCE),
		.daddr = htonl(DESTINATION),
	};
	struct tcphdr tcp = {
		.source = htons(PORT),
		.dest = htons(PORT),
		.seq = htonl(number * MOVE_SEGMENT_SIZE),
		.doff = sizeof(tcp) / 4,
		.ack = 1,
		.check = htons(pseudo_sum(&ip, sizeof(tcp) + BUNDLE_DATA)),
	};

	ip.check = htons((uint16_t) ~sum_bytes(&ip, sizeof(ip), 0)); /* br_netfilter looks at it */
	numbered_frame(to, from, ETHERTYPE_IPV4, 0, DATA_OFFSET + BUNDLE_DATA, frame);
	memcpy(frame + ETHERNET_SIZE, &ip, sizeof(ip));
	memcpy(frame + TCP_OFFSET, &tcp, sizeof(tcp));
	*ret_vnet = (struct virtio_net_hdr) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = DATA_OFFSET,
		.gso_size = MOVE_SEGMENT_SIZE,
		.csum_start = TCP_OFFSET,
		.csum_offset = offsetof(struct tcphdr, check),
	};
	return DATA_OFFSET + BUNDLE_DATA;
}

static size_t read_bundle(uint8_t vnet_flags, const uint8_t *frame, size_t size,
			  uint32_t *ret_first)
{
	const uint8_t trusted = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	struct iphdr ip;
	struct tcphdr tcp;
	size_t tcp_size;

	memcpy(&ip, frame + ETHERNET_SIZE, sizeof(ip));
	memcpy(&tcp, frame + TCP_OFFSET, sizeof(tcp));
	tcp_size = ntohs(ip.tot_len) - sizeof(ip);
	if (ip.saddr != htonl(SOURCE) || TCP_OFFSET + tcp_size > size || tcp_size < sizeof(tcp))
		return 0;
	if (!(vnet_flags & trusted) &&
	    sum_bytes(frame + TCP_OFFSET, tcp_size, pseudo_sum(&ip, tcp_size)) != UINT16_MAX)
		return 0;

	*ret_first = ntohl(tcp.seq) / MOVE_SEGMENT_SIZE;
	return (tcp_size - sizeof(tcp)) / MOVE_SEGMENT_SIZE;
}

size_t move_frame_read(struct mac vm, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		       size_t size, uint32_t *ret_first)
{
	uint16_t type;

	if (size < MOVE_FRAME_SIZE || memcmp(frame, vm.octet, MAC_SIZE) != 0)
		return 0;
	memcpy(&type, frame + 2 * MAC_SIZE, sizeof(type));
	if (type == htons(ETHERTYPE_IPV4))
		return read_bundle(vnet->flags, frame, size, ret_first);
	if (type != htons(ETHERTYPE_TEST))
		return 0;
	*ret_first = frame_number(frame);
	return 1;
}
