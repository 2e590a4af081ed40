/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vn.h - one virtual network (VNI) as this NVE knows it: the directory's mappings, the members,
 * the local ports; and where the
 * kernel should send each MAC because of that. Pure: kernel changes come out as a list.
 *
 * Theory of operation
 *
 * Each MAC has one `place`: what the directory says (a mapping), what this host knows better (a
 * pin to a local port, or a hold
 * while packets in flight are forwarded), and what the kernel was last told. vn_collect()
 * compares the first two with the third
 * for the MACs that were touched; vn_desired() gives the whole table for a full reconcile
 * (overlay.h).
 *
 *   in the directory at another NVE   bridge: MAC -> VXLAN port       VXLAN: MAC -> VTEP
 *   pinned to a local port            bridge: MAC -> port, sticky     VXLAN: nothing
 *   held (in flight)                  bridge: not ours to touch       VXLAN: MAC -> VTEP if known
 *
 * Higher generation wins; a tie keeps what is there (MISSION B3).
 */
#ifndef REHOME_NVEAGENT_VN_H
#define REHOME_NVEAGENT_VN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nva/wire.h"
#include "nveagent/overlay.h"

enum {
	VN_MAPPINGS_MAX = 1 << 20,	/* of one VNI; what the NVA may make us hold */
};

struct vn;

/* @vtep: this NVE's; @vxlan_ifindex: of the VNI's VXLAN device. */
int vn_new(uint32_t vni, struct ip vtep, uint32_t vxlan_ifindex, struct vn **ret_vn);
struct vn *vn_free(struct vn *vn);
DEFINE_CLEANUP(struct vn, vn_free)

uint32_t vn_vni(const struct vn *vn);

/* --- what the NVA says --- */

/*
 * Called for each mapping that changed; @mapping is NULL when it was removed. Borrowed for the
 * call.
 */
typedef void (*vn_changed)(void *userdata, struct mac mac, const struct mapping *mapping);

/*
 * Takes the parts of an UPDATE that are of this VNI; @changed may be NULL. A snapshot forgets, at
 * its end, what it did not name.
 * Returns 0, -ENOSPC at VN_MAPPINGS_MAX (what fits is taken), or -ENOMEM.
 */
int vn_update(struct vn *vn, const struct nvo3_message *update, vn_changed changed, void *userdata);

/*
 * The VTEPs that take part; this NVE's own may be among them. Replaces the list before. 0 or
 * -ENOMEM.
 */
int vn_set_members(struct vn *vn, const struct ip *members, size_t count);
const struct ip *vn_members(const struct vn *vn, size_t *ret_count);

/*
 * The NVA has started anew and remembers nothing: other NVEs need a while to tell it what they
 * have. Until vn_end_grace() a snapshot
 * takes nothing away, and no member is left out, so that traffic goes on. @changed as in
 * vn_update().
 */
void vn_begin_grace(struct vn *vn);
void vn_end_grace(struct vn *vn, vn_changed changed, void *userdata);

/* True once a whole snapshot has come since vn_new(): until then nothing may be deleted. */
bool vn_is_synced(const struct vn *vn);

/* NULL when the directory has none. Borrowed until the next vn_update(). */
const struct mapping *vn_find(const struct vn *vn, struct mac mac);

/* Calls @each for all mappings, in no order. */
void vn_each(const struct vn *vn, void (*each)(void *userdata, const struct mapping *mapping), void *userdata);
size_t vn_mapping_count(const struct vn *vn);

/* --- what this host knows --- */
int vn_pin(struct vn *vn, struct mac mac, uint32_t port_ifindex);
int vn_unpin(struct vn *vn, struct mac mac);
int vn_hold(struct vn *vn, struct mac mac, bool hold);
/* The port's device is gone, and the kernel dropped its entries with it. */
void vn_port_gone(struct vn *vn, uint32_t port_ifindex);

/* --- what the kernel should do --- */

/*
 * What has to change for the MACs touched since the last call, and for the flood list; the caller
 * frees *ret_changes with free()
 * and applies them. They count as done. Returns how many, or -ENOMEM.
 */
int vn_collect(struct vn *vn, struct fdb_change **ret_changes);

/*
 * Fills @desired with the whole table. Entries of @actual that are not for this table to judge
 * (held MACs, devices other than
 * the VNI's VXLAN device) are copied, so that a diff leaves them. Everything then counts as told
 * to the kernel. 0 or -ENOMEM.
 */
int vn_desired(struct vn *vn, const struct fdb_table *actual, struct fdb_table *desired);

#endif
