/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_suppress.h - a VNI's ear (kernel_ear.h): what guests ask that the bridge cannot answer,
 * what we ask the NVA for it, and what guests are told.
 */
#ifndef REHOME_NVEAGENT_AGENT_SUPPRESS_H
#define REHOME_NVEAGENT_AGENT_SUPPRESS_H

#include <stdint.h>

#include "nva/wire.h"

struct agent_vn;
struct port;
struct suppressor;

struct suppress_counters {
	uint64_t heard; /* frames that the bridge flooded for want of an entry */
	uint64_t
		answered; /* ARP requests and NS, by the agent; the kernel does not count its own */
	uint64_t asked;	  /* queries to the NVA */
	uint64_t unknown; /* of them, answered with no */
	uint64_t limited; /* not asked: too many */
	uint64_t told;	  /* announcements to local guests that an address has another MAC */
};

/* Makes the ear of @vn. 0 or an errno. */
int agent_suppress_new(struct agent_vn *vn, struct suppressor **ret_suppressor);
struct suppressor *agent_suppress_free(struct suppressor *suppressor);

/* All may be called with NULL, which a VNI that does not suppress has. */
uint32_t agent_suppress_ifindex(const struct suppressor *suppressor); /* of the ear; 0: none */
struct suppress_counters agent_suppress_read(const struct suppressor *suppressor);

/* True when @answer was for a query of this VN. */
bool agent_suppress_answer(struct suppressor *suppressor, const struct nvo3_message *answer);
/* The session to the NVA ended. */
void agent_suppress_forget(struct suppressor *suppressor);
/* Tells the local guests of addresses that have another MAC now. */
void agent_suppress_tell(struct suppressor *suppressor);
/* Tells a VM that has just come here where its gateways on this host are. */
void agent_suppress_greet(struct suppressor *suppressor, const struct port *port);

#endif
