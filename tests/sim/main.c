/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - runs seeds one after the other; says which one failed, and how to see it again. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

enum {
	STEPS_DEFAULT = 120,
	SEEDS_DEFAULT = 100,
};

struct options {
	uint64_t from, to;
	bool all; /* one that fails does not end it */
	struct sim_options run;
};

static const char usage[] =
	"Usage: sim [OPTION]...\n"
	"Drives an NVA and several NVEs through crashes, partitions and moves that a seed chooses, "
	"in\n"
	"virtual time, and checks that no generation has two owners, that what was acknowledged "
	"is\n"
	"durable, and that in the end every NVE has what the directory says.\n"
	"\n"
	"  --seed N          one seed\n"
	"  --seeds FROM-TO   these, one after the other; until one fails (default: 1-100)\n"
	"  --all             also those after one that failed\n"
	"  --steps N         how much happens in a run (default: 120)\n"
	"  --pull            half of the NVEs are not pushed everything\n"
	"  --trace           says what happens, with the virtual time\n"
	"  --help\n"
	"\n"
	"Exit status: 0 if all is well, 1 if a seed failed, 2 for usage.\n";

static bool read_number(const char *text, const char **ret_end, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	*ret_end = end;
	return errno == 0 && end != text && text[0] != '-';
}

static bool read_seeds(const char *text, struct options *options)
{
	if (!read_number(text, &text, &options->from))
		return false;
	options->to = options->from;
	if (*text == '-' && !read_number(text + 1, &text, &options->to))
		return false;
	return *text == '\0' && options->to >= options->from;
}

static bool read_steps(const char *text, struct options *options)
{
	uint64_t number;

	if (!read_number(text, &text, &number) || *text != '\0' || number == 0)
		return false;
	options->run.steps = (unsigned long) number;
	return true;
}

/* Returns an exit status, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 's' },
		{ "steps", required_argument, NULL, 'n' },
		{ "trace", no_argument, NULL, 't' },
		{ "pull", no_argument, NULL, 'p' },
		{ "all", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool good = true;
	int option;

	while (good && (option = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		good = (option == 's' && read_seeds(optarg, options)) ||
		       (option == 'n' && read_steps(optarg, options)) || option == 't' ||
		       option == 'p' || option == 'a';
		options->run.trace |= option == 't';
		options->run.pull |= option == 'p';
		options->all |= option == 'a';
	}
	if (good && optind == argc)
		return -1;
	fputs("sim: what is asked for is not understood: see sim --help\n", stderr);
	return 2;
}

static double seconds_now(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Returns whether @seed is well. */
static bool run_one(const struct options *options, uint64_t seed, unsigned long *messages)
{
	struct sim *sim;
	int r = sim_run(seed, &options->run, &sim);

	*messages += sim->messages;
	if (r < 0)
		printf("seed %llu failed after %lu steps, at %.6f s: %s\n"
		       "see it again: sim --seed %llu --steps %lu%s --trace\n",
		       (unsigned long long) seed, sim->steps, (double) sim->clock.now_us / 1e6,
		       sim->failure, (unsigned long long) seed, options->run.steps,
		       options->run.pull ? " --pull" : "");
	sim_free(sim);
	return r == 0;
}

int main(int argc, char **argv)
{
	struct options options = { .from = 1, .to = SEEDS_DEFAULT, .run.steps = STEPS_DEFAULT };
	int status = read_options(argc, argv, &options);
	unsigned long messages = 0, failed = 0;
	double began = seconds_now(), took;

	if (status >= 0)
		return status;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t seed = options.from; seed <= options.to && (options.all || !failed); seed++)
		failed += !run_one(&options, seed, &messages);
	took = seconds_now() - began;
	if (failed) {
		printf("%lu seeds failed\n", failed);
		return 1;
	}
	printf("%llu seeds are well: %lu messages in %.1f s, %.0f seeds/s\n",
	       (unsigned long long) (options.to - options.from + 1), messages, took,
	       (double) (options.to - options.from + 1) / took);
	return 0;
}
