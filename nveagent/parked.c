/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/parked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	RECORD_ALIGN = 8,
	CAPACITY_FIRST = 1 << 16,
};

struct record {
	struct virtio_net_hdr vnet;
	bool in_qemu;
	uint32_t size;
};

static size_t record_size(size_t frame_size)
{
	size_t size = sizeof(struct record) + frame_size;

	return (size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

static int reserve(struct parked *parked, size_t size)
{
	size_t capacity = parked->capacity ? parked->capacity : CAPACITY_FIRST;
	uint8_t *bytes;

	if (size > PARKED_BYTES_MAX - parked->used)
		return -ENOSPC;
	while (capacity < parked->used + size)
		capacity *= 2;
	if (capacity == parked->capacity)
		return 0;

	bytes = realloc(parked->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	parked->bytes = bytes;
	parked->capacity = capacity;
	return 0;
}

int parked_add(struct parked *parked, const struct virtio_net_hdr *vnet, const uint8_t *data,
	       size_t size, bool in_qemu)
{
	const struct record record = { .vnet = *vnet, .in_qemu = in_qemu, .size = (uint32_t) size };
	int r = size > PARKED_BYTES_MAX ? -ENOSPC : reserve(parked, record_size(size));

	if (r < 0)
		return r;
	memcpy(parked->bytes + parked->used, &record, sizeof(record));
	memcpy(parked->bytes + parked->used + sizeof(record), data, size);
	parked->used += record_size(size);
	parked->count++;
	return 0;
}

bool parked_next(const struct parked *parked, size_t *at, struct parked_frame *ret_frame)
{
	struct record record;

	if (*at >= parked->used)
		return false;
	memcpy(&record, parked->bytes + *at, sizeof(record));
	*ret_frame = (struct parked_frame){
		.vnet = record.vnet,
		.data = parked->bytes + *at + sizeof(record),
		.size = record.size,
		.in_qemu = record.in_qemu,
	};
	*at += record_size(record.size);
	return true;
}

void parked_clear(struct parked *parked)
{
	free(parked->bytes);
	*parked = (struct parked){ 0 };
}
