/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nva/reservations.h"
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
	static const char text[] = "# rack 7\n\n100 52:54:00:AA:00:11\t198.51.100.11 # a spare\r\n"
				   "100   52:54:00:aa:00:10   198.51.100.10\n"
				   " 7 52:54:00:aa:00:10 203.0.113.10";
	_cleanup_free_ struct reservation *entries = NULL;
	const char *what = NULL;
	unsigned line = 0;

	CU_ASSERT_EQUAL_FATAL(reservations_parse(text, strlen(text), &entries, &line, &what), 3);
	CU_ASSERT_EQUAL(entries[0].vni, 7);
	CU_ASSERT_EQUAL(mac_cmp(entries[0].mac, first), 0);
	CU_ASSERT_TRUE(is(entries[0].ip, "203.0.113.10"));
	CU_ASSERT_EQUAL(entries[1].vni, 100);
	CU_ASSERT_EQUAL(mac_cmp(entries[1].mac, first), 0);
	CU_ASSERT_TRUE(is(entries[1].ip, "198.51.100.10"));
	CU_ASSERT_EQUAL(mac_cmp(entries[2].mac, second), 0);
	CU_ASSERT_TRUE(is(entries[2].ip, "198.51.100.11"));
	CU_ASSERT_EQUAL(line, 0);
}

static void what_is_wrong_is_named_with_its_line(void)
{
	static const struct {
		const char *text, *says;
		unsigned line;
	} cases[] = {
		{ "\n100 52:54:00:aa:00:10\n", "not \"VNI MAC", 2 },
		{ "52:54:00:aa:00:10 198.51.100.10\n", "not \"VNI MAC", 1 },
		{ "100 52:54:00:aa:00:10 198.51.100.10 vm1", "not \"VNI MAC", 1 },
		{ "0 52:54:00:aa:00:10 198.51.100.10", "not a VNI", 1 },
		{ "16777216 52:54:00:aa:00:10 198.51.100.10", "not a VNI", 1 },
		{ "vn 52:54:00:aa:00:10 198.51.100.10", "not a VNI", 1 },
		{ "100 vm1 198.51.100.10", "second word", 1 },
		{ "100 01:00:5e:00:00:01 198.51.100.10", "second word", 1 },
		{ "100 00:00:00:00:00:00 198.51.100.10", "second word", 1 },
		{ "100 52:54:00:aa:00:10 vm1", "third word", 1 },
		{ "100 52:54:00:aa:00:10 2001:db8::1", "third word", 1 },
		{ "100 52:54:00:aa:00:10 224.0.0.1", "third word", 1 },
		{ "7 52:54:00:aa:00:10 198.51.100.10\n7 52:54:00:aa:00:10 198.51.100.11\n\n"
		  "7 52:54:00:aa:00:01 198.51.100.1\n",
		  "twice", 2 },
		{ "100 52:54:00:aa:00:10                                                           "
		  "                 "
		  "                                               198.51.100.10",
		  "too long", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reservation *entries = NULL;
		const char *what = "";
		unsigned line = 0;

		CU_ASSERT_EQUAL(reservations_parse(cases[i].text, strlen(cases[i].text), &entries,
						   &line, &what),
				-EBADMSG);
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
	char path[] = "/tmp/rehome-reservations-XXXXXX", message[RESERVATIONS_MESSAGE_SIZE] = "",
	     place[64];
	_cleanup_(reservations_freep) struct reservations *reservations = NULL;
	int fd = mkstemp(path);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	close(fd);
	write_file(path, "100 52:54:00:aa:00:10 198.51.100.10\n");
	CU_ASSERT_EQUAL_FATAL(reservations_open(path, &reservations, message), 0);
	CU_ASSERT_TRUE(is(reservations_find(reservations, 100, first), "198.51.100.10"));
	CU_ASSERT_TRUE(ip_is_none(reservations_find(reservations, 100, second)));
	CU_ASSERT_TRUE(ip_is_none(reservations_find(reservations, 101, first)));
	CU_ASSERT_TRUE(ip_is_none(reservations_find(NULL, 100, first)));
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), 0);

	write_file(path, "100 52:54:00:aa:00:11 198.51.100.111\n");
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), 0);
	CU_ASSERT_TRUE(ip_is_none(reservations_find(reservations, 100, first)));
	CU_ASSERT_TRUE(is(reservations_find(reservations, 100, second), "198.51.100.111"));

	write_file(path, "# none\nbad\n");
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), -EBADMSG);
	snprintf(place, sizeof(place), "%s:2: ", path);
	CU_ASSERT_EQUAL(strncmp(message, place, strlen(place)), 0);
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), 0);
	CU_ASSERT_TRUE(is(reservations_find(reservations, 100, second), "198.51.100.111"));

	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), -ENOENT);
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), 0);
	CU_ASSERT_TRUE(is(reservations_find(reservations, 100, second), "198.51.100.111"));
	write_file(path, "");
	CU_ASSERT_EQUAL(reservations_refresh(reservations, message), 0);
	CU_ASSERT_TRUE(ip_is_none(reservations_find(reservations, 100, second)));
	CU_ASSERT_EQUAL(unlink(path), 0);
}

static void a_file_that_cannot_be_read_is_an_error(void)
{
	char message[RESERVATIONS_MESSAGE_SIZE] = "";
	struct reservations *reservations = NULL;

	CU_ASSERT_EQUAL(reservations_open("/nonexistent/file", &reservations, message), -ENOENT);
	CU_ASSERT_STRING_EQUAL(message, "/nonexistent/file: No such file or directory");
	CU_ASSERT_EQUAL(reservations_open("/", &reservations, message), -EINVAL);
	CU_ASSERT_EQUAL(reservations_open("/dev/null", &reservations, message), -EINVAL);
	CU_ASSERT_PTR_NULL(reservations);
}

UNIT_MAIN("reservations",
	UNIT_TEST(lines_comments_and_blanks_are_read),
	UNIT_TEST(what_is_wrong_is_named_with_its_line),
	UNIT_TEST(the_file_is_read_again_when_it_changes),
	UNIT_TEST(a_file_that_cannot_be_read_is_an_error))
