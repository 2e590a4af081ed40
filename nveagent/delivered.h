/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * delivered.h - which of the frames that left by a tap its guest was given, judged by the guest's
 * receive ring. Pure.
 *
 * Theory of operation
 *
 * The device gives its guest frames in order, each in one used element of the ring, or in several
 * one after another (VIRTIO 1.2 section 5.1.6.4). An element's position is its number since the
 * device began; the ring keeps the lengths of the newest. What is in a used element's buffer may be
 * gone: the guest has it. Where it could still be read, it is a witness:
 *
 *	frames that left by the tap   a  b  c  d  e  f  g        (g the newest)
 *	lengths of used elements      .  .  .  .  .              (position 9 is the newest)
 *	witness                          b                       (position 6)
 *
 * A witness whose bytes are those of exactly one frame says which frame that element is. From there
 * the elements are paired with the frames, in order and by length. A frame not addressed to the
 * guest's MAC may be left out, since the device may have filtered it. The frame that the newest
 * element is paired with is the newest the guest was given: e, and f and g were not.
 *
 * All witnesses that name a frame must lead to the same answer, and each pairing must have only
 * one; else there is none. The ring is the guest's memory, so all of this can be a lie: it then
 * gets packets of its own twice or not at all.
 */
#ifndef REHOME_NVEAGENT_DELIVERED_H
#define REHOME_NVEAGENT_DELIVERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DELIVERED_ELEMENTS_MAX = 1024, /* of a receive ring: VIRTQUEUE_MAX_SIZE of QEMU */
	DELIVERED_WITNESSES_MAX = 24,
	DELIVERED_WITNESS_SIZE = 256,  /* what is compared of a frame, with the header before it */
	DELIVERED_STEPS_MAX = 1 << 18, /* of pairing, for all witnesses together */
};

struct delivered_frame {
	const uint8_t *data; /* borrowed */
	size_t size;
	bool sure; /* the device filters others only */
};

struct delivered_witness {
	uint64_t position;
	uint32_t length; /* of the element: the header and the frame, or as much as fits */
	size_t size;	 /* of bytes */
	uint8_t bytes[DELIVERED_WITNESS_SIZE];
};

struct delivered_ring {
	uint64_t position;	 /* of the next element */
	const uint32_t *lengths; /* of the newest elements, oldest first */
	size_t length_count;
	const struct delivered_witness *witnesses;
	size_t witness_count;
};

/*
 * How many of @frames, oldest first, the guest was given: the others came after them. Every frame
 * that an element of a witness can hold must be among them. Returns 0; -ENODATA when no
 * witness names a frame or a pairing fails, -ENOTUNIQ when there is more than one answer, -ENOMEM.
 */
int delivered_count(const struct delivered_frame *frames, size_t count,
		    const struct delivered_ring *ring, size_t *ret_delivered);

/* True when the element of @witness holds that frame, as far as can be seen. */
bool delivered_is(const struct delivered_witness *witness, const uint8_t *frame, size_t size);

#endif
