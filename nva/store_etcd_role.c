// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store_etcd_role.c - what this NVA is among several: whatever is heard becomes an input of
 * leader.h, and what that says is done.
 */
#include "nva/store_etcd_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

static void take_input(struct etcd_store *store, enum leader_input input);

/* --- what a change of state brings --- */

const char *store_etcd_name_leader(struct etcd_store *store)
{
	const struct etcd_leader *leader = etcd_seat_leader(store->seat);
	char address[ENDPOINT_TEXT_SIZE];

	if (!leader->revision || etcd_seat_is_ours(store->seat))
		(void) snprintf(store->elsewhere, sizeof(store->elsewhere),
				"this NVA (%s) is %s; nobody leads yet", store->name,
				leader_state_name(store->state));
	else if (ip_is_none(leader->ip))
		(void) snprintf(store->elsewhere, sizeof(store->elsewhere),
				"this NVA (%s) stands by; another one leads", store->name);
	else
		(void) snprintf(store->elsewhere, sizeof(store->elsewhere),
				"this NVA (%s) stands by; %s leads, at %s", store->name,
				leader->name, endpoint_text(leader->ip, leader->port, address));
	return store->elsewhere;
}

static void do_nothing(struct etcd_store *store)
{
}

static void do_load(struct etcd_store *store)
{
	etcd_feed_load(store->feed);
}

static void do_take(struct etcd_store *store)
{
	etcd_seat_take(store->seat);
}

static void do_follow(struct etcd_store *store)
{
	const struct etcd_leader *leader = etcd_seat_leader(store->seat);

	if (leader->revision && !etcd_seat_is_ours(store->seat))
		peer_link_follow(store->peer, leader->ip, leader->port);
	else
		etcd_seat_poll(store->seat); /* as it was not known while this NVA was loading */
}

static void fail(struct etcd_store *store, const char *text)
{
	store->health = STORE_FAILED;
	(void) snprintf(store->text, sizeof(store->text), "%s", text);
	etcd_feed_stop(store->feed);
}

static void do_serve(struct etcd_store *store)
{
	_cleanup_(etcd_batch_clear) struct etcd_batch pending = { 0 };
	struct etcd_fence fence = {
		.leader_revision = etcd_seat_leader(store->seat)->revision,
	};
	int r;

	peer_link_follow(store->peer, (struct ip){ 0 }, 0);
	etcd_feed_fence(store->feed, &fence, &pending);
	etcd_feed_stop(store->feed);
	store->takeovers++;
	store->since_us = clock_monotonic_us();
	r = etcd_writer_begin(store->writer, &fence, &pending);
	if (r == 0)
		r = store->events->lead(store->userdata);
	if (r < 0)
		fail(store, "Cannot take the lead: out of memory");
}

static void do_step_down(struct etcd_store *store)
{
	store->since_us = clock_monotonic_us();
	store->fenced_until_us = 0;
	etcd_writer_end(store->writer);
	if (etcd_seat_is_ours(store->seat))
		etcd_seat_leave(store->seat);
	store->events->follow(store->userdata, store_etcd_name_leader(store));
	etcd_feed_load(store->feed);
}

static void do_give_up(struct etcd_store *store)
{
	etcd_seat_leave(store->seat);
	etcd_feed_load(store->feed);
}

static void (*const actions[LEADER_ACTION_COUNT])(struct etcd_store *store) = {
	[LEADER_DO_NOTHING] = do_nothing, [LEADER_DO_LOAD] = do_load,
	[LEADER_DO_TAKE] = do_take,	  [LEADER_DO_FOLLOW] = do_follow,
	[LEADER_DO_SERVE] = do_serve,	  [LEADER_DO_STEP_DOWN] = do_step_down,
	[LEADER_DO_GIVE_UP] = do_give_up,
};

/* Whether what was written before the lead was taken is all here. */
static void check_caught_up(struct etcd_store *store)
{
	if (store->state == LEADER_CATCHING_UP &&
	    etcd_feed_revision(store->feed) >= etcd_seat_leader(store->seat)->revision)
		take_input(store, LEADER_CAUGHT_UP);
}

static void take_input(struct etcd_store *store, enum leader_input input)
{
	enum leader_state before = store->state;
	enum leader_action action;

	if (store->health == STORE_FAILED || store->ending)
		return;
	action = leader_step(&store->state, input);
	if (before != store->state) {
		log_info("NVA %s: %s, was %s", store->name, leader_state_name(store->state),
			 leader_state_name(before));
		store->behind_us = clock_monotonic_us() + STORE_ETCD_BEHIND_MS * UINT64_C(1000);
	}
	actions[action](store);
	check_caught_up(store);
}

/* --- what feed, seat and peer say --- */

static void note_health(struct etcd_store *store, uint64_t now_us)
{
	const char *writing, *reading;
	uint64_t slow_us = ETCD_SLOW_MS * UINT64_C(1000);
	bool writer_waits = etcd_writer_waits(store->writer, now_us, &writing) > slow_us;
	bool feed_waits = etcd_feed_waits(store->feed, now_us, &reading) > slow_us;
	const char *why = writer_waits ? writing : reading;

	if (store->health == STORE_FAILED)
		return;
	if (store->bad[0]) {
		store->health = STORE_WAITS;
		memcpy(store->text, store->bad, sizeof(store->text));
		return;
	}
	store->health = writer_waits || feed_waits ? STORE_WAITS : STORE_WORKS;
	store->text[0] = '\0';
	if (store->health == STORE_WAITS)
		(void) snprintf(store->text, sizeof(store->text),
				"etcd does not do what it is asked: %s (now at %.100s). Nothing is "
				"acknowledged "
				"until it does",
				why[0] ? why : "no answer", etcd_client_endpoint(store->client));
}

static void on_heard(void *userdata, enum leader_input input)
{
	take_input(userdata, input);
}

static void on_peer_lost(void *userdata)
{
	struct etcd_store *store = userdata;

	log_notice("The process of the NVA that leads is gone");
	take_input(store, LEADER_PEER_LOST);
}

static int on_feed_reset(void *userdata)
{
	struct etcd_store *store = userdata;

	return store->events->reset(store->userdata);
}

static int on_feed_change(void *userdata, const struct change *change, char *reterr_message)
{
	struct etcd_store *store = userdata;

	return store->events->change(store->userdata, change, reterr_message);
}

static void on_feed_loaded(void *userdata)
{
	struct etcd_store *store = userdata;

	store->bad[0] = '\0';
	note_health(store, clock_monotonic_us());
	take_input(store, LEADER_LOADED);
}

static void on_feed_leader(void *userdata, const struct etcd_kv *leader)
{
	etcd_seat_hear(((struct etcd_store *) userdata)->seat, leader);
}

static void on_feed_broken(void *userdata)
{
	log_notice("etcd has compacted what this NVA has not seen: reading everything");
	take_input(userdata, LEADER_BROKEN);
}

/*
 * Nothing is safe to be done about it here, and nothing is changed: whoever leads goes on, and it
 * is an operator's to put it right.
 */
static void on_feed_bad(void *userdata, const char *text)
{
	struct etcd_store *store = userdata;
	char bad[STORE_MESSAGE_SIZE];

	(void) snprintf(bad, sizeof(bad),
			"%.350s. This NVA cannot take the lead until that has been put right; it "
			"looks again every %d s",
			text, ETCD_BAD_MS / 1000);
	if (store->health != STORE_WORKS && strcmp(bad, store->text) != 0)
		log_error("%s", bad); /* else it is logged as what it waits for */
	memcpy(store->bad, bad, sizeof(store->bad));
	note_health(store, clock_monotonic_us());
	take_input(store, LEADER_BROKEN);
}

static void on_feed_foreign(void *userdata, const char *key)
{
	struct etcd_store *store = userdata;

	if (!store->told_of_foreign)
		log_warning("etcd holds %s below this NVA's prefix, which no NVA has written: such "
			    "keys are ignored",
			    key);
	store->told_of_foreign = true;
}

static void on_feed_failed(void *userdata, int error, const char *text)
{
	fail(userdata, text);
}

static const struct etcd_feed_events feed_events = {
	.reset = on_feed_reset,
	.change = on_feed_change,
	.loaded = on_feed_loaded,
	.leader = on_feed_leader,
	.broken = on_feed_broken,
	.bad = on_feed_bad,
	.foreign = on_feed_foreign,
	.failed = on_feed_failed,
};

/* --- time --- */

void store_etcd_tick(struct etcd_store *store)
{
	uint64_t now_us = clock_monotonic_us();

	etcd_feed_tick(store->feed, now_us);
	etcd_seat_tick(store->seat, now_us);
	etcd_writer_tick(store->writer, now_us);
	peer_link_tick(store->peer, now_us);
	etcd_health_tick(store->endpoints, now_us);
	if (store->state == LEADER_CATCHING_UP && now_us > store->behind_us) {
		store->behind_us = now_us + STORE_ETCD_BEHIND_MS * UINT64_C(1000);
		etcd_feed_elsewhere(store->feed);
	}
	if (store->state == LEADER_LEADING && etcd_seat_is_cut_off(store->seat, now_us))
		take_input(store, LEADER_FENCED);
	note_health(store, now_us);
}

void store_etcd_step_aside(struct etcd_store *store)
{
	uint64_t now_us = clock_monotonic_us();

	if (!store->fenced_until_us) {
		store->fenced_until_us = now_us + STORE_ETCD_NAME_MS * UINT64_C(1000);
		etcd_seat_poll(store->seat);
	} else if (now_us > store->fenced_until_us) {
		take_input(store, LEADER_FENCED);
	}
}

/* --- life --- */

int store_etcd_make_parts(struct etcd_store *store)
{
	const struct etcd_seat_config seat = {
		.prefix = store->config->prefix,
		.name = store->name,
		.ip = store->config->ip,
		.port = store->config->port,
		.ttl_s = store->config->ttl_s,
	};

	store->writer = etcd_writer_new(store->client, store->config->prefix);
	store->feed = etcd_feed_new(store->client, store->config->prefix, &feed_events, store);
	store->seat = etcd_seat_new(store->client, &seat, on_heard, store);
	store->peer =
		peer_link_new(store->epoll_fd, WATCHED_PEER, store->name, on_peer_lost, store);
	store->endpoints = etcd_health_new(store->client, &store->config->client);
	return store->writer && store->feed && store->seat && store->peer && store->endpoints
		       ? 0
		       : -ENOMEM;
}
