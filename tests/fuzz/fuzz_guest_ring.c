// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz_guest_ring.c - any bytes as a guest's memory with a receive ring in it: never more frames
 * are said to be missing than left.
 *
 * The input: where the three tables are (a byte each, times 16), the ring's size (a power of two),
 * then the memory, in two halves of which the second lies over the first when the guest stops. The
 * frames that left are cut out of the input as well, so that buffers may hold them.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "nveagent/delivered.h"
#include "nveagent/guest_ring.h"
#include "tests/fuzz/fuzz.h"

enum {
	BASE = 0x1000,
	RAM = 8192,
	PREAMBLE = 4,
	UNIT = 16,
	RING_BITS_MAX = 6,
	FRAMES = 12,
	FRAME_SIZE = 60,
};

static const struct mac guest = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };

/* Zeroed; nothing can be read on either side of it. */
static uint8_t *fresh_ram(void)
{
	static uint8_t *all;

	if (!all) {
		all = mmap(NULL, 3 * RAM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		FUZZ_CHECK(all != MAP_FAILED &&
			   mprotect(all + RAM, RAM, PROT_READ | PROT_WRITE) == 0);
	}
	return memset(all + RAM, 0, RAM);
}

static struct guest_ring_place place_of(const uint8_t *data, const uint8_t *ram)
{
	return (struct guest_ring_place){
		.size = 1u << data[0] % (RING_BITS_MAX + 1),
		.descriptors = BASE + data[1] * UNIT,
		.available = BASE + data[2] * UNIT,
		.used = BASE + data[3] * UNIT,
		.map = { .places = { { BASE, (uintptr_t) ram } }, .count = 1 },
	};
}

/* Frames overlap; those not to the guest may be left out. */
static size_t cut_frames(const uint8_t *data, size_t size, struct tail_frame *frames)
{
	size_t count = 0;

	for (size_t at = 0; at + FRAME_SIZE <= size && count < FRAMES;
	     at += FRAME_SIZE / 2, count++)
		frames[count] = (struct tail_frame){
			.data = data + at,
			.size = FRAME_SIZE - count % 3,
			.at_us = 2 * GUEST_RING_LAG_US + count,
		};
	return count;
}

static void check(struct guest_ring *ring, const struct tail_frames *frames)
{
	size_t undelivered = SIZE_MAX;
	int r = guest_ring_undelivered(ring, frames, guest, &undelivered);

	FUZZ_CHECK(r == 0 || r == -ENODATA || r == -ENOTUNIQ || r == -EFAULT || r == -EAGAIN);
	FUZZ_CHECK(r == 0 ? undelivered <= frames->count : undelivered == SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(guest_ring_freep) struct guest_ring *ring = NULL;
	uint8_t *ram = fresh_ram();
	struct tail_frame list[FRAMES];
	struct tail_frames frames = { .frames = list, .since_us = 1 };
	struct guest_ring_place place;
	size_t half;

	if (size < PREAMBLE)
		return 0;
	place = place_of(data, ram);
	FUZZ_CHECK(guest_ring_open(getpid(), &place, &ring) == 0);
	data += PREAMBLE;
	size = size - PREAMBLE < 2 * RAM ? size - PREAMBLE : 2 * RAM;
	half = size / 2;
	frames.count = cut_frames(data, size, list);

	memcpy(ram, data, half);
	guest_ring_look(ring, 1 + GUEST_RING_LAG_US, half & 1);
	for (size_t i = 0; i < half; i += half / 4 + 1) {
		ram[i]++;
		guest_ring_look(ring, 2 * GUEST_RING_LAG_US + i, i & 1);
	}
	memcpy(ram, data + half, size - half);
	guest_ring_stop(ring);
	check(ring, &frames);
	return 0;
}
