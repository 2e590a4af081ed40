/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *   One bit per number says whether it has arrived. The bitmap doubles whenever a number lies
 *   beyond it, up to PROBE_SEQ_MAX bits. Duplicates and reordering are decided at arrival, from the
 *   bit and from next_expected; loss is decided at the end, when the sender has told how many
 *   numbers it used.
 *
 * Invariants
 *   - word_count * 64 never exceeds PROBE_SEQ_MAX; words beyond word_count count as zero.
 *   - distinct is the number of set bits; next_expected is one above the highest set bit.
 *   - distinct + duplicated + uncounted is the number of calls of probe_stats_receive().
 */
#include "tests/lab/probe_stats.h"

#include <errno.h>
#include <string.h>

enum {
	WORD_BITS = 64,
	WORDS_AT_START = 1024, /* 65,536 numbers: most runs in tests never grow */
};

struct list {
	uint32_t items[PROBE_LIST_MAX];
	uint64_t total; /* may exceed what is kept */
};

struct probe_stats {
	uint64_t *words; /* owned */
	size_t word_count;
	uint32_t next_expected;
	uint64_t distinct;
	uint64_t uncounted;
	struct list duplicated;
	struct list reordered;
};

struct probe_stats *probe_stats_new(void)
{
	_cleanup_(probe_stats_freep) struct probe_stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		return NULL;

	stats->words = calloc(WORDS_AT_START, sizeof(*stats->words));
	if (!stats->words)
		return NULL;
	stats->word_count = WORDS_AT_START;
	return TAKE_PTR(stats);
}

struct probe_stats *probe_stats_free(struct probe_stats *stats)
{
	if (!stats)
		return NULL;

	free(stats->words);
	free(stats);
	return NULL;
}

static void list_add(struct list *list, uint32_t seq)
{
	if (list->total < PROBE_LIST_MAX)
		list->items[list->total] = seq;
	list->total++;
}

static const uint32_t *list_items(const struct list *list, size_t *ret_count)
{
	*ret_count = list->total < PROBE_LIST_MAX ? (size_t) list->total : PROBE_LIST_MAX;
	return list->items;
}

/* Makes room for the bit of @seq, which is below PROBE_SEQ_MAX. */
static int grow(struct probe_stats *stats, uint32_t seq)
{
	size_t word_count = stats->word_count;
	uint64_t *words;

	while (seq / WORD_BITS >= word_count)
		word_count *= 2;
	if (word_count == stats->word_count)
		return 0;

	words = realloc(stats->words, word_count * sizeof(*words));
	if (!words)
		return -ENOMEM;
	memset(words + stats->word_count, 0, (word_count - stats->word_count) * sizeof(*words));
	stats->words = words;
	stats->word_count = word_count;
	return 0;
}

int probe_stats_receive(struct probe_stats *stats, uint32_t seq)
{
	uint64_t bit = UINT64_C(1) << seq % WORD_BITS;
	int r = seq < PROBE_SEQ_MAX ? grow(stats, seq) : -ERANGE;

	if (r < 0) {
		stats->uncounted++;
		return r;
	}
	if (stats->words[seq / WORD_BITS] & bit) {
		list_add(&stats->duplicated, seq);
		return 0;
	}

	stats->words[seq / WORD_BITS] |= bit;
	stats->distinct++;
	if (seq < stats->next_expected)
		list_add(&stats->reordered, seq);
	else
		stats->next_expected = seq + 1;
	return 1;
}

uint32_t probe_stats_next_expected(const struct probe_stats *stats)
{
	return stats->next_expected;
}

uint64_t probe_stats_duplicated(const struct probe_stats *stats)
{
	return stats->duplicated.total;
}

uint64_t probe_stats_reordered(const struct probe_stats *stats)
{
	return stats->reordered.total;
}

uint64_t probe_stats_uncounted(const struct probe_stats *stats)
{
	return stats->uncounted;
}

const uint32_t *probe_stats_duplicated_list(const struct probe_stats *stats, size_t *ret_count)
{
	return list_items(&stats->duplicated, ret_count);
}

const uint32_t *probe_stats_reordered_list(const struct probe_stats *stats, size_t *ret_count)
{
	return list_items(&stats->reordered, ret_count);
}

/* The bits of word @index that belong to numbers below @sent. */
static uint64_t word_below(const struct probe_stats *stats, size_t index, uint32_t sent)
{
	uint64_t first = (uint64_t) index * WORD_BITS;

	if (index >= stats->word_count || first >= sent)
		return 0;
	if (first + WORD_BITS <= sent)
		return stats->words[index];
	return stats->words[index] & ((UINT64_C(1) << (sent - first)) - 1);
}

uint64_t probe_stats_received(const struct probe_stats *stats, uint32_t sent)
{
	uint64_t received = 0;

	for (size_t i = 0; i < stats->word_count; i++)
		received += (unsigned) __builtin_popcountll(word_below(stats, i, sent));
	return received;
}

uint64_t probe_stats_unexpected(const struct probe_stats *stats, uint32_t sent)
{
	return stats->distinct - probe_stats_received(stats, sent);
}

/* The first number from @from on whose bit is @wanted, or @sent. */
static uint32_t find(const struct probe_stats *stats, uint32_t from, uint32_t sent, bool wanted)
{
	uint64_t seq = from;

	while (seq < sent) {
		size_t index = (size_t) (seq / WORD_BITS);
		uint64_t word = index < stats->word_count ? stats->words[index] : 0;
		uint64_t matches = (wanted ? word : ~word) & (~UINT64_C(0) << seq % WORD_BITS);

		if (matches) {
			seq = (uint64_t) index * WORD_BITS + (unsigned) __builtin_ctzll(matches);
			break;
		}
		seq = ((uint64_t) index + 1) * WORD_BITS;
	}
	return seq < sent ? (uint32_t) seq : sent;
}

bool probe_stats_next_lost(const struct probe_stats *stats, uint32_t from, uint32_t sent,
			   uint32_t *ret_first, uint32_t *ret_last)
{
	uint32_t first = find(stats, from, sent, false);

	if (from >= sent || first >= sent)
		return false;

	*ret_first = first;
	*ret_last = find(stats, first, sent, true) - 1;
	return true;
}
