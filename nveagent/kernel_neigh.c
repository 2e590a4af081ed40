/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_neigh.c - what the bridge answers ARP requests and NS with.
 *
 * Theory of operation (net/bridge/br_arp_nd_proxy.c and net/core/neighbour.c, Linux 6.1 to 6.18)
 *
 * With neigh_suppress on the VXLAN device's bridge port, the bridge looks each ARP request and NS
 * that comes from any other port up in its own neighbour table:
 *
 *   an entry, its MAC behind a port with neigh_suppress	the bridge answers for it
 *   an entry, its MAC behind another port		the question is flooded, but not by VXLAN
 *   no entry						flooded everywhere
 *
 * An ARP probe, a GARP, a DAD NS and an unsolicited NA are neither answered nor sent to the VXLAN
 * port; suppress.c answers those that need it, and tells guests what they would have heard.
 *
 * Ours are permanent, so that nothing a guest sends changes them and no lost carrier takes them,
 * and NTF_EXT_LEARNED, which is our mark and exempts them from gc_thresh1 to 3 (neigh_alloc()). A
 * change of the bridge's own MAC address flushes all the same (neigh_changeaddr()): kernel_watch.c
 * tells. The table is also the host's own when it has an address on the bridge; what it learned
 * itself is taken over, what somebody made permanent is left alone.
 */
#include "nveagent/kernel_neigh.h"

#include <errno.h>
#include <linux/neighbour.h>

int kernel_neigh_write(enum fdb_op op, const struct fdb_entry *entry, struct kernel_stream *stream)
{
	bool make = op != FDB_OP_DELETE;
	struct ndmsg header = {
		.ndm_family = entry->ip.family,
		.ndm_ifindex = (int) entry->ifindex,
		.ndm_state = make ? NUD_PERMANENT : 0,
		.ndm_flags = make ? NTF_EXT_LEARNED | (entry->router ? NTF_ROUTER : 0) : 0,
	};

	if (!ip_is_unicast(entry->ip) ||
	    (make && (mac_is_zero(entry->mac) || mac_is_group(entry->mac))))
		return -EINVAL;
	kernel_stream_begin(stream, make ? RTM_NEWNEIGH : RTM_DELNEIGH,
			    make ? NLM_F_CREATE | NLM_F_REPLACE : 0, &header, sizeof(header));
	kernel_stream_put(stream, NDA_DST, entry->ip.octet, ip_size(entry->ip));
	if (make)
		kernel_stream_put(stream, NDA_LLADDR, entry->mac.octet, MAC_SIZE);
	return 1;
}

int kernel_neigh_parse(const struct nlmsghdr *header, struct fdb_entry *ret_entry)
{
	struct fdb_entry entry = { .layer = FDB_LAYER_NEIGHBOUR };
	struct nlattr *attributes[NDA_MAX + 1];
	const struct ndmsg *nd;

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(*nd), attributes, NDA_MAX, NULL) < 0)
		return 0;
	nd = nlmsg_data(header);
	if ((nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) ||
	    nd->ndm_flags & NTF_PROXY || !attributes[NDA_DST] || !attributes[NDA_LLADDR])
		return 0;
	if (ip_from_bytes(nla_data(attributes[NDA_DST]), (size_t) nla_len(attributes[NDA_DST]),
			  &entry.ip) < 0 ||
	    mac_from_bytes(nla_data(attributes[NDA_LLADDR]),
			   (size_t) nla_len(attributes[NDA_LLADDR]), &entry.mac) < 0)
		return 0;

	entry.ifindex = (uint32_t) nd->ndm_ifindex;
	entry.router = nd->ndm_flags & NTF_ROUTER;
	entry.ours = nd->ndm_flags & NTF_EXT_LEARNED;
	entry.fixed = !entry.ours && nd->ndm_state & (NUD_PERMANENT | NUD_NOARP);
	*ret_entry = entry;
	return 1;
}

struct dumping {
	uint32_t ifindex;
	struct fdb_table *table;
};

static int put_dumped(void *userdata, const struct nlmsghdr *header)
{
	const struct dumping *dumping = userdata;
	struct fdb_entry entry;

	if (!kernel_neigh_parse(header, &entry) || entry.ifindex != dumping->ifindex)
		return 0;
	return fdb_table_put(dumping->table, &entry);
}

static int dump_family(struct kernel *kernel, uint8_t family, uint32_t ifindex,
		       struct fdb_table *table)
{
	struct ndmsg header = { .ndm_family = family };
	struct dumping dumping = { ifindex, table };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_GETNEIGH, 0, &header, sizeof(header));
	int r = -EAGAIN;

	if (!message || nla_put_u32(message, NDA_IFINDEX, ifindex) < 0)
		return -ENOMEM;
	/* What an interrupted dump found and is gone since costs a deletion of nothing. */
	for (unsigned attempt = 0; r == -EAGAIN && attempt < KERNEL_DUMP_ATTEMPTS_MAX; attempt++)
		r = kernel_dump(kernel, message, put_dumped, &dumping);
	return r;
}

int kernel_neigh_dump(struct kernel *kernel, uint32_t ifindex, struct fdb_table *table)
{
	int r = dump_family(kernel, AF_INET, ifindex, table);

	if (r == 0)
		r = dump_family(kernel, AF_INET6, ifindex, table);
	/* A kernel started with ipv6.disable=1 has no such table. */
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}
