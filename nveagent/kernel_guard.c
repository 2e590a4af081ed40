/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_guard.c - a destination's tap before and after the VM runs there.
 *
 * Theory of operation
 *
 * The redirect on the VXLAN device is put first and taken away last, and its action's cookie says
 * how the tap was before. So the guard's whole memory is in the kernel: an agent that died is
 * undone by the next one exactly as kernel_guard_free() would have (kernel_sweep.c calls the same
 * function). The filter on the tap is there until the guard is opened and so says whether the flood
 * flags are still ours to restore.
 *
 *   VXLAN device, ingress   pref TC_PREFERENCE, handle = the tap's ifindex: to @mac? out of the tap
 *   tap, ingress            pref TC_PREFERENCE, handle = enum tap_filter: RARP, or not from @mac?
 *   drop
 *
 * A tap with several queues is steered to the first one meanwhile (tap_steer.h).
 *
 * A redirected frame enters the tap's ring as a bridged one does: dev_queue_xmit() of the tap
 * (net/sched/act_mirred.c), in the order of arrival as long as one receive queue serves the outer
 * flow.
 */
#include "nveagent/kernel_guard.h"

#include <errno.h>
#include <string.h>

#include "nveagent/kernel_link.h"
#include "nveagent/tap_steer.h"

enum { TAP_FILTER_HANDLE = 1 };

struct kernel_guard {
	struct kernel *kernel; /* borrowed */
	uint32_t vxlan_ifindex;
	struct tc_cookie cookie;
	struct tap_steer *steer; /* NULL: one queue, or it could not be */
	uint64_t dropped_before; /* by the tap, in its whole life */
};

static int set_floods(struct kernel *kernel, uint32_t ifindex, uint8_t flood)
{
	static const int attributes[LINK_FLOOD_COUNT] = {
		[LINK_FLOOD_UNICAST] = IFLA_BRPORT_UNICAST_FLOOD,
		[LINK_FLOOD_MULTICAST] = IFLA_BRPORT_MCAST_FLOOD,
		[LINK_FLOOD_BROADCAST] = IFLA_BRPORT_BCAST_FLOOD,
	};
	struct link_port_flag flags[LINK_FLOOD_COUNT];

	for (int i = 0; i < LINK_FLOOD_COUNT; i++)
		flags[i] = (struct link_port_flag) { attributes[i], (flood >> i) & 1 };
	return kernel_link_set_port_flags(kernel, ifindex, flags, LINK_FLOOD_COUNT);
}

/* --- undoing --- */

static int note_handle(void *userdata, const struct tc_filter *filter)
{
	uint32_t *handle = userdata;

	*handle = filter->handle;
	return 0;
}

int kernel_guard_lift(struct kernel *kernel, uint32_t ifindex, uint8_t flood)
{
	uint32_t handle = 0;
	int r, r2;

	r = tc_filter_each(kernel, ifindex, note_handle, &handle);
	if (r < 0 || handle == 0)
		return r;

	r = set_floods(kernel, ifindex, flood);
	r2 = tc_filter_remove(kernel, ifindex, handle);

	/*
	 * The tap may leave the bridge, or vanish, at any time: then there are no flags to
	 * restore.
	 */
	return r2 < 0 ? r2 : r == -EOPNOTSUPP || r == -ENODEV || r == -EINVAL ? 0 : r;
}

static int restore_tap(struct kernel *kernel, const struct tc_cookie *cookie)
{
	struct kernel_link tap;
	int r;

	r = kernel_link_by_index(kernel, cookie->target, &tap);
	if (r < 0)
		return r == -ENODEV ? 0 : r;

	r = kernel_guard_lift(kernel, cookie->target, cookie->flood);
	if (cookie->steered)
		(void) tap_steer_undo(tap.port.name); /* nobody may hold it any more */
	if (cookie->ipv6) {
		int r2 = kernel_link_set_ipv6(tap.port.name, true);

		r = r < 0 || r2 == -ENOENT ? r : r2;
	}
	return r == -ENODEV ? 0 : r;
}

int kernel_guard_undo(struct kernel *kernel, uint32_t vxlan_ifindex, const struct tc_cookie *cookie)
{
	int r = restore_tap(kernel, cookie);
	int r2 = tc_filter_remove(kernel, vxlan_ifindex, cookie->target);

	return r < 0 ? r : r2;
}

/* --- making --- */

static int remember_tap(const struct kernel_link *tap, struct tc_cookie *cookie)
{
	bool ipv6 = false;
	int r;

	memcpy(cookie->magic, TC_COOKIE_GUARD, sizeof(cookie->magic));
	cookie->target = tap->port.ifindex;
	cookie->steered = tap->tx_queues > 1;
	for (int i = 0; i < LINK_FLOOD_COUNT; i++)
		cookie->flood |= (uint8_t) (tap->flood[i] << i);

	r = kernel_link_get_ipv6(tap->port.name, &ipv6);
	cookie->ipv6 = ipv6;
	return r == -ENOENT ? 0 : r;
}

static int silence_tap(struct kernel *kernel, uint32_t ifindex, struct mac mac)
{
	bool made;
	int r = tc_clsact_ensure(kernel, ifindex, &made);

	if (r < 0)
		return r;
	r = tc_drop_strangers(kernel, ifindex, TAP_FILTER_HANDLE, mac);
	if (r < 0 && made)
		(void) tc_clsact_remove_if_empty(kernel, ifindex);
	return r;
}

static int guard_tap(struct kernel *kernel, const struct kernel_link *tap, struct mac mac,
		     unsigned queue_packets)
{
	int r = kernel_link_set_ipv6(tap->port.name, false);

	if (r < 0 && r != -ENOENT)
		return r;
	r = silence_tap(kernel, tap->port.ifindex, mac);
	if (r == 0)
		r = set_floods(kernel, tap->port.ifindex, 0);
	if (r == 0 && queue_packets > tap->queue_length)
		r = kernel_link_set_queue_length(kernel, tap->port.ifindex, queue_packets);
	return r;
}

int kernel_guard_new(struct kernel *kernel, const struct vni_devices *devices, const char *tap,
		     struct mac mac, unsigned queue_packets, struct kernel_guard **ret_guard)
{
	_cleanup_free_ struct kernel_guard *guard = calloc(1, sizeof(*guard));
	struct kernel_link link;
	int r;

	if (!guard)
		return -ENOMEM;
	if (queue_packets > KERNEL_TAP_QUEUE_MAX)
		return -ERANGE;
	r = kernel_link_by_name(kernel, tap, &link);
	if (r < 0)
		return r;
	if (link.port.master != devices->bridge_ifindex)
		return -ENOTCONN;

	guard->kernel = kernel;
	guard->vxlan_ifindex = devices->vxlan_ifindex;
	guard->dropped_before = link.tx_dropped;
	r = remember_tap(&link, &guard->cookie);
	if (r == 0)
		r = tc_redirect(kernel, devices->vxlan_ifindex, guard->cookie.target, mac,
				&guard->cookie);
	if (r < 0)
		return r;

	r = guard_tap(kernel, &link, mac, queue_packets);
	if (r < 0) {
		(void) kernel_guard_undo(kernel, devices->vxlan_ifindex, &guard->cookie);
		return r;
	}
	*ret_guard = TAKE_PTR(guard);
	return 0;
}

int kernel_guard_steer(struct kernel_guard *guard)
{
	struct kernel_link tap;
	int r;

	if (guard->steer || !guard->cookie.steered)
		return 0;
	r = kernel_link_by_index(guard->kernel, guard->cookie.target, &tap);
	return r < 0 ? r : tap_steer_new(tap.port.name, &guard->steer);
}

bool kernel_guard_is_steered(const struct kernel_guard *guard)
{
	return guard->steer != NULL;
}

bool kernel_guard_is_busy(const struct kernel_guard *guard)
{
	return guard->steer && tap_steer_is_busy(guard->steer);
}

uint64_t kernel_guard_dropped(const struct kernel_guard *guard)
{
	struct kernel_link tap;

	if (kernel_link_by_index(guard->kernel, guard->cookie.target, &tap) < 0)
		return 0;
	return tap.tx_dropped - guard->dropped_before;
}

int kernel_guard_open(struct kernel_guard *guard)
{
	return kernel_guard_lift(guard->kernel, guard->cookie.target, guard->cookie.flood);
}

struct kernel_guard *kernel_guard_free(struct kernel_guard *guard)
{
	if (!guard)
		return NULL;

	tap_steer_free(guard->steer);
	guard->cookie.steered = 0; /* no longer */
	(void) kernel_guard_undo(guard->kernel, guard->vxlan_ifindex, &guard->cookie);
	free(guard);
	return NULL;
}
