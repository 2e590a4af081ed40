/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server_store.h - the store that the configuration asks for, and the directory that it remembers.
 */
#ifndef REHOME_NVA_SERVER_STORE_H
#define REHOME_NVA_SERVER_STORE_H

#include "nva/directory.h"
#include "nva/nva_config.h"
#include "nva/store.h"

/*
 * *ret_store is NULL for store = none. Otherwise as store_file_open(), with @reterr_message
 * (STORE_MESSAGE_SIZE bytes).
 */
int server_store_open(const struct nva_config *config, bool read_only, struct store **ret_store,
		      char *reterr_message);

/* One change of a store; -EBADMSG as below. */
int server_store_apply(struct directory *directory, const struct change *change,
		       char *reterr_message);

/* As store_load(); -EBADMSG also for changes that do not fit together. */
int server_store_restore(struct store *store, struct directory *directory, char *reterr_message);

/*
 * nva --check: reads the store, changes nothing, and writes to @message (STORE_MESSAGE_SIZE bytes)
 * what was found, good or bad. Returns 0 or as above.
 */
int server_store_check(const struct nva_config *config, char *message);

#endif
