/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/sim/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void add(struct reader *reader, const uint8_t *data, size_t size)
{
	if (reader->size + size > reader->room) {
		reader->room = (reader->size + size) * 2;
		reader->data = realloc(reader->data, reader->room);
		if (!reader->data)
			abort();
	}
	memcpy(reader->data + reader->size, data, size);
	reader->size += size;
}

/* Takes one; returns its size, 0 when it is not whole, or -EBADMSG. */
static long take_one(const uint8_t *data, size_t size,
		     bool (*each)(void *object, const struct nvo3_message *message), void *object,
		     bool *ret_goes_on, const char **reterr_what)
{
	long frame = nvo3_frame_size(data, size);
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };

	*reterr_what = "length";
	if (frame < 0)
		return -EBADMSG;
	if (frame == 0 || (size_t) frame > size)
		return 0;
	if (nvo3_unpack(data + NVO3_LENGTH_SIZE, (size_t) frame - NVO3_LENGTH_SIZE, &message,
			reterr_what) < 0)
		return -EBADMSG;
	*ret_goes_on = each(object, &message);
	return frame;
}

int reader_take(struct reader *reader, const uint8_t *data, size_t size,
		bool (*each)(void *object, const struct nvo3_message *message), void *object,
		const char **reterr_what)
{
	/* The stream may end, and the reader with it, while a message is dealt with. */
	struct reader all = *reader;
	size_t taken = 0;
	bool goes_on = true;
	long frame;

	*reader = (struct reader){ 0 };
	add(&all, data, size);
	while ((frame = take_one(all.data + taken, all.size - taken, each, object, &goes_on,
				 reterr_what)) > 0) {
		taken += (size_t) frame;
		if (!goes_on)
			break;
	}
	if (frame < 0 || !goes_on) {
		reader_clear(&all);
		return frame < 0 ? -EBADMSG : 0;
	}
	memmove(all.data, all.data + taken, all.size - taken);
	all.size -= taken;
	*reader = all;
	return 0;
}

void reader_clear(struct reader *reader)
{
	free(reader->data);
	*reader = (struct reader){ 0 };
}
