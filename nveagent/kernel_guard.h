/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel_guard.h - undoing a guard from what it left in the kernel. Internal to kernel_*.c. */
#ifndef REHOME_NVEAGENT_KERNEL_GUARD_H
#define REHOME_NVEAGENT_KERNEL_GUARD_H

#include "nveagent/kernel_tc.h"

/*
 * Lifts what keeps the tap @ifindex from talking and from being flooded. 0 also when there is
 * nothing to lift.
 */
int kernel_guard_lift(struct kernel *kernel, uint32_t ifindex, uint8_t flood);

/* Undoes the guard whose redirect on @vxlan_ifindex bears @cookie. */
int kernel_guard_undo(struct kernel *kernel, uint32_t vxlan_ifindex,
		      const struct tc_cookie *cookie);

#endif
