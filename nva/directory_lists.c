// SPDX-License-Identifier: LGPL-2.1-or-later
/* directory_lists.c - growing lists of what is to be told. */
#include "nva/directory_internal.h"

bool id_list_add(struct id_list *list, uint32_t id)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		uint32_t *ids = realloc(list->ids, room * sizeof(*ids));

		if (!ids)
			return false;
		list->ids = ids;
		list->room = room;
	}
	list->ids[list->count++] = id;
	return true;
}

void id_list_clear(struct id_list *list)
{
	free(list->ids);
	*list = (struct id_list){ 0 };
}

bool removal_list_add(struct removal_list *list, struct mac mac, uint64_t generation)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct removal *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return false;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = (struct removal){ mac, generation };
	return true;
}

void removal_list_clear(struct removal_list *list)
{
	free(list->items);
	*list = (struct removal_list){ 0 };
}

struct mapping removal_mapping(const struct removal *removal, uint32_t number)
{
	return (struct mapping){
		.vni = number,
		.mac = removal->mac,
		.generation = removal->generation,
	};
}
