/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/address_table.h"

#include <stdlib.h>
#include <string.h>

void address_table_init(struct address_table *table, struct address_policy policy)
{
	*table = (struct address_table){ .policy = policy };
}

void address_table_clear(struct address_table *table)
{
	free(table->entries);
	table->entries = NULL;
	table->count = table->room = 0;
}

static struct address *find(struct address_table *table, struct ip ip)
{
	for (size_t i = 0; i < table->count; i++)
		if (ip_cmp(table->entries[i].ip, ip) == 0)
			return &table->entries[i];
	return NULL;
}

/* FNV-1a over the address: the same for an address at all times, spread over many. */
static uint64_t spread(struct ip ip, uint64_t range_us)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(ip.octet); i++)
		hash = (hash ^ ip.octet[i]) * 0x100000001b3;
	return range_us ? hash % range_us : 0;
}

static void heard(const struct address_table *table, struct address *address, uint64_t now_us)
{
	uint64_t age_us = table->policy.age_us;

	address->heard_us = now_us;
	address->probes = 0;
	address->due_us = age_us ? now_us + age_us - spread(address->ip, age_us / 4)
				 : ADDRESS_NEVER;
}

/* Within @range_us from now, unless the guest holds it. */
static void ask_within(const struct address_table *table, struct address *address,
		       uint64_t range_us, uint64_t now_us)
{
	uint64_t from_us = address->held_until_us > now_us ? address->held_until_us : now_us;
	uint64_t due_us = from_us + spread(address->ip, range_us);

	if (table->policy.age_us && address->probes == 0 && due_us < address->due_us)
		address->due_us = due_us;
}

/* Twice as much as there was. False without memory. */
static bool grow(struct address_table *table)
{
	uint8_t room = table->room ? (uint8_t) (2 * table->room) : ADDRESS_ROOM_MIN;
	struct address *entries = reallocarray(table->entries, room, sizeof(*entries));

	if (!entries)
		return false;
	table->entries = entries;
	table->room = room;
	return true;
}

/* False at the cap, or without memory. */
static bool has_room(struct address_table *table)
{
	return table->count < table->policy.cap && (table->count < table->room || grow(table));
}

static void add(struct address_table *table, struct ip ip, uint64_t now_us)
{
	struct address *address = &table->entries[table->count++];

	*address = (struct address){ .ip = ip };
	heard(table, address, now_us);
}

static void drop(struct address_table *table, struct address *address)
{
	size_t after = (size_t) (table->entries + table->count - (address + 1));

	memmove(address, address + 1, after * sizeof(*address));
	table->count--;
}

/*
 * A leaky bucket: each new address costs ADDRESS_NEW_INTERVAL_US of time, and ADDRESS_NEW_BURST of
 * them may be owed.
 */
static bool may_take_new(struct address_table *table, uint64_t now_us)
{
	uint64_t from_us = table->new_from_us > now_us ? table->new_from_us : now_us;

	if (from_us - now_us > (uint64_t) (ADDRESS_NEW_BURST - 1) * ADDRESS_NEW_INTERVAL_US)
		return false;
	table->new_from_us = from_us + ADDRESS_NEW_INTERVAL_US;
	return true;
}

enum address_verdict address_table_hear(struct address_table *table, struct ip ip, uint64_t now_us)
{
	struct address *address = find(table, ip);

	if (address) {
		heard(table, address, now_us);
		return ADDRESS_KNOWN;
	}
	if (!has_room(table)) {
		table->refused.over_cap++;
		address_table_verify(table, now_us);
		return ADDRESS_OVER_CAP;
	}
	if (!may_take_new(table, now_us)) {
		table->refused.over_rate++;
		return ADDRESS_OVER_RATE;
	}
	add(table, ip, now_us);
	return ADDRESS_NEW;
}

bool address_table_adopt(struct address_table *table, struct ip ip, bool verify, uint64_t now_us)
{
	if (find(table, ip) || !has_room(table))
		return false;
	add(table, ip, now_us);
	if (verify)
		ask_within(table, find(table, ip), ADDRESS_VERIFY_SPREAD_US, now_us);
	return true;
}

static bool is_among(const struct ip *ips, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_cmp(ips[i], ip) == 0)
			return true;
	return false;
}

void address_table_retain(struct address_table *table, const struct ip *ips, size_t count)
{
	for (size_t i = table->count; i-- > 0;)
		if (!is_among(ips, count, table->entries[i].ip))
			drop(table, &table->entries[i]);
}

void address_table_hold(struct address_table *table, struct ip ip, uint64_t now_us)
{
	struct address *address = find(table, ip);

	if (!address)
		return;
	address->held_until_us = now_us + ADDRESS_HOLD_US;
	address->probes = 0;
	if (address->due_us < address->held_until_us)
		address->due_us = address->held_until_us;
}

void address_table_verify(struct address_table *table, uint64_t now_us)
{
	for (size_t i = 0; i < table->count; i++)
		if (now_us - table->entries[i].heard_us >= ADDRESS_VERIFY_GAP_US)
			ask_within(table, &table->entries[i], ADDRESS_VERIFY_SPREAD_US, now_us);
}

void address_table_doubt(struct address_table *table, struct ip ip, uint64_t now_us)
{
	struct address *address = find(table, ip);

	if (address)
		ask_within(table, address, 0, now_us);
}

void address_table_restart(struct address_table *table, uint64_t now_us)
{
	for (size_t i = 0; i < table->count; i++)
		heard(table, &table->entries[i], now_us);
}

bool address_table_has(const struct address_table *table, struct ip ip)
{
	for (size_t i = 0; i < table->count; i++)
		if (ip_cmp(table->entries[i].ip, ip) == 0)
			return true;
	return false;
}

size_t address_table_copy(const struct address_table *table, struct ip *ips)
{
	for (size_t i = 0; i < table->count; i++)
		ips[i] = table->entries[i].ip;
	return table->count;
}

bool address_table_equals(const struct address_table *table, const struct ip *ips, size_t count)
{
	if (count != table->count)
		return false;
	for (size_t i = 0; i < table->count; i++)
		if (!is_among(ips, count, table->entries[i].ip))
			return false;
	return true;
}

uint64_t address_table_due(const struct address_table *table)
{
	uint64_t due_us = ADDRESS_NEVER;

	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].due_us < due_us)
			due_us = table->entries[i].due_us;
	return due_us;
}

struct address_work address_table_work(struct address_table *table, uint64_t now_us)
{
	struct address_work work = { 0 };

	for (size_t i = 0; i < table->count;) {
		struct address *address = &table->entries[i];

		if (address->due_us <= now_us && address->probes == ADDRESS_PROBES) {
			work.gone[work.gone_count++] = address->ip;
			drop(table, address);
			continue;
		}
		if (address->due_us <= now_us) {
			work.probe[work.probe_count++] = address->ip;
			address->probes++;
			address->due_us = now_us + ADDRESS_PROBE_INTERVAL_US;
		}
		i++;
	}
	return work;
}
