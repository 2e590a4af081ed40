/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva_link.h - the agent's session to its NVA: connects, greets, reconnects; whole messages in
 * and out (nva/wire.h).
 */
#ifndef REHOME_NVEAGENT_NVA_LINK_H
#define REHOME_NVEAGENT_NVA_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nva/wire.h"
#include "nveagent/loop.h"

enum {
	NVA_LINK_ENDPOINTS_MAX = 8,
	NVA_LINK_RETRY_MIN_MS = 100,
	NVA_LINK_RETRY_MAX_MS = 2000,	/* doubled from the minimum after each failure */
	/* of silence, then a PING; as long again without a word ends the session */
	NVA_LINK_PING_S = 5,
	/* Where there are several NVAs another one may lead already: */
	NVA_LINK_SEVERAL_RETRY_MAX_MS = 400,	/* after all have been tried */
	NVA_LINK_SEVERAL_PING_S = 2,
	/* then the next one is tried; a host that is down refuses nothing */
	NVA_LINK_SEVERAL_CONNECT_MS = 1000,
	/* bytes that wait for a slow NVA; over it the session ends */
	NVA_LINK_OUTPUT_MAX = 16 << 20,
};

struct nva_endpoint {
	struct ip address;
	uint16_t port;
};

/*
 * Of several NVAs one leads, and the others refuse us. They are tried in turn, the next one at once
 * when one has refused or its session has ended; after a whole round without a session, there is a
 * pause.
 */
struct nva_link_config {
	struct nva_endpoint endpoints[NVA_LINK_ENDPOINTS_MAX];
	size_t endpoint_count;	/* 1 at least */
	const char *name;	/* of this NVE, borrowed */
	struct ip vtep;
	uint64_t incarnation;
};

struct nva_link_events {
	/*
	 * The NVA welcomed us: send SUBSCRIBE and everything that may have been missed. @name: of
	 * the NVA, borrowed.
	 * @incarnation: of its present start; another one than before means that it remembers
	 * nothing.
	 */
	void (*up)(void *userdata, const char *name, uint64_t incarnation);
	/* The session ended; it will be tried again. @reason: one line for the log. */
	void (*down)(void *userdata, const char *reason);
	/* One message after the welcome; borrowed. PING and PONG are dealt with inside. */
	void (*message)(void *userdata, const struct nvo3_message *message);
};

struct nva_link;

/* Begins to connect at once. @config is copied but for its name. */
int nva_link_new(struct loop *loop, const struct nva_link_config *config,
		 const struct nva_link_events *events, void *userdata, struct nva_link **ret_link);
struct nva_link *nva_link_free(struct nva_link *link);
DEFINE_CLEANUP(struct nva_link, nva_link_free)

bool nva_link_is_up(const struct nva_link *link);

/* What the NVA of the present session can do: enum nvo3_features. */
uint32_t nva_link_features(const struct nva_link *link);

/* Of the session, or of the next attempt; borrowed. */
const struct nva_endpoint *nva_link_endpoint(const struct nva_link *link);

/* A number that no request of the present session has had yet. */
uint64_t nva_link_next_id(struct nva_link *link);

/*
 * Queues @message. 0, -ENOTCONN while the session is down (nothing is kept: up() is where to
 * start over), or -EMSGSIZE, -ENOMEM.
 */
int nva_link_send(struct nva_link *link, const struct nvo3_message *message);

#endif
