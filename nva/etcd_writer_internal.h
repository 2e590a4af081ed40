/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* etcd_writer_internal.h - what the writer is made of; for etcd_writer*.c. */
#ifndef REHOME_NVA_ETCD_WRITER_INTERNAL_H
#define REHOME_NVA_ETCD_WRITER_INTERNAL_H

#include "nva/etcd_writer.h"

/* What is under way; etcd_writer.c has the picture. */
enum writing {
	IDLE,
	CONFIRM, /* that this NVA leads */
	GRAVE,	 /* a lease is asked for */
	DIRECT,
	PARTS,
	SEAL,
	SPREAD,
	CLEAN,
	WRITING_COUNT,
};

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

/* --- etcd_writer_stage.c: each kind of transaction --- */
struct etcd_stage {
	void (*say)(const struct etcd_writer *writer, struct etcd_txn *txn,
		    const struct flight *flight);
	void (*done)(struct etcd_writer *writer, struct flight *flight);
	bool counts; /* PREFIX/commit is another one then */
};
/* By enum writing; empty for what is no transaction. */
extern const struct etcd_stage etcd_stages[WRITING_COUNT];

#endif
