/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view.h - JSON values as text, and lists of JSON objects as tables. */
#ifndef REHOME_NVECTL_VIEW_H
#define REHOME_NVECTL_VIEW_H

#include <stdint.h>
#include <stdio.h>

#include "common/json.h"

struct view_column {
	const char *title;
	const char *key; /* member of each row */
	/* NULL: view_text(). Else as that, for a value that wants its own form. */
	char *(*text)(struct json_object *value);
};

/*
 * A value for people; the caller frees it. Null and absent give "-", arrays their members joined by
 * commas, booleans yes or no. NULL when out of memory.
 */
char *view_text(struct json_object *value);
/* Microseconds since 1970 as local date and time, to the millisecond. */
char *view_time_us(struct json_object *value);
/* Seconds as "3 h 12 min" or "45 s". */
char *view_duration_s(struct json_object *value);

/* Member @key of @object as view_text() gives it. */
char *view_member(struct json_object *object, const char *key);

/*
 * Prints the table of the objects in @rows, or "none" when there are none. Returns 0, -EBADMSG when
 * a row is no object, or -ENOMEM.
 */
int view_table(struct json_object *rows, const struct view_column *columns, size_t column_count,
	       FILE *out);

/* Prints "  KEY: VALUE" for each member of @object. */
void view_members(struct json_object *object, FILE *out);

#endif
