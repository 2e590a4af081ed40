/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * protobuf.h - protobuf's encoding in small steps: a bounded reader, and a writer that works from
 * the end, so that a length is known when it is written. Source:
 * protobuf.dev/programming-guides/encoding.
 */
#ifndef REHOME_NVA_PROTOBUF_H
#define REHOME_NVA_PROTOBUF_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum pb_type {
	PB_VARINT = 0,
	PB_FIXED64 = 1,
	PB_BYTES = 2, /* length-delimited: bytes, strings, messages */
	PB_FIXED32 = 5,
};

#define PB_TAG(number, type) ((uint32_t) (number) << 3 | (uint32_t) (type))

/* --- reading --- */

/* What is not there, or does not fit, empties the reader for good and sets .failed. */
struct pb_reader {
	const uint8_t *pos, *end;
	bool failed;
};

static inline bool pb_more(const struct pb_reader *reader)
{
	return reader->pos < reader->end;
}

static inline void pb_fail(struct pb_reader *reader)
{
	reader->failed = true;
	reader->pos = reader->end;
}

static inline uint64_t pb_read_long_varint(struct pb_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && pb_more(reader); shift += 7) {
		uint8_t byte = *reader->pos++;

		value |= (uint64_t) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	pb_fail(reader);
	return 0;
}

static inline uint64_t pb_read_varint(struct pb_reader *reader)
{
	if (pb_more(reader) && *reader->pos < 0x80)
		return *reader->pos++;
	return pb_read_long_varint(reader);
}

/* A length and so many bytes; what is read of them does not move @reader. */
static inline struct pb_reader pb_read_bytes(struct pb_reader *reader)
{
	uint64_t size = pb_read_varint(reader);
	struct pb_reader bytes = { reader->pos, reader->pos, reader->failed };

	if (size > (uint64_t) (reader->end - reader->pos)) {
		pb_fail(reader);
		bytes.failed = true;
		return bytes;
	}
	reader->pos += size;
	bytes.end = reader->pos;
	return bytes;
}

static inline size_t pb_left(const struct pb_reader *reader)
{
	return (size_t) (reader->end - reader->pos);
}

/* Goes past the value of @tag. Groups are long obsolete, and refused. */
static inline void pb_skip(struct pb_reader *reader, uint64_t tag)
{
	size_t size = (tag & 7) == PB_FIXED64 ? 8 : 4;

	if (tag >> 3 == 0)
		pb_fail(reader); /* no field has that number */
	else if ((tag & 7) == PB_VARINT)
		(void) pb_read_varint(reader);
	else if ((tag & 7) == PB_BYTES)
		(void) pb_read_bytes(reader);
	else if (((tag & 7) != PB_FIXED64 && (tag & 7) != PB_FIXED32) || pb_left(reader) < size)
		pb_fail(reader);
	else
		reader->pos += size;
}

/* --- writing, backwards --- */

/* The caller gives room enough. */
struct pb_writer {
	uint8_t *start, *pos; /* what is written stands from .pos on */
};

static inline void pb_put(struct pb_writer *writer, const void *data, size_t size)
{
	assert((size_t) (writer->pos - writer->start) >= size);
	writer->pos -= size;
	memcpy(writer->pos, data, size);
}

static inline void pb_put_varint(struct pb_writer *writer, uint64_t value)
{
	uint8_t bytes[10];
	size_t size = 0;

	do {
		bytes[size++] = (uint8_t) (value | 0x80);
		value >>= 7;
	} while (value > 0);
	bytes[size - 1] &= 0x7f;
	pb_put(writer, bytes, size);
}

/* As proto3 has it, nothing at all for 0. */
static inline void pb_put_number(struct pb_writer *writer, unsigned number, uint64_t value)
{
	if (value == 0)
		return;
	pb_put_varint(writer, value);
	pb_put_varint(writer, PB_TAG(number, PB_VARINT));
}

/* Nothing at all for no bytes. */
static inline void pb_put_bytes(struct pb_writer *writer, unsigned number, const void *data,
				size_t size)
{
	if (size == 0)
		return;
	pb_put(writer, data, size);
	pb_put_varint(writer, size);
	pb_put_varint(writer, PB_TAG(number, PB_BYTES));
}

/* What stands before @end is the message in field @number, be it empty. */
static inline void pb_put_head(struct pb_writer *writer, unsigned number, const uint8_t *end)
{
	pb_put_varint(writer, (uint64_t) (end - writer->pos));
	pb_put_varint(writer, PB_TAG(number, PB_BYTES));
}

#endif
