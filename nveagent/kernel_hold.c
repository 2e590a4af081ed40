/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_hold.c - a queue that holds, and lets out in order.
 *
 * Theory of operation
 *
 * Holding (net/sched/sch_tbf.c, Linux 6.1 to 6.18). The root queue is a token bucket of 1 byte/s
 * that counts each frame as 65535 + its size. The bucket starts full: 128 KiB + 65535 = 196607.
 * FILLERS frames empty it: the first two pass, 2 * (65535 + 60), which leaves 65417, too little for
 * any frame however small; the others wait at the head of the queue, one of them for 3 minutes, and
 * each further one for 18 hours. What comes after waits behind them in order. Fillers are addressed
 * to the device itself, so the VXLAN driver drops them.
 *
 * Emptying changes the rates of the same queue, which keeps its contents and fills the bucket. Its
 * timer still stands as it was, so something must make the queue run: one more filler. What runs it
 * is the system call that sends the filler, so that everything leaves by one CPU, where we stay, in
 * order.
 *
 * In pieces: all at once would overrun what lies below, a CPU's backlog (netdev_max_backlog, 1000
 * frames) or a network card. A bucketful passes PIECE_FRAMES short frames, or two bundles of 64
 * KiB; then the backlogs are looked at, or the time is waited for that the network card needs.
 */
#include "nveagent/kernel_hold.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "nveagent/kernel_netlink.h"
#include "nveagent/kernel_tc.h"
#include "nveagent/raw_port.h"

enum {
	FILLERS = 4,
	FILLERS_WAITING = 2,
	FILLER_SIZE = 60,	   /* the shortest Ethernet frame without FCS */
	FILLER_ETHERTYPE = 0x88b5, /* IEEE 802 local experimental 1 */
	PAUSE_US = 50,
	PUSH_US = 3000,	   /* frames that may pass do not: another filler */
	PIECE_FRAMES = 62, /* one run of a queue passes 64 (dev_tx_weight) */
	PIECE_OVERHEAD = TC_QUEUE_FRAME_SIZE_MAX / PIECE_FRAMES,
	UNDERLAY_OVERHEAD = 94, /* bytes: preamble, FCS, gap, outer Ethernet, IPv6, UDP, VXLAN */
	UNDERLAY_MBIT = 1000,	/* taken for granted where a network card does not say */
};

static const struct tc_queue queue_hold = {
	.rate = 1,
	.overhead = UINT16_MAX,
	.burst = TC_QUEUE_FRAME_SIZE_MAX,
};
static const struct tc_queue queue_piece = {
	.rate = 1,
	.overhead = PIECE_OVERHEAD,
	.burst = TC_QUEUE_FRAME_SIZE_MAX,
};
static const struct tc_queue queue_pass = {
	.rate = 1ULL << 37, /* 1.1 Tbit/s: no CPU reaches it */
	.burst = INT32_MAX,
};

struct kernel_hold {
	struct kernel *kernel; /* borrowed */
	uint32_t ifindex;
	struct mac own_mac;
	struct raw_port *port;
	bool has_queue, holds;
	uint64_t fillers; /* sent so far */
	struct hold_underlay underlay;
	uint32_t sent;	      /* frames that have left the queue, when last looked at */
	uint64_t progress_us; /* CLOCK_MONOTONIC when that last grew */
	uint64_t pushed_us;   /* and when the queue was last pushed */
};

/* --- making --- */

int kernel_hold_new(struct kernel *kernel, uint32_t ifindex, struct mac own_mac,
		    struct kernel_hold **ret_hold)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	_cleanup_(kernel_hold_freep) struct kernel_hold *hold = calloc(1, sizeof(*hold));
	int r = hold ? tc_queue_build(ifindex, true, &queue_hold, &message) : -ENOMEM;

	if (r == 0)
		r = kernel_request(kernel, message);
	if (r < 0 && r != -ENOENT && r != -EOPNOTSUPP) /* no sch_tbf: qdisc_create() */
		return r;

	hold->kernel = kernel;
	hold->ifindex = ifindex;
	hold->own_mac = own_mac;
	hold->has_queue = hold->holds = r == 0;
	*ret_hold = TAKE_PTR(hold);
	return 0;
}

int kernel_hold_adopt(struct kernel *kernel, uint32_t ifindex, struct mac own_mac, uint64_t gone,
		      struct kernel_hold **ret_hold)
{
	_cleanup_(kernel_hold_freep) struct kernel_hold *hold = calloc(1, sizeof(*hold));
	struct tc_queue_counters counters;
	int r = hold ? raw_port_open(ifindex, false, &hold->port) : -ENOMEM;

	if (r == 0)
		r = tc_queue_read(kernel, ifindex, &counters);
	if (r < 0 && r != -ENODATA)
		return r;
	hold->kernel = kernel;
	hold->ifindex = ifindex;
	hold->own_mac = own_mac;
	hold->has_queue = hold->holds = r == 0;
	hold->fillers = gone + (hold->holds ? FILLERS_WAITING : 0);
	*ret_hold = TAKE_PTR(hold);
	return 0;
}

struct kernel_hold *kernel_hold_free(struct kernel_hold *hold)
{
	if (!hold)
		return NULL;
	raw_port_free(hold->port);
	free(hold);
	return NULL;
}

static int send_filler(struct kernel_hold *hold)
{
	uint8_t frame[FILLER_SIZE] = { 0 };
	int r;

	memcpy(frame, hold->own_mac.octet, MAC_SIZE);
	memcpy(frame + MAC_SIZE, hold->own_mac.octet, MAC_SIZE);
	frame[2 * MAC_SIZE] = FILLER_ETHERTYPE >> 8;
	frame[2 * MAC_SIZE + 1] = FILLER_ETHERTYPE & 0xff;

	r = raw_port_send(hold->port, NULL, frame, sizeof(frame));
	hold->fillers += r == 0;
	return r;
}

/* The proof that the queue holds is that fillers wait in it. */
static int empty_bucket(struct kernel_hold *hold)
{
	struct tc_queue_counters counters;
	int r = 0;

	for (int i = 0; i < FILLERS && r == 0; i++)
		r = send_filler(hold);
	if (r == 0)
		r = tc_queue_read(hold->kernel, hold->ifindex, &counters);
	if (r == 0 && counters.queued_bytes == 0)
		hold->holds = false;
	return r;
}

int kernel_hold_begin(struct kernel_hold *hold, struct hold_underlay underlay)
{
	int r = raw_port_open(hold->ifindex, false, &hold->port);

	hold->underlay = underlay;
	return r == 0 && hold->holds ? empty_bucket(hold) : r;
}

bool kernel_hold_holds(const struct kernel_hold *hold)
{
	return hold->holds;
}

int kernel_hold_count(struct kernel_hold *hold, uint32_t *ret_frames)
{
	struct tc_queue_counters counters;
	int r = tc_queue_read(hold->kernel, hold->ifindex, &counters);

	if (r < 0)
		return r;
	*ret_frames = counters.queued > FILLERS_WAITING ? counters.queued - FILLERS_WAITING : 0;
	return 0;
}

/* --- letting out --- */

static void pause_us(uint64_t us)
{
	const struct timespec pause = {
		.tv_sec = (time_t) (us / 1000000),
		.tv_nsec = (long) (us % 1000000) * 1000,
	};

	(void) nanosleep(&pause, NULL);
}

static int set_queue(struct kernel_hold *hold, const struct tc_queue *queue)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	int r = tc_queue_build(hold->ifindex, false, queue, &message);

	return r < 0 ? r : kernel_request(hold->kernel, message);
}

static int push(struct kernel_hold *hold)
{
	hold->pushed_us = clock_monotonic_us();
	return send_filler(hold);
}

/* How long a network card takes to send what a piece passes of @queued, in microseconds. */
static uint64_t sending_us(const struct kernel_hold *hold, const struct tc_queue_counters *queued)
{
	uint64_t mbit = hold->underlay.mbit ? hold->underlay.mbit : UNDERLAY_MBIT;
	uint64_t size = queued->queued_bytes / queued->queued + UNDERLAY_OVERHEAD;
	uint64_t frames = queued->queued < PIECE_FRAMES ? queued->queued : PIECE_FRAMES;
	uint64_t bytes = frames * size;

	return (bytes < TC_QUEUE_FRAME_SIZE_MAX ? bytes : TC_QUEUE_FRAME_SIZE_MAX) * 8 / mbit;
}

static int let_out_piece(struct kernel_hold *hold, const struct tc_queue_counters *queued)
{
	int r = set_queue(hold, &queue_piece);

	if (r == 0)
		r = push(hold);
	if (r < 0)
		return r;
	if (hold->underlay.is_hardware)
		pause_us(sending_us(hold, queued));
	else
		raw_port_await_room(hold->port);
	return 0;
}

/* Reads the queue; -ETIMEDOUT when it has not moved for long. */
static int look(struct kernel_hold *hold, struct tc_queue_counters *ret_counters)
{
	uint64_t now = clock_monotonic_us();
	int r = tc_queue_read(hold->kernel, hold->ifindex, ret_counters);

	if (r < 0)
		return r;
	if (ret_counters->sent != hold->sent || ret_counters->queued == 0)
		hold->progress_us = now;
	hold->sent = ret_counters->sent;
	return now - hold->progress_us >= HOLD_STUCK_US ? -ETIMEDOUT : 0;
}

static void begin(struct kernel_hold *hold)
{
	hold->holds = false;
	hold->progress_us = clock_monotonic_us();
	raw_port_pin(hold->port);
}

void kernel_hold_empty(struct kernel_hold *hold)
{
	begin(hold);
}

/*
 * A frame that was on its way here when the bridge's entry changed. One that came after the last
 * look may have found too little in the bucket, and would wait for a next one that never comes.
 */
static int let_latecomers_pass(struct kernel_hold *hold)
{
	struct tc_queue_counters counters;
	int r = set_queue(hold, &queue_pass);

	if (r == 0)
		r = look(hold, &counters);
	return r == 0 && counters.queued > 0 ? push(hold) : r;
}

int kernel_hold_await_empty(struct kernel_hold *hold, uint64_t deadline_us)
{
	struct tc_queue_counters counters;
	int r = look(hold, &counters);

	while (r == 0 && counters.queued > 0) {
		r = let_out_piece(hold, &counters);
		if (r == 0)
			r = look(hold, &counters);
		if (r == 0 && counters.queued > 0 && clock_monotonic_us() >= deadline_us)
			return -EINPROGRESS;
	}
	if (r == 0)
		r = let_latecomers_pass(hold);
	raw_port_settle(hold->port);
	return r;
}

/* Only fillers wait: what arrives from now on makes the queue run itself, on its own CPU. */
static bool is_as_good_as_empty(const struct tc_queue_counters *counters)
{
	return counters->queued <= FILLERS_WAITING;
}

/*
 * The last frames leave by the CPU on which the next one arrives, in order with it: pushed, they
 * would leave by ours, and race with it. Only a queue that nothing arrives for is pushed: in a real
 * move the last 33 of 63 frames stayed in it because no more came.
 */
int kernel_hold_pass(struct kernel_hold *hold)
{
	struct tc_queue_counters counters;
	int r = set_queue(hold, &queue_pass);

	if (r < 0)
		return r;
	begin(hold);
	hold->pushed_us = hold->progress_us;
	r = look(hold, &counters);
	if (r == 0 && is_as_good_as_empty(&counters))
		r = push(hold);
	while (r == 0) {
		r = look(hold, &counters);
		if (r < 0 || counters.queued == 0)
			break;
		if (clock_monotonic_us() - hold->pushed_us >= PUSH_US)
			r = push(hold);
		pause_us(PAUSE_US);
	}
	raw_port_settle(hold->port);
	return r;
}

int kernel_hold_again(struct kernel_hold *hold)
{
	int r = hold->holds ? 0 : set_queue(hold, &queue_hold);

	if (r < 0 || hold->holds)
		return r;
	hold->holds = true;
	return empty_bucket(hold);
}

int kernel_hold_read(struct kernel_hold *hold, struct kernel_hold_counters *ret_counters)
{
	struct tc_queue_counters queue = { 0 };
	int r = hold->has_queue ? tc_queue_read(hold->kernel, hold->ifindex, &queue) : 0;

	if (r < 0)
		return r;
	if (hold->holds && queue.queued <= FILLERS_WAITING)
		queue.queued_bytes = 0;
	*ret_counters = (struct kernel_hold_counters){
		.dropped = queue.dropped,
		.queued = queue.queued,
		.queued_bytes = queue.queued_bytes,
		.fillers = hold->fillers - (hold->holds ? FILLERS_WAITING : 0),
	};
	return 0;
}
