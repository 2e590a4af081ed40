/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lines.c - the buffer behind lines.h.
 *
 *   data  [ read already | whole lines, not read yet | part of a line ]  capacity
 *                        ^start                      ^whole           ^size
 *
 * Every byte is searched for a newline once when it arrives and once when its line is read. The
 * bytes that are read already are dropped by the next push.
 */
#include "common/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	LINES_CAPACITY_MIN = 256,
};

struct lines {
	char *data; /* owned */
	size_t start, whole, size, capacity;
	size_t line_size_max;
	bool spent; /* a line was too long */
};

struct lines *lines_new(size_t line_size_max)
{
	struct lines *lines = calloc(1, sizeof(*lines));

	if (lines)
		lines->line_size_max = line_size_max;
	return lines;
}

struct lines *lines_free(struct lines *lines)
{
	if (lines)
		free(lines->data);
	free(lines);
	return NULL;
}

static void drop_read(struct lines *lines)
{
	if (lines->start == 0)
		return;

	lines->size -= lines->start;
	lines->whole -= lines->start;
	memmove(lines->data, lines->data + lines->start, lines->size);
	lines->start = 0;
}

static int reserve(struct lines *lines, size_t more)
{
	size_t needed, capacity = lines->capacity ? lines->capacity : LINES_CAPACITY_MIN;
	char *data;

	if (__builtin_add_overflow(lines->size, more, &needed) || needed > SIZE_MAX / 2)
		return -ENOMEM;
	if (needed <= lines->capacity)
		return 0;

	while (capacity < needed)
		capacity *= 2;
	data = realloc(lines->data, capacity);
	if (!data)
		return -ENOMEM;

	lines->data = data;
	lines->capacity = capacity;
	return 0;
}

/* A final "\r" may turn out to belong to the line's end: it does not count. */
static bool too_long(const struct lines *lines, size_t from, size_t to)
{
	size_t size = to - from;

	if (size > 0 && lines->data[to - 1] == '\r')
		size--;
	return size > lines->line_size_max;
}

/* Moves ->whole over the lines that end at or after @unseen, up to one that is too long. */
static int find_whole_lines(struct lines *lines, size_t unseen)
{
	const char *newline;

	while ((newline = memchr(lines->data + unseen, '\n', lines->size - unseen))) {
		size_t end = (size_t) (newline - lines->data);

		if (too_long(lines, lines->whole, end))
			return -EMSGSIZE;
		lines->whole = unseen = end + 1;
	}
	return too_long(lines, lines->whole, lines->size) ? -EMSGSIZE : 0;
}

int lines_push(struct lines *lines, const char *data, size_t size)
{
	size_t unseen;
	int r;

	if (lines->spent)
		return -EMSGSIZE;
	if (size == 0)
		return 0;

	drop_read(lines);
	r = reserve(lines, size);
	if (r < 0)
		return r;

	unseen = lines->size;
	memcpy(lines->data + lines->size, data, size);
	lines->size += size;

	r = find_whole_lines(lines, unseen);
	lines->spent = r < 0;
	return r;
}

int lines_next(struct lines *lines, const char **ret_line, size_t *ret_size)
{
	char *line, *newline;
	size_t size;

	if (lines->start == lines->whole)
		return 0;

	line = lines->data + lines->start;
	newline = memchr(line, '\n', lines->whole - lines->start);
	size = (size_t) (newline - line);
	lines->start += size + 1;

	if (size > 0 && line[size - 1] == '\r')
		size--;
	line[size] = '\0';

	*ret_line = line;
	*ret_size = size;
	return 1;
}
