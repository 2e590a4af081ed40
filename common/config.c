/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.c - the table-driven reader of config.h.
 *
 * Theory of operation
 *
 *   file --read_line()--> one line --feed_line()--> libinih --on_key()--> the section's table
 *                                     |
 *                                     `-- "[name argument]": open_section() makes the target
 *
 * libinih splits "key = value", drops comments and trims blanks. Its Debian build reports neither
 * line numbers nor sections without keys, cuts long lines and section names silently, and takes a #
 * behind a value for a part of it, so the lines are counted, measured and rid of that here, and a
 * section's line is read here and shown to libinih as an empty one.
 *
 * The first error ends the reading: feed_line() then tells libinih that the file is over.
 */
#include "common/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

struct reader {
	const char *path;
	FILE *file;
	unsigned line; /* of the file, counted from 1 */

	const struct config_section *sections;
	size_t section_count;
	uint64_t sections_seen; /* only those without argument */
	void *config;

	const struct config_section *section; /* NULL before the first one */
	void *target;
	uint64_t keys_seen;

	int error; /* the first one, 0 so far */
	unsigned error_line;
	char *reterr_message;
};

DEFINE_CLEANUP(FILE, fclose)

__attribute__((format(printf, 3, 4))) static int fail(struct reader *reader, int error,
						      const char *format, ...)
{
	char *message = reader->reterr_message;
	va_list arguments;
	int size;

	size = snprintf(message, CONFIG_MESSAGE_SIZE, "%s:%u: ", reader->path, reader->line);
	if (size > 0 && size < CONFIG_MESSAGE_SIZE) {
		va_start(arguments, format);
		(void) vsnprintf(message + size, (size_t) (CONFIG_MESSAGE_SIZE - size), format,
				 arguments);
		va_end(arguments);
	}
	reader->error = error;
	reader->error_line = reader->line;
	return error;
}

/* Marks bit @index of *@mask; false if it was marked before. */
static bool mark(uint64_t *mask, size_t index)
{
	uint64_t bit = UINT64_C(1) << index;
	bool fresh = !(*mask & bit);

	*mask |= bit;
	return fresh;
}

static char *skip_blanks(char *text)
{
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

static void trim_end(char *text)
{
	size_t size = strlen(text);

	while (size > 0 && isspace((unsigned char) text[size - 1]))
		text[--size] = '\0';
}

static void note_line(const struct reader *reader, const char *key)
{
	if (reader->section->note_line)
		reader->section->note_line(reader->target, key, reader->line);
}

static int open_section(struct reader *reader, const char *name, const char *argument)
{
	char why[CONFIG_MESSAGE_SIZE] = "";
	size_t i = 0;
	int r;

	while (i < reader->section_count && strcmp(reader->sections[i].name, name) != 0)
		i++;
	if (i == reader->section_count)
		return fail(reader, -EINVAL, "there is no section [%s]", name);

	reader->section = &reader->sections[i];
	reader->keys_seen = 0;
	if (!reader->section->takes_argument) {
		if (*argument)
			return fail(reader, -EINVAL, "section [%s] takes no argument", name);
		if (!mark(&reader->sections_seen, i))
			return fail(reader, -EINVAL, "section [%s] is there twice; join the two",
				    name);
	}

	assert(reader->section->key_count <= CONFIG_TABLE_MAX);
	r = reader->section->open(reader->config, argument, &reader->target, why);
	if (r < 0)
		return fail(reader, r, "[%s]: %s", name, why);
	note_line(reader, NULL);
	return 0;
}

/* @text: "[name]" or "[name argument]", then perhaps a comment. Changed on the way. */
static int read_section(struct reader *reader, char *text)
{
	char *name = skip_blanks(text + 1), *end = strchr(text, ']'), *rest, *argument;

	if (!end)
		return fail(reader, -EINVAL, "the section's name does not end with ]");
	*end = '\0';
	rest = skip_blanks(end + 1);
	if (*rest && *rest != ';' && *rest != '#')
		return fail(reader, -EINVAL, "there is text after the section's ]");

	trim_end(name);
	argument = name + strcspn(name, " \t");
	if (*argument) {
		*argument++ = '\0';
		argument = skip_blanks(argument);
	}
	return open_section(reader, name, argument);
}

static int set_key(struct reader *reader, const char *name, const char *value)
{
	const struct config_section *section = reader->section;
	char why[CONFIG_MESSAGE_SIZE] = "";
	size_t i = 0;
	int r;

	if (!section)
		return fail(reader, -EINVAL, "%s stands before the first [section]", name);

	while (i < section->key_count && strcmp(section->keys[i].name, name) != 0)
		i++;
	if (i == section->key_count)
		return fail(reader, -EINVAL, "section [%s] has no key %s", section->name, name);
	if (!mark(&reader->keys_seen, i))
		return fail(reader, -EINVAL, "%s is there twice; remove one", name);

	r = section->keys[i].parse(reader->target, value, why);
	if (r < 0)
		return fail(reader, r, "%s: %s", name, why);
	note_line(reader, name);
	return 0;
}

/* What libinih calls for "key = value". Returns 0 on an error. Its section is not used. */
static int on_key(void *userdata, const char *inih_section, const char *name, const char *value)
{
	struct reader *reader = userdata;

	return !reader->error && set_key(reader, name, value) == 0;
}

/* Reads a line, without its newline, into @size bytes. Returns 1, 0 at the file's end, or an error.
 */
static int read_line(struct reader *reader, char *text, size_t size)
{
	size_t length = 0;
	int c;

	reader->line++;
	while ((c = getc(reader->file)) != EOF && c != '\n') {
		if (c == '\0')
			return fail(reader, -EINVAL, "there is a NUL byte; this is no text file");
		if (length + 1 >= size)
			return fail(reader, -EINVAL, "the line is longer than %zu bytes", size - 1);
		text[length++] = (char) c;
	}
	text[length] = '\0';
	if (ferror(reader->file))
		return fail(reader, errno ? -errno : -EIO, "cannot read: %s", strerror(errno));
	return c == '\n' || length > 0;
}

/* From a # behind a blank on; libinih does the same from a ; on. */
static void drop_comment(char *text)
{
	for (char *at = strchr(text, '#'); at; at = strchr(at + 1, '#'))
		if (at > text && isspace((unsigned char) at[-1])) {
			*at = '\0';
			return;
		}
}

/* What libinih calls for each line: fgets() without the newline, which it would trim. */
static char *feed_line(char *text, int size, void *userdata)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf"; /* of UTF-8; some editors write it */
	struct reader *reader = userdata;
	char *start = text;

	if (reader->error || read_line(reader, text, (size_t) size) <= 0)
		return NULL;

	if (reader->line == 1 && strncmp(text, byte_order_mark, strlen(byte_order_mark)) == 0)
		start += strlen(byte_order_mark);
	start = skip_blanks(start);
	if (*start == '[') {
		if (read_section(reader, start) < 0)
			return NULL;
		*start = '\0';
	}
	drop_comment(start);

	/* An indented line would continue the value above it. */
	memmove(text, start, strlen(start) + 1);
	return text;
}

int config_read(const char *path, const struct config_section *sections, size_t section_count,
		void *config, char *reterr_message)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	struct reader reader = {
		.path = path,
		.file = file,
		.sections = sections,
		.section_count = section_count,
		.config = config,
		.reterr_message = reterr_message,
	};
	int line;

	assert(section_count <= CONFIG_TABLE_MAX);
	if (!file) {
		int r = -errno;

		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "%s: cannot open: %s", path,
				strerror(-r));
		return r;
	}

	line = ini_parse_stream(feed_line, &reader, on_key, &reader);
	if (line > 0 && (!reader.error || (unsigned) line < reader.error_line)) {
		reader.line = (unsigned) line;
		return fail(&reader, -EINVAL, "this is neither \"key = value\" nor \"[section]\"");
	}
	if (line < 0 && !reader.error)
		return fail(&reader, -ENOMEM, "out of memory");
	return reader.error;
}
