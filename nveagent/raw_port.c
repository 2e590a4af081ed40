/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw_port.c - a packet socket that only sends. */
#include "nveagent/raw_port.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct raw_port {
	int fd;
};

static int set_options(int fd, bool bypass)
{
	static const int one = 1, send_buffer = RAW_PORT_SEND_BUFFER;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer)) < 0)
		return -errno;
	if (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0)
		return -errno;
	return 0;
}

int raw_port_open(uint32_t ifindex, bool bypass, struct raw_port **ret_port)
{
	/* Protocol 0 receives nothing: packet(7). */
	const struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int) ifindex };
	_cleanup_(raw_port_freep) struct raw_port *port = calloc(1, sizeof(*port));
	int r;

	if (!port)
		return -ENOMEM;

	port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (port->fd < 0)
		return -errno;
	r = set_options(port->fd, bypass);
	if (r < 0)
		return r;
	if (bind(port->fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
		return -errno;

	*ret_port = TAKE_PTR(port);
	return 0;
}

struct raw_port *raw_port_free(struct raw_port *port)
{
	if (!port)
		return NULL;

	if (port->fd >= 0)
		close(port->fd);
	free(port);
	return NULL;
}

int raw_port_send(struct raw_port *port, const struct virtio_net_hdr *vnet, const uint8_t *frame, size_t size)
{
	struct virtio_net_hdr none = { 0 };
	struct iovec parts[] = {
		{ vnet ? (void *) vnet : &none, sizeof(none) },
		{ (void *) frame, size },
	};
	ssize_t n;

	do {
		n = writev(port->fd, parts, ARRAY_SIZE(parts));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
