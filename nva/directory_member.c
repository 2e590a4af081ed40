// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_member.c - NVEs, their sessions and the VNIs they take part in.
 *
 *                      session                 session of the same name and VTEP
 *   unknown ── HELLO ──▶ connected ── ends ──▶ leased, stale ── HELLO ──▶ connected ...
 *                          │                     │ (directory_lease.c)
 *                          │ resync_end_us       │
 *                          ▼                     ▼
 *             what the NVE has not           everything of it is
 *             confirmed by then is removed   removed; unknown again
 *
 * A member that has no session, or has not subscribed in its present one, is still shown to the
 * others (its VMs run), but is sent nothing and waited for by nobody: when it comes back it gets a
 * snapshot.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nva/directory_internal.h"

/* --- members --- */

static uint64_t hash_of_nve(const struct directory *directory, const struct nve *nve)
{
	return table_hash(directory->config.hash_seed, &nve->id, sizeof(nve->id));
}

struct member *member_find(const struct directory *directory, const struct vni *vni,
			   const struct nve *nve)
{
	struct table_link *link = table_first(&vni->member_table, hash_of_nve(directory, nve));

	for (; link; link = table_older(link)) {
		struct member *member = TABLE_ITEM(link, struct member, link);

		if (member->nve == nve)
			return member;
	}
	return NULL;
}

struct member *member_new(struct directory *directory, struct vni *vni, struct nve *nve)
{
	struct member *member = calloc(1, sizeof(*member));

	if (!member ||
	    table_add(&vni->member_table, &member->link, hash_of_nve(directory, nve)) < 0) {
		directory->out_of_memory = true;
		free(member);
		return NULL;
	}
	member->vni = vni;
	member->nve = nve;
	TAILQ_INSERT_TAIL(&vni->members, member, of_vni);
	TAILQ_INSERT_TAIL(&nve->members, member, of_nve);
	vni->member_count++;
	nve->member_count++;
	vni->members_version++;
	journal_member(directory, member);
	tell_later(directory, vni);
	return member;
}

void entry_expire(struct directory *directory, uint64_t now_us, struct vni *vni,
		  struct entry *entry)
{
	struct mac mac = entry->mac;

	entry_remove(directory, now_us, vni, entry);
	directory->counters[COUNTER_EXPIRED]++;
	moves_owner_left(directory, now_us, vni, mac);
}

static void remove_entries_of(struct directory *directory, uint64_t now_us, struct member *member)
{
	while (member->first_entry)
		entry_expire(directory, now_us, member->vni,
			     pool_at(&member->vni->pool, member->first_entry));
}

void member_remove(struct directory *directory, uint64_t now_us, struct member *member)
{
	struct vni *vni = member->vni;

	/* First the moves to it, so that none of them is granted by the removal of what it owns. */
	moves_member_left(directory, vni, member->nve);
	remove_entries_of(directory, now_us, member);
	moves_member_left(directory, vni, member->nve);
	handovers_member_left(directory, vni, member->nve);
	convergences_member_left(vni, member->nve);

	journal_member_gone(directory, member);
	pull_end(directory, member);
	resync_end(member);
	snapshot_end(directory, member);
	table_remove(&vni->member_table, &member->link);
	TAILQ_REMOVE(&vni->members, member, of_vni);
	TAILQ_REMOVE(&member->nve->members, member, of_nve);
	vni->member_count--;
	member->nve->member_count--;
	vni->members_version++;
	free(member);
	tell_later(directory, vni);
}

static void refuse_subscription(struct directory *directory, struct nve *nve, uint32_t number,
				const char *cap)
{
	struct nvo3_message refusal = { .kind = NVO3_MEMBERS, .vni = number };

	(void) snprintf(refusal.text, sizeof(refusal.text), "VNI %u: the NVA has no room for %s",
			number, cap);
	tell(directory, nve, &refusal);
}

void member_subscribe(struct directory *directory, struct nve *nve,
		      const struct nvo3_message *message)
{
	struct vni *vni = vni_get(directory, message->vni);
	struct member *member = vni ? member_find(directory, vni, nve) : NULL;

	if (directory->out_of_memory)
		return;
	if (!vni) {
		refuse_subscription(directory, nve, message->vni, "another VNI");
		return;
	}
	if (!member && vni->member_count >= DIRECTORY_VNI_MEMBERS_MAX) {
		refuse_subscription(directory, nve, message->vni, "another NVE in it");
		return;
	}
	if (!member)
		member = member_new(directory, vni, nve);
	if (!member)
		return;
	if (message->pull)
		pull_subscribe(directory, member, message);
	else
		pull_end(directory, member);
	resync_subscribe(directory, member, message);
	if (!member->pull || !member->pull->listing)
		snapshot_ask(directory, member);
}

/* --- NVEs --- */

static void end_session(struct directory *directory, struct nve *nve)
{
	struct member *member;

	tell_no_more(directory, nve);
	moves_session_ended(directory, nve);
	nve->connected = false;
	nve->acked = 0;
	nve->sent = 0;
	nve->resync_end_us = 0;
	TAILQ_FOREACH(member, &nve->members, of_nve) {
		member->subscribed = false;
		member->members_version = 0;
		if (member->pull)
			member->pull->listing = false;
		resync_end(member);
		snapshot_end(directory, member);
	}
	handovers_confirmed(directory, nve);
	TAILQ_FOREACH(member, &nve->members, of_nve)
		convergences_check(directory, member->vni, false);
}

void directory_disconnect(struct directory *directory, uint64_t now_us, uint32_t nve_id)
{
	struct nve *nve = directory->nves[nve_id];

	end_session(directory, nve);
	nve->lease_end_us = now_us + directory->config.lease_us;
}

static struct nve *find_nve(const struct directory *directory, const char *name, struct ip vtep)
{
	for (size_t i = 0; i < directory->nve_end; i++) {
		struct nve *nve = directory->nves[i];

		if (nve && (strcmp(nve->name, name) == 0 || ip_cmp(nve->vtep, vtep) == 0))
			return nve;
	}
	return NULL;
}

static uint64_t hash_of_name(const struct directory *directory, const char *name)
{
	return table_hash(directory->config.hash_seed, name, strlen(name));
}

struct nve *nve_find(const struct directory *directory, const char *name)
{
	struct table_link *link = table_first(&directory->nve_names, hash_of_name(directory, name));

	for (; link; link = table_older(link)) {
		struct nve *nve = TABLE_ITEM(link, struct nve, by_name);

		if (strcmp(nve->name, name) == 0)
			return nve;
	}
	return NULL;
}

void nve_set_incarnation(struct nve *nve, uint64_t incarnation)
{
	nve->epoch += nve->incarnation != incarnation;
	nve->incarnation = incarnation;
}

int nve_new(struct directory *directory, const char *name, struct ip vtep, struct nve **ret_nve)
{
	struct nve *nve;
	uint32_t id = 0;

	while (id < DIRECTORY_NVES_MAX && directory->nves[id])
		id++;
	if (id == DIRECTORY_NVES_MAX)
		return -ENOSPC;
	nve = calloc(1, sizeof(*nve));
	if (!nve ||
	    table_add(&directory->nve_names, &nve->by_name, hash_of_name(directory, name)) < 0) {
		free(nve);
		return -ENOMEM;
	}

	nve->id = id;
	(void) snprintf(nve->name, sizeof(nve->name), "%s", name);
	nve->vtep = vtep;
	TAILQ_INIT(&nve->members);
	TAILQ_INIT(&nve->handovers);
	directory->nves[id] = nve;
	if (id >= directory->nve_end)
		directory->nve_end = id + 1;
	*ret_nve = nve;
	return 0;
}

static void explain_conflict(const struct nve *nve, uint64_t now_us,
			     const struct nvo3_message *hello, char *text)
{
	char vtep[IP_TEXT_SIZE], until[64] = "is connected";

	if (!nve->connected)
		(void) snprintf(until, sizeof(until), "keeps them for another %llu s",
				(unsigned long long) (nve->lease_end_us - now_us + 999999) /
					1000000);
	(void) snprintf(text, NVO3_TEXT_MAX + 1, "%s belongs to NVE %s (%s), which %s",
			strcmp(nve->name, hello->name) == 0 ? "this name" : "this VTEP", nve->name,
			ip_text(nve->vtep, vtep), until);
}

static bool is_same(const struct nve *nve, const struct nvo3_message *hello)
{
	return strcmp(nve->name, hello->name) == 0 && ip_cmp(nve->vtep, hello->vtep) == 0;
}

/* Finds the NVE that says @hello, or makes it. */
static int identify(struct directory *directory, uint64_t now_us, const struct nvo3_message *hello,
		    struct nve **ret_nve, char *reterr_text)
{
	struct nve *nve;
	int r;

	while ((nve = find_nve(directory, hello->name, hello->vtep)) && !is_same(nve, hello) &&
	       nve_has_ended(nve, now_us))
		nve_expire(directory, now_us, nve); /* its host has another name, or address, now */
	if (nve && !is_same(nve, hello)) {
		explain_conflict(nve, now_us, hello, reterr_text);
		return -EEXIST;
	}
	if (nve) {
		*ret_nve = nve;
		return 0;
	}
	r = nve_new(directory, hello->name, hello->vtep, ret_nve);
	if (r == -ENOSPC && nve_make_room(directory, now_us))
		r = nve_new(directory, hello->name, hello->vtep, ret_nve);
	if (r == -ENOSPC)
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1,
				"the NVA has no room for more than %d NVEs", DIRECTORY_NVES_MAX);
	return r;
}

static void begin_session(struct directory *directory, uint64_t now_us, struct nve *nve,
			  const struct nvo3_message *hello)
{
	struct nvo3_message welcome = {
		.kind = NVO3_WELCOME,
		.id = hello->id,
		.version = NVO3_VERSION,
		.incarnation = directory->config.incarnation,
		.features = NVO3_FEATURE_PULL | NVO3_FEATURE_DIGEST | NVO3_FEATURE_ASK_CONVERGED,
	};

	nve->connected = true;
	nve->stale = false;
	nve->session++;
	if (nve->role != hello->role || nve->incarnation != hello->incarnation ||
	    !nve->journalled) {
		nve->role = hello->role;
		nve_set_incarnation(nve, hello->incarnation);
		journal_nve(directory, nve);
		nve->journalled = true;
	}
	nve->held = false;
	nve->resync_end_us = now_us + directory->config.lease_us;
	memcpy(welcome.name, directory->config.name, sizeof(welcome.name));
	tell(directory, nve, &welcome);
	moves_owner_back(directory, now_us, nve);
	moves_ask_again(directory, nve);
}

int directory_connect(struct directory *directory, uint64_t now_us,
		      const struct nvo3_message *hello, uint32_t *ret_nve, bool *ret_replaced,
		      char *reterr_text)
{
	struct nve *nve = NULL;
	bool replaced;
	int r;

	if (hello->version != NVO3_VERSION) {
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1,
				"version %u is not spoken here, %d is", hello->version,
				NVO3_VERSION);
		return -EPROTO;
	}
	r = directory_tick(directory, now_us); /* whose lease has ended is in nobody's way */
	if (r == 0)
		r = identify(directory, now_us, hello, &nve, reterr_text);
	if (r != 0)
		return r;

	replaced = nve->connected;
	if (replaced)
		end_session(directory, nve);
	begin_session(directory, now_us, nve, hello);
	if (directory->out_of_memory)
		return -ENOMEM;
	*ret_nve = nve->id;
	*ret_replaced = replaced;
	return 0;
}

void directory_hold(struct directory *directory, uint32_t nve_id, bool held)
{
	directory->nves[nve_id]->held = held;
}
