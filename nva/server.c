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
 * one write to each session that has something. So the busier it is, the more changes travel in one
 * UPDATE, and the fewer messages each of them costs. For the same reason a round of UPDATEs that took
 * long is followed by a pause in which changes are collected; an idle NVA tells at once. A session that has enough to read is held: the
 * directory makes no more of its snapshot until it has drained.
 *
 * A session ends inside its own events, or inside a delivery to it, so it is only taken out of
 * nve_sessions[] then; the tick frees it. A directory without memory ends the daemon: see
 * directory.h.
 */
#include "nva/server.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/log.h"
#include "nva/control.h"
#include "nva/directory.h"
#include "nva/server_store.h"
#include "nva/session.h"

enum {
	SESSIONS_MAX = DIRECTORY_NVES_MAX + SERVER_SPARE_SESSIONS,
};

struct server {
	struct nva_config config;
	struct event_base *base;
	struct event *signals[2], *tick;
	struct event *pause; /* ends the pause between two rounds of UPDATEs */
	uint64_t pause_end_us;
	struct evconnlistener *listeners[NVA_LISTEN_MAX];
	struct control *control;
	struct directory *directory;
	struct store *store; /* NULL: nothing is kept */
	struct event *store_event;
	enum store_state store_state; /* as last logged */
	struct session *sessions[SESSIONS_MAX];
	size_t session_count;
	struct session *nve_sessions[DIRECTORY_NVES_MAX]; /* by the directory's number */
	uint32_t to_flush[DIRECTORY_NVES_MAX];
	bool flush_marked[DIRECTORY_NVES_MAX]; /* stands in to_flush[] */
	size_t flush_count;
	uint64_t turned_away; /* connections over SESSIONS_MAX, since the last tick */
	bool stopped;
	int result; /* why the loop ended */
};

static void stop(struct server *server, int result)
{
	server->result = result;
	server->stopped = true;
	(void) event_base_loopbreak(server->base);
}

/* --- the store --- */

/* The directory's journal. */
static void on_change(void *userdata, const struct change *change)
{
	struct server *server = userdata;
	struct change dated = *change;

	if (change->kind == CHANGE_REMOVED)
		dated.removed_s = clock_realtime_us() / 1000000;
	if (store_append(server->store, &dated) < 0)
		stop(server, log_errno(-ENOMEM, "The store cannot go on"));
}

static void note_store_state(struct server *server)
{
	const char *text;
	enum store_state state = store_state(server->store, &text);

	if (state == server->store_state)
		return;
	server->store_state = state;
	if (state == STORE_WORKS)
		log_notice("The store works again");
	else
		log_error("%s", text);
	if (state == STORE_FAILED)
		stop(server, -EIO);
}

/* It may have been held for what has just left. */
static void release(struct server *server, struct session *session, uint64_t durable)
{
	uint32_t nve;

	session_release(session, durable);
	if (session_is_open(session, &nve) && server->nve_sessions[nve] == session &&
	    !session_is_full(session))
		directory_hold(server->directory, nve, false);
}

/* More has become durable, or nothing will for a while. */
static void on_store(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	uint64_t durable;

	store_dispatch(server->store);
	note_store_state(server);
	durable = store_durable(server->store);
	for (size_t i = 0; i < server->session_count; i++)
		release(server, server->sessions[i], durable);
	control_release(server->control, durable);
}

/* --- delivery --- */

static void send_to(struct server *server, uint32_t nve, const uint8_t *frame, size_t size,
		    uint64_t ticket)
{
	struct session *session = server->nve_sessions[nve];

	if (!session)
		return;
	if (!server->flush_marked[nve])
		server->to_flush[server->flush_count++] = nve;
	server->flush_marked[nve] = true;
	session_send(session, frame, size, ticket);
	if (server->nve_sessions[nve] && session_is_full(session))
		directory_hold(server->directory, nve, true);
}

static void deliver_one(struct server *server, const struct directory_output *output,
			uint64_t ticket)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;
	int r = nvo3_pack(&output->message, &frame, &size);

	if (r < 0) {
		stop(server, log_errno(r, "Cannot pack a message of kind %s",
				       nvo3_kind_name(output->message.kind)));
		return;
	}
	for (size_t i = 0; i < output->to_count; i++)
		send_to(server, output->to[i], frame, size, ticket);
}

static void log_notices(struct server *server)
{
	char text[DIRECTORY_NOTICE_SIZE];

	while (directory_next_notice(server->directory, text))
		log_warning("%s", text);
}

/* Whatever the directory says now may tell of any change until now: it waits for all of them. */
static void deliver(struct server *server)
{
	bool held = clock_monotonic_us() < server->pause_end_us;
	uint64_t ticket = store_commit(server->store);
	int r;

	if (ticket <= store_durable(server->store))
		ticket = 0;
	(void) directory_hold_changes(server->directory, held);

	do {
		_cleanup_(directory_output_freep) struct directory_output *output = NULL;

		r = directory_next_output(server->directory, &output);
		if (r > 0)
			deliver_one(server, output, ticket);
	} while (r > 0);
	if (r < 0)
		stop(server, log_errno(r, "The directory cannot go on"));
	log_notices(server);
}

/* Returns whether there is more to deliver at once: a session takes a snapshot as fast as it is made. */
static bool flush(struct server *server)
{
	bool more = false;

	for (size_t i = 0; i < server->flush_count; i++) {
		uint32_t nve = server->to_flush[i];
		struct session *session = server->nve_sessions[nve];
		bool was_full = session && session_is_full(session);

		server->flush_marked[nve] = false;
		if (session)
			session_flush(session);
		if (!was_full || session_is_full(session))
			continue;
		directory_hold(server->directory, nve, false);
		more = true;
	}
	server->flush_count = 0;
	return more;
}

/* One turn's outputs. Returns whether there is more to do at once. */
static bool deliver_and_flush(struct server *server)
{
	uint64_t began_us = clock_monotonic_us(), now_us, pause_us;
	size_t receivers;
	bool more;

	deliver(server);
	receivers = server->flush_count;
	more = flush(server);
	now_us = clock_monotonic_us();
	if (now_us < server->pause_end_us || receivers == 0)
		return more;
	pause_us = (now_us - began_us) * SERVER_PAUSE_PERCENT / 100;
	if (pause_us > SERVER_PAUSE_MAX_MS * UINT64_C(1000))
		pause_us = SERVER_PAUSE_MAX_MS * UINT64_C(1000);
	server->pause_end_us = now_us + pause_us;
	return more;
}

/* Wakes the loop at the end of the pause, when there is something to tell then. */
static void await_pause(struct server *server)
{
	uint64_t now_us = clock_monotonic_us();
	bool held = now_us < server->pause_end_us;
	struct timeval timeout = { .tv_usec = held ? (suseconds_t) (server->pause_end_us - now_us)
						   : 0 };

	if (directory_hold_changes(server->directory, held) &&
	    !evtimer_pending(server->pause, NULL))
		(void) event_add(server->pause, &timeout);
}

/* --- sessions' events --- */

static int greet(struct server *server, struct session *session, const struct nvo3_message *hello,
		 char *reterr_text)
{
	struct session *older;
	char vtep[IP_TEXT_SIZE];
	bool replaced;
	uint32_t nve;
	int r;

	if (hello->kind != NVO3_HELLO) {
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, "%s before HELLO",
				nvo3_kind_name(hello->kind));
		return -EPROTO;
	}
	r = directory_connect(server->directory, clock_monotonic_us(), hello, &nve, &replaced,
			      reterr_text);
	if (r == -ENOMEM) {
		stop(server, log_errno(r, "The directory cannot go on"));
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, "the NVA is out of memory");
	}
	if (r < 0)
		return -EPROTO;

	older = server->nve_sessions[nve];
	server->nve_sessions[nve] = session;
	session_set_open(session, nve, hello->name);
	if (replaced)
		session_refuse(older,
			       "this NVE has a newer session"); /* the directory knows already */
	log_notice("NVE %s is connected, VTEP %s%s", session_name(session),
		   ip_text(hello->vtep, vtep), hello->role == NVO3_ROLE_GATEWAY ? ", gateway" : "");
	return 0;
}

static int on_message(void *userdata, struct session *session, const struct nvo3_message *message,
		      char *reterr_text)
{
	struct server *server = userdata;
	const char *what = "";
	uint32_t nve;
	int r;

	if (!session_is_open(session, &nve))
		return greet(server, session, message, reterr_text);
	r = directory_receive(server->directory, clock_monotonic_us(), nve, message, &what);
	if (r == -EPROTO)
		(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1,
				"%s: %s is not for an NVE to send now",
				nvo3_kind_name(message->kind), what);
	if (r == -ENOMEM)
		stop(server, log_errno(r, "The directory cannot go on"));
	return r == -EPROTO ? r : 0;
}

static void on_last_words(void *userdata)
{
	deliver(userdata);
}

static void on_drained(void *userdata, struct session *session)
{
	struct server *server = userdata;
	uint32_t nve;

	if (session_is_open(session, &nve) && server->nve_sessions[nve] == session)
		directory_hold(server->directory, nve, false);
}

static void on_closed(void *userdata, struct session *session, const char *reason)
{
	struct server *server = userdata;
	uint32_t nve;

	if (session_is_open(session, &nve) && server->nve_sessions[nve] == session) {
		server->nve_sessions[nve] = NULL;
		directory_disconnect(server->directory, clock_monotonic_us(), nve);
	}
	log_notice("Session of %s ends: %s", session_name(session), reason);
}

static const struct session_events session_events = {
	.message = on_message,
	.last_words = on_last_words,
	.drained = on_drained,
	.closed = on_closed,
};

/* --- accepting --- */

/* The one place that knows what a session is carried by; TLS goes here. */
static struct bufferevent *open_stream(struct server *server, evutil_socket_t fd)
{
	const int on = 1;

	/* A grant must not wait for the acknowledgement of the message before it (RFC 896). */
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
}

static void read_peer(const struct sockaddr *address, struct ip *ret_ip, uint16_t *ret_port)
{
	const struct sockaddr_in6 *in6 = (const void *) address;
	const struct sockaddr_in *in = (const void *) address;

	*ret_ip = (struct ip){ 0 };
	if (address->sa_family == AF_INET6)
		(void) ip_from_bytes(&in6->sin6_addr, sizeof(in6->sin6_addr), ret_ip);
	else
		(void) ip_from_bytes(&in->sin_addr, sizeof(in->sin_addr), ret_ip);
	*ret_port = ntohs(address->sa_family == AF_INET6 ? in6->sin6_port : in->sin_port);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		      int size, void *userdata)
{
	struct server *server = userdata;
	struct bufferevent *stream;
	struct session *session;
	struct ip peer;
	uint16_t port;

	if (server->session_count == SESSIONS_MAX) {
		server->turned_away++;
		evutil_closesocket(fd);
		return;
	}
	stream = open_stream(server, fd);
	if (!stream) {
		evutil_closesocket(fd);
		return;
	}
	read_peer(address, &peer, &port);
	if (session_new(stream, peer, port, clock_monotonic_us(), &session_events, server,
			&session) < 0)
		return;
	server->sessions[server->session_count++] = session;
	log_debug("Connection from %s", session_name(session));
}

/*
 * Usually no descriptor is free: the connection stays in the backlog until the tick listens again.
 */
static void on_accept_error(struct evconnlistener *listener, void *userdata)
{
	log_error("Cannot accept a connection: %s",
		  evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	(void) evconnlistener_disable(listener);
}

static int bind_socket(struct ip ip, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(ip, port, &address);
	_cleanup_close_ int fd = -1;
	const int on = 1;

	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/*
	 * Sessions of an earlier life in TIME_WAIT must not keep the port; "::" must leave 0.0.0.0
	 * to its own line.
	 */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (ip.family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (const struct sockaddr *) &address, size) < 0 ||
	    listen(fd, SERVER_BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int listen_at(struct server *server, size_t i, char *reterr_message)
{
	struct ip ip = server->config.listen[i];
	char text[ENDPOINT_TEXT_SIZE];
	int fd = bind_socket(ip, server->config.port);

	endpoint_text(ip, server->config.port, text);
	if (fd < 0) {
		(void) snprintf(reterr_message, SERVER_MESSAGE_SIZE, "Cannot listen at %s: %s",
				text,
				fd == -EADDRINUSE
					? "another program does; is an NVA running already?"
				: fd == -EADDRNOTAVAIL ? "this host does not have the address"
						       : strerror(-fd));
		return fd;
	}
	server->listeners[i] = evconnlistener_new(server->base, on_accept, server,
						  LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
						  fd);
	if (!server->listeners[i]) {
		close(fd);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(server->listeners[i], on_accept_error);
	return 0;
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

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	uint64_t now_us = clock_monotonic_us();
	int r;

	for (size_t i = 0; i < server->config.listen_count; i++)
		(void) evconnlistener_enable(server->listeners[i]);
	if (server->turned_away > 0)
		log_warning("%llu connections turned away: there are %d already",
			    (unsigned long long) server->turned_away, SESSIONS_MAX);
	server->turned_away = 0;

	tick_sessions(server, now_us);
	r = directory_tick(server->directory, now_us);
	if (r < 0)
		stop(server, log_errno(r, "The directory cannot go on"));
}

static void on_pause(evutil_socket_t fd, short what, void *userdata)
{
	/* It only had to wake the loop. */
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
	log_notice("%s: going down", strsignal(number));
	stop(userdata, 0);
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

static int make_directory(struct server *server)
{
	struct directory_config config = {
		.lease_us = server->config.lease_s * UINT64_C(1000000),
		.consent_timeout_us = server->config.consent_timeout_s * UINT64_C(1000000),
		.incarnation = clock_realtime_us(),
		.limits = server->config.limits,
	};

	memcpy(config.name, server->config.name, sizeof(config.name));
	if (getrandom(&config.hash_seed, sizeof(config.hash_seed), 0) != sizeof(config.hash_seed))
		return -EIO;
	return directory_new(&config, clock_monotonic_us(), &server->directory);
}

/* What was kept, into the directory; what happens from now on, into the store. */
static int restore(struct server *server, char *reterr_message)
{
	int r = server_store_open(&server->config, false, &server->store, reterr_message);

	if (r == 0)
		r = server_store_restore(server->store, server->directory, reterr_message);
	if (r < 0)
		return r;
	r = directory_begin(server->directory, clock_monotonic_us(),
			    server->store ? on_change : NULL, server);
	if (r < 0)
		return r;
	(void) store_commit(server->store);
	if (!server->store)
		return 0;
	server->store_event = event_new(server->base, store_fd(server->store), EV_READ | EV_PERSIST,
					on_store, server);
	return server->store_event && event_add(server->store_event, NULL) == 0 ? 0 : -ENOMEM;
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

	deliver(server);
	return store_commit(server->store);
}

static int open_control(struct server *server, char *reterr_message)
{
	const char *path = server->config.socket;
	const struct control_subject subject = {
		.directory = server->directory,
		.store = server->store,
		.changed = on_imported,
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
	r = make_directory(server);
	if (r == 0)
		r = restore(server, reterr_message);
	if (r == 0)
		r = add_events(server);
	for (size_t i = 0; r == 0 && i < config->listen_count; i++)
		r = listen_at(server, i, reterr_message);
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
	if (server->base)
		event_base_free(server->base);
	free(server);
	return NULL;
}

static void log_store(const struct server *server)
{
	struct directory_counts counts;

	directory_count(server->directory, &counts);
	if (server->store)
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
		more = deliver_and_flush(server);
		await_pause(server);
	}
	return server->result;
}
