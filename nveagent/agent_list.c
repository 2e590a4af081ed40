/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_list.c - what this NVE knows: endpoints here, the directory's mappings, moves. */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "nveagent/agent_json.h"
#include "nveagent/agent_operations.h"
#include "nveagent/agent_private.h"

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

void agent_show_ports(struct agent *agent, struct json_object *object,
		      struct control_request *request)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();

	for (const struct port *port = agent->ports; array && port; port = port->hh.next)
		if (port->state != MOBILITY_ABSENT &&
		    agent_json_append(array, port_to_json(port)) < 0)
			array = json_unref(array);
	agent_json_reply(request, "ports", TAKE_PTR(array));
}

/* --- mappings --- */

struct mapping_list {
	const struct agent *agent;
	const struct agent_vn *vn;
	const struct fdb_table *kernel;
	uint32_t vxlan_ifindex;
	struct json_object *array; /* NULL after a failure */
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

/* True when the kernel sends frames for the mapping's MAC to where the directory says. */
static bool in_kernel(const struct mapping_list *list, const struct mapping *mapping, bool local)
{
	const struct fdb_entry *bridge =
		fdb_table_find(list->kernel, FDB_LAYER_BRIDGE, 0, mapping->mac);
	const struct fdb_entry *vxlan =
		fdb_table_find(list->kernel, FDB_LAYER_VXLAN, list->vxlan_ifindex, mapping->mac);

	if (!bridge)
		return false;
	if (local)
		return bridge->ifindex != list->vxlan_ifindex;
	return bridge->ifindex == list->vxlan_ifindex && vxlan &&
	       ip_cmp(vxlan->vtep, mapping->vtep) == 0;
}

static struct json_object *mapping_to_json(const struct mapping_list *list,
					   const struct mapping *mapping)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	bool local = ip_cmp(mapping->vtep, list->agent->config->vtep) == 0;

	if (!object || json_add_u64(object, "vni", mapping->vni) < 0 ||
	    agent_json_add_mac(object, mapping->mac) < 0 ||
	    agent_json_add_ips(object, "ips", mapping->ips, mapping->ip_count) < 0 ||
	    agent_json_add_ip(object, "vtep", mapping->vtep) < 0 ||
	    json_add_u64(object, "generation", mapping->generation) < 0 ||
	    agent_json_add_uuid(object, "vm", mapping->vm) < 0 ||
	    add_flags(object, mapping->flags) < 0 || json_add_bool(object, "local", local) < 0 ||
	    json_add_bool(object, "in_kernel", in_kernel(list, mapping, local)) < 0 ||
	    json_add_bool(object, "confirmed",
			  list->vn->current && vn_is_named(list->vn->vn, mapping->mac)) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static void list_mapping(void *userdata, const struct mapping *mapping)
{
	struct mapping_list *list = userdata;

	if (list->array && agent_json_append(list->array, mapping_to_json(list, mapping)) < 0)
		list->array = json_unref(list->array);
}

static int list_vn(struct mapping_list *list, const struct agent_vn *vn)
{
	_cleanup_(fdb_table_freep) struct fdb_table *kernel = fdb_table_new();
	int r = kernel ? kernel_fdb_dump(vn->agent->kernel, &vn->devices, kernel) : -ENOMEM;

	if (r < 0)
		return r;
	list->vn = vn;
	list->kernel = kernel;
	list->vxlan_ifindex = vn->devices.vxlan_ifindex;
	vn_each(vn->vn, list_mapping, list);
	return list->array ? 0 : -ENOMEM;
}

void agent_show_mappings(struct agent *agent, struct json_object *object,
			 struct control_request *request)
{
	struct mapping_list list = { .agent = agent, .array = json_object_new_array() };
	uint32_t vni = 0;
	int r = list.array ? 0 : -ENOMEM;

	if (json_get_u32(object, "vni", &vni) == 0 && !agent_vn_find(agent, vni)) {
		json_unref(list.array);
		control_reply_error(request, "VNI %u is not configured on this NVE", vni);
		return;
	}
	for (size_t i = 0; r == 0 && i < agent->vn_count; i++)
		if (!vni || agent->vns[i]->devices.vni == vni)
			r = list_vn(&list, agent->vns[i]);
	if (r == 0) {
		agent_json_reply(request, "mappings", list.array);
		return;
	}
	json_unref(list.array);
	control_reply_error(request, "cannot read the kernel's forwarding tables: %s",
			    strerror(-r));
}

/* --- moves --- */

void agent_show_moves(struct agent *agent, struct json_object *object,
		      struct control_request *request)
{
	uint32_t limit = 0;

	(void) json_get_u32(object, "limit", &limit);
	for (struct port *port = agent->ports; port; port = port->hh.next)
		port_count(port);
	agent_json_reply(request, "moves", ledger_to_json(agent->ledger, limit));
}
