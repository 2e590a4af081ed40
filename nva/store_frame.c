// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/store_frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>

static const uint8_t head_magic[8] = { 'r', 'e', 'h', 'o', 'm', 'e', '\r', '\n' };
static const uint8_t frame_magic[4] = { 'R', 'H', 'F', '1' };

enum {
	HEAD_CRC_AT = 24,
	HEAD_ZERO_AT = 28,
	FRAME_CRC_AT = 4,
	FRAME_CHECKED_AT = 8, /* what the header's CRC covers begins here */
};

static void write32(uint8_t *bytes, uint32_t value)
{
	value = htobe32(value);
	memcpy(bytes, &value, sizeof(value));
}

static void write64(uint8_t *bytes, uint64_t value)
{
	value = htobe64(value);
	memcpy(bytes, &value, sizeof(value));
}

static uint32_t read32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

static uint64_t read64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static uint32_t crc_of(const uint8_t *data, size_t size)
{
	return (uint32_t) crc32_z(0, data, size);
}

/* --- the head of a file --- */

void store_head_pack(const struct store_head *head, uint8_t bytes[STORE_HEAD_SIZE])
{
	memset(bytes, 0, STORE_HEAD_SIZE);
	memcpy(bytes, head_magic, sizeof(head_magic));
	write32(bytes + 8, head->version);
	write32(bytes + 12, head->kind);
	write64(bytes + 16, head->number);
	write32(bytes + HEAD_CRC_AT, crc_of(bytes, HEAD_CRC_AT));
}

int store_head_unpack(const uint8_t *data, size_t size, struct store_head *ret_head)
{
	struct store_head head;

	if (size < STORE_HEAD_SIZE || memcmp(data, head_magic, sizeof(head_magic)) != 0 ||
	    read32(data + HEAD_CRC_AT) != crc_of(data, HEAD_CRC_AT) ||
	    read32(data + HEAD_ZERO_AT) != 0)
		return -EBADMSG;
	head.version = read32(data + 8);
	head.kind = (enum store_file_kind) read32(data + 12);
	head.number = read64(data + 16);
	if (head.version == STORE_VERSION && head.kind != STORE_FILE_LOG &&
	    head.kind != STORE_FILE_SNAPSHOT)
		return -EBADMSG;
	*ret_head = head;
	return head.version == STORE_VERSION ? 0 : -EPROTONOSUPPORT;
}

/* --- frames --- */

size_t frame_size(size_t body_size)
{
	size_t size = FRAME_HEADER_SIZE + body_size;

	return (size + FRAME_ALIGNMENT - 1) / FRAME_ALIGNMENT * FRAME_ALIGNMENT;
}

size_t frame_seal(uint8_t *frame, size_t body_size, uint64_t number, uint64_t whole)
{
	size_t size = frame_size(body_size);

	memcpy(frame, frame_magic, sizeof(frame_magic));
	write64(frame + 8, number);
	write64(frame + 16, whole);
	write32(frame + 24, (uint32_t) body_size);
	write32(frame + 28, crc_of(frame + FRAME_HEADER_SIZE, body_size));
	write32(frame + FRAME_CRC_AT,
		crc_of(frame + FRAME_CHECKED_AT, FRAME_HEADER_SIZE - FRAME_CHECKED_AT));
	memset(frame + FRAME_HEADER_SIZE + body_size, 0, size - FRAME_HEADER_SIZE - body_size);
	return size;
}

static bool is_zero(const uint8_t *data, const uint8_t *end)
{
	while (data < end && *data == 0)
		data++;
	return data == end;
}

int frame_read(const uint8_t *data, size_t size, struct frame *ret_frame)
{
	struct frame frame;

	if (size < FRAME_HEADER_SIZE || memcmp(data, frame_magic, sizeof(frame_magic)) != 0 ||
	    read32(data + FRAME_CRC_AT) !=
		    crc_of(data + FRAME_CHECKED_AT, FRAME_HEADER_SIZE - FRAME_CHECKED_AT))
		return -EBADMSG;
	frame.number = read64(data + 8);
	frame.whole = read64(data + 16);
	frame.body = data + FRAME_HEADER_SIZE;
	frame.body_size = read32(data + 24);
	frame.size = frame_size(frame.body_size);
	if (frame.body_size > FRAME_BODY_MAX || frame.size > size ||
	    read32(data + 28) != crc_of(frame.body, frame.body_size) ||
	    !is_zero(frame.body + frame.body_size, data + frame.size))
		return -EBADMSG;
	*ret_frame = frame;
	return 0;
}

/* Does a good frame after @position say that what stands there was on disk? */
static bool is_convicted(const uint8_t *data, size_t size, size_t position)
{
	for (size_t at = position + FRAME_ALIGNMENT; at + FRAME_HEADER_SIZE <= size;
	     at += FRAME_ALIGNMENT) {
		struct frame frame;

		if (frame_read(data + at, size - at, &frame) == 0 && frame.whole > position)
			return true;
	}
	return false;
}

int frame_next(const uint8_t *data, size_t size, size_t *position, uint64_t number,
	       struct frame *ret_frame)
{
	struct frame frame;
	size_t at = *position;

	if (at == size)
		return 0;
	if (frame_read(data + at, size - at, &frame) < 0)
		return is_convicted(data, size, at) ? -EBADMSG : -ENODATA;
	if (frame.number != number || frame.whole > at)
		return -EBADMSG;
	*ret_frame = frame;
	*position = at + frame.size;
	return 1;
}

/* --- bodies --- */

int body_next(const struct frame *frame, size_t *position, const uint8_t **ret_data,
	      size_t *ret_size)
{
	size_t at = *position, size;

	if (at == frame->body_size)
		return 0;
	if (frame->body_size - at < BODY_CHANGE_HEADER_SIZE)
		return -EBADMSG;
	size = (size_t) frame->body[at] << 8 | frame->body[at + 1];
	at += BODY_CHANGE_HEADER_SIZE;
	if (size == 0 || frame->body_size - at < size)
		return -EBADMSG;
	*ret_data = frame->body + at;
	*ret_size = size;
	*position = at + size;
	return 1;
}

size_t body_seal(uint8_t *bytes, size_t size)
{
	bytes[0] = (uint8_t) (size >> 8);
	bytes[1] = (uint8_t) size;
	return BODY_CHANGE_HEADER_SIZE + size;
}
