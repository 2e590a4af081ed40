/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_gaps.h - the silences in a stream of arrivals; pure, the caller brings the time.
 *
 * A gap is the time between two arrivals one after the other, in the receiver's clock. Beside it
 * stands the distance between the same two packets in the sender's clock: a gap whose sender
 * distance is as long was a pause or a loss; one whose sender distance is short was a queue that
 * held everything back.
 */
#ifndef REHOME_TESTS_LAB_PROBE_GAPS_H
#define REHOME_TESTS_LAB_PROBE_GAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROBE_GAP_MIN_US = 20000, /* shorter silences are a scheduler's, not a migration's */
	PROBE_GAPS_MAX = 64,	  /* kept: the longest ones, in order of time */
};

struct probe_gap {
	uint64_t at_us; /* when the gap began: the last arrival before it */
	uint64_t length_us;
	uint64_t sender_us;	   /* the sender's time stamp in that last arrival */
	uint64_t sender_length_us; /* to the stamp of the first arrival after it; 0 if not later */
	uint32_t after_seq;
	uint8_t flow;
};

struct probe_gaps {
	bool started;
	struct probe_gap last; /* length 0: the last arrival */
	uint64_t longest_us;
	uint64_t total; /* gaps longer than PROBE_GAP_MIN_US; may exceed what is kept */
	size_t count;
	struct probe_gap items[PROBE_GAPS_MAX];
};

/* Takes one arrival. @now_us must not run backwards; if it does, the gap counts as none. */
void probe_gaps_note(struct probe_gaps *gaps, uint64_t now_us, uint64_t sender_us, uint8_t flow,
		     uint32_t seq);

#endif
