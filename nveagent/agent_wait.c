/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_wait.c - clients that wait for a port to reach a state. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/json.h"
#include "nveagent/agent_operations.h"
#include "nveagent/agent_private.h"

static bool reached_armed(const struct port *port)
{
	return port && port->state == MOBILITY_ARMED;
}

static bool reached_resident(const struct port *port)
{
	return port && port->state == MOBILITY_RESIDENT;
}

static bool reached_absent(const struct port *port)
{
	return !port || port->state == MOBILITY_ABSENT;
}

static bool reached_switched(const struct port *port)
{
	return port && mobility_is_forwarding(port->state);
}

/* clang-format off */
static const struct {
	const char *name;
	bool (*reached)(const struct port *port);
} wait_states[] = {
	{ "armed",	reached_armed },
	{ "switched",	reached_switched },
	{ "resident",	reached_resident },
	{ "absent",	reached_absent },
};
/* clang-format on */

static void waiter_free(struct waiter *waiter)
{
	DL_DELETE(waiter->agent->waiters, waiter);
	waiter->agent->waiter_count--;
	waiter->timeout = loop_timer_free(waiter->timeout);
	free(waiter);
}

static void on_wait_timeout(void *userdata)
{
	struct waiter *waiter = userdata;
	struct port *port = port_find(waiter->agent, waiter->vni, waiter->mac);

	control_reply_error(waiter->request, "that state was not reached in time; the port is %s",
			    port ? mobility_state_name(port->state) : "absent");
	waiter_free(waiter);
}

static bool (*find_wait_state(const char *name))(const struct port *port)
{
	for (size_t i = 0; i < ARRAY_SIZE(wait_states); i++)
		if (strcmp(wait_states[i].name, name) == 0)
			return wait_states[i].reached;
	return NULL;
}

static int wait_for(struct agent *agent, struct control_request *request, const struct waiter *what,
		    uint32_t timeout_ms)
{
	struct waiter *waiter = agent->waiter_count < AGENT_WAITERS_MAX ? calloc(1, sizeof(*waiter))
									: NULL;

	if (!waiter)
		return -ENOMEM;
	*waiter = *what;
	waiter->agent = agent;
	waiter->request = request;
	DL_APPEND(agent->waiters, waiter);
	agent->waiter_count++;
	waiter->timeout = loop_timer_new(agent->loop, on_wait_timeout, waiter);
	if (waiter->timeout && loop_timer_start(waiter->timeout, timeout_ms * 1000ull) == 0)
		return 0;
	waiter_free(waiter);
	return -ENOMEM;
}

void agent_wait_for_state(struct agent *agent, struct json_object *object,
			  struct control_request *request)
{
	struct waiter what = { 0 };
	uint32_t timeout_ms = 10000;
	const char *state;

	if (agent_read_key(object, &what.vni, &what.mac) < 0 ||
	    json_get_string(object, "state", &state) < 0) {
		control_reply_error(request, "give vni, mac and state");
		return;
	}
	what.reached = find_wait_state(state);
	if (!what.reached) {
		control_reply_error(request, "state is one of armed, switched, resident, absent");
		return;
	}
	(void) json_get_u32(object, "timeout_ms", &timeout_ms);
	if (what.reached(port_find(agent, what.vni, what.mac)))
		control_reply(request, control_ok());
	else if (wait_for(agent, request, &what, timeout_ms) < 0)
		control_reply_error(request, "too many clients wait; try again");
}

void agent_control_wake(struct agent *agent, uint32_t vni, struct mac mac, const struct port *port)
{
	struct waiter *waiter, *next;

	DL_FOREACH_SAFE(agent->waiters, waiter, next)
	{
		if (waiter->vni != vni || mac_cmp(waiter->mac, mac) != 0 || !waiter->reached(port))
			continue;
		control_reply(waiter->request, control_ok());
		waiter_free(waiter);
	}
}

void agent_control_drop_waiters(struct agent *agent)
{
	while (agent->waiters) {
		control_reply_error(agent->waiters->request, "the agent is ending");
		waiter_free(agent->waiters);
	}
	if (agent->status_request)
		control_reply_error(agent->status_request, "the agent is ending");
	agent->status_request = NULL;
}
