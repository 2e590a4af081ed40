/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_summary.h - the result for one direction, all flows together; pure.
 *
 * The guest makes the one of the down stream and sends it as bytes; the peer makes the one of the
 * up stream.
 */
#ifndef REHOME_TESTS_LAB_PROBE_SUMMARY_H
#define REHOME_TESTS_LAB_PROBE_SUMMARY_H

#include "tests/lab/probe_gaps.h"
#include "tests/lab/probe_stats.h"

/* The figures; probe_stats.h defines the first five. */
enum probe_counter {
	PROBE_COUNTER_SENT,
	PROBE_COUNTER_RECEIVED,
	PROBE_COUNTER_LOST,
	PROBE_COUNTER_DUPLICATED,
	PROBE_COUNTER_REORDERED,
	PROBE_COUNTER_SOCKET_DROPS,  /* arrived, but the receiver's socket buffer was full */
	PROBE_COUNTER_BACKLOG_DROPS, /* probe_backlog_drops() at the receiver */
	PROBE_COUNTER_UNCOUNTED,  /* arrivals out of all other figures: above a cap, or no memory */
	PROBE_COUNTER_UNEXPECTED, /* numbers that arrived though never sent */
	PROBE_COUNTER_BAD,	  /* datagrams ignored: not ours, cut, or of the wrong size */
	PROBE_COUNTER_SKIPPED,	  /* never sent: the sender was later than PROBE_LATE_MAX_NS */
	PROBE_COUNTER_BLOCKED, /* times the sender's kernel refused a packet; sent later instead */
	PROBE_COUNTER_COUNT,
};

struct probe_mark {
	uint32_t seq;
	uint8_t flow;
};

struct probe_range {
	uint32_t first, last; /* both lost */
	uint8_t flow;
};

struct probe_summary {
	uint64_t counters[PROBE_COUNTER_COUNT];
	uint64_t lost_ranges_total; /* may exceed what is kept */
	size_t lost_count, duplicated_count, reordered_count;
	struct probe_range lost[PROBE_LIST_MAX];
	struct probe_mark duplicated[PROBE_LIST_MAX];
	struct probe_mark reordered[PROBE_LIST_MAX];
	struct probe_gaps gaps;
};

enum {
	PROBE_SUMMARY_SIZE_MAX = 8 * (PROBE_COUNTER_COUNT + 3) + PROBE_LIST_MAX * (9 + 5 + 5) +
				 PROBE_GAPS_MAX * 37 + 4,
};

/* Adds one flow that sent the numbers below @sent. */
void probe_summary_add_flow(struct probe_summary *summary, uint8_t flow,
			    const struct probe_stats *stats, uint32_t sent);

/*
 * Returns the size, or -ENOBUFS when @size is too small (PROBE_SUMMARY_SIZE_MAX always suffices).
 */
int probe_summary_encode(const struct probe_summary *summary, uint8_t *buffer, size_t size);

/* Returns 0, or -EBADMSG when the bytes are cut, too long, or a list exceeds its cap. */
int probe_summary_decode(const uint8_t *data, size_t size, struct probe_summary *ret_summary);

/* The name the figure has in JSON. */
const char *probe_counter_name(enum probe_counter counter);

#endif
