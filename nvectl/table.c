/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/table.h"

#include <errno.h>
#include <string.h>

#include "nvectl/text.h"

enum {
	COLUMN_GAP = 2,
};

struct table {
	size_t columns;
	size_t count, room; /* cells used and allocated */
	char **cells;	    /* owned; row by row */
};

struct table *table_new(size_t columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table)
		table->columns = columns;
	return table;
}

struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;

	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
	return NULL;
}

static int grow(struct table *table)
{
	size_t room = table->room ? table->room * 2 : 64;
	char **cells;

	if (table->count < table->room)
		return 0;
	cells = reallocarray(table->cells, room, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->room = room;
	return 0;
}

int table_add(struct table *table, const char *text)
{
	char *cell;

	if (grow(table) < 0)
		return -ENOMEM;
	cell = strdup(text[0] ? text : "-");
	if (!cell)
		return -ENOMEM;

	table->cells[table->count++] = text_disarm(cell);
	return 0;
}

/* Characters of UTF-8 text: the bytes that do not continue one (RFC 3629 section 3). */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char) *text & 0xc0) != 0x80;
	return width;
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t widest = 0;

	for (size_t i = column; i < table->count; i += table->columns) {
		size_t width = width_of(table->cells[i]);

		if (width > widest)
			widest = width;
	}
	return widest;
}

void table_print(const struct table *table, FILE *out)
{
	_cleanup_free_ size_t *widths = calloc(table->columns, sizeof(*widths));

	for (size_t i = 0; widths && i < table->columns; i++)
		widths[i] = column_width(table, i);

	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;
		size_t width = width_of(table->cells[i]);
		size_t wanted = widths ? widths[column] : width;

		fputs(table->cells[i], out);
		if (column + 1 == table->columns)
			fputc('\n', out);
		else
			fprintf(out, "%*s", (int) (wanted - width + COLUMN_GAP), "");
	}
}
