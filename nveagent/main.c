/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - nveagent, the NVE agent: reads its configuration, makes the agent, runs it. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "nveagent/agent.h"

enum {
	EXIT_CONFIG = 2,
};

struct arguments {
	const char *config;
	bool check, debug;
};

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "Configuration file (default /etc/rehome/agent.conf)", 0 },
	{ "check", 'n', NULL, 0, "Check the configuration file and exit", 0 },
	{ "debug", 'd', NULL, 0, "Log every step", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = value;
		return 0;
	case 'n':
		arguments->check = true;
		return 0;
	case 'd':
		arguments->debug = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "nveagent " REHOME_VERSION;

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "The rehome NVE agent: keeps this host's VXLAN overlay in step with its VMs, and "
	       "with where they move.",
};

static int run(const struct agent_config *config, const char *path)
{
	_cleanup_(agent_freep) struct agent *agent = NULL;
	char message[AGENT_MESSAGE_SIZE];
	int r = agent_new(config, path, message, &agent);

	if (r < 0) {
		log_error("%s", message);
		return r == -EINVAL ? EXIT_CONFIG : EXIT_FAILURE;
	}
	log_notice("ready: NVE %s, %zu VNIs", config->name, config->vni_count);
	return agent_run(agent) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * The wire is plain for now, so an NVA that is not on this host must be asked for in so many
 * words.
 */
static bool may_connect(const struct agent_config *config, const char *path)
{
	bool here = true;

	for (size_t i = 0; i < config->nva_count; i++)
		here = here && ip_is_loopback(config->nvas[i].address);
	if (config->insecure_plain || here)
		return true;
	log_error("%s: the NVA is not on this host and the connection is not encrypted: "
		  "on a trusted underlay say so with insecure-plain = yes",
		  path);
	return false;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .config = "/etc/rehome/agent.conf" };
	static struct agent_config config; /* large for a stack */
	char message[CONFIG_MESSAGE_SIZE];

	argp_err_exit_status = EXIT_CONFIG;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	log_open("nveagent", LOG_LEVEL_INFO);

	if (agent_config_read(arguments.config, &config, message) < 0) {
		log_error("%s", message);
		return EXIT_CONFIG;
	}
	if (!may_connect(&config, arguments.config))
		return EXIT_CONFIG;
	if (arguments.check)
		return EXIT_SUCCESS;
	log_open("nveagent", arguments.debug ? LOG_LEVEL_DEBUG : config.log_level);
	return run(&config, arguments.config);
}
