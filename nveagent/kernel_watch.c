/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_watch.c - links and bridge entries as they change.
 *
 * A second socket, because notifications must not stand between a request and its answer. Links are
 * read from messages of family AF_UNSPEC only: those carry the master, also when a port leaves its
 * bridge; the bridge's own (AF_BRIDGE) say the same again. Entries come from net/bridge/br_fdb.c,
 * fdb_notify(), and from the VXLAN driver.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdlib.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_link.h"
#include "nveagent/kernel_neigh.h"

enum {
	/* at a time, one notification each: a guest that makes the bridge learn must not hold us */
	WATCH_READS_MAX = 64,
	WATCH_RECEIVE_BUFFER = 32 << 20, /* some 40,000 notifications between two reads */
};

struct kernel_watch {
	struct nl_sock *socket;
	const struct kernel_watch_events *events; /* borrowed */
	void *userdata;
	bool overrun; /* and not yet told */
	_Alignas(struct nlmsghdr) uint8_t buffer[KERNEL_BUFFER_SIZE];
};

enum {
	AT_TYPE = offsetof(struct nlmsghdr, nlmsg_type),
	AT_FAMILY = NLMSG_HDRLEN + offsetof(struct ndmsg, ndm_family),
	AT_STATE = NLMSG_HDRLEN + offsetof(struct ndmsg, ndm_state),
	AT_FLAGS = NLMSG_HDRLEN + offsetof(struct ndmsg, ndm_flags),
};

/*
 * A hundred thousand entries that we make are as many notifications. Those that nobody here needs
 * do not reach our queue: neighbour entries unless one of ours went; what is ours of the bridges'
 * and the drivers' tables; and what drivers have learned. A filter reads numbers as big-endian;
 * type and state are in this host's order.
 */
static int attach_filter(int fd)
{
	struct sock_filter code[] = {
		/*  0 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_TYPE),
		/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 3, 0),
		/*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELNEIGH), 0, 11),
		/*  3 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_FAMILY),
		/*  4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_BRIDGE, 2, 7),
		/*  5 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_FAMILY),
		/*  6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_BRIDGE, 0, 8),
		/*  7 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_FLAGS),
		/*  8 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NTF_EXT_LEARNED, 6, 0),
		/*  9 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NTF_SELF, 0, 4),
		/* 10 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_STATE),
		/* 11 */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NUD_NOARP | NUD_PERMANENT), 2, 3),
		/* 12 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_FLAGS),
		/* 13 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NTF_EXT_LEARNED, 0, 1),
		/* 14 */ BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		/* 15 */ BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { ARRAY_SIZE(code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

static int subscribe(struct nl_sock *nl)
{
	static const int receive_buffer = WATCH_RECEIVE_BUFFER;

	if (setsockopt(nl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer,
		       sizeof(receive_buffer)) < 0)
		return -errno;
	if (attach_filter(nl_socket_get_fd(nl)) < 0)
		return -EINVAL;
	if (nl_socket_add_memberships(nl, RTNLGRP_NEIGH, RTNLGRP_LINK, 0) < 0)
		return -EPERM;
	return 0;
}

int kernel_watch_new(const struct kernel_watch_events *events, void *userdata,
		     struct kernel_watch **ret_watch)
{
	_cleanup_(kernel_watch_freep) struct kernel_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;

	watch->events = events;
	watch->userdata = userdata;
	r = kernel_socket_open(NETLINK_ROUTE, &watch->socket);
	if (r == 0)
		r = subscribe(watch->socket);
	if (r < 0)
		return r;

	*ret_watch = TAKE_PTR(watch);
	return 0;
}

struct kernel_watch *kernel_watch_free(struct kernel_watch *watch)
{
	if (!watch)
		return NULL;

	if (watch->socket)
		nl_socket_free(watch->socket);
	free(watch);
	return NULL;
}

int kernel_watch_fd(const struct kernel_watch *watch)
{
	return nl_socket_get_fd(watch->socket);
}

static void tell_link(const struct kernel_watch_events *events, void *userdata,
		      const struct nlmsghdr *header)
{
	struct kernel_link link;

	if (kernel_link_parse(header, &link))
		events->link(userdata, &link.port, header->nlmsg_type == RTM_DELLINK);
}

static void tell_neighbour(const struct kernel_watch_events *events, void *userdata,
			   const struct nlmsghdr *header)
{
	const struct ndmsg *nd = nlmsg_data(header);
	bool gone = header->nlmsg_type == RTM_DELNEIGH;
	struct fdb_entry entry;

	if (gone && events->neighbour_gone && kernel_neigh_parse(header, &entry)) {
		if (entry.ours)
			events->neighbour_gone(userdata, entry.ifindex, entry.ip);
		return;
	}
	if (!kernel_fdb_parse(header, 0, (uint32_t) nd->ndm_ifindex, &entry))
		return;
	if (entry.layer == FDB_LAYER_BRIDGE)
		events->fdb(userdata, entry.ifindex, entry.mac,
			    !entry.ours && !entry.fixed && !entry.local, gone);
	if (entry.fixed && events->fixed)
		events->fixed(userdata, &entry, gone);
}

static void tell(const struct kernel_watch_events *events, void *userdata,
		 const struct nlmsghdr *header)
{
	static const struct {
		uint16_t type;
		void (*tell)(const struct kernel_watch_events *events, void *userdata,
			     const struct nlmsghdr *header);
	} tellers[] = {
		{ RTM_NEWLINK, tell_link },
		{ RTM_DELLINK, tell_link },
		{ RTM_NEWNEIGH, tell_neighbour },
		{ RTM_DELNEIGH, tell_neighbour },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tellers); i++)
		if (tellers[i].type == header->nlmsg_type)
			tellers[i].tell(events, userdata, header);
}

static int read_some(struct kernel_watch *watch)
{
	for (unsigned i = 0; i < WATCH_READS_MAX; i++) {
		ssize_t n = recv(kernel_watch_fd(watch), watch->buffer, sizeof(watch->buffer),
				 MSG_DONTWAIT);
		int left = (int) n;

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == ENOBUFS)
			watch->overrun = true;
		else if (n < 0 && errno != EINTR)
			return -errno;

		for (struct nlmsghdr *header = (struct nlmsghdr *) watch->buffer;
		     nlmsg_ok(header, left); header = nlmsg_next(header, &left))
			tell(watch->events, watch->userdata, header);
	}
	return 0;
}

static bool is_empty(const struct kernel_watch *watch)
{
	struct pollfd waiting = { .fd = kernel_watch_fd(watch), .events = POLLIN };

	return poll(&waiting, 1, 0) == 0;
}

/*
 * From ENOBUFS on the kernel drops every notification, and says so no more, until the queue has
 * been read to its end (NETLINK_S_CONGESTED, net/netlink/af_netlink.c). Who looked at the tables
 * before that would never learn of what changed in between.
 */
int kernel_watch_read(struct kernel_watch *watch)
{
	int r = read_some(watch);

	if (r < 0)
		return r;
	if (watch->overrun && is_empty(watch)) {
		watch->overrun = false;
		watch->events->overrun(watch->userdata);
	}
	return 0;
}

/* --- what is there now --- */

/*
 * What a dump found. The callbacks ask the kernel things on the same socket, so they are called
 * when the dump is over.
 */
struct found {
	struct kernel_port *ports;
	size_t port_count;
	struct fdb_entry *entries;
	size_t entry_count;
};

static void found_clear(struct found *found)
{
	free(found->ports);
	free(found->entries);
}

static int find_link(void *userdata, const struct nlmsghdr *header)
{
	struct found *found = userdata;
	struct kernel_port *ports;
	struct kernel_link link;

	if (!kernel_link_parse(header, &link) || link.port.master == 0)
		return 0;
	ports = reallocarray(found->ports, found->port_count + 1, sizeof(*ports));
	if (!ports)
		return -ENOMEM;
	found->ports = ports;
	ports[found->port_count++] = link.port;
	return 0;
}

static int find_entry(void *userdata, const struct nlmsghdr *header)
{
	struct found *found = userdata;
	struct fdb_entry entry, *entries;

	if (!kernel_fdb_parse(header, 0, 0, &entry) || entry.ours || entry.fixed || entry.local)
		return 0;
	entries = reallocarray(found->entries, found->entry_count + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	found->entries = entries;
	entries[found->entry_count++] = entry;
	return 0;
}

/*
 * Everything may be found twice when the kernel changes meanwhile: -EAGAIN only repeats what the
 * caller takes as a present state.
 */
static int find_all(struct kernel *kernel, struct nl_msg *message,
		    int (*each)(void *userdata, const struct nlmsghdr *header), struct found *found)
{
	int r = message ? -EAGAIN : -ENOMEM;

	for (unsigned attempt = 0; r == -EAGAIN && attempt < KERNEL_DUMP_ATTEMPTS_MAX; attempt++)
		r = kernel_dump(kernel, message, each, found);
	return r;
}

int kernel_watch_replay_bridge(struct kernel *kernel, uint32_t bridge_ifindex,
			       const struct kernel_watch_events *events, void *userdata)
{
	_cleanup_(nlmsg_freep) struct nl_msg *links = kernel_link_message(RTM_GETLINK, 0, 0);
	_cleanup_(found_clear) struct found found = { 0 };
	int r;

	if (!links || nla_put_u32(links, IFLA_MASTER, bridge_ifindex) < 0)
		return -ENOMEM;
	r = find_all(kernel, links, find_link, &found);
	if (r < 0)
		return r;
	for (size_t i = 0; i < found.port_count; i++)
		events->link(userdata, &found.ports[i], false);
	return 0;
}

int kernel_watch_replay_port(struct kernel *kernel, uint32_t ifindex,
			     const struct kernel_watch_events *events, void *userdata)
{
	struct ndmsg header = { .ndm_family = AF_BRIDGE, .ndm_ifindex = (int) ifindex };
	_cleanup_(nlmsg_freep) struct nl_msg *entries =
		kernel_message(RTM_GETNEIGH, 0, &header, sizeof(header));
	_cleanup_(found_clear) struct found found = { 0 };
	int r = find_all(kernel, entries, find_entry, &found);

	if (r < 0)
		return r;
	for (size_t i = 0; i < found.entry_count; i++)
		events->fdb(userdata, found.entries[i].ifindex, found.entries[i].mac, true, false);
	return 0;
}
