// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/leader.h"

struct step {
	enum leader_state next;
	enum leader_action action;
};

/* clang-format off */
#define STAY(state) { LEADER_##state, LEADER_DO_NOTHING }
#define GO(state, action) { LEADER_##state, LEADER_DO_##action }

static const struct step steps[LEADER_STATE_COUNT][LEADER_INPUT_COUNT] = {
	[LEADER_LOADING] = {
		[LEADER_LOADED]		= GO(STANDBY, FOLLOW),
		[LEADER_BROKEN]		= GO(LOADING, LOAD),
		[LEADER_NOBODY]		= STAY(LOADING),
		[LEADER_OTHER]		= STAY(LOADING),
		[LEADER_PEER_LOST]	= STAY(LOADING),
		[LEADER_TAKEN]		= STAY(LOADING),	/* given up while unsure: found again from standby */
		[LEADER_NOT_TAKEN]	= STAY(LOADING),
		[LEADER_UNSURE]		= STAY(LOADING),
		[LEADER_CAUGHT_UP]	= STAY(LOADING),
		[LEADER_FENCED]		= STAY(LOADING),
	},
	[LEADER_STANDBY] = {
		[LEADER_LOADED]		= STAY(STANDBY),
		[LEADER_BROKEN]		= GO(LOADING, LOAD),
		[LEADER_NOBODY]		= GO(TAKING, TAKE),
		[LEADER_OTHER]		= GO(STANDBY, FOLLOW),
		[LEADER_PEER_LOST]	= GO(TAKING, TAKE),
		[LEADER_TAKEN]		= GO(CATCHING_UP, NOTHING),	/* of an attempt that was given up */
		[LEADER_NOT_TAKEN]	= STAY(STANDBY),
		[LEADER_UNSURE]		= STAY(STANDBY),
		[LEADER_CAUGHT_UP]	= STAY(STANDBY),
		[LEADER_FENCED]		= STAY(STANDBY),
	},
	[LEADER_TAKING] = {
		[LEADER_LOADED]		= STAY(TAKING),
		[LEADER_BROKEN]		= GO(LOADING, LOAD),
		[LEADER_NOBODY]		= STAY(TAKING),		/* the transaction's own answer is awaited */
		[LEADER_OTHER]		= STAY(TAKING),
		[LEADER_PEER_LOST]	= STAY(TAKING),
		[LEADER_TAKEN]		= GO(CATCHING_UP, NOTHING),
		[LEADER_NOT_TAKEN]	= GO(STANDBY, FOLLOW),
		[LEADER_UNSURE]		= GO(TAKING, TAKE),	/* told the same again: it finds its own success */
		[LEADER_CAUGHT_UP]	= STAY(TAKING),
		[LEADER_FENCED]		= GO(STANDBY, FOLLOW),
	},
	[LEADER_CATCHING_UP] = {
		[LEADER_LOADED]		= STAY(CATCHING_UP),
		[LEADER_BROKEN]		= GO(LOADING, GIVE_UP),
		[LEADER_NOBODY]		= GO(STANDBY, FOLLOW),
		[LEADER_OTHER]		= GO(STANDBY, FOLLOW),
		[LEADER_PEER_LOST]	= STAY(CATCHING_UP),
		[LEADER_TAKEN]		= STAY(CATCHING_UP),
		[LEADER_NOT_TAKEN]	= STAY(CATCHING_UP),
		[LEADER_UNSURE]		= STAY(CATCHING_UP),
		[LEADER_CAUGHT_UP]	= GO(LEADING, SERVE),
		[LEADER_FENCED]		= GO(STANDBY, FOLLOW),
	},
	[LEADER_LEADING] = {
		[LEADER_LOADED]		= STAY(LEADING),
		[LEADER_BROKEN]		= STAY(LEADING),	/* who writes needs not be told */
		[LEADER_NOBODY]		= GO(LOADING, STEP_DOWN),
		[LEADER_OTHER]		= GO(LOADING, STEP_DOWN),
		[LEADER_PEER_LOST]	= STAY(LEADING),
		[LEADER_TAKEN]		= STAY(LEADING),
		[LEADER_NOT_TAKEN]	= STAY(LEADING),
		[LEADER_UNSURE]		= STAY(LEADING),
		[LEADER_CAUGHT_UP]	= STAY(LEADING),
		[LEADER_FENCED]		= GO(LOADING, STEP_DOWN),
	},
};
/* clang-format on */

enum leader_action leader_step(enum leader_state *state, enum leader_input input)
{
	const struct step *step = &steps[*state][input];

	*state = step->next;
	return step->action;
}

const char *leader_state_name(enum leader_state state)
{
	static const char *const names[LEADER_STATE_COUNT] = {
		[LEADER_LOADING] = "loading",	     [LEADER_STANDBY] = "standby",
		[LEADER_TAKING] = "taking the lead", [LEADER_CATCHING_UP] = "catching up",
		[LEADER_LEADING] = "leading",
	};

	return names[state];
}
