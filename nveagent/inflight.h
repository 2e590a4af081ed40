/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inflight.h - packets in flight at the old NVE: what still arrives for a VM that has left, in
 * order, to its new NVE
 * (draft-ietf-nvo3-vmm section 5).
 *
 * Theory of operation
 *
 * A bridge never sends a frame out of the port it came in by, so what arrives over the VXLAN port
 * for a MAC that moved behind that
 * same port would be dropped. Another VXLAN device, the forward device, takes them instead: one
 * for each moving MAC, named
 * "rhf<N>", a bridge port with flooding and learning off. Its FDB entry overrides VNI and UDP
 * port, so that the outer packet is an
 * ordinary one of the VNI. kernel_forward.c tells how it is made and how its queue holds.
 *
 *   armed       the forward device and its FDB entry exist, unused; its queue is held; the tap's
 *   queue is held open by a second
 *               handle (pidfd_getfd(2) of QEMU's /dev/net/tun descriptor)
 *   parked      1. bridge FDB: MAC -> forward device, sticky. New frames now wait, in order, in
 *   the forward device's held queue.
 *               2. what the guest never took is read from the tap's queue and kept here.
 *   forwarding  3. what was kept is sent through the forward device, past its queue (AF_PACKET,
 *   PACKET_QDISC_BYPASS, vnet
 *                  header carried over).
 *               4. the held queue is released: the kernel sends it in order, and from then on
 *                  forwards by itself.
 *   returned    the VM goes on here: bridge FDB: MAC -> tap again. From parked, everything kept
 *   and held goes to the tap first, so a
 *               move that fails before inflight_release() loses nothing; what was forwarded
 *               before is not given back.
 *   freed       nothing remains: no entry, no device
 *
 * inflight_switch() parks and releases in one go. A caller that can learn, within a fraction of a
 * second, whether the VM runs at
 * the new NVE does better to park at STOP and release then: until then the destination has no use
 * for the frames.
 */
#ifndef REHOME_NVEAGENT_INFLIGHT_H
#define REHOME_NVEAGENT_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/kernel.h"

struct inflight;

struct inflight_counters {
	uint64_t pulled;	/* packets taken back from the tap's queue; stragglers included */
	uint64_t pulled_other;	/* taken from the tap's queue but not for this MAC (flooded frames): not sent on */
	uint64_t swallowed;	/* recovered: QEMU had taken them from the tap after its guest had stopped */
	uint64_t doubtful;	/* recovered: QEMU may have delivered them; if so, they are doubled */
	uint64_t stragglers;	/* of the pulled ones, those that came after the switch was complete */
	uint64_t returned;	/* of the pulled ones, those put back into the tap by inflight_return() */
	uint64_t forwarded;	/* packets the forward device has sent for us, pulled ones included (a GSO bundle is one) */
	uint64_t dropped;	/* by the held queue, or refused by the forward device, or beyond PARKED_BYTES_MAX */
	uint64_t held_bytes;	/* in the forward device's queue now (while held: with a few short frames of our own) */
	uint32_t switch_us;	/* how long the change of the bridge's entry took */
	uint32_t park_us;	/* the whole of inflight_park() */
	uint32_t release_us;	/* how long what was held took to leave, in ... */
	uint32_t grants, pushes; /* ... so many pieces, so many of them set off by us (kernel_hold.h) */
	int tap_error;		/* 0, or why the tap's queue could not be read or what QEMU swallowed not be found: -ENODEV gone, -ENOENT nobody holds it, -EPERM, -EOVERFLOW ... */
	bool unheld;		/* the kernel has no sch_tbf: frames after the switch may overtake the pulled ones */
};

/*
 * Prepares forwarding of @mac from @tap to @new_vtep. @tap may be gone already or be no tun
 * device: then nothing is pulled, and
 * tap_error says why.
 * Returns 0 or a negative errno (-EAFNOSUPPORT: @new_vtep is of another family than the VNI's
 * VTEP); nothing is left in the kernel on
 * failure.
 */
int inflight_arm(struct kernel *kernel, const struct vni_devices *devices, const char *tap, struct mac mac,
		 struct ip new_vtep, struct inflight **ret_inflight);

/*
 * The forward device: while it is armed to freed the desired table's bridge entry of the MAC is
 * (this ifindex, sticky) from
 * inflight_park() on, so that a reconcile in between leaves it. Its VXLAN layer is not in
 * kernel_fdb_dump(): it is ours alone.
 */
uint32_t inflight_ifindex(const struct inflight *inflight);

/* Keeps room for what the tap is given: call it each TAIL_TRIM_MS (tail.h) while armed. */
void inflight_tend(struct inflight *inflight);

/*
 * Steps 1 and 2; the VM must have stopped. Takes microseconds; step 2 is completed by
 * inflight_release(). Idempotent.
 * @stopped_us: QEMU's timestamp of STOP (CLOCK_REALTIME), for swallowed.h; 0: not known, nothing
 * swallowed is recovered.
 * Returns 0 or a negative errno: then nothing changed. -EALREADY after inflight_return().
 */
int inflight_park(struct inflight *inflight, uint64_t stopped_us);

/*
 * Steps 3 and 4. Returns 0 when all has left this host, -EINPROGRESS when step 4 is not through after
 * @budget_us: call it again soon. Idempotent. -EALREADY unless parked (or released already).
 */
int inflight_release(struct inflight *inflight, uint64_t budget_us);

/*
 * The VM resumed here (or never stopped): MAC -> tap. Idempotent. Returns 0 or a negative errno:
 * -ENODEV when the tap is gone (nothing
 * changed); any other says that frames may have been lost, but the entry was set unless a later
 * call says so again.
 */
int inflight_return(struct inflight *inflight);

/*
 * Reads the present counters, from the kernel too. Between inflight_park() and the end it also
 * looks for stragglers, and closes the
 * handle on the tap when QEMU has ended: an open one keeps the device alive. Call it now and
 * then, and when QEMU ended.
 */
int inflight_read(struct inflight *inflight, struct inflight_counters *ret_counters);

/*
 * Ends forwarding. The bridge's entry for the MAC is not left pointing at the forward device: the
 * caller has installed (or installs next, by reconcile) its
 * final place first. Accepts NULL.
 */
struct inflight *inflight_free(struct inflight *inflight);
DEFINE_CLEANUP(struct inflight, inflight_free)

#endif
