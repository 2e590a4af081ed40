/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base64.h"

#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t size, char *text)
{
	const uint8_t *bytes = data;

	for (; size >= 3; size -= 3, bytes += 3, text += 4) {
		text[0] = digits[bytes[0] >> 2];
		text[1] = digits[(bytes[0] & 3) << 4 | bytes[1] >> 4];
		text[2] = digits[(bytes[1] & 15) << 2 | bytes[2] >> 6];
		text[3] = digits[bytes[2] & 63];
	}
	if (size == 0)
		return;
	text[0] = digits[bytes[0] >> 2];
	text[1] = digits[(bytes[0] & 3) << 4 | (size == 2 ? bytes[1] >> 4 : 0)];
	text[2] = size == 2 ? digits[(bytes[1] & 15) << 2] : '=';
	text[3] = '=';
}

static int value_of(char digit)
{
	if (digit >= 'A' && digit <= 'Z')
		return digit - 'A';
	if (digit >= 'a' && digit <= 'z')
		return digit - 'a' + 26;
	if (digit >= '0' && digit <= '9')
		return digit - '0' + 52;
	return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* Four characters, of which the last @padding are '='. */
static int decode_group(const char *text, int padding, uint8_t *data)
{
	uint32_t bits = 0;

	for (int i = 0; i < 4 - padding; i++) {
		int value = value_of(text[i]);

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t) value;
	}
	bits <<= 6 * padding;
	for (int i = 0; i < 3 - padding; i++)
		data[i] = (uint8_t) (bits >> (16 - 8 * i));
	return bits & ((1u << (8 * padding)) - 1) ? -EBADMSG : 0;
}

int base64_decode(const char *text, size_t size, uint8_t *data, size_t *ret_size)
{
	int padding = 0, r = 0;

	if (size % 4 != 0)
		return -EBADMSG;
	if (size > 0 && text[size - 1] == '=')
		padding = text[size - 2] == '=' ? 2 : 1;
	for (size_t i = 0; r == 0 && i < size; i += 4, data += 3)
		r = decode_group(text + i, i + 4 == size ? padding : 0, data);
	if (r == 0)
		*ret_size = size / 4 * 3 - (size_t) padding;
	return r;
}
