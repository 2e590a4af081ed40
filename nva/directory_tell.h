/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_tell.h - outputs: answers, changes, snapshots, lines for the log; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_TELL_H
#define REHOME_NVA_DIRECTORY_TELL_H

#include <sys/queue.h>

#include "nva/directory.h"

struct entry;
struct member;
struct nve;
struct vni;

/* clang-format off */
/* A growing list of values; all zero: empty. */
struct id_list {
	uint32_t *ids;			/* owned */
	size_t count, room;
};

/* A mapping that is gone, until that has been told. */
struct removal {
	struct mac mac;
	uint64_t generation;
};

/* All zero: empty. */
struct removal_list {
	struct removal *items;		/* owned */
	size_t count, room;
};

struct queued_output {
	TAILQ_ENTRY(queued_output) link;
	struct directory_output *output;
};
TAILQ_HEAD(output_queue, queued_output);

struct notice {
	TAILQ_ENTRY(notice) link;
	char text[DIRECTORY_NOTICE_SIZE];
};
TAILQ_HEAD(notice_queue, notice);
/* clang-format on */

/* --- directory_tell.c: outputs --- */
/* False without memory. */
bool id_list_add(struct id_list *list, uint32_t id);
void id_list_clear(struct id_list *list);
bool removal_list_add(struct removal_list *list, struct mac mac, uint64_t generation);
void removal_list_clear(struct removal_list *list);
/* As an UPDATE of VNI @number says it. */
struct mapping removal_mapping(const struct removal *removal, uint32_t number);

/* Takes over what @message owns. Nothing is sent to an NVE without a session. */
void tell(struct directory *directory, const struct nve *nve, struct nvo3_message *message);
/* The session of @nve ends: what waits for it is not for its next one. */
void tell_no_more(struct directory *directory, const struct nve *nve);
/* Marks what the next call of directory_next_output() tells the members. */
void tell_later(struct directory *directory, struct vni *vni);
void tell_entry_later(struct directory *directory, struct vni *vni, struct entry *entry);
/* The list of members, at once. */
void tell_members_to(struct directory *directory, struct member *member);
/* A line for the daemon's log; over DIRECTORY_NOTICES_MAX it is left out. */
__attribute__((format(printf, 2, 3))) void notice(struct directory *directory, const char *format,
						  ...);
/*
 * An UPDATE with room for *removed and *changed mappings, which become as many as one UPDATE does
 * well to have. False without memory.
 */
bool update_begin(struct directory *directory, uint32_t vni, size_t *removed, size_t *changed,
		  struct nvo3_message *ret_message);
void outputs_clear(struct directory *directory);

/* --- directory_snapshot.c: the whole of a VNI for a new subscriber --- */
/* Once more from the beginning, if need be. */
void snapshot_ask(struct directory *directory, struct member *member);
/*
 * Queues MEMBERS and the first UPDATE for one that has asked and is not held; false: there is none.
 */
bool snapshot_begin_one(struct directory *directory);
/* Queues the next UPDATE for one that has begun and is not held; false: there is none. */
bool snapshot_continue_one(struct directory *directory);
/* Ends it, be it complete or not. */
void snapshot_end(struct directory *directory, struct member *member);

#endif
