/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_guest_ring.c - a guest's receive ring, read out of a process's memory: this one's. The test
 * is the device, which fills buffers, and the driver, which takes them and offers new ones.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "nveagent/delivered.h"
#include "nveagent/guest_ring.h"
#include "tests/unit/unit.h"

enum {
	RING = 16, /* elements */
	BUFFER = 512,
	BUFFERS = 64,
	HEADER = 12,
	SIZE = 100, /* of a frame */
	FRAMES = 200,
	NONE = 9999, /* what a result is before */

	BASE = 0x100000, /* guest physical */
	DESCRIPTORS = 0,
	AVAILABLE = 0x1000,
	USED = 0x2000,
	BUFFERS_AT = 0x4000,
	RAM = BUFFERS_AT + BUFFERS * BUFFER, /* whole pages */
	GUARD = 0x1000,
};

#define START_US UINT64_C(1000000000)
#define GAP_US	 1000 /* between two frames */

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct element {
	uint32_t id, length;
};

struct scene {
	uint8_t *ram; /* with a page that cannot be read on either side, as QEMU has one */
	uint16_t last_available; /* the device's */
	uint16_t taken;		 /* the driver's: used elements it has seen */
	unsigned next_buffer;
	struct guest_ring *ring;
	uint8_t bytes[FRAMES][SIZE];
	struct tail_frame frames[FRAMES];
	size_t left; /* the tap */
	size_t given;
	uint64_t now_us;
	bool empty; /* the tap's queue */
};

static const struct mac guest = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };

static struct descriptor *descriptor_of(struct scene *scene, unsigned id)
{
	return &((struct descriptor *) (void *) (scene->ram + DESCRIPTORS))[id];
}

static uint16_t *index_of(struct scene *scene, size_t table)
{
	return &((uint16_t *) (void *) (scene->ram + table))[1];
}

static uint16_t *head_of(struct scene *scene, uint16_t position)
{
	return &((uint16_t *) (void *) (scene->ram + AVAILABLE + 4))[position % RING];
}

static struct element *element_of(struct scene *scene, uint16_t position)
{
	return &((struct element *) (void *) (scene->ram + USED + 4))[position % RING];
}

/* --- the driver --- */

static void offer(struct scene *scene, unsigned id)
{
	uint16_t *index = index_of(scene, AVAILABLE);

	*descriptor_of(scene, id) = (struct descriptor){
		.address = BASE + BUFFERS_AT + (scene->next_buffer++ % BUFFERS) * BUFFER,
		.length = BUFFER,
		.flags = 2, /* VIRTQ_DESC_F_WRITE */
	};
	*head_of(scene, (*index)++) = (uint16_t) id;
}

/* Takes what is used and offers those descriptors again, the last one first, as Linux does. */
static void refill(struct scene *scene)
{
	uint16_t first = scene->taken;

	scene->taken = *index_of(scene, USED);
	for (uint16_t at = scene->taken; at != first; at--)
		offer(scene, element_of(scene, (uint16_t) (at - 1))->id);
}

/* --- the device --- */

static void leave(struct scene *scene)
{
	struct tail_frame *frame = &scene->frames[scene->left];

	memset(scene->bytes[scene->left], 0x77, SIZE);
	memcpy(scene->bytes[scene->left], guest.octet, MAC_SIZE);
	scene->bytes[scene->left][20] = (uint8_t) scene->left;
	scene->now_us += GAP_US;
	*frame = (struct tail_frame){
		.data = scene->bytes[scene->left],
		.size = SIZE,
		.at_us = scene->now_us,
	};
	scene->left++;
}

static void give(struct scene *scene)
{
	uint16_t *used = index_of(scene, USED), head = *head_of(scene, scene->last_available);
	const struct descriptor *descriptor = descriptor_of(scene, head);
	uint8_t *buffer = scene->ram + (descriptor->address - BASE);

	CU_ASSERT_NOT_EQUAL_FATAL(scene->last_available, *index_of(scene, AVAILABLE));
	memset(buffer, 0, HEADER);
	memcpy(buffer + HEADER, scene->frames[scene->given++].data, SIZE);
	*element_of(scene, *used) = (struct element){ head, HEADER + SIZE };
	scene->last_available++;
	(*used)++;
}

static void look(struct scene *scene)
{
	guest_ring_look(scene->ring, scene->now_us, scene->empty);
}

/* @count frames leave and are given; the driver refills when half the ring is used. */
static void run(struct scene *scene, size_t count, bool looking)
{
	for (size_t i = 0; i < count; i++) {
		leave(scene);
		give(scene);
		if ((uint16_t) (*index_of(scene, USED) - scene->taken) >= RING / 2)
			refill(scene);
		if (looking && i % 4 == 3)
			look(scene);
	}
}

static struct guest_ring_place place_of(struct scene *scene)
{
	return (struct guest_ring_place){
		.size = RING,
		.descriptors = BASE + DESCRIPTORS,
		.available = BASE + AVAILABLE,
		.used = BASE + USED,
		.map = { .places = { { BASE, (uintptr_t) scene->ram } }, .count = 1 },
	};
}

static uint8_t *ram_new(void)
{
	uint8_t *all = mmap(NULL, RAM + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_TRUE_FATAL(all != MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(mprotect(all + GUARD, RAM, PROT_READ | PROT_WRITE), 0);
	return all + GUARD;
}

static void scene_free(struct scene *scene)
{
	guest_ring_free(scene->ring);
	munmap(scene->ram - GUARD, RAM + 2 * GUARD);
	free(scene);
}

/* The ring's indices begin at @index; a while has passed since the tap's frames were listed. */
static struct scene *begin(uint16_t index)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct guest_ring_place place;

	CU_ASSERT_PTR_NOT_NULL_FATAL(scene);
	scene->ram = ram_new();
	place = place_of(scene);
	scene->now_us = START_US;
	scene->last_available = scene->taken = index;
	*index_of(scene, AVAILABLE) = *index_of(scene, USED) = index;
	for (unsigned id = 0; id < RING; id++)
		offer(scene, id);
	CU_ASSERT_EQUAL_FATAL(guest_ring_open(getpid(), &place, &scene->ring), 0);
	scene->now_us += GUEST_RING_LAG_US;
	look(scene);
	return scene;
}

static int judge(struct scene *scene, size_t *ret_undelivered)
{
	const struct tail_frames frames = { scene->frames, scene->left, START_US };

	*ret_undelivered = NONE;
	return guest_ring_undelivered(scene->ring, &frames, guest, ret_undelivered);
}

/* Releases @scene. */
static void end(struct scene *scene, int error, size_t undelivered)
{
	size_t result;

	guest_ring_stop(scene->ring);
	CU_ASSERT_EQUAL(judge(scene, &result), error);
	CU_ASSERT_EQUAL(result, undelivered);
	scene_free(scene);
}

static void reads_the_newest_buffers(void)
{
	for (size_t given = 1; given < RING / 2; given++) {
		struct scene *scene = begin(0);

		run(scene, given, false);
		leave(scene);
		leave(scene);
		end(scene, 0, 2);
	}
}

/* When the driver has just offered every buffer anew, what was seen before and the lengths tell. */
static void remembers_what_it_saw(void)
{
	for (size_t given = 8; given < 150; given++) {
		struct scene *scene = begin(0);

		run(scene, given, true);
		refill(scene);
		leave(scene);
		end(scene, 0, 1);
	}
}

static void without_that_it_does_not_know(void)
{
	struct scene *scene = begin(0);

	run(scene, RING / 2, false); /* ends with a refill */
	leave(scene);
	end(scene, -ENODATA, NONE);
}

/* Buffers go round: an offered one holds an old frame, which must not be taken for the newest. */
static void does_not_believe_an_offered_buffer(void)
{
	struct scene *scene = begin(0);

	run(scene, BUFFERS + RING / 2, false);
	leave(scene);
	end(scene, -ENODATA, NONE);
}

static void indices_wrap(void)
{
	for (uint16_t back = 0; back < 40; back++) {
		struct scene *scene = begin((uint16_t) (UINT16_MAX - back));

		run(scene, 37, true);
		leave(scene);
		end(scene, 0, 1);
	}
}

static void nothing_given_means_all_is_missing(void)
{
	struct scene *scene = begin(0);

	leave(scene);
	leave(scene);
	leave(scene);
	end(scene, 0, 3);
}

/* A guest that stood still for long before it was stopped. */
static void a_guest_may_be_far_behind(void)
{
	struct scene *scene = begin(0);

	run(scene, 30, true);
	for (unsigned i = 0; i < 100; i++) {
		leave(scene);
		look(scene);
	}
	end(scene, 0, 100);
}

static void nothing_since_but_perhaps_before(void)
{
	struct scene *scene = begin(0);

	run(scene, 1, false);
	guest_ring_free(scene->ring);
	CU_ASSERT_EQUAL_FATAL(
		guest_ring_open(getpid(), &(struct guest_ring_place){ 0 }, &scene->ring), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(guest_ring_open(getpid(),
					      (struct guest_ring_place[]){ place_of(scene) },
					      &scene->ring),
			      0);
	look(scene); /* the frame left before the first look */
	end(scene, -EAGAIN, NONE);
}

/* Stopped, and it goes on: what it is given first is what QEMU had kept for it. */
static void sees_what_it_goes_on_with(void)
{
	for (uint16_t back = 0; back < 20; back++) {
		struct scene *scene = begin((uint16_t) (UINT16_MAX - back));
		struct delivered_witness first = { .size = NONE };

		run(scene, 10, true);
		CU_ASSERT_EQUAL(guest_ring_first_since(scene->ring, &first), -EFAULT);
		guest_ring_stop(scene->ring);
		leave(scene);
		leave(scene);
		CU_ASSERT_EQUAL(guest_ring_first_since(scene->ring, &first), -EAGAIN);
		CU_ASSERT_EQUAL(first.size, NONE);
		give(scene);
		CU_ASSERT_EQUAL(guest_ring_first_since(scene->ring, &first), 0);
		give(scene);
		CU_ASSERT_EQUAL(guest_ring_first_since(scene->ring, &first), 0);
		CU_ASSERT_TRUE(delivered_is(&first, scene->bytes[10], SIZE));
		CU_ASSERT_FALSE(delivered_is(&first, scene->bytes[11], SIZE));
		CU_ASSERT_FALSE(delivered_is(&first, scene->bytes[10], SIZE - 1));
		refill(scene);
		CU_ASSERT_EQUAL(guest_ring_first_since(scene->ring, &first), -ENODATA);
		scene_free(scene);
	}
}

static void a_short_watch_is_not_enough(void)
{
	struct scene *scene = begin(0);
	struct tail_frames frames = { scene->frames, 0, START_US };
	size_t result = NONE;

	run(scene, 5, true);
	CU_ASSERT_EQUAL(guest_ring_undelivered(scene->ring, &frames, guest, &result), -EFAULT);
	guest_ring_stop(scene->ring);
	frames.count = scene->left;
	frames.since_us = scene->now_us - GUEST_RING_LAG_US / 2;
	CU_ASSERT_EQUAL(guest_ring_undelivered(scene->ring, &frames, guest, &result), -EAGAIN);
	frames.since_us = 0; /* not all frames are known */
	CU_ASSERT_EQUAL(guest_ring_undelivered(scene->ring, &frames, guest, &result), -EAGAIN);
	CU_ASSERT_EQUAL(result, NONE);
	end(scene, 0, 0);
}

/*
 * The tap's queue was empty: GUEST_RING_DELIVERY_US later the guest has had all that left before.
 */
static void an_empty_queue_makes_it_long_enough(void)
{
	struct scene *scene = begin(0);
	struct tail_frames frames = { scene->frames, 0, scene->now_us };
	size_t result = NONE;

	scene->empty = true;
	look(scene);
	scene->empty = false;
	scene->now_us += GUEST_RING_DELIVERY_US - GAP_US;
	look(scene);
	leave(scene);
	give(scene);
	guest_ring_stop(scene->ring);
	frames.count = scene->left;
	CU_ASSERT_EQUAL(guest_ring_undelivered(scene->ring, &frames, guest, &result), -EAGAIN);
	scene_free(scene);

	scene = begin(0);
	frames = (struct tail_frames){ scene->frames, 0, scene->now_us };
	scene->empty = true;
	look(scene);
	scene->empty = false;
	scene->now_us += GUEST_RING_DELIVERY_US;
	look(scene);
	leave(scene);
	give(scene);
	leave(scene);
	guest_ring_stop(scene->ring);
	frames.count = scene->left;
	CU_ASSERT_EQUAL(guest_ring_undelivered(scene->ring, &frames, guest, &result), 0);
	CU_ASSERT_EQUAL(result, 1);
	scene_free(scene);
}

static void what_comes_after_the_stop_does_not_count(void)
{
	struct scene *scene = begin(0);

	run(scene, 5, true);
	leave(scene);
	guest_ring_stop(scene->ring);
	give(scene);
	look(scene);
	guest_ring_stop(scene->ring);
	end(scene, 0, 1);
}

/* A buffer in two pieces: the header, then the frame. */
static void follows_a_chain(void)
{
	struct scene *scene = begin(0);
	struct descriptor *first, *second = descriptor_of(scene, RING - 1);

	run(scene, 3, false);
	first = descriptor_of(scene, element_of(scene, 2)->id);
	*second = *first;
	second->address += HEADER;
	second->length -= HEADER;
	first->length = HEADER;
	first->flags |= 1; /* VIRTQ_DESC_F_NEXT */
	first->next = RING - 1;
	memset(scene->ram + (descriptor_of(scene, element_of(scene, 0)->id)->address - BASE), 0,
	       64);
	memset(scene->ram + (descriptor_of(scene, element_of(scene, 1)->id)->address - BASE), 0,
	       64);
	leave(scene);
	end(scene, 0, 1);
}

/* --- a guest that lies, or is of another kind --- */

static void spoil_indirect(struct scene *scene)
{
	for (unsigned id = 0; id < RING; id++)
		descriptor_of(scene, id)->flags |= 4; /* VIRTQ_DESC_F_INDIRECT */
}

static void spoil_addresses(struct scene *scene)
{
	static const uint64_t wrong[] = {
		0,	  1, BASE - 1, BASE + RAM - 4, BASE + RAM, UINT64_MAX, UINT64_MAX - BUFFER,
		INT64_MAX
	};

	for (unsigned id = 0; id < RING; id++)
		descriptor_of(scene, id)->address = wrong[id % ARRAY_SIZE(wrong)];
}

static void spoil_lengths(struct scene *scene)
{
	for (unsigned id = 0; id < RING; id++)
		descriptor_of(scene, id)->length = id % 2 ? 0 : 5;
}

static void spoil_ids(struct scene *scene)
{
	for (uint16_t i = 0; i < RING; i++)
		element_of(scene, i)->id = i % 2 ? RING : UINT32_MAX;
}

static void spoil_used_lengths(struct scene *scene)
{
	for (uint16_t i = 0; i < RING; i++)
		element_of(scene, i)->length = i % 2 ? UINT32_MAX : 0;
}

static void spoil_circle(struct scene *scene)
{
	for (unsigned id = 0; id < RING; id++) {
		descriptor_of(scene, id)->flags |= 1;
		descriptor_of(scene, id)->next = (uint16_t) id;
		descriptor_of(scene, id)->length = 1;
	}
}

static void spoil_heads(struct scene *scene)
{
	for (uint16_t i = 0; i < RING; i++)
		*head_of(scene, i) = (uint16_t) (RING + 1000 * i);
	memset(scene->ram + BUFFERS_AT, 0, BUFFERS * BUFFER);
}

static void lies_lead_nowhere(void)
{
	static void (*const spoils[])(struct scene * scene) = {
		spoil_indirect,	    spoil_addresses, spoil_lengths, spoil_ids,
		spoil_used_lengths, spoil_circle,    spoil_heads,
	};

	for (size_t i = 0; i < ARRAY_SIZE(spoils); i++) {
		struct scene *scene = begin(0);

		run(scene, 5, false);
		leave(scene);
		spoils[i](scene);
		end(scene, -ENODATA, NONE);
	}
}

static void an_index_far_ahead_is_no_ring(void)
{
	struct scene *scene = begin(0);

	run(scene, 5, true);
	*index_of(scene, AVAILABLE) += 1000;
	end(scene, -EFAULT, NONE);
}

static void a_place_outside_cannot_be_read(void)
{
	struct scene *scene = begin(0);
	struct guest_ring_place place = place_of(scene);
	struct guest_ring *ring;

	guest_ring_free(scene->ring);
	place.used = BASE + RAM - 3;
	CU_ASSERT_EQUAL_FATAL(guest_ring_open(getpid(), &place, &ring), 0);
	scene->ring = ring;
	look(scene);
	end(scene, -EFAULT, NONE);
}

/*
 * Memory at two guest addresses, as below and above 4 GiB: each piece ends where its mapping ends.
 */
static void memory_may_lie_in_pieces(void)
{
	uint8_t *low = ram_new(), *high = ram_new();
	const struct guest_map map = { .places = { { 1ull << 32, (uintptr_t) high },
						   { BASE + 16, (uintptr_t) low + 16 },
						   { 1ull << 40, 16 } },
				       .count = 3 };
	_cleanup_(guest_memory_freep) struct guest_memory *memory = NULL;
	uint8_t byte, two[2];

	low[20] = 1;
	low[RAM - 1] = 2;
	high[0] = 3;
	CU_ASSERT_EQUAL_FATAL(guest_memory_open(getpid(), &map, &memory), 0);
	CU_ASSERT_TRUE(guest_memory_read(memory, BASE + 20, &byte, 1) == 0 && byte == 1);
	CU_ASSERT_TRUE(guest_memory_read(memory, BASE + RAM - 1, &byte, 1) == 0 && byte == 2);
	CU_ASSERT_TRUE(guest_memory_read(memory, 1ull << 32, &byte, 1) == 0 && byte == 3);
	CU_ASSERT_EQUAL(guest_memory_read(memory, BASE + RAM - 1, two, 2), -EFAULT);
	CU_ASSERT_EQUAL(guest_memory_read(memory, BASE + RAM, &byte, 1), -EFAULT);
	CU_ASSERT_EQUAL(guest_memory_read(memory, BASE + 15, &byte, 1), -EFAULT);
	CU_ASSERT_EQUAL(guest_memory_read(memory, (1ull << 32) + RAM, &byte, 1), -EFAULT);
	CU_ASSERT_EQUAL(guest_memory_read(memory, 1ull << 40, &byte, 1), -EFAULT);
	CU_ASSERT_EQUAL(guest_memory_read(memory, UINT64_MAX, &byte, 1), -EFAULT);
	CU_ASSERT_EQUAL(guest_memory_read(memory, 0, &byte, 1), -EFAULT);
	munmap(low - GUARD, RAM + 2 * GUARD);
	munmap(high - GUARD, RAM + 2 * GUARD);
}

static void refuses_what_is_no_ring(void)
{
	struct scene *scene = begin(0);
	static const uint32_t sizes[] = { 0, 3, 12, 2 * DELIVERED_ELEMENTS_MAX, UINT32_MAX };
	struct guest_ring *ring = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct guest_ring_place place = place_of(scene);

		place.size = sizes[i];
		CU_ASSERT_EQUAL(guest_ring_open(getpid(), &place, &ring), -EINVAL);
	}
	CU_ASSERT_EQUAL(guest_ring_open(-5, (struct guest_ring_place[]){ place_of(scene) }, &ring),
			-ENOENT);
	CU_ASSERT_PTR_NULL(ring);
	end(scene, 0, 0);
}

UNIT_MAIN("guest_ring", UNIT_TEST(reads_the_newest_buffers), UNIT_TEST(remembers_what_it_saw),
	  UNIT_TEST(without_that_it_does_not_know), UNIT_TEST(does_not_believe_an_offered_buffer),
	  UNIT_TEST(indices_wrap), UNIT_TEST(nothing_given_means_all_is_missing),
	  UNIT_TEST(a_guest_may_be_far_behind), UNIT_TEST(nothing_since_but_perhaps_before),
	  UNIT_TEST(sees_what_it_goes_on_with), UNIT_TEST(a_short_watch_is_not_enough),
	  UNIT_TEST(an_empty_queue_makes_it_long_enough),
	  UNIT_TEST(what_comes_after_the_stop_does_not_count), UNIT_TEST(follows_a_chain),
	  UNIT_TEST(lies_lead_nowhere), UNIT_TEST(an_index_far_ahead_is_no_ring),
	  UNIT_TEST(a_place_outside_cannot_be_read),
	  UNIT_TEST(memory_may_lie_in_pieces), UNIT_TEST(refuses_what_is_no_ring))
