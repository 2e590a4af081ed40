/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arrivals.c - a packet socket that nobody reads: the kernel counts what passes its filter, also
 * what finds no room (PACKET_STATISTICS, packet(7)).
 */
#include "nveagent/arrivals.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/closer.h"

struct arrivals {
	int fd;
};

static int set_filter(int fd, struct mac mac)
{
	const uint32_t high = (uint32_t) mac.octet[0] << 24 | (uint32_t) mac.octet[1] << 16 |
			      (uint32_t) mac.octet[2] << 8 | mac.octet[3];
	const uint32_t low = (uint32_t) mac.octet[4] << 8 | mac.octet[5];
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1), /* a byte of it will do */
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

static int bind_to(int fd, uint32_t ifindex)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int) ifindex,
	};

	return bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
}

int arrivals_open(uint32_t ifindex, struct mac mac, struct arrivals **ret_arrivals)
{
	_cleanup_(arrivals_freep) struct arrivals *arrivals = calloc(1, sizeof(*arrivals));
	const int one = 1;
	int r;

	if (!arrivals)
		return -ENOMEM;
	/* Protocol 0: nothing arrives before the filter is there and the socket is bound. */
	arrivals->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (arrivals->fd < 0 ||
	    setsockopt(arrivals->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0)
		return -errno;
	r = set_filter(arrivals->fd, mac);
	if (r == 0)
		r = bind_to(arrivals->fd, ifindex);
	if (r < 0)
		return r;
	*ret_arrivals = TAKE_PTR(arrivals);
	return 0;
}

struct arrivals *arrivals_free(struct arrivals *arrivals)
{
	if (!arrivals)
		return NULL;

	closer_close(arrivals->fd);
	free(arrivals);
	return NULL;
}

int arrivals_count(struct arrivals *arrivals, unsigned *ret_count)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);

	/* Reading them resets them. */
	if (getsockopt(arrivals->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		return -errno;
	*ret_count = stats.tp_packets;
	return 0;
}
