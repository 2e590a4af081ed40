/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json.h - strict reading of json-c objects that came from somebody else.
 *
 * Every getter returns 0, -ENOENT (no such member, or null) or -EBADMSG (another type, or out of
 * range), and writes its ret_ argument on success only. Out of range is also a number at the ends
 * of 64 bits (UINT64_MAX, INT64_MIN): json-c shows every greater one as that. A string that holds
 * "\u0000" is -EBADMSG: as a C string it would be another.
 */
#ifndef REHOME_COMMON_JSON_H
#define REHOME_COMMON_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum {
	JSON_DEPTH_MAX = 32, /* nothing we read nests deeper than 10 */
};

/* Drops a reference; accepts NULL; returns NULL. */
static inline struct json_object *json_unref(struct json_object *object)
{
	if (object)
		json_object_put(object);
	return NULL;
}
DEFINE_CLEANUP(struct json_object, json_unref)

/*
 * Parses @size bytes that must hold exactly one JSON object and, after it, only white space.
 * json-c 0.16 decides what that is: where RFC 8259 is stricter it also takes names in single
 * quotes, numbers like -01, 1. and NaN, and UTF-8 for surrogates; of members with one name the last
 * counts. Control bytes are refused.
 *
 * Returns 0 (the caller owns *ret_object), -EBADMSG or -ENOMEM.
 */
int json_parse_object(const char *text, size_t size, struct json_object **ret_object);

/* Borrowed from @object. */
int json_get_string(struct json_object *object, const char *key, const char **ret_string);
int json_get_object(struct json_object *object, const char *key, struct json_object **ret_object);
int json_get_array(struct json_object *object, const char *key, struct json_object **ret_array);
int json_get_bool(struct json_object *object, const char *key, bool *ret_value);
int json_get_u64(struct json_object *object, const char *key, uint64_t *ret_value);
int json_get_i64(struct json_object *object, const char *key, int64_t *ret_value);
int json_get_u32(struct json_object *object, const char *key, uint32_t *ret_value);

/* Adders return 0 or -ENOMEM; json_add() takes @value over, also on failure. */
int json_add(struct json_object *object, const char *key, struct json_object *value);
int json_add_string(struct json_object *object, const char *key, const char *value);
int json_add_u64(struct json_object *object, const char *key, uint64_t value);
int json_add_bool(struct json_object *object, const char *key, bool value);

/* On one line, borrowed from @object; NULL when out of memory. */
const char *json_text(struct json_object *object);

#endif
