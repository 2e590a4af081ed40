// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_interest.c - members that pull (RFC 8171 section 3): they are told only of what they
 * have asked for.
 *
 *   QUERY ──▶ ANSWER, and an interest of the member in that entry
 *   the entry changes, or goes ──▶ UPDATE to the member, which confirms it like any other
 *   DROP, the end of the lease, SUBSCRIBE ──▶ the interest ends
 *
 * What a member owns it is told of without an interest; what moved away from it, it has an interest
 * in, because it sends on what arrives late. In its SUBSCRIBE a member says what it still holds: so
 * nothing of this need outlive a restart, and the snapshot is as short as the list.
 *
 * A VNI without members that pull pays a comparison for each change, and an entry that nobody
 * pulled pays nothing.
 */
#include "nva/directory_internal.h"

/* --- interests --- */

static uint64_t hash_of_entry(const struct directory *directory, uint32_t entry)
{
	return table_hash_words(directory->config.hash_seed, entry, sizeof(entry));
}

static struct interest *first_of(const struct directory *directory, const struct vni *vni,
				 uint32_t entry)
{
	struct table_link *link = table_first(&vni->interests, hash_of_entry(directory, entry));

	return link ? TABLE_ITEM(link, struct interest, link) : NULL;
}

/* Of the same entry, or another one of the same hash. */
static struct interest *older(const struct interest *interest)
{
	struct table_link *link = table_older(&interest->link);

	return link ? TABLE_ITEM(link, struct interest, link) : NULL;
}

static struct interest *interest_find(const struct directory *directory, const struct pull *pull,
				      uint32_t entry)
{
	struct interest *interest = first_of(directory, pull->member->vni, entry);

	while (interest && (interest->entry != entry || interest->pull != pull))
		interest = older(interest);
	return interest;
}

static void interest_free(struct interest *interest)
{
	struct pull *pull = interest->pull;

	table_remove(&pull->member->vni->interests, &interest->link);
	TAILQ_REMOVE(&pull->interests, interest, of_pull);
	pull->count--;
	pull->member->nve->interest_count--;
	free(interest);
}

bool interest_add(struct directory *directory, struct member *member, const struct entry *entry)
{
	uint32_t id = entry_id(entry);
	struct interest *interest;

	if (interest_find(directory, member->pull, id))
		return true;
	if (member->nve->interest_count >= directory->config.limits.nve_interests) {
		directory->counters[COUNTER_INTERESTS_REFUSED]++;
		return false;
	}
	interest = calloc(1, sizeof(*interest));
	if (!interest ||
	    table_add(&member->vni->interests, &interest->link, hash_of_entry(directory, id)) < 0) {
		directory->out_of_memory = true;
		free(interest);
		return false;
	}
	interest->pull = member->pull;
	interest->entry = id;
	TAILQ_INSERT_TAIL(&member->pull->interests, interest, of_pull);
	member->pull->count++;
	member->nve->interest_count++;
	return true;
}

void interest_drop(struct directory *directory, struct member *member, const struct entry *entry)
{
	struct interest *interest = interest_find(directory, member->pull, entry_id(entry));

	if (interest)
		interest_free(interest);
}

void drop_take(struct directory *directory, uint64_t now_us, struct nve *nve,
	       const struct nvo3_message *message)
{
	const struct vni *vni = vni_find(directory, message->vni);
	struct member *member = vni ? member_find(directory, vni, nve) : NULL;

	if (!member || !member->pull)
		return;
	for (size_t i = 0; i < message->removed_count; i++) {
		const struct entry *entry = entry_find(directory, vni, message->removed[i].mac);

		if (entry)
			interest_drop(directory, member, entry);
	}
}

/* --- members that pull --- */

static void forget_all(struct pull *pull)
{
	while (!TAILQ_EMPTY(&pull->interests))
		interest_free(TAILQ_FIRST(&pull->interests));
	pull->changed.count = 0;
	pull->removed.count = 0;
}

static struct pull *pull_new(struct directory *directory, struct member *member)
{
	struct pull *pull = calloc(1, sizeof(*pull));

	if (!pull) {
		directory->out_of_memory = true;
		return NULL;
	}
	pull->member = member;
	TAILQ_INIT(&pull->interests);
	TAILQ_INSERT_TAIL(&member->vni->pulls, pull, of_vni);
	member->pull = pull;
	return pull;
}

void pull_subscribe(struct directory *directory, struct member *member,
		    const struct nvo3_message *message)
{
	struct pull *pull = member->pull ? member->pull : pull_new(directory, member);

	if (!pull)
		return;
	if (!pull->listing)
		forget_all(pull);
	pull->listing = message->more;
	for (size_t i = 0; i < message->removed_count; i++) {
		const struct entry *entry =
			entry_find(directory, member->vni, message->removed[i].mac);

		if (entry && entry->owner != member->nve->id)
			(void) interest_add(directory, member, entry);
	}
}

void pull_end(struct directory *directory, struct member *member)
{
	struct pull *pull = member->pull;

	if (!pull)
		return;
	forget_all(pull);
	TAILQ_REMOVE(&member->vni->pulls, pull, of_vni);
	id_list_clear(&pull->changed);
	removal_list_clear(&pull->removed);
	free(pull);
	member->pull = NULL;
}

/* --- who is told --- */

static struct member *pulling_owner(const struct directory *directory, const struct vni *vni,
				    const struct entry *entry)
{
	struct member *owner = member_find(directory, vni, entry_owner(directory, entry));

	return owner && owner->pull ? owner : NULL;
}

void interests_each(struct directory *directory, struct vni *vni, const struct entry *entry,
		    void (*each)(void *userdata, struct member *member), void *userdata)
{
	struct interest *interest, *following;
	struct member *owner;
	uint32_t id = entry_id(entry);

	if (TAILQ_EMPTY(&vni->pulls))
		return;
	owner = pulling_owner(directory, vni, entry);
	if (owner)
		each(userdata, owner);
	for (interest = first_of(directory, vni, id); interest; interest = following) {
		following = older(interest);
		if (interest->entry == id && interest->pull->member != owner)
			each(userdata, interest->pull->member);
	}
}

struct ending {
	struct directory *directory;
	const struct entry *entry;
};

static void end_for(void *userdata, struct member *member)
{
	const struct ending *ending = userdata;

	if (!removal_list_add(&member->pull->removed, ending->entry->mac,
			      ending->entry->generation))
		ending->directory->out_of_memory = true;
	interest_drop(ending->directory, member, ending->entry);
}

void interests_end(struct directory *directory, struct vni *vni, const struct entry *entry)
{
	struct ending ending = { directory, entry };

	interests_each(directory, vni, entry, end_for, &ending);
}

/* --- telling --- */

struct sharing {
	struct directory *directory;
	uint32_t entry;
};

static void share_with(void *userdata, struct member *member)
{
	const struct sharing *sharing = userdata;

	if (!id_list_add(&member->pull->changed, sharing->entry))
		sharing->directory->out_of_memory = true;
}

void pulls_collect(struct directory *directory, struct vni *vni)
{
	if (TAILQ_EMPTY(&vni->pulls))
		return;
	for (size_t i = 0; i < vni->changed.count; i++) {
		struct entry *entry = pool_at(&vni->pool, vni->changed.ids[i]);
		struct sharing sharing = { directory, vni->changed.ids[i] };

		if (entry->state & ENTRY_CHANGED)
			interests_each(directory, vni, entry, share_with, &sharing);
	}
}

/* How far a member has been told its share. */
struct part {
	size_t removed, changed;
};

/* The next message of its share; *part moves on. */
static bool fill_part(struct directory *directory, const struct pull *pull, struct part *part,
		      struct nvo3_message *message)
{
	const struct vni *vni = pull->member->vni;
	size_t removed = pull->removed.count - part->removed;
	size_t changed = pull->changed.count - part->changed;

	if (!update_begin(directory, vni->number, &removed, &changed, message))
		return false;
	for (size_t i = 0; i < removed; i++)
		message->removed[message->removed_count++] =
			removal_mapping(&pull->removed.items[part->removed + i], vni->number);
	for (size_t i = 0; i < changed; i++)
		handover_mapping(directory, vni,
				 pool_at(&vni->pool, pull->changed.ids[part->changed + i]),
				 pull->member->nve, &message->mappings[message->mapping_count++]);
	part->removed += removed;
	part->changed += changed;
	return true;
}

static bool is_told(const struct pull *pull, const struct part *part)
{
	return part->removed == pull->removed.count && part->changed == pull->changed.count;
}

/* All of its share, and at least one message if it is a @snapshot. */
static void tell_share(struct directory *directory, struct pull *pull, bool snapshot)
{
	struct member *member = pull->member;
	struct nvo3_message message;
	struct part part = { 0 };
	bool first = snapshot;

	while (first || !is_told(pull, &part)) {
		if (!fill_part(directory, pull, &part, &message))
			break;
		message.snapshot = first;
		message.snapshot_end = snapshot && is_told(pull, &part);
		message.revision = member->nve->sent = ++directory->revision;
		if (message.removed_count > 0)
			pull->gone_revision = message.revision;
		directory->counters[COUNTER_UPDATES]++;
		tell(directory, member->nve, &message);
		first = false;
	}
}

void pulls_tell(struct directory *directory, struct vni *vni, enum nvo3_role role)
{
	struct pull *pull;

	TAILQ_FOREACH(pull, &vni->pulls, of_vni) {
		if (pull->member->nve->role != role)
			continue;
		if (pull->member->subscribed)
			tell_share(directory, pull, false);
	}
}

void pulls_told(struct vni *vni)
{
	struct pull *pull;

	TAILQ_FOREACH(pull, &vni->pulls, of_vni) {
		pull->removed.count = 0;
		pull->changed.count = 0;
	}
}

bool pull_may_hold_gone(const struct pull *pull, struct mac mac)
{
	if (pull->member->nve->acked < pull->gone_revision)
		return true;
	for (size_t i = 0; i < pull->removed.count; i++)
		if (mac_cmp(pull->removed.items[i].mac, mac) == 0)
			return true;
	return false;
}

void pull_tell_snapshot(struct directory *directory, struct member *member)
{
	struct pull *pull = member->pull;
	const struct interest *interest;
	uint32_t id = member->first_entry;

	pull->removed.count = 0;
	for (; id; id = pool_at(&member->vni->pool, id)->next)
		if (!id_list_add(&pull->changed, id))
			directory->out_of_memory = true;
	TAILQ_FOREACH(interest, &pull->interests, of_pull)
		if (!id_list_add(&pull->changed, interest->entry))
			directory->out_of_memory = true;
	tell_share(directory, pull, true);
	pull->changed.count = 0;
}
