/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_forward.c - the forward device: a VXLAN device that carries one MAC to its new NVE.
 *
 * Theory of operation
 *
 * One device per moving MAC, "rhf<N>", N the lowest free number: each has a queue of its own to
 * hold (kernel_hold.c), and its counters count one move. Its own VNI is N + 1 on UDP port
 * FORWARD_UDP_PORT, which only keeps it apart from every other VXLAN device (the kernel refuses a
 * second one with the same VNI, port and flags); its one forwarding entry names the real VNI and
 * port. Whatever would come in by it is dropped by an ingress filter: a VNI nobody asked for must
 * not be a way into the bridge.
 *
 * Order. The outer UDP source port is one (srcport range of size 1) instead of a hash of the inner
 * frame: a frame that was read back from a tap has another skb hash than one that was just bridged,
 * and the two must not take different paths (ECMP), transmit queues or receive queues.
 *
 * Turning back. When the VM goes on here, what is held must go to its tap, and before anything newer
 * does. So the forwarding entry is pointed at this very device (own VTEP, own VNI and port): the
 * VXLAN driver hands such frames to it without sending them (encap_bypass_if_local()), and a
 * redirect on its ingress takes them to the tap. New frames still join the end of the queue; once it
 * is empty the bridge's entry can change.
 *
 * Without sch_tbf frames are not held: they may overtake what is pulled from the tap.
 */
#include "nveagent/kernel_forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>

#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_hold.h"
#include "nveagent/kernel_link.h"
#include "nveagent/kernel_tc.h"

enum {
	TAKE_MESSAGES_MAX = KERNEL_FDB_MESSAGES_MAX,
};

struct kernel_forward {
	struct kernel *kernel; /* borrowed */
	struct vni_devices devices;
	struct mac mac, own_mac;
	struct ip new_vtep;
	unsigned number;
	uint32_t ifindex;
	struct kernel_hold *hold;
	struct nl_msg *take[TAKE_MESSAGES_MAX];
	int take_count;
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

static struct hold_underlay meet_underlay(struct kernel_forward *forward)
{
	struct hold_underlay underlay = { 0 };
	struct kernel_link link;
	struct hop hop;

	if (find_hop(forward->kernel, forward->new_vtep, &hop) < 0)
		return underlay;
	resolve(forward->kernel, &hop);
	if (kernel_link_by_index(forward->kernel, hop.ifindex, &link) == 0) {
		(void) kernel_link_speed(link.port.name, &underlay.mbit);
		underlay.is_hardware = kernel_link_is_hardware(link.port.name);
	}
	return underlay;
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
		r = kernel_hold_new(forward->kernel, forward->ifindex, forward->own_mac, &forward->hold);
	if (r == 0)
		r = kernel_link_set_up(forward->kernel, forward->ifindex);
	if (r == 0)
		r = kernel_hold_begin(forward->hold, meet_underlay(forward));
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

	*ret_forward = TAKE_PTR(forward);
	return 0;
}

struct kernel_forward *kernel_forward_free(struct kernel_forward *forward)
{
	if (!forward)
		return NULL;

	if (forward->ifindex)
		(void) kernel_link_delete(forward->kernel, forward->ifindex);
	kernel_hold_free(forward->hold);
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
	return kernel_hold_holds(forward->hold);
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

int kernel_forward_turn_back(struct kernel_forward *forward, uint32_t tap_ifindex)
{
	struct tc_cookie none = { .target = tap_ifindex };
	int r = tc_redirect(forward->kernel, forward->ifindex, tap_ifindex, forward->mac, &none);

	return r < 0 ? r : set_destination(forward, forward->devices.vtep, FORWARD_UDP_PORT, forward->number + 1);
}

int kernel_forward_release(struct kernel_forward *forward, uint64_t budget_us)
{
	return kernel_hold_release(forward->hold, budget_us);
}

/* Fillers end as the device's drops; those still in the queue are not there yet. */
int kernel_forward_read(struct kernel_forward *forward, struct kernel_forward_counters *ret_counters)
{
	struct kernel_hold_counters held = { 0 };
	struct kernel_link link;
	uint64_t failed;
	int r = kernel_link_by_index(forward->kernel, forward->ifindex, &link);

	if (r == 0)
		r = kernel_hold_read(forward->hold, &held);
	if (r < 0)
		return r;

	failed = link.tx_dropped + link.tx_errors;
	*ret_counters = (struct kernel_forward_counters) {
		.sent = link.tx_packets,
		.dropped = held.dropped + (failed > held.fillers ? failed - held.fillers : 0),
		.queued_bytes = held.queued_bytes,
		.how = kernel_hold_how(forward->hold),
	};
	return 0;
}
