/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/log.h"
#include "tests/unit/unit.h"

enum {
	CAPTURE_SIZE = 8192,
};

/* Standard error, led through a pipe while it is captured. */
struct capture {
	int stderr_fd, pipe[2];
};

static struct capture capture_start(enum log_level level)
{
	struct capture capture = { .stderr_fd = dup(STDERR_FILENO) };

	CU_ASSERT_TRUE_FATAL(capture.stderr_fd >= 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(capture.pipe, O_CLOEXEC | O_NONBLOCK), 0);
	CU_ASSERT_TRUE_FATAL(dup2(capture.pipe[1], STDERR_FILENO) >= 0);
	log_open("test", level);
	return capture;
}

/* What was logged since capture_start(), in @text (CAPTURE_SIZE bytes). */
static const char *capture_end(struct capture capture, char *text)
{
	ssize_t size = read(capture.pipe[0], text, CAPTURE_SIZE - 1);

	text[size > 0 ? size : 0] = '\0';
	dup2(capture.stderr_fd, STDERR_FILENO);
	close(capture.stderr_fd);
	close(capture.pipe[0]);
	close(capture.pipe[1]);
	return text;
}

static void leads_with_the_priority(void)
{
	struct capture capture = capture_start(LOG_LEVEL_DEBUG);
	char text[CAPTURE_SIZE];

	log_error("a %d", 1);
	log_warning("b");
	log_notice("c");
	log_info("d");
	log_debug("e");
	CU_ASSERT_STRING_EQUAL(capture_end(capture, text),
			       "<3>test: a 1\n<4>test: b\n<5>test: c\n<6>test: d\n<7>test: e\n");
}

static void keeps_to_its_level(void)
{
	struct capture capture = capture_start(LOG_LEVEL_WARNING);
	char text[CAPTURE_SIZE];

	log_warning("shown");
	log_notice("not shown");
	log_debug("not shown");
	CU_ASSERT_STRING_EQUAL(capture_end(capture, text), "<4>test: shown\n");
}

static void forges_no_line(void)
{
	struct capture capture = capture_start(LOG_LEVEL_INFO);
	char text[CAPTURE_SIZE];

	log_info("peer said %s", "x\r\n<3>test: y\x1b[2J\x7fz \xc3\xa9");
	CU_ASSERT_STRING_EQUAL(capture_end(capture, text),
			       "<6>test: peer said x  <3>test: y [2J z \xc3\xa9\n");
}

static void says_the_reason_and_returns_it(void)
{
	struct capture capture = capture_start(LOG_LEVEL_ERROR);
	char text[CAPTURE_SIZE];

	CU_ASSERT_EQUAL(log_errno(-ENOENT, "Cannot open %s", "x"), -ENOENT);
	CU_ASSERT_EQUAL(log_errno(-99999, "Cannot"), -99999);
	CU_ASSERT_STRING_EQUAL(capture_end(capture, text),
			       "<3>test: Cannot open x: No such file or directory\n"
			       "<3>test: Cannot: Unknown error\n");
}

static void cuts_a_long_line(void)
{
	struct capture capture = capture_start(LOG_LEVEL_INFO);
	char text[CAPTURE_SIZE], long_text[5000];

	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	log_info("%s", long_text);
	log_errno(-ENOENT, "%s", long_text);
	log_info("next");
	capture_end(capture, text);
	CU_ASSERT_EQUAL(strncmp(text, "<6>test: xxx", 12), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(text, "x\n<3>test: xxx"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "x\n<6>test: next\n"));
}

static void reads_levels_by_name(void)
{
	static const struct {
		const char *name;
		enum log_level level;
	} names[] = { { "error", LOG_LEVEL_ERROR },
		      { "warning", LOG_LEVEL_WARNING },
		      { "notice", LOG_LEVEL_NOTICE },
		      { "info", LOG_LEVEL_INFO },
		      { "debug", LOG_LEVEL_DEBUG } };
	enum log_level level;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CU_ASSERT_EQUAL(log_level_from_name(names[i].name, &level), 0);
		CU_ASSERT_EQUAL(level, names[i].level);
	}
	CU_ASSERT_EQUAL(log_level_from_name("Error", &level), -EINVAL);
	CU_ASSERT_EQUAL(log_level_from_name("", &level), -EINVAL);
	CU_ASSERT_EQUAL(level, LOG_LEVEL_DEBUG);
}

UNIT_MAIN("log", UNIT_TEST(leads_with_the_priority), UNIT_TEST(keeps_to_its_level),
	  UNIT_TEST(forges_no_line), UNIT_TEST(says_the_reason_and_returns_it),
	  UNIT_TEST(cuts_a_long_line), UNIT_TEST(reads_levels_by_name))
