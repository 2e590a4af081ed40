/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nveagent/ethers.h"
#include "tests/unit/unit.h"

static const struct mac first = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac second = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

static bool is(struct ip ip, const char *text)
{
	char found[IP_TEXT_SIZE];

	return strcmp(ip_text(ip, found), text) == 0;
}

static void lines_comments_and_blanks_are_read(void)
{
	static const char text[] = "# rack 7\n\n52:54:00:AA:00:11\t198.51.100.11 # a spare\r\n"
				   "  52:54:00:aa:00:10   198.51.100.10";
	_cleanup_free_ struct ethers_entry *entries = NULL;
	const char *what = NULL;
	unsigned line = 0;

	CU_ASSERT_EQUAL_FATAL(ethers_parse(text, strlen(text), &entries, &line, &what), 2);
	CU_ASSERT_EQUAL(mac_cmp(entries[0].mac, first), 0);
	CU_ASSERT_TRUE(is(entries[0].ip, "198.51.100.10"));
	CU_ASSERT_EQUAL(mac_cmp(entries[1].mac, second), 0);
	CU_ASSERT_TRUE(is(entries[1].ip, "198.51.100.11"));
	CU_ASSERT_EQUAL(line, 0);
}

static void what_is_wrong_is_named_with_its_line(void)
{
	static const struct {
		const char *text, *says;
		unsigned line;
	} cases[] = {
		{ "\n52:54:00:aa:00:10\n", "not \"MAC", 2 },
		{ "52:54:00:aa:00:10 198.51.100.10 vm1", "not \"MAC", 1 },
		{ "vm1 198.51.100.10", "first word", 1 },
		{ "01:00:5e:00:00:01 198.51.100.10", "first word", 1 },
		{ "00:00:00:00:00:00 198.51.100.10", "first word", 1 },
		{ "52:54:00:aa:00:10 vm1", "second word", 1 },
		{ "52:54:00:aa:00:10 2001:db8::1", "second word", 1 },
		{ "52:54:00:aa:00:10 224.0.0.1", "second word", 1 },
		{ "52:54:00:aa:00:10 198.51.100.10\n52:54:00:aa:00:10 198.51.100.11\n\n52:54:00:aa:00:01 198.51.100.1\n",
		  "twice", 2 },
		{ "52:54:00:aa:00:10                                                                            "
		  "                                               198.51.100.10", "too long", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ethers_entry *entries = NULL;
		const char *what = "";
		unsigned line = 0;

		CU_ASSERT_EQUAL(ethers_parse(cases[i].text, strlen(cases[i].text), &entries, &line, &what), -EBADMSG);
		CU_ASSERT_EQUAL(line, cases[i].line);
		CU_ASSERT_PTR_NOT_NULL(strstr(what, cases[i].says));
		CU_ASSERT_PTR_NULL(entries);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_TRUE(fputs(text, file) >= 0);
	CU_ASSERT_EQUAL(fclose(file), 0);
}

/* What changed is read again; what is wrong then is said once, and what was known stays. */
static void the_file_is_read_again_when_it_changes(void)
{
	char path[] = "/tmp/rehome-ethers-XXXXXX", message[ETHERS_MESSAGE_SIZE] = "", place[64];
	_cleanup_(ethers_freep) struct ethers *ethers = NULL;
	int fd = mkstemp(path);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	close(fd);
	write_file(path, "52:54:00:aa:00:10 198.51.100.10\n");
	CU_ASSERT_EQUAL_FATAL(ethers_open(path, &ethers, message), 0);
	CU_ASSERT_TRUE(is(ethers_find(ethers, first), "198.51.100.10"));
	CU_ASSERT_TRUE(ip_is_none(ethers_find(ethers, second)));
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), 0);

	write_file(path, "52:54:00:aa:00:11 198.51.100.111\n");
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), 0);
	CU_ASSERT_TRUE(ip_is_none(ethers_find(ethers, first)));
	CU_ASSERT_TRUE(is(ethers_find(ethers, second), "198.51.100.111"));

	write_file(path, "# none\nbad\n");
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), -EBADMSG);
	snprintf(place, sizeof(place), "%s:2: ", path);
	CU_ASSERT_EQUAL(strncmp(message, place, strlen(place)), 0);
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), 0);
	CU_ASSERT_TRUE(is(ethers_find(ethers, second), "198.51.100.111"));

	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), -ENOENT);
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), 0);
	CU_ASSERT_TRUE(is(ethers_find(ethers, second), "198.51.100.111"));
	write_file(path, "");
	CU_ASSERT_EQUAL(ethers_refresh(ethers, message), 0);
	CU_ASSERT_TRUE(ip_is_none(ethers_find(ethers, second)));
	CU_ASSERT_EQUAL(unlink(path), 0);
}

static void a_file_that_cannot_be_read_is_an_error(void)
{
	char message[ETHERS_MESSAGE_SIZE] = "";
	struct ethers *ethers = NULL;

	CU_ASSERT_EQUAL(ethers_open("/nonexistent/ethers", &ethers, message), -ENOENT);
	CU_ASSERT_STRING_EQUAL(message, "/nonexistent/ethers: No such file or directory");
	CU_ASSERT_EQUAL(ethers_open("/", &ethers, message), -EINVAL);
	CU_ASSERT_EQUAL(ethers_open("/dev/null", &ethers, message), -EINVAL);
	CU_ASSERT_PTR_NULL(ethers);
}

UNIT_MAIN("ethers",
	UNIT_TEST(lines_comments_and_blanks_are_read),
	UNIT_TEST(what_is_wrong_is_named_with_its_line),
	UNIT_TEST(the_file_is_read_again_when_it_changes),
	UNIT_TEST(a_file_that_cannot_be_read_is_an_error))
