/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer_link.h - a standby's connection to the NVA that leads, only to notice at once when its
 * process has ended: the kernel closes the connection then, and refuses another one.
 *
 * A connection that ends while somebody still listens there, or that is not answered, says nothing:
 * silence is for the leader's lease in etcd to judge.
 */
#ifndef REHOME_NVA_PEER_LINK_H
#define REHOME_NVA_PEER_LINK_H

#include "common/cleanup.h"
#include "nva/wire.h"

enum {
	PEER_LINK_RETRY_MS = 1000,
	/*
	 * After a connection has broken: a process that ends may still accept when the first of its
	 * sockets is closed.
	 */
	PEER_LINK_AGAIN_MAX = 10,
	PEER_LINK_ANSWER_MS = 3000, /* for the connection, and for the WELCOME */
};

struct peer_link;

/*
 * @epoll_fd, borrowed, wakes for it with @mark as its data.u32. @name of this NVA, borrowed; NULL
 * without memory.
 */
struct peer_link *peer_link_new(int epoll_fd, uint32_t mark, const char *name,
				void (*lost)(void *userdata), void *userdata);
struct peer_link *peer_link_free(struct peer_link *link);
DEFINE_CLEANUP(struct peer_link, peer_link_free)

/* Connects to this NVA, unless it is connected to it already; none: to nobody. */
void peer_link_follow(struct peer_link *link, struct ip ip, uint16_t port);
/* Something can be read or written. */
void peer_link_dispatch(struct peer_link *link);
/* Several times a second. */
void peer_link_tick(struct peer_link *link, uint64_t now_us);
bool peer_link_is_up(const struct peer_link *link);

#endif
