/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire_schema.h - what nvo3.proto says, as tables: which field of a body is which member of struct
 * nvo3_message. Packing and unpacking follow the same tables. For wire_*.c.
 */
#ifndef REHOME_NVA_WIRE_SCHEMA_H
#define REHOME_NVA_WIRE_SCHEMA_H

#include "nva/protobuf.h"
#include "nva/wire.h"

enum field_type {
	FIELD_U32,
	FIELD_U64,
	FIELD_BOOL,
	FIELD_ROLE,
	FIELD_VNI,
	FIELD_GENERATION,
	FIELD_REVISION, /* not 0 */
	FIELD_MAC,	/* unicast */
	FIELD_MAC_OR_NONE,
	FIELD_IP, /* unicast */
	FIELD_IP_OR_NONE,
	FIELD_UUID,
	FIELD_NAME,
	FIELD_REASON,
	FIELD_JSON,
	FIELD_FLOWS,
	FIELD_DIGEST,
	FIELD_ENDPOINT, /* a message of the members vni, mac and generation */
	FIELD_MEMBERS,
	FIELD_MAPPING, /* one, which must be there */
	FIELD_MAPPING_OR_NONE,
	FIELD_MAPPINGS,
	FIELD_REMOVED,
	FIELD_GENERATIONS,
	FIELD_REFUSALS,
	FIELD_TYPE_COUNT,
};

struct field {
	unsigned number;
	enum field_type type;
	size_t offset;	  /* of the member; the types from FIELD_ENDPOINT on have theirs */
	const char *what; /* for the peer that gets it wrong */
};

struct body {
	const struct field *fields; /* by number */
	size_t count;
	/* What is wrong with a message each of whose fields is right, or NULL. */
	const char *(*fault)(const struct nvo3_message *message);
};

enum {
	ENVELOPE_ID = 1,
	ENVELOPE_BODY = 10, /* the field of the first kind; the others follow in their order */
};

extern const struct body nvo3_bodies[NVO3_KIND_COUNT];
extern const struct body nvo3_endpoint;

/* --- wire_mapping.c: what there are many of --- */

/* Reads a Mapping; what is wrong with it, or NULL. @reader has the bytes of the whole. */
const char *mapping_unpack(struct pb_reader *reader, struct mapping *ret_mapping);
/* So many bytes mapping_pack() needs at most, for its field's head, too. */
size_t mapping_bound(const struct mapping *mapping);
void mapping_pack(struct pb_writer *writer, unsigned number, const struct mapping *mapping);

/* The Endpoint of a mapping that is gone. */
enum {
	ENDPOINT_BOUND = 32,
};
const char *removed_unpack(struct pb_reader *reader, struct mapping *ret_mapping);
void removed_pack(struct pb_writer *writer, unsigned number, const struct mapping *mapping);

#endif
