/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_bytes.h - the one bounded reader and writer of the probe's messages, big endian.
 *
 * Both fail stickily: after the first field that does not fit, every read gives 0 and every write
 * does nothing, so that a caller handles all its fields and looks at `failed` once.
 */
#ifndef REHOME_TESTS_LAB_PROBE_BYTES_H
#define REHOME_TESTS_LAB_PROBE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct probe_reader {
	const uint8_t *pos, *end;
	bool failed;
};

struct probe_writer {
	uint8_t *pos, *end;
	bool failed;
};

/* Borrows @size bytes of the input, or returns NULL. */
static inline const uint8_t *probe_read_bytes(struct probe_reader *rd, size_t size)
{
	const uint8_t *bytes = rd->pos;

	if (rd->failed || (size_t) (rd->end - rd->pos) < size) {
		rd->failed = true;
		return NULL;
	}
	rd->pos += size;
	return bytes;
}

/* @width: bytes of the number, 1 to 8. */
static inline uint64_t probe_read(struct probe_reader *rd, size_t width)
{
	const uint8_t *bytes = probe_read_bytes(rd, width);
	uint64_t value = 0;

	for (size_t i = 0; bytes && i < width; i++)
		value = value << 8 | bytes[i];
	return value;
}

static inline void probe_write_bytes(struct probe_writer *wr, const uint8_t *bytes, size_t size)
{
	if (wr->failed || (size_t) (wr->end - wr->pos) < size) {
		wr->failed = true;
		return;
	}
	memcpy(wr->pos, bytes, size);
	wr->pos += size;
}

/* Writes the low @width bytes of @value, 1 to 8. */
static inline void probe_write(struct probe_writer *wr, uint64_t value, size_t width)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t) (value >> (8 * (width - 1 - i)));
	probe_write_bytes(wr, bytes, width);
}

#endif
