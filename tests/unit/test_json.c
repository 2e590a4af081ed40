/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "tests/unit/unit.h"

static struct json_object *parse(const char *text)
{
	struct json_object *object = NULL;

	CU_ASSERT_EQUAL_FATAL(json_parse_object(text, strlen(text), &object), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(object);
	return object;
}

static void refuse(const char *text, size_t size)
{
	struct json_object *object = NULL;

	CU_ASSERT_EQUAL(json_parse_object(text, size, &object), -EBADMSG);
	CU_ASSERT_PTR_NULL(object);
	if (object)
		fprintf(stderr, "accepted: %.*s\n", (int) size, text);
	json_unref(object);
}

/* Each type, a nested member, every kind of escape, UTF-8 of 2 to 4 bytes. */
static const char sample[] =
	"{\"execute\": \"qmp_capabilities\", \"id\": 7, \"on\": true, \"none\": null,"
	" \"half\": 0.5, \"list\": [1, -2], \"in\": {\"key\": \"value\"},"
	" \"text\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9 \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}";

static void reads_every_type(void)
{
	_cleanup_(json_unrefp) struct json_object *object = parse(sample);
	struct json_object *list = NULL, *in = NULL;
	const char *text = NULL;
	uint64_t id = 0;
	bool on = false;

	CU_ASSERT_EQUAL(json_get_string(object, "execute", &text), 0);
	CU_ASSERT_STRING_EQUAL(text, "qmp_capabilities");
	CU_ASSERT_EQUAL(json_get_string(object, "text", &text), 0);
	CU_ASSERT_STRING_EQUAL(text, "\"\\/\b\f\n\r\t\u00e9 \u00e9\u20ac\U0001f600");
	CU_ASSERT_EQUAL(json_get_u64(object, "id", &id), 0);
	CU_ASSERT_EQUAL(id, 7);
	CU_ASSERT_EQUAL(json_get_bool(object, "on", &on), 0);
	CU_ASSERT_TRUE(on);
	CU_ASSERT_EQUAL(json_get_array(object, "list", &list), 0);
	CU_ASSERT_EQUAL(json_object_array_length(list), 2);
	CU_ASSERT_EQUAL(json_get_object(object, "in", &in), 0);
	CU_ASSERT_EQUAL(json_get_string(in, "key", &text), 0);
	CU_ASSERT_STRING_EQUAL(text, "value");
}

/* The text lies in a block of its exact size, so that a sanitizer sees a read past it. */
static void refuses_every_truncation(void)
{
	for (size_t size = 0; size < sizeof(sample) - 1; size++) {
		_cleanup_free_ char *text = malloc(size ? size : 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(text);
		memcpy(text, sample, size);
		refuse(text, size);
	}
}

static void takes_white_space_after_the_object(void)
{
	static const char *const good[] = { "{}", "{} ", "{}\n", " \t\r\n{ }\t\r\n " };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_(json_unrefp) struct json_object *object = parse(good[i]);

		CU_ASSERT_EQUAL(json_object_object_length(object), 0);
	}
}

static void refuses_what_is_not_one_object(void)
{
	static const char *const bad[] = {
		"",
		" ",
		"[]",
		"[{}]",
		"7",
		"\"a\"",
		"null",
		"true",
		"{}{}",
		"{} x",
		"{},",
		"{}]",
		"{\"a\":'b'}", /* quoted otherwise */
		"{a:1}",       /* not quoted */
		"{\"a\":1,}",  /* comma before the end */
		"{\"a\" 1}",
		"{\"a\":01}", /* leading zero */
		"{\"a\":+1}",
		"{\"a\":.5}",
		"{\"a\":0x10}",
		"{\"a\":TRUE}",
		"/* c */ {}", /* comments */
		"{} // c",
		"{\"a\":\"\x1b[2J\"}", /* a control character, not escaped */
		"{\"a\x01\":1}",
		"{\"a\":\"\\x41\"}",
		"{\"a\":\"\xff\"}", /* no UTF-8 */
		"\xef\xbb\xbf{}",   /* byte order mark: RFC 8259 section 8.1 */
		"{}\v",		    /* no JSON white space */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(bad[i], strlen(bad[i]));
	refuse("{}\0", 3);
	refuse("{}\0{}", 5);
	refuse("{\"a\":\0001}", 8);
}

/* Writes @depth objects, each the member of the one before. Returns the size. */
static size_t nest(char *text, size_t depth)
{
	char *end = text;

	for (size_t i = 0; i + 1 < depth; i++)
		end = stpcpy(end, "{\"a\":");
	end = stpcpy(end, "{}");
	for (size_t i = 0; i + 1 < depth; i++)
		end = stpcpy(end, "}");
	return (size_t) (end - text);
}

static void refuses_to_nest_too_deep(void)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	char text[JSON_DEPTH_MAX * 8];
	size_t size;

	size = nest(text, JSON_DEPTH_MAX - 1);
	CU_ASSERT_EQUAL(json_parse_object(text, size, &object), 0);
	size = nest(text, JSON_DEPTH_MAX + 1);
	refuse(text, size);
}

#define EXPECT_EACH(object, key, error)                                               \
	do {                                                                          \
		const char *string_ = "untouched";                                    \
		struct json_object *child_ = (object);                                \
		uint64_t u64_ = 42;                                                   \
		uint32_t u32_ = 42;                                                   \
		int64_t i64_ = 42;                                                    \
		bool bool_ = true;                                                    \
                                                                                      \
		CU_ASSERT_EQUAL(json_get_string((object), (key), &string_), (error)); \
		CU_ASSERT_EQUAL(json_get_object((object), (key), &child_), (error));  \
		CU_ASSERT_EQUAL(json_get_array((object), (key), &child_), (error));   \
		CU_ASSERT_EQUAL(json_get_u64((object), (key), &u64_), (error));       \
		CU_ASSERT_EQUAL(json_get_u32((object), (key), &u32_), (error));       \
		CU_ASSERT_EQUAL(json_get_i64((object), (key), &i64_), (error));       \
		CU_ASSERT_EQUAL(json_get_bool((object), (key), &bool_), (error));     \
		CU_ASSERT_STRING_EQUAL(string_, "untouched");                         \
		CU_ASSERT_PTR_EQUAL(child_, (object));                                \
		CU_ASSERT_EQUAL(u64_, 42);                                            \
		CU_ASSERT_EQUAL(u32_, 42);                                            \
		CU_ASSERT_EQUAL(i64_, 42);                                            \
		CU_ASSERT_EQUAL(bool_, true);                                         \
	} while (0)

static void tells_absent_from_wrong(void)
{
	_cleanup_(json_unrefp) struct json_object *object =
		parse("{\"half\": 0.5, \"none\": null}");

	EXPECT_EACH(object, "missing", -ENOENT);
	EXPECT_EACH(object, "none", -ENOENT);
	EXPECT_EACH(object, "half", -EBADMSG);
}

static void converts_no_type(void)
{
	_cleanup_(json_unrefp) struct json_object *object =
		parse("{\"number\": 1, \"string\": \"1\", \"bool\": true, \"list\": [1]}");
	const char *string = NULL;
	uint64_t number = 42;
	bool value = false;

	CU_ASSERT_EQUAL(json_get_string(object, "number", &string), -EBADMSG);
	CU_ASSERT_EQUAL(json_get_string(object, "bool", &string), -EBADMSG);
	CU_ASSERT_EQUAL(json_get_u64(object, "string", &number), -EBADMSG);
	CU_ASSERT_EQUAL(json_get_u64(object, "bool", &number), -EBADMSG);
	CU_ASSERT_EQUAL(json_get_u64(object, "list", &number), -EBADMSG);
	CU_ASSERT_EQUAL(json_get_bool(object, "number", &value), -EBADMSG);
	CU_ASSERT_EQUAL(json_get_bool(object, "string", &value), -EBADMSG);
	CU_ASSERT_PTR_NULL(string);
	CU_ASSERT_EQUAL(number, 42);
	CU_ASSERT_FALSE(value);
}

static void refuses_a_string_with_nul(void)
{
	_cleanup_(json_unrefp) struct json_object *object = parse("{\"vm\": \"vm1\\u0000.evil\"}");
	const char *string = "untouched";

	CU_ASSERT_EQUAL(json_get_string(object, "vm", &string), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(string, "untouched");
}

static const struct number_case {
	const char *text;
	int u32, u64, i64; /* what the getters return */
} number_cases[] = {
	{ "0", 0, 0, 0 },
	{ "-0", 0, 0, 0 },
	{ "-1", -EBADMSG, -EBADMSG, 0 },
	{ "4294967295", 0, 0, 0 },
	{ "4294967296", -EBADMSG, 0, 0 },
	{ "9223372036854775806", -EBADMSG, 0, 0 },
	{ "9223372036854775807", -EBADMSG, 0, 0 },
	{ "9223372036854775808", -EBADMSG, 0, -EBADMSG },
	{ "18446744073709551614", -EBADMSG, 0, -EBADMSG },
	/* From here on json-c cannot tell a number from a greater one. */
	{ "18446744073709551615", -EBADMSG, -EBADMSG, -EBADMSG },
	{ "18446744073709551616", -EBADMSG, -EBADMSG, -EBADMSG },
	{ "99999999999999999999999", -EBADMSG, -EBADMSG, -EBADMSG },
	{ "-9223372036854775807", -EBADMSG, -EBADMSG, 0 },
	{ "-9223372036854775808", -EBADMSG, -EBADMSG, -EBADMSG },
	{ "-9223372036854775809", -EBADMSG, -EBADMSG, -EBADMSG },
	{ "1.0", -EBADMSG, -EBADMSG, -EBADMSG },
	{ "1e3", -EBADMSG, -EBADMSG, -EBADMSG },
};

static void keeps_numbers_in_range(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(number_cases); i++) {
		const struct number_case *c = &number_cases[i];
		_cleanup_(json_unrefp) struct json_object *object = NULL;
		char text[64];
		uint32_t u32 = 42;
		uint64_t u64 = 42;
		int64_t i64 = 42;

		sprintf(text, "{\"n\": %s}", c->text);
		object = parse(text);
		CU_ASSERT_EQUAL(json_get_u32(object, "n", &u32), c->u32);
		CU_ASSERT_EQUAL(u32, c->u32 ? 42 : (uint32_t) strtoull(c->text, NULL, 10));
		CU_ASSERT_EQUAL(json_get_u64(object, "n", &u64), c->u64);
		CU_ASSERT_EQUAL(u64, c->u64 ? 42 : strtoull(c->text, NULL, 10));
		CU_ASSERT_EQUAL(json_get_i64(object, "n", &i64), c->i64);
		CU_ASSERT_EQUAL(i64, c->i64 ? 42 : strtoll(c->text, NULL, 10));
	}
}

static void adds_members(void)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	CU_ASSERT_PTR_NOT_NULL_FATAL(object);
	CU_ASSERT_EQUAL(json_add_string(object, "s", "a\"\n"), 0);
	CU_ASSERT_EQUAL(json_add_u64(object, "u", UINT64_MAX), 0);
	CU_ASSERT_EQUAL(json_add_bool(object, "b", false), 0);
	CU_ASSERT_EQUAL(json_add(object, "l", json_object_new_array()), 0);
	CU_ASSERT_EQUAL(json_add(object, "x", NULL), -ENOMEM);
	CU_ASSERT_STRING_EQUAL(
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
		"{\"s\":\"a\\\"\\n\",\"u\":18446744073709551615,\"b\":false,\"l\":[]}");
	CU_ASSERT_PTR_NULL(json_unref(NULL));
}

UNIT_MAIN("json", UNIT_TEST(reads_every_type), UNIT_TEST(refuses_every_truncation),
	  UNIT_TEST(takes_white_space_after_the_object), UNIT_TEST(refuses_what_is_not_one_object),
	  UNIT_TEST(refuses_to_nest_too_deep), UNIT_TEST(tells_absent_from_wrong),
	  UNIT_TEST(converts_no_type), UNIT_TEST(refuses_a_string_with_nul),
	  UNIT_TEST(keeps_numbers_in_range), UNIT_TEST(adds_members))
