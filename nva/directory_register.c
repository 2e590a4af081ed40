// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_register.c - who may have a MAC: registrations and withdrawals (draft-ietf-nvo3-vmm
 * sections 4.2 and 6).
 */
#include <stdarg.h>
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
	if (nve_has_ended(entry->owner, now_us) || is_learned(entry->flags))
		return entry->generation + 1;
	return 0;
}

/* Makes @entry what @mapping says; true when that changed anything. */
static bool entry_describe(struct directory *directory, struct entry *entry,
			   const struct mapping *mapping)
{
	bool changed = entry_set_addresses(directory, entry, mapping->ips, mapping->ip_count);

	changed |= entry->flags != mapping->flags || uuid_cmp(entry->vm, mapping->vm) != 0;
	entry->flags = mapping->flags;
	entry->vm = mapping->vm;
	return changed;
}

/* An NVE that has just got a VM may not know its addresses yet; the directory does. */
static void add_known(struct mapping *mapping, const struct entry *entry)
{
	for (size_t i = 0; i < entry->address_count && mapping->ip_count < MAPPING_IPS_MAX; i++)
		mapping->ips[mapping->ip_count++] = entry->addresses[i].ip;
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

struct entry *entry_assign(struct directory *directory, struct vni *vni, struct entry *entry,
			   struct nve *nve, const struct mapping *mapping, uint64_t generation)
{
	struct mapping merged = *mapping;

	if (entry && !is_another_vm(entry, mapping))
		add_known(&merged, entry);
	if (!entry)
		entry = entry_new(directory, vni, mapping->mac);
	if (!entry)
		return NULL;
	entry_set_owner(entry, nve);
	entry->generation = generation;
	entry->incarnation = nve->incarnation;
	(void) entry_describe(directory, entry, &merged);
	journal_entry(directory, entry);
	tell_entry_later(directory, entry);
	return entry;
}

/* --- REGISTER --- */

/* The answer, granted with @entry's generation or, without one, refused with a reason. */
__attribute__((format(printf, 5, 6))) static void
answer(struct directory *directory, const struct nve *nve, const struct nvo3_message *request,
       const struct entry *entry, const char *format, ...)
{
	struct nvo3_message reply = {
		.kind = NVO3_REGISTERED,
		.id = request->id,
		.vni = request->mappings[0].vni,
		.mac = request->mappings[0].mac,
		.granted = entry != NULL,
		.generation = entry ? entry->generation : 0,
	};
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(reply.text, sizeof(reply.text), format, arguments);
	va_end(arguments);
	directory->counters[entry ? COUNTER_REGISTERED : COUNTER_REFUSED]++;
	tell(directory, nve, &reply);
}

static void refuse_for_owner(struct directory *directory, const struct nve *nve,
			     const struct nvo3_message *request, const struct nve *owner)
{
	char mac[MAC_TEXT_SIZE], vtep[IP_TEXT_SIZE];

	answer(directory, nve, request, NULL,
	       "%s in VNI %u belongs to NVE %s (%s)%s: it must withdraw it or consent to a move",
	       mac_text(request->mappings[0].mac, mac), request->mappings[0].vni, owner->name,
	       ip_text(owner->vtep, vtep), owner->connected ? "" : ", whose lease has not ended");
}

/*
 * The present owner says it again: only what is new is told. An NVE that has started anew does not
 * know the addresses of a VM that says nothing; it is told them, and withdraws what is wrong.
 */
static void refresh(struct directory *directory, struct nve *nve,
		    const struct nvo3_message *request, struct entry *entry)
{
	bool confirmed = entry->incarnation == nve->incarnation, changed;
	struct mapping mapping = request->mappings[0];

	if (!confirmed && !is_another_vm(entry, &mapping))
		add_known(&mapping, entry);
	entry->incarnation = nve->incarnation;
	changed = entry_describe(directory, entry, &mapping);
	if (changed || !confirmed)
		journal_entry(directory, entry);
	if (changed)
		tell_entry_later(directory, entry);
	answer(directory, nve, request, entry, "%s", "");
}

static void take_over(struct directory *directory, uint64_t now_us, struct nve *nve,
		      const struct nvo3_message *request, struct vni *vni, struct entry *entry)
{
	const struct mapping *mapping = &request->mappings[0];
	uint64_t generation = generation_free(directory, now_us, vni, entry, mapping);

	if (entry && generation == 0) {
		refuse_for_owner(directory, nve, request, entry->owner);
		return;
	}
	entry = entry_assign(directory, vni, entry, nve, mapping, generation);
	if (!entry) {
		answer(directory, nve, request, NULL,
		       "VNI %u: the NVA has no room for more than %d mappings", vni->number,
		       DIRECTORY_VNI_MAPPINGS_MAX);
		return;
	}
	answer(directory, nve, request, entry, "%s", "");
	moves_owner_changed(directory, now_us, entry);
}

void registration_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		       const struct nvo3_message *message)
{
	const struct mapping *mapping = &message->mappings[0];
	struct vni *vni = vni_find(directory, mapping->vni);
	struct entry *entry = vni ? entry_find(directory, vni, mapping->mac) : NULL;

	if (!vni || !member_find(directory, vni, nve))
		answer(directory, nve, message, NULL, "this NVE has not subscribed to VNI %u",
		       mapping->vni);
	else if (!ip_is_none(mapping->vtep) && ip_cmp(mapping->vtep, nve->vtep) != 0)
		answer(directory, nve, message, NULL,
		       "the mapping names a VTEP that is not the sender's");
	else if (mapping->generation > DIRECTORY_CLAIM_MAX)
		answer(directory, nve, message, NULL, "no generation is that high");
	else if (entry && entry->owner == nve)
		refresh(directory, nve, message, entry);
	else
		take_over(directory, now_us, nve, message, vni, entry);
}

/* --- WITHDRAW --- */

/* An NVE that withdraws before it was told the generation says 0. */
void withdrawal_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		     const struct nvo3_message *message)
{
	struct vni *vni = vni_find(directory, message->vni);
	struct entry *entry = vni ? entry_find(directory, vni, message->mac) : NULL;

	if (!entry || entry->owner != nve)
		return;
	if (message->generation != 0 && message->generation != entry->generation)
		return;
	entry_remove(directory, now_us, entry);
	directory->counters[COUNTER_WITHDRAWN]++;
	moves_owner_left(directory, now_us, vni, message->mac);
}
