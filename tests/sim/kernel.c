/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel.c - an array of entries, and lists of those with the same hash. The last entry takes the
 * place of one that goes.
 */
#include "tests/sim/kernel.h"

#include <stdlib.h>
#include <string.h>

enum {
	LISTS = 1024,
	ENTRIES_FIRST = 64,
};

struct kernel {
	uint32_t lists[LISTS]; /* the first entry of each, counted from 1; 0: none */
	struct fdb_entry *entries;
	uint32_t *next; /* in its list */
	size_t count, room;
};

/* --- keys --- */

/* Of a neighbour entry its address, of a flood list its VTEP, of any other one its MAC. */
struct key {
	enum fdb_layer layer;
	uint32_t ifindex;
	struct mac mac;
	struct ip ip;
};

static struct key key_of(const struct fdb_entry *entry)
{
	struct key key;

	memset(&key, 0, sizeof(key)); /* it is hashed */
	key.layer = entry->layer;
	if (entry->layer != FDB_LAYER_BRIDGE)
		key.ifindex = entry->ifindex;
	if (entry->layer == FDB_LAYER_NEIGHBOUR) {
		key.ip = entry->ip;
		return key;
	}
	key.mac = entry->mac;
	if (entry->layer == FDB_LAYER_VXLAN && mac_is_zero(entry->mac))
		key.ip = entry->vtep;
	return key;
}

static uint32_t hash_of(const struct key *key)
{
	const uint8_t *bytes = (const uint8_t *) key;
	uint32_t hash = 0x811c9dc5;

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 0x01000193;
	return hash % LISTS;
}

static uint32_t find(const struct kernel *kernel, const struct key *key)
{
	uint32_t number = kernel->lists[hash_of(key)];

	while (number) {
		const struct key other = key_of(&kernel->entries[number - 1]);

		if (memcmp(&other, key, sizeof(other)) == 0)
			break;
		number = kernel->next[number - 1];
	}
	return number;
}

/* --- changes --- */

/* What leads to @number in its list, the last part of which is in kernel->next[]. */
static uint32_t *place_of(struct kernel *kernel, uint32_t number)
{
	const struct key key = key_of(&kernel->entries[number - 1]);
	uint32_t *place = &kernel->lists[hash_of(&key)];

	while (*place != number)
		place = &kernel->next[*place - 1];
	return place;
}

static void remove_at(struct kernel *kernel, uint32_t number)
{
	uint32_t last = (uint32_t) kernel->count;

	*place_of(kernel, number) = kernel->next[number - 1];
	if (number != last) {
		*place_of(kernel, last) = number;
		kernel->entries[number - 1] = kernel->entries[last - 1];
		kernel->next[number - 1] = kernel->next[last - 1];
	}
	kernel->count--;
}

static void grow(struct kernel *kernel)
{
	if (kernel->count < kernel->room)
		return;
	kernel->room = kernel->room ? kernel->room * 2 : ENTRIES_FIRST;
	kernel->entries = reallocarray(kernel->entries, kernel->room, sizeof(*kernel->entries));
	kernel->next = reallocarray(kernel->next, kernel->room, sizeof(*kernel->next));
	if (!kernel->entries || !kernel->next)
		abort();
}

void kernel_put(struct kernel *kernel, const struct fdb_entry *entry)
{
	const struct key key = key_of(entry);
	uint32_t number = find(kernel, &key), *list;

	if (number) {
		kernel->entries[number - 1] = *entry;
		return;
	}
	grow(kernel);
	list = &kernel->lists[hash_of(&key)];
	kernel->entries[kernel->count] = *entry;
	kernel->next[kernel->count] = *list;
	*list = (uint32_t) ++kernel->count;
}

void kernel_delete(struct kernel *kernel, const struct fdb_entry *entry)
{
	const struct key key = key_of(entry);
	uint32_t number = find(kernel, &key);
	const struct fdb_entry *there = number ? &kernel->entries[number - 1] : NULL;

	if (there && there->ifindex == entry->ifindex && ip_cmp(there->ip, entry->ip) == 0)
		remove_at(kernel, number);
}

void kernel_delete_port(struct kernel *kernel, uint32_t ifindex)
{
	for (size_t i = kernel->count; i > 0; i--) {
		const struct fdb_entry *entry = &kernel->entries[i - 1];

		if (entry->layer == FDB_LAYER_BRIDGE && entry->ifindex == ifindex)
			remove_at(kernel, (uint32_t) i);
	}
}

/* --- looks --- */

const struct fdb_entry *kernel_find(const struct kernel *kernel, enum fdb_layer layer,
				    uint32_t ifindex, struct mac mac)
{
	const struct fdb_entry entry = { .layer = layer, .ifindex = ifindex, .mac = mac };
	const struct key key = key_of(&entry);
	uint32_t number = find(kernel, &key);

	return number ? &kernel->entries[number - 1] : NULL;
}

const struct fdb_entry *kernel_entries(const struct kernel *kernel, size_t *ret_count)
{
	*ret_count = kernel->count;
	return kernel->entries;
}

/* --- life --- */

struct kernel *kernel_new(void)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));

	if (!kernel)
		abort();
	return kernel;
}

void kernel_clear(struct kernel *kernel)
{
	memset(kernel->lists, 0, sizeof(kernel->lists));
	kernel->count = 0;
}

struct kernel *kernel_free(struct kernel *kernel)
{
	if (!kernel)
		return NULL;
	free(kernel->entries);
	free(kernel->next);
	free(kernel);
	return NULL;
}
