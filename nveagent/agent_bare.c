/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_bare.c - a VM's NIC that no libvirt tells of: an operator adds it (nvectl port add), and
 * its QEMU tells by QMP what happens to it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "nveagent/agent_operations.h"
#include "nveagent/agent_private.h"
#include "nveagent/agent_vm.h"

/* --- what QEMU says --- */

static void on_qemu_status(void *userdata, bool running, bool incoming)
{
	struct port *port = userdata;

	(void) port_set_device(port, port->device);
	(void) port_meet(port);
	if (running)
		agent_vm_run(port);
	else if (incoming)
		agent_vm_arrive(port);
	else
		port_input(port, MOBILITY_FOUND);
}

static void on_qemu_event(void *userdata, const struct qmp_event *event)
{
	agent_vm_qemu_event(userdata, event);
}

static void on_qemu_gone(void *userdata)
{
	struct port *port = userdata;

	port->qemu = qemu_watch_free(port->qemu);
	agent_vm_unplug(port);
}

static void on_qemu_ring(void *userdata, const struct guest_ring_place *place)
{
	port_know_ring(userdata, place);
}

const struct qemu_watch_events agent_qemu_events = {
	.status = on_qemu_status,
	.event = on_qemu_event,
	.gone = on_qemu_gone,
	.ring = on_qemu_ring,
};

/* --- what an operator says --- */

void agent_bare_add(struct agent *agent, struct json_object *object,
		    struct control_request *request)
{
	const char *qmp, *tap, *name = NULL, *uuid = NULL;
	struct agent_vn *vn;
	struct port *port;
	struct mac mac;
	uint32_t vni;
	int r;

	if (agent_read_key(object, &vni, &mac) < 0 || json_get_string(object, "qmp", &qmp) < 0 ||
	    json_get_string(object, "tap", &tap) < 0) {
		control_reply_error(request, "give qmp, tap, mac and vni");
		return;
	}
	vn = agent_vn_find(agent, vni);
	if (!vn || mac_is_group(mac)) {
		control_reply_error(request, vn ? "a group MAC is no port"
						: "this VNI is not configured on this NVE");
		return;
	}
	port = port_find(agent, vni, mac);
	if (port && port->kind == PORT_LEARNED)
		port = port_free(port);
	if (port && port->qemu) {
		control_reply_error(request,
				    "this port is there already; nvectl port del removes it");
		return;
	}
	port = port ? port : port_new(agent, vn, mac, PORT_VM);
	r = port ? port_set_device(port, tap) : -ENOMEM;
	if (r == 0)
		r = qemu_watch_new(agent->loop, qmp, &agent_qemu_events, port, &port->qemu);
	if (r < 0) {
		if (port && port->state == MOBILITY_ABSENT)
			(void) port_free(port);
		control_reply_error(request, "cannot add the port on %s: %s", tap, strerror(-r));
		return;
	}
	(void) json_get_string(object, "vm", &name);
	(void) snprintf(port->vm, sizeof(port->vm), "%s", name ? name : tap);
	if (json_get_string(object, "uuid", &uuid) == 0)
		(void) uuid_from_text(uuid, &port->uuid);
	control_reply(request, control_ok());
}

/* The port that a request names; NULL if there is none. */
static struct port *named_port(struct agent *agent, struct json_object *object)
{
	struct mac mac;
	uint32_t vni;

	return agent_read_key(object, &vni, &mac) == 0 ? port_find(agent, vni, mac) : NULL;
}

void agent_bare_remove(struct agent *agent, struct json_object *object,
		       struct control_request *request)
{
	struct port *port = named_port(agent, object);

	if (!port || !port->qemu) {
		control_reply_error(request, "no port of that vni and mac was added by hand");
		return;
	}
	port->qemu = qemu_watch_free(port->qemu);
	port->facts = (struct mobility_facts){ .unplugged = true };
	port_input(port, MOBILITY_UNPLUG);
	control_reply(request, control_ok());
}

/*
 * Bare QEMU waits in pre-switchover, its vCPUs stopped: the switch is made now, and made when we
 * answer.
 */
void agent_bare_switch(struct agent *agent, struct json_object *object,
		       struct control_request *request)
{
	struct port *port = named_port(agent, object);

	if (!port) {
		control_reply_error(request, "there is no port of that vni and mac here");
		return;
	}
	port->facts.stopped = true;
	if (port->state == MOBILITY_ARMED)
		port_input(port, MOBILITY_STOP);
	port = named_port(agent, object); /* it may be gone */
	if (port && mobility_is_forwarding(port->state))
		control_reply(request, control_ok());
	else
		control_reply_error(
			request,
			"no new NVE has asked for this VM (state %s): is nveagent running at the "
			"destination, and was its port added there?",
			port ? mobility_state_name(port->state) : "absent");
}
