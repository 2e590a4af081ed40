// SPDX-License-Identifier: LGPL-2.1-or-later
/* main.c - nva, the network virtualization authority. */
#include <argp.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "common/log.h"
#include "nva/nva_config.h"
#include "nva/reservations.h"
#include "nva/server.h"
#include "nva/server_store.h"

enum {
	EXIT_CONFIG = 2, /* the command line or the configuration is wrong */
	EXIT_STORE = 3,	 /* the store is damaged, or of a newer version: somebody must see to it */
};

struct arguments {
	const char *config;
	bool check;
};

static int take_argument(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = argument;
		return 0;
	case 'k':
		arguments->check = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "Read FILE instead of " NVA_CONFIG_DEFAULT_PATH, 0 },
	{ "check", 'k', NULL, 0,
	  "Check the configuration and the store of an NVA that is not running, change nothing, "
	  "and exit: 0 when both are good, 2 or 3 when the one or the other is not, 1 when that "
	  "cannot be said",
	  0 },
	{ 0 },
};

/*
 * Frames for a thousand NVEs come and go together. Given back to the kernel each time, their memory
 * costs a page fault for every 4 KiB of the next ones: half of the time of a fan-out.
 */
static void keep_freed_memory(void)
{
	(void) mallopt(M_MMAP_THRESHOLD, 4 << 20);
	(void) mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void) mallopt(M_TOP_PAD, 1 << 20);
}

static int exit_status(int error)
{
	return error == -EBADMSG || error == -EPROTONOSUPPORT ? EXIT_STORE : EXIT_FAILURE;
}

/* True when the file can be read, or none is configured. */
static bool check_reservations(const struct nva_config *config)
{
	_cleanup_(reservations_freep) struct reservations *reservations = NULL;
	char message[RESERVATIONS_MESSAGE_SIZE];

	if (!config->reservations[0] ||
	    reservations_open(config->reservations, &reservations, message) == 0)
		return true;
	log_error("%s", message);
	return false;
}

static int check(const struct nva_config *config)
{
	char message[STORE_MESSAGE_SIZE];
	int r;

	if (!check_reservations(config))
		return EXIT_CONFIG;
	r = server_store_check(config, message);
	if (r < 0) {
		log_error("%s", message);
		return exit_status(r);
	}
	log_notice("%s", message);
	return EXIT_SUCCESS;
}

static int serve(const struct nva_config *config)
{
	_cleanup_(server_freep) struct server *server = NULL;
	char message[SERVER_MESSAGE_SIZE];
	int r;

	if (!check_reservations(config))
		return EXIT_CONFIG;
	r = server_new(config, &server, message);
	if (r < 0) {
		log_error("%s", message);
		return exit_status(r);
	}
	return server_run(server) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options,
		take_argument,
		NULL,
		"The network virtualization authority: which NVE serves which MAC and address of "
		"each VN.",
		NULL,
		NULL,
		NULL,
	};
	struct arguments arguments = { .config = NVA_CONFIG_DEFAULT_PATH };
	char message[CONFIG_MESSAGE_SIZE];
	struct nva_config config;

	argp_program_version = "nva " REHOME_VERSION;
	argp_err_exit_status = EXIT_CONFIG;
	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return EXIT_CONFIG;

	log_open("nva", LOG_LEVEL_INFO);
	if (nva_config_read(arguments.config, &config, message) < 0) {
		log_error("%s", message);
		return EXIT_CONFIG;
	}
	if (arguments.check)
		return check(&config);
	log_open("nva", config.log_level);
	keep_freed_memory();
	(void) signal(SIGPIPE, SIG_IGN); /* a peer that closed shows as an error of write() */
	return serve(&config);
}
