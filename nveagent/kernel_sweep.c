/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_sweep.c - removes what an earlier life of the agent left on a VNI.
 *
 * Recognised by marks, never by guess: a forward device by its kind, its name and its alias, as a
 * port of this bridge (its entries go with it);
 * a guard by the cookie of its redirect on this VXLAN device.
 */
#include <errno.h>
#include <string.h>

#include "nveagent/kernel_forward.h"
#include "nveagent/kernel_guard.h"
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
};

static bool is_forward(const struct kernel_link *link)
{
	return link->port.is_vxlan && strncmp(link->port.name, FORWARD_NAME_PREFIX, strlen(FORWARD_NAME_PREFIX)) == 0 &&
	       strncmp(link->alias, FORWARD_ALIAS_PREFIX, strlen(FORWARD_ALIAS_PREFIX)) == 0;
}

static int note_forward(void *userdata, const struct kernel_link *link)
{
	struct found *found = userdata;

	if (is_forward(link) && found->count < SWEEP_ROUND_MAX)
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
	struct found found = { .count = 0 };
	int r = kernel_link_each(kernel, devices->bridge_ifindex, note_forward, &found);

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
