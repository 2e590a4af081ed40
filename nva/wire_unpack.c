// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire_unpack.c - an Envelope to C values, everything checked.
 *
 * Fields are read as they come, a later one over an earlier one, as protobuf has it; what must be
 * there, and in which range, is checked when all have been read. The first thing that is wrong is
 * remembered, and later reads do nothing.
 */
#include "nva/wire_unpack.h"

#include <errno.h>

static field_reader read_endpoint;

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
	[FIELD_DIGEST] = { PB_BYTES, read_digest },
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
	case FIELD_DIGEST:
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
