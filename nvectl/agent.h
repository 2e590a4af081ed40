/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent.h - questions to the agent on this host, over its control socket. */
#ifndef REHOME_NVECTL_AGENT_H
#define REHOME_NVECTL_AGENT_H

#include "common/json.h"

#define AGENT_SOCKET "/run/rehome/agent.sock"

enum {
	AGENT_TIMEOUT_MS = 5000,
	AGENT_LIST_TIMEOUT_MS =
		60000, /* the agent makes a list beside its work, some 100,000 rows a second */
	AGENT_REPLY_SIZE_MAX = 256 << 20, /* 800,000 mappings of two addresses each, in one line */
	AGENT_MESSAGE_SIZE = 512,
};

/*
 * Sends @request and reads the reply, from which "ok" has been taken away. Returns 0 and a reply
 * the caller owns, or with one line fit for the user in @reterr_message (AGENT_MESSAGE_SIZE bytes):
 *   -EREMOTEIO the agent says that it did not work
 *   -EBADMSG   the reply is not of our protocol
 *   or an error of unix_socket_ask()
 */
int agent_ask(const char *socket, struct json_object *request, unsigned timeout_ms,
	      struct json_object **ret_reply, char *reterr_message);

/* The request {"op":@op}, to which the caller adds; NULL when out of memory. */
struct json_object *agent_request(const char *op);

#endif
