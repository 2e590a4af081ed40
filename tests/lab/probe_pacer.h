/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_pacer.h - how many packets are due now; pure, the caller brings the time.
 *
 * The schedule is absolute: packet n is due n / pps seconds after the start, so rounding never adds
 * up. A late caller catches up at no more than twice the rate (or one packet a call); what is later
 * than PROBE_LATE_MAX_NS is given up by moving the schedule (those packets are skipped, never
 * numbered, so they cannot look lost).
 */
#ifndef REHOME_TESTS_LAB_PROBE_PACER_H
#define REHOME_TESTS_LAB_PROBE_PACER_H

#include <stdint.h>

#define PROBE_LATE_MAX_NS UINT64_C(1000000000)

struct probe_pacer {
	uint32_t pps;
	uint64_t start_ns; /* when packet 0 was due; moves forward when packets are skipped */
	uint64_t last_ns;  /* the last time probe_pacer_due() was asked */
	uint64_t passed;   /* packets of the schedule since start_ns that are sent */
	uint64_t skipped;
};

void probe_pacer_start(struct probe_pacer *pacer, uint32_t pps, uint64_t now_ns);

/* How many packets to send now. Those really sent must be reported by probe_pacer_sent(). */
uint32_t probe_pacer_due(struct probe_pacer *pacer, uint64_t now_ns);
void probe_pacer_sent(struct probe_pacer *pacer, uint32_t count);

#endif
