/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_writer.h - the leading NVA's changes on their way into etcd: each commit whole, in order,
 * once, and only while this NVA leads. etcd_writer.c says how.
 */
#ifndef REHOME_NVA_ETCD_WRITER_H
#define REHOME_NVA_ETCD_WRITER_H

#include <json-c/json.h>

#include "nva/etcd_client.h"
#include "nva/etcd_group.h"
#include "nva/store.h"

/* clang-format off */
enum {
	/* keys of a commit that is one transaction; ETCD_TXN_OPS_MAX and what else is in it */
	ETCD_DIRECT_MAX = 120,
	ETCD_FLIGHTS_MAX = 8,		/* transactions that spread a large commit, at once */
	ETCD_RETRY_MS = 100,		/* between attempts */
	ETCD_SLOW_MS = 1000,		/* without an answer: the store says that it waits */
	/*
	 * What was withdrawn goes with a lease: new ones join a lease for so long, and each is
	 * there for so long at least.
	 */
	ETCD_REMOVED_JOIN_S = 3600,
	ETCD_REMOVED_KEEP_S = 86400,
};
/* clang-format on */

/* What a write is compared with. */
struct etcd_fence {
	uint64_t leader_revision; /* of PREFIX/leader, when it became ours */
	uint64_t commit_revision; /* of PREFIX/commit; 0: not there yet */
	struct etcd_commit commit;
};

struct etcd_writer;

/* @client and @prefix are borrowed. NULL without memory. */
struct etcd_writer *etcd_writer_new(struct etcd_client *client, const char *prefix);
struct etcd_writer *etcd_writer_free(struct etcd_writer *writer);
DEFINE_CLEANUP(struct etcd_writer, etcd_writer_free)

/*
 * From now on it writes. What a predecessor has committed in parts (@pending, taken over, may be
 * empty) is brought to its place first. 0, -EBADMSG or -ENOMEM.
 */
int etcd_writer_begin(struct etcd_writer *writer, const struct etcd_fence *fence,
		      struct etcd_batch *pending);
/*
 * From now on it does not. What was not durable is forgotten; tickets begin after all that were
 * given.
 */
void etcd_writer_end(struct etcd_writer *writer);

/*
 * As store.h has them. etcd_writer_confirm(): of nothing new, but that this NVA led when it was
 * durable.
 */
int etcd_writer_append(struct etcd_writer *writer, const struct change *change);
uint64_t etcd_writer_commit(struct etcd_writer *writer);
uint64_t etcd_writer_confirm(struct etcd_writer *writer);
uint64_t etcd_writer_durable(const struct etcd_writer *writer);

/* Several times a second. */
void etcd_writer_tick(struct etcd_writer *writer, uint64_t now_us);

/*
 * How long what is under way has waited for an answer, in microseconds; *ret_text, borrowed, what
 * was the matter.
 */
uint64_t etcd_writer_waits(const struct etcd_writer *writer, uint64_t now_us,
			   const char **ret_text);
bool etcd_writer_is_idle(const struct etcd_writer *writer);
/*
 * This NVA does not lead any more, or can write no more: nothing is written until the next begin.
 */
bool etcd_writer_is_fenced(const struct etcd_writer *writer);
/* Adds its counters. 0 or -ENOMEM. */
int etcd_writer_describe(const struct etcd_writer *writer, struct json_object *object);

#endif
