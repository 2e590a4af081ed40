/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw_port.c - a packet socket that only sends. */
#include "nveagent/raw_port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "common/clock.h"
#include "common/closer.h"

enum {
	SOFTNET_TEXT_MAX =
		16384, /* 136 bytes a CPU; of more CPUs than fit the first are looked at */
	SOFTNET_FIELD =
		/*
		 * of a line, from 0: frames in the CPU's backlog, since Linux 5.10 (net-procfs.c)
		 */
	11,
	SOFTNET_FIELD_WIDTH = 9, /* 8 hexadecimal digits and a space */
};

struct raw_port {
	int fd, softnet; /* @softnet: /proc/net/softnet_stat, -1 when it is not there */
	unsigned burst;	 /* frames since the last look */
	bool pinned;
	cpu_set_t allowed; /* the CPUs, before that */
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
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_ifindex = (int) ifindex };
	_cleanup_(raw_port_freep) struct raw_port *port = calloc(1, sizeof(*port));
	int r;

	if (!port)
		return -ENOMEM;

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

	closer_close(port->fd);
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

/* The longest backlog of any CPU; 0 when it cannot be known. */
static unsigned long longest_backlog(const struct raw_port *port)
{
	char text[SOFTNET_TEXT_MAX], *rest = text;
	ssize_t n = port->softnet < 0 ? 0 : pread(port->softnet, text, sizeof(text) - 1, 0);
	unsigned long longest = 0;

	text[n < 0 ? 0 : n] = '\0';
	for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		unsigned long length = softnet_field(line, SOFTNET_FIELD);

		longest = length > longest ? length : longest;
	}
	return longest;
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = RAW_PORT_PAUSE_US * 1000L };

	(void) nanosleep(&pause, NULL);
}

void raw_port_await_room(const struct raw_port *port)
{
	uint64_t deadline = clock_monotonic_us() + RAW_PORT_ROOM_US_MAX;

	while (longest_backlog(port) > RAW_PORT_BACKLOG_MAX && clock_monotonic_us() < deadline)
		pause_briefly();
}

/*
 * Frames of ours that a network card has not sent yet: they still count against the socket
 * (packet_ioctl(), SIOCOUTQ).
 */
static bool is_calm(const struct raw_port *port)
{
	int bytes = 0;

	return longest_backlog(port) == 0 && (ioctl(port->fd, SIOCOUTQ, &bytes) < 0 || bytes == 0);
}

/* Seen twice: a frame between two hops is in no backlog for a moment. */
void raw_port_await_calm(const struct raw_port *port, uint64_t us_max)
{
	uint64_t deadline = clock_monotonic_us() + us_max;

	for (int seen = 0; seen < 2 && clock_monotonic_us() < deadline;) {
		seen = is_calm(port) ? seen + 1 : 0;
		if (seen < 2)
			pause_briefly();
	}
}

void raw_port_pin(struct raw_port *port)
{
	cpu_set_t here;
	int cpu = sched_getcpu();

	CPU_ZERO(&here);
	if (cpu < 0 || cpu >= CPU_SETSIZE ||
	    sched_getaffinity(0, sizeof(port->allowed), &port->allowed) < 0)
		return; /* more CPUs than a cpu_set_t has: then without */
	CPU_SET(cpu, &here);
	port->pinned = sched_setaffinity(0, sizeof(here), &here) == 0;
}

void raw_port_settle(struct raw_port *port)
{
	raw_port_await_calm(port, RAW_PORT_CALM_US_MAX);
	if (port->pinned)
		(void) sched_setaffinity(0, sizeof(port->allowed), &port->allowed);
	port->pinned = false;
}

int raw_port_send(struct raw_port *port, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		  size_t size)
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
