/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tap with two queues, held by a child process as QEMU does; the test holds its own descriptors
 * of them too, and sees which queue each flow goes to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "nveagent/raw_port.h"
#include "nveagent/tap_steer.h"
#include "tests/netns/netns.h"

enum {
	QUEUES = 2,
	FLOWS = 64, /* so many by hash go to one queue once in 2^63 times */
	ETHER_IPV4 = 0x0800,
	HEADERS = 14 + sizeof(struct iphdr) + sizeof(struct udphdr),
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac sender = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

struct scene {
	int queues[QUEUES];
	struct raw_port *port;
	pid_t owner;
};

static int open_queue(void)
{
	struct ifreq request = {
		.ifr_name = "tap0",
		.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE,
	};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	CU_ASSERT_TRUE_FATAL(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0);
	return fd;
}

static bool load_program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t) code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uintptr_t) "GPL",
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes)) >= 0;
}

/* Holds the queues until it is killed. It says by a byte that it is ready. */
static pid_t start_owner(bool has_bpf)
{
	int ready[2];
	pid_t pid;
	char byte;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (has_bpf && !load_program())
			_exit(EXIT_FAILURE);
		(void) !write(ready[1], "", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static struct scene begin(bool has_bpf)
{
	struct scene scene = { 0 };

	for (int i = 0; i < QUEUES; i++)
		scene.queues[i] = open_queue();
	/* The host's own IPv6 must not talk in between. */
	CU_ASSERT_TRUE_FATAL(
		run("sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1 && ip link set tap0 up"));
	scene.owner = start_owner(has_bpf);
	CU_ASSERT_EQUAL_FATAL(raw_port_open(ifindex_of("tap0"), false, &scene.port), 0);
	return scene;
}

static void end_owner(struct scene *scene)
{
	kill(scene->owner, SIGKILL);
	(void) waitpid(scene->owner, NULL, 0);
}

static void end(struct scene *scene)
{
	end_owner(scene);
	raw_port_free(scene->port);
	for (int i = 0; i < QUEUES; i++)
		close(scene->queues[i]);
}

static void send_flow(struct scene *scene, uint16_t number)
{
	uint8_t frame[HEADERS] = { 0 };
	const struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(HEADERS - 14),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = htonl(0xc6336414), /* 198.51.100.20 */
		.daddr = htonl(0xc633640a),
	};
	const struct udphdr udp = { .source = htons((uint16_t) (1024 + number)),
				    .dest = htons(7000),
				    .len = htons(8) };

	memcpy(frame, vm.octet, MAC_SIZE);
	memcpy(frame + MAC_SIZE, sender.octet, MAC_SIZE);
	frame[12] = ETHER_IPV4 >> 8;
	memcpy(frame + 14, &ip, sizeof(ip));
	memcpy(frame + 14 + sizeof(ip), &udp, sizeof(udp));
	CU_ASSERT_EQUAL_FATAL(raw_port_send(scene->port, NULL, frame, sizeof(frame)), 0);
}

/* Sends a frame in each flow. */
static void send_flows(struct scene *scene)
{
	for (uint16_t number = 0; number < FLOWS; number++)
		send_flow(scene, number);
}

/* How many of them are in the queue. */
static int read_queue(const struct scene *scene, int queue)
{
	uint8_t frame[HEADERS];
	int n = 0;

	while (tap_read(scene->queues[queue], frame, sizeof(frame)) > 0)
		n++;
	return n;
}

/* The driver spreads flows over both queues. */
static void expect_spread(struct scene *scene)
{
	int first, second;

	send_flows(scene);
	first = read_queue(scene, 0);
	second = read_queue(scene, 1);
	CU_ASSERT_EQUAL(first + second, FLOWS);
	CU_ASSERT_TRUE(first > 0 && second > 0);
}

static void all_flows_go_to_the_first_queue(void)
{
	struct scene scene = begin(false);
	struct tap_steer *steer = NULL;

	expect_spread(&scene);
	CU_ASSERT_EQUAL_FATAL(tap_steer_new("tap0", &steer), 0);
	CU_ASSERT_FALSE(tap_steer_is_busy(steer));
	send_flows(&scene);
	CU_ASSERT_TRUE(tap_steer_is_busy(steer));
	CU_ASSERT_EQUAL(read_queue(&scene, 1), 0);
	CU_ASSERT_EQUAL(read_queue(&scene, 0), FLOWS);
	CU_ASSERT_FALSE(tap_steer_is_busy(steer));
	tap_steer_free(steer);
	expect_spread(&scene);
	end(&scene);
}

/* The next life of an agent that died. */
static void is_undone_by_name(void)
{
	struct scene scene = begin(false);
	struct tap_steer *steer = NULL;

	CU_ASSERT_EQUAL_FATAL(tap_steer_new("tap0", &steer), 0);
	CU_ASSERT_EQUAL(tap_steer_undo("tap0"), 0);
	expect_spread(&scene);
	tap_steer_free(steer);
	end(&scene);
}

static void leaves_a_steering_owner_alone(void)
{
	struct scene scene = begin(true);
	struct tap_steer *steer = NULL;

	CU_ASSERT_EQUAL(tap_steer_new("tap0", &steer), -EBUSY);
	CU_ASSERT_PTR_NULL(steer);
	CU_ASSERT_EQUAL(tap_steer_undo("tap0"), -EBUSY);
	expect_spread(&scene);
	end(&scene);
}

static void says_that_nobody_holds_the_tap(void)
{
	struct scene scene = begin(false);
	struct tap_steer *steer = NULL;

	end_owner(&scene);
	CU_ASSERT_EQUAL(tap_steer_new("tap0", &steer), -ENOENT);
	CU_ASSERT_EQUAL(tap_steer_undo("tap0"), -ENOENT);
	scene.owner = start_owner(false);
	end(&scene);
}

static const struct netns_need needs[] = {
	{ "tun with several queues", "ip tuntap add tap0 mode tap multi_queue" },
};

NETNS_MAIN("tap_steer", needs, UNIT_TEST(all_flows_go_to_the_first_queue),
	   UNIT_TEST(is_undone_by_name), UNIT_TEST(leaves_a_steering_owner_alone),
	   UNIT_TEST(says_that_nobody_holds_the_tap))
