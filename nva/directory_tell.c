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
#include <stdarg.h>
#include <stdio.h>
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

	char text[DIRECTORY_NOTICE_SIZE];

	while ((output = unqueue_output(directory)))
		directory_output_free(output);
	while (directory_next_notice(directory, text))
		;
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

void tell_entry_later(struct directory *directory, struct vni *vni, struct entry *entry)
{
	if (entry->state & (ENTRY_HANDOVER | ENTRY_CHANGED))
		return; /* told when the old NVE has confirmed; or marked already */
	if (!id_list_add(&vni->changed, entry_id(entry))) {
		directory->out_of_memory = true;
		return;
	}
	entry->state |= ENTRY_CHANGED;
	tell_later(directory, vni);
}

/* --- the log --- */

void notice(struct directory *directory, const char *format, ...)
{
	struct notice *line;
	va_list arguments;

	if (directory->notice_count >= DIRECTORY_NOTICES_MAX)
		return;
	line = malloc(sizeof(*line));
	if (!line) {
		directory->out_of_memory = true;
		return;
	}
	va_start(arguments, format);
	(void) vsnprintf(line->text, sizeof(line->text), format, arguments);
	va_end(arguments);
	TAILQ_INSERT_TAIL(&directory->notices, line, link);
	directory->notice_count++;
}

bool directory_next_notice(struct directory *directory, char *text)
{
	struct notice *line = TAILQ_FIRST(&directory->notices);

	if (!line)
		return false;
	memcpy(text, line->text, sizeof(line->text));
	TAILQ_REMOVE(&directory->notices, line, link);
	directory->notice_count--;
	free(line);
	return true;
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
		if (!member->subscribed || member->pull || member->nve->role != role)
			continue;
		output->to[output->to_count++] = member->nve->id;
		member->nve->sent = output->message.revision;
		directory->counters[COUNTER_UPDATES]++;
	}
}

static size_t at_most(size_t count, size_t max)
{
	return count < max ? count : max;
}

bool update_begin(struct directory *directory, uint32_t vni, size_t *removed, size_t *changed,
		  struct nvo3_message *ret_message)
{
	struct nvo3_message message = { .kind = NVO3_UPDATE, .vni = vni };

	*removed = at_most(*removed, NVO3_UPDATE_GOOD_MAX);
	*changed = at_most(*changed, NVO3_UPDATE_GOOD_MAX - *removed);
	message.removed = malloc((*removed + 1) * sizeof(struct mapping));
	message.mappings = malloc((*changed + 1) * sizeof(struct mapping));
	if (!message.removed || !message.mappings) {
		directory->out_of_memory = true;
		nvo3_message_clear(&message);
		return false;
	}
	*ret_message = message;
	return true;
}

static void take_removed(struct vni *vni, struct nvo3_message *message, size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++)
		message->removed[message->removed_count++] =
			removal_mapping(&vni->removed.items[i], vni->number);
}

static void take_changed(const struct directory *directory, struct vni *vni,
			 struct nvo3_message *message, size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++) {
		struct entry *entry = pool_at(&vni->pool, vni->changed.ids[i]);

		if (!(entry->state & ENTRY_CHANGED))
			continue; /* gone, or marked a second time */
		entry_mapping(directory, vni, entry, &message->mappings[message->mapping_count++]);
		entry->state &= (uint8_t) ~ENTRY_CHANGED;
	}
}

/* What of the marked ones has become messages. */
struct told {
	size_t removed, changed;
};

/*
 * Moves up to a batch from the marked ones to @message. What is removed comes first: it may be
 * back, changed.
 */
static bool fill_update(struct directory *directory, struct vni *vni, struct told *told,
			struct nvo3_message *message)
{
	size_t removed = vni->removed.count - told->removed;
	size_t changed = vni->changed.count - told->changed;

	if (!update_begin(directory, vni->number, &removed, &changed, message))
		return false;
	take_removed(vni, message, told->removed, removed);
	take_changed(directory, vni, message, told->changed, changed);
	told->removed += removed;
	told->changed += changed;
	return true;
}

static void tell_update(struct directory *directory, struct vni *vni, struct told *told)
{
	struct directory_output *output;
	struct nvo3_message message;

	if (!fill_update(directory, vni, told, &message))
		return;
	if (message.mapping_count + message.removed_count == 0) {
		nvo3_message_clear(&message);
		return;
	}
	message.revision = ++directory->revision;
	output = queue_output(directory, &message, vni->member_count);
	if (!output)
		return;
	add_receivers(directory, output, vni, NVO3_ROLE_GATEWAY);
	add_receivers(directory, output, vni, NVO3_ROLE_NVE);
}

/*
 * Gateways before the others, be they pushed or pulling. Returns the last revision that was pushed.
 */
static uint64_t tell_changes(struct directory *directory, struct vni *vni)
{
	struct told told = { 0 };
	uint64_t revision;

	pulls_collect(directory, vni);
	pulls_tell(directory, vni, NVO3_ROLE_GATEWAY);
	while (!directory->out_of_memory &&
	       (told.removed < vni->removed.count || told.changed < vni->changed.count))
		tell_update(directory, vni, &told);
	vni->removed.count = 0;
	vni->changed.count = 0;
	revision = directory->revision;
	pulls_tell(directory, vni, NVO3_ROLE_NVE);
	return revision;
}

static void tell_vni(struct directory *directory, struct vni *vni)
{
	uint64_t revision;

	TAILQ_REMOVE(&directory->vnis_to_tell, vni, to_tell);
	vni->telling = false;

	tell_members(directory, vni);
	revision = tell_changes(directory, vni);
	convergences_told(directory, vni, revision);
	pulls_told(vni);
	convergences_check(directory, vni, false);
	if (vni_is_unused(vni))
		vni_free(directory, vni);
}

void tell_members_to(struct directory *directory, struct member *member)
{
	struct nvo3_message message;

	if (!fill_members(directory, member->vni, &message))
		return;
	tell(directory, member->nve, &message);
	member->members_version = member->vni->members_version;
}

bool directory_hold_changes(struct directory *directory, bool held)
{
	directory->changes_held = held;
	return !TAILQ_EMPTY(&directory->vnis_to_tell);
}

bool directory_is_confirmed(const struct directory *directory)
{
	for (size_t i = 0; i < directory->nve_end; i++) {
		const struct nve *nve = directory->nves[i];

		if (nve && nve->connected && nve->acked < nve->sent)
			return false;
	}
	return true;
}

int directory_next_output(struct directory *directory, struct directory_output **ret_output)
{
	struct directory_output *output;

	/* A snapshot begins before changes are told, so that nothing comes before it. */
	while (TAILQ_EMPTY(&directory->outputs) && snapshot_begin_one(directory))
		;
	while (TAILQ_EMPTY(&directory->outputs) && !directory->changes_held &&
	       !TAILQ_EMPTY(&directory->vnis_to_tell))
		tell_vni(directory, TAILQ_FIRST(&directory->vnis_to_tell));
	if (TAILQ_EMPTY(&directory->outputs))
		(void) snapshot_continue_one(directory);
	if (directory->out_of_memory)
		return -ENOMEM;
	output = unqueue_output(directory);
	if (!output)
		return 0;
	*ret_output = output;
	return 1;
}
