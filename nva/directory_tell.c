// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_tell.c - what the NVEs are sent.
 *
 * Answers are queued at once. Changes are only marked, and become one UPDATE per VNI when the queue
 * has been emptied: a thousand registrations that arrived together are then a handful of messages
 * to each member.
 *
 * A revision belongs to an UPDATE, not to a mapping, and is given when the UPDATE is made: so the
 * revisions of one session only grow, and "confirmed up to N" has a meaning. Each batch of a
 * snapshot has one too, which makes the confirmation of the snapshot unmistakable.
 */
#include <errno.h>
#include <string.h>

#include "nva/directory_internal.h"

struct directory_output *directory_output_free(struct directory_output *output)
{
	if (!output)
		return NULL;
	nvo3_message_clear(&output->message);
	free(output);
	return NULL;
}

/*
 * Queues a message without receivers, of which there may be @to_max; takes over what @message owns.
 * NULL without memory.
 */
static struct directory_output *queue_output(struct directory *directory,
					     struct nvo3_message *message, size_t to_max)
{
	struct queued_output *queued = calloc(1, sizeof(*queued));
	struct directory_output *output =
		calloc(1, sizeof(*output) + to_max * sizeof(output->to[0]));

	if (!queued || !output) {
		directory->out_of_memory = true;
		nvo3_message_clear(message);
		free(queued);
		free(output);
		return NULL;
	}
	output->message = *message;
	*message = (struct nvo3_message){ 0 };
	queued->output = output;
	TAILQ_INSERT_TAIL(&directory->outputs, queued, link);
	return output;
}

static struct directory_output *unqueue_output(struct directory *directory)
{
	struct queued_output *queued = TAILQ_FIRST(&directory->outputs);
	struct directory_output *output;

	if (!queued)
		return NULL;
	output = queued->output;
	TAILQ_REMOVE(&directory->outputs, queued, link);
	free(queued);
	return output;
}

static void drop_receiver(struct directory_output *output, uint32_t nve)
{
	size_t kept = 0;

	for (size_t i = 0; i < output->to_count; i++)
		if (output->to[i] != nve)
			output->to[kept++] = output->to[i];
	output->to_count = kept;
}

void tell_no_more(struct directory *directory, const struct nve *nve)
{
	struct queued_output *queued;

	TAILQ_FOREACH(queued, &directory->outputs, link)
		drop_receiver(queued->output, nve->id);
}

void outputs_clear(struct directory *directory)
{
	struct directory_output *output;

	while ((output = unqueue_output(directory)))
		directory_output_free(output);
}

void tell(struct directory *directory, const struct nve *nve, struct nvo3_message *message)
{
	struct directory_output *output;

	if (!nve || !nve->connected) {
		nvo3_message_clear(message);
		return;
	}
	output = queue_output(directory, message, 1);
	if (output)
		output->to[output->to_count++] = nve->id;
}

void tell_later(struct directory *directory, struct vni *vni)
{
	if (vni->telling)
		return;
	vni->telling = true;
	TAILQ_INSERT_TAIL(&directory->vnis_to_tell, vni, to_tell);
}

void tell_entry_later(struct directory *directory, struct entry *entry)
{
	if (entry->handover_from)
		return; /* told when the old NVE has confirmed */
	if (!entry->changed)
		TAILQ_INSERT_TAIL(&entry->vni->changed, entry, to_tell);
	entry->changed = true;
	tell_later(directory, entry->vni);
}

/* --- MEMBERS --- */

static bool fill_members(struct directory *directory, const struct vni *vni,
			 struct nvo3_message *message)
{
	const struct member *member;

	*message = (struct nvo3_message){ .kind = NVO3_MEMBERS, .vni = vni->number };
	message->members = calloc(vni->member_count + 1, sizeof(*message->members));
	if (!message->members) {
		directory->out_of_memory = true;
		return false;
	}
	TAILQ_FOREACH(member, &vni->members, of_vni)
		message->members[message->member_count++] = member->nve->vtep;
	return true;
}

/* To the subscribed members that have not been sent this list yet. */
static void tell_members(struct directory *directory, struct vni *vni)
{
	struct directory_output *output = NULL;
	struct nvo3_message message;
	struct member *member;

	TAILQ_FOREACH(member, &vni->members, of_vni) {
		if (!member->subscribed || member->members_version == vni->members_version)
			continue;
		if (!output && fill_members(directory, vni, &message))
			output = queue_output(directory, &message, vni->member_count);
		if (!output)
			return;
		output->to[output->to_count++] = member->nve->id;
		member->members_version = vni->members_version;
	}
}

/* --- UPDATE --- */

static void add_receivers(struct directory *directory, struct directory_output *output,
			  const struct vni *vni, enum nvo3_role role)
{
	const struct member *member;

	TAILQ_FOREACH(member, &vni->members, of_vni) {
		if (!member->subscribed || member->nve->role != role)
			continue;
		output->to[output->to_count++] = member->nve->id;
		member->nve->sent = output->message.revision;
		directory->counters[COUNTER_UPDATES]++;
	}
}

static size_t queue_length(const struct entry_queue *queue, size_t max)
{
	const struct entry *entry;
	size_t n = 0;

	TAILQ_FOREACH(entry, queue, to_tell)
		if (++n == max)
			break;
	return n;
}

static void take_removed(struct vni *vni, struct nvo3_message *message, size_t count)
{
	while (message->removed_count < count) {
		struct entry *entry = TAILQ_FIRST(&vni->removed);

		message->removed[message->removed_count++] = (struct mapping){
			.vni = vni->number,
			.mac = entry->mac,
			.generation = entry->generation,
		};
		TAILQ_REMOVE(&vni->removed, entry, to_tell);
		entry_free(entry);
	}
}

static void take_changed(struct vni *vni, struct nvo3_message *message, size_t count)
{
	while (message->mapping_count < count) {
		struct entry *entry = TAILQ_FIRST(&vni->changed);

		entry_mapping(entry, &message->mappings[message->mapping_count++]);
		TAILQ_REMOVE(&vni->changed, entry, to_tell);
		entry->changed = false;
	}
}

/*
 * Moves up to a batch from the marked ones to @message. What is removed comes first: it may be
 * back, changed.
 */
static bool fill_update(struct directory *directory, struct vni *vni, struct nvo3_message *message)
{
	size_t removed = queue_length(&vni->removed, NVO3_BATCH_MAX);
	size_t changed = removed < NVO3_BATCH_MAX
				 ? queue_length(&vni->changed, NVO3_BATCH_MAX - removed)
				 : 0;

	*message = (struct nvo3_message){
		.kind = NVO3_UPDATE,
		.vni = vni->number,
		.removed = calloc(removed + 1, sizeof(struct mapping)),
		.mappings = calloc(changed + 1, sizeof(struct mapping)),
	};
	if (!message->removed || !message->mappings) {
		directory->out_of_memory = true;
		nvo3_message_clear(message);
		return false;
	}
	take_removed(vni, message, removed);
	take_changed(vni, message, changed);
	message->revision = ++directory->revision;
	return true;
}

static void tell_update(struct directory *directory, struct vni *vni)
{
	struct directory_output *output;
	struct nvo3_message message;

	if (!fill_update(directory, vni, &message))
		return;
	output = queue_output(directory, &message, vni->member_count);
	if (!output)
		return;
	add_receivers(directory, output, vni, NVO3_ROLE_GATEWAY);
	add_receivers(directory, output, vni, NVO3_ROLE_NVE);
}

static void tell_vni(struct directory *directory, struct vni *vni)
{
	TAILQ_REMOVE(&directory->vnis_to_tell, vni, to_tell);
	vni->telling = false;

	tell_members(directory, vni);
	while (!directory->out_of_memory &&
	       (!TAILQ_EMPTY(&vni->removed) || !TAILQ_EMPTY(&vni->changed)))
		tell_update(directory, vni);
	convergences_told(directory, vni, directory->revision);
	convergences_check(directory, vni, false);
	if (vni_is_unused(vni))
		vni_free(directory, vni);
}

/* --- snapshot --- */

/*
 * Fills one batch from where the last one ended; returns the link to go on after, NULL at the end.
 */
static struct table_link *fill_snapshot(struct vni *vni, struct table_link *link,
					struct nvo3_message *message)
{
	struct table_link *last = link;

	while (message->mapping_count < NVO3_BATCH_MAX &&
	       (link = table_walk(&vni->entries, last))) {
		entry_mapping(TABLE_ITEM(link, struct entry, link),
			      &message->mappings[message->mapping_count++]);
		last = link;
	}
	return table_walk(&vni->entries, last) ? last : NULL;
}

static size_t batch_size(size_t count)
{
	return count < NVO3_BATCH_MAX ? count : NVO3_BATCH_MAX;
}

static void tell_snapshot(struct directory *directory, struct member *member)
{
	struct table_link *link = NULL;
	size_t left = member->vni->entries.count;
	bool first = true;

	do {
		struct nvo3_message message = {
			.kind = NVO3_UPDATE,
			.vni = member->vni->number,
			.snapshot = first,
			.mappings = calloc(batch_size(left) + 1, sizeof(struct mapping)),
		};

		if (!message.mappings) {
			directory->out_of_memory = true;
			return;
		}
		link = left ? fill_snapshot(member->vni, link, &message) : NULL;
		left -= message.mapping_count;
		message.snapshot_end = !link;
		message.revision = ++directory->revision;
		first = false;
		member->nve->sent = directory->revision;
		directory->counters[COUNTER_UPDATES]++;
		tell(directory, member->nve, &message);
	} while (link && !directory->out_of_memory);
	member->snapshot_revision = directory->revision;
	directory->counters[COUNTER_SNAPSHOTS]++;
}

void tell_subscriber(struct directory *directory, struct member *member)
{
	struct nvo3_message message;

	if (!fill_members(directory, member->vni, &message))
		return;
	tell(directory, member->nve, &message);
	member->members_version = member->vni->members_version;
	tell_snapshot(directory, member);
}

int directory_next_output(struct directory *directory, struct directory_output **ret_output)
{
	struct directory_output *output;

	while (TAILQ_EMPTY(&directory->outputs) && !TAILQ_EMPTY(&directory->vnis_to_tell))
		tell_vni(directory, TAILQ_FIRST(&directory->vnis_to_tell));
	if (directory->out_of_memory)
		return -ENOMEM;
	output = unqueue_output(directory);
	if (!output)
		return 0;
	*ret_output = output;
	return 1;
}
