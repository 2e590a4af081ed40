/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_json.c - what json_parse_object() takes can be read by every getter, and written and read
 * again.
 */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "tests/fuzz/fuzz.h"

static bool is_known(int r)
{
	return r == 0 || r == -ENOENT || r == -EBADMSG;
}

/* Each getter on one member: one type fits at most, and a narrow number is a wide one, too. */
static void read_member(struct json_object *object, const char *key)
{
	struct json_object *child, *array;
	const char *string;
	uint64_t u64 = 0;
	uint32_t u32 = 0;
	int64_t i64 = 0;
	bool value;
	int s = json_get_string(object, key, &string), b = json_get_bool(object, key, &value),
	    o = json_get_object(object, key, &child), a = json_get_array(object, key, &array),
	    u = json_get_u64(object, key, &u64), v = json_get_u32(object, key, &u32),
	    i = json_get_i64(object, key, &i64);

	FUZZ_CHECK(is_known(s) && is_known(b) && is_known(o) && is_known(a) && is_known(u) &&
		   is_known(v) && is_known(i));
	FUZZ_CHECK((s == 0) + (b == 0) + (o == 0) + (a == 0) + (u == 0 || i == 0) <= 1);
	FUZZ_CHECK(v < 0 || (u == 0 && u64 == u32));
	FUZZ_CHECK(u < 0 || i < 0 || (uint64_t) i64 == u64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL, *again = NULL;
	const char *text;
	int r = json_parse_object((const char *) data, size, &object);

	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	FUZZ_CHECK((r == 0) == (object != NULL));
	if (r < 0)
		return 0;

	json_object_object_foreach(object, key, member) {
		(void) member;
		read_member(object, key);
	}
	text = json_object_to_json_string(object);
	FUZZ_CHECK(text && json_parse_object(text, strlen(text), &again) == 0);
	return 0;
}
