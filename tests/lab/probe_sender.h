/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_sender.h - sends one numbered stream over several flows at a given rate.
 *
 * A number is used up only when the kernel took the packet, so "sent" is exact on this side.
 */
#ifndef REHOME_TESTS_LAB_PROBE_SENDER_H
#define REHOME_TESTS_LAB_PROBE_SENDER_H

#include "tests/lab/probe_socket.h"

struct probe_sender;

struct probe_sender_config {
	uint32_t session;
	uint32_t pps;	  /* all flows together, up to PROBE_RATE_MAX */
	uint16_t payload; /* bytes of UDP payload, at least the data header */
	uint8_t flows;
	struct probe_target *targets; /* one per flow; borrowed */
	const uint32_t
		*seen; /* what to put into the messages' `seen`, per flow; borrowed; may be NULL */
};

/* Begins the schedule at @now_ns. NULL when out of memory. */
struct probe_sender *probe_sender_new(const struct probe_sender_config *config, uint64_t now_ns);
struct probe_sender *probe_sender_free(struct probe_sender *sender);
DEFINE_CLEANUP(struct probe_sender, probe_sender_free)

/* Sends what is due; returns how many packets went out. */
uint32_t probe_sender_tick(struct probe_sender *sender, uint64_t now_ns);

/* Numbers used on @flow, and on all; 0 for a NULL sender. */
uint32_t probe_sender_sent(const struct probe_sender *sender, uint8_t flow);
uint64_t probe_sender_sent_total(const struct probe_sender *sender);

/* Whether the device refuses packets of this size, so that none will ever be sent. */
bool probe_sender_is_too_large(const struct probe_sender *sender);

/* See PROBE_COUNTER_SKIPPED and PROBE_COUNTER_BLOCKED; 0 for a NULL sender. */
uint64_t probe_sender_skipped(const struct probe_sender *sender);
uint64_t probe_sender_blocked(const struct probe_sender *sender);

#endif
