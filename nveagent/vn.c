/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/vn.h"

#include <errno.h>
#include <string.h>

#include "nveagent/vn_private.h"

int vn_new(uint32_t vni, struct ip vtep, struct vn_devices devices, struct vn **ret_vn)
{
	struct vn *vn = calloc(1, sizeof(*vn));

	if (!vn)
		return -ENOMEM;
	vn->vni = vni;
	vn->vtep = vtep;
	vn->devices = devices;
	vn_table_init(vn);
	*ret_vn = vn;
	return 0;
}

struct vn *vn_free(struct vn *vn)
{
	if (!vn)
		return NULL;
	vn_table_clear(vn);
	free(vn->members);
	free(vn->kept);
	free(vn);
	return NULL;
}

uint32_t vn_vni(const struct vn *vn)
{
	return vn->vni;
}

/* --- the directory --- */

static int fill(struct vn *vn, uint32_t number, const struct mapping *mapping, int vtep)
{
	struct place *place = place_at(vn, number);
	uint32_t flags = mapping->flags;
	int r;

	if ((place->flags ^ flags) & MAPPING_ROUTER)
		claims_retell(vn, place);
	if (place->mapped)
		vn_digest_leave(vn, place);
	vn->mapping_count += !place->mapped;
	place->mapped = true;
	place->stale = false;
	place->generation = mapping->generation;
	place->vm = mapping->vm;
	place->flags = flags & MAPPING_FLAGS;
	place->vtep = (uint16_t) vtep;
	place_touch(vn, number);
	r = claims_set(vn, number, mapping->ips, mapping->ip_count);
	vn_digest_enter(vn, place);
	return r;
}

int vn_learn(struct vn *vn, const struct mapping *mapping, vn_changed changed, void *userdata)
{
	uint32_t number = place_find(vn, mapping->mac);
	bool mapped = number && place_at(vn, number)->mapped;
	int vtep = vtep_number(vn, mapping->vtep), r;

	if (mapped && !place_at(vn, number)->stale &&
	    mapping->generation < place_at(vn, number)->generation)
		return 0;
	if (vtep < 0)
		return vtep;
	if (!mapped && vn->mapping_count >= VN_MAPPINGS_MAX)
		return -ENOSPC;
	number = place_add(vn, mapping->mac);
	if (!number)
		return -ENOMEM;
	r = fill(vn, number, mapping, vtep);
	if (changed)
		changed(userdata, mapping->mac, mapping);
	return r;
}

static void unmap(struct vn *vn, uint32_t number, vn_changed changed, void *userdata)
{
	struct place *place = place_at(vn, number);
	struct mac mac = place->mac;

	vn_digest_leave(vn, place);
	vn->mapping_count--;
	place->mapped = false;
	place->stale = false;
	(void) claims_set(vn, number, NULL, 0);
	place_touch(vn, number);
	if (changed)
		changed(userdata, mac, NULL);
}

static void mark_stale(struct vn *vn, uint32_t number, void *userdata)
{
	struct place *place = place_at(vn, number);
	const struct nvo3_message *update = userdata;

	place->stale = place->mapped && (update->digest_size == 0 ||
					 digest_covers(update->digest, update->digest_size,
						       digest_leaf(place->mac)));
}

struct telling {
	vn_changed changed;
	void *userdata;
};

static void unmap_if_stale(struct vn *vn, uint32_t number, void *userdata)
{
	const struct telling *telling = userdata;

	if (place_at(vn, number)->stale)
		unmap(vn, number, telling->changed, telling->userdata);
}

static void unmap_stale(struct vn *vn, vn_changed changed, void *userdata)
{
	struct telling telling = { changed, userdata };

	place_each(vn, unmap_if_stale, &telling);
}

static void remove_mapping(struct vn *vn, const struct mapping *removed, vn_changed changed,
			   void *userdata)
{
	uint32_t number = removed->vni == vn->vni ? place_find(vn, removed->mac) : 0;
	bool mapped = number && place_at(vn, number)->mapped;

	if (mapped && removed->generation >= place_at(vn, number)->generation)
		unmap(vn, number, changed, userdata);
	/* It came and went between two UPDATEs: whoever serves it here has to know. */
	else if (!mapped && removed->vni == vn->vni && changed)
		changed(userdata, removed->mac, NULL);
}

void vn_set_pull(struct vn *vn, bool pull)
{
	vn->pull = pull;
}

/* Of what comes unasked in an UPDATE. */
static bool is_wanted(const struct vn *vn, const struct mapping *mapping)
{
	uint32_t number;

	if (mapping->vni != vn->vni)
		return false;
	if (!vn->pull || ip_cmp(mapping->vtep, vn->vtep) == 0)
		return true;
	number = place_find(vn, mapping->mac);
	return number && (place_at(vn, number)->mapped || place_at(vn, number)->pin ||
			  place_at(vn, number)->held);
}

int vn_update(struct vn *vn, const struct nvo3_message *update, vn_changed changed, void *userdata)
{
	int result = 0;

	if (update->snapshot)
		place_each(vn, mark_stale, (void *) update); /* only read */

	for (size_t i = 0; i < update->removed_count; i++)
		remove_mapping(vn, &update->removed[i], changed, userdata);
	for (size_t i = 0; i < update->mapping_count; i++) {
		int r = is_wanted(vn, &update->mappings[i])
				? vn_learn(vn, &update->mappings[i], changed, userdata)
				: 0;

		result = result ? result : r;
	}

	if (update->snapshot_end) {
		if (!vn->grace)
			unmap_stale(vn, changed, userdata);
		vn->synced = true;
	}
	return result;
}

bool vn_forget(struct vn *vn, struct mac mac)
{
	uint32_t number = place_find(vn, mac);

	if (!vn_is_remote(vn, mac) || place_at(vn, number)->held)
		return false;
	unmap(vn, number, NULL, NULL);
	return true;
}

static bool has_ip(const struct ip *list, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_cmp(list[i], ip) == 0)
			return true;
	return false;
}

int vn_set_members(struct vn *vn, const struct ip *members, size_t count)
{
	struct ip *copy = calloc(count + vn->kept_count + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (count)
		memcpy(copy, members, count * sizeof(*copy));
	vn->told_count = count;
	for (size_t i = 0; i < vn->kept_count; i++)
		if (!has_ip(copy, count, vn->kept[i]))
			copy[count++] = vn->kept[i];
	free(vn->members);
	vn->members = copy;
	vn->member_count = count;
	vn->flood_dirty = true;
	return 0;
}

void vn_begin_grace(struct vn *vn)
{
	if (vn->grace)
		return;
	vn->grace = true;
	vn->kept = vn->members;
	vn->kept_count = vn->member_count;
	vn->members = NULL;
	vn->member_count = 0;
	(void) vn_set_members(vn, NULL, 0);
}

void vn_end_grace(struct vn *vn, vn_changed changed, void *userdata)
{
	if (!vn->grace)
		return;
	vn->grace = false;
	unmap_stale(vn, changed, userdata);
	vn->member_count = vn->told_count; /* they come first */
	vn->flood_dirty = true;
	free(vn->kept);
	vn->kept = NULL;
	vn->kept_count = 0;
}

const struct ip *vn_members(const struct vn *vn, size_t *ret_count)
{
	*ret_count = vn->member_count;
	return vn->members;
}

/* --- this host --- */

int vn_pin(struct vn *vn, struct mac mac, uint32_t port_ifindex)
{
	uint32_t number = place_add(vn, mac);

	if (!number)
		return -ENOMEM;
	place_at(vn, number)->pin = port_ifindex;
	place_touch(vn, number);
	return 0;
}

int vn_unpin(struct vn *vn, struct mac mac)
{
	return place_find(vn, mac) ? vn_pin(vn, mac, 0) : 0;
}

int vn_hold(struct vn *vn, struct mac mac, bool hold)
{
	uint32_t number = hold ? place_add(vn, mac) : place_find(vn, mac);
	struct place *place;

	if (!number)
		return hold ? -ENOMEM : 0;
	place = place_at(vn, number);
	/*
	 * Whatever we had put there is gone: the kernel's bridge entry is, or was, the forward
	 * device's.
	 */
	if (place->held && !hold) {
		place->told_bridge = TOLD_TAKEN;
		place->theirs_bridge = false;
	}
	place->held = hold;
	place_touch(vn, number);
	return 0;
}

static void leave_port(struct vn *vn, uint32_t number, void *userdata)
{
	const uint32_t *port_ifindex = userdata;
	struct place *place = place_at(vn, number);
	bool told = (place->told_bridge == TOLD_THIS || place->theirs_bridge) &&
		    place->told_port == *port_ifindex;

	if (!told && place->pin != *port_ifindex)
		return;
	if (told) {
		place->told_bridge = TOLD_NOTHING;
		place->theirs_bridge = false;
	}
	if (place->pin == *port_ifindex)
		place->pin = 0;
	place_touch(vn, number);
}

void vn_port_gone(struct vn *vn, uint32_t port_ifindex)
{
	place_each(vn, leave_port, &port_ifindex);
}
