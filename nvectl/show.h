/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show.h - parts of a reply, for people. */
#ifndef REHOME_NVECTL_SHOW_H
#define REHOME_NVECTL_SHOW_H

#include "nvectl/view.h"

/* A list in a reply, and how it is shown. */
struct nvectl_list {
	const char *key;
	const struct view_column *columns;
	size_t column_count;
};

/* Prints it. Returns an exit status, having said what is wrong with it. */
int nvectl_print_list(struct json_object *reply, const struct nvectl_list *list);

/* "LABEL: TEXT", where @object has @key; @form is one of view.h's. */
void nvectl_print_field(const char *label, struct json_object *object, const char *key,
			char *(*form)(struct json_object *value));

#endif
