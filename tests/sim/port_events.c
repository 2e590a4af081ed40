/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* port_events.c - what happens to an endpoint on its host: nveagent/agent_vm.c, agent_local.c. */
#include "tests/sim/port_private.h"

static void run(struct port *port)
{
	bool came_back = port->migrated, stood_still = port->facts.stopped;
	struct nve *nve = port->nve;
	unsigned index = port->endpoint->index;

	port->facts.stopped = false;
	port->facts.unplugged = false;
	if (stood_still)
		address_table_restart(&port->addresses, port_clock(port)->now_us);
	port_input(port, MOBILITY_RUN);
	port = nve->ports[index];
	if (!came_back || !port)
		return;
	port->migrated = false;
	port->facts.migrating_out = false;
	port_input(port, MOBILITY_STAY);
}

static void leave(struct port *port)
{
	if (port->facts.migrating_out ||
	    (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED))
		return;
	port->facts.migrating_out = true;
	port_input(port, MOBILITY_LEAVE);
}

static void stop(struct port *port)
{
	port->facts.stopped = true;
	if (port->facts.migrating_out)
		port_input(port, MOBILITY_STOP);
}

static void sent(struct port *port)
{
	if (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED)
		return;
	port->migrated = port->facts.migrating_out;
	port_input(port, MOBILITY_SENT);
}

static void stay(struct port *port)
{
	if (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED)
		return;
	port->facts.migrating_out = false;
	port->migrated = false;
	port_input(port, MOBILITY_STAY);
}

static void unplug(struct port *port)
{
	port->here = false;
	agent_port_removed(port->vn, NVE_PORT_IFINDEX + port->endpoint->index);
	vn_port_gone(port->vn->vn, NVE_PORT_IFINDEX + port->endpoint->index);
	port->facts =
		(struct mobility_facts){ .asked_for = port->facts.asked_for, .unplugged = true };
	port->migrated = false;
	port_input(port, MOBILITY_UNPLUG);
}

static void plug(struct port *port)
{
	port->here = true;
	port->facts.unplugged = false;
	port_input(port, MOBILITY_PLUG);
}

static void expect(struct port *port)
{
	port_input(port, MOBILITY_EXPECT);
}

static void run_here(struct port *port)
{
	port->here = true;
	run(port);
}

static void speak(struct port *port)
{
	for (size_t i = 0; i < port->endpoint->ip_count; i++)
		port_hear(port, port->endpoint->ips[i]);
}

static void learn(struct port *port)
{
	if (!port->here) {
		port->here = true;
		port->facts.unplugged = false;
		port_input(port, MOBILITY_RUN);
	}
}

/* libvirt lists what is here. */
static void found(struct nve *nve, struct endpoint *endpoint)
{
	struct port *port = nve->ports[endpoint->index];
	bool fresh;

	if (!port)
		port = port_new(nve, endpoint);
	fresh = port->state == MOBILITY_ABSENT && !port->forget;
	port->here = true;
	port->facts.unplugged = false;
	port->facts.stopped = !endpoint->running;
	if (endpoint->migration == MIGRATION_ACTIVE || endpoint->migration == MIGRATION_STOPPED)
		port->facts.migrating_out = endpoint->host == (int) nve->index;
	if (endpoint->running && endpoint->host == (int) nve->index)
		port_input(port, MOBILITY_RUN);
	else if (endpoint->migration != MIGRATION_NONE && endpoint->host != (int) nve->index &&
		 endpoint->migration != MIGRATION_RESUMED)
		port_input(port, MOBILITY_PLUG);
	else if (fresh)
		port_input(port, MOBILITY_FOUND);
}

static bool is_at(const struct endpoint *endpoint, int host)
{
	if (endpoint->host == host)
		return true;
	return endpoint->migration >= MIGRATION_PLUGGED && endpoint->destination == host;
}

static void scan(struct nve *nve)
{
	nve->scanned = true;
	for (size_t i = 0; i < nve->sim->weather.endpoint_count; i++)
		if (is_at(&nve->sim->endpoints[i], (int) nve->index))
			found(nve, &nve->sim->endpoints[i]);
	agent_answer_consents(nve);
	for (size_t i = 0; i < SIM_VNIS; i++)
		agent_release_unclaimed(&nve->vns[i]);
}

/* Those that make a record if there is none. */
static const bool makes_port[PORT_EVENT_COUNT] = {
	[PORT_EXPECT] = true,
	[PORT_PLUG] = true,
	[PORT_RUN] = true,
	[PORT_LEARN] = true,
};

static void (*const happenings[PORT_EVENT_COUNT])(struct port *port) = {
	[PORT_EXPECT] = expect, [PORT_PLUG] = plug,    [PORT_LEAVE] = leave, [PORT_STOP] = stop,
	[PORT_SENT] = sent,	[PORT_RUN] = run_here, [PORT_STAY] = stay,   [PORT_UNPLUG] = unplug,
	[PORT_LEARN] = learn,	[PORT_SPEAK] = speak,
};

void port_event(struct nve *nve, enum port_event event, struct endpoint *endpoint)
{
	struct port *port = endpoint ? nve->ports[endpoint->index] : NULL;

	if (event == PORT_SCAN) {
		scan(nve);
		return;
	}
	if (!port && makes_port[event])
		port = port_new(nve, endpoint);
	if (port)
		happenings[event](port);
}
