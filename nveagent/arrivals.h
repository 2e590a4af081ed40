/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arrivals.h - counts the frames for one MAC that come in by a device.
 *
 * At the old NVE it tells whether other NVEs still send here for a VM that has moved. The forward
 * device's own counters cannot: senders on this very host use it too, until forwarding ends.
 */
#ifndef REHOME_NVEAGENT_ARRIVALS_H
#define REHOME_NVEAGENT_ARRIVALS_H

#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"

struct arrivals;

/* Counts from now on. 0 or a negative errno. */
int arrivals_open(uint32_t ifindex, struct mac mac, struct arrivals **ret_arrivals);
struct arrivals *arrivals_free(struct arrivals *arrivals);
DEFINE_CLEANUP(struct arrivals, arrivals_free)

/* How many came since the last call, or since arrivals_open(). 0 or a negative errno. */
int arrivals_count(struct arrivals *arrivals, unsigned *ret_count);

#endif
