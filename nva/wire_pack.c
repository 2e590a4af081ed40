// SPDX-License-Identifier: LGPL-2.1-or-later
/* wire_pack.c - C values to an Envelope, from its last byte to its first. */
#include <endian.h>
#include <errno.h>

#include "nva/wire_schema.h"

enum {
	/* Of all the single fields of any body, and the Envelope's own. */
	FIXED_BOUND = 256 + NVO3_NAME_MAX + NVO3_TEXT_MAX,
	MEMBER_BOUND = 18,
	GENERATION_BOUND = 10,
	REFUSAL_BOUND = NVO3_TEXT_MAX + 16,
};

typedef void field_packer(struct pb_writer *writer, const struct field *field,
			  const struct nvo3_message *message);

static const void *member_of(const struct nvo3_message *message, const struct field *field)
{
	return (const char *) message + field->offset;
}

static void pack_u32(struct pb_writer *writer, const struct field *field,
		     const struct nvo3_message *message)
{
	pb_put_number(writer, field->number, *(const uint32_t *) member_of(message, field));
}

static void pack_u64(struct pb_writer *writer, const struct field *field,
		     const struct nvo3_message *message)
{
	pb_put_number(writer, field->number, *(const uint64_t *) member_of(message, field));
}

static void pack_bool(struct pb_writer *writer, const struct field *field,
		      const struct nvo3_message *message)
{
	pb_put_number(writer, field->number, *(const bool *) member_of(message, field));
}

static void pack_role(struct pb_writer *writer, const struct field *field,
		      const struct nvo3_message *message)
{
	pb_put_number(writer, field->number, message->role);
}

static void pack_mac(struct pb_writer *writer, const struct field *field,
		     const struct nvo3_message *message)
{
	const struct mac *mac = member_of(message, field);

	pb_put_bytes(writer, field->number, mac->octet, mac_is_zero(*mac) ? 0 : MAC_SIZE);
}

static void pack_ip(struct pb_writer *writer, const struct field *field,
		    const struct nvo3_message *message)
{
	const struct ip *ip = member_of(message, field);

	pb_put_bytes(writer, field->number, ip->octet, ip_size(*ip));
}

static void pack_uuid(struct pb_writer *writer, const struct field *field,
		      const struct nvo3_message *message)
{
	const struct uuid *uuid = member_of(message, field);

	pb_put_bytes(writer, field->number, uuid->octet, uuid_is_none(*uuid) ? 0 : UUID_SIZE);
}

static void pack_name(struct pb_writer *writer, const struct field *field,
		      const struct nvo3_message *message)
{
	const char *name = member_of(message, field);

	pb_put_bytes(writer, field->number, name, strnlen(name, NVO3_NAME_MAX));
}

/* Everything but printable ASCII is replaced. */
static void put_reason(struct pb_writer *writer, unsigned number, const char *text)
{
	size_t size = strnlen(text, NVO3_TEXT_MAX);
	char printable[NVO3_TEXT_MAX];

	for (size_t i = 0; i < size; i++)
		printable[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	pb_put_bytes(writer, number, printable, size);
}

static void pack_reason(struct pb_writer *writer, const struct field *field,
			const struct nvo3_message *message)
{
	put_reason(writer, field->number, member_of(message, field));
}

static void pack_json(struct pb_writer *writer, const struct field *field,
		      const struct nvo3_message *message)
{
	pb_put_bytes(writer, field->number, message->json, strlen(message->json));
}

static void pack_flows(struct pb_writer *writer, const struct field *field,
		       const struct nvo3_message *message)
{
	pb_put_bytes(writer, field->number, message->flows, message->flows_size);
}

static void pack_digest(struct pb_writer *writer, const struct field *field,
			const struct nvo3_message *message)
{
	pb_put_bytes(writer, field->number, message->digest, message->digest_size);
}

static void pack_fields(struct pb_writer *writer, const struct body *body,
			const struct nvo3_message *message);

static void pack_endpoint(struct pb_writer *writer, const struct field *field,
			  const struct nvo3_message *message)
{
	const uint8_t *end = writer->pos;

	pack_fields(writer, &nvo3_endpoint, message);
	pb_put_head(writer, field->number, end);
}

static void pack_members(struct pb_writer *writer, const struct field *field,
			 const struct nvo3_message *message)
{
	for (size_t i = message->member_count; i-- > 0;)
		pb_put_bytes(writer, field->number, message->members[i].octet,
			     ip_size(message->members[i]));
}

static void pack_mappings(struct pb_writer *writer, const struct field *field,
			  const struct nvo3_message *message)
{
	for (size_t i = message->mapping_count; i-- > 0;)
		mapping_pack(writer, field->number, &message->mappings[i]);
}

static void pack_removed(struct pb_writer *writer, const struct field *field,
			 const struct nvo3_message *message)
{
	for (size_t i = message->removed_count; i-- > 0;)
		removed_pack(writer, field->number, &message->removed[i]);
}

static void pack_generations(struct pb_writer *writer, const struct field *field,
			     const struct nvo3_message *message)
{
	const uint8_t *end = writer->pos;

	for (size_t i = message->generation_count; i-- > 0;)
		pb_put_varint(writer, message->generations[i]);
	if (message->generation_count > 0)
		pb_put_head(writer, field->number, end);
}

static void pack_refusals(struct pb_writer *writer, const struct field *field,
			  const struct nvo3_message *message)
{
	for (size_t i = message->refusal_count; i-- > 0;) {
		const uint8_t *end = writer->pos;

		put_reason(writer, 2, message->refusals[i].text);
		pb_put_number(writer, 1, message->refusals[i].index);
		pb_put_head(writer, field->number, end);
	}
}

static field_packer *const packers[] = {
	[FIELD_U32] = pack_u32,
	[FIELD_U64] = pack_u64,
	[FIELD_BOOL] = pack_bool,
	[FIELD_ROLE] = pack_role,
	[FIELD_VNI] = pack_u32,
	[FIELD_GENERATION] = pack_u64,
	[FIELD_REVISION] = pack_u64,
	[FIELD_MAC] = pack_mac,
	[FIELD_MAC_OR_NONE] = pack_mac,
	[FIELD_IP] = pack_ip,
	[FIELD_IP_OR_NONE] = pack_ip,
	[FIELD_UUID] = pack_uuid,
	[FIELD_NAME] = pack_name,
	[FIELD_REASON] = pack_reason,
	[FIELD_JSON] = pack_json,
	[FIELD_FLOWS] = pack_flows,
	[FIELD_DIGEST] = pack_digest,
	[FIELD_ENDPOINT] = pack_endpoint,
	[FIELD_MEMBERS] = pack_members,
	[FIELD_MAPPING] = pack_mappings,
	[FIELD_MAPPING_OR_NONE] = pack_mappings,
	[FIELD_MAPPINGS] = pack_mappings,
	[FIELD_REMOVED] = pack_removed,
	[FIELD_GENERATIONS] = pack_generations,
	[FIELD_REFUSALS] = pack_refusals,
};
static_assert(ARRAY_SIZE(packers) == FIELD_TYPE_COUNT, "a type has no packer");

static void pack_fields(struct pb_writer *writer, const struct body *body,
			const struct nvo3_message *message)
{
	for (size_t i = body->count; i-- > 0;)
		packers[body->fields[i].type](writer, &body->fields[i], message);
}

/* --- the whole --- */

/* How many mappings a kind has: one, none or one, or a batch. */
static int check_counts(const struct nvo3_message *message)
{
	size_t mappings = message->mapping_count;

	if (message->kind == NVO3_REGISTER || message->kind == NVO3_MOVE_INTENT)
		return mappings == 1 ? 0 : -EINVAL;
	if (message->kind == NVO3_ANSWER)
		return mappings <= 1 ? 0 : -EINVAL;
	if (message->kind == NVO3_REGISTER_BATCH && mappings == 0)
		return -EINVAL;
	if (message->kind == NVO3_STATUS_REPLY && (!message->json || message->json[0] == '\0'))
		return -EINVAL;
	if (message->flows_size > NVO3_FLOWS_MAX || message->digest_size > NVO3_DIGEST_MAX)
		return -EMSGSIZE;
	if (mappings + message->removed_count > NVO3_BATCH_MAX ||
	    message->generation_count > NVO3_BATCH_MAX || message->refusal_count > NVO3_BATCH_MAX ||
	    message->member_count > NVO3_MEMBERS_MAX)
		return -EMSGSIZE;
	return 0;
}

/* No fewer bytes than the frame takes; -EMSGSIZE for an impossible mapping or text. */
static long frame_bound(const struct nvo3_message *message)
{
	size_t bound = FIXED_BOUND + message->member_count * MEMBER_BOUND +
		       message->removed_count * ENDPOINT_BOUND +
		       message->generation_count * GENERATION_BOUND +
		       message->refusal_count * REFUSAL_BOUND + message->flows_size +
		       message->digest_size;

	for (size_t i = 0; i < message->mapping_count; i++) {
		if (message->mappings[i].ip_count > MAPPING_IPS_MAX)
			return -EMSGSIZE;
		bound += mapping_bound(&message->mappings[i]);
	}
	if (message->json && strlen(message->json) > NVO3_JSON_MAX)
		return -EMSGSIZE;
	return (long) (bound + (message->json ? strlen(message->json) : 0));
}

static int finish(struct pb_writer *writer, const uint8_t *end, size_t *ret_size)
{
	size_t size = (size_t) (end - writer->pos);
	uint32_t length = htobe32((uint32_t) size);

	if (size > NVO3_FRAME_MAX - NVO3_LENGTH_SIZE)
		return -EMSGSIZE;
	pb_put(writer, &length, sizeof(length));
	*ret_size = size + NVO3_LENGTH_SIZE;
	memmove(writer->start, writer->pos, *ret_size);
	return 0;
}

int nvo3_pack(const struct nvo3_message *message, uint8_t **ret_frame, size_t *ret_size)
{
	_cleanup_free_ uint8_t *buffer = NULL;
	struct pb_writer writer;
	const uint8_t *end;
	long bound;
	int r;

	if ((unsigned) message->kind >= NVO3_KIND_COUNT)
		return -EINVAL;
	r = check_counts(message);
	if (r < 0)
		return r;
	bound = frame_bound(message);
	if (bound < 0)
		return (int) bound;
	buffer = malloc((size_t) bound);
	if (!buffer)
		return -ENOMEM;

	writer = (struct pb_writer){ buffer, buffer + bound };
	end = writer.pos;
	pack_fields(&writer, &nvo3_bodies[message->kind], message);
	pb_put_head(&writer, ENVELOPE_BODY + (unsigned) message->kind, end);
	pb_put_number(&writer, ENVELOPE_ID, message->id);
	r = finish(&writer, end, ret_size);
	if (r == 0)
		*ret_frame = TAKE_PTR(buffer);
	return r;
}
