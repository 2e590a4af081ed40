// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/etcd_seat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

enum { MS_US = 1000 };

struct etcd_seat {
	struct etcd_client *client;
	struct etcd_seat_config config;
	char key[ETCD_KEY_SIZE];
	void (*heard)(void *userdata, enum leader_input input);
	void *userdata;

	struct etcd_leader leader;
	uint64_t known_revision; /* of the whole store, when that was so */
	uint64_t lease;		 /* 0: none yet */
	uint64_t heard_us;	 /* when etcd last answered */
	struct etcd_call *lease_call, *poll_call, *take_call, *leave_call;
	uint64_t lease_due_us, poll_due_us, take_due_us; /* take: 0 for not wanted */
};

static uint64_t in_ms(uint64_t ms)
{
	return clock_monotonic_us() + ms * MS_US;
}

/* --- the value --- */

int etcd_leader_read(const uint8_t *value, size_t size, struct etcd_leader *leader)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	const char *name, *address;

	if (!value || json_parse_object((const char *) value, size, &object) < 0 ||
	    json_get_string(object, "name", &name) < 0 || strlen(name) > NVO3_NAME_MAX ||
	    json_get_string(object, "address", &address) < 0 ||
	    endpoint_from_text(address, NVO3_PORT, &leader->ip, &leader->port) < 0)
		return -EBADMSG;
	(void) snprintf(leader->name, sizeof(leader->name), "%s", name);
	return 0;
}

static void write_value(const struct etcd_seat *seat, char *text, size_t size)
{
	char address[ENDPOINT_TEXT_SIZE];

	(void) snprintf(text, size, "{\"name\":\"%s\",\"address\":\"%s\"}", seat->config.name,
			endpoint_text(seat->config.ip, seat->config.port, address));
}

/* --- who has it --- */

bool etcd_seat_is_ours(const struct etcd_seat *seat)
{
	return seat->leader.revision && seat->lease && seat->leader.lease == seat->lease;
}

/* @kv, which may be NULL or deleted, was true in @revision. */
static void note_leader(struct etcd_seat *seat, const struct etcd_kv *kv, uint64_t revision)
{
	struct etcd_leader leader = { 0 };

	if (revision < seat->known_revision)
		return; /* a watch that is behind */
	seat->known_revision = revision;
	if (kv && !kv->deleted) {
		leader.revision = kv->revision;
		leader.lease = kv->lease;
		if (etcd_leader_read(kv->value, kv->size, &leader) < 0)
			(void) snprintf(leader.name, sizeof(leader.name), "?");
	}
	seat->leader = leader;
}

static void tell(struct etcd_seat *seat)
{
	seat->heard(seat->userdata, !seat->leader.revision    ? LEADER_NOBODY
				    : etcd_seat_is_ours(seat) ? LEADER_TAKEN
							      : LEADER_OTHER);
}

void etcd_seat_hear(struct etcd_seat *seat, const struct etcd_kv *kv)
{
	note_leader(seat, kv, kv->revision);
	tell(seat);
}

static void on_poll(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct etcd_seat *seat = userdata;

	seat->poll_call = NULL;
	seat->poll_due_us = in_ms(ETCD_POLL_MS);
	if (!answer || answer->error) {
		if (answer)
			etcd_client_rotate(seat->client);
		return;
	}
	seat->heard_us = clock_monotonic_us();
	note_leader(seat, etcd_answer_find(answer, seat->key), answer->revision);
	tell(seat);
}

void etcd_seat_poll(struct etcd_seat *seat)
{
	/* What is under way may have been answered before what is asked now happened. */
	seat->poll_call = etcd_call_free(seat->poll_call);
	seat->poll_due_us = in_ms(ETCD_POLL_SLOW_MS);
	(void) etcd_call_new(seat->client, "/v3/kv/range",
			     etcd_range_request(seat->key, NULL, 0, 0), on_poll, seat,
			     &seat->poll_call);
}

/* --- the lease --- */

static void on_lease(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct etcd_seat *seat = userdata;

	seat->lease_call = NULL;
	seat->lease_due_us = in_ms(seat->config.ttl_s * 1000 / 3);
	if (answer && !answer->error && answer->ttl_s > 0) {
		seat->lease = answer->lease;
		seat->heard_us = clock_monotonic_us();
		return;
	}
	if (answer && answer->error && answer->error != ETCD_ERROR_NOT_FOUND)
		etcd_client_rotate(seat->client);
	seat->lease_due_us = in_ms(100);
	if (!answer || (answer->error && answer->error != ETCD_ERROR_NOT_FOUND))
		return;
	/* It has ended; if we led, then who does now is the next answer. */
	seat->lease = 0;
	etcd_seat_poll(seat);
}

static void tend_lease(struct etcd_seat *seat)
{
	char *request = seat->lease ? etcd_lease_request(seat->lease)
				    : etcd_lease_grant_request(seat->config.ttl_s);

	seat->lease_due_us = in_ms(seat->config.ttl_s * 1000 / 3);
	(void) etcd_call_new(seat->client, seat->lease ? "/v3/lease/keepalive" : "/v3/lease/grant",
			     request, on_lease, seat, &seat->lease_call);
}

static void on_left(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct etcd_seat *seat = userdata;

	seat->leave_call = NULL;
}

void etcd_seat_leave(struct etcd_seat *seat)
{
	if (!seat->lease)
		return;
	seat->leave_call = etcd_call_free(seat->leave_call);
	(void) etcd_call_new(seat->client, "/v3/lease/revoke", etcd_lease_request(seat->lease),
			     on_left, seat, &seat->leave_call);
	seat->lease_call = etcd_call_free(seat->lease_call);
	if (etcd_seat_is_ours(seat))
		seat->leader = (struct etcd_leader){ 0 };
	seat->lease = 0;
	seat->lease_due_us = in_ms(100);
}

bool etcd_seat_is_leaving(const struct etcd_seat *seat)
{
	return seat->leave_call != NULL;
}

bool etcd_seat_is_cut_off(const struct etcd_seat *seat, uint64_t now_us)
{
	return now_us > seat->heard_us + seat->config.ttl_s * UINT64_C(1000000) * ETCD_CUT_OFF_TTLS;
}

/* --- taking it --- */

static void on_taken(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct etcd_seat *seat = userdata;
	struct etcd_kv ours = { .lease = seat->lease };
	char value[256];

	seat->take_call = NULL;
	if (!answer || answer->error) {
		if (answer)
			etcd_client_rotate(seat->client);
		if (answer && answer->error == ETCD_ERROR_NOT_FOUND)
			seat->lease = 0;
		seat->take_due_us = in_ms(100);
		return;
	}
	seat->heard_us = clock_monotonic_us();
	if (answer->succeeded) {
		write_value(seat, value, sizeof(value));
		ours.revision = answer->revision;
		ours.value = (uint8_t *) value;
		ours.size = strlen(value);
		note_leader(seat, &ours, answer->revision);
		tell(seat);
		return;
	}
	note_leader(seat, etcd_answer_find(answer, seat->key), answer->revision);
	/*
	 * Ours: an attempt that was not answered. Nobody: the lease of whoever led has just ended.
	 */
	if (etcd_seat_is_ours(seat))
		tell(seat);
	else
		seat->heard(seat->userdata, LEADER_NOT_TAKEN);
}

void etcd_seat_take(struct etcd_seat *seat)
{
	struct etcd_txn *txn = etcd_txn_new();
	char *request = NULL, value[256];

	seat->take_due_us = 0;
	seat->take_call = etcd_call_free(seat->take_call);
	if (txn && seat->lease) {
		write_value(seat, value, sizeof(value));
		etcd_txn_compare(txn, seat->key, seat->leader.revision);
		etcd_txn_put(txn, seat->key, value, strlen(value), seat->lease);
		etcd_txn_else_read(txn, seat->key);
		request = etcd_txn_request(txn);
	}
	etcd_txn_free(txn);
	if (etcd_call_new(seat->client, "/v3/kv/txn", request, on_taken, seat, &seat->take_call) <
	    0)
		seat->take_due_us = in_ms(100);
}

/* --- time --- */

void etcd_seat_tick(struct etcd_seat *seat, uint64_t now_us)
{
	/* A node without a leader may not answer until it has one again; another one might. */
	if (seat->lease_call && now_us >= seat->lease_due_us) {
		seat->lease_call = etcd_call_free(seat->lease_call);
		etcd_client_rotate(seat->client);
	}
	if (!seat->lease_call && now_us >= seat->lease_due_us)
		tend_lease(seat);
	if (!seat->poll_call && now_us >= seat->poll_due_us)
		etcd_seat_poll(seat);
	if (!seat->take_call && seat->take_due_us && now_us >= seat->take_due_us) {
		seat->take_due_us = 0;
		seat->heard(seat->userdata, LEADER_UNSURE);
	}
}

/* --- life --- */

const struct etcd_leader *etcd_seat_leader(const struct etcd_seat *seat)
{
	return &seat->leader;
}

struct etcd_seat *etcd_seat_new(struct etcd_client *client, const struct etcd_seat_config *config,
				void (*heard)(void *userdata, enum leader_input input),
				void *userdata)
{
	struct etcd_seat *seat = calloc(1, sizeof(*seat));

	if (!seat)
		return NULL;
	seat->client = client;
	seat->config = *config;
	seat->heard = heard;
	seat->userdata = userdata;
	etcd_place_key(config->prefix, ETCD_AT_LEADER, seat->key);
	return seat;
}

struct etcd_seat *etcd_seat_free(struct etcd_seat *seat)
{
	if (!seat)
		return NULL;
	etcd_call_free(seat->lease_call);
	etcd_call_free(seat->poll_call);
	etcd_call_free(seat->take_call);
	etcd_call_free(seat->leave_call);
	free(seat);
	return NULL;
}
