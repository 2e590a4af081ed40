/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tail.h - the newest frames that left by a device for one MAC, kept by the kernel in memory
 * shared with us.
 *
 * Theory of operation
 *
 * A packet socket with a ring (packet(7), PACKET_RX_RING, TPACKET_V3) and a filter for outgoing
 * frames of that MAC. The kernel copies each frame into the ring's blocks; nobody reads them, so a
 * frame costs one copy and no wake-up. A few times a second tail_trim() hands old blocks back, so
 * that there is always room. When it matters, tail_settle() waits until the kernel has closed its
 * present block, and the frames can be looked at, newest first.
 *
 * Used for a tap: what QEMU was given last, of which it may have thrown some away when its guest
 * stopped.
 */
#ifndef REHOME_NVEAGENT_TAIL_H
#define REHOME_NVEAGENT_TAIL_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"

enum {
	TAIL_BLOCK_SIZE = 256 << 10,	/* a GSO bundle of 64 KiB fits */
	TAIL_BLOCKS = 64,		/* 16 MiB */
	TAIL_BLOCKS_FREE = 32,		/* always kept for the kernel by tail_trim(): 80 MB/s */
	TAIL_KEEP_US = 1000000,		/* frames younger than that are kept if there is room */
	TAIL_RETIRE_MS = 20,		/* after that the kernel closes a block that has frames */
	TAIL_FRAMES_MAX = 8192,		/* that tail_list() gives */
	TAIL_TRIM_MS = 100,		/* how often tail_trim() wants to be called */
	TAIL_SETTLE_MS = 100,		/* tail_settle() waits no longer */
};

struct tail;

struct tail_frame {
	struct virtio_net_hdr vnet;
	const uint8_t *data;		/* borrowed until tail_trim() or tail_free() */
	size_t size;
	uint64_t at_us;			/* CLOCK_REALTIME when it left */
};

/* Captures from now on. 0 or a negative errno. */
int tail_open(uint32_t ifindex, struct mac mac, struct tail **ret_tail);
struct tail *tail_free(struct tail *tail);
DEFINE_CLEANUP(struct tail, tail_free)

/*
 * From now on captures frames for any MAC: what else the guest is given counts in its ring, too.
 * Idempotent. 0 or a negative errno.
 */
int tail_widen(struct tail *tail);

/* Gives old blocks back to the kernel. */
void tail_trim(struct tail *tail);

/*
 * Waits until every frame captured so far can be seen; call it when no more are coming. Returns 0
 * or -ENOMEM; or -ETIMEDOUT after TAIL_SETTLE_MS, -ENOBUFS when the ring was full: then frames may
 * be missing that left after @since_us (CLOCK_REALTIME), and those that are there can be seen.
 */
int tail_settle(struct tail *tail, uint64_t since_us);

/*
 * The frame that is @age frames older than the newest one (0: the newest) of those that
 * tail_settle() saw. False when there is none, or it was cut.
 */
bool tail_get(const struct tail *tail, size_t age, struct tail_frame *ret_frame);

/* The newest frames, oldest first. All zero is none. */
struct tail_frames {
	struct tail_frame *frames;
	size_t count;
	/* CLOCK_REALTIME: all that left from then on, for any MAC; 0: for one only */
	uint64_t since_us;
};

/*
 * Up to TAIL_FRAMES_MAX of those that tail_get() gives. 0 or -ENOMEM; release with
 * tail_frames_clear(), before tail_trim() and tail_free().
 */
int tail_list(const struct tail *tail, struct tail_frames *ret_frames);
void tail_frames_clear(struct tail_frames *frames);

#endif
