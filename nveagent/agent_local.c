/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_local.c - what the kernel says: bridge ports that come and go, and MACs that it learns on
 * them.
 */
#include <string.h>

#include "common/log.h"
#include "nveagent/agent_private.h"

static bool has_port(const struct agent_vn *vn, uint32_t ifindex, size_t *ret_index)
{
	for (size_t i = 0; i < vn->port_count; i++)
		if (vn->ports[i] == ifindex) {
			*ret_index = i;
			return true;
		}
	return false;
}

static struct agent_vn *vn_by_port(struct agent *agent, uint32_t ifindex)
{
	size_t index;

	for (size_t i = 0; i < agent->vn_count; i++)
		if (has_port(agent->vns[i], ifindex, &index))
			return agent->vns[i];
	return NULL;
}

/* --- bridge ports --- */

static void unplug(struct port *port)
{
	port->ifindex = 0;
	agent_neighbour_count(port);
	port->facts =
		(struct mobility_facts){ .asked_for = port->facts.asked_for, .unplugged = true };
	port_input(port, MOBILITY_UNPLUG);
}

void agent_local_port_left(struct agent_vn *vn, size_t index)
{
	uint32_t ifindex = vn->ports[index];
	struct port *port, *next;

	vn->ports[index] = vn->ports[--vn->port_count];
	agent_neighbour_unwatch(vn->agent, ifindex);
	vn_port_gone(vn->vn, ifindex);
	HASH_ITER(hh, vn->agent->ports, port, next)
		if (port->vn == vn && port->ifindex == ifindex)
			unplug(port);
	agent_vn_flush(vn);
}

static void port_joined(struct agent_vn *vn, const struct kernel_port *joined)
{
	if (vn->port_count == AGENT_BRIDGE_PORTS_MAX) {
		log_warning("VNI %u: %s has too many ports; %s gets no announcements and is "
			    "not watched",
			    vn->devices.vni, vn->devices.bridge, joined->name);
		return;
	}
	vn->ports[vn->port_count++] = joined->ifindex;
	agent_neighbour_watch(vn, joined);
}

static void on_link(void *userdata, const struct kernel_port *link, bool gone)
{
	struct agent *agent = userdata;

	if (link->is_vxlan)
		return;
	for (size_t i = 0; i < agent->vn_count; i++) {
		struct agent_vn *vn = agent->vns[i];
		bool member = !gone && link->master == vn->devices.bridge_ifindex &&
			      link->ifindex != agent_suppress_ifindex(vn->suppressor);
		size_t index;

		if (!has_port(vn, link->ifindex, &index)) {
			if (member)
				port_joined(vn, link);
		} else if (!member) {
			agent_local_port_left(vn, index);
		}
	}
}

/* --- learned MACs --- */

static void learned(struct agent_vn *vn, uint32_t ifindex, struct mac mac)
{
	struct port *port = port_find(vn->agent, vn->devices.vni, mac);
	const char *device = agent_neighbour_device(vn->agent, ifindex);
	char name[IF_NAMESIZE];

	if (port && (port->kind == PORT_VM || port->ifindex == ifindex))
		return;
	if (!port && !agent_neighbour_may_learn(vn->agent, ifindex)) {
		if (!loop_timer_is_running(vn->agent->relearn))
			(void) loop_timer_start(vn->agent->relearn, AGENT_RELEARN_S * 1000000ull);
		return;
	}
	if (!device) /* one of too many ports, of which the kernel knows the name */
		device = if_indextoname(ifindex, name);
	if (!device)
		return;
	if (!port)
		port = port_new(vn->agent, vn, mac, PORT_LEARNED);
	if (!port)
		return;
	port_set_place(port, device, ifindex);
	port_input(port, MOBILITY_RUN);
}

static void on_fdb(void *userdata, uint32_t ifindex, struct mac mac, bool is_learned, bool gone)
{
	struct agent *agent = userdata;
	struct agent_vn *vn = vn_by_port(agent, ifindex);
	struct port *port;

	if (!vn || mac_is_group(mac))
		return;
	if (!gone) {
		if (is_learned)
			learned(vn, ifindex, mac);
		return;
	}
	port = port_find(agent, vn->devices.vni, mac);
	if (port && port->kind == PORT_LEARNED && port->ifindex == ifindex)
		unplug(port);
}

/* The bridge tells of a MAC once, when it learns it. */
void agent_local_relearn(void *userdata)
{
	struct agent *agent = userdata;

	agent_neighbour_relearn(agent);
	for (size_t i = 0; i < agent->vn_count; i++)
		agent_vn_resync(agent->vns[i], RESYNC_LEARNED);
}

static void on_overrun(void *userdata)
{
	struct agent *agent = userdata;

	log_warning("The kernel's notifications came faster than they were read: looking at "
		    "everything again");
	for (size_t i = 0; i < agent->vn_count; i++)
		agent_vn_resync(agent->vns[i], RESYNC_PORTS | RESYNC_LEARNED | RESYNC_TABLES);
}

static void on_neighbour_gone(void *userdata, uint32_t ifindex, struct ip ip)
{
	struct agent *agent = userdata;

	for (size_t i = 0; i < agent->vn_count; i++)
		if (agent->vns[i]->devices.bridge_ifindex == ifindex) {
			vn_neighbour_gone(agent->vns[i]->vn, ip);
			agent_vn_flush_soon(agent->vns[i]);
		}
}

/* Whose FDB @entry is in; NULL: in none of ours. */
static struct agent_vn *vn_of_entry(struct agent *agent, const struct fdb_entry *entry)
{
	for (size_t i = 0; i < agent->vn_count; i++)
		if (entry->ifindex == agent->vns[i]->devices.vxlan_ifindex)
			return agent->vns[i];
	return entry->layer == FDB_LAYER_BRIDGE ? vn_by_port(agent, entry->ifindex) : NULL;
}

/* Somebody makes an entry permanent, or takes it away again. */
static void on_fixed(void *userdata, const struct fdb_entry *entry, bool gone)
{
	struct agent_vn *vn = vn_of_entry(userdata, entry);
	char mac[MAC_TEXT_SIZE];

	if (!vn || (entry->sticky && !gone))
		return;
	if (entry->layer == FDB_LAYER_VXLAN && mac_is_zero(entry->mac))
		agent_vn_note_foreign(vn, entry->vtep, gone);
	if (gone)
		vn_theirs_gone(vn->vn, entry);
	else if (vn_note_theirs(vn->vn, entry) < 0)
		log_warning("VNI %u: no memory to note that somebody made %s static",
			    vn->devices.vni, mac_text(entry->mac, mac));
	agent_vn_flush_soon(vn);
}

const struct kernel_watch_events agent_kernel_events = {
	.fdb = on_fdb,
	.link = on_link,
	.overrun = on_overrun,
	.neighbour_gone = on_neighbour_gone,
	.fixed = on_fixed,
};
