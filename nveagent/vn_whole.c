/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vn_whole.c - the whole of a VN's kernel tables: taking over what is there, and what should be. */
#include <errno.h>
#include <string.h>

#include "nveagent/vn_private.h"

/* --- what an earlier life left --- */

static int note_bridge(struct vn *vn, const struct fdb_entry *actual)
{
	uint32_t number = place_add(vn, actual->mac);
	struct place *place;

	if (!number)
		return -ENOMEM;
	place = place_at(vn, number);
	place->told_bridge = TOLD_THIS;
	place->told_port = actual->ifindex;
	place->told_sticky = actual->sticky;
	return 0;
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
		vn->vteps[vtep - 1]->flooded = true;
		return 0;
	}
	number = place_add(vn, actual->mac);
	if (!number)
		return -ENOMEM;
	place_at(vn, number)->told_vxlan = TOLD_THIS;
	place_at(vn, number)->told_vtep = (uint16_t) vtep;
	return 0;
}

static int note_neighbour(struct vn *vn, const struct fdb_entry *actual)
{
	uint32_t number = claim_add(vn, actual->ip);

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
	bool operators = actual->layer == FDB_LAYER_NEIGHBOUR && actual->fixed;

	if (!actual->ours && !operators)
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

/* --- the whole table --- */

static bool is_foreign(const struct vn *vn, const struct fdb_entry *entry)
{
	uint32_t number;

	if (entry->layer == FDB_LAYER_VXLAN)
		return entry->ifindex != vn->devices.vxlan;
	if (entry->layer == FDB_LAYER_NEIGHBOUR)
		return false;
	number = place_find(vn, entry->mac);
	return number && place_at(vn, number)->held;
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

struct putting {
	struct fdb_table *desired;
	int result;
};

static void put(struct putting *putting, const struct fdb_entry *entry)
{
	if (putting->result == 0)
		putting->result = fdb_table_put(putting->desired, entry);
}

static void put_place(struct vn *vn, uint32_t number, void *userdata)
{
	struct putting *putting = userdata;
	struct fdb_entry want;
	const struct place *place = place_at(vn, number);

	if (!place->held && vn_wanted_bridge(vn, place, &want))
		put(putting, &want);
	if (vn_wanted_vxlan(vn, place, &want))
		put(putting, &want);
	for (uint32_t claim = place->claims; claim; claim = claim_at(vn, claim)->next_of_place) {
		if (vn_look_at(vn, claim_ip(claim_at(vn, claim))).owner != claim)
			continue;
		want = vn_neighbour_entry(vn, claim);
		put(putting, &want);
	}
}

/* Everything that is pending counts as told; the diff with the kernel's table says the same and more. */
static void settle_all(struct vn *vn)
{
	struct fdb_change unused[64];

	while (vn_has_changes(vn))
		(void) vn_collect(vn, unused, ARRAY_SIZE(unused));
}

int vn_desired(struct vn *vn, const struct fdb_table *actual, struct fdb_table *desired)
{
	struct putting putting = { .desired = desired };
	int r;

	touch_all(vn);
	settle_all(vn);
	r = copy_foreign(vn, actual, desired);
	if (r < 0)
		return r;
	place_each(vn, put_place, &putting);
	for (size_t i = 0; i < vn->vtep_count; i++)
		if (vn->vteps[i]->flooded) {
			struct fdb_entry entry = vn_flood_entry(vn, vn->vteps[i]->ip);

			put(&putting, &entry);
		}
	vn->kernel_known = true;
	return putting.result;
}
