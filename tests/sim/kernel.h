/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel.h - the forwarding tables of a host's kernel, which outlive its agent. Keys are those of
 * nveagent/overlay.h; but there entries are gathered and compared, here they come and go one by
 * one.
 */
#ifndef REHOME_TESTS_SIM_KERNEL_H
#define REHOME_TESTS_SIM_KERNEL_H

#include "nveagent/overlay.h"

struct kernel;

struct kernel *kernel_new(void);
struct kernel *kernel_free(struct kernel *kernel);
void kernel_clear(struct kernel *kernel);

/* In the place of one with the same key. */
void kernel_put(struct kernel *kernel, const struct fdb_entry *entry);
/* Nothing if there is none with that key, or it is on another device, or leads to another VTEP. */
void kernel_delete(struct kernel *kernel, const struct fdb_entry *entry);
/* A bridge's port is gone, and its entries with it. */
void kernel_delete_port(struct kernel *kernel, uint32_t ifindex);
/* That of a bridge or VXLAN device for @mac; NULL: there is none. Until the next change. */
const struct fdb_entry *kernel_find(const struct kernel *kernel, enum fdb_layer layer,
				    uint32_t ifindex, struct mac mac);
/* All, in no order. Until the next change. */
const struct fdb_entry *kernel_entries(const struct kernel *kernel, size_t *ret_count);

#endif
