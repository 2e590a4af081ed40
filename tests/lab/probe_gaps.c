/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_gaps.h"

#include <string.h>

static size_t shortest(const struct probe_gaps *gaps)
{
	size_t found = 0;

	for (size_t i = 1; i < gaps->count; i++)
		if (gaps->items[i].length_us < gaps->items[found].length_us)
			found = i;
	return found;
}

/* Keeps @gap; when the list is full the shortest entry, which may be @gap, is given up. */
static void keep(struct probe_gaps *gaps, const struct probe_gap *gap)
{
	if (gaps->count == PROBE_GAPS_MAX) {
		size_t victim = shortest(gaps);

		if (gap->length_us <= gaps->items[victim].length_us)
			return;
		gaps->count--;
		memmove(gaps->items + victim, gaps->items + victim + 1,
			(gaps->count - victim) * sizeof(gaps->items[0]));
	}
	gaps->items[gaps->count++] = *gap;
}

void probe_gaps_note(struct probe_gaps *gaps, uint64_t now_us, uint64_t sender_us, uint8_t flow,
		     uint32_t seq)
{
	struct probe_gap gap = gaps->last;

	if (gaps->started && now_us > gap.at_us) {
		gap.length_us = now_us - gap.at_us;
		gap.sender_length_us = sender_us > gap.sender_us ? sender_us - gap.sender_us : 0;
		if (gap.length_us > gaps->longest_us)
			gaps->longest_us = gap.length_us;
		if (gap.length_us > PROBE_GAP_MIN_US) {
			gaps->total++;
			keep(gaps, &gap);
		}
	}

	gaps->started = true;
	gaps->last = (struct probe_gap){
		.at_us = now_us,
		.sender_us = sender_us,
		.flow = flow,
		.after_seq = seq,
	};
}
