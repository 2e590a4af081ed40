/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_fdb.c - the bridge's and the VXLAN device's forwarding tables through rtnetlink; for
 * neighbour entries see kernel_neigh.c.
 *
 * Theory of operation (net/bridge/br_fdb.c and drivers/net/vxlan/vxlan_core.c, Linux 6.1 to 6.18)
 *
 * Bridge layer. NTF_EXT_LEARNED takes a path of its own, br_fdb_external_learn_add(): it moves the
 * entry and marks it, and looks neither at the state nor at NTF_STICKY. Without that flag
 * fdb_add_entry() moves the entry and sets static and sticky as asked, and leaves the mark as it
 * was. Hence:
 *   remote MAC, new        one message, marked. It does not age; when the MAC is seen on a local
 *   port it roams there and
 *                          loses the mark, which is how a VM that appears here is noticed.
 *   remote MAC, replacing  first a plain one, to lose what may be sticky or static, then the
 *   marked one.
 *   VM pinned to its tap   first a static sticky one, then the marked one: it neither ages nor
 *   roams.
 * Either way the first message moves the entry, atomically.
 *
 * VXLAN layer. One message does all. A unicast MAC has one destination, replaced atomically; the
 * zero MAC takes a list, to which only NLM_F_APPEND adds. A deletion names the destination, so one
 * that moved meanwhile stays.
 */
#include "nveagent/kernel_fdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>
#include <unistd.h>

#include "nveagent/kernel_neigh.h"

static void begin(struct kernel_stream *stream, uint16_t type, uint16_t flags,
		  const struct fdb_entry *entry, uint16_t state, uint8_t entry_flags)
{
	struct ndmsg header = {
		.ndm_family = AF_BRIDGE,
		.ndm_ifindex = (int) entry->ifindex,
		.ndm_state = state,
		.ndm_flags = entry_flags,
	};

	kernel_stream_begin(stream, type, flags, &header, sizeof(header));
	kernel_stream_put(stream, NDA_LLADDR, entry->mac.octet, MAC_SIZE);
}

static int write_bridge(enum fdb_op op, const struct fdb_entry *entry, struct kernel_stream *stream)
{
	const uint16_t make = NLM_F_CREATE | NLM_F_REPLACE;
	bool plain = entry->sticky || op == FDB_OP_REPLACE;

	if (mac_is_zero(entry->mac) || mac_is_group(entry->mac))
		return -EINVAL;
	if (op == FDB_OP_DELETE) {
		begin(stream, RTM_DELNEIGH, 0, entry, 0, NTF_MASTER);
		return 1;
	}
	if (entry->sticky)
		begin(stream, RTM_NEWNEIGH, make, entry, NUD_NOARP, NTF_MASTER | NTF_STICKY);
	else if (plain)
		begin(stream, RTM_NEWNEIGH, make, entry, NUD_REACHABLE, NTF_MASTER);
	begin(stream, RTM_NEWNEIGH, make, entry, NUD_REACHABLE, NTF_MASTER | NTF_EXT_LEARNED);
	return 1 + plain;
}

static void put_destination(struct kernel_stream *stream, const struct fdb_entry *entry)
{
	uint16_t port = htons(entry->port);

	kernel_stream_put(stream, NDA_DST, entry->vtep.octet, ip_size(entry->vtep));
	if (entry->port)
		kernel_stream_put(stream, NDA_PORT, &port, sizeof(port));
	if (entry->vni)
		kernel_stream_put(stream, NDA_VNI, &entry->vni, sizeof(entry->vni));
}

static int write_vxlan(enum fdb_op op, const struct fdb_entry *entry, struct kernel_stream *stream)
{
	bool listed = mac_is_zero(entry->mac);

	if (ip_is_none(entry->vtep))
		return -EINVAL;
	if (listed && op == FDB_OP_REPLACE)
		return -EOPNOTSUPP;

	if (op == FDB_OP_DELETE)
		begin(stream, RTM_DELNEIGH, 0, entry, 0, NTF_SELF);
	else
		begin(stream, RTM_NEWNEIGH, NLM_F_CREATE | (listed ? NLM_F_APPEND : NLM_F_REPLACE),
		      entry, NUD_NOARP | NUD_PERMANENT, NTF_SELF | NTF_EXT_LEARNED);
	put_destination(stream, entry);
	return 1;
}

int kernel_fdb_write(const struct fdb_change *change, struct kernel_stream *stream)
{
	static int (*const writers[])(enum fdb_op op, const struct fdb_entry *entry,
				      struct kernel_stream *stream) = {
		[FDB_LAYER_BRIDGE] = write_bridge,
		[FDB_LAYER_VXLAN] = write_vxlan,
		[FDB_LAYER_NEIGHBOUR] = kernel_neigh_write,
	};

	return writers[change->entry.layer](change->op, &change->entry, stream);
}

static void free_messages(struct nl_msg **messages, int count)
{
	for (int i = 0; i < count; i++)
		nlmsg_freep(&messages[i]);
}

int kernel_fdb_build(const struct fdb_change *change, struct nl_msg **ret_messages)
{
	struct kernel_stream stream = { .size = 0 };
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX] = { NULL };
	struct nlmsghdr *header = (struct nlmsghdr *) stream.data;
	int n = kernel_fdb_write(change, &stream), left;

	left = (int) stream.size;
	for (int i = 0; i < n; i++) {
		messages[i] = nlmsg_convert(header);
		if (!messages[i]) {
			free_messages(messages, n);
			return -ENOMEM;
		}
		header = nlmsg_next(header, &left);
	}
	for (int i = 0; i < n; i++)
		ret_messages[i] = messages[i];
	return n;
}

/* --- reading --- */

static void read_bridge_entry(const struct ndmsg *nd, struct fdb_entry *entry)
{
	entry->layer = FDB_LAYER_BRIDGE;
	entry->sticky = nd->ndm_flags & NTF_STICKY;
	entry->local = nd->ndm_state & NUD_PERMANENT; /* fdb_to_nud(): BR_FDB_LOCAL alone */
}

static void read_vxlan_entry(struct nlattr *const *attributes, struct fdb_entry *entry)
{
	const struct nda_cacheinfo *cache;

	entry->layer = FDB_LAYER_VXLAN;
	if (attributes[NDA_DST])
		(void) ip_from_bytes(nla_data(attributes[NDA_DST]),
				     (size_t) nla_len(attributes[NDA_DST]), &entry->vtep);
	if (attributes[NDA_PORT])
		entry->port = ntohs(nla_get_u16(attributes[NDA_PORT]));
	if (attributes[NDA_VNI])
		entry->vni = nla_get_u32(attributes[NDA_VNI]);
	if (attributes[NDA_CACHEINFO] &&
	    nla_len(attributes[NDA_CACHEINFO]) >= (int) sizeof(*cache)) {
		cache = nla_data(attributes[NDA_CACHEINFO]);
		entry->idle_s = cache->ndm_used / (uint32_t) sysconf(_SC_CLK_TCK);
	}
}

int kernel_fdb_parse(const struct nlmsghdr *header, uint32_t bridge_ifindex, uint32_t vxlan_ifindex,
		     struct fdb_entry *ret_entry)
{
	struct nlattr *attributes[NDA_MAX + 1];
	struct fdb_entry entry = { 0 };
	const struct ndmsg *nd;
	uint32_t master;

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(*nd), attributes, NDA_MAX, NULL) < 0)
		return 0;
	nd = nlmsg_data(header);
	if (nd->ndm_family != AF_BRIDGE || !attributes[NDA_LLADDR] || attributes[NDA_VLAN] ||
	    mac_from_bytes(nla_data(attributes[NDA_LLADDR]),
			   (size_t) nla_len(attributes[NDA_LLADDR]), &entry.mac) < 0)
		return 0;

	master = attributes[NDA_MASTER] ? nla_get_u32(attributes[NDA_MASTER]) : 0;
	if (master && !(nd->ndm_flags & NTF_SELF) && (!bridge_ifindex || master == bridge_ifindex))
		read_bridge_entry(nd, &entry);
	else if ((nd->ndm_flags & NTF_SELF) && vxlan_ifindex &&
		 (uint32_t) nd->ndm_ifindex == vxlan_ifindex)
		read_vxlan_entry(attributes, &entry);
	else
		return 0;

	entry.ifindex = (uint32_t) nd->ndm_ifindex;
	entry.ours = nd->ndm_flags & NTF_EXT_LEARNED;
	entry.fixed = !entry.ours &&
		      ((nd->ndm_state & (NUD_NOARP | NUD_PERMANENT)) || entry.sticky);
	*ret_entry = entry;
	return 1;
}

struct dumping {
	uint32_t bridge_ifindex, vxlan_ifindex;
	struct fdb_table *table;
};

static int put_dumped(void *userdata, const struct nlmsghdr *header)
{
	const struct dumping *dumping = userdata;
	struct fdb_entry entry;

	if (!kernel_fdb_parse(header, dumping->bridge_ifindex, dumping->vxlan_ifindex, &entry))
		return 0;
	return fdb_table_put(dumping->table, &entry);
}

int kernel_fdb_dump(struct kernel *kernel, const struct vni_devices *devices,
		    struct fdb_table *table)
{
	struct ndmsg header = { .ndm_family = AF_BRIDGE };
	struct dumping dumping = { devices->bridge_ifindex, devices->vxlan_ifindex, table };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_GETNEIGH, 0, &header, sizeof(header));
	int r;

	if (!message || nla_put_u32(message, NDA_MASTER, devices->bridge_ifindex) < 0)
		return -ENOMEM;

	for (unsigned attempt = 0; attempt < KERNEL_DUMP_ATTEMPTS_MAX; attempt++) {
		fdb_table_clear(table);
		r = kernel_dump(kernel, message, put_dumped, &dumping);
		if (r != -EAGAIN)
			break;
	}
	return r < 0 ? r : kernel_neigh_dump(kernel, devices->bridge_ifindex, table);
}

/* --- applying --- */

/* Messages waiting to be sent, and the change each belongs to. */
struct applying {
	struct kernel *kernel;
	struct kernel_stream stream;
	size_t origins[KERNEL_STREAM_MAX];
	int error; /* the first one */
	size_t error_index;
};

static void note_error(struct applying *applying, int error, size_t index)
{
	if (error < 0 && applying->error == 0) {
		applying->error = error;
		applying->error_index = index;
	}
}

static void refused(void *userdata, size_t index, uint16_t type, int error)
{
	struct applying *applying = userdata;

	/* What is already gone needs no deletion. */
	if (type != RTM_DELNEIGH || (error != -ENOENT && error != -ENODEV))
		note_error(applying, error, applying->origins[index]);
}

/* Returns an errno only when nothing more can be sent. */
static int flush(struct applying *applying)
{
	int r = kernel_stream_send(applying->kernel, &applying->stream, refused, applying);

	note_error(applying, r, applying->origins[0]);
	return r;
}

static int add(struct applying *applying, const struct fdb_change *change, size_t index)
{
	struct kernel_stream *stream = &applying->stream;
	size_t before;
	int n;

	if (stream->count + KERNEL_FDB_MESSAGES_MAX > KERNEL_STREAM_MAX) {
		int r = flush(applying);

		if (r < 0)
			return r;
	}
	before = stream->count;
	n = kernel_fdb_write(change, stream);
	note_error(applying, n, index);
	while (before < stream->count)
		applying->origins[before++] = index;
	return 0;
}

int kernel_fdb_apply(struct kernel *kernel, const struct vni_devices *devices,
		     const struct fdb_change *changes, size_t count, size_t *reterr_index)
{
	struct applying applying = { .kernel = kernel };
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = add(&applying, &changes[i], i);
	if (r == 0)
		(void) flush(&applying);

	if (applying.error < 0 && reterr_index)
		*reterr_index = applying.error_index;
	return applying.error;
}
