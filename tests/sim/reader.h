/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader.h - messages out of the bytes of a stream, however they are cut. */
#ifndef REHOME_TESTS_SIM_READER_H
#define REHOME_TESTS_SIM_READER_H

#include "nva/wire.h"

/* All zero: nothing has come yet. */
struct reader {
	uint8_t *data; /* owned */
	size_t size, room;
};

/*
 * Calls @each for every message that is whole by now, until it returns false: the stream ends then.
 * Returns 0, or -EBADMSG with *reterr_what.
 */
int reader_take(struct reader *reader, const uint8_t *data, size_t size,
		bool (*each)(void *object, const struct nvo3_message *message), void *object,
		const char **reterr_what);
void reader_clear(struct reader *reader);

#endif
