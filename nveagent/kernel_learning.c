/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_learning.c - whether the bridge learns on a port, so that it can be put right by a later
 * life.
 *
 * Learning that we switched off outlives us, and looks like an operator's wish. So the device bears
 * a mark for that time, which goes with it: one more name (RTM_NEWLINKPROP, IFLA_ALT_IFNAME, Linux
 * 5.5). A port without the mark is never changed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nveagent/kernel_learning.h"

enum { MARK_SIZE = sizeof("rehome-deaf-4294967295") };

static void name_mark(uint32_t ifindex, char mark[MARK_SIZE])
{
	(void) snprintf(mark, MARK_SIZE, "rehome-deaf-%u", ifindex);
}

bool kernel_learning_is_marked(struct nlattr *properties, uint32_t ifindex)
{
	char mark[MARK_SIZE];
	struct nlattr *property;
	int left;

	name_mark(ifindex, mark);
	nla_for_each_nested(property, properties,
			    left) if (nla_type(property) == IFLA_ALT_IFNAME &&
				      nla_strcmp(property, mark) == 0) return true;
	return false;
}

/* 0 also when the mark is, or is not, there already. */
static int set_mark(struct kernel *kernel, uint32_t ifindex, bool mark)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(mark ? RTM_NEWLINKPROP : RTM_DELLINKPROP,
				    mark ? NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL : 0, ifindex);
	struct nlattr *properties = message ? nla_nest_start(message, IFLA_PROP_LIST | NLA_F_NESTED)
					    : NULL;
	char name[MARK_SIZE];
	int r;

	name_mark(ifindex, name);
	if (!properties || nla_put_string(message, IFLA_ALT_IFNAME, name) < 0)
		return -ENOMEM;
	nla_nest_end(message, properties);
	r = kernel_request(kernel, message);
	return r == -EEXIST || (!mark && r == -ENOENT) ? 0 : r;
}

int kernel_port_set_deaf(struct kernel *kernel, uint32_t ifindex, bool deaf)
{
	const struct link_port_flag flag = { IFLA_BRPORT_LEARNING, !deaf };
	int r = deaf ? set_mark(kernel, ifindex, true) : 0;

	if (r == 0)
		r = kernel_link_set_port_flags(kernel, ifindex, &flag, 1);
	return r == 0 && !deaf ? set_mark(kernel, ifindex, false) : r;
}
