// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kernel_conntrack.c - ctnetlink's dumps and requests. They travel as those of rtnetlink do
 * (kernel_netlink.h); kernel_flow.c knows what is in them.
 *
 * Reading. The kernel picks the entries itself (CTA_FILTER, Linux 5.8; net/netfilter/
 * nf_conntrack_netlink.c), one walk of its table for each address and direction. A kernel that does
 * not know CTA_FILTER hands over its whole table at the first walk, which shows in entries that
 * were not asked for; then that walk was enough for the family. For IPv6 there is a walk for
 * nobody's address before the others: Linux to 6.18 at least has the comparison of IPv6 addresses
 * the wrong way round (ctnetlink_filter_match_tuple()) and hands over all but what was asked for.
 * With ::, that is the whole table again.
 *
 * An end of a flow is the source of one of its directions: what the VM sends bears its address as
 * source before any translation, in one direction or the other. An entry that names the address
 * only as a destination is about packets that never reach the VM.
 */
#include "nveagent/kernel_conntrack.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>

#include "nveagent/kernel_flow.h"
#include "nveagent/kernel_netlink.h"

enum {
	FILTER_SOURCE = 1 << 0, /* CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h */
	FLOWS_GROW = 256,
};

struct kernel_conntrack {
	struct kernel kernel; /* its socket is one of nfnetlink */
};

bool kernel_conntrack_in_use(void)
{
	FILE *file = fopen("/proc/sys/net/netfilter/nf_conntrack_count", "re");
	unsigned count = 0;

	if (!file)
		return false;
	if (fscanf(file, "%u", &count) != 1)
		count = 0;
	(void) fclose(file);
	return count > 0;
}

int kernel_conntrack_new(struct kernel_conntrack **ret_conntrack)
{
	_cleanup_(kernel_conntrack_freep) struct kernel_conntrack *conntrack =
		calloc(1, sizeof(*conntrack));
	int r;

	if (!conntrack)
		return -ENOMEM;
	r = kernel_socket_open(NETLINK_NETFILTER, &conntrack->kernel.socket);
	if (r < 0)
		return r;
	*ret_conntrack = TAKE_PTR(conntrack);
	return 0;
}

struct kernel_conntrack *kernel_conntrack_free(struct kernel_conntrack *conntrack)
{
	if (!conntrack)
		return NULL;
	if (conntrack->kernel.socket)
		nl_socket_free(conntrack->kernel.socket);
	free(conntrack);
	return NULL;
}

/* --- reading --- */

struct reading {
	uint16_t zone;
	const struct ip *ips;
	size_t ip_count;
	struct ip asked; /* in this walk */
	bool replies;	 /* as the source of the reply direction */
	bool unfiltered; /* the kernel gave what was not asked for */
	size_t room;
	struct kernel_conntrack_found found;
};

static int keep(struct reading *reading, const struct flow *flow)
{
	struct kernel_conntrack_found *found = &reading->found;
	struct flow *flows;

	if (found->count == FLOWS_MAX) {
		found->over++;
		return 0;
	}
	if (found->count == reading->room) {
		flows = reallocarray(found->flows, reading->room + FLOWS_GROW, sizeof(*flows));
		if (!flows)
			return -ENOMEM;
		found->flows = flows;
		reading->room += FLOWS_GROW;
	}
	found->flows[found->count++] = *flow;
	return 0;
}

/* The walk of the original direction has had it. */
static bool was_had(const struct reading *reading, const struct flow *flow)
{
	struct flow there = *flow;

	there.tuples[FLOW_REPLY].src = there.tuples[FLOW_ORIGINAL].src;
	return reading->replies && flow_has_end(&there, reading->ips, reading->ip_count);
}

static int on_entry(void *userdata, const struct nlmsghdr *header)
{
	struct reading *reading = userdata;
	struct flow flow;
	int r = kernel_flow_read(header, reading->zone, &flow);

	if (r == -ENOMEM)
		return r;
	if (r == -EBADMSG)
		return 0;
	if (ip_cmp(flow.tuples[reading->replies].src, reading->asked) != 0)
		reading->unfiltered = true;
	if (r == -ENOENT || was_had(reading, &flow) ||
	    !flow_has_end(&flow, reading->ips, reading->ip_count))
		return 0;
	if (r == -EOPNOTSUPP) {
		reading->found.unfit++;
		return 0;
	}
	return keep(reading, &flow);
}

/* A dump of the entries whose original (or reply) source is @ip. */
static struct nl_msg *dump_message(struct ip ip, bool replies)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_flow_new_message(IPCTNL_MSG_CT_GET, 0, ip.family);
	int address = ip.family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
	struct nlattr *filter, *tuple, *ips;

	if (!message)
		return NULL;
	filter = nla_nest_start(message, CTA_FILTER | NLA_F_NESTED);
	if (!filter ||
	    nla_put_u32(message, CTA_FILTER_ORIG_FLAGS, replies ? 0 : FILTER_SOURCE) < 0 ||
	    nla_put_u32(message, CTA_FILTER_REPLY_FLAGS, replies ? FILTER_SOURCE : 0) < 0)
		return NULL;
	nla_nest_end(message, filter);

	tuple = nla_nest_start(message,
			       (replies ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG) | NLA_F_NESTED);
	ips = tuple ? nla_nest_start(message, CTA_TUPLE_IP | NLA_F_NESTED) : NULL;
	if (!ips || nla_put(message, address, (int) ip_size(ip), ip.octet) < 0)
		return NULL;
	nla_nest_end(message, ips);
	nla_nest_end(message, tuple);
	return TAKE_PTR(message);
}

static int walk(struct kernel_conntrack *conntrack, struct reading *reading, struct ip ip,
		bool replies)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = dump_message(ip, replies);

	if (!message)
		return -ENOMEM;
	reading->asked = ip;
	reading->replies = replies;
	return kernel_dump(&conntrack->kernel, message, on_entry, reading);
}

static bool has_family(const struct reading *reading, uint8_t family)
{
	for (size_t i = 0; i < reading->ip_count; i++)
		if (reading->ips[i].family == family)
			return true;
	return false;
}

static int read_family(struct kernel_conntrack *conntrack, struct reading *reading, uint8_t family)
{
	const struct ip nobody = { .family = family };
	int r = 0;

	reading->unfiltered = false;
	if (family == AF_INET6 && has_family(reading, family))
		r = walk(conntrack, reading, nobody, false);
	for (size_t i = 0; i < reading->ip_count; i++) {
		if (reading->ips[i].family != family)
			continue;
		for (int replies = 0; r == 0 && replies < 2 && !reading->unfiltered; replies++)
			r = walk(conntrack, reading, reading->ips[i], replies);
	}
	return r;
}

int kernel_conntrack_read(struct kernel_conntrack *conntrack, uint16_t zone, const struct ip *ips,
			  size_t count, struct kernel_conntrack_found *ret_found)
{
	struct reading reading = { .zone = zone, .ips = ips, .ip_count = count };
	int r = read_family(conntrack, &reading, AF_INET);

	if (r == 0)
		r = read_family(conntrack, &reading, AF_INET6);
	if (r < 0) {
		free(reading.found.flows);
		return r;
	}
	*ret_found = reading.found;
	return 0;
}

/* --- writing --- */

/* One kind of request for many flows. */
struct request {
	int type, flags;
	enum kernel_flow_extent extent;
	uint16_t zone;
};

/* Up to KERNEL_BATCH_MAX flows. */
static int send_batch(struct kernel_conntrack *conntrack, const struct request *request,
		      const struct flow *const *flows, size_t count, int *results)
{
	struct nl_msg *messages[KERNEL_BATCH_MAX];
	size_t built = 0;
	int r = 0;

	for (; built < count; built++) {
		messages[built] = kernel_flow_message(request->type, request->flags, flows[built],
						      request->zone, request->extent);
		if (!messages[built])
			break;
	}
	if (built < count)
		r = -ENOMEM;
	if (r == 0)
		r = kernel_batch(&conntrack->kernel, messages, count, results);
	while (built > 0)
		nlmsg_free(messages[--built]);
	return r;
}

/* Those of @flows whose result so far is @only. */
static int request_all(struct kernel_conntrack *conntrack, const struct request *request,
		       const struct flow *flows, size_t count, int only, int *results)
{
	const struct flow *batch[KERNEL_BATCH_MAX];
	size_t places[KERNEL_BATCH_MAX], size = 0;
	int answers[KERNEL_BATCH_MAX] = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (results[i] == only) {
			places[size] = i;
			batch[size++] = &flows[i];
		}
		if (size == KERNEL_BATCH_MAX || (size > 0 && i + 1 == count)) {
			int r = send_batch(conntrack, request, batch, size, answers);

			if (r < 0)
				return r;
			while (size > 0) {
				size--;
				results[places[size]] = answers[size];
			}
		}
	}
	return 0;
}

int kernel_conntrack_install(struct kernel_conntrack *conntrack, uint16_t zone,
			     const struct flow *flows, size_t count, int *results)
{
	const struct request create = { IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL,
					KERNEL_FLOW_WHOLE, zone };
	const struct request update = { IPCTNL_MSG_CT_NEW, 0, KERNEL_FLOW_STATE, zone };
	_cleanup_free_ int *updates = calloc(count + 1, sizeof(*updates));
	int r;

	if (!updates)
		return -ENOMEM;
	memset(results, 0, count * sizeof(*results));
	r = request_all(conntrack, &create, flows, count, 0, results);
	if (r < 0)
		return r;
	memcpy(updates, results, count * sizeof(*results));
	r = request_all(conntrack, &update, flows, count, -EEXIST, updates);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (results[i] == -EEXIST)
			results[i] = updates[i] < 0 ? updates[i] : KERNEL_CONNTRACK_WAS_THERE;
	return 0;
}

int kernel_conntrack_remove(struct kernel_conntrack *conntrack, uint16_t zone,
			    const struct flow *flows, size_t count, int *results)
{
	const struct request remove = { IPCTNL_MSG_CT_DELETE, 0, KERNEL_FLOW_KEY, zone };

	memset(results, 0, count * sizeof(*results));
	return request_all(conntrack, &remove, flows, count, 0, results);
}
