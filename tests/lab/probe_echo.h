/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_echo.h - a TCP connection to the guest that asks for an echo of 64 bytes every 2 ms.
 *
 * Questions go out on time whether or not earlier ones were answered, so a stall is seen by every
 * question in it. The connection is never made anew: whether it survives is part of the result.
 */
#ifndef REHOME_TESTS_LAB_PROBE_ECHO_H
#define REHOME_TESTS_LAB_PROBE_ECHO_H

#include "tests/lab/probe_gaps.h"
#include "tests/lab/probe_socket.h"

struct probe_echo;

struct probe_echo_result {
	uint64_t asked, answered;
	uint64_t longest_stall_us; /* from a question to its answer, or to now if there is none */
	uint32_t retransmissions;  /* tcpi_total_retrans of this end */
	uint32_t timeouts;
	bool timeouts_exact;	/* tcpi_total_rto (Linux 6.7); else the peak of tcpi_retransmits */
	bool alive;		/* connected, and every question answered */
	struct probe_gaps gaps; /* silences between answers; seq numbers the answers */
};

/* Starts connecting. Returns 0, -ENOMEM or what the system said. */
int probe_echo_new(const union probe_address *to, struct probe_echo **ret_echo);
struct probe_echo *probe_echo_free(struct probe_echo *echo);
DEFINE_CLEANUP(struct probe_echo, probe_echo_free)

/* Sends questions that are due (unless @ask is false) and takes answers. Never blocks. */
void probe_echo_tick(struct probe_echo *echo, uint64_t now_ns, bool ask);

/* Whether an answer may still come. */
bool probe_echo_waiting(const struct probe_echo *echo);

/* Connected; or failed for good. Neither: still connecting. */
bool probe_echo_connected(const struct probe_echo *echo);
bool probe_echo_failed(const struct probe_echo *echo);

struct probe_echo_result probe_echo_result(struct probe_echo *echo, uint64_t now_us);

#endif
