/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_fdb.h - forwarding entries as rtnetlink messages and back, without a socket. Internal to
 * kernel_*.c and tests.
 */
#ifndef REHOME_NVEAGENT_KERNEL_FDB_H
#define REHOME_NVEAGENT_KERNEL_FDB_H

#include "nveagent/kernel_netlink.h"

enum {
	KERNEL_FDB_MESSAGES_MAX = 2, /* that one change may need */
};

/*
 * Adds the messages of one change to @stream, in order. The first one already moves the entry.
 * Returns how many (1 or KERNEL_FDB_MESSAGES_MAX), or, with nothing added,
 *   -EOPNOTSUPP  to replace an entry of the zero MAC's list (the kernel cannot)
 *   -EINVAL      a VXLAN entry without VTEP, a bridge entry for a zero or group MAC, or what
 *                kernel_neigh_write() refuses
 */
int kernel_fdb_write(const struct fdb_change *change, struct kernel_stream *stream);

/* The same as messages of their own, which the caller owns; also -ENOMEM. */
int kernel_fdb_build(const struct fdb_change *change, struct nl_msg **ret_messages);

/*
 * Reads an RTM_NEWNEIGH or RTM_DELNEIGH. Returns 1 and the entry when it is one of bridge
 * @bridge_ifindex's ports or of the device @vxlan_ifindex (0: any bridge, no VXLAN device), else 0.
 * Entries of a VLAN are skipped: they play no part while VLAN filtering is off, and with it on the
 * bridge is not adopted.
 */
int kernel_fdb_parse(const struct nlmsghdr *header, uint32_t bridge_ifindex, uint32_t vxlan_ifindex,
		     struct fdb_entry *ret_entry);

#endif
