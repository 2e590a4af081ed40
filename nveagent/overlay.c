/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * overlay.c - a sorted table of forwarding entries. No I/O.
 *
 * Theory of operation
 *
 * A table is one array: a sorted head without duplicates, and an unsorted tail of what was put
 * since. Whoever reads merges the tail in first, so filling a table of n entries in any order costs
 * n log n, and a put between two reads costs one pass. A second array of the same capacity is
 * allocated with the first, hence the merge cannot fail and reading needs no error path.
 *
 * Keys: (layer, device, MAC, VTEP), where the bridge layer has no device and only the zero MAC
 * has a VTEP; in the neighbour layer (layer, device, address).
 */
#include "nveagent/overlay.h"

#include <errno.h>
#include <string.h>

enum {
	TABLE_CAPACITY_FIRST = 64,
};

struct fdb_store {
	struct fdb_entry *entries, *scratch; /* @capacity each */
	size_t count, sorted, capacity;
};

/* The store is apart so that merging, which changes no contents, works on a const table. */
struct fdb_table {
	struct fdb_store store[1];
};

struct fdb_table *fdb_table_new(void)
{
	return calloc(1, sizeof(struct fdb_table));
}

struct fdb_table *fdb_table_free(struct fdb_table *table)
{
	if (!table)
		return NULL;

	free(table->store->entries);
	free(table->store->scratch);
	free(table);
	return NULL;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int key_cmp(const struct fdb_entry *a, const struct fdb_entry *b)
{
	int order = compare_numbers(a->layer, b->layer);

	if (order == 0 && a->layer != FDB_LAYER_BRIDGE)
		order = compare_numbers(a->ifindex, b->ifindex);
	if (order == 0 && a->layer == FDB_LAYER_NEIGHBOUR)
		return ip_cmp(a->ip, b->ip);
	if (order == 0)
		order = mac_cmp(a->mac, b->mac);
	if (order == 0 && a->layer == FDB_LAYER_VXLAN && mac_is_zero(a->mac))
		order = ip_cmp(a->vtep, b->vtep);
	return order;
}

/*
 * Merges [0, middle) and [middle, count) of @from into @to; of equal keys the later one survives.
 */
static size_t merge_runs(const struct fdb_entry *from, size_t middle, size_t count,
			 struct fdb_entry *to)
{
	size_t left = 0, right = middle, n = 0;

	while (left < middle || right < count) {
		int order = left == middle   ? 1
			    : right == count ? -1
					     : key_cmp(&from[left], &from[right]);

		if (order <= 0) {
			to[n++] = from[left++];
			if (order == 0)
				to[n - 1] = from[right++];
		} else {
			to[n++] = from[right++];
		}
	}
	return n;
}

/* Sorts [0, count) and drops duplicates; returns how many remain. @scratch holds @count entries. */
static size_t sort_run(struct fdb_entry *entries, size_t count, struct fdb_entry *scratch)
{
	size_t middle = count / 2, left, right;

	if (count < 2)
		return count;

	left = sort_run(entries, middle, scratch);
	right = sort_run(entries + middle, count - middle, scratch);
	memmove(entries + left, entries + middle, right * sizeof(*entries));
	count = merge_runs(entries, left, left + right, scratch);
	memcpy(entries, scratch, count * sizeof(*entries));
	return count;
}

static const struct fdb_store *settled(const struct fdb_table *table)
{
	struct fdb_store *store = (struct fdb_store *) table->store; /* never defined const */
	struct fdb_entry *merged = store->scratch;
	size_t tail;

	if (store->sorted == store->count)
		return store;

	tail = sort_run(store->entries + store->sorted, store->count - store->sorted, merged);
	store->count = merge_runs(store->entries, store->sorted, store->sorted + tail, merged);
	store->scratch = store->entries;
	store->entries = merged;
	store->sorted = store->count;
	return store;
}

static int store_grow(struct fdb_store *store)
{
	size_t capacity = store->capacity ? store->capacity * 2 : TABLE_CAPACITY_FIRST;
	struct fdb_entry *entries, *scratch;

	entries = reallocarray(store->entries, capacity, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	store->entries = entries;

	scratch = reallocarray(store->scratch, capacity, sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	store->scratch = scratch;
	store->capacity = capacity;
	return 0;
}

int fdb_table_put(struct fdb_table *table, const struct fdb_entry *entry)
{
	struct fdb_store *store = table->store;
	struct fdb_entry copy = *entry; /* @entry may be one of ours */

	if (store->count == store->capacity && store_grow(store) < 0)
		return -ENOMEM;

	store->entries[store->count] = copy;
	if (store->sorted == store->count &&
	    (store->count == 0 || key_cmp(&store->entries[store->count - 1], &copy) < 0))
		store->sorted++;
	store->count++;
	return 0;
}

void fdb_table_clear(struct fdb_table *table)
{
	table->store->count = table->store->sorted = 0;
}

size_t fdb_table_count(const struct fdb_table *table)
{
	return settled(table)->count;
}

const struct fdb_entry *fdb_table_entries(const struct fdb_table *table)
{
	return settled(table)->entries;
}

const struct fdb_entry *fdb_table_find(const struct fdb_table *table, enum fdb_layer layer,
				       uint32_t ifindex, struct mac mac)
{
	const struct fdb_entry *entries = fdb_table_entries(table);
	struct fdb_entry key = { .layer = layer, .ifindex = ifindex, .mac = mac };
	size_t low = 0, high = fdb_table_count(table), count = high;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (key_cmp(&entries[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == count)
		return NULL;

	key.vtep = entries[low].vtep; /* of the zero MAC's list: its first */
	return key_cmp(&entries[low], &key) == 0 ? &entries[low] : NULL;
}

const char *fdb_op_name(enum fdb_op op)
{
	switch (op) {
	case FDB_OP_ADD:
		return "add";
	case FDB_OP_REPLACE:
		return "replace";
	case FDB_OP_DELETE:
		return "delete";
	}
	return "invalid"; /* only a stray cast reaches this */
}
