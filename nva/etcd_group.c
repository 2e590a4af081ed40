// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/etcd_group.h"

#include <errno.h>
#include <string.h>

/* --- batches --- */

enum { SIZE_SIZE = 2 };

int etcd_batch_append(struct etcd_batch *batch, const void *data, size_t size)
{
	if (batch->room - batch->size < size) {
		size_t room = (batch->size + size) * 2;
		uint8_t *grown = realloc(batch->data, room);

		if (!grown)
			return -ENOMEM;
		batch->data = grown;
		batch->room = room;
	}
	memcpy(batch->data + batch->size, data, size);
	batch->size += size;
	return 0;
}

int etcd_batch_add(struct etcd_batch *batch, const struct change *change)
{
	uint8_t bytes[SIZE_SIZE + CHANGE_SIZE_MAX];
	size_t size = change_pack(change, bytes + SIZE_SIZE);

	bytes[0] = (uint8_t) (size >> 8);
	bytes[1] = (uint8_t) size;
	return etcd_batch_append(batch, bytes, SIZE_SIZE + size);
}

void etcd_batch_clear(struct etcd_batch *batch)
{
	free(batch->data);
	*batch = (struct etcd_batch){ 0 };
}

/* The bytes of the change at @position; NULL when they are not all there. */
static const uint8_t *bytes_at(const struct etcd_batch *batch, size_t position, size_t *ret_size)
{
	const uint8_t *next = batch->data + position;
	size_t left = batch->size - position;

	if (left < SIZE_SIZE)
		return NULL;
	*ret_size = (size_t) next[0] << 8 | next[1];
	return left - SIZE_SIZE >= *ret_size ? next + SIZE_SIZE : NULL;
}

int etcd_batch_next(const struct etcd_batch *batch, size_t *position, struct change *ret_change)
{
	const uint8_t *bytes;
	size_t size;

	if (*position == batch->size)
		return 0;
	bytes = bytes_at(batch, *position, &size);
	if (!bytes || size == 0 || change_unpack(bytes, size, ret_change) < 0)
		return -EBADMSG;
	*position += SIZE_SIZE + size;
	return 1;
}

size_t etcd_batch_cut(const struct etcd_batch *batch, size_t position)
{
	size_t end = position, size;

	while (end < batch->size && bytes_at(batch, end, &size) &&
	       end + SIZE_SIZE + size - position <= ETCD_PART_MAX)
		end += SIZE_SIZE + size;
	return end;
}

/* --- groups --- */

/* What must be said before what. */
static const int ranks[CHANGE_KIND_COUNT] = {
	[CHANGE_MEMBER_GONE] = 0, [CHANGE_NVE_GONE] = 1, [CHANGE_IDENTITY] = 2, [CHANGE_NVE] = 3,
	[CHANGE_MEMBER] = 4,	  [CHANGE_MAPPING] = 5,	 [CHANGE_REMOVED] = 5,
};

static int by_rank(const void *left, const void *right)
{
	const struct etcd_entry *a = *(const struct etcd_entry *const *) left;
	const struct etcd_entry *b = *(const struct etcd_entry *const *) right;

	if (ranks[a->kind] != ranks[b->kind])
		return ranks[a->kind] - ranks[b->kind];
	return a->number < b->number ? -1 : 1;
}

/* The entry of @key, made if need be; NULL without memory. */
static struct etcd_entry *get(struct etcd_group *group, const char *key)
{
	size_t size = strlen(key);
	struct etcd_entry *entry;

	HASH_FIND(hh, group->by_key, key, size, entry);
	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry) + size + 1);
	if (!entry)
		return NULL;
	memcpy(entry->key, key, size + 1);
	entry->number = group->count++;
	HASH_ADD_KEYPTR(hh, group->by_key, entry->key, size, entry);
	return entry;
}

static int collapse(struct etcd_group *group, const char *prefix)
{
	size_t at = 0, began = 0;
	struct change change;
	int r;

	while ((r = etcd_batch_next(&group->batch, &at, &change)) > 0) {
		char key[ETCD_KEY_SIZE];
		struct etcd_entry *entry = get(group, etcd_change_key(prefix, &change, key));

		if (!entry)
			return -ENOMEM;
		if (entry->data && change_is_end(entry->kind) && !change_is_end(change.kind))
			group->revives = true;
		entry->kind = change.kind;
		entry->data = group->batch.data + began + SIZE_SIZE;
		entry->size = at - began - SIZE_SIZE;
		began = at;
	}
	return r;
}

int etcd_group_make(struct etcd_group *group, const char *prefix, struct etcd_batch *batch)
{
	struct etcd_entry *entry, *following;
	size_t i = 0;
	int r;

	*group = (struct etcd_group){ .batch = *batch };
	*batch = (struct etcd_batch){ 0 };
	r = collapse(group, prefix);
	if (r < 0)
		return r;
	group->entries = calloc(group->count + 1, sizeof(*group->entries));
	if (!group->entries)
		return -ENOMEM;
	HASH_ITER(hh, group->by_key, entry, following) {
		group->entries[i++] = entry;
		group->has_removed = group->has_removed || entry->kind == CHANGE_REMOVED;
	}
	qsort(group->entries, group->count, sizeof(struct etcd_entry *), by_rank);
	return 0;
}

const struct etcd_entry *etcd_group_find(const struct etcd_group *group, const char *key)
{
	struct etcd_entry *entry;

	HASH_FIND(hh, group->by_key, key, strlen(key), entry);
	return entry;
}

void etcd_group_clear(struct etcd_group *group)
{
	struct etcd_entry *entry, *following;

	HASH_ITER(hh, group->by_key, entry, following) {
		HASH_DEL(group->by_key, entry);
		free(entry);
	}
	free(group->entries);
	etcd_batch_clear(&group->batch);
	*group = (struct etcd_group){ 0 };
}
