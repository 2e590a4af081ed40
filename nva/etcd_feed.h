/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_feed.h - everything that stands in etcd, and then every change of it, as store_load() gives
 * it.
 *
 *   pages of one revision ──▶ reset, change ... loaded ──▶ watch from the next one ──▶ change ...
 *
 * The pages are all of one revision, so what they say fits together. If etcd compacts that revision
 * before all are read, or what the watch asks for, it begins anew.
 */
#ifndef REHOME_NVA_ETCD_FEED_H
#define REHOME_NVA_ETCD_FEED_H

#include <json-c/json.h>

#include "nva/etcd_client.h"
#include "nva/etcd_group.h"
#include "nva/etcd_writer.h"
#include "nva/store.h"

/* clang-format off */
enum {
	ETCD_PAGE = 2000,		/* keys of one answer */
	ETCD_PENDING_MAX = 1 << 30,	/* bytes of the parts of one commit */
	/* what cannot be understood is read again: somebody may have put it right */
	ETCD_BAD_MS = 5000,
};
/* clang-format on */

struct etcd_feed_events {
	/*
	 * Whatever was said is void; what follows is the whole. Returns 0 or a negative errno,
	 * which ends the feed.
	 */
	int (*reset)(void *userdata);
	/* As in store_load(), with @reterr_message. */
	int (*change)(void *userdata, const struct change *change, char *reterr_message);
	/* What was there at the beginning has been said; what follows are changes. */
	void (*loaded)(void *userdata);
	/*
	 * The watch says who leads from now on, in this order among the changes; deleted: nobody.
	 */
	void (*leader)(void *userdata, const struct etcd_kv *leader);
	/* It begins anew by itself. */
	void (*broken)(void *userdata);
	/*
	 * There is something among our keys that no NVA can have written, or a newer one has: @text
	 * for the user. It begins anew every ETCD_BAD_MS. NULL: that is failed().
	 */
	void (*bad)(void *userdata, const char *text);
	/*
	 * The watch tells of a key that is none of ours; a load does not even see it. May be NULL.
	 */
	void (*foreign)(void *userdata, const char *key);
	/* It cannot go on: @text for the user. -EBADMSG, -EPROTONOSUPPORT, -ENOMEM. */
	void (*failed)(void *userdata, int error, const char *text);
};

struct etcd_feed;

/*
 * Everything is borrowed; @events->leader may be NULL: then it ends with loaded(). NULL without
 * memory.
 */
struct etcd_feed *etcd_feed_new(struct etcd_client *client, const char *prefix,
				const struct etcd_feed_events *events, void *userdata);
struct etcd_feed *etcd_feed_free(struct etcd_feed *feed);
DEFINE_CLEANUP(struct etcd_feed, etcd_feed_free)

/* From the beginning; what was under way is given up. */
void etcd_feed_load(struct etcd_feed *feed);
/* No more changes are wanted. */
void etcd_feed_stop(struct etcd_feed *feed);
/* What follows is watched at another endpoint: this one may be cut off from the others. */
void etcd_feed_elsewhere(struct etcd_feed *feed);
/* Several times a second. */
void etcd_feed_tick(struct etcd_feed *feed, uint64_t now_us);

/* Everything up to this revision has been said; 0: nothing yet. */
uint64_t etcd_feed_revision(const struct etcd_feed *feed);
/* What a writer has to know: all but the leader's revision. @ret_pending is given away. */
void etcd_feed_fence(struct etcd_feed *feed, struct etcd_fence *ret_fence,
		     struct etcd_batch *ret_pending);
/* Since when there was no answer, in microseconds; 0: all is well; as etcd_writer_waits(). */
uint64_t etcd_feed_waits(const struct etcd_feed *feed, uint64_t now_us, const char **ret_text);
/* Adds its counters. 0 or -ENOMEM. */
int etcd_feed_describe(const struct etcd_feed *feed, struct json_object *object);

#endif
