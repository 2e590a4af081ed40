// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/out_frame.h"

#include <errno.h>
#include <stdlib.h>

struct out_frame {
	uint8_t *data; /* owned */
	size_t size;
	size_t claims; /* its maker's, and one for each output that it stands in */
};

struct out_frame *out_frame_new(uint8_t *data, size_t size)
{
	struct out_frame *frame = malloc(sizeof(*frame));

	if (!frame) {
		free(data);
		return NULL;
	}
	*frame = (struct out_frame){ .data = data, .size = size, .claims = 1 };
	return frame;
}

struct out_frame *out_frame_free(struct out_frame *frame)
{
	if (frame && --frame->claims == 0) {
		free(frame->data);
		free(frame);
	}
	return NULL;
}

size_t out_frame_size(const struct out_frame *frame)
{
	return frame->size;
}

static void on_sent(const void *data, size_t size, void *userdata)
{
	out_frame_free(userdata);
}

int out_frame_append(struct out_frame *frame, struct evbuffer *output)
{
	if (frame->size <= OUT_FRAME_COPY_MAX)
		return evbuffer_add(output, frame->data, frame->size) < 0 ? -ENOMEM : 0;
	if (evbuffer_add_reference(output, frame->data, frame->size, on_sent, frame) < 0)
		return -ENOMEM;
	frame->claims++;
	return 0;
}
