// SPDX-License-Identifier: LGPL-2.1-or-later
/* server_accept.c - the addresses an NVA listens at, and the connections made there. */
#include "nva/server_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

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
	if (session_new(stream, peer, port, clock_monotonic_us(), &server_session_events, server,
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

int server_listen_at(struct server *server, size_t i, char *reterr_message)
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

void server_accept_tick(struct server *server)
{
	for (size_t i = 0; i < server->config.listen_count; i++)
		(void) evconnlistener_enable(server->listeners[i]);
	if (server->turned_away > 0)
		log_warning("%llu connections turned away: there are %d already",
			    (unsigned long long) server->turned_away, SESSIONS_MAX);
	server->turned_away = 0;
}
