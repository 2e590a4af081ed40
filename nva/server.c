// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * server.c - the daemon around the directory.
 *
 *   accept ──▶ session (session.c) ──message──▶ directory ──outputs──▶ sessions of the NVEs they
 *   are for
 *
 *   directory ──changes──▶ store ──durable──▶ the sessions may send what was held for that
 *
 * The loop turns: all that has arrived from all sessions, then all outputs of the directory, then
 * one write to each session that has something. A directory without memory ends the daemon: see
 * directory.h.
 */
#include "nva/server_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/log.h"

void server_stop(struct server *server, int result)
{
	server->result = result;
	server->stopped = true;
	(void) event_base_loopbreak(server->base);
}

/* --- time and signals --- */

static void tick_sessions(struct server *server, uint64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < server->session_count; i++) {
		struct session *session = server->sessions[i];

		session_tick(session, now_us);
		if (session_is_over(session))
			session_free(session);
		else
			server->sessions[kept++] = session;
	}
	server->session_count = kept;
}

static void refresh_reservations(struct server *server)
{
	char message[RESERVATIONS_MESSAGE_SIZE];

	if (server->reservations && reservations_refresh(server->reservations, message) < 0)
		log_warning("%s; keeping what it said before", message);
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	uint64_t now_us = clock_monotonic_us();
	int r;

	server_accept_tick(server);
	tick_sessions(server, now_us);
	refresh_reservations(server);
	if (server->standby)
		return;
	r = directory_tick(server->directory, now_us);
	if (r < 0)
		server_stop(server, log_errno(r, "The directory cannot go on"));
}

static void on_pause(evutil_socket_t fd, short what, void *userdata)
{
	/* It only had to wake the loop. */
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
	log_notice("%s: going down", strsignal(number));
	server_stop(userdata, 0);
}

static int add_events(struct server *server)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	const struct timeval tick = { .tv_usec = SERVER_TICK_MS * 1000L };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		server->signals[i] = evsignal_new(server->base, numbers[i], on_signal, server);
		if (!server->signals[i] || event_add(server->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	server->pause = evtimer_new(server->base, on_pause, server);
	if (!server->pause)
		return -ENOMEM;
	server->tick = event_new(server->base, -1, EV_PERSIST, on_tick, server);
	if (!server->tick || event_add(server->tick, &tick) < 0)
		return -ENOMEM;
	return 0;
}

/* --- life --- */

int server_make_directory(struct server *server)
{
	struct directory_config config = {
		.lease_us = server->config.lease_s * UINT64_C(1000000),
		.withdraw_us = server->config.withdraw_s == NVA_WITHDRAW_NEVER
				       ? DIRECTORY_WITHDRAW_NEVER
				       : server->config.withdraw_s * UINT64_C(1000000),
		.consent_timeout_us = server->config.consent_timeout_s * UINT64_C(1000000),
		.incarnation = clock_realtime_us(),
		.limits = server->config.limits,
	};
	int r;

	memcpy(config.name, server->config.name, sizeof(config.name));
	if (getrandom(&config.hash_seed, sizeof(config.hash_seed), 0) != sizeof(config.hash_seed))
		return -EIO;
	r = directory_new(&config, clock_monotonic_us(), &server->directory);
	if (r < 0)
		return r;
	directory_reserve(server->directory, server->reservations);
	directory_set_about(server->directory, server_about, server);
	return 0;
}

/* One descriptor per session; the usual soft limit is 1024. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= SESSIONS_MAX + SERVER_SPARE_FDS)
		return;
	limit.rlim_cur = SESSIONS_MAX + SERVER_SPARE_FDS;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	(void) setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t on_imported(void *userdata)
{
	struct server *server = userdata;

	server_deliver(server);
	return store_commit(server->store);
}

static int open_control(struct server *server, char *reterr_message)
{
	const char *path = server->config.socket;
	const struct control_subject subject = {
		.directory = server->directory,
		.store = server->store,
		.changed = on_imported,
		.about = server_about,
		.userdata = server,
	};
	int r = control_new(server->base, path, &subject, &server->control);

	if (r < 0)
		(void) snprintf(reterr_message, SERVER_MESSAGE_SIZE, "Cannot listen at %s: %s",
				path,
				r == -EADDRINUSE
					? "another program does; is an NVA running already?"
				: r == -EEXIST ? "there is something that is not a socket"
					       : strerror(-r));
	return r;
}

static int open_reservations(struct server *server, char *reterr_message)
{
	char message[RESERVATIONS_MESSAGE_SIZE];
	int r = server->config.reservations[0] ? reservations_open(server->config.reservations,
								   &server->reservations, message)
					       : 0;

	if (r < 0)
		(void) snprintf(reterr_message, SERVER_MESSAGE_SIZE, "%s", message);
	return r < 0 ? -EINVAL : 0;
}

int server_new(const struct nva_config *config, struct server **ret_server, char *reterr_message)
{
	_cleanup_(server_freep) struct server *server = calloc(1, sizeof(*server));
	int r;

	(void) snprintf(reterr_message, SERVER_MESSAGE_SIZE, "Cannot start: out of memory");
	if (!server)
		return -ENOMEM;
	server->config = *config;
	raise_fd_limit();
	server->base = event_base_new();
	if (!server->base)
		return -ENOMEM;
	r = open_reservations(server, reterr_message);
	if (r == 0)
		r = server_make_directory(server);
	if (r == 0)
		r = server_restore(server, reterr_message);
	if (r == 0)
		r = add_events(server);
	for (size_t i = 0; r == 0 && i < config->listen_count; i++)
		r = server_listen_at(server, i, reterr_message);
	if (r == 0)
		r = open_control(server, reterr_message);
	if (r == 0)
		*ret_server = TAKE_PTR(server);
	return r;
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	server->control = control_free(server->control);
	for (size_t i = 0; i < NVA_LISTEN_MAX; i++)
		if (server->listeners[i])
			evconnlistener_free(server->listeners[i]);
	for (size_t i = 0; i < server->session_count; i++)
		session_free(server->sessions[i]);
	for (size_t i = 0; i < ARRAY_SIZE(server->signals); i++)
		if (server->signals[i])
			event_free(server->signals[i]);
	if (server->tick)
		event_free(server->tick);
	if (server->pause)
		event_free(server->pause);
	if (server->store_event)
		event_free(server->store_event);
	server->store = store_free(server->store);
	server->directory = directory_free(server->directory);
	server->reservations = reservations_free(server->reservations);
	if (server->base)
		event_base_free(server->base);
	free(server);
	return NULL;
}

static void log_store(const struct server *server)
{
	struct directory_counts counts;

	directory_count(server->directory, &counts);
	if (server->config.store == NVA_STORE_ETCD)
		log_notice("store = etcd, %s at %s: standing by", server->config.etcd.prefix,
			   server->config.etcd.client.endpoints[0]);
	else if (server->store)
		log_notice("The store %s gave %zu mappings of %zu NVEs in %zu VNIs",
			   server->config.store_path, counts.mappings, counts.nves, counts.vnis);
	else
		log_warning("store = none: a restart forgets everything");
}

static void log_ready(const struct server *server)
{
	char list[NVA_LISTEN_MAX * (ENDPOINT_TEXT_SIZE + 2)] = "", text[ENDPOINT_TEXT_SIZE];
	size_t size = 0;

	for (size_t i = 0; i < server->config.listen_count; i++)
		size += (size_t) snprintf(list + size, sizeof(list) - size, "%s%s", i ? ", " : "",
					  endpoint_text(server->config.listen[i],
							server->config.port, text));
	if (server->config.insecure_plain)
		log_warning("insecure-plain is set: whoever reaches %s can claim addresses", list);
	log_store(server);
	log_notice("ready: NVA %s listens at %s, control socket %s", server->config.name, list,
		   server->config.socket);
}

int server_run(struct server *server)
{
	bool more = false;

	log_ready(server);
	while (!server->stopped) {
		int how = EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0);

		if (event_base_loop(server->base, how) < 0)
			return log_errno(-EIO, "The event loop failed");
		more = server_deliver_and_flush(server);
		server_await_pause(server);
	}
	return server->result;
}
