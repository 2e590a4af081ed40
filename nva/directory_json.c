// SPDX-License-Identifier: LGPL-2.1-or-later
/* directory_json.c - the directory as an operator sees it. */
#include <errno.h>

#include "common/json.h"
#include "nva/directory_internal.h"

static const char *const counter_names[] = {
	[COUNTER_REGISTERED] = "registered",
	[COUNTER_REFUSED] = "refused",
	[COUNTER_WITHDRAWN] = "withdrawn",
	[COUNTER_EXPIRED] = "expired",
	[COUNTER_INTENTS] = "intents",
	[COUNTER_MOVES_GRANTED] = "moves_granted",
	[COUNTER_MOVES_REFUSED] = "moves_refused",
	[COUNTER_MOVES_COMMITTED] = "moves_committed",
	[COUNTER_COMMITS_REFUSED] = "commits_refused",
	[COUNTER_MOVES_ABORTED] = "moves_aborted",
	[COUNTER_CONVERGED] = "converged",
	[COUNTER_NOT_CONVERGED] = "not_converged",
	[COUNTER_UPDATES] = "updates",
	[COUNTER_SNAPSHOTS] = "snapshots",
	[COUNTER_QUERIES] = "queries",
	[COUNTER_ANSWERED] = "answered",
	[COUNTER_FLOWS] = "flows",
	[COUNTER_FLOWS_DROPPED] = "flows_dropped",
	[COUNTER_CONFLICTS] = "conflicts",
	[COUNTER_CONFLICTS_RESOLVED] = "conflicts_resolved",
	[COUNTER_RESYNCS] = "resyncs",
	[COUNTER_REASSIGNED] = "reassigned",
	[COUNTER_INTERESTS_REFUSED] = "interests_refused",
};
static_assert(ARRAY_SIZE(counter_names) == COUNTER_COUNT, "a counter has no name");

/* Adds @object, which is taken over, to @array. 0 or -ENOMEM. */
static int append(struct json_object *array, struct json_object *object)
{
	if (!object || json_object_array_add(array, object) < 0) {
		json_unref(object);
		return -ENOMEM;
	}
	return 0;
}

static int append_text(struct json_object *array, const char *text)
{
	return append(array, json_object_new_string(text));
}

static int add_mac(struct json_object *object, struct mac mac)
{
	char text[MAC_TEXT_SIZE];

	return json_add_string(object, "mac", mac_text(mac, text));
}

static int add_ip(struct json_object *object, const char *key, struct ip ip)
{
	char text[IP_TEXT_SIZE];

	return json_add_string(object, key, ip_text(ip, text));
}

/* --- status --- */

/* The VNIs of one NVE, as long as @room lasts. */
static int add_nve_vnis(struct json_object *object, const struct nve *nve, size_t *room)
{
	struct json_object *array = json_object_new_array();
	const struct member *member;

	if (json_add(object, "vnis", array) < 0)
		return -ENOMEM;
	TAILQ_FOREACH(member, &nve->members, of_nve) {
		if (*room == 0)
			break;
		(*room)--;
		if (append(array, json_object_new_int64(member->vni->number)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int fill_nve(struct json_object *object, const struct nve *nve, size_t *room)
{
	if (json_add_string(object, "name", nve->name) < 0 ||
	    add_ip(object, "vtep", nve->vtep) < 0 ||
	    json_add_string(object, "role", nve->role == NVO3_ROLE_GATEWAY ? "gateway" : "nve") <
		    0 ||
	    json_add_bool(object, "connected", nve->connected) < 0 ||
	    json_add_bool(object, "stale", nve->stale) < 0 ||
	    json_add_u64(object, "acked_revision", nve->acked) < 0 ||
	    json_add_u64(object, "vni_count", nve->member_count) < 0 ||
	    json_add_u64(object, "mappings", nve->entry_count) < 0 ||
	    json_add_u64(object, "interests", nve->interest_count) < 0 ||
	    add_nve_vnis(object, nve, room) < 0)
		return -ENOMEM;
	return 0;
}

static int append_nves(struct json_object *array, const struct directory *directory)
{
	size_t room = DIRECTORY_STATUS_VNIS_MAX;

	for (size_t i = 0; i < directory->nve_end; i++) {
		struct json_object *object;

		if (!directory->nves[i])
			continue;
		object = json_object_new_object();
		if (append(array, object) < 0 || fill_nve(object, directory->nves[i], &room) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int append_vnis(struct json_object *array, const struct directory *directory)
{
	const struct vni *vni;

	TAILQ_FOREACH(vni, &directory->vnis, of_directory) {
		struct json_object *object = json_object_new_object();

		if (append(array, object) < 0 || json_add_u64(object, "vni", vni->number) < 0 ||
		    json_add_u64(object, "members", vni->member_count) < 0 ||
		    json_add_u64(object, "mappings", vni->by_mac.count) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int fill_move(struct json_object *object, const struct move *move)
{
	if (json_add_u64(object, "vni", move->mapping.vni) < 0 ||
	    add_mac(object, move->mapping.mac) < 0 ||
	    json_add_string(object, "from", move->from ? move->from->name : "-") < 0 ||
	    json_add_string(object, "to", move->to->name) < 0 ||
	    json_add_string(object, "state", move_state_name(move->state)) < 0 ||
	    json_add_bool(object, "commit_waits", move->commit_held) < 0 ||
	    json_add_u64(object, "generation", move->generation) < 0)
		return -ENOMEM;
	return 0;
}

static int append_moves(struct json_object *array, const struct directory *directory)
{
	const struct move *move;
	const struct vni *vni;

	TAILQ_FOREACH(vni, &directory->vnis, of_directory) {
		TAILQ_FOREACH(move, &vni->moves, of_vni) {
			struct json_object *object;

			if (json_object_array_length(array) >= DIRECTORY_STATUS_MOVES_MAX)
				return 0;
			object = json_object_new_object();
			if (append(array, object) < 0 || fill_move(object, move) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int append_claim(struct json_object *array, const struct directory *directory,
			const struct entry *entry)
{
	struct json_object *object = json_object_new_object();

	if (append(array, object) < 0 || add_mac(object, entry->mac) < 0 ||
	    json_add_string(object, "nve", entry_owner(directory, entry)->name) < 0)
		return -ENOMEM;
	return 0;
}

/* The one that has the address, then those that wait, the earliest first. */
static int add_claims(struct json_object *object, const struct directory *directory,
		      const struct vni *vni, const struct conflict *conflict)
{
	struct json_object *array = json_object_new_array();
	const struct claim *claim;

	if (json_add(object, "claims", array) < 0 ||
	    append_claim(array, directory, entry_find_ip(directory, vni, conflict->ip)) < 0)
		return -ENOMEM;
	TAILQ_FOREACH(claim, &conflict->claims, of_conflict) {
		if (json_object_array_length(array) >= DIRECTORY_STATUS_CLAIMS_MAX)
			break;
		if (append_claim(array, directory, claim->entry) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int append_conflicts(struct json_object *array, const struct directory *directory)
{
	const struct conflict *conflict;
	const struct vni *vni;

	TAILQ_FOREACH(vni, &directory->vnis, of_directory) {
		TAILQ_FOREACH(conflict, &vni->conflict_queue, of_vni) {
			struct json_object *object;

			if (json_object_array_length(array) >= DIRECTORY_STATUS_CONFLICTS_MAX)
				return 0;
			object = json_object_new_object();
			if (append(array, object) < 0 ||
			    json_add_u64(object, "vni", vni->number) < 0 ||
			    add_ip(object, "ip", conflict->ip) < 0 ||
			    json_add_u64(object, "claim_count", conflict->claim_count + 1) < 0 ||
			    add_claims(object, directory, vni, conflict) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int add_counters(struct json_object *status, const struct directory *directory)
{
	struct json_object *counters = json_object_new_object();

	if (json_add(status, "counters", counters) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		if (json_add_u64(counters, counter_names[i], directory->counters[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int add_array(struct json_object *status, const char *key, const struct directory *directory,
		     int (*append_all)(struct json_object *array,
				       const struct directory *directory))
{
	struct json_object *array = json_object_new_array();

	if (json_add(status, key, array) < 0)
		return -ENOMEM;
	return append_all(array, directory);
}

int directory_status(const struct directory *directory, uint64_t now_us,
		     struct json_object **ret_status)
{
	_cleanup_(json_unrefp) struct json_object *status = json_object_new_object();

	if (!status || json_add_string(status, "name", directory->config.name) < 0 ||
	    json_add_u64(status, "incarnation", directory->config.incarnation) < 0 ||
	    json_add_u64(status, "uptime_s", (now_us - directory->started_us) / 1000000) < 0 ||
	    json_add_u64(status, "revision", directory->revision) < 0 ||
	    add_array(status, "nves", directory, append_nves) < 0 ||
	    add_array(status, "vnis", directory, append_vnis) < 0 ||
	    add_array(status, "moves", directory, append_moves) < 0 ||
	    json_add_u64(status, "moves_pending", directory->move_count) < 0 ||
	    json_add_u64(status, "moves_converging", directory->convergence_count) < 0 ||
	    add_array(status, "conflicts", directory, append_conflicts) < 0 ||
	    json_add_u64(status, "conflicts_open", directory->conflict_count) < 0 ||
	    add_counters(status, directory) < 0)
		return -ENOMEM;
	*ret_status = TAKE_PTR(status);
	return 0;
}

/* --- mappings --- */

static int add_ips(struct json_object *object, const struct mapping *mapping)
{
	struct json_object *ips = json_object_new_array();
	char text[IP_TEXT_SIZE];

	if (json_add(object, "ips", ips) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < mapping->ip_count; i++)
		if (append_text(ips, ip_text(mapping->ips[i], text)) < 0)
			return -ENOMEM;
	return 0;
}

static int add_flags(struct json_object *object, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ MAPPING_VM, "vm" },	      { MAPPING_LEARNED, "learned" },
		{ MAPPING_ROUTER, "router" }, { MAPPING_GATEWAY, "gateway" },
		{ MAPPING_STATIC, "static" }, { MAPPING_STANDBY, "standby" },
	};
	struct json_object *array = json_object_new_array();

	if (json_add(object, "flags", array) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if ((flags & names[i].flag) && append_text(array, names[i].name) < 0)
			return -ENOMEM;
	return 0;
}

static int add_vm(struct json_object *object, struct uuid vm)
{
	char text[UUID_TEXT_SIZE];

	if (uuid_is_none(vm))
		return json_object_object_add(object, "vm", NULL) < 0 ? -ENOMEM : 0;
	return json_add_string(object, "vm", uuid_text(vm, text));
}

static int fill_mapping(struct json_object *object, const struct directory *directory,
			const struct vni *vni, const struct entry *entry)
{
	struct mapping mapping;

	entry_mapping(directory, vni, entry, &mapping);
	if (json_add_u64(object, "vni", mapping.vni) < 0 || add_mac(object, mapping.mac) < 0 ||
	    add_ips(object, &mapping) < 0 ||
	    json_add_string(object, "nve", entry_owner(directory, entry)->name) < 0 ||
	    add_ip(object, "vtep", mapping.vtep) < 0 ||
	    json_add_u64(object, "generation", mapping.generation) < 0 ||
	    add_vm(object, mapping.vm) < 0 || add_flags(object, mapping.flags) < 0)
		return -ENOMEM;
	return 0;
}

static int append_mappings(struct json_object *array, const struct directory *directory,
			   const struct vni *vni)
{
	uint32_t ids[INDEX_SEGMENT_MAX];
	uint64_t position = 0;

	while (position < INDEX_END) {
		size_t count = index_walk(&vni->by_mac, position, ids, &position);

		for (size_t i = 0; i < count; i++) {
			struct json_object *object = json_object_new_object();

			if (append(array, object) < 0 ||
			    fill_mapping(object, directory, vni, pool_at(&vni->pool, ids[i])) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

int directory_mappings(const struct directory *directory, uint32_t number,
		       struct json_object **ret_mappings)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();
	const struct vni *vni;

	if (!array)
		return -ENOMEM;
	TAILQ_FOREACH(vni, &directory->vnis, of_directory)
		if ((number == 0 || vni->number == number) &&
		    append_mappings(array, directory, vni) < 0)
			return -ENOMEM;
	*ret_mappings = TAKE_PTR(array);
	return 0;
}
