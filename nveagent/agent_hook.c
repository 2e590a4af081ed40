/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_hook.c - what libvirt's hook says of VMs: a call is a line on the control socket. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "nveagent/agent_private.h"
#include "nveagent/agent_vm.h"

static int read_port(struct json_object *object, struct domain_port *ret_port)
{
	const char *mac, *bridge = "", *tap = "";
	struct domain_port port = { 0 };

	if (json_get_string(object, "mac", &mac) < 0 || mac_from_text(mac, &port.mac) < 0)
		return -1;
	(void) json_get_string(object, "bridge", &bridge);
	(void) json_get_string(object, "tap", &tap);
	if (strlen(bridge) >= sizeof(port.bridge) || strlen(tap) >= sizeof(port.tap))
		return -1;
	memcpy(port.bridge, bridge, strlen(bridge) + 1);
	memcpy(port.tap, tap, strlen(tap) + 1);
	*ret_port = port;
	return 0;
}

static int read_domain(struct json_object *call, struct domain *ret_domain)
{
	struct json_object *ports = NULL;
	const char *name, *uuid;

	*ret_domain = (struct domain){ 0 };
	if (json_get_string(call, "vm", &name) < 0 || strlen(name) >= sizeof(ret_domain->name) ||
	    json_get_string(call, "uuid", &uuid) < 0 || uuid_from_text(uuid, &ret_domain->uuid) < 0)
		return -1;
	(void) snprintf(ret_domain->name, sizeof(ret_domain->name), "%s", name);
	if (json_get_array(call, "ports", &ports) < 0)
		return 0;
	for (size_t i = 0; i < json_object_array_length(ports) && i < DOMAIN_PORTS_MAX; i++) {
		if (read_port(json_object_array_get_idx(ports, i), &ret_domain->ports[i]) < 0)
			return -1;
		ret_domain->port_count++;
	}
	return 0;
}

static void hook_expect(struct agent *agent, const struct domain *domain)
{
	for (size_t i = 0; i < domain->port_count; i++) {
		struct port *port = agent_vm_port(agent, domain, &domain->ports[i]);

		if (port)
			port_input(port, MOBILITY_EXPECT);
	}
}

/*
 * The tap exists and is in the bridge; whether a VM is coming in is known from `migrate`, which
 * came before.
 */
static void hook_start(struct agent *agent, const struct domain *domain)
{
	for (size_t i = 0; i < domain->port_count; i++) {
		struct port *port = agent_vm_port(agent, domain, &domain->ports[i]);

		if (port && port->ifindex && port->state == MOBILITY_EXPECTED)
			port_input(port, MOBILITY_PLUG);
	}
}

/* QEMU has the tap. */
static void hook_started(struct agent *agent, const struct domain *domain)
{
	hook_start(agent, domain);
	agent_vm_each_port(agent, domain->uuid, port_steer);
}

static void hook_gone(struct agent *agent, const struct domain *domain)
{
	agent_vm_each_port(agent, domain->uuid, agent_vm_unplug);
}

/* clang-format off */
static const struct hook_call {
	const char *operation, *sub;
	void (*handle)(struct agent *agent, const struct domain *domain);
} hook_calls[] = {
	{ "migrate",	"begin",	hook_expect },
	{ "start",	"begin",	hook_start },
	{ "started",	"begin",	hook_started },
	{ "stopped",	"end",		hook_gone },
	{ "release",	"end",		hook_gone },
};
/* clang-format on */

/* Why an incoming VM would not be reachable here; NULL when it would. */
static const char *not_ready(struct agent *agent, const struct domain *domain,
			     const char *operation)
{
	bool ours = false;

	if (strcmp(operation, "migrate") != 0)
		return NULL;
	for (size_t i = 0; i < domain->port_count; i++)
		ours |= agent_vm_vn(agent, &domain->ports[i]) != NULL;
	return ours && !nva_link_is_up(agent->nva) ? "this NVE has no session to its NVA" : NULL;
}

static struct json_object *refusal(const char *why)
{
	_cleanup_(json_unrefp) struct json_object *reply = json_object_new_object();

	if (!reply || json_add_bool(reply, "ok", false) < 0 ||
	    json_add_string(reply, "error", why) < 0 || json_add_bool(reply, "refuse", true) < 0)
		return NULL;
	return TAKE_PTR(reply);
}

void agent_hook_call(struct agent *agent, struct json_object *call, struct control_request *request)
{
	const char *operation, *sub, *why;
	struct domain domain;

	if (json_get_string(call, "operation", &operation) < 0 ||
	    json_get_string(call, "sub", &sub) < 0 || read_domain(call, &domain) < 0) {
		control_reply_error(
			request,
			"the hook call lacks operation, sub, vm or uuid, or has a malformed port");
		return;
	}
	log_debug("Hook: %s %s %s", domain.name, operation, sub);
	why = not_ready(agent, &domain, operation);
	for (size_t i = 0; i < ARRAY_SIZE(hook_calls); i++)
		if (strcmp(hook_calls[i].operation, operation) == 0 &&
		    strcmp(hook_calls[i].sub, sub) == 0)
			hook_calls[i].handle(agent, &domain);
	control_reply(request, why ? refusal(why) : control_ok());
}
