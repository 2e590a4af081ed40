/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * address_table.h - the addresses of one port: which it claimed, when it was last heard to use
 * them, when to ask for them, when to give them up. Pure: the caller tells the time and sends the
 * probes.
 *
 * Theory of operation
 *
 *   claimed, answered --> heard --- silent for the age ---> probed --- silent still ---> gone
 *                           ^------------ answered -----------/      (ADDRESS_PROBES times)
 *
 * An address that is silent is not wrong: servers may say nothing for days. So silence only makes
 * the caller ask, a unicast poll as RFC 1122 section 2.3.2.1 has it for ARP and RFC 4861 section
 * 7.3.3 for ND, and only three questions without an answer end it.
 *
 * A guest must not be asked for an address while it probes for it itself: it would take our ARP
 * probe for another host's and give the address up (RFC 5227 section 2.1.1). address_table_hold()
 * keeps the questions back until its own probing and announcing is over.
 *
 * What a guest can make grow is bounded twice: the number of addresses, and the rate of new ones.
 * When the table is full, nothing makes room by itself, or a guest could push its own good
 * addresses out; but those that have been silent for a while are asked for at once, so that an
 * address that the guest gave up does not stand in the way of its next one for a whole age.
 *
 * Each due time is drawn nearer by up to a quarter of the age, by a hash of the address: the ports
 * of a host that started at one moment are not all asked at one moment.
 *
 * All times are CLOCK_MONOTONIC microseconds.
 */
#ifndef REHOME_NVEAGENT_ADDRESS_TABLE_H
#define REHOME_NVEAGENT_ADDRESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "nva/wire.h"

enum {
	ADDRESS_PROBES = 3,		     /* RFC 4861 section 10, MAX_UNICAST_SOLICIT */
	ADDRESS_PROBE_INTERVAL_US = 1000000, /* RFC 4861 section 10, RETRANS_TIMER */
	ADDRESS_HOLD_US =
		10000000, /* RFC 5227 section 1.1: 1 s, three probes of up to 2 s, 2 s more */
	ADDRESS_VERIFY_GAP_US =
		10000000, /* one that was heard more recently need not be verified */
	ADDRESS_VERIFY_SPREAD_US =
		1000000, /* over which the questions of a verification are spread */
	ADDRESS_NEW_BURST = MAPPING_IPS_DEFAULT, /* new claims at once, then */
	ADDRESS_NEW_INTERVAL_US = 250000,	 /* one in this time */
	ADDRESS_ROOM_MIN = 2,			 /* usually one of each family */
};
#define ADDRESS_NEVER UINT64_MAX

struct address_policy {
	uint8_t cap;	 /* addresses, 1 to MAPPING_IPS_MAX */
	uint64_t age_us; /* of silence, then it is asked for; 0: never is */
};

struct address {
	struct ip ip;
	uint8_t probes; /* sent since it was heard */
	uint64_t heard_us;
	uint64_t due_us;	/* of the next probe, or of its end */
	uint64_t held_until_us; /* not asked for before */
};

struct address_table {
	struct address_policy policy;
	struct address *entries; /* in the order in which they came; owned: most ports have few */
	uint8_t count, room;
	uint64_t
		/* when the claims taken so far are paid off, at one per ADDRESS_NEW_INTERVAL_US */
		new_from_us;
	struct address_refused {
		uint64_t over_cap, over_rate; /* claims, since the start */
	} refused;
};

enum address_verdict {
	ADDRESS_KNOWN,	   /* it was there */
	ADDRESS_NEW,	   /* it is there now */
	ADDRESS_OVER_CAP,  /* not taken: the table is full, or there is no memory for more */
	ADDRESS_OVER_RATE, /* not taken: new ones come too fast */
};

void address_table_init(struct address_table *table, struct address_policy policy);
/* Releases what it holds; it is empty then, with the same policy. */
void address_table_clear(struct address_table *table);

/* The port says that it has @ip (unicast). */
enum address_verdict address_table_hear(struct address_table *table, struct ip ip, uint64_t now_us);

/*
 * Somebody else says that the port has @ip (the directory, for a VM that arrives or an agent that
 * starts): taken if there is room, regardless of the rate. @verify: ask for it soon. True when it
 * is new.
 */
bool address_table_adopt(struct address_table *table, struct ip ip, bool verify, uint64_t now_us);

/* Drops what is not among @ips. */
void address_table_retain(struct address_table *table, const struct ip *ips, size_t count);

/* The port itself probes for @ip. */
void address_table_hold(struct address_table *table, struct ip ip, uint64_t now_us);

/* Asks soon for all that were not heard within ADDRESS_VERIFY_GAP_US. */
void address_table_verify(struct address_table *table, uint64_t now_us);

/* Somebody else claims @ip: asks for it at once. */
void address_table_doubt(struct address_table *table, struct ip ip, uint64_t now_us);

/* The guest stood still and could not answer: every address counts as heard now. */
void address_table_restart(struct address_table *table, uint64_t now_us);

bool address_table_has(const struct address_table *table, struct ip ip);
/* @ips: MAPPING_IPS_MAX. Returns how many. */
size_t address_table_copy(const struct address_table *table, struct ip *ips);
/* True when @ips are the table's, in any order. */
bool address_table_equals(const struct address_table *table, const struct ip *ips, size_t count);

/* When address_table_work() has something to do; ADDRESS_NEVER when nothing is to come. */
uint64_t address_table_due(const struct address_table *table);

struct address_work {
	struct ip probe[MAPPING_IPS_MAX], gone[MAPPING_IPS_MAX];
	size_t probe_count, gone_count;
};
/* What is due: which to ask for, to be sent by the caller; which were dropped for their silence. */
struct address_work address_table_work(struct address_table *table, uint64_t now_us);

#endif
