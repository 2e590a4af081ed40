// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz_store.c - what an NVA reads at its start, and what is imported. The first byte says as what
 * the rest is read: a whole file of a store; the body of a good frame (checksums would keep the
 * fuzzer out); a line of an export. What is taken must come back as it is written again.
 */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "nva/change_json.h"
#include "nva/directory.h"
#include "nva/store_frame.h"
#include "tests/fuzz/fuzz.h"

enum {
	NOW_US = 1000000000,
	NOW_S = 1700000000,
	BODY_MAX = 1 << 16,
};

static void check_again(const struct change *change)
{
	uint8_t bytes[CHANGE_SIZE_MAX], again[CHANGE_SIZE_MAX];
	size_t size = change_pack(change, bytes);
	struct change read;

	FUZZ_CHECK(size <= CHANGE_SIZE_MAX);
	FUZZ_CHECK(change_unpack(bytes, size, &read) == 0);
	FUZZ_CHECK(change_pack(&read, again) == size && memcmp(bytes, again, size) == 0);
	FUZZ_CHECK(change_key_size(bytes, size) > 0 && change_key_size(bytes, size) <= size);
}

static void check_dumped(void *userdata, const struct change *change)
{
	check_again(change);
}

static void restore_body(struct directory *directory, const struct frame *frame)
{
	const uint8_t *data;
	size_t position = 0, size;
	int r;

	while ((r = body_next(frame, &position, &data, &size)) > 0) {
		const char *what = NULL;
		struct change change;

		FUZZ_CHECK(change_key_size(data, size) <= size);
		if (change_unpack(data, size, &change) < 0)
			continue;
		check_again(&change);
		r = directory_restore(directory, NOW_US, NOW_S, &change, &what);
		FUZZ_CHECK(r == 0 || (r == -EINVAL && what));
	}
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
}

static void read_file(struct directory *directory, const uint8_t *data, size_t size)
{
	struct store_head head;
	struct frame frame;
	size_t position = STORE_HEAD_SIZE;
	int r = store_head_unpack(data, size, &head);

	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	if (size < STORE_HEAD_SIZE)
		return;
	for (uint64_t n = 0; (r = frame_next(data, size, &position, n, &frame)) > 0; n++)
		restore_body(directory, &frame);
	FUZZ_CHECK(r == 0 || r == -ENODATA || r == -EBADMSG);
	FUZZ_CHECK(position <= size);
}

static void read_body(struct directory *directory, const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *bytes = size <= BODY_MAX ? malloc(frame_size(size)) : NULL;
	struct frame frame;
	size_t position = 0;

	if (!bytes)
		return;
	memcpy(bytes + FRAME_HEADER_SIZE, data, size);
	FUZZ_CHECK(frame_seal(bytes, size, 0, 0) == frame_size(size));
	FUZZ_CHECK(frame_next(bytes, frame_size(size), &position, 0, &frame) == 1);
	FUZZ_CHECK(position == frame_size(size) && frame.body_size == size);
	restore_body(directory, &frame);
}

static void read_line(const uint8_t *data, size_t size)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	const char *what = NULL;
	struct change change;

	if (json_parse_object((const char *) data, size, &object) < 0)
		return;
	if (change_from_json(object, &change, &what) == 0)
		check_again(&change);
	else
		FUZZ_CHECK(what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct directory_config config = { .name = "nva", .incarnation = 1, .lease_us = 1 };
	struct directory *directory;

	if (size == 0 || directory_new(&config, NOW_US, &directory) < 0)
		return 0;
	switch (data[0]) {
	case 'f':
		read_file(directory, data + 1, size - 1);
		break;
	case 'b':
		read_body(directory, data + 1, size - 1);
		break;
	default:
		read_line(data + 1, size - 1);
		break;
	}
	FUZZ_CHECK(directory_begin(directory, NOW_US, NULL, NULL) == 0);
	FUZZ_CHECK(directory_tick(directory, NOW_US) == 0);
	directory_dump(directory, NOW_US, NOW_S, check_dumped, NULL);
	directory_free(directory);
	return 0;
}
