/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_lines.h - the guest's TCP service, on the same port as the counter.
 *
 * A client sends a command and a newline:
 *   INFO  one line of JSON: uptime, datagrams ignored, counters of eth0
 *   ECHO  from here on everything received is sent back
 */
#ifndef REHOME_TESTS_LAB_PROBE_LINES_H
#define REHOME_TESTS_LAB_PROBE_LINES_H

#include <poll.h>

#include "tests/lab/probe_session.h"

enum {
	PROBE_CLIENTS_MAX = 32, /* more are accepted and closed at once */
};

struct probe_lines;

/* @sessions is borrowed, for INFO. Returns 0, -ENOMEM, or what the system said of the port. */
int probe_lines_new(uint16_t port, const struct probe_sessions *sessions,
		    struct probe_lines **ret_lines);
struct probe_lines *probe_lines_free(struct probe_lines *lines);
DEFINE_CLEANUP(struct probe_lines, probe_lines_free)

/* Writes what to poll for into @fds (PROBE_CLIENTS_MAX + 1 entries); returns how many. */
nfds_t probe_lines_poll(const struct probe_lines *lines, struct pollfd *fds);

/* Serves what poll() found; @fds and @count as probe_lines_poll() gave them. */
void probe_lines_serve(struct probe_lines *lines, const struct pollfd *fds, nfds_t count);

#endif
