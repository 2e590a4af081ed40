/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_file.h - a store in a directory of this host: a snapshot, and a log of what changed since.
 * docs/decisions/0006-store.md says why; store_frame.h how the files look.
 */
#ifndef REHOME_NVA_STORE_FILE_H
#define REHOME_NVA_STORE_FILE_H

#include "nva/store.h"

/* clang-format off */
enum {
	/* bytes of a log before a snapshot replaces it, or as many as half of the snapshot */
	STORE_LOG_MAX = 32 << 20,
	STORE_RETRY_MS = 1000,		/* between attempts to write to a full disk */
	STORE_IDLE_MS = 200,		/* then the end of the log is marked as whole */
};

struct store_file_options {
	const char *path;	/* of the directory; borrowed for the call */
	/* nothing is made, changed or removed; store_append() is not allowed */
	bool read_only;
	size_t log_max;		/* 0: STORE_LOG_MAX */
};
/* clang-format on */

/*
 * Opens the store, and makes it (mode 0700, its parent with 0755) when it is missing. Returns 0, or
 * with @reterr_message (STORE_MESSAGE_SIZE bytes) for the user
 *   -ENOENT   it is missing; only with read_only
 *   -EBUSY    another process uses it
 *   -EBADMSG  it is damaged, or what it consists of is not all there
 *   -EPROTONOSUPPORT   it is of a newer version
 *   or what a system call said.
 * Nothing is changed then.
 */
int store_file_open(const struct store_file_options *options, struct store **ret_store,
		    char *reterr_message);

#endif
