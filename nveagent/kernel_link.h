/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_link.h - network devices as rtnetlink shows them, and requests about them. Internal to
 * kernel_*.c.
 */
#ifndef REHOME_NVEAGENT_KERNEL_LINK_H
#define REHOME_NVEAGENT_KERNEL_LINK_H

#include <linux/if_link.h>

#include "nveagent/kernel_netlink.h"

enum {
	LINK_KIND_SIZE = 16,	/* longer kinds exist, but none we know */
	LINK_ALIAS_SIZE = 64,	/* of those we give */
};

enum link_flood {
	LINK_FLOOD_UNICAST,
	LINK_FLOOD_MULTICAST,
	LINK_FLOOD_BROADCAST,
	LINK_FLOOD_COUNT
};

/* One device. Members of a kind are zero when it is of another. */
struct kernel_link {
	struct kernel_port port;
	char kind[LINK_KIND_SIZE];
	uint32_t mtu, queue_length, tx_queues;
	uint64_t rx_packets, tx_packets, tx_dropped, tx_errors;

	bool port_learning;	/* bridge port */
	bool flood[LINK_FLOOD_COUNT];

	bool vlan_filtering;	/* bridge */

	uint32_t vni, underlay;	/* VXLAN; @underlay: the device it is bound to, 0: none */
	uint16_t udp_port;
	struct ip local;
	bool learning, external, vnifilter;
};

/* Reads an RTM_NEWLINK or RTM_DELLINK of family AF_UNSPEC. Returns 1, or 0 for anything else. */
int kernel_link_parse(const struct nlmsghdr *header, struct kernel_link *ret_link);

/* -ENODEV when there is none. */
int kernel_link_by_name(struct kernel *kernel, const char *name, struct kernel_link *ret_link);
int kernel_link_by_index(struct kernel *kernel, uint32_t ifindex, struct kernel_link *ret_link);

/*
 * Calls @each for every device, or every port of the bridge @master when it is not 0; stops at a
 * negative value.
 */
int kernel_link_each(struct kernel *kernel, uint32_t master,
		     int (*each)(void *userdata, const struct kernel_link *link), void *userdata);

/*
 * A request about device @ifindex (0: the one to be made), without attributes. NULL: out of
 * memory.
 */
struct nl_msg *kernel_link_message(int type, int flags, uint32_t ifindex);

/* Appends the nest IFLA_LINKINFO { kind, data }; the caller puts the kind's attributes between. */
struct link_info {
	struct nlattr *info, *data;
};
int kernel_link_info_begin(struct nl_msg *message, const char *kind, struct link_info *ret_info);
void kernel_link_info_end(struct nl_msg *message, const struct link_info *info);

/* One attribute of a bridge port (IFLA_BRPORT_*), one byte. */
struct link_port_flag {
	int attribute;
	uint8_t value;
};
int kernel_link_set_port_flags(struct kernel *kernel, uint32_t ifindex,
			       const struct link_port_flag *flags, size_t count);

int kernel_link_set_up(struct kernel *kernel, uint32_t ifindex);
int kernel_link_set_master(struct kernel *kernel, uint32_t ifindex, uint32_t master);
int kernel_link_set_queue_length(struct kernel *kernel, uint32_t ifindex, uint32_t packets);
/*
 * No link-local address is made by itself, hence no DAD and no router solicitation leave the
 * device.
 */
int kernel_link_set_no_autoconf(struct kernel *kernel, uint32_t ifindex);
/* 0 also when it is gone already. */
int kernel_link_delete(struct kernel *kernel, uint32_t ifindex);

/*
 * The sysctl disable_ipv6 of a device of this thread's network namespace. -ENOENT: the kernel has
 * no IPv6, or the device is gone.
 */
int kernel_link_get_ipv6(const char *name, bool *ret_enabled);
int kernel_link_set_ipv6(const char *name, bool enable);

/* The speed of the medium in Mbit/s, at least 1. -ENODATA when the driver does not say. */
int kernel_link_speed(const char *name, uint32_t *ret_megabits);
/*
 * True when the device is hardware, or passes for it in a virtual machine: frames that leave it
 * wait in its own queues. A virtual one's (veth, bridge) wait in the CPUs' backlogs.
 */
bool kernel_link_is_hardware(const char *name);

/* The device that holds @ip. Returns -EADDRNOTAVAIL when none does. */
int kernel_link_of_address(struct kernel *kernel, struct ip ip, uint32_t *ret_ifindex);

#endif
