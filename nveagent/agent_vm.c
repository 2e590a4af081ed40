/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_vm.c - what libvirt, QEMU and the hook say of VMs, as inputs of their ports. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "nveagent/agent_private.h"

/* --- a VM's ports --- */

/* The VN whose bridge the tap is in, whatever the XML says: a tap may have been moved by hand. */
static struct agent_vn *vn_of(struct agent *agent, const struct domain_port *where)
{
	struct kernel_port tap;

	if (where->tap[0] && kernel_port_by_name(agent->kernel, where->tap, &tap) == 0 &&
	    tap.master)
		for (size_t i = 0; i < agent->vn_count; i++)
			if (agent->vns[i]->devices.bridge_ifindex == tap.master)
				return agent->vns[i];
	return where->bridge[0] ? agent_vn_by_bridge(agent, where->bridge) : NULL;
}

/* The record for one NIC of @domain; NULL when it is in no VN of ours. */
static struct port *port_for(struct agent *agent, const struct domain *domain,
			     const struct domain_port *where)
{
	struct agent_vn *vn = vn_of(agent, where);
	struct port *port = vn ? port_find(agent, vn->devices.vni, where->mac) : NULL;
	char mac[MAC_TEXT_SIZE];

	if (!vn)
		return NULL;
	if (port && port->kind == PORT_LEARNED)
		port = port_free(
			port); /* its frames were seen before libvirt told us whose they are */
	if (!port)
		port = port_new(agent, vn, where->mac, PORT_VM);
	if (!port) {
		log_warning("%s %s: no room for another port", domain->name,
			    mac_text(where->mac, mac));
		return NULL;
	}
	port->uuid = domain->uuid;
	(void) snprintf(port->vm, sizeof(port->vm), "%s", domain->name);
	if (where->tap[0])
		(void) port_set_device(port, where->tap);
	return port;
}

/* Gives @input to every port of the VM @uuid. */
static void for_each_port(struct agent *agent, struct uuid uuid, void (*each)(struct port *port))
{
	struct port *port, *next;

	HASH_ITER(hh, agent->ports, port, next)
		if (port->kind == PORT_VM && uuid_cmp(port->uuid, uuid) == 0)
			each(port);
}

static void unplug(struct port *port)
{
	port->facts =
		(struct mobility_facts){ .asked_for = port->facts.asked_for, .unplugged = true };
	port->migrated = false;
	port_input(port, MOBILITY_UNPLUG);
}

static void run(struct port *port)
{
	bool came_back = port->migrated, stood_still = port->facts.stopped;

	port->facts.stopped = false;
	port->facts.unplugged = false;
	if (stood_still)
		port_addresses_resumed(port);
	port_input(port, MOBILITY_RUN);
	if (!came_back)
		return;
	/* It had left, but its destination gave up, and it goes on here. */
	port->migrated = false;
	port->facts.migrating_out = false;
	port_input(port, MOBILITY_STAY);
}

static void stop(struct port *port)
{
	port->facts.stopped = true;
	if (port->facts.migrating_out)
		port_input(port, MOBILITY_STOP);
}

static void leave(struct port *port)
{
	port->facts.migrating_out = true;
	port_find_ring(port);
	port_input(port, MOBILITY_LEAVE);
}

static void stay(struct port *port)
{
	port->facts.migrating_out = false;
	port->migrated = false;
	port_input(port, MOBILITY_STAY);
}

/* --- QEMU --- */

static void migration_status(struct port *port, enum qmp_migration_status status)
{
	/* The destination's QEMU reports its incoming migration with the same words. */
	if (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED)
		return;

	switch (status) {
	case QMP_MIGRATION_SETUP:
	case QMP_MIGRATION_ACTIVE:
	case QMP_MIGRATION_PRE_SWITCHOVER:
	case QMP_MIGRATION_DEVICE:
	case QMP_MIGRATION_WAIT_UNPLUG:
	case QMP_MIGRATION_POSTCOPY_ACTIVE:
	case QMP_MIGRATION_POSTCOPY_PAUSED:
	case QMP_MIGRATION_POSTCOPY_RECOVER:
	case QMP_MIGRATION_POSTCOPY_RECOVER_SETUP:
		if (!port->facts.migrating_out)
			leave(port);
		break;
	case QMP_MIGRATION_COMPLETED:
		port->migrated = port->facts.migrating_out;
		port_input(port, MOBILITY_SENT);
		break;
	case QMP_MIGRATION_FAILED:
	case QMP_MIGRATION_CANCELLED:
		stay(port);
		break;
	case QMP_MIGRATION_OTHER:
	case QMP_MIGRATION_NONE:
	case QMP_MIGRATION_CANCELLING:
	case QMP_MIGRATION_COLO:
	case QMP_MIGRATION_STATUS_COUNT:
		break;
	}
}

static void note_event(struct port *port, const struct qmp_event *event, uint64_t heard_us)
{
	if (event->kind == QMP_EVENT_MIGRATION)
		ledger_note(port->agent->ledger, port->move, event->timestamp_us, "qemu-migration",
			    "%s", qmp_migration_status_name(event->status));
	else
		ledger_note(port->agent->ledger, port->move, event->timestamp_us, "qemu-event",
			    "%s, heard %" PRId64 " us later", qmp_event_kind_name(event->kind),
			    (int64_t) (heard_us - event->timestamp_us));
}

void agent_vm_qemu_event(struct port *port, const struct qmp_event *event)
{
	struct agent *agent = port->agent;
	uint64_t heard_us = clock_realtime_us();
	uint32_t vni = port->key.vni;
	struct mac mac = port->mac;

	switch (event->kind) {
	case QMP_EVENT_STOP:
		port->stopped_us = event->timestamp_us;
		stop(port);
		break;
	case QMP_EVENT_RESUME:
		run(port);
		break;
	case QMP_EVENT_MIGRATION:
		if (port->inflight)
			inflight_unlocked(port->inflight, event->timestamp_us);
		migration_status(port, event->status);
		break;
	case QMP_EVENT_OTHER:
	case QMP_EVENT_MIGRATION_PASS:
	case QMP_EVENT_SHUTDOWN:
	case QMP_EVENT_KIND_COUNT:
		return;
	}
	/* Bookkeeping comes after the deed, and only if the record is still there. */
	port = port_find(agent, vni, mac);
	if (port)
		note_event(port, event, heard_us);
}

static void on_libvirt_qemu(void *userdata, struct uuid vm, const struct qmp_event *event)
{
	struct agent *agent = userdata;
	struct port *port, *next;

	HASH_ITER(hh, agent->ports, port, next)
		if (port->kind == PORT_VM && uuid_cmp(port->uuid, vm) == 0)
			agent_vm_qemu_event(port, event);
}

/* --- libvirt --- */

static void arrive(struct port *port)
{
	port_input(port, MOBILITY_PLUG);
	port_steer(port);
}

static void found(struct port *port, enum libvirt_domain_state state, bool migrating_out)
{
	bool fresh = port->state == MOBILITY_ABSENT && !port->forget;

	port->facts.stopped = state != LIBVIRT_DOMAIN_RUNNING;
	if (migrating_out && !port->facts.migrating_out) {
		port->facts.migrating_out = true;
	}
	if (state == LIBVIRT_DOMAIN_RUNNING && !port->migrated)
		port_input(port, MOBILITY_RUN);
	else if (state == LIBVIRT_DOMAIN_INCOMING)
		arrive(port);
	else if (state == LIBVIRT_DOMAIN_PAUSED && fresh)
		port_input(port, MOBILITY_FOUND);
}

static bool has_port(const struct domain *domain, const struct port *port)
{
	for (size_t i = 0; i < domain->port_count; i++)
		if (mac_cmp(domain->ports[i].mac, port->mac) == 0)
			return true;
	return false;
}

/* A NIC that was unplugged while the VM runs. */
static void drop_missing(struct agent *agent, const struct domain *domain)
{
	struct port *port, *next;

	HASH_ITER(hh, agent->ports, port, next)
		if (port->kind == PORT_VM && !port->qemu &&
		    uuid_cmp(port->uuid, domain->uuid) == 0 && !has_port(domain, port))
			unplug(port);
}

static void on_libvirt_domain(void *userdata, const struct domain *domain,
			      enum libvirt_domain_state state, bool migrating_out)
{
	struct agent *agent = userdata;

	if (state == LIBVIRT_DOMAIN_STOPPED) {
		for_each_port(agent, domain->uuid, unplug);
		return;
	}
	drop_missing(agent, domain);
	for (size_t i = 0; i < domain->port_count; i++) {
		struct port *port = port_for(agent, domain, &domain->ports[i]);

		if (port && port->ifindex)
			found(port, state, migrating_out);
	}
}

static void on_libvirt_ring(void *userdata, struct uuid vm, struct mac mac,
			    const struct guest_ring_place *place)
{
	struct agent *agent = userdata;

	for (struct port *port = agent->ports; port; port = port->hh.next)
		if (port->kind == PORT_VM && uuid_cmp(port->uuid, vm) == 0 &&
		    mac_cmp(port->mac, mac) == 0)
			port_know_ring(port, place);
}

static void on_libvirt_connected(void *userdata, bool connected, const char *reason)
{
	struct agent *agent = userdata;

	agent->libvirt_connected = connected;
	if (connected)
		log_notice("Connected to libvirt at %s", agent->config->libvirt_uri);
	else
		log_warning("No connection to libvirt at %s: %s; trying again",
			    agent->config->libvirt_uri, reason);
}

static void on_libvirt_resynced(void *userdata)
{
	struct agent *agent = userdata;

	agent->libvirt_synced = true;
	agent_nva_answer_consents(agent);
	for (size_t i = 0; i < agent->vn_count; i++)
		agent_vn_release(agent->vns[i]);
}

const struct libvirt_watch_events agent_libvirt_events = {
	.connected = on_libvirt_connected,
	.domain = on_libvirt_domain,
	.resynced = on_libvirt_resynced,
	.qemu = on_libvirt_qemu,
	.ring = on_libvirt_ring,
};

/* --- QEMU without libvirt --- */

static void on_qemu_status(void *userdata, bool running, bool incoming)
{
	struct port *port = userdata;

	(void) port_set_device(port, port->device);
	if (running)
		run(port);
	else if (incoming)
		arrive(port);
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
	unplug(port);
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

/* --- the hook --- */

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
		struct port *port = port_for(agent, domain, &domain->ports[i]);

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
		struct port *port = port_for(agent, domain, &domain->ports[i]);

		if (port && port->ifindex && port->state == MOBILITY_EXPECTED)
			port_input(port, MOBILITY_PLUG);
	}
}

/* QEMU has the tap. */
static void hook_started(struct agent *agent, const struct domain *domain)
{
	hook_start(agent, domain);
	for_each_port(agent, domain->uuid, port_steer);
}

static void hook_gone(struct agent *agent, const struct domain *domain)
{
	for_each_port(agent, domain->uuid, unplug);
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
		ours |= vn_of(agent, &domain->ports[i]) != NULL;
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

void agent_vm_hook(struct agent *agent, struct json_object *call, struct control_request *request)
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
