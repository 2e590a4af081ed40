/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.h - the NVA's daemon: listens, ties sessions to the directory, and delivers what the
 * directory says.
 */
#ifndef REHOME_NVA_SERVER_H
#define REHOME_NVA_SERVER_H

#include "common/cleanup.h"
#include "nva/nva_config.h"

enum {
	SERVER_MESSAGE_SIZE = 512, /* that of a store, too */
	SERVER_SPARE_SESSIONS =
		64,	      /* beyond one per NVE: those that greet, linger, or are refused */
	SERVER_BACKLOG = 512, /* every NVE of a rack connects at once after an NVA's restart */
	SERVER_TICK_MS = 100,
	/*
	 * A round of UPDATEs to all is followed by a pause for new changes, in percent of its time,
	 * unless all have confirmed before.
	 */
	SERVER_PAUSE_PERCENT = 150,
	SERVER_PAUSE_MAX_MS = 50,
	SERVER_SPARE_FDS = 64, /* listeners, control clients, libraries */
};

struct server;

/*
 * Restores what the store has kept, binds every address and the control socket; @config is copied.
 * Returns 0, or with @reterr_message (SERVER_MESSAGE_SIZE bytes) for the user, -EBADMSG or
 * -EPROTONOSUPPORT when the store must be seen to first, or another negative errno.
 */
int server_new(const struct nva_config *config, struct server **ret_server, char *reterr_message);
struct server *server_free(struct server *server);
DEFINE_CLEANUP(struct server, server_free)

/* Serves until SIGTERM or SIGINT: 0; or until it cannot go on: a negative errno. */
int server_run(struct server *server);

#endif
