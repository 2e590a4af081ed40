/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/pace.h"

#include <stdbool.h>

/* The shortest time of late: it is forgotten little by little. */
static bool is_slow(struct pace *pace, uint64_t change_ns)
{
	bool slow = pace->usual_ns && change_ns > PACE_SLOW * pace->usual_ns;

	pace->usual_ns += pace->usual_ns / PACE_FORGET;
	if (!pace->usual_ns || change_ns < pace->usual_ns)
		pace->usual_ns = change_ns;
	return slow;
}

static uint64_t longer(uint64_t rest_us)
{
	return 2 * rest_us < PACE_REST_MAX_US ? 2 * rest_us : PACE_REST_MAX_US;
}

uint64_t pace_worked(struct pace *pace, uint64_t us, size_t changes)
{
	pace->worked_us += us;
	pace->changes += changes;
	if (pace->worked_us < PACE_WORK_US || !pace->changes)
		return 0;
	pace->rest_us = is_slow(pace, pace->worked_us * 1000 / pace->changes)
				? longer(pace->rest_us)
				: PACE_REST_US;
	pace->worked_us = pace->changes = 0;
	return pace->rest_us;
}
