/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inflight.h - packets in flight at the old NVE: what still arrives for a VM that has left, in
 * order, to its new NVE (draft-ietf-nvo3-vmm section 5).
 *
 * Theory of operation
 *
 * A bridge never sends a frame out of the port it came in by, so what arrives over the VXLAN port
 * for a MAC that moved behind that same port would be dropped. Other VXLAN devices, the lanes of
 * kernel_forward.c, take them instead: bridge ports named "rhf<N>" with flooding and learning off.
 * Their FDB entry overrides VNI and UDP port, so that the outer packet is an ordinary one of the
 * VNI.
 *
 *   armed       the lanes exist, unused; their queues hold; the tap's queue is held open by a
 *               second handle (pidfd_getfd(2) of QEMU's /dev/net/tun descriptor)
 *   parked      1. bridge FDB: MAC -> first lane, sticky. New frames now wait in its queue, in
 *                  order.
 *               2. what the guest never took is read from the tap's queue and kept here; broadcast
 *                  and multicast, too, which the bridge goes on flooding to a stopped VM's tap.
 *   releasing   3. what was kept is sent by the first lane, past its queue (AF_PACKET,
 *                  PACKET_QDISC_BYPASS, vnet header carried over).
 *               4. what is held is let out, in order.
 *   forwarding  the kernel forwards by itself.
 *   returned    the VM goes on here: bridge FDB: MAC -> tap again. From parked, everything kept
 *               and held goes to the tap first, so a move that fails before inflight_release()
 *               loses nothing; what was forwarded before is not given back.
 *   freed       nothing remains: no entry, no device
 *   left        the agent ends: what is parked and held is released, and the kernel forwards by
 *               itself until the next life adopts it, or sweeps
 *
 * An agent that dies while parked leaves what is held, in order; its next life adopts that, too.
 * What the dead one had pulled is lost: what came between STOP and the switch, or had not been read
 * by a guest that was behind.
 *
 * Whoever can learn, within a fraction of a second, whether the VM runs at the new NVE does well to
 * park at STOP and release then: until then the destination has no use for the frames.
 */
#ifndef REHOME_NVEAGENT_INFLIGHT_H
#define REHOME_NVEAGENT_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/guest_ring.h"
#include "nveagent/kernel.h"

struct inflight;

struct inflight_counters {
	/* Packets taken back from the tap's queue; stragglers included. */
	uint64_t pulled;
	/* Taken from the tap's queue but for others, or the VM's own: not sent on. */
	uint64_t pulled_other;
	/* Recovered: QEMU had taken them from the tap after its guest had stopped. */
	uint64_t swallowed;
	/* Recovered: QEMU may have delivered them; if so, they are doubled. */
	uint64_t doubtful;
	/* Of the pulled ones, those that came after the switch was complete. */
	uint64_t stragglers;
	/* Of the pulled and recovered ones, those put back into the tap by inflight_return(). */
	uint64_t returned;
	/* Of the recovered ones, those that were not: QEMU had kept them for its guest. */
	uint64_t kept;
	/* Packets the lanes have sent for us, pulled ones included (a GSO bundle is one). */
	uint64_t forwarded;
	/* By the held queue, or refused by the lane, or beyond PARKED_BYTES_MAX. */
	uint64_t dropped;
	/* In the lanes' queues now (while held: with a few short frames of our own). */
	uint64_t held_bytes;
	uint32_t switch_us;  /* how long the change of the bridge's entry took */
	uint32_t park_us;    /* the whole of inflight_park() */
	uint32_t release_us; /* how long what was held took to leave, in ... */
	uint32_t rounds;     /* ... so many rounds (kernel_forward.c) */
	/*
	 * 0, or why the tap's queue could not be read, or what QEMU swallowed not be found: -ENODEV
	 * gone, -ENOENT nobody holds it, -EPERM, -ENOBUFS ...
	 */
	int tap_error;
	bool exact;	   /* the guest's ring told what QEMU swallowed: nothing is doubtful, ... */
	int ring_error;	   /* ... or why not: -ENOENT not known where it is, or of guest_ring.h */
	uint32_t ring_us;  /* how long reading the ring took, with the VM stopped, and ... */
	uint32_t judge_us; /* ... making sense of it */
	bool unheld; /* no sch_tbf: frames after the switch may overtake the pulled ones */
};

/*
 * Prepares forwarding of @mac from @tap to @new_vtep. @tap may be gone already or be no tun
 * device: then nothing is pulled, and tap_error says why.
 * Returns 0 or a negative errno (-EAFNOSUPPORT: @new_vtep is of another family than the VNI's
 * VTEP); nothing is left in the kernel on failure.
 */
int inflight_arm(struct kernel *kernel, const struct vni_devices *devices, const char *tap,
		 struct mac mac, struct ip new_vtep, struct inflight **ret_inflight);

/* The first lane. Its VXLAN layer is not in kernel_fdb_dump(): it is ours alone. */
uint32_t inflight_ifindex(const struct inflight *inflight);

/*
 * While armed: where the receive ring of the VM's NIC is, so that nothing will be doubtful. It may
 * be said again. A tap with several queues has several rings: then, and after a failure, nothing is
 * known.
 */
void inflight_know_ring(struct inflight *inflight, const struct guest_ring_place *place);

/*
 * Keeps room for what the tap is given, and an eye on the ring: call it after inflight_arm() and
 * inflight_know_ring(), and again after as many us as it returns, while armed.
 */
uint64_t inflight_tend(struct inflight *inflight);

/*
 * Steps 1 and 2; the VM must have stopped. Takes microseconds; step 2 is completed by
 * inflight_release(). Idempotent.
 * @stopped_us: QEMU's timestamp of STOP (CLOCK_REALTIME), for swallowed.h; 0: not known, nothing
 * swallowed is recovered.
 * Returns 0 or a negative errno: then nothing changed. -EALREADY after inflight_return().
 */
int inflight_park(struct inflight *inflight, uint64_t stopped_us);

/*
 * After inflight_park(): QEMU's own timestamp (CLOCK_REALTIME) of the first thing its main loop
 * said after STOP, the pause before the switch-over. Later calls change nothing.
 */
void inflight_unlocked(struct inflight *inflight, uint64_t unlocked_us);

/*
 * Steps 3 and 4. Returns 0 when all has left this host, -EINPROGRESS when step 4 is not through
 * after
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
 * looks for stragglers, and closes the handle on the tap when QEMU has ended: an open one keeps the
 * device alive. Call it now and then, and when QEMU ended.
 */
int inflight_read(struct inflight *inflight, struct inflight_counters *ret_counters);

/*
 * Ends forwarding. The bridge's entry for the MAC is not left pointing at the forward device: the
 * caller has installed (or installs next, by reconcile) its final place first. Accepts NULL.
 */
struct inflight *inflight_free(struct inflight *inflight);

/*
 * The agent ends. Once parked, all leaves, in order, for the new NVE, and the devices and the
 * bridge's entry stay; else as inflight_free(). Accepts NULL.
 */
struct inflight *inflight_leave(struct inflight *inflight);

/*
 * Takes over what an earlier life left (kernel_find_left()): as after inflight_park(), without a
 * tap. Returns 0 or a negative errno: then it is as it was.
 */
int inflight_adopt(struct kernel *kernel, const struct vni_devices *devices,
		   const struct kernel_left *left, struct inflight **ret_inflight);
/* After inflight_adopt(): @tap has been found, as inflight_arm() has it. */
void inflight_find_tap(struct inflight *inflight, const char *tap);
DEFINE_CLEANUP(struct inflight, inflight_free)

#endif
