/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * out_frame.h - a packed message on its way to several NVEs: one copy of it stands in all their
 * outputs, and the last of them releases it.
 */
#ifndef REHOME_NVA_OUT_FRAME_H
#define REHOME_NVA_OUT_FRAME_H

#include <event2/buffer.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum {
	OUT_FRAME_COPY_MAX = 1024, /* bytes; a smaller one costs less when it is copied */
};

struct out_frame;

/* Takes over @data, which was allocated, whatever comes of it. NULL without memory. */
struct out_frame *out_frame_new(uint8_t *data, size_t size);
/* The maker's claim ends; outputs keep theirs. */
struct out_frame *out_frame_free(struct out_frame *frame);
DEFINE_CLEANUP(struct out_frame, out_frame_free)

size_t out_frame_size(const struct out_frame *frame);

/* Appends it to @output. 0 or -ENOMEM. */
int out_frame_append(struct out_frame *frame, struct evbuffer *output);

#endif
