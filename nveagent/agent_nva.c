/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_nva.c - the session to the NVA, and what it says of one port. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_nva.h"
#include "nveagent/agent_private.h"

/* The port that @message answers, if it answers the newest request of it. */
static struct port *asker(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = port_find(agent, message->vni, message->mac);

	return port && port->request_id == message->id ? port : NULL;
}

/* The directory has it here, whatever it says of what we have just told. */
static bool is_known_here(const struct port *port)
{
	struct mapping mapping;

	return vn_find(port->vn->vn, port->mac, &mapping) &&
	       ip_cmp(mapping.vtep, port->agent->config->vtep) == 0;
}

static void refused(struct port *port, const struct nvo3_message *message)
{
	char mac[MAC_TEXT_SIZE];

	log_info("%s %s, VNI %u: the NVA refuses: %s",
		 port->vm[0] ? port->vm : port_kind_name(port->kind), mac_text(port->mac, mac),
		 port->key.vni, message->text);
	port_note(port, "refused", "%s", message->text);
	/* It may be that it has too many addresses. */
	if (port->state != MOBILITY_RESIDENT || !is_known_here(port))
		port_input(port, MOBILITY_REFUSED);
}

/* --- a message a function --- */

/* The port whose newest request @message grants. One that is refused is told so here: NULL. */
static struct port *granted(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = asker(agent, message);

	if (!port)
		return NULL;
	if (!message->granted) {
		refused(port, message);
		return NULL;
	}
	port->generation = message->generation;
	return port;
}

static void on_registered(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = granted(agent, message);

	if (port)
		port_input(port, MOBILITY_REGISTERED);
}

static void on_granted(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = granted(agent, message);
	char vtep[IP_TEXT_SIZE];

	if (!port)
		return;
	port->other = message->vtep;
	port_note(port, "granted", "by %s, generation %" PRIu64, ip_text(message->vtep, vtep),
		  message->generation);
}

static void on_committed(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = granted(agent, message);

	if (port)
		port_input(port, MOBILITY_COMMITTED);
}

/* Asked again, because our session or our life is a new one. */
static bool has_consented(const struct port *port, const struct consent *consent)
{
	return port->state == MOBILITY_ARMED && port->consent_id == consent->id &&
	       ip_cmp(port->other, consent->vtep) == 0;
}

static void consider(struct agent *agent, const struct consent *consent)
{
	struct port *port = port_find(agent, consent->vni, consent->mac);
	struct nvo3_message yes = {
		.kind = NVO3_CONSENTED,
		.id = consent->id,
		.vni = consent->vni,
		.mac = consent->mac,
		.granted = true,
	};

	if (!port || has_consented(port, consent)) { /* nothing is here: the directory is behind */
		(void) nva_link_send(agent->nva, &yes);
		return;
	}
	port->consent_id = consent->id;
	port->other = consent->vtep;
	port->facts.asked_for = true;
	port_find_ring(port);
	port_input(port, MOBILITY_ASKED_FOR);
}

static void on_consent(struct agent *agent, const struct nvo3_message *message)
{
	const struct consent consent = {
		.id = message->id,
		.vni = message->vni,
		.mac = message->mac,
		.vtep = message->vtep,
	};
	char mac[MAC_TEXT_SIZE];

	if (!agent->libvirt || agent->libvirt_synced || port_find(agent, consent.vni, consent.mac))
		consider(agent, &consent);
	else if (consents_add(agent->consents, &consent) < 0)
		log_warning("%s, VNI %u, is wanted elsewhere, but libvirt has not told which VMs "
			    "run here, "
			    "and too many questions wait for that: not answered",
			    mac_text(consent.mac, mac), consent.vni);
}

void agent_nva_answer_consents(struct agent *agent)
{
	struct consent consent;

	while (consents_take(agent->consents, &consent))
		consider(agent, &consent);
}

static void on_abort(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = port_find(agent, message->vni, message->mac);

	consents_forget(agent->consents, message->vni, message->mac);
	if (!port)
		return;
	port->facts.asked_for = false;
	port_input(port, MOBILITY_CALLED_OFF);
}

static void on_converged(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = port_find(agent, message->vni, message->mac);

	if (port && message->generation >= port->generation)
		port_input(port, MOBILITY_CONVERGED);
}

static void on_flows(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = port_find(agent, message->vni, message->mac);

	if (port)
		port_flows_take(port, message);
}

static void on_status_reply(struct agent *agent, const struct nvo3_message *message)
{
	agent_control_nva_status(agent, message->id, message->json);
}

/* clang-format off */
static void (*const handlers[NVO3_KIND_COUNT])(struct agent *agent,
					       const struct nvo3_message *message) = {
	[NVO3_REGISTERED]	= on_registered,
	[NVO3_MOVE_GRANTED]	= on_granted,
	[NVO3_COMMITTED]	= on_committed,
	[NVO3_CONSENT]		= on_consent,
	[NVO3_ABORT]		= on_abort,
	[NVO3_CONVERGED]	= on_converged,
	[NVO3_MEMBERS]		= agent_directory_members,
	[NVO3_UPDATE]		= agent_directory_update,
	[NVO3_ANSWER]		= agent_directory_answer,
	[NVO3_STATUS_REPLY]	= on_status_reply,
	[NVO3_FLOWS]		= on_flows,
	[NVO3_DIGEST]		= agent_directory_digest,
};
/* clang-format on */

static void on_message(void *userdata, const struct nvo3_message *message)
{
	struct agent *agent = userdata;

	if (handlers[message->kind])
		handlers[message->kind](agent, message);
	else
		log_debug("The NVA sent %s, which an NVE has no use for",
			  nvo3_kind_name(message->kind));
}

/* --- the session --- */

/* The word that a move has converged may have been lost with the session, or with the NVA. */
static void ask_converged(struct agent *agent, const struct port *port)
{
	const struct nvo3_message question = {
		.kind = NVO3_CONVERGED,
		.vni = port->key.vni,
		.mac = port->mac,
		.generation = port->generation,
	};

	if ((nva_link_features(agent->nva) & NVO3_FEATURE_ASK_CONVERGED) &&
	    (port->state == MOBILITY_FORWARDING || port->state == MOBILITY_SETTLING))
		(void) nva_link_send(agent->nva, &question);
}

static void on_up(void *userdata, const char *name, uint64_t incarnation)
{
	struct agent *agent = userdata;
	struct port *port, *next;

	log_notice("The session to the NVA %s is up", name);
	(void) snprintf(agent->nva_name, sizeof(agent->nva_name), "%s", name);
	agent->nva_since_us = clock_monotonic_us();
	if (agent->nva_incarnation && agent->nva_incarnation != incarnation)
		agent_directory_begin_grace(agent);
	agent->nva_incarnation = incarnation;
	withdrawals_begin_session(agent->withdrawals);
	for (size_t i = 0; i < agent->vn_count; i++)
		agent_pull_subscribe(agent->vns[i], nva_link_features(agent->nva));
	HASH_ITER(hh, agent->ports, port, next) {
		ask_converged(agent, port);
		port_input(port, MOBILITY_NVA_UP);
	}
}

static void on_down(void *userdata, const char *reason)
{
	struct agent *agent = userdata;
	struct port *port, *next;

	uint64_t now_us = clock_monotonic_us();

	/* Of several NVAs all but one refuse us: that is said once in a while. */
	if (agent->config->nva_count == 1 ||
	    now_us - agent->nva_warned_us >= AGENT_WARN_S * 1000000ull) {
		log_warning("No session to the NVA: %s; trying again, and keeping the forwarding "
			    "tables as "
			    "they are",
			    reason);
		agent->nva_warned_us = now_us;
	} else {
		log_debug("No session to the NVA: %s", reason);
	}
	agent->nva_since_us = now_us;
	agent->unconfirmed = 0; /* revisions are of one session */
	agent_control_nva_status(agent, agent->status_id, NULL);
	consents_clear(agent->consents); /* what still matters is asked again */
	for (size_t i = 0; i < agent->vn_count; i++) {
		agent->vns[i]->current = false;
		agent_suppress_forget(agent->vns[i]->suppressor);
		query_forget(agent->vns[i]->rarp_queries);
	}
	HASH_ITER(hh, agent->ports, port, next)
		port->facts.asked_for = false;
}

const struct nva_link_events agent_nva_events = {
	.up = on_up,
	.down = on_down,
	.message = on_message,
};
