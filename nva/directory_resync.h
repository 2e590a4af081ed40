/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_resync.h - snapshots of what differs only; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_RESYNC_H
#define REHOME_NVA_DIRECTORY_RESYNC_H

#include "nva/digest.h"
#include "nva/directory_member.h"

struct entry;

/* What a member that remembers a VNI has, and what of its snapshot it needs because of that. */
struct resync {
	uint8_t buckets[DIGEST_BUCKETS_SIZE];	/* its sums */
	uint8_t asked[DIGEST_BUCKET_BITS_SIZE]; /* buckets whose leaves it was asked for */
	uint8_t *leaves; /* its sums of those; owned; NULL: not asked, or not answered */
	bool waits;	 /* for the answer */
	uint8_t scope[DIGEST_LEAF_BITS_SIZE]; /* what the snapshot is of; scope_size of it counts */
	size_t scope_size;		      /* 0: not compared yet */
};

/* @entry is in its VNI's digest from now on, or, before it changes or goes, no more. */
void digest_enter(struct directory *directory, struct vni *vni, const struct entry *entry);
void digest_leave(struct directory *directory, struct vni *vni, const struct entry *entry);

/* SUBSCRIBE: with a digest, or without. */
void resync_subscribe(struct directory *directory, struct member *member,
		      const struct nvo3_message *message);
/* DIGEST: what was asked for. */
void digest_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		 const struct nvo3_message *message);
/*
 * A snapshot for @member may begin: compares. Returns false when it has been asked for more first;
 * its answer asks for the snapshot again.
 */
bool resync_compare(struct directory *directory, struct member *member);
/* The snapshot is over, or the session. */
void resync_end(struct member *member);

#endif
