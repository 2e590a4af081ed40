// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire_unpack.c - an Envelope to C values, everything checked.
 *
 * Fields are read as they come, a later one over an earlier one, as protobuf has it; what must be
 * there, and in which range, is checked when all have been read. Lists are counted before they are
 * read, so that no more memory is taken than their cap allows. The first thing that is wrong is
 * remembered, and later reads do nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "nva/wire_schema.h"

struct unpacking {
	struct nvo3_message *to;
	const char *what; /* is wrong; NULL as long as nothing is */
	bool out_of_memory;
};

static void fail(struct unpacking *unpacking, const char *what)
{
	if (!unpacking->what)
		unpacking->what = what;
}

static void require(struct unpacking *unpacking, bool right, const char *what)
{
	if (!right)
		fail(unpacking, what);
}

static void *member_of(struct unpacking *unpacking, const struct field *field)
{
	return (char *) unpacking->to + field->offset;
}

/* --- one field's value --- */

typedef void field_reader(struct unpacking *unpacking, const struct field *field,
			  struct pb_reader *value);

static void read_u32(struct unpacking *unpacking, const struct field *field,
		     struct pb_reader *value)
{
	*(uint32_t *) member_of(unpacking, field) = (uint32_t) pb_read_varint(value);
}

static void read_u64(struct unpacking *unpacking, const struct field *field,
		     struct pb_reader *value)
{
	*(uint64_t *) member_of(unpacking, field) = pb_read_varint(value);
}

static void read_bool(struct unpacking *unpacking, const struct field *field,
		      struct pb_reader *value)
{
	*(bool *) member_of(unpacking, field) = pb_read_varint(value) != 0;
}

static void read_role(struct unpacking *unpacking, const struct field *field,
		      struct pb_reader *value)
{
	uint64_t role = pb_read_varint(value);

	require(unpacking, role <= 1, field->what);
	unpacking->to->role = role == 1 ? NVO3_ROLE_GATEWAY : NVO3_ROLE_NVE;
}

static void read_mac(struct unpacking *unpacking, const struct field *field,
		     struct pb_reader *value)
{
	struct mac *mac = member_of(unpacking, field);

	*mac = (struct mac){ 0 };
	if (pb_more(value) &&
	    (mac_from_bytes(value->pos, pb_left(value), mac) < 0 || mac_is_zero(*mac)))
		fail(unpacking, field->what);
}

static void read_ip(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct ip *ip = member_of(unpacking, field);

	*ip = (struct ip){ 0 };
	if (pb_more(value) && ip_from_bytes(value->pos, pb_left(value), ip) < 0)
		fail(unpacking, field->what);
}

static void read_uuid(struct unpacking *unpacking, const struct field *field,
		      struct pb_reader *value)
{
	struct uuid *uuid = member_of(unpacking, field);

	*uuid = (struct uuid){ 0 };
	if (pb_more(value) && uuid_from_bytes(value->pos, pb_left(value), uuid) < 0)
		fail(unpacking, field->what);
}

/* A name ends up in logs, JSON and tables: letters, digits, dot, underscore, hyphen. */
static bool is_name_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

/* Copies a text of at most @max letters that are all @right. */
static void read_letters(struct unpacking *unpacking, const char *what, struct pb_reader *value,
			 bool (*right)(char c), char *ret_text, size_t max)
{
	size_t size = pb_left(value);

	if (size > max) {
		fail(unpacking, what);
		return;
	}
	for (size_t i = 0; i < size; i++)
		require(unpacking, right((char) value->pos[i]), what);
	memcpy(ret_text, value->pos, size);
	ret_text[size] = '\0';
}

static void read_name(struct unpacking *unpacking, const struct field *field,
		      struct pb_reader *value)
{
	read_letters(unpacking, field->what, value, is_name_letter, member_of(unpacking, field),
		     NVO3_NAME_MAX);
}

static void read_reason(struct unpacking *unpacking, const struct field *field,
			struct pb_reader *value)
{
	read_letters(unpacking, field->what, value, is_printable, member_of(unpacking, field),
		     NVO3_TEXT_MAX);
}

static void read_json(struct unpacking *unpacking, const struct field *field,
		      struct pb_reader *value)
{
	size_t size = pb_left(value);

	if (size > NVO3_JSON_MAX || memchr(value->pos, '\0', size)) {
		fail(unpacking, field->what);
		return;
	}
	free(unpacking->to->json);
	unpacking->to->json = strndup((const char *) value->pos, size);
	unpacking->out_of_memory |= !unpacking->to->json;
}

static void read_flows(struct unpacking *unpacking, const struct field *field,
		       struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;

	if (pb_left(value) > NVO3_FLOWS_MAX) {
		fail(unpacking, field->what);
		return;
	}
	free(to->flows);
	to->flows_size = pb_left(value);
	to->flows = malloc(to->flows_size + 1);
	if (to->flows) {
		memcpy(to->flows, value->pos, to->flows_size);
		return;
	}
	to->flows_size = 0;
	unpacking->out_of_memory = true;
	fail(unpacking, "memory");
}

/* --- lists: prepare_lists() has made room --- */

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

static void read_endpoint(struct unpacking *unpacking, const struct field *field,
			  struct pb_reader *value);

static void read_member(struct unpacking *unpacking, const struct field *field,
			struct pb_reader *value)
{
	struct ip *ip = &unpacking->to->members[unpacking->to->member_count++];

	if (ip_from_bytes(value->pos, pb_left(value), ip) < 0 || !ip_is_unicast(*ip))
		fail(unpacking, field->what);
}

/* A field that stands there once: what comes later is added to what came earlier. */
static void read_mapping(struct unpacking *unpacking, const struct field *field,
			 struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;
	const char *what;

	if (to->mapping_count == 0)
		(void) add_mapping(to->mappings, &to->mapping_count);
	what = mapping_unpack(value, &to->mappings[0]);
	require(unpacking, !what, what);
}

static void read_mappings(struct unpacking *unpacking, const struct field *field,
			  struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;
	const char *what = mapping_unpack(value, add_mapping(to->mappings, &to->mapping_count));

	require(unpacking, !what, what);
}

static void read_removed(struct unpacking *unpacking, const struct field *field,
			 struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;
	const char *what = removed_unpack(value, add_mapping(to->removed, &to->removed_count));

	require(unpacking, !what, what);
}

/* Packed, as they are written, or one by one, as they may be. */
static void read_generations(struct unpacking *unpacking, const struct field *field,
			     struct pb_reader *value)
{
	struct nvo3_message *to = unpacking->to;

	while (pb_more(value)) {
		uint64_t generation = pb_read_varint(value);

		require(unpacking, generation <= NVO3_GENERATION_MAX, field->what);
		to->generations[to->generation_count++] = generation;
	}
}

static void read_refusal(struct unpacking *unpacking, const struct field *field,
			 struct pb_reader *value)
{
	struct nvo3_refusal *refusal = &unpacking->to->refusals[unpacking->to->refusal_count++];

	*refusal = (struct nvo3_refusal){ 0 };
	while (pb_more(value)) {
		uint64_t tag = pb_read_varint(value);

		if (tag == PB_TAG(1, PB_VARINT)) {
			refusal->index = (uint32_t) pb_read_varint(value);
		} else if (tag == PB_TAG(2, PB_BYTES)) {
			struct pb_reader text = pb_read_bytes(value);

			read_letters(unpacking, "reason", &text, is_printable, refusal->text,
				     NVO3_TEXT_MAX);
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

/* Room in each list for all that @body has, and what an earlier one of the same kind had. */
static void prepare_lists(struct unpacking *unpacking, const struct body *table,
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

/* --- all fields of a body --- */

static const struct field_kind {
	enum pb_type wire;
	field_reader *read;
} field_kinds[] = {
	[FIELD_U32] = { PB_VARINT, read_u32 },
	[FIELD_U64] = { PB_VARINT, read_u64 },
	[FIELD_BOOL] = { PB_VARINT, read_bool },
	[FIELD_ROLE] = { PB_VARINT, read_role },
	[FIELD_VNI] = { PB_VARINT, read_u32 },
	[FIELD_GENERATION] = { PB_VARINT, read_u64 },
	[FIELD_REVISION] = { PB_VARINT, read_u64 },
	[FIELD_MAC] = { PB_BYTES, read_mac },
	[FIELD_MAC_OR_NONE] = { PB_BYTES, read_mac },
	[FIELD_IP] = { PB_BYTES, read_ip },
	[FIELD_IP_OR_NONE] = { PB_BYTES, read_ip },
	[FIELD_UUID] = { PB_BYTES, read_uuid },
	[FIELD_NAME] = { PB_BYTES, read_name },
	[FIELD_REASON] = { PB_BYTES, read_reason },
	[FIELD_JSON] = { PB_BYTES, read_json },
	[FIELD_FLOWS] = { PB_BYTES, read_flows },
	[FIELD_ENDPOINT] = { PB_BYTES, read_endpoint },
	[FIELD_MEMBERS] = { PB_BYTES, read_member },
	[FIELD_MAPPING] = { PB_BYTES, read_mapping },
	[FIELD_MAPPING_OR_NONE] = { PB_BYTES, read_mapping },
	[FIELD_MAPPINGS] = { PB_BYTES, read_mappings },
	[FIELD_REMOVED] = { PB_BYTES, read_removed },
	[FIELD_GENERATIONS] = { PB_BYTES, read_generations },
	[FIELD_REFUSALS] = { PB_BYTES, read_refusal },
};
static_assert(ARRAY_SIZE(field_kinds) == FIELD_TYPE_COUNT, "a type has no reader");

static const struct field *find_field(const struct body *table, uint64_t number)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->fields[i].number == number)
			return &table->fields[i];
	return NULL;
}

/* True when @type is how @field may be written. */
static bool takes(const struct field *field, enum pb_type type)
{
	return field_kinds[field->type].wire == type ||
	       (field->type == FIELD_GENERATIONS && type == PB_VARINT);
}

/* One field that the table knows; its value may be a part of @body, or its next bytes. */
static void read_field(struct unpacking *unpacking, const struct field *field, enum pb_type type,
		       struct pb_reader *body)
{
	struct pb_reader value = *body;

	if (type == PB_BYTES) {
		value = pb_read_bytes(body);
	} else {
		(void) pb_read_varint(body);
		value.end = body->pos;
	}
	if (!body->failed)
		field_kinds[field->type].read(unpacking, field, &value);
	body->failed |= value.failed;
}

static void read_fields(struct unpacking *unpacking, const struct body *table,
			struct pb_reader *body)
{
	while (pb_more(body) && !unpacking->what) {
		uint64_t tag = pb_read_varint(body);
		const struct field *field = find_field(table, tag >> 3);

		if (field && takes(field, tag & 7))
			read_field(unpacking, field, tag & 7, body);
		else
			pb_skip(body, tag);
	}
	if (body->failed)
		fail(unpacking, "envelope");
}

/* --- what must be there --- */

static void read_endpoint(struct unpacking *unpacking, const struct field *field,
			  struct pb_reader *value)
{
	read_fields(unpacking, &nvo3_endpoint, value);
}

static bool is_right(const struct nvo3_message *message, const struct field *field)
{
	const void *member = (const char *) message + field->offset;
	struct mac mac;

	switch (field->type) {
	case FIELD_VNI:
		return *(const uint32_t *) member >= 1 && *(const uint32_t *) member <= VNI_MAX;
	case FIELD_GENERATION:
		return *(const uint64_t *) member <= NVO3_GENERATION_MAX;
	case FIELD_REVISION:
		return *(const uint64_t *) member > 0;
	case FIELD_MAC:
	case FIELD_MAC_OR_NONE:
		mac = *(const struct mac *) member;
		return (field->type == FIELD_MAC_OR_NONE || !mac_is_zero(mac)) &&
		       !mac_is_group(mac);
	case FIELD_IP:
		return ip_is_unicast(*(const struct ip *) member);
	case FIELD_IP_OR_NONE:
		return ip_is_none(*(const struct ip *) member) ||
		       ip_is_unicast(*(const struct ip *) member);
	case FIELD_NAME:
		return *(const char *) member != '\0';
	case FIELD_JSON:
		return message->json && message->json[0] != '\0';
	case FIELD_MAPPING:
		return message->mapping_count > 0;
	case FIELD_U32:
	case FIELD_U64:
	case FIELD_BOOL:
	case FIELD_ROLE:
	case FIELD_UUID:
	case FIELD_REASON:
	case FIELD_FLOWS:
	case FIELD_ENDPOINT:
	case FIELD_MEMBERS:
	case FIELD_MAPPING_OR_NONE:
	case FIELD_MAPPINGS:
	case FIELD_REMOVED:
	case FIELD_GENERATIONS:
	case FIELD_REFUSALS:
	case FIELD_TYPE_COUNT:
		break;
	}
	return true;
}

static void check_fields(struct unpacking *unpacking, const struct body *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];

		if (field->type == FIELD_ENDPOINT)
			check_fields(unpacking, &nvo3_endpoint);
		require(unpacking, is_right(unpacking->to, field), field->what);
	}
}

static void check_message(struct unpacking *unpacking)
{
	const struct body *table = &nvo3_bodies[unpacking->to->kind];
	const char *what;

	check_fields(unpacking, table);
	if (unpacking->what || !table->fault)
		return;
	what = table->fault(unpacking->to);
	require(unpacking, !what, what);
}

/* --- the whole --- */

/* Of two bodies of different kinds the later one counts; of the same kind, both together. */
static void read_body(struct unpacking *unpacking, enum nvo3_kind kind, struct pb_reader *body)
{
	uint64_t id = unpacking->to->id;

	if (unpacking->to->kind != kind) {
		nvo3_message_clear(unpacking->to);
		unpacking->to->kind = kind;
		unpacking->to->id = id;
	}
	prepare_lists(unpacking, &nvo3_bodies[kind], body);
	read_fields(unpacking, &nvo3_bodies[kind], body);
}

static void read_envelope(struct unpacking *unpacking, struct pb_reader *envelope)
{
	unpacking->to->kind = NVO3_KIND_COUNT;
	while (pb_more(envelope) && !unpacking->what) {
		uint64_t tag = pb_read_varint(envelope), number = tag >> 3;

		if (tag == PB_TAG(ENVELOPE_ID, PB_VARINT)) {
			unpacking->to->id = pb_read_varint(envelope);
		} else if ((tag & 7) == PB_BYTES && number >= ENVELOPE_BODY &&
			   number < ENVELOPE_BODY + NVO3_KIND_COUNT) {
			struct pb_reader body = pb_read_bytes(envelope);

			read_body(unpacking, (enum nvo3_kind)(number - ENVELOPE_BODY), &body);
		} else {
			pb_skip(envelope, tag);
		}
	}
	if (envelope->failed)
		fail(unpacking, "envelope");
	require(unpacking, unpacking->to->kind != NVO3_KIND_COUNT, "kind");
}

int nvo3_unpack(const uint8_t *data, size_t size, struct nvo3_message *ret_message,
		const char **reterr_what)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	struct pb_reader envelope = { data, data + size, false };
	struct unpacking unpacking = { .to = &message };

	read_envelope(&unpacking, &envelope);
	if (!unpacking.what)
		check_message(&unpacking);
	if (unpacking.out_of_memory)
		return -ENOMEM;
	if (unpacking.what) {
		*reterr_what = unpacking.what;
		return -EBADMSG;
	}
	*ret_message = message;
	message = (struct nvo3_message){ 0 }; /* given away */
	return 0;
}
