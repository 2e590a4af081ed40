// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/store_etcd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "nva/etcd_feed.h"
#include "nva/etcd_seat.h"
#include "nva/etcd_writer.h"
#include "nva/peer_link.h"

/* What the epoll instance wakes for. */
enum watched { WATCHED_CLIENT, WATCHED_TICK, WATCHED_PEER };

/* store_load(), which waits. */
struct loading {
	int (*each)(void *userdata, const struct change *change);
	void *userdata;
	char *message;
	int result;
	bool over;
};

struct etcd_store {
	struct store store; /* first: the interface */
	const struct store_etcd_config *config;
	const char *name;
	int epoll_fd, tick_fd;
	struct etcd_client *client;
	struct etcd_writer *writer;

	/* Of an NVA. */
	const struct store_etcd_events *events;
	void *userdata;
	enum leader_state state;
	struct etcd_feed *feed;
	struct etcd_seat *seat;
	struct peer_link *peer;
	uint64_t
		fenced_until_us; /* 0: the writer is not fenced; else who leads is asked until then */
	uint64_t behind_us;	 /* the watch is begun elsewhere then */
	uint64_t takeovers, since_us;
	bool ending; /* whoever leads from now on, it is not us */
	char elsewhere[NVO3_TEXT_MAX + 1];

	enum store_state health;
	char text[STORE_MESSAGE_SIZE];
	struct loading *loading; /* during store_load() */
};

static struct etcd_store *of(struct store *store)
{
	return (struct etcd_store *) store;
}

static const struct etcd_store *of_const(const struct store *store)
{
	return (const struct etcd_store *) store;
}

static void take_input(struct etcd_store *store, enum leader_input input);

/* --- what a change of state brings --- */

/* Writes who leads to ->elsewhere, and returns that. */
static const char *name_leader(struct etcd_store *store)
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
	store->events->follow(store->userdata, name_leader(store));
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

	return store->loading ? 0 : store->events->reset(store->userdata);
}

static int on_feed_change(void *userdata, const struct change *change, char *reterr_message)
{
	struct etcd_store *store = userdata;

	if (store->loading)
		return store->loading->each(store->loading->userdata, change);
	return store->events->change(store->userdata, change, reterr_message);
}

static void on_feed_loaded(void *userdata)
{
	struct etcd_store *store = userdata;

	if (store->loading)
		store->loading->over = true;
	else
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

static void on_feed_failed(void *userdata, int error, const char *text)
{
	struct etcd_store *store = userdata;

	if (!store->loading) {
		fail(store, text);
		return;
	}
	store->loading->over = true;
	store->loading->result = error;
	if (!store->loading->message[0])
		(void) snprintf(store->loading->message, STORE_MESSAGE_SIZE, "%s", text);
}

static const struct etcd_feed_events feed_events = {
	.reset = on_feed_reset,
	.change = on_feed_change,
	.loaded = on_feed_loaded,
	.leader = on_feed_leader,
	.broken = on_feed_broken,
	.failed = on_feed_failed,
};

static const struct etcd_feed_events load_events = {
	.reset = on_feed_reset,
	.change = on_feed_change,
	.loaded = on_feed_loaded,
	.failed = on_feed_failed,
};

/* --- time --- */

static void note_health(struct etcd_store *store, uint64_t now_us)
{
	const char *writing, *reading;
	uint64_t slow_us = ETCD_SLOW_MS * UINT64_C(1000);
	bool writer_waits = etcd_writer_waits(store->writer, now_us, &writing) > slow_us;
	bool feed_waits = etcd_feed_waits(store->feed, now_us, &reading) > slow_us;
	const char *why = writer_waits ? writing : reading;

	if (store->health == STORE_FAILED)
		return;
	store->health = writer_waits || feed_waits ? STORE_WAITS : STORE_WORKS;
	store->text[0] = '\0';
	if (store->health == STORE_WAITS)
		(void) snprintf(store->text, sizeof(store->text),
				"etcd does not do what it is asked: %s (now at %.100s). Nothing is "
				"acknowledged "
				"until it does",
				why[0] ? why : "no answer", etcd_client_endpoint(store->client));
}

static void tick(struct etcd_store *store)
{
	uint64_t now_us = clock_monotonic_us();

	etcd_feed_tick(store->feed, now_us);
	etcd_seat_tick(store->seat, now_us);
	etcd_writer_tick(store->writer, now_us);
	peer_link_tick(store->peer, now_us);
	if (store->state == LEADER_CATCHING_UP && now_us > store->behind_us) {
		store->behind_us = now_us + STORE_ETCD_BEHIND_MS * UINT64_C(1000);
		etcd_feed_elsewhere(store->feed);
	}
	if (store->state == LEADER_LEADING && etcd_seat_is_cut_off(store->seat, now_us))
		take_input(store, LEADER_FENCED);
	note_health(store, now_us);
}

static void dispatch_one(struct etcd_store *store, enum watched watched)
{
	uint64_t count;

	switch (watched) {
	case WATCHED_CLIENT:
		etcd_client_dispatch(store->client);
		break;
	case WATCHED_TICK:
		if (read(store->tick_fd, &count, sizeof(count)) > 0 && store->events)
			tick(store);
		break;
	case WATCHED_PEER:
		peer_link_dispatch(store->peer);
		break;
	}
}

/* A write was refused. Agents are sent away with the name of whoever leads, if that is soon known. */
static void step_aside(struct etcd_store *store)
{
	uint64_t now_us = clock_monotonic_us();

	if (!store->fenced_until_us) {
		store->fenced_until_us = now_us + STORE_ETCD_NAME_MS * UINT64_C(1000);
		etcd_seat_poll(store->seat);
	} else if (now_us > store->fenced_until_us) {
		take_input(store, LEADER_FENCED);
	}
}

static void etcd_dispatch(struct store *base)
{
	struct etcd_store *store = of(base);
	struct epoll_event events[4];
	int n = epoll_wait(store->epoll_fd, events, ARRAY_SIZE(events), 0);

	for (int i = 0; i < n; i++)
		dispatch_one(store, (enum watched) events[i].data.u32);
	if (store->events && etcd_writer_is_fenced(store->writer))
		step_aside(store);
}

/* --- the interface of a store --- */

/* Goes on until @ms have passed, or what it waits for is there. */
static void turn(struct etcd_store *store, uint64_t deadline_us)
{
	struct pollfd fd = { .fd = store->epoll_fd, .events = POLLIN };
	uint64_t now_us = clock_monotonic_us();

	if (now_us < deadline_us)
		(void) poll(&fd, 1, (int) ((deadline_us - now_us) / 1000) + 1);
	etcd_dispatch(&store->store);
}

static int etcd_load(struct store *base, int (*each)(void *userdata, const struct change *change),
		     void *userdata, char *reterr_message)
{
	struct etcd_store *store = of(base);
	_cleanup_(etcd_feed_freep) struct etcd_feed *feed =
		etcd_feed_new(store->client, store->config->prefix, &load_events, store);
	struct loading loading = { .each = each, .userdata = userdata, .message = reterr_message };
	uint64_t deadline_us = clock_monotonic_us() + STORE_ETCD_LOAD_S * UINT64_C(1000000);
	const char *text = "";

	reterr_message[0] = '\0';
	if (!feed)
		return -ENOMEM;
	store->loading = &loading;
	etcd_feed_load(feed);
	while (!loading.over && clock_monotonic_us() < deadline_us) {
		turn(store, deadline_us);
		etcd_feed_tick(feed, clock_monotonic_us());
		if (etcd_feed_waits(feed, clock_monotonic_us(), &text) > 3 * ETCD_CALL_MS * 1000)
			break;
	}
	store->loading = NULL;
	if (!loading.over) {
		(void) snprintf(reterr_message, STORE_MESSAGE_SIZE, "etcd does not answer: %.400s",
				text);
		return -ETIMEDOUT;
	}
	return loading.result;
}

static int etcd_append(struct store *base, const struct change *change)
{
	return etcd_writer_append(of(base)->writer, change);
}

static uint64_t etcd_commit(struct store *base)
{
	return etcd_writer_commit(of(base)->writer);
}

static uint64_t etcd_confirm(struct store *base)
{
	return etcd_writer_confirm(of(base)->writer);
}

static uint64_t etcd_durable(const struct store *base)
{
	return etcd_writer_durable(of_const(base)->writer);
}

static int etcd_fd(const struct store *base)
{
	return of_const(base)->epoll_fd;
}

static enum store_state etcd_state(const struct store *base, const char **ret_text)
{
	*ret_text = of_const(base)->text;
	return of_const(base)->health;
}

static const char *etcd_elsewhere(const struct store *base)
{
	/* Only the text changes. */
	struct etcd_store *store = (struct etcd_store *) of_const(base);

	return store->events && store->state != LEADER_LEADING ? name_leader(store) : NULL;
}

static int etcd_describe(const struct store *base, struct json_object *object)
{
	const struct etcd_store *store = of_const(base);
	const struct etcd_leader *leader = store->seat ? etcd_seat_leader(store->seat) : NULL;
	char address[ENDPOINT_TEXT_SIZE];

	if (json_add_string(object, "kind", "etcd") < 0 ||
	    json_add_string(object, "path", store->config->prefix) < 0 ||
	    json_add_string(object, "endpoint", etcd_client_endpoint(store->client)) < 0 ||
	    etcd_writer_describe(store->writer, object) < 0)
		return -ENOMEM;
	if (!leader)
		return 0;
	if (json_add_string(object, "role", leader_state_name(store->state)) < 0 ||
	    json_add_u64(object, "role_since_ms", (clock_monotonic_us() - store->since_us) / 1000) <
		    0 ||
	    json_add_u64(object, "takeovers", store->takeovers) < 0 ||
	    json_add_bool(object, "sees_leader", peer_link_is_up(store->peer)) < 0 ||
	    etcd_feed_describe(store->feed, object) < 0)
		return -ENOMEM;
	if (!leader->revision)
		return 0;
	return json_add_string(object, "leader", leader->name) < 0 ||
			       json_add_string(object, "leader_address",
					       endpoint_text(leader->ip, leader->port, address)) < 0
		       ? -ENOMEM
		       : 0;
}

/* What is under way is waited for, unless etcd makes it wait; and the next one need not wait for our lease. */
static void leave(struct etcd_store *store)
{
	uint64_t deadline_us = clock_monotonic_us() + STORE_ETCD_END_MS * UINT64_C(1000);

	store->ending = true;
	while (store->state == LEADER_LEADING && store->health == STORE_WORKS &&
	       !etcd_writer_is_idle(store->writer) && clock_monotonic_us() < deadline_us)
		turn(store, deadline_us);
	etcd_seat_leave(store->seat);
	while (etcd_seat_is_leaving(store->seat) && clock_monotonic_us() < deadline_us)
		turn(store, deadline_us);
}

static struct store *etcd_free(struct store *base)
{
	struct etcd_store *store = of(base);

	if (store->events)
		leave(store);
	etcd_feed_free(store->feed);
	etcd_seat_free(store->seat);
	peer_link_free(store->peer);
	etcd_writer_free(store->writer);
	etcd_client_free(store->client);
	if (store->tick_fd >= 0)
		close(store->tick_fd);
	if (store->epoll_fd >= 0)
		close(store->epoll_fd);
	free(store);
	return NULL;
}

static const struct store_class etcd_class = {
	.load = etcd_load,
	.append = etcd_append,
	.commit = etcd_commit,
	.confirm = etcd_confirm,
	.durable = etcd_durable,
	.fd = etcd_fd,
	.dispatch = etcd_dispatch,
	.state = etcd_state,
	.elsewhere = etcd_elsewhere,
	.describe = etcd_describe,
	.free = etcd_free,
};

/* --- life --- */

static int watch_fd(const struct etcd_store *store, int fd, enum watched watched)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = watched };

	return epoll_ctl(store->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_fds(struct etcd_store *store)
{
	const struct itimerspec time = {
		.it_value = { .tv_nsec = STORE_ETCD_TICK_MS * 1000000L },
		.it_interval = { .tv_nsec = STORE_ETCD_TICK_MS * 1000000L },
	};
	int r;

	store->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	store->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (store->epoll_fd < 0 || store->tick_fd < 0 ||
	    timerfd_settime(store->tick_fd, 0, &time, NULL) < 0)
		return -errno;
	r = etcd_client_new(&store->config->client, &store->client);
	if (r == 0)
		r = watch_fd(store, etcd_client_fd(store->client), WATCHED_CLIENT);
	return r == 0 ? watch_fd(store, store->tick_fd, WATCHED_TICK) : r;
}

static int make_parts(struct etcd_store *store)
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
	return store->writer && store->feed && store->seat && store->peer ? 0 : -ENOMEM;
}

int store_etcd_open(const struct store_etcd_config *config, const char *name,
		    struct store **ret_store, char *reterr_message)
{
	struct etcd_store *store = calloc(1, sizeof(*store));
	int r;

	(void) snprintf(reterr_message, STORE_MESSAGE_SIZE, "Cannot open the store: out of memory");
	if (!store)
		return -ENOMEM;
	store->store.class = &etcd_class;
	store->config = config;
	store->name = name;
	store->since_us = clock_monotonic_us();
	store->epoll_fd = store->tick_fd = -1;
	r = open_fds(store);
	if (r == 0)
		r = make_parts(store);
	if (r < 0) {
		(void) etcd_free(&store->store);
		return r;
	}
	*ret_store = &store->store;
	return 0;
}

void store_etcd_join(struct store *base, const struct store_etcd_events *events, void *userdata)
{
	struct etcd_store *store = of(base);

	store->events = events;
	store->userdata = userdata;
	etcd_feed_load(store->feed);
}
