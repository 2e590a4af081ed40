/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_lane.c - a lane: a VXLAN device, and a bridge port, that carries one MAC to its new NVE.
 *
 * Theory of operation
 *
 * "rhf<N>", N the lowest free number. Its own VNI is N + 1 on UDP port FORWARD_UDP_PORT, which only
 * keeps it apart from every other VXLAN device (the kernel refuses a second one with the same VNI,
 * port and flags); its one forwarding entry names the real VNI and port. Whatever would come in by
 * it is dropped by an ingress filter: a VNI nobody asked for must not be a way into the bridge.
 *
 * The outer UDP source port is one for all lanes of a MAC, instead of a hash of the inner frame: a
 * frame that was read back from a tap has another skb hash than one that was just bridged, and the
 * two must not take different paths (ECMP), transmit queues or receive queues.
 *
 * Turning back. When the VM goes on here, what is held must go to its tap, and before anything
 * newer does. So the forwarding entry is pointed at this very device (own VTEP, own VNI and port):
 * the VXLAN driver hands such frames to it without sending them (encap_bypass_if_local()), and a
 * redirect on its ingress takes them to the tap.
 */
#include "nveagent/kernel_lane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>

#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_link.h"
#include "nveagent/kernel_tc.h"

enum {
	TAKE_MESSAGES_MAX = KERNEL_FDB_MESSAGES_MAX,
};

struct kernel_lane {
	struct kernel *kernel; /* borrowed */
	struct vni_devices devices;
	struct mac mac, own_mac;
	struct ip new_vtep;
	unsigned number, source_port;
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
	return (struct mac){ { 0xfe, 0xff, 0xff, 0xff, (uint8_t) (number >> 8),
			       (uint8_t) number } };
}

static unsigned device_number(struct mac mac)
{
	return (unsigned) mac.octet[4] << 8 | mac.octet[5];
}

static void device_name(unsigned number, char *buffer)
{
	snprintf(buffer, IFNAMSIZ, "rhf%u", number);
}

bool kernel_lane_is_ours(const char *name, struct mac mac)
{
	unsigned number = device_number(mac);
	char expected[IFNAMSIZ];

	device_name(number, expected);
	return strcmp(name, expected) == 0 && mac_cmp(mac, device_mac(number)) == 0;
}

static int put_vxlan(struct nl_msg *message, const struct kernel_link *vxlan,
		     const struct vni_devices *devices, unsigned number, unsigned source_port)
{
	int local = devices->vtep.family == AF_INET ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6;
	const struct ifla_vxlan_port_range range = {
		.low = htons((uint16_t) source_port),
		.high = htons((uint16_t) (source_port + 1)), /* exclusive: udp_flow_src_port() */
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

static int make_numbered(struct kernel_lane *lane, const struct kernel_link *vxlan, unsigned number)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	unsigned source_port = lane->source_port ? lane->source_port : FORWARD_SOURCE_PORT + number;
	struct mac mac = device_mac(number);
	struct kernel_link made;
	char name[IFNAMSIZ];
	int r;

	device_name(number, name);
	if (!message || nla_put_string(message, IFLA_IFNAME, name) < 0 ||
	    nla_put(message, IFLA_ADDRESS, MAC_SIZE, mac.octet) < 0 ||
	    nla_put_u32(message, IFLA_MTU, vxlan->mtu) < 0 ||
	    put_vxlan(message, vxlan, &lane->devices, number, source_port) < 0)
		return -ENOMEM;

	r = kernel_request(lane->kernel, message);
	if (r == 0)
		r = kernel_link_by_name(lane->kernel, name, &made);
	if (r < 0)
		return r;
	lane->ifindex = made.port.ifindex;
	lane->own_mac = mac;
	lane->number = number;
	lane->source_port = source_port;
	(void) kernel_link_set_ipv6(name, false); /* without IPv6 it is silent anyway */
	return 0;
}

static int make_device(struct kernel_lane *lane)
{
	struct kernel_link vxlan;
	int r = kernel_link_by_index(lane->kernel, lane->devices.vxlan_ifindex, &vxlan);

	if (r < 0)
		return r;
	for (unsigned number = 0; number < KERNEL_LANES_MAX; number++) {
		r = make_numbered(lane, &vxlan, number);
		if (r != -EEXIST)
			return r;
	}
	return -EMFILE;
}

/* For those who look at the device. */
static int set_alias(const struct kernel_lane *lane)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_SETLINK, 0, lane->ifindex);
	char alias[LINK_ALIAS_SIZE], text[MAC_TEXT_SIZE];

	snprintf(alias, sizeof(alias), "rehome forward vni %u mac %s", lane->devices.vni,
		 mac_text(lane->mac, text));
	if (!message || nla_put_string(message, IFLA_IFALIAS, alias) < 0)
		return -ENOMEM;
	return kernel_request(lane->kernel, message);
}

static int enter_bridge(struct kernel_lane *lane)
{
	const struct link_port_flag flags[] = {
		{ IFLA_BRPORT_LEARNING, 0 },
		/* Who asks for the VM here is still answered (kernel_neigh.c). */
		{ IFLA_BRPORT_NEIGH_SUPPRESS, lane->devices.suppress },
		{ IFLA_BRPORT_UNICAST_FLOOD, 0 },
		{ IFLA_BRPORT_MCAST_FLOOD, 0 },
		{ IFLA_BRPORT_BCAST_FLOOD, 0 },
	};
	bool made;
	int r = set_alias(lane);

	if (r == 0)
		r = kernel_link_set_master(lane->kernel, lane->ifindex,
					   lane->devices.bridge_ifindex);
	if (r == 0)
		r = kernel_link_set_port_flags(lane->kernel, lane->ifindex, flags,
					       ARRAY_SIZE(flags));
	if (r == 0)
		r = tc_clsact_ensure(lane->kernel, lane->ifindex, &made);
	if (r == 0)
		r = tc_drop_all(lane->kernel, lane->ifindex);
	return r;
}

static int set_destination(struct kernel_lane *lane, struct ip vtep, uint16_t port, uint32_t vni)
{
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX];
	const struct fdb_change change = {
		.op = FDB_OP_ADD,
		.entry = {
			.layer = FDB_LAYER_VXLAN,
			.ifindex = lane->ifindex,
			.mac = lane->mac,
			.vtep = vtep,
			.port = port,
			.vni = vni,
		},
	};
	int r = kernel_fdb_build(&change, messages);

	if (r < 0)
		return r;
	r = kernel_request(lane->kernel, messages[0]);
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

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(struct rtmsg), a, RTA_MAX, NULL) < 0 ||
	    !a[RTA_OIF])
		return -EPROTO;
	hop->ifindex = nla_get_u32(a[RTA_OIF]);
	if (a[RTA_GATEWAY])
		(void) ip_from_bytes(nla_data(a[RTA_GATEWAY]), (size_t) nla_len(a[RTA_GATEWAY]),
				     &hop->address);
	return 0;
}

static int find_hop(struct kernel *kernel, struct ip to, struct hop *hop)
{
	struct rtmsg header = { .rtm_family = to.family,
				.rtm_dst_len = (unsigned char) (ip_size(to) * 8) };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_GETROUTE, 0, &header, sizeof(header));

	hop->address = to;
	if (!message || nla_put(message, RTA_DST, (int) ip_size(to), to.octet) < 0)
		return -ENOMEM;
	return kernel_get(kernel, message, take_route, hop);
}

/*
 * Has the kernel resolve the next hop ahead of use (NTF_USE), because few frames may wait for an
 * unresolved neighbour (unres_qlen_bytes, arp(7)) and a whole queue is about to. Failure is not
 * fatal: the path may be one without neighbours.
 */
static void resolve(struct kernel *kernel, const struct hop *hop)
{
	struct ndmsg header = {
		.ndm_family = hop->address.family, /* a gateway may be of the other one: RFC 5549 */
		.ndm_ifindex = (int) hop->ifindex,
		.ndm_flags = NTF_USE,
	};
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_NEWNEIGH, NLM_F_CREATE, &header, sizeof(header));

	if (message &&
	    nla_put(message, NDA_DST, (int) ip_size(hop->address), hop->address.octet) == 0)
		(void) kernel_request(kernel, message);
}

static struct hold_underlay meet_underlay(struct kernel_lane *lane)
{
	struct hold_underlay underlay = { 0 };
	struct kernel_link link;
	struct hop hop;

	if (find_hop(lane->kernel, lane->new_vtep, &hop) < 0)
		return underlay;
	resolve(lane->kernel, &hop);
	if (kernel_link_by_index(lane->kernel, hop.ifindex, &link) == 0) {
		(void) kernel_link_speed(link.port.name, &underlay.mbit);
		underlay.is_hardware = kernel_link_is_hardware(link.port.name);
	}
	return underlay;
}

/* --- the whole --- */

static int build_take(struct kernel_lane *lane)
{
	int count = kernel_lane_build_entry(lane->mac, lane->ifindex, lane->take);

	if (count < 0)
		return count;
	lane->take_count = count;
	return 0;
}

static int prepare(struct kernel_lane *lane)
{
	int r = make_device(lane);

	if (r == 0)
		r = enter_bridge(lane);
	if (r == 0)
		r = set_destination(lane, lane->new_vtep, lane->devices.port, lane->devices.vni);
	if (r == 0)
		r = kernel_hold_new(lane->kernel, lane->ifindex, lane->own_mac, &lane->hold);
	if (r == 0)
		r = kernel_link_set_up(lane->kernel, lane->ifindex);
	if (r == 0)
		r = kernel_hold_begin(lane->hold, meet_underlay(lane));
	if (r < 0)
		return r;

	return build_take(lane);
}

/* Without a device; NULL when out of memory. */
static struct kernel_lane *lane_alloc(struct kernel *kernel, const struct vni_devices *devices,
				      struct mac mac, struct ip new_vtep)
{
	struct kernel_lane *lane = calloc(1, sizeof(*lane));

	if (lane)
		*lane = (struct kernel_lane){
			.kernel = kernel,
			.devices = *devices,
			.mac = mac,
			.new_vtep = new_vtep,
		};
	return lane;
}

int kernel_lane_new(struct kernel *kernel, const struct vni_devices *devices, struct mac mac,
		    struct ip new_vtep, const struct kernel_lane *twin,
		    struct kernel_lane **ret_lane)
{
	_cleanup_(kernel_lane_freep) struct kernel_lane *lane =
		lane_alloc(kernel, devices, mac, new_vtep);
	int r;

	if (!lane)
		return -ENOMEM;

	lane->source_port = twin ? twin->source_port : 0;
	r = prepare(lane);
	if (r < 0)
		return r;

	*ret_lane = TAKE_PTR(lane);
	return 0;
}

static int adopt(struct kernel_lane *lane)
{
	struct kernel_link link;
	int r = kernel_link_by_index(lane->kernel, lane->ifindex, &link);

	if (r < 0)
		return r;
	lane->own_mac = link.port.mac;
	lane->number = device_number(link.port.mac);
	r = kernel_hold_adopt(lane->kernel, lane->ifindex, lane->own_mac,
			      link.tx_dropped + link.tx_errors, &lane->hold);
	return r < 0 ? r : build_take(lane);
}

int kernel_lane_adopt(struct kernel *kernel, const struct vni_devices *devices, struct mac mac,
		      struct ip new_vtep, uint32_t ifindex, struct kernel_lane **ret_lane)
{
	struct kernel_lane *lane = lane_alloc(kernel, devices, mac, new_vtep);
	int r;

	if (!lane)
		return -ENOMEM;
	lane->ifindex = ifindex;
	r = adopt(lane);
	if (r < 0) {
		(void) kernel_lane_leave(lane);
		return r;
	}
	*ret_lane = lane;
	return 0;
}

struct kernel_lane *kernel_lane_leave(struct kernel_lane *lane)
{
	if (lane)
		lane->ifindex = 0;
	return kernel_lane_free(lane);
}

struct kernel_lane *kernel_lane_free(struct kernel_lane *lane)
{
	if (!lane)
		return NULL;

	if (lane->ifindex)
		(void) kernel_link_delete(lane->kernel, lane->ifindex);
	kernel_hold_free(lane->hold);
	for (int i = 0; i < lane->take_count; i++)
		nlmsg_free(lane->take[i]);
	free(lane);
	return NULL;
}

uint32_t kernel_lane_ifindex(const struct kernel_lane *lane)
{
	return lane->ifindex;
}

struct kernel_hold *kernel_lane_hold(struct kernel_lane *lane)
{
	return lane->hold;
}

/* --- the bridge's entry --- */

int kernel_lane_build_entry(struct mac mac, uint32_t ifindex, struct nl_msg **messages)
{
	const struct fdb_change change = {
		.op = FDB_OP_REPLACE,
		.entry = { .layer = FDB_LAYER_BRIDGE,
			   .ifindex = ifindex,
			   .mac = mac,
			   .sticky = true },
	};

	return kernel_fdb_build(&change, messages);
}

int kernel_lane_send_entry(struct kernel *kernel, struct nl_msg *const *messages, int count)
{
	int results[KERNEL_FDB_MESSAGES_MAX] = { 0 };
	int r = kernel_batch(kernel, messages, (size_t) count, results);

	for (int i = 0; i < count && r == 0; i++)
		r = results[i];
	return r;
}

int kernel_lane_take(struct kernel_lane *lane)
{
	return kernel_lane_send_entry(lane->kernel, lane->take, lane->take_count);
}

int kernel_lane_turn_back(struct kernel_lane *lane, uint32_t tap_ifindex)
{
	struct tc_cookie none = { .target = tap_ifindex };
	int r = tc_redirect(lane->kernel, lane->ifindex, tap_ifindex, lane->mac, &none);

	return r < 0 ? r
		     : set_destination(lane, lane->devices.vtep, FORWARD_UDP_PORT,
				       lane->number + 1);
}

/* Fillers end as the device's drops; those still in the queue are not there yet. */
int kernel_lane_read(struct kernel_lane *lane, struct kernel_lane_counters *ret_counters)
{
	struct kernel_hold_counters held = { 0 };
	struct kernel_link link;
	uint64_t failed;
	int r = kernel_link_by_index(lane->kernel, lane->ifindex, &link);

	if (r == 0)
		r = kernel_hold_read(lane->hold, &held);
	if (r < 0)
		return r;

	failed = link.tx_dropped + link.tx_errors;
	*ret_counters = (struct kernel_lane_counters){
		.sent = link.tx_packets,
		.dropped = held.dropped + (failed > held.fillers ? failed - held.fillers : 0),
		.queued = held.queued,
		.queued_bytes = held.queued_bytes,
	};
	return 0;
}
