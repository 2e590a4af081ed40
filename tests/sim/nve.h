/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nve.h - a host with its kernel, and the agent on it, which may crash and start again on its own:
 * what nveagent/ does, on its real pure parts.
 *
 *   hosts.c ──port events──▶ port.c (mobility.c, address_table.c) ──requests──▶ nve.c ──▶ link
 *                                ▲          │ pins, holds                        │ UPDATEs
 *                                │          ▼                                    ▼
 *                                └───────── vn.c ──slices of changes──▶ kernel (a table), then ACK
 */
#ifndef REHOME_TESTS_SIM_NVE_H
#define REHOME_TESTS_SIM_NVE_H

#include "nveagent/address_table.h"
#include "nveagent/consents.h"
#include "nveagent/mobility.h"
#include "nveagent/query.h"
#include "nveagent/vn.h"
#include "nveagent/withdrawals.h"
#include "tests/sim/kernel.h"
#include "tests/sim/reader.h"
#include "tests/sim/sim.h"

enum {
	NVE_EVENTS_MAX = 256,
	NVE_VXLAN_IFINDEX = 10,
	NVE_BRIDGE_IFINDEX = 20,
	NVE_LANE_IFINDEX = 30,	/* the forward devices */
	NVE_PORT_IFINDEX = 100, /* and the endpoint's index */
};

/* One VNI on a host; the kernel's table outlives the agent. */
struct nve_vn {
	struct nve *nve;
	uint32_t vni;
	bool joined;   /* this host has the VN */
	struct vn *vn; /* NULL while the agent is down */
	struct kernel *kernel;
	struct query_table *queries;
	struct timer more;   /* the next slice */
	struct timer verify; /* asks all ports for their addresses */
};

enum nve_state { NVE_WAITING, NVE_GREETING, NVE_UP };

/* What a host tells its agent of an endpoint. */
enum port_event {
	PORT_EXPECT, /* hook: a migration into this host begins */
	PORT_PLUG,
	PORT_LEAVE,
	PORT_STOP,
	PORT_SENT,
	PORT_RUN,
	PORT_STAY,
	PORT_UNPLUG,
	PORT_LEARN, /* a bridge port has learned it */
	PORT_SPEAK, /* the endpoint says its addresses */
	PORT_SCAN,  /* libvirt has told all that is here */
	PORT_EVENT_COUNT,
};

/* nveagent/port.h's record. */
struct port {
	struct nve *nve;
	struct nve_vn *vn;
	struct endpoint *endpoint;
	enum mobility_state state;
	struct mobility_facts facts;
	bool is_vm, migrated, forget;
	bool here; /* its device is there */
	struct address_table addresses;
	bool unsaid;
	uint64_t generation;
	struct ip other;
	uint64_t consent_id, request_id;
	bool releasing;
	struct timer expect, retry, hold, cap, idle, tell, age, release;
};

struct nve {
	struct sim *sim;
	unsigned index;
	char name[8];
	struct ip vtep;
	bool gateway;
	bool pull;	    /* it holds what it has asked for */
	bool digests;	    /* it says what it remembers, and is told only what differs */
	uint64_t kernel_us; /* it takes for a slice of changes, at most */
	bool host_up, agent_up;
	bool cut; /* from the NVA, by the network */
	uint64_t lives;
	struct nve_vn vns[SIM_VNIS];

	/* The session. */
	enum nve_state state;
	struct link *link; /* NULL: none */
	unsigned memory;   /* of the NVA, when the session began */
	struct reader reader;
	struct timer retry;
	uint64_t retry_us, last_id, nva_incarnation;
	struct timer grace;
	uint64_t unconfirmed;
	unsigned releasing;

	struct withdrawals *withdrawals;
	struct consents *consents;
	struct port *ports[SIM_ENDPOINTS_MAX];
	bool scanned; /* libvirt has told all that is here */

	/* What its host has told it, the oldest first. */
	struct nve_event {
		enum port_event event;
		struct endpoint *endpoint; /* PORT_SCAN: NULL */
	} events[NVE_EVENTS_MAX];
	size_t event_count;
	struct timer next_event;
};

struct nve *agent_new(struct sim *sim, unsigned index);
struct nve *agent_free(struct nve *nve);

/* The agent begins; what its kernel still has, it takes over. */
void agent_start(struct nve *nve);
/*
 * The agent is killed; @host: everything on the host goes with it, and nobody says so to the NVA.
 */
void agent_crash(struct nve *nve, bool host);
/* The network between the host and the NVA. */
void agent_cut(struct nve *nve, bool cut);
/* The agent hears of @event a while after it has happened, unless it is down then. */
void agent_tell(struct nve *nve, enum port_event event, struct endpoint *endpoint);
/* Nobody here has sent to @mac for long: a puller gives it up. */
void agent_drop(struct nve_vn *vn, struct mac mac);
/* How many hosts have @vni, also one that is lost for good. */
unsigned agent_count_members(const struct sim *sim, uint32_t vni);
/* A guest here asks for @ip, or @mac if that is none, of @vn. */
void agent_ask(struct nve_vn *vn, struct mac mac, struct ip ip);

struct nve_vn *agent_vn_find(struct nve *nve, uint32_t vni);
/*
 * Brings a slice of what changed into the kernel; when all of it is there, what waits is confirmed.
 */
void agent_flush(struct nve_vn *vn);
/* The forwarding entries of one MAC, at once. */
void agent_settle(struct nve_vn *vn, struct mac mac);
void agent_confirm(struct nve *nve);
/* A bridge port is gone, and its entries with it. */
void agent_port_removed(struct nve_vn *vn, uint32_t ifindex);
/* The forward device of @mac is. */
void agent_lane_removed(struct nve_vn *vn, struct mac mac);
/* libvirt has spoken: what the NVA has asked until then is answered. */
void agent_answer_consents(struct nve *nve);
/*
 * Once both the directory and libvirt have spoken, what an earlier life left and nobody claims
 * goes.
 */
void agent_release_unclaimed(struct nve_vn *vn);
uint64_t agent_next_id(struct nve *nve);
/* Lost if there is no session. */
void agent_send(struct nve *nve, const struct nvo3_message *message);

/* --- port*.c --- */
struct port *port_new(struct nve *nve, struct endpoint *endpoint);
struct port *port_free(struct port *port);
/* The record may be gone afterwards. */
void port_input(struct port *port, enum mobility_input input);
void port_event(struct nve *nve, enum port_event event, struct endpoint *endpoint);
void port_take_mapping(struct port *port, const struct mapping *mapping);
void port_lose_mapping(struct port *port);
/* Somebody else says that one of these is his. */
void port_doubt(struct port *port, const struct mapping *mapping);
void port_verify(struct port *port);

#endif
