/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_status.c - how this NVE is, and how its NVA says that it is. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "nveagent/agent_json.h"
#include "nveagent/agent_operations.h"
#include "nveagent/agent_private.h"

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
	    agent_json_add_ips(object, "members", members, member_count) < 0 ||
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

struct vn_walk {
	struct agent *agent;
	size_t at;
};

/* One may have thousands of members. */
static int next_vn(void *state, struct json_object *array)
{
	struct vn_walk *walk = state;

	if (agent_json_append(array, vn_to_json(walk->agent->vns[walk->at])) < 0)
		return -ENOMEM;
	return ++walk->at < walk->agent->vn_count;
}

static struct json_object *agent_to_json(struct agent *agent)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	if (!object || json_add_string(object, "name", agent->config->name) < 0 ||
	    json_add_string(object, "version", REHOME_VERSION) < 0 ||
	    agent_json_add_ip(object, "vtep", agent->config->vtep) < 0 ||
	    json_add_u64(object, "uptime_s", seconds_since(agent->started_us)) < 0 ||
	    json_add(object, "nva", nva_to_json(agent)) < 0 ||
	    json_add(object, "libvirt", libvirt_to_json(agent)) < 0 ||
	    json_add(object, "counters", counters_to_json(agent)) < 0)
		return NULL;
	return TAKE_PTR(object);
}

void agent_show_status(struct agent *agent, struct json_object *object,
		       struct control_request *request)
{
	struct vn_walk *walk = calloc(1, sizeof(*walk));
	const struct control_list list = {
		.head = agent_to_json(agent),
		.key = "vnis",
		.next = next_vn,
		.what = "cannot list the VNIs",
		.free = free,
		.state = walk,
	};

	if (walk)
		walk->agent = agent;
	if (walk && list.head) {
		control_reply_list(request, &list);
		return;
	}
	free(walk);
	json_unref(list.head);
	control_reply(request, NULL);
}

/* --- the NVA's status --- */

void agent_show_nva_status(struct agent *agent, struct json_object *object,
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
		agent_json_reply(request, "nva", TAKE_PTR(status));
	else
		control_reply_error(request, "the NVA did not answer");
}
