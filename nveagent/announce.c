/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/announce.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "net/frames.h"

/* Returns the frame's size, or 0 for an address that cannot be announced. */
static size_t build(struct mac mac, struct ip ip, uint8_t *buffer)
{
	if (!ip_is_unicast(ip))
		return 0;
	return ip.family == AF_INET ? frame_build_garp(mac, ip, buffer)
				    : frame_build_unsolicited_na(mac, ip, false, buffer);
}

struct sender {
	int fd;
	const uint32_t *ports;
	size_t port_count;
	int sent;
	int failed; /* the last error, 0 when there was none */
};

/* One packet socket serves all ports: the destination address names the device. */
static void send_everywhere(struct sender *sender, const uint8_t *frame, size_t size)
{
	for (size_t i = 0; i < sender->port_count; i++) {
		struct sockaddr_ll to = {
			.sll_family = AF_PACKET,
			.sll_ifindex = (int) sender->ports[i],
			.sll_halen = ETH_ALEN,
		};

		memcpy(to.sll_addr, frame, ETH_ALEN);
		memcpy(&to.sll_protocol, frame + offsetof(struct ethhdr, h_proto),
		       sizeof(to.sll_protocol));
		if (sendto(sender->fd, frame, size, MSG_DONTWAIT, (const struct sockaddr *) &to,
			   sizeof(to)) < 0)
			sender->failed = -errno;
		else
			sender->sent++;
	}
}

int announce(struct mac mac, const struct ip *ips, size_t ip_count, const uint32_t *ports,
	     size_t port_count)
{
	/* Protocol 0: it receives nothing. */
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sender sender = { .fd = fd, .ports = ports, .port_count = port_count };
	uint8_t frame[FRAME_BUILD_SIZE];
	size_t size, known = 0;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < ip_count; i++) {
		size = build(mac, ips[i], frame);
		if (size == 0)
			continue;
		known++;
		send_everywhere(&sender, frame, size);
	}
	if (known == 0) {
		size = frame_build_rarp_request(mac, frame);
		send_everywhere(&sender, frame, size);
	}
	return sender.sent > 0 ? sender.sent : sender.failed;
}
