/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel_flow.h - a flow (flow.h) as a ctnetlink message, and back. Internal to kernel_*.c. */
#ifndef REHOME_NVEAGENT_KERNEL_FLOW_H
#define REHOME_NVEAGENT_KERNEL_FLOW_H

#include "nveagent/flow.h"
#include "nveagent/kernel_netlink.h"

/*
 * Reads the entry that a dump handed over. Returns 0, or
 *   -ENOENT      it is not of @zone; *ret_flow lacks its zones
 *   -EOPNOTSUPP  a flow cannot carry it: DCCP, or mangled sequence numbers
 *   -EBADMSG     it is no entry; *ret_flow is zero
 *   -ENOMEM
 */
int kernel_flow_read(const struct nlmsghdr *header, uint16_t zone, struct flow *ret_flow);

/* How much of a flow a message carries. */
enum kernel_flow_extent {
	KERNEL_FLOW_KEY,   /* what finds it */
	KERNEL_FLOW_STATE, /* and how the connection stands */
	KERNEL_FLOW_WHOLE, /* and all else */
};

/* A request without attributes; @type: IPCTNL_MSG_CT_... NULL: out of memory. */
struct nl_msg *kernel_flow_new_message(int type, int flags, uint8_t family);
/* A request about @flow in @zone. NULL: out of memory. */
struct nl_msg *kernel_flow_message(int type, int flags, const struct flow *flow, uint16_t zone,
				   enum kernel_flow_extent extent);

#endif
