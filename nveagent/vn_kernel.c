/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vn_kernel.c - what follows for the kernel from what a VN knows, for what was touched. */
#include <errno.h>
#include <string.h>

#include "nveagent/vn_private.h"

static bool is_remote(const struct vn *vn, const struct place *place)
{
	return place->mapped && place->vtep && ip_cmp(vtep_ip(vn, place->vtep), vn->vtep) != 0;
}

static bool is_ours(enum told told)
{
	return told == TOLD_THIS || told == TOLD_OTHER;
}

/* Where nothing can be, an addition is enough, which for the bridge is one message less. */
static enum fdb_op op_to_make(const struct vn *vn, enum told told)
{
	return told == TOLD_NOTHING && vn->kernel_known ? FDB_OP_ADD : FDB_OP_REPLACE;
}

/* --- a MAC --- */

/* The entry @place should have in the bridge; false for none. */
bool vn_wanted_bridge(const struct vn *vn, const struct place *place, struct fdb_entry *ret_entry)
{
	if (!place->pin && !is_remote(vn, place))
		return false;
	*ret_entry = (struct fdb_entry){
		.layer = FDB_LAYER_BRIDGE,
		.ifindex = place->pin ? place->pin : vn->devices.vxlan,
		.mac = place->mac,
		.sticky = place->pin != 0,
		.ours = true,
	};
	return true;
}

bool vn_wanted_vxlan(const struct vn *vn, const struct place *place, struct fdb_entry *ret_entry)
{
	if (place->pin || !is_remote(vn, place))
		return false;
	*ret_entry = (struct fdb_entry){
		.layer = FDB_LAYER_VXLAN,
		.ifindex = vn->devices.vxlan,
		.mac = place->mac,
		.vtep = vtep_ip(vn, place->vtep),
		.ours = true,
	};
	return true;
}

/*
 * An entry that somebody made permanent is left alone, but for a VM's own MAC on its own tap:
 * libvirt puts one there (macTableManager), and whoever told us of the VM told us to take it over.
 */
static bool is_adopted(const struct place *place)
{
	return place->pin && place->told_port == place->pin;
}

/* What the kernel was told counts as done; both return how many changes they added (0 or 1). */
static size_t settle_bridge(struct vn *vn, struct place *place, struct fdb_change *changes)
{
	struct fdb_entry want;
	enum told told = place->told_bridge;
	bool wanted = vn_wanted_bridge(vn, place, &want);

	if (place->held || (place->theirs_bridge && !(wanted && is_adopted(place))))
		return 0;
	place->theirs_bridge = false;
	if (!wanted) {
		place->told_bridge = TOLD_NOTHING;
		if (!is_ours(told))
			return 0;
		want = (struct fdb_entry){
			.layer = FDB_LAYER_BRIDGE,
			.ifindex = place->told_port,
			.mac = place->mac,
			.sticky = place->told_sticky,
			.ours = true,
		};
		*changes = (struct fdb_change){ FDB_OP_DELETE, want };
		return 1;
	}
	if (told == TOLD_THIS && place->told_port == want.ifindex &&
	    place->told_sticky == want.sticky)
		return 0;
	*changes = (struct fdb_change){ op_to_make(vn, told), want };
	place->told_bridge = TOLD_THIS;
	place->told_port = want.ifindex;
	place->told_sticky = want.sticky;
	return 1;
}

static size_t settle_vxlan(struct vn *vn, struct place *place, struct fdb_change *changes)
{
	struct fdb_entry want;
	enum told told = place->told_vxlan;

	if (place->theirs_vxlan)
		return 0;
	if (!vn_wanted_vxlan(vn, place, &want)) {
		place->told_vxlan = TOLD_NOTHING;
		if (!is_ours(told))
			return 0;
		want = (struct fdb_entry){
			.layer = FDB_LAYER_VXLAN,
			.ifindex = vn->devices.vxlan,
			.mac = place->mac,
			.vtep = vtep_ip(vn, place->told_vtep),
			.ours = true,
		};
		*changes = (struct fdb_change){ FDB_OP_DELETE, want };
		return 1;
	}
	if (told == TOLD_THIS && place->told_vtep == place->vtep)
		return 0;
	*changes = (struct fdb_change){ op_to_make(vn, told), want };
	place->told_vxlan = TOLD_THIS;
	place->told_vtep = place->vtep;
	return 1;
}

/*
 * The bridge must never send to a VXLAN device that does not know where: that one first, and last
 * away.
 */
static size_t settle_place(struct vn *vn, struct place *place, struct fdb_change *changes)
{
	size_t n = 0;

	if (place->pin || !is_remote(vn, place)) {
		n += settle_bridge(vn, place, &changes[n]);
		n += settle_vxlan(vn, place, &changes[n]);
	} else {
		n += settle_vxlan(vn, place, &changes[n]);
		n += settle_bridge(vn, place, &changes[n]);
	}
	return n;
}

/* --- an address --- */

struct vn_answer vn_look_at(const struct vn *vn, uint32_t first)
{
	struct vn_answer answer = { 0 };

	for (uint32_t number = first; number; number = claim_next(vn, number)) {
		const struct claim *claim = claim_at(vn, number);

		if (claim->place && answer.owners++ == 0)
			answer.owner = number;
		if (claim->told != TOLD_NOTHING)
			answer.holder = number;
	}
	if (answer.owners != 1 || !vn->devices.neighbours)
		answer.owner = 0;
	return answer;
}

struct fdb_entry vn_neighbour_entry(const struct vn *vn, uint32_t number)
{
	const struct claim *claim = claim_at(vn, number);
	const struct place *place = claim->place ? place_at(vn, claim->place) : NULL;

	return (struct fdb_entry){
		.layer = FDB_LAYER_NEIGHBOUR,
		.ifindex = vn->devices.neighbours,
		.mac = place ? place->mac : (struct mac){ { 0 } },
		.ip = claim_ip(claim),
		.router = place && place->flags & MAPPING_ROUTER,
		.ours = true,
	};
}

static size_t settle_claim(struct vn *vn, uint32_t number, struct fdb_change *changes)
{
	struct vn_answer answer = vn_look_at(vn, claim_first(vn, number));
	enum told told = answer.holder ? claim_at(vn, answer.holder)->told : TOLD_NOTHING;

	if (answer.holder != answer.owner && is_ours(told)) {
		claim_at(vn, answer.holder)->told = TOLD_NOTHING;
		claim_touch(vn, answer.holder); /* it may be nobody's now */
	}
	if (told == TOLD_TAKEN || (!answer.owner && !answer.holder))
		return 0;
	if (!answer.owner) {
		*changes =
			(struct fdb_change){ FDB_OP_DELETE, vn_neighbour_entry(vn, answer.holder) };
		return 1;
	}
	if (answer.owner == answer.holder && told == TOLD_THIS)
		return 0;
	claim_at(vn, answer.owner)->told = TOLD_THIS;
	*changes =
		(struct fdb_change){ op_to_make(vn, told), vn_neighbour_entry(vn, answer.owner) };
	return 1;
}

void vn_neighbour_gone(struct vn *vn, struct ip ip)
{
	uint32_t holder = vn_look_at(vn, claim_find(vn, ip)).holder;

	if (!holder || !is_ours(claim_at(vn, holder)->told))
		return;
	claim_at(vn, holder)->told = TOLD_NOTHING;
	claim_touch(vn, holder);
}

/* --- the flood list --- */

struct fdb_entry vn_flood_entry(const struct vn *vn, struct ip vtep)
{
	return (struct fdb_entry){
		.layer = FDB_LAYER_VXLAN,
		.ifindex = vn->devices.vxlan,
		.vtep = vtep,
		.ours = true,
	};
}

static void mark_members(struct vn *vn)
{
	for (size_t i = 0; i < vn->vtep_count; i++)
		vn->vteps[i]->member = false;
	for (size_t i = 0; i < vn->member_count; i++) {
		int number = vtep_number(vn, vn->members[i]);

		if (number > 0 && ip_cmp(vn->members[i], vn->vtep) != 0)
			vn->vteps[number - 1]->member = true;
	}
}

/* Adds to @changes what makes the list so that @member are in it; returns how many. */
static size_t settle_members(struct vn *vn, bool member, enum fdb_op op, struct fdb_change *changes,
			     size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < vn->vtep_count && n < room; i++) {
		struct vtep *vtep = vn->vteps[i];

		if (vtep->member != member || vtep->flooded == member || vtep->theirs)
			continue;
		vtep->flooded = member;
		changes[n++] = (struct fdb_change){ op, vn_flood_entry(vn, vtep->ip) };
	}
	return n;
}

/* Changes of the head-end replication list, additions first. */
static size_t settle_flood(struct vn *vn, struct fdb_change *changes, size_t room)
{
	size_t n;

	if (!vn->flood_dirty)
		return 0;
	mark_members(vn);
	n = settle_members(vn, true, FDB_OP_ADD, changes, room);
	n += settle_members(vn, false, FDB_OP_DELETE, changes + n, room - n);
	vn->flood_dirty = n == room;
	return n;
}

/* --- what was touched --- */

static uint32_t take_dirty_place(struct vn *vn)
{
	uint32_t number = vn->dirty_places;
	struct place *place = place_at(vn, number);

	vn->dirty_places = place->next_dirty;
	place->next_dirty = 0;
	place->dirty = false;
	return number;
}

static uint32_t take_dirty_claim(struct vn *vn)
{
	uint32_t number = vn->dirty_claims;
	struct claim *claim = claim_at(vn, number);

	vn->dirty_claims = claim->next_dirty;
	claim->next_dirty = 0;
	claim->dirty = false;
	return number;
}

size_t vn_collect(struct vn *vn, struct fdb_change *changes, size_t room)
{
	size_t n = settle_flood(vn, changes, room), looks = 0;

	for (; vn->dirty_places && n + VN_COLLECT_MIN <= room && looks < VN_LOOKS_MAX; looks++) {
		uint32_t number = take_dirty_place(vn);

		n += settle_place(vn, place_at(vn, number), &changes[n]);
		place_drop_if_empty(vn, number);
	}
	/* The kernel answers only for a MAC that the bridge knows. */
	for (; !vn->dirty_places && vn->dirty_claims && n < room && looks < VN_LOOKS_MAX; looks++) {
		uint32_t number = take_dirty_claim(vn);

		n += settle_claim(vn, number, &changes[n]);
		claim_drop_if_empty(vn, number);
	}
	return n;
}

bool vn_has_changes(const struct vn *vn)
{
	return vn->flood_dirty || vn->dirty_places || vn->dirty_claims;
}

size_t vn_collect_mac(struct vn *vn, struct mac mac, struct fdb_change *changes)
{
	uint32_t number = place_find(vn, mac);

	return number ? settle_place(vn, place_at(vn, number), changes) : 0;
}
