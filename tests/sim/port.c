/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.c - an endpoint at an NVE, and its machine: nveagent/port.c.
 *
 *   port_events.c ──input──▶ port.c (mobility.c) ──effect──▶ port_effects.c
 *        │                     ▲
 *        └──▶ port_addresses.c ┘ (address_table.c)
 */
#include <stdlib.h>

#include "tests/sim/port_private.h"

enum {
	VERIFY_US = 200000, /* nveagent/agent_private.h, AGENT_VERIFY_DELAY_MS */
};

static void entered(struct port *port, enum mobility_state before)
{
	if (port->unsaid)
		port_tell_later(port);
	if (port->state == MOBILITY_RESIDENT)
		port_schedule(port);
	if (port->state == MOBILITY_FORWARDING ||
	    (mobility_is_local(before) && port->state == MOBILITY_ABSENT))
		timer_start(port_clock(port), &port->vn->verify, VERIFY_US);
}

static void step(struct port *port, enum mobility_input input)
{
	const struct mobility_step *step = mobility_step(port->state, input);
	enum mobility_state before = port->state;
	char name[8];

	if (step->next != before || step->effects[0] != MOBILITY_DO_NOTHING)
		sim_trace(port->nve->sim, port->nve->name, "%s %s: %s -> %s",
			  endpoint_name(port->endpoint, name), mobility_input_name(input),
			  mobility_state_name(before), mobility_state_name(step->next));
	port->state = step->next;
	if (port->state != MOBILITY_ABSENT)
		port->forget = false;
	for (size_t i = 0; step->effects[i] != MOBILITY_DO_NOTHING; i++)
		port_do(port, step->effects[i]);
	if (port->state != before)
		entered(port, before);
}

void port_input(struct port *port, enum mobility_input input)
{
	struct nve_vn *vn = port->vn;

	while (input != MOBILITY_INPUT_COUNT) {
		step(port, input);
		input = mobility_pending(port->state, &port->facts);
	}
	agent_flush(vn);
	if (port->forget && port->state == MOBILITY_ABSENT &&
	    (port->facts.unplugged || !port->here))
		(void) port_free(port);
}

static void on_expect(void *object)
{
	port_input(object, MOBILITY_TIMEOUT_EXPECT);
}

static void on_retry(void *object)
{
	struct port *port = object;

	port_input(port, port->is_vm ? MOBILITY_TIMEOUT_RETRY : MOBILITY_RUN);
}

static void on_hold(void *object)
{
	port_input(object, MOBILITY_TIMEOUT_HOLD);
}

static void on_cap(void *object)
{
	port_input(object, MOBILITY_TIMEOUT_CAP);
}

static void on_idle(void *object)
{
	port_input(object, MOBILITY_IDLE);
}

struct port *port_new(struct nve *nve, struct endpoint *endpoint)
{
	const struct address_policy policy = { .cap = SIM_IPS + 1, .age_us = PORT_AGE_US };
	struct port *port = calloc(1, sizeof(*port));
	struct mapping known;

	if (!port)
		abort();
	port->nve = nve;
	port->vn = agent_vn_find(nve, endpoint->vni);
	port->endpoint = endpoint;
	port->is_vm = !uuid_is_none(endpoint->uuid);
	port->expect = (struct timer){ .run = on_expect, .object = port };
	port->retry = (struct timer){ .run = on_retry, .object = port };
	port->hold = (struct timer){ .run = on_hold, .object = port };
	port->cap = (struct timer){ .run = on_cap, .object = port };
	port->idle = (struct timer){ .run = on_idle, .object = port };
	port->tell = (struct timer){ .run = port_on_tell, .object = port };
	port->age = (struct timer){ .run = port_on_age, .object = port };
	port->release = (struct timer){ .run = port_on_release, .object = port };
	nve->ports[endpoint->index] = port;
	address_table_init(&port->addresses, policy);
	if (vn_find(port->vn->vn, endpoint->mac, &known))
		port_adopt(port, &known, !port->is_vm || ip_cmp(known.vtep, nve->vtep) == 0);
	return port;
}

struct port *port_free(struct port *port)
{
	if (!port)
		return NULL;
	port_stop_timers(port);
	timer_stop(port_clock(port), &port->tell);
	timer_stop(port_clock(port), &port->age);
	timer_stop(port_clock(port), &port->release);
	address_table_clear(&port->addresses);
	port->nve->ports[port->endpoint->index] = NULL;
	if (port->releasing)
		port->nve->releasing--;
	free(port);
	return NULL;
}
