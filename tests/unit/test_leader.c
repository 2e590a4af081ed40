// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_leader.c - leadership: every input in every state, beside what it must lead to; and what
 * must never happen whatever the inputs are.
 */
#include <string.h>

#include "nva/leader.h"
#include "tests/unit/unit.h"

/* clang-format off */
#define L LEADER_LOADING
#define S LEADER_STANDBY
#define T LEADER_TAKING
#define C LEADER_CATCHING_UP
#define U LEADER_LEADING
#define NONE LEADER_DO_NOTHING

struct expected {
	enum leader_state next;
	enum leader_action action;
};

/* In the order of the states: loading, standby, taking, catching up, leading. */
static const struct {
	enum leader_input input;
	struct expected expected[LEADER_STATE_COUNT];
} cases[] = {
	{ LEADER_LOADED,	{ { S, LEADER_DO_FOLLOW }, { S, NONE }, { T, NONE }, { C, NONE }, { U, NONE } } },
	{ LEADER_BROKEN,	{ { L, LEADER_DO_LOAD }, { L, LEADER_DO_LOAD }, { L, LEADER_DO_LOAD },
				  { L, LEADER_DO_GIVE_UP }, { U, NONE } } },
	{ LEADER_NOBODY,	{ { L, NONE }, { T, LEADER_DO_TAKE }, { T, NONE }, { S, LEADER_DO_FOLLOW },
				  { L, LEADER_DO_STEP_DOWN } } },
	{ LEADER_OTHER,		{ { L, NONE }, { S, LEADER_DO_FOLLOW }, { T, NONE }, { S, LEADER_DO_FOLLOW },
				  { L, LEADER_DO_STEP_DOWN } } },
	{ LEADER_PEER_LOST,	{ { L, NONE }, { T, LEADER_DO_TAKE }, { T, NONE }, { C, NONE }, { U, NONE } } },
	{ LEADER_TAKEN,		{ { L, NONE }, { C, NONE }, { C, NONE }, { C, NONE }, { U, NONE } } },
	{ LEADER_NOT_TAKEN,	{ { L, NONE }, { S, NONE }, { S, LEADER_DO_FOLLOW }, { C, NONE }, { U, NONE } } },
	{ LEADER_UNSURE,	{ { L, NONE }, { S, NONE }, { T, LEADER_DO_TAKE }, { C, NONE }, { U, NONE } } },
	{ LEADER_CAUGHT_UP,	{ { L, NONE }, { S, NONE }, { T, NONE }, { U, LEADER_DO_SERVE }, { U, NONE } } },
	{ LEADER_FENCED,	{ { L, NONE }, { S, NONE }, { S, LEADER_DO_FOLLOW }, { S, LEADER_DO_FOLLOW },
				  { L, LEADER_DO_STEP_DOWN } } },
};
/* clang-format on */

static void every_input_in_every_state(void)
{
	CU_ASSERT_EQUAL(ARRAY_SIZE(cases), LEADER_INPUT_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int from = 0; from < LEADER_STATE_COUNT; from++) {
			const struct expected *expected = &cases[i].expected[from];
			enum leader_state state = (enum leader_state) from;

			CU_ASSERT_EQUAL(leader_step(&state, cases[i].input), expected->action);
			CU_ASSERT_EQUAL(state, expected->next);
		}
}

/* All sequences of inputs come to some state and input: so it is enough to look at each. */
static void serves_only_while_it_leads(void)
{
	for (int from = 0; from < LEADER_STATE_COUNT; from++)
		for (int input = 0; input < LEADER_INPUT_COUNT; input++) {
			enum leader_state state = (enum leader_state) from;
			enum leader_action action = leader_step(&state, (enum leader_input) input);

			/*
			 * Into the lead only by serving, out of it only by stepping down, in which
			 * all is read anew.
			 */
			CU_ASSERT_EQUAL(action == LEADER_DO_SERVE,
					from != LEADER_LEADING && state == LEADER_LEADING);
			CU_ASSERT_EQUAL(action == LEADER_DO_STEP_DOWN,
					from == LEADER_LEADING && state != LEADER_LEADING);
			if (action == LEADER_DO_STEP_DOWN || action == LEADER_DO_GIVE_UP ||
			    action == LEADER_DO_LOAD)
				CU_ASSERT_EQUAL(state, LEADER_LOADING);
			/* It serves only what it took, after it had everything. */
			if (action == LEADER_DO_SERVE)
				CU_ASSERT_EQUAL(from, LEADER_CATCHING_UP);
			if (state == LEADER_CATCHING_UP && from != LEADER_CATCHING_UP)
				CU_ASSERT_EQUAL(input, LEADER_TAKEN);
		}
}

static void a_takeover(void)
{
	enum leader_state state = LEADER_LOADING;

	CU_ASSERT_EQUAL(leader_step(&state, LEADER_LOADED), LEADER_DO_FOLLOW);
	CU_ASSERT_EQUAL(leader_step(&state, LEADER_OTHER), LEADER_DO_FOLLOW);
	CU_ASSERT_EQUAL(leader_step(&state, LEADER_PEER_LOST), LEADER_DO_TAKE);
	CU_ASSERT_EQUAL(leader_step(&state, LEADER_UNSURE), LEADER_DO_TAKE);
	CU_ASSERT_EQUAL(leader_step(&state, LEADER_TAKEN), LEADER_DO_NOTHING);
	CU_ASSERT_STRING_EQUAL(leader_state_name(state), "catching up");
	CU_ASSERT_EQUAL(leader_step(&state, LEADER_CAUGHT_UP), LEADER_DO_SERVE);
	CU_ASSERT_STRING_EQUAL(leader_state_name(state), "leading");
	CU_ASSERT_EQUAL(leader_step(&state, LEADER_FENCED), LEADER_DO_STEP_DOWN);
	CU_ASSERT_STRING_EQUAL(leader_state_name(state), "loading");
}

UNIT_MAIN("leader", UNIT_TEST(every_input_in_every_state), UNIT_TEST(serves_only_while_it_leads),
	  UNIT_TEST(a_takeover))
