/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim.c - one run: rounds of steps, and after each of them the calm in which everybody must agree.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/hosts.h"
#include "tests/sim/nva.h"

enum {
	ROUNDS = 2,
	AGREE_S = 60,	  /* of calm, at most, until everybody agrees */
	LOOK_US = 500000, /* between two looks whether they do */
	STAY_S =
		SIM_LEASE_S + 2, /* so long must they go on agreeing, but for what ages meanwhile */
};

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list arguments;

	if (sim->failure[0])
		return;
	va_start(arguments, format);
	(void) vsnprintf(sim->failure, sizeof(sim->failure), format, arguments);
	va_end(arguments);
	sim_trace(sim, "WRONG", "%s", sim->failure);
}

void sim_trace(const struct sim *sim, const char *who, const char *format, ...)
{
	va_list arguments;

	if (!sim->trace)
		return;
	printf("%12.6f  %-6s ", (double) sim->clock.now_us / 1e6, who);
	va_start(arguments, format);
	(void) vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

struct endpoint *sim_endpoint(struct sim *sim, uint32_t vni, struct mac mac)
{
	static const uint8_t prefix[] = { 0x52, 0x54, 0, 0, 0 };
	unsigned number = mac.octet[5];

	if (memcmp(mac.octet, prefix, sizeof(prefix)) != 0 || number == 0 ||
	    number > sim->weather.endpoint_count || sim->endpoints[number - 1].vni != vni)
		return NULL;
	return &sim->endpoints[number - 1];
}

const char *endpoint_name(const struct endpoint *endpoint, char *buffer)
{
	(void) snprintf(buffer, 8, "%s%u", uuid_is_none(endpoint->uuid) ? "ct" : "vm",
			endpoint->index + 1);
	return buffer;
}

/* --- time --- */

static void pass(struct sim *sim, uint64_t us)
{
	uint64_t until_us = sim->clock.now_us + us;

	while (!sim->failure[0] && clock_step(&sim->clock, until_us))
		network_reap(&sim->network);
}

static void chaos(struct sim *sim, unsigned long steps)
{
	for (unsigned long i = 0; i < steps && !sim->failure[0]; i++) {
		step_do(sim);
		sim->steps++;
		pass(sim, random_delay(&sim->random, sim->weather.gap_us));
	}
}

/* --- calm --- */

static void calm_down(struct sim *sim)
{
	sim_trace(sim, "world", "it is calm from now on");
	if (!nva_directory(sim->nva))
		nva_start(sim->nva);
	for (unsigned i = 0; i < sim->weather.nve_count; i++) {
		struct nve *nve = sim->nves[i];

		if (nve->cut)
			agent_cut(nve, false);
		if (!nve->agent_up)
			agent_start(nve);
	}
}

static bool look(struct sim *sim, char *text)
{
	for (unsigned i = 0; i < sim->weather.endpoint_count; i++) {
		endpoint_speak(&sim->endpoints[i]);
		endpoint_age(&sim->endpoints[i]);
	}
	pass(sim, LOOK_US);
	return check_agreement(sim->check, text);
}

static void agree(struct sim *sim)
{
	uint64_t deadline_us = sim->clock.now_us + AGREE_S * UINT64_C(1000000);
	char text[SIM_TEXT_SIZE] = "";

	while (!sim->failure[0] && !look(sim, text))
		if (sim->clock.now_us > deadline_us)
			sim_fail(sim, "%d s after all was calm: %s", AGREE_S, text);
}

static void calm(struct sim *sim)
{
	calm_down(sim);
	agree(sim);
	pass(sim, STAY_S * UINT64_C(1000000));
	agree(sim);
	if (!sim->failure[0])
		check_journal(sim->check);
}

/* --- life --- */

/*
 * A host that is lost for good, and has left a lot: nobody knows of it but the NVA, from an earlier
 * life, and it is never withdrawn.
 */
static void put_ballast(struct sim *sim)
{
	struct disk *disk = nva_disk(sim->nva);
	struct change change = { .kind = CHANGE_IDENTITY, .incarnation = 7 };

	if (!sim->weather.ballast)
		return;
	disk_put(disk, &change);
	change = (struct change){ .kind = CHANGE_NVE, .incarnation = 1, .name = "lost" };
	change.vtep = (struct ip){ AF_INET, { 192, 0, 2, 99 } };
	disk_put(disk, &change);
	change.kind = CHANGE_MEMBER;
	change.mapping.vni = SIM_FIRST_VNI;
	disk_put(disk, &change);
	change.kind = CHANGE_MAPPING;
	for (unsigned i = 0; i < sim->weather.ballast; i++) {
		change.mapping.mac =
			(struct mac){ { 2, 0, 0, 0, (uint8_t) (i >> 8), (uint8_t) i } };
		change.mapping.generation = 1 + i % 3;
		disk_put(disk, &change);
	}
}

static void begin(struct sim *sim)
{
	sim->network = (struct network){
		.clock = &sim->clock,
		.random = &sim->random,
		.delay_us = sim->weather.delay_us,
		.whole_percent = 90,
	};
	sim->check = check_new(sim);
	sim->nva = nva_new(sim);
	for (unsigned i = 0; i < sim->weather.endpoint_count; i++)
		endpoint_init(sim, i);
	for (unsigned i = 0; i < sim->weather.nve_count; i++)
		sim->nves[i] = agent_new(sim, i);
	put_ballast(sim);
	nva_start(sim->nva);
	for (unsigned i = 0; i < sim->weather.nve_count; i++)
		agent_start(sim->nves[i]);
}

int sim_run(uint64_t seed, const struct sim_options *options, struct sim **ret_sim)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		abort();
	*ret_sim = sim;
	sim->seed = seed;
	sim->trace = options->trace;
	sim->random.state = seed;
	sim->clock.now_us = 1000000;
	weather_draw(&sim->weather, &sim->random);
	sim->weather.pull_percent = options->pull ? 50 : 0;
	begin(sim);
	for (unsigned i = 0; i < ROUNDS && !sim->failure[0]; i++) {
		chaos(sim, options->steps * sim->weather.steps / ROUNDS);
		calm(sim);
	}
	return sim->failure[0] ? -1 : 0;
}

struct sim *sim_free(struct sim *sim)
{
	if (!sim)
		return NULL;
	for (size_t i = 0; i < SIM_NVES_MAX; i++)
		sim->nves[i] = agent_free(sim->nves[i]);
	sim->nva = nva_free(sim->nva);
	network_clear(&sim->network);
	sim->check = check_free(sim->check);
	clock_clear(&sim->clock);
	free(sim);
	return NULL;
}
