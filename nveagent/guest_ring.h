/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_ring.h - the receive ring of a guest's NIC, looked at while the guest runs and once more
 * when it has stopped, to learn which frame was the last it was given (delivered.h).
 *
 * Theory of operation
 *
 * The split virtqueue (VIRTIO 1.2 section 2.7) is three tables in the guest's memory. A used
 * element names a descriptor and a length; the descriptor says where the buffer is. When the guest
 * has read the buffer it offers the descriptor again, for another buffer, by the available ring:
 * then nobody can tell any more where the frame went. Linux offers them in batches of 32 or more,
 * so that after a stop the last few elements are mostly still readable, but sometimes
 * not one. Therefore the newest element is looked at while the guest runs, too,
 * every GUEST_RING_LOOK_US: a witness from then, and the lengths of the elements since, which the
 * used ring keeps.
 *
 * Judging needs a place in the ring from which on every frame that was delivered is known. When the
 * tap's queue is empty QEMU has read all that ever left by it, and GUEST_RING_DELIVERY_US later the
 * guest has it: what follows is of frames that left since. A guest that is always behind is given
 * GUEST_RING_LAG_US.
 *
 * A look is seven reads of the guest's memory, microseconds without any part of QEMU. The guest may
 * write to what is being read: whatever comes out is bounded here, and made sense of, or not, in
 * delivered.c.
 */
#ifndef REHOME_NVEAGENT_GUEST_RING_H
#define REHOME_NVEAGENT_GUEST_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/delivered.h"
#include "nveagent/guest_memory.h"
#include "nveagent/tail.h"

enum {
	GUEST_RING_LOOK_US = 20000, /* 12,800 packets/s fill a ring of 256 meanwhile */
	GUEST_RING_LOOKS = 16,	    /* kept, of those that saw something new */
	GUEST_RING_LAG_US = 100000, /* a frame that left before that has been delivered */
	/* from QEMU's read of its tap to the guest's ring: one callback */
	GUEST_RING_DELIVERY_US = 10000,
};

/* A split virtqueue: guest physical addresses. */
struct guest_ring_place {
	uint32_t size; /* elements: a power of two */
	uint64_t descriptors, available, used;
	struct guest_map map;
};

struct guest_ring;

/*
 * @pid: the guest's QEMU. Returns 0, -EINVAL when @place is no ring of up to DELIVERED_ELEMENTS_MAX
 * elements, or an error of guest_memory_open().
 */
int guest_ring_open(pid_t pid, const struct guest_ring_place *place, struct guest_ring **ret_ring);
struct guest_ring *guest_ring_free(struct guest_ring *ring);
DEFINE_CLEANUP(struct guest_ring, guest_ring_free)

/* True when it was opened with that place. */
bool guest_ring_is_at(const struct guest_ring *ring, const struct guest_ring_place *place);

/*
 * Looks, while the guest runs. @now_us: CLOCK_REALTIME. @empty: the tap's queue was, at @now_us or
 * since. Ends by itself once it was stopped.
 */
void guest_ring_look(struct guest_ring *ring, uint64_t now_us, bool empty);

/* The guest has stopped: looks for the last time. Call it before the guest can run again. */
void guest_ring_stop(struct guest_ring *ring);

/*
 * How many of the newest of @frames the guest was not given; they left by its tap.
 * @mac: the guest's.
 * Returns 0, or -ENODATA, -ENOTUNIQ (delivered_count()), -EFAULT when the ring could not be read,
 * -EAGAIN when it has not been looked at for long enough, -ENOMEM.
 */
int guest_ring_undelivered(const struct guest_ring *ring, const struct tail_frames *frames,
			   struct mac mac, size_t *ret_undelivered);

/*
 * The guest goes on: the first element it was given since guest_ring_stop(). Returns 0, -EAGAIN
 * when there is none yet, -ENODATA when the guest has read it already, or -EFAULT.
 */
int guest_ring_first_since(const struct guest_ring *ring, struct delivered_witness *ret_first);

#endif
