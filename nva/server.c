// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * server.c - the daemon around the directory.
 *
 *   accept ──▶ session (session.c) ──message──▶ directory ──outputs──▶ sessions of the NVEs they
 *   are for
 *                  └──idle──▶ deliver: whatever arrived together is answered together
 *
 *   directory ──changes──▶ store ──durable──▶ the sessions may send what was held for that
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
	struct evconnlistener *listeners[NVA_LISTEN_MAX];
	struct control *control;
	struct directory *directory;
	struct store *store; /* NULL: nothing is kept */
	struct event *store_event;
	enum store_state store_state; /* as last logged */
	struct session *sessions[SESSIONS_MAX];
	size_t session_count;
	struct session *nve_sessions[DIRECTORY_NVES_MAX]; /* by the directory's number */
	uint64_t turned_away; /* connections over SESSIONS_MAX, since the last tick */
	int result;	      /* why the loop ended */
};

static void stop(struct server *server, int result)
{
	server->result = result;
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

/* More has become durable, or nothing will for a while. */
static void on_store(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	uint64_t durable;

	store_dispatch(server->store);
	note_store_state(server);
	durable = store_durable(server->store);
	for (size_t i = 0; i < server->session_count; i++)
		session_release(server->sessions[i], durable);
	control_release(server->control, durable);
}

/* --- delivery --- */

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
		if (server->nve_sessions[output->to[i]])
			session_send(server->nve_sessions[output->to[i]], frame, size, ticket);
}

/* Whatever the directory says now may tell of any change until now: it waits for all of them. */
static void deliver(struct server *server)
{
	uint64_t ticket = store_commit(server->store);
	int r;

	if (ticket <= store_durable(server->store))
		ticket = 0;
	do {
		_cleanup_(directory_output_freep) struct directory_output *output = NULL;

		r = directory_next_output(server->directory, &output);
		if (r > 0)
			deliver_one(server, output, ticket);
	} while (r > 0);
	if (r < 0)
		stop(server, log_errno(r, "The directory cannot go on"));
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
	if (message->kind == NVO3_SUBSCRIBE)
		deliver(server); /* a snapshot is large: the session may have to pause before the next */
	return r == -EPROTO ? r : 0;
}

static void on_idle(void *userdata)
{
	deliver(userdata);
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
	.idle = on_idle,
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
	else
		deliver(server);
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
	log_ready(server);
	if (event_base_dispatch(server->base) < 0)
		return log_errno(-EIO, "The event loop failed");
	return server->result;
}
