/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* etcd_feed_internal.h - what the feed is made of; for etcd_feed*.c. */
#ifndef REHOME_NVA_ETCD_FEED_INTERNAL_H
#define REHOME_NVA_ETCD_FEED_INTERNAL_H

#include "nva/etcd_feed.h"

enum feeding {
	FEED_IDLE,
	FEED_HEAD,  /* PREFIX/commit, and with it the revision of everything else */
	FEED_PARTS, /* PREFIX/pending/ */
	FEED_KEYS,  /* one place after the other */
	FEED_WATCH,
};

struct etcd_feed {
	struct etcd_client *client;
	const char *prefix;
	const struct etcd_feed_events *events;
	void *userdata;

	enum feeding feeding;
	struct etcd_call *call;
	uint64_t revision; /* HEAD to KEYS: of what is read; WATCH: of what was said last */
	uint64_t commit_revision;
	struct etcd_commit commit;
	struct etcd_batch parts; /* as far as they are known, one after the other */
	unsigned part_count;
	struct etcd_group pending; /* KEYS: made of the parts */
	enum etcd_place place;	   /* KEYS */
	char next[ETCD_KEY_SIZE];  /* the first key of the next page */

	uint64_t retry_us, since_us;
	uint64_t bad_until_us; /* what is bad is not read again before */
	char trouble[STORE_MESSAGE_SIZE];
	uint64_t loads, changes;
};

/* --- etcd_feed.c: the feed as a whole, and its watch --- */
/* It is tried again. */
void feed_trouble(struct etcd_feed *feed, const char *text);
void feed_all_is_well(struct etcd_feed *feed);
/* The feed is over; what has been under way must not go on. */
__attribute__((format(printf, 3, 4))) void feed_fail(struct etcd_feed *feed, int error,
						     const char *format, ...);
void feed_fail_key(struct etcd_feed *feed, const char *key);
/* Each returns false when it has failed. */
bool feed_say(struct etcd_feed *feed, const struct change *change);
bool feed_say_kv(struct etcd_feed *feed, const struct etcd_kv *kv);
bool feed_take_part(struct etcd_feed *feed, const struct etcd_kv *kv, unsigned part);
bool feed_take_commit(struct etcd_feed *feed, const struct etcd_kv *kv);
bool feed_has_all_parts(struct etcd_feed *feed);
/* What comes next. */
void feed_ask(struct etcd_feed *feed);

/* --- etcd_feed_load.c: everything, page by page --- */
/* The next page. 0 or -ENOMEM. */
int feed_ask_page(struct etcd_feed *feed);

#endif
