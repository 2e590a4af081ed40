/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_vm.c - what libvirt and QEMU say of VMs, as inputs of their ports. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_private.h"
#include "nveagent/agent_vm.h"

/* --- a VM's ports --- */

/* Whatever the XML says: a tap may have been moved by hand. */
struct agent_vn *agent_vm_vn(struct agent *agent, const struct domain_port *where)
{
	struct kernel_port tap;

	if (where->tap[0] && kernel_port_by_name(agent->kernel, where->tap, &tap) == 0 &&
	    tap.master)
		for (size_t i = 0; i < agent->vn_count; i++)
			if (agent->vns[i]->devices.bridge_ifindex == tap.master)
				return agent->vns[i];
	return where->bridge[0] ? agent_vn_by_bridge(agent, where->bridge) : NULL;
}

struct port *agent_vm_port(struct agent *agent, const struct domain *domain,
			   const struct domain_port *where)
{
	struct agent_vn *vn = agent_vm_vn(agent, where);
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

void agent_vm_each_port(struct agent *agent, struct uuid uuid, void (*each)(struct port *port))
{
	struct port *port, *next;

	HASH_ITER(hh, agent->ports, port, next)
		if (port->kind == PORT_VM && uuid_cmp(port->uuid, uuid) == 0)
			each(port);
}

void agent_vm_unplug(struct port *port)
{
	port->facts =
		(struct mobility_facts){ .asked_for = port->facts.asked_for, .unplugged = true };
	port->migrated = false;
	port_input(port, MOBILITY_UNPLUG);
}

void agent_vm_run(struct port *port)
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
		agent_vm_run(port);
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

void agent_vm_arrive(struct port *port)
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
	if (port_meet(port) && state == LIBVIRT_DOMAIN_PAUSED) {
		port_input(port, migrating_out ? MOBILITY_LEAVE : MOBILITY_STAY);
		return;
	}
	if (state == LIBVIRT_DOMAIN_RUNNING && !port->migrated)
		port_input(port, MOBILITY_RUN);
	else if (state == LIBVIRT_DOMAIN_INCOMING)
		agent_vm_arrive(port);
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
			agent_vm_unplug(port);
}

static void on_libvirt_domain(void *userdata, const struct domain *domain,
			      enum libvirt_domain_state state, bool migrating_out)
{
	struct agent *agent = userdata;

	if (state == LIBVIRT_DOMAIN_STOPPED) {
		agent_vm_each_port(agent, domain->uuid, agent_vm_unplug);
		return;
	}
	drop_missing(agent, domain);
	for (size_t i = 0; i < domain->port_count; i++) {
		struct port *port = agent_vm_port(agent, domain, &domain->ports[i]);

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
	struct port *port, *next;

	agent->libvirt_synced = true;
	HASH_ITER(hh, agent->ports, port, next)
		if (port_meet(port))
			agent_vm_unplug(port); /* it is not here any more */
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
