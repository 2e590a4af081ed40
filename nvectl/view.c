/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/view.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "nvectl/table.h"
#include "nvectl/text.h"

enum {
	MINUTE_S = 60,
	HOUR_S = 60 * MINUTE_S,
	DAY_S = 24 * HOUR_S,
};

static char *join(struct json_object *array)
{
	char *list = NULL;
	size_t size;
	FILE *out = open_memstream(&list, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		_cleanup_free_ char *item = view_text(json_object_array_get_idx(array, i));

		fprintf(out, "%s%s", i ? "," : "", item ? item : "");
	}
	fclose(out);
	return list;
}

char *view_text(struct json_object *value)
{
	char *text;

	if (!value)
		return strdup("-");
	if (json_object_is_type(value, json_type_array))
		return join(value);
	if (json_object_is_type(value, json_type_boolean))
		return strdup(json_object_get_boolean(value) ? "yes" : "no");
	text = strdup(json_object_get_string(value));
	return text ? text_disarm(text) : NULL;
}

char *view_time_us(struct json_object *value)
{
	int64_t us = json_object_get_int64(value);
	time_t seconds = (time_t) (us / 1000000);
	struct tm local;
	char date[64];
	char *text;

	if (!json_object_is_type(value, json_type_int) || us <= 0 || !localtime_r(&seconds, &local))
		return view_text(value);
	strftime(date, sizeof(date), "%F %T", &local);
	return asprintf(&text, "%s.%03d", date, (int) (us % 1000000 / 1000)) < 0 ? NULL : text;
}

char *view_duration_s(struct json_object *value)
{
	int64_t s = json_object_get_int64(value);
	char *text;
	int r;

	if (!json_object_is_type(value, json_type_int))
		return view_text(value);
	if (s < MINUTE_S)
		r = asprintf(&text, "%lld s", (long long) s);
	else if (s < DAY_S)
		r = asprintf(&text, "%lld h %lld min", (long long) s / HOUR_S,
			     (long long) s % HOUR_S / MINUTE_S);
	else
		r = asprintf(&text, "%lld d %lld h", (long long) s / DAY_S,
			     (long long) s % DAY_S / HOUR_S);
	return r < 0 ? NULL : text;
}

char *view_member(struct json_object *object, const char *key)
{
	return view_text(json_object_object_get(object, key));
}

static int add_row(struct table *table, struct json_object *row, const struct view_column *columns,
		   size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct json_object *value = json_object_object_get(row, columns[i].key);
		_cleanup_free_ char *text = columns[i].text ? columns[i].text(value)
							    : view_text(value);

		if (!text || table_add(table, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

int view_table(struct json_object *rows, const struct view_column *columns, size_t column_count,
	       FILE *out)
{
	_cleanup_(table_freep) struct table *table = table_new(column_count);

	if (!table)
		return -ENOMEM;
	if (json_object_array_length(rows) == 0) {
		fputs("none\n", out);
		return 0;
	}

	for (size_t i = 0; i < column_count; i++)
		if (table_add(table, columns[i].title) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		int r;

		if (!json_object_is_type(row, json_type_object))
			return -EBADMSG;
		r = add_row(table, row, columns, column_count);
		if (r < 0)
			return r;
	}
	table_print(table, out);
	return 0;
}

void view_members(struct json_object *object, FILE *out)
{
	json_object_object_foreach(object, key, value) {
		_cleanup_free_ char *text = view_text(value);

		fprintf(out, "  %s: %s\n", key, text ? text : "");
	}
}
