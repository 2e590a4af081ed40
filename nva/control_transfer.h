/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_transfer.h - a whole directory out of the control socket, and into it.
 *
 *   {"ok":true,"rehome_export":1,"mappings":2,"withdrawn":1}
 *   ... lines as in change_json.h ...
 *   {"end":3}                                                how many they were
 */
#ifndef REHOME_NVA_CONTROL_TRANSFER_H
#define REHOME_NVA_CONTROL_TRANSFER_H

#include <json-c/json.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "nva/directory.h"

enum {
	EXPORT_VERSION = 1,
	EXPORT_MAX_S = 600, /* a client that takes longer is given up */
};

/*
 * Writes everything to @fd, from a process of its own: it has the directory as it is now, while
 * this one goes on.
 * Returns its number, or a negative errno.
 */
pid_t export_begin(const struct directory *directory, int fd);

struct import;

struct import *import_new(void); /* NULL without memory */
struct import *import_free(struct import *import);
DEFINE_CLEANUP(struct import, import_free)

/*
 * Takes the next line of an export; nothing comes of it yet. Returns 0, 1 at the end, -EINVAL with
 * @reterr_text (IMPORT_TEXT_SIZE bytes), which names the line, or -ENOMEM.
 */
enum { IMPORT_TEXT_SIZE = 256 };
int import_line(struct import *import, struct json_object *line, char *reterr_text);

/* A line that is no JSON object: what import_line() would have said. */
void import_explain(const struct import *import, const char *what, char *text);

/* All of it, after its end: as directory_merge(). */
int import_apply(const struct import *import, struct directory *directory, size_t *ret_taken,
		 size_t *ret_kept, const char **reterr_what);

#endif
