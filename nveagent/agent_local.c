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

static void port_left(struct agent_vn *vn, size_t index)
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
			port_left(vn, index);
		}
	}
}

/* --- learned MACs --- */

static void learned(struct agent_vn *vn, uint32_t ifindex, struct mac mac)
{
	struct port *port = port_find(vn->agent, vn->devices.vni, mac);
	char device[IF_NAMESIZE];

	if (port && (port->kind == PORT_VM || port->ifindex == ifindex))
		return;
	if (!port && !agent_neighbour_may_learn(vn->agent, ifindex)) {
		if (!loop_timer_is_running(vn->agent->relearn))
			(void) loop_timer_start(vn->agent->relearn, AGENT_RELEARN_S * 1000000ull);
		return;
	}
	if (!if_indextoname(ifindex, device))
		return;
	if (!port)
		port = port_new(vn->agent, vn, mac, PORT_LEARNED);
	if (!port)
		return;
	(void) port_set_device(port, device);
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
	(void) kernel_watch_replay(agent->kernel, &agent_kernel_events, agent);
}

static void on_overrun(void *userdata)
{
	struct agent *agent = userdata;

	log_warning("The kernel's notifications came faster than they were read: looking at "
		    "everything again");
	(void) kernel_watch_replay(agent->kernel, &agent_kernel_events, agent);
	for (size_t i = 0; i < agent->vn_count; i++)
		agent_vn_reconcile(agent->vns[i]);
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

const struct kernel_watch_events agent_kernel_events = {
	.fdb = on_fdb,
	.link = on_link,
	.overrun = on_overrun,
	.neighbour_gone = on_neighbour_gone,
};
