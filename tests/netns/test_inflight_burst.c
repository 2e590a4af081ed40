/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stall of the host, and the burst after it, have filled the record of what the tap was given
 * (tail.h) when the VM stops: what QEMU swallowed is found all the same.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "nveagent/inflight.h"
#include "nveagent/raw_port.h"
#include "nveagent/tail.h"
#include "tests/netns/netns.h"

enum {
	FRAME_SIZE = 1400,
	EXPERIMENTAL = 0x88b5, /* IEEE 802 local experimental 1 */
	BURST = 5 * TAIL_BLOCKS * (TAIL_BLOCK_SIZE / FRAME_SIZE) / 4,
	TAKEN = BURST / 2,
	QUEUE = 2 * BURST,
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac sender = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

static void send_burst(uint32_t tap_ifindex)
{
	_cleanup_(raw_port_freep) struct raw_port *port = NULL;
	uint8_t frame[FRAME_SIZE];

	CU_ASSERT_EQUAL_FATAL(raw_port_open(tap_ifindex, false, &port), 0);
	for (uint32_t number = 0; number < BURST; number++) {
		numbered_frame(vm, sender, EXPERIMENTAL, number, FRAME_SIZE, frame);
		CU_ASSERT_EQUAL_FATAL(raw_port_send(port, NULL, frame, FRAME_SIZE), 0);
	}
}

/* The number of the next frame for the VM that the tap has; BURST: none. */
static uint32_t next_frame(int tap)
{
	uint8_t frame[FRAME_SIZE];
	size_t size;

	while ((size = tap_read(tap, frame, sizeof(frame))) > 0)
		if (size == FRAME_SIZE && memcmp(frame, vm.octet, MAC_SIZE) == 0)
			return frame_number(frame);
	return BURST;
}

/* A process that has the tap open, as QEMU has. */
static pid_t hold_tap(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	return pid;
}

/*
 * The guest has taken all that left the tap, or all but the last: who knows. It goes on here, and
 * is given that again, rather than never, before the rest.
 */
static void stop_and_go_on(const struct underlay *underlay)
{
	_cleanup_(kernel_freep) struct kernel *kernel = NULL;
	_cleanup_(inflight_freep) struct inflight *inflight = NULL;
	struct inflight_counters counters = { 0 };
	struct vni_devices devices;
	pid_t qemu;
	int tap;

	CU_ASSERT_EQUAL_FATAL(kernel_new(&kernel), 0);
	make_underlay(underlay);
	make_vni(kernel, underlay, &devices);
	tap = tap_open("tap0", "br100");
	qemu = hold_tap();
	CU_ASSERT_TRUE_FATAL(run("ip link set tap0 txqueuelen %d", QUEUE));
	CU_ASSERT_EQUAL_FATAL(
		inflight_arm(kernel, &devices, "tap0", vm, ip_of(underlay->theirs), &inflight), 0);
	send_burst(ifindex_of("tap0"));
	for (uint32_t number = 0; number < TAKEN; number++)
		CU_ASSERT_EQUAL_FATAL(next_frame(tap), number);

	CU_ASSERT_EQUAL_FATAL(inflight_park(inflight, clock_realtime_us()), 0);
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	CU_ASSERT_TRUE(counters.pulled >= BURST - TAKEN); /* the host itself says something, too */
	CU_ASSERT_EQUAL(counters.tap_error, -ENOBUFS);
	CU_ASSERT_EQUAL(counters.swallowed, 0);
	CU_ASSERT_EQUAL(counters.doubtful, 2);
	CU_ASSERT_EQUAL(counters.kept, 0);
	for (uint32_t number = TAKEN - 2; number <= BURST; number++)
		CU_ASSERT_EQUAL_FATAL(next_frame(tap), number);
	kill(qemu, SIGKILL);
	waitpid(qemu, NULL, 0);
	close(tap);
}

static void finds_what_was_swallowed_over_ipv4(void)
{
	stop_and_go_on(&underlays[0]);
}

static void finds_what_was_swallowed_over_ipv6(void)
{
	stop_and_go_on(&underlays[1]);
}

NETNS_MAIN("inflight_burst", inflight_needs, UNIT_TEST(finds_what_was_swallowed_over_ipv4),
	   UNIT_TEST(finds_what_was_swallowed_over_ipv6))
