/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_summary.h"

#include <assert.h>
#include <errno.h>

#include "tests/lab/probe_bytes.h"

static const char *const counter_names[] = {
	[PROBE_COUNTER_SENT] = "sent",
	[PROBE_COUNTER_RECEIVED] = "received",
	[PROBE_COUNTER_LOST] = "lost",
	[PROBE_COUNTER_DUPLICATED] = "duplicated",
	[PROBE_COUNTER_REORDERED] = "reordered",
	[PROBE_COUNTER_SOCKET_DROPS] = "socket_drops",
	[PROBE_COUNTER_BACKLOG_DROPS] = "backlog_drops",
	[PROBE_COUNTER_UNCOUNTED] = "uncounted",
	[PROBE_COUNTER_UNEXPECTED] = "unexpected",
	[PROBE_COUNTER_BAD] = "bad",
	[PROBE_COUNTER_SKIPPED] = "skipped",
	[PROBE_COUNTER_BLOCKED] = "blocked",
};
static_assert(ARRAY_SIZE(counter_names) == PROBE_COUNTER_COUNT, "a counter has no name");

const char *probe_counter_name(enum probe_counter counter)
{
	return (unsigned) counter < PROBE_COUNTER_COUNT ? counter_names[counter] : "invalid";
}

static void add_marks(struct probe_mark *marks, size_t *count, uint8_t flow, const uint32_t *items,
		      size_t n)
{
	for (size_t i = 0; i < n && *count < PROBE_LIST_MAX; i++)
		marks[(*count)++] = (struct probe_mark){ .seq = items[i], .flow = flow };
}

static void add_lost_ranges(struct probe_summary *summary, uint8_t flow,
			    const struct probe_stats *stats, uint32_t sent)
{
	uint32_t from = 0, first, last;

	while (probe_stats_next_lost(stats, from, sent, &first, &last)) {
		summary->lost_ranges_total++;
		if (summary->lost_count < PROBE_LIST_MAX)
			summary->lost[summary->lost_count++] =
				(struct probe_range){ .first = first, .last = last, .flow = flow };
		from = last + 1;
	}
}

void probe_summary_add_flow(struct probe_summary *summary, uint8_t flow,
			    const struct probe_stats *stats, uint32_t sent)
{
	uint64_t received = probe_stats_received(stats, sent);
	const uint32_t *items;
	size_t n;

	summary->counters[PROBE_COUNTER_SENT] += sent;
	summary->counters[PROBE_COUNTER_RECEIVED] += received;
	summary->counters[PROBE_COUNTER_LOST] += sent - received;
	summary->counters[PROBE_COUNTER_DUPLICATED] += probe_stats_duplicated(stats);
	summary->counters[PROBE_COUNTER_REORDERED] += probe_stats_reordered(stats);
	summary->counters[PROBE_COUNTER_UNCOUNTED] += probe_stats_uncounted(stats);
	summary->counters[PROBE_COUNTER_UNEXPECTED] += probe_stats_unexpected(stats, sent);

	items = probe_stats_duplicated_list(stats, &n);
	add_marks(summary->duplicated, &summary->duplicated_count, flow, items, n);
	items = probe_stats_reordered_list(stats, &n);
	add_marks(summary->reordered, &summary->reordered_count, flow, items, n);
	add_lost_ranges(summary, flow, stats, sent);
}

static void write_marks(struct probe_writer *wr, const struct probe_mark *marks, size_t count)
{
	probe_write(wr, count, 1);
	for (size_t i = 0; i < count; i++) {
		probe_write(wr, marks[i].seq, 4);
		probe_write(wr, marks[i].flow, 1);
	}
}

static void write_gaps(struct probe_writer *wr, const struct probe_gaps *gaps)
{
	probe_write(wr, gaps->longest_us, 8);
	probe_write(wr, gaps->total, 8);
	probe_write(wr, gaps->count, 1);
	for (size_t i = 0; i < gaps->count; i++) {
		const struct probe_gap *gap = &gaps->items[i];

		probe_write(wr, gap->at_us, 8);
		probe_write(wr, gap->length_us, 8);
		probe_write(wr, gap->sender_us, 8);
		probe_write(wr, gap->sender_length_us, 8);
		probe_write(wr, gap->after_seq, 4);
		probe_write(wr, gap->flow, 1);
	}
}

int probe_summary_encode(const struct probe_summary *summary, uint8_t *buffer, size_t size)
{
	struct probe_writer wr = { .pos = buffer, .end = buffer + size };

	for (size_t i = 0; i < PROBE_COUNTER_COUNT; i++)
		probe_write(&wr, summary->counters[i], 8);
	probe_write(&wr, summary->lost_ranges_total, 8);
	probe_write(&wr, summary->lost_count, 1);
	for (size_t i = 0; i < summary->lost_count; i++) {
		probe_write(&wr, summary->lost[i].first, 4);
		probe_write(&wr, summary->lost[i].last, 4);
		probe_write(&wr, summary->lost[i].flow, 1);
	}
	write_marks(&wr, summary->duplicated, summary->duplicated_count);
	write_marks(&wr, summary->reordered, summary->reordered_count);
	write_gaps(&wr, &summary->gaps);

	return wr.failed ? -ENOBUFS : (int) (wr.pos - buffer);
}

/* A list's length, at most @max. */
static size_t read_count(struct probe_reader *rd, size_t max)
{
	size_t count = (size_t) probe_read(rd, 1);

	if (count > max) {
		rd->failed = true;
		return 0;
	}
	return count;
}

static size_t read_marks(struct probe_reader *rd, struct probe_mark *marks)
{
	size_t count = read_count(rd, PROBE_LIST_MAX);

	for (size_t i = 0; i < count; i++) {
		marks[i].seq = (uint32_t) probe_read(rd, 4);
		marks[i].flow = (uint8_t) probe_read(rd, 1);
	}
	return count;
}

static void read_gaps(struct probe_reader *rd, struct probe_gaps *gaps)
{
	gaps->longest_us = probe_read(rd, 8);
	gaps->total = probe_read(rd, 8);
	gaps->count = read_count(rd, PROBE_GAPS_MAX);
	for (size_t i = 0; i < gaps->count; i++) {
		struct probe_gap *gap = &gaps->items[i];

		gap->at_us = probe_read(rd, 8);
		gap->length_us = probe_read(rd, 8);
		gap->sender_us = probe_read(rd, 8);
		gap->sender_length_us = probe_read(rd, 8);
		gap->after_seq = (uint32_t) probe_read(rd, 4);
		gap->flow = (uint8_t) probe_read(rd, 1);
	}
}

int probe_summary_decode(const uint8_t *data, size_t size, struct probe_summary *ret_summary)
{
	struct probe_reader rd = { .pos = data, .end = data + size };
	struct probe_summary summary = { 0 };

	for (size_t i = 0; i < PROBE_COUNTER_COUNT; i++)
		summary.counters[i] = probe_read(&rd, 8);
	summary.lost_ranges_total = probe_read(&rd, 8);
	summary.lost_count = read_count(&rd, PROBE_LIST_MAX);
	for (size_t i = 0; i < summary.lost_count; i++) {
		summary.lost[i].first = (uint32_t) probe_read(&rd, 4);
		summary.lost[i].last = (uint32_t) probe_read(&rd, 4);
		summary.lost[i].flow = (uint8_t) probe_read(&rd, 1);
	}
	summary.duplicated_count = read_marks(&rd, summary.duplicated);
	summary.reordered_count = read_marks(&rd, summary.reordered);
	read_gaps(&rd, &summary.gaps);
	if (rd.failed || rd.pos != rd.end)
		return -EBADMSG;

	*ret_summary = summary;
	return 0;
}
