/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/uuid.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(sizeof(struct uuid) == UUID_SIZE, "UUIDs are compared as bytes");

/* Where each octet's two digits stand: RFC 4122 section 3, 8-4-4-4-12. */
static const uint8_t digit_offset[UUID_SIZE] = {
	0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34,
};

static bool is_well_formed(const char *text)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	static const uint8_t group_size[] = { 8, 4, 4, 4, 12 };

	for (size_t i = 0; i < sizeof(group_size); i++) {
		if (strspn(text, hex) != group_size[i])
			return false;
		text += group_size[i];
		if (*text != (i + 1 < sizeof(group_size) ? '-' : '\0'))
			return false;
		text++;
	}
	return true;
}

/* Letters are 9 further than their low nibble says, in both cases. */
static uint8_t digit_value(char c)
{
	return (uint8_t) ((c & 0x0f) + (c > '9' ? 9 : 0));
}

int uuid_from_text(const char *text, struct uuid *ret_uuid)
{
	if (!is_well_formed(text))
		return -EINVAL;

	for (size_t i = 0; i < UUID_SIZE; i++) {
		const char *digits = text + digit_offset[i];

		ret_uuid->octet[i] =
			(uint8_t) (digit_value(digits[0]) << 4 | digit_value(digits[1]));
	}
	return 0;
}

int uuid_from_bytes(const void *data, size_t size, struct uuid *ret_uuid)
{
	if (size != UUID_SIZE)
		return -EINVAL;
	memcpy(ret_uuid->octet, data, UUID_SIZE);
	return 0;
}

const char *uuid_text(struct uuid uuid, char *buffer)
{
	memset(buffer, '-', UUID_TEXT_SIZE - 1);
	for (size_t i = 0; i < UUID_SIZE; i++) {
		static const char digits[] = "0123456789abcdef";
		char *place = buffer + digit_offset[i];

		place[0] = digits[uuid.octet[i] >> 4];
		place[1] = digits[uuid.octet[i] & 0x0f];
	}
	buffer[UUID_TEXT_SIZE - 1] = '\0';
	return buffer;
}

int uuid_cmp(struct uuid a, struct uuid b)
{
	return memcmp(&a, &b, sizeof(a));
}

bool uuid_is_none(struct uuid uuid)
{
	return uuid_cmp(uuid, (struct uuid){ 0 }) == 0;
}
