/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* port_private.h - what the parts of a port share: port*.c. */
#ifndef REHOME_TESTS_SIM_PORT_PRIVATE_H
#define REHOME_TESTS_SIM_PORT_PRIVATE_H

#include "tests/sim/nve.h"

static inline struct clock *port_clock(const struct port *port)
{
	return &port->nve->sim->clock;
}

/* --- port_addresses.c --- */
enum { PORT_AGE_US = 4000000 }; /* neighbour-age */
/* What it has is to be registered, together with what comes soon. */
void port_tell_later(struct port *port);
/* When its addresses are looked at next. */
void port_schedule(struct port *port);
void port_hear(struct port *port, struct ip ip);
/* The directory says that it has these. */
void port_adopt(struct port *port, const struct mapping *mapping, bool verify);
void port_on_age(void *port);
void port_on_tell(void *port);

/* --- port_effects.c --- */
void port_do(struct port *port, enum mobility_effect effect);
void port_stop_timers(struct port *port);
void port_on_release(void *port);

#endif
