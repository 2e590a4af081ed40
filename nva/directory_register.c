// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_register.c - who may have a MAC: registrations and withdrawals (draft-ietf-nvo3-vmm
 * sections 4.2 and 6).
 */
#include <stdio.h>
#include <string.h>

#include "nva/directory_internal.h"

static bool is_learned(uint32_t flags)
{
	return (flags & (MAPPING_LEARNED | MAPPING_VM)) == MAPPING_LEARNED;
}

/*
 * A learned endpoint has no owner who could be asked: whoever sees it last, or knows it as a VM,
 * has it. Any other is given up only by its owner, or by the end of its owner's lease.
 */
uint64_t generation_free(const struct directory *directory, uint64_t now_us, const struct vni *vni,
			 const struct entry *entry, const struct mapping *mapping)
{
	if (!entry)
		return generation_next(directory, vni->number, mapping->mac, mapping->generation);
	if (nve_has_ended(entry_owner(directory, entry), now_us) || is_learned(entry->flags))
		return entry->generation + 1;
	return 0;
}

/* Makes @entry what @mapping says; true when that changed anything. */
static bool entry_describe(struct directory *directory, struct vni *vni, struct entry *entry,
			   const struct mapping *mapping)
{
	bool changed = entry_set_addresses(directory, vni, entry, mapping->ips, mapping->ip_count);

	changed |= entry->flags != mapping->flags || uuid_cmp(entry->vm, mapping->vm) != 0;
	entry->flags = (uint8_t) mapping->flags;
	entry->vm = mapping->vm;
	return changed;
}

/* An NVE that has just got a VM may not know its addresses yet; the directory does. */
static void add_known(const struct directory *directory, struct mapping *mapping,
		      const struct entry *entry)
{
	size_t max = directory->config.limits.mapping_addresses;

	if (mapping->ip_count < max)
		mapping->ip_count += (uint8_t) entry_ips(entry, mapping->ips + mapping->ip_count,
							 max - mapping->ip_count);
	if (uuid_is_none(mapping->vm))
		mapping->vm = entry->vm;
	if (mapping->flags == 0)
		mapping->flags = entry->flags;
}

bool is_another_vm(const struct entry *entry, const struct mapping *mapping)
{
	return !uuid_is_none(entry->vm) && !uuid_is_none(mapping->vm) &&
	       uuid_cmp(entry->vm, mapping->vm) != 0;
}

struct entry *entry_assign(struct directory *directory, struct member *member, struct entry *entry,
			   const struct mapping *mapping, uint64_t generation)
{
	struct mapping merged;

	if (entry && !is_another_vm(entry, mapping)) {
		merged = *mapping;
		add_known(directory, &merged, entry);
		mapping = &merged;
	}
	if (entry) {
		digest_leave(directory, member->vni, entry);
		entry_set_owner(directory, entry, member);
	} else {
		entry = entry_new(directory, member, mapping->mac);
	}
	if (!entry)
		return NULL;
	entry->generation = generation;
	entry->epoch = member->nve->epoch;
	(void) entry_describe(directory, member->vni, entry, mapping);
	digest_enter(directory, member->vni, entry);
	journal_entry(directory, member->vni, entry);
	tell_entry_later(directory, member->vni, entry);
	return entry;
}

bool is_over_a_limit(const struct directory *directory, const struct member *member,
		     const struct entry *entry, const struct mapping *mapping, char *reterr_text)
{
	const struct directory_limits *limits = &directory->config.limits;
	const size_t size = NVO3_TEXT_MAX + 1;

	if (mapping->ip_count > limits->mapping_addresses)
		(void) snprintf(reterr_text, size, "the NVA keeps at most %u addresses of a MAC",
				limits->mapping_addresses);
	else if (entry && entry->owner == member->nve->id)
		return false;
	else if (!entry && member->vni->by_mac.count >= limits->vni_mappings)
		(void) snprintf(reterr_text, size,
				"VNI %u: the NVA has no room for more than %u mappings",
				member->vni->number, limits->vni_mappings);
	else if (member->nve->entry_count >= limits->nve_mappings)
		(void) snprintf(reterr_text, size,
				"the NVA has no room for more than %u mappings of one NVE",
				limits->nve_mappings);
	else
		return false;
	return true;
}

/* --- one registration --- */

static void explain_owner(const struct directory *directory, const struct entry *entry,
			  uint32_t vni, char *text)
{
	const struct nve *owner = entry_owner(directory, entry);
	char mac[MAC_TEXT_SIZE], vtep[IP_TEXT_SIZE];

	(void) snprintf(
		text, NVO3_TEXT_MAX + 1,
		"%s in VNI %u belongs to NVE %s (%s)%s: it must withdraw it or consent to a "
		"move",
		mac_text(entry->mac, mac), vni, owner->name, ip_text(owner->vtep, vtep),
		owner->connected ? "" : ", whose lease has not ended");
}

void entry_confirm(struct directory *directory, const struct member *member, struct entry *entry)
{
	if (entry->epoch == member->nve->epoch)
		return;
	entry->epoch = member->nve->epoch;
	journal_entry(directory, member->vni, entry);
}

/*
 * The present owner says it again: only what is new is told. An NVE that has started anew does not
 * know the addresses of a VM that says nothing; it is told them, and withdraws what is wrong.
 */
static struct entry *refresh(struct directory *directory, const struct member *member,
			     const struct mapping *mapping, struct entry *entry)
{
	bool confirmed = entry->epoch == member->nve->epoch, changed;
	struct mapping merged;

	if (!confirmed && !is_another_vm(entry, mapping)) {
		merged = *mapping;
		add_known(directory, &merged, entry);
		mapping = &merged;
	}
	entry->epoch = member->nve->epoch;
	digest_leave(directory, member->vni, entry);
	changed = entry_describe(directory, member->vni, entry, mapping);
	digest_enter(directory, member->vni, entry);
	if (changed || !confirmed)
		journal_entry(directory, member->vni, entry);
	if (changed)
		tell_entry_later(directory, member->vni, entry);
	return entry;
}

static struct entry *take_over(struct directory *directory, uint64_t now_us, struct member *member,
			       const struct mapping *mapping, struct entry *entry, bool *ret_taken,
			       char *reterr_text)
{
	uint64_t generation = generation_free(directory, now_us, member->vni, entry, mapping);

	if (entry && generation == 0) {
		explain_owner(directory, entry, mapping->vni, reterr_text);
		return NULL;
	}
	*ret_taken = true;
	return entry_assign(directory, member, entry, mapping, generation);
}

/*
 * The entry as it is registered now, or NULL with the reason in @reterr_text. @member: the sender
 * in the mapping's VNI, or NULL. *ret_taken: its owner is another than before.
 */
static struct entry *judge(struct directory *directory, uint64_t now_us, const struct nve *nve,
			   struct member *member, const struct mapping *mapping, bool *ret_taken,
			   char *reterr_text)
{
	struct entry *entry = member ? entry_find(directory, member->vni, mapping->mac) : NULL;
	const size_t size = NVO3_TEXT_MAX + 1;

	*ret_taken = false;
	if (!member)
		(void) snprintf(reterr_text, size, "this NVE has not subscribed to VNI %u",
				mapping->vni);
	else if (!ip_is_none(mapping->vtep) && ip_cmp(mapping->vtep, nve->vtep) != 0)
		(void) snprintf(reterr_text, size,
				"the mapping names a VTEP that is not the sender's");
	else if (mapping->generation > DIRECTORY_CLAIM_MAX)
		(void) snprintf(reterr_text, size, "no generation is that high");
	else if (is_over_a_limit(directory, member, entry, mapping, reterr_text))
		return NULL;
	else if (entry && entry->owner == nve->id)
		return refresh(directory, member, mapping, entry);
	else
		return take_over(directory, now_us, member, mapping, entry, ret_taken, reterr_text);
	return NULL;
}

static struct member *find_sender(const struct directory *directory, const struct nve *nve,
				  uint32_t number)
{
	const struct vni *vni = vni_find(directory, number);

	return vni ? member_find(directory, vni, nve) : NULL;
}

/* --- REGISTER --- */

void registration_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		       const struct nvo3_message *message)
{
	const struct mapping *mapping = &message->mappings[0];
	struct member *member = find_sender(directory, nve, mapping->vni);
	struct nvo3_message reply = {
		.kind = NVO3_REGISTERED,
		.id = message->id,
		.vni = mapping->vni,
		.mac = mapping->mac,
	};
	bool taken;
	struct entry *entry = judge(directory, now_us, nve, member, mapping, &taken, reply.text);

	reply.granted = entry != NULL;
	reply.generation = entry ? entry->generation : 0;
	directory->counters[entry ? COUNTER_REGISTERED : COUNTER_REFUSED]++;
	tell(directory, nve, &reply);
	if (entry && taken)
		moves_owner_changed(directory, now_us, member->vni, entry);
}

/* --- REGISTER_BATCH --- */

/*
 * A million mappings do not stand in a cache: the memory for one that comes later is asked for
 * while this one waits for its own.
 */
static void prefetch(const struct directory *directory, const struct member *member,
		     const struct nvo3_message *message, size_t index)
{
	if (index < message->mapping_count && member &&
	    member->vni->number == message->mappings[index].vni)
		entry_prefetch(directory, member->vni, &message->mappings[index]);
}

/* Adds why the mapping at @index of a batch was refused. */
static void add_refusal(struct directory *directory, struct nvo3_message *reply, size_t index,
			const char *reason)
{
	struct nvo3_refusal *refusals =
		realloc(reply->refusals, (reply->refusal_count + 1) * sizeof(*refusals));

	if (!refusals) {
		directory->out_of_memory = true;
		return;
	}
	reply->refusals = refusals;
	refusals[reply->refusal_count].index = (uint32_t) index;
	(void) snprintf(refusals[reply->refusal_count].text, sizeof(refusals->text), "%s", reason);
	reply->refusal_count++;
}

/* Each mapping is judged alone, in order; a generation is what has been given, 0: refused. */
static void judge_batch(struct directory *directory, uint64_t now_us, struct nve *nve,
			const struct nvo3_message *message, struct nvo3_message *reply)
{
	enum { AHEAD = 8 }; /* mappings; each asks for some six lines of the cache */
	struct member *member = NULL;
	char reason[NVO3_TEXT_MAX + 1];

	for (size_t i = 0; i < message->mapping_count; i++) {
		const struct mapping *mapping = &message->mappings[i];
		struct entry *entry;
		bool taken;

		if (!member || member->vni->number != mapping->vni)
			member = find_sender(directory, nve, mapping->vni);
		prefetch(directory, member, message, i + AHEAD);
		entry = judge(directory, now_us, nve, member, mapping, &taken, reason);
		reply->generations[i] = entry ? entry->generation : 0;
		directory->counters[entry ? COUNTER_REGISTERED : COUNTER_REFUSED]++;
		if (!entry)
			add_refusal(directory, reply, i, reason);
		else if (taken)
			moves_owner_changed(directory, now_us, member->vni, entry);
	}
}

void batch_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message)
{
	struct nvo3_message reply = {
		.kind = NVO3_BATCH_REGISTERED,
		.id = message->id,
		.generations = malloc((message->mapping_count + 1) * sizeof(*reply.generations)),
		.generation_count = message->mapping_count,
	};

	if (!reply.generations) {
		directory->out_of_memory = true;
		return;
	}
	judge_batch(directory, now_us, nve, message, &reply);
	tell(directory, nve, &reply);
}

/* --- WITHDRAW --- */

/*
 * An NVE that withdraws before it was told the generation says 0. What it was about to get goes,
 * too.
 */
void withdrawal_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		     const struct nvo3_message *message)
{
	struct vni *vni = vni_find(directory, message->vni);
	struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;

	if (vni)
		moves_withdrawn(directory, vni, nve, message->mac);
	if (!entry || entry->owner != nve->id)
		return;
	if (message->generation != 0 && message->generation != entry->generation)
		return;
	entry_remove(directory, now_us, vni, entry);
	directory->counters[COUNTER_WITHDRAWN]++;
	moves_owner_left(directory, now_us, vni, message->mac);
}
