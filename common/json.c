/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

DEFINE_CLEANUP(struct json_tokener, json_tokener_free)

/*
 * Control bytes that are no white space stand nowhere in JSON (RFC 8259 sections 2 and 7), but
 * json-c 0.16 takes them inside a string, and a NUL for the end of the text.
 */
static bool has_control_byte(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char) text[i] < ' ' && (!text[i] || !strchr("\t\r\n", text[i])))
			return true;
	return false;
}

int json_parse_object(const char *text, size_t size, struct json_object **ret_object)
{
	_cleanup_(json_tokener_freep) struct json_tokener *tokener = NULL;
	_cleanup_(json_unrefp) struct json_object *object = NULL;

	if (size > INT_MAX || has_control_byte(text, size))
		return -EBADMSG;
	tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);

	object = json_tokener_parse_ex(tokener, text, (int) size);
	if (json_tokener_get_error(tokener) != json_tokener_success)
		return -EBADMSG;
	if (!json_object_is_type(object, json_type_object))
		return -EBADMSG;

	*ret_object = TAKE_PTR(object);
	return 0;
}

/* The member @key of @object, borrowed, if it has @type. */
static int get(struct json_object *object, const char *key, enum json_type type,
	       struct json_object **ret_value)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) || !value)
		return -ENOENT;
	if (!json_object_is_type(value, type))
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

int json_get_string(struct json_object *object, const char *key, const char **ret_string)
{
	struct json_object *value;
	const char *string;
	int r;

	r = get(object, key, json_type_string, &value);
	if (r < 0)
		return r;

	string = json_object_get_string(value);
	if (strlen(string) != (size_t) json_object_get_string_len(value))
		return -EBADMSG; /* "\u0000" inside: the caller would see another string */
	*ret_string = string;
	return 0;
}

int json_get_object(struct json_object *object, const char *key, struct json_object **ret_object)
{
	return get(object, key, json_type_object, ret_object);
}

int json_get_array(struct json_object *object, const char *key, struct json_object **ret_array)
{
	return get(object, key, json_type_array, ret_array);
}

int json_get_bool(struct json_object *object, const char *key, bool *ret_value)
{
	struct json_object *value;
	int r;

	r = get(object, key, json_type_boolean, &value);
	if (r < 0)
		return r;
	*ret_value = json_object_get_boolean(value);
	return 0;
}

/* json-c turns a number beyond 64 bits into the nearest that fits: the ends are refused. */
int json_get_u64(struct json_object *object, const char *key, uint64_t *ret_value)
{
	struct json_object *value;
	uint64_t number;
	int r;

	r = get(object, key, json_type_int, &value);
	if (r < 0)
		return r;
	if (json_object_get_int64(value) < 0)
		return -EBADMSG;
	number = json_object_get_uint64(value);
	if (number == UINT64_MAX)
		return -EBADMSG;
	*ret_value = number;
	return 0;
}

int json_get_i64(struct json_object *object, const char *key, int64_t *ret_value)
{
	struct json_object *value;
	int64_t number;
	int r;

	r = get(object, key, json_type_int, &value);
	if (r < 0)
		return r;
	number = json_object_get_int64(value);
	if (number == INT64_MIN || json_object_get_uint64(value) > INT64_MAX)
		return -EBADMSG;
	*ret_value = number;
	return 0;
}

int json_get_u32(struct json_object *object, const char *key, uint32_t *ret_value)
{
	uint64_t number;
	int r;

	r = json_get_u64(object, key, &number);
	if (r < 0)
		return r;
	if (number > UINT32_MAX)
		return -EBADMSG;
	*ret_value = (uint32_t) number;
	return 0;
}

int json_add(struct json_object *object, const char *key, struct json_object *value)
{
	if (!value)
		return -ENOMEM;
	if (json_object_object_add(object, key, value) < 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

int json_add_string(struct json_object *object, const char *key, const char *value)
{
	return json_add(object, key, json_object_new_string(value));
}

int json_add_u64(struct json_object *object, const char *key, uint64_t value)
{
	return json_add(object, key, json_object_new_uint64(value));
}

int json_add_bool(struct json_object *object, const char *key, bool value)
{
	return json_add(object, key, json_object_new_boolean(value));
}

const char *json_text(struct json_object *object)
{
	return json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE);
}
