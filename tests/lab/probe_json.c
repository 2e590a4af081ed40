/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_json.h"

#include <inttypes.h>

static double ms(uint64_t us)
{
	return (double) us / 1000.0;
}

static const char *comma(size_t index)
{
	return index ? "," : "";
}

static void print_marks(FILE *out, const char *name, const struct probe_mark *marks, size_t count,
			unsigned flags)
{
	fprintf(out, ",\"%s\":[", name);
	for (size_t i = 0; i < count; i++) {
		if (flags & PROBE_JSON_FLOWS)
			fprintf(out, "%s[%" PRIu32 ",%u]", comma(i), marks[i].seq, marks[i].flow);
		else
			fprintf(out, "%s%" PRIu32, comma(i), marks[i].seq);
	}
	fprintf(out, "]");
}

static void print_lost(FILE *out, const struct probe_summary *summary, unsigned flags)
{
	fprintf(out, ",\"lost_ranges_total\":%" PRIu64 ",\"lost_ranges\":[",
		summary->lost_ranges_total);
	for (size_t i = 0; i < summary->lost_count; i++) {
		const struct probe_range *lost = &summary->lost[i];

		fprintf(out, "%s[%" PRIu32 ",%" PRIu32, comma(i), lost->first, lost->last);
		if (flags & PROBE_JSON_FLOWS)
			fprintf(out, ",%u", lost->flow);
		fprintf(out, "]");
	}
	fprintf(out, "]");
}

static void print_gap(FILE *out, const struct probe_gap *gap, unsigned flags)
{
	fprintf(out,
		"{\"at_us\":%" PRIu64 ",\"ms\":%.3f,\"after_seq\":%" PRIu32
		",\"sender_us\":%" PRIu64 ",\"sender_ms\":%.3f",
		gap->at_us, ms(gap->length_us), gap->after_seq, gap->sender_us,
		ms(gap->sender_length_us));
	if (flags & PROBE_JSON_FLOWS)
		fprintf(out, ",\"flow\":%u", gap->flow);
	if (flags & PROBE_JSON_GUEST_CLOCK)
		fprintf(out, ",\"guest_clock\":true");
	fprintf(out, "}");
}

void probe_json_gaps(FILE *out, const struct probe_gaps *gaps, unsigned flags)
{
	fprintf(out, "\"longest_gap_ms\":%.3f,\"events_total\":%" PRIu64 ",\"events\":[",
		ms(gaps->longest_us), gaps->total);
	for (size_t i = 0; i < gaps->count; i++) {
		fprintf(out, "%s", comma(i));
		print_gap(out, &gaps->items[i], flags);
	}
	fprintf(out, "]");
}

void probe_json_summary(FILE *out, const struct probe_summary *summary, unsigned flags)
{
	for (size_t i = 0; i < PROBE_COUNTER_COUNT; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, comma(i),
			probe_counter_name((enum probe_counter) i), summary->counters[i]);
	print_lost(out, summary, flags);
	print_marks(out, "duplicated_list", summary->duplicated, summary->duplicated_count, flags);
	print_marks(out, "reordered_list", summary->reordered, summary->reordered_count, flags);
	fprintf(out, ",");
	probe_json_gaps(out, &summary->gaps, flags);
}
