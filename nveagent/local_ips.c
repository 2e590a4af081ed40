/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local_ips.c - which local ports have an address: an index of what their address tables hold, so
 * that a claim by another endpoint, here or elsewhere, finds who had the address before.
 *
 * An address moves between endpoints when a standby takes over (VRRP) or a tenant gives it to
 * another VM. The one that had it says nothing then; it is asked, and loses the address if it does
 * not answer.
 */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "nveagent/agent_private.h"

/* All bytes count. */
struct local_ip_key {
	uint32_t vni;
	struct ip ip;
	uint8_t zero[3];
};
static_assert(sizeof(struct local_ip_key) == 24, "no padding in a hash key");

/* One port that has an address. */
struct ip_link {
	struct local_ip *local_ip;
	struct port *port;
	struct ip_link *prev, *next; /* of the address */
	struct ip_link *next_of_port;
};

struct local_ip {
	struct local_ip_key key;
	struct ip_link *links;
	UT_hash_handle hh;
};

static struct local_ip *find(struct agent *agent, uint32_t vni, struct ip ip)
{
	struct local_ip_key key = { .vni = vni, .ip = ip };
	struct local_ip *found = NULL;

	HASH_FIND(hh, agent->local_ips, &key, sizeof(key), found);
	return found;
}

static struct local_ip *find_or_add(struct agent *agent, uint32_t vni, struct ip ip)
{
	struct local_ip *local_ip = find(agent, vni, ip);

	if (local_ip)
		return local_ip;
	local_ip = calloc(1, sizeof(*local_ip));
	if (!local_ip)
		return NULL;
	local_ip->key.vni = vni;
	local_ip->key.ip = ip;
	HASH_ADD(hh, agent->local_ips, key, sizeof(local_ip->key), local_ip);
	return local_ip;
}

/* Out of memory: the address is not in the index, and nobody doubts it. */
static void add(struct port *port, struct ip ip)
{
	struct ip_link *link = calloc(1, sizeof(*link));
	struct local_ip *local_ip = link ? find_or_add(port->agent, port->key.vni, ip) : NULL;

	if (!local_ip) {
		free(link);
		return;
	}
	link->local_ip = local_ip;
	link->port = port;
	DL_APPEND(local_ip->links, link);
	link->next_of_port = port->ip_links;
	port->ip_links = link;
}

static void drop(struct port *port, struct ip_link **place)
{
	struct ip_link *link = *place;
	struct local_ip *local_ip = link->local_ip;

	*place = link->next_of_port;
	DL_DELETE(local_ip->links, link);
	free(link);
	if (local_ip->links)
		return;
	HASH_DEL(port->agent->local_ips, local_ip);
	free(local_ip);
}

static bool has_link(const struct port *port, struct ip ip)
{
	for (const struct ip_link *link = port->ip_links; link; link = link->next_of_port)
		if (ip_cmp(link->local_ip->key.ip, ip) == 0)
			return true;
	return false;
}

void local_ips_update(struct port *port)
{
	const struct address_table *table = &port->addresses;

	for (struct ip_link **place = &port->ip_links; *place;)
		if (address_table_has(table, (*place)->local_ip->key.ip))
			place = &(*place)->next_of_port;
		else
			drop(port, place);
	for (size_t i = 0; i < table->count; i++)
		if (!has_link(port, table->entries[i].ip))
			add(port, table->entries[i].ip);
}

void local_ips_forget(struct port *port)
{
	while (port->ip_links)
		drop(port, &port->ip_links);
}

void local_ips_doubt_others(struct agent *agent, const struct mapping *mapping)
{
	for (size_t i = 0; i < mapping->ip_count; i++) {
		struct local_ip *local_ip = find(agent, mapping->vni, mapping->ips[i]);
		struct ip_link *link;

		if (!local_ip)
			continue;
		DL_FOREACH(local_ip->links, link)
		if (mac_cmp(link->port->mac, mapping->mac) != 0)
			port_doubt(link->port, mapping->ips[i]);
	}
}
