/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* probe.h - what the subcommands of the probe share. */
#ifndef REHOME_TESTS_LAB_PROBE_H
#define REHOME_TESTS_LAB_PROBE_H

#include <argp.h>
#include <stdint.h>

/* Subcommands: argv[0] is "probe NAME"; they return the exit status. */
int probe_serve_main(int argc, char **argv);
int probe_run_main(int argc, char **argv);
int probe_reflect_main(int argc, char **argv);

/* A whole decimal number from @min to @max; anything else ends the program with a usage error. */
uint64_t probe_parse_number(struct argp_state *state, const char *option, const char *text,
			    uint64_t min, uint64_t max);

/* Sleeps until CLOCK_MONOTONIC shows @deadline_ns; also returns when a signal comes. */
void probe_sleep_until(uint64_t deadline_ns);

#endif
