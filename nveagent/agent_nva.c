/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_nva.c - what the NVA says, as inputs of the ports it concerns. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nva/digest.h"
#include "nveagent/agent_private.h"

/* The port that @message answers, if it answers the newest request of it. */
static struct port *asker(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = port_find(agent, message->vni, message->mac);

	return port && port->request_id == message->id ? port : NULL;
}

static void refused(struct port *port, const struct nvo3_message *message)
{
	char mac[MAC_TEXT_SIZE];

	log_info("%s %s, VNI %u: the NVA refuses: %s",
		 port->vm[0] ? port->vm : port_kind_name(port->kind), mac_text(port->mac, mac),
		 port->key.vni, message->text);
	port_note(port, "refused", "%s", message->text);
	port_input(port, MOBILITY_REFUSED);
}

/* --- a message a function --- */

static void on_registered(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = asker(agent, message);

	if (!port)
		return;
	if (!message->granted) {
		refused(port, message);
		return;
	}
	port->generation = message->generation;
	port_input(port, MOBILITY_REGISTERED);
}

static void on_granted(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = asker(agent, message);
	char vtep[IP_TEXT_SIZE];

	if (!port)
		return;
	if (!message->granted) {
		refused(port, message);
		return;
	}
	port->generation = message->generation;
	port->other = message->vtep;
	port_note(port, "granted", "by %s, generation %" PRIu64, ip_text(message->vtep, vtep),
		  message->generation);
}

static void on_committed(struct agent *agent, const struct nvo3_message *message)
{
	struct port *port = asker(agent, message);

	if (!port)
		return;
	if (!message->granted) {
		refused(port, message);
		return;
	}
	port->generation = message->generation;
	port_input(port, MOBILITY_COMMITTED);
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

	if (!port) {
		/* Nothing is here; the directory is behind. */
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

/* A list names at least its receiver. What is known stays, as when there is no NVA. */
static void refused_vn(struct agent_vn *vn, const char *why)
{
	if (strcmp(vn->refusal, why) != 0)
		log_warning(
			"VNI %u: the NVA does not have this NVE in it: %s; asking again every %d s",
			vn->devices.vni, why, AGENT_SUBSCRIBE_RETRY_S);
	(void) snprintf(vn->refusal, sizeof(vn->refusal), "%s", why);
	(void) loop_timer_start(vn->resubscribe, AGENT_SUBSCRIBE_RETRY_S * 1000000ull);
}

static void on_members(struct agent *agent, const struct nvo3_message *message)
{
	struct agent_vn *vn = agent_vn_find(agent, message->vni);

	if (vn && message->member_count == 0 && message->text[0]) {
		refused_vn(vn, message->text);
		return;
	}
	if (!vn || vn_set_members(vn->vn, message->members, message->member_count) < 0)
		return;
	if (vn->refusal[0])
		log_notice("VNI %u: the NVA has this NVE in it now", vn->devices.vni);
	vn->refusal[0] = '\0';
	agent_vn_flush(vn);
}

/* The directory has not heard it: the NVA, or the session, ended just then. */
static void withdraw_again(void *userdata, const struct mapping *mapping)
{
	struct agent_vn *vn = userdata;
	struct nvo3_message message = {
		.kind = NVO3_WITHDRAW,
		.id = nva_link_next_id(vn->agent->nva),
		.vni = mapping->vni,
		.mac = mapping->mac,
	};

	(void) nva_link_send(vn->agent->nva, &message);
}

/*
 * Nothing is here, though the directory says so: a registration or a commit that was under way has
 * got there after all. Of VMs we may not know yet, before libvirt has spoken; of what bridges learn
 * we know all.
 */
static bool is_left_over(const struct agent_vn *vn, const struct mapping *mapping)
{
	return (mapping->flags & ~(uint32_t) MAPPING_ROUTER) == MAPPING_LEARNED ||
	       withdrawals_has(vn->agent->withdrawals, mapping->vni, mapping->mac);
}

/* The directory's word on a MAC that has a port here. */
static void on_mapping(void *userdata, struct mac mac, const struct mapping *mapping)
{
	struct agent_vn *vn = userdata;
	struct port *port = port_find(vn->agent, vn->devices.vni, mac);
	bool is_ours = mapping && ip_cmp(mapping->vtep, vn->agent->config->vtep) == 0;

	if (mapping)
		local_ips_doubt_others(vn->agent, mapping);
	if (is_ours && !port && is_left_over(vn, mapping))
		withdraw_again(vn, mapping);
	if (port && !mapping)
		port_lose_mapping(port);
	if (!port || !mapping || mapping->generation < port->generation)
		return;
	if (is_ours) {
		port->generation = mapping->generation;
		port_take_mapping(port, mapping);
		return;
	}
	port_take_mapping(port, mapping);
	if (port->kind == PORT_LEARNED) {
		/*
		 * The newest NVE to see it has it: not known before our own registration is
		 * answered.
		 */
		if (port->state != MOBILITY_REGISTERING)
			(void) port_free(port);
		return;
	}
	if (mapping->generation > port->generation && !mobility_is_arriving(port->state)) {
		port->generation = mapping->generation;
		port_input(port, MOBILITY_TAKEN);
	}
}

void agent_nva_learn(struct agent_vn *vn, const struct mapping *mapping)
{
	if (mapping->vni != vn->devices.vni || vn_learn(vn->vn, mapping, on_mapping, vn) < 0)
		return;
	agent_vn_settle(vn, mapping->mac);
	agent_vn_flush(vn);
}

static void on_answer(struct agent *agent, const struct nvo3_message *message)
{
	for (size_t i = 0; i < agent->vn_count; i++)
		if (agent_suppress_answer(agent->vns[i]->suppressor, message))
			return;
}

static void on_update(struct agent *agent, const struct nvo3_message *message)
{
	struct agent_vn *vn = agent_vn_find(agent, message->vni);

	agent->counters.updates++;
	if (vn) {
		int r = vn_update(vn->vn, message, on_mapping, vn);

		if (r < 0)
			log_warning("VNI %u: an update of the directory does not fit: %s",
				    message->vni, strerror(-r));
	}
	agent->unconfirmed = message->revision;
	/*
	 * What is large has just been decoded: it does not make the loop wait for the kernel as
	 * well.
	 */
	if (vn && message->mapping_count + message->removed_count > AGENT_SLICE)
		agent_vn_flush_soon(vn);
	else if (vn)
		agent_vn_flush(vn);
	else
		agent_nva_confirm(agent);
	if (vn && message->snapshot_end) {
		vn->current = true;
		withdrawals_check(agent->withdrawals, vn->vn, agent->config->vtep, withdraw_again,
				  vn);
		agent_vn_release(vn);
	}
}

void agent_nva_confirm(struct agent *agent)
{
	struct nvo3_message ack = { .kind = NVO3_ACK, .revision = agent->unconfirmed };

	if (!agent->unconfirmed || agent->releasing)
		return;
	for (size_t i = 0; i < agent->vn_count; i++)
		if (agent->vns[i]->behind || vn_has_changes(agent->vns[i]->vn))
			return;
	agent->unconfirmed = 0;
	(void) nva_link_send(agent->nva, &ack);
}

/* The NVA wants to see where exactly we differ; if it cannot be told, it may send everything. */
static void on_digest(struct agent *agent, const struct nvo3_message *message)
{
	const struct agent_vn *vn = agent_vn_find(agent, message->vni);
	_cleanup_(nvo3_message_clear) struct nvo3_message reply = {
		.kind = NVO3_DIGEST,
		.vni = message->vni,
	};

	if (!vn || message->digest_size != DIGEST_BUCKET_BITS_SIZE)
		return;
	if (vn_digest_leaves(vn->vn, message->digest, &reply.digest, &reply.digest_size) < 0)
		reply.kind = NVO3_SUBSCRIBE;
	if (reply.kind == NVO3_DIGEST && reply.digest_size == 0)
		return; /* it asked for nothing */
	(void) nva_link_send(agent->nva, &reply);
}

static void on_status_reply(struct agent *agent, const struct nvo3_message *message)
{
	agent_control_nva_status(agent, message->id, message->json);
}

/* clang-format off */
static void (*const handlers[NVO3_KIND_COUNT])(struct agent *agent, const struct nvo3_message *message) = {
	[NVO3_REGISTERED]	= on_registered,
	[NVO3_MOVE_GRANTED]	= on_granted,
	[NVO3_COMMITTED]	= on_committed,
	[NVO3_CONSENT]		= on_consent,
	[NVO3_ABORT]		= on_abort,
	[NVO3_CONVERGED]	= on_converged,
	[NVO3_MEMBERS]		= on_members,
	[NVO3_UPDATE]		= on_update,
	[NVO3_ANSWER]		= on_answer,
	[NVO3_STATUS_REPLY]	= on_status_reply,
	[NVO3_FLOWS]		= on_flows,
	[NVO3_DIGEST]		= on_digest,
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

void agent_nva_resubscribe(void *userdata)
{
	struct agent_vn *vn = userdata;

	if (nva_link_is_up(vn->agent->nva)) /* else all are subscribed to when it is */
		agent_pull_subscribe(vn, nva_link_features(vn->agent->nva));
}

static void begin_grace(struct agent *agent)
{
	log_notice("It has started anew: keeping for %d s what it does not know yet",
		   AGENT_GRACE_S);
	for (size_t i = 0; i < agent->vn_count; i++)
		vn_begin_grace(agent->vns[i]->vn);
	(void) loop_timer_start(agent->grace, AGENT_GRACE_S * 1000000ull);
}

void agent_nva_end_grace(void *userdata)
{
	struct agent *agent = userdata;

	/* Nothing is taken away while nobody can say what is right. */
	if (!nva_link_is_up(agent->nva)) {
		(void) loop_timer_start(agent->grace, AGENT_GRACE_S * 1000000ull);
		return;
	}
	for (size_t i = 0; i < agent->vn_count; i++) {
		vn_end_grace(agent->vns[i]->vn, on_mapping, agent->vns[i]);
		agent_vn_flush(agent->vns[i]);
	}
}

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
		begin_grace(agent);
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
	if (agent->config->nva_count == 1 || now_us - agent->nva_warned_us >= AGENT_WARN_S * 1000000ull) {
		log_warning("No session to the NVA: %s; trying again, and keeping the forwarding tables as "
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
	}
	HASH_ITER(hh, agent->ports, port, next)
		port->facts.asked_for = false;
}

const struct nva_link_events agent_nva_events = {
	.up = on_up,
	.down = on_down,
	.message = on_message,
};
