/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_control.c - what an operator (nvectl) and the hook ask over the control socket: one table
 * of operations.
 */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "nveagent/agent_operations.h"
#include "nveagent/agent_private.h"

int agent_read_key(struct json_object *object, uint32_t *ret_vni, struct mac *ret_mac)
{
	const char *mac;

	if (json_get_u32(object, "vni", ret_vni) < 0 || json_get_string(object, "mac", &mac) < 0)
		return -EINVAL;
	return mac_from_text(mac, ret_mac);
}

/* clang-format off */
static const struct operation {
	const char *name;
	void (*handle)(struct agent *agent, struct json_object *object,
		       struct control_request *request);
} operations[] = {
	{ "hook",	agent_hook_call },
	{ "status",	agent_show_status },
	{ "ports",	agent_show_ports },
	{ "mappings",	agent_show_mappings },
	{ "moves",	agent_show_moves },
	{ "nva-status",	agent_show_nva_status },
	{ "port-add",	agent_bare_add },
	{ "port-del",	agent_bare_remove },
	{ "move-switch", agent_bare_switch },
	{ "move-wait",	agent_wait_for_state },
};
/* clang-format on */

void agent_control_handle(void *userdata, struct json_object *object,
			  struct control_request *request)
{
	const char *name = "";

	(void) json_get_string(object, "op", &name);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, name) == 0) {
			operations[i].handle(userdata, object, request);
			return;
		}
	control_reply_error(request, "there is no operation \"%.40s\"", name);
}
