// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kernel_conntrack.c - ctnetlink. libnetfilter_conntrack turns entries into attributes and back;
 * the messages travel as those of rtnetlink do (kernel_netlink.h).
 *
 * Reading. The kernel picks the entries itself (CTA_FILTER, Linux 5.8; net/netfilter/
 * nf_conntrack_netlink.c), one walk of its table for each address and direction. A kernel that does
 * not know CTA_FILTER hands over its whole table at the first walk, which shows in entries that were
 * not asked for; then that walk was enough for the family. For IPv6 there is a walk for nobody's
 * address before the others: Linux to 6.18 at least has the comparison of IPv6 addresses the wrong
 * way round (ctnetlink_filter_match_tuple()) and hands over all but what was asked for. With ::,
 * that is the whole table again.
 *
 * An end of a flow is the source of one of its directions: what the VM sends bears its address as
 * source before any translation, in one direction or the other. An entry that names the address only
 * as a destination is about packets that never reach the VM.
 *
 * TCP. The kernel takes state, flags and window scale, but not the window it has seen. It then begins
 * with what the first packets show, and may hold a later one for invalid: an acknowledgement of data
 * that only the old host saw is "over the upper bound" (tcp_in_window() in net/netfilter/
 * nf_conntrack_proto_tcp.c). So the connection is made liberal in both directions, as conntrackd does
 * unless told otherwise: states are still tracked, and only RSTs outside of the window are not let
 * through.
 */
#include "nveagent/kernel_conntrack.h"

#include <assert.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>

#include "nveagent/kernel_netlink.h"

static_assert((int) FLOW_SEEN_REPLY == (int) IPS_SEEN_REPLY, "as the kernel numbers it");
static_assert((int) FLOW_ASSURED == (int) IPS_ASSURED, "as the kernel numbers it");
static_assert((int) FLOW_FIXED_TIMEOUT == (int) IPS_FIXED_TIMEOUT, "as the kernel numbers it");
static_assert(FLOW_TCP_WINDOW_SCALE == IP_CT_TCP_FLAG_WINDOW_SCALE, "as the kernel numbers it");
static_assert(FLOW_TCP_SACK_PERM == IP_CT_TCP_FLAG_SACK_PERM, "as the kernel numbers it");
static_assert(FLOW_TCP_CLOSE_INIT == IP_CT_TCP_FLAG_CLOSE_INIT, "as the kernel numbers it");
static_assert(FLOW_TCP_LIBERAL == IP_CT_TCP_FLAG_BE_LIBERAL, "as the kernel numbers it");

enum {
	FILTER_SOURCE = 1 << 0, /* CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h */
	FLOWS_GROW = 256,
};

struct kernel_conntrack {
	struct kernel kernel; /* its socket is one of nfnetlink */
};

DEFINE_CLEANUP(struct nf_conntrack, nfct_destroy)

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

static struct nl_msg *new_message(int type, int flags, uint8_t family)
{
	const struct nfgenmsg header = { .nfgen_family = family, .version = NFNETLINK_V0 };

	return kernel_message(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, &header, sizeof(header));
}

/* --- attributes --- */

/* clang-format off */
static const struct tuple_attributes {
	enum nf_conntrack_attr family, protocol, ipv4_src, ipv4_dst, ipv6_src, ipv6_dst, src_port, dst_port, zone;
} tuple_attributes[FLOW_DIRECTIONS] = {
	[FLOW_ORIGINAL] = { ATTR_ORIG_L3PROTO, ATTR_ORIG_L4PROTO, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST,
			    ATTR_ORIG_IPV6_SRC, ATTR_ORIG_IPV6_DST, ATTR_ORIG_PORT_SRC, ATTR_ORIG_PORT_DST,
			    ATTR_ORIG_ZONE },
	[FLOW_REPLY] = { ATTR_REPL_L3PROTO, ATTR_REPL_L4PROTO, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV4_DST,
			 ATTR_REPL_IPV6_SRC, ATTR_REPL_IPV6_DST, ATTR_REPL_PORT_SRC, ATTR_REPL_PORT_DST,
			 ATTR_REPL_ZONE },
};
/* clang-format on */

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* Does libnetfilter_conntrack write this protocol's ports? */
static bool has_ports(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_GRE:
		return true;
	default:
		return false;
	}
}

/* --- reading --- */

static struct ip get_ip(const struct nf_conntrack *ct, uint8_t family, enum nf_conntrack_attr ipv4,
			enum nf_conntrack_attr ipv6)
{
	const void *bytes = nfct_get_attr(ct, family == AF_INET ? ipv4 : ipv6);
	struct ip ip = { 0 };

	if (bytes)
		(void) ip_from_bytes(bytes, family == AF_INET ? 4 : 16, &ip);
	return ip;
}

static struct flow_tuple get_tuple(const struct nf_conntrack *ct, uint8_t family, uint8_t protocol,
				   const struct tuple_attributes *attributes)
{
	struct flow_tuple tuple = {
		.src = get_ip(ct, family, attributes->ipv4_src, attributes->ipv6_src),
		.dst = get_ip(ct, family, attributes->ipv4_dst, attributes->ipv6_dst),
	};

	if (has_ports(protocol)) {
		tuple.src_port = ntohs(nfct_get_attr_u16(ct, attributes->src_port));
		tuple.dst_port = ntohs(nfct_get_attr_u16(ct, attributes->dst_port));
	} else if (is_icmp(protocol)) {
		tuple.src_port = ntohs(nfct_get_attr_u16(ct, ATTR_ICMP_ID));
		tuple.dst_port = (uint16_t) (nfct_get_attr_u8(ct, ATTR_ICMP_TYPE) << 8 |
					     nfct_get_attr_u8(ct, ATTR_ICMP_CODE));
	}
	return tuple;
}

static void get_tcp(const struct nf_conntrack *ct, struct flow *flow)
{
	flow->tcp.state = nfct_get_attr_u8(ct, ATTR_TCP_STATE);
	flow->tcp.flags[FLOW_ORIGINAL] = nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_ORIG) &
					 FLOW_TCP_FLAGS_ALL;
	flow->tcp.flags[FLOW_REPLY] = nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_REPL) &
				      FLOW_TCP_FLAGS_ALL;
	flow->tcp.scale[FLOW_ORIGINAL] = nfct_get_attr_u8(ct, ATTR_TCP_WSCALE_ORIG);
	flow->tcp.scale[FLOW_REPLY] = nfct_get_attr_u8(ct, ATTR_TCP_WSCALE_REPL);
}

static void get_labels(struct nlmsghdr *header, struct flow *flow)
{
	struct nlattr *labels = nlmsg_find_attr(header, sizeof(struct nfgenmsg), CTA_LABELS);

	flow->has_labels = labels && nla_len(labels) == sizeof(flow->labels);
	if (flow->has_labels)
		memcpy(flow->labels, nla_data(labels), sizeof(flow->labels));
}

/* The bits of flow.zones; negative when the entry is not of @zone. */
static int get_zones(const struct nf_conntrack *ct, uint16_t zone)
{
	int bits = 0;

	for (size_t way = 0; way < FLOW_DIRECTIONS; way++) {
		enum nf_conntrack_attr own = tuple_attributes[way].zone;
		uint16_t found = nfct_attr_is_set(ct, ATTR_ZONE) > 0
					 ? nfct_get_attr_u16(ct, ATTR_ZONE)
				 : nfct_attr_is_set(ct, own) > 0 ? nfct_get_attr_u16(ct, own)
								 : 0;

		if (found == zone)
			bits |= 1 << way;
		else if (found != 0)
			return -1;
	}
	return bits > 0 && (zone != 0 || bits == 3) ? bits : -1;
}

static void get_flow(const struct nf_conntrack *ct, struct nlmsghdr *header, struct flow *flow)
{
	uint8_t family = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO);

	flow->protocol = nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO);
	for (size_t way = 0; way < FLOW_DIRECTIONS; way++)
		flow->tuples[way] = get_tuple(ct, family, flow->protocol, &tuple_attributes[way]);
	flow->status = nfct_get_attr_u32(ct, ATTR_STATUS) & FLOW_STATUS_ALL;
	flow->timeout_s = nfct_get_attr_u32(ct, ATTR_TIMEOUT);
	flow->timeout_s = flow->timeout_s < 1			 ? 1
			  : flow->timeout_s > FLOW_TIMEOUT_MAX_S ? FLOW_TIMEOUT_MAX_S
								 : flow->timeout_s;
	flow->mark = nfct_get_attr_u32(ct, ATTR_MARK);
	get_labels(header, flow);
	if (flow->protocol == IPPROTO_TCP)
		get_tcp(ct, flow);
	if (flow->protocol == IPPROTO_SCTP) {
		flow->sctp.state = nfct_get_attr_u8(ct, ATTR_SCTP_STATE);
		flow->sctp.tags[FLOW_ORIGINAL] = ntohl(nfct_get_attr_u32(ct, ATTR_SCTP_VTAG_ORIG));
		flow->sctp.tags[FLOW_REPLY] = ntohl(nfct_get_attr_u32(ct, ATTR_SCTP_VTAG_REPL));
	}
}

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

static int on_entry(void *userdata, const struct nlmsghdr *header)
{
	_cleanup_(nfct_destroyp) struct nf_conntrack *ct = nfct_new();
	struct reading *reading = userdata;
	struct flow flow = { 0 };
	int zones;

	if (!ct)
		return -ENOMEM;
	if (nfct_nlmsg_parse(header, ct) < 0)
		return 0;
	get_flow(ct, (struct nlmsghdr *) header, &flow);
	if (ip_cmp(flow.tuples[reading->replies].src, reading->asked) != 0)
		reading->unfiltered = true;
	if (!flow_has_end(&flow, reading->ips, reading->ip_count))
		return 0;
	/* The walk of the original direction had it. */
	if (reading->replies) {
		struct flow one_way = flow;

		one_way.tuples[FLOW_REPLY].src = one_way.tuples[FLOW_ORIGINAL].src;
		if (flow_has_end(&one_way, reading->ips, reading->ip_count))
			return 0;
	}
	zones = get_zones(ct, reading->zone);
	if (zones < 0)
		return 0;
	flow.zones = (uint8_t) zones;
	if (flow.protocol == IPPROTO_DCCP || nfct_get_attr_u32(ct, ATTR_STATUS) & IPS_SEQ_ADJUST) {
		reading->found.unfit++;
		return 0;
	}
	return keep(reading, &flow);
}

/* A dump of the entries whose original (or reply) source is @ip. */
static struct nl_msg *dump_message(struct ip ip, bool replies)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		new_message(IPCTNL_MSG_CT_GET, 0, ip.family);
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

/* How much of a flow a message carries. */
enum extent {
	EXTENT_KEY,   /* what finds it */
	EXTENT_STATE, /* and how the connection stands */
	EXTENT_WHOLE, /* and all else */
};

static void set_ip(struct nf_conntrack *ct, struct ip ip, enum nf_conntrack_attr ipv4,
		   enum nf_conntrack_attr ipv6)
{
	nfct_set_attr(ct, ip.family == AF_INET ? ipv4 : ipv6, ip.octet);
}

static void set_tuple(struct nf_conntrack *ct, const struct flow *flow,
		      const struct flow_tuple *tuple, const struct tuple_attributes *attributes)
{
	nfct_set_attr_u8(ct, attributes->family, tuple->src.family);
	nfct_set_attr_u8(ct, attributes->protocol, flow->protocol);
	set_ip(ct, tuple->src, attributes->ipv4_src, attributes->ipv6_src);
	set_ip(ct, tuple->dst, attributes->ipv4_dst, attributes->ipv6_dst);
	if (!has_ports(flow->protocol))
		return;
	nfct_set_attr_u16(ct, attributes->src_port, htons(tuple->src_port));
	nfct_set_attr_u16(ct, attributes->dst_port, htons(tuple->dst_port));
}

/*
 * The kernel wants the reply as it would be without translation, and the translation beside it
 * (ctnetlink_create_conntrack(), nf_nat_setup_info()).
 */
static void set_tuples(struct nf_conntrack *ct, const struct flow *flow)
{
	const struct flow_tuple *there = &flow->tuples[FLOW_ORIGINAL];
	const struct flow_tuple back = { there->dst, there->src, there->dst_port, there->src_port };

	set_tuple(ct, flow, there, &tuple_attributes[FLOW_ORIGINAL]);
	set_tuple(ct, flow, &back, &tuple_attributes[FLOW_REPLY]);
	if (!is_icmp(flow->protocol))
		return;
	/* Of the original direction; the library derives the reply's. */
	nfct_set_attr_u8(ct, ATTR_ICMP_TYPE, (uint8_t) (there->dst_port >> 8));
	nfct_set_attr_u8(ct, ATTR_ICMP_CODE, (uint8_t) there->dst_port);
	nfct_set_attr_u16(ct, ATTR_ICMP_ID, htons(there->src_port));
}

static void set_translation(struct nf_conntrack *ct, const struct flow *flow)
{
	const struct flow_tuple *back = &flow->tuples[FLOW_REPLY];

	if (flow_is_translated(flow, true)) {
		set_ip(ct, back->dst, ATTR_SNAT_IPV4, ATTR_SNAT_IPV6);
		nfct_set_attr_u16(ct, ATTR_SNAT_PORT, htons(back->dst_port));
	}
	if (flow_is_translated(flow, false)) {
		set_ip(ct, back->src, ATTR_DNAT_IPV4, ATTR_DNAT_IPV6);
		nfct_set_attr_u16(ct, ATTR_DNAT_PORT, htons(back->src_port));
	}
}

static void set_zones(struct nf_conntrack *ct, const struct flow *flow, uint16_t zone)
{
	if (zone == 0)
		return;
	if (flow->zones == 3)
		nfct_set_attr_u16(ct, ATTR_ZONE, zone);
	else if (flow->zones == 1 << FLOW_ORIGINAL)
		nfct_set_attr_u16(ct, ATTR_ORIG_ZONE, zone);
	else if (flow->zones == 1 << FLOW_REPLY)
		nfct_set_attr_u16(ct, ATTR_REPL_ZONE, zone);
}

static void set_tcp(struct nf_conntrack *ct, const struct flow *flow)
{
	nfct_set_attr_u8(ct, ATTR_TCP_STATE, flow->tcp.state);
	nfct_set_attr_u8(ct, ATTR_TCP_FLAGS_ORIG,
			 flow->tcp.flags[FLOW_ORIGINAL] | FLOW_TCP_LIBERAL);
	nfct_set_attr_u8(ct, ATTR_TCP_FLAGS_REPL, flow->tcp.flags[FLOW_REPLY] | FLOW_TCP_LIBERAL);
	nfct_set_attr_u8(ct, ATTR_TCP_MASK_ORIG, FLOW_TCP_FLAGS_ALL);
	nfct_set_attr_u8(ct, ATTR_TCP_MASK_REPL, FLOW_TCP_FLAGS_ALL);
	nfct_set_attr_u8(ct, ATTR_TCP_WSCALE_ORIG, flow->tcp.scale[FLOW_ORIGINAL]);
	nfct_set_attr_u8(ct, ATTR_TCP_WSCALE_REPL, flow->tcp.scale[FLOW_REPLY]);
}

static void set_state(struct nf_conntrack *ct, const struct flow *flow)
{
	nfct_set_attr_u32(ct, ATTR_TIMEOUT, flow->timeout_s);
	nfct_set_attr_u32(ct, ATTR_STATUS, flow->status | IPS_CONFIRMED);
	if (flow->protocol == IPPROTO_TCP)
		set_tcp(ct, flow);
	if (flow->protocol == IPPROTO_SCTP) {
		nfct_set_attr_u8(ct, ATTR_SCTP_STATE, flow->sctp.state);
		nfct_set_attr_u32(ct, ATTR_SCTP_VTAG_ORIG, htonl(flow->sctp.tags[FLOW_ORIGINAL]));
		nfct_set_attr_u32(ct, ATTR_SCTP_VTAG_REPL, htonl(flow->sctp.tags[FLOW_REPLY]));
	}
}

static struct nl_msg *flow_message(int type, int flags, const struct flow *flow, uint16_t zone,
				   enum extent extent)
{
	uint8_t family = flow->tuples[FLOW_ORIGINAL].src.family;
	_cleanup_(nlmsg_freep) struct nl_msg *message = new_message(type, flags, family);
	_cleanup_(nfct_destroyp) struct nf_conntrack *ct = nfct_new();

	if (!message || !ct)
		return NULL;
	set_tuples(ct, flow);
	set_zones(ct, flow, zone);
	if (extent >= EXTENT_STATE)
		set_state(ct, flow);
	if (extent >= EXTENT_WHOLE) {
		set_translation(ct, flow);
		nfct_set_attr_u32(ct, ATTR_MARK, flow->mark);
	}
	/* The library writes behind the header without asking for room: less than 1 KiB of a page. */
	if (nfct_nlmsg_build(nlmsg_hdr(message), ct) < 0)
		return NULL;
	if (extent >= EXTENT_WHOLE && flow->has_labels &&
	    nla_put(message, CTA_LABELS, sizeof(flow->labels), flow->labels) < 0)
		return NULL;
	return TAKE_PTR(message);
}

/* One kind of request for many flows. */
struct request {
	int type, flags;
	enum extent extent;
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
		messages[built] = flow_message(request->type, request->flags, flows[built],
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
	const struct request create = { IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, EXTENT_WHOLE,
					zone };
	const struct request update = { IPCTNL_MSG_CT_NEW, 0, EXTENT_STATE, zone };
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
	const struct request remove = { IPCTNL_MSG_CT_DELETE, 0, EXTENT_KEY, zone };

	memset(results, 0, count * sizeof(*results));
	return request_all(conntrack, &remove, flows, count, 0, results);
}
