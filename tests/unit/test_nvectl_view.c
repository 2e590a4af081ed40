/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "nvectl/progress.h"
#include "nvectl/table.h"
#include "nvectl/view.h"
#include "unit.h"

static struct json_object *parse(const char *text)
{
	return json_tokener_parse(text);
}

static void check_text(const char *json, char *(*form)(struct json_object *), const char *wanted)
{
	_cleanup_(json_unrefp) struct json_object *value = parse(json);
	_cleanup_free_ char *text = form(value);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_STRING_EQUAL(text, wanted);
}

static void shows_every_type(void)
{
	check_text("null", view_text, "-");
	check_text("true", view_text, "yes");
	check_text("false", view_text, "no");
	check_text("18446744073709551615", view_text, "18446744073709551615");
	check_text("\"br100\"", view_text, "br100");
	check_text("[\"192.0.2.1\",\"2001:db8::1\"]", view_text, "192.0.2.1,2001:db8::1");
	check_text("[]", view_text, "");
}

static void shows_durations(void)
{
	check_text("0", view_duration_s, "0 s");
	check_text("59", view_duration_s, "59 s");
	check_text("60", view_duration_s, "0 h 1 min");
	check_text("86399", view_duration_s, "23 h 59 min");
	check_text("90000", view_duration_s, "1 d 1 h");
	check_text("\"long\"", view_duration_s, "long");
}

static void shows_times(void)
{
	setenv("TZ", "UTC", 1);
	check_text("1700000000123456", view_time_us, "2023-11-14 22:13:20.123");
	check_text("0", view_time_us, "0");
	check_text("-5", view_time_us, "-5");
	check_text("null", view_time_us, "-");
}

static char *print_rows(const char *json, int wanted)
{
	static const struct view_column columns[] = { { "MAC", "mac" },
						      { "IPS", "ips" },
						      { "VM", "vm" } };
	_cleanup_(json_unrefp) struct json_object *rows = parse(json);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CU_ASSERT_EQUAL(view_table(rows, columns, ARRAY_SIZE(columns), out), wanted);
	fclose(out);
	return text;
}

static void aligns_both_families(void)
{
	_cleanup_free_ char *text =
		print_rows("[{\"mac\":\"52:54:00:aa:00:10\",\"ips\":[\"192.0.2.50\"],\"vm\":\"a\"},"
			   "{\"mac\":\"52:54:00:aa:00:11\",\"ips\":[\"2001:db8:1111:2222:3333:4444:"
			   "5555:6666\"],\"vm\":\"\xc3\xbc\"},"
			   "{\"mac\":\"52:54:00:aa:00:12\",\"ips\":[],\"vm\":null}]",
			   0);

	CU_ASSERT_STRING_EQUAL(
		text, "MAC                IPS                                     VM\n"
		      "52:54:00:aa:00:10  192.0.2.50                              a\n"
		      "52:54:00:aa:00:11  2001:db8:1111:2222:3333:4444:5555:6666  \xc3\xbc\n"
		      "52:54:00:aa:00:12  -                                       -\n");
}

static void keeps_a_wide_character_in_its_column(void)
{
	_cleanup_free_ char *text =
		print_rows("[{\"mac\":\"\xc3\xbc\",\"ips\":[],\"vm\":1},{\"mac\":\"xx\"}]", 0);

	CU_ASSERT_STRING_EQUAL(text, "MAC  IPS  VM\n\xc3\xbc    -    1\nxx   -    -\n");
}

static void disarms_control_characters(void)
{
	_cleanup_free_ char *text =
		print_rows("[{\"mac\":\"m\",\"vm\":\"\\u001b[2J\\n\\u007f\"}]", 0);

	CU_ASSERT_STRING_EQUAL(text, "MAC  IPS  VM\nm    -    ?[2J??\n");
}

static void says_none(void)
{
	_cleanup_free_ char *text = print_rows("[]", 0);

	CU_ASSERT_STRING_EQUAL(text, "none\n");
}

static void refuses_a_row_that_is_no_object(void)
{
	_cleanup_free_ char *text = print_rows("[{\"mac\":\"m\"},5]", -EBADMSG);

	CU_ASSERT_STRING_EQUAL(text, "");
}

static void tells_progress(void)
{
	const struct progress_sample sample = {
		.total_bytes = 256 << 20,
		.remaining_bytes = 64 << 20,
		.transferred_bytes = 300 << 20,
		.pass = 2,
	};
	const struct progress_sample nothing = { 0 },
				     more_than_all = { .total_bytes = 1, .remaining_bytes = 2 };
	char text[PROGRESS_TEXT_SIZE];

	CU_ASSERT_STRING_EQUAL(progress_text(&sample, 10 << 20, text),
			       " 75%, 64.0 MiB left, pass 2, 10.0 MiB/s");
	CU_ASSERT_STRING_EQUAL(progress_text(&nothing, 0, text),
			       "  0%, 0.0 MiB left, pass 0, 0.0 MiB/s");
	CU_ASSERT_STRING_EQUAL(progress_text(&more_than_all, 0, text),
			       "  0%, 0.0 MiB left, pass 0, 0.0 MiB/s");
}

UNIT_MAIN("nvectl_view", UNIT_TEST(shows_every_type), UNIT_TEST(shows_durations),
	  UNIT_TEST(shows_times), UNIT_TEST(aligns_both_families),
	  UNIT_TEST(keeps_a_wide_character_in_its_column), UNIT_TEST(disarms_control_characters),
	  UNIT_TEST(says_none), UNIT_TEST(refuses_a_row_that_is_no_object),
	  UNIT_TEST(tells_progress))
