/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "common/lines.h"
#include "tests/unit/unit.h"

enum {
	CAP = 8,
};

/* Asserts that the next line is the @size bytes at @text. */
static void expect_bytes(struct lines *lines, const char *text, size_t size)
{
	const char *line = NULL;
	size_t line_size = 0;

	CU_ASSERT_EQUAL_FATAL(lines_next(lines, &line, &line_size), 1);
	CU_ASSERT_EQUAL_FATAL(line_size, size);
	CU_ASSERT_EQUAL(memcmp(line, text, size), 0);
	CU_ASSERT_EQUAL(line[size], '\0');
}

static void expect_line(struct lines *lines, const char *text)
{
	expect_bytes(lines, text, strlen(text));
}

static void expect_none(struct lines *lines)
{
	const char *line = "untouched";
	size_t size = 42;

	CU_ASSERT_EQUAL(lines_next(lines, &line, &size), 0);
	CU_ASSERT_STRING_EQUAL(line, "untouched");
	CU_ASSERT_EQUAL(size, 42);
}

static struct lines *new_lines(void)
{
	struct lines *lines = lines_new(CAP);

	CU_ASSERT_PTR_NOT_NULL_FATAL(lines);
	return lines;
}

static int push(struct lines *lines, const char *text)
{
	return lines_push(lines, text, strlen(text));
}

static void starts_empty(void)
{
	_cleanup_(lines_freep) struct lines *lines = new_lines();

	expect_none(lines);
	CU_ASSERT_EQUAL(lines_push(lines, NULL, 0), 0);
	expect_none(lines);
	CU_ASSERT_PTR_NULL(lines_free(NULL));
}

/* What every way of cutting it into pushes must give. */
static const char sample[] = "one\n"
			     "\n" /* an empty line */
			     "two\r\n"
			     "\r\n"	    /* another */
			     "a\rb\n"	    /* "\r" inside stays */
			     "12345678\n"   /* exactly the cap */
			     "12345678\r\n" /* its "\r" does not count */
			     "n\0l\n"	    /* a NUL byte is a byte */
			     "rest";

static void expect_sample(struct lines *lines)
{
	expect_line(lines, "one");
	expect_line(lines, "");
	expect_line(lines, "two");
	expect_line(lines, "");
	expect_line(lines, "a\rb");
	expect_line(lines, "12345678");
	expect_line(lines, "12345678");
	expect_bytes(lines, "n\0l", 3);
	expect_none(lines);
	CU_ASSERT_EQUAL(push(lines, "\n"), 0);
	expect_line(lines, "rest");
}

static void cuts_at_every_split(void)
{
	size_t size = sizeof(sample) - 1;

	for (size_t split = 0; split <= size; split++) {
		_cleanup_(lines_freep) struct lines *lines = new_lines();

		CU_ASSERT_EQUAL(lines_push(lines, sample, split), 0);
		CU_ASSERT_EQUAL(lines_push(lines, sample + split, size - split), 0);
		expect_sample(lines);
	}
}

static void cuts_byte_by_byte(void)
{
	_cleanup_(lines_freep) struct lines *lines = new_lines();

	for (size_t i = 0; i < sizeof(sample) - 1; i++)
		CU_ASSERT_EQUAL(lines_push(lines, sample + i, 1), 0);
	expect_sample(lines);
}

static size_t count_newlines(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += text[i] == '\n';
	return count;
}

/* Reading between the pushes drops what was read; the part of a line must survive that. */
static void gives_whole_lines_of_every_truncation(void)
{
	for (size_t size = 0; size < sizeof(sample); size++) {
		_cleanup_(lines_freep) struct lines *lines = new_lines();
		const char *line;
		size_t line_size, count = 0;

		for (size_t i = 0; i < size; i++) {
			CU_ASSERT_EQUAL(lines_push(lines, sample + i, 1), 0);
			while (lines_next(lines, &line, &line_size))
				count++;
		}
		CU_ASSERT_EQUAL(count, count_newlines(sample, size));
	}
}

static void refuses_a_line_over_the_cap(void)
{
	static const char *const bad[] = { "123456789", "123456789\n", "123456789\r\n",
					   "12345678\rx" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(lines_freep) struct lines *lines = new_lines();

		CU_ASSERT_EQUAL(push(lines, bad[i]), -EMSGSIZE);
		expect_none(lines);
		CU_ASSERT_EQUAL(push(lines, "ok\n"), -EMSGSIZE); /* spent */
		expect_none(lines);
	}
}

static void refuses_a_line_that_grows_over_the_cap(void)
{
	_cleanup_(lines_freep) struct lines *lines = new_lines();

	CU_ASSERT_EQUAL(push(lines, "12345678"), 0);
	CU_ASSERT_EQUAL(push(lines, "\r"), 0); /* may yet be the line's end */
	CU_ASSERT_EQUAL(push(lines, "9"), -EMSGSIZE);
	expect_none(lines);
}

static void keeps_the_lines_before_the_bad_one(void)
{
	_cleanup_(lines_freep) struct lines *lines = new_lines();

	CU_ASSERT_EQUAL(push(lines, "one\ntw"), 0);
	CU_ASSERT_EQUAL(push(lines, "o\n123456789\nfour\n"), -EMSGSIZE);
	expect_line(lines, "one");
	expect_line(lines, "two");
	expect_none(lines);
}

static void takes_more_than_its_first_capacity(void)
{
	_cleanup_(lines_freep) struct lines *lines = lines_new(5000);
	char text[5001];

	CU_ASSERT_PTR_NOT_NULL_FATAL(lines);
	memset(text, 'x', sizeof(text));
	text[5000] = '\n';
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(lines_push(lines, text, sizeof(text)), 0);
	for (int i = 0; i < 3; i++)
		expect_bytes(lines, text, 5000);
	expect_none(lines);
}

UNIT_MAIN("lines", UNIT_TEST(starts_empty), UNIT_TEST(cuts_at_every_split),
	  UNIT_TEST(cuts_byte_by_byte), UNIT_TEST(gives_whole_lines_of_every_truncation),
	  UNIT_TEST(refuses_a_line_over_the_cap), UNIT_TEST(refuses_a_line_that_grows_over_the_cap),
	  UNIT_TEST(keeps_the_lines_before_the_bad_one),
	  UNIT_TEST(takes_more_than_its_first_capacity))
