/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *   FREE -OPEN-> OPENED -START-> STREAMING -STOP-> STOPPED -CLOSE-> CLOSED -(slot needed)-> FREE
 *
 * A request that asks for a state already reached, or passed, is answered as it was the first time:
 * the peer repeats requests, and the network may double and delay them. DATA is accounted in every
 * state from OPENED to STOPPED; CLOSE freezes the figures into the report, which READ then hands
 * out in chunks.
 *
 * The socket serves all sessions, so its drops while several sessions run are charged to each of
 * them: a figure that says "an artefact may have happened here" must not be too small.
 */
#include "tests/lab/probe_session.h"

#include <errno.h>
#include <string.h>

#include "tests/lab/probe_pacer.h"
#include "tests/lab/probe_sender.h"
#include "tests/lab/probe_summary.h"
#include "tests/lab/probe_wire.h"

enum session_state {
	SESSION_FREE,
	SESSION_OPENED,
	SESSION_STREAMING,
	SESSION_STOPPED,
	SESSION_CLOSED,
};

struct session {
	enum session_state state;
	uint32_t id;
	struct probe_setup setup;
	uint64_t heard_us;	 /* when the peer last sent anything */
	uint64_t backlog_before; /* the kernel's drops, then */
	uint32_t drops_before;	 /* the socket's, when the session was made */
	uint64_t bad;
	uint64_t received;    /* DATA messages, doubles too */
	uint64_t flows_known; /* one bit per flow whose target is set */
	struct probe_target targets[PROBE_FLOWS_MAX];
	struct probe_stats *stats[PROBE_FLOWS_MAX]; /* owned */
	uint32_t seen[PROBE_FLOWS_MAX];
	struct probe_gaps gaps;
	struct probe_sender *sender; /* owned; NULL before START */
	uint8_t *report;	     /* owned; NULL before CLOSE */
	size_t report_size;
};
static_assert(PROBE_FLOWS_MAX <= 64, "flows_known has a bit per flow");

struct probe_sessions {
	int udp_fd;
	uint64_t bad;
	struct session items[PROBE_SESSIONS_MAX];
};

struct probe_sessions *probe_sessions_new(int udp_fd)
{
	struct probe_sessions *sessions = calloc(1, sizeof(*sessions));

	if (sessions)
		sessions->udp_fd = udp_fd;
	return sessions;
}

static void session_clear(struct session *session)
{
	for (size_t i = 0; i < PROBE_FLOWS_MAX; i++)
		probe_stats_free(session->stats[i]);
	probe_sender_free(session->sender);
	free(session->report);
	*session = (struct session){ 0 };
}

struct probe_sessions *probe_sessions_free(struct probe_sessions *sessions)
{
	for (size_t i = 0; sessions && i < PROBE_SESSIONS_MAX; i++)
		session_clear(&sessions->items[i]);
	free(sessions);
	return NULL;
}

static bool is_active(const struct session *session, uint64_t now_us)
{
	return session->state != SESSION_FREE && session->state != SESSION_CLOSED &&
	       now_us - session->heard_us < PROBE_SILENCE_MAX_US;
}

bool probe_sessions_active(const struct probe_sessions *sessions, uint64_t now_us)
{
	for (size_t i = 0; i < PROBE_SESSIONS_MAX; i++)
		if (is_active(&sessions->items[i], now_us))
			return true;
	return false;
}

uint64_t probe_sessions_bad(const struct probe_sessions *sessions)
{
	return sessions->bad;
}

static struct session *find(struct probe_sessions *sessions, uint32_t id)
{
	for (size_t i = 0; i < PROBE_SESSIONS_MAX; i++)
		if (sessions->items[i].state != SESSION_FREE && sessions->items[i].id == id)
			return &sessions->items[i];
	return NULL;
}

/* A free slot, else that of the session that ended first; NULL when all are in use. */
static struct session *find_slot(struct probe_sessions *sessions, uint64_t now_us)
{
	struct session *oldest = NULL;

	for (size_t i = 0; i < PROBE_SESSIONS_MAX; i++) {
		struct session *session = &sessions->items[i];

		if (session->state == SESSION_FREE)
			return session;
		if (!is_active(session, now_us) &&
		    (!oldest || session->heard_us < oldest->heard_us))
			oldest = session;
	}
	if (oldest)
		session_clear(oldest);
	return oldest;
}

static int session_create(struct probe_sessions *sessions, const struct probe_message *request,
			  uint64_t now_us, struct session **ret_session)
{
	struct session *session = find_slot(sessions, now_us);

	if (!session)
		return -EBUSY;

	for (size_t i = 0; i < request->setup.flows; i++) {
		session->stats[i] = probe_stats_new();
		if (!session->stats[i]) {
			session_clear(session);
			return -ENOMEM;
		}
	}
	session->state = SESSION_OPENED;
	session->id = request->session;
	session->setup = request->setup;
	session->drops_before = probe_socket_drops(sessions->udp_fd);
	session->backlog_before = probe_backlog_drops();
	*ret_session = session;
	return 0;
}

static bool setup_is_equal(const struct probe_setup *a, const struct probe_setup *b)
{
	return a->flows == b->flows && a->up_pps == b->up_pps && a->up_payload == b->up_payload &&
	       a->down_payload == b->down_payload;
}

/* What a handler works on: it fills the reply, whose session, flow and token are set. */
struct context {
	struct probe_sessions *sessions;
	struct session *session;     /* never NULL but for OPEN */
	struct probe_target *target; /* where the request came from */
	uint64_t now_us;
	struct probe_message *reply;
};

/* Handlers return 0, or a negative errno that refusal_of() knows. */
static int handle_open(struct context *ctx, const struct probe_message *request)
{
	struct session *session = ctx->session;
	int r = session ? 0 : session_create(ctx->sessions, request, ctx->now_us, &session);

	if (r < 0)
		return r;
	if (!setup_is_equal(&session->setup, &request->setup) ||
	    request->flow >= session->setup.flows)
		return -EINVAL;

	ctx->session = session;
	session->targets[request->flow] = *ctx->target;
	session->flows_known |= UINT64_C(1) << request->flow;
	return 0;
}

static int handle_start(struct context *ctx, const struct probe_message *request)
{
	struct session *session = ctx->session;
	struct probe_sender_config config = {
		.session = session->id,
		.pps = session->setup.up_pps,
		.payload = session->setup.up_payload,
		.flows = session->setup.flows,
		.targets = session->targets,
		.seen = session->seen,
	};

	if (session->state != SESSION_OPENED)
		return 0;
	if ((unsigned) __builtin_popcountll(session->flows_known) != session->setup.flows)
		return -EINVAL;

	session->sender = probe_sender_new(&config, ctx->now_us * 1000);
	if (!session->sender)
		return -ENOMEM;
	session->state = SESSION_STREAMING;
	return 0;
}

static int handle_stop(struct context *ctx, const struct probe_message *request)
{
	struct session *session = ctx->session;

	if (session->state < SESSION_STOPPED)
		session->state = SESSION_STOPPED;

	ctx->reply->received = session->received;
	ctx->reply->counts_size = session->setup.flows;
	for (uint8_t flow = 0; flow < session->setup.flows; flow++)
		ctx->reply->counts[flow] = probe_sender_sent(session->sender, flow);
	return 0;
}

static void summarise(const struct context *ctx, const struct probe_message *request,
		      struct probe_summary *summary)
{
	const struct session *session = ctx->session;

	for (uint8_t flow = 0; flow < session->setup.flows; flow++)
		probe_summary_add_flow(summary, flow, session->stats[flow], request->counts[flow]);
	summary->gaps = session->gaps;
	summary->counters[PROBE_COUNTER_BAD] = session->bad;
	summary->counters[PROBE_COUNTER_SOCKET_DROPS] =
		probe_socket_drops(ctx->sessions->udp_fd) - session->drops_before;
	summary->counters[PROBE_COUNTER_BACKLOG_DROPS] =
		probe_backlog_drops() - session->backlog_before;
	/*
	 * The guest's own sender, hence of the up stream: the peer moves these where they belong.
	 */
	summary->counters[PROBE_COUNTER_SKIPPED] = probe_sender_skipped(session->sender);
	summary->counters[PROBE_COUNTER_BLOCKED] = probe_sender_blocked(session->sender);
}

static int handle_close(struct context *ctx, const struct probe_message *request)
{
	_cleanup_free_ struct probe_summary *summary = calloc(1, sizeof(*summary));
	_cleanup_free_ uint8_t *report = malloc(PROBE_SUMMARY_SIZE_MAX);
	struct session *session = ctx->session;
	int r;

	if (!summary || !report)
		return -ENOMEM;
	if (request->counts_size != session->setup.flows)
		return -EINVAL;

	if (session->state != SESSION_CLOSED) {
		summarise(ctx, request, summary);
		r = probe_summary_encode(summary, report, PROBE_SUMMARY_SIZE_MAX);
		if (r < 0)
			return r;
		session->report = TAKE_PTR(report);
		session->report_size = (size_t) r;
		session->state = SESSION_CLOSED;
	}
	ctx->reply->total = (uint32_t) session->report_size;
	return 0;
}

static int handle_read(struct context *ctx, const struct probe_message *request)
{
	struct session *session = ctx->session;
	size_t left;

	if (session->state != SESSION_CLOSED || request->offset > session->report_size)
		return -EINVAL;

	left = session->report_size - request->offset;
	ctx->reply->total = (uint32_t) session->report_size;
	ctx->reply->offset = request->offset;
	ctx->reply->chunk_size = (uint16_t) (left < PROBE_CHUNK_MAX ? left : PROBE_CHUNK_MAX);
	ctx->reply->chunk = session->report + request->offset;
	return 0;
}

static const struct handler {
	int (*handle)(struct context *ctx, const struct probe_message *request);
	enum probe_type answer;
} handlers[] = {
	[PROBE_OPEN] = { handle_open, PROBE_OPENED },
	[PROBE_START] = { handle_start, PROBE_STARTED },
	[PROBE_STOP] = { handle_stop, PROBE_STOPPED },
	[PROBE_CLOSE] = { handle_close, PROBE_CLOSED },
	[PROBE_READ] = { handle_read, PROBE_CHUNK },
};

static enum probe_reason refusal_of(int error)
{
	switch (error) {
	case -ENOENT:
		return PROBE_REASON_UNKNOWN_SESSION;
	case -EBUSY:
		return PROBE_REASON_BUSY;
	case -ENOMEM:
		return PROBE_REASON_NO_MEMORY;
	default:
		return PROBE_REASON_MISMATCH;
	}
}

static void handle_control(struct probe_sessions *sessions, const struct probe_message *request,
			   struct probe_target *target, uint64_t now_us)
{
	const struct handler *handler = &handlers[request->type];
	struct probe_message reply = {
		.type = handler->answer,
		.flow = request->flow,
		.session = request->session,
		.token = request->token,
	};
	struct context ctx = {
		.sessions = sessions,
		.session = find(sessions, request->session),
		.target = target,
		.now_us = now_us,
		.reply = &reply,
	};
	uint8_t buffer[PROBE_CONTROL_MAX];
	int r = ctx.session || request->type == PROBE_OPEN ? handler->handle(&ctx, request)
							   : -ENOENT;

	if (r < 0) {
		reply.type = PROBE_REFUSED;
		reply.reason = refusal_of(r);
	}
	if (ctx.session)
		ctx.session->heard_us = now_us;
	r = probe_wire_encode(&reply, buffer, sizeof(buffer));
	if (r > 0)
		(void) probe_target_send(target, buffer,
					 (size_t) r); /* if lost, the peer asks again */
}

static void handle_data(struct probe_sessions *sessions, const struct probe_message *message,
			size_t size, uint64_t now_us)
{
	struct session *session = find(sessions, message->session);

	if (!session || session->state == SESSION_CLOSED) {
		sessions->bad++;
		return;
	}
	if (message->flow >= session->setup.flows || size != session->setup.down_payload) {
		session->bad++;
		return;
	}

	session->heard_us = now_us;
	session->received++;
	if (probe_stats_receive(session->stats[message->flow], message->seq) == 1)
		probe_gaps_note(&session->gaps, now_us, message->time_us, message->flow,
				message->seq);
	session->seen[message->flow] = probe_stats_next_expected(session->stats[message->flow]);
}

void probe_sessions_receive(struct probe_sessions *sessions, const struct probe_datagram *datagram,
			    uint64_t now_us)
{
	struct probe_message message;
	struct probe_target target = {
		.fd = sessions->udp_fd,
		.to = datagram->from,
		.source = datagram->to,
	};

	if (probe_wire_decode(datagram->data, datagram->size, &message) < 0)
		sessions->bad++;
	else if (message.type == PROBE_DATA)
		handle_data(sessions, &message, datagram->size, now_us);
	else if (message.type >= ARRAY_SIZE(handlers) || !handlers[message.type].handle)
		sessions->bad++; /* an answer: nobody sends those to a guest */
	else
		handle_control(sessions, &message, &target, now_us);
}

void probe_sessions_tick(struct probe_sessions *sessions, uint64_t now_ns)
{
	for (size_t i = 0; i < PROBE_SESSIONS_MAX; i++) {
		struct session *session = &sessions->items[i];

		if (session->state == SESSION_STREAMING && is_active(session, now_ns / 1000))
			(void) probe_sender_tick(session->sender, now_ns);
	}
}
