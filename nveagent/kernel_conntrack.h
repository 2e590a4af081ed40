/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_conntrack.h - the kernel's connection tracking entries of a VM, read at its old host and
 * written at its new one (draft-ietf-nvo3-vmm section 4.4).
 *
 * A call may take as long as the kernel needs to look at its whole table, tens of milliseconds with
 * hundreds of thousands of entries: conntrack.h makes them beside the loop. A handle is for one
 * thread at a time, and for the network namespace it was made in.
 */
#ifndef REHOME_NVEAGENT_KERNEL_CONNTRACK_H
#define REHOME_NVEAGENT_KERNEL_CONNTRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nveagent/flow.h"

/*
 * Does this namespace track connections at all? One small file is read; cheap enough for a switch.
 */
bool kernel_conntrack_in_use(void);

struct kernel_conntrack;

/* Returns 0, -EPROTONOSUPPORT where the kernel has no nfnetlink, or -ENOMEM. */
int kernel_conntrack_new(struct kernel_conntrack **ret_conntrack);
struct kernel_conntrack *kernel_conntrack_free(struct kernel_conntrack *conntrack);
DEFINE_CLEANUP(struct kernel_conntrack, kernel_conntrack_free)

struct kernel_conntrack_found {
	struct flow *flows; /* owned by who asked */
	size_t count;
	size_t over;  /* beyond FLOWS_MAX, not read */
	size_t unfit; /* of a kind that a flow cannot carry: DCCP, and mangled sequence numbers */
};

/*
 * Reads the entries of @zone that have one of @ips as an end (flow_has_end()). Returns 0 or a
 * negative errno: -EINVAL where the kernel has no ctnetlink.
 */
int kernel_conntrack_read(struct kernel_conntrack *conntrack, uint16_t zone, const struct ip *ips,
			  size_t count, struct kernel_conntrack_found *ret_found);

enum { KERNEL_CONNTRACK_WAS_THERE = 1 };

/*
 * Makes entries in @zone. results[i]: 0; KERNEL_CONNTRACK_WAS_THERE: the host tracks that
 * connection already, and only its state was brought up to date; or a negative errno. TCP's are
 * made liberal: their window is not known (flow.h). Returns 0, or an errno of the transport.
 */
int kernel_conntrack_install(struct kernel_conntrack *conntrack, uint16_t zone,
			     const struct flow *flows, size_t count, int *results);

/* Removes entries from @zone, by their original tuple; results[i] is 0 or a negative errno. */
int kernel_conntrack_remove(struct kernel_conntrack *conntrack, uint16_t zone,
			    const struct flow *flows, size_t count, int *results);

#endif
