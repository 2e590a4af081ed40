/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* move_frames.h - the numbered frames and TCP bundles that move_scene.c sends and reads; no I/O. */
#ifndef REHOME_TESTS_NETNS_MOVE_FRAMES_H
#define REHOME_TESTS_NETNS_MOVE_FRAMES_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

enum {
	MOVE_FRAME_SIZE = 200,
	MOVE_SEGMENT_SIZE = 1200,
	MOVE_BUNDLE_SEGMENTS = 12,
	MOVE_BUNDLE_SIZE_MAX = 65536,
};

/* A frame that carries @number. Returns its size. */
size_t move_frame_build(struct mac to, struct mac from, uint32_t number, uint8_t *frame);

/*
 * A GSO bundle of MOVE_BUNDLE_SEGMENTS TCP segments, numbered from @number on, whose checksum is
 * left to the device. Returns its size, and in *ret_vnet what is left to do.
 */
size_t move_bundle_build(struct mac to, struct mac from, uint32_t number,
			 struct virtio_net_hdr *ret_vnet, uint8_t *frame);

/*
 * Reads either, as a guest does: a bundle may have come apart, and one whose checksum is neither
 * right nor said to be unfinished or verified is nothing. Returns how many numbers it carries, the
 * first in *ret_first; 0 for anything else.
 */
size_t move_frame_read(struct mac vm, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		       size_t size, uint32_t *ret_first);

#endif
