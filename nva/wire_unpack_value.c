// SPDX-License-Identifier: LGPL-2.1-or-later
/* wire_unpack_value.c - fields that are one value each. */
#include <stdlib.h>
#include <string.h>

#include "nva/wire_unpack.h"

void read_u32(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	*(uint32_t *) member_of(unpacking, field) = (uint32_t) pb_read_varint(value);
}

void read_u64(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	*(uint64_t *) member_of(unpacking, field) = pb_read_varint(value);
}

void read_bool(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	*(bool *) member_of(unpacking, field) = pb_read_varint(value) != 0;
}

void read_role(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	uint64_t role = pb_read_varint(value);

	require(unpacking, role <= NVO3_ROLE_STANDBY, field->what);
	unpacking->to->role = (enum nvo3_role) role;
}

void read_mac(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct mac *mac = member_of(unpacking, field);

	*mac = (struct mac){ 0 };
	if (pb_more(value) &&
	    (mac_from_bytes(value->pos, pb_left(value), mac) < 0 || mac_is_zero(*mac)))
		fail(unpacking, field->what);
}

void read_ip(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	struct ip *ip = member_of(unpacking, field);

	*ip = (struct ip){ 0 };
	if (pb_more(value) && ip_from_bytes(value->pos, pb_left(value), ip) < 0)
		fail(unpacking, field->what);
}

void read_uuid(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
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

void read_name(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	read_letters(unpacking, field->what, value, is_name_letter, member_of(unpacking, field),
		     NVO3_NAME_MAX);
}

void read_text(struct unpacking *unpacking, const char *what, struct pb_reader *value,
	       char *ret_text)
{
	read_letters(unpacking, what, value, is_printable, ret_text, NVO3_TEXT_MAX);
}

void read_reason(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	read_text(unpacking, field->what, value, member_of(unpacking, field));
}

void read_json(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
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

/* Copies bytes, at most @max of them, over what an earlier field had. */
static void read_blob(struct unpacking *unpacking, const char *what, struct pb_reader *value,
		      size_t max, uint8_t **bytes, size_t *size)
{
	if (pb_left(value) > max) {
		fail(unpacking, what);
		return;
	}
	free(*bytes);
	*size = pb_left(value);
	*bytes = malloc(*size + 1);
	if (*bytes) {
		memcpy(*bytes, value->pos, *size);
		return;
	}
	*size = 0;
	unpacking->out_of_memory = true;
	fail(unpacking, "memory");
}

void read_flows(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	read_blob(unpacking, field->what, value, NVO3_FLOWS_MAX, &unpacking->to->flows,
		  &unpacking->to->flows_size);
}

void read_digest(struct unpacking *unpacking, const struct field *field, struct pb_reader *value)
{
	read_blob(unpacking, field->what, value, NVO3_DIGEST_MAX, &unpacking->to->digest,
		  &unpacking->to->digest_size);
}
