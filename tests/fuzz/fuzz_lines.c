/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_lines.c - however a stream is cut into pushes, the same lines come out of it.
 *
 * The input's first byte is the size of the pushes, the rest is the stream. It goes through one
 * object in pushes and through another one byte by byte; what they say must agree, and fit the
 * contract.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/lines.h"
#include "tests/fuzz/fuzz.h"

enum {
	CAP = 16,
};

/* The next line of both, which must be the same. Returns false when there is none. */
static bool next(struct lines *a, struct lines *b)
{
	const char *line_a, *line_b;
	size_t size_a, size_b;
	int r = lines_next(a, &line_a, &size_a);

	FUZZ_CHECK(lines_next(b, &line_b, &size_b) == r);
	if (r == 0)
		return false;

	FUZZ_CHECK(size_a <= CAP && size_a == size_b && memcmp(line_a, line_b, size_a) == 0);
	FUZZ_CHECK(line_a[size_a] == '\0' && !memchr(line_a, '\n', size_a));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(lines_freep) struct lines *pieces = lines_new(CAP), *bytes = lines_new(CAP);
	const char *text = (const char *) data + 1;
	size_t step, sum = 0;
	int r = 0, r_bytes = 0;

	FUZZ_CHECK(pieces && bytes);
	if (size == 0)
		return 0;
	size--;

	for (size_t at = 0; at < size; at += step) {
		step = size - at < data[0] ? size - at : (size_t) data[0] + (data[0] == 0);
		r = lines_push(pieces, text + at, step);
		for (size_t i = 0; i < step; i++)
			r_bytes = lines_push(bytes, text + at + i, 1);
		FUZZ_CHECK(r == r_bytes && (r == 0 || r == -EMSGSIZE));
		while (data[0] % 2 && next(pieces, bytes))
			sum++;
	}

	while (next(pieces, bytes))
		sum++;
	FUZZ_CHECK(sum <= size);
	return 0;
}
