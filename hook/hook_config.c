/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook/hook_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static const struct hook_config defaults = {
	.socket = "/run/rehome/agent.sock",
	.timeout_ms = HOOK_TIMEOUT_MS,
	.require_agent = false,
};

static int parse_socket(void *target, const char *value, char *message)
{
	struct hook_config *config = target;
	size_t size = strlen(value);

	if (value[0] != '/' || size >= sizeof(config->socket)) {
		snprintf(message, CONFIG_MESSAGE_SIZE,
			 "expected an absolute path of at most %zu bytes",
			 sizeof(config->socket) - 1);
		return -EINVAL;
	}
	memcpy(config->socket, value, size + 1);
	return 0;
}

static int parse_timeout_ms(void *target, const char *value, char *message)
{
	struct hook_config *config = target;
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (errno || value[0] < '0' || value[0] > '9' || *end || number < HOOK_TIMEOUT_MS_MIN ||
	    number > HOOK_TIMEOUT_MS_MAX) {
		snprintf(message, CONFIG_MESSAGE_SIZE, "expected milliseconds, %d to %d",
			 HOOK_TIMEOUT_MS_MIN, HOOK_TIMEOUT_MS_MAX);
		return -EINVAL;
	}
	config->timeout_ms = (unsigned) number;
	return 0;
}

static int parse_require_agent(void *target, const char *value, char *message)
{
	struct hook_config *config = target;

	config->require_agent = strcmp(value, "yes") == 0;
	if (config->require_agent || strcmp(value, "no") == 0)
		return 0;
	snprintf(message, CONFIG_MESSAGE_SIZE, "expected 'yes' or 'no'");
	return -EINVAL;
}

static int open_hook(void *config, const char *argument, void **ret_target, char *reterr_message)
{
	*ret_target = config;
	return 0;
}

static const struct config_key hook_keys[] = {
	/* clang-format off */
	{ "socket",		parse_socket },
	{ "timeout-ms",		parse_timeout_ms },
	{ "require-agent",	parse_require_agent },
	/* clang-format on */
};

static const struct config_section sections[] = {
	{ "hook", false, hook_keys, ARRAY_SIZE(hook_keys), open_hook },
};

int hook_config_read(const char *path, struct hook_config *ret_config, char *reterr_message)
{
	struct hook_config config = defaults;
	int r = config_read(path, sections, ARRAY_SIZE(sections), &config, reterr_message);

	*ret_config = r < 0 ? defaults : config;
	return r == -ENOENT ? 0 : r;
}
