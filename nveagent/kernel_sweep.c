/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_sweep.c - removes what an earlier life of the agent left on a VNI.
 *
 * Recognised by marks, never by guess: a forward device by its kind, its name and the address that
 * goes with it (its entries go with the device); a guard by the cookie of its redirect on this
 * VXLAN device. A forward device that is in use stays, for inflight_adopt().
 */
#include <errno.h>
#include <string.h>

#include "nveagent/kernel_guard.h"
#include "nveagent/kernel_lane.h"
#include "nveagent/kernel_link.h"

enum {
	SWEEP_ROUND_MAX = 64,	/* found in one dump; more take another round */
};

/*
 * What one dump found; removing needs requests of its own, which cannot be sent while a dump is
 * being read.
 */
struct found {
	struct tc_cookie guards[SWEEP_ROUND_MAX];
	uint32_t forwards[SWEEP_ROUND_MAX];
	size_t count;
	uint32_t bridge_ifindex;
	const struct kernel_left *left; /* not to be removed */
	size_t left_count;
};

/* One in no bridge is of a life that ended while it was being made. */
static bool is_forward(const struct kernel_link *link, uint32_t bridge_ifindex)
{
	return link->port.is_vxlan && kernel_lane_is_ours(link->port.name, link->port.mac) &&
	       (link->port.master == bridge_ifindex || link->port.master == 0);
}

static bool is_in_use(const struct found *found, uint32_t ifindex)
{
	for (size_t i = 0; i < found->left_count; i++)
		for (unsigned lane = 0; lane < KERNEL_LEFT_LANES; lane++)
			if (found->left[i].lanes[lane] == ifindex)
				return true;
	return false;
}

static int note_forward(void *userdata, const struct kernel_link *link)
{
	struct found *found = userdata;

	if (is_forward(link, found->bridge_ifindex) && found->count < SWEEP_ROUND_MAX &&
	    !is_in_use(found, link->port.ifindex))
		found->forwards[found->count++] = link->port.ifindex;
	return 0;
}

static int note_guard(void *userdata, const struct tc_filter *filter)
{
	struct found *found = userdata;

	if (memcmp(filter->cookie.magic, TC_COOKIE_GUARD, sizeof(filter->cookie.magic)) == 0 &&
	    found->count < SWEEP_ROUND_MAX)
		found->guards[found->count++] = filter->cookie;
	return 0;
}

/* Both return how many were removed, or an errno. */
static int sweep_forwards(struct kernel *kernel, const struct vni_devices *devices)
{
	_cleanup_free_ struct kernel_left *left = calloc(KERNEL_LEFT_MAX, sizeof(*left));
	int r = left ? kernel_find_left(kernel, devices, left) : -ENOMEM;
	struct found found = {
		.bridge_ifindex = devices->bridge_ifindex,
		.left = left,
		.left_count = r < 0 ? 0 : (size_t) r,
	};

	if (r >= 0)
		r = kernel_link_each(kernel, 0, note_forward, &found);
	for (size_t i = 0; i < found.count && r >= 0; i++)
		r = kernel_link_delete(kernel, found.forwards[i]);
	return r < 0 ? r : (int) found.count;
}

static int sweep_guards(struct kernel *kernel, const struct vni_devices *devices)
{
	struct found found = { .count = 0 };
	int r = tc_filter_each(kernel, devices->vxlan_ifindex, note_guard, &found);

	for (size_t i = 0; i < found.count && r >= 0; i++)
		r = kernel_guard_undo(kernel, devices->vxlan_ifindex, &found.guards[i]);
	return r < 0 ? r : (int) found.count;
}

int kernel_sweep(struct kernel *kernel, const struct vni_devices *devices)
{
	static int (*const sweeps[])(struct kernel *kernel, const struct vni_devices *devices) = {
		sweep_forwards,
		sweep_guards,
	};
	int total = 0, n;

	for (size_t i = 0; i < ARRAY_SIZE(sweeps); i++) {
		do {
			n = sweeps[i](kernel, devices);
			total += n;
		} while (n == SWEEP_ROUND_MAX);
		if (n < 0)
			return n;
	}
	return total;
}
