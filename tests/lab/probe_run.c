/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_run.c - `probe run`: the end at the peer. Options, phases and the report; the work is in
 * probe_peer.c.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "tests/lab/probe.h"
#include "tests/lab/probe_json.h"
#include "tests/lab/probe_peer.h"

enum {
	SECONDS_MAX = 24 * 3600,
	PPS_UNSET = UINT32_MAX,
};

struct options {
	const char *to;
	uint16_t port;
	uint32_t pps, up_pps;
	uint32_t size;
	uint32_t seconds; /* 0: until a signal */
	uint8_t flows;
	bool tcp, json, progress;
};

struct run {
	struct options options;
	struct probe_peer_config config;
	struct probe_peer *peer; /* owned */
	int signal_fd;		 /* owned */
	uint16_t frame;		 /* the size really used, after the family's minimum */
	bool flowing;		 /* packets have gone each way that was asked for: said */
	uint64_t next_progress_us;
	int error; /* 0, or why `down` is not complete */
	struct probe_summary down, up;
};

static const struct argp_option option_table[] = {
	{ "to", 't', "IP", 0, "the guest's IPv4 or IPv6 address", 0 },
	{ "port", 'p', "PORT", 0, "its port (default 7000)", 0 },
	{ "pps", 'n', "N", 0, "packets per second to the guest (default 1000)", 0 },
	{ "up-pps", 'u', "M", 0,
	  "packets per second from the guest (default: as --pps; 0 for none)", 0 },
	{ "size", 's', "BYTES", 0,
	  "size of each Ethernet frame without FCS, 64 to 9000, both ways (default 64): the UDP "
	  "payload is 42 bytes "
	  "less on IPv4, 62 on IPv6. The 22-byte header of the counter must fit: on IPv6 a size "
	  "below 84 is "
	  "raised to 84; the report's frame_size says what was sent",
	  0 },
	{ "seconds", 'd', "S", 0, "end after S seconds (default: on SIGINT or SIGTERM)", 0 },
	{ "flows", 'k', "K", 0, "source ports, 1 to 64 (default 1); numbers and order are per flow",
	  0 },
	{ "tcp", 'c', NULL, 0, "also keep a TCP connection that echoes 64 bytes every 2 ms", 0 },
	{ "json", 'j', NULL, 0, "print the report as one JSON object", 0 },
	{ "progress", 'g', NULL, 0,
	  "say on stderr when the streams begin, how far they are as soon as packets have gone "
	  "both ways, and that again each second",
	  0 },
	{ 0 },
};

static const char doc[] =
	"Streams numbered UDP packets to the guest and has it stream back; counts exactly."
	"\v"
	"down is peer to guest, up is guest to peer. received counts distinct numbers (sent = "
	"received + lost), "
	"duplicated further arrivals of a number, reordered first arrivals below the highest "
	"number before "
	"(RFC 4737). socket_drops, backlog_drops (by the receiving kernel, anybody's packets: look "
	"at those of up for both ways on this machine), uncounted, skipped and blocked tell what "
	"the two ends "
	"themselves spoiled. "
	"Lists keep 64 entries, counts are exact; with several flows entries end with their flow.\n"
	"\n"
	"events are silences above 20 ms: at_us (when), ms (how long), after_seq, and the same two "
	"packets by their "
	"sender's clock (sender_us, sender_ms). Those of down are timed by the guest "
	"(guest_clock), whose clock may "
	"stop or jump when it moves; down.host has the silences in the guest's own account of what "
	"it "
	"received, timed here. Times here are CLOCK_MONOTONIC.\n"
	"\n"
	"Exit status: 0 the counts are complete, whatever they are; 1 they are not.";

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 't':
		o->to = arg;
		return 0;
	case 'p':
		o->port = (uint16_t) probe_parse_number(state, "--port", arg, 1, UINT16_MAX);
		return 0;
	case 'n':
		o->pps = (uint32_t) probe_parse_number(state, "--pps", arg, 0, PROBE_RATE_MAX);
		return 0;
	case 'u':
		o->up_pps =
			(uint32_t) probe_parse_number(state, "--up-pps", arg, 0, PROBE_RATE_MAX);
		return 0;
	case 's':
		o->size = (uint32_t) probe_parse_number(state, "--size", arg, PROBE_FRAME_MIN,
							PROBE_FRAME_MAX);
		return 0;
	case 'd':
		o->seconds = (uint32_t) probe_parse_number(state, "--seconds", arg, 1, SECONDS_MAX);
		return 0;
	case 'k':
		o->flows = (uint8_t) probe_parse_number(state, "--flows", arg, 1, PROBE_FLOWS_MAX);
		return 0;
	case 'c':
		o->tcp = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'g':
		o->progress = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return 0;
	case ARGP_KEY_END:
		if (!o->to)
			argp_error(state, "--to is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The frame and payload sizes for the address family; see the text of --size. */
static void choose_size(struct run *run)
{
	uint32_t ip = run->config.to.any.sa_family == AF_INET ? PROBE_IPV4_HEADER
							      : PROBE_IPV6_HEADER;
	uint32_t headers = PROBE_ETHERNET_HEADER + ip + PROBE_UDP_HEADER;
	uint32_t least = headers + (uint32_t) sizeof(struct probe_data_wire);

	run->frame = (uint16_t) (run->options.size > least ? run->options.size : least);
	run->config.payload = (uint16_t) (run->frame - headers);
}

/* From here on the signals that end a run only make signal_fd readable. */
static int catch_signals(struct run *run)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	run->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return run->signal_fd < 0 ? -errno : 0;
}

static int prepare(struct run *run)
{
	const struct options *o = &run->options;
	int r = probe_address_parse(o->to, o->port, &run->config.to);

	if (r == 0)
		r = catch_signals(run);
	if (r < 0)
		return r;

	choose_size(run);
	run->config.down_pps = o->pps;
	run->config.up_pps = o->up_pps == PPS_UNSET ? o->pps : o->up_pps;
	run->config.flows = o->flows;
	run->config.tcp = o->tcp;
	run->config.cancel_fd = run->signal_fd;
	return probe_peer_new(&run->config, &run->peer);
}

static void show_progress(struct run *run, uint64_t now_us)
{
	const struct probe_gaps *seen = probe_peer_seen_gaps(run->peer);
	struct probe_echo *echo = probe_peer_echo(run->peer);

	fprintf(stderr,
		"probe: %.1f s: down sent %" PRIu64 ", up received %" PRIu64
		", longest silence %.1f ms",
		(double) (now_us - probe_peer_started_us(run->peer)) / 1e6,
		probe_peer_sent(run->peer), probe_peer_received(run->peer),
		(double) seen->longest_us / 1000);
	if (echo)
		fprintf(stderr, ", tcp echoes %" PRIu64, probe_echo_result(echo, now_us).answered);
	fputc('\n', stderr);
}

static bool is_flowing(const struct run *run)
{
	return probe_peer_sent(run->peer) > 0 &&
	       (probe_peer_received(run->peer) > 0 || run->config.up_pps == 0);
}

/* Each second; and once between, so that whoever waits for the streams need not wait for that. */
static void tell_progress(struct run *run, uint64_t now_us)
{
	if (now_us >= run->next_progress_us)
		run->next_progress_us += 1000000;
	else if (run->flowing || !is_flowing(run))
		return;
	else
		run->flowing = true;
	show_progress(run, now_us);
}

static bool is_signalled(const struct run *run)
{
	struct signalfd_siginfo info;

	return read(run->signal_fd, &info, sizeof(info)) == sizeof(info);
}

/* Streams until the time is over or a signal comes. */
static int stream(struct run *run)
{
	uint64_t started_us = probe_peer_started_us(run->peer);
	uint64_t end_ns = run->options.seconds
				  ? (started_us + run->options.seconds * UINT64_C(1000000)) * 1000
				  : 0;
	int r = 0;

	run->next_progress_us = started_us;
	if (run->options.progress)
		fprintf(stderr, "probe: streaming\n");
	while (r == 0 && !is_signalled(run)) {
		if (run->options.progress)
			tell_progress(run, probe_now_us());
		r = probe_peer_tick(run->peer, end_ns);
	}
	return r == -ETIME ? 0 : r;
}

static void measure(struct run *run)
{
	int r = probe_peer_open(run->peer);

	if (r == 0)
		r = stream(run);
	if (r == 0)
		r = probe_peer_stop(run->peer);
	if (r == 0)
		r = probe_peer_fetch(run->peer, &run->down);
	run->error = r;
	probe_peer_up(run->peer, r == 0 ? &run->down : NULL, &run->up);
	probe_peer_down_sender(run->peer, &run->down);
}

static const char *error_text(const struct run *run)
{
	if (run->error == -ECONNRESET)
		return probe_reason_name(probe_peer_refusal(run->peer));
	if (run->error == -ETIMEDOUT)
		return "the guest does not answer";
	if (run->error == -EINTR)
		return "interrupted before the guest's report had come";
	return strerror(-run->error);
}

static void print_tcp(FILE *out, struct run *run)
{
	struct probe_echo *echo = probe_peer_echo(run->peer);
	struct probe_echo_result tcp;

	if (!echo) {
		fprintf(out, ",\"tcp\":null");
		return;
	}
	tcp = probe_echo_result(echo, probe_now_us());
	fprintf(out,
		",\"tcp\":{\"asked\":%" PRIu64 ",\"echoes\":%" PRIu64 ",\"longest_stall_ms\":%.3f,"
		"\"retransmissions\":%" PRIu32 ",\"timeouts\":%" PRIu32
		",\"timeouts_exact\":%s,\"alive\":%s,",
		tcp.asked, tcp.answered, (double) tcp.longest_stall_us / 1000, tcp.retransmissions,
		tcp.timeouts, tcp.timeouts_exact ? "true" : "false", tcp.alive ? "true" : "false");
	probe_json_gaps(out, &tcp.gaps, 0);
	fprintf(out, "}");
}

/*
 * When the guest's report is missing, only what this end knows is told; the rest is absent, not
 * zero.
 */
static void print_streams(FILE *out, struct run *run, unsigned flags)
{
	if (run->error == 0) {
		fprintf(out, ",\"down\":{");
		probe_json_summary(out, &run->down, flags | PROBE_JSON_GUEST_CLOCK);
	} else {
		fprintf(out, ",\"down\":{\"sent\":%" PRIu64,
			run->down.counters[PROBE_COUNTER_SENT]);
	}
	fprintf(out, ",\"host\":{");
	probe_json_gaps(out, probe_peer_seen_gaps(run->peer), flags);
	fprintf(out, "}}");
	if (run->error == 0) {
		fprintf(out, ",\"up\":{");
		probe_json_summary(out, &run->up, flags);
	} else {
		fprintf(out,
			",\"up\":{\"arrivals\":%" PRIu64 ",\"duplicated\":%" PRIu64
			",\"reordered\":%" PRIu64 ",",
			probe_peer_received(run->peer), run->up.counters[PROBE_COUNTER_DUPLICATED],
			run->up.counters[PROBE_COUNTER_REORDERED]);
		probe_json_gaps(out, &run->up.gaps, flags);
	}
	fprintf(out, "}");
}

static void print_json(FILE *out, struct run *run)
{
	const struct probe_peer_config *config = &run->config;
	unsigned flags = config->flows > 1 ? PROBE_JSON_FLOWS : 0;

	fprintf(out, "{\"complete\":%s", run->error ? "false" : "true");
	if (run->error)
		fprintf(out, ",\"error\":\"%s\"", error_text(run));
	fprintf(out,
		",\"to\":\"%s\",\"frame_size\":%u,\"payload\":%u,\"flows\":%u,\"down_pps\":%" PRIu32
		",\"up_pps\":%" PRIu32 ",\"started_us\":%" PRIu64 ",\"stopped_us\":%" PRIu64,
		run->options.to, run->frame, config->payload, config->flows, config->down_pps,
		config->up_pps, probe_peer_started_us(run->peer), probe_peer_stopped_us(run->peer));
	print_streams(out, run, flags);
	print_tcp(out, run);
	fprintf(out, "}\n");
}

static void print_direction(FILE *out, const char *name, const struct probe_summary *summary)
{
	fprintf(out, "%-5s", name);
	for (size_t i = 0; i < PROBE_COUNTER_COUNT; i++)
		if (i <= PROBE_COUNTER_REORDERED || summary->counters[i])
			fprintf(out, " %s %" PRIu64, probe_counter_name((enum probe_counter) i),
				summary->counters[i]);
	fprintf(out, ", longest silence %.1f ms\n", (double) summary->gaps.longest_us / 1000);
}

static void print_text(FILE *out, struct run *run)
{
	struct probe_echo *echo = probe_peer_echo(run->peer);

	if (run->error == 0) {
		print_direction(out, "down", &run->down);
		print_direction(out, "up", &run->up);
	}
	if (echo) {
		struct probe_echo_result tcp = probe_echo_result(echo, probe_now_us());

		fprintf(out,
			"tcp   %s, echoes %" PRIu64
			", longest stall %.1f ms, retransmissions %" PRIu32 ", timeouts %" PRIu32
			"\n",
			tcp.alive ? "alive" : "dead", tcp.answered,
			(double) tcp.longest_stall_us / 1000, tcp.retransmissions, tcp.timeouts);
	}
}

int probe_run_main(int argc, char **argv)
{
	static const struct argp argp = { .options = option_table,
					  .parser = parse_option,
					  .doc = doc };
	struct run run = {
		.options = { .port = PROBE_PORT_DEFAULT,
			     .pps = 1000,
			     .up_pps = PPS_UNSET,
			     .size = PROBE_FRAME_MIN,
			     .flows = 1 },
		.signal_fd = -1,
	};
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &run.options);
	r = prepare(&run);
	if (r < 0) {
		fprintf(stderr, "probe: cannot reach %s: %s\n", run.options.to, strerror(-r));
	} else {
		measure(&run);
		r = run.error;
		if (r < 0)
			fprintf(stderr, "probe: %s: %s\n", run.options.to, error_text(&run));
		(run.options.json ? print_json : print_text)(stdout, &run);
	}
	probe_peer_free(run.peer);
	cleanup_closep(&run.signal_fd);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
