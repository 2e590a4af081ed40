/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/agent_pull.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "nva/digest.h"
#include "nveagent/agent_private.h"

struct puller {
	struct agent_vn *vn;
	struct loop_timer *timer;
	uint32_t at; /* vn_walk()'s, of the present look */
	unsigned age_s;
	uint64_t dropped;
};

/* Endpoints on their way to the NVA, a full message at a time. */
struct held_list {
	struct agent_vn *vn;
	struct nvo3_message message;
	struct mapping *endpoints; /* NVO3_BATCH_MAX */
};

static void send_list(struct held_list *listing)
{
	listing->message.id = nva_link_next_id(listing->vn->agent->nva);
	(void) nva_link_send(listing->vn->agent->nva, &listing->message);
	listing->message.removed_count = 0;
}

static int begin_list(struct held_list *listing, struct agent_vn *vn)
{
	*listing = (struct held_list){
		.vn = vn,
		.message = { .kind = NVO3_SUBSCRIBE, .vni = vn->devices.vni },
		.endpoints = malloc(NVO3_BATCH_MAX * sizeof(*listing->endpoints)),
	};
	listing->message.removed = listing->endpoints;
	return listing->endpoints ? 0 : -ENOMEM;
}

static void add_mac(struct held_list *listing, struct mac mac)
{
	if (listing->message.removed_count == NVO3_BATCH_MAX) {
		listing->message.more = true;
		send_list(listing);
		listing->message.more = false;
	}
	listing->endpoints[listing->message.removed_count++] = (struct mapping){
		.vni = listing->vn->devices.vni,
		.mac = mac,
	};
}

/* --- in a new session --- */

static void add_held(void *userdata, const struct mapping *mapping)
{
	struct held_list *listing = userdata;

	if (ip_cmp(mapping->vtep, listing->vn->agent->config->vtep) != 0)
		add_mac(listing, mapping->mac);
}

/* What is known already need not come again. */
static void subscribe_to_all(struct agent_vn *vn, uint32_t features)
{
	uint8_t sums[DIGEST_BUCKETS_SIZE];
	struct nvo3_message message = {
		.kind = NVO3_SUBSCRIBE,
		.id = nva_link_next_id(vn->agent->nva),
		.vni = vn->devices.vni,
	};

	vn_set_pull(vn->vn, false);
	if ((features & NVO3_FEATURE_DIGEST) && vn_digest(vn->vn, sums)) {
		message.digest = sums;
		message.digest_size = sizeof(sums);
	}
	(void) nva_link_send(vn->agent->nva, &message);
}

void agent_pull_subscribe(struct agent_vn *vn, uint32_t features)
{
	struct held_list listing;

	if (vn->puller && !(features & NVO3_FEATURE_PULL))
		log_warning("VNI %u: this NVA cannot be pulled from; it will push everything",
			    vn->devices.vni);
	if (!vn->puller || !(features & NVO3_FEATURE_PULL)) {
		subscribe_to_all(vn, features);
		return;
	}
	if (begin_list(&listing, vn) < 0) {
		log_warning("VNI %u: out of memory: everything will be pushed", vn->devices.vni);
		subscribe_to_all(vn, features);
		return;
	}
	vn_set_pull(vn->vn, true);
	listing.message.pull = true;
	vn_each(vn->vn, add_held, &listing);
	send_list(&listing);
	free(listing.endpoints);
}

/* --- what is not used any more --- */

/* The kernel's VXLAN device notes when an entry last sent a frame (vxlan_find_mac()). */
static bool is_idle(const struct puller *puller, const struct kernel_lookup *lookup)
{
	return lookup->found && lookup->actual.ours && lookup->actual.idle_s >= puller->age_s;
}

static int drop_idle(struct puller *puller, const struct mapping *held, size_t count)
{
	struct kernel_lookup lookups[KERNEL_LOOKUPS_MAX];
	struct mapping dropped[KERNEL_LOOKUPS_MAX];
	struct agent_vn *vn = puller->vn;
	struct nvo3_message drop = { .kind = NVO3_DROP,
				     .vni = vn->devices.vni,
				     .removed = dropped };
	int r;

	for (size_t i = 0; i < count; i++)
		lookups[i].asked =
			(struct fdb_entry){ .layer = FDB_LAYER_VXLAN, .mac = held[i].mac };
	r = kernel_look(vn->agent->kernel, &vn->devices, lookups, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (is_idle(puller, &lookups[i]) && vn_forget(vn->vn, held[i].mac))
			dropped[drop.removed_count++] =
				(struct mapping){ .vni = drop.vni, .mac = held[i].mac };
	if (drop.removed_count == 0)
		return 0;
	puller->dropped += drop.removed_count;
	drop.id = nva_link_next_id(vn->agent->nva);
	(void) nva_link_send(vn->agent->nva, &drop);
	agent_vn_flush_soon(vn);
	return 0;
}

static void look_again_later(struct puller *puller)
{
	puller->at = 0;
	(void) loop_timer_start(puller->timer, puller->age_s * UINT64_C(1000000) / PULL_LOOKS);
}

/*
 * A piece of a look at all that is held, each time the loop comes round. Without a session the NVA
 * could not be told: what is held then stays held.
 */
static void on_timer(void *userdata)
{
	struct puller *puller = userdata;
	struct mapping mappings[KERNEL_LOOKUPS_MAX];
	const struct agent_vn *vn = puller->vn;
	bool more = false;
	size_t count;
	int r = 0;

	if (nva_link_is_up(vn->agent->nva) && vn_is_synced(vn->vn)) {
		more = vn_walk(vn->vn, &puller->at, mappings, KERNEL_LOOKUPS_MAX, &count);
		r = drop_idle(puller, mappings, count);
	}
	if (r < 0)
		log_warning("VNI %u: cannot see which entries are in use: %s; keeping all",
			    vn->devices.vni, strerror(-r));
	if (r == 0 && more)
		(void) loop_timer_start(puller->timer, 0);
	else
		look_again_later(puller);
}

/* --- life --- */

int agent_pull_new(struct agent_vn *vn, unsigned age_s, struct puller **ret_puller)
{
	struct puller *puller = calloc(1, sizeof(*puller));

	if (!puller)
		return -ENOMEM;
	puller->vn = vn;
	puller->age_s = age_s;
	puller->timer = loop_timer_new(vn->agent->loop, on_timer, puller);
	if (!puller->timer) {
		(void) agent_pull_free(puller);
		return -ENOMEM;
	}
	look_again_later(puller);
	*ret_puller = puller;
	return 0;
}

struct puller *agent_pull_free(struct puller *puller)
{
	if (!puller)
		return NULL;
	puller->timer = loop_timer_free(puller->timer);
	free(puller);
	return NULL;
}

uint64_t agent_pull_dropped(const struct puller *puller)
{
	return puller ? puller->dropped : 0;
}
