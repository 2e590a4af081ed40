/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_session.h - the guest's side of the conversation in probe_wire.h: one session per `probe
 * run`.
 *
 * Knows the messages and the accounting; the caller receives datagrams, and calls tick while
 * probe_sessions_active().
 */
#ifndef REHOME_TESTS_LAB_PROBE_SESSION_H
#define REHOME_TESTS_LAB_PROBE_SESSION_H

#include "tests/lab/probe_socket.h"

enum {
	PROBE_SESSIONS_MAX = 16,
};

/* A peer that is silent for this long has gone; a peer speaks every second. */
#define PROBE_SILENCE_MAX_US UINT64_C(60000000)

struct probe_sessions;

/*
 * @udp_fd: the socket the datagrams come from and the answers leave by; borrowed. NULL when out of
 * memory.
 */
struct probe_sessions *probe_sessions_new(int udp_fd);
struct probe_sessions *probe_sessions_free(struct probe_sessions *sessions);
DEFINE_CLEANUP(struct probe_sessions, probe_sessions_free)

/*
 * Accounts a DATA message, or obeys and answers a control message. What makes no sense is counted
 * as bad.
 */
void probe_sessions_receive(struct probe_sessions *sessions, const struct probe_datagram *datagram,
			    uint64_t now_us);

/* Sends what is due of every up stream. */
void probe_sessions_tick(struct probe_sessions *sessions, uint64_t now_ns);

/* Whether some session is neither closed nor given up by its peer. */
bool probe_sessions_active(const struct probe_sessions *sessions, uint64_t now_us);

/* Datagrams ignored since the start. */
uint64_t probe_sessions_bad(const struct probe_sessions *sessions);

#endif
