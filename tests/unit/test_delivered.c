/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_delivered.c - which frames a guest was given, from lengths and a few buffers. */
#include <errno.h>
#include <string.h>

#include "nveagent/delivered.h"
#include "tests/unit/unit.h"

enum {
	FRAMES = 20,
	FRAME_MAX = 4000,
	SIZE = 64, /* of most frames */
	HEADER = 12,
	NEWEST = 1000, /* position of the next element */
	NONE = 999,    /* what a result is before */
};

/* Frames 0 to FRAMES - 1 left the tap; elements are added in order. */
struct scene {
	uint8_t bytes[FRAMES][FRAME_MAX];
	struct delivered_frame frames[FRAMES];
	size_t count;
	uint32_t lengths[FRAMES * 4];
	size_t length_count;
	struct delivered_witness witnesses[8];
	size_t witness_count;
};

static struct scene *scene_new(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CU_ASSERT_PTR_NOT_NULL_FATAL(scene);
	scene->count = FRAMES;
	for (size_t i = 0; i < FRAMES; i++) {
		memset(scene->bytes[i], 0x5a, FRAME_MAX);
		scene->bytes[i][40] = (uint8_t) i;
		scene->frames[i] = (struct delivered_frame){ scene->bytes[i], SIZE, true };
	}
	return scene;
}

static void element(struct scene *scene, uint32_t length)
{
	scene->lengths[scene->length_count++] = length;
}

/* Frames @first to @last are delivered, each in one element. */
static void deliver(struct scene *scene, size_t first, size_t last)
{
	for (size_t i = first; i <= last; i++)
		element(scene, (uint32_t) (HEADER + scene->frames[i].size));
}

/* The element that @back others came after has the bytes of @frame. */
static void witness_with(struct scene *scene, size_t back, size_t frame, size_t header)
{
	struct delivered_witness *witness = &scene->witnesses[scene->witness_count++];

	witness->position = NEWEST - 1 - back;
	witness->length = back < scene->length_count
				  ? scene->lengths[scene->length_count - 1 - back]
				  : (uint32_t) (header + SIZE);
	witness->size = DELIVERED_WITNESS_SIZE;
	memset(witness->bytes, 0xee, sizeof(witness->bytes));
	memcpy(witness->bytes + header, scene->bytes[frame], DELIVERED_WITNESS_SIZE - header);
}

static void witness(struct scene *scene, size_t back, size_t frame)
{
	witness_with(scene, back, frame, HEADER);
}

static int judge(const struct scene *scene, size_t *ret_delivered)
{
	const struct delivered_ring ring = {
		.position = NEWEST,
		.lengths = scene->lengths,
		.length_count = scene->length_count,
		.witnesses = scene->witnesses,
		.witness_count = scene->witness_count,
	};

	*ret_delivered = NONE;
	return delivered_count(scene->frames, scene->count, &ring, ret_delivered);
}

/* Releases @scene. */
static void expect(struct scene *scene, int error, size_t delivered)
{
	size_t result;

	CU_ASSERT_EQUAL(judge(scene, &result), error);
	CU_ASSERT_EQUAL(result, delivered);
	free(scene);
}

static void the_newest_element_says_it(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, 6);
	witness(scene, 0, 6);
	expect(scene, 0, 7);
}

static void everything_may_have_been_delivered(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, FRAMES - 1);
	witness(scene, 0, FRAMES - 1);
	expect(scene, 0, FRAMES);
}

static void an_older_element_and_lengths_say_it(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 2, 9);
	witness(scene, 5, 4);
	expect(scene, 0, 10);
}

static void lengths_may_vary(void)
{
	struct scene *scene = scene_new();

	for (size_t i = 0; i < FRAMES; i++)
		scene->frames[i].size = SIZE + 7 * i % 5;
	deliver(scene, 0, 9);
	witness(scene, 9, 0);
	expect(scene, 0, 10);
}

static void without_a_witness_nothing_is_known(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, 6);
	expect(scene, -ENODATA, NONE);
}

static void a_witness_of_no_frame_says_nothing(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, 6);
	witness(scene, 0, 6);
	scene->witnesses[0].bytes[HEADER + 40] = 0xff;
	expect(scene, -ENODATA, NONE);
}

static void a_buffer_that_was_cut_short_is_compared_that_far(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, 6);
	witness(scene, 0, 6);
	scene->witnesses[0].size = HEADER + 41;
	expect(scene, 0, 7);

	scene = scene_new();
	deliver(scene, 0, 6);
	witness(scene, 0, 6);
	scene->witnesses[0].size = HEADER + 40; /* all frames look alike that far */
	expect(scene, -ENODATA, NONE);
}

static void twins_say_nothing(void)
{
	struct scene *scene = scene_new();

	scene->bytes[3][40] = 6;
	deliver(scene, 0, 6);
	witness(scene, 0, 6);
	expect(scene, -ENODATA, NONE);

	scene = scene_new();
	scene->bytes[3][40] = 6;
	deliver(scene, 0, 6);
	witness(scene, 0, 6);
	witness(scene, 1, 5); /* but this one does */
	expect(scene, 0, 7);
}

static void witnesses_must_agree(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, 9);
	witness(scene, 0, 9);
	witness(scene, 4, 5);
	witness(scene, 9, 0);
	expect(scene, 0, 10);

	scene = scene_new();
	deliver(scene, 0, 9);
	witness(scene, 0, 9);
	witness(scene, 4, 6); /* its buffer has been used once more */
	expect(scene, -ENOTUNIQ, NONE);
}

static void a_large_frame_takes_several_elements(void)
{
	struct scene *scene = scene_new();

	scene->frames[5].size = FRAME_MAX;
	deliver(scene, 0, 4);
	element(scene, 1536);
	element(scene, 1536);
	element(scene, FRAME_MAX + HEADER - 2 * 1536);
	deliver(scene, 6, 7);
	witness(scene, 5, 4);
	expect(scene, 0, 8);

	scene = scene_new(); /* the witness is its first part */
	scene->frames[5].size = FRAME_MAX;
	element(scene, 1536);
	element(scene, 1536);
	element(scene, FRAME_MAX + HEADER - 2 * 1536);
	witness(scene, 2, 5);
	expect(scene, 0, 6);

	scene = scene_new(); /* only a part of it is there */
	scene->frames[5].size = FRAME_MAX;
	element(scene, 1536);
	element(scene, 1536);
	witness(scene, 1, 5);
	expect(scene, -ENODATA, NONE);
}

static void the_header_has_three_sizes(void)
{
	static const size_t headers[] = { 10, 12, 20 };

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		struct scene *scene = scene_new();

		for (size_t n = 0; n <= 6; n++)
			element(scene, (uint32_t) (headers[i] + SIZE));
		witness_with(scene, 2, 4, headers[i]);
		expect(scene, 0, 7);
	}
}

static void a_frame_for_others_may_be_left_out(void)
{
	for (unsigned filtered = 0; filtered < 2; filtered++) {
		struct scene *scene = scene_new();

		scene->frames[4].sure = false;
		scene->frames[4].size = SIZE + 20;
		deliver(scene, 0, 3);
		if (!filtered)
			deliver(scene, 4, 4);
		deliver(scene, 5, 7);
		witness(scene, filtered ? 6 : 7, 0);
		expect(scene, 0, 8);
	}
}

static void but_not_where_it_cannot_be_told(void)
{
	struct scene *scene = scene_new();

	scene->frames[4].sure = false; /* and as large as the others */
	deliver(scene, 0, 6);
	witness(scene, 6, 0);
	expect(scene, -ENOTUNIQ, NONE);

	scene = scene_new();
	scene->frames[4].sure = false;
	deliver(scene, 0, 6);
	witness(scene, 0, 6); /* after it there is no doubt */
	expect(scene, 0, 7);
}

static void a_frame_for_the_guest_is_never_left_out(void)
{
	struct scene *scene = scene_new();

	scene->frames[4].size = SIZE + 20;
	deliver(scene, 0, 3);
	deliver(scene, 5, 7);
	witness(scene, 6, 0);
	expect(scene, -ENODATA, NONE);
}

static void more_elements_than_frames_say_nothing(void)
{
	struct scene *scene = scene_new();

	scene->count = 5;
	deliver(scene, 0, 8);
	witness(scene, 8, 0);
	expect(scene, -ENODATA, NONE);
}

static void positions_outside_the_ring_are_passed_over(void)
{
	struct scene *scene = scene_new();

	deliver(scene, 0, 6);
	witness(scene, 6, 0);
	witness(scene, 7, 3);
	scene->witnesses[2] = scene->witnesses[0];
	scene->witnesses[2].position = NEWEST;
	scene->witnesses[3] = scene->witnesses[0];
	scene->witnesses[3].position = 0;
	scene->witness_count = 4;
	expect(scene, 0, 7);
}

static void lengths_that_make_no_sense_say_nothing(void)
{
	static const uint32_t lengths[] = { 0, 1, HEADER, HEADER + SIZE + 1, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct scene *scene = scene_new();

		deliver(scene, 0, 3);
		element(scene, lengths[i]);
		deliver(scene, 5, 6);
		witness(scene, 6, 0);
		expect(scene, -ENODATA, NONE);
	}
}

/* As many ways to read it as a guest can arrange: there is an end to looking. */
static void a_maze_is_given_up(void)
{
	enum { MANY = 8192 };
	static struct delivered_frame frames[MANY];
	static uint32_t lengths[DELIVERED_ELEMENTS_MAX];
	static uint8_t bytes[2][SIZE] = { { 1 }, { 2 } };
	struct delivered_witness first = { .position = 0, .length = HEADER + SIZE, .size = 200 };
	const struct delivered_ring ring = { DELIVERED_ELEMENTS_MAX, lengths,
					     DELIVERED_ELEMENTS_MAX, &first, 1 };
	size_t delivered = NONE;

	for (size_t i = 0; i < MANY; i++)
		frames[i] = (struct delivered_frame){ bytes[i > 0], SIZE, false };
	for (size_t i = 0; i < DELIVERED_ELEMENTS_MAX; i++)
		lengths[i] = HEADER + SIZE;
	memcpy(first.bytes + HEADER, bytes[0], SIZE);
	CU_ASSERT_EQUAL(delivered_count(frames, MANY, &ring, &delivered), -ENOTUNIQ);
	CU_ASSERT_EQUAL(delivered, NONE);
}

UNIT_MAIN("delivered", UNIT_TEST(the_newest_element_says_it),
	  UNIT_TEST(everything_may_have_been_delivered),
	  UNIT_TEST(an_older_element_and_lengths_say_it), UNIT_TEST(lengths_may_vary),
	  UNIT_TEST(without_a_witness_nothing_is_known),
	  UNIT_TEST(a_witness_of_no_frame_says_nothing),
	  UNIT_TEST(a_buffer_that_was_cut_short_is_compared_that_far), UNIT_TEST(twins_say_nothing),
	  UNIT_TEST(witnesses_must_agree), UNIT_TEST(a_large_frame_takes_several_elements),
	  UNIT_TEST(the_header_has_three_sizes), UNIT_TEST(a_frame_for_others_may_be_left_out),
	  UNIT_TEST(but_not_where_it_cannot_be_told),
	  UNIT_TEST(a_frame_for_the_guest_is_never_left_out),
	  UNIT_TEST(more_elements_than_frames_say_nothing),
	  UNIT_TEST(positions_outside_the_ring_are_passed_over),
	  UNIT_TEST(lengths_that_make_no_sense_say_nothing), UNIT_TEST(a_maze_is_given_up))
