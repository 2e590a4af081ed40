/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_json.h - prints a summary as the members of a JSON object; the shape is in `probe run
 * --help`.
 */
#ifndef REHOME_TESTS_LAB_PROBE_JSON_H
#define REHOME_TESTS_LAB_PROBE_JSON_H

#include <stdio.h>

#include "tests/lab/probe_summary.h"

enum probe_json_flags {
	PROBE_JSON_GUEST_CLOCK = 1 << 0, /* the gaps were timed by the guest: say so in each */
	PROBE_JSON_FLOWS = 1 << 1,	 /* several flows: name the flow in every entry */
};

/* Prints `"sent":1,...,"events":[...]`, without braces. */
void probe_json_summary(FILE *out, const struct probe_summary *summary, unsigned flags);

/* Prints `"longest_gap_ms":1.234,"events":[...]`. */
void probe_json_gaps(FILE *out, const struct probe_gaps *gaps, unsigned flags);

#endif
