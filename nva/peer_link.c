// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/peer_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/clock.h"

enum link_state { LINK_NONE, LINK_CONNECTING, LINK_GREETING, LINK_UP };

enum { INPUT_SIZE = 4096 }; /* of WELCOME, PING, ERROR */

/*
 * An NVA has none, but a HELLO has to: the IPv4 dummy address (RFC 7600, IANA's special-purpose
 * registry).
 */
static const struct ip no_vtep = { AF_INET, { 192, 0, 0, 8 } };

struct peer_link {
	int epoll_fd;
	uint32_t mark;
	const char *name;
	void (*lost)(void *userdata);
	void *userdata;

	struct ip ip;
	uint16_t port;
	enum link_state state;
	unsigned again; /* attempts that are left since it broke */
	bool was_up;	/* to this leader: it can be reached, so that a refusal means something */
	int fd;
	uint64_t due_us; /* the next attempt, or the end of this one */
	uint8_t input[INPUT_SIZE];
	size_t size;
};

static void hang_up(struct peer_link *link, uint64_t retry_ms)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->state = LINK_NONE;
	link->size = 0;
	link->due_us = clock_monotonic_us() + retry_ms * 1000;
}

/* Nobody listens where the leader was a moment ago. */
static void refused(struct peer_link *link)
{
	bool was_up = link->was_up;

	hang_up(link, PEER_LINK_RETRY_MS);
	link->was_up = false;
	if (was_up)
		link->lost(link->userdata);
}

static int say(const struct peer_link *link, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;
	int r = nvo3_pack(message, &frame, &size);

	if (r < 0)
		return r;
	return send(link->fd, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) size ? 0
											  : -EIO;
}

static void watch_for(const struct peer_link *link, uint32_t events, int operation)
{
	struct epoll_event event = { .events = events, .data.u32 = link->mark };

	(void) epoll_ctl(link->epoll_fd, operation, link->fd, &event);
}

static void begin(struct peer_link *link)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(link->ip, link->port, &address);

	hang_up(link, PEER_LINK_ANSWER_MS);
	link->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return;
	if (connect(link->fd, (const struct sockaddr *) &address, size) < 0 &&
	    errno != EINPROGRESS) {
		if (errno == ECONNREFUSED)
			refused(link);
		else
			hang_up(link, PEER_LINK_RETRY_MS);
		return;
	}
	link->state = LINK_CONNECTING;
	watch_for(link, EPOLLOUT, EPOLL_CTL_ADD);
}

static void greet(struct peer_link *link)
{
	struct nvo3_message hello = {
		.kind = NVO3_HELLO,
		.version = NVO3_VERSION,
		.role = NVO3_ROLE_STANDBY,
		.vtep = no_vtep,
		.incarnation = 1,
	};
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
		if (error == ECONNREFUSED)
			refused(link);
		else
			hang_up(link, PEER_LINK_RETRY_MS);
		return;
	}
	(void) snprintf(hello.name, sizeof(hello.name), "%s", link->name);
	link->state = LINK_GREETING;
	watch_for(link, EPOLLIN, EPOLL_CTL_MOD);
	if (say(link, &hello) < 0)
		hang_up(link, PEER_LINK_RETRY_MS);
}

/* Returns false when the connection is over. */
static bool take(struct peer_link *link, const struct nvo3_message *message)
{
	struct nvo3_message pong = { .kind = NVO3_PONG, .id = message->id };

	if (message->kind == NVO3_WELCOME) {
		link->state = LINK_UP;
		link->was_up = true;
		return true;
	}
	if (message->kind == NVO3_PING)
		return say(link, &pong) == 0;
	/* Whoever listens there now does not lead: it has been started again. */
	if (message->kind == NVO3_ERROR && link->state == LINK_GREETING)
		refused(link);
	return message->kind == NVO3_PONG;
}

/* Each whole frame. Returns false when the connection is over. */
static bool take_frames(struct peer_link *link)
{
	long size;

	while ((size = nvo3_frame_size(link->input, link->size)) != 0) {
		_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
		const char *what;

		if (size < 0 || size > INPUT_SIZE)
			return false;
		if ((size_t) size > link->size)
			return true;
		if (nvo3_unpack(link->input + NVO3_LENGTH_SIZE, (size_t) size - NVO3_LENGTH_SIZE,
				&message, &what) < 0 ||
		    !take(link, &message))
			return false;
		link->size -= (size_t) size;
		memmove(link->input, link->input + size, link->size);
	}
	return true;
}

/* Its process has ended, or only the session: whether somebody still listens tells. */
static void broken(struct peer_link *link)
{
	if (link->state == LINK_UP)
		link->again = PEER_LINK_AGAIN_MAX;
	if (link->again == 0) {
		hang_up(link, PEER_LINK_RETRY_MS);
		return;
	}
	link->again--;
	begin(link);
}

static void hear(struct peer_link *link)
{
	ssize_t n = recv(link->fd, link->input + link->size, INPUT_SIZE - link->size, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		link->size += (size_t) n;
		if (!take_frames(link))
			hang_up(link, PEER_LINK_RETRY_MS);
		return;
	}
	broken(link);
}

void peer_link_dispatch(struct peer_link *link)
{
	if (link->state == LINK_CONNECTING)
		greet(link);
	else if (link->fd >= 0)
		hear(link);
}

void peer_link_tick(struct peer_link *link, uint64_t now_us)
{
	if (ip_is_none(link->ip) || link->state == LINK_UP || now_us < link->due_us)
		return;
	if (link->state == LINK_NONE)
		begin(link);
	else
		hang_up(link, PEER_LINK_RETRY_MS);
}

void peer_link_follow(struct peer_link *link, struct ip ip, uint16_t port)
{
	if (ip_cmp(ip, link->ip) == 0 && port == link->port)
		return;
	link->ip = ip;
	link->port = port;
	link->was_up = false;
	link->again = 0;
	hang_up(link, 0);
	if (!ip_is_none(ip))
		begin(link);
}

bool peer_link_is_up(const struct peer_link *link)
{
	return link->state == LINK_UP;
}

struct peer_link *peer_link_new(int epoll_fd, uint32_t mark, const char *name,
				void (*lost)(void *userdata), void *userdata)
{
	struct peer_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->epoll_fd = epoll_fd;
	link->mark = mark;
	link->name = name;
	link->lost = lost;
	link->userdata = userdata;
	link->fd = -1;
	return link;
}

struct peer_link *peer_link_free(struct peer_link *link)
{
	if (!link)
		return NULL;
	if (link->fd >= 0)
		close(link->fd);
	free(link);
	return NULL;
}
