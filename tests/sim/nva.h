/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva.h - the NVA's daemon in the simulation: what nva/server.c and nva/session.c do, without
 * sockets.
 */
#ifndef REHOME_TESTS_SIM_NVA_H
#define REHOME_TESTS_SIM_NVA_H

#include "tests/sim/sim.h"

/* One on an empty disk, started. */
struct nva *nva_new(struct sim *sim);
struct nva *nva_free(struct nva *nva);

/* Its disk, and what is in memory of it; NULL while it is down. */
struct disk *nva_disk(struct nva *nva);
const struct store *nva_store(const struct nva *nva);
struct directory *nva_directory(const struct nva *nva);

void nva_start(struct nva *nva);
/*
 * kill -9 or power loss. @silent: its host does not say so to the NVEs. @forget: its disk is lost,
 * too.
 */
void nva_crash(struct nva *nva, bool silent, bool forget);

/* A connection from @nve's host: the end of it, for link_new(). NULL object: nobody listens. */
struct link_end nva_accept(struct nva *nva);
/* It has been made. */
void nva_accepted(struct nva *nva, void *end, struct link *link);

/*
 * What the NVA believes of the NVE of that name: whether its session is open, and over which link.
 */
struct link *nva_session_link(const struct nva *nva, const char *name);

#endif
