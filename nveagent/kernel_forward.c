/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_forward.c - the forward device: a VXLAN device that carries one MAC to its new NVE.
 *
 * Theory of operation
 *
 * One device per moving MAC, "rhf<N>", N the lowest free number: each has a queue of its own to
 * hold, and its counters count one
 * move. Its own VNI is N + 1 on UDP port FORWARD_UDP_PORT, which only keeps it apart from every
 * other VXLAN device (the kernel
 * refuses a second one with the same VNI, port and flags); its one forwarding entry names the
 * real VNI and port. Whatever would
 * come in by it is dropped by an ingress filter: a VNI nobody asked for must not be a way into
 * the bridge.
 *
 * Order. The outer UDP source port is one (srcport range of size 1) instead of a hash of the
 * inner frame: a frame that was read
 * back from a tap has another skb hash than one that was just bridged, and the two must not take
 * different paths (ECMP),
 * transmit queues or receive queues.
 *
 * Holding (net/sched/sch_tbf.c, Linux 6.1 to 6.18). The root queue is a token bucket of 1 byte/s
 * that counts each frame as
 * 65535 + its size. The bucket starts full: 128 KiB + 65535 = 196607. HOLD_FILLERS frames empty
 * it: the first two
 * pass, 2 * (65535 + 60), which leaves 65417, too little for any frame however small; the others
 * wait at the head of the queue, one
 * of them for 3 minutes, and each further one for 18 hours. What comes after waits behind them in
 * order. Fillers are addressed to
 * the device itself, so the VXLAN driver drops them.
 *
 * Releasing changes the rates of the same queue, which keeps its contents, but its timer still
 * stands as it was: one more filler
 * makes the queue run now. A frame that arrives between the two does the same, and goes to the
 * end of the queue as it must.
 *
 * All at once would be too much: a queue that may pass sends up to 64 frames for each one that
 * arrives (dev_tx_weight), which
 * overruns what lies below, a network card's queue or, with a virtual link, a CPU's backlog. So
 * the queue is emptied in grants: a
 * bucketful that passes some 60 short frames, 37 of 1500 bytes or two bundles of 64 KiB, and the
 * next one when backlogs are short and
 * the time is over that it takes at the underlay's speed. If that takes longer than the agent can
 * stand still for, the queue goes
 * on by itself, at DRAIN_SPEEDUP times the rate at which it fills. When it is empty, everything
 * may pass.
 *
 * And two CPUs, ours and the one where frames arrive, would send at the same time: on their way
 * through different backlogs or transmit
 * queues frames overtake each other. So we leave it to a frame that arrives to make the queue
 * run; one run spends a whole grant,
 * because the queue holds more than that. Only if no frame comes do we make it run, and wait for
 * what that sends.
 *
 * Turning back. When the VM goes on here, what is held must go to its tap, and before anything
 * newer does. So the forwarding entry
 * is pointed at this very device (own VTEP, own VNI and port): the VXLAN driver hands such frames
 * to it without sending them
 * (encap_bypass_if_local()), and a redirect on its ingress takes them to the tap. New frames
 * still join the end of the queue; once
 * it is empty the bridge's entry can change.
 *
 * Without sch_tbf (-ENOENT) frames are not held: they may overtake what is pulled from the tap.
 */
#include "nveagent/kernel_forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_link.h"
#include "nveagent/kernel_tc.h"
#include "nveagent/raw_port.h"

enum {
	HOLD_FILLERS = 4,
	FILLER_SIZE = 60,	    /* the shortest Ethernet frame without FCS */
	FILLER_ETHERTYPE = 0x88b5,  /* IEEE 802 local experimental 1 */
	TAKE_MESSAGES_MAX = KERNEL_FDB_MESSAGES_MAX,
	RUN_US_MAX = 3000,	    /* waited for an arriving frame to make the queue run */
	RUN_US_MIN = 200,	    /* the same when none came last time */
	RUN_PAUSE_US = 50,
	RUN_SETTLE_US_MAX = 50000,  /* reached only where the CPU's backlog never is empty */
	GRANT_FRAMES = 64,	    /* a grant passes fewer, and one run of a queue no more (dev_tx_weight) */
	GRANT_OVERHEAD = 2048,
	GRANT_BYTES = TC_QUEUE_FRAME_SIZE_MAX + GRANT_OVERHEAD,
	GRANT_US_MAX = 300000,	    /* of all grants; longer only on a host that is overloaded anyway */
	DRAIN_SPEEDUP = 2,
	DRAIN_RATE_MIN = 12500000,  /* bytes/s: 100 Mbit/s */
	DRAIN_BURST = 16 << 10,
};

static const struct tc_queue queue_hold = { .rate = 1, .overhead = UINT16_MAX, .burst = TC_QUEUE_FRAME_SIZE_MAX };
static const struct tc_queue queue_grant = { .rate = 1, .overhead = GRANT_OVERHEAD, .burst = TC_QUEUE_FRAME_SIZE_MAX };
static const struct tc_queue queue_pass = { .rate = 1ULL << 37 /* 1.1 Tbit/s: no CPU reaches it */, .burst = INT32_MAX };

struct kernel_forward {
	struct kernel *kernel; /* borrowed */
	struct vni_devices devices;
	struct mac mac, own_mac;
	struct ip new_vtep;
	unsigned number;
	uint32_t ifindex;
	bool has_queue, holds, drains;
	uint64_t fillers; /* sent so far */
	struct raw_port *port;
	struct nl_msg *take[TAKE_MESSAGES_MAX];
	int take_count;
	uint64_t taken_us;	 /* CLOCK_MONOTONIC of kernel_forward_take() */
	uint32_t run_us;	 /* RUN_US_MAX or RUN_US_MIN */
	uint32_t underlay_mbit;	 /* Mbit/s; 0: not known */
};

/* --- making --- */

/*
 * The highest unicast addresses that are locally administered: a bridge takes the lowest of its
 * ports' as its own.
 */
static struct mac device_mac(unsigned number)
{
	return (struct mac) { { 0xfe, 0xff, 0xff, 0xff, (uint8_t) (number >> 8), (uint8_t) number } };
}

static void device_name(unsigned number, char *buffer)
{
	snprintf(buffer, IFNAMSIZ, "rhf%u", number);
}

bool kernel_forward_is_ours(const char *name, struct mac mac)
{
	unsigned number = (unsigned) mac.octet[4] << 8 | mac.octet[5];
	char expected[IFNAMSIZ];

	device_name(number, expected);
	return strcmp(name, expected) == 0 && mac_cmp(mac, device_mac(number)) == 0;
}

static int put_vxlan(struct nl_msg *message, const struct kernel_link *vxlan, const struct vni_devices *devices,
		     unsigned number)
{
	int local = devices->vtep.family == AF_INET ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6;
	const struct ifla_vxlan_port_range range = {
		.low = htons((uint16_t) (FORWARD_SOURCE_PORT + number)),
		.high = htons((uint16_t) (FORWARD_SOURCE_PORT + number + 1)), /* exclusive: udp_flow_src_port() */
	};
	struct link_info info;

	if (kernel_link_info_begin(message, "vxlan", &info) < 0 ||
	    nla_put_u32(message, IFLA_VXLAN_ID, number + 1) < 0 ||
	    nla_put_u16(message, IFLA_VXLAN_PORT, htons(FORWARD_UDP_PORT)) < 0 ||
	    nla_put_u8(message, IFLA_VXLAN_LEARNING, 0) < 0 ||
	    nla_put(message, IFLA_VXLAN_PORT_RANGE, sizeof(range), &range) < 0 ||
	    nla_put(message, local, (int) ip_size(devices->vtep), devices->vtep.octet) < 0)
		return -ENOMEM;
	if (vxlan->underlay && nla_put_u32(message, IFLA_VXLAN_LINK, vxlan->underlay) < 0)
		return -ENOMEM;
	kernel_link_info_end(message, &info);
	return 0;
}

static int make_numbered(struct kernel_forward *forward, const struct kernel_link *vxlan, unsigned number)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	struct mac mac = device_mac(number);
	struct kernel_link made;
	char name[IFNAMSIZ];
	int r;

	device_name(number, name);
	if (!message || nla_put_string(message, IFLA_IFNAME, name) < 0 ||
	    nla_put(message, IFLA_ADDRESS, MAC_SIZE, mac.octet) < 0 ||
	    nla_put_u32(message, IFLA_MTU, vxlan->mtu) < 0 || put_vxlan(message, vxlan, &forward->devices, number) < 0)
		return -ENOMEM;

	r = kernel_request(forward->kernel, message);
	if (r == 0)
		r = kernel_link_by_name(forward->kernel, name, &made);
	if (r < 0)
		return r;
	forward->ifindex = made.port.ifindex;
	forward->own_mac = mac;
	forward->number = number;
	(void) kernel_link_set_ipv6(name, false); /* without IPv6 it is silent anyway */
	return 0;
}

static int make_device(struct kernel_forward *forward)
{
	struct kernel_link vxlan;
	int r = kernel_link_by_index(forward->kernel, forward->devices.vxlan_ifindex, &vxlan);

	if (r < 0)
		return r;
	for (unsigned number = 0; number < FORWARD_DEVICES_MAX; number++) {
		r = make_numbered(forward, &vxlan, number);
		if (r != -EEXIST)
			return r;
	}
	return -EMFILE;
}

/* For those who look at the device. */
static int set_alias(const struct kernel_forward *forward)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_link_message(RTM_SETLINK, 0, forward->ifindex);
	char alias[LINK_ALIAS_SIZE], text[MAC_TEXT_SIZE];

	snprintf(alias, sizeof(alias), "rehome forward vni %u mac %s", forward->devices.vni,
		 mac_text(forward->mac, text));
	if (!message || nla_put_string(message, IFLA_IFALIAS, alias) < 0)
		return -ENOMEM;
	return kernel_request(forward->kernel, message);
}

static int enter_bridge(struct kernel_forward *forward)
{
	static const struct link_port_flag flags[] = {
		{ IFLA_BRPORT_LEARNING, 0 },
		{ IFLA_BRPORT_UNICAST_FLOOD, 0 },
		{ IFLA_BRPORT_MCAST_FLOOD, 0 },
		{ IFLA_BRPORT_BCAST_FLOOD, 0 },
	};
	bool made;
	int r = set_alias(forward);

	if (r == 0)
		r = kernel_link_set_master(forward->kernel, forward->ifindex, forward->devices.bridge_ifindex);
	if (r == 0)
		r = kernel_link_set_port_flags(forward->kernel, forward->ifindex, flags, ARRAY_SIZE(flags));
	if (r == 0)
		r = tc_clsact_ensure(forward->kernel, forward->ifindex, &made);
	if (r == 0)
		r = tc_drop_all(forward->kernel, forward->ifindex);
	return r;
}

static int set_destination(struct kernel_forward *forward, struct ip vtep, uint16_t port, uint32_t vni)
{
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX];
	const struct fdb_change change = {
		.op = FDB_OP_ADD,
		.entry = {
			.layer = FDB_LAYER_VXLAN,
			.ifindex = forward->ifindex,
			.mac = forward->mac,
			.vtep = vtep,
			.port = port,
			.vni = vni,
		},
	};
	int r = kernel_fdb_build(&change, messages);

	if (r < 0)
		return r;
	r = kernel_request(forward->kernel, messages[0]);
	nlmsg_free(messages[0]);
	return r;
}

/* --- holding --- */

static int send_filler(struct kernel_forward *forward)
{
	uint8_t frame[FILLER_SIZE] = { 0 };
	int r;

	memcpy(frame, forward->own_mac.octet, MAC_SIZE);
	memcpy(frame + MAC_SIZE, forward->own_mac.octet, MAC_SIZE);
	frame[2 * MAC_SIZE] = FILLER_ETHERTYPE >> 8;
	frame[2 * MAC_SIZE + 1] = FILLER_ETHERTYPE & 0xff;

	r = raw_port_send(forward->port, NULL, frame, sizeof(frame));
	forward->fillers += r == 0;
	return r;
}

static int make_queue(struct kernel_forward *forward)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	int r = tc_queue_build(forward->ifindex, true, &queue_hold, &message);

	if (r < 0)
		return r;
	r = kernel_request(forward->kernel, message);
	if (r < 0)
		return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r; /* no sch_tbf: qdisc_create() */

	forward->has_queue = forward->holds = true;
	forward->run_us = RUN_US_MAX;
	return 0;
}

/* The proof that the queue holds is that fillers wait in it. */
static int empty_bucket(struct kernel_forward *forward)
{
	struct tc_queue_counters counters;
	int r = 0;

	for (int i = 0; i < HOLD_FILLERS && r == 0; i++)
		r = send_filler(forward);
	if (r == 0)
		r = tc_queue_read(forward->kernel, forward->ifindex, &counters);
	if (r == 0 && counters.queued_bytes == 0)
		forward->holds = false;
	return r;
}

/* --- the underlay's neighbour --- */

struct hop {
	uint32_t ifindex;
	struct ip address;
};

static int take_route(void *userdata, const struct nlmsghdr *header)
{
	struct hop *hop = userdata;
	struct nlattr *a[RTA_MAX + 1];

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(struct rtmsg), a, RTA_MAX, NULL) < 0 || !a[RTA_OIF])
		return -EPROTO;
	hop->ifindex = nla_get_u32(a[RTA_OIF]);
	if (a[RTA_GATEWAY])
		(void) ip_from_bytes(nla_data(a[RTA_GATEWAY]), (size_t) nla_len(a[RTA_GATEWAY]), &hop->address);
	return 0;
}

static int find_hop(struct kernel *kernel, struct ip to, struct hop *hop)
{
	struct rtmsg header = { .rtm_family = to.family, .rtm_dst_len = (unsigned char) (ip_size(to) * 8) };
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_message(RTM_GETROUTE, 0, &header, sizeof(header));

	hop->address = to;
	if (!message || nla_put(message, RTA_DST, (int) ip_size(to), to.octet) < 0)
		return -ENOMEM;
	return kernel_get(kernel, message, take_route, hop);
}

/*
 * Has the kernel resolve the next hop ahead of use (NTF_USE), because few frames may wait for an
 * unresolved neighbour
 * (unres_qlen_bytes, arp(7)) and a whole queue is about to. Failure is not fatal: the path may be
 * one without neighbours.
 */
static void resolve(struct kernel *kernel, const struct hop *hop)
{
	struct ndmsg header = {
		.ndm_family = hop->address.family, /* a gateway may be of the other one: RFC 5549 */
		.ndm_ifindex = (int) hop->ifindex,
		.ndm_flags = NTF_USE,
	};
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_message(RTM_NEWNEIGH, NLM_F_CREATE, &header, sizeof(header));

	if (message && nla_put(message, NDA_DST, (int) ip_size(hop->address), hop->address.octet) == 0)
		(void) kernel_request(kernel, message);
}

static void meet_underlay(struct kernel_forward *forward)
{
	struct kernel_link link;
	struct hop hop;

	if (find_hop(forward->kernel, forward->new_vtep, &hop) < 0)
		return;
	resolve(forward->kernel, &hop);
	if (kernel_link_by_index(forward->kernel, hop.ifindex, &link) == 0)
		(void) kernel_link_speed(link.port.name, &forward->underlay_mbit);
}

/* --- the whole --- */

static int build_bridge_entry(const struct kernel_forward *forward, uint32_t ifindex, struct nl_msg **messages)
{
	const struct fdb_change change = {
		.op = FDB_OP_REPLACE,
		.entry = { .layer = FDB_LAYER_BRIDGE, .ifindex = ifindex, .mac = forward->mac, .sticky = true },
	};

	return kernel_fdb_build(&change, messages);
}

static int prepare(struct kernel_forward *forward)
{
	int r = make_device(forward);

	if (r == 0)
		r = enter_bridge(forward);
	if (r == 0)
		r = set_destination(forward, forward->new_vtep, forward->devices.port, forward->devices.vni);
	if (r == 0)
		r = make_queue(forward);
	if (r == 0)
		r = kernel_link_set_up(forward->kernel, forward->ifindex);
	if (r == 0)
		r = raw_port_open(forward->ifindex, false, &forward->port);
	if (r == 0 && forward->holds)
		r = empty_bucket(forward);
	if (r < 0)
		return r;

	forward->take_count = build_bridge_entry(forward, forward->ifindex, forward->take);
	return forward->take_count < 0 ? forward->take_count : 0;
}

int kernel_forward_new(struct kernel *kernel, const struct vni_devices *devices, struct mac mac, struct ip new_vtep,
		       struct kernel_forward **ret_forward)
{
	_cleanup_(kernel_forward_freep) struct kernel_forward *forward = calloc(1, sizeof(*forward));
	int r;

	if (!forward)
		return -ENOMEM;
	if (mac_is_zero(mac) || mac_is_group(mac))
		return -EINVAL;
	if (new_vtep.family != devices->vtep.family)
		return -EAFNOSUPPORT;

	forward->kernel = kernel;
	forward->devices = *devices;
	forward->mac = mac;
	forward->new_vtep = new_vtep;
	r = prepare(forward);
	if (r < 0)
		return r;

	meet_underlay(forward);
	*ret_forward = TAKE_PTR(forward);
	return 0;
}

struct kernel_forward *kernel_forward_free(struct kernel_forward *forward)
{
	if (!forward)
		return NULL;

	if (forward->ifindex)
		(void) kernel_link_delete(forward->kernel, forward->ifindex);
	raw_port_free(forward->port);
	for (int i = 0; i < forward->take_count; i++)
		nlmsg_free(forward->take[i]);
	free(forward);
	return NULL;
}

uint32_t kernel_forward_ifindex(const struct kernel_forward *forward)
{
	return forward->ifindex;
}

bool kernel_forward_holds(const struct kernel_forward *forward)
{
	return forward->holds;
}

static int send_bridge_entry(struct kernel_forward *forward, struct nl_msg *const *messages, int count)
{
	int results[KERNEL_FDB_MESSAGES_MAX] = { 0 };
	int r = kernel_batch(forward->kernel, messages, (size_t) count, results);

	for (int i = 0; i < count && r == 0; i++)
		r = results[i];
	return r;
}

int kernel_forward_take(struct kernel_forward *forward)
{
	forward->taken_us = clock_monotonic_us();
	return send_bridge_entry(forward, forward->take, forward->take_count);
}

int kernel_forward_return(struct kernel_forward *forward, uint32_t tap_ifindex)
{
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX];
	int count = build_bridge_entry(forward, tap_ifindex, messages);
	int r = count < 0 ? count : send_bridge_entry(forward, messages, count);

	for (int i = 0; i < count; i++)
		nlmsg_free(messages[i]);
	return r;
}

static void pause_us(uint32_t us)
{
	const struct timespec pause = { .tv_nsec = us * 1000L };

	(void) nanosleep(&pause, NULL);
}

static int set_queue(struct kernel_forward *forward, const struct tc_queue *queue)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	int r = tc_queue_build(forward->ifindex, false, queue, &message);

	return r < 0 ? r : kernel_request(forward->kernel, message);
}

/* Makes the queue run on our CPU, and waits until what it sent is gone from there. */
static int run_queue(struct kernel_forward *forward)
{
	int r;

	raw_port_pin(forward->port);
	r = send_filler(forward);
	raw_port_settle(forward->port, RUN_SETTLE_US_MAX);
	forward->run_us = RUN_US_MIN;
	return r;
}

/*
 * Changes the queue, and makes it run unless a frame that arrives does. @counters: before and
 * after.
 */
static int set_and_run(struct kernel_forward *forward, const struct tc_queue *queue, struct tc_queue_counters *counters)
{
	uint64_t deadline = clock_monotonic_us() + forward->run_us;
	uint32_t sent = counters->sent;
	int r = set_queue(forward, queue);

	while (r == 0) {
		r = tc_queue_read(forward->kernel, forward->ifindex, counters);
		if (r < 0 || counters->queued == 0)
			return r;
		if (counters->sent != sent) {
			forward->run_us = RUN_US_MAX;
			return 0;
		}
		if (clock_monotonic_us() >= deadline)
			return run_queue(forward);
		pause_us(RUN_PAUSE_US);
	}
	return r;
}

/* Returns once a grant given at @started has left what lies below. */
static void await_underlay(const struct kernel_forward *forward, uint64_t started)
{
	uint64_t takes = forward->underlay_mbit ? GRANT_BYTES * 8 / forward->underlay_mbit : 0, took;

	raw_port_await_room(forward->port);
	took = clock_monotonic_us() - started;
	if (took < takes)
		pause_us((uint32_t) (takes - took));
}

/* Grants while the queue holds more than one passes. */
static int empty_queue(struct kernel_forward *forward, struct tc_queue_counters *counters)
{
	uint64_t started = clock_monotonic_us(), now = started;
	int r = tc_queue_read(forward->kernel, forward->ifindex, counters);

	while (r == 0 && counters->queued >= GRANT_FRAMES && now - started < GRANT_US_MAX) {
		now = clock_monotonic_us();
		r = set_and_run(forward, &queue_grant, counters);
		await_underlay(forward, now);
		if (r == 0)
			r = tc_queue_read(forward->kernel, forward->ifindex, counters);
	}
	return r;
}

/*
 * The rate at which frames came in since the entry was taken: those that are left, and those that
 * have been sent.
 */
static struct tc_queue draining(const struct kernel_forward *forward, const struct tc_queue_counters *counters)
{
	uint64_t took = clock_monotonic_us() - forward->taken_us + 1;
	uint64_t size = counters->queued_bytes / (counters->queued + 1);
	uint64_t rate = (counters->queued_bytes + size * counters->sent) * 1000000 / took * DRAIN_SPEEDUP;

	return (struct tc_queue) { .rate = rate > DRAIN_RATE_MIN ? rate : DRAIN_RATE_MIN, .burst = DRAIN_BURST };
}

/*
 * Waits until a queue that may pass has emptied itself. What set_and_run() saw leave may have
 * been the last grant's, and if no more
 * frames arrive (the peers may know of the move by now) nobody makes the queue run again: in a
 * real move the last 33 of 63
 * frames stayed in it. Frames that do arrive are left to do it, as above.
 */
static int see_it_empty(struct kernel_forward *forward, struct tc_queue_counters *counters)
{
	uint64_t started = clock_monotonic_us(), progress = started, now = started;
	int r = tc_queue_read(forward->kernel, forward->ifindex, counters);

	while (r == 0 && counters->queued > 0) {
		uint32_t sent = counters->sent;

		if (now - started >= GRANT_US_MAX)
			return -ETIMEDOUT;
		if (now - progress >= RUN_US_MAX)
			r = run_queue(forward);
		pause_us(RUN_PAUSE_US);
		if (r == 0)
			r = tc_queue_read(forward->kernel, forward->ifindex, counters);
		now = clock_monotonic_us();
		if (counters->sent != sent)
			progress = now;
	}
	return r;
}

int kernel_forward_release(struct kernel_forward *forward)
{
	struct tc_queue_counters counters;
	struct tc_queue queue = queue_pass;
	int r;

	if (!forward->holds)
		return 0;
	r = empty_queue(forward, &counters);
	if (r < 0)
		return r;
	if (counters.queued >= GRANT_FRAMES)
		queue = draining(forward, &counters);
	r = set_and_run(forward, &queue, &counters);
	if (r < 0)
		return r;
	forward->holds = false;
	forward->drains = queue.rate != queue_pass.rate;
	return forward->drains ? 0 : see_it_empty(forward, &counters);
}

int kernel_forward_tend(struct kernel_forward *forward)
{
	struct tc_queue_counters counters;
	int r;

	if (!forward->drains)
		return 0;
	r = tc_queue_read(forward->kernel, forward->ifindex, &counters);
	if (r < 0 || counters.queued > 0)
		return r;
	r = set_queue(forward, &queue_pass);
	if (r == 0)
		forward->drains = false;
	return r;
}

int kernel_forward_turn_back(struct kernel_forward *forward, uint32_t tap_ifindex)
{
	struct tc_cookie none = { .target = tap_ifindex };
	int r = tc_redirect(forward->kernel, forward->ifindex, tap_ifindex, forward->mac, &none);

	return r < 0 ? r : set_destination(forward, forward->devices.vtep, FORWARD_UDP_PORT, forward->number + 1);
}

/* Fillers end as the device's drops; those still in the queue are not there yet. */
int kernel_forward_read(struct kernel_forward *forward, struct kernel_forward_counters *ret_counters)
{
	struct tc_queue_counters queue = { 0 };
	struct kernel_link link;
	uint64_t failed;
	int r = kernel_link_by_index(forward->kernel, forward->ifindex, &link);

	if (r == 0 && forward->has_queue)
		r = tc_queue_read(forward->kernel, forward->ifindex, &queue);
	if (r < 0)
		return r;

	failed = link.tx_dropped + link.tx_errors;
	*ret_counters = (struct kernel_forward_counters) {
		.sent = link.tx_packets,
		.dropped = queue.dropped + (failed > forward->fillers ? failed - forward->fillers : 0),
		.queued_bytes = queue.queued_bytes,
	};
	return 0;
}
