/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel_link.c - network devices through rtnetlink; rtnetlink(7), include/uapi/linux/if_link.h. */
#include "nveagent/kernel_learning.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool flag(struct nlattr *attribute)
{
	return attribute && nla_len(attribute) >= 1 && nla_get_u8(attribute);
}

static uint32_t number(struct nlattr *attribute)
{
	return attribute && nla_len(attribute) >= (int) sizeof(uint32_t) ? nla_get_u32(attribute)
									 : 0;
}

static void text(struct nlattr *attribute, char *buffer, size_t size)
{
	buffer[0] = '\0';
	if (attribute)
		(void) nla_strlcpy(buffer, attribute, size);
}

static void read_vxlan(struct nlattr *data, struct kernel_link *link)
{
	struct nlattr *a[IFLA_VXLAN_MAX + 1];

	if (nla_parse_nested(a, IFLA_VXLAN_MAX, data, NULL) < 0)
		return;

	link->vni = number(a[IFLA_VXLAN_ID]);
	link->underlay = number(a[IFLA_VXLAN_LINK]);
	link->learning = flag(a[IFLA_VXLAN_LEARNING]);
	link->external = flag(a[IFLA_VXLAN_COLLECT_METADATA]);
	link->vnifilter = flag(a[IFLA_VXLAN_VNIFILTER]);
	if (a[IFLA_VXLAN_PORT])
		link->udp_port = ntohs(nla_get_u16(a[IFLA_VXLAN_PORT]));

	struct nlattr *local = a[IFLA_VXLAN_LOCAL] ? a[IFLA_VXLAN_LOCAL] : a[IFLA_VXLAN_LOCAL6];

	if (local)
		(void) ip_from_bytes(nla_data(local), (size_t) nla_len(local), &link->local);
}

static void read_bridge(struct nlattr *data, struct kernel_link *link)
{
	struct nlattr *a[IFLA_BR_MAX + 1];

	if (nla_parse_nested(a, IFLA_BR_MAX, data, NULL) == 0)
		link->vlan_filtering = flag(a[IFLA_BR_VLAN_FILTERING]);
}

static void read_bridge_port(struct nlattr *data, struct kernel_link *link)
{
	struct nlattr *a[IFLA_BRPORT_MAX + 1];

	if (nla_parse_nested(a, IFLA_BRPORT_MAX, data, NULL) < 0)
		return;
	link->port_learning = flag(a[IFLA_BRPORT_LEARNING]);
	link->flood[LINK_FLOOD_UNICAST] = flag(a[IFLA_BRPORT_UNICAST_FLOOD]);
	link->flood[LINK_FLOOD_MULTICAST] = flag(a[IFLA_BRPORT_MCAST_FLOOD]);
	link->flood[LINK_FLOOD_BROADCAST] = flag(a[IFLA_BRPORT_BCAST_FLOOD]);
}

static void read_info(struct nlattr *info, struct kernel_link *link)
{
	static const struct {
		const char *kind;
		int attribute, kind_attribute;
		void (*read)(struct nlattr *data, struct kernel_link *link);
	} readers[] = {
		{ "vxlan", IFLA_INFO_DATA, IFLA_INFO_KIND, read_vxlan },
		{ "bridge", IFLA_INFO_DATA, IFLA_INFO_KIND, read_bridge },
		{ "bridge", IFLA_INFO_SLAVE_DATA, IFLA_INFO_SLAVE_KIND, read_bridge_port },
	};
	struct nlattr *a[IFLA_INFO_MAX + 1];

	if (nla_parse_nested(a, IFLA_INFO_MAX, info, NULL) < 0)
		return;

	text(a[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		struct nlattr *kind = a[readers[i].kind_attribute], *data = a[readers[i].attribute];

		if (kind && data && nla_strcmp(kind, readers[i].kind) == 0)
			readers[i].read(data, link);
	}
	link->port.is_vxlan = strcmp(link->kind, "vxlan") == 0;
}

static void read_counters(struct nlattr *attribute, struct kernel_link *link)
{
	struct rtnl_link_stats64 stats = { 0 };

	memcpy(&stats, nla_data(attribute),
	       (size_t) nla_len(attribute) < sizeof(stats) ? (size_t) nla_len(attribute)
							   : sizeof(stats));
	link->rx_packets = stats.rx_packets;
	link->tx_packets = stats.tx_packets;
	link->tx_dropped = stats.tx_dropped;
	link->tx_errors = stats.tx_errors;
}

int kernel_link_parse(const struct nlmsghdr *header, struct kernel_link *ret_link)
{
	struct nlattr *a[IFLA_MAX + 1];
	struct kernel_link link = { 0 };
	const struct ifinfomsg *info;

	if ((header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) ||
	    nlmsg_parse((struct nlmsghdr *) header, sizeof(*info), a, IFLA_MAX, NULL) < 0)
		return 0;
	info = nlmsg_data(header);
	if (info->ifi_family != AF_UNSPEC)
		return 0;

	link.port.ifindex = (uint32_t) info->ifi_index;
	link.port.up = info->ifi_flags & IFF_UP;
	link.port.master = number(a[IFLA_MASTER]);
	link.mtu = number(a[IFLA_MTU]);
	link.queue_length = number(a[IFLA_TXQLEN]);
	link.tx_queues = number(a[IFLA_NUM_TX_QUEUES]);
	text(a[IFLA_IFNAME], link.port.name, sizeof(link.port.name));
	if (a[IFLA_ADDRESS])
		(void) mac_from_bytes(nla_data(a[IFLA_ADDRESS]), (size_t) nla_len(a[IFLA_ADDRESS]),
				      &link.port.mac);
	if (a[IFLA_LINKINFO])
		read_info(a[IFLA_LINKINFO], &link);
	if (a[IFLA_PROP_LIST])
		link.port.deaf = kernel_learning_is_marked(a[IFLA_PROP_LIST], link.port.ifindex);
	if (a[IFLA_STATS64])
		read_counters(a[IFLA_STATS64], &link);

	*ret_link = link;
	return 1;
}

struct nl_msg *kernel_link_message(int type, int flags, uint32_t ifindex)
{
	struct ifinfomsg header = { .ifi_family = AF_UNSPEC, .ifi_index = (int) ifindex };

	return kernel_message(type, flags, &header, sizeof(header));
}

static int take_link(void *userdata, const struct nlmsghdr *header)
{
	return kernel_link_parse(header, userdata) ? 0 : -EPROTO;
}

int kernel_link_by_index(struct kernel *kernel, uint32_t ifindex, struct kernel_link *ret_link)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_GETLINK, 0, ifindex);
	struct kernel_link link;
	int r;

	if (!message)
		return -ENOMEM;

	r = kernel_get(kernel, message, take_link, &link);
	if (r == 0)
		*ret_link = link;
	return r;
}

int kernel_link_by_name(struct kernel *kernel, const char *name, struct kernel_link *ret_link)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_link_message(RTM_GETLINK, 0, 0);
	struct kernel_link link;
	int r;

	if (strlen(name) >= IFNAMSIZ || name[0] == '\0')
		return -ENODEV;
	if (!message || nla_put_string(message, IFLA_IFNAME, name) < 0)
		return -ENOMEM;

	r = kernel_get(kernel, message, take_link, &link);
	if (r == 0)
		*ret_link = link;
	return r;
}

struct iteration {
	int (*each)(void *userdata, const struct kernel_link *link);
	void *userdata;
	uint32_t master;
};

static int visit(void *userdata, const struct nlmsghdr *header)
{
	const struct iteration *iteration = userdata;
	struct kernel_link link;

	if (!kernel_link_parse(header, &link) ||
	    (iteration->master && link.port.master != iteration->master))
		return 0;
	return iteration->each(iteration->userdata, &link);
}

int kernel_link_each(struct kernel *kernel, uint32_t master,
		     int (*each)(void *userdata, const struct kernel_link *link), void *userdata)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_link_message(RTM_GETLINK, 0, 0);
	struct iteration iteration = { each, userdata, master };

	if (!message || (master && nla_put_u32(message, IFLA_MASTER, master) < 0))
		return -ENOMEM;
	return kernel_dump(kernel, message, visit, &iteration);
}

int kernel_link_info_begin(struct nl_msg *message, const char *kind, struct link_info *ret_info)
{
	struct link_info info = { .info = nla_nest_start(message, IFLA_LINKINFO) };

	if (!info.info || nla_put_string(message, IFLA_INFO_KIND, kind) < 0)
		return -ENOMEM;
	info.data = nla_nest_start(message, IFLA_INFO_DATA);
	if (!info.data)
		return -ENOMEM;

	*ret_info = info;
	return 0;
}

void kernel_link_info_end(struct nl_msg *message, const struct link_info *info)
{
	nla_nest_end(message, info->data);
	nla_nest_end(message, info->info);
}

/*
 * Bridge port attributes through the bridge's own handler: family AF_BRIDGE, IFLA_PROTINFO
 * (br_netlink.c).
 */
int kernel_link_set_port_flags(struct kernel *kernel, uint32_t ifindex,
			       const struct link_port_flag *flags, size_t count)
{
	struct ifinfomsg header = { .ifi_family = AF_BRIDGE, .ifi_index = (int) ifindex };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_SETLINK, 0, &header, sizeof(header));
	struct nlattr *nest = message ? nla_nest_start(message, IFLA_PROTINFO | NLA_F_NESTED)
				      : NULL;

	if (!nest)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (nla_put_u8(message, flags[i].attribute, flags[i].value) < 0)
			return -ENOMEM;
	nla_nest_end(message, nest);
	return kernel_request(kernel, message);
}

int kernel_link_set_up(struct kernel *kernel, uint32_t ifindex)
{
	struct ifinfomsg header = { .ifi_index = (int) ifindex,
				    .ifi_flags = IFF_UP,
				    .ifi_change = IFF_UP };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_NEWLINK, 0, &header, sizeof(header));

	return message ? kernel_request(kernel, message) : -ENOMEM;
}

static int set_number(struct kernel *kernel, uint32_t ifindex, int attribute, uint32_t value)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_NEWLINK, 0, ifindex);

	if (!message || nla_put_u32(message, attribute, value) < 0)
		return -ENOMEM;
	return kernel_request(kernel, message);
}

int kernel_link_set_master(struct kernel *kernel, uint32_t ifindex, uint32_t master)
{
	return set_number(kernel, ifindex, IFLA_MASTER, master);
}

int kernel_port_make_room(struct kernel *kernel, uint32_t ifindex, uint64_t packets)
{
	struct kernel_link tap;
	int r = kernel_link_by_index(kernel, ifindex, &tap);

	if (packets > KERNEL_TAP_QUEUE_MAX)
		packets = KERNEL_TAP_QUEUE_MAX;
	if (r < 0 || packets <= tap.queue_length)
		return r;
	return kernel_link_set_queue_length(kernel, ifindex, (uint32_t) packets);
}

int kernel_link_set_queue_length(struct kernel *kernel, uint32_t ifindex, uint32_t packets)
{
	return set_number(kernel, ifindex, IFLA_TXQLEN, packets);
}

int kernel_link_set_no_autoconf(struct kernel *kernel, uint32_t ifindex)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_SETLINK, 0, ifindex);
	struct nlattr *families, *inet6;

	if (!message)
		return -ENOMEM;
	families = nla_nest_start(message, IFLA_AF_SPEC);
	inet6 = families ? nla_nest_start(message, AF_INET6) : NULL;
	if (!inet6 || nla_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) < 0)
		return -ENOMEM;
	nla_nest_end(message, inet6);
	nla_nest_end(message, families);
	return kernel_request(kernel, message);
}

int kernel_link_delete(struct kernel *kernel, uint32_t ifindex)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_DELLINK, 0, ifindex);
	int r = message ? kernel_request(kernel, message) : -ENOMEM;

	return r == -ENODEV ? 0 : r;
}

static int open_ipv6_switch(const char *name, int flags)
{
	char path[sizeof("/proc/sys/net/ipv6/conf//disable_ipv6") + IFNAMSIZ];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int kernel_link_get_ipv6(const char *name, bool *ret_enabled)
{
	_cleanup_close_ int fd = open_ipv6_switch(name, O_RDONLY);
	char value;

	if (fd < 0)
		return fd;
	if (read(fd, &value, 1) != 1)
		return -EIO;
	*ret_enabled = value == '0';
	return 0;
}

int kernel_link_set_ipv6(const char *name, bool enable)
{
	_cleanup_close_ int fd = open_ipv6_switch(name, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, enable ? "0" : "1", 1) < 0 ? -errno : 0;
}

/* ethtool(8)'s first ioctl: every kernel has it, and it takes no link modes. */
int kernel_link_speed(const char *name, uint32_t *ret_megabits)
{
	struct ethtool_cmd settings = { .cmd = ETHTOOL_GSET };
	struct ifreq request = { .ifr_data = (void *) &settings };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t speed;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0)
		return -errno;

	speed = ethtool_cmd_speed(&settings);
	if (speed == 0 || speed == (uint32_t) SPEED_UNKNOWN)
		return -ENODATA;
	*ret_megabits = speed;
	return 0;
}

bool kernel_link_is_hardware(const char *name)
{
	char path[sizeof("/sys/class/net//device") + IFNAMSIZ];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
	return access(path, F_OK) == 0;
}
