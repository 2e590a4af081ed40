/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* port_addresses.c - which addresses an endpoint has: nveagent/port_addresses.c. */
#include "tests/sim/port_private.h"

enum {
	TELL_US = 10000, /* nveagent/port_addresses.c, TELL_DELAY_US */
};

void port_tell_later(struct port *port)
{
	port->unsaid = true;
	if (!timer_runs(&port->tell))
		timer_start(port_clock(port), &port->tell, TELL_US);
}

static bool may_ask(const struct port *port)
{
	return port->state == MOBILITY_RESIDENT && port->here && !port->facts.stopped;
}

void port_schedule(struct port *port)
{
	struct clock *clock = port_clock(port);
	uint64_t due_us = address_table_due(&port->addresses);

	if (!may_ask(port) || due_us == ADDRESS_NEVER)
		timer_stop(clock, &port->age);
	else
		timer_start(clock, &port->age, due_us > clock->now_us ? due_us - clock->now_us : 0);
}

static bool is_really_here(const struct port *port)
{
	return port->endpoint->running && port->endpoint->host == (int) port->nve->index;
}

void port_hear(struct port *port, struct ip ip)
{
	if (address_table_hear(&port->addresses, ip, port_clock(port)->now_us) == ADDRESS_NEW)
		port_tell_later(port);
	port_schedule(port);
}

/* The guest answers at once: what matters is whether it has the address. */
static void ask(struct port *port, struct ip ip)
{
	const struct endpoint *endpoint = port->endpoint;

	for (size_t i = 0; i < endpoint->ip_count && is_really_here(port); i++)
		if (ip_cmp(endpoint->ips[i], ip) == 0)
			port_hear(port, ip);
}

void port_on_age(void *object)
{
	struct port *port = object;
	struct address_work work;

	if (!may_ask(port))
		return;
	work = address_table_work(&port->addresses, port_clock(port)->now_us);
	for (size_t i = 0; i < work.probe_count; i++)
		ask(port, work.probe[i]);
	if (work.gone_count > 0)
		port_tell_later(port);
	port_schedule(port);
}

void port_on_tell(void *object)
{
	struct port *port = object;

	if (port->unsaid &&
	    mobility_step(port->state, MOBILITY_ADDRESS)->effects[0] != MOBILITY_DO_NOTHING)
		port_input(port, MOBILITY_ADDRESS);
}

void port_adopt(struct port *port, const struct mapping *mapping, bool verify)
{
	for (size_t i = 0; i < mapping->ip_count; i++)
		(void) address_table_adopt(&port->addresses, mapping->ips[i], verify,
					   port_clock(port)->now_us);
	port_schedule(port);
}

void port_take_mapping(struct port *port, const struct mapping *mapping)
{
	if (ip_cmp(mapping->vtep, port->nve->vtep) == 0) {
		port_adopt(port, mapping, true);
		if (!address_table_equals(&port->addresses, mapping->ips, mapping->ip_count))
			port_tell_later(port);
		return;
	}
	if (port->state != MOBILITY_EXPECTED && port->state != MOBILITY_PLUGGED)
		return;
	address_table_retain(&port->addresses, mapping->ips, mapping->ip_count);
	port_adopt(port, mapping, false);
}

void port_lose_mapping(struct port *port)
{
	if (mobility_is_local(port->state))
		port_tell_later(port);
}

void port_doubt(struct port *port, const struct mapping *mapping)
{
	for (size_t i = 0; i < mapping->ip_count; i++)
		if (address_table_has(&port->addresses, mapping->ips[i]))
			address_table_doubt(&port->addresses, mapping->ips[i],
					    port_clock(port)->now_us);
	port_schedule(port);
}

void port_verify(struct port *port)
{
	address_table_verify(&port->addresses, port_clock(port)->now_us);
	port_schedule(port);
}
