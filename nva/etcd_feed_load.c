// SPDX-License-Identifier: LGPL-2.1-or-later
/* etcd_feed_load.c - everything that stands in etcd at one revision, page by page. */
#include "nva/etcd_feed_internal.h"

#include <errno.h>
#include <stdio.h>

static void end_load(struct etcd_feed *feed)
{
	etcd_group_clear(&feed->pending);
	feed->feeding = feed->events->leader ? FEED_WATCH : FEED_IDLE;
	feed->events->loaded(feed->userdata);
}

/* What the parts say of @place. */
static bool say_pending(struct etcd_feed *feed)
{
	for (size_t i = 0; i < feed->pending.count; i++) {
		const struct etcd_entry *entry = feed->pending.entries[i];
		struct change change;
		unsigned part;

		if (etcd_key_read(feed->prefix, entry->key, &change, &part) != (int) feed->place ||
		    change_is_end(entry->kind))
			continue;
		if (change_unpack(entry->data, entry->size, &change) < 0 ||
		    !feed_say(feed, &change))
			return false;
	}
	return true;
}

static bool begin_place(struct etcd_feed *feed, enum etcd_place place)
{
	feed->place = place;
	etcd_place_key(feed->prefix, place, feed->next);
	return feed->feeding != FEED_KEYS || say_pending(feed);
}

/* The end of a page: the next one begins right after its last key. */
static bool turn_page(struct etcd_feed *feed, const struct etcd_answer *answer)
{
	if (!answer->more || answer->kv_count == 0)
		return false;
	/* "\1" is the least that a key of ours can go on with: no key has a NUL. */
	(void) snprintf(feed->next, sizeof(feed->next), "%s\1",
			answer->kvs[answer->kv_count - 1].key);
	return true;
}

static void take_head(struct etcd_feed *feed, const struct etcd_answer *answer)
{
	const struct etcd_kv *commit = answer->kv_count > 0 ? &answer->kvs[0] : NULL;

	feed->revision = answer->revision;
	feed->commit_revision = 0;
	feed->commit = (struct etcd_commit){ 0 };
	etcd_batch_clear(&feed->parts);
	feed->part_count = 0;
	if (commit && !feed_take_commit(feed, commit))
		return;
	if (feed->events->reset(feed->userdata) < 0) {
		feed_fail(feed, -ENOMEM, "out of memory");
		return;
	}
	feed->loads++;
	feed->feeding = FEED_PARTS;
	(void) begin_place(feed, ETCD_AT_PENDING);
	feed_ask(feed);
}

static void begin_keys(struct etcd_feed *feed)
{
	struct etcd_batch copy = { 0 };
	int r = 0;

	if (!feed_has_all_parts(feed))
		return;
	/* The parts themselves are for the writer, should we become that. */
	if (feed->commit.parts > 0)
		r = -ENOMEM;
	if (r < 0 && etcd_batch_append(&copy, feed->parts.data, feed->parts.size) == 0)
		r = etcd_group_make(&feed->pending, feed->prefix, &copy);
	if (r < 0) {
		feed_fail(feed, r, "A commit that stands in parts below %s/pending/ cannot be read",
			  feed->prefix);
		return;
	}
	feed->feeding = FEED_KEYS;
	if (begin_place(feed, ETCD_AT_IDENTITY))
		feed_ask(feed);
}

static void take_parts(struct etcd_feed *feed, const struct etcd_answer *answer)
{
	for (size_t i = 0; i < answer->kv_count; i++) {
		struct change none;
		unsigned part;

		if (etcd_key_read(feed->prefix, answer->kvs[i].key, &none, &part) !=
		    ETCD_AT_PENDING) {
			feed_fail_key(feed, answer->kvs[i].key);
			return;
		}
		/* Others may be left of an attempt that was longer and never sealed. */
		if ((feed->commit.parts == 0 || part < feed->commit.parts) &&
		    !feed_take_part(feed, &answer->kvs[i], part))
			return;
	}
	if (turn_page(feed, answer))
		feed_ask(feed);
	else
		begin_keys(feed);
}

static void take_keys(struct etcd_feed *feed, const struct etcd_answer *answer)
{
	for (size_t i = 0; i < answer->kv_count; i++)
		if (!etcd_group_find(&feed->pending, answer->kvs[i].key) &&
		    !feed_say_kv(feed, &answer->kvs[i]))
			return;
	if (!turn_page(feed, answer)) {
		if (feed->place == ETCD_AT_MAPPING) {
			end_load(feed);
			return;
		}
		if (!begin_place(feed, feed->place + 1))
			return;
	}
	feed_ask(feed);
}

static void on_page(void *userdata, const struct etcd_answer *answer, const char *text)
{
	static void (*const takers[])(struct etcd_feed * feed, const struct etcd_answer *answer) = {
		[FEED_HEAD] = take_head,
		[FEED_PARTS] = take_parts,
		[FEED_KEYS] = take_keys,
	};
	struct etcd_feed *feed = userdata;

	feed->call = NULL;
	if (!answer || answer->error) {
		if (answer && answer->error == ETCD_ERROR_OUT_OF_RANGE)
			feed->feeding = FEED_HEAD;
		else if (answer)
			etcd_client_rotate(feed->client);
		feed_trouble(feed, text);
		return;
	}
	feed_all_is_well(feed);
	takers[feed->feeding](feed, answer);
}

static char *page_request(struct etcd_feed *feed)
{
	char key[ETCD_KEY_SIZE];
	bool one = feed->place == ETCD_AT_IDENTITY;
	/* Parts are large; and the head is read as it is now. */
	unsigned limit = feed->feeding == FEED_PARTS ? 8 : ETCD_PAGE;

	if (feed->feeding == FEED_HEAD)
		return etcd_range_request(etcd_place_key(feed->prefix, ETCD_AT_COMMIT, key), NULL,
					  0, 0);
	return etcd_range_request(feed->next,
				  one ? NULL : etcd_place_end(feed->prefix, feed->place, key),
				  feed->revision, limit);
}

int feed_ask_page(struct etcd_feed *feed)
{
	return etcd_call_new(feed->client, "/v3/kv/range", page_request(feed), on_page, feed,
			     &feed->call);
}
