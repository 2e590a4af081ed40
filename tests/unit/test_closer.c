// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "common/closer.h"
#include "tests/unit/unit.h"

enum { DEADLINE_MS = 30000 };

/* A pipe's reader sees its end once nobody has the other one open any more. */
static bool reader_sees_the_end(int reader)
{
	struct pollfd poll_it = { .fd = reader, .events = POLLIN };

	return poll(&poll_it, 1, DEADLINE_MS) == 1 && (poll_it.revents & POLLHUP);
}

static void closes(void)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	closer_close(ends[1]);
	CU_ASSERT_TRUE(reader_sees_the_end(ends[0]));
	close(ends[0]);
}

static void closes_many(void)
{
	int ends[100][2];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		CU_ASSERT_EQUAL_FATAL(pipe(ends[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		closer_close(ends[i][1]);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		CU_ASSERT_TRUE(reader_sees_the_end(ends[i][0]));
		close(ends[i][0]);
	}
}

static void takes_none(void)
{
	errno = 0;
	closer_close(-1);
	CU_ASSERT_EQUAL(errno, 0);
}

UNIT_MAIN("closer", UNIT_TEST(closes), UNIT_TEST(closes_many), UNIT_TEST(takes_none))
