/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_seat.h - PREFIX/leader: who has it, and taking it. The key goes with a lease, which this NVA
 * holds from its start, leading or not: so to take the lead is one transaction.
 */
#ifndef REHOME_NVA_ETCD_SEAT_H
#define REHOME_NVA_ETCD_SEAT_H

#include "nva/etcd_client.h"
#include "nva/etcd_key.h"
#include "nva/leader.h"
#include "nva/wire.h"

/* clang-format off */
enum {
	/* the key is read: a watch may be cut off from the majority */
	ETCD_POLL_MS = 1000,
	ETCD_CUT_OFF_TTLS = 2,		/* without an answer */
	/* a call that was not answered is made again; ETCD_CALL_MS ends it before */
	ETCD_POLL_SLOW_MS = 3000,
};
/* clang-format on */

/* Who leads. */
struct etcd_leader {
	uint64_t revision; /* when it took the lead; 0: nobody leads */
	uint64_t lease;
	char name[NVO3_NAME_MAX + 1];
	struct ip ip; /* none: it did not say so in a way that is understood */
	uint16_t port;
};

struct etcd_seat_config {
	const char *prefix; /* borrowed */
	const char *name;   /* borrowed; of this NVA */
	struct ip ip;	    /* where agents find it */
	uint16_t port;
	unsigned ttl_s;
};

struct etcd_seat;

/*
 * @heard is told what LEADER_NOBODY and so on name, as often as it is heard. NULL without memory.
 */
struct etcd_seat *etcd_seat_new(struct etcd_client *client, const struct etcd_seat_config *config,
				void (*heard)(void *userdata, enum leader_input input),
				void *userdata);
struct etcd_seat *etcd_seat_free(struct etcd_seat *seat);
DEFINE_CLEANUP(struct etcd_seat, etcd_seat_free)

/* Several times a second. */
void etcd_seat_tick(struct etcd_seat *seat, uint64_t now_us);
/* A watch told of the key; what is older than what is known is ignored. */
void etcd_seat_hear(struct etcd_seat *seat, const struct etcd_kv *kv);
/* Reads the key at once. */
void etcd_seat_poll(struct etcd_seat *seat);
/*
 * Takes the lead, if whoever was heard of last still has it: TAKEN, NOT_TAKEN or UNSURE. Needs a
 * lease: else UNSURE, later.
 */
void etcd_seat_take(struct etcd_seat *seat);
/* Gives the lease back, and with it the lead if we have it; a new one is asked for. */
void etcd_seat_leave(struct etcd_seat *seat);

/* That was not answered yet. */
bool etcd_seat_is_leaving(const struct etcd_seat *seat);

/*
 * etcd has not answered for so long that another NVA may well lead, which reaches it: agents should
 * be able to look for it. (That nothing is written any more is not up to this.)
 */
bool etcd_seat_is_cut_off(const struct etcd_seat *seat, uint64_t now_us);

/* As last heard; borrowed. */
const struct etcd_leader *etcd_seat_leader(const struct etcd_seat *seat);
bool etcd_seat_is_ours(const struct etcd_seat *seat);

/* Reads a value of PREFIX/leader. Returns 0 or -EBADMSG. */
int etcd_leader_read(const uint8_t *value, size_t size, struct etcd_leader *leader);

#endif
