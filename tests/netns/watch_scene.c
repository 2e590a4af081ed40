/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch_scene.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/clock.h"

enum {
	COMMAND_MAX = 1024,
	LOOK_EVERY_US = 1000,
	US_PER_MS = 1000,
};

static int skip(const char *what)
{
	printf("SKIP: %s\n", what);
	return SCENE_SKIP;
}

int scene_enter(void)
{
	if (geteuid() != 0)
		return skip("needs root");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return skip("no network and mount namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0)
		return skip("cannot mount in a namespace");
	if (!scene_run("ip link set lo up && ip link add scene0 type veth peer name scene1 && ip "
		       "link del scene0"))
		return skip("no ip(8), or no veth");
	if (!scene_run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"))
		return skip("no IPv6");
	return 0;
}

bool scene_run(const char *format, ...)
{
	char command[COMMAND_MAX];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	/* NOLINTNEXTLINE(cert-env33-c): the tests' own constant command lines need a shell. */
	if (size >= 0 && (size_t) size < sizeof(command) && system(command) == 0)
		return true;
	printf("failed: %s\n", command);
	return false;
}

uint32_t scene_ifindex(const char *device)
{
	return if_nametoindex(device);
}

bool scene_is_running(void *device)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", (const char *) device);
	return fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
	       (request.ifr_flags & IFF_RUNNING);
}

bool scene_await_forwarding(const char *port)
{
	return scene_run("timeout %d sh -c 'until bridge link show dev %s | "
			 "grep -q \"state forwarding\"; do :; done'",
			 SCENE_TIMEOUT_MS / 1000, port);
}

int scene_socket(const char *device)
{
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int) scene_ifindex(device),
	};
	int one = 1;

	if (fd < 0 || address.sll_ifindex == 0)
		return -1;
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
		return -1;
	return TAKE_FD(fd);
}

bool scene_send(int fd, const uint8_t *frame, size_t size)
{
	return send(fd, frame, size, 0) == (ssize_t) size;
}

size_t scene_receive(int fd, uint8_t *buffer, unsigned timeout_ms)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	ssize_t size;

	if (poll(&entry, 1, (int) timeout_ms) != 1)
		return 0;
	size = read(fd, buffer, SCENE_FRAME_MAX);
	return size > 0 ? (size_t) size : 0;
}

struct wait {
	struct loop *loop;
	struct loop_timer *timer;
	bool (*holds)(void *userdata);
	void *userdata;
	uint64_t deadline_us;
	bool held;
};

static void look(void *userdata)
{
	struct wait *wait = userdata;

	wait->held = wait->holds(wait->userdata);
	if (wait->held || clock_monotonic_us() >= wait->deadline_us)
		loop_stop(wait->loop);
	else
		loop_timer_start(wait->timer, LOOK_EVERY_US);
}

bool scene_loop_until(struct loop *loop, bool (*holds)(void *userdata), void *userdata,
		      unsigned timeout_ms)
{
	struct wait wait = {
		.loop = loop,
		.holds = holds,
		.userdata = userdata,
		.deadline_us = clock_monotonic_us() + (uint64_t) timeout_ms * US_PER_MS,
	};

	wait.timer = loop_timer_new(loop, look, &wait);
	if (!wait.timer || loop_timer_start(wait.timer, 0) < 0)
		return false;
	loop_run(loop);
	loop_timer_free(wait.timer);
	return wait.held;
}
