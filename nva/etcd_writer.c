// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * etcd_writer.c - group commit into etcd.
 *
 * What gathers while a group is under way is the next group. One of at most ETCD_DIRECT_MAX keys is one
 * transaction. A larger one is put into PREFIX/pending/ in parts; the transaction that says in
 * PREFIX/commit how many parts there are makes it durable, all at once; then its keys are spread, and
 * the parts removed:
 *
 *   idle ──▶ direct ──────────────────────────────▶ idle
 *     │
 *     └────▶ parts ... ──▶ seal ──▶ spread ... ──▶ clean ──▶ idle
 *                             └ durable
 *
 * Each transaction compares two keys. PREFIX/leader: that nobody has taken the lead since this NVA did.
 * PREFIX/commit: that it is the next one in order. A transaction that was not answered is sent again,
 * perhaps to another endpoint, while the first one may still be on its way: whichever comes second
 * finds PREFIX/commit changed and does nothing, also long after. And when the sequence found there is the
 * one it wanted to write, it has been done. (Transactions of "parts" and "spread" leave PREFIX/commit as it
 * is: twice is as good as once, and after "seal" or "clean" none of them does anything any more.)
 *
 * A confirmation compares and writes nothing: etcd answers it without its disk, after asking a majority.
 */
#include "nva/etcd_writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

enum writing { IDLE, CONFIRM, GRAVE, DIRECT, PARTS, SEAL, SPREAD, CLEAN, WRITING_COUNT };

/* A transaction under way. */
struct flight {
	struct etcd_writer *writer;
	struct etcd_call *call; /* NULL: it waits for its next attempt */
	bool used;
	size_t from, to; /* SPREAD: entries; PARTS: bytes of the batch */
};

struct etcd_writer {
	struct etcd_client *client;
	const char *prefix;
	char leader_key[ETCD_KEY_SIZE], commit_key[ETCD_KEY_SIZE];

	bool leads;
	bool fenced; /* nothing is sent any more */
	struct etcd_fence fence;
	struct etcd_batch gathered;
	bool open, asked;	       /* something, or a confirmation, is to be committed */
	uint64_t last, given, durable; /* tickets */

	enum writing writing;
	struct etcd_group group;
	bool sealed;	/* it is durable, and has yet to be spread */
	size_t next;	/* SPREAD: entry; PARTS: byte */
	unsigned parts; /* put so far */
	struct flight flights[ETCD_FLIGHTS_MAX];
	uint64_t retry_us, since_us; /* of the oldest attempt that was not answered; 0: none */
	char trouble[STORE_MESSAGE_SIZE];

	uint64_t grave; /* the lease of what is withdrawn; 0: none */
	uint64_t grave_until_us;

	uint64_t commits, confirmations, large_commits, retries;
};

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

static void put_commit(const struct etcd_writer *writer, struct etcd_txn *txn, unsigned parts)
{
	const struct etcd_commit commit = { writer->fence.commit.sequence + 1, parts };
	char text[ETCD_COMMIT_SIZE];

	etcd_commit_write(&commit, text);
	etcd_txn_put(txn, writer->commit_key, text, strlen(text), 0);
}

static void put_entries(const struct etcd_writer *writer, struct etcd_txn *txn, size_t from,
			size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct etcd_entry *entry = writer->group.entries[i];

		if (change_is_end(entry->kind))
			etcd_txn_delete(txn, entry->key, NULL);
		else
			etcd_txn_put(txn, entry->key, entry->data, entry->size,
				     entry->kind == CHANGE_REMOVED ? writer->grave : 0);
	}
}

static void put_part(const struct etcd_writer *writer, struct etcd_txn *txn,
		     const struct flight *flight)
{
	char key[ETCD_KEY_SIZE];

	etcd_txn_put(txn, etcd_part_key(writer->prefix, writer->parts, key),
		     writer->group.batch.data + flight->from, flight->to - flight->from, 0);
}

static void say_confirm(const struct etcd_writer *writer, struct etcd_txn *txn,
			const struct flight *flight)
{
	/* That the comparisons hold is all there is to it. */
}

static void say_direct(const struct etcd_writer *writer, struct etcd_txn *txn,
		       const struct flight *flight)
{
	put_commit(writer, txn, 0);
	put_entries(writer, txn, 0, writer->group.count);
}

static void say_seal(const struct etcd_writer *writer, struct etcd_txn *txn,
		     const struct flight *flight)
{
	put_part(writer, txn, flight);
	put_commit(writer, txn, writer->parts + 1);
}

static void say_spread(const struct etcd_writer *writer, struct etcd_txn *txn,
		       const struct flight *flight)
{
	put_entries(writer, txn, flight->from, flight->to);
}

static void say_clean(const struct etcd_writer *writer, struct etcd_txn *txn,
		      const struct flight *flight)
{
	char key[ETCD_KEY_SIZE], end[ETCD_KEY_SIZE];

	put_commit(writer, txn, 0);
	etcd_txn_delete(txn, etcd_place_key(writer->prefix, ETCD_AT_PENDING, key),
			etcd_place_end(writer->prefix, ETCD_AT_PENDING, end));
}

/* --- what follows a transaction that was done --- */

static void now_durable(struct etcd_writer *writer)
{
	writer->durable = writer->given;
}

static void done_confirm(struct etcd_writer *writer, struct flight *flight)
{
	writer->confirmations++;
	now_durable(writer);
	writer->writing = IDLE;
}

static void done_direct(struct etcd_writer *writer, struct flight *flight)
{
	writer->commits++;
	now_durable(writer);
	etcd_group_clear(&writer->group);
	writer->writing = IDLE;
}

static void done_part(struct etcd_writer *writer, struct flight *flight)
{
	writer->parts++;
	writer->next = flight->to;
	if (etcd_batch_cut(&writer->group.batch, writer->next) == writer->group.batch.size)
		writer->writing = SEAL;
}

static void done_seal(struct etcd_writer *writer, struct flight *flight)
{
	writer->commits++;
	writer->large_commits++;
	now_durable(writer);
	writer->sealed = true;
	writer->writing = SPREAD;
	writer->next = 0;
}

static void done_spread(struct etcd_writer *writer, struct flight *flight)
{
	if (writer->next < writer->group.count)
		return;
	for (size_t i = 0; i < ETCD_FLIGHTS_MAX; i++)
		if (writer->flights[i].used)
			return;
	writer->writing = CLEAN;
}

static void done_clean(struct etcd_writer *writer, struct flight *flight)
{
	writer->sealed = false;
	etcd_group_clear(&writer->group);
	writer->writing = IDLE;
}

static const struct stage {
	void (*say)(const struct etcd_writer *writer, struct etcd_txn *txn,
		    const struct flight *flight);
	void (*done)(struct etcd_writer *writer, struct flight *flight);
	bool counts; /* PREFIX/commit is another one then */
} stages[WRITING_COUNT] = {
	[CONFIRM] = { say_confirm, done_confirm, false },
	[DIRECT] = { say_direct, done_direct, true },
	[PARTS] = { put_part, done_part, false },
	[SEAL] = { say_seal, done_seal, true },
	[SPREAD] = { say_spread, done_spread, false },
	[CLEAN] = { say_clean, done_clean, true },
};

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
	const struct stage *stage = &stages[writer->writing];

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
	    stages[writer->writing].counts &&
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
		stages[writer->writing].say(writer, txn, flight);
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
