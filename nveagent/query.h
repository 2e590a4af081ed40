/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * query.h - questions to the NVA about what this NVE does not know: one for all who ask the same,
 * not more than a rate, and not again for a while when the answer was no. Pure; times are
 * microseconds of one clock. RFC 8171 section 3 calls it the pull directory.
 */
#ifndef REHOME_NVEAGENT_QUERY_H
#define REHOME_NVEAGENT_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/frames.h"

enum {
	QUERIES_MAX = 4096,    /* open or answered with no, of one VN */
	QUERY_WAITERS_MAX = 8, /* who ask the same; more repeat their question, as guests do */
	QUERY_RATE = 500,      /* a second, of one VN */
	QUERY_BURST = 100,
	QUERY_ASKER_RATE =
		50, /* a second, of one MAC: who floods does not spend the others' share */
	QUERY_ASKER_BURST = 20,
	QUERY_ASKERS = 256,	 /* shares; MACs of the same hash have one together */
	QUERY_OPEN_US = 1000000, /* for an answer; then it may be asked again */
	QUERY_NO_US =
		1000000, /* a no holds that long: a guest's own retries (RFC 4861 section 10) */
};

/* What is asked for: one of the two, the other one zero or none. */
struct query_key {
	struct mac mac;
	struct ip ip;
};

enum query_result {
	QUERY_SEND,    /* the caller sends it to the NVA under the given id */
	QUERY_JOINED,  /* the same is under way */
	QUERY_NO,      /* the NVA has just said no */
	QUERY_LIMITED, /* too many */
};

struct query_table;

struct query_table *query_table_new(void);
struct query_table *query_table_free(struct query_table *table);
DEFINE_CLEANUP(struct query_table, query_table_free)

/*
 * @id: what the NVA's answer will bear, if QUERY_SEND is returned. @question waits for it (NULL:
 * nobody does); its source is who asks. Without memory: QUERY_LIMITED.
 */
enum query_result query_ask(struct query_table *table, uint64_t now_us, const struct query_key *key,
			    struct mac asker, const struct frame *question, uint64_t id);

/*
 * The NVA has answered the query @id. Copies who waited to @ret_questions (QUERY_WAITERS_MAX) and
 * what they asked for to *ret_key. Returns how many, or -ENOENT for an answer nobody waits for any
 * more.
 */
int query_answer(struct query_table *table, uint64_t now_us, uint64_t id, bool found,
		 struct query_key *ret_key, struct frame *ret_questions);

/* The session ended: what is open will not be answered, and an old no means nothing. */
void query_forget(struct query_table *table);

size_t query_count(const struct query_table *table);

#endif
