// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_out_frame.c - what is sent to several is right for each, and released (a sanitizer sees
 * that).
 */
#include "nva/out_frame.h"

#include <string.h>

#include "tests/unit/unit.h"

enum { OUTPUTS = 3 };

static struct out_frame *frame_of(size_t size)
{
	uint8_t *data = malloc(size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t) (i * 7);
	return out_frame_new(data, size);
}

static bool is_as_made(struct evbuffer *output, size_t size)
{
	const uint8_t *data = evbuffer_pullup(output, -1);

	for (size_t i = 0; i < size; i++)
		if (data[i] != (uint8_t) (i * 7))
			return false;
	return evbuffer_get_length(output) == size;
}

static void send_to_several(size_t size)
{
	struct evbuffer *outputs[OUTPUTS];
	struct out_frame *frame = frame_of(size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
	CU_ASSERT_EQUAL(out_frame_size(frame), size);
	for (size_t i = 0; i < OUTPUTS; i++) {
		outputs[i] = evbuffer_new();
		CU_ASSERT_PTR_NOT_NULL_FATAL(outputs[i]);
		CU_ASSERT_EQUAL(out_frame_append(frame, outputs[i]), 0);
	}
	frame = out_frame_free(frame);
	for (size_t i = 0; i < OUTPUTS; i++) {
		CU_ASSERT_TRUE(is_as_made(outputs[i], size));
		evbuffer_free(outputs[i]);
	}
}

static void a_small_one_reaches_all(void)
{
	send_to_several(OUT_FRAME_COPY_MAX);
}

static void a_large_one_reaches_all(void)
{
	send_to_several(OUT_FRAME_COPY_MAX + 1);
	send_to_several(100 * OUT_FRAME_COPY_MAX);
}

/* It follows what was there, and what is sent in part stays whole. */
static void keeps_its_place(void)
{
	struct evbuffer *output = evbuffer_new();
	_cleanup_(out_frame_freep) struct out_frame *frame = frame_of(2 * OUT_FRAME_COPY_MAX);
	uint8_t bytes[4];

	CU_ASSERT_PTR_NOT_NULL_FATAL(output);
	CU_ASSERT_EQUAL(evbuffer_add(output, "ab", 2), 0);
	CU_ASSERT_EQUAL(out_frame_append(frame, output), 0);
	CU_ASSERT_EQUAL(evbuffer_add(output, "cd", 2), 0);
	CU_ASSERT_EQUAL(evbuffer_remove(output, bytes, 4), 4);
	CU_ASSERT_EQUAL(memcmp(bytes, "ab\x00\x07", 4), 0);
	CU_ASSERT_EQUAL(evbuffer_drain(output, 2 * OUT_FRAME_COPY_MAX - 2), 0);
	CU_ASSERT_EQUAL(evbuffer_remove(output, bytes, 4), 2);
	CU_ASSERT_EQUAL(memcmp(bytes, "cd", 2), 0);
	evbuffer_free(output);
}

static void an_unsent_one_is_released(void)
{
	CU_ASSERT_PTR_NULL(out_frame_free(frame_of(1)));
	CU_ASSERT_PTR_NULL(out_frame_free(NULL));
}

UNIT_MAIN("out_frame", UNIT_TEST(a_small_one_reaches_all), UNIT_TEST(a_large_one_reaches_all),
	  UNIT_TEST(keeps_its_place), UNIT_TEST(an_unsent_one_is_released))
