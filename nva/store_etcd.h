/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_etcd.h - a store in an etcd cluster that several NVAs share, one of which leads.
 * docs/decisions/0009-several-nvas.md says why it is so; etcd_key.h what stands in etcd.
 *
 *   feed (etcd_feed.h) ──changes──▶ the directory of a standby
 *   seat (etcd_seat.h), peer (peer_link.h) ──▶ leader.h: who leads
 *   the directory of the leader ──changes──▶ writer (etcd_writer.h)
 */
#ifndef REHOME_NVA_STORE_ETCD_H
#define REHOME_NVA_STORE_ETCD_H

#include "nva/etcd_client.h"
#include "nva/etcd_key.h"
#include "nva/store.h"

/* clang-format off */
enum {
	STORE_ETCD_TICK_MS = 50,
	/* a watch that does not reach what the lead was taken at is begun elsewhere */
	STORE_ETCD_BEHIND_MS = 1500,
	STORE_ETCD_LOAD_S = 30,		/* nva --check */
	STORE_ETCD_END_MS = 1000,	/* for what is under way, at the end */
	/* a leader that is none any more asks who is, before it sends agents away */
	STORE_ETCD_NAME_MS = 300,
	STORE_ETCD_TTL_S = 5,		/* a leader that says nothing leads for so long */
};
/* clang-format on */

struct store_etcd_config {
	struct etcd_client_config client;
	char prefix[ETCD_PREFIX_SIZE]; /* begins with '/', does not end with one */
	struct ip ip;		       /* where agents and other NVAs find this one */
	uint16_t port;
	unsigned ttl_s;
};

/* What whoever holds the directory has to do; each from within store_dispatch(). */
struct store_etcd_events {
	/* An empty directory; what was known is void. Returns 0 or -ENOMEM. */
	int (*reset)(void *userdata);
	/* As in store_load(). Several belong together until change is called no more. */
	int (*change)(void *userdata, const struct change *change, char *reterr_message);
	/*
	 * From now on this NVA leads: it may append, and must before it tells. Returns 0 or a
	 * negative errno.
	 */
	int (*lead)(void *userdata);
	/*
	 * From now on it does not: nobody may be told anything. A reset follows. @text: who does,
	 * if that is known.
	 */
	void (*follow)(void *userdata, const char *text);
};

/*
 * @config and @name (of this NVA) are borrowed. The store does nothing yet: store_load() reads it
 * once, waiting, and no more (-ETIMEDOUT when etcd does not answer); store_etcd_join() is for an
 * NVA. Returns 0, or a negative errno with @reterr_message.
 */
int store_etcd_open(const struct store_etcd_config *config, const char *name,
		    struct store **ret_store, char *reterr_message);

/* Becomes one of the NVAs, and leads when nobody else does. @events and @userdata are borrowed. */
void store_etcd_join(struct store *store, const struct store_etcd_events *events, void *userdata);

#endif
