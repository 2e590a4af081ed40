/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_etcd_internal.h - what the store in etcd is made of; for store_etcd*.c. */
#ifndef REHOME_NVA_STORE_ETCD_INTERNAL_H
#define REHOME_NVA_STORE_ETCD_INTERNAL_H

#include "nva/etcd_feed.h"
#include "nva/etcd_health.h"
#include "nva/etcd_seat.h"
#include "nva/etcd_writer.h"
#include "nva/peer_link.h"
#include "nva/store_etcd.h"

/* What the epoll instance wakes for. */
enum watched { WATCHED_CLIENT, WATCHED_TICK, WATCHED_PEER };

struct etcd_store {
	struct store store; /* first: the interface */
	const struct store_etcd_config *config;
	const char *name;
	int epoll_fd, tick_fd;
	struct etcd_client *client;
	struct etcd_writer *writer;
	struct etcd_health *endpoints;

	/* Of an NVA. */
	const struct store_etcd_events *events;
	void *userdata;
	enum leader_state state;
	struct etcd_feed *feed;
	struct etcd_seat *seat;
	struct peer_link *peer;
	uint64_t
		/* 0: the writer is not fenced; else who leads is asked until then */
		fenced_until_us;
	uint64_t behind_us; /* the watch is begun elsewhere then */
	uint64_t takeovers, since_us;
	bool ending; /* whoever leads from now on, it is not us */
	char elsewhere[NVO3_TEXT_MAX + 1];

	bool told_of_foreign;	      /* a key below the prefix that is none of ours was logged */
	char bad[STORE_MESSAGE_SIZE]; /* what in etcd cannot be understood; "": nothing */
	enum store_state health;
	char text[STORE_MESSAGE_SIZE];
};

/* --- store_etcd_role.c: what this NVA is among several --- */
/* Writer, feed, seat and peer. 0 or -ENOMEM. */
int store_etcd_make_parts(struct etcd_store *store);
void store_etcd_tick(struct etcd_store *store);
/*
 * The writer is fenced. Agents are sent away with the name of whoever leads, if that is soon known.
 */
void store_etcd_step_aside(struct etcd_store *store);
/* Writes who leads to ->elsewhere, and returns that. */
const char *store_etcd_name_leader(struct etcd_store *store);

#endif
