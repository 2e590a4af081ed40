/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_hold.c - a queue that holds, and lets out in order.
 *
 * Theory of operation
 *
 * Holding (net/sched/sch_tbf.c, Linux 6.1 to 6.18). The root queue is a token bucket of 1 byte/s
 * that counts each frame as 65535 + its size. The bucket starts full: 128 KiB + 65535 = 196607.
 * HOLD_FILLERS frames empty it: the first two pass, 2 * (65535 + 60), which leaves 65417, too
 * little for any frame however small; the others wait at the head of the queue, one of them for 3
 * minutes, and each further one for 18 hours. What comes after waits behind them in order. Fillers
 * are addressed to the device itself, so the VXLAN driver drops them.
 *
 * Letting out changes the rates of the same queue, which keeps its contents and fills the bucket.
 * Its timer still stands as it was, so something must make the queue run: a frame that arrives, or
 * a filler. Either goes to the end of the queue as it must.
 *
 * Why in grants. The queue is run by whichever CPU comes by. What one CPU has sent may still wait in
 * that CPU's backlog (a virtual link) or transmit queue (a network card) when another CPU runs the
 * queue next, and the later frames overtake. And one run of a long queue overruns what lies below:
 * a backlog takes netdev_max_backlog frames, 1000. So a grant is a bucketful that passes no more
 * frames than are in the queue, so that the queue holds again before it is empty; then everybody's
 * backlog is awaited, or the time a network card needs; then comes the next grant. Frames that
 * arrive meanwhile join the end. When LAST_FRAMES are left everything may pass: the few frames of
 * that last run are the only ones that another CPU's next frame races with, for the microseconds
 * in which they are handed down.
 *
 * If frames come as fast as they can be let out, that never ends: after LET_OUT_US_MAX all may pass,
 * whatever it does to their order.
 *
 * A frame that arrives is left to make the queue run, because it comes on the CPU where its
 * successors will come. Only if none comes do we push, with a filler.
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
	HOLD_FILLERS = 4,
	FILLER_SIZE = 60,	   /* the shortest Ethernet frame without FCS */
	FILLER_ETHERTYPE = 0x88b5, /* IEEE 802 local experimental 1 */
	PUSH_US_MAX = 3000,	   /* waited for an arriving frame to make the queue run */
	PUSH_US_MIN = 200,	   /* the same when none came last time */
	PAUSE_US = 50,
	GRANT_FRAMES_MAX = 62,	  /* one run of a queue passes 64 (dev_tx_weight) */
	GRANT_FRAMES_MIN = 2,	  /* a frame's overhead is 16 bits: TC_QUEUE_FRAME_SIZE_MAX / 2 */
	GRANT_CALM_US_MAX = 5000, /* reached only where the CPUs' backlogs never are empty */
	LAST_FRAMES = 2,
	UNDERLAY_MBIT = 1000,	 /* taken for granted where the driver does not say */
	UNDERLAY_OVERHEAD = 94,	 /* bytes: preamble, FCS, gap, outer Ethernet, IPv6, UDP, VXLAN */
	LET_OUT_US_MAX = 400000, /* of all grants; the NVA waits DIRECTORY_HANDOVER_MS for us */
	EMPTY_US_MAX = 300000,	 /* for the last frames to leave */
};

static const struct tc_queue queue_hold = {
	.rate = 1,
	.overhead = UINT16_MAX,
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
	uint32_t push_us; /* PUSH_US_MAX or PUSH_US_MIN */
	struct hold_underlay underlay;
	uint64_t started_us; /* CLOCK_MONOTONIC of the first kernel_hold_release(); 0: none yet */
	struct kernel_hold_release how;
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
	hold->push_us = PUSH_US_MAX;
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

	for (int i = 0; i < HOLD_FILLERS && r == 0; i++)
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

/* --- letting out --- */

static void pause_us(uint64_t us)
{
	const struct timespec pause = { .tv_sec = (time_t) (us / 1000000),
					.tv_nsec = (long) (us % 1000000) * 1000 };

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
	hold->push_us = PUSH_US_MIN;
	hold->how.pushes++;
	return send_filler(hold);
}

/* Changes the queue, and makes it run unless a frame that arrives does. @counters: before, after. */
static int set_and_run(struct kernel_hold *hold, const struct tc_queue *queue,
		       struct tc_queue_counters *counters)
{
	uint64_t deadline = clock_monotonic_us() + hold->push_us;
	uint32_t sent = counters->sent;
	int r = set_queue(hold, queue);

	while (r == 0) {
		r = tc_queue_read(hold->kernel, hold->ifindex, counters);
		if (r < 0 || counters->queued == 0)
			return r;
		if (counters->sent != sent) {
			hold->push_us = PUSH_US_MAX;
			return 0;
		}
		if (clock_monotonic_us() >= deadline)
			return push(hold);
		pause_us(PAUSE_US);
	}
	return r;
}

/*
 * A full bucket holds burst + overhead and a frame costs size + overhead, so @frames pass at most;
 * fewer of long ones, and always one.
 */
static struct tc_queue grant_of(uint32_t frames)
{
	if (frames > GRANT_FRAMES_MAX)
		frames = GRANT_FRAMES_MAX;
	if (frames < GRANT_FRAMES_MIN)
		frames = GRANT_FRAMES_MIN;
	return (struct tc_queue){
		.rate = 1,
		.overhead = (uint16_t) ((TC_QUEUE_FRAME_SIZE_MAX - 1) / frames),
		.burst = TC_QUEUE_FRAME_SIZE_MAX,
	};
}

/* How long the underlay takes to send what a grant for @queued passes of it, in microseconds. */
static uint64_t sending_us(const struct kernel_hold *hold, const struct tc_queue_counters *queued)
{
	uint64_t mbit = hold->underlay.mbit ? hold->underlay.mbit : UNDERLAY_MBIT;
	uint64_t size = queued->queued_bytes / queued->queued + UNDERLAY_OVERHEAD;
	uint64_t frames = queued->queued < GRANT_FRAMES_MAX ? queued->queued : GRANT_FRAMES_MAX;
	uint64_t bytes = frames * size;

	return (bytes < TC_QUEUE_FRAME_SIZE_MAX ? bytes : TC_QUEUE_FRAME_SIZE_MAX) * 8 / mbit;
}

/* Returns once a grant given at @started, which takes @us to send, has left what lies below. */
static void await_gone(const struct kernel_hold *hold, uint64_t started, uint64_t us)
{
	uint64_t took;

	if (!hold->underlay.is_hardware) {
		raw_port_await_calm(hold->port, GRANT_CALM_US_MAX);
		return;
	}
	took = clock_monotonic_us() - started;
	if (took < us)
		pause_us(us - took);
}

static int let_out_piece(struct kernel_hold *hold, struct tc_queue_counters *counters)
{
	struct tc_queue grant = grant_of(counters->queued);
	uint64_t us = sending_us(hold, counters), started = clock_monotonic_us();
	int r = set_and_run(hold, &grant, counters);

	hold->how.grants++;
	await_gone(hold, started, us);
	return r < 0 ? r : tc_queue_read(hold->kernel, hold->ifindex, counters);
}

/* Pieces, until the queue is as good as empty or the time is over. */
static int let_out(struct kernel_hold *hold, uint64_t deadline, struct tc_queue_counters *counters)
{
	uint64_t give_up = hold->started_us + LET_OUT_US_MAX, now = 0;
	int r = tc_queue_read(hold->kernel, hold->ifindex, counters);

	while (r == 0 && counters->queued > LAST_FRAMES && now < give_up) {
		if (now >= deadline)
			return -EINPROGRESS;
		r = let_out_piece(hold, counters);
		now = clock_monotonic_us();
	}
	return r;
}

/*
 * Waits until a queue that may pass has emptied itself. What set_and_run() saw leave may have been
 * the last grant's, and if no more frames arrive (the peers may know of the move by now) nobody
 * makes the queue run again: in a real move the last 33 of 63 frames stayed in it. Frames that do
 * arrive are left to do it, as above.
 */
static int see_it_empty(struct kernel_hold *hold, struct tc_queue_counters *counters)
{
	uint64_t started = clock_monotonic_us(), progress = started, now = started;
	int r = tc_queue_read(hold->kernel, hold->ifindex, counters);

	while (r == 0 && counters->queued > 0) {
		uint32_t sent = counters->sent;

		if (now - started >= EMPTY_US_MAX)
			return -ETIMEDOUT;
		if (now - progress >= PUSH_US_MAX)
			r = push(hold);
		pause_us(PAUSE_US);
		if (r == 0)
			r = tc_queue_read(hold->kernel, hold->ifindex, counters);
		now = clock_monotonic_us();
		if (counters->sent != sent)
			progress = now;
	}
	if (r == 0)
		raw_port_await_calm(hold->port, RAW_PORT_CALM_US_MAX);
	return r;
}

static int release(struct kernel_hold *hold, uint64_t deadline)
{
	struct tc_queue_counters counters;
	int r = let_out(hold, deadline, &counters);

	if (r == 0)
		r = set_and_run(hold, &queue_pass, &counters);
	if (r < 0)
		return r;
	hold->holds = false;
	return see_it_empty(hold, &counters);
}

int kernel_hold_release(struct kernel_hold *hold, uint64_t budget_us)
{
	uint64_t started = clock_monotonic_us();
	int r;

	if (!hold->holds)
		return 0;
	if (!hold->started_us)
		hold->started_us = started;
	r = release(hold, started + budget_us);
	hold->how.us = clock_monotonic_us() - hold->started_us;
	return r;
}

struct kernel_hold_release kernel_hold_how(const struct kernel_hold *hold)
{
	return hold->how;
}

int kernel_hold_read(struct kernel_hold *hold, struct kernel_hold_counters *ret_counters)
{
	struct tc_queue_counters queue = { 0 };
	int r = hold->has_queue ? tc_queue_read(hold->kernel, hold->ifindex, &queue) : 0;

	if (r < 0)
		return r;
	*ret_counters = (struct kernel_hold_counters){
		.dropped = queue.dropped,
		.queued_bytes = queue.queued_bytes,
		.fillers = hold->fillers,
	};
	return 0;
}
