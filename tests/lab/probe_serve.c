/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_serve.c - `probe serve`: the end in the guest.
 *
 * Idle, it sleeps in poll(). While a session is active it wakes once per tick instead, sends what
 * is due and takes all that has come: under emulation a wake-up costs far more than a packet.
 */
#include <argp.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/lab/probe.h"
#include "tests/lab/probe_lines.h"
#include "tests/lab/probe_wire.h"

#define SERVE_TICK_NS UINT64_C(1000000)

enum {
	BATCHES_PER_TICK = 64,
};

struct serve {
	uint16_t port;
	int udp_fd;
	struct probe_inbox *inbox;
	struct probe_sessions *sessions;
	struct probe_lines *lines;
	uint64_t next_tick_ns;
};

static void serve_clear(struct serve *serve)
{
	probe_lines_free(serve->lines);
	probe_sessions_free(serve->sessions);
	probe_inbox_free(serve->inbox);
	cleanup_closep(&serve->udp_fd);
}

static int serve_init(struct serve *serve)
{
	serve->udp_fd = probe_udp_listen(serve->port);
	if (serve->udp_fd < 0)
		return serve->udp_fd;

	serve->inbox = probe_inbox_new();
	serve->sessions = probe_sessions_new(serve->udp_fd);
	if (!serve->inbox || !serve->sessions)
		return -ENOMEM;
	return probe_lines_new(serve->port, serve->sessions, &serve->lines);
}

/* Takes what waits; not more than a tick's worth at the highest rate, so that sending goes on. */
static void receive_all(struct serve *serve)
{
	int n = 1;

	for (size_t batch = 0; n > 0 && batch < BATCHES_PER_TICK; batch++) {
		uint64_t now_us;

		n = probe_inbox_receive(serve->inbox, serve->udp_fd);
		now_us = probe_now_us();
		for (int i = 0; i < n; i++) {
			struct probe_datagram datagram = probe_inbox_get(serve->inbox, (size_t) i);

			probe_sessions_receive(serve->sessions, &datagram, now_us);
		}
	}
}

/* Sleeps to the next tick; a tick missed is not made up for. */
static void sleep_until_tick(struct serve *serve)
{
	uint64_t now_ns = probe_now_ns();

	serve->next_tick_ns += SERVE_TICK_NS;
	if (serve->next_tick_ns <= now_ns)
		serve->next_tick_ns = now_ns;
	else
		probe_sleep_until(serve->next_tick_ns);
}

static void serve_once(struct serve *serve)
{
	bool active = probe_sessions_active(serve->sessions, probe_now_us());
	struct pollfd fds[PROBE_CLIENTS_MAX + 2];
	nfds_t count = probe_lines_poll(serve->lines, fds);

	fds[count] = (struct pollfd){ .fd = serve->udp_fd, .events = POLLIN };
	if (active)
		sleep_until_tick(serve);
	if (poll(fds, count + 1, active ? 0 : -1) < 0)
		return;

	receive_all(serve);
	probe_lines_serve(serve->lines, fds, count);
	probe_sessions_tick(serve->sessions, probe_now_ns());
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct serve *serve = state->input;

	switch (key) {
	case 'p':
		serve->port = (uint16_t) probe_parse_number(state, "--port", arg, 1, UINT16_MAX);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int probe_serve_main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "port", 'p', "PORT", 0, "UDP and TCP port, both families (default 7000)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Answers `probe run`, quietly and for ever.\v"
		       "Over TCP it takes the lines INFO (prints JSON: uptime, counters of eth0 "
		       "and TCP) "
		       "and ECHO.",
	};
	struct serve serve = { .port = PROBE_PORT_DEFAULT, .udp_fd = -1 };
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &serve);
	r = serve_init(&serve);
	if (r < 0)
		fprintf(stderr, "probe: cannot serve on port %u: %s\n", serve.port, strerror(-r));
	while (r == 0)
		serve_once(&serve);
	serve_clear(&serve);
	return EXIT_FAILURE;
}
