/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_look.c - entries of the forwarding tables, looked up one by one: fdb_get of the bridge and
 * the VXLAN driver (net/core/rtnetlink.c, rtnl_fdb_get(), Linux 5.0) and neigh_get()
 * (net/core/neighbour.c, 5.0).
 */
#include <errno.h>
#include <linux/neighbour.h>

#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_neigh.h"

struct looking {
	const struct vni_devices *devices;
	struct kernel_lookup *lookups;
	int error; /* the first one that is no answer */
};

static void ask_bridge(const struct vni_devices *devices, const struct fdb_entry *entry,
		       struct kernel_stream *stream)
{
	const struct ndmsg header = { .ndm_family = AF_BRIDGE, .ndm_flags = NTF_MASTER };

	kernel_stream_begin(stream, RTM_GETNEIGH, 0, &header, sizeof(header));
	kernel_stream_put(stream, NDA_MASTER, &devices->bridge_ifindex,
			  sizeof(devices->bridge_ifindex));
	kernel_stream_put(stream, NDA_LLADDR, entry->mac.octet, MAC_SIZE);
}

static void ask_vxlan(const struct vni_devices *devices, const struct fdb_entry *entry,
		      struct kernel_stream *stream)
{
	const struct ndmsg header = {
		.ndm_family = AF_BRIDGE,
		.ndm_flags = NTF_SELF,
		.ndm_ifindex = (int) devices->vxlan_ifindex,
	};

	kernel_stream_begin(stream, RTM_GETNEIGH, 0, &header, sizeof(header));
	kernel_stream_put(stream, NDA_LLADDR, entry->mac.octet, MAC_SIZE);
}

static void ask_neighbour(const struct vni_devices *devices, const struct fdb_entry *entry,
			  struct kernel_stream *stream)
{
	const struct ndmsg header = {
		.ndm_family = entry->ip.family,
		.ndm_ifindex = (int) devices->bridge_ifindex,
	};

	kernel_stream_begin(stream, RTM_GETNEIGH, 0, &header, sizeof(header));
	kernel_stream_put(stream, NDA_DST, entry->ip.octet, ip_size(entry->ip));
}

static void take(void *userdata, size_t index, const struct nlmsghdr *object, int error)
{
	struct looking *looking = userdata;
	struct kernel_lookup *lookup = &looking->lookups[index];
	const struct vni_devices *devices = looking->devices;

	if (object && lookup->asked.layer == FDB_LAYER_NEIGHBOUR)
		lookup->found = kernel_neigh_parse(object, &lookup->actual);
	else if (object)
		lookup->found = kernel_fdb_parse(object, devices->bridge_ifindex,
						 devices->vxlan_ifindex, &lookup->actual);
	else if (error != -ENOENT && looking->error == 0)
		looking->error = error;
}

int kernel_look(struct kernel *kernel, const struct vni_devices *devices,
		struct kernel_lookup *lookups, size_t count)
{
	static void (*const asks[])(const struct vni_devices *devices,
				    const struct fdb_entry *entry, struct kernel_stream *stream) = {
		[FDB_LAYER_BRIDGE] = ask_bridge,
		[FDB_LAYER_VXLAN] = ask_vxlan,
		[FDB_LAYER_NEIGHBOUR] = ask_neighbour,
	};
	struct looking looking = { .devices = devices, .lookups = lookups };
	struct kernel_stream stream = { .size = 0 };
	int r;

	if (count > KERNEL_LOOKUPS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++) {
		lookups[i].found = false;
		asks[lookups[i].asked.layer](devices, &lookups[i].asked, &stream);
	}
	r = kernel_stream_ask(kernel, &stream, take, &looking);
	return r < 0 ? r : looking.error;
}
