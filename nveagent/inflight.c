/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inflight.c - the order of things when a VM has stopped here; inflight.h tells the story.
 *
 * Why nothing is lost, doubled or reordered
 *
 *   t0  bridge entry MAC -> forward device. From here on a bridged frame goes to the held queue.
 *   t1  the tap's ring is read until it is empty. A CPU that looked the entry up before t0 may
 *       still be about to put its frame into the ring (br_handle_frame_finish() to tun_net_xmit()
 *       is one RCU read section without a sleep), so
 *   t2  all CPUs are awaited: GRACE_US go by, as they do while the VM's last state travels, or else
 *       membarrier(2) MEMBARRIER_CMD_GLOBAL, which is an RCU grace period
 *       (kernel/sched/membarrier.c),
 *   t3  and the ring is read again. Now it stays empty: each frame is either read back or in the
 *       held queue, and each one read back arrived before each one held, unless both were on their
 *       way at t0 itself.
 *   t4  what was read back is sent past the queue, in order;
 *   t5  the queue is released.
 * A queueing discipline on the tap that delays frames (libvirt's <bandwidth>) can still bring one
 * after t3: stragglers are looked for at t4 and with each inflight_read(), and sent on.
 */
#include "nveagent/inflight.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/clock.h"
#include "nveagent/inflight_private.h"
#include "nveagent/kernel_forward.h"
#include "nveagent/raw_port.h"

enum {
	GRACE_US = 20000,   /* longer than a softirq runs: no grace period need be asked for */
	ROOM_PACKETS = 256, /* in a tap's queue for what QEMU has not read yet */
};

#define NO_LIMIT_US UINT64_C(3600000000) /* kernel_hold.c has a limit of its own */

/* --- parking --- */

/* Less than a second. */
static void pause_us(long us)
{
	const struct timespec pause = { .tv_nsec = us * 1000 };

	(void) nanosleep(&pause, NULL);
}

/* Returns when every frame that was being bridged has arrived where it was going. */
static void await_all_cpus(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		pause_us(GRACE_US);
}

static bool is_group(const uint8_t *frame)
{
	return frame[0] & 1; /* IEEE 802 section 8.2.2 */
}

/*
 * Sends all of it in order and forgets it; returns how many were sent. @to_tap: QEMU delivers by
 * itself, and first, what it still has. Otherwise broadcast and multicast goes to the VM alone: the
 * new NVE's other ports have had it.
 */
static uint64_t send_parked(struct inflight *inflight, struct raw_port *port, bool to_tap)
{
	struct parked_frame frame;
	uint64_t sent = 0;

	for (size_t at = 0; parked_next(&inflight->parked, &at, &frame);) {
		if (to_tap && frame.in_qemu) {
			inflight->counters.kept++;
			continue;
		}
		if (!to_tap && is_group(frame.data))
			memcpy(frame.data, inflight->mac.octet, MAC_SIZE);
		if (raw_port_send(port, &frame.vnet, frame.data, frame.size) == 0)
			sent++;
		else
			inflight->counters.dropped++;
	}
	parked_clear(&inflight->parked);
	return sent;
}

/*
 * What is the VM's own is never given back to it: guests take that for an address conflict.
 * Broadcast and multicast reaches its new tap directly once it runs there.
 */
static bool is_for_vm(const struct inflight *inflight, const struct tap_frame *frame)
{
	if (frame->size < 2 * MAC_SIZE ||
	    memcmp(frame->data + MAC_SIZE, inflight->mac.octet, MAC_SIZE) == 0)
		return false;
	if (is_group(frame->data))
		return inflight->stage == STAGE_PARKED;
	return memcmp(frame->data, inflight->mac.octet, MAC_SIZE) == 0;
}

/* Reads the tap's queue until it is empty and parks what is for the VM. */
static void drain(struct inflight *inflight)
{
	struct inflight_counters *counters = &inflight->counters;
	struct tap_frame frame;
	int r = 0;

	inflight->drained_us = clock_realtime_us();
	while (inflight->tap && (r = tap_queue_read(inflight->tap, &frame)) > 0) {
		if (!is_for_vm(inflight, &frame))
			counters->pulled_other++;
		else if (parked_add(&inflight->parked, &frame.vnet, frame.data, frame.size,
				    false) == 0)
			counters->pulled++;
		else
			counters->dropped++;
	}
	if (r < 0)
		counters->tap_error = r;
}

/* --- arming --- */

/*
 * A tap that is gone, or that nobody reads, has nothing to pull: no failure, but told in
 * tap_error.
 */
static void open_tap(struct inflight *inflight, const char *tap)
{
	struct kernel_port port;
	int r = kernel_port_by_name(inflight->kernel, tap, &port);

	if (r == 0) {
		inflight->tap_ifindex = port.ifindex;
		r = tap_queue_open(tap, &inflight->tap);
	}
	if (r == 0 && inflight->stage == STAGE_ARMED)
		r = tail_open(port.ifindex, inflight->mac, &inflight->tail);
	inflight->counters.tap_error = r;
}

static int open_port(struct inflight *inflight)
{
	inflight->counters.unheld = !kernel_forward_holds(inflight->forward);
	inflight->counters.ring_error = -ENOENT;
	return raw_port_open(kernel_forward_ifindex(inflight->forward), true, &inflight->port);
}

int inflight_arm(struct kernel *kernel, const struct vni_devices *devices, const char *tap,
		 struct mac mac, struct ip new_vtep, struct inflight **ret_inflight)
{
	_cleanup_(inflight_freep) struct inflight *inflight = calloc(1, sizeof(*inflight));
	int r;

	if (!inflight)
		return -ENOMEM;

	inflight->kernel = kernel;
	inflight->mac = mac;
	r = kernel_forward_new(kernel, devices, mac, new_vtep, &inflight->forward);
	if (r == 0)
		r = open_port(inflight);
	if (r < 0)
		return r;

	open_tap(inflight, tap);
	*ret_inflight = TAKE_PTR(inflight);
	return 0;
}

struct inflight *inflight_free(struct inflight *inflight)
{
	if (!inflight)
		return NULL;

	/* What is held would go with its device. */
	if (inflight->stage == STAGE_RELEASING)
		(void) kernel_forward_release(inflight->forward, NO_LIMIT_US);
	raw_port_free(inflight->port);
	kernel_forward_free(inflight->forward);
	tap_queue_free(inflight->tap);
	tail_free(inflight->tail);
	guest_ring_free(inflight->ring);
	parked_clear(&inflight->parked);
	free(inflight);
	return NULL;
}

struct inflight *inflight_leave(struct inflight *inflight)
{
	if (inflight && inflight->stage == STAGE_PARKED)
		(void) inflight_release(inflight, NO_LIMIT_US);
	if (inflight &&
	    (inflight->stage == STAGE_RELEASING || inflight->stage == STAGE_FORWARDING)) {
		(void) kernel_forward_release(inflight->forward, NO_LIMIT_US);
		inflight->forward = kernel_forward_leave(inflight->forward);
		inflight->stage = STAGE_RETURNED;
	}
	return inflight_free(inflight);
}

int inflight_adopt(struct kernel *kernel, const struct vni_devices *devices,
		   const struct kernel_left *left, struct inflight **ret_inflight)
{
	struct inflight *inflight = calloc(1, sizeof(*inflight));
	int r;

	if (!inflight)
		return -ENOMEM;
	inflight->stage = STAGE_PARKED;
	inflight->kernel = kernel;
	inflight->mac = left->mac;
	inflight->counters.tap_error = -ENOENT;
	r = kernel_forward_adopt(kernel, devices, left, &inflight->forward);
	if (r == 0)
		r = open_port(inflight);
	if (r < 0) {
		inflight->forward = kernel_forward_leave(inflight->forward);
		(void) inflight_free(inflight);
		return r;
	}
	*ret_inflight = inflight;
	return 0;
}

void inflight_find_tap(struct inflight *inflight, const char *tap)
{
	if (inflight->tap_ifindex == 0)
		open_tap(inflight, tap);
}

uint32_t inflight_ifindex(const struct inflight *inflight)
{
	return kernel_forward_ifindex(inflight->forward);
}

/* --- switching --- */

int inflight_park(struct inflight *inflight, uint64_t stopped_us)
{
	uint64_t started = clock_monotonic_us();
	int r;

	if (inflight->stage != STAGE_ARMED)
		return inflight->stage == STAGE_RETURNED ? -EALREADY : 0;

	r = kernel_forward_take(inflight->forward);
	if (r < 0)
		return r;
	inflight->stage = STAGE_PARKED;
	inflight->stopped_us = stopped_us;
	inflight->taken_us = clock_monotonic_us();
	inflight->counters.switch_us = (uint32_t) (inflight->taken_us - started);

	drain(inflight);
	inflight->emptied_us = clock_realtime_us();
	inflight_stop_ring(inflight);
	inflight->counters.park_us = (uint32_t) (clock_monotonic_us() - started);
	return 0;
}

/* What is parked is complete from now on: t2 and t3 above. */
static void complete_parking(struct inflight *inflight)
{
	if (clock_monotonic_us() - inflight->taken_us < GRACE_US)
		await_all_cpus();
	drain(inflight);
	inflight_recover(inflight, UINT64_MAX, false);
}

int inflight_release(struct inflight *inflight, uint64_t budget_us)
{
	int r;

	if (inflight->stage == STAGE_FORWARDING)
		return 0;
	if (inflight->stage != STAGE_PARKED && inflight->stage != STAGE_RELEASING)
		return -EALREADY;

	if (inflight->stage == STAGE_PARKED) {
		complete_parking(inflight);
		raw_port_pin(inflight->port);
		(void) send_parked(inflight, inflight->port, false);
		raw_port_settle(inflight->port);
		inflight->stage = STAGE_RELEASING;
	}
	r = kernel_forward_release(inflight->forward, budget_us);
	if (r == 0)
		inflight->stage = STAGE_FORWARDING;
	return r;
}

/* --- returning --- */

/*
 * All that waits comes to the tap at once, and more meanwhile, perhaps before the guest reads
 * again. Nothing else for the VM is on its way there now.
 */
static void make_room(struct inflight *inflight)
{
	struct kernel_forward_counters held = { 0 };
	int r = kernel_forward_read(inflight->forward, &held);

	if (r == 0)
		r = kernel_port_make_room(inflight->kernel, inflight->tap_ifindex,
					  2 * (inflight->parked.count + held.queued) +
						  ROOM_PACKETS);
	if (r < 0)
		inflight->counters.tap_error = r;
}

/* What is parked goes back to the tap, then what is held, then the bridge's entry changes. */
static int give_back(struct inflight *inflight)
{
	_cleanup_(raw_port_freep) struct raw_port *port = NULL;
	int r = raw_port_open(inflight->tap_ifindex, true, &port);

	if (r == 0)
		r = kernel_forward_turn_back(inflight->forward, inflight->tap_ifindex);
	if (r < 0)
		return r;

	make_room(inflight);
	/* The guest may run again: its queue is QEMU's to read. */
	inflight_recover(inflight, inflight->drained_us, true);
	raw_port_pin(port);
	inflight->counters.returned += send_parked(inflight, port, true);
	raw_port_settle(port);
	return kernel_forward_release(inflight->forward, NO_LIMIT_US);
}

int inflight_return(struct inflight *inflight)
{
	int given = 0, r;

	if (inflight->stage == STAGE_RETURNED)
		return 0;
	if (inflight->tap_ifindex == 0)
		return -ENODEV;

	if (inflight->stage == STAGE_PARKED)
		given = give_back(inflight);
	else if (inflight->stage == STAGE_RELEASING)
		given = kernel_forward_release(inflight->forward, NO_LIMIT_US);
	r = kernel_forward_return(inflight->forward, inflight->tap_ifindex);
	if (r < 0)
		return r;
	inflight->stage = STAGE_RETURNED;
	return given;
}

/* --- counting --- */

/* Our handle is what keeps a tap alive whose QEMU has ended. */
static void look_for_stragglers(struct inflight *inflight)
{
	bool ended = tap_queue_owner_ended(inflight->tap);
	uint64_t before = inflight->counters.pulled;

	drain(inflight);
	inflight->counters.stragglers += inflight->counters.pulled - before;
	if (inflight->stage == STAGE_FORWARDING)
		(void) send_parked(inflight, inflight->port, false);
	if (ended)
		inflight->tap = tap_queue_free(inflight->tap);
}

int inflight_read(struct inflight *inflight, struct inflight_counters *ret_counters)
{
	struct kernel_forward_counters kernel_part;
	struct inflight_counters counters;
	int r;

	if (inflight->tap &&
	    (inflight->stage == STAGE_PARKED || inflight->stage == STAGE_FORWARDING))
		look_for_stragglers(inflight);

	r = kernel_forward_read(inflight->forward, &kernel_part);
	if (r < 0)
		return r;
	counters = inflight->counters;
	counters.forwarded = kernel_part.sent;
	counters.dropped += kernel_part.dropped;
	counters.held_bytes = kernel_part.queued_bytes;
	counters.rounds = kernel_part.rounds;
	counters.release_us = (uint32_t) kernel_part.release_us;
	*ret_counters = counters;
	return 0;
}
