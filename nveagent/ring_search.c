/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/ring_search.h"

#include <errno.h>

#include "qmp/virtio.h"

/*
 * Memory begins anew at 1 MiB, above a PC's holes and ROMs, and at 4 GiB, above its devices (QEMU
 * hw/i386/pc.c). Other machines have one piece of it: there the ring's own places say where.
 */
#define PLACE_LOW  UINT64_C(0x100000)
#define PLACE_HIGH UINT64_C(0x100000000)

struct ring_search {
	struct mac mac;
	size_t step; /* in the table below */
	size_t nth;  /* of the questions of that step */
	struct qmp_virtio_nets nets;
	const char *path; /* in nets: the NIC */
	struct guest_ring_place place;
	uint64_t addresses[GUEST_PLACES_MAX]; /* to be looked up */
	size_t address_count;
};

struct ring_search *ring_search_new(struct mac mac)
{
	struct ring_search *search = calloc(1, sizeof(*search));

	if (search)
		search->mac = mac;
	return search;
}

struct ring_search *ring_search_free(struct ring_search *search)
{
	free(search);
	return NULL;
}

/* --- the steps: each asks, and takes an answer: 1 when it is done, 0 when it asks once more --- */

static int ask_nets(const struct ring_search *search, struct json_object **ret_request)
{
	return qmp_request_query_virtio(ret_request);
}

static int take_nets(struct ring_search *search, struct json_object *value)
{
	int r = qmp_virtio_nets_parse(value, &search->nets);

	if (r < 0)
		return r;
	return search->nets.count > 0 ? 1 : -ENODEV;
}

static int ask_mac(const struct ring_search *search, struct json_object **ret_request)
{
	return qmp_request_virtio_net_mac(search->nets.paths[search->nth], ret_request);
}

static int take_mac(struct ring_search *search, struct json_object *value)
{
	struct mac mac;
	int r = qmp_virtio_net_mac_parse(value, &mac);

	if (r < 0)
		return r;
	search->path = search->nets.paths[search->nth];
	if (mac_cmp(mac, search->mac) == 0)
		return 1;
	return search->nth + 1 < search->nets.count ? 0 : -ENODEV;
}

static int ask_status(const struct ring_search *search, struct json_object **ret_request)
{
	return qmp_request_virtio_status(search->path, ret_request);
}

static int take_status(struct ring_search *search, struct json_object *value)
{
	bool plain;
	int r = qmp_virtio_status_parse(value, &plain);

	if (r < 0)
		return r;
	return plain ? 1 : -EOPNOTSUPP;
}

static int ask_queue(const struct ring_search *search, struct json_object **ret_request)
{
	return qmp_request_virtio_queue(search->path, 0, ret_request);
}

static int take_queue(struct ring_search *search, struct json_object *value)
{
	const uint64_t others[] = { PLACE_LOW, PLACE_HIGH };
	struct guest_ring_place *place = &search->place;
	struct qmp_virtio_queue queue;
	int r = qmp_virtio_queue_parse(value, &queue);

	if (r < 0)
		return r;
	if (queue.size > UINT16_MAX)
		return -EOPNOTSUPP;
	place->size = (uint32_t) queue.size;
	search->addresses[search->address_count++] = place->descriptors = queue.descriptors;
	search->addresses[search->address_count++] = place->available = queue.available;
	search->addresses[search->address_count++] = place->used = queue.used;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		search->addresses[search->address_count++] = others[i];
	return 1;
}

static int ask_address(const struct ring_search *search, struct json_object **ret_request)
{
	return qmp_request_host_address(search->addresses[search->nth], ret_request);
}

static int take_address(struct ring_search *search, struct json_object *value)
{
	struct guest_map *map = &search->place.map;
	uint64_t host;
	int r = qmp_host_address_parse(value, &host);

	if (r < 0)
		return r;
	if (host) {
		map->places[map->count].guest = search->addresses[search->nth];
		map->places[map->count++].host = host;
	}
	return search->nth + 1 < search->address_count ? 0 : 1;
}

static const struct step {
	int (*ask)(const struct ring_search *search, struct json_object **ret_request);
	int (*take)(struct ring_search *search, struct json_object *value);
} steps[] = {
	/* clang-format off */
	{ ask_nets,	take_nets },
	{ ask_mac,	take_mac },
	{ ask_status,	take_status },
	{ ask_queue,	take_queue },
	{ ask_address,	take_address },
	/* clang-format on */
};

int ring_search_request(const struct ring_search *search, struct json_object **ret_request)
{
	return steps[search->step].ask(search, ret_request);
}

int ring_search_answer(struct ring_search *search, struct json_object *value,
		       struct guest_ring_place *ret_place)
{
	int r = steps[search->step].take(search, value);

	if (r < 0)
		return r;
	if (r == 0) {
		search->nth++;
		return 0;
	}
	search->nth = 0;
	if (search->step + 1 < ARRAY_SIZE(steps)) {
		search->step++;
		return 0;
	}
	*ret_place = search->place;
	return 1;
}
