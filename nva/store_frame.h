/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_frame.h - how a store's files are written down: bytes only, no files.
 *
 *   file  = head frame*
 *   head  = "rehome\r\n", version (4), kind (4), number (8), CRC-32 (4), zero (4)
 *   frame = "RHF1", CRC-32 of the rest of the header (4), number (8), whole (8), body size (4),
 *           CRC-32 of the body (4), body, zeros up to a multiple of 8
 *   body  = (size (2), change)*
 *
 * Integers are big endian; change.h has the changes. The frames of a file are numbered from 0.
 *
 * A frame is written after all before it are on disk, so only the last one can be torn by a power
 * failure. Whether a bad frame is that, and so was never acknowledged, or was good once and has
 * rotted, tells what stands after it: `whole` says up to which byte the file was on disk when the
 * frame was written. A good frame whose `whole` reaches over a bad one convicts it.
 *
 * CRC-32: zlib, the polynomial of IEEE 802.3.
 */
#ifndef REHOME_NVA_STORE_FRAME_H
#define REHOME_NVA_STORE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STORE_VERSION = 1,
	STORE_HEAD_SIZE = 32,
	FRAME_HEADER_SIZE = 32,
	FRAME_ALIGNMENT = 8,
	FRAME_BODY_MAX = 1 << 30,
};

/* These numbers are on disk. */
enum store_file_kind {
	STORE_FILE_LOG = 1,
	STORE_FILE_SNAPSHOT = 2,
};

struct store_head {
	uint32_t version;
	enum store_file_kind kind;
	uint64_t number; /* of the log, or of the first log that the snapshot does not contain */
};

void store_head_pack(const struct store_head *head, uint8_t bytes[STORE_HEAD_SIZE]);
/*
 * Returns 0, -EBADMSG (no store's file, or a damaged one), or -EPROTONOSUPPORT with *ret_head: a
 * version that is not STORE_VERSION.
 */
int store_head_unpack(const uint8_t *data, size_t size, struct store_head *ret_head);

/*
 * Writes the header of the frame whose body of @body_size bytes stands at @frame +
 * FRAME_HEADER_SIZE, and the zeros after it, for which there is room. Returns the size of the
 * whole.
 */
size_t frame_seal(uint8_t *frame, size_t body_size, uint64_t number, uint64_t whole);
/* The size that frame_seal() will return. */
size_t frame_size(size_t body_size);

struct frame {
	uint64_t number, whole;
	const uint8_t *body; /* borrowed */
	size_t body_size;
	size_t size; /* of the whole frame */
};

/* Reads the frame at @data. Returns 0, or -EBADMSG when there is no good one. */
int frame_read(const uint8_t *data, size_t size, struct frame *ret_frame);

/*
 * The next good frame of a file's @data at or after *position, a multiple of 8, which moves behind
 * it. @number: the one it must have. Returns
 *   1          *ret_frame
 *   0          the end, just after a good frame
 *   -ENODATA   what follows, if anything, was never on disk as a whole: a torn frame
 *   -EBADMSG   what follows was on disk once: damage
 */
int frame_next(const uint8_t *data, size_t size, size_t *position, uint64_t number,
	       struct frame *ret_frame);

/*
 * The next change of a body: *position moves behind it. Returns 1 with *ret_data and *ret_size, 0
 * at the end, or -EBADMSG.
 */
int body_next(const struct frame *frame, size_t *position, const uint8_t **ret_data,
	      size_t *ret_size);

enum { BODY_CHANGE_HEADER_SIZE = 2 };
/*
 * Writes the size before a change of @size bytes at @bytes + BODY_CHANGE_HEADER_SIZE; returns both
 * together.
 */
size_t body_seal(uint8_t *bytes, size_t size);

#endif
