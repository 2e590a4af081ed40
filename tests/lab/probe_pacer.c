/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_pacer.h"

#define NS_PER_S UINT64_C(1000000000)

/* Packets the schedule holds in @elapsed_ns, in two parts so that nothing overflows. */
static uint64_t packets_in(uint64_t elapsed_ns, uint32_t pps)
{
	return elapsed_ns / NS_PER_S * pps + elapsed_ns % NS_PER_S * pps / NS_PER_S;
}

void probe_pacer_start(struct probe_pacer *pacer, uint32_t pps, uint64_t now_ns)
{
	*pacer = (struct probe_pacer){ .pps = pps, .start_ns = now_ns, .last_ns = now_ns };
}

/* Drops from the schedule what is too late to be made up for. */
static uint64_t skip_the_hopeless(struct probe_pacer *pacer, uint64_t now_ns, uint64_t owed)
{
	uint64_t bearable = packets_in(PROBE_LATE_MAX_NS, pacer->pps) + 1;

	if (owed <= bearable)
		return owed;

	pacer->skipped += owed - bearable;
	pacer->start_ns = now_ns - PROBE_LATE_MAX_NS;
	pacer->passed = 0;
	return bearable;
}

uint32_t probe_pacer_due(struct probe_pacer *pacer, uint64_t now_ns)
{
	uint64_t owed, at_most;

	if (pacer->pps == 0 || now_ns < pacer->last_ns)
		return 0;

	owed = packets_in(now_ns - pacer->start_ns, pacer->pps) + 1 - pacer->passed;
	owed = skip_the_hopeless(pacer, now_ns, owed);
	at_most = 2 * packets_in(now_ns - pacer->last_ns, pacer->pps) + 1;
	pacer->last_ns = now_ns;
	return (uint32_t) (owed < at_most ? owed : at_most);
}

void probe_pacer_sent(struct probe_pacer *pacer, uint32_t count)
{
	pacer->passed += count;
}
