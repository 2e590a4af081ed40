/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
	LOG_LINE_MAX = 2048, /* bytes, newline included; below PIPE_BUF, so one write is one line */
};

/* The one writable global: stderr, too, belongs to the process and not to an object. */
static struct {
	const char *program;
	enum log_level level;
	bool journal; /* stderr is no terminal: lead with "<N>" */
} output = { "rehome", LOG_LEVEL_INFO, true };

static const struct {
	const char *name;
	enum log_level level;
} level_names[] = {
	{ "error", LOG_LEVEL_ERROR },	{ "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};

void log_open(const char *program, enum log_level level)
{
	output.program = program;
	output.level = level;
	output.journal = !isatty(STDERR_FILENO);
}

int log_level_from_name(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(level_names[i].name, name) == 0) {
			*ret_level = level_names[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

/* What snprintf() has put into @room bytes, its NUL not counted. */
static size_t written(int length, size_t room)
{
	if (length < 0)
		return 0;
	return (size_t) length < room ? (size_t) length : room - 1;
}

/* A peer's text must neither forge a line nor command the reader's terminal. */
static void defuse(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char) text[i] < ' ' || text[i] == '\x7f')
			text[i] = ' ';
}

static void put(enum log_level level, const char *suffix, const char *format, va_list arguments)
{
	char line[LOG_LINE_MAX];
	size_t size = 0, room = sizeof(line) - 1; /* the newline's place is kept free */

	if (level > output.level)
		return;

	if (output.journal)
		size = written(snprintf(line, room, "<%d>", (int) level), room);
	size += written(snprintf(line + size, room - size, "%s: ", output.program), room - size);
	size += written(vsnprintf(line + size, room - size, format, arguments), room - size);
	if (suffix)
		size += written(snprintf(line + size, room - size, ": %s", suffix), room - size);

	defuse(line, size);
	line[size++] = '\n';
	if (write(STDERR_FILENO, line, size) < 0)
		return; /* there is no other place to say so */
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put(level, NULL, format, arguments);
	va_end(arguments);
}

int log_errno(int error, const char *format, ...)
{
	const char *reason = strerrordesc_np(-error);
	va_list arguments;

	va_start(arguments, format);
	put(LOG_LEVEL_ERROR, reason ? reason : "Unknown error", format, arguments);
	va_end(arguments);
	return error;
}
