/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/agent_pull.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "nva/digest.h"
#include "nveagent/agent_private.h"
#include "nveagent/kernel_fdb.h"

struct puller {
	struct agent_vn *vn;
	struct loop_timer *timer;
	unsigned age_s;
	uint64_t dropped;
};

/* Endpoints on their way to the NVA, a full message at a time. */
struct listing {
	struct agent_vn *vn;
	struct nvo3_message message;
	struct mapping *endpoints; /* NVO3_BATCH_MAX */
};

static void send_list(struct listing *listing)
{
	listing->message.id = nva_link_next_id(listing->vn->agent->nva);
	(void) nva_link_send(listing->vn->agent->nva, &listing->message);
	listing->message.removed_count = 0;
}

static int begin_list(struct listing *listing, struct agent_vn *vn, enum nvo3_kind kind)
{
	*listing = (struct listing){
		.vn = vn,
		.message = { .kind = kind, .vni = vn->devices.vni },
		.endpoints = malloc(NVO3_BATCH_MAX * sizeof(*listing->endpoints)),
	};
	listing->message.removed = listing->endpoints;
	return listing->endpoints ? 0 : -ENOMEM;
}

static void add_mac(struct listing *listing, struct mac mac)
{
	if (listing->message.removed_count == NVO3_BATCH_MAX) {
		listing->message.more = listing->message.kind == NVO3_SUBSCRIBE;
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
	struct listing *listing = userdata;

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
	struct listing listing;

	if (vn->puller && !(features & NVO3_FEATURE_PULL))
		log_warning("VNI %u: this NVA cannot be pulled from; it will push everything",
			    vn->devices.vni);
	if (!vn->puller || !(features & NVO3_FEATURE_PULL)) {
		subscribe_to_all(vn, features);
		return;
	}
	if (begin_list(&listing, vn, NVO3_SUBSCRIBE) < 0) {
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
static bool is_idle(const struct puller *puller, const struct fdb_entry *entry)
{
	return entry->layer == FDB_LAYER_VXLAN && entry->ours && !mac_is_zero(entry->mac) &&
	       entry->ifindex == puller->vn->devices.vxlan_ifindex &&
	       entry->idle_s >= puller->age_s;
}

static int drop_idle(struct puller *puller)
{
	_cleanup_(fdb_table_freep) struct fdb_table *actual = fdb_table_new();
	struct agent_vn *vn = puller->vn;
	const struct fdb_entry *entries;
	struct listing listing;
	uint64_t before = puller->dropped;
	int r = actual ? kernel_fdb_dump(vn->agent->kernel, &vn->devices, actual) : -ENOMEM;

	if (r == 0)
		r = begin_list(&listing, vn, NVO3_DROP);
	if (r < 0)
		return r;
	entries = fdb_table_entries(actual);
	for (size_t i = 0; i < fdb_table_count(actual); i++) {
		if (!is_idle(puller, &entries[i]) || !vn_forget(vn->vn, entries[i].mac))
			continue;
		add_mac(&listing, entries[i].mac);
		puller->dropped++;
	}
	if (listing.message.removed_count > 0) {
		send_list(&listing);
		log_debug("VNI %u: dropped %" PRIu64 " mappings that were not used for %u s",
			  vn->devices.vni, puller->dropped - before, puller->age_s);
		agent_vn_flush(vn);
	}
	free(listing.endpoints);
	return 0;
}

static void look_again_later(struct puller *puller)
{
	(void) loop_timer_start(puller->timer, puller->age_s * UINT64_C(1000000) / PULL_LOOKS);
}

/* Without a session the NVA could not be told: what is held then stays held. */
static void on_timer(void *userdata)
{
	struct puller *puller = userdata;
	int r = 0;

	if (nva_link_is_up(puller->vn->agent->nva) && vn_is_synced(puller->vn->vn))
		r = drop_idle(puller);
	if (r < 0)
		log_warning("VNI %u: cannot see which entries are in use: %s; keeping all",
			    puller->vn->devices.vni, strerror(-r));
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
