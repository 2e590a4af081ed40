/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_control.c - what an operator (nvectl) and the hook ask over the control socket: one table
 * of operations.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/json.h"
#include "nveagent/agent_private.h"

/* --- small pieces of JSON --- */

static int add_ips(struct json_object *object, const char *key, const struct ip *ips, size_t count)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; array && i < count; i++)
		if (json_object_array_add(array, json_object_new_string(ip_text(ips[i], text))) < 0)
			return -ENOMEM;
	return json_add(object, key, TAKE_PTR(array));
}

static int add_ip(struct json_object *object, const char *key, struct ip ip)
{
	char text[IP_TEXT_SIZE];

	return json_add_string(object, key, ip_text(ip, text));
}

static int add_mac(struct json_object *object, struct mac mac)
{
	char text[MAC_TEXT_SIZE];

	return json_add_string(object, "mac", mac_text(mac, text));
}

static int add_uuid(struct json_object *object, const char *key, struct uuid uuid)
{
	char text[UUID_TEXT_SIZE];

	return uuid_is_none(uuid) ? 0 : json_add_string(object, key, uuid_text(uuid, text));
}

/* Appends @item, which is taken over; NULL gives an error. */
static int append(struct json_object *array, struct json_object *item)
{
	if (!item)
		return -ENOMEM;
	if (json_object_array_add(array, item) == 0)
		return 0;
	json_unref(item);
	return -ENOMEM;
}

/* Replies {"ok":true, KEY: VALUE}; takes @value over. */
static void reply_with(struct control_request *request, const char *key, struct json_object *value)
{
	_cleanup_(json_unrefp) struct json_object *reply = control_ok();

	if (!reply || !value || json_add(reply, key, value) < 0)
		reply = json_unref(reply);
	control_reply(request, TAKE_PTR(reply));
}

static uint64_t seconds_since(uint64_t then_us)
{
	return (clock_monotonic_us() - then_us) / 1000000;
}

/* --- status --- */

static size_t count_ports(const struct agent_vn *vn)
{
	size_t n = 0;

	for (const struct port *port = vn->agent->ports; port; port = port->hh.next)
		n += port->vn == vn && port->state != MOBILITY_ABSENT;
	return n;
}

static struct json_object *suppression_to_json(const struct agent_vn *vn)
{
	struct suppress_counters counters = agent_suppress_read(vn->suppressor);
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	if (!object || json_add_bool(object, "on", vn->devices.suppress) < 0 ||
	    json_add_u64(object, "heard", counters.heard) < 0 ||
	    json_add_u64(object, "answered", counters.answered) < 0 ||
	    json_add_u64(object, "asked", counters.asked) < 0 ||
	    json_add_u64(object, "unknown", counters.unknown) < 0 ||
	    json_add_u64(object, "limited", counters.limited) < 0 ||
	    json_add_u64(object, "told", counters.told) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static struct json_object *late_to_json(const struct agent_vn *vn)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	struct late_counters counters = late_read(vn->late);

	if (!object || json_add_u64(object, "forwarded", counters.forwarded) < 0 ||
	    json_add_u64(object, "answered", counters.answered) < 0 ||
	    json_add_u64(object, "dropped", counters.dropped) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static struct json_object *vn_to_json(const struct agent_vn *vn)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	size_t member_count;
	const struct ip *members = vn_members(vn->vn, &member_count);

	if (!object || json_add_u64(object, "vni", vn->devices.vni) < 0 ||
	    json_add_string(object, "bridge", vn->devices.bridge) < 0 ||
	    json_add_string(object, "vxlan", vn->devices.vxlan) < 0 ||
	    add_ips(object, "members", members, member_count) < 0 ||
	    json_add_string(object, "mode", vn->puller ? "pull" : "push") < 0 ||
	    json_add_u64(object, "mappings", vn_mapping_count(vn->vn)) < 0 ||
	    json_add_u64(object, "dropped", agent_pull_dropped(vn->puller)) < 0 ||
	    json_add_u64(object, "ports", count_ports(vn)) < 0 ||
	    json_add(object, "suppression", suppression_to_json(vn)) < 0 ||
	    json_add(object, "late", late_to_json(vn)) < 0 ||
	    json_add_bool(object, "synced", vn_is_synced(vn->vn)) < 0 ||
	    json_add_bool(object, "current", vn->current) < 0 ||
	    json_add_bool(object, "resyncing", vn->resync.todo != 0) < 0 ||
	    (vn->refusal[0] && json_add_string(object, "refused", vn->refusal) < 0))
		return NULL;
	return TAKE_PTR(object);
}

static struct json_object *vns_to_json(struct agent *agent)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();

	for (size_t i = 0; array && i < agent->vn_count; i++)
		if (append(array, vn_to_json(agent->vns[i])) < 0)
			return NULL;
	return TAKE_PTR(array);
}

static struct json_object *nva_to_json(struct agent *agent)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	const struct nva_endpoint *endpoint = nva_link_endpoint(agent->nva);
	char text[ENDPOINT_TEXT_SIZE];

	if (!object ||
	    json_add_string(object, "address",
			    endpoint_text(endpoint->address, endpoint->port, text)) < 0 ||
	    json_add_bool(object, "connected", nva_link_is_up(agent->nva)) < 0 ||
	    json_add_string(object, "name", agent->nva_name) < 0 ||
	    json_add_u64(object, "since_s", seconds_since(agent->nva_since_us)) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static struct json_object *libvirt_to_json(struct agent *agent)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	if (!object || json_add_string(object, "uri", agent->config->libvirt_uri) < 0 ||
	    json_add_bool(object, "connected", agent->libvirt_connected) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static struct json_object *counters_to_json(struct agent *agent)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	if (!object || json_add_u64(object, "moves_in", agent->counters.moves_in) < 0 ||
	    json_add_u64(object, "moves_out", agent->counters.moves_out) < 0 ||
	    json_add_u64(object, "moves_failed", agent->counters.moves_failed) < 0 ||
	    json_add_u64(object, "updates", agent->counters.updates) < 0 ||
	    json_add_u64(object, "reconciles", agent->counters.reconciles) < 0 ||
	    json_add_u64(object, "kernel_errors", agent->counters.kernel_errors) < 0 ||
	    json_add_u64(object, "rarp_answers", agent->counters.rarp_answers) < 0 ||
	    json_add_u64(object, "macs_refused", agent->counters.macs_refused) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static void handle_status(struct agent *agent, struct json_object *object,
			  struct control_request *request)
{
	_cleanup_(json_unrefp) struct json_object *reply = control_ok();

	if (!reply || json_add_string(reply, "name", agent->config->name) < 0 ||
	    json_add_string(reply, "version", REHOME_VERSION) < 0 ||
	    add_ip(reply, "vtep", agent->config->vtep) < 0 ||
	    json_add_u64(reply, "uptime_s", seconds_since(agent->started_us)) < 0 ||
	    json_add(reply, "nva", nva_to_json(agent)) < 0 ||
	    json_add(reply, "libvirt", libvirt_to_json(agent)) < 0 ||
	    json_add(reply, "vnis", vns_to_json(agent)) < 0 ||
	    json_add(reply, "counters", counters_to_json(agent)) < 0)
		reply = json_unref(reply);
	control_reply(request, TAKE_PTR(reply));
}

/* --- ports --- */

static struct json_object *port_to_json(const struct port *port)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	struct ip ips[MAPPING_IPS_MAX];

	if (!object || json_add_u64(object, "vni", port->key.vni) < 0 ||
	    add_mac(object, port->mac) < 0 ||
	    add_ips(object, "ips", ips, address_table_copy(&port->addresses, ips)) < 0 ||
	    json_add_u64(object, "addresses_refused",
			 port->addresses.refused.over_cap + port->addresses.refused.over_rate) <
		    0 ||
	    json_add_u64(object, "frames_dropped",
			 agent_neighbour_dropped(port->agent, port->ifindex)) < 0 ||
	    json_add_bool(object, "router", port->router) < 0 ||
	    json_add_string(object, "device", port->device) < 0 ||
	    json_add_string(object, "kind", port_kind_name(port->kind)) < 0 ||
	    json_add_string(object, "vm", port->vm) < 0 ||
	    add_uuid(object, "uuid", port->uuid) < 0 ||
	    json_add_string(object, "state", mobility_state_name(port->state)) < 0 ||
	    json_add_u64(object, "generation", port->generation) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static void handle_ports(struct agent *agent, struct json_object *object,
			 struct control_request *request)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();

	for (const struct port *port = agent->ports; array && port; port = port->hh.next)
		if (port->state != MOBILITY_ABSENT && append(array, port_to_json(port)) < 0)
			array = json_unref(array);
	reply_with(request, "ports", TAKE_PTR(array));
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
		(void) append(array, json_object_new_string("vm"));
	if (array && flags & MAPPING_LEARNED)
		(void) append(array, json_object_new_string("learned"));
	if (array && flags & MAPPING_ROUTER)
		(void) append(array, json_object_new_string("router"));
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
	    add_mac(object, mapping->mac) < 0 ||
	    add_ips(object, "ips", mapping->ips, mapping->ip_count) < 0 ||
	    add_ip(object, "vtep", mapping->vtep) < 0 ||
	    json_add_u64(object, "generation", mapping->generation) < 0 ||
	    add_uuid(object, "vm", mapping->vm) < 0 || add_flags(object, mapping->flags) < 0 ||
	    json_add_bool(object, "local", local) < 0 ||
	    json_add_bool(object, "in_kernel", in_kernel(list, mapping, local)) < 0 ||
	    json_add_bool(object, "confirmed",
			  list->vn->current && vn_is_named(list->vn->vn, mapping->mac)) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static void list_mapping(void *userdata, const struct mapping *mapping)
{
	struct mapping_list *list = userdata;

	if (list->array && append(list->array, mapping_to_json(list, mapping)) < 0)
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

static void handle_mappings(struct agent *agent, struct json_object *object,
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
		reply_with(request, "mappings", list.array);
		return;
	}
	json_unref(list.array);
	control_reply_error(request, "cannot read the kernel's forwarding tables: %s",
			    strerror(-r));
}

/* --- moves --- */

static void handle_moves(struct agent *agent, struct json_object *object,
			 struct control_request *request)
{
	uint32_t limit = 0;

	(void) json_get_u32(object, "limit", &limit);
	for (struct port *port = agent->ports; port; port = port->hh.next)
		port_count(port);
	reply_with(request, "moves", ledger_to_json(agent->ledger, limit));
}

/* --- the NVA's status --- */

static void handle_nva_status(struct agent *agent, struct json_object *object,
			      struct control_request *request)
{
	struct nvo3_message message = { .kind = NVO3_STATUS };

	if (agent->status_request) {
		control_reply_error(request, "another client is asking the NVA; try again");
		return;
	}
	message.id = nva_link_next_id(agent->nva);
	if (nva_link_send(agent->nva, &message) < 0) {
		control_reply_error(request, "this NVE has no session to its NVA");
		return;
	}
	agent->status_request = request;
	agent->status_id = message.id;
}

void agent_control_nva_status(struct agent *agent, uint64_t id, const char *json)
{
	_cleanup_(json_unrefp) struct json_object *status = NULL;
	struct control_request *request = agent->status_request;

	if (!request || id != agent->status_id)
		return;
	agent->status_request = NULL;
	if (json && json_parse_object(json, strlen(json), &status) == 0)
		reply_with(request, "nva", TAKE_PTR(status));
	else
		control_reply_error(request, "the NVA did not answer");
}

/* --- QEMU without libvirt --- */

static int read_key(struct json_object *object, uint32_t *ret_vni, struct mac *ret_mac)
{
	const char *mac;

	if (json_get_u32(object, "vni", ret_vni) < 0 || json_get_string(object, "mac", &mac) < 0)
		return -EINVAL;
	return mac_from_text(mac, ret_mac);
}

static void handle_port_add(struct agent *agent, struct json_object *object,
			    struct control_request *request)
{
	const char *qmp, *tap, *name = NULL, *uuid = NULL;
	struct agent_vn *vn;
	struct port *port;
	struct mac mac;
	uint32_t vni;
	int r;

	if (read_key(object, &vni, &mac) < 0 || json_get_string(object, "qmp", &qmp) < 0 ||
	    json_get_string(object, "tap", &tap) < 0) {
		control_reply_error(request, "give qmp, tap, mac and vni");
		return;
	}
	vn = agent_vn_find(agent, vni);
	if (!vn || mac_is_group(mac)) {
		control_reply_error(request, vn ? "a group MAC is no port"
						: "this VNI is not configured on this NVE");
		return;
	}
	port = port_find(agent, vni, mac);
	if (port && port->kind == PORT_LEARNED)
		port = port_free(port);
	if (port && port->qemu) {
		control_reply_error(request,
				    "this port is there already; nvectl port del removes it");
		return;
	}
	port = port ? port : port_new(agent, vn, mac, PORT_VM);
	r = port ? port_set_device(port, tap) : -ENOMEM;
	if (r == 0)
		r = qemu_watch_new(agent->loop, qmp, &agent_qemu_events, port, &port->qemu);
	if (r < 0) {
		if (port && port->state == MOBILITY_ABSENT)
			(void) port_free(port);
		control_reply_error(request, "cannot add the port on %s: %s", tap, strerror(-r));
		return;
	}
	(void) json_get_string(object, "vm", &name);
	(void) snprintf(port->vm, sizeof(port->vm), "%s", name ? name : tap);
	if (json_get_string(object, "uuid", &uuid) == 0)
		(void) uuid_from_text(uuid, &port->uuid);
	control_reply(request, control_ok());
}

static void handle_port_del(struct agent *agent, struct json_object *object,
			    struct control_request *request)
{
	struct port *port = NULL;
	struct mac mac;
	uint32_t vni;

	if (read_key(object, &vni, &mac) == 0)
		port = port_find(agent, vni, mac);
	if (!port || !port->qemu) {
		control_reply_error(request, "no port of that vni and mac was added by hand");
		return;
	}
	port->qemu = qemu_watch_free(port->qemu);
	port->facts = (struct mobility_facts){ .unplugged = true };
	port_input(port, MOBILITY_UNPLUG);
	control_reply(request, control_ok());
}

/*
 * Bare QEMU waits in pre-switchover, its vCPUs stopped: the switch is made now, and made when we
 * answer.
 */
static void handle_move_switch(struct agent *agent, struct json_object *object,
			       struct control_request *request)
{
	struct port *port = NULL;
	struct mac mac;
	uint32_t vni;

	if (read_key(object, &vni, &mac) == 0)
		port = port_find(agent, vni, mac);
	if (!port) {
		control_reply_error(request, "there is no port of that vni and mac here");
		return;
	}
	port->facts.stopped = true;
	if (port->state == MOBILITY_ARMED)
		port_input(port, MOBILITY_STOP);
	port = port_find(agent, vni, mac);
	if (port && mobility_is_forwarding(port->state))
		control_reply(request, control_ok());
	else
		control_reply_error(
			request,
			"no new NVE has asked for this VM (state %s): is nveagent running at the "
			"destination, and was its port added there?",
			port ? mobility_state_name(port->state) : "absent");
}

/* --- waiting for a state --- */

static bool reached_armed(const struct port *port)
{
	return port && port->state == MOBILITY_ARMED;
}

static bool reached_resident(const struct port *port)
{
	return port && port->state == MOBILITY_RESIDENT;
}

static bool reached_absent(const struct port *port)
{
	return !port || port->state == MOBILITY_ABSENT;
}

static bool reached_switched(const struct port *port)
{
	return port && mobility_is_forwarding(port->state);
}

/* clang-format off */
static const struct {
	const char *name;
	bool (*reached)(const struct port *port);
} wait_states[] = {
	{ "armed",	reached_armed },
	{ "switched",	reached_switched },
	{ "resident",	reached_resident },
	{ "absent",	reached_absent },
};
/* clang-format on */

static void waiter_free(struct waiter *waiter)
{
	DL_DELETE(waiter->agent->waiters, waiter);
	waiter->agent->waiter_count--;
	waiter->timeout = loop_timer_free(waiter->timeout);
	free(waiter);
}

static void on_wait_timeout(void *userdata)
{
	struct waiter *waiter = userdata;
	struct port *port = port_find(waiter->agent, waiter->vni, waiter->mac);

	control_reply_error(waiter->request, "that state was not reached in time; the port is %s",
			    port ? mobility_state_name(port->state) : "absent");
	waiter_free(waiter);
}

static bool (*find_wait_state(const char *name))(const struct port *port)
{
	for (size_t i = 0; i < ARRAY_SIZE(wait_states); i++)
		if (strcmp(wait_states[i].name, name) == 0)
			return wait_states[i].reached;
	return NULL;
}

static int wait_for(struct agent *agent, struct control_request *request, const struct waiter *what,
		    uint32_t timeout_ms)
{
	struct waiter *waiter = agent->waiter_count < AGENT_WAITERS_MAX ? calloc(1, sizeof(*waiter))
									: NULL;

	if (!waiter)
		return -ENOMEM;
	*waiter = *what;
	waiter->agent = agent;
	waiter->request = request;
	DL_APPEND(agent->waiters, waiter);
	agent->waiter_count++;
	waiter->timeout = loop_timer_new(agent->loop, on_wait_timeout, waiter);
	if (waiter->timeout && loop_timer_start(waiter->timeout, timeout_ms * 1000ull) == 0)
		return 0;
	waiter_free(waiter);
	return -ENOMEM;
}

static void handle_move_wait(struct agent *agent, struct json_object *object,
			     struct control_request *request)
{
	struct waiter what = { 0 };
	uint32_t timeout_ms = 10000;
	const char *state;

	if (read_key(object, &what.vni, &what.mac) < 0 ||
	    json_get_string(object, "state", &state) < 0) {
		control_reply_error(request, "give vni, mac and state");
		return;
	}
	what.reached = find_wait_state(state);
	if (!what.reached) {
		control_reply_error(request, "state is one of armed, switched, resident, absent");
		return;
	}
	(void) json_get_u32(object, "timeout_ms", &timeout_ms);
	if (what.reached(port_find(agent, what.vni, what.mac)))
		control_reply(request, control_ok());
	else if (wait_for(agent, request, &what, timeout_ms) < 0)
		control_reply_error(request, "too many clients wait; try again");
}

void agent_control_wake(struct agent *agent, uint32_t vni, struct mac mac, const struct port *port)
{
	struct waiter *waiter, *next;

	DL_FOREACH_SAFE(agent->waiters, waiter, next)
	{
		if (waiter->vni != vni || mac_cmp(waiter->mac, mac) != 0 || !waiter->reached(port))
			continue;
		control_reply(waiter->request, control_ok());
		waiter_free(waiter);
	}
}

void agent_control_drop_waiters(struct agent *agent)
{
	while (agent->waiters) {
		control_reply_error(agent->waiters->request, "the agent is ending");
		waiter_free(agent->waiters);
	}
	if (agent->status_request)
		control_reply_error(agent->status_request, "the agent is ending");
	agent->status_request = NULL;
}

/* --- the table --- */

/* clang-format off */
static const struct operation {
	const char *name;
	void (*handle)(struct agent *agent, struct json_object *object, struct control_request *request);
} operations[] = {
	{ "hook",	agent_vm_hook },
	{ "status",	handle_status },
	{ "ports",	handle_ports },
	{ "mappings",	handle_mappings },
	{ "moves",	handle_moves },
	{ "nva-status",	handle_nva_status },
	{ "port-add",	handle_port_add },
	{ "port-del",	handle_port_del },
	{ "move-switch", handle_move_switch },
	{ "move-wait",	handle_move_wait },
};
/* clang-format on */

void agent_control_handle(void *userdata, struct json_object *object,
			  struct control_request *request)
{
	const char *name = "";

	(void) json_get_string(object, "op", &name);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, name) == 0) {
			operations[i].handle(userdata, object, request);
			return;
		}
	control_reply_error(request, "there is no operation \"%.40s\"", name);
}
