// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kernel_flow.c - libnetfilter_conntrack turns entries into attributes and back.
 *
 * TCP. The kernel takes state, flags and window scale, but not the window it has seen. It then
 * begins with what the first packets show, and may hold a later one for invalid: an acknowledgement
 * of data that only the old host saw is "over the upper bound" (tcp_in_window() in net/netfilter/
 * nf_conntrack_proto_tcp.c). So the connection is made liberal in both directions, as conntrackd
 * does unless told otherwise: states are still tracked, and only RSTs outside of the window are not
 * let through.
 */
#include "nveagent/kernel_flow.h"

#include <assert.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

static_assert((int) FLOW_SEEN_REPLY == (int) IPS_SEEN_REPLY, "as the kernel numbers it");
static_assert((int) FLOW_ASSURED == (int) IPS_ASSURED, "as the kernel numbers it");
static_assert((int) FLOW_FIXED_TIMEOUT == (int) IPS_FIXED_TIMEOUT, "as the kernel numbers it");
static_assert(FLOW_TCP_WINDOW_SCALE == IP_CT_TCP_FLAG_WINDOW_SCALE, "as the kernel numbers it");
static_assert(FLOW_TCP_SACK_PERM == IP_CT_TCP_FLAG_SACK_PERM, "as the kernel numbers it");
static_assert(FLOW_TCP_CLOSE_INIT == IP_CT_TCP_FLAG_CLOSE_INIT, "as the kernel numbers it");
static_assert(FLOW_TCP_LIBERAL == IP_CT_TCP_FLAG_BE_LIBERAL, "as the kernel numbers it");

DEFINE_CLEANUP(struct nf_conntrack, nfct_destroy)

struct nl_msg *kernel_flow_new_message(int type, int flags, uint8_t family)
{
	const struct nfgenmsg header = { .nfgen_family = family, .version = NFNETLINK_V0 };

	return kernel_message(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, &header, sizeof(header));
}

/* --- attributes --- */

/* clang-format off */
static const struct tuple_attributes {
	enum nf_conntrack_attr family, protocol, ipv4_src, ipv4_dst, ipv6_src, ipv6_dst, src_port,
		dst_port, zone;
} tuple_attributes[FLOW_DIRECTIONS] = {
	[FLOW_ORIGINAL] = {
		ATTR_ORIG_L3PROTO, ATTR_ORIG_L4PROTO, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST,
		ATTR_ORIG_IPV6_SRC, ATTR_ORIG_IPV6_DST, ATTR_ORIG_PORT_SRC, ATTR_ORIG_PORT_DST,
		ATTR_ORIG_ZONE,
	},
	[FLOW_REPLY] = {
		ATTR_REPL_L3PROTO, ATTR_REPL_L4PROTO, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV4_DST,
		ATTR_REPL_IPV6_SRC, ATTR_REPL_IPV6_DST, ATTR_REPL_PORT_SRC, ATTR_REPL_PORT_DST,
		ATTR_REPL_ZONE,
	},
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

int kernel_flow_read(const struct nlmsghdr *header, uint16_t zone, struct flow *ret_flow)
{
	_cleanup_(nfct_destroyp) struct nf_conntrack *ct = nfct_new();
	int zones;

	if (!ct)
		return -ENOMEM;
	*ret_flow = (struct flow){ 0 };
	if (nfct_nlmsg_parse(header, ct) < 0)
		return -EBADMSG;
	get_flow(ct, (struct nlmsghdr *) header, ret_flow);
	zones = get_zones(ct, zone);
	if (zones < 0)
		return -ENOENT;
	ret_flow->zones = (uint8_t) zones;
	if (ret_flow->protocol == IPPROTO_DCCP ||
	    nfct_get_attr_u32(ct, ATTR_STATUS) & IPS_SEQ_ADJUST)
		return -EOPNOTSUPP;
	return 0;
}

/* --- writing --- */

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

struct nl_msg *kernel_flow_message(int type, int flags, const struct flow *flow, uint16_t zone,
				   enum kernel_flow_extent extent)
{
	uint8_t family = flow->tuples[FLOW_ORIGINAL].src.family;
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_flow_new_message(type, flags, family);
	_cleanup_(nfct_destroyp) struct nf_conntrack *ct = nfct_new();

	if (!message || !ct)
		return NULL;
	set_tuples(ct, flow);
	set_zones(ct, flow, zone);
	if (extent >= KERNEL_FLOW_STATE)
		set_state(ct, flow);
	if (extent >= KERNEL_FLOW_WHOLE) {
		set_translation(ct, flow);
		nfct_set_attr_u32(ct, ATTR_MARK, flow->mark);
	}
	/*
	 * The library writes behind the header without asking for room: less than 1 KiB of a page.
	 */
	if (nfct_nlmsg_build(nlmsg_hdr(message), ct) < 0)
		return NULL;
	if (extent >= KERNEL_FLOW_WHOLE && flow->has_labels &&
	    nla_put(message, CTA_LABELS, sizeof(flow->labels), flow->labels) < 0)
		return NULL;
	return TAKE_PTR(message);
}
