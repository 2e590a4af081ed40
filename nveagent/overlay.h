/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * overlay.h - what this host's forwarding tables hold: entries, changes, and a table of entries.
 * Pure.
 *
 * One table holds one VNI. A unicast MAC has at most one entry per layer and device; the zero MAC
 * of a VXLAN device (head-end replication, RFC 7348 section 4.2) has one entry per VTEP; an address
 * has one neighbour entry per device. What should be there is vn.h's to say, and so are the changes
 * that make it so.
 */
#ifndef REHOME_NVEAGENT_OVERLAY_H
#define REHOME_NVEAGENT_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"

enum fdb_layer {
	FDB_LAYER_BRIDGE,	/* which bridge port a MAC is behind (NTF_MASTER) */
	FDB_LAYER_VXLAN,	/* which VTEP a MAC is behind (NTF_SELF) */
	FDB_LAYER_NEIGHBOUR,	/* which MAC has an address: how the bridge answers ARP and NS */
};

struct fdb_entry {
	enum fdb_layer layer;
	uint32_t ifindex;	/* the bridge port, the VXLAN device, or the bridge */
	struct mac mac;		/* zero in the VXLAN layer: head-end replication */
	union {
		struct ip vtep;	/* VXLAN layer */
		struct ip ip;	/* neighbour layer; none in the bridge layer */
	};
	/* VXLAN layer: destination UDP port, 0: the device's own (the kernel reports it so). */
	uint16_t port;
	uint32_t vni;		/* VXLAN layer: 0: the device's own (likewise) */
	uint32_t idle_s;	/* VXLAN layer, actual entries: since a frame was sent by it */
	bool sticky;		/* bridge layer: stays when the MAC is seen on another port */
	bool router;		/* neighbour layer: its NAs say so (RFC 4861 section 4.4) */
	bool ours;		/* actual entries: with our mark; desired ones: always */
	bool fixed;		/* actual entries that are not ours: configured, not learned */
	bool local;		/* actual entries: an address of the port device; never touched */
};

struct fdb_table;

struct fdb_table *fdb_table_new(void);
struct fdb_table *fdb_table_free(struct fdb_table *table);
DEFINE_CLEANUP(struct fdb_table, fdb_table_free)

/*
 * Adds @entry, replacing the one with the same key: (layer, MAC) in the bridge layer, (device,
 * MAC) in the VXLAN layer and (device, VTEP) for its zero MAC, (device, address) in the neighbour
 * layer. Returns 0 or -ENOMEM.
 */
int fdb_table_put(struct fdb_table *table, const struct fdb_entry *entry);
void fdb_table_clear(struct fdb_table *table);
size_t fdb_table_count(const struct fdb_table *table);
/* Borrowed, sorted by key; valid until the next call that changes @table. */
const struct fdb_entry *fdb_table_entries(const struct fdb_table *table);
/* Bridge and VXLAN layer; NULL when absent. In the bridge layer @ifindex is ignored. */
const struct fdb_entry *fdb_table_find(const struct fdb_table *table, enum fdb_layer layer,
				       uint32_t ifindex, struct mac mac);

enum fdb_op { FDB_OP_ADD, FDB_OP_REPLACE, FDB_OP_DELETE };
const char *fdb_op_name(enum fdb_op op);

struct fdb_change {
	enum fdb_op op;
	struct fdb_entry entry;	/* DELETE: the actual one */
};

#endif
