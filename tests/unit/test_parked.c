/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames that wait in memory: order, contents, joining two lists, and the cap. */
#include <errno.h>
#include <string.h>

#include "nveagent/parked.h"
#include "tests/unit/unit.h"

enum {
	FRAME_SIZE_MAX = 1514,
	BIG = 1 << 20,
};

/* A frame whose size and bytes follow from @number. */
static size_t frame_of(uint32_t number, uint8_t frame[static FRAME_SIZE_MAX])
{
	size_t size = 14 + number * 7 % (FRAME_SIZE_MAX - 14);

	for (size_t i = 0; i < size; i++)
		frame[i] = (uint8_t) (number * 31 + i);
	return size;
}

static void add(struct parked *parked, uint32_t number)
{
	const struct virtio_net_hdr vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = (uint16_t) number };
	uint8_t frame[FRAME_SIZE_MAX];
	size_t size = frame_of(number, frame);

	CU_ASSERT_EQUAL_FATAL(parked_add(parked, &vnet, frame, size, number % 3 == 0), 0);
}

/* Expects the frames @first to @first + @count - 1 and nothing else. */
static void expect(const struct parked *parked, uint32_t first, uint32_t count)
{
	struct parked_frame frame = { 0 };
	uint8_t wanted[FRAME_SIZE_MAX];
	size_t at = 0;

	CU_ASSERT_EQUAL(parked->count, count);
	for (uint32_t number = first; number < first + count; number++) {
		size_t size = frame_of(number, wanted);

		CU_ASSERT_TRUE_FATAL(parked_next(parked, &at, &frame));
		CU_ASSERT_EQUAL_FATAL(frame.size, size);
		CU_ASSERT_EQUAL(memcmp(frame.data, wanted, size), 0);
		CU_ASSERT_EQUAL(frame.vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		CU_ASSERT_EQUAL(frame.vnet.csum_start, (uint16_t) number);
		CU_ASSERT_EQUAL(frame.in_qemu, number % 3 == 0);
	}
	CU_ASSERT_FALSE(parked_next(parked, &at, &frame));
}

static void expect_empty(const struct parked *parked)
{
	CU_ASSERT_PTR_NULL(parked->bytes);
	CU_ASSERT_EQUAL(parked->capacity, 0);
	CU_ASSERT_EQUAL(parked->used, 0);
	expect(parked, 0, 0);
}

static void keeps_frames_of_any_size_in_order(void)
{
	struct parked parked = { 0 };

	expect_empty(&parked);
	for (uint32_t number = 0; number < 1000; number++)
		add(&parked, number);
	expect(&parked, 0, 1000);
	expect(&parked, 0, 1000); /* looking takes nothing away */
	parked_clear(&parked);
}

static void keeps_a_copy(void)
{
	const struct virtio_net_hdr vnet = { 0 };
	struct parked parked = { 0 };
	struct parked_frame frame = { 0 };
	uint8_t byte = 'a';
	size_t at = 0;

	CU_ASSERT_EQUAL(parked_add(&parked, &vnet, &byte, 1, false), 0);
	byte = 'b';
	CU_ASSERT_TRUE_FATAL(parked_next(&parked, &at, &frame));
	CU_ASSERT_EQUAL(frame.size, 1);
	CU_ASSERT_EQUAL(frame.data[0], 'a');
	parked_clear(&parked);
}

static void is_usable_after_clearing(void)
{
	struct parked parked = { 0 };

	add(&parked, 1);
	parked_clear(&parked);
	expect_empty(&parked);
	parked_clear(&parked);
	add(&parked, 2);
	expect(&parked, 2, 1);
	parked_clear(&parked);
}

/* Adds frames of BIG bytes until the list refuses; how many it took. */
static size_t fill(struct parked *parked, const uint8_t *data)
{
	const struct virtio_net_hdr vnet = { 0 };
	size_t before = parked->count;
	int r;

	do
		r = parked_add(parked, &vnet, data, BIG, false);
	while (r == 0 && parked->used <= PARKED_BYTES_MAX);
	CU_ASSERT_EQUAL(r, -ENOSPC);
	CU_ASSERT_TRUE(parked->used <= PARKED_BYTES_MAX);
	CU_ASSERT_TRUE(parked->capacity <= PARKED_BYTES_MAX);
	/* full, but for less than one record */
	CU_ASSERT_TRUE(PARKED_BYTES_MAX - parked->used < BIG + 64);
	return parked->count - before;
}

static void refuses_more_than_the_cap(void)
{
	_cleanup_free_ uint8_t *data = calloc(1, PARKED_BYTES_MAX + 1);
	const struct virtio_net_hdr vnet = { 0 };
	struct parked parked = { 0 };
	struct parked_frame frame;
	size_t at = 0, count = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	CU_ASSERT_EQUAL(parked_add(&parked, &vnet, data, PARKED_BYTES_MAX + 1, false), -ENOSPC);
	/* the record's header */
	CU_ASSERT_EQUAL(parked_add(&parked, &vnet, data, PARKED_BYTES_MAX, false), -ENOSPC);
	CU_ASSERT_EQUAL(parked_add(&parked, &vnet, data, SIZE_MAX, false), -ENOSPC);
	expect_empty(&parked);

	CU_ASSERT_EQUAL(fill(&parked, data), PARKED_BYTES_MAX / BIG - 1);
	/* a small one still fits */
	CU_ASSERT_EQUAL(parked_add(&parked, &vnet, data, 60, false), 0);
	while (parked_next(&parked, &at, &frame)) {
		CU_ASSERT_EQUAL(frame.size, count < PARKED_BYTES_MAX / BIG - 1 ? BIG : 60);
		count++;
	}
	CU_ASSERT_EQUAL(count, parked.count);
	CU_ASSERT_EQUAL(count, PARKED_BYTES_MAX / BIG);
	parked_clear(&parked);
}

/* clang-format off */
UNIT_MAIN("parked",
	UNIT_TEST(keeps_frames_of_any_size_in_order),
	UNIT_TEST(keeps_a_copy),
	UNIT_TEST(is_usable_after_clearing),
	UNIT_TEST(refuses_more_than_the_cap))
