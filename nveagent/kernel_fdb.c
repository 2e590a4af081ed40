/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_fdb.c - the bridge's and the VXLAN device's forwarding tables through rtnetlink.
 *
 * Theory of operation (net/bridge/br_fdb.c and drivers/net/vxlan/vxlan_core.c, Linux 6.1 to 6.18)
 *
 * Bridge layer. NTF_EXT_LEARNED takes a path of its own, br_fdb_external_learn_add(): it moves
 * the entry and marks it, and looks
 * neither at the state nor at NTF_STICKY. Without that flag fdb_add_entry() moves the entry and
 * sets static and sticky as asked,
 * and leaves the mark as it was. Hence:
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
 * zero MAC takes a
 * list, to which only NLM_F_APPEND adds. A deletion names the destination, so one that moved
 * meanwhile stays.
 */
#include "nveagent/kernel_fdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

static struct nl_msg *neighbour(int type, int flags, const struct fdb_entry *entry, uint16_t state, uint8_t entry_flags)
{
	struct ndmsg header = {
		.ndm_family = AF_BRIDGE,
		.ndm_ifindex = (int) entry->ifindex,
		.ndm_state = state,
		.ndm_flags = entry_flags,
	};
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_message(type, flags, &header, sizeof(header));

	if (!message || nla_put(message, NDA_LLADDR, MAC_SIZE, entry->mac.octet) < 0)
		return NULL;
	return TAKE_PTR(message);
}

static int build_bridge(enum fdb_op op, const struct fdb_entry *entry, struct nl_msg **messages)
{
	const int make = NLM_F_CREATE | NLM_F_REPLACE;
	int n = 0;

	if (mac_is_zero(entry->mac) || mac_is_group(entry->mac))
		return -EINVAL;

	if (op == FDB_OP_DELETE) {
		messages[n++] = neighbour(RTM_DELNEIGH, 0, entry, 0, NTF_MASTER);
		return n;
	}
	if (entry->sticky)
		messages[n++] = neighbour(RTM_NEWNEIGH, make, entry, NUD_NOARP, NTF_MASTER | NTF_STICKY);
	else if (op == FDB_OP_REPLACE)
		messages[n++] = neighbour(RTM_NEWNEIGH, make, entry, NUD_REACHABLE, NTF_MASTER);
	messages[n++] = neighbour(RTM_NEWNEIGH, make, entry, NUD_REACHABLE, NTF_MASTER | NTF_EXT_LEARNED);
	return n;
}

static int put_destination(struct nl_msg *message, const struct fdb_entry *entry)
{
	if (nla_put(message, NDA_DST, (int) ip_size(entry->vtep), entry->vtep.octet) < 0)
		return -ENOMEM;
	if (entry->port && nla_put_u16(message, NDA_PORT, htons(entry->port)) < 0)
		return -ENOMEM;
	if (entry->vni && nla_put_u32(message, NDA_VNI, entry->vni) < 0)
		return -ENOMEM;
	return 0;
}

static int build_vxlan(enum fdb_op op, const struct fdb_entry *entry, struct nl_msg **messages)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	bool listed = mac_is_zero(entry->mac);

	if (ip_is_none(entry->vtep))
		return -EINVAL;
	if (listed && op == FDB_OP_REPLACE)
		return -EOPNOTSUPP;

	if (op == FDB_OP_DELETE)
		message = neighbour(RTM_DELNEIGH, 0, entry, 0, NTF_SELF);
	else
		message = neighbour(RTM_NEWNEIGH, NLM_F_CREATE | (listed ? NLM_F_APPEND : NLM_F_REPLACE), entry,
				    NUD_NOARP | NUD_PERMANENT, NTF_SELF | NTF_EXT_LEARNED);
	if (!message || put_destination(message, entry) < 0)
		return -ENOMEM;

	messages[0] = TAKE_PTR(message);
	return 1;
}

static void free_messages(struct nl_msg **messages, int count)
{
	for (int i = 0; i < count; i++)
		nlmsg_freep(&messages[i]);
}

int kernel_fdb_build(const struct fdb_change *change, struct nl_msg **ret_messages)
{
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX] = { NULL };
	int n = change->entry.layer == FDB_LAYER_BRIDGE ? build_bridge(change->op, &change->entry, messages)
							 : build_vxlan(change->op, &change->entry, messages);

	for (int i = 0; i < n; i++) {
		if (!messages[i]) {
			free_messages(messages, n);
			return -ENOMEM;
		}
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
	entry->local = nd->ndm_state & NUD_PERMANENT; /* fdb_to_nud(): BR_FDB_LOCAL and nothing else */
}

static void read_vxlan_entry(struct nlattr *const *attributes, struct fdb_entry *entry)
{
	entry->layer = FDB_LAYER_VXLAN;
	if (attributes[NDA_DST])
		(void) ip_from_bytes(nla_data(attributes[NDA_DST]), (size_t) nla_len(attributes[NDA_DST]),
				     &entry->vtep);
	if (attributes[NDA_PORT])
		entry->port = ntohs(nla_get_u16(attributes[NDA_PORT]));
	if (attributes[NDA_VNI])
		entry->vni = nla_get_u32(attributes[NDA_VNI]);
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
	    mac_from_bytes(nla_data(attributes[NDA_LLADDR]), (size_t) nla_len(attributes[NDA_LLADDR]), &entry.mac) < 0)
		return 0;

	master = attributes[NDA_MASTER] ? nla_get_u32(attributes[NDA_MASTER]) : 0;
	if (master && !(nd->ndm_flags & NTF_SELF) && (!bridge_ifindex || master == bridge_ifindex))
		read_bridge_entry(nd, &entry);
	else if ((nd->ndm_flags & NTF_SELF) && vxlan_ifindex && (uint32_t) nd->ndm_ifindex == vxlan_ifindex)
		read_vxlan_entry(attributes, &entry);
	else
		return 0;

	entry.ifindex = (uint32_t) nd->ndm_ifindex;
	entry.ours = nd->ndm_flags & NTF_EXT_LEARNED;
	entry.fixed = !entry.ours && ((nd->ndm_state & (NUD_NOARP | NUD_PERMANENT)) || entry.sticky);
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

int kernel_fdb_dump(struct kernel *kernel, const struct vni_devices *devices, struct fdb_table *table)
{
	struct ndmsg header = { .ndm_family = AF_BRIDGE };
	struct dumping dumping = { devices->bridge_ifindex, devices->vxlan_ifindex, table };
	_cleanup_(nlmsg_freep) struct nl_msg *message = kernel_message(RTM_GETNEIGH, 0, &header, sizeof(header));
	int r;

	if (!message || nla_put_u32(message, NDA_MASTER, devices->bridge_ifindex) < 0)
		return -ENOMEM;

	for (unsigned attempt = 0; attempt < KERNEL_DUMP_ATTEMPTS_MAX; attempt++) {
		fdb_table_clear(table);
		r = kernel_dump(kernel, message, put_dumped, &dumping);
		if (r != -EAGAIN)
			break;
	}
	return r;
}

/* --- applying --- */

/* Messages waiting to be sent, and the change each belongs to. */
struct batch {
	struct kernel *kernel;
	struct nl_msg *messages[KERNEL_BATCH_MAX];
	size_t origins[KERNEL_BATCH_MAX];
	size_t count;
	int error; /* the first one */
	size_t error_index;
};

static void note_error(struct batch *batch, int error, size_t index)
{
	if (error < 0 && batch->error == 0) {
		batch->error = error;
		batch->error_index = index;
	}
}

/* What is already gone needs no deletion. */
static int judge(const struct nl_msg *message, int result)
{
	if (nlmsg_hdr((struct nl_msg *) message)->nlmsg_type == RTM_DELNEIGH && (result == -ENOENT || result == -ENODEV))
		return 0;
	return result;
}

/* Returns an errno only when nothing more can be sent. */
static int flush_batch(struct batch *batch)
{
	int results[KERNEL_BATCH_MAX];
	int r = kernel_batch(batch->kernel, batch->messages, batch->count, results);

	for (size_t i = 0; i < batch->count; i++) {
		note_error(batch, r < 0 ? r : judge(batch->messages[i], results[i]), batch->origins[i]);
		nlmsg_freep(&batch->messages[i]);
	}
	batch->count = 0;
	return r;
}

static int add_to_batch(struct batch *batch, const struct fdb_change *change, size_t index)
{
	int n;

	if (batch->count + KERNEL_FDB_MESSAGES_MAX > KERNEL_BATCH_MAX) {
		int r = flush_batch(batch);

		if (r < 0)
			return r;
	}

	n = kernel_fdb_build(change, &batch->messages[batch->count]);
	if (n < 0) {
		note_error(batch, n, index);
		return 0;
	}
	for (int i = 0; i < n; i++)
		batch->origins[batch->count++] = index;
	return 0;
}

int kernel_fdb_apply(struct kernel *kernel, const struct vni_devices *devices,
		     const struct fdb_change *changes, size_t count, size_t *reterr_index)
{
	struct batch batch = { .kernel = kernel };
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = add_to_batch(&batch, &changes[i], i);
	(void) flush_batch(&batch);

	if (batch.error < 0 && reterr_index)
		*reterr_index = batch.error_index;
	return batch.error;
}
