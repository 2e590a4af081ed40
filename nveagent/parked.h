/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parked.h - frames that wait in our own memory, in order. */
#ifndef REHOME_NVEAGENT_PARKED_H
#define REHOME_NVEAGENT_PARKED_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PARKED_BYTES_MAX = 64 << 20, /* as many as the held queue takes */
};

/* All zero is an empty list. */
struct parked {
	uint8_t *bytes; /* records: a header and a frame, again and again */
	size_t used, capacity, count;
};

struct parked_frame {
	struct virtio_net_hdr vnet;
	uint8_t *data; /* borrowed until the next change of the list; may be written to */
	size_t size;
	bool in_qemu; /* QEMU holds it too, and delivers it if its guest goes on */
};

/* Appends a copy. 0, -ENOSPC at PARKED_BYTES_MAX, or -ENOMEM. */
int parked_add(struct parked *parked, const struct virtio_net_hdr *vnet, const uint8_t *data,
	       size_t size, bool in_qemu);

/* The frame at *@at, which starts at 0 and is moved on; false at the end. */
bool parked_next(const struct parked *parked, size_t *at, struct parked_frame *ret_frame);

void parked_clear(struct parked *parked);

#endif
