/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_writer.h - the thread that writes a store's log: one frame and one fdatasync() for whatever
 * has gathered while the one before was under way (group commit).
 */
#ifndef REHOME_NVA_STORE_WRITER_H
#define REHOME_NVA_STORE_WRITER_H

#include "nva/store.h"
#include "nva/store_dir.h"

/* Changes that become durable together. */
struct store_batch {
	uint8_t *data; /* owned; a frame whose header is not there yet */
	size_t size;   /* with the room for the header; 0: nothing */
	size_t room;
};

/* 0 or -ENOMEM. */
int store_batch_add(struct store_batch *batch, const struct change *change);

/* Where the log goes on. */
struct store_end {
	struct store_files files;
	int fd;		 /* of the last log, open for writing */
	uint64_t frames; /* in it */
	size_t size;	 /* of it; all of that is on disk */
	size_t snapshot_size;
};

struct store_writer_status {
	enum store_state state;
	char text[STORE_MESSAGE_SIZE]; /* why it waits or has failed */
	bool idle;		       /* what it was given has become durable */
	uint64_t syncs;
	struct store_files files;
	size_t log_size, snapshot_size;
	char snapshot_text[STORE_MESSAGE_SIZE]; /* why the last snapshot could not be made */
};

struct store_writer;

/*
 * @dir is borrowed, @end->fd taken over. @event_fd is made readable when the status may have
 * changed. Returns 0 or a negative errno.
 */
int store_writer_new(const struct store_dir *dir, const struct store_end *end, size_t log_max,
		     int event_fd, struct store_writer **ret_writer);

/* When it is idle: takes the content of @batch, which is left empty. */
void store_writer_give(struct store_writer *writer, struct store_batch *batch);

void store_writer_status(struct store_writer *writer, struct store_writer_status *ret_status);

/* Waits for what it was given to become durable, unless the disk is full. */
struct store_writer *store_writer_free(struct store_writer *writer);
DEFINE_CLEANUP(struct store_writer, store_writer_free)

#endif
