/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_ear.h - a tap of our own in a VNI's bridge: it hears what the bridge floods because it
 * does not know where to, and speaks to the guests.
 *
 * Theory of operation
 *
 * The bridge floods to each of its ports what it has no entry for. So a port gets exactly the
 * frames that miss: unicast to an unknown MAC, broadcast ARP, multicast NS; and nothing that is
 * known. A filter on the tap (TUNATTACHFILTER) keeps only those three, and of unicast only the
 * headers. This needs none of l2miss and l3miss, which a VXLAN device tells only when it has no
 * list for flooded frames (vxlan_core.c, vxlan_xmit()), and which one that is adopted may lack.
 *
 * What is written to the tap enters the bridge as from any other port, but the bridge does not
 * learn from it. The device is "rhe<VNI>" and goes with the agent. Its MAC address is the highest
 * of any port's, so that it never becomes the bridge's own, and its MTU is the VXLAN device's.
 */
#ifndef REHOME_NVEAGENT_KERNEL_EAR_H
#define REHOME_NVEAGENT_KERNEL_EAR_H

#include <sys/types.h>

#include "nveagent/kernel.h"

enum {
	KERNEL_EAR_FRAME_MAX = 256, /* an NS with all its options; of other frames the first part */
	KERNEL_EAR_QUEUE = 128,	    /* frames that wait to be heard; a flood is cut here */
};

struct kernel_ear;

/* -ENOENT: the kernel has no tun driver. -EBUSY: somebody else has a device of that name. */
int kernel_ear_new(struct kernel *kernel, const struct vni_devices *devices,
		   struct kernel_ear **ret_ear);
/* The device goes, too. */
struct kernel_ear *kernel_ear_free(struct kernel_ear *ear);
DEFINE_CLEANUP(struct kernel_ear, kernel_ear_free)

int kernel_ear_fd(const struct kernel_ear *ear);
uint32_t kernel_ear_ifindex(const struct kernel_ear *ear);

/* The next frame, cut to @size: its length; 0 when none waits; or an errno. Never blocks. */
ssize_t kernel_ear_read(struct kernel_ear *ear, uint8_t *frame, size_t size);
/* 0, or an errno. */
int kernel_ear_send(struct kernel_ear *ear, const uint8_t *frame, size_t size);

#endif
