// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/index.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS_MIN = 16,
	DEPTH_MAX = 23, /* the low 9 bits of a hash choose the slot */
};

struct slot {
	uint32_t hash;
	uint32_t id; /* 0: free */
};

/* Open addressing with linear probing; a slot is taken back by shifting its followers. */
struct segment {
	uint16_t count;
	uint16_t slot_count; /* a power of two; less than INDEX_SEGMENT_MAX only at depth 0 */
	uint8_t depth;	     /* how many top bits its hashes have in common */
	struct slot slots[];
};
static_assert((1u << (32 - DEPTH_MAX)) >= INDEX_SEGMENT_MAX, "a slot needs bits of its own");

static struct segment *segment_new(unsigned slot_count, unsigned depth)
{
	struct segment *segment =
		calloc(1, sizeof(*segment) + slot_count * sizeof(segment->slots[0]));

	if (!segment)
		return NULL;
	segment->slot_count = (uint16_t) slot_count;
	segment->depth = (uint8_t) depth;
	return segment;
}

/* Four slots of five: beyond that the way to a free one gets long. */
static bool is_full(const struct segment *segment)
{
	return segment->count * 5u >= segment->slot_count * 4u;
}

static unsigned home_of(const struct segment *segment, uint32_t hash)
{
	return hash & (segment->slot_count - 1u);
}

static unsigned next_slot(const struct segment *segment, unsigned at)
{
	return (at + 1) & (segment->slot_count - 1u);
}

static void put(struct segment *segment, struct slot slot)
{
	unsigned at = home_of(segment, slot.hash);

	while (segment->slots[at].id)
		at = next_slot(segment, at);
	segment->slots[at] = slot;
	segment->count++;
}

static size_t place_of(const struct index *index, uint32_t hash)
{
	return index->depth ? hash >> (32 - index->depth) : 0;
}

static struct segment *find_segment(const struct index *index, uint32_t hash)
{
	return index->segments ? index->segments[place_of(index, hash)] : NULL;
}

/* --- growth --- */

static int make_first(struct index *index)
{
	struct segment *segment = segment_new(SLOTS_MIN, 0);
	struct segment **segments = malloc(sizeof(struct segment *));

	if (!segment || !segments) {
		free(segment);
		free(segments);
		return -ENOMEM;
	}
	segments[0] = segment;
	index->segments = segments;
	index->depth = 0;
	return 0;
}

/* The first segment doubles until it has the size of all others. */
static int enlarge_first(struct index *index)
{
	struct segment *old = index->segments[0];
	struct segment *segment = segment_new(old->slot_count * 2u, 0);

	if (!segment)
		return -ENOMEM;
	for (unsigned i = 0; i < old->slot_count; i++)
		if (old->slots[i].id)
			put(segment, old->slots[i]);
	free(old);
	index->segments[0] = segment;
	return 0;
}

static int double_places(struct index *index)
{
	size_t count = (size_t) 1 << index->depth;
	struct segment **segments;

	if (index->depth == DEPTH_MAX)
		return -ENOMEM;
	segments = malloc(2 * count * sizeof(struct segment *));
	if (!segments)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		segments[2 * i] = segments[2 * i + 1] = index->segments[i];
	free(index->segments);
	index->segments = segments;
	index->depth++;
	return 0;
}

/* The upper half of the range of @hash's segment gets a segment of its own. */
static int split(struct index *index, uint32_t hash)
{
	struct segment *old = find_segment(index, hash), *low, *high;
	size_t span, first;

	if (old->depth == index->depth && double_places(index) < 0)
		return -ENOMEM;
	low = segment_new(INDEX_SEGMENT_MAX, old->depth + 1u);
	high = segment_new(INDEX_SEGMENT_MAX, old->depth + 1u);
	if (!low || !high) {
		free(low);
		free(high);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < old->slot_count; i++)
		if (old->slots[i].id)
			put(old->slots[i].hash >> (31 - old->depth) & 1 ? high : low,
			    old->slots[i]);

	span = (size_t) 1 << (index->depth - old->depth); /* places that @old has */
	first = place_of(index, hash) & ~(span - 1);
	for (size_t i = 0; i < span; i++)
		index->segments[first + i] = i < span / 2 ? low : high;
	free(old);
	return 0;
}

static int make_room(struct index *index, uint32_t hash)
{
	struct segment *segment;
	int r = index->segments ? 0 : make_first(index);

	while (r == 0 && is_full(segment = find_segment(index, hash)))
		r = segment->slot_count < INDEX_SEGMENT_MAX ? enlarge_first(index)
							    : split(index, hash);
	return r;
}

/* --- numbers --- */

int index_add(struct index *index, uint32_t hash, uint32_t id)
{
	int r = make_room(index, hash);

	if (r < 0)
		return r;
	put(find_segment(index, hash), (struct slot){ hash, id });
	index->count++;
	return 0;
}

static struct slot *find_slot(const struct index *index, uint32_t hash, uint32_t id)
{
	struct segment *segment = find_segment(index, hash);
	unsigned at = home_of(segment, hash);

	/* The same number may stand there for another hash, too. */
	while (segment->slots[at].id != id || segment->slots[at].hash != hash)
		at = next_slot(segment, at);
	return &segment->slots[at];
}

/* True when a slot at @at whose home is @home may be moved back to the free slot @hole. */
static bool may_fill(const struct segment *segment, unsigned hole, unsigned home, unsigned at)
{
	unsigned mask = segment->slot_count - 1u;

	return ((at - home) & mask) >= ((at - hole) & mask);
}

void index_remove(struct index *index, uint32_t hash, uint32_t id)
{
	struct segment *segment = find_segment(index, hash);
	unsigned hole = (unsigned) (find_slot(index, hash, id) - segment->slots);
	unsigned at = hole;

	while (segment->slots[at = next_slot(segment, at)].id) {
		if (!may_fill(segment, hole, home_of(segment, segment->slots[at].hash), at))
			continue;
		segment->slots[hole] = segment->slots[at];
		hole = at;
	}
	segment->slots[hole] = (struct slot){ 0 };
	segment->count--;
	index->count--;
}

void index_replace(struct index *index, uint32_t hash, uint32_t old, uint32_t id)
{
	find_slot(index, hash, old)->id = id;
}

uint32_t index_next(struct index_probe *probe)
{
	const struct segment *segment = probe->segment;

	while (segment->slots[probe->at].id) {
		const struct slot *slot = &segment->slots[probe->at];

		probe->at = (probe->at + 1) & probe->mask;
		if (slot->hash == probe->hash)
			return slot->id;
	}
	return 0;
}

uint32_t index_first(const struct index *index, uint32_t hash, struct index_probe *ret_probe)
{
	const struct segment *segment = find_segment(index, hash);
	unsigned mask = INDEX_SEGMENT_MAX - 1;

	if (!segment)
		return 0;
	if (index->depth ==
	    0) /* else its size is known, without a look at another line of the cache */
		mask = segment->slot_count - 1u;
	*ret_probe = (struct index_probe){ segment, hash, hash & mask, mask };
	return index_next(ret_probe);
}

void index_prefetch(const struct index *index, uint32_t hash)
{
	const struct segment *segment = find_segment(index, hash);

	if (!segment || index->depth == 0)
		return;
	__builtin_prefetch(segment); /* for index_add() */
	__builtin_prefetch(&segment->slots[hash & (INDEX_SEGMENT_MAX - 1)]);
}

size_t index_walk(const struct index *index, uint64_t position, uint32_t *ids, uint64_t *ret_next)
{
	const struct segment *segment = find_segment(index, (uint32_t) position);
	size_t count = 0;

	*ret_next = INDEX_END;
	if (!segment)
		return 0;
	for (unsigned i = 0; i < segment->slot_count; i++)
		if (segment->slots[i].id && segment->slots[i].hash >= position)
			ids[count++] = segment->slots[i].id;
	*ret_next = ((position >> (32 - segment->depth)) + 1) << (32 - segment->depth);
	return count;
}

void index_clear(struct index *index)
{
	size_t count = index->segments ? (size_t) 1 << index->depth : 0;

	for (size_t i = 0; i < count;) {
		size_t span = (size_t) 1 << (index->depth - index->segments[i]->depth);

		free(index->segments[i]);
		i += span;
	}
	free(index->segments);
	*index = (struct index){ 0 };
}
