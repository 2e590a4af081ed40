/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw_port.c - a packet socket that only sends. */
#include "nveagent/raw_port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "common/clock.h"

enum {
	SOFTNET_TEXT_MAX = 16384, /* 136 bytes a CPU; of more CPUs than fit the first are looked at */
	SOFTNET_FIELD = 11,	  /* of a line, from 0: frames in the CPU's backlog, since Linux 5.10 (net-procfs.c) */
	SOFTNET_CPU_FIELD = 12,	  /* the CPU's number, likewise */
	SOFTNET_FIELD_WIDTH = 9,  /* 8 hexadecimal digits and a space */
	ANY_CPU = -1,
};

struct raw_port {
	int fd, softnet; /* @softnet: /proc/net/softnet_stat, -1 when it is not there */
	unsigned burst;	 /* frames since the last look */
	int cpu;	 /* where we are pinned, or ANY_CPU */
	cpu_set_t allowed; /* before that */
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

	port->cpu = ANY_CPU;
	port->softnet = open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC);
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
	if (port->softnet >= 0)
		close(port->softnet);
	free(port);
	return NULL;
}

static unsigned long softnet_field(const char *line, unsigned field)
{
	size_t offset = (size_t) field * SOFTNET_FIELD_WIDTH;

	return strlen(line) > offset ? strtoul(line + offset, NULL, 16) : 0;
}

/* The longest backlog of any CPU, or that of @cpu; 0 when it cannot be known. */
static unsigned long backlog(int softnet, int cpu)
{
	char text[SOFTNET_TEXT_MAX], *rest = text;
	ssize_t n = softnet < 0 ? 0 : pread(softnet, text, sizeof(text) - 1, 0);
	unsigned long longest = 0;

	text[n < 0 ? 0 : n] = '\0';
	for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		unsigned long length = softnet_field(line, SOFTNET_FIELD);

		if (cpu == ANY_CPU || softnet_field(line, SOFTNET_CPU_FIELD) == (unsigned long) cpu)
			longest = length > longest ? length : longest;
	}
	return longest;
}

/* Waits until the backlog is not longer than @frames, but not longer than @us_max. */
static void await_backlog(const struct raw_port *port, int cpu, unsigned long frames, uint64_t us_max)
{
	const struct timespec pause = { .tv_nsec = RAW_PORT_PAUSE_US * 1000L };
	uint64_t deadline = clock_monotonic_us() + us_max;

	while (backlog(port->softnet, cpu) > frames && clock_monotonic_us() < deadline)
		(void) nanosleep(&pause, NULL);
}

void raw_port_await_room(const struct raw_port *port)
{
	await_backlog(port, ANY_CPU, RAW_PORT_BACKLOG_MAX, RAW_PORT_ROOM_US_MAX);
}

void raw_port_pin(struct raw_port *port)
{
	cpu_set_t here;
	int cpu = sched_getcpu();

	CPU_ZERO(&here);
	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(port->allowed), &port->allowed) < 0)
		return; /* more CPUs than a cpu_set_t has: then without */
	CPU_SET(cpu, &here);
	if (sched_setaffinity(0, sizeof(here), &here) == 0)
		port->cpu = cpu;
}

/*
 * Frames of ours that a network card has not sent yet: they still count against the socket
 * (packet_ioctl(), SIOCOUTQ).
 */
static bool is_empty(const struct raw_port *port)
{
	int bytes = 0;

	return backlog(port->softnet, port->cpu) == 0 && (ioctl(port->fd, SIOCOUTQ, &bytes) < 0 || bytes == 0);
}

/* Seen empty twice: a frame between two hops is in no backlog for a moment. */
void raw_port_settle(struct raw_port *port, uint64_t us_max)
{
	const struct timespec pause = { .tv_nsec = RAW_PORT_PAUSE_US * 1000L };
	uint64_t deadline = clock_monotonic_us() + us_max;

	for (int seen = 0; seen < 2 && clock_monotonic_us() < deadline;) {
		seen = is_empty(port) ? seen + 1 : 0;
		(void) nanosleep(&pause, NULL);
	}

	if (port->cpu != ANY_CPU)
		(void) sched_setaffinity(0, sizeof(port->allowed), &port->allowed);
	port->cpu = ANY_CPU;
}

int raw_port_send(struct raw_port *port, const struct virtio_net_hdr *vnet, const uint8_t *frame, size_t size)
{
	struct virtio_net_hdr none = { 0 };
	struct iovec parts[] = {
		{ vnet ? (void *) vnet : &none, sizeof(none) },
		{ (void *) frame, size },
	};
	ssize_t n;

	if (++port->burst >= RAW_PORT_BURST) {
		port->burst = 0;
		raw_port_await_room(port);
	}
	do {
		n = writev(port->fd, parts, ARRAY_SIZE(parts));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
