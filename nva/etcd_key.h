/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_key.h - where in etcd an NVA keeps what; docs/operations.md shows it to the operator.
 *
 *   PREFIX/leader               {"name":"nva1","address":"192.0.2.10:7365"}, with a lease
 *   PREFIX/commit               "1 SEQUENCE PARTS": the format, how many commits there were, and
 *                               how many pending parts belong to the last one (0: it stands below,
 *                               complete)
 *   PREFIX/pending/00000000     a part of a commit too large for one transaction (etcd_group.h)
 *   PREFIX/identity             each a change (change.h) as bytes
 *   PREFIX/nve/hv1
 *   PREFIX/member/100/hv1
 *   PREFIX/mapping/100/52:54:00:aa:00:10
 */
#ifndef REHOME_NVA_ETCD_KEY_H
#define REHOME_NVA_ETCD_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nva/change.h"

enum {
	ETCD_PREFIX_SIZE = 128,
	ETCD_KEY_SIZE = ETCD_PREFIX_SIZE + 128,
	ETCD_FORMAT = 1,
	ETCD_PARTS_MAX = 1 << 16,
};

/*
 * In the order in which they are loaded: an NVE before what it takes part in, a member before its
 * mappings.
 */
enum etcd_place {
	ETCD_AT_IDENTITY,
	ETCD_AT_NVE,
	ETCD_AT_MEMBER,
	ETCD_AT_MAPPING,
	ETCD_AT_PENDING,
	ETCD_AT_COMMIT,
	ETCD_AT_LEADER,
	ETCD_PLACE_COUNT,
};

/*
 * The one key of @place, or what all its keys begin with; @key has ETCD_KEY_SIZE bytes. Returns
 * @key.
 */
char *etcd_place_key(const char *prefix, enum etcd_place place, char *key);
/* All keys of @place are below this one. */
char *etcd_place_end(const char *prefix, enum etcd_place place, char *key);

char *etcd_change_key(const char *prefix, const struct change *change, char *key);
char *etcd_part_key(const char *prefix, unsigned part, char *key);

/*
 * Reads @key. *ret_gone, of ETCD_AT_NVE and ETCD_AT_MEMBER: the change that its absence is;
 * *ret_part: of ETCD_AT_PENDING.
 * Returns the place, -ENOENT for a key that is in none, or -EINVAL for one that is in a place and
 * that no NVA has made.
 */
int etcd_key_read(const char *prefix, const char *key, struct change *ret_gone, unsigned *ret_part);

/* The value of PREFIX/commit. */
struct etcd_commit {
	uint64_t sequence;
	unsigned parts;
};
enum { ETCD_COMMIT_SIZE = 64 };
void etcd_commit_write(const struct etcd_commit *commit, char text[ETCD_COMMIT_SIZE]);
/* Returns 0, -EPROTONOSUPPORT for another format, or -EBADMSG. */
int etcd_commit_read(const uint8_t *value, size_t size, struct etcd_commit *ret_commit);

#endif
