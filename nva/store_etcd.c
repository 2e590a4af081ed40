// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/store_etcd_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "common/clock.h"
#include "common/json.h"

/* store_load(), which waits. */
struct loading {
	int (*each)(void *userdata, const struct change *change);
	void *userdata;
	char *message;
	int result;
	bool over;
};

static struct etcd_store *of(struct store *store)
{
	return (struct etcd_store *) store;
}

static const struct etcd_store *of_const(const struct store *store)
{
	return (const struct etcd_store *) store;
}

/* --- what happens --- */

static void dispatch_one(struct etcd_store *store, enum watched watched)
{
	uint64_t count;

	switch (watched) {
	case WATCHED_CLIENT:
		etcd_client_dispatch(store->client);
		break;
	case WATCHED_TICK:
		if (read(store->tick_fd, &count, sizeof(count)) > 0 && store->events)
			store_etcd_tick(store);
		break;
	case WATCHED_PEER:
		peer_link_dispatch(store->peer);
		break;
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
		store_etcd_step_aside(store);
}

/* --- the interface of a store --- */

/* Waits until something happens, or the deadline. */
static void turn(struct etcd_store *store, uint64_t deadline_us)
{
	struct pollfd fd = { .fd = store->epoll_fd, .events = POLLIN };
	uint64_t now_us = clock_monotonic_us();

	if (now_us < deadline_us)
		(void) poll(&fd, 1, (int) ((deadline_us - now_us) / 1000) + 1);
	etcd_dispatch(&store->store);
}

static int on_load_reset(void *userdata)
{
	return 0;
}

static int on_load_change(void *userdata, const struct change *change, char *reterr_message)
{
	struct loading *loading = userdata;

	return loading->each(loading->userdata, change);
}

static void on_loaded(void *userdata)
{
	((struct loading *) userdata)->over = true;
}

static void on_load_failed(void *userdata, int error, const char *text)
{
	struct loading *loading = userdata;

	loading->over = true;
	loading->result = error;
	if (!loading->message[0]) /* else each() has said it */
		(void) snprintf(loading->message, STORE_MESSAGE_SIZE, "%s", text);
}

static const struct etcd_feed_events load_events = {
	.reset = on_load_reset,
	.change = on_load_change,
	.loaded = on_loaded,
	.failed = on_load_failed,
};

static int etcd_load(struct store *base, int (*each)(void *userdata, const struct change *change),
		     void *userdata, char *reterr_message)
{
	struct etcd_store *store = of(base);
	struct loading loading = { .each = each, .userdata = userdata, .message = reterr_message };
	_cleanup_(etcd_feed_freep) struct etcd_feed *feed =
		etcd_feed_new(store->client, store->config->prefix, &load_events, &loading);
	uint64_t deadline_us = clock_monotonic_us() + STORE_ETCD_LOAD_S * UINT64_C(1000000);
	const char *text = "";

	reterr_message[0] = '\0';
	if (!feed)
		return -ENOMEM;
	etcd_feed_load(feed);
	while (!loading.over && clock_monotonic_us() < deadline_us) {
		turn(store, deadline_us);
		etcd_feed_tick(feed, clock_monotonic_us());
		if (etcd_feed_waits(feed, clock_monotonic_us(), &text) > 2 * ETCD_CALL_MS * 1000)
			break;
	}
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

	return store->events && store->state != LEADER_LEADING ? store_etcd_name_leader(store)
							       : NULL;
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
	    etcd_feed_describe(store->feed, object) < 0 ||
	    etcd_health_describe(store->endpoints, object) < 0)
		return -ENOMEM;
	if (!leader->revision)
		return 0;
	return json_add_string(object, "leader", leader->name) < 0 ||
			       json_add_string(object, "leader_address",
					       endpoint_text(leader->ip, leader->port, address)) < 0
		       ? -ENOMEM
		       : 0;
}

/*
 * What is under way is waited for, unless etcd makes it wait; and the next one need not wait for
 * our lease.
 */
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
	etcd_health_free(store->endpoints);
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
		r = store_etcd_make_parts(store);
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
