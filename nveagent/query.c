/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/query.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>

/* Tokens in millionths, so that one comes in each RATE-th of a second's microseconds. */
struct bucket {
	uint64_t tokens, filled_us;
};

struct query {
	struct query_key key;
	UT_hash_handle hh;
	uint64_t id; /* 0: answered with no */
	UT_hash_handle hh_id;
	uint64_t until_us;
	struct frame questions[QUERY_WAITERS_MAX];
	size_t question_count;
};

struct query_table {
	struct query *queries, *by_id; /* in the order they were asked */
	struct bucket all, askers[QUERY_ASKERS];
};

struct query_table *query_table_new(void)
{
	return calloc(1, sizeof(struct query_table));
}

struct query_table *query_table_free(struct query_table *table)
{
	if (!table)
		return NULL;
	query_forget(table);
	free(table);
	return NULL;
}

static void settle_no(struct query_table *table, struct query *query)
{
	if (query->id)
		HASH_DELETE(hh_id, table->by_id, query);
	query->id = 0;
	query->question_count = 0;
}

static void drop(struct query_table *table, struct query *query)
{
	settle_no(table, query);
	HASH_DELETE(hh, table->queries, query);
	free(query);
}

void query_forget(struct query_table *table)
{
	struct query *query, *next;

	HASH_ITER(hh, table->queries, query, next)
		drop(table, query);
}

/*
 * Both waits are equally long, so the first of them ends first; an answered one is late at worst.
 */
static void drop_old(struct query_table *table, uint64_t now_us)
{
	struct query *query, *next;

	HASH_ITER(hh, table->queries, query, next) {
		if (query->until_us > now_us)
			break;
		drop(table, query);
	}
}

static bool take_token(struct bucket *bucket, uint64_t now_us, uint64_t rate, uint64_t burst)
{
	const uint64_t one = 1000000;
	uint64_t full = burst * one, passed = now_us - bucket->filled_us;

	if (!bucket->filled_us || passed >= full / rate || bucket->tokens + passed * rate > full)
		bucket->tokens = full;
	else
		bucket->tokens += passed * rate;
	bucket->filled_us = now_us;
	if (bucket->tokens < one)
		return false;
	bucket->tokens -= one;
	return true;
}

static bool may_ask(struct query_table *table, uint64_t now_us, struct mac asker)
{
	unsigned hash = 0;

	for (size_t i = 0; i < MAC_SIZE; i++)
		hash = hash * 31 + asker.octet[i];
	if (HASH_COUNT(table->queries) >= QUERIES_MAX)
		return false;
	return take_token(&table->askers[hash % QUERY_ASKERS], now_us, QUERY_ASKER_RATE,
			  QUERY_ASKER_BURST) &&
	       take_token(&table->all, now_us, QUERY_RATE, QUERY_BURST);
}

static void join(struct query *query, const struct frame *question)
{
	if (question && query->question_count < QUERY_WAITERS_MAX)
		query->questions[query->question_count++] = *question;
}

static struct query *query_new(struct query_table *table, uint64_t now_us,
			       const struct query_key *key, uint64_t id)
{
	struct query *query = calloc(1, sizeof(*query));

	if (!query)
		return NULL;
	query->key = *key;
	query->id = id;
	query->until_us = now_us + QUERY_OPEN_US;
	HASH_ADD(hh, table->queries, key, sizeof(query->key), query);
	HASH_ADD(hh_id, table->by_id, id, sizeof(query->id), query);
	return query;
}

enum query_result query_ask(struct query_table *table, uint64_t now_us, const struct query_key *key,
			    struct mac asker, const struct frame *question, uint64_t id)
{
	struct query *query = NULL;

	drop_old(table, now_us);
	HASH_FIND(hh, table->queries, key, sizeof(*key), query);
	if (query && query->until_us <= now_us) {
		drop(table, query);
		query = NULL;
	}
	if (query && !query->id)
		return QUERY_NO;
	if (query) {
		join(query, question);
		return QUERY_JOINED;
	}
	if (!may_ask(table, now_us, asker))
		return QUERY_LIMITED;
	query = query_new(table, now_us, key, id);
	if (!query)
		return QUERY_LIMITED;
	join(query, question);
	return QUERY_SEND;
}

int query_answer(struct query_table *table, uint64_t now_us, uint64_t id, bool found,
		 struct query_key *ret_key, struct frame *ret_questions)
{
	struct query *query = NULL;
	size_t count;

	HASH_FIND(hh_id, table->by_id, &id, sizeof(id), query);
	if (!query)
		return -ENOENT;
	count = query->question_count;
	*ret_key = query->key;
	memcpy(ret_questions, query->questions, count * sizeof(*ret_questions));
	if (found) {
		drop(table, query);
	} else {
		settle_no(table, query);
		query->until_us = now_us + QUERY_NO_US;
	}
	return (int) count;
}

size_t query_count(const struct query_table *table)
{
	return HASH_COUNT(table->queries);
}
