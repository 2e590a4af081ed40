/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_directory.c - what the NVA says of a VNI: who takes part, and which MACs and addresses are
 * where; into its tables (vn.h), its ports and the kernel, and confirmed.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "nva/digest.h"
#include "nveagent/agent_nva.h"
#include "nveagent/agent_private.h"

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

void agent_directory_members(struct agent *agent, const struct nvo3_message *message)
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

void agent_directory_learn(struct agent_vn *vn, const struct mapping *mapping)
{
	if (mapping->vni != vn->devices.vni || vn_learn(vn->vn, mapping, on_mapping, vn) < 0)
		return;
	agent_vn_settle(vn, mapping->mac);
	agent_vn_flush(vn);
}

void agent_directory_answer(struct agent *agent, const struct nvo3_message *message)
{
	for (size_t i = 0; i < agent->vn_count; i++)
		if (agent_suppress_answer(agent->vns[i]->suppressor, message) ||
		    agent_rarp_answer(agent->vns[i], message))
			return;
}

void agent_directory_update(struct agent *agent, const struct nvo3_message *message)
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
		agent_directory_confirm(agent);
	if (vn && message->snapshot_end) {
		vn->current = true;
		withdrawals_check(agent->withdrawals, vn->vn, agent->config->vtep, withdraw_again,
				  vn);
		agent_vn_release(vn);
	}
}

void agent_directory_confirm(struct agent *agent)
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
void agent_directory_digest(struct agent *agent, const struct nvo3_message *message)
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

/* --- a session, or an NVA, that begins --- */

void agent_directory_resubscribe(void *userdata)
{
	struct agent_vn *vn = userdata;

	if (nva_link_is_up(vn->agent->nva)) /* else all are subscribed to when it is */
		agent_pull_subscribe(vn, nva_link_features(vn->agent->nva));
}

void agent_directory_begin_grace(struct agent *agent)
{
	log_notice("It has started anew: keeping for %d s what it does not know yet",
		   AGENT_GRACE_S);
	for (size_t i = 0; i < agent->vn_count; i++)
		vn_begin_grace(agent->vns[i]->vn);
	(void) loop_timer_start(agent->grace, AGENT_GRACE_S * 1000000ull);
}

void agent_directory_end_grace(void *userdata)
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
