/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/unix_socket.h"

static void explain(int error, const char *socket, unsigned timeout_ms, char *message)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		snprintf(message, AGENT_MESSAGE_SIZE,
			 "no agent answers at %s: is nveagent running?", socket);
	else if (error == -ETIMEDOUT)
		snprintf(message, AGENT_MESSAGE_SIZE, "the agent at %s did not answer within %u ms",
			 socket, timeout_ms);
	else if (error == -ECONNRESET)
		snprintf(message, AGENT_MESSAGE_SIZE,
			 "the agent at %s closed the connection without an answer", socket);
	else if (error == -EMSGSIZE)
		snprintf(message, AGENT_MESSAGE_SIZE,
			 "the answer of the agent at %s is longer than %d MiB: ask for one VNI",
			 socket, AGENT_REPLY_SIZE_MAX >> 20);
	else if (error == -EBADMSG)
		snprintf(message, AGENT_MESSAGE_SIZE,
			 "the agent at %s gave a reply that is not understood", socket);
	else
		snprintf(message, AGENT_MESSAGE_SIZE, "cannot ask the agent at %s: %s", socket,
			 strerror(-error));
}

static int read_reply(const char *line, struct json_object **ret_reply, char *message)
{
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	const char *text = "it did not work";
	bool ok;

	if (json_parse_object(line, strlen(line), &reply) < 0 ||
	    json_get_bool(reply, "ok", &ok) < 0)
		return -EBADMSG;
	if (!ok) {
		(void) json_get_string(reply, "error", &text);
		snprintf(message, AGENT_MESSAGE_SIZE, "the agent says: %s", text);
		return -EREMOTEIO;
	}

	json_object_object_del(reply, "ok");
	*ret_reply = TAKE_PTR(reply);
	return 0;
}

int agent_ask(const char *socket, struct json_object *request, unsigned timeout_ms,
	      struct json_object **ret_reply, char *reterr_message)
{
	const char *text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
	_cleanup_free_ char *line = NULL;
	int r;

	r = unix_socket_ask(socket, text, timeout_ms, AGENT_REPLY_SIZE_MAX, &line);
	if (r == 0)
		r = read_reply(line, ret_reply, reterr_message);
	if (r < 0 && r != -EREMOTEIO)
		explain(r, socket, timeout_ms, reterr_message);
	return r;
}

struct json_object *agent_request(const char *op)
{
	_cleanup_(json_unrefp) struct json_object *request = json_object_new_object();

	if (!request || json_add_string(request, "op", op) < 0)
		return NULL;
	return TAKE_PTR(request);
}
