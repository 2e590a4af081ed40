/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel_address.c - the host's own addresses through rtnetlink; rtnetlink(7). */
#include <errno.h>
#include <linux/if_addr.h>

#include "nveagent/kernel_link.h"

struct address_search {
	struct ip wanted;
	uint32_t ifindex; /* found, or 0 */
};

static int look_at_address(void *userdata, const struct nlmsghdr *header)
{
	struct address_search *search = userdata;
	struct nlattr *a[IFA_MAX + 1], *address;
	struct ip ip;

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(struct ifaddrmsg), a, IFA_MAX, NULL) < 0)
		return 0;

	/* On a point-to-point device IFA_ADDRESS is the peer's: rtnetlink(7). */
	address = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
	if (address && ip_from_bytes(nla_data(address), (size_t) nla_len(address), &ip) == 0 &&
	    ip_cmp(ip, search->wanted) == 0)
		search->ifindex = ((const struct ifaddrmsg *) nlmsg_data(header))->ifa_index;
	return 0;
}

int kernel_link_of_address(struct kernel *kernel, struct ip ip, uint32_t *ret_ifindex)
{
	struct ifaddrmsg header = { .ifa_family = ip.family };
	struct address_search search = { .wanted = ip };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_GETADDR, 0, &header, sizeof(header));
	int r = message ? kernel_dump(kernel, message, look_at_address, &search) : -ENOMEM;

	if (search.ifindex == 0)
		return r < 0 ? r : -EADDRNOTAVAIL;
	*ret_ifindex = search.ifindex;
	return 0;
}

struct address_list {
	uint32_t ifindex;
	struct ip *ips;
	size_t count, room;
};

static int note_address(void *userdata, const struct nlmsghdr *header)
{
	struct address_list *list = userdata;
	struct nlattr *a[IFA_MAX + 1], *address;

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(struct ifaddrmsg), a, IFA_MAX, NULL) <
		    0 ||
	    ((const struct ifaddrmsg *) nlmsg_data(header))->ifa_index != list->ifindex ||
	    list->count == list->room)
		return 0;
	address = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
	if (address && ip_from_bytes(nla_data(address), (size_t) nla_len(address),
				     &list->ips[list->count]) == 0)
		list->count++;
	return 0;
}

int kernel_addresses(struct kernel *kernel, uint32_t ifindex, struct ip *ret_ips, size_t room,
		     struct mac *ret_mac)
{
	struct ifaddrmsg header = { .ifa_family = AF_UNSPEC };
	struct address_list list = { .ifindex = ifindex, .ips = ret_ips, .room = room };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_GETADDR, 0, &header, sizeof(header));
	struct kernel_link link;
	int r = message ? kernel_dump(kernel, message, note_address, &list) : -ENOMEM;

	if (r == 0)
		r = kernel_link_by_index(kernel, ifindex, &link);
	if (r < 0)
		return r;
	*ret_mac = link.port.mac;
	return (int) list.count;
}

int kernel_has_address(struct kernel *kernel, struct ip ip, bool *ret_found)
{
	uint32_t ifindex;
	int r = kernel_link_of_address(kernel, ip, &ifindex);

	if (r < 0 && r != -EADDRNOTAVAIL)
		return r;
	*ret_found = r == 0;
	return 0;
}
