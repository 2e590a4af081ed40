/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lines.h - cuts a byte stream into newline-ended lines; bytes in, lines out, no I/O. */
#ifndef REHOME_COMMON_LINES_H
#define REHOME_COMMON_LINES_H

#include <stddef.h>

#include "common/cleanup.h"

struct lines;

/* @line_size_max: bytes a line may have, its newline not counted. NULL when out of memory. */
struct lines *lines_new(size_t line_size_max);
struct lines *lines_free(struct lines *lines);
DEFINE_CLEANUP(struct lines, lines_free)

/*
 * Takes @size received bytes. Returns 0, -EMSGSIZE when a line exceeds the cap (the object is then
 * spent: every later call returns -EMSGSIZE), or -ENOMEM. Lines wholly received before the
 * offending one can still be read.
 */
int lines_push(struct lines *lines, const char *data, size_t size);

/*
 * Returns 1 and the next whole line, without its "\n" or "\r\n", NUL-terminated; 0 when there is
 * none.
 *
 * Borrowed: valid until the next call on @lines. *ret_size excludes the NUL.
 */
int lines_next(struct lines *lines, const char **ret_line, size_t *ret_size);

#endif
