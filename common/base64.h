/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* base64.h - RFC 4648 section 4, with padding: how JSON carries bytes. */
#ifndef REHOME_COMMON_BASE64_H
#define REHOME_COMMON_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters that @size bytes become. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4)

/* Writes BASE64_SIZE(@size) characters to @text, without a NUL. */
void base64_encode(const void *data, size_t size, char *text);

/*
 * Reads all of @text; at most @size / 4 * 3 bytes of @data are written. Returns 0, or -EBADMSG for
 * what no encoder writes: other characters, a wrong length, bits set that belong to no byte.
 */
int base64_decode(const char *text, size_t size, uint8_t *data, size_t *ret_size);

#endif
