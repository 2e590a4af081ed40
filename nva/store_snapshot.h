/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_snapshot.h - replaces the logs of a store, all but the last, by a snapshot; in a thread of
 * its own, which touches only files that no longer change.
 */
#ifndef REHOME_NVA_STORE_SNAPSHOT_H
#define REHOME_NVA_STORE_SNAPSHOT_H

#include <stdbool.h>

#include "nva/store_dir.h"

struct store_snapshot;

/*
 * Begins one of everything before @files->last_log. @dir is borrowed until the end. Returns 0 or a
 * negative errno.
 */
int store_snapshot_begin(const struct store_dir *dir, const struct store_files *files,
			 struct store_snapshot **ret_snapshot);
bool store_snapshot_is_done(const struct store_snapshot *snapshot);

/*
 * Waits for the end of it and frees it. Returns 0: it is on disk, what it replaces is gone, and
 * *ret_size is its size; or a negative errno with @reterr_message (STORE_MESSAGE_SIZE bytes):
 * nothing has
 * changed.
 */
int store_snapshot_finish(struct store_snapshot *snapshot, size_t *ret_size, char *reterr_message);
/* The same, without waiting for more than what it is doing just now. */
void store_snapshot_abort(struct store_snapshot *snapshot);

#endif
