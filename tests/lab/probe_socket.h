/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_socket.h - the probe's sockets and clock; every function that returns int gives 0 or more,
 * or -errno.
 */
#ifndef REHOME_TESTS_LAB_PROBE_SOCKET_H
#define REHOME_TESTS_LAB_PROBE_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/cleanup.h"

enum {
	PROBE_BATCH = 64, /* datagrams sent per system call */
	/*
	 * The kernel doubles this; a packet of 1400 bytes is charged 2304. So 20,000 of them a
	 * second may wait for 1.4 s. A small guest reaches its udp_mem first; both show as socket
	 * drops.
	 */
	PROBE_RECEIVE_BUFFER = 32 << 20,
	/*
	 * The kernel doubles this; a smallest packet is charged 768 bytes. So at most 277 packets
	 * wait in the sending host, fewer than the 1000 of a default device queue: the sender is
	 * told to wait before a queue on its own host could drop.
	 */
	PROBE_SEND_BUFFER = 104 << 10,
};

/* Any address of either family. */
union probe_address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

/* Reads a numeric address. -EINVAL when @text is neither IPv4 nor IPv6. */
int probe_address_parse(const char *text, uint16_t port, union probe_address *ret_address);
socklen_t probe_address_size(const union probe_address *address);

/* CLOCK_MONOTONIC. */
uint64_t probe_now_ns(void);
static inline uint64_t probe_now_us(void)
{
	return probe_now_ns() / 1000;
}

/*
 * Sockets are non-blocking and close-on-exec. UDP ones have the buffers named above (less without
 * privilege); they send with DF at any size their own device takes and ignore what ICMP says of the
 * path's MTU (IP_PMTUDISC_PROBE): what does not fit further on is lost, and counted. Those that
 * listen take both families. They return the descriptor.
 */
int probe_udp_listen(uint16_t port);
int probe_udp_connect(const union probe_address *to);
int probe_tcp_listen(uint16_t port);
/* Starts connecting; the socket is writable, or in error, when that has ended. */
int probe_tcp_connect(const union probe_address *to);
/* Makes an accepted or connecting TCP socket send small segments at once. */
int probe_tcp_prepare(int fd);

/*
 * Packets the kernel dropped because the socket's buffer was full, since the socket was made
 * (SO_MEMINFO).
 */
uint32_t probe_socket_drops(int fd);

/*
 * Packets that this kernel dropped, for whatever receiver and in any namespace, because a CPU's
 * queue between devices was full (net.core.netdev_max_backlog; the second column of
 * /proc/net/softnet_stat). veth passes everything through that queue.
 */
uint64_t probe_backlog_drops(void);

/*
 * Receives datagrams in batches. The kernel may hand over several of one sender and size at once
 * (UDP_GRO, udp(7)): that they walked its stack together is worth a third of an emulated CPU. They
 * are told apart again here.
 */
struct probe_inbox;
struct probe_inbox *probe_inbox_new(void);
struct probe_inbox *probe_inbox_free(struct probe_inbox *inbox);
DEFINE_CLEANUP(struct probe_inbox, probe_inbox_free)

struct probe_datagram {
	const uint8_t *data; /* borrowed: valid until the next receive */
	size_t size;
	struct sockaddr_in6 from; /* on a listening socket; IPv4 as a mapped address */
	struct in6_addr to;	  /* on a listening socket: the address it was sent to */
};

/* Takes of what waits; returns how many datagrams, more than 0, or -EAGAIN for none. */
int probe_inbox_receive(struct probe_inbox *inbox, int fd);
struct probe_datagram probe_inbox_get(const struct probe_inbox *inbox, size_t index);

/*
 * Where a datagram goes: over a connected socket, or to an address, from the address it was asked
 * at.
 */
struct probe_target {
	int fd;
	bool connected;
	struct sockaddr_in6 to;
	struct in6_addr source;
};

/*
 * The control bytes that set the source address of a target that is not connected (RFC 3542 section
 * 6.2).
 */
#define PROBE_SOURCE_SIZE CMSG_SPACE(sizeof(struct in6_pktinfo))
void probe_target_address(struct probe_target *target, struct msghdr *message, uint8_t *control);

/* Sends one datagram. */
int probe_target_send(struct probe_target *target, const uint8_t *data, size_t size);

#endif
