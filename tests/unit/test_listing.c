/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/listing.h"

#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "tests/unit/unit.h"

enum { PIECE = 3 };

/* Counts to @end, and fails at @fails. */
struct counting {
	int at, end, fails;
	bool *freed;
};

static int next(void *state, struct json_object *array)
{
	struct counting *counting = state;

	for (int n = 0; n < PIECE; n++) {
		if (counting->at == counting->fails)
			return -EIO;
		if (counting->at == counting->end)
			return 0;
		CU_ASSERT_EQUAL(json_object_array_add(array, json_object_new_int(counting->at++)),
				0);
	}
	return 1;
}

static void release(void *state)
{
	struct counting *counting = state;

	*counting->freed = true;
}

/* The line that comes of it, without its newline; how many pieces it took. */
static unsigned make(struct counting counting, struct json_object *head, char *line, size_t size)
{
	bool freed = false;
	const struct control_list list = { head, "list", next, "cannot count", release, &counting };
	struct byte_queue output = { 0 };
	struct listing listing;
	unsigned pieces = 1;
	int r;

	counting.freed = &freed;
	listing_begin(&listing, &list);
	CU_ASSERT_TRUE(listing_is_there(&listing));
	while ((r = listing_make(&listing, &output)) > 0)
		pieces++;
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_FALSE(freed);
	listing_clear(&listing);
	CU_ASSERT_TRUE(freed);
	CU_ASSERT_FALSE(listing_is_there(&listing));
	CU_ASSERT_TRUE_FATAL(byte_queue_size(&output) < size);
	memcpy(line, output.data + output.start, byte_queue_size(&output));
	line[byte_queue_size(&output)] = '\0';
	CU_ASSERT_EQUAL(line[byte_queue_size(&output) - 1], '\n');
	line[byte_queue_size(&output) - 1] = '\0';
	byte_queue_clear(&output);
	return pieces;
}

static void the_pieces_are_one_object(void)
{
	static const struct {
		int end;
		unsigned pieces;
		const char *line;
	} cases[] = {
		{ 0, 1, "{\"list\":[],\"ok\":true}" },
		{ 1, 1, "{\"list\":[0],\"ok\":true}" },
		{ 3, 2, "{\"list\":[0,1,2],\"ok\":true}" },
		{ 7, 3, "{\"list\":[0,1,2,3,4,5,6],\"ok\":true}" },
	};
	char line[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CU_ASSERT_EQUAL(make((struct counting){ .end = cases[i].end, .fails = -1 }, NULL,
				     line, sizeof(line)),
				cases[i].pieces);
		CU_ASSERT_STRING_EQUAL(line, cases[i].line);
	}
}

static void the_head_stands_before_it(void)
{
	struct json_object *head = json_object_new_object();
	char line[256];

	CU_ASSERT_EQUAL(json_add_u64(head, "a", 1), 0);
	(void) make((struct counting) { .end = 1, .fails = -1 }, head, line, sizeof(line));
	CU_ASSERT_STRING_EQUAL(line, "{\"a\":1,\"list\":[0],\"ok\":true}");
	(void) make((struct counting){ .end = 1, .fails = -1 }, json_object_new_object(), line,
		    sizeof(line));
	CU_ASSERT_STRING_EQUAL(line, "{\"list\":[0],\"ok\":true}");
}

static void a_failure_is_said_behind_what_was_made(void)
{
	char line[256];

	(void) make((struct counting) { .end = 9, .fails = 4 }, NULL, line, sizeof(line));
	CU_ASSERT_STRING_EQUAL(
		line,
		"{\"list\":[0,1,2,3],\"ok\":false,\"error\":\"cannot count: Input/output error\"}");
	(void) make((struct counting) { .end = 9, .fails = 0 }, NULL, line, sizeof(line));
	CU_ASSERT_STRING_EQUAL(
		line, "{\"list\":[],\"ok\":false,\"error\":\"cannot count: Input/output error\"}");
}

UNIT_MAIN("listing",
	UNIT_TEST(the_pieces_are_one_object),
	UNIT_TEST(the_head_stands_before_it),
	UNIT_TEST(a_failure_is_said_behind_what_was_made))
