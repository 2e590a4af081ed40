/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tap_queue.h - a second handle on a tap's queue that another process (QEMU) holds.
 *
 * What the kernel sent out of a tap and QEMU has not read waits in the tun driver's ring, in order.
 * When the VM has stopped for good nobody reads it; this handle does. Reading takes frames away
 * from QEMU: only do it when QEMU's guest does not run.
 */
#ifndef REHOME_NVEAGENT_TAP_QUEUE_H
#define REHOME_NVEAGENT_TAP_QUEUE_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"

enum {
	TAP_QUEUES_MAX = 256,		/* MAX_TAP_QUEUES of drivers/net/tun.c */
	TAP_FRAME_SIZE_MAX = 512 << 10, /* GSO_MAX_SIZE of BIG TCP, include/linux/netdevice.h */
};

struct tap_queue;

struct tap_frame {
	struct virtio_net_hdr vnet; /* zero when the tap has no vnet header */
	const uint8_t *data;	    /* the Ethernet frame; borrowed until the next read */
	size_t size;
};

/*
 * Finds the process of this host, other than ours, that holds the tap @name of this network
 * namespace, and duplicates its descriptors: one per queue. Returns 0, or
 *   -ENOENT  no process holds it (it may be no tap at all, or persistent and unused)
 *   -EPERM   a process holds it but does not let us (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS)
 */
int tap_queue_open(const char *name, struct tap_queue **ret_queue);
struct tap_queue *tap_queue_free(struct tap_queue *queue);
DEFINE_CLEANUP(struct tap_queue, tap_queue_free)

/*
 * How many queues are open, by which process, and whether it has ended (then the handle is all that
 * keeps the tap alive).
 */
size_t tap_queue_count(const struct tap_queue *queue);
pid_t tap_queue_owner(const struct tap_queue *queue);
bool tap_queue_owner_ended(const struct tap_queue *queue);

/* The first queue's descriptor, borrowed; and whether something waits in that queue. */
int tap_queue_fd(const struct tap_queue *queue);
bool tap_queue_is_readable(const struct tap_queue *queue);

/*
 * Whether the process that holds the queues has loaded BPF programs. True also when that cannot be
 * told.
 */
bool tap_queue_owner_has_bpf(const struct tap_queue *queue);

/*
 * Takes the next waiting frame, one queue after the other; each queue's frames in order. Never
 * blocks.
 * Returns 1, 0 when nothing waits, or a negative errno.
 */
int tap_queue_read(struct tap_queue *queue, struct tap_frame *ret_frame);

#endif
