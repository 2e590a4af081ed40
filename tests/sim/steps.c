/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steps.c - what can happen, and how often it does in a run. */
#include <assert.h>

#include "tests/sim/hosts.h"
#include "tests/sim/nva.h"

enum {
	WEIGHT_MAX = 6,
	/* Of the runs, a few have so many mappings that a snapshot has several parts ... */
	BALLAST_LARGE = 2500,
	BALLAST_LARGE_PERCENT = 6,
	/*
	 * ... and some so many that an NVE that comes back compares sums: nveagent/vn.h,
	 * VN_DIGEST_MIN.
	 */
	BALLAST_SOME = 160,
	BALLAST_SOME_PERCENT = 24,
};

static struct endpoint *any_endpoint(struct sim *sim)
{
	return &sim->endpoints[random_below(&sim->random, sim->weather.endpoint_count)];
}

static struct nve *any_nve(struct sim *sim)
{
	return sim->nves[random_below(&sim->random, sim->weather.nve_count)];
}

/* The host is there, and what belongs into the endpoint's VN can run on it. */
static bool has_vn(struct nve *nve, const struct endpoint *endpoint)
{
	return nve->host_up && agent_vn_find(nve, endpoint->vni)->joined;
}

/* --- what endpoints do --- */

static void boot(struct sim *sim)
{
	struct endpoint *endpoint = any_endpoint(sim);
	struct nve *nve = any_nve(sim);

	/* A VM is never begun twice; a container may turn up anywhere. */
	if (has_vn(nve, endpoint) && (uuid_is_none(endpoint->uuid) || endpoint->host < 0))
		endpoint_boot(endpoint, nve->index);
}

static void end(struct sim *sim)
{
	struct endpoint *endpoint = any_endpoint(sim);

	if (endpoint->host >= 0)
		endpoint_end(endpoint);
}

static void migrate(struct sim *sim)
{
	struct nve *nve = any_nve(sim);
	struct endpoint *endpoint = any_endpoint(sim);

	if (has_vn(nve, endpoint))
		endpoint_migrate(endpoint, nve->index);
}

static void cancel(struct sim *sim)
{
	endpoint_cancel(any_endpoint(sim));
}

static void readdress(struct sim *sim)
{
	endpoint_readdress(any_endpoint(sim));
}

static void speak(struct sim *sim)
{
	endpoint_speak(any_endpoint(sim));
}

static void ask(struct sim *sim)
{
	struct nve *nve = any_nve(sim);
	const struct endpoint *endpoint = any_endpoint(sim);
	const struct ip none = { 0 };
	const struct mac nobody = { { 0 } };

	if (!nve->agent_up || !has_vn(nve, endpoint))
		return;
	if (endpoint->ip_count > 0 && random_chance(&sim->random, 50))
		agent_ask(agent_vn_find(nve, endpoint->vni), nobody, endpoint->ips[0]);
	else
		agent_ask(agent_vn_find(nve, endpoint->vni), endpoint->mac, none);
}

static void drop(struct sim *sim)
{
	struct nve *nve = any_nve(sim);
	const struct endpoint *endpoint = any_endpoint(sim);

	if (nve->agent_up)
		agent_drop(agent_vn_find(nve, endpoint->vni), endpoint->mac);
}

/* --- what goes wrong --- */

static void crash_agent(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (nve->agent_up)
		agent_crash(nve, false);
}

static void start_agent(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (!nve->agent_up)
		agent_start(nve);
}

static void crash_host(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (nve->host_up)
		host_crash(nve);
}

static void cut(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (!nve->cut)
		agent_cut(nve, true);
}

static void heal(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (nve->cut)
		agent_cut(nve, false);
}

static void break_link(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (!nve->link || nve->cut)
		return;
	sim_trace(sim, nve->name, "the connection breaks");
	link_break(nve->link);
}

static void crash_nva(struct sim *sim)
{
	if (nva_directory(sim->nva))
		nva_crash(sim->nva, random_chance(&sim->random, 30), false);
}

static void lose_disk(struct sim *sim)
{
	if (nva_directory(sim->nva))
		nva_crash(sim->nva, false, true);
}

static void start_nva(struct sim *sim)
{
	if (!nva_directory(sim->nva))
		nva_start(sim->nva);
}

/* All of a host at once, and back at once, before anything has timed out. */
static void bounce_nva(struct sim *sim)
{
	crash_nva(sim);
	start_nva(sim);
}

static void bounce_agent(struct sim *sim)
{
	struct nve *nve = any_nve(sim);

	if (!nve->agent_up)
		return;
	agent_crash(nve, false);
	agent_start(nve);
}

/*
 * @always: part of every run; the others are in half of them, so that some runs are of a few kinds
 * only.
 */
static const struct {
	void (*run)(struct sim *sim);
	bool always;
	unsigned percent; /* of the runs that have it, if not always */
} steps[] = {
	{ boot, true, 0 },	   { migrate, true, 0 },      { start_agent, true, 0 },
	{ start_nva, true, 0 },	   { heal, true, 0 },	      { speak, true, 0 },
	{ end, false, 70 },	   { cancel, false, 60 },     { readdress, false, 60 },
	{ ask, false, 50 },	   { drop, false, 50 },	      { crash_agent, false, 50 },
	{ crash_host, false, 35 }, { cut, false, 50 },	      { break_link, false, 60 },
	{ crash_nva, false, 50 },  { bounce_nva, false, 40 }, { bounce_agent, false, 40 },
	{ lose_disk, false, 8 },
};
static_assert(ARRAY_SIZE(steps) <= ARRAY_SIZE(((struct weather *) 0)->weights),
	      "a step has no weight");

static unsigned draw_ballast(struct random *random)
{
	unsigned drawn = (unsigned) random_below(random, 100);

	if (drawn < BALLAST_LARGE_PERCENT)
		return BALLAST_LARGE;
	return drawn < BALLAST_LARGE_PERCENT + BALLAST_SOME_PERCENT ? BALLAST_SOME : 0;
}

/* A lot moves, while now and then somebody comes back. */
static void want_slow_snapshots(struct weather *weather)
{
	weather->nve_count = SIM_NVES_MAX;
	weather->endpoint_count = SIM_ENDPOINTS_MAX;
	weather->full_size = 300;
	weather->delay_us = 200000;
	weather->kernel_us = 400000;
	weather->steps = 4;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].run == boot || steps[i].run == migrate)
			weather->weights[i] = 4 * WEIGHT_MAX;
		if (steps[i].run == break_link || steps[i].run == bounce_agent)
			weather->weights[i] = WEIGHT_MAX;
	}
}

void weather_draw(struct weather *weather, struct random *random)
{
	static const uint64_t kernels_us[] = { 0, 2000, 50000, 1000000 };
	static const uint64_t gaps_us[] = { 50000, 300000, 1500000 };

	static const uint64_t withdraws_us[] = { 0, 5000000, DIRECTORY_WITHDRAW_NEVER };

	*weather = (struct weather){
		.nve_count = 2 + (unsigned) random_below(random, SIM_NVES_MAX - 1),
		.endpoint_count = 2 + (unsigned) random_below(random, SIM_ENDPOINTS_MAX - 1),
		.gap_us = gaps_us[random_below(random, ARRAY_SIZE(gaps_us))],
		.kernel_us = kernels_us[random_below(random, ARRAY_SIZE(kernels_us))],
		.event_us = 1000 << random_below(random, 10),
		.slice = VN_COLLECT_MIN + (unsigned) random_below(random, 60),
		.full_size = random_chance(random, 50) ? 300 : 512 << 10,
		.pause_percent = random_chance(random, 50) ? 0 : 30,
		.withdraw_us = withdraws_us[random_below(random, ARRAY_SIZE(withdraws_us))],
		.ballast = draw_ballast(random),
		.digest_percent = 70,
		.delay_us = 100 << random_below(random, 12),
		.steps = 1,
	};
	if (weather->ballast) { /* else it takes longer than the calm lasts */
		weather->slice = 64;
		weather->kernel_us = kernels_us[2];
		weather->withdraw_us = DIRECTORY_WITHDRAW_NEVER;
	}
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].always || random_chance(random, steps[i].percent))
			weather->weights[i] = 1 + (unsigned) random_below(random, WEIGHT_MAX);
	if (weather->ballast == BALLAST_LARGE)
		want_slow_snapshots(weather);
}

void step_do(struct sim *sim)
{
	uint64_t total = 0, drawn;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		total += sim->weather.weights[i];
	drawn = random_below(&sim->random, total);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (drawn < sim->weather.weights[i]) {
			steps[i].run(sim);
			return;
		}
		drawn -= sim->weather.weights[i];
	}
}
