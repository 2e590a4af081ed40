// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/change.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"

enum {
	ENDPOINT_SIZE = 4 + MAC_SIZE, /* VNI and MAC */
};

const char *change_kind_name(enum change_kind kind)
{
	static const char *const names[CHANGE_KIND_COUNT] = {
		[CHANGE_IDENTITY] = "identity",	      [CHANGE_NVE] = "nve",
		[CHANGE_NVE_GONE] = "nve-gone",	      [CHANGE_MEMBER] = "member",
		[CHANGE_MEMBER_GONE] = "member-gone", [CHANGE_MAPPING] = "mapping",
		[CHANGE_REMOVED] = "removed",
	};

	return (unsigned) kind < CHANGE_KIND_COUNT && names[kind] ? names[kind] : "unknown";
}

bool change_is_end(enum change_kind kind)
{
	return kind == CHANGE_NVE_GONE || kind == CHANGE_MEMBER_GONE;
}

/* --- packing --- */

struct writer {
	uint8_t *next;
};

static void put_number(struct writer *writer, uint64_t number, size_t size)
{
	for (size_t i = size; i-- > 0;)
		*writer->next++ = (uint8_t) (number >> (8 * i));
}

static void put_bytes(struct writer *writer, const void *data, size_t size)
{
	memcpy(writer->next, data, size);
	writer->next += size;
}

static void put_name(struct writer *writer, const char *name)
{
	size_t size = strlen(name);

	put_number(writer, size, 1);
	put_bytes(writer, name, size);
}

static void put_ip(struct writer *writer, struct ip ip)
{
	put_number(writer, ip_size(ip), 1);
	put_bytes(writer, ip.octet, ip_size(ip));
}

static void put_endpoint(struct writer *writer, const struct mapping *mapping)
{
	put_number(writer, mapping->vni, 4);
	put_bytes(writer, mapping->mac.octet, MAC_SIZE);
}

static void put_identity(struct writer *writer, const struct change *change)
{
	put_number(writer, change->incarnation, 8);
}

static void put_nve(struct writer *writer, const struct change *change)
{
	put_name(writer, change->name);
	put_number(writer, change->incarnation, 8);
	put_number(writer, change->role, 1);
	put_ip(writer, change->vtep);
}

static void put_nve_gone(struct writer *writer, const struct change *change)
{
	put_name(writer, change->name);
}

static void put_member(struct writer *writer, const struct change *change)
{
	put_number(writer, change->mapping.vni, 4);
	put_name(writer, change->name);
}

static void put_mapping(struct writer *writer, const struct change *change)
{
	const struct mapping *mapping = &change->mapping;

	put_endpoint(writer, mapping);
	put_number(writer, mapping->generation, 8);
	put_number(writer, change->incarnation, 8);
	put_number(writer, mapping->flags, 4);
	put_bytes(writer, mapping->vm.octet, UUID_SIZE);
	put_name(writer, change->name);
	put_number(writer, mapping->ip_count, 1);
	for (size_t i = 0; i < mapping->ip_count; i++)
		put_ip(writer, mapping->ips[i]);
}

static void put_removed(struct writer *writer, const struct change *change)
{
	put_endpoint(writer, &change->mapping);
	put_number(writer, change->mapping.generation, 8);
	put_number(writer, change->removed_s, 8);
}

/* --- unpacking --- */

/* Once something was not there, nothing is. */
struct reader {
	const uint8_t *next, *end;
	bool bad;
};

static const uint8_t *get_bytes(struct reader *reader, size_t size)
{
	const uint8_t *bytes = reader->next;

	if (reader->bad || (size_t) (reader->end - reader->next) < size) {
		reader->bad = true;
		return NULL;
	}
	reader->next += size;
	return bytes;
}

static uint64_t get_number(struct reader *reader, size_t size)
{
	const uint8_t *bytes = get_bytes(reader, size);
	uint64_t number = 0;

	for (size_t i = 0; bytes && i < size; i++)
		number = number << 8 | bytes[i];
	return number;
}

static void require(struct reader *reader, bool condition)
{
	if (!condition)
		reader->bad = true;
}

static void get_name(struct reader *reader, char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t size = get_number(reader, 1);
	const uint8_t *bytes = get_bytes(reader, size);

	require(reader, size >= 1 && size <= NVO3_NAME_MAX);
	if (reader->bad)
		return;
	memcpy(name, bytes, size);
	name[size] = '\0';
	require(reader, strspn(name, allowed) == size);
}

static void get_ip(struct reader *reader, struct ip *ip)
{
	size_t size = get_number(reader, 1);
	const uint8_t *bytes = get_bytes(reader, size);

	if (!bytes || ip_from_bytes(bytes, size, ip) < 0 || !ip_is_unicast(*ip))
		reader->bad = true;
}

static void get_vni(struct reader *reader, uint32_t *vni)
{
	*vni = (uint32_t) get_number(reader, 4);
	require(reader, *vni >= 1 && *vni <= VNI_MAX);
}

static void get_endpoint(struct reader *reader, struct mapping *mapping)
{
	const uint8_t *bytes;

	get_vni(reader, &mapping->vni);
	bytes = get_bytes(reader, MAC_SIZE);
	if (!bytes || mac_from_bytes(bytes, MAC_SIZE, &mapping->mac) < 0)
		return;
	require(reader, !mac_is_zero(mapping->mac) && !mac_is_group(mapping->mac));
}

static void get_generation(struct reader *reader, struct mapping *mapping)
{
	mapping->generation = get_number(reader, 8);
	require(reader, mapping->generation >= 1 && mapping->generation <= NVO3_GENERATION_MAX);
}

static void get_identity(struct reader *reader, struct change *change)
{
	change->incarnation = get_number(reader, 8);
	require(reader, change->incarnation != 0);
}

static void get_nve(struct reader *reader, struct change *change)
{
	get_name(reader, change->name);
	change->incarnation = get_number(reader, 8);
	change->role = (enum nvo3_role) get_number(reader, 1);
	require(reader, change->role == NVO3_ROLE_NVE || change->role == NVO3_ROLE_GATEWAY);
	get_ip(reader, &change->vtep);
}

static void get_nve_gone(struct reader *reader, struct change *change)
{
	get_name(reader, change->name);
}

static void get_member(struct reader *reader, struct change *change)
{
	get_vni(reader, &change->mapping.vni);
	get_name(reader, change->name);
}

static void get_mapping(struct reader *reader, struct change *change)
{
	struct mapping *mapping = &change->mapping;
	const uint8_t *vm;

	get_endpoint(reader, mapping);
	get_generation(reader, mapping);
	change->incarnation = get_number(reader, 8);
	mapping->flags = (uint32_t) get_number(reader, 4);
	require(reader, (mapping->flags & ~(uint32_t) MAPPING_FLAGS) == 0);
	vm = get_bytes(reader, UUID_SIZE);
	if (vm)
		(void) uuid_from_bytes(vm, UUID_SIZE, &mapping->vm);
	get_name(reader, change->name);
	mapping->ip_count = (uint8_t) get_number(reader, 1);
	require(reader, mapping->ip_count <= MAPPING_IPS_MAX);
	for (size_t i = 0; !reader->bad && i < mapping->ip_count; i++)
		get_ip(reader, &mapping->ips[i]);
}

static void get_removed(struct reader *reader, struct change *change)
{
	get_endpoint(reader, &change->mapping);
	get_generation(reader, &change->mapping);
	change->removed_s = get_number(reader, 8);
}

/* --- the kinds --- */

static const struct codec {
	void (*put)(struct writer *writer, const struct change *change);
	void (*get)(struct reader *reader, struct change *change);
	uint8_t key_size;  /* after the kind: what is of fixed length */
	bool key_has_name; /* and then a name */
} codecs[CHANGE_KIND_COUNT] = {
	[CHANGE_IDENTITY] = { put_identity, get_identity, 0, false },
	[CHANGE_NVE] = { put_nve, get_nve, 0, true },
	[CHANGE_NVE_GONE] = { put_nve_gone, get_nve_gone, 0, true },
	[CHANGE_MEMBER] = { put_member, get_member, 4, true },
	[CHANGE_MEMBER_GONE] = { put_member, get_member, 4, true },
	[CHANGE_MAPPING] = { put_mapping, get_mapping, ENDPOINT_SIZE, false },
	[CHANGE_REMOVED] = { put_removed, get_removed, ENDPOINT_SIZE, false },
};

size_t change_pack(const struct change *change, uint8_t buffer[CHANGE_SIZE_MAX])
{
	struct writer writer = { buffer };

	put_number(&writer, change->kind, 1);
	codecs[change->kind].put(&writer, change);
	return (size_t) (writer.next - buffer);
}

static const struct codec *codec_of(const uint8_t *data, size_t size)
{
	if (size == 0 || data[0] >= CHANGE_KIND_COUNT || !codecs[data[0]].get)
		return NULL;
	return &codecs[data[0]];
}

int change_unpack(const uint8_t *data, size_t size, struct change *ret_change)
{
	const struct codec *codec = codec_of(data, size);
	struct reader reader = { .next = data + 1, .end = data + size };
	struct change change = { 0 };

	if (!codec)
		return -EBADMSG;
	change.kind = (enum change_kind) data[0];
	codec->get(&reader, &change);
	if (reader.bad || reader.next != reader.end)
		return -EBADMSG;
	*ret_change = change;
	return 0;
}

size_t change_key_size(const uint8_t *data, size_t size)
{
	const struct codec *codec = codec_of(data, size);
	size_t key_size;

	if (!codec)
		return 0;
	key_size = 1u + codec->key_size;
	if (codec->key_has_name && key_size < size)
		key_size += 1u + data[key_size];
	return key_size <= size ? key_size : 0;
}
