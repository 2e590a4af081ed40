/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_interest.h - what members that pull hold, and are told; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_INTEREST_H
#define REHOME_NVA_DIRECTORY_INTEREST_H

#include <sys/queue.h>

#include "nva/directory.h"
#include "nva/directory_member.h"
#include "nva/directory_tell.h"
#include "nva/table.h"

struct entry;

/* clang-format off */
/* A member that pulls holds an entry that it does not own. */
struct interest {
	struct table_link link;		/* vni->interests, by entry */
	TAILQ_ENTRY(interest) of_pull;
	struct pull *pull;
	uint32_t entry;
};
TAILQ_HEAD(interest_queue, interest);

/* What a member that pulls holds, and what it is still to be told. */
struct pull {
	TAILQ_ENTRY(pull) of_vni;
	struct member *member;
	struct interest_queue interests;
	size_t count;			/* of them */
	bool listing;			/* more of what it holds is to come, before its snapshot */
	/* of the last UPDATE that told it of something that is gone */
	uint64_t gone_revision;
	struct id_list changed;		/* entries, while they are being told */
	struct removal_list removed;
};
TAILQ_HEAD(pull_queue, pull);
/* clang-format on */

/*
 * SUBSCRIBE with pull: @member holds what the message names, and nothing else if it is the first.
 */
void pull_subscribe(struct directory *directory, struct member *member,
		    const struct nvo3_message *message);
/* It is pushed everything, or is no member any more. */
void pull_end(struct directory *directory, struct member *member);

/*
 * From now on @member is told of @entry. False over DIRECTORY_NVE_INTERESTS_MAX, or without memory.
 */
bool interest_add(struct directory *directory, struct member *member, const struct entry *entry);
/* It was not told of it anyway if there is no such interest. */
void interest_drop(struct directory *directory, struct member *member, const struct entry *entry);
void drop_take(struct directory *directory, uint64_t now_us, struct nve *nve,
	       const struct nvo3_message *message);

/* @entry goes: whoever pulled or owns it is told so, and holds it no more. */
void interests_end(struct directory *directory, struct vni *vni, const struct entry *entry);
/* Calls @each for every member that pulls and is to be told of @entry, its owner too. */
void interests_each(struct directory *directory, struct vni *vni, const struct entry *entry,
		    void (*each)(void *userdata, struct member *member), void *userdata);

/* Shares out what is marked in vni->changed. */
void pulls_collect(struct directory *directory, struct vni *vni);
/* Sends each member that pulls and has @role its share. */
void pulls_tell(struct directory *directory, struct vni *vni, enum nvo3_role role);
/* All have been sent their share, and those who must confirm a move are known: it is forgotten. */
void pulls_told(struct vni *vni);
/*
 * It may still hold @mac as it was before that was withdrawn: its present share says that it is
 * gone, or it has not confirmed an earlier one that says of something that it is.
 */
bool pull_may_hold_gone(const struct pull *pull, struct mac mac);
/* All that it owns and holds, as a snapshot. */
void pull_tell_snapshot(struct directory *directory, struct member *member);

#endif
