/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/kernel_ear.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "nveagent/kernel_link.h"

enum {
	AT_ETHER_TYPE = 12,
	AT_IPV6_NEXT_HEADER = ETH_HLEN + 6, /* RFC 8200 section 3 */
	AT_ICMPV6_TYPE = ETH_HLEN + 40,
	MULTICAST_ROUTER_PERMANENT = 2, /* linux/if_bridge.h, MDB_RTR_TYPE_PERM */
};

struct kernel_ear {
	int fd;
	uint32_t ifindex;
};

/*
 * Unicast: its Ethernet header. Untagged broadcast ARP and multicast NS: all of it, as far as we
 * read. An NS behind extension headers is not taken: nobody sends one (RFC 6980 forbids the
 * fragment header).
 */
static const struct sock_filter filter_code[] = {
	/*  0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			  (uint32_t) (SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
	/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 11),
	/*  2 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	/*  3 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 8),
	/*  4 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_ETHER_TYPE),
	/*  5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 5, 0),
	/*  6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 6),
	/*  7 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_IPV6_NEXT_HEADER),
	/*  8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
	/*  9 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_ICMPV6_TYPE),
	/* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_NEIGHBOR_SOLICIT, 0, 2),
	/* 11 */ BPF_STMT(BPF_RET | BPF_K, KERNEL_EAR_FRAME_MAX),
	/* 12 */ BPF_STMT(BPF_RET | BPF_K, ETH_HLEN),
	/* 13 */ BPF_STMT(BPF_RET | BPF_K, 0),
};

static int attach_filter(int fd)
{
	struct sock_fprog program = {
		.len = ARRAY_SIZE(filter_code),
		.filter = (struct sock_filter *) filter_code,
	};

	return ioctl(fd, TUNATTACHFILTER, &program) < 0 ? -errno : 0;
}

static int open_tap(uint32_t vni)
{
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL };
	int r;

	if (fd < 0)
		return -errno;
	(void) snprintf(request.ifr_name, sizeof(request.ifr_name), "rhe%u", vni);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return -errno;
	r = attach_filter(fd);
	return r < 0 ? r : TAKE_FD(fd);
}

static int set_device(struct kernel *kernel, uint32_t ifindex, uint32_t vni, uint32_t mtu)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_SETLINK, 0, ifindex);
	struct mac mac = { { 0xfe, 0xff, 0xff, (uint8_t) (vni >> 16), (uint8_t) (vni >> 8),
			     (uint8_t) vni } };

	if (!message || nla_put_u32(message, IFLA_MTU, mtu) < 0 ||
	    nla_put_u32(message, IFLA_TXQLEN, KERNEL_EAR_QUEUE) < 0 ||
	    nla_put(message, IFLA_ADDRESS, MAC_SIZE, mac.octet) < 0)
		return -ENOMEM;
	return kernel_request(kernel, message);
}

/*
 * Where multicast is snooped, a port hears a group nobody behind it has joined only as a router's
 * port.
 */
static int join_bridge(struct kernel *kernel, uint32_t ifindex, const struct vni_devices *devices)
{
	static const struct link_port_flag no_learning = { IFLA_BRPORT_LEARNING, 0 };
	static const struct link_port_flag hears_all = { IFLA_BRPORT_MULTICAST_ROUTER,
							 MULTICAST_ROUTER_PERMANENT };
	int r = kernel_link_set_no_autoconf(kernel, ifindex);

	if (r == 0 || r == -EAFNOSUPPORT)
		r = kernel_link_set_master(kernel, ifindex, devices->bridge_ifindex);
	if (r == 0)
		r = kernel_link_set_port_flags(kernel, ifindex, &no_learning, 1);
	if (r < 0)
		return r;
	(void) kernel_link_set_port_flags(kernel, ifindex, &hears_all,
					  1); /* may be built without */
	return kernel_link_set_up(kernel, ifindex);
}

int kernel_ear_new(struct kernel *kernel, const struct vni_devices *devices,
		   struct kernel_ear **ret_ear)
{
	_cleanup_(kernel_ear_freep) struct kernel_ear *ear = calloc(1, sizeof(*ear));
	struct kernel_link vxlan, tap;
	char name[IFNAMSIZ];
	int r;

	if (!ear)
		return -ENOMEM;
	ear->fd = open_tap(devices->vni);
	if (ear->fd < 0)
		return ear->fd;
	(void) snprintf(name, sizeof(name), "rhe%u", devices->vni);
	r = kernel_link_by_name(kernel, name, &tap);
	if (r == 0)
		r = kernel_link_by_index(kernel, devices->vxlan_ifindex, &vxlan);
	if (r == 0)
		r = set_device(kernel, tap.port.ifindex, devices->vni, vxlan.mtu);
	if (r == 0)
		r = join_bridge(kernel, tap.port.ifindex, devices);
	if (r < 0)
		return r;
	ear->ifindex = tap.port.ifindex;
	*ret_ear = TAKE_PTR(ear);
	return 0;
}

struct kernel_ear *kernel_ear_free(struct kernel_ear *ear)
{
	if (!ear)
		return NULL;
	if (ear->fd >= 0)
		close(ear->fd);
	free(ear);
	return NULL;
}

int kernel_ear_fd(const struct kernel_ear *ear)
{
	return ear->fd;
}

uint32_t kernel_ear_ifindex(const struct kernel_ear *ear)
{
	return ear->ifindex;
}

ssize_t kernel_ear_read(struct kernel_ear *ear, uint8_t *frame, size_t size)
{
	ssize_t n;

	do {
		n = read(ear->fd, frame, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

int kernel_ear_send(struct kernel_ear *ear, const uint8_t *frame, size_t size)
{
	ssize_t n;

	do {
		n = write(ear->fd, frame, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
