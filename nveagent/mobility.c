/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mobility.c - the table behind mobility.h: one row per pair of state and input that means
 * something.
 */
#include "nveagent/mobility.h"

#include <assert.h>

#include "common/cleanup.h"

#define DO(effect) MOBILITY_DO_##effect

/* A row of the table; `moves` tells it from a pair nobody wrote down, which means nothing. */
struct row {
	bool moves;
	struct mobility_step step;
};

#define ROW(next_, ...)                                                                     \
	{                                                                                   \
		.moves = true, .step = { .next = MOBILITY_##next_, .effects = { __VA_ARGS__ } } \
	}

/* A VM that was here and is no more: what its record held goes. */
#define LEFT                                                                               \
	DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(UNPIN), DO(WITHDRAW), DO(DELETE_FLOWS), \
		DO(FORGET)

/* clang-format off */
static const struct row table[MOBILITY_STATE_COUNT][MOBILITY_INPUT_COUNT] = {
	[MOBILITY_ABSENT] = {
		[MOBILITY_EXPECT]	= ROW(EXPECTED, DO(INTENT), DO(EXPECT_TIMER)),
		[MOBILITY_PLUG]		= ROW(PLUGGED, DO(INTENT), DO(GUARD)),
		[MOBILITY_RUN]		= ROW(REGISTERING, DO(REGISTER)),
		[MOBILITY_FOUND]	= ROW(REGISTERING, DO(REGISTER)),
		[MOBILITY_HELD]		= ROW(SWITCHED, DO(HOLD_TIMER)),
		/* The directory still names us, yet nothing is here: nobody loses by the move. */
		[MOBILITY_ASKED_FOR]	= ROW(ABSENT, DO(CONSENT), DO(FORGET)),
	},
	[MOBILITY_EXPECTED] = {
		[MOBILITY_PLUG]		= ROW(PLUGGED, DO(STOP_TIMERS), DO(GUARD)),
		[MOBILITY_RUN]		= ROW(COMMITTING, DO(STOP_TIMERS), DO(PIN), DO(COMMIT), DO(ANNOUNCE)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, DO(STOP_TIMERS), DO(ABORT), DO(DELETE_FLOWS), DO(FORGET)),
		[MOBILITY_TIMEOUT_EXPECT] = ROW(ABSENT, DO(STOP_TIMERS), DO(ABORT), DO(DELETE_FLOWS), DO(FORGET)),
		[MOBILITY_CALLED_OFF]	= ROW(EXPECTED, DO(DELETE_FLOWS)),
		[MOBILITY_NVA_UP]	= ROW(EXPECTED, DO(INTENT)),
		[MOBILITY_ASKED_FOR]	= ROW(EXPECTED, DO(REFUSE)),
	},
	[MOBILITY_PLUGGED] = {
		[MOBILITY_RUN]		= ROW(COMMITTING, DO(PIN), DO(COMMIT), DO(OPEN), DO(ANNOUNCE)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, DO(UNGUARD), DO(ABORT), DO(DELETE_FLOWS), DO(FORGET)),
		[MOBILITY_CALLED_OFF]	= ROW(PLUGGED, DO(DELETE_FLOWS)),
		[MOBILITY_NVA_UP]	= ROW(PLUGGED, DO(INTENT)),
		[MOBILITY_ASKED_FOR]	= ROW(PLUGGED, DO(REFUSE)),
	},
	[MOBILITY_COMMITTING] = {
		[MOBILITY_COMMITTED]	= ROW(SETTLING, DO(STOP_TIMERS), DO(PIN), DO(CAP_TIMER)),
		[MOBILITY_REFUSED]	= ROW(REGISTERING, DO(RETRY_TIMER)),
		[MOBILITY_NVA_UP]	= ROW(COMMITTING, DO(COMMIT)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, LEFT),
	},
	[MOBILITY_SETTLING] = {
		[MOBILITY_CONVERGED]	= ROW(RESIDENT, DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(KEEP_FLOWS)),
		/* The session, or the NVA, ended before it could say so: it is forgotten. */
		[MOBILITY_TIMEOUT_CAP]	= ROW(RESIDENT, DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(KEEP_FLOWS)),
		[MOBILITY_LEAVE]	= ROW(LEAVING, DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(KEEP_FLOWS)),
		[MOBILITY_ASKED_FOR]	= ROW(ASKED, DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(KEEP_FLOWS)),
		[MOBILITY_TAKEN]	= ROW(REGISTERING, DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(RETRY_TIMER)),
		[MOBILITY_NVA_UP]	= ROW(SETTLING, DO(REGISTER)),
		[MOBILITY_ADDRESS]	= ROW(SETTLING, DO(REGISTER)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, LEFT),
	},
	[MOBILITY_REGISTERING] = {
		[MOBILITY_REGISTERED]	= ROW(RESIDENT, DO(STOP_TIMERS), DO(HUSH), DO(UNGUARD), DO(PIN), DO(KEEP_FLOWS)),
		[MOBILITY_REFUSED]	= ROW(REGISTERING, DO(RETRY_TIMER)),
		/*
		 * A VM that runs here while the directory names another NVE: it has come, and we
		 * did not see it come. That NVE is asked; if it saw the VM leave, it agrees.
		 */
		[MOBILITY_TIMEOUT_RETRY] = ROW(COMMITTING, DO(INTENT), DO(COMMIT)),
		[MOBILITY_NVA_UP]	= ROW(REGISTERING, DO(REGISTER)),
		[MOBILITY_RUN]		= ROW(REGISTERING, DO(REGISTER)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, LEFT),
	},
	[MOBILITY_RESIDENT] = {
		[MOBILITY_LEAVE]	= ROW(LEAVING),
		[MOBILITY_ASKED_FOR]	= ROW(ASKED),
		/*
		 * It runs here, so the directory is wrong (our lease ended while we were cut
		 * off): say so again.
		 */
		[MOBILITY_TAKEN]	= ROW(REGISTERING, DO(RETRY_TIMER)),
		/*
		 * Nor are we told of another one: it was started here again while we believed that
		 * it had just left.
		 */
		[MOBILITY_REFUSED]	= ROW(REGISTERING, DO(RETRY_TIMER)),
		[MOBILITY_NVA_UP]	= ROW(RESIDENT, DO(REGISTER)),
		[MOBILITY_ADDRESS]	= ROW(RESIDENT, DO(REGISTER)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, LEFT),
	},
	[MOBILITY_ASKED] = {
		[MOBILITY_LEAVE]	= ROW(ARMED, DO(ARM), DO(CONSENT), DO(SEND_FLOWS)),
		[MOBILITY_STAY]		= ROW(RESIDENT, DO(REFUSE)),
		[MOBILITY_CALLED_OFF]	= ROW(RESIDENT),
		[MOBILITY_TAKEN]	= ROW(REGISTERING, DO(RETRY_TIMER)),
		[MOBILITY_NVA_UP]	= ROW(RESIDENT, DO(REGISTER)),
		[MOBILITY_ADDRESS]	= ROW(ASKED, DO(REGISTER)),
		/*
		 * Gone without a migration we could see: let it go, whether or not it arrives
		 * there.
		 */
		[MOBILITY_UNPLUG]	= ROW(ABSENT, DO(CONSENT), DO(UNPIN), DO(WITHDRAW), DO(FORGET)),
	},
	[MOBILITY_LEAVING] = {
		[MOBILITY_ASKED_FOR]	= ROW(ARMED, DO(ARM), DO(CONSENT), DO(SEND_FLOWS)),
		[MOBILITY_STAY]		= ROW(RESIDENT),
		[MOBILITY_NVA_UP]	= ROW(LEAVING, DO(REGISTER)),
		[MOBILITY_ADDRESS]	= ROW(LEAVING, DO(REGISTER)),
		[MOBILITY_UNPLUG]	= ROW(ABSENT, LEFT),
	},
	[MOBILITY_ARMED] = {
		[MOBILITY_STOP]		= ROW(SWITCHED, DO(SWITCH), DO(SEND_FLOWS)),
		[MOBILITY_STAY]		= ROW(RESIDENT, DO(DISARM), DO(PIN), DO(ABORT), DO(KEEP_FLOWS)),
		[MOBILITY_CALLED_OFF]	= ROW(LEAVING, DO(DISARM), DO(KEEP_FLOWS)),
		[MOBILITY_ASKED_FOR]	= ROW(ARMED, DO(DISARM), DO(ARM), DO(CONSENT), DO(SEND_FLOWS)),
		[MOBILITY_ADDRESS]	= ROW(ARMED, DO(REGISTER)),
		/* The new NVE has it although no STOP was seen here (post-copy, a lost event). */
		[MOBILITY_TAKEN]	= ROW(FORWARDING, DO(SWITCH), DO(RELEASE), DO(UNPIN), DO(CAP_TIMER), DO(SEND_FLOWS)),
		[MOBILITY_UNPLUG]	= ROW(SWITCHED, DO(SWITCH), DO(RELEASE), DO(CAP_TIMER), DO(SEND_FLOWS)),
	},
	[MOBILITY_SWITCHED] = {
		/* It left, and comes back before we have heard that it runs there. */
		[MOBILITY_EXPECT]	= ROW(EXPECTED, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(INTENT), DO(EXPECT_TIMER)),
		[MOBILITY_PLUG]		= ROW(PLUGGED, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(INTENT), DO(GUARD)),
		/* Armed anew: what was given back cannot be parked again. */
		[MOBILITY_RUN]		= ROW(ARMED, DO(STOP_TIMERS), DO(RETURN), DO(DISARM), DO(ARM), DO(KEEP_FLOWS)),
		[MOBILITY_STAY]		= ROW(RESIDENT, DO(STOP_TIMERS), DO(RETURN), DO(DISARM), DO(ABORT), DO(KEEP_FLOWS)),
		[MOBILITY_CALLED_OFF]	= ROW(LEAVING, DO(STOP_TIMERS), DO(RETURN), DO(DISARM), DO(KEEP_FLOWS)),
		[MOBILITY_TAKEN]	= ROW(FORWARDING, DO(STOP_TIMERS), DO(RELEASE), DO(UNPIN), DO(CAP_TIMER)),
		[MOBILITY_ASKED_FOR]	= ROW(SWITCHED, DO(CONSENT)),
		/* Found again, and it is still here: it may yet go on. */
		[MOBILITY_LEAVE]	= ROW(SWITCHED, DO(STOP_TIMERS)),
		[MOBILITY_SENT]		= ROW(SWITCHED, DO(HOLD_TIMER)),
		[MOBILITY_TIMEOUT_HOLD]	= ROW(SWITCHED, DO(RELEASE)),
		/* The cap runs only once the VM is gone from here: a blackout may last. */
		[MOBILITY_UNPLUG]	= ROW(SWITCHED, DO(STOP_TIMERS), DO(RELEASE), DO(CAP_TIMER)),
		/*
		 * Nobody has said that it runs there, and it is not here: no NVE shall send here
		 * for it any more.
		 */
		[MOBILITY_TIMEOUT_CAP]	= ROW(ABSENT, DO(STOP_TIMERS), DO(UNPIN), DO(DISARM), DO(KEEP_FLOWS), DO(LATE), DO(WITHDRAW), DO(FORGET)),
	},
	[MOBILITY_FORWARDING] = {
		[MOBILITY_CONVERGED]	= ROW(DRAINING, DO(IDLE_WATCH)),
		[MOBILITY_TIMEOUT_CAP]	= ROW(ABSENT, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(LATE), DO(FORGET)),
		[MOBILITY_EXPECT]	= ROW(EXPECTED, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(INTENT), DO(EXPECT_TIMER)),
		[MOBILITY_PLUG]		= ROW(PLUGGED, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(INTENT), DO(GUARD)),
		/*
		 * It runs here again after the directory gave it away: claim it, and pin only
		 * what is granted.
		 */
		[MOBILITY_RUN]		= ROW(REGISTERING, DO(STOP_TIMERS), DO(DISARM), DO(KEEP_FLOWS), DO(REGISTER)),
	},
	[MOBILITY_DRAINING] = {
		[MOBILITY_IDLE]		= ROW(ABSENT, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(LATE), DO(FORGET)),
		[MOBILITY_TIMEOUT_CAP]	= ROW(ABSENT, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(LATE), DO(FORGET)),
		[MOBILITY_EXPECT]	= ROW(EXPECTED, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(INTENT), DO(EXPECT_TIMER)),
		[MOBILITY_PLUG]		= ROW(PLUGGED, DO(STOP_TIMERS), DO(DISARM), DO(DELETE_FLOWS), DO(INTENT), DO(GUARD)),
		[MOBILITY_RUN]		= ROW(REGISTERING, DO(STOP_TIMERS), DO(DISARM), DO(KEEP_FLOWS), DO(REGISTER)),
	},
};
/* clang-format on */

static const struct mobility_step stay[MOBILITY_STATE_COUNT] = {
	[MOBILITY_ABSENT]	= { .next = MOBILITY_ABSENT },
	[MOBILITY_EXPECTED]	= { .next = MOBILITY_EXPECTED },
	[MOBILITY_PLUGGED]	= { .next = MOBILITY_PLUGGED },
	[MOBILITY_COMMITTING]	= { .next = MOBILITY_COMMITTING },
	[MOBILITY_SETTLING]	= { .next = MOBILITY_SETTLING },
	[MOBILITY_REGISTERING]	= { .next = MOBILITY_REGISTERING },
	[MOBILITY_RESIDENT]	= { .next = MOBILITY_RESIDENT },
	[MOBILITY_ASKED]	= { .next = MOBILITY_ASKED },
	[MOBILITY_LEAVING]	= { .next = MOBILITY_LEAVING },
	[MOBILITY_ARMED]	= { .next = MOBILITY_ARMED },
	[MOBILITY_SWITCHED]	= { .next = MOBILITY_SWITCHED },
	[MOBILITY_FORWARDING]	= { .next = MOBILITY_FORWARDING },
	[MOBILITY_DRAINING]	= { .next = MOBILITY_DRAINING },
};

const struct mobility_step *mobility_step(enum mobility_state state, enum mobility_input input)
{
	const struct row *row = &table[state][input];

	return row->moves ? &row->step : &stay[state];
}

enum mobility_input mobility_pending(enum mobility_state state, const struct mobility_facts *facts)
{
	const struct {
		bool holds;
		enum mobility_input input;
	} in_order[] = {
		/* It was unplugged, and begins anew here: that migration is over. */
		{ !facts->migrating_out && state == MOBILITY_ARMED, MOBILITY_STAY },
		{ facts->migrating_out && !facts->unplugged, MOBILITY_LEAVE },
		{ facts->asked_for, MOBILITY_ASKED_FOR },
		{ facts->stopped && facts->migrating_out, MOBILITY_STOP },
		{ facts->unplugged, MOBILITY_UNPLUG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(in_order); i++)
		if (in_order[i].holds && mobility_step(state, in_order[i].input)->next != state)
			return in_order[i].input;
	return MOBILITY_INPUT_COUNT;
}

bool mobility_is_local(enum mobility_state state)
{
	switch (state) {
	case MOBILITY_COMMITTING:
	case MOBILITY_SETTLING:
	case MOBILITY_REGISTERING:
	case MOBILITY_RESIDENT:
	case MOBILITY_ASKED:
	case MOBILITY_LEAVING:
	case MOBILITY_ARMED:
		return true;
	case MOBILITY_ABSENT:
	case MOBILITY_EXPECTED:
	case MOBILITY_PLUGGED:
	case MOBILITY_SWITCHED:
	case MOBILITY_FORWARDING:
	case MOBILITY_DRAINING:
	case MOBILITY_STATE_COUNT:
		return false;
	}
	return false;
}

bool mobility_is_forwarding(enum mobility_state state)
{
	return state == MOBILITY_SWITCHED || state == MOBILITY_FORWARDING ||
	       state == MOBILITY_DRAINING;
}

bool mobility_is_arriving(enum mobility_state state)
{
	return state == MOBILITY_EXPECTED || state == MOBILITY_PLUGGED ||
	       state == MOBILITY_COMMITTING;
}

static const char *const state_names[] = {
	[MOBILITY_ABSENT]	= "absent",
	[MOBILITY_EXPECTED]	= "expected",
	[MOBILITY_PLUGGED]	= "plugged",
	[MOBILITY_COMMITTING]	= "committing",
	[MOBILITY_SETTLING]	= "settling",
	[MOBILITY_REGISTERING]	= "registering",
	[MOBILITY_RESIDENT]	= "resident",
	[MOBILITY_ASKED]	= "asked",
	[MOBILITY_LEAVING]	= "leaving",
	[MOBILITY_ARMED]	= "armed",
	[MOBILITY_SWITCHED]	= "switched",
	[MOBILITY_FORWARDING]	= "forwarding",
	[MOBILITY_DRAINING]	= "draining",
};
static_assert(ARRAY_SIZE(state_names) == MOBILITY_STATE_COUNT, "a state has no name");

const char *mobility_state_name(enum mobility_state state)
{
	return state_names[state];
}

static const char *const input_names[] = {
	[MOBILITY_EXPECT]	= "expect",
	[MOBILITY_PLUG]		= "plug",
	[MOBILITY_RUN]		= "run",
	[MOBILITY_FOUND]	= "found",
	[MOBILITY_HELD]		= "held",
	[MOBILITY_STOP]		= "stop",
	[MOBILITY_UNPLUG]	= "unplug",
	[MOBILITY_LEAVE]	= "leave",
	[MOBILITY_STAY]		= "stay",
	[MOBILITY_SENT]		= "sent",
	[MOBILITY_ASKED_FOR]	= "asked-for",
	[MOBILITY_REFUSED]	= "refused",
	[MOBILITY_REGISTERED]	= "registered",
	[MOBILITY_COMMITTED]	= "committed",
	[MOBILITY_TAKEN]	= "taken",
	[MOBILITY_CONVERGED]	= "converged",
	[MOBILITY_CALLED_OFF]	= "called-off",
	[MOBILITY_NVA_UP]	= "nva-up",
	[MOBILITY_ADDRESS]	= "address",
	[MOBILITY_IDLE]		= "idle",
	[MOBILITY_TIMEOUT_EXPECT] = "timeout-expect",
	[MOBILITY_TIMEOUT_RETRY] = "timeout-retry",
	[MOBILITY_TIMEOUT_HOLD]	= "timeout-hold",
	[MOBILITY_TIMEOUT_CAP]	= "timeout-cap",
};
static_assert(ARRAY_SIZE(input_names) == MOBILITY_INPUT_COUNT, "an input has no name");

const char *mobility_input_name(enum mobility_input input)
{
	return input_names[input];
}

static const char *const effect_names[] = {
	[MOBILITY_DO_NOTHING]	= "nothing",
	[MOBILITY_DO_INTENT]	= "intent",
	[MOBILITY_DO_COMMIT]	= "commit",
	[MOBILITY_DO_REGISTER]	= "register",
	[MOBILITY_DO_WITHDRAW]	= "withdraw",
	[MOBILITY_DO_CONSENT]	= "consent",
	[MOBILITY_DO_REFUSE]	= "refuse",
	[MOBILITY_DO_ABORT]	= "abort",
	[MOBILITY_DO_GUARD]	= "guard",
	[MOBILITY_DO_OPEN]	= "open",
	[MOBILITY_DO_UNGUARD]	= "unguard",
	[MOBILITY_DO_PIN]	= "pin",
	[MOBILITY_DO_UNPIN]	= "unpin",
	[MOBILITY_DO_ANNOUNCE]	= "announce",
	[MOBILITY_DO_HUSH]	= "hush",
	[MOBILITY_DO_ARM]	= "arm",
	[MOBILITY_DO_SWITCH]	= "switch",
	[MOBILITY_DO_RELEASE]	= "release",
	[MOBILITY_DO_RETURN]	= "return",
	[MOBILITY_DO_DISARM]	= "disarm",
	[MOBILITY_DO_LATE]	= "late",
	[MOBILITY_DO_EXPECT_TIMER] = "expect-timer",
	[MOBILITY_DO_RETRY_TIMER] = "retry-timer",
	[MOBILITY_DO_HOLD_TIMER] = "hold-timer",
	[MOBILITY_DO_CAP_TIMER]	= "cap-timer",
	[MOBILITY_DO_IDLE_WATCH] = "idle-watch",
	[MOBILITY_DO_STOP_TIMERS] = "stop-timers",
	[MOBILITY_DO_SEND_FLOWS] = "send-flows",
	[MOBILITY_DO_DELETE_FLOWS] = "delete-flows",
	[MOBILITY_DO_KEEP_FLOWS] = "keep-flows",
	[MOBILITY_DO_FORGET]	= "forget",
};
static_assert(ARRAY_SIZE(effect_names) == MOBILITY_EFFECT_COUNT, "an effect has no name");

const char *mobility_effect_name(enum mobility_effect effect)
{
	return effect_names[effect];
}
