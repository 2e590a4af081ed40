/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_peer_private.h - shared by probe_peer.c (the loop: packets and time) and probe_talk.c (the
 * conversation: requests and answers), which together implement probe_peer.h.
 */
#ifndef REHOME_TESTS_LAB_PROBE_PEER_PRIVATE_H
#define REHOME_TESTS_LAB_PROBE_PEER_PRIVATE_H

#include "tests/lab/probe_peer.h"
#include "tests/lab/probe_sender.h"

struct probe_peer {
	struct probe_peer_config config;
	uint32_t session;
	struct probe_target targets[PROBE_FLOWS_MAX];
	struct probe_inbox *inbox; /* owned, as are the next three */
	struct probe_sender *sender;
	struct probe_echo *echo;
	struct probe_stats *up[PROBE_FLOWS_MAX];
	bool streaming;
	uint64_t next_tick_ns, next_life_ns, started_us, stopped_us;

	uint64_t received; /* DATA messages, doubles too */
	uint64_t bad;
	uint64_t backlog_before; /* the kernel's drops when the peer was made */
	uint32_t seen[PROBE_FLOWS_MAX];
	struct probe_gaps up_gaps, seen_gaps;

	uint32_t token; /* of the request under way */
	bool answered;
	struct probe_message answer;
	uint8_t chunk[PROBE_CHUNK_MAX]; /* what answer.chunk points to */
	bool refused;
	enum probe_reason refusal;
	uint32_t up_sent[PROBE_FLOWS_MAX]; /* from STOPPED */
	uint64_t down_received;
};

/* Whether the user wants no more waiting; consumes the signal. */
bool probe_peer_is_cancelled(const struct probe_peer *peer);

/* Sends @request, once, for the session of @peer. */
void probe_peer_send(struct probe_peer *peer, struct probe_message *request);

#endif
