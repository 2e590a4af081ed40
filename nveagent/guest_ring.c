/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/guest_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* VIRTIO 1.2 sections 2.7.5 to 2.7.8; all numbers little endian. */
enum {
	DESCRIPTOR_NEXT = 1,
	DESCRIPTOR_INDIRECT = 4,
	RING_INDEX = 2, /* offset in the used and in the available ring; flags before it */
	RING_ELEMENTS = 4,

	CHAIN_MAX = 4,	    /* descriptors of one buffer that are followed */
	LAST_WITNESSES = 8, /* elements looked at when the guest has stopped */
};

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct element {
	uint32_t id, length;
};

/*
 * Until @at_us the next element was @position; the guest had all that had left by the tap before
 * @caught_up_us (0: not known). CLOCK_REALTIME.
 */
struct look {
	uint64_t at_us, caught_up_us, position;
	bool has_witness;
	struct delivered_witness witness; /* the newest element */
};

struct guest_ring {
	struct guest_memory *memory;
	struct guest_ring_place place;
	struct look looks[GUEST_RING_LOOKS]; /* number % GUEST_RING_LOOKS */
	uint64_t look_count;
	uint64_t position; /* of the next element, as of the newest look */
	uint64_t empty_us; /* when the tap's queue was seen empty; 0: not since @caught_up_us */
	uint64_t caught_up_us;
	bool stopped;
	int error; /* of the last look of all */
	struct delivered_witness last[LAST_WITNESSES];
	size_t last_count;
	struct element elements[DELIVERED_ELEMENTS_MAX]; /* the used ring, after the stop */
};

static_assert(LAST_WITNESSES + GUEST_RING_LOOKS <= DELIVERED_WITNESSES_MAX, "too many witnesses");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the ring is read as it lies in memory");

static bool is_ring(const struct guest_ring_place *place)
{
	return place->size > 0 && place->size <= DELIVERED_ELEMENTS_MAX &&
	       (place->size & (place->size - 1)) == 0;
}

int guest_ring_open(pid_t pid, const struct guest_ring_place *place, struct guest_ring **ret_ring)
{
	_cleanup_(guest_ring_freep) struct guest_ring *ring = NULL;
	int r;

	if (!is_ring(place))
		return -EINVAL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	ring->place = *place;
	r = guest_memory_open(pid, &place->map, &ring->memory);
	if (r < 0)
		return r;
	*ret_ring = TAKE_PTR(ring);
	return 0;
}

struct guest_ring *guest_ring_free(struct guest_ring *ring)
{
	if (!ring)
		return NULL;
	guest_memory_free(ring->memory);
	free(ring);
	return NULL;
}

static bool maps_are_equal(const struct guest_map *a, const struct guest_map *b)
{
	return a->count == b->count &&
	       memcmp(a->places, b->places, a->count * sizeof(a->places[0])) == 0;
}

bool guest_ring_is_at(const struct guest_ring *ring, const struct guest_ring_place *place)
{
	return ring->place.size == place->size && ring->place.descriptors == place->descriptors &&
	       ring->place.available == place->available && ring->place.used == place->used &&
	       maps_are_equal(&ring->place.map, &place->map);
}

/* --- reading --- */

static int read_index(const struct guest_ring *ring, uint64_t table, uint16_t *ret_index)
{
	return guest_memory_read(ring->memory, table + RING_INDEX, ret_index, sizeof(*ret_index));
}

/* The index counts modulo 2^16, positions do not. */
static int read_position(const struct guest_ring *ring, uint64_t *ret_position)
{
	uint64_t before = ring->look_count ? ring->position : UINT16_MAX + 1;
	uint16_t index;
	int r = read_index(ring, ring->place.used, &index);

	if (r == 0)
		*ret_position = before + (uint16_t) (index - before);
	return r;
}

static int read_element(const struct guest_ring *ring, uint64_t position, struct element *ret)
{
	uint64_t slot = position % ring->place.size;

	return guest_memory_read(ring->memory,
				 ring->place.used + RING_ELEMENTS + slot * sizeof(*ret), ret,
				 sizeof(*ret));
}

/* Reads what the buffer of descriptor @id begins with. */
static int read_buffer(const struct guest_ring *ring, uint32_t id,
		       struct delivered_witness *witness)
{
	witness->size = 0;
	for (unsigned i = 0; i < CHAIN_MAX && witness->size < sizeof(witness->bytes); i++) {
		struct descriptor descriptor;
		size_t size = sizeof(witness->bytes) - witness->size;
		int r = id < ring->place.size ? 0 : -EFAULT;

		if (r == 0)
			r = guest_memory_read(ring->memory,
					      ring->place.descriptors + id * sizeof(descriptor),
					      &descriptor, sizeof(descriptor));
		if (r < 0 || descriptor.flags & DESCRIPTOR_INDIRECT)
			return -EFAULT;
		size = descriptor.length < size ? descriptor.length : size;
		r = guest_memory_read(ring->memory, descriptor.address,
				      witness->bytes + witness->size, size);
		if (r < 0)
			return r;
		witness->size += size;
		if (!(descriptor.flags & DESCRIPTOR_NEXT))
			break;
		id = descriptor.next;
	}
	return 0;
}

/* Whether the guest has offered each descriptor again since the used index was @position. */
struct offers {
	bool offered[DELIVERED_ELEMENTS_MAX];
};

static int read_offers(const struct guest_ring *ring, uint64_t position, struct offers *offers)
{
	uint16_t heads[DELIVERED_ELEMENTS_MAX], index, count;
	int r = read_index(ring, ring->place.available, &index);

	if (r == 0)
		r = guest_memory_read(ring->memory, ring->place.available + RING_ELEMENTS, heads,
				      ring->place.size * sizeof(*heads));
	if (r < 0)
		return r;
	count = (uint16_t) (index - (uint16_t) position);
	if (count > ring->place.size)
		return -EFAULT; /* the device is further on by now, or this is no ring */
	*offers = (struct offers){ 0 };
	for (uint16_t i = 0; i < count; i++) {
		uint16_t head = heads[(position + i) % ring->place.size];

		if (head < ring->place.size)
			offers->offered[head] = true;
	}
	return 0;
}

/*
 * Reads the element at @at and its buffer; @position: of the next element. Its descriptor may have
 * been offered again: the caller looks.
 */
static int read_witness(const struct guest_ring *ring, uint64_t at, struct element *ret_element,
			struct delivered_witness *witness)
{
	int r = read_element(ring, at, ret_element);

	if (r == 0)
		r = read_buffer(ring, ret_element->id, witness);
	witness->position = at;
	witness->length = ret_element->length;
	return r;
}

/* --- looking --- */

static bool find_witness(const struct guest_ring *ring, uint64_t position,
			 struct delivered_witness *witness)
{
	struct element element;
	struct offers offers;

	return read_witness(ring, position - 1, &element, witness) == 0 &&
	       read_offers(ring, position, &offers) == 0 && !offers.offered[element.id];
}

/* Before the ring's index is read. */
static void note_empty(struct guest_ring *ring, uint64_t now_us, bool empty)
{
	if (ring->empty_us && now_us >= ring->empty_us + GUEST_RING_DELIVERY_US) {
		ring->caught_up_us = ring->empty_us;
		ring->empty_us = 0;
	}
	if (empty && !ring->empty_us)
		ring->empty_us = now_us;
}

void guest_ring_look(struct guest_ring *ring, uint64_t now_us, bool empty)
{
	uint64_t position = 0;
	struct look *look;

	if (ring->stopped)
		return;
	note_empty(ring, now_us, empty);
	if (read_position(ring, &position) < 0)
		return;
	if (ring->look_count == 0 || position != ring->position)
		ring->look_count++;
	look = &ring->looks[(ring->look_count - 1) % GUEST_RING_LOOKS];
	look->at_us = now_us;
	look->caught_up_us = ring->caught_up_us;
	if (ring->look_count == 1 || position != ring->position)
		look->has_witness = find_witness(ring, position, &look->witness);
	look->position = ring->position = position;
}

static int look_last(struct guest_ring *ring)
{
	struct offers offers;
	uint64_t position = 0;
	int r = read_position(ring, &position);

	if (r == 0)
		r = guest_memory_read(ring->memory, ring->place.used + RING_ELEMENTS,
				      ring->elements, ring->place.size * sizeof(*ring->elements));
	if (r == 0)
		r = read_offers(ring, position, &offers);
	if (r < 0)
		return r;
	ring->position = position;
	for (uint64_t at = position - 1; at + LAST_WITNESSES >= position; at--) {
		struct element element;

		if (read_witness(ring, at, &element, &ring->last[ring->last_count]) == 0 &&
		    !offers.offered[element.id])
			ring->last_count++;
	}
	return 0;
}

void guest_ring_stop(struct guest_ring *ring)
{
	if (ring->stopped)
		return;
	ring->stopped = true;
	ring->error = look_last(ring);
}

/* --- judging --- */

/* The look number @number; the oldest kept is the first. */
static const struct look *look_at(const struct guest_ring *ring, uint64_t number)
{
	return &ring->looks[number % GUEST_RING_LOOKS];
}

static uint64_t first_look(const struct guest_ring *ring)
{
	return ring->look_count > GUEST_RING_LOOKS ? ring->look_count - GUEST_RING_LOOKS : 0;
}

static bool is_floor(const struct look *look, uint64_t since_us)
{
	return look->caught_up_us >= since_us || look->at_us >= since_us + GUEST_RING_LAG_US;
}

/*
 * The oldest look after which each frame that was delivered is known: an older one could be taken
 * for a known one with the same bytes. NULL: none.
 */
static const struct look *find_floor(const struct guest_ring *ring, uint64_t since_us)
{
	for (uint64_t n = first_look(ring); n < ring->look_count; n++)
		if (since_us > 0 && is_floor(look_at(ring, n), since_us))
			return look_at(ring, n);
	return NULL;
}

static size_t collect_witnesses(const struct guest_ring *ring, uint64_t floor,
				struct delivered_witness *witnesses)
{
	size_t count = 0;

	for (size_t i = 0; i < ring->last_count; i++)
		if (ring->last[i].position >= floor)
			witnesses[count++] = ring->last[i];
	for (uint64_t n = first_look(ring); n < ring->look_count; n++)
		if (look_at(ring, n)->has_witness && look_at(ring, n)->witness.position >= floor)
			witnesses[count++] = look_at(ring, n)->witness;
	return count;
}

/* What delivered_count() is given. */
struct evidence {
	struct delivered_frame frames[TAIL_FRAMES_MAX];
	uint32_t lengths[DELIVERED_ELEMENTS_MAX];
	struct delivered_witness witnesses[DELIVERED_WITNESSES_MAX];
};

static void collect_frames(const struct tail_frames *frames, struct mac mac,
			   struct delivered_frame *ret_frames)
{
	for (size_t i = 0; i < frames->count; i++) {
		const struct tail_frame *frame = &frames->frames[i];

		ret_frames[i] = (struct delivered_frame){
			.data = frame->data,
			.size = frame->size,
			.sure = frame->size >= MAC_SIZE &&
				memcmp(frame->data, mac.octet, MAC_SIZE) == 0,
		};
	}
}

static int judge(const struct guest_ring *ring, uint64_t floor, const struct tail_frames *frames,
		 struct mac mac, size_t *ret_undelivered)
{
	_cleanup_free_ struct evidence *evidence = calloc(1, sizeof(*evidence));
	size_t size = ring->place.size, delivered;
	struct delivered_ring view = { .position = ring->position, .length_count = size };
	int r;

	if (!evidence)
		return -ENOMEM;
	collect_frames(frames, mac, evidence->frames);
	for (size_t i = 0; i < size; i++)
		evidence->lengths[i] = ring->elements[(ring->position + i) % size].length;
	view.lengths = evidence->lengths;
	view.witnesses = evidence->witnesses;
	view.witness_count = collect_witnesses(ring, floor, evidence->witnesses);
	r = delivered_count(evidence->frames, frames->count, &view, &delivered);
	if (r == 0)
		*ret_undelivered = frames->count - delivered;
	return r;
}

int guest_ring_undelivered(const struct guest_ring *ring, const struct tail_frames *frames,
			   struct mac mac, size_t *ret_undelivered)
{
	const struct look *floor = find_floor(ring, frames->since_us);

	if (!ring->stopped || ring->error < 0)
		return -EFAULT;
	if (!floor)
		return -EAGAIN;
	if (floor->position < ring->position)
		return judge(ring, floor->position, frames, mac, ret_undelivered);
	/* Nothing was delivered since. */
	if (frames->count > 0 && frames->frames[0].at_us <= floor->at_us)
		return -EAGAIN;
	*ret_undelivered = frames->count;
	return 0;
}

int guest_ring_first_since(const struct guest_ring *ring, struct delivered_witness *ret_first)
{
	struct delivered_witness first;
	struct element element;
	struct offers offers;
	uint64_t position = 0;
	int r = ring->stopped && ring->error == 0 ? read_position(ring, &position) : -EFAULT;

	if (r == 0 && position == ring->position)
		r = -EAGAIN;
	if (r == 0)
		r = read_witness(ring, ring->position, &element, &first);
	if (r == 0)
		r = read_offers(ring, position, &offers);
	if (r < 0)
		return r;
	if (position - ring->position > ring->place.size || offers.offered[element.id])
		return -ENODATA;
	*ret_first = first;
	return 0;
}
