/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/delivered.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"

/*
 * struct virtio_net_hdr with num_buffers, without, and with a hash report (VIRTIO 1.2 section
 * 5.1.6). The commonest first.
 */
static const size_t header_sizes[] = { 12, 10, 20 };

enum {
	ETHERNET_HEADER = 14,
	BUFFERS_MAX = 64, /* of one frame: 64 KiB in pages of 1,024 bytes */
};

struct scene {
	const struct delivered_frame *frames;
	size_t count;
	const struct delivered_ring *ring;
	size_t steps; /* left */
};

/* --- which frame a witness is --- */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A frame as large as that can begin in an element so long. */
static bool fits(const struct delivered_witness *witness, size_t header, size_t frame_size)
{
	return witness->length == header + frame_size ||
	       (witness->length < header + frame_size &&
		witness->length >= header + ETHERNET_HEADER);
}

static bool is_frame(const struct delivered_witness *witness, size_t header,
		     const struct delivered_frame *frame)
{
	size_t size = smaller(witness->size, witness->length);

	if (!fits(witness, header, frame->size) || size < header + ETHERNET_HEADER)
		return false;
	return memcmp(witness->bytes + header, frame->data, smaller(size - header, frame->size)) ==
	       0;
}

bool delivered_is(const struct delivered_witness *witness, const uint8_t *frame, size_t size)
{
	const struct delivered_frame candidate = { .data = frame, .size = size };

	for (size_t h = 0; h < ARRAY_SIZE(header_sizes); h++)
		if (is_frame(witness, header_sizes[h], &candidate))
			return true;
	return false;
}

/* True when it is exactly one frame, with one size of header. */
static bool identify(const struct scene *scene, const struct delivered_witness *witness,
		     size_t *ret_frame, size_t *ret_header)
{
	size_t matches = 0;

	for (size_t h = 0; h < ARRAY_SIZE(header_sizes); h++)
		for (size_t i = 0; i < scene->count; i++) {
			if (!is_frame(witness, header_sizes[h], &scene->frames[i]))
				continue;
			matches++;
			*ret_frame = i;
			*ret_header = header_sizes[h];
		}
	return matches == 1;
}

/* --- pairing --- */

/* How many of the next elements hold @size bytes exactly; 0: none do. */
static size_t elements_for(const uint32_t *lengths, size_t count, size_t size)
{
	size_t sum = 0;

	for (size_t i = 0; i < smaller(count, BUFFERS_MAX) && sum < size && lengths[i] > 0; i++) {
		sum += lengths[i];
		if (sum == size)
			return i + 1;
	}
	return 0;
}

/*
 * at[n] says that the first n elements can be paired with the frames so far; only those from @low
 * to @high can be true.
 */
struct pairing {
	const uint32_t *lengths;
	size_t count, header;
	bool *at, *next;
	size_t low, high;
	size_t answers, delivered;
};

static void reach(struct pairing *pairing, size_t n)
{
	pairing->next[n] = true;
	pairing->low = smaller(pairing->low, n);
	pairing->high = n > pairing->high ? n : pairing->high;
}

/* Pairs the frame number @index with what follows each state so far. */
static void pair_frame(struct pairing *pairing, const struct delivered_frame *frame, size_t index,
		       bool must)
{
	size_t low = pairing->low, high = pairing->high;
	bool *at = pairing->at;

	pairing->low = pairing->count;
	pairing->high = 0;
	for (size_t n = low; n <= high; n++) {
		size_t used = !at[n] ? 0
				     : elements_for(pairing->lengths + n, pairing->count - n,
						    pairing->header + frame->size);

		if (used > 0 && n + used == pairing->count) {
			pairing->answers++;
			pairing->delivered = index + 1;
		} else if (used > 0) {
			reach(pairing, n + used);
		}
		if (at[n] && !must)
			reach(pairing, n);
		at[n] = false;
	}
	pairing->at = pairing->next;
	pairing->next = at;
}

static int pair_all(struct scene *scene, struct pairing *pairing, size_t first)
{
	pairing->at[0] = true;
	for (size_t i = first; i < scene->count && pairing->low <= pairing->high; i++) {
		const struct delivered_frame *frame = &scene->frames[i];
		size_t steps = pairing->high - pairing->low + 1;

		if (scene->steps < steps)
			return -ENOTUNIQ;
		scene->steps -= steps;
		pair_frame(pairing, frame, i, frame->sure || i == first);
	}
	if (pairing->answers == 0)
		return -ENODATA;
	return pairing->answers == 1 ? 0 : -ENOTUNIQ;
}

/* What follows from @witness being the frame @first. */
static int follow(struct scene *scene, const struct delivered_witness *witness, size_t first,
		  size_t header, size_t *ret_delivered)
{
	const struct delivered_ring *ring = scene->ring;
	size_t count = (size_t) (ring->position - witness->position);
	_cleanup_free_ bool *states = calloc(2 * count, sizeof(*states));
	struct pairing pairing = {
		.lengths = ring->lengths + ring->length_count - count,
		.count = count,
		.header = header,
		.at = states,
		.next = states + count,
	};
	int r = states ? pair_all(scene, &pairing, first) : -ENOMEM;

	if (r == 0)
		*ret_delivered = pairing.delivered;
	return r;
}

/* The lengths from it on are known. */
static bool is_usable(const struct delivered_ring *ring, const struct delivered_witness *witness)
{
	return witness->position < ring->position &&
	       ring->position - witness->position <= ring->length_count;
}

int delivered_count(const struct delivered_frame *frames, size_t count,
		    const struct delivered_ring *ring, size_t *ret_delivered)
{
	struct scene scene = { frames, count, ring, DELIVERED_STEPS_MAX };
	size_t delivered = 0, known = 0;

	for (size_t i = 0; i < ring->witness_count; i++) {
		const struct delivered_witness *witness = &ring->witnesses[i];
		size_t frame, header, result;
		int r;

		if (!is_usable(ring, witness) || !identify(&scene, witness, &frame, &header))
			continue;
		r = follow(&scene, witness, frame, header, &result);
		if (r < 0)
			return r;
		if (known++ > 0 && result != delivered)
			return -ENOTUNIQ;
		delivered = result;
	}
	if (known == 0)
		return -ENODATA;
	*ret_delivered = delivered;
	return 0;
}
