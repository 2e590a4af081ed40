/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vn.h - one virtual network (VNI) as this NVE knows it: the directory's mappings, the members, the
 * local ports; and where the kernel should send each MAC because of that. Pure: kernel changes come
 * out as a list.
 *
 * Theory of operation
 *
 * Each MAC has one `place`: what the directory says (a mapping), what this host knows better (a pin
 * to a local port, or a hold while packets in flight are forwarded), and what the kernel was last
 * told. vn_collect() compares the first two with the third for the MACs that were touched; the
 * audit compares the third with the kernel.
 *
 *   in the directory at another NVE   bridge: MAC -> VXLAN port       VXLAN: MAC -> VTEP
 *   pinned to a local port            bridge: MAC -> port, sticky     VXLAN: nothing
 *   held (in flight)                  bridge: not ours to touch       VXLAN: MAC -> VTEP if known
 *
 * Higher generation wins; a tie keeps what is there.
 *
 * Each address of a mapping, here or elsewhere, is a `claim`. An address that exactly one MAC
 * claims becomes a neighbour entry of the bridge, by which the kernel answers ARP and NS
 * (kernel_neigh.c). One that several claim has none: nobody is answered for, the question is
 * flooded, and whoever really has the address answers it (RFC 9161 section 3.7 calls that a
 * duplicate).
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
	/* changes that a call has room for: those of one MAC, and one */
	VN_COLLECT_MIN = 4,
	VN_AUDIT_MIN = 2,	/* entries that a piece of the audit has room for */
	VN_DIGEST_MIN = 64,	/* mappings; fewer are sent again sooner than compared */
	VN_NEWS_MAX = 64,		/* that wait to be taken; more are not told */
};

struct vn_devices {
	uint32_t vxlan;		/* index of the VNI's VXLAN device */
	/* index of the bridge that gets neighbour entries; 0: none are made */
	uint32_t neighbours;
};

struct vn;

/* @vtep: this NVE's. */
int vn_new(uint32_t vni, struct ip vtep, struct vn_devices devices, struct vn **ret_vn);
struct vn *vn_free(struct vn *vn);
DEFINE_CLEANUP(struct vn, vn_free)

uint32_t vn_vni(const struct vn *vn);

/* --- what the NVA says --- */

/*
 * Called for each mapping that changed; @mapping is NULL when it was removed, also if it was not
 * known. Borrowed for the call.
 */
typedef void (*vn_changed)(void *userdata, struct mac mac, const struct mapping *mapping);

/*
 * Takes the parts of an UPDATE that are of this VNI; @changed may be NULL. A snapshot forgets, at
 * its end, what it did not name of what it is of.
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
 * have. Until vn_end_grace() a snapshot takes nothing away, and no member is left out, so that
 * traffic goes on. @changed as in vn_update().
 */
void vn_begin_grace(struct vn *vn);
void vn_end_grace(struct vn *vn, vn_changed changed, void *userdata);

/*
 * What is known of the directory, to be compared with it (nva/digest.h). Fills @sums
 * (DIGEST_BUCKETS_SIZE) and returns true if there is so much that this is worth while.
 */
bool vn_digest(const struct vn *vn, uint8_t *sums);
/*
 * The sums of the leaves of those buckets whose bit is set in @asked (DIGEST_BUCKET_BITS_SIZE). The
 * caller owns *ret_sums. 0 or -ENOMEM.
 */
int vn_digest_leaves(struct vn *vn, const uint8_t *asked, uint8_t **ret_sums, size_t *ret_size);

/*
 * With @pull an UPDATE says something of what is held already, or served here, and of nothing else:
 * the NVA may not have heard yet that the rest was dropped.
 */
void vn_set_pull(struct vn *vn, bool pull);
/*
 * Forgets a mapping of another NVE. False when there is none, or this host has more to do with it.
 */
bool vn_forget(struct vn *vn, struct mac mac);
/* True when @mac is pinned to a port here, or the directory says that this NVE serves it. */
bool vn_is_here(const struct vn *vn, struct mac mac);

/* True once a whole snapshot has come since vn_new(): until then nothing may be deleted. */
bool vn_is_synced(const struct vn *vn);

/* One mapping, of an ANSWER: as vn_update() takes it. 0, -ENOSPC or -ENOMEM. */
int vn_learn(struct vn *vn, const struct mapping *mapping, vn_changed changed, void *userdata);

/* False when the directory has none. */
bool vn_find(const struct vn *vn, struct mac mac, struct mapping *ret_mapping);

/* How many MACs claim @ip; *ret_mac is set when it is one. */
unsigned vn_resolve(const struct vn *vn, struct ip ip, struct mac *ret_mac);
/* True when the directory says that another NVE serves @mac. */
bool vn_is_remote(const struct vn *vn, struct mac mac);

/*
 * Since the last call another MAC than before claimed these addresses. Fills @news (VN_NEWS_MAX)
 * and returns how many.
 */
struct vn_news {
	struct ip ip;
	struct mac mac;
};
size_t vn_take_news(struct vn *vn, struct vn_news *news);

/*
 * True when the newest snapshot, if it has come in so far, has named @mac: only a grace keeps it if
 * not.
 */
bool vn_is_named(const struct vn *vn, struct mac mac);

/* Calls @each for all mappings, in no order. */
void vn_each(const struct vn *vn, void (*each)(void *userdata, const struct mapping *mapping),
	     void *userdata);
size_t vn_mapping_count(const struct vn *vn);
/*
 * The same in pieces, between which anything may change: fills @mappings (@room) with the next
 * ones. *position is 0 at first. Returns false when these were the last. What is there from the
 * first call to the last comes once.
 */
bool vn_walk(const struct vn *vn, uint32_t *position, struct mapping *mappings, size_t room,
	     size_t *ret_count);

/* --- what this host knows --- */
int vn_pin(struct vn *vn, struct mac mac, uint32_t port_ifindex);
int vn_unpin(struct vn *vn, struct mac mac);
int vn_hold(struct vn *vn, struct mac mac, bool hold);
/* The port's device is gone, and the kernel dropped its entries with it. */
void vn_port_gone(struct vn *vn, uint32_t port_ifindex);

/* --- what the kernel should do --- */

/*
 * What has to change for what was touched since the last call, and for the flood list: the newest
 * first, at most @room (VN_COLLECT_MIN or more). They count as done; the caller applies them.
 * Returns how many; 0: nothing is left.
 */
size_t vn_collect(struct vn *vn, struct fdb_change *changes, size_t room);
bool vn_has_changes(const struct vn *vn);

/* The same for one MAC, which cannot wait; @changes has room for VN_COLLECT_MIN. */
size_t vn_collect_mac(struct vn *vn, struct mac mac, struct fdb_change *changes);

/*
 * At the start, for each entry of a dump: what an earlier life of the agent left is taken over, and
 * what somebody made permanent is left alone, but for a VM's own MAC on its own port. vn_noted()
 * ends it: what is new from then on is added, not replaced. 0 or -ENOMEM.
 */
int vn_note(struct vn *vn, const struct fdb_entry *actual);
void vn_noted(struct vn *vn);

/*
 * The directory and this host have said what there is: what was taken over and is claimed by
 * neither goes.
 */
void vn_drop_unclaimed(struct vn *vn);

/*
 * A neighbour entry of ours vanished from the kernel though nobody here took it away: the bridge
 * lost its carrier or got another address (net/core/neighbour.c, neigh_changeaddr()).
 */
void vn_neighbour_gone(struct vn *vn, struct ip ip);

/*
 * What somebody made permanent (@fixed of @entry, without our mark), or took away again, in the
 * bridge or the VXLAN device while we run. It is left alone as what vn_note() was told of; once it
 * is gone, ours takes its place. 0 or -ENOMEM.
 */
int vn_note_theirs(struct vn *vn, const struct fdb_entry *entry);
void vn_theirs_gone(struct vn *vn, const struct fdb_entry *entry);
/* How many mappings that concerns; *ret_first is one of them, if there are any. Looks at all. */
size_t vn_theirs(const struct vn *vn, struct mac *ret_first);

/*
 * The audit: after an error, or a loss of notifications, the kernel is asked for all it was told,
 * piece by piece. vn_audit_next() fills @entries with what to ask for next (@room, VN_AUDIT_MIN or
 * more), and returns false when all has been asked for; there may be none in between.
 * vn_audit_take() gets the answer; @actual is NULL for none. What is not as it was told comes out
 * of vn_collect() then.
 */
void vn_audit_begin(struct vn *vn);
bool vn_audit_next(struct vn *vn, struct fdb_entry *entries, size_t room, size_t *ret_count);
void vn_audit_take(struct vn *vn, const struct fdb_entry *asked, const struct fdb_entry *actual);

#endif
