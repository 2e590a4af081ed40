/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_talk.c - the peer's phases: open, stop, fetch. Each is a few requests, repeated until their
 * answer has come; the loop in probe_peer.c goes on meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "tests/lab/probe_peer_private.h"

#define ASK_AGAIN_NS	  UINT64_C(100000000)
#define OPEN_TIMEOUT_NS	  UINT64_C(10000000000)
#define ANSWER_TIMEOUT_NS UINT64_C(60000000000) /* the guest may be in the middle of a slow move */
#define QUIET_US	  UINT64_C(500000)	/* nothing new for so long: all stragglers are in */
#define STRAGGLERS_MAX_US UINT64_C(5000000)

enum {
	REPORT_MAX = PROBE_SUMMARY_SIZE_MAX,
};

/* Sends @request until its answer, of type @answer, is in peer->answer. */
static int ask(struct probe_peer *peer, struct probe_message *request, enum probe_type answer,
	       uint64_t timeout_ns)
{
	uint64_t now_ns = probe_now_ns(), deadline_ns = now_ns + timeout_ns, again_ns = now_ns;

	request->token = ++peer->token;
	peer->answered = false;
	while (!peer->answered || peer->answer.type != answer) {
		now_ns = probe_now_ns();
		if (peer->refused)
			return -ECONNRESET;
		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		if (probe_peer_is_cancelled(peer))
			return -EINTR;
		if (now_ns >= again_ns) {
			again_ns = now_ns + ASK_AGAIN_NS;
			probe_peer_send(peer, request);
		}
		(void) probe_peer_tick(peer, 0);
	}
	return 0;
}

/* To be called when the guest has answered over UDP: then it listens to TCP, too. */
static int connect_tcp(struct probe_peer *peer)
{
	uint64_t deadline_ns = probe_now_ns() + OPEN_TIMEOUT_NS;
	int r = probe_echo_new(&peer->config.to, &peer->echo);

	if (r < 0)
		return r;
	while (!probe_echo_connected(peer->echo)) {
		if (probe_echo_failed(peer->echo))
			return -ECONNREFUSED;
		if (probe_peer_is_cancelled(peer))
			return -EINTR;
		if (probe_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		(void) probe_peer_tick(peer, 0);
	}
	return 0;
}

int probe_peer_open(struct probe_peer *peer)
{
	const struct probe_peer_config *config = &peer->config;
	struct probe_message open = {
		.type = PROBE_OPEN,
		.setup = {
			.flows = config->flows, .up_pps = config->up_pps,
			.up_payload = config->payload, .down_payload = config->payload,
		},
	};
	struct probe_message start = { .type = PROBE_START };
	struct probe_sender_config sender = {
		.pps = config->down_pps,
		.payload = config->payload,
		.flows = config->flows,
		.targets = peer->targets,
		.session = peer->session,
	};
	uint64_t now_ns;
	int r = 0;

	for (; r == 0 && open.flow < config->flows; open.flow++)
		r = ask(peer, &open, PROBE_OPENED, OPEN_TIMEOUT_NS);
	if (r == 0 && config->tcp)
		r = connect_tcp(peer);
	if (r == 0)
		r = ask(peer, &start, PROBE_STARTED, OPEN_TIMEOUT_NS);
	if (r < 0)
		return r;

	now_ns = probe_now_ns();
	peer->sender = probe_sender_new(&sender, now_ns);
	if (!peer->sender)
		return -ENOMEM;
	peer->started_us = now_ns / 1000;
	peer->streaming = true;
	return 0;
}

static int ask_to_stop(struct probe_peer *peer)
{
	struct probe_message stop = { .type = PROBE_STOP };
	int r = ask(peer, &stop, PROBE_STOPPED, ANSWER_TIMEOUT_NS);

	if (r < 0)
		return r;
	if (peer->answer.counts_size != peer->config.flows)
		return -EBADMSG;
	memcpy(peer->up_sent, peer->answer.counts, sizeof(peer->up_sent));
	peer->down_received = peer->answer.received;
	return 0;
}

/* One answer a tenth of a second, until nothing new came for a while on any side. */
static int wait_for_stragglers(struct probe_peer *peer)
{
	uint64_t start_us = probe_now_us(), changed_us = start_us, now_us = start_us;
	uint64_t down = peer->down_received, up = peer->received;

	while (now_us - start_us < STRAGGLERS_MAX_US) {
		uint64_t next_us = now_us + ASK_AGAIN_NS / 1000;
		int r;

		while (probe_now_us() < next_us)
			(void) probe_peer_tick(peer, 0);
		r = ask_to_stop(peer);
		if (r < 0)
			return r;
		now_us = probe_now_us();
		if (peer->down_received != down || peer->received != up ||
		    (peer->echo && probe_echo_waiting(peer->echo)))
			changed_us = now_us;
		if (now_us - changed_us >= QUIET_US)
			return 0;
		down = peer->down_received;
		up = peer->received;
	}
	return 0;
}

int probe_peer_stop(struct probe_peer *peer)
{
	int r;

	peer->streaming = false;
	peer->stopped_us = probe_now_us();
	r = ask_to_stop(peer);
	return r < 0 ? r : wait_for_stragglers(peer);
}

/* Reads the report's bytes from @offset on; returns how many came. */
static int read_chunk(struct probe_peer *peer, uint8_t *report, uint32_t size, uint32_t offset)
{
	struct probe_message request = { .type = PROBE_READ, .offset = offset };
	const struct probe_message *answer = &peer->answer;
	int r = ask(peer, &request, PROBE_CHUNK, ANSWER_TIMEOUT_NS);

	if (r < 0)
		return r;
	if (answer->offset != offset || answer->total != size || answer->chunk_size == 0 ||
	    answer->chunk_size > size - offset)
		return -EBADMSG;
	memcpy(report + offset, answer->chunk, answer->chunk_size);
	return answer->chunk_size;
}

static int ask_to_close(struct probe_peer *peer, uint32_t *ret_size)
{
	struct probe_message request = { .type = PROBE_CLOSE, .counts_size = peer->config.flows };
	int r;

	for (uint8_t flow = 0; flow < peer->config.flows; flow++)
		request.counts[flow] = probe_sender_sent(peer->sender, flow);
	r = ask(peer, &request, PROBE_CLOSED, ANSWER_TIMEOUT_NS);
	if (r < 0)
		return r;
	if (peer->answer.total > REPORT_MAX)
		return -EBADMSG;
	*ret_size = peer->answer.total;
	return 0;
}

int probe_peer_fetch(struct probe_peer *peer, struct probe_summary *ret_down)
{
	_cleanup_free_ uint8_t *report = malloc(REPORT_MAX);
	uint32_t size = 0, offset = 0;
	int r;

	if (!report)
		return -ENOMEM;
	r = ask_to_close(peer, &size);
	while (r >= 0 && offset < size) {
		r = read_chunk(peer, report, size, offset);
		if (r > 0)
			offset += (uint32_t) r;
	}
	return r < 0 ? r : probe_summary_decode(report, size, ret_down);
}
