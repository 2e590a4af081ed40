/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *   One loop does everything: sleep to the next tick, send what is due, take what came, let the
 *   TCP connection work. Waiting for an answer (probe_talk.c) is that same loop with an end
 *   condition, so the streams never pause while the two ends talk.
 *
 * Invariants
 *   - Requests carry a token; only an answer with the last token counts, and late ones are ignored.
 *   - `sender` exists from the guest's STARTED on; `streaming` is true until stop.
 *   - The guest's counts of the up stream are final once STOPPED has come: it sends no more.
 */
#include "tests/lab/probe_peer_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>

#include "tests/lab/probe.h"

#define TICK_NS		UINT64_C(250000)
#define REST_NS		UINT64_C(50000) /* slept at least, so that a slow machine gets air */
#define SIGN_OF_LIFE_NS UINT64_C(1000000000)

enum {
	BATCHES_PER_TICK = 16, /* of at least 16 datagrams that wait: a million a second */
};

static int make_flows(struct probe_peer *peer)
{
	for (uint8_t flow = 0; flow < peer->config.flows; flow++) {
		peer->up[flow] = probe_stats_new();
		if (!peer->up[flow])
			return -ENOMEM;
		peer->targets[flow] = (struct probe_target){
			.fd = probe_udp_connect(&peer->config.to),
			.connected = true,
		};
		if (peer->targets[flow].fd < 0)
			return peer->targets[flow].fd;
	}
	return 0;
}

int probe_peer_new(const struct probe_peer_config *config, struct probe_peer **ret_peer)
{
	_cleanup_(probe_peer_freep) struct probe_peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer)
		return -ENOMEM;

	peer->config = *config;
	peer->backlog_before = probe_backlog_drops();
	for (size_t i = 0; i < PROBE_FLOWS_MAX; i++)
		peer->targets[i].fd = -1;
	peer->inbox = probe_inbox_new();
	if (!peer->inbox)
		return -ENOMEM;
	if (getrandom(&peer->session, sizeof(peer->session), 0) != sizeof(peer->session))
		return -errno;
	r = make_flows(peer);
	if (r < 0)
		return r;

	*ret_peer = TAKE_PTR(peer);
	return 0;
}

struct probe_peer *probe_peer_free(struct probe_peer *peer)
{
	if (!peer)
		return NULL;

	for (size_t i = 0; i < PROBE_FLOWS_MAX; i++) {
		cleanup_closep(&peer->targets[i].fd);
		probe_stats_free(peer->up[i]);
	}
	probe_echo_free(peer->echo);
	probe_sender_free(peer->sender);
	probe_inbox_free(peer->inbox);
	free(peer);
	return NULL;
}

static void take_data(struct probe_peer *peer, const struct probe_message *message, size_t size,
		      uint64_t now_us)
{
	uint8_t flow = message->flow;

	if (size != peer->config.payload) {
		peer->bad++;
		return;
	}

	peer->received++;
	if (probe_stats_receive(peer->up[flow], message->seq) == 1)
		probe_gaps_note(&peer->up_gaps, now_us, message->time_us, flow, message->seq);
	if (message->seen > peer->seen[flow]) {
		peer->seen[flow] = message->seen;
		probe_gaps_note(&peer->seen_gaps, now_us, message->time_us, flow,
				message->seen - 1);
	}
}

static void take_control(struct probe_peer *peer, const struct probe_message *message)
{
	if (message->type == PROBE_REFUSED) {
		peer->refused = true;
		peer->refusal = message->reason;
	}
	if (message->token != peer->token)
		return;
	peer->answered = true;
	peer->answer = *message;
	if (message->type == PROBE_CHUNK) { /* the datagram is gone after the next receive */
		memcpy(peer->chunk, message->chunk, message->chunk_size);
		peer->answer.chunk = peer->chunk;
	}
}

static void take(struct probe_peer *peer, uint8_t flow, const struct probe_datagram *datagram,
		 uint64_t now_us)
{
	struct probe_message message;

	if (probe_wire_decode(datagram->data, datagram->size, &message) < 0 ||
	    message.session != peer->session || message.flow != flow)
		peer->bad++;
	else if (message.type == PROBE_DATA)
		take_data(peer, &message, datagram->size, now_us);
	else
		take_control(peer, &message);
}

static void receive_flow(struct probe_peer *peer, uint8_t flow)
{
	int n = 1;

	for (size_t batch = 0; n > 0 && batch < BATCHES_PER_TICK; batch++) {
		uint64_t now_us;

		n = probe_inbox_receive(peer->inbox, peer->targets[flow].fd);
		now_us = probe_now_us();
		for (int i = 0; i < n; i++) {
			struct probe_datagram datagram = probe_inbox_get(peer->inbox, (size_t) i);

			take(peer, flow, &datagram, now_us);
		}
	}
}

static void receive_all(struct probe_peer *peer)
{
	struct pollfd fds[PROBE_FLOWS_MAX];

	for (uint8_t flow = 0; flow < peer->config.flows; flow++)
		fds[flow] = (struct pollfd){ .fd = peer->targets[flow].fd, .events = POLLIN };
	if (poll(fds, peer->config.flows, 0) <= 0)
		return;
	for (uint8_t flow = 0; flow < peer->config.flows; flow++)
		if (fds[flow].revents)
			receive_flow(peer, flow);
}

bool probe_peer_is_cancelled(const struct probe_peer *peer)
{
	struct signalfd_siginfo info;

	return peer->config.cancel_fd >= 0 &&
	       read(peer->config.cancel_fd, &info, sizeof(info)) == sizeof(info);
}

void probe_peer_send(struct probe_peer *peer, struct probe_message *request)
{
	uint8_t buffer[PROBE_CONTROL_MAX];
	int size;

	request->session = peer->session;
	size = probe_wire_encode(request, buffer, sizeof(buffer));
	if (size > 0)
		(void) probe_target_send(&peer->targets[request->flow], buffer, (size_t) size);
}

/*
 * Says START again, with no token of a request: the guest answers only to say that it lost the
 * session.
 */
static void show_life(struct probe_peer *peer, uint64_t now_ns)
{
	struct probe_message start = { .type = PROBE_START };

	if (!peer->streaming || now_ns < peer->next_life_ns)
		return;
	peer->next_life_ns = now_ns + SIGN_OF_LIFE_NS;
	probe_peer_send(peer, &start);
}

static void sleep_to_tick(struct probe_peer *peer)
{
	uint64_t soonest_ns = probe_now_ns() + REST_NS;

	peer->next_tick_ns += TICK_NS;
	if (peer->next_tick_ns < soonest_ns)
		peer->next_tick_ns =
			soonest_ns; /* a tick missed is not made up for; its packets are */
	probe_sleep_until(peer->next_tick_ns);
}

int probe_peer_tick(struct probe_peer *peer, uint64_t end_ns)
{
	uint64_t now_ns;
	bool at_end;

	sleep_to_tick(peer);
	now_ns = probe_now_ns();
	at_end = end_ns && now_ns >= end_ns;
	if (peer->streaming) {
		uint64_t send_ns = at_end ? end_ns - 1 : now_ns;

		if (probe_sender_tick(peer->sender, send_ns) > 0)
			at_end = false; /* there may be more that was due before the end */
	}
	show_life(peer, now_ns);
	receive_all(peer);
	if (peer->echo)
		probe_echo_tick(peer->echo, now_ns, peer->streaming);

	if (peer->refused && peer->streaming)
		return -ECONNRESET;
	if (peer->streaming && probe_sender_is_too_large(peer->sender))
		return -EMSGSIZE;
	return at_end ? -ETIME : 0;
}

enum probe_reason probe_peer_refusal(const struct probe_peer *peer)
{
	return peer->refusal;
}

uint64_t probe_peer_sent(const struct probe_peer *peer)
{
	return probe_sender_sent_total(peer->sender);
}

uint64_t probe_peer_received(const struct probe_peer *peer)
{
	return peer->received;
}

uint64_t probe_peer_started_us(const struct probe_peer *peer)
{
	return peer->started_us;
}

uint64_t probe_peer_stopped_us(const struct probe_peer *peer)
{
	return peer->stopped_us;
}

void probe_peer_down_sender(const struct probe_peer *peer, struct probe_summary *summary)
{
	summary->counters[PROBE_COUNTER_SENT] = probe_peer_sent(peer);
	summary->counters[PROBE_COUNTER_SKIPPED] = probe_sender_skipped(peer->sender);
	summary->counters[PROBE_COUNTER_BLOCKED] = probe_sender_blocked(peer->sender);
}

void probe_peer_up(const struct probe_peer *peer, const struct probe_summary *guest,
		   struct probe_summary *ret_up)
{
	*ret_up = (struct probe_summary){ .gaps = peer->up_gaps };
	for (uint8_t flow = 0; flow < peer->config.flows; flow++) {
		probe_summary_add_flow(ret_up, flow, peer->up[flow], peer->up_sent[flow]);
		ret_up->counters[PROBE_COUNTER_SOCKET_DROPS] +=
			probe_socket_drops(peer->targets[flow].fd);
	}
	ret_up->counters[PROBE_COUNTER_BACKLOG_DROPS] =
		probe_backlog_drops() - peer->backlog_before;
	ret_up->counters[PROBE_COUNTER_BAD] = peer->bad;
	if (guest) {
		ret_up->counters[PROBE_COUNTER_SKIPPED] = guest->counters[PROBE_COUNTER_SKIPPED];
		ret_up->counters[PROBE_COUNTER_BLOCKED] = guest->counters[PROBE_COUNTER_BLOCKED];
	}
}

const struct probe_gaps *probe_peer_seen_gaps(const struct probe_peer *peer)
{
	return &peer->seen_gaps;
}

struct probe_echo *probe_peer_echo(struct probe_peer *peer)
{
	return peer->echo;
}
