/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire_unpack.h - the readers of fields; for wire_unpack*.c.
 *
 * A reader takes the bytes of one field's value and writes the member that the field is. What is
 * wrong with it is remembered, and the reader goes on: whoever called it looks afterwards.
 */
#ifndef REHOME_NVA_WIRE_UNPACK_H
#define REHOME_NVA_WIRE_UNPACK_H

#include "nva/wire_schema.h"

struct unpacking {
	struct nvo3_message *to;
	const char *what; /* is wrong; NULL as long as nothing is */
	bool out_of_memory;
};

static inline void fail(struct unpacking *unpacking, const char *what)
{
	if (!unpacking->what)
		unpacking->what = what;
}

static inline void require(struct unpacking *unpacking, bool right, const char *what)
{
	if (!right)
		fail(unpacking, what);
}

static inline void *member_of(struct unpacking *unpacking, const struct field *field)
{
	return (char *) unpacking->to + field->offset;
}

typedef void field_reader(struct unpacking *unpacking, const struct field *field,
			  struct pb_reader *value);

/* --- wire_unpack_value.c: one value --- */
field_reader read_u32, read_u64, read_bool, read_role, read_mac, read_ip, read_uuid, read_name,
	read_reason, read_json, read_flows, read_digest;
/* Printable ASCII, at most NVO3_TEXT_MAX of it. */
void read_text(struct unpacking *unpacking, const char *what, struct pb_reader *value,
	       char *ret_text);

/* --- wire_unpack_list.c: lists; prepare_lists() has made room --- */
field_reader read_member, read_mapping, read_mappings, read_removed, read_generations, read_refusal;
/* Room in each list for all that @body has, and what an earlier one of the same kind had. */
void prepare_lists(struct unpacking *unpacking, const struct body *table,
		   const struct pb_reader *body);

#endif
