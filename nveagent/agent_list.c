/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_list.c - what this NVE knows: endpoints here, the directory's mappings, moves.
 *
 * There may be a hundred thousand of them, and a VM's switch must not wait for a list. So each is
 * made in pieces as the loop comes round (control.h); what comes and goes between two pieces may be
 * in the list or not, and everything else is in it once. Whether the kernel has a mapping is looked
 * up entry by entry: a dump of the bridge would be one long piece (see vn_whole.c).
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/json.h"
#include "nveagent/agent_json.h"
#include "nveagent/agent_operations.h"
#include "nveagent/agent_private.h"

enum {
	PORTS_PIECE = 16, /* some 100 us each */
	MAPPINGS_PIECE = KERNEL_LOOKUPS_MAX / 2,
	LOOKS_MAX = 256, /* at records that are not shown */
};

static void reply_list(struct control_request *request, const struct control_list *list)
{
	if (list->state)
		control_reply_list(request, list);
	else
		control_reply(request, NULL);
}

/* --- ports --- */

static struct json_object *port_to_json(const struct port *port)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	struct ip ips[MAPPING_IPS_MAX];

	if (!object || json_add_u64(object, "vni", port->key.vni) < 0 ||
	    agent_json_add_mac(object, port->mac) < 0 ||
	    agent_json_add_ips(object, "ips", ips, address_table_copy(&port->addresses, ips)) < 0 ||
	    json_add_u64(object, "addresses_refused",
			 port->addresses.refused.over_cap + port->addresses.refused.over_rate) <
		    0 ||
	    json_add_u64(object, "frames_dropped",
			 agent_neighbour_dropped(port->agent, port->ifindex)) < 0 ||
	    json_add_bool(object, "router", port->router) < 0 ||
	    json_add_string(object, "device", port->device) < 0 ||
	    json_add_string(object, "kind", port_kind_name(port->kind)) < 0 ||
	    json_add_string(object, "vm", port->vm) < 0 ||
	    agent_json_add_uuid(object, "uuid", port->uuid) < 0 ||
	    json_add_string(object, "state", mobility_state_name(port->state)) < 0 ||
	    json_add_u64(object, "generation", port->generation) < 0)
		return NULL;
	return TAKE_PTR(object);
}

struct port_walk {
	struct agent *agent;
	struct port *at; /* the next one */
	struct port_walk *prev, *next;
};

void agent_list_port_gone(struct port *port)
{
	for (struct port_walk *walk = port->agent->walks; walk; walk = walk->next)
		if (walk->at == port)
			walk->at = port->hh.next;
}

static int next_ports(void *state, struct json_object *array)
{
	struct port_walk *walk = state;

	for (unsigned looks = 0; walk->at; looks++) {
		const struct port *port = walk->at;

		if (json_object_array_length(array) == PORTS_PIECE || looks == LOOKS_MAX)
			return 1;
		if (port->state != MOBILITY_ABSENT &&
		    agent_json_append(array, port_to_json(port)) < 0)
			return -ENOMEM;
		walk->at = port->hh.next;
	}
	return 0;
}

static void free_port_walk(void *state)
{
	struct port_walk *walk = state;

	DL_DELETE(walk->agent->walks, walk);
	free(walk);
}

void agent_show_ports(struct agent *agent, struct json_object *object,
		      struct control_request *request)
{
	struct port_walk *walk = calloc(1, sizeof(*walk));
	const struct control_list list = {
		.key = "ports",
		.next = next_ports,
		.what = "cannot list the ports",
		.free = free_port_walk,
		.state = walk,
	};

	if (walk) {
		walk->agent = agent;
		walk->at = agent->ports;
		DL_APPEND(agent->walks, walk);
	}
	reply_list(request, &list);
}

/* --- mappings --- */

struct mapping_walk {
	const struct agent *agent;
	size_t vn;   /* index of the present one */
	size_t last; /* and of the last one that is wanted */
	uint32_t at; /* vn_walk()'s */
};

static int add_flags(struct json_object *object, uint32_t flags)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();

	if (array && flags & MAPPING_VM)
		(void) agent_json_append(array, json_object_new_string("vm"));
	if (array && flags & MAPPING_LEARNED)
		(void) agent_json_append(array, json_object_new_string("learned"));
	if (array && flags & MAPPING_ROUTER)
		(void) agent_json_append(array, json_object_new_string("router"));
	return json_add(object, "flags", TAKE_PTR(array));
}

/* What the kernel has for a mapping's MAC. */
struct found {
	const struct kernel_lookup *bridge, *vxlan;
};

/* True when the kernel sends frames for the mapping's MAC to where the directory says. */
static bool in_kernel(const struct agent_vn *vn, const struct mapping *mapping, bool local,
		      const struct found *found)
{
	bool over_vxlan = found->bridge->actual.ifindex == vn->devices.vxlan_ifindex;

	if (!found->bridge->found)
		return false;
	if (local)
		return !over_vxlan;
	return over_vxlan && found->vxlan->found &&
	       ip_cmp(found->vxlan->actual.vtep, mapping->vtep) == 0;
}

static struct json_object *mapping_to_json(const struct agent_vn *vn, const struct mapping *mapping,
					   const struct found *found)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	bool local = ip_cmp(mapping->vtep, vn->agent->config->vtep) == 0;

	if (!object || json_add_u64(object, "vni", mapping->vni) < 0 ||
	    agent_json_add_mac(object, mapping->mac) < 0 ||
	    agent_json_add_ips(object, "ips", mapping->ips, mapping->ip_count) < 0 ||
	    agent_json_add_ip(object, "vtep", mapping->vtep) < 0 ||
	    json_add_u64(object, "generation", mapping->generation) < 0 ||
	    agent_json_add_uuid(object, "vm", mapping->vm) < 0 ||
	    add_flags(object, mapping->flags) < 0 || json_add_bool(object, "local", local) < 0 ||
	    json_add_bool(object, "in_kernel", in_kernel(vn, mapping, local, found)) < 0 ||
	    json_add_bool(object, "confirmed", vn->current && vn_is_named(vn->vn, mapping->mac)) <
		    0)
		return NULL;
	return TAKE_PTR(object);
}

static int look_up(const struct agent_vn *vn, const struct mapping *mappings, size_t count,
		   struct kernel_lookup *lookups)
{
	for (size_t i = 0; i < count; i++) {
		lookups[2 * i].asked =
			(struct fdb_entry){ .layer = FDB_LAYER_BRIDGE, .mac = mappings[i].mac };
		lookups[2 * i + 1].asked =
			(struct fdb_entry){ .layer = FDB_LAYER_VXLAN, .mac = mappings[i].mac };
	}
	return kernel_look(vn->agent->kernel, &vn->devices, lookups, 2 * count);
}

static int next_mappings(void *state, struct json_object *array)
{
	struct mapping_walk *walk = state;
	const struct agent_vn *vn = walk->agent->vns[walk->vn];
	struct kernel_lookup lookups[2 * MAPPINGS_PIECE];
	struct mapping mappings[MAPPINGS_PIECE];
	size_t count;
	bool more = vn_walk(vn->vn, &walk->at, mappings, MAPPINGS_PIECE, &count);
	int r = look_up(vn, mappings, count, lookups);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		const struct found found = { &lookups[2 * i], &lookups[2 * i + 1] };

		if (agent_json_append(array, mapping_to_json(vn, &mappings[i], &found)) < 0)
			return -ENOMEM;
	}
	if (more)
		return 1;
	walk->at = 0;
	return walk->vn++ < walk->last;
}

void agent_show_mappings(struct agent *agent, struct json_object *object,
			 struct control_request *request)
{
	struct mapping_walk *walk = calloc(1, sizeof(*walk));
	const struct control_list list = {
		.key = "mappings",
		.next = next_mappings,
		.what = "cannot read the kernel's forwarding tables",
		.free = free,
		.state = walk,
	};
	uint32_t vni = 0;

	if (json_get_u32(object, "vni", &vni) == 0 && !agent_vn_find(agent, vni)) {
		free(walk);
		control_reply_error(request, "VNI %u is not configured on this NVE", vni);
		return;
	}
	if (walk) {
		walk->agent = agent;
		walk->last = agent->vn_count - 1;
		while (vni && agent->vns[walk->vn]->devices.vni != vni)
			walk->vn++;
		if (vni)
			walk->last = walk->vn;
	}
	reply_list(request, &list);
}

/* --- moves --- */

struct move_walk {
	struct agent *agent;
	uint64_t at, last; /* ids; the newest comes first */
};

/* One has so many events that it is a piece by itself. */
static int next_move(void *state, struct json_object *array)
{
	struct move_walk *walk = state;
	const struct ledger_move *move = ledger_find(walk->agent->ledger, walk->at);
	struct port *port = move ? port_find(walk->agent, move->vni, move->mac) : NULL;

	if (!move)
		return 0;
	if (port && port->move == walk->at)
		port_count(port);
	if (agent_json_append(array, ledger_move_to_json(move)) < 0)
		return -ENOMEM;
	return walk->at-- > walk->last;
}

void agent_show_moves(struct agent *agent, struct json_object *object,
		      struct control_request *request)
{
	struct move_walk *walk = calloc(1, sizeof(*walk));
	const struct control_list list = {
		.key = "moves",
		.next = next_move,
		.what = "cannot list the moves",
		.free = free,
		.state = walk,
	};
	uint32_t limit = 0;

	(void) json_get_u32(object, "limit", &limit);
	if (walk) {
		walk->agent = agent;
		walk->at = ledger_newest(agent->ledger);
		walk->last = limit && limit <= walk->at ? walk->at - limit + 1 : 1;
	}
	reply_list(request, &list);
}
