/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel.h - the kernel's bridge, VXLAN and tap objects in our nouns. Only kernel_*.c include
 * netlink headers.
 *
 * Every call is synchronous and returns 0 or a negative errno; requests are built apart from their
 * sending so that tests can read the bytes. Each entry we add bears NTF_EXT_LEARNED; each device we
 * make is named by us (see below).
 */
#ifndef REHOME_NVEAGENT_KERNEL_H
#define REHOME_NVEAGENT_KERNEL_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/overlay.h"

enum {
	KERNEL_MESSAGE_SIZE = 256,
	KERNEL_LOOKUPS_MAX = 64,	/* their answers fit the default receive buffer */
	/* packets; Linux 6.1.192 refuses more (ERANGE), 6.18 does not */
	KERNEL_TAP_QUEUE_MAX = INT16_MAX,
};

struct kernel;

/*
 * Opens the netlink sockets. -EPERM without CAP_NET_ADMIN (proved by a harmless privileged
 * request, not guessed from the uid).
 */
int kernel_new(struct kernel **ret_kernel);
struct kernel *kernel_free(struct kernel *kernel);
DEFINE_CLEANUP(struct kernel, kernel_free)

/* True when @ip is configured on an interface of this host. */
int kernel_has_address(struct kernel *kernel, struct ip ip, bool *ret_found);

/*
 * The addresses of device @ifindex, at most @room, and its MAC. Returns how many, or an errno.
 */
int kernel_addresses(struct kernel *kernel, uint32_t ifindex, struct ip *ret_ips, size_t room,
		     struct mac *ret_mac);

/* --- a VNI's bridge and VXLAN device --- */
struct vni_devices {
	uint32_t vni;
	char bridge[IFNAMSIZ], vxlan[IFNAMSIZ];
	struct ip vtep;		/* local */
	uint16_t port;		/* destination UDP port */
	bool create;		/* make what is missing; false: a missing one is an error */
	/*
	 * the bridge answers ARP and NS for what its neighbour table knows; becomes false on a host
	 * without IPv6, where an NS would crash the kernel (kernel_vni.c)
	 */
	bool suppress;
	/* Filled by kernel_vni_ensure(): */
	uint32_t bridge_ifindex, vxlan_ifindex;
	bool made_bridge, made_vxlan;
};

/*
 * Makes or adopts the bridge and the VXLAN device of one VNI and joins them: VXLAN nolearning,
 * bridge port learning off, both up, MTU of the VXLAN device = underlay MTU - 50 (IPv4) or 70
 * (IPv6) when we make it. An adopted device must fit: VNI, port, and local address as asked;
 * learning is switched off on an adopted VXLAN port. On failure nothing made by this call is left;
 * @reterr_message (KERNEL_MESSAGE_SIZE) says what is wrong and what to do.
 */
int kernel_vni_ensure(struct kernel *kernel, struct vni_devices *devices, char *reterr_message);

/* Removes what kernel_vni_ensure() made (made_*), nothing else. */
int kernel_vni_remove(struct kernel *kernel, const struct vni_devices *devices);

/* --- forwarding tables --- */
/*
 * All layers of one VNI: bridge ports of @bridge_ifindex and its neighbours, and VXLAN entries of
 * @vxlan_ifindex (and of the forward device if it is there).
 */
int kernel_fdb_dump(struct kernel *kernel, const struct vni_devices *devices,
		    struct fdb_table *table);

/*
 * Applies in order, in batches; goes on after an error and returns the first one; *reterr_index
 * (may be NULL) is the change that failed first.
 */
int kernel_fdb_apply(struct kernel *kernel, const struct vni_devices *devices,
		     const struct fdb_change *changes, size_t count, size_t *reterr_index);

/*
 * Looks entries up, each by itself: what is in the bridge, or the VXLAN device, for the MAC, or in
 * the bridge's neighbour table for the address of @asked. Takes some microseconds for each,
 * whatever the tables' size; not for the zero MAC. At most KERNEL_LOOKUPS_MAX. Returns 0, or the
 * first errno that is not "there is none".
 */
struct kernel_lookup {
	struct fdb_entry asked, actual;
	bool found;
};
int kernel_look(struct kernel *kernel, const struct vni_devices *devices,
		struct kernel_lookup *lookups, size_t count);

/* --- ports --- */
struct kernel_port {
	uint32_t ifindex;
	uint32_t master;	/* 0: in no bridge */
	char name[IFNAMSIZ];
	struct mac mac;		/* of the device itself */
	bool up, is_vxlan;
	/* kernel_port_set_deaf() was called, perhaps by an earlier life of the agent */
	bool deaf;
};
/* 0, or -ENODEV. */
int kernel_port_by_name(struct kernel *kernel, const char *name, struct kernel_port *ret_port);
/*
 * Makes the queue of tap @ifindex long enough for @packets, KERNEL_TAP_QUEUE_MAX at most. Call it
 * while little is sent to the tap: what comes in these milliseconds is dropped (net/core/dev.c,
 * dev_qdisc_change_tx_queue_len()).
 */
int kernel_port_make_room(struct kernel *kernel, uint32_t ifindex, uint64_t packets);

/*
 * Whether the bridge leaves the MACs that it sees on this port unlearned. The port bears a mark
 * meanwhile (@deaf of struct kernel_port), so that it need not stay so when we end without undoing
 * it.
 */
int kernel_port_set_deaf(struct kernel *kernel, uint32_t ifindex, bool deaf);

/*
 * The guard of a destination tap until the VM runs there (new NVE):
 *  - nothing flooded goes to it (flood, mcast_flood, bcast_flood off), so that it does not
 *    collect what the VM got at its old host too;
 *  - RARP that comes out of it (QEMU's self-announcement, sent before the VM runs: QEMU
 *    net/announce.c) is dropped, as is every frame whose source is not @mac; the host's own IPv6 on
 *    the tap is off;
 *  - frames for @mac that arrive on the VXLAN device go straight to the tap (tc ingress redirect),
 *    whatever the bridge's FDB says: until the VM runs here local senders' frames must still go to
 *    the old NVE, while the forwarded ones must wait in the tap's queue.
 *  - its queue is enlarged to @queue_packets (txqueuelen; tun.c resizes its ring), never shrunk. It
 *    stays so until the tap goes with its QEMU: changing the length of a device in use drops what
 *    comes meanwhile (net/core/dev.c, dev_qdisc_change_tx_queue_len()).
 * kernel_guard_open() lifts the first two and the redirect stays; kernel_guard_free() undoes
 * everything but the queue's length. Both are idempotent and may be called for a tap that is gone
 * (0).
 */
struct kernel_guard;
int kernel_guard_new(struct kernel *kernel, const struct vni_devices *devices, const char *tap,
		     struct mac mac, unsigned queue_packets, struct kernel_guard **ret_guard);
/*
 * Keeps the flows of a tap with several queues in the first one (tap_steer.h), once QEMU holds it;
 * until kernel_guard_free(). Does nothing for a tap with one queue. Idempotent. Errors are
 * tap_steer_new()'s.
 */
int kernel_guard_steer(struct kernel_guard *guard);
/* True while flows are kept there; and when that queue has frames, too, that QEMU has not read. */
bool kernel_guard_is_steered(const struct kernel_guard *guard);
bool kernel_guard_is_busy(const struct kernel_guard *guard);
/*
 * Frames that found the tap's queue full since the guard was made (net/tun.c, tun_net_xmit()); 0
 * when the tap is gone.
 */
uint64_t kernel_guard_dropped(const struct kernel_guard *guard);
int kernel_guard_open(struct kernel_guard *guard);
/* Removes it from the kernel, too. */
struct kernel_guard *kernel_guard_free(struct kernel_guard *guard);
DEFINE_CLEANUP(struct kernel_guard, kernel_guard_free)

/*
 * Removes guards, forward devices and their entries that an earlier life of the agent left on
 * this VNI, but for those of kernel_find_left(); returns how many, or an errno.
 */
int kernel_sweep(struct kernel *kernel, const struct vni_devices *devices);

/*
 * Forward devices that are in use: the bridge's entry for the MAC names one of them. What comes
 * for it waits there, or is sent on, as when the agent ended (inflight_adopt()).
 */
enum {
	KERNEL_LEFT_MAX = 256, /* of one VNI; more are swept */
	KERNEL_LEFT_LANES = 2,
};
struct kernel_left {
	struct mac mac;
	struct ip new_vtep;
	/* ifindexes, the bridge's choice first; 0: there is none */
	uint32_t lanes[KERNEL_LEFT_LANES];
};
/* Fills @left, which has room for KERNEL_LEFT_MAX; how many, or an errno. */
int kernel_find_left(struct kernel *kernel, const struct vni_devices *devices,
		     struct kernel_left *left);

/* --- changes as they happen --- */
struct kernel_watch_events {
	/*
	 * A bridge FDB entry without our mark appeared or moved (@gone false), or went. @learned:
	 * dynamic.
	 */
	void (*fdb)(void *userdata, uint32_t ifindex, struct mac mac, bool learned, bool gone);
	/* A link joined, left or changed; port->master 0 when it is in no bridge. */
	void (*link)(void *userdata, const struct kernel_port *port, bool gone);
	/*
	 * The kernel dropped notifications (ENOBUFS), and drops no more: everything must be dumped
	 * again.
	 */
	void (*overrun)(void *userdata);
	/* A neighbour entry with our mark went, whoever took it. May be NULL. */
	void (*neighbour_gone)(void *userdata, uint32_t ifindex, struct ip ip);
	/*
	 * An entry without our mark that does not age (@fixed) appeared, or went, in a bridge or a
	 * VXLAN device. May be NULL. Our own sticky ones look so for a moment (kernel_fdb.c).
	 */
	void (*fixed)(void *userdata, const struct fdb_entry *entry, bool gone);
};
struct kernel_watch;
int kernel_watch_new(const struct kernel_watch_events *events, void *userdata,
		     struct kernel_watch **ret_watch);
struct kernel_watch *kernel_watch_free(struct kernel_watch *watch);
DEFINE_CLEANUP(struct kernel_watch, kernel_watch_free)
int kernel_watch_fd(const struct kernel_watch *watch);
/* Reads some of what is there, and calls back. 0 or a negative errno. */
int kernel_watch_read(struct kernel_watch *watch);
/*
 * Calls link() for every port of a bridge, and fdb() for every dynamic bridge entry of a port, that
 * there is now. The second looks at all entries of the port's bridge, once, and again for each
 * further 32 KiB of the port's own.
 */
int kernel_watch_replay_bridge(struct kernel *kernel, uint32_t bridge_ifindex,
			       const struct kernel_watch_events *events, void *userdata);
int kernel_watch_replay_port(struct kernel *kernel, uint32_t ifindex,
			     const struct kernel_watch_events *events, void *userdata);

#endif
