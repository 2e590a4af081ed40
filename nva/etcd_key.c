// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/etcd_key.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const places[ETCD_PLACE_COUNT] = {
	[ETCD_AT_IDENTITY] = "/identity", [ETCD_AT_NVE] = "/nve/",
	[ETCD_AT_MEMBER] = "/member/",	  [ETCD_AT_MAPPING] = "/mapping/",
	[ETCD_AT_PENDING] = "/pending/",  [ETCD_AT_COMMIT] = "/commit",
	[ETCD_AT_LEADER] = "/leader",
};

char *etcd_place_key(const char *prefix, enum etcd_place place, char *key)
{
	(void) snprintf(key, ETCD_KEY_SIZE, "%s%s", prefix, places[place]);
	return key;
}

/* The same with the last byte one higher, as etcd has it for a prefix. */
char *etcd_place_end(const char *prefix, enum etcd_place place, char *key)
{
	etcd_place_key(prefix, place, key);
	key[strlen(key) - 1]++;
	return key;
}

char *etcd_part_key(const char *prefix, unsigned part, char *key)
{
	(void) snprintf(key, ETCD_KEY_SIZE, "%s%s%08u", prefix, places[ETCD_AT_PENDING], part);
	return key;
}

static const enum etcd_place place_of_kind[CHANGE_KIND_COUNT] = {
	[CHANGE_IDENTITY] = ETCD_AT_IDENTITY,  [CHANGE_NVE] = ETCD_AT_NVE,
	[CHANGE_NVE_GONE] = ETCD_AT_NVE,       [CHANGE_MEMBER] = ETCD_AT_MEMBER,
	[CHANGE_MEMBER_GONE] = ETCD_AT_MEMBER, [CHANGE_MAPPING] = ETCD_AT_MAPPING,
	[CHANGE_REMOVED] = ETCD_AT_MAPPING,
};

char *etcd_change_key(const char *prefix, const struct change *change, char *key)
{
	const enum etcd_place place = place_of_kind[change->kind];
	uint32_t vni = change->mapping.vni;
	char mac[MAC_TEXT_SIZE];

	if (place == ETCD_AT_NVE)
		(void) snprintf(key, ETCD_KEY_SIZE, "%s%s%s", prefix, places[place], change->name);
	else if (place == ETCD_AT_MEMBER)
		(void) snprintf(key, ETCD_KEY_SIZE, "%s%s%" PRIu32 "/%s", prefix, places[place],
				vni, change->name);
	else if (place == ETCD_AT_MAPPING)
		(void) snprintf(key, ETCD_KEY_SIZE, "%s%s%" PRIu32 "/%s", prefix, places[place],
				vni, mac_text(change->mapping.mac, mac));
	else
		etcd_place_key(prefix, place, key);
	return key;
}

/* --- reading --- */

static bool is_name(const char *text)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t size = strlen(text);

	return size >= 1 && size <= NVO3_NAME_MAX && strspn(text, allowed) == size;
}

/* Decimal digits up to @end. */
static bool read_number(const char *text, char end, unsigned long max, unsigned long *ret_number,
			const char **ret_after)
{
	char *after;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoul(text, &after, 10);
	*ret_after = after + 1;
	return !errno && *after == end && *ret_number <= max;
}

static bool read_nve(const char *rest, struct change *gone, unsigned *part)
{
	gone->kind = CHANGE_NVE_GONE;
	if (is_name(rest))
		memcpy(gone->name, rest, strlen(rest) + 1);
	return gone->name[0];
}

static bool read_member(const char *rest, struct change *gone, unsigned *part)
{
	unsigned long vni;

	gone->kind = CHANGE_MEMBER_GONE;
	if (!read_number(rest, '/', VNI_MAX, &vni, &rest) || vni == 0)
		return false;
	gone->mapping.vni = (uint32_t) vni;
	if (is_name(rest))
		memcpy(gone->name, rest, strlen(rest) + 1);
	return gone->name[0];
}

static bool read_mapping(const char *rest, struct change *gone, unsigned *part)
{
	unsigned long vni;
	struct mac mac;

	return read_number(rest, '/', VNI_MAX, &vni, &rest) && vni > 0 &&
	       mac_from_text(rest, &mac) == 0;
}

static bool read_part(const char *rest, struct change *gone, unsigned *part)
{
	unsigned long number;

	if (!read_number(rest, '\0', ETCD_PARTS_MAX - 1, &number, &rest))
		return false;
	*part = (unsigned) number;
	return true;
}

int etcd_key_read(const char *prefix, const char *key, struct change *ret_gone, unsigned *ret_part)
{
	static bool (*const readers[ETCD_PLACE_COUNT])(const char *rest, struct change *gone,
						       unsigned *part) = {
		[ETCD_AT_NVE] = read_nve,
		[ETCD_AT_MEMBER] = read_member,
		[ETCD_AT_MAPPING] = read_mapping,
		[ETCD_AT_PENDING] = read_part,
	};
	size_t size = strlen(prefix);

	*ret_gone = (struct change){ 0 };
	*ret_part = 0;
	if (strncmp(key, prefix, size) != 0)
		return -ENOENT;
	for (int i = 0; i < ETCD_PLACE_COUNT; i++) {
		size_t length = strlen(places[i]);
		const char *rest = key + size + length;

		if (strncmp(key + size, places[i], length) != 0)
			continue;
		if (!readers[i] && *rest)
			continue; /* "/leadership" */
		return !readers[i] || readers[i](rest, ret_gone, ret_part) ? i : -EINVAL;
	}
	return -ENOENT;
}

/* --- PREFIX/commit --- */

void etcd_commit_write(const struct etcd_commit *commit, char text[ETCD_COMMIT_SIZE])
{
	(void) snprintf(text, ETCD_COMMIT_SIZE, "%d %" PRIu64 " %u", ETCD_FORMAT, commit->sequence,
			commit->parts);
}

int etcd_commit_read(const uint8_t *value, size_t size, struct etcd_commit *ret_commit)
{
	char text[ETCD_COMMIT_SIZE];
	const char *next = text;
	unsigned long format, sequence, parts;

	if (size == 0 || size >= sizeof(text))
		return -EBADMSG;
	memcpy(text, value, size);
	text[size] = '\0';
	if (!read_number(next, ' ', ULONG_MAX, &format, &next))
		return -EBADMSG;
	if (format != ETCD_FORMAT)
		return -EPROTONOSUPPORT;
	if (!read_number(next, ' ', ULONG_MAX, &sequence, &next) ||
	    !read_number(next, '\0', ETCD_PARTS_MAX, &parts, &next))
		return -EBADMSG;
	ret_commit->sequence = sequence;
	ret_commit->parts = (unsigned) parts;
	return 0;
}
