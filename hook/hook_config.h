/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook_config.h - /etc/rehome/hook.conf: where the agent is, how long the hook may take, whether it
 * is required.
 */
#ifndef REHOME_HOOK_HOOK_CONFIG_H
#define REHOME_HOOK_HOOK_CONFIG_H

#include <stdbool.h>

#include "common/config.h"

#define HOOK_CONFIG_PATH "/etc/rehome/hook.conf"
#define HOOK_CONFIG_ENV	 "REHOME_HOOK_CONF" /* another path, for tests */

enum {
	HOOK_SOCKET_SIZE = 108, /* sun_path, unix(7) */
	HOOK_TIMEOUT_MS = 500,	/* libvirt waits for us with the VM's job held */
	HOOK_TIMEOUT_MS_MIN = 10,
	HOOK_TIMEOUT_MS_MAX = 30000, /* libvirt's own client keepalive gives up after 30 s */
};

struct hook_config {
	char socket[HOOK_SOCKET_SIZE];
	unsigned timeout_ms;
	bool require_agent;
};

/*
 * Reads @path into @ret_config. A missing file means the defaults. A bad one does too, so that no
 * typing error harms a VM: then -EINVAL (or another errno) comes back with one line in
 * @reterr_message (CONFIG_MESSAGE_SIZE bytes). @ret_config is written in every case.
 */
int hook_config_read(const char *path, struct hook_config *ret_config, char *reterr_message);

#endif
