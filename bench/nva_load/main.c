// SPDX-License-Identifier: LGPL-2.1-or-later
/* main.c - nva-load, simulated NVEs for bench/directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/nva_load/link.h"
#include "bench/nva_load/load.h"

static const char usage[] =
	"usage: nva-load register|sync|move KEY=NUMBER...\n"
	"\n"
	"  register  one NVE registers COUNT mappings, from number FIRST on, BATCH in a message\n"
	"            (1: REGISTER), WINDOW messages ahead of the answers\n"
	"  sync      one NVE subscribes and decodes a snapshot that has COUNT mappings\n"
	"  move      NVES NVEs with 20 VMs each; COUNT moves, RATE a second (0: one after the "
	"other)\n"
	"\n"
	"Keys: port nve nves count first batch window rate. Prints one JSON object.\n";

struct key {
	const char *name;
	uint32_t *value;
};

static void parse(const char *word, const struct key *keys, size_t count)
{
	const char *value = strchr(word, '=');
	char *end = NULL;

	for (size_t i = 0; value && i < count; i++) {
		if (strncmp(word, keys[i].name, (size_t) (value - word)) != 0 ||
		    keys[i].name[value - word] != '\0')
			continue;
		*keys[i].value = (uint32_t) strtoul(value + 1, &end, 10);
		if (end == value + 1 || *end != '\0')
			break;
		return;
	}
	(void) fputs(usage, stderr);
	exit(2);
}

static const struct command {
	const char *name;
	void (*run)(const struct load_options *options);
} commands[] = {
	{ "register", load_register },
	{ "sync", load_sync },
	{ "move", load_move },
};

int main(int argc, char **argv)
{
	struct load_options options = { .count = 1000, .nves = 10, .batch = 256, .window = 16 };
	uint32_t port = NVO3_PORT;
	const struct key keys[] = {
		{ "port", &port },
		{ "nve", &options.nve },
		{ "nves", &options.nves },
		{ "count", &options.count },
		{ "first", &options.first },
		{ "batch", &options.batch },
		{ "window", &options.window },
		{ "rate", &options.rate },
	};

	for (int i = 2; i < argc; i++)
		parse(argv[i], keys, ARRAY_SIZE(keys));
	options.port = (uint16_t) port;
	if (options.count == 0 || options.nves < 2 || options.batch == 0 ||
	    options.batch > NVO3_BATCH_MAX || options.window == 0)
		die("impossible numbers");
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, argv[1]) == 0) {
			commands[i].run(&options);
			return EXIT_SUCCESS;
		}
	(void) fputs(usage, argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
	return argc > 1 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
}
