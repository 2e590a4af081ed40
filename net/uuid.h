/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uuid.h - the 16-byte identity libvirt gives a VM (RFC 4122 text form). */
#ifndef REHOME_NET_UUID_H
#define REHOME_NET_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	UUID_SIZE = 16,
	UUID_TEXT_SIZE = 37,
};

struct uuid {
	uint8_t octet[UUID_SIZE]; /* all zero: no VM, an endpoint that is not one */
};

/* The 36 characters and nothing around them, in either case. Returns 0 or -EINVAL. */
int uuid_from_text(const char *text, struct uuid *ret_uuid);
/* -EINVAL unless @size is 16. */
int uuid_from_bytes(const void *data, size_t size, struct uuid *ret_uuid);
/* @buffer: UUID_TEXT_SIZE; returned. */
const char *uuid_text(struct uuid uuid, char *buffer);
/* As memcmp(). */
int uuid_cmp(struct uuid a, struct uuid b);
bool uuid_is_none(struct uuid uuid);

#endif
