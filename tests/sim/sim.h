/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim.h - one run of the randomized test: an NVA, NVEs on hosts, and the VMs and containers that
 * live there, in virtual time.
 *
 *   steps.c   chooses, from the seed, what happens: moves, crashes, partitions ...
 *      │
 *      ▼
 *   hosts.c   what is really so: where each endpoint runs ──events──▶ nve.c, port.c   the agents
 *                                                                        │ link.c: bytes
 *                                                                        ▼
 *                                                                     nva.c   the server
 *   check.c   looks on, and says what must not be                       │
 *                                                                        ▼
 *                                                                     memory_store.c
 *
 * Real code: the directory with its journal (nva/directory*.c), the codec of the messages and of
 * the changes, the interface of a store, and what an agent decides by (mobility.c, vn.c,
 * address_table.c, query.c, withdrawals.c). The rest stands for what does I/O: nva*.c for
 * nva/server*.c and session.c, nve*.c and port*.c for agent_nva.c, port.c, port_effects.c and
 * nva_link.c in nveagent/. They do the same in the same order; where those change, these do.
 */
#ifndef REHOME_TESTS_SIM_SIM_H
#define REHOME_TESTS_SIM_SIM_H

#include <stdio.h>

#include "nva/directory.h"
#include "tests/sim/clock.h"
#include "tests/sim/link.h"
#include "tests/sim/memory_store.h"
#include "tests/sim/random.h"

/* clang-format off */
enum {
	SIM_NVES_MAX = 5,
	SIM_VNIS = 2,
	SIM_ENDPOINTS_MAX = 8,
	SIM_IPS = 3,			/* of an endpoint, at most */
	SIM_GENERATIONS = 4096,		/* of an endpoint, in one run */
	SIM_TEXT_SIZE = 512,
	SIM_FIRST_VNI = 100,
	SIM_LEASE_S = 6,
	SIM_CONSENT_S = 3,
};
/* clang-format on */

struct nva;
struct nve;
struct check;

/* What a seed has drawn for the whole run: how bad it gets, and in which ways. */
struct weather {
	unsigned nve_count, endpoint_count;
	uint64_t gap_us;	 /* between two steps, at most */
	uint64_t kernel_us;	 /* the slowest NVE takes for a slice of changes, at most */
	unsigned digest_percent; /* of the NVEs that say what they remember */
	uint64_t event_us;	 /* from what happens on a host to its agent, at most */
	unsigned slice;		 /* changes in a slice */
	size_t full_size;	 /* bytes; over it a session is held */
	uint64_t delay_us;	 /* of what is on its way, at most */
	unsigned long steps;	 /* times what is asked for */
	unsigned pause_percent;	 /* how often the NVA collects changes instead of telling them */
	unsigned weights[20];	 /* of the steps, by their place in the table in steps.c */
	uint64_t withdraw_us;	 /* nva/directory.h, struct directory_config */
	unsigned pull_percent;	 /* of the NVEs that are not pushed everything */
	unsigned ballast;	 /* mappings that are there from the beginning */
};

/* --- what is really so --- */

enum migration {
	MIGRATION_NONE,
	MIGRATION_EXPECTED, /* its destination was told */
	MIGRATION_PLUGGED,  /* the tap is there */
	MIGRATION_ACTIVE,   /* memory is copied */
	MIGRATION_STOPPED,  /* it runs nowhere */
	MIGRATION_RESUMED,  /* it runs at its destination; the source's QEMU is still there */
};

/* A VM, or something that a bridge learns of. */
struct endpoint {
	struct sim *sim;
	unsigned index;
	uint32_t vni;
	struct mac mac;
	struct uuid uuid; /* none: no VM */
	struct ip ips[SIM_IPS];
	size_t ip_count;
	int host; /* where it is; -1: nowhere */
	bool running;
	bool announced; /* the migration was announced by the hook before the tap came */
	enum migration migration;
	int destination; /* of the migration; once it has resumed, the source */
	bool sent;	 /* the source said that all is sent */
	struct timer script;
};

struct sim {
	uint64_t seed;
	bool trace;
	struct random random;
	struct clock clock;
	struct network network;
	struct weather weather;
	struct nva *nva;
	struct nve *nves[SIM_NVES_MAX];
	struct endpoint endpoints[SIM_ENDPOINTS_MAX];
	struct check *check;
	unsigned memory; /* how often the NVA has lost its disk */
	unsigned long steps, messages;
	char failure[SIM_TEXT_SIZE]; /* "": none */
};

struct sim_options {
	unsigned long steps; /* of a run */
	bool trace;
	bool pull; /* some NVEs hold only what they have asked for */
};

/* A whole run. Returns 0, or -1 with sim->failure; free it with sim_free() either way. */
int sim_run(uint64_t seed, const struct sim_options *options, struct sim **ret_sim);
struct sim *sim_free(struct sim *sim);

/* Says what must not be; the first one counts, and ends the run. */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *sim, const char *format, ...);
/* A line for who follows one seed: the time, who, what. */
__attribute__((format(printf, 3, 4))) void sim_trace(const struct sim *sim, const char *who,
						     const char *format, ...);

struct endpoint *sim_endpoint(struct sim *sim, uint32_t vni, struct mac mac);
/* "vm3" or "ct5"; @buffer has 8 bytes. */
const char *endpoint_name(const struct endpoint *endpoint, char *buffer);

/* What was drawn for @seed: with which faults, and how often. */
void weather_draw(struct weather *weather, struct random *random);
/* Does one step. */
void step_do(struct sim *sim);

#endif
