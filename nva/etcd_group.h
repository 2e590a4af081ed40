/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_group.h - changes that become durable together: as they happened, and as what remains of
 * them.
 *
 * A batch is changes in their order, each 16 bits of size (big endian) and its bytes (change.h).
 * What remains is the last one of each key: what their keys in etcd say in the end. A batch stands
 * in PREFIX/pending/ in that form, cut between changes.
 */
#ifndef REHOME_NVA_ETCD_GROUP_H
#define REHOME_NVA_ETCD_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "common/cleanup.h"
#include "nva/change.h"
#include "nva/etcd_key.h"

/* clang-format off */
enum {
	/* bytes: etcd takes requests of 1.5 MiB (--max-request-bytes) */
	ETCD_PART_MAX = 1 << 20,
};
/* clang-format on */

struct etcd_batch {
	uint8_t *data; /* owned */
	size_t size, room;
};

/* Each 0 or -ENOMEM. */
int etcd_batch_add(struct etcd_batch *batch, const struct change *change);
int etcd_batch_append(struct etcd_batch *batch, const void *data, size_t size);
void etcd_batch_clear(struct etcd_batch *batch);
/* Reads the change at *@position, and moves that on. 1, 0 at the end, -EBADMSG. */
int etcd_batch_next(const struct etcd_batch *batch, size_t *position, struct change *ret_change);
/* Where a part that begins at @position ends: between two changes, ETCD_PART_MAX on at most. */
size_t etcd_batch_cut(const struct etcd_batch *batch, size_t position);

/* One key and what it says in the end. */
struct etcd_entry {
	UT_hash_handle hh;
	enum change_kind kind;
	size_t number;	     /* in the order in which the keys came first */
	const uint8_t *data; /* the change; in the batch */
	size_t size;
	char key[];
};

struct etcd_group {
	struct etcd_batch batch;   /* owned */
	struct etcd_entry *by_key; /* owned */
	const struct etcd_entry *
		*entries; /* owned; what ends first, then in the order of loading */
	size_t count;
	/* a key ends in it and begins again: only the batch tells the truth to who follows */
	bool revives;
	bool has_removed; /* one of the entries is REMOVED */
};

/*
 * Takes @batch over, which is left empty. Returns 0, -EBADMSG, or -ENOMEM; @group is to be cleared
 * then, too.
 */
int etcd_group_make(struct etcd_group *group, const char *prefix, struct etcd_batch *batch);
const struct etcd_entry *etcd_group_find(const struct etcd_group *group, const char *key);
void etcd_group_clear(struct etcd_group *group);

#endif
