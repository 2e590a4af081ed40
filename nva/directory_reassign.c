// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_reassign.c - an operator gives mappings to another NVE, without anybody's consent: for
 * an NVE that is connected but wrong, or gone for good before its lease has ended.
 *
 * For the NVEs it is a committed move: the generation grows, the old NVE is told before the others
 * (directory_handover.c), and both sides hear when all have confirmed. Everything is checked before
 * anything is done.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nva/directory_internal.h"

/* What was found to be reassigned. */
struct finding {
	struct directory_reassigned *list; /* owned */
	size_t count, room;
};

static int found(struct finding *finding, const struct directory *directory, const struct vni *vni,
		 const struct entry *entry)
{
	struct directory_reassigned *item;

	if (finding->count == finding->room) {
		size_t room = finding->room ? finding->room * 2 : 4;
		struct directory_reassigned *list =
			realloc(finding->list, room * sizeof(*finding->list));

		if (!list)
			return -ENOMEM;
		finding->list = list;
		finding->room = room;
	}
	item = &finding->list[finding->count++];
	*item = (struct directory_reassigned){
		.vni = vni->number,
		.mac = entry->mac,
		.generation = entry->generation,
	};
	(void) snprintf(item->from, sizeof(item->from), "%s", entry_owner(directory, entry)->name);
	return 0;
}

static int find_vm_in(struct finding *finding, const struct directory *directory,
		      const struct vni *vni, struct uuid vm)
{
	uint32_t ids[INDEX_SEGMENT_MAX];
	uint64_t position = 0;

	while (position < INDEX_END) {
		size_t count = index_walk(&vni->by_mac, position, ids, &position);

		for (size_t i = 0; i < count; i++) {
			const struct entry *entry = pool_at(&vni->pool, ids[i]);

			if (uuid_cmp(entry->vm, vm) == 0 &&
			    found(finding, directory, vni, entry) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int find_all(struct finding *finding, const struct directory *directory,
		    const struct directory_reassignment *what)
{
	const struct vni *vni;

	TAILQ_FOREACH(vni, &directory->vnis, of_directory) {
		const struct entry *entry;
		int r = 0;

		if (what->vni && what->vni != vni->number)
			continue;
		entry = mac_is_zero(what->mac) ? NULL : entry_find(directory, vni, what->mac);
		if (entry)
			r = found(finding, directory, vni, entry);
		else if (mac_is_zero(what->mac))
			r = find_vm_in(finding, directory, vni, what->vm);
		if (r < 0)
			return r;
	}
	return 0;
}

static int refuse(char *reterr_text, int error, const char *format, const char *name)
{
	(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, format, name);
	return error;
}

/* Why @item cannot be @to's. */
static int check(const struct directory *directory, const struct nve *to,
		 const struct directory_reassigned *item, char *reterr_text)
{
	const struct vni *vni = vni_find(directory, item->vni);
	const struct member *member = member_find(directory, vni, to);
	const struct entry *entry = entry_find(directory, vni, item->mac);
	struct mapping mapping;

	if (!member || !member->subscribed) {
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1,
				"NVE %s takes no part in VNI %u now", to->name, item->vni);
		return -EADDRNOTAVAIL;
	}
	entry_mapping(directory, vni, entry, &mapping);
	return is_over_a_limit(directory, member, entry, &mapping, reterr_text) ? -ENOSPC : 0;
}

static void reassign(struct directory *directory, uint64_t now_us, const struct nve *to,
		     struct directory_reassigned *item)
{
	struct vni *vni = vni_find(directory, item->vni);
	struct entry *entry = entry_find(directory, vni, item->mac);
	const struct mapping mapping = { .vni = item->vni, .mac = item->mac };
	struct nve *from = entry_owner(directory, entry);
	char mac[MAC_TEXT_SIZE];

	if (from == to)
		return;
	handover_drop(vni, entry);
	entry = entry_assign(directory, member_find(directory, vni, to), entry, &mapping,
			     entry->generation + 1);
	if (!entry)
		return;
	item->changed = true;
	item->generation = entry->generation;
	directory->counters[COUNTER_REASSIGNED]++;
	handover_new(directory, now_us, vni, entry, from);
	convergence_new(directory, now_us, vni, entry, from);
	moves_owner_changed(directory, now_us, vni, entry);
	notice(directory,
	       "An operator gives %s in VNI %u, which NVE %s served, to NVE %s: generation "
	       "%" PRIu64,
	       mac_text(item->mac, mac), item->vni, from->name, to->name, item->generation);
}

static int find_and_check(const struct directory *directory, uint64_t now_us,
			  const struct directory_reassignment *what, struct finding *finding,
			  const struct nve **ret_to, char *reterr_text)
{
	const struct nve *to = nve_find(directory, what->to);
	int r;

	if (mac_is_zero(what->mac) == uuid_is_none(what->vm) ||
	    (!mac_is_zero(what->mac) && what->vni == 0))
		return refuse(reterr_text, -EINVAL, "%s",
			      "name a MAC and its VNI, or a VM; not both");
	if (!to)
		return refuse(reterr_text, -ENOENT, "there is no NVE %s", what->to);
	if (!to->connected)
		return refuse(reterr_text, -ENOTCONN, "NVE %s has no session: it serves nobody now",
			      to->name);
	r = find_all(finding, directory, what);
	if (r == 0 && finding->count == 0)
		return refuse(reterr_text, -ENOENT, "%s",
			      mac_is_zero(what->mac) ? "nobody serves this VM"
						     : "nobody serves this MAC in this VNI");
	for (size_t i = 0; r == 0 && i < finding->count; i++)
		r = check(directory, to, &finding->list[i], reterr_text);
	*ret_to = to;
	return r;
}

int directory_reassign(struct directory *directory, uint64_t now_us,
		       const struct directory_reassignment *what,
		       struct directory_reassigned **ret_list, size_t *ret_count, char *reterr_text)
{
	struct finding finding = { 0 };
	const struct nve *to = NULL;
	int r = find_and_check(directory, now_us, what, &finding, &to, reterr_text);

	for (size_t i = 0; r == 0 && !what->dry && i < finding.count; i++)
		reassign(directory, now_us, to, &finding.list[i]);
	if (directory->out_of_memory)
		r = -ENOMEM;
	if (r < 0) {
		free(finding.list);
		return r;
	}
	*ret_list = finding.list;
	*ret_count = finding.count;
	return 0;
}
