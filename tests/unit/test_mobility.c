/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every input in every state, against tests/data/mobility.txt (which is read by people too), what
 * must hold for all of them, and whole lives of an old and a new NVE.
 */
#include <stdio.h>
#include <string.h>

#include "nveagent/mobility.h"
#include "tests/unit/unit.h"

enum { LINE_SIZE = 256, TEXT_SIZE = 64 << 10 };

static void describe(enum mobility_state state, enum mobility_input input, char *text)
{
	const struct mobility_step *step = mobility_step(state, input);
	int size = snprintf(text, LINE_SIZE, "%-12s %-14s -> %s", mobility_state_name(state),
			    mobility_input_name(input), mobility_state_name(step->next));

	for (size_t i = 0; step->effects[i] != MOBILITY_DO_NOTHING; i++)
		size += snprintf(text + size, (size_t) (LINE_SIZE - size), "%s %s", i ? "," : ":",
				 mobility_effect_name(step->effects[i]));
	(void) snprintf(text + size, (size_t) (LINE_SIZE - size), "\n");
}

static void describe_all(char *text)
{
	text[0] = '\0';
	for (enum mobility_state state = 0; state < MOBILITY_STATE_COUNT; state++)
		for (enum mobility_input input = 0; input < MOBILITY_INPUT_COUNT; input++) {
			char line[LINE_SIZE];

			describe(state, input, line);
			strcat(text, line);
		}
}

static void every_pair_is_as_written_down(void)
{
	static char actual[TEXT_SIZE], expected[TEXT_SIZE];
	FILE *file = fopen(MOBILITY_TABLE, "re");
	size_t size;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	size = fread(expected, 1, sizeof(expected) - 1, file);
	fclose(file);
	expected[size] = '\0';
	describe_all(actual);
	CU_ASSERT_STRING_EQUAL(actual, expected);
	if (strcmp(actual, expected) != 0 && getenv("MOBILITY_TABLE_SHOW"))
		fputs(actual, stderr);
}

/* --- what holds for every step --- */

static bool does(const struct mobility_step *step, enum mobility_effect effect)
{
	for (size_t i = 0; i < MOBILITY_EFFECTS_MAX; i++)
		if (step->effects[i] == effect)
			return true;
	return false;
}

static bool is_armed(enum mobility_state state)
{
	return state == MOBILITY_ARMED || mobility_is_forwarding(state);
}

/* Calls @check for every step there is. */
static void for_all(void (*check)(enum mobility_state state, enum mobility_input input,
				  const struct mobility_step *step))
{
	for (enum mobility_state state = 0; state < MOBILITY_STATE_COUNT; state++)
		for (enum mobility_input input = 0; input < MOBILITY_INPUT_COUNT; input++)
			check(state, input, mobility_step(state, input));
}

static void check_list_ends(enum mobility_state state, enum mobility_input input,
			    const struct mobility_step *step)
{
	CU_ASSERT_EQUAL(step->effects[MOBILITY_EFFECTS_MAX - 1], MOBILITY_DO_NOTHING);
	CU_ASSERT_TRUE(step->next < MOBILITY_STATE_COUNT);
}

static void every_list_of_effects_ends(void)
{
	for_all(check_list_ends);
}

/*
 * Forwarding is prepared on the way in and taken down on the way out: no device is left, none is
 * missing. What is found was armed and switched in an earlier life.
 */
static void check_forwarding(enum mobility_state state, enum mobility_input input,
			     const struct mobility_step *step)
{
	if (input == MOBILITY_HELD && state == MOBILITY_ABSENT)
		return;
	if (!is_armed(state) && is_armed(step->next))
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_ARM));
	if (is_armed(state) && !is_armed(step->next))
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_DISARM));
	if (!mobility_is_forwarding(state) && mobility_is_forwarding(step->next))
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_SWITCH));
	if (mobility_is_forwarding(state) && mobility_is_local(step->next) &&
	    step->next != MOBILITY_REGISTERING)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_RETURN));
}

/*
 * What is held leaves only when the VM is surely gone from here, and never stays held once it is.
 */
static void check_release(enum mobility_state state, enum mobility_input input,
			  const struct mobility_step *step)
{
	bool sure = input == MOBILITY_TAKEN || input == MOBILITY_UNPLUG ||
		    input == MOBILITY_TIMEOUT_HOLD;

	if (does(step, MOBILITY_DO_RELEASE))
		CU_ASSERT_TRUE(sure);
	if (step->next == MOBILITY_FORWARDING && state != MOBILITY_FORWARDING)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_RELEASE));
	if (step->next == MOBILITY_SWITCHED && sure && input != MOBILITY_TAKEN)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_RELEASE));
}

static void what_is_held_leaves_when_the_move_is_sure(void)
{
	for_all(check_release);
}

static void forwarding_is_armed_and_disarmed(void)
{
	for_all(check_forwarding);
}

/* The old NVE says yes only when its own QEMU says that the VM leaves, or when nothing is here. */
static void check_consent(enum mobility_state state, enum mobility_input input,
			  const struct mobility_step *step)
{
	bool leaving = state == MOBILITY_LEAVING || is_armed(state) || input == MOBILITY_LEAVE;
	bool nothing_here = state == MOBILITY_ABSENT || input == MOBILITY_UNPLUG;

	if (does(step, MOBILITY_DO_CONSENT))
		CU_ASSERT_TRUE(leaving || nothing_here);
}

static void consent_needs_both_sides(void)
{
	for_all(check_consent);
}

/* A VM that is gone leaves no record, pin or guard behind, wherever its life ended. */
static void check_absent(enum mobility_state state, enum mobility_input input,
			 const struct mobility_step *step)
{
	if (step->next != MOBILITY_ABSENT || state == MOBILITY_ABSENT)
		return;
	CU_ASSERT_TRUE(does(step, MOBILITY_DO_FORGET));
	if (mobility_is_local(state))
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_UNPIN));
	if (state == MOBILITY_PLUGGED || state == MOBILITY_COMMITTING || state == MOBILITY_SETTLING)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_UNGUARD));
}

static void absence_leaves_nothing(void)
{
	for_all(check_absent);
}

static void check_guard(enum mobility_state state, enum mobility_input input,
			const struct mobility_step *step)
{
	bool guarded = state == MOBILITY_PLUGGED || state == MOBILITY_COMMITTING ||
		       state == MOBILITY_SETTLING;
	bool still = step->next == MOBILITY_PLUGGED || step->next == MOBILITY_COMMITTING ||
		     step->next == MOBILITY_SETTLING || step->next == MOBILITY_REGISTERING;

	if (step->next == MOBILITY_PLUGGED && state != MOBILITY_PLUGGED)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_GUARD));
	if (guarded && !still)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_UNGUARD));
	if (state == MOBILITY_REGISTERING && !still)
		CU_ASSERT_TRUE(does(step, MOBILITY_DO_UNGUARD));
}

static void a_guard_never_outlives_the_move(void)
{
	for_all(check_guard);
}

static void facts_come_to_rest(void)
{
	for (unsigned bits = 0; bits < 16; bits++)
		for (enum mobility_state first = 0; first < MOBILITY_STATE_COUNT; first++) {
			struct mobility_facts facts = { bits & 1, bits & 2, bits & 4, bits & 8 };
			enum mobility_state state = first;
			unsigned steps = 0;

			for (enum mobility_input input;
			     (input = mobility_pending(state, &facts)) != MOBILITY_INPUT_COUNT;) {
				const struct mobility_step *step = mobility_step(state, input);

				if (does(step, MOBILITY_DO_CONSENT) ||
				    does(step, MOBILITY_DO_REFUSE))
					facts.asked_for = false;
				state = step->next;
				CU_ASSERT_TRUE_FATAL(++steps < MOBILITY_STATE_COUNT);
			}
		}
}

/* --- whole lives --- */

static enum mobility_state live(enum mobility_state state, const enum mobility_input *inputs,
				size_t count)
{
	for (size_t i = 0; i < count; i++)
		state = mobility_step(state, inputs[i])->next;
	return state;
}

#define LIVE(state, ...)                                                              \
	live(MOBILITY_##state, (const enum mobility_input[]) { __VA_ARGS__ },         \
	     sizeof((const enum mobility_input[]) { __VA_ARGS__ }) / sizeof(enum mobility_input))

static void a_hot_move_at_the_old_nve(void)
{
	CU_ASSERT_EQUAL(LIVE(ABSENT, MOBILITY_RUN, MOBILITY_REGISTERED), MOBILITY_RESIDENT);
	/* The NVA asks before QEMU says that it migrates, or after. */
	CU_ASSERT_EQUAL(LIVE(RESIDENT, MOBILITY_ASKED_FOR, MOBILITY_LEAVE), MOBILITY_ARMED);
	CU_ASSERT_EQUAL(LIVE(RESIDENT, MOBILITY_LEAVE, MOBILITY_ASKED_FOR), MOBILITY_ARMED);
	CU_ASSERT_EQUAL(LIVE(ARMED, MOBILITY_STOP, MOBILITY_TAKEN, MOBILITY_CONVERGED,
			     MOBILITY_UNPLUG, MOBILITY_IDLE),
			MOBILITY_ABSENT);
	CU_ASSERT_EQUAL(LIVE(ARMED, MOBILITY_STOP, MOBILITY_UNPLUG, MOBILITY_TAKEN,
			     MOBILITY_TIMEOUT_CAP),
			MOBILITY_ABSENT);
}

static void a_hot_move_at_the_new_nve(void)
{
	CU_ASSERT_EQUAL(LIVE(ABSENT, MOBILITY_EXPECT, MOBILITY_PLUG, MOBILITY_RUN,
			     MOBILITY_COMMITTED, MOBILITY_CONVERGED),
			MOBILITY_RESIDENT);
	/* Without the hook the tap is the first sign. */
	CU_ASSERT_EQUAL(LIVE(ABSENT, MOBILITY_PLUG, MOBILITY_RUN, MOBILITY_COMMITTED,
			     MOBILITY_CONVERGED),
			MOBILITY_RESIDENT);
}

/*
 * The agent ends and comes back in the blackout: whatever became of the VM, it goes on from there.
 */
static void a_next_life_goes_on_in_the_blackout(void)
{
	static const struct {
		enum mobility_input met, then;
		enum mobility_state end;
	} lives[] = {
		{ MOBILITY_LEAVE, MOBILITY_TAKEN, MOBILITY_FORWARDING },
		{ MOBILITY_UNPLUG, MOBILITY_TAKEN, MOBILITY_FORWARDING },
		{ MOBILITY_TIMEOUT_HOLD, MOBILITY_UNPLUG, MOBILITY_SWITCHED },
		{ MOBILITY_LEAVE, MOBILITY_STAY, MOBILITY_RESIDENT },
		{ MOBILITY_STAY, MOBILITY_NVA_UP, MOBILITY_RESIDENT },
		{ MOBILITY_RUN, MOBILITY_STAY, MOBILITY_RESIDENT },
		{ MOBILITY_PLUG, MOBILITY_NVA_UP, MOBILITY_PLUGGED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lives); i++) {
		enum mobility_state state = mobility_step(MOBILITY_ABSENT, MOBILITY_HELD)->next;

		CU_ASSERT_EQUAL(state, MOBILITY_SWITCHED);
		CU_ASSERT_EQUAL(mobility_step(state, MOBILITY_NVA_UP)->next, state);
		state = mobility_step(state, lives[i].met)->next;
		CU_ASSERT_EQUAL(mobility_step(state, lives[i].then)->next, lives[i].end);
	}
}

static void a_failed_move_ends_where_it_began(void)
{
	CU_ASSERT_EQUAL(LIVE(RESIDENT, MOBILITY_LEAVE, MOBILITY_STAY), MOBILITY_RESIDENT);
	CU_ASSERT_EQUAL(LIVE(RESIDENT, MOBILITY_ASKED_FOR, MOBILITY_LEAVE, MOBILITY_STAY),
			MOBILITY_RESIDENT);
	CU_ASSERT_EQUAL(LIVE(ARMED, MOBILITY_STOP, MOBILITY_STAY, MOBILITY_RUN), MOBILITY_RESIDENT);
	CU_ASSERT_EQUAL(LIVE(ARMED, MOBILITY_STOP, MOBILITY_RUN, MOBILITY_STAY), MOBILITY_RESIDENT);
	CU_ASSERT_EQUAL(LIVE(ARMED, MOBILITY_STOP, MOBILITY_CALLED_OFF, MOBILITY_STAY),
			MOBILITY_RESIDENT);
	CU_ASSERT_EQUAL(LIVE(ABSENT, MOBILITY_EXPECT, MOBILITY_PLUG, MOBILITY_UNPLUG),
			MOBILITY_ABSENT);
	CU_ASSERT_EQUAL(LIVE(ABSENT, MOBILITY_EXPECT, MOBILITY_TIMEOUT_EXPECT), MOBILITY_ABSENT);
}

static void back_before_the_first_move_has_drained(void)
{
	CU_ASSERT_EQUAL(LIVE(FORWARDING, MOBILITY_EXPECT, MOBILITY_PLUG, MOBILITY_RUN),
			MOBILITY_COMMITTING);
	CU_ASSERT_EQUAL(LIVE(DRAINING, MOBILITY_PLUG, MOBILITY_RUN), MOBILITY_COMMITTING);
	CU_ASSERT_EQUAL(LIVE(SETTLING, MOBILITY_LEAVE, MOBILITY_ASKED_FOR), MOBILITY_ARMED);
}

static void names_are_told_apart(void)
{
	for (enum mobility_state a = 0; a < MOBILITY_STATE_COUNT; a++)
		for (enum mobility_state b = 0; b < a; b++)
			CU_ASSERT_STRING_NOT_EQUAL(mobility_state_name(a), mobility_state_name(b));
}

UNIT_MAIN("mobility",
	UNIT_TEST(every_pair_is_as_written_down),
	UNIT_TEST(every_list_of_effects_ends),
	UNIT_TEST(forwarding_is_armed_and_disarmed),
	UNIT_TEST(what_is_held_leaves_when_the_move_is_sure),
	UNIT_TEST(consent_needs_both_sides),
	UNIT_TEST(absence_leaves_nothing),
	UNIT_TEST(a_guard_never_outlives_the_move),
	UNIT_TEST(facts_come_to_rest),
	UNIT_TEST(a_hot_move_at_the_old_nve),
	UNIT_TEST(a_hot_move_at_the_new_nve),
	UNIT_TEST(a_next_life_goes_on_in_the_blackout),
	  UNIT_TEST(a_failed_move_ends_where_it_began),
	UNIT_TEST(back_before_the_first_move_has_drained),
	UNIT_TEST(names_are_told_apart))
