/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	CONTROL_SIZE = 128, /* one in6_pktinfo and one size, with room to spare */
	LISTEN_BACKLOG = 16,
	BUNDLES = 16, /* received per system call */
	/* Datagrams in one: UDP_GRO_CNT_MAX in net/ipv4/udp_offload.c, and its double. */
	BUNDLE_MAX = 128,
	BUNDLE_SIZE = 1 << 16,
};

/* One datagram of a bundle. */
struct part {
	uint32_t offset, size;
	uint8_t bundle;
};

struct probe_inbox {
	struct mmsghdr messages[BUNDLES];
	struct iovec iov[BUNDLES];
	struct sockaddr_in6 from[BUNDLES];
	struct in6_addr to[BUNDLES];
	struct part parts[BUNDLES * BUNDLE_MAX];
	size_t part_count;
	uint8_t control[BUNDLES][CONTROL_SIZE] __attribute__((aligned(8)));
	uint8_t data[BUNDLES][BUNDLE_SIZE];
};

int probe_address_parse(const char *text, uint16_t port, union probe_address *ret_address)
{
	union probe_address address = { 0 };

	if (inet_pton(AF_INET, text, &address.ip4.sin_addr) == 1) {
		address.ip4.sin_family = AF_INET;
		address.ip4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, text, &address.ip6.sin6_addr) == 1) {
		address.ip6.sin6_family = AF_INET6;
		address.ip6.sin6_port = htons(port);
	} else {
		return -EINVAL;
	}

	*ret_address = address;
	return 0;
}

socklen_t probe_address_size(const union probe_address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->ip4) : sizeof(address->ip6);
}

uint64_t probe_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The forced option goes above the system's limit but needs CAP_NET_ADMIN (socket(7)). */
static void size_buffers(int fd)
{
	if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, PROBE_RECEIVE_BUFFER) < 0)
		(void) set_option(fd, SOL_SOCKET, SO_RCVBUF, PROBE_RECEIVE_BUFFER);
	(void) set_option(fd, SOL_SOCKET, SO_SNDBUF, PROBE_SEND_BUFFER);
}

/* An IPv6 socket takes the IPv4 option too: it is for its IPv4-mapped traffic. */
static int prepare_udp(int fd, int family)
{
	int r = set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);

	size_buffers(fd);
	(void) set_option(fd, SOL_UDP, UDP_GRO, 1); /* a kernel before 5.0 does without */
	if (r == 0 && family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	return r;
}

static int listen_at(uint16_t port, int type)
{
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	_cleanup_close_ int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;

	r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (r == 0 && type == SOCK_STREAM)
		r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *) &any, sizeof(any)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int probe_udp_listen(uint16_t port)
{
	_cleanup_close_ int fd = listen_at(port, SOCK_DGRAM);
	int r;

	if (fd < 0)
		return fd;

	r = prepare_udp(fd, AF_INET6);
	if (r == 0)
		r = set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return r < 0 ? r : TAKE_FD(fd);
}

int probe_udp_connect(const union probe_address *to)
{
	_cleanup_close_ int fd =
		socket(to->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;

	r = prepare_udp(fd, to->any.sa_family);
	if (r < 0)
		return r;
	if (connect(fd, &to->any, probe_address_size(to)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int probe_tcp_listen(uint16_t port)
{
	_cleanup_close_ int fd = listen_at(port, SOCK_STREAM);

	if (fd < 0)
		return fd;
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int probe_tcp_prepare(int fd)
{
	return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int probe_tcp_connect(const union probe_address *to)
{
	_cleanup_close_ int fd =
		socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;

	r = probe_tcp_prepare(fd);
	if (r < 0)
		return r;
	if (connect(fd, &to->any, probe_address_size(to)) < 0 && errno != EINPROGRESS)
		return -errno;
	return TAKE_FD(fd);
}

uint32_t probe_socket_drops(int fd)
{
	uint32_t values[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(values);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &size) < 0)
		return 0;
	return values[SK_MEMINFO_DROPS];
}

uint64_t probe_backlog_drops(void)
{
	FILE *file = fopen("/proc/net/softnet_stat", "re");
	unsigned dropped;
	uint64_t total = 0;

	while (file && fscanf(file, "%*x %x%*[^\n]", &dropped) == 1)
		total += dropped;
	if (file)
		(void) fclose(file);
	return total;
}

struct probe_inbox *probe_inbox_new(void)
{
	struct probe_inbox *inbox = calloc(1, sizeof(*inbox));

	for (size_t i = 0; inbox && i < BUNDLES; i++)
		inbox->iov[i] = (struct iovec){ inbox->data[i], BUNDLE_SIZE };
	return inbox;
}

struct probe_inbox *probe_inbox_free(struct probe_inbox *inbox)
{
	free(inbox);
	return NULL;
}

/* The kernel overwrites the lengths, so every header is made anew. */
static void reset(struct probe_inbox *inbox)
{
	inbox->part_count = 0;
	for (size_t i = 0; i < BUNDLES; i++)
		inbox->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &inbox->from[i],
			.msg_namelen = sizeof(inbox->from[i]),
			.msg_iov = &inbox->iov[i],
			.msg_iovlen = 1,
			.msg_control = inbox->control[i],
			.msg_controllen = sizeof(inbox->control[i]),
		};
}

/*
 * What the kernel says beside the bytes: where they were sent to, and the size of each datagram but
 * the last when there are several.
 */
static uint32_t read_control(struct probe_inbox *inbox, uint8_t bundle, uint32_t size)
{
	struct msghdr *header = &inbox->messages[bundle].msg_hdr;
	struct in6_pktinfo info = { 0 };
	int each = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(&info, CMSG_DATA(c), sizeof(info));
		else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&each, CMSG_DATA(c), sizeof(each));
	}
	inbox->to[bundle] = info.ipi6_addr;
	return each > 0 ? (uint32_t) each : size;
}

static void take_apart(struct probe_inbox *inbox, uint8_t bundle)
{
	uint32_t size = inbox->messages[bundle].msg_len, offset = 0;
	uint32_t each = read_control(inbox, bundle, size);

	do {
		uint32_t left = size - offset;

		inbox->parts[inbox->part_count++] = (struct part){
			.offset = offset,
			.size = left < each ? left : each,
			.bundle = bundle,
		};
		offset += each;
	} while (offset < size && inbox->part_count < ARRAY_SIZE(inbox->parts));
}

int probe_inbox_receive(struct probe_inbox *inbox, int fd)
{
	int n;

	reset(inbox);
	n = recvmmsg(fd, inbox->messages, BUNDLES, MSG_DONTWAIT, NULL);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		take_apart(inbox, (uint8_t) i);
	return (int) inbox->part_count;
}

struct probe_datagram probe_inbox_get(const struct probe_inbox *inbox, size_t index)
{
	const struct part *part = &inbox->parts[index];

	return (struct probe_datagram){
		.data = inbox->data[part->bundle] + part->offset,
		.size = part->size,
		.from = inbox->from[part->bundle],
		.to = inbox->to[part->bundle],
	};
}

void probe_target_address(struct probe_target *target, struct msghdr *message, uint8_t *control)
{
	struct in6_pktinfo info = { .ipi6_addr = target->source };
	struct cmsghdr *header = (struct cmsghdr *) (void *) control;

	if (target->connected)
		return;

	memset(control, 0, PROBE_SOURCE_SIZE);
	header->cmsg_level = IPPROTO_IPV6;
	header->cmsg_type = IPV6_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(header), &info, sizeof(info));
	message->msg_name = &target->to;
	message->msg_namelen = sizeof(target->to);
	message->msg_control = control;
	message->msg_controllen = PROBE_SOURCE_SIZE;
}

int probe_target_send(struct probe_target *target, const uint8_t *data, size_t size)
{
	uint8_t control[PROBE_SOURCE_SIZE] __attribute__((aligned(8)));
	struct iovec iov = { (void *) data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	probe_target_address(target, &message, control);
	return sendmsg(target->fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}
