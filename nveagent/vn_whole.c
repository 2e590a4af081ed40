/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vn_whole.c - the whole of a VN's kernel tables: taking over what is there, what others made
 * permanent, and the audit.
 *
 * A dump of a large bridge cannot be cut into pieces that take less than a millisecond: the kernel
 * looks at all entries for each port and each message (net/bridge/br_fdb.c, br_fdb_dump()), with
 * the RTNL lock held. So the audit asks for what we told the kernel, entry by entry (RTM_GETNEIGH
 * without NLM_F_DUMP), a few each time the loop comes round.
 */
#include <errno.h>
#include <string.h>

#include "nveagent/vn_private.h"

/* --- what an earlier life left, and what others made permanent --- */

static bool is_theirs(const struct fdb_entry *actual)
{
	return actual->fixed && !actual->ours;
}

static int note_bridge(struct vn *vn, const struct fdb_entry *actual)
{
	uint32_t number = place_add(vn, actual->mac);
	struct place *place;

	if (!number)
		return -ENOMEM;
	place = place_at(vn, number);
	place->theirs_bridge = is_theirs(actual);
	place->told_bridge = actual->ours ? TOLD_THIS : TOLD_NOTHING;
	place->told_port = actual->ifindex;
	place->told_sticky = actual->sticky;
	return 0;
}

/* What we append to a list that somebody else began bears no mark, either (overlay.h). */
static void note_flooded(struct vtep *vtep, const struct fdb_entry *actual)
{
	if (actual->ours)
		vtep->flooded = true;
	else
		vtep->theirs |= !vtep->flooded;
}

static int note_vxlan(struct vn *vn, const struct fdb_entry *actual)
{
	int vtep = vtep_number(vn, actual->vtep);
	uint32_t number;

	if (actual->ifindex != vn->devices.vxlan || vtep == 0)
		return 0;
	if (vtep < 0)
		return vtep;
	if (mac_is_zero(actual->mac)) {
		note_flooded(vn->vteps[vtep - 1], actual);
		return 0;
	}
	number = place_add(vn, actual->mac);
	if (!number)
		return -ENOMEM;
	place_at(vn, number)->theirs_vxlan = is_theirs(actual);
	place_at(vn, number)->told_vxlan = actual->ours ? TOLD_THIS : TOLD_NOTHING;
	place_at(vn, number)->told_vtep = (uint16_t) vtep;
	return 0;
}

static int note_neighbour(struct vn *vn, const struct fdb_entry *actual)
{
	uint32_t first = claim_find(vn, actual->ip), holder = vn_look_at(vn, first).holder;
	uint32_t number = holder ? holder : claim_add(vn, actual->ip, first);

	if (!number)
		return -ENOMEM;
	claim_at(vn, number)->told = actual->ours ? TOLD_OTHER : TOLD_TAKEN;
	return 0;
}

int vn_note(struct vn *vn, const struct fdb_entry *actual)
{
	static int (*const notes[])(struct vn * vn, const struct fdb_entry *actual) = {
		[FDB_LAYER_BRIDGE] = note_bridge,
		[FDB_LAYER_VXLAN] = note_vxlan,
		[FDB_LAYER_NEIGHBOUR] = note_neighbour,
	};

	if (!actual->ours && !is_theirs(actual))
		return 0;
	vn->taken_over |= actual->ours;
	return notes[actual->layer](vn, actual);
}

void vn_noted(struct vn *vn)
{
	vn->kernel_known = true;
}

static void touch_place(struct vn *vn, uint32_t number, void *userdata)
{
	(void) userdata;
	place_touch(vn, number);
}

static void touch_claim(struct vn *vn, uint32_t number, void *userdata)
{
	(void) userdata;
	claim_touch(vn, number);
}

static void touch_all(struct vn *vn)
{
	place_each(vn, touch_place, NULL);
	claim_each(vn, touch_claim, NULL);
	vn->flood_dirty = true;
}

void vn_drop_unclaimed(struct vn *vn)
{
	if (!vn->taken_over)
		return;
	vn->taken_over = false;
	touch_all(vn);
}

/* --- what others make permanent, and take away again, while we run --- */

static bool is_told(enum told told)
{
	return told == TOLD_THIS || told == TOLD_OTHER;
}

/*
 * Of what we had told the kernel already, the newest message won: ours, or one that left our mark.
 */
static bool is_known(const struct vn *vn, const struct fdb_entry *entry)
{
	uint32_t number;

	if (entry->layer == FDB_LAYER_VXLAN && mac_is_zero(entry->mac))
		return false;
	number = place_find(vn, entry->mac);
	if (!number)
		return false;
	return place_at(vn, number)->held ||
	       is_told(entry->layer == FDB_LAYER_BRIDGE ? place_at(vn, number)->told_bridge
							: place_at(vn, number)->told_vxlan);
}

int vn_note_theirs(struct vn *vn, const struct fdb_entry *entry)
{
	return is_theirs(entry) && !is_known(vn, entry) ? vn_note(vn, entry) : 0;
}

static void flood_entry_gone(struct vn *vn, const struct fdb_entry *entry)
{
	int vtep = vtep_number(vn, entry->vtep);

	if (vtep <= 0 || !vn->vteps[vtep - 1]->theirs)
		return;
	vn->vteps[vtep - 1]->theirs = false;
	vn->flood_dirty = true;
}

void vn_theirs_gone(struct vn *vn, const struct fdb_entry *entry)
{
	uint32_t number = place_find(vn, entry->mac);
	struct place *place = number ? place_at(vn, number) : NULL;

	if (entry->layer == FDB_LAYER_VXLAN && mac_is_zero(entry->mac)) {
		flood_entry_gone(vn, entry);
		return;
	}
	if (!place)
		return;
	if (entry->layer == FDB_LAYER_VXLAN)
		place->theirs_vxlan = false;
	else if (place->told_port == entry->ifindex)
		place->theirs_bridge = false;
	place_touch(vn, number);
}

/* --- the audit --- */

void vn_audit_begin(struct vn *vn)
{
	vn->audit_place = vn->audit_claim = 0;
	/*
	 * A list cannot be asked for one of its VTEPs; to append what is there does nothing
	 * (vxlan_fdb_append()).
	 */
	for (size_t i = 0; i < vn->vtep_count; i++)
		vn->vteps[i]->flooded = false;
	vn->flood_dirty = true;
}

/* Items that are given back say that the kernel was told nothing. */
static size_t ask_of_place(const struct vn *vn, const struct place *place,
			   struct fdb_entry *entries)
{
	size_t n = 0;

	if (!place->held && (is_told(place->told_bridge) || place->theirs_bridge))
		entries[n++] = (struct fdb_entry){ .layer = FDB_LAYER_BRIDGE,
						   .ifindex = place->told_port,
						   .mac = place->mac,
						   .sticky = place->told_sticky };
	if (is_told(place->told_vxlan) || place->theirs_vxlan)
		entries[n++] = (struct fdb_entry){ .layer = FDB_LAYER_VXLAN,
						   .ifindex = vn->devices.vxlan,
						   .mac = place->mac,
						   .vtep = vtep_ip(vn, place->told_vtep) };
	return n;
}

bool vn_audit_next(struct vn *vn, struct fdb_entry *entries, size_t room, size_t *ret_count)
{
	size_t n = 0, looks = 0;

	for (; vn->audit_place < vn->place_pool.used && n + 2 <= room && looks < VN_LOOKS_MAX;
	     looks++)
		n += ask_of_place(vn, place_at(vn, ++vn->audit_place), &entries[n]);
	for (; vn->audit_place == vn->place_pool.used && vn->audit_claim < vn->claim_pool.used &&
	       n < room && looks < VN_LOOKS_MAX;
	     looks++)
		if (claim_at(vn, ++vn->audit_claim)->told != TOLD_NOTHING)
			entries[n++] = vn_neighbour_entry(vn, vn->audit_claim);
	*ret_count = n;
	return n || vn->audit_place < vn->place_pool.used || vn->audit_claim < vn->claim_pool.used;
}

static void audit_bridge(struct vn *vn, uint32_t number, const struct fdb_entry *actual)
{
	struct place *place = place_at(vn, number);
	bool right = actual && actual->ours && place->told_bridge == TOLD_THIS &&
		     place->told_port == actual->ifindex && place->told_sticky == actual->sticky;

	if (right || place->held)
		return;
	place->theirs_bridge = actual && is_theirs(actual);
	place->told_bridge = !actual || is_theirs(actual) ? TOLD_NOTHING
			     : actual->ours		  ? TOLD_THIS
							  : TOLD_TAKEN;
	if (actual) {
		place->told_port = actual->ifindex;
		place->told_sticky = actual->sticky;
	}
	place_touch(vn, number);
}

static void audit_vxlan(struct vn *vn, uint32_t number, const struct fdb_entry *actual)
{
	struct place *place = place_at(vn, number);
	bool here = actual && actual->ours && !actual->port && !actual->vni;
	bool right = here && place->told_vxlan == TOLD_THIS &&
		     ip_cmp(actual->vtep, vtep_ip(vn, place->told_vtep)) == 0;
	int vtep = here ? vtep_number(vn, actual->vtep) : 0;

	if (right)
		return;
	place->theirs_vxlan = actual && is_theirs(actual);
	place->told_vxlan = !actual || is_theirs(actual) ? TOLD_NOTHING
			    : actual->ours		 ? TOLD_OTHER
							 : TOLD_TAKEN;
	if (vtep > 0) {
		place->told_vxlan = TOLD_THIS;
		place->told_vtep = (uint16_t) vtep;
	}
	place_touch(vn, number);
}

static void audit_neighbour(struct vn *vn, const struct fdb_entry *actual, struct ip ip)
{
	uint32_t number = vn_look_at(vn, claim_find(vn, ip)).holder;
	struct claim *claim = number ? claim_at(vn, number) : NULL;
	struct fdb_entry wanted;

	if (!claim)
		return;
	wanted = vn_neighbour_entry(vn, number);
	if (actual && actual->ours && claim->told == TOLD_THIS &&
	    mac_cmp(actual->mac, wanted.mac) == 0 && actual->router == wanted.router)
		return;
	claim->told = !actual		  ? TOLD_NOTHING
		      : actual->ours	  ? TOLD_OTHER
		      : is_theirs(actual) ? TOLD_TAKEN
					  : TOLD_NOTHING; /* the host's own, which ours replaces */
	claim_touch(vn, number);
}

void vn_audit_take(struct vn *vn, const struct fdb_entry *asked, const struct fdb_entry *actual)
{
	uint32_t number;

	if (asked->layer == FDB_LAYER_NEIGHBOUR) {
		audit_neighbour(vn, actual, asked->ip);
		return;
	}
	number = place_find(vn, asked->mac);
	if (!number)
		return;
	if (asked->layer == FDB_LAYER_BRIDGE)
		audit_bridge(vn, number, actual);
	else
		audit_vxlan(vn, number, actual);
}

size_t vn_theirs(const struct vn *vn, struct mac *ret_first)
{
	size_t count = 0;

	for (uint32_t number = 1; number <= vn->place_pool.used; number++) {
		const struct place *place = place_at(vn, number);

		if (!place->mapped || !(place->theirs_bridge || place->theirs_vxlan))
			continue;
		if (count++ == 0)
			*ret_first = place->mac;
	}
	return count;
}
