/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_neigh.h - neighbour entries of a bridge as rtnetlink messages and back. Internal to
 * kernel_*.c and tests.
 */
#ifndef REHOME_NVEAGENT_KERNEL_NEIGH_H
#define REHOME_NVEAGENT_KERNEL_NEIGH_H

#include "nveagent/kernel_netlink.h"

/*
 * Adds the message of one change of FDB_LAYER_NEIGHBOUR to @stream. An addition replaces as well.
 * Returns 1, or -EINVAL for an address that no neighbour has or a MAC that is zero or a group.
 */
int kernel_neigh_write(enum fdb_op op, const struct fdb_entry *entry, struct kernel_stream *stream);

/*
 * Reads an RTM_NEWNEIGH or RTM_DELNEIGH of IPv4 or IPv6. Returns 1, or 0 for anything else: another
 * family, a proxy entry, or one without a MAC (a neighbour that does not answer).
 */
int kernel_neigh_parse(const struct nlmsghdr *header, struct fdb_entry *ret_entry);

/* Adds the neighbours of device @ifindex to @table. 0 or an errno. */
int kernel_neigh_dump(struct kernel *kernel, uint32_t ifindex, struct fdb_table *table);

#endif
