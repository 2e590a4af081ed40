/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/vn.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>

enum { LAYERS = 2 };

/* One MAC: what is known of it, and what the kernel was told. */
struct place {
	struct mac mac; /* key */
	UT_hash_handle hh;

	bool mapped;
	bool stale; /* not named by the snapshot that is coming in */
	struct mapping mapping;

	uint32_t pin; /* ifindex of the local port; 0: none */
	bool held;

	bool told[LAYERS]; /* by enum fdb_layer */
	struct fdb_entry entry[LAYERS];

	bool dirty;
	struct place *next_dirty;
};

struct vn {
	uint32_t vni;
	struct ip vtep;
	uint32_t vxlan_ifindex;

	struct place *places;
	size_t mapping_count;
	struct place *dirty;
	bool synced, grace;

	struct ip *members;
	size_t member_count;
	size_t told_count; /* the first of them: what the NVA's newest list names */
	struct ip *kept;   /* members before the grace began */
	size_t kept_count;
	struct ip *flooded; /* what the kernel's head-end list was told */
	size_t flooded_count;
};

int vn_new(uint32_t vni, struct ip vtep, uint32_t vxlan_ifindex, struct vn **ret_vn)
{
	struct vn *vn = calloc(1, sizeof(*vn));

	if (!vn)
		return -ENOMEM;
	vn->vni = vni;
	vn->vtep = vtep;
	vn->vxlan_ifindex = vxlan_ifindex;
	*ret_vn = vn;
	return 0;
}

struct vn *vn_free(struct vn *vn)
{
	struct place *place, *next;

	if (!vn)
		return NULL;
	HASH_ITER(hh, vn->places, place, next) {
		HASH_DEL(vn->places, place);
		free(place);
	}
	free(vn->members);
	free(vn->kept);
	free(vn->flooded);
	free(vn);
	return NULL;
}

uint32_t vn_vni(const struct vn *vn)
{
	return vn->vni;
}

/* --- places --- */

static struct place *find(const struct vn *vn, struct mac mac)
{
	struct place *place = NULL;

	HASH_FIND(hh, vn->places, &mac, sizeof(mac), place);
	return place;
}

static struct place *find_or_add(struct vn *vn, struct mac mac)
{
	struct place *place = find(vn, mac);

	if (place)
		return place;
	place = calloc(1, sizeof(*place));
	if (!place)
		return NULL;
	place->mac = mac;
	HASH_ADD(hh, vn->places, mac, sizeof(place->mac), place);
	return place;
}

static void touch(struct vn *vn, struct place *place)
{
	if (place->dirty)
		return;
	place->dirty = true;
	place->next_dirty = vn->dirty;
	vn->dirty = place;
}

static bool is_empty(const struct place *place)
{
	return !place->mapped && !place->pin && !place->held && !place->dirty &&
	       !place->told[FDB_LAYER_BRIDGE] && !place->told[FDB_LAYER_VXLAN];
}

static void drop_if_empty(struct vn *vn, struct place *place)
{
	if (!is_empty(place))
		return;
	HASH_DEL(vn->places, place);
	free(place);
}

/* --- the directory --- */

static int map(struct vn *vn, const struct mapping *mapping, vn_changed changed, void *userdata)
{
	struct place *place = find(vn, mapping->mac);

	if (place && place->mapped && !place->stale &&
	    mapping->generation < place->mapping.generation)
		return 0;
	if (!(place && place->mapped) && vn->mapping_count >= VN_MAPPINGS_MAX)
		return -ENOSPC;
	place = find_or_add(vn, mapping->mac);
	if (!place)
		return -ENOMEM;

	vn->mapping_count += !place->mapped;
	place->mapped = true;
	place->stale = false;
	place->mapping = *mapping;
	touch(vn, place);
	if (changed)
		changed(userdata, place->mac, &place->mapping);
	return 0;
}

static void unmap(struct vn *vn, struct place *place, vn_changed changed, void *userdata)
{
	struct mac mac = place->mac;

	vn->mapping_count--;
	place->mapped = false;
	place->stale = false;
	touch(vn, place);
	if (changed)
		changed(userdata, mac, NULL);
}

static void mark_all_stale(struct vn *vn)
{
	for (struct place *place = vn->places; place; place = place->hh.next)
		place->stale = place->mapped;
}

static void unmap_stale(struct vn *vn, vn_changed changed, void *userdata)
{
	struct place *place, *next;

	HASH_ITER(hh, vn->places, place, next)
		if (place->stale)
			unmap(vn, place, changed, userdata);
}

int vn_update(struct vn *vn, const struct nvo3_message *update, vn_changed changed, void *userdata)
{
	int result = 0;

	if (update->snapshot)
		mark_all_stale(vn);

	for (size_t i = 0; i < update->mapping_count; i++) {
		int r = update->mappings[i].vni == vn->vni
				? map(vn, &update->mappings[i], changed, userdata)
				: 0;

		result = result ? result : r;
	}
	for (size_t i = 0; i < update->removed_count; i++) {
		const struct mapping *removed = &update->removed[i];
		struct place *place = removed->vni == vn->vni ? find(vn, removed->mac) : NULL;

		if (place && place->mapped && removed->generation >= place->mapping.generation)
			unmap(vn, place, changed, userdata);
	}

	if (update->snapshot_end) {
		if (!vn->grace)
			unmap_stale(vn, changed, userdata);
		vn->synced = true;
	}
	return result;
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
	free(vn->kept);
	vn->kept = NULL;
	vn->kept_count = 0;
}

const struct ip *vn_members(const struct vn *vn, size_t *ret_count)
{
	*ret_count = vn->member_count;
	return vn->members;
}

bool vn_is_synced(const struct vn *vn)
{
	return vn->synced;
}

const struct mapping *vn_find(const struct vn *vn, struct mac mac)
{
	const struct place *place = find(vn, mac);

	return place && place->mapped ? &place->mapping : NULL;
}

void vn_each(const struct vn *vn, void (*each)(void *, const struct mapping *), void *userdata)
{
	for (const struct place *place = vn->places; place; place = place->hh.next)
		if (place->mapped)
			each(userdata, &place->mapping);
}

size_t vn_mapping_count(const struct vn *vn)
{
	return vn->mapping_count;
}

/* --- this host --- */

int vn_pin(struct vn *vn, struct mac mac, uint32_t port_ifindex)
{
	struct place *place = find_or_add(vn, mac);

	if (!place)
		return -ENOMEM;
	place->pin = port_ifindex;
	touch(vn, place);
	return 0;
}

int vn_unpin(struct vn *vn, struct mac mac)
{
	return find(vn, mac) ? vn_pin(vn, mac, 0) : 0;
}

int vn_hold(struct vn *vn, struct mac mac, bool hold)
{
	struct place *place = hold ? find_or_add(vn, mac) : find(vn, mac);

	if (!place)
		return hold ? -ENOMEM : 0;
	/*
	 * Whatever we had put there is gone: the kernel's bridge entry is, or was, the forward
	 * device's.
	 */
	if (place->held && !hold)
		place->told[FDB_LAYER_BRIDGE] = false;
	place->held = hold;
	touch(vn, place);
	return 0;
}

void vn_port_gone(struct vn *vn, uint32_t port_ifindex)
{
	for (struct place *place = vn->places; place; place = place->hh.next) {
		if (place->told[FDB_LAYER_BRIDGE] &&
		    place->entry[FDB_LAYER_BRIDGE].ifindex == port_ifindex)
			place->told[FDB_LAYER_BRIDGE] = false;
		if (place->pin == port_ifindex)
			place->pin = 0;
		touch(vn, place);
	}
}

/* --- the kernel --- */

static bool is_remote(const struct vn *vn, const struct place *place)
{
	return place->mapped && !ip_is_none(place->mapping.vtep) &&
	       ip_cmp(place->mapping.vtep, vn->vtep) != 0;
}

/* The entry @place should have in @layer; false for none. */
static bool wanted(const struct vn *vn, const struct place *place, enum fdb_layer layer,
		   struct fdb_entry *ret_entry)
{
	struct fdb_entry entry = { .layer = layer, .mac = place->mac, .ours = true };

	if (layer == FDB_LAYER_BRIDGE && place->pin) {
		entry.ifindex = place->pin;
		entry.sticky = true;
	} else if (!place->pin && is_remote(vn, place)) {
		entry.ifindex = vn->vxlan_ifindex;
		if (layer == FDB_LAYER_VXLAN)
			entry.vtep = place->mapping.vtep;
	} else {
		return false;
	}
	*ret_entry = entry;
	return true;
}

static bool same_entry(const struct fdb_entry *a, const struct fdb_entry *b)
{
	return a->ifindex == b->ifindex && a->sticky == b->sticky && ip_cmp(a->vtep, b->vtep) == 0;
}

/* Adds to @changes what @layer of @place needs; returns how many (0 or 1). */
static size_t settle(struct vn *vn, struct place *place, enum fdb_layer layer,
		     struct fdb_change *changes)
{
	struct fdb_entry *told = &place->entry[layer], want;
	bool has = wanted(vn, place, layer, &want);

	if (layer == FDB_LAYER_BRIDGE && place->held)
		return 0;
	if (has == place->told[layer] && (!has || same_entry(&want, told)))
		return 0;

	if (has)
		*changes = (struct fdb_change){ FDB_OP_REPLACE, want };
	else
		*changes = (struct fdb_change){ FDB_OP_DELETE, *told };
	place->told[layer] = has;
	if (has)
		*told = want;
	return 1;
}

static struct fdb_entry flood_entry(const struct vn *vn, struct ip vtep)
{
	return (struct fdb_entry){
		.layer = FDB_LAYER_VXLAN,
		.ifindex = vn->vxlan_ifindex,
		.vtep = vtep,
		.ours = true,
	};
}

/* Changes of the head-end replication list; remembers it as told. Additions first. */
static int settle_flood(struct vn *vn, struct fdb_change *changes)
{
	struct ip *told = calloc(vn->member_count + 1, sizeof(*told));
	size_t told_count = 0, n = 0;

	if (!told)
		return -ENOMEM;
	for (size_t i = 0; i < vn->member_count; i++) {
		if (ip_cmp(vn->members[i], vn->vtep) == 0)
			continue;
		told[told_count++] = vn->members[i];
		if (!has_ip(vn->flooded, vn->flooded_count, vn->members[i]))
			changes[n++] =
				(struct fdb_change){ FDB_OP_ADD, flood_entry(vn, vn->members[i]) };
	}
	for (size_t i = 0; i < vn->flooded_count; i++)
		if (!has_ip(told, told_count, vn->flooded[i]))
			changes[n++] = (struct fdb_change){ FDB_OP_DELETE,
							    flood_entry(vn, vn->flooded[i]) };

	free(vn->flooded);
	vn->flooded = told;
	vn->flooded_count = told_count;
	return (int) n;
}

static size_t count_dirty(const struct vn *vn)
{
	size_t n = 0;

	for (const struct place *place = vn->dirty; place; place = place->next_dirty)
		n++;
	return n;
}

static struct place *take_dirty(struct vn *vn)
{
	struct place *place = vn->dirty;

	vn->dirty = place->next_dirty;
	place->next_dirty = NULL;
	place->dirty = false;
	return place;
}

int vn_collect(struct vn *vn, struct fdb_change **ret_changes)
{
	size_t room = vn->member_count + vn->flooded_count + count_dirty(vn) * LAYERS + 1;
	struct fdb_change *changes = calloc(room, sizeof(*changes));
	size_t n;
	int r;

	if (!changes)
		return -ENOMEM;
	r = settle_flood(vn, changes);
	if (r < 0) {
		free(changes);
		return r;
	}
	n = (size_t) r;

	while (vn->dirty) {
		struct place *place = take_dirty(vn);
		/*
		 * The bridge must never send to a VXLAN device that does not know where: that one
		 * first, and last away.
		 */
		bool away = place->pin || !is_remote(vn, place);

		n += settle(vn, place, away ? FDB_LAYER_BRIDGE : FDB_LAYER_VXLAN, &changes[n]);
		n += settle(vn, place, away ? FDB_LAYER_VXLAN : FDB_LAYER_BRIDGE, &changes[n]);
		drop_if_empty(vn, place);
	}
	*ret_changes = changes;
	return (int) n;
}

static bool is_foreign(const struct vn *vn, const struct fdb_entry *entry)
{
	const struct place *place = find(vn, entry->mac);

	if (entry->layer == FDB_LAYER_VXLAN)
		return entry->ifindex != vn->vxlan_ifindex;
	return place && place->held;
}

static int copy_foreign(const struct vn *vn, const struct fdb_table *actual,
			struct fdb_table *desired)
{
	const struct fdb_entry *entries = fdb_table_entries(actual);
	int r = 0;

	for (size_t i = 0; i < fdb_table_count(actual) && r == 0; i++)
		if (is_foreign(vn, &entries[i]))
			r = fdb_table_put(desired, &entries[i]);
	return r;
}

static int put_place(struct vn *vn, struct place *place, struct fdb_table *desired)
{
	for (enum fdb_layer layer = FDB_LAYER_BRIDGE; layer <= FDB_LAYER_VXLAN; layer++) {
		struct fdb_entry want;
		int r;

		if (layer == FDB_LAYER_BRIDGE && place->held)
			continue;
		place->told[layer] = wanted(vn, place, layer, &want);
		if (!place->told[layer])
			continue;
		place->entry[layer] = want;
		r = fdb_table_put(desired, &want);
		if (r < 0)
			return r;
	}
	return 0;
}

int vn_desired(struct vn *vn, const struct fdb_table *actual, struct fdb_table *desired)
{
	struct fdb_change *unused = NULL;
	int r;

	/* Settles what is pending; the diff with the kernel's own table says the same and more. */
	r = vn_collect(vn, &unused);
	free(unused);
	if (r < 0)
		return r;

	r = copy_foreign(vn, actual, desired);
	for (struct place *place = vn->places; place && r == 0; place = place->hh.next)
		r = put_place(vn, place, desired);
	for (size_t i = 0; i < vn->flooded_count && r == 0; i++) {
		struct fdb_entry entry = flood_entry(vn, vn->flooded[i]);

		r = fdb_table_put(desired, &entry);
	}
	return r;
}
