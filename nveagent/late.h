/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * late.h - frames that still come over the underlay for endpoints that left this NVE, after their
 * packets in flight have been forwarded: from an NVE that was cut off and has not heard of the move
 * (draft-ietf-nvo3-vmm sections 4.4 and 5).
 *
 * Theory of operation
 *
 * A bridge never sends a frame out of the port it came in by, so it drops them. A packet socket on
 * the VXLAN device hears them as they come in; its filter lets only frames for the endpoints on the
 * list through, so it costs nothing per frame of anybody else. The owner says where the endpoint is
 * now. Frames are sent on by the VXLAN device, past the bridge, as they are (vnet header and all);
 * its forwarding entry knows the NVE.
 *
 * Two NVEs that each take the other one for the right place would send a frame to and fro for ever:
 * hence LATE_RATE. The socket exists only while somebody is on the list.
 */
#ifndef REHOME_NVEAGENT_LATE_H
#define REHOME_NVEAGENT_LATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/loop.h"

enum {
	LATE_MACS_MAX = 60,	 /* the oldest makes room; a filter has at most 4096 instructions */
	LATE_RATE = 1000,	 /* frames sent on or answered in a second, of one VNI */
	LATE_BUFFER = 256 << 10, /* bytes that may wait for us */
};

enum late_verdict {
	LATE_FORWARD, /* it is at another NVE, and the VXLAN device has its entry */
	LATE_ANSWER,  /* nobody knows it: tell the sender (unreachable.h) */
	LATE_DROP,
};
typedef enum late_verdict (*late_judge)(void *userdata, struct mac mac);

struct late_counters {
	uint64_t forwarded, answered, dropped;
};

struct late;

/* Opens nothing yet. @vxlan_ifindex: of the VNI. NULL when out of memory. */
struct late *late_new(struct loop *loop, uint32_t vxlan_ifindex, late_judge judge, void *userdata);
struct late *late_free(struct late *late);
DEFINE_CLEANUP(struct late, late_free)

/*
 * Listens for @mac for @seconds from now. Returns 0, or a negative errno: then it is not listened
 * for.
 */
int late_add(struct late *late, struct mac mac, unsigned seconds);
void late_remove(struct late *late, struct mac mac);

struct late_counters late_read(const struct late *late);

#endif
