/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_left.c - finds the lanes (kernel_lane.h) of an earlier life that still carry a MAC.
 *
 * All that is needed is in the kernel: a lane's one forwarding entry names the MAC and its new NVE,
 * and the bridge's entry for that MAC names the lane that is in use. Two lanes with the same MAC
 * belong together.
 */
#include <errno.h>

#include "nveagent/kernel_fdb.h"
#include "nveagent/kernel_lane.h"
#include "nveagent/kernel_link.h"

struct search {
	uint32_t lanes[KERNEL_LEFT_LANES * KERNEL_LEFT_MAX];
	size_t lane_count;
	struct kernel_left *left;
	size_t count;
};

static int note_lane(void *userdata, const struct kernel_link *link)
{
	struct search *search = userdata;

	if (link->port.is_vxlan && kernel_lane_is_ours(link->port.name, link->port.mac) &&
	    search->lane_count < ARRAY_SIZE(search->lanes))
		search->lanes[search->lane_count++] = link->port.ifindex;
	return 0;
}

/* --- where a lane leads --- */

struct destination {
	uint32_t lane;
	struct fdb_entry entry;
	bool found;
};

static int note_destination(void *userdata, const struct nlmsghdr *header)
{
	struct destination *destination = userdata;
	struct fdb_entry entry;

	if (kernel_fdb_parse(header, 0, destination->lane, &entry) &&
	    entry.layer == FDB_LAYER_VXLAN && entry.ours && !mac_is_zero(entry.mac)) {
		destination->entry = entry;
		destination->found = true;
	}
	return 0;
}

/* Leaves ->found false when it leads nowhere. */
static int find_destination(struct kernel *kernel, struct destination *destination)
{
	struct ndmsg header = { .ndm_family = AF_BRIDGE, .ndm_ifindex = (int) destination->lane };
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_message(RTM_GETNEIGH, 0, &header, sizeof(header));
	int r = message ? kernel_dump(kernel, message, note_destination, destination) : -ENOMEM;

	return r == -EAGAIN ? 0 : r; /* something else of the bridge changed meanwhile */
}

/* --- what belongs together --- */

static struct kernel_left *left_of(struct search *search, struct mac mac)
{
	for (size_t i = 0; i < search->count; i++)
		if (mac_cmp(search->left[i].mac, mac) == 0)
			return &search->left[i];
	if (search->count == KERNEL_LEFT_MAX)
		return NULL;
	search->left[search->count] = (struct kernel_left){ .mac = mac };
	return &search->left[search->count++];
}

static void add_lane(struct search *search, const struct destination *destination)
{
	struct kernel_left *left = left_of(search, destination->entry.mac);

	for (unsigned i = 0; left && i < KERNEL_LEFT_LANES; i++) {
		if (left->lanes[i])
			continue;
		left->lanes[i] = destination->lane;
		left->new_vtep = destination->entry.vtep;
		break;
	}
}

/* True when the bridge has chosen one of the lanes, which is the first then. */
static int find_choice(struct kernel *kernel, const struct vni_devices *devices,
		       struct kernel_left *left, bool *ret_chosen)
{
	struct kernel_lookup lookup = { .asked = { .layer = FDB_LAYER_BRIDGE, .mac = left->mac } };
	int r = kernel_look(kernel, devices, &lookup, 1);
	uint32_t choice = r == 0 && lookup.found ? lookup.actual.ifindex : 0;

	*ret_chosen = choice && (left->lanes[0] == choice || left->lanes[1] == choice);
	if (*ret_chosen && left->lanes[1] == choice) {
		left->lanes[1] = left->lanes[0];
		left->lanes[0] = choice;
	}
	return r;
}

/* Those that were turned back, to us, were being given up. */
static int keep_chosen(struct kernel *kernel, const struct vni_devices *devices,
		       struct search *search)
{
	size_t kept = 0;

	for (size_t i = 0; i < search->count; i++) {
		bool chosen = false;
		int r = find_choice(kernel, devices, &search->left[i], &chosen);

		if (r < 0)
			return r;
		if (chosen && ip_cmp(search->left[i].new_vtep, devices->vtep) != 0)
			search->left[kept++] = search->left[i];
	}
	search->count = kept;
	return 0;
}

int kernel_find_left(struct kernel *kernel, const struct vni_devices *devices,
		     struct kernel_left *left)
{
	struct search search = { .left = left };
	int r = kernel_link_each(kernel, devices->bridge_ifindex, note_lane, &search);

	for (size_t i = 0; r >= 0 && i < search.lane_count; i++) {
		struct destination destination = { .lane = search.lanes[i] };

		r = find_destination(kernel, &destination);
		if (r >= 0 && destination.found)
			add_lane(&search, &destination);
	}
	if (r >= 0)
		r = keep_chosen(kernel, devices, &search);
	return r < 0 ? r : (int) search.count;
}
