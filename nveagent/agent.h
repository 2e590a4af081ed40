/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent.h - the NVE agent as one object: what main() makes, runs and frees. */
#ifndef REHOME_NVEAGENT_AGENT_H
#define REHOME_NVEAGENT_AGENT_H

#include "common/cleanup.h"
#include "nveagent/agent_config.h"

enum {
	AGENT_MESSAGE_SIZE = 512,
};

struct agent;

/*
 * Makes or adopts the devices of every VNI, opens the control socket, and begins to connect.
 * @config is borrowed; @path is its file, for messages. On failure nothing is left behind, and
 * @reterr_message (AGENT_MESSAGE_SIZE bytes) holds one line for the user. -EINVAL: the
 * configuration does not fit this host.
 */
int agent_new(const struct agent_config *config, const char *path, char *reterr_message,
	      struct agent **ret_agent);

/* Until SIGTERM or SIGINT. */
int agent_run(struct agent *agent);

/*
 * Ends every session. The forwarding tables and the devices stay, so that running VMs do not
 * notice: the next start adopts them.
 */
struct agent *agent_free(struct agent *agent);
DEFINE_CLEANUP(struct agent, agent_free)

#endif
