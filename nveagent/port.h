/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.h - one endpoint of a VN at this NVE: its state machine (mobility.h), what is known of it,
 * and what it holds in the kernel. port.c keeps the records and feeds the machine; port_effects.c
 * carries its effects out, port_inflight.c those on packets in flight, port_flows.c those about
 * connection tracking.
 */
#ifndef REHOME_NVEAGENT_PORT_H
#define REHOME_NVEAGENT_PORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "net/addr.h"
#include "net/uuid.h"
#include "nva/wire.h"
#include "nveagent/address_table.h"
#include "nveagent/arrivals.h"
#include "nveagent/domain_xml.h"
#include "nveagent/inflight.h"
#include "nveagent/kernel.h"
#include "nveagent/loop.h"
#include "nveagent/mobility.h"
#include "nveagent/port_flows.h"
#include "nveagent/watch_qemu.h"

struct agent;
struct agent_vn;

enum port_kind {
	PORT_VM,	/* a VM's NIC; moves with it */
	/* any other MAC that the bridge learned on a local port: a container, an appliance */
	PORT_LEARNED,
};
const char *port_kind_name(enum port_kind kind);

enum {
	PORT_VM_NAME_SIZE = DOMAIN_NAME_SIZE,
};

/* All bytes count: made by port_key(). */
struct port_key {
	uint32_t vni;
	uint8_t mac[MAC_SIZE];
	uint8_t zero[2];
};

struct port {
	struct agent *agent;
	struct agent_vn *vn;
	struct port_key key;
	UT_hash_handle hh;

	struct mac mac;
	enum port_kind kind;
	char vm[PORT_VM_NAME_SIZE];
	struct uuid uuid;
	char device[IFNAMSIZ];	/* tap or bridge port; "" before it is known */
	uint32_t ifindex;	/* 0: it is not there */
	uint32_t counted_on;	/* a learned MAC: the device whose limit it counts for; 0: none */

	enum mobility_state state;
	struct mobility_facts facts;
	bool migrated;		/* QEMU said that the migration out of here is complete */
	bool in_step, forget;	/* to be freed at the end of the step */

	struct address_table addresses;
	struct ip_link *ip_links;	/* in the index of local_ips.c */
	bool router;		/* its newest NA or RA said so */
	bool unsaid;		/* the directory has other addresses or flags than these */
	bool limit_said;	/* that it claims too many addresses is in the log */
	bool greeted;		/* its arrival was announced */
	/* CLOCK_MONOTONIC: by a move, or first seen on its device; 0: neither */
	uint64_t arrived_us;
	uint64_t generation;	/* that the directory gave us, or granted us for a commit */
	struct ip other;	/* the new NVE at the old one, the old NVE at the new one */
	uint64_t consent_id;	/* of the NVA's open question */
	uint64_t request_id;	/* of our newest request; answers to older ones do not count */

	/* CLOCK_MONOTONIC when QEMU said where the NIC's receive ring is; 0: never */
	uint64_t ring_us;
	struct guest_ring_place ring;
	struct kernel_guard *guard;
	struct inflight *inflight;
	struct arrivals *arrivals; /* at the old NVE, once every NVE has confirmed */
	struct port_flows flows;
	struct qemu_watch *qemu; /* a VM without libvirt */

	struct loop_timer *expect, *retry, *hold, *tend, *release, *cap, *idle, *announce, *tell,
		*age, *unguard;
	uint64_t stopped_us;	/* QEMU's timestamp of the newest STOP; 0: none known */
	uint64_t switched_us;	/* CLOCK_REALTIME when the newest switch began */
	bool releasing;		/* counted in the agent's */
	/* @inflight is of an earlier life, and its VM has not been seen since */
	bool adopted;
	unsigned announced;	/* rounds so far */
	unsigned unguard_tries;	/* since the guard was made */
	uint64_t move;		/* ledger id; 0: none under way */
};

/* The record of (VNI, MAC), or NULL. */
struct port *port_find(struct agent *agent, uint32_t vni, struct mac mac);

/* A new record, in MOBILITY_ABSENT. NULL when out of memory or at AGENT_PORTS_MAX. */
struct port *port_new(struct agent *agent, struct agent_vn *vn, struct mac mac,
		      enum port_kind kind);
struct port *port_free(struct port *port);

/* Sets the device and looks its index up; -ENODEV leaves the index 0. */
int port_set_device(struct port *port, const char *device);
/* The same for a device whose index is known; 0: it is not there. */
void port_set_place(struct port *port, const char *device, uint32_t ifindex);

/* Feeds the machine. The record may be gone afterwards. */
void port_input(struct port *port, enum mobility_input input);

/* Adds an event to the record of the move under way, if there is one. */
void port_note(struct port *port, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The mapping that this NVE claims for the port. */
struct mapping port_mapping(const struct port *port);

/* Carries @effect out; failures are logged, and the machine goes on: a VM is never held up. */
void port_do(struct port *port, enum mobility_effect effect);

/* Logs what could not be done, with the port's name. */
void port_complain(struct port *port, const char *what, int error);

/* --- its addresses (port_addresses.c) --- */

/* Empty, but for what the directory knows. */
void port_addresses_init(struct port *port);
/* The endpoint says that it has @ip. */
void port_hear(struct port *port, struct ip ip);
/* The endpoint probes for @ip itself: it is not asked for it meanwhile. */
void port_hear_probe(struct port *port, struct ip ip);
/* The endpoint says whether it is an IPv6 router. */
void port_hear_router(struct port *port, bool router);
/* What the directory says of it, at this NVE or another. */
void port_take_mapping(struct port *port, const struct mapping *mapping);
/* The directory does not have it any more: if it is here, that is said again. */
void port_lose_mapping(struct port *port);
/* Asks it soon whether it still has its addresses. */
void port_verify_addresses(struct port *port);
/* Another endpoint has @ip: asks whether this one still has it. */
void port_doubt(struct port *port, struct ip ip);
/* Its vCPUs stood still and run again: its silence meant nothing. */
void port_addresses_resumed(struct port *port);
/* The machine has left @before: what could not be told or asked there may be now. */
void port_addresses_entered(struct port *port, enum mobility_state before);
/* The handlers of the timers "tell" and "age". */
void port_on_tell(void *port);
void port_on_age(void *port);
/* True when a RARP request of it may be QEMU's self-announcement. */
bool port_is_arriving(const struct port *port);
/* While the VM arrives, keeps its flows in one queue of its tap, which QEMU holds by now. */
void port_steer(struct port *port);

/* Removes the guard, but not while that would put packets out of order. */
void port_unguard(struct port *port);
/* Removes it at once. Nothing without one. */
void port_end_guard(struct port *port);

/* --- packets in flight (port_inflight.c) --- */

/* The effects: MOBILITY_DO_ARM and so on. */
void port_arm(struct port *port);
void port_switch(struct port *port);
void port_release(struct port *port);
void port_return(struct port *port);
void port_disarm(struct port *port);
/* Asks QEMU where the NIC's receive ring is: it will be watched while the port is armed. */
void port_find_ring(struct port *port);
/* The answer. */
void port_know_ring(struct port *port, const struct guest_ring_place *place);
/* Copies the forward device's counters into the ledger's record. */
void port_count(struct port *port);
/* Ends forwarding; what is being released goes first. */
void port_free_inflight(struct port *port);
/* The agent ends: the kernel goes on forwarding (inflight_leave()). */
void port_leave_inflight(struct port *port);
/*
 * Makes ports for what an earlier life of the agent held or forwards in @vn; a failure is logged.
 */
void port_adopt_all(struct agent_vn *vn);
/*
 * True for such a port when it is met for the first time: its device is known, or its VM is gone.
 */
bool port_meet(struct port *port);

#endif
