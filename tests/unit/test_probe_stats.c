/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packet counter's judgement: loss, duplicates, order, silences and pace, against hand-made and
 * random streams.
 */
#include <errno.h>
#include <string.h>

#include "tests/lab/probe_gaps.h"
#include "tests/lab/probe_pacer.h"
#include "tests/lab/probe_stats.h"
#include "tests/lab/probe_summary.h"
#include "tests/unit/unit.h"

static struct probe_stats *new_stats(void)
{
	struct probe_stats *stats = probe_stats_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(stats);
	return stats;
}

static void receive_range(struct probe_stats *stats, uint32_t first, uint32_t last)
{
	for (uint32_t seq = first; seq <= last; seq++)
		CU_ASSERT_EQUAL(probe_stats_receive(stats, seq), 1);
}

static void expect_lost(const struct probe_stats *stats, uint32_t from, uint32_t sent,
			uint32_t first, uint32_t last)
{
	uint32_t got_first = 0, got_last = 0;

	CU_ASSERT_TRUE_FATAL(probe_stats_next_lost(stats, from, sent, &got_first, &got_last));
	CU_ASSERT_EQUAL(got_first, first);
	CU_ASSERT_EQUAL(got_last, last);
}

static void expect_nothing_lost(const struct probe_stats *stats, uint32_t from, uint32_t sent)
{
	uint32_t first = 42, last = 43;

	CU_ASSERT_FALSE(probe_stats_next_lost(stats, from, sent, &first, &last));
	CU_ASSERT_EQUAL(first, 42);
	CU_ASSERT_EQUAL(last, 43);
}

static void an_unbroken_stream_has_no_faults(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();

	CU_ASSERT_EQUAL(probe_stats_next_expected(stats), 0);
	receive_range(stats, 0, 999);
	CU_ASSERT_EQUAL(probe_stats_received(stats, 1000), 1000);
	CU_ASSERT_EQUAL(probe_stats_next_expected(stats), 1000);
	CU_ASSERT_EQUAL(probe_stats_duplicated(stats), 0);
	CU_ASSERT_EQUAL(probe_stats_reordered(stats), 0);
	CU_ASSERT_EQUAL(probe_stats_unexpected(stats, 1000), 0);
	expect_nothing_lost(stats, 0, 1000);
}

static void nothing_sent_is_nothing_lost(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();

	CU_ASSERT_EQUAL(probe_stats_received(stats, 0), 0);
	expect_nothing_lost(stats, 0, 0);
	CU_ASSERT_PTR_NULL(probe_stats_free(NULL));
}

static void all_can_be_lost(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();

	expect_lost(stats, 0, 1, 0, 0);
	expect_lost(stats, 0, 100000000, 0, 99999999); /* far beyond the bitmap's first size */
	CU_ASSERT_EQUAL(probe_stats_received(stats, 100000000), 0);
}

/* Runs that begin, end and lie across the 64-bit words of the bitmap. */
static void finds_every_lost_run(void)
{
	static const struct {
		uint32_t first, last;
	} runs[] = {
		{ 0, 0 },     { 2, 2 },	    { 62, 63 },	  { 65, 127 },
		{ 190, 194 }, { 256, 511 }, { 998, 999 },
	};
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();
	uint32_t next = 0, received = 0;

	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		if (next < runs[i].first)
			receive_range(stats, next, runs[i].first - 1);
		received += runs[i].first - next;
		next = runs[i].last + 1;
	}
	next = 0;
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		expect_lost(stats, next, 1000, runs[i].first, runs[i].last);
		next = runs[i].last + 1;
	}
	expect_nothing_lost(stats, next, 1000);
	CU_ASSERT_EQUAL(probe_stats_received(stats, 1000), received);
	CU_ASSERT_EQUAL(probe_stats_reordered(stats), 0); /* a hole alone is no reordering */
}

static void a_duplicate_is_counted_once_each_time(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();
	const uint32_t *list;
	size_t n;

	receive_range(stats, 0, 9);
	CU_ASSERT_EQUAL(probe_stats_receive(stats, 3), 0);
	CU_ASSERT_EQUAL(probe_stats_receive(stats, 3), 0);
	CU_ASSERT_EQUAL(probe_stats_receive(stats, 9), 0);
	CU_ASSERT_EQUAL(probe_stats_duplicated(stats), 3);
	CU_ASSERT_EQUAL(probe_stats_reordered(stats), 0); /* late doubles are no reordering */
	CU_ASSERT_EQUAL(probe_stats_received(stats, 10), 10);
	list = probe_stats_duplicated_list(stats, &n);
	CU_ASSERT_EQUAL_FATAL(n, 3);
	CU_ASSERT_EQUAL(list[0], 3);
	CU_ASSERT_EQUAL(list[1], 3);
	CU_ASSERT_EQUAL(list[2], 9);
}

/*
 * RFC 4737 section 3.3: each packet below the next expected number is reordered; those that
 * overtook are not.
 */
static void order_is_judged_by_the_next_expected_number(void)
{
	static const uint32_t arrivals[] = { 0, 1, 5, 2, 3, 6, 4, 7 };
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();
	const uint32_t *list;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(arrivals); i++)
		CU_ASSERT_EQUAL(probe_stats_receive(stats, arrivals[i]), 1);
	CU_ASSERT_EQUAL(probe_stats_reordered(stats), 3);
	list = probe_stats_reordered_list(stats, &n);
	CU_ASSERT_EQUAL_FATAL(n, 3);
	CU_ASSERT_EQUAL(list[0], 2);
	CU_ASSERT_EQUAL(list[1], 3);
	CU_ASSERT_EQUAL(list[2], 4);
	CU_ASSERT_EQUAL(probe_stats_next_expected(stats), 8);
	expect_nothing_lost(stats, 0, 8);
}

static void numbers_nobody_sent_are_told_apart(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();

	receive_range(stats, 0, 9);
	CU_ASSERT_EQUAL(probe_stats_receive(stats, 70), 1);
	CU_ASSERT_EQUAL(probe_stats_received(stats, 10), 10);
	CU_ASSERT_EQUAL(probe_stats_unexpected(stats, 10), 1);
	expect_nothing_lost(stats, 0, 10);
}

static void the_cap_on_numbers_holds(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();

	CU_ASSERT_EQUAL(probe_stats_receive(stats, PROBE_SEQ_MAX - 1), 1);
	CU_ASSERT_EQUAL(probe_stats_receive(stats, PROBE_SEQ_MAX), -ERANGE);
	CU_ASSERT_EQUAL(probe_stats_receive(stats, UINT32_MAX), -ERANGE);
	CU_ASSERT_EQUAL(probe_stats_uncounted(stats), 2);
	CU_ASSERT_EQUAL(probe_stats_next_expected(stats), PROBE_SEQ_MAX);
	CU_ASSERT_EQUAL(probe_stats_received(stats, PROBE_SEQ_MAX), 1);
	expect_lost(stats, 0, PROBE_SEQ_MAX, 0, PROBE_SEQ_MAX - 2);
}

static void lists_are_cut_but_counts_are_not(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();
	size_t n;

	receive_range(stats, 0, 999);
	for (uint32_t seq = 0; seq < 1000; seq++)
		CU_ASSERT_EQUAL(probe_stats_receive(stats, seq), 0);
	CU_ASSERT_EQUAL(probe_stats_duplicated(stats), 1000);
	CU_ASSERT_EQUAL(probe_stats_duplicated_list(stats, &n)[PROBE_LIST_MAX - 1],
			PROBE_LIST_MAX - 1);
	CU_ASSERT_EQUAL(n, PROBE_LIST_MAX);
}

/* The same judgement, made slowly from a plain count per number. */
enum { MODEL_NUMBERS = 200000, MODEL_ARRIVALS = 300000 };
struct model {
	uint8_t count[MODEL_NUMBERS];
	uint64_t duplicated, reordered;
	int64_t highest;
};

static void model_receive(struct model *model, uint32_t seq)
{
	if (model->count[seq]++)
		model->duplicated++;
	else if ((int64_t) seq < model->highest)
		model->reordered++;
	if ((int64_t) seq > model->highest)
		model->highest = seq;
}

static void compare_lost(const struct model *model, const struct probe_stats *stats)
{
	uint32_t next = 0, first, last, wrong = 0;
	uint64_t lost = 0;

	while (probe_stats_next_lost(stats, next, MODEL_NUMBERS, &first, &last)) {
		for (; next < first; next++)
			wrong += model->count[next] == 0;
		for (; next <= last; next++, lost++)
			wrong += model->count[next] != 0;
	}
	for (; next < MODEL_NUMBERS; next++)
		wrong += model->count[next] == 0;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(probe_stats_received(stats, MODEL_NUMBERS) + lost, MODEL_NUMBERS);
}

static void a_random_stream_is_judged_as_by_the_model(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = new_stats();
	_cleanup_free_ struct model *model = calloc(1, sizeof(*model));
	unsigned short seed[3] = { 1, 2, 3 };

	CU_ASSERT_PTR_NOT_NULL_FATAL(model);
	model->highest = -1;
	for (uint32_t i = 0; i < MODEL_ARRIVALS; i++) {
		/*
		 * Forward in the large, disordered in the small: losses, doubles and swaps come of
		 * themselves.
		 */
		uint32_t base = (uint32_t) ((uint64_t) i * (MODEL_NUMBERS - 64) / MODEL_ARRIVALS);
		uint32_t seq = base + (uint32_t) nrand48(seed) % 64;

		model_receive(model, seq);
		CU_ASSERT_EQUAL(probe_stats_receive(stats, seq), model->count[seq] == 1);
	}
	CU_ASSERT_TRUE(model->duplicated > 1000 && model->reordered > 1000);
	CU_ASSERT_EQUAL(probe_stats_duplicated(stats), model->duplicated);
	CU_ASSERT_EQUAL(probe_stats_reordered(stats), model->reordered);
	compare_lost(model, stats);
}

static void a_summary_adds_its_flows(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *even = new_stats(), *holed = new_stats();
	_cleanup_free_ struct probe_summary *sum = calloc(1, sizeof(*sum));

	CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
	receive_range(even, 0, 99);
	receive_range(holed, 0, 9);
	receive_range(holed, 20, 99);
	CU_ASSERT_EQUAL(probe_stats_receive(holed, 15), 1);
	CU_ASSERT_EQUAL(probe_stats_receive(holed, 15), 0);
	probe_summary_add_flow(sum, 0, even, 100);
	probe_summary_add_flow(sum, 1, holed, 105);
	CU_ASSERT_EQUAL(sum->counters[PROBE_COUNTER_SENT], 205);
	CU_ASSERT_EQUAL(sum->counters[PROBE_COUNTER_RECEIVED], 191);
	CU_ASSERT_EQUAL(sum->counters[PROBE_COUNTER_LOST], 14);
	CU_ASSERT_EQUAL(sum->counters[PROBE_COUNTER_DUPLICATED], 1);
	CU_ASSERT_EQUAL(sum->counters[PROBE_COUNTER_REORDERED], 1);
	CU_ASSERT_EQUAL_FATAL(sum->lost_count, 3);
	CU_ASSERT_EQUAL(sum->lost_ranges_total, 3);
	CU_ASSERT_EQUAL(sum->lost[2].first, 100);
	CU_ASSERT_EQUAL(sum->lost[2].last, 104);
	CU_ASSERT_EQUAL(sum->lost[2].flow, 1);
	CU_ASSERT_EQUAL(sum->reordered[0].seq, 15);
	CU_ASSERT_EQUAL(sum->reordered[0].flow, 1);
}

static void a_silence_is_told_in_both_clocks(void)
{
	struct probe_gaps gaps = { 0 };

	probe_gaps_note(&gaps, 1000, 500000, 0, 0);
	probe_gaps_note(&gaps, 1000 + PROBE_GAP_MIN_US, 500100, 0, 1); /* just not long enough */
	CU_ASSERT_EQUAL(gaps.total, 0);
	probe_gaps_note(&gaps, 91000, 570100, 3, 8);
	CU_ASSERT_EQUAL_FATAL(gaps.count, 1);
	CU_ASSERT_EQUAL(gaps.items[0].at_us, 1000 + PROBE_GAP_MIN_US);
	CU_ASSERT_EQUAL(gaps.items[0].length_us, 70000);
	CU_ASSERT_EQUAL(gaps.items[0].after_seq, 1);
	CU_ASSERT_EQUAL(gaps.items[0].sender_us, 500100);
	CU_ASSERT_EQUAL(gaps.items[0].sender_length_us, 70000);
	CU_ASSERT_EQUAL(gaps.longest_us, 70000);
	probe_gaps_note(&gaps, 90000, 0, 0, 9); /* a clock that ran backwards */
	CU_ASSERT_EQUAL(gaps.total, 1);
	CU_ASSERT_EQUAL(gaps.longest_us, 70000);
}

static void the_longest_silences_are_kept_in_order(void)
{
	struct probe_gaps gaps = { 0 };
	uint64_t now_us = 0;

	probe_gaps_note(&gaps, now_us, 0, 0, 0);
	for (uint32_t i = 1; i <= PROBE_GAPS_MAX + 10; i++) {
		now_us += PROBE_GAP_MIN_US + 1000 * (uint64_t) i;
		probe_gaps_note(&gaps, now_us, 0, 0, i);
	}
	CU_ASSERT_EQUAL(gaps.total, PROBE_GAPS_MAX + 10);
	CU_ASSERT_EQUAL_FATAL(gaps.count, PROBE_GAPS_MAX);
	for (uint32_t i = 0; i < PROBE_GAPS_MAX; i++)
		CU_ASSERT_EQUAL(gaps.items[i].after_seq, i + 10);
}

/* Asks at each of @ticks ticks and sends all that is due; returns how much that was. */
static uint64_t run_pacer(struct probe_pacer *pacer, uint64_t *now_ns, uint64_t tick_ns,
			  uint32_t ticks)
{
	uint64_t sent = 0;

	for (uint32_t i = 0; i < ticks; i++) {
		uint32_t due = probe_pacer_due(pacer, *now_ns);

		probe_pacer_sent(pacer, due);
		sent += due;
		*now_ns += tick_ns;
	}
	return sent;
}

static void the_pace_is_exact_over_hours(void)
{
	static const uint32_t rates[] = { 1, 7, 333, 1000, 20000, 1000000 };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct probe_pacer pacer;
		uint64_t now_ns = 5;

		probe_pacer_start(&pacer, rates[i], now_ns);
		/*
		 * The ticks lie in [0 s, 4000 s): packet n is due at n / rate, the first at once.
		 */
		CU_ASSERT_EQUAL(run_pacer(&pacer, &now_ns, 1000000, 4000000),
				UINT64_C(4000) * rates[i] - (rates[i] - 1) / 1000);
		CU_ASSERT_EQUAL(pacer.skipped, 0);
	}
}

static void a_late_sender_catches_up_at_twice_the_rate(void)
{
	struct probe_pacer pacer;
	uint64_t now_ns = 0;

	probe_pacer_start(&pacer, 10000, now_ns);
	CU_ASSERT_EQUAL(run_pacer(&pacer, &now_ns, 1000000, 100), 991);
	for (int i = 0; i < 50; i++) { /* nothing gets out for 50 ms, though asked at each */
		CU_ASSERT_TRUE(probe_pacer_due(&pacer, now_ns) <= 21);
		now_ns += 1000000;
	}
	CU_ASSERT_EQUAL(run_pacer(&pacer, &now_ns, 1000000, 1), 21);
	CU_ASSERT_EQUAL(run_pacer(&pacer, &now_ns, 1000000, 99), 2491 - 991 - 21);
	CU_ASSERT_EQUAL(pacer.skipped, 0);
}

static void what_is_too_late_is_skipped_and_told(void)
{
	struct probe_pacer pacer;
	uint64_t now_ns = 0, sent;

	probe_pacer_start(&pacer, 1000, now_ns);
	now_ns = 10 * UINT64_C(1000000000);
	sent = run_pacer(&pacer, &now_ns, 1000000, 4000);
	CU_ASSERT_EQUAL(pacer.skipped, 9000);
	CU_ASSERT_EQUAL(sent + pacer.skipped, 14000);
}

static void a_rate_of_none_is_never_due(void)
{
	struct probe_pacer pacer;

	probe_pacer_start(&pacer, 0, 0);
	CU_ASSERT_EQUAL(probe_pacer_due(&pacer, UINT64_C(1) << 60), 0);
}

UNIT_MAIN("probe_stats", UNIT_TEST(an_unbroken_stream_has_no_faults),
	  UNIT_TEST(nothing_sent_is_nothing_lost), UNIT_TEST(all_can_be_lost),
	  UNIT_TEST(finds_every_lost_run), UNIT_TEST(a_duplicate_is_counted_once_each_time),
	  UNIT_TEST(order_is_judged_by_the_next_expected_number),
	  UNIT_TEST(numbers_nobody_sent_are_told_apart), UNIT_TEST(the_cap_on_numbers_holds),
	  UNIT_TEST(lists_are_cut_but_counts_are_not),
	  UNIT_TEST(a_random_stream_is_judged_as_by_the_model), UNIT_TEST(a_summary_adds_its_flows),
	  UNIT_TEST(a_silence_is_told_in_both_clocks),
	  UNIT_TEST(the_longest_silences_are_kept_in_order),
	  UNIT_TEST(the_pace_is_exact_over_hours),
	  UNIT_TEST(a_late_sender_catches_up_at_twice_the_rate),
	  UNIT_TEST(what_is_too_late_is_skipped_and_told), UNIT_TEST(a_rate_of_none_is_never_due))
