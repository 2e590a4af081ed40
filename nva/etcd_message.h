/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_message.h - what is said to etcd and what it answers, in the JSON of its gRPC gateway (etcd
 * 3.4, Documentation/dev-guide/api_grpc_gateway.md): bytes are base64, 64-bit numbers strings. Text
 * only: no sockets.
 */
#ifndef REHOME_NVA_ETCD_MESSAGE_H
#define REHOME_NVA_ETCD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum {
	ETCD_KEY_MAX = 384, /* bytes of a key; longer ones are not ours */
	ETCD_ERROR_SIZE = 256,
	ETCD_TXN_OPS_MAX =
		128, /* of each kind in a transaction: etcd's default for --max-txn-ops */
};

/* --- requests: each returns a text that the caller frees, or NULL without memory --- */

/*
 * Keys from @key up to @end, which is not one of them (NULL: @key alone), as of @revision (0: now);
 * at most @limit (0: all).
 */
char *etcd_range_request(const char *key, const char *end, uint64_t revision, unsigned limit);
/* Every change of such a key from @revision on. */
char *etcd_watch_request(const char *key, const char *end, uint64_t revision);
char *etcd_lease_grant_request(unsigned ttl_s);
char *etcd_lease_request(uint64_t lease); /* to keep it alive, or revoke it */

/*
 * A transaction: what is compared, then what is done if all of that holds, then what is read if
 * not; to be called in this order.
 */
struct etcd_txn;

struct etcd_txn *etcd_txn_new(void); /* NULL without memory */
struct etcd_txn *etcd_txn_free(struct etcd_txn *txn);
DEFINE_CLEANUP(struct etcd_txn, etcd_txn_free)

/* @key was changed last in @revision; 0: it is not there. */
void etcd_txn_compare(struct etcd_txn *txn, const char *key, uint64_t revision);
/* @lease, which must exist: @key goes with it; 0: none. */
void etcd_txn_put(struct etcd_txn *txn, const char *key, const void *value, size_t size,
		  uint64_t lease);
/* @end as above. */
void etcd_txn_delete(struct etcd_txn *txn, const char *key, const char *end);
void etcd_txn_read(struct etcd_txn *txn, const char *key);
void etcd_txn_else_read(struct etcd_txn *txn, const char *key);
/* The request; @txn is good for nothing but etcd_txn_free() then. */
char *etcd_txn_request(struct etcd_txn *txn);

/* --- answers --- */

/* The codes that matter here: google.rpc.Code. */
enum etcd_error {
	ETCD_ERROR_NONE = 0,
	ETCD_ERROR_UNKNOWN = 2,
	ETCD_ERROR_NOT_FOUND = 5,
	ETCD_ERROR_OUT_OF_RANGE = 11, /* a revision that has been compacted, or is not there yet */
};

struct etcd_kv {
	char *key;	/* owned */
	uint8_t *value; /* owned; NULL: deleted, or empty */
	size_t size;
	uint64_t revision; /* of its last change */
	uint64_t lease;
	bool deleted; /* in a watch */
};

/* Of every kind of request one part of it is set, the rest is zero. */
struct etcd_answer {
	int error; /* enum etcd_error, or another code */
	char error_text[ETCD_ERROR_SIZE];
	uint64_t revision;    /* of the whole store */
	uint64_t member;      /* of etcd's cluster that answers */
	uint64_t raft_leader; /* a status: the member that leads; 0: none */
	bool succeeded;	      /* a transaction: what was compared holds */
	bool more;	      /* a range: there are more than were asked for */
	struct etcd_kv *
		kvs; /* owned; of a range, of all ranges of a transaction, or of a watch's events */
	size_t kv_count;
	uint64_t lease, ttl_s;	/* a lease; a ttl_s of 0: there is none */
	bool created, canceled; /* a watch: it begins; it is over */
	uint64_t
		/* canceled because what it asks for was compacted before this one */
		compact_revision;
};

/* Returns 0, -EBADMSG for what is no answer, or -ENOMEM. */
int etcd_answer_read(const char *text, size_t size, struct etcd_answer *ret_answer);
/* Zeroes it; also for use with _cleanup_. */
void etcd_answer_clear(struct etcd_answer *answer);
/* NULL: it is not there, or deleted. */
const struct etcd_kv *etcd_answer_find(const struct etcd_answer *answer, const char *key);

#endif
