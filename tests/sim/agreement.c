/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agreement.c - what must be true once nothing goes wrong any more: see check.h. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "tests/sim/check_private.h"
#include "tests/sim/nva.h"

/* What the directory says, and what is wrong with the world. */
struct view {
	struct sim *sim;
	struct mapping *mappings; /* owned */
	size_t count, room;
	char *text;
};

#define DISAGREE(view, ...) ((void) snprintf((view)->text, SIM_TEXT_SIZE, __VA_ARGS__), false)

static void collect(void *userdata, const struct change *change)
{
	struct view *view = userdata;

	if (change->kind != CHANGE_MAPPING)
		return;
	if (view->count == view->room) {
		view->room = view->room ? view->room * 2 : 16;
		view->mappings = reallocarray(view->mappings, view->room, sizeof(struct mapping));
		if (!view->mappings)
			abort();
	}
	view->mappings[view->count++] = change->mapping;
}

static const struct mapping *find(const struct view *view, uint32_t vni, struct mac mac)
{
	for (size_t i = 0; i < view->count; i++)
		if (view->mappings[i].vni == vni && mac_cmp(view->mappings[i].mac, mac) == 0)
			return &view->mappings[i];
	return NULL;
}

static bool has_ip(const struct ip *ips, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_cmp(ips[i], ip) == 0)
			return true;
	return false;
}

static bool same_ips(const struct ip *a, size_t a_count, const struct ip *b, size_t b_count)
{
	for (size_t i = 0; i < a_count; i++)
		if (!has_ip(b, b_count, a[i]))
			return false;
	return a_count == b_count;
}

/* --- the directory and the world --- */

static bool is_known(struct view *view, const struct endpoint *endpoint)
{
	const struct mapping *mapping = find(view, endpoint->vni, endpoint->mac);
	const struct nve *nve = endpoint->host < 0 ? NULL : view->sim->nves[endpoint->host];
	char name[8];

	(void) endpoint_name(endpoint, name);
	if (endpoint->migration != MIGRATION_NONE)
		return DISAGREE(view, "%s still migrates", name);
	if (!mapping || !nve)
		return (!mapping && !nve) ||
		       DISAGREE(view, "%s is %s, and the directory %s it", name,
				nve ? nve->name : "nowhere", mapping ? "has" : "does not have");
	if (ip_cmp(mapping->vtep, nve->vtep) != 0)
		return DISAGREE(view, "%s is at %s, and the directory says hv%u", name, nve->name,
				check_nve_of_vtep(mapping->vtep));
	if (!same_ips(mapping->ips, mapping->ip_count, endpoint->ips, endpoint->ip_count))
		return DISAGREE(view, "%s has %zu addresses, and the directory %u, or others", name,
				endpoint->ip_count, mapping->ip_count);
	return true;
}

/* --- what pullers are to be told of --- */

struct holding {
	const struct nve *nve;
	size_t count;
};

static void count_held(void *userdata, const struct mapping *mapping)
{
	struct holding *holding = userdata;

	holding->count += ip_cmp(mapping->vtep, holding->nve->vtep) != 0;
}

/* There may be more: of what has left it, it is to be told, but perhaps does not know any more. */
static bool interests_are_right(struct view *view, const struct nve *nve, uint64_t interests)
{
	struct holding holding = { .nve = nve };

	for (size_t i = 0; i < SIM_VNIS && nve->pull; i++)
		vn_each(nve->vns[i].vn, count_held, &holding);
	return interests >= holding.count ||
	       DISAGREE(view, "%s holds %zu mappings, and the NVA tells it of %u only", nve->name,
			holding.count, (unsigned) interests);
}

static bool all_interests_are_right(struct view *view, struct json_object *status)
{
	struct json_object *nves;

	if (json_get_array(status, "nves", &nves) < 0)
		abort();
	for (size_t i = 0; i < json_object_array_length(nves); i++) {
		struct json_object *object = json_object_array_get_idx(nves, i);
		unsigned number;
		const char *name = "";
		uint64_t interests = 0;

		(void) json_get_string(object, "name", &name);
		(void) json_get_u64(object, "interests", &interests);
		number = check_nve_of_name(name);
		if (number && !interests_are_right(view, view->sim->nves[number - 1], interests))
			return false;
	}
	return true;
}

static bool is_at_rest(struct view *view)
{
	_cleanup_(json_unrefp) struct json_object *status = NULL;
	uint64_t moves = 0, converging = 0;

	if (directory_status(nva_directory(view->sim->nva), view->sim->clock.now_us, &status) < 0)
		abort();
	(void) json_get_u64(status, "moves_pending", &moves);
	(void) json_get_u64(status, "moves_converging", &converging);
	if (moves > 0)
		return DISAGREE(
			view, "%u moves are under way: %s", (unsigned) moves,
			json_object_to_json_string(json_object_object_get(status, "moves")));
	if (converging > 0)
		return DISAGREE(view, "%u moves have not converged", (unsigned) converging);
	return all_interests_are_right(view, status);
}

/* --- an NVE's copy --- */

static bool copy_is_right(struct view *view, const struct nve *nve, const struct nve_vn *vn)
{
	size_t count = 0;

	for (size_t i = 0; i < view->count; i++) {
		const struct mapping *want = &view->mappings[i];
		struct mapping have;
		char mac[MAC_TEXT_SIZE];

		if (want->vni != vn->vni)
			continue;
		if (nve->pull && ip_cmp(want->vtep, nve->vtep) != 0 &&
		    !vn_find(vn->vn, want->mac, &have))
			continue; /* not asked for */
		count++;
		if (!vn_find(vn->vn, want->mac, &have) || have.generation != want->generation ||
		    ip_cmp(have.vtep, want->vtep) != 0 || uuid_cmp(have.vm, want->vm) != 0 ||
		    have.flags != want->flags ||
		    !same_ips(have.ips, have.ip_count, want->ips, want->ip_count))
			return DISAGREE(view,
					"%s does not have %s of VNI %u as the directory has it",
					nve->name, mac_text(want->mac, mac), vn->vni);
	}
	return vn_mapping_count(vn->vn) == count ||
	       DISAGREE(view, "%s has %zu mappings of VNI %u, and the directory %zu", nve->name,
			vn_mapping_count(vn->vn), vn->vni, count);
}

static bool members_are_right(struct view *view, const struct nve *nve, const struct nve_vn *vn)
{
	size_t count;
	const struct ip *members = vn_members(vn->vn, &count);

	for (unsigned i = 0; i < view->sim->weather.nve_count; i++)
		if (agent_vn_find(view->sim->nves[i], vn->vni)->joined &&
		    !has_ip(members, count, view->sim->nves[i]->vtep))
			return DISAGREE(view, "%s does not know that %s takes part in VNI %u",
					nve->name, view->sim->nves[i]->name, vn->vni);
	return count == agent_count_members(view->sim, vn->vni) ||
	       DISAGREE(view, "%s knows of %zu members of VNI %u", nve->name, count, vn->vni);
}

/* --- its kernel --- */

static bool is_pinned(const struct nve *nve, struct mac mac, uint32_t vni)
{
	const struct endpoint *endpoint = sim_endpoint(nve->sim, vni, mac);

	return endpoint && endpoint->host == (int) nve->index && !uuid_is_none(endpoint->uuid);
}

/* Whether the copy wants an entry like that, however it came there. */
static bool is_wanted(const struct nve *nve, const struct nve_vn *vn, const struct fdb_entry *entry)
{
	struct mapping mapping;
	struct mac mac;
	size_t count;
	const struct ip *members = vn_members(vn->vn, &count);

	switch (entry->layer) {
	case FDB_LAYER_BRIDGE:
		return entry->ifindex == NVE_VXLAN_IFINDEX ? vn_is_remote(vn->vn, entry->mac)
							   : is_pinned(nve, entry->mac, vn->vni);
	case FDB_LAYER_VXLAN:
		if (mac_is_zero(entry->mac))
			return has_ip(members, count, entry->vtep) &&
			       ip_cmp(entry->vtep, nve->vtep) != 0;
		return vn_is_remote(vn->vn, entry->mac) && vn_find(vn->vn, entry->mac, &mapping) &&
		       ip_cmp(mapping.vtep, entry->vtep) == 0;
	case FDB_LAYER_NEIGHBOUR:
		return vn_resolve(vn->vn, entry->ip, &mac) == 1 && mac_cmp(mac, entry->mac) == 0;
	}
	return false;
}

struct counting {
	const struct nve_vn *vn;
	const struct nve *nve;
	size_t wanted;
};

static void count_wanted(void *userdata, const struct mapping *mapping)
{
	struct counting *counting = userdata;
	struct mac mac;

	if (vn_is_remote(counting->vn->vn, mapping->mac))
		counting->wanted += 2;
	for (size_t i = 0; i < mapping->ip_count; i++)
		counting->wanted += vn_resolve(counting->vn->vn, mapping->ips[i], &mac) == 1 ? 1
											     : 0;
}

static size_t count_pins(const struct nve *nve, const struct nve_vn *vn)
{
	size_t count = 0;

	for (unsigned i = 0; i < nve->sim->weather.endpoint_count; i++)
		count += nve->sim->endpoints[i].vni == vn->vni &&
			 is_pinned(nve, nve->sim->endpoints[i].mac, vn->vni);
	return count;
}

/* Every entry is wanted, and there are as many as are wanted: so they are the same. */
static bool kernel_is_right(struct view *view, const struct nve *nve, const struct nve_vn *vn)
{
	size_t count;
	const struct fdb_entry *entries = kernel_entries(vn->kernel, &count);
	struct counting counting = { .vn = vn, .nve = nve };
	char mac[MAC_TEXT_SIZE];

	if (vn_has_changes(vn->vn) || !vn_is_synced(vn->vn) || !nve->scanned)
		return DISAGREE(view, "%s has not brought all into its kernel", nve->name);
	for (size_t i = 0; i < count; i++)
		if (!is_wanted(nve, vn, &entries[i]))
			return DISAGREE(view, "%s: its kernel still has %s in layer %d, VNI %u",
					nve->name, mac_text(entries[i].mac, mac),
					(int) entries[i].layer, vn->vni);
	vn_each(vn->vn, count_wanted, &counting);
	counting.wanted += count_pins(nve, vn) + agent_count_members(view->sim, vn->vni) - 1;
	return count == counting.wanted ||
	       DISAGREE(view, "%s: its kernel has %zu entries in VNI %u, and should have %zu",
			nve->name, count, vn->vni, counting.wanted);
}

/* --- its ports --- */

static bool ports_are_right(struct view *view, const struct nve *nve)
{
	for (unsigned i = 0; i < view->sim->weather.endpoint_count; i++) {
		const struct endpoint *endpoint = &view->sim->endpoints[i];
		const struct port *port = nve->ports[i];
		bool here = endpoint->host == (int) nve->index;
		char name[8];

		if (here && (!port || port->state != MOBILITY_RESIDENT))
			return DISAGREE(view, "%s: %s is here, and %s", nve->name,
					endpoint_name(endpoint, name),
					port ? mobility_state_name(port->state) : "has no port");
		if (!here && port && port->state != MOBILITY_ABSENT)
			return DISAGREE(view, "%s: %s is not here, and its port is %s", nve->name,
					endpoint_name(endpoint, name),
					mobility_state_name(port->state));
	}
	return true;
}

static bool nve_is_right(struct view *view, struct nve *nve)
{
	if (!nve->agent_up || nve->state != NVE_UP)
		return DISAGREE(view, "%s has no session", nve->name);
	if (nve->unconfirmed)
		return DISAGREE(view, "%s has not confirmed all", nve->name);
	for (size_t i = 0; i < SIM_VNIS; i++)
		if (nve->vns[i].joined && (!copy_is_right(view, nve, &nve->vns[i]) ||
					   !members_are_right(view, nve, &nve->vns[i]) ||
					   !kernel_is_right(view, nve, &nve->vns[i])))
			return false;
	return ports_are_right(view, nve);
}

static bool all_agree(struct view *view)
{
	struct sim *sim = view->sim;

	directory_dump(nva_directory(sim->nva), sim->clock.now_us, 0, collect, view);
	for (unsigned i = 0; i < sim->weather.endpoint_count; i++)
		if (!is_known(view, &sim->endpoints[i]))
			return false;
	for (unsigned i = 0; i < sim->weather.nve_count; i++)
		if (!nve_is_right(view, sim->nves[i]))
			return false;
	return is_at_rest(view);
}

bool check_agreement(struct check *check, char *text)
{
	struct view view = { .sim = check->sim, .text = text };
	bool agreed;

	if (!nva_directory(check->sim->nva))
		return DISAGREE(&view, "the NVA is down");
	agreed = all_agree(&view);
	free(view.mappings);
	return agreed;
}
