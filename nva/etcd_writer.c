// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * etcd_writer.c - group commit into etcd.
 *
 * What gathers while a group is under way is the next group. One of at most ETCD_DIRECT_MAX keys is
 * one transaction. A larger one is put into PREFIX/pending/ in parts; the transaction that says in
 * PREFIX/commit how many parts there are makes it durable, all at once; then its keys are spread,
 * and the parts removed:
 *
 *   idle ──▶ direct ──────────────────────────────▶ idle
 *     │
 *     └────▶ parts ... ──▶ seal ──▶ spread ... ──▶ clean ──▶ idle
 *                             └ durable
 *
 * Each transaction compares two keys. PREFIX/leader: that nobody has taken the lead since this NVA
 * did. PREFIX/commit: that it is the next one in order. A transaction that was not answered is sent
 * again, perhaps to another endpoint, while the first one may still be on its way: whichever comes
 * second finds PREFIX/commit changed and does nothing, also long after. And when the sequence found
 * there is the one it wanted to write, it has been done. (Transactions of "parts" and "spread"
 * leave PREFIX/commit as it is: twice is as good as once, and after "seal" or "clean" none of them
 * does anything any more.)
 *
 * A confirmation compares and writes nothing: etcd answers it without its disk, after asking a
 * majority.
 */
#include "nva/etcd_writer_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

static void go_on(struct etcd_writer *writer);

/* --- requests --- */

static struct etcd_txn *fenced_txn(const struct etcd_writer *writer)
{
	struct etcd_txn *txn = etcd_txn_new();

	if (!txn)
		return NULL;
	etcd_txn_compare(txn, writer->leader_key, writer->fence.leader_revision);
	etcd_txn_compare(txn, writer->commit_key, writer->fence.commit_revision);
	return txn;
}

static char *close_txn(const struct etcd_writer *writer, struct etcd_txn *txn)
{
	char *request;

	etcd_txn_else_read(txn, writer->leader_key);
	etcd_txn_else_read(txn, writer->commit_key);
	request = etcd_txn_request(txn);
	etcd_txn_free(txn);
	return request;
}

/* --- answers --- */

static void note_trouble(struct etcd_writer *writer, const char *text)
{
	(void) snprintf(writer->trouble, sizeof(writer->trouble), "%.400s", text);
	writer->retries++;
	if (!writer->retry_us)
		writer->retry_us = clock_monotonic_us() + ETCD_RETRY_MS * UINT64_C(1000);
}

static void finish(struct etcd_writer *writer, struct flight *flight, uint64_t revision)
{
	const struct etcd_stage *stage = &etcd_stages[writer->writing];

	flight->used = false;
	writer->trouble[0] = '\0';
	writer->since_us = clock_monotonic_us();
	if (stage->counts) {
		writer->fence.commit_revision = revision;
		writer->fence.commit.sequence++;
	}
	stage->done(writer, flight);
	go_on(writer);
}

/* The comparisons do not hold: it was done before, or this NVA does not lead. */
static void judge(struct etcd_writer *writer, struct flight *flight,
		  const struct etcd_answer *answer)
{
	const struct etcd_kv *leader = etcd_answer_find(answer, writer->leader_key);
	const struct etcd_kv *commit = etcd_answer_find(answer, writer->commit_key);
	struct etcd_commit found;

	if (leader && leader->revision == writer->fence.leader_revision && commit &&
	    etcd_stages[writer->writing].counts &&
	    etcd_commit_read(commit->value, commit->size, &found) == 0 &&
	    found.sequence == writer->fence.commit.sequence + 1) {
		finish(writer, flight, commit->revision);
		return;
	}
	writer->fenced = true;
}

static void on_answer(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct flight *flight = userdata;
	struct etcd_writer *writer = flight->writer;

	flight->call = NULL;
	if (answer && !answer->error && answer->succeeded) {
		finish(writer, flight, answer->revision);
	} else if (answer && !answer->error) {
		judge(writer, flight, answer);
	} else {
		if (answer) /* that endpoint has no leader, no room, or no right for us */
			etcd_client_rotate(writer->client);
		if (answer && answer->error == ETCD_ERROR_NOT_FOUND)
			writer->fenced =
				true; /* the lease of what is withdrawn: we stood still for a day */
		note_trouble(writer, text);
	}
}

static void send_txn(struct etcd_writer *writer, struct flight *flight)
{
	struct etcd_txn *txn = fenced_txn(writer);
	char *request = NULL;

	if (txn) {
		etcd_stages[writer->writing].say(writer, txn, flight);
		request = close_txn(writer, txn);
	}
	if (etcd_call_new(writer->client, "/v3/kv/txn", request, on_answer, flight, &flight->call) <
	    0)
		note_trouble(writer, "out of memory");
}

/* --- the lease of what is withdrawn --- */

static void on_grave(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct flight *flight = userdata;
	struct etcd_writer *writer = flight->writer;

	flight->call = NULL;
	if (!answer || answer->error || !answer->lease) {
		if (answer)
			etcd_client_rotate(writer->client);
		note_trouble(writer, text);
		return;
	}
	flight->used = false;
	writer->grave = answer->lease;
	writer->grave_until_us = clock_monotonic_us() + ETCD_REMOVED_JOIN_S * UINT64_C(1000000);
	writer->writing = IDLE;
	go_on(writer);
}

static void dig(struct etcd_writer *writer, struct flight *flight)
{
	char *request = etcd_lease_grant_request(ETCD_REMOVED_KEEP_S + ETCD_REMOVED_JOIN_S);

	if (etcd_call_new(writer->client, "/v3/lease/grant", request, on_grave, flight,
			  &flight->call) < 0)
		note_trouble(writer, "out of memory");
}

static void attempt(struct etcd_writer *writer, struct flight *flight)
{
	if (writer->writing == GRAVE)
		dig(writer, flight);
	else
		send_txn(writer, flight);
}

/* --- groups --- */

static void take_off(struct etcd_writer *writer, struct flight *flight, size_t from, size_t to)
{
	flight->used = true;
	flight->from = from;
	flight->to = to;
	attempt(writer, flight);
}

static bool needs_grave(const struct etcd_writer *writer)
{
	return writer->group.has_removed &&
	       (!writer->grave || clock_monotonic_us() >= writer->grave_until_us);
}

/* How the group, which is not empty, is begun. */
static enum writing way_of(const struct etcd_writer *writer)
{
	if (needs_grave(writer))
		return GRAVE;
	if (writer->sealed)
		return SPREAD;
	if (writer->group.count <= ETCD_DIRECT_MAX && !writer->group.revives)
		return DIRECT;
	return etcd_batch_cut(&writer->group.batch, 0) == writer->group.batch.size ? SEAL : PARTS;
}

/* Makes a group of what has gathered, if there is any. */
static void begin_group(struct etcd_writer *writer)
{
	if (writer->group.count > 0) { /* it waited for its lease */
		writer->writing = way_of(writer);
		return;
	}
	if (writer->open || (!writer->asked && writer->given == writer->last))
		return;
	writer->given = writer->last;
	writer->asked = false;
	writer->since_us = clock_monotonic_us();
	if (writer->gathered.size == 0) {
		writer->writing = CONFIRM;
		return;
	}
	if (etcd_group_make(&writer->group, writer->prefix, &writer->gathered) < 0) {
		writer->fenced = true; /* without memory: somebody else must go on */
		return;
	}
	writer->next = 0;
	writer->parts = 0;
	writer->writing = way_of(writer);
}

static void spread(struct etcd_writer *writer)
{
	for (size_t i = 0; i < ETCD_FLIGHTS_MAX && writer->next < writer->group.count; i++) {
		size_t from = writer->next, left = writer->group.count - from;

		if (writer->flights[i].used)
			continue;
		writer->next += left < ETCD_DIRECT_MAX ? left : ETCD_DIRECT_MAX;
		take_off(writer, &writer->flights[i], from, writer->next);
	}
}

/* Does what can be done now. */
static void go_on(struct etcd_writer *writer)
{
	struct flight *first = &writer->flights[0];

	if (!writer->leads || writer->fenced)
		return;
	if (writer->writing == IDLE)
		begin_group(writer);
	if (writer->writing == IDLE || writer->fenced)
		return;
	if (writer->writing == SPREAD)
		spread(writer);
	else if (!first->used && (writer->writing == PARTS || writer->writing == SEAL))
		take_off(writer, first, writer->next,
			 etcd_batch_cut(&writer->group.batch, writer->next));
	else if (!first->used)
		take_off(writer, first, 0, 0);
}

/* --- the interface --- */

int etcd_writer_append(struct etcd_writer *writer, const struct change *change)
{
	writer->open = true;
	return etcd_batch_add(&writer->gathered, change);
}

uint64_t etcd_writer_commit(struct etcd_writer *writer)
{
	if (writer->open) {
		writer->open = false;
		writer->last++;
		go_on(writer);
	}
	return writer->last;
}

uint64_t etcd_writer_confirm(struct etcd_writer *writer)
{
	if (writer->open || writer->given < writer->last)
		return etcd_writer_commit(writer);
	writer->asked = true;
	writer->last++;
	go_on(writer);
	return writer->last;
}

uint64_t etcd_writer_durable(const struct etcd_writer *writer)
{
	return writer->durable;
}

bool etcd_writer_is_idle(const struct etcd_writer *writer)
{
	return !writer->leads || writer->fenced ||
	       (writer->writing == IDLE && writer->given == writer->last);
}

bool etcd_writer_is_fenced(const struct etcd_writer *writer)
{
	return writer->fenced;
}

void etcd_writer_tick(struct etcd_writer *writer, uint64_t now_us)
{
	if (!writer->retry_us || now_us < writer->retry_us)
		return;
	writer->retry_us = 0;
	for (size_t i = 0; i < ETCD_FLIGHTS_MAX && writer->leads && !writer->fenced; i++)
		if (writer->flights[i].used && !writer->flights[i].call)
			attempt(writer, &writer->flights[i]);
}

uint64_t etcd_writer_waits(const struct etcd_writer *writer, uint64_t now_us, const char **ret_text)
{
	*ret_text = writer->trouble;
	if (etcd_writer_is_idle(writer) || now_us < writer->since_us)
		return 0;
	return now_us - writer->since_us;
}

int etcd_writer_describe(const struct etcd_writer *writer, struct json_object *object)
{
	if (json_add_u64(object, "commits", writer->commits) < 0 ||
	    json_add_u64(object, "large_commits", writer->large_commits) < 0 ||
	    json_add_u64(object, "confirmations", writer->confirmations) < 0 ||
	    json_add_u64(object, "retries", writer->retries) < 0)
		return -ENOMEM;
	return 0;
}

/* --- life --- */

struct etcd_writer *etcd_writer_new(struct etcd_client *client, const char *prefix)
{
	struct etcd_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->client = client;
	writer->prefix = prefix;
	etcd_place_key(prefix, ETCD_AT_LEADER, writer->leader_key);
	etcd_place_key(prefix, ETCD_AT_COMMIT, writer->commit_key);
	for (size_t i = 0; i < ETCD_FLIGHTS_MAX; i++)
		writer->flights[i].writer = writer;
	return writer;
}

int etcd_writer_begin(struct etcd_writer *writer, const struct etcd_fence *fence,
		      struct etcd_batch *pending)
{
	int r = 0;

	writer->leads = true;
	writer->fence = *fence;
	writer->since_us = clock_monotonic_us();
	writer->grave = 0; /* the next one is our own */
	writer->sealed = fence->commit.parts > 0;
	if (writer->sealed)
		r = etcd_group_make(&writer->group, writer->prefix, pending);
	if (r < 0)
		return r;
	writer->next = 0;
	go_on(writer);
	return 0;
}

void etcd_writer_end(struct etcd_writer *writer)
{
	for (size_t i = 0; i < ETCD_FLIGHTS_MAX; i++) {
		writer->flights[i].call = etcd_call_free(writer->flights[i].call);
		writer->flights[i].used = false;
	}
	etcd_group_clear(&writer->group);
	etcd_batch_clear(&writer->gathered);
	writer->writing = IDLE;
	writer->leads = writer->open = writer->asked = writer->sealed = writer->fenced = false;
	writer->retry_us = 0;
	writer->trouble[0] = '\0';
	writer->given = writer->durable = ++writer->last;
}

struct etcd_writer *etcd_writer_free(struct etcd_writer *writer)
{
	if (!writer)
		return NULL;
	etcd_writer_end(writer);
	free(writer);
	return NULL;
}
