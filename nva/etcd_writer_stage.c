// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * etcd_writer_stage.c - what each of the writer's transactions says, and what follows when it was
 * done.
 */
#include "nva/etcd_writer_internal.h"

#include <string.h>

/* --- what is said --- */

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

const struct etcd_stage etcd_stages[WRITING_COUNT] = {
	[CONFIRM] = { say_confirm, done_confirm, false },
	[DIRECT] = { say_direct, done_direct, true },
	[PARTS] = { put_part, done_part, false },
	[SEAL] = { say_seal, done_seal, true },
	[SPREAD] = { say_spread, done_spread, false },
	[CLEAN] = { say_clean, done_clean, true },
};
