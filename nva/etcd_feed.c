// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * etcd_feed.c - read etcd, then watch it.
 *
 * While a commit stands in parts (etcd_writer.c), its keys are being spread: they are a mixture of
 * before and after. So a load reads the parts first, and of each key they know what they say
 * counts; and in a watch the parts are applied when they are sealed, in the order in which they
 * happened, and what is spread after that says nothing new. Parts that are not sealed count for
 * nothing, but the rest of them may come yet.
 */
#include "nva/etcd_feed_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

/* --- trouble --- */

void feed_trouble(struct etcd_feed *feed, const char *text)
{
	(void) snprintf(feed->trouble, sizeof(feed->trouble), "%.400s", text);
	if (!feed->since_us)
		feed->since_us = clock_monotonic_us();
	feed->retry_us = clock_monotonic_us() + ETCD_RETRY_MS * UINT64_C(1000);
}

void feed_all_is_well(struct etcd_feed *feed)
{
	feed->trouble[0] = '\0';
	feed->since_us = 0;
}

/* From the beginning, later. */
static void begin_later(struct etcd_feed *feed)
{
	feed->feeding = FEED_HEAD;
	feed->retry_us = feed->bad_until_us;
}

void feed_fail(struct etcd_feed *feed, int error, const char *format, ...)
{
	char text[STORE_MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	etcd_feed_stop(feed);
	if (!feed->events->bad || error == -ENOMEM) {
		feed->events->failed(feed->userdata, error, text);
		return;
	}
	feed->bad_until_us = clock_monotonic_us() + ETCD_BAD_MS * UINT64_C(1000);
	begin_later(feed);
	feed->events->bad(feed->userdata, text);
}

void feed_fail_key(struct etcd_feed *feed, const char *key)
{
	feed_fail(feed, -EBADMSG,
		  "etcd holds at %.300s what no NVA can have written. Nothing was changed", key);
}

/* --- changes --- */

/* Returns false when the feed is over. */
bool feed_say(struct etcd_feed *feed, const struct change *change)
{
	char text[STORE_MESSAGE_SIZE] = "out of memory";
	int r = feed->events->change(feed->userdata, change, text);

	feed->changes++;
	if (r < 0)
		feed_fail(feed, r, "%s", text);
	return r == 0;
}

/* The change that stands at @kv; false: feed_fail_key() was said. */
static bool read_change(struct etcd_feed *feed, const struct etcd_kv *kv, struct change *ret_change)
{
	char key[ETCD_KEY_SIZE];

	if (!kv->value || change_unpack(kv->value, kv->size, ret_change) < 0 ||
	    strcmp(etcd_change_key(feed->prefix, ret_change, key), kv->key) != 0) {
		feed_fail_key(feed, kv->key);
		return false;
	}
	return true;
}

bool feed_say_kv(struct etcd_feed *feed, const struct etcd_kv *kv)
{
	struct change change;

	return read_change(feed, kv, &change) && feed_say(feed, &change);
}

bool feed_take_part(struct etcd_feed *feed, const struct etcd_kv *kv, unsigned part)
{
	if (part == 0) {
		etcd_batch_clear(&feed->parts);
		feed->part_count = 0;
	}
	if (part != feed->part_count)
		return true; /* put twice */
	if (feed->parts.size + kv->size > ETCD_PENDING_MAX ||
	    etcd_batch_append(&feed->parts, kv->value, kv->size) < 0) {
		feed_fail(feed, -ENOMEM, "There is no memory for a commit that stands in parts");
		return false;
	}
	feed->part_count++;
	return true;
}

bool feed_take_commit(struct etcd_feed *feed, const struct etcd_kv *kv)
{
	int r = etcd_commit_read(kv->value, kv->size, &feed->commit);

	feed->commit_revision = kv->revision;
	if (r == 0 && feed->commit.parts == 0) {
		etcd_batch_clear(&feed->parts);
		feed->part_count = 0;
	}
	if (r == -EPROTONOSUPPORT)
		feed_fail(feed, r,
			  "What etcd holds below %s was written by a newer version of this program",
			  feed->prefix);
	else if (r < 0)
		feed_fail_key(feed, kv->key);
	return r == 0;
}

bool feed_has_all_parts(struct etcd_feed *feed)
{
	if (feed->commit.parts == 0 || feed->part_count >= feed->commit.parts)
		return true;
	feed_fail(feed, -EBADMSG, "Parts of a commit are missing below %s/pending/", feed->prefix);
	return false;
}

/* --- the watch --- */

static bool say_parts(struct etcd_feed *feed)
{
	size_t at = 0;
	struct change change;
	int r;

	if (!feed_has_all_parts(feed))
		return false;
	while ((r = etcd_batch_next(&feed->parts, &at, &change)) > 0)
		if (!feed_say(feed, &change))
			return false;
	if (r < 0)
		feed_fail_key(feed, "pending/");
	return r == 0;
}

static bool take_event(struct etcd_feed *feed, const struct etcd_kv *kv)
{
	struct change gone;
	unsigned part;
	int place = etcd_key_read(feed->prefix, kv->key, &gone, &part);

	if (place == -ENOENT) {
		if (feed->events->foreign && !kv->deleted)
			feed->events->foreign(feed->userdata, kv->key);
		return true;
	}
	if (place == ETCD_AT_LEADER) {
		feed->events->leader(feed->userdata, kv);
		return true;
	}
	if (place == ETCD_AT_COMMIT)
		return !kv->deleted && feed_take_commit(feed, kv) &&
		       (feed->commit.parts == 0 || say_parts(feed));
	if (place == ETCD_AT_PENDING)
		return kv->deleted || feed_take_part(feed, kv, part);
	if (place < 0) {
		feed_fail_key(feed, kv->key);
		return false;
	}
	if (feed->commit.parts > 0)
		return true; /* the parts have said it */
	if (!kv->deleted)
		return feed_say_kv(feed, kv);
	/*
	 * A mapping's key goes when it has been withdrawn for long: of that the directory keeps
	 * account.
	 */
	return !gone.kind || feed_say(feed, &gone);
}

static void on_watch(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct etcd_feed *feed = userdata;

	if (!answer) {
		feed->call = NULL;
		etcd_client_rotate(feed->client);
		feed_trouble(feed, text);
		return;
	}
	if (answer->canceled || answer->error) {
		feed->call = etcd_call_free(feed->call);
		feed_trouble(feed, answer->error ? text : "etcd has ended the watch");
		if (answer->compact_revision == 0 && answer->error != ETCD_ERROR_OUT_OF_RANGE)
			return;
		feed->feeding = FEED_HEAD; /* at the next tick */
		feed->events->broken(feed->userdata);
		return;
	}
	feed_all_is_well(feed);
	/* Nothing of ours has happened up to there: what is compacted until then is not missed. */
	if (answer->kv_count == 0 && !answer->created && answer->revision > feed->revision)
		feed->revision = answer->revision;
	for (size_t i = 0; i < answer->kv_count; i++) {
		/* Before what it says is heard: who hears that it leads asks how far we are. */
		if (answer->kvs[i].revision > feed->revision)
			feed->revision = answer->kvs[i].revision;
		if (!take_event(feed, &answer->kvs[i]) || feed->feeding != FEED_WATCH)
			return;
	}
}

static void watch(struct etcd_feed *feed)
{
	char key[ETCD_KEY_SIZE], end[ETCD_KEY_SIZE];

	(void) snprintf(key, sizeof(key), "%s/", feed->prefix);
	(void) snprintf(end, sizeof(end), "%s0", feed->prefix); /* '0' is '/' + 1 */
	if (etcd_watch_new(feed->client, etcd_watch_request(key, end, feed->revision + 1), on_watch,
			   feed, &feed->call) < 0)
		feed_trouble(feed, "out of memory");
}

/* What comes next. */
void feed_ask(struct etcd_feed *feed)
{
	if (feed->feeding == FEED_WATCH)
		watch(feed);
	else if (feed_ask_page(feed) < 0)
		feed_trouble(feed, "out of memory");
}

/* --- the interface --- */

void etcd_feed_load(struct etcd_feed *feed)
{
	etcd_feed_stop(feed);
	if (clock_monotonic_us() < feed->bad_until_us) {
		begin_later(feed);
		return;
	}
	feed->feeding = FEED_HEAD;
	feed_ask(feed);
}

void etcd_feed_stop(struct etcd_feed *feed)
{
	feed->call = etcd_call_free(feed->call);
	feed->feeding = FEED_IDLE;
	feed->retry_us = 0;
	feed->revision = 0;
	feed_all_is_well(feed);
	etcd_group_clear(&feed->pending);
	etcd_batch_clear(&feed->parts);
}

void etcd_feed_elsewhere(struct etcd_feed *feed)
{
	if (feed->feeding != FEED_WATCH)
		return;
	feed->call = etcd_call_free(feed->call);
	etcd_client_rotate(feed->client);
	watch(feed);
}

void etcd_feed_tick(struct etcd_feed *feed, uint64_t now_us)
{
	if (feed->feeding == FEED_IDLE || feed->call || now_us < feed->retry_us)
		return;
	feed->retry_us = 0;
	feed_ask(feed);
}

uint64_t etcd_feed_revision(const struct etcd_feed *feed)
{
	return feed->feeding == FEED_WATCH ? feed->revision : 0;
}

void etcd_feed_fence(struct etcd_feed *feed, struct etcd_fence *ret_fence,
		     struct etcd_batch *ret_pending)
{
	ret_fence->commit_revision = feed->commit_revision;
	ret_fence->commit = feed->commit;
	*ret_pending = feed->parts;
	feed->parts = (struct etcd_batch){ 0 };
}

uint64_t etcd_feed_waits(const struct etcd_feed *feed, uint64_t now_us, const char **ret_text)
{
	*ret_text = feed->trouble;
	return feed->since_us && now_us > feed->since_us ? now_us - feed->since_us : 0;
}

int etcd_feed_describe(const struct etcd_feed *feed, struct json_object *object)
{
	return json_add_u64(object, "loads", feed->loads) < 0 ||
			       json_add_u64(object, "changes_heard", feed->changes) < 0
		       ? -ENOMEM
		       : 0;
}

struct etcd_feed *etcd_feed_new(struct etcd_client *client, const char *prefix,
				const struct etcd_feed_events *events, void *userdata)
{
	struct etcd_feed *feed = calloc(1, sizeof(*feed));

	if (!feed)
		return NULL;
	feed->client = client;
	feed->prefix = prefix;
	feed->events = events;
	feed->userdata = userdata;
	return feed;
}

struct etcd_feed *etcd_feed_free(struct etcd_feed *feed)
{
	if (!feed)
		return NULL;
	etcd_feed_stop(feed);
	free(feed);
	return NULL;
}
