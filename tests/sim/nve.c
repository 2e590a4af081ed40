/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nve.c - a host's kernel, what the host tells its agent, and the agent's beginning and end. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/nve_private.h"

struct nve_vn *agent_vn_find(struct nve *nve, uint32_t vni)
{
	for (size_t i = 0; i < SIM_VNIS; i++)
		if (nve->vns[i].vni == vni)
			return &nve->vns[i];
	return NULL;
}

unsigned agent_count_members(const struct sim *sim, uint32_t vni)
{
	bool lost = sim->weather.ballast && vni == SIM_FIRST_VNI && sim->memory == 0;
	unsigned count = lost ? 1 : 0;

	for (unsigned i = 0; i < sim->weather.nve_count; i++)
		count += agent_vn_find(sim->nves[i], vni)->joined;
	return count;
}

/* --- the kernel --- */

void agent_port_removed(struct nve_vn *vn, uint32_t ifindex)
{
	kernel_delete_port(vn->kernel, ifindex);
}

void agent_lane_removed(struct nve_vn *vn, struct mac mac)
{
	const struct fdb_entry lane = { .ifindex = NVE_LANE_IFINDEX, .mac = mac };

	kernel_delete(vn->kernel, &lane);
}

static void apply(struct nve_vn *vn, const struct fdb_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].op == FDB_OP_DELETE)
			kernel_delete(vn->kernel, &changes[i].entry);
		else
			kernel_put(vn->kernel, &changes[i].entry);
}

void agent_settle(struct nve_vn *vn, struct mac mac)
{
	struct fdb_change changes[VN_COLLECT_MIN];

	apply(vn, changes, vn_collect_mac(vn->vn, mac, changes));
}

void agent_flush(struct nve_vn *vn)
{
	struct sim *sim = vn->nve->sim;
	struct fdb_change changes[64];
	size_t slice = sim->weather.slice;

	apply(vn, changes, vn_collect(vn->vn, changes, slice));
	if (vn_has_changes(vn->vn))
		timer_hasten(&sim->clock, &vn->more,
			     random_delay(&sim->random, vn->nve->kernel_us));
	else
		agent_confirm(vn->nve);
}

static void on_more(void *object)
{
	agent_flush(object);
}

void agent_confirm(struct nve *nve)
{
	const struct nvo3_message ack = { .kind = NVO3_ACK, .revision = nve->unconfirmed };

	if (!nve->unconfirmed || nve->releasing)
		return;
	for (size_t i = 0; i < SIM_VNIS; i++)
		if (vn_has_changes(nve->vns[i].vn))
			return;
	nve->unconfirmed = 0;
	agent_send(nve, &ack);
}

/* --- what happens on the host --- */

static void on_event(void *object)
{
	struct nve *nve = object;
	struct nve_event first = nve->events[0];

	memmove(nve->events, nve->events + 1, --nve->event_count * sizeof(first));
	if (nve->event_count > 0)
		timer_start(&nve->sim->clock, &nve->next_event,
			    random_delay(&nve->sim->random, nve->sim->weather.event_us));
	port_event(nve, first.event, first.endpoint);
}

void agent_tell(struct nve *nve, enum port_event event, struct endpoint *endpoint)
{
	if (!nve->agent_up)
		return;
	if (nve->event_count == NVE_EVENTS_MAX) {
		sim_fail(nve->sim, "%s has more events than it has room for", nve->name);
		return;
	}
	nve->events[nve->event_count++] = (struct nve_event){ event, endpoint };
	if (nve->event_count == 1)
		timer_start(&nve->sim->clock, &nve->next_event,
			    random_delay(&nve->sim->random, nve->sim->weather.event_us));
}

/* --- life --- */

static void on_verify(void *object)
{
	struct nve_vn *vn = object;

	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++)
		if (vn->nve->ports[i] && vn->nve->ports[i]->vn == vn)
			port_verify(vn->nve->ports[i]);
}

static void vn_begin(struct nve_vn *vn)
{
	const struct vn_devices devices = { NVE_VXLAN_IFINDEX, NVE_BRIDGE_IFINDEX };
	const struct fdb_entry *entries;
	size_t count;

	agent_port_removed(vn, NVE_LANE_IFINDEX); /* kernel_sweep() */
	entries = kernel_entries(vn->kernel, &count);
	if (vn_new(vn->vni, vn->nve->vtep, devices, &vn->vn) < 0)
		abort();
	vn->queries = query_table_new();
	for (size_t i = 0; i < count; i++)
		(void) vn_note(vn->vn, &entries[i]);
	vn_noted(vn->vn);
	check_copy_anew(vn->nve->sim->check, vn->nve);
}

static void vn_end(struct nve_vn *vn)
{
	timer_stop(&vn->nve->sim->clock, &vn->more);
	timer_stop(&vn->nve->sim->clock, &vn->verify);
	vn->vn = vn_free(vn->vn);
	vn->queries = query_table_free(vn->queries);
}

void agent_start(struct nve *nve)
{
	struct sim *sim = nve->sim;

	nve->host_up = nve->agent_up = true;
	nve->lives++;
	nve->retry_us = NVE_RETRY_MIN_US;
	nve->nva_incarnation = 0;
	nve->unconfirmed = 0;
	nve->releasing = 0;
	nve->scanned = false;
	nve->withdrawals = withdrawals_new();
	nve->consents = consents_new();
	for (size_t i = 0; i < SIM_VNIS; i++)
		vn_begin(&nve->vns[i]);
	sim_trace(sim, nve->name, "the agent starts");
	timer_start(&sim->clock, &nve->retry, 0);
	agent_tell(nve, PORT_SCAN, NULL);
}

static void agent_end(struct nve *nve)
{
	struct clock *clock = &nve->sim->clock;

	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++)
		nve->ports[i] = port_free(nve->ports[i]);
	for (size_t i = 0; i < SIM_VNIS; i++)
		vn_end(&nve->vns[i]);
	timer_stop(clock, &nve->retry);
	timer_stop(clock, &nve->grace);
	timer_stop(clock, &nve->next_event);
	nve->event_count = 0;
	nve->withdrawals = withdrawals_free(nve->withdrawals);
	nve->consents = consents_free(nve->consents);
	nve->agent_up = false;
}

void agent_crash(struct nve *nve, bool host)
{
	sim_trace(nve->sim, nve->name, host ? "the host crashes" : "the agent crashes");
	if (nve->agent_up) {
		agent_hang_up(nve, host);
		agent_end(nve);
	}
	if (!host)
		return;
	nve->host_up = false;
	for (size_t i = 0; i < SIM_VNIS; i++)
		kernel_clear(nve->vns[i].kernel);
}

struct nve *agent_new(struct sim *sim, unsigned index)
{
	struct nve *nve = calloc(1, sizeof(*nve));
	bool ipv6 = index % 2;

	if (!nve)
		abort();
	nve->sim = sim;
	nve->index = index;
	nve->gateway = index == 0;
	nve->pull = random_chance(&sim->random, sim->weather.pull_percent);
	nve->digests = random_chance(&sim->random, sim->weather.digest_percent);
	nve->kernel_us = sim->weather.kernel_us >> 4 * random_below(&sim->random, 3);
	(void) snprintf(nve->name, sizeof(nve->name), "hv%u", index + 1);
	nve->vtep.family = ipv6 ? AF_INET6 : AF_INET;
	memcpy(nve->vtep.octet, ipv6 ? "\x20\x01\x0d\xb8" : "\xc0\x00\x02", ipv6 ? 4 : 3);
	nve->vtep.octet[ipv6 ? 15 : 3] = (uint8_t) (index + 1);
	nve->retry = (struct timer){ .run = agent_on_retry, .object = nve };
	nve->grace = (struct timer){ .run = agent_on_grace, .object = nve };
	nve->next_event = (struct timer){ .run = on_event, .object = nve };
	for (uint32_t i = 0; i < SIM_VNIS; i++) {
		struct nve_vn *vn = &nve->vns[i];

		vn->nve = nve;
		vn->vni = SIM_FIRST_VNI + i;
		/* The first two have all: so each VN has two hosts. */
		vn->joined = index < 2 || random_chance(&sim->random, 75);
		vn->kernel = kernel_new();
		vn->more = (struct timer){ .run = on_more, .object = vn };
		vn->verify = (struct timer){ .run = on_verify, .object = vn };
	}
	return nve;
}

struct nve *agent_free(struct nve *nve)
{
	if (!nve)
		return NULL;
	if (nve->agent_up) {
		agent_hang_up(nve, false);
		agent_end(nve);
	}
	for (size_t i = 0; i < SIM_VNIS; i++)
		nve->vns[i].kernel = kernel_free(nve->vns[i].kernel);
	free(nve);
	return NULL;
}
