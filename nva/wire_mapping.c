// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire_mapping.c - messages Mapping and Endpoint of nvo3.proto. There are thousands of them in one
 * frame, so this is written out, without a table.
 */
#include "nva/wire_schema.h"

/* The fields of a Mapping; those of an Endpoint are the first two, and its generation. */
enum {
	MAPPING_VNI = 1,
	MAPPING_MAC = 2,
	MAPPING_IPS = 3,
	MAPPING_VTEP = 4,
	MAPPING_GENERATION = 5,
	MAPPING_UUID = 6,
	MAPPING_FLAG_BITS = 7,
	ENDPOINT_GENERATION = 3,

	/* Tag and length or number of all but the addresses, and the head of the whole. */
	MAPPING_FIXED_BOUND = 6 + 8 + 18 + 8 + 18 + 6 + 6,
	MAPPING_IP_BOUND = 18,
};

static void read_mac(struct pb_reader *reader, struct mapping *mapping, const char **what)
{
	struct pb_reader bytes = pb_read_bytes(reader);

	if (mac_from_bytes(bytes.pos, pb_left(&bytes), &mapping->mac) < 0)
		*what = "mac";
}

static void read_ip(struct pb_reader *reader, struct ip *ip, const char *name, const char **what)
{
	struct pb_reader bytes = pb_read_bytes(reader);

	if (ip_from_bytes(bytes.pos, pb_left(&bytes), ip) < 0 || !ip_is_unicast(*ip))
		*what = name;
}

static void read_address(struct pb_reader *reader, struct mapping *mapping, const char **what)
{
	if (mapping->ip_count < MAPPING_IPS_MAX) {
		read_ip(reader, &mapping->ips[mapping->ip_count++], "mapping.ips", what);
		return;
	}
	(void) pb_read_bytes(reader);
	*what = "mapping.ips";
}

static void read_vtep(struct pb_reader *reader, struct mapping *mapping, const char **what)
{
	struct pb_reader peek = *reader;

	mapping->vtep = (struct ip){ 0 };
	if (pb_read_varint(&peek) == 0)
		*reader = peek;
	else
		read_ip(reader, &mapping->vtep, "mapping.vtep", what);
}

static void read_uuid(struct pb_reader *reader, struct mapping *mapping, const char **what)
{
	struct pb_reader bytes = pb_read_bytes(reader);

	mapping->vm = (struct uuid){ 0 };
	if (pb_more(&bytes) && uuid_from_bytes(bytes.pos, pb_left(&bytes), &mapping->vm) < 0)
		*what = "vm";
}

static const char *identity_fault(const struct mapping *mapping)
{
	if (mapping->vni < 1 || mapping->vni > VNI_MAX)
		return "vni";
	if (mac_is_zero(mapping->mac) || mac_is_group(mapping->mac))
		return "mac";
	return mapping->generation > NVO3_GENERATION_MAX ? "generation" : NULL;
}

const char *mapping_unpack(struct pb_reader *reader, struct mapping *ret_mapping)
{
	const char *what = NULL;

	while (pb_more(reader)) {
		uint64_t tag = pb_read_varint(reader);

		switch (tag) {
		case PB_TAG(MAPPING_VNI, PB_VARINT):
			ret_mapping->vni = (uint32_t) pb_read_varint(reader);
			break;
		case PB_TAG(MAPPING_MAC, PB_BYTES):
			read_mac(reader, ret_mapping, &what);
			break;
		case PB_TAG(MAPPING_IPS, PB_BYTES):
			read_address(reader, ret_mapping, &what);
			break;
		case PB_TAG(MAPPING_VTEP, PB_BYTES):
			read_vtep(reader, ret_mapping, &what);
			break;
		case PB_TAG(MAPPING_GENERATION, PB_VARINT):
			ret_mapping->generation = pb_read_varint(reader);
			break;
		case PB_TAG(MAPPING_UUID, PB_BYTES):
			read_uuid(reader, ret_mapping, &what);
			break;
		case PB_TAG(MAPPING_FLAG_BITS, PB_VARINT):
			ret_mapping->flags = (uint32_t) pb_read_varint(reader);
			break;
		default:
			pb_skip(reader, tag);
		}
	}
	if (reader->failed)
		return "envelope";
	if (what)
		return what;
	what = identity_fault(ret_mapping);
	if (!what && (ret_mapping->flags & ~(uint32_t) MAPPING_FLAGS))
		what = "mapping.flags";
	return what;
}

size_t mapping_bound(const struct mapping *mapping)
{
	return MAPPING_FIXED_BOUND + mapping->ip_count * (size_t) MAPPING_IP_BOUND;
}

void mapping_pack(struct pb_writer *writer, unsigned number, const struct mapping *mapping)
{
	const uint8_t *end = writer->pos;

	pb_put_number(writer, MAPPING_FLAG_BITS, mapping->flags);
	if (!uuid_is_none(mapping->vm))
		pb_put_bytes(writer, MAPPING_UUID, mapping->vm.octet, UUID_SIZE);
	pb_put_number(writer, MAPPING_GENERATION, mapping->generation);
	pb_put_bytes(writer, MAPPING_VTEP, mapping->vtep.octet, ip_size(mapping->vtep));
	for (size_t i = mapping->ip_count; i-- > 0;)
		pb_put_bytes(writer, MAPPING_IPS, mapping->ips[i].octet, ip_size(mapping->ips[i]));
	pb_put_bytes(writer, MAPPING_MAC, mapping->mac.octet, MAC_SIZE);
	pb_put_number(writer, MAPPING_VNI, mapping->vni);
	pb_put_head(writer, number, end);
}

const char *removed_unpack(struct pb_reader *reader, struct mapping *ret_mapping)
{
	const char *what = NULL;

	while (pb_more(reader)) {
		uint64_t tag = pb_read_varint(reader);

		if (tag == PB_TAG(MAPPING_VNI, PB_VARINT))
			ret_mapping->vni = (uint32_t) pb_read_varint(reader);
		else if (tag == PB_TAG(MAPPING_MAC, PB_BYTES))
			read_mac(reader, ret_mapping, &what);
		else if (tag == PB_TAG(ENDPOINT_GENERATION, PB_VARINT))
			ret_mapping->generation = pb_read_varint(reader);
		else
			pb_skip(reader, tag);
	}
	if (reader->failed)
		return "envelope";
	return what ? what : identity_fault(ret_mapping);
}

void removed_pack(struct pb_writer *writer, unsigned number, const struct mapping *mapping)
{
	const uint8_t *end = writer->pos;

	pb_put_number(writer, ENDPOINT_GENERATION, mapping->generation);
	pb_put_bytes(writer, MAPPING_MAC, mapping->mac.octet, MAC_SIZE);
	pb_put_number(writer, MAPPING_VNI, mapping->vni);
	pb_put_head(writer, number, end);
}
