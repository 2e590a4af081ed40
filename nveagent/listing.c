/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/listing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

enum { ERROR_SIZE = 512 };

void listing_begin(struct listing *listing, const struct control_list *list)
{
	*listing = (struct listing){ .list = *list };
}

void listing_clear(struct listing *listing)
{
	json_unref(listing->list.head);
	if (listing->list.next)
		listing->list.free(listing->list.state);
	*listing = (struct listing){ 0 };
}

bool listing_is_there(const struct listing *listing)
{
	return listing->list.next != NULL;
}

static int append(struct byte_queue *output, const char *text)
{
	return byte_queue_append(output, text, strlen(text));
}

/* The head as it is, but open, and the list's key. */
static int open_list(const struct control_list *list, struct byte_queue *output)
{
	const char *head = list->head ? json_text(list->head) : "{}";
	size_t size = head ? strlen(head) - 1 : 0;
	int r = head ? byte_queue_append(output, head, size) : -ENOMEM;

	if (r == 0)
		r = append(output, size > 1 ? ",\"" : "\"");
	if (r == 0)
		r = append(output, list->key);
	return r == 0 ? append(output, "\":[") : r;
}

/* The items of @array, without its brackets. */
static int append_items(struct listing *listing, struct json_object *array,
			struct byte_queue *output)
{
	size_t count = json_object_array_length(array);
	const char *text = json_text(array);
	int r = count && listing->count ? append(output, ",") : 0;

	if (!text)
		return -ENOMEM;
	listing->count += count;
	return r == 0 ? byte_queue_append(output, text + 1, strlen(text) - 2) : r;
}

static int close_list(const struct control_list *list, int error, struct byte_queue *output)
{
	_cleanup_(json_unrefp) struct json_object *end = json_object_new_object();
	char message[ERROR_SIZE];
	const char *text;
	int r;

	(void) snprintf(message, sizeof(message), "%s: %s", list->what, strerror(-error));
	if (!end || json_add_bool(end, "ok", error == 0) < 0 ||
	    (error < 0 && json_add_string(end, "error", message) < 0))
		return -ENOMEM;
	text = json_text(end);
	r = text ? append(output, "],") : -ENOMEM;
	if (r == 0)
		r = append(output, text + 1);
	return r == 0 ? append(output, "\n") : r;
}

int listing_make(struct listing *listing, struct byte_queue *output)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();
	const struct control_list *list = &listing->list;
	int r = listing->opened ? 0 : open_list(list, output), more;

	listing->opened = true;
	if (r < 0 || !array)
		return -ENOMEM;
	more = list->next(list->state, array);
	r = append_items(listing, array, output);
	if (r < 0 || more > 0)
		return r < 0 ? r : 1;
	return close_list(list, more, output);
}
