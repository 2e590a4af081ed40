/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port_flows.h - a port's connection tracking entries in a move (draft-ietf-nvo3-vmm section 4.4).
 *
 *   old NVE   read when armed and at STOP, sent to the new NVE through the NVA, and deleted when
 *             the move is over
 *   new NVE   installed as they come, and deleted again if the VM does not come
 *
 * Only entries in the VN's zone (conntrack-zone) with an address of the VM, and only where no other
 * VN of that zone has the same address: whose entries those are cannot be told.
 */
#ifndef REHOME_NVEAGENT_PORT_FLOWS_H
#define REHOME_NVEAGENT_PORT_FLOWS_H

#include <stdbool.h>
#include <stddef.h>

#include "nveagent/flow.h"

enum {
	FLOWS_TAKEN_MAX =
		4 * FLOWS_MAX, /* twice in a move, and as often again if its end is put off */
};

struct port;
struct nvo3_message;

/* What a port holds of a move under way. */
struct port_flows {
	struct flow *list; /* owned: those sent, or those made here */
	size_t count;
	size_t taken; /* from the old NVE, to FLOWS_TAKEN_MAX */
	bool sent;
};

/*
 * Begins to read; what is found is sent as long as the port is armed for a new NVE, or forwards to
 * it.
 */
void port_flows_send(struct port *port);

/* FLOWS from the NVA. */
void port_flows_take(struct port *port, const struct nvo3_message *message);

/*
 * Deletes from this host's kernel what was sent or made, and forgets it. What was sent stays, and
 * times out, unless its other end is known to be at another NVE: a neighbour on this host needs its
 * entry.
 */
void port_flows_delete(struct port *port);

/* Only forgets. */
void port_flows_keep(struct port *port);

#endif
