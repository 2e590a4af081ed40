/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_vni.c - the bridge and the VXLAN device of one VNI: made when missing, adopted when
 * fitting, refused otherwise.
 *
 * A bridge we make gives its ports no VLAN: a kernel with VLAN filtering would keep a second copy
 * of each forwarding entry for VLAN 1, which has no effect while filtering is off but does not
 * follow when the first one roams (br_fdb.c, br_fdb_add()). What we make sends nothing of its own:
 * no link-local address (no DAD, MLD or router solicitation), no STP, no snooping (after a move the
 * new bridge would not know the VM's groups until the next query).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "nveagent/kernel_link.h"
#include "nveagent/kernel_tc.h"

enum {
	/* IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14: RFC 7348 section 5 */
	VXLAN_OVERHEAD_IPV4 = 50,
	VXLAN_OVERHEAD_IPV6 = 70, /* IPv6 40 */
};

/* The errno and, for the user, why. */
__attribute__((format(printf, 3, 4))) static int refuse(char *message, int error,
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, KERNEL_MESSAGE_SIZE, format, arguments);
	va_end(arguments);
	return error;
}

/* The same for what the kernel refused, with its own words when it gave any. */
static int refused(const struct kernel *kernel, char *message, int error, const char *what,
		   const char *device)
{
	return refuse(message, error, "Cannot %s %s: %s%s%.120s", what, device, strerror(-error),
		      kernel->explanation[0] ? ": " : "", kernel->explanation);
}

static int check_bridge(const struct kernel_link *link, char *message)
{
	const char *name = link->port.name;

	if (strcmp(link->kind, "bridge") != 0)
		return refuse(message, -ENOTUNIQ, "Device %s is not a bridge; name another one",
			      name);
	if (link->vlan_filtering)
		return refuse(message, -ENOTUNIQ,
			      "Bridge %s filters VLANs; give each VNI a bridge of its own, or "
			      "`ip link set %s type bridge vlan_filtering 0`", name, name);
	return 0;
}

static int check_vxlan(const struct vni_devices *devices, const struct kernel_link *link,
		       char *message)
{
	const char *name = link->port.name;
	char want[IP_TEXT_SIZE], have[IP_TEXT_SIZE];

	if (!link->port.is_vxlan)
		return refuse(message, -ENOTUNIQ,
			      "Device %s is not a VXLAN device; name another one", name);
	if (link->external || link->vnifilter)
		return refuse(message, -ENOTUNIQ,
			      "VXLAN device %s carries several VNIs (external); rehome needs one "
			      "device for VNI %u",
			      name, devices->vni);
	if (link->vni != devices->vni)
		return refuse(message, -ENOTUNIQ, "VXLAN device %s has VNI %u, not %u", name,
			      link->vni, devices->vni);
	if (link->udp_port != devices->port)
		return refuse(message, -ENOTUNIQ,
			      "VXLAN device %s uses UDP port %u, not %u; make both the same", name,
			      link->udp_port, devices->port);
	if (ip_cmp(link->local, devices->vtep) != 0)
		return refuse(message, -ENOTUNIQ,
			      "VXLAN device %s sends from %s, not from the VTEP %s; make it with "
			      "`local %s`",
			      name, ip_text(link->local, have), ip_text(devices->vtep, want), want);
	if (link->port.master && link->port.master != devices->bridge_ifindex)
		return refuse(message, -EBUSY,
			      "VXLAN device %s is a port of another bridge, not of %s", name,
			      devices->bridge);
	return 0;
}

/*
 * A bridge without an address of its own takes the lowest of its ports', and each time that changes
 * it loses all its neighbour entries (net/core/neighbour.c, neigh_changeaddr()).
 */
static struct mac own_mac(void)
{
	struct mac mac = { { 0x02 } }; /* locally administered */

	(void) getrandom(mac.octet + 1, sizeof(mac.octet) - 1, 0);
	return mac;
}

static int make_bridge(struct kernel *kernel, const struct vni_devices *devices)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	struct link_info info;

	if (!message || nla_put_string(message, IFLA_IFNAME, devices->bridge) < 0 ||
	    nla_put(message, IFLA_ADDRESS, MAC_SIZE, own_mac().octet) < 0 ||
	    kernel_link_info_begin(message, "bridge", &info) < 0 ||
	    nla_put_u32(message, IFLA_BR_STP_STATE, 0) < 0 ||
	    nla_put_u8(message, IFLA_BR_MCAST_SNOOPING, 0) < 0 ||
	    nla_put_u16(message, IFLA_BR_VLAN_DEFAULT_PVID, 0) < 0)
		return -ENOMEM;
	kernel_link_info_end(message, &info);
	return kernel_request(kernel, message);
}

static int build_vxlan(const struct vni_devices *devices, uint32_t mtu, struct nl_msg **ret_message)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	int local = devices->vtep.family == AF_INET ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6;
	struct link_info info;

	if (!message || nla_put_string(message, IFLA_IFNAME, devices->vxlan) < 0 ||
	    nla_put_u32(message, IFLA_MTU, mtu) < 0 ||
	    kernel_link_info_begin(message, "vxlan", &info) < 0 ||
	    nla_put_u32(message, IFLA_VXLAN_ID, devices->vni) < 0 ||
	    nla_put_u16(message, IFLA_VXLAN_PORT, htons(devices->port)) < 0 ||
	    nla_put_u8(message, IFLA_VXLAN_LEARNING, 0) < 0 ||
	    nla_put(message, local, (int) ip_size(devices->vtep), devices->vtep.octet) < 0)
		return -ENOMEM;
	kernel_link_info_end(message, &info);

	*ret_message = TAKE_PTR(message);
	return 0;
}

static int make_vxlan(struct kernel *kernel, const struct vni_devices *devices)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	struct kernel_link underlay;
	uint32_t overhead, ifindex;
	int r;

	r = kernel_link_of_address(kernel, devices->vtep, &ifindex);
	if (r == 0)
		r = kernel_link_by_index(kernel, ifindex, &underlay);
	if (r < 0)
		return r;

	overhead = devices->vtep.family == AF_INET ? VXLAN_OVERHEAD_IPV4 : VXLAN_OVERHEAD_IPV6;
	if (underlay.mtu <= overhead)
		return -EMSGSIZE;

	r = build_vxlan(devices, underlay.mtu - overhead, &message);
	return r < 0 ? r : kernel_request(kernel, message);
}

static int learning_off(struct kernel *kernel, const struct kernel_link *vxlan)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	struct link_info info;

	if (!vxlan->learning)
		return 0;

	message = kernel_link_message(RTM_NEWLINK, 0, vxlan->port.ifindex);
	if (!message || kernel_link_info_begin(message, "vxlan", &info) < 0 ||
	    nla_put_u32(message, IFLA_VXLAN_ID, vxlan->vni) < 0 ||
	    nla_put_u8(message, IFLA_VXLAN_LEARNING, 0) < 0)
		return -ENOMEM;
	kernel_link_info_end(message, &info);
	return kernel_request(kernel, message);
}

/* Finds the device, or makes it when that is wanted. */
static int find_or_make(struct kernel *kernel, struct vni_devices *devices, const char *name,
			int (*make)(struct kernel *kernel, const struct vni_devices *devices),
			struct kernel_link *ret_link, bool *made, char *message)
{
	int r = kernel_link_by_name(kernel, name, ret_link);

	if (r != -ENODEV)
		return r < 0 ? refused(kernel, message, r, "look at", name) : 0;
	if (!devices->create)
		return refuse(
			message, r,
			"There is no device %s; make it, or let rehome make it (create = yes)",
			name);

	r = make(kernel, devices);
	if (r == -EADDRNOTAVAIL)
		return refuse(message, r, "The VTEP address is on no interface of this host");
	if (r == -EEXIST)
		return refuse(
			message, r,
			"Cannot make %s: another VXLAN device has VNI %u and UDP port %u already",
			name, devices->vni, devices->port);
	if (r < 0)
		return refused(kernel, message, r, "make", name);
	*made = true;

	r = kernel_link_by_name(kernel, name, ret_link);
	if (r == 0)
		r = kernel_link_set_no_autoconf(kernel, ret_link->port.ifindex);
	return r < 0 && r != -EAFNOSUPPORT ? refused(kernel, message, r, "set up", name) : 0;
}

static int join(struct kernel *kernel, const struct vni_devices *devices,
		const struct kernel_link *vxlan)
{
	const struct link_port_flag flags[] = {
		{ IFLA_BRPORT_LEARNING, 0 },
		{ IFLA_BRPORT_NEIGH_SUPPRESS, devices->suppress },
	};
	int r = learning_off(kernel, vxlan);

	if (r == 0 && vxlan->port.master == 0)
		r = kernel_link_set_master(kernel, vxlan->port.ifindex, devices->bridge_ifindex);
	if (r == 0)
		r = kernel_link_set_port_flags(kernel, vxlan->port.ifindex, flags,
					       ARRAY_SIZE(flags));
	if (r == 0)
		r = kernel_link_set_up(kernel, vxlan->port.ifindex);
	if (r == 0)
		r = kernel_link_set_up(kernel, devices->bridge_ifindex);
	return r;
}

static int ensure(struct kernel *kernel, struct vni_devices *devices, char *message)
{
	struct kernel_link bridge, vxlan;
	bool made_clsact;
	int r;

	r = find_or_make(kernel, devices, devices->bridge, make_bridge, &bridge,
			 &devices->made_bridge, message);
	if (r == 0)
		r = check_bridge(&bridge, message);
	if (r < 0)
		return r;
	devices->bridge_ifindex = bridge.port.ifindex;

	r = find_or_make(kernel, devices, devices->vxlan, make_vxlan, &vxlan, &devices->made_vxlan,
			 message);
	if (r == 0)
		r = check_vxlan(devices, &vxlan, message);
	if (r < 0)
		return r;
	devices->vxlan_ifindex = vxlan.port.ifindex;

	/* Now, because it interrupts the device; guards need it when VMs already talk. */
	r = tc_clsact_ensure(kernel, devices->vxlan_ifindex, &made_clsact);
	if (r < 0)
		return refused(kernel, message, r, "make a clsact qdisc on", devices->vxlan);
	r = join(kernel, devices, &vxlan);
	return r < 0 ? refused(kernel, message, r, "join with its bridge", devices->vxlan) : 0;
}

/*
 * On a kernel started with ipv6.disable=1 the bridge's ND suppression follows a null pointer
 * (br_do_suppress_nd(): ipv6_stub->nd_tbl, until Linux commit e5e890630533 of March 2026).
 */
static bool has_ipv6(void)
{
	return access("/proc/sys/net/ipv6", F_OK) == 0;
}

int kernel_vni_ensure(struct kernel *kernel, struct vni_devices *devices, char *reterr_message)
{
	struct vni_devices wanted = *devices;
	int r;

	wanted.bridge_ifindex = wanted.vxlan_ifindex = 0;
	wanted.made_bridge = wanted.made_vxlan = false;
	wanted.suppress = devices->suppress && has_ipv6();

	r = ensure(kernel, &wanted, reterr_message);
	if (r < 0) {
		(void) kernel_vni_remove(kernel, &wanted);
		return r;
	}
	*devices = wanted;
	return 0;
}

/* By name: a failed ensure may have made a device without learning its index. */
static int remove_made(struct kernel *kernel, const char *name, const char *kind)
{
	struct kernel_link link;
	int r = kernel_link_by_name(kernel, name, &link);

	if (r < 0)
		return r == -ENODEV ? 0 : r;
	return strcmp(link.kind, kind) == 0 ? kernel_link_delete(kernel, link.port.ifindex)
					    : -ENOTUNIQ;
}

int kernel_vni_remove(struct kernel *kernel, const struct vni_devices *devices)
{
	int r = devices->made_vxlan ? remove_made(kernel, devices->vxlan, "vxlan") : 0;
	int r2 = devices->made_bridge ? remove_made(kernel, devices->bridge, "bridge") : 0;

	return r < 0 ? r : r2;
}
