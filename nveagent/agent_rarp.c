/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_rarp.c - RARP (RFC 903): a diskless client asks for its own IPv4 address by its MAC.
 *
 * The NVA is asked each time: it knows what an operator has reserved for the MAC, though the client
 * may never have been heard, and which addresses it had wherever it ran before. Without a session,
 * or when the NVA has just said that it knows nothing, the answer is what this NVE knows.
 */
#include <string.h>

#include "common/clock.h"
#include "net/frames.h"
#include "nveagent/agent_private.h"
#include "nveagent/query.h"

static struct ip first_ipv4(const struct ip *ips, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ips[i].family == AF_INET && !ip_is_link_local(ips[i]))
			return ips[i];
	return (struct ip){ 0 };
}

/* What this NVE knows. */
static struct ip known_ipv4(const struct agent_vn *vn, struct mac mac)
{
	const struct port *port = port_find(vn->agent, vn->devices.vni, mac);
	struct ip ips[MAPPING_IPS_MAX], ip = { 0 };
	struct mapping mapping;

	if (port)
		ip = first_ipv4(ips, address_table_copy(&port->addresses, ips));
	if (ip_is_none(ip) && vn_find(vn->vn, mac, &mapping))
		ip = first_ipv4(mapping.ips, mapping.ip_count);
	return ip;
}

/*
 * RFC 903 section 3: the sender of the reply is the server; its protocol address is what clients
 * boot from (Linux: net/ipv4/ipconfig.c, ic_rarp_recv()).
 */
static void reply(struct agent_vn *vn, uint32_t ifindex, const struct frame *question, struct ip ip)
{
	uint8_t frame[FRAME_BUILD_SIZE];
	struct kernel_port bridge;
	size_t size;

	if (ip_is_none(ip) ||
	    kernel_port_by_name(vn->agent->kernel, vn->devices.bridge, &bridge) < 0)
		return;
	size = frame_build_rarp_reply(bridge.mac, vn->rarp_server, question->target_mac, ip, frame);
	memcpy(frame, question->source.octet, MAC_SIZE); /* who asks may ask for another */
	if (size > 0 && frame_out_device(vn->agent->out, ifindex, frame, size) == 0)
		vn->agent->counters.rarp_answers++;
}

/* False when there will be no answer. */
static bool ask(struct agent_vn *vn, const struct frame *question)
{
	struct nva_link *nva = vn->agent->nva;
	const struct query_key key = { .mac = question->target_mac };
	struct nvo3_message query = {
		.kind = NVO3_QUERY,
		.vni = vn->devices.vni,
		.mac = question->target_mac,
	};

	if (!nva_link_is_up(nva))
		return false;
	query.id = nva_link_next_id(nva);
	switch (query_ask(vn->rarp_queries, clock_monotonic_us(), &key, question->source, question,
			  query.id)) {
	case QUERY_SEND:
		return nva_link_send(nva, &query) == 0;
	case QUERY_JOINED:
		return true;
	case QUERY_NO:
	case QUERY_LIMITED:
		break;
	}
	return false;
}

void agent_rarp_hear(struct agent_vn *vn, uint32_t ifindex, const struct frame *question)
{
	if (mac_is_zero(question->target_mac) || mac_is_group(question->target_mac))
		return;
	if (!ask(vn, question))
		reply(vn, ifindex, question, known_ipv4(vn, question->target_mac));
}

bool agent_rarp_answer(struct agent_vn *vn, const struct nvo3_message *message)
{
	struct frame questions[QUERY_WAITERS_MAX];
	struct ip ip = message->ip;
	struct query_key key;
	int count;

	if (ip_is_none(ip) && message->mapping_count > 0)
		ip = first_ipv4(message->mappings[0].ips, message->mappings[0].ip_count);
	count = query_answer(vn->rarp_queries, clock_monotonic_us(), message->id, !ip_is_none(ip),
			     &key, questions);
	if (count < 0)
		return false;
	if (message->mapping_count > 0) /* an NVE that pulls is told of its changes from now on */
		agent_directory_learn(vn, &message->mappings[0]);
	if (ip_is_none(ip))
		ip = known_ipv4(vn, key.mac);
	for (int i = 0; i < count; i++) {
		const struct port *port =
			port_find(vn->agent, vn->devices.vni, questions[i].source);

		if (port && port->ifindex)
			reply(vn, port->ifindex, &questions[i], ip);
	}
	return true;
}
