// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire_unpack_list.c - fields that may come many times. They are counted before they are read, so
 * that no more memory is taken than their cap allows.
 */
#include <stdlib.h>

#include "nva/wire_unpack.h"

static struct mapping *add_mapping(struct mapping *list, size_t *count)
{
	struct mapping *mapping = &list[(*count)++];

	/* Not the addresses: they are many, and valid up to ip_count only. */
	mapping->vni = 0;
	mapping->mac = (struct mac){ 0 };
	mapping->ip_count = 0;
	mapping->vtep = (struct ip){ 0 };
	mapping->generation = 0;
	mapping->vm = (struct uuid){ 0 };
	mapping->flags = 0;
	return mapping;
}

void read_member(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct ip *ip = &unpacking->to->members[unpacking->to->member_count++];

	if (ip_from_bytes(value->pos, pb_left(value), ip) < 0 || !ip_is_unicast(*ip))
		fail(unpacking, field->what);
}

/* A field that stands there once: what comes later is added to what came earlier. */
void read_mapping(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;
	const char *what;

	if (to->mapping_count == 0)
		(void) add_mapping(to->mappings, &to->mapping_count);
	what = mapping_unpack(value, &to->mappings[0]);
	require(unpacking, !what, what);
}

void read_mappings(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;
	const char *what = mapping_unpack(value, add_mapping(to->mappings, &to->mapping_count));

	require(unpacking, !what, what);
}

void read_removed(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;
	const char *what = removed_unpack(value, add_mapping(to->removed, &to->removed_count));

	require(unpacking, !what, what);
}

/* Packed, as they are written, or one by one, as they may be. */
void read_generations(struct unpacking *unpacking, const struct field *field,
		      struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;

	while (pb_more(value)) {
		uint64_t generation = pb_read_varint(value);

		require(unpacking, generation <= NVO3_GENERATION_MAX, field->what);
		to->generations[to->generation_count++] = generation;
	}
}

void read_refusal(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct nvo3_refusal *refusal = &unpacking->to->refusals[unpacking->to->refusal_count++];

	*refusal = (struct nvo3_refusal){ 0 };
	while (pb_more(value)) {
		uint64_t tag = pb_read_varint(value);

		if (tag == PB_TAG(1, PB_VARINT)) {
			refusal->index = (uint32_t) pb_read_varint(value);
		} else if (tag == PB_TAG(2, PB_BYTES)) {
			struct pb_reader text = pb_read_bytes(value);

			read_text(unpacking, "reason", &text, refusal->text);
		} else {
			pb_skip(value, tag);
		}
	}
}

/* How many fields with @wanted as their tag. */
static size_t count_fields(struct pb_reader body, uint64_t wanted)
{
	size_t count = 0;

	while (pb_more(&body)) {
		uint64_t tag = pb_read_varint(&body);

		count += tag == wanted;
		pb_skip(&body, tag);
	}
	return count;
}

/* How many numbers: a packed one ends with each byte whose top bit is clear. */
static size_t count_numbers(struct pb_reader body, unsigned number)
{
	size_t count = 0;

	while (pb_more(&body)) {
		uint64_t tag = pb_read_varint(&body);
		struct pb_reader packed = { 0 };

		if (tag == PB_TAG(number, PB_BYTES))
			packed = pb_read_bytes(&body);
		else
			pb_skip(&body, tag);
		count += tag == PB_TAG(number, PB_VARINT);
		for (; pb_more(&packed); packed.pos++)
			count += *packed.pos < 0x80;
	}
	return count;
}

/* clang-format off */
static const struct list {
	size_t pointer, count;		/* offsets in struct nvo3_message */
	size_t size;			/* of an item; 0: the type is no list */
	size_t max;
} lists[FIELD_TYPE_COUNT] = {
#define LIST(pointer, count, max) \
	{ offsetof(struct nvo3_message, pointer), offsetof(struct nvo3_message, count), \
	  sizeof(*((struct nvo3_message *) NULL)->pointer), (max) }
	[FIELD_FLOWS] = LIST(flows, flows_size, 1), /* so that there is always a pointer */
	[FIELD_MEMBERS] = LIST(members, member_count, NVO3_MEMBERS_MAX),
	[FIELD_MAPPING] = LIST(mappings, mapping_count, 1),
	[FIELD_MAPPING_OR_NONE] = LIST(mappings, mapping_count, 1),
	[FIELD_MAPPINGS] = LIST(mappings, mapping_count, NVO3_BATCH_MAX),
	[FIELD_REMOVED] = LIST(removed, removed_count, NVO3_BATCH_MAX),
	[FIELD_GENERATIONS] = LIST(generations, generation_count, NVO3_BATCH_MAX),
	[FIELD_REFUSALS] = LIST(refusals, refusal_count, NVO3_BATCH_MAX),
#undef LIST
};
/* clang-format on */

static size_t count_items(const struct field *field, const struct pb_reader *body)
{
	size_t count = field->type == FIELD_GENERATIONS
			       ? count_numbers(*body, field->number)
			       : count_fields(*body, PB_TAG(field->number, PB_BYTES));

	if (field->type == FIELD_MAPPING || field->type == FIELD_MAPPING_OR_NONE)
		return count > 0;
	return count;
}

void prepare_lists(struct unpacking *unpacking, const struct body *table,
		   const struct pb_reader *body)
{
	for (size_t i = 0; i < table->count && !unpacking->what; i++) {
		const struct field *field = &table->fields[i];
		const struct list *list = &lists[field->type];
		void **pointer = (void **) ((char *) unpacking->to + list->pointer);
		size_t count;
		void *larger;

		if (list->size == 0)
			continue;
		count = *(size_t *) ((char *) unpacking->to + list->count) +
			count_items(field, body);
		if (count > list->max && list->max > 1) {
			fail(unpacking, field->what);
			return;
		}
		larger = realloc(*pointer, (count + 1) * list->size);
		if (!larger) {
			unpacking->out_of_memory = true;
			fail(unpacking, "memory");
			return;
		}
		*pointer = larger;
	}
}
