/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.c - counts exactly what happens to packets between a peer and a guest while the guest
 * moves: sent, lost, duplicated, reordered, in each direction, and the longest silence.
 */
#include "tests/lab/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/cleanup.h"

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *purpose;
} subcommands[] = {
	{ "serve", probe_serve_main, "in the guest: answers, passive until asked" },
	{ "run", probe_run_main, "at the peer: streams both ways, then reports" },
	{ "reflect", probe_reflect_main, "in a guest without IP: sends Ethernet frames back" },
};

uint64_t probe_parse_number(struct argp_state *state, const char *option, const char *text,
			    uint64_t min, uint64_t max)
{
	char *end = NULL;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min ||
	    value > max)
		argp_error(state, "%s takes a number from %llu to %llu, not '%s'", option,
			   (unsigned long long) min, (unsigned long long) max, text);
	return value;
}

void probe_sleep_until(uint64_t deadline_ns)
{
	struct timespec deadline = {
		.tv_sec = (time_t) (deadline_ns / 1000000000),
		.tv_nsec = (long) (deadline_ns % 1000000000),
	};

	(void) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
}

static int usage(FILE *out, int status)
{
	fprintf(out, "Usage: probe SUBCOMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		fprintf(out, "  %-8s%s\n", subcommands[i].name, subcommands[i].purpose);
	fprintf(out, "\nEach takes --help.\n");
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr, EXIT_FAILURE);
	if (strcmp(argv[1], "--help") == 0)
		return usage(stdout, EXIT_SUCCESS);

	/* The default slack of 50 us (prctl(2)) would blur a tick of a few hundred. */
	(void) prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	return usage(stderr, EXIT_FAILURE);
}
