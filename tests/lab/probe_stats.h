/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_stats.h - exact accounting of one flow by sequence numbers; pure, no clock, no sockets.
 *
 * Numbers start at 0 and the sender uses each once. Then, for the receiver:
 *   received    distinct numbers that arrived; sent = received + lost, always
 *   lost        numbers sent that never arrived
 *   duplicated  arrivals of a number that had arrived before
 *   reordered   first arrivals whose number is below the next expected one, that is below the
 *               highest number received before (RFC 4737 section 3.3, non-reversing order; the
 *               doubles of a packet are judged as duplicates only)
 */
#ifndef REHOME_TESTS_LAB_PROBE_STATS_H
#define REHOME_TESTS_LAB_PROBE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum {
	PROBE_SEQ_MAX =
		1 << 27, /* numbers per flow: 16 MiB of bitmap, 111 minutes at 20,000 packets/s */
	PROBE_LIST_MAX = 64, /* entries kept of each list; the counts go on exactly */
};

struct probe_stats;

/* NULL when out of memory. */
struct probe_stats *probe_stats_new(void);
struct probe_stats *probe_stats_free(struct probe_stats *stats);
DEFINE_CLEANUP(struct probe_stats, probe_stats_free)

/*
 * Accounts one arrival. Returns 1 for a first arrival, 0 for a duplicate, or, leaving it out of all
 * figures but probe_stats_uncounted(), -ERANGE for a number from PROBE_SEQ_MAX up and -ENOMEM.
 */
int probe_stats_receive(struct probe_stats *stats, uint32_t seq);

/* One above the highest number received; 0 before the first arrival. */
uint32_t probe_stats_next_expected(const struct probe_stats *stats);

uint64_t probe_stats_duplicated(const struct probe_stats *stats);
uint64_t probe_stats_reordered(const struct probe_stats *stats);
uint64_t probe_stats_uncounted(const struct probe_stats *stats);

/*
 * The first PROBE_LIST_MAX numbers that were duplicated or reordered, in order of arrival;
 * borrowed.
 */
const uint32_t *probe_stats_duplicated_list(const struct probe_stats *stats, size_t *ret_count);
const uint32_t *probe_stats_reordered_list(const struct probe_stats *stats, size_t *ret_count);

/* How many distinct numbers below @sent arrived, and how many from @sent up (which nobody sent). */
uint64_t probe_stats_received(const struct probe_stats *stats, uint32_t sent);
uint64_t probe_stats_unexpected(const struct probe_stats *stats, uint32_t sent);

/*
 * Finds the first run of lost numbers in [@from, @sent). Returns true and the run, both ends
 * included, or false when nothing is lost there.
 */
bool probe_stats_next_lost(const struct probe_stats *stats, uint32_t from, uint32_t sent,
			   uint32_t *ret_first, uint32_t *ret_last);

#endif
