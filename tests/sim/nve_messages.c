/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nve_messages.c - what the NVA says: nveagent/agent_nva.c and agent_directory.c. */
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/nve_private.h"

static struct port *port_of(struct nve *nve, uint32_t vni, struct mac mac)
{
	const struct endpoint *endpoint = sim_endpoint(nve->sim, vni, mac);

	return endpoint ? nve->ports[endpoint->index] : NULL;
}

/* The port that @message answers, if it answers the newest request of it. */
static struct port *asker(struct nve *nve, const struct nvo3_message *message)
{
	struct port *port = port_of(nve, message->vni, message->mac);

	return port && port->request_id == message->id ? port : NULL;
}

/* The directory has it here, whatever it says of what was just told. */
static bool is_known_here(const struct port *port)
{
	struct mapping mapping;

	return vn_find(port->vn->vn, port->endpoint->mac, &mapping) &&
	       ip_cmp(mapping.vtep, port->nve->vtep) == 0;
}

static void on_verdict(struct nve *nve, const struct nvo3_message *message, enum mobility_input yes)
{
	struct port *port = asker(nve, message);

	if (!port)
		return;
	if (!message->granted && port->state == MOBILITY_RESIDENT && is_known_here(port))
		return;
	if (message->granted)
		port->generation = message->generation;
	port_input(port, message->granted ? yes : MOBILITY_REFUSED);
}

static void on_registered(struct nve *nve, const struct nvo3_message *message)
{
	on_verdict(nve, message, MOBILITY_REGISTERED);
}

static void on_committed(struct nve *nve, const struct nvo3_message *message)
{
	on_verdict(nve, message, MOBILITY_COMMITTED);
}

static void on_granted(struct nve *nve, const struct nvo3_message *message)
{
	struct port *port = asker(nve, message);

	if (port && !message->granted) {
		port_input(port, MOBILITY_REFUSED);
	} else if (port) {
		port->generation = message->generation;
		port->other = message->vtep;
	}
}

/* Asked again, because our session or our life is a new one. */
static bool has_consented(const struct port *port, const struct consent *consent)
{
	return port->state == MOBILITY_ARMED && port->consent_id == consent->id &&
	       ip_cmp(port->other, consent->vtep) == 0;
}

static void consider(struct nve *nve, const struct consent *consent)
{
	struct port *port = port_of(nve, consent->vni, consent->mac);
	const struct nvo3_message yes = {
		.kind = NVO3_CONSENTED,
		.id = consent->id,
		.vni = consent->vni,
		.mac = consent->mac,
		.granted = true,
	};

	if (!port || has_consented(port, consent)) {
		agent_send(nve, &yes);
		return;
	}
	port->consent_id = consent->id;
	port->other = consent->vtep;
	port->facts.asked_for = true;
	port_input(port, MOBILITY_ASKED_FOR);
}

static void on_consent(struct nve *nve, const struct nvo3_message *message)
{
	const struct consent consent = {
		.id = message->id,
		.vni = message->vni,
		.mac = message->mac,
		.vtep = message->vtep,
	};

	if (nve->scanned || port_of(nve, consent.vni, consent.mac))
		consider(nve, &consent);
	else
		(void) consents_add(nve->consents, &consent);
}

void agent_answer_consents(struct nve *nve)
{
	struct consent consent;

	while (consents_take(nve->consents, &consent))
		consider(nve, &consent);
}

static void on_abort(struct nve *nve, const struct nvo3_message *message)
{
	struct port *port = port_of(nve, message->vni, message->mac);

	consents_forget(nve->consents, message->vni, message->mac);
	if (!port)
		return;
	port->facts.asked_for = false;
	port_input(port, MOBILITY_CALLED_OFF);
}

static void on_converged(struct nve *nve, const struct nvo3_message *message)
{
	struct port *port = port_of(nve, message->vni, message->mac);

	if (port && message->generation >= port->generation)
		port_input(port, MOBILITY_CONVERGED);
}

static void on_members(struct nve *nve, const struct nvo3_message *message)
{
	struct nve_vn *vn = agent_vn_find(nve, message->vni);

	if (vn_set_members(vn->vn, message->members, message->member_count) == 0)
		agent_flush(vn);
}

static void doubt_others(struct nve *nve, const struct mapping *mapping)
{
	for (size_t i = 0; i < SIM_ENDPOINTS_MAX; i++)
		if (nve->ports[i] && nve->ports[i]->endpoint->vni == mapping->vni &&
		    mac_cmp(nve->ports[i]->endpoint->mac, mapping->mac) != 0)
			port_doubt(nve->ports[i], mapping);
}

static void withdraw_again(void *userdata, const struct mapping *mapping)
{
	struct nve_vn *vn = userdata;
	const struct nvo3_message message = {
		.kind = NVO3_WITHDRAW,
		.id = agent_next_id(vn->nve),
		.vni = mapping->vni,
		.mac = mapping->mac,
	};

	agent_send(vn->nve, &message);
}

void agent_on_mapping(void *userdata, struct mac mac, const struct mapping *mapping)
{
	struct nve_vn *vn = userdata;
	struct nve *nve = vn->nve;
	struct port *port = port_of(nve, vn->vni, mac);
	bool is_ours = mapping && ip_cmp(mapping->vtep, nve->vtep) == 0;

	if (mapping) {
		check_copy(nve->sim->check, nve, mapping);
		doubt_others(nve, mapping);
	}
	if (is_ours && !port &&
	    (mapping->flags == MAPPING_LEARNED || withdrawals_has(nve->withdrawals, vn->vni, mac)))
		withdraw_again(vn, mapping);
	if (!mapping)
		check_lost(nve->sim->check, nve, vn->vni, mac);
	if (port && !mapping)
		port_lose_mapping(port);
	if (!port || !mapping || mapping->generation < port->generation)
		return;
	if (is_ours)
		port->generation = mapping->generation;
	port_take_mapping(port, mapping);
	if (is_ours)
		return;
	if (!port->is_vm) {
		if (port->state != MOBILITY_REGISTERING)
			(void) port_free(port);
		return;
	}
	if (mapping->generation > port->generation && !mobility_is_arriving(port->state)) {
		port->generation = mapping->generation;
		port_input(port, MOBILITY_TAKEN);
	}
}

void agent_release_unclaimed(struct nve_vn *vn)
{
	if (!vn_is_synced(vn->vn) || !vn->nve->scanned)
		return;
	vn_drop_unclaimed(vn->vn);
	agent_flush(vn);
}

static void on_update(struct nve *nve, const struct nvo3_message *message)
{
	struct nve_vn *vn = agent_vn_find(nve, message->vni);

	(void) vn_update(vn->vn, message, agent_on_mapping, vn);
	nve->unconfirmed = message->revision;
	if (message->mapping_count + message->removed_count > nve->sim->weather.slice)
		timer_hasten(&nve->sim->clock, &vn->more, 0);
	else
		agent_flush(vn);
	if (message->snapshot_end) {
		withdrawals_check(nve->withdrawals, vn->vn, nve->vtep, withdraw_again, vn);
		agent_release_unclaimed(vn);
	}
}

void agent_drop(struct nve_vn *vn, struct mac mac)
{
	struct mapping gone = { .vni = vn->vni, .mac = mac };
	const struct nvo3_message drop = {
		.kind = NVO3_DROP,
		.id = agent_next_id(vn->nve),
		.vni = vn->vni,
		.removed = &gone,
		.removed_count = 1,
	};

	if (!vn->nve->pull || vn->nve->state != NVE_UP || !vn_is_remote(vn->vn, mac) ||
	    !vn_forget(vn->vn, mac))
		return;
	agent_send(vn->nve, &drop);
	agent_flush(vn);
}

void agent_ask(struct nve_vn *vn, struct mac mac, struct ip ip)
{
	struct nve *nve = vn->nve;
	struct query_key key;
	struct nvo3_message query = {
		.kind = NVO3_QUERY,
		.id = agent_next_id(nve),
		.vni = vn->vni,
		.mac = mac,
		.ip = ip,
	};

	memset(&key, 0, sizeof(key));
	key.mac = mac;
	key.ip = ip;
	if (nve->state == NVE_UP &&
	    query_ask(vn->queries, nve->sim->clock.now_us, &key, mac, NULL, query.id) == QUERY_SEND)
		agent_send(nve, &query);
}

static void on_answer(struct nve *nve, const struct nvo3_message *message)
{
	struct frame questions[QUERY_WAITERS_MAX];
	struct query_key key;

	for (size_t i = 0; i < SIM_VNIS; i++) {
		struct nve_vn *vn = &nve->vns[i];

		if (query_answer(vn->queries, nve->sim->clock.now_us, message->id,
				 message->mapping_count > 0, &key, questions) < 0)
			continue;
		if (message->mapping_count > 0 &&
		    vn_learn(vn->vn, &message->mappings[0], agent_on_mapping, vn) == 0) {
			agent_settle(vn, message->mappings[0].mac);
			agent_flush(vn);
		}
		return;
	}
}

static void on_flows(struct nve *nve, const struct nvo3_message *message)
{
	/* They concern the kernel's connections only. */
}

static void (*const handlers[NVO3_KIND_COUNT])(struct nve *nve,
					       const struct nvo3_message *message) = {
	[NVO3_REGISTERED] = on_registered, [NVO3_MOVE_GRANTED] = on_granted,
	[NVO3_COMMITTED] = on_committed,   [NVO3_CONSENT] = on_consent,
	[NVO3_ABORT] = on_abort,	   [NVO3_CONVERGED] = on_converged,
	[NVO3_MEMBERS] = on_members,	   [NVO3_UPDATE] = on_update,
	[NVO3_ANSWER] = on_answer,	   [NVO3_FLOWS] = on_flows,
};

/* It is of a VN that this host does not have. */
static bool is_astray(struct nve *nve, const struct nvo3_message *message)
{
	const struct nve_vn *vn = agent_vn_find(nve, message->vni);

	return vn && !vn->joined;
}

bool agent_take(struct nve *nve, const struct nvo3_message *message)
{
	if (!handlers[message->kind] || is_astray(nve, message))
		return false;
	handlers[message->kind](nve, message);
	return true;
}
