/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_dir.h - the files of a store: which there are, how they come and go.
 *
 *   log-0000000000000001        changes, in order
 *   log-0000000000000002        what came after
 *   snapshot-0000000000000002   what was left of everything before log 2
 *
 * A file gets its name when its head is on disk (a log) or all of it (a snapshot). Files that a
 * snapshot replaces are removed after it has got its name, so after a crash both may be there.
 */
#ifndef REHOME_NVA_STORE_DIR_H
#define REHOME_NVA_STORE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nva/store_frame.h"

enum { STORE_NAME_SIZE = 32 };

struct store_dir {
	char *path;
	int fd; /* locked (flock) */
};

/* What counts: the newest snapshot, and the logs after it. */
struct store_files {
	uint64_t snapshot;	      /* 0: none */
	uint64_t first_log, last_log; /* 0: the store is empty */
};

/* As store_file_open(). @ret_dir is closed by store_dir_close(). */
int store_dir_open(const char *path, bool read_only, struct store_dir *ret_dir,
		   char *reterr_message);
void store_dir_close(struct store_dir *dir);

/* Returns 0, -EBADMSG or what a system call said, with @reterr_message. */
int store_dir_list(const struct store_dir *dir, struct store_files *ret_files,
		   char *reterr_message);
/* Removes what @files do not count. 0 or a negative errno. */
int store_dir_tidy(const struct store_dir *dir, const struct store_files *files);

/* "log-0000000000000001"; @buffer: STORE_NAME_SIZE; returned. */
const char *store_file_name(enum store_file_kind kind, uint64_t number, char *buffer);

/*
 * Makes a file with its head, still without its name. Returns the descriptor, at the head's end, or
 * a negative errno.
 */
int store_file_make(const struct store_dir *dir, const struct store_head *head);
/* It is on disk when this has returned 0. */
int store_file_publish(const struct store_dir *dir, const struct store_head *head, int fd);

/* A file as it is now, in memory; its head is good. */
struct store_map {
	uint8_t *data; /* from mmap() */
	size_t size;
};

/* As store_dir_list(). Unmapped by store_unmap(). */
int store_map(const struct store_dir *dir, enum store_file_kind kind, uint64_t number,
	      struct store_map *ret_map, char *reterr_message);
void store_unmap(struct store_map *map);

/* Writes "the store is damaged ..., do ..." to @reterr_message and returns -EBADMSG. */
int store_damaged(const struct store_dir *dir, const char *name, char *reterr_message,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
