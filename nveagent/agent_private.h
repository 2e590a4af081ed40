/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_private.h - what the parts of the agent share.
 *
 *   agent.c          makes and frees it all
 *   agent_vn.c       a VNI's devices and tables
 *   agent_resync.c   looking at them again
 *   agent_nva.c      what the NVA says: the session, and what concerns one port
 *   agent_directory.c  of whole VNIs
 *   agent_vm.c       what libvirt says, and QEMU through it
 *   agent_bare.c     what QEMU says where there is no libvirt
 *   agent_hook.c     what libvirt's hook says
 *   agent_local.c    what the kernel says
 *   agent_pull.c     what is held of a VNI that is not pushed
 *   agent_suppress.c what guests ask that the bridge cannot answer
 *   agent_neighbour.c  what endpoints say in ARP, RARP and ND
 *   agent_rarp.c     what diskless clients ask
 *   agent_control.c  what an operator asks: the table of operations
 *   agent_status.c, agent_list.c, agent_wait.c  those that show, and that wait
 *   port.c           the records, and the state machine's inputs
 *   port_effects.c   its effects
 *   port_inflight.c  those on packets in flight
 *   port_addresses.c  a port's addresses
 *   local_ips.c      which ports have an address
 *   port_flows.c     those about connection tracking
 */
#ifndef REHOME_NVEAGENT_AGENT_PRIVATE_H
#define REHOME_NVEAGENT_AGENT_PRIVATE_H

#include "nveagent/agent.h"
#include "nveagent/agent_pull.h"
#include "nveagent/agent_suppress.h"
#include "nveagent/conntrack.h"
#include "nveagent/consents.h"
#include "nveagent/control.h"
#include "nveagent/frame_out.h"
#include "nveagent/kernel.h"
#include "nveagent/late.h"
#include "nveagent/ledger.h"
#include "nveagent/loop.h"
#include "nveagent/nva_link.h"
#include "nveagent/pace.h"
#include "nveagent/port.h"
#include "nveagent/query.h"
#include "nveagent/vn.h"
#include "nveagent/watch_libvirt.h"
#include "nveagent/withdrawals.h"

enum {
	AGENT_PORTS_MAX = 1 << 16,	/* a local segment must not exhaust us */
	/* of one VNI; the kernel itself allows 1023 (net/bridge/br_private.h, BR_MAX_PORTS) */
	AGENT_BRIDGE_PORTS_MAX = 4096,
	AGENT_EXPECT_S = 120,		/* from the hook's announcement of a migration to its tap */
	/* from QEMU's last byte sent, if the NVA does not say that the VM runs at the new NVE */
	AGENT_HOLD_MS = 500,
	AGENT_WARN_S = 2,		/* between two warnings that none of several NVAs has us */
	/* for all NVEs to tell an NVA that has started anew what they have */
	AGENT_GRACE_S = 10,
	/* letting held packets out, between two looks at what else has happened */
	AGENT_RELEASE_US = 1000,
	/* after a VM has left, until those that remain are asked for their addresses */
	AGENT_VERIFY_DELAY_MS = 200,
	/* after a MAC was refused for its port's limit, until there may be room */
	AGENT_RELEARN_S = 30,
	AGENT_SUBSCRIBE_RETRY_S = 5,	/* after the NVA refused to have us in a VNI */
	AGENT_RETRY_MS = 1000,		/* between registrations that were refused */
	AGENT_RECONCILE_RETRY_MS = 1000,
	/* flood destinations of somebody else's that are told of a VM's arrival */
	AGENT_FOREIGN_MAX = 4096,
	AGENT_WAITERS_MAX = 64,
	AGENT_SLICE = 64,		/* changes of the kernel's tables at once: some 200 us */
};

/* One VNI. */
struct agent_vn {
	struct agent *agent;
	struct vni_devices devices;
	struct vn *vn;
	struct puller *puller;		/* NULL when the NVA pushes everything */
	struct suppressor *suppressor;	/* NULL when questions are only flooded */
	/* ifindexes in the bridge, the VXLAN device and the forward devices left out */
	uint32_t ports[AGENT_BRIDGE_PORTS_MAX];
	size_t port_count;
	struct late *late;		/* what still comes for endpoints that left */
	int conntrack_zone;		/* of its VMs' connections; AGENT_CONNTRACK_NONE */
	bool current;			/* a whole snapshot of the session with the NVA has come */
	/* the kernel refused something; the next reconcile brings it in */
	bool behind;
	struct loop_timer *reconcile;	/* until what the kernel refused is tried again */
	unsigned retry;			/* of which parts */
	struct {
		unsigned todo, again;	/* enum resync_part */
		size_t port;		/* the next one of @ports */
		struct loop_timer *timer;
	} resync;
	/* why the NVA does not have us in it; "": it does, or has not said */
	char refusal[NVO3_TEXT_MAX + 1];
	struct loop_timer *resubscribe;
	struct loop_timer *more;	/* runs while changes wait for the next slice */
	/* flood destinations that somebody else configured; owned */
	struct ip *foreign;
	size_t foreign_count;
	struct ip rarp_server;
	struct query_table *rarp_queries; /* clients' own addresses that the NVA is asked for */
	struct loop_timer *verify;
};

/* A client that waits for a port to reach a state. */
struct waiter {
	struct agent *agent;
	struct control_request *request;
	uint32_t vni;
	struct mac mac;
	bool (*reached)(const struct port *port); /* @port NULL: no record */
	struct loop_timer *timeout;
	struct waiter *prev, *next;
};

struct agent {
	const struct agent_config *config;
	struct loop *loop;
	struct kernel *kernel;
	struct conntrack *conntrack;
	struct kernel_watch *watch;
	struct loop_watch *watch_fd;
	struct nva_link *nva;
	char nva_name[NVO3_NAME_MAX + 1];
	uint64_t nva_incarnation;	/* of the last session; 0: there was none */
	struct loop_timer *relearn;	/* runs when a learned MAC was refused */
	struct loop_timer *grace;	/* a new NVA is being told everything */
	/* revision to confirm once every kernel table has it; 0: none */
	uint64_t unconfirmed;
	struct pace pace;		/* of what goes into the kernel by slices */
	/* ports whose held packets are on their way: nobody may overtake them */
	unsigned releasing;
	uint64_t nva_warned_us;		/* when it was last said that there is no session */
	uint64_t nva_since_us;		/* CLOCK_MONOTONIC of the last change of the session */
	struct libvirt_watch *libvirt;
	bool libvirt_connected, libvirt_synced;
	struct control *control;
	struct ledger *ledger;
	struct agent_vn *vns[AGENT_VNIS_MAX];
	size_t vn_count;
	struct frame_out *out;
	struct local_device *devices;	/* uthash by ifindex; agent_neighbour.c */
	struct local_ip *local_ips;	/* uthash; local_ips.c */
	struct consents *consents;	/* questions that wait for libvirt's first list */
	struct withdrawals *withdrawals; /* that the directory has not shown to know */
	struct port *ports;		/* uthash by port_key */
	size_t ports_count;
	struct waiter *waiters;
	size_t waiter_count;
	struct port_walk *walks;	/* lists of ports that are being made; agent_list.c */
	struct control_request *status_request; /* of the NVA, under way */
	uint64_t status_id;
	uint64_t started_us;		/* CLOCK_MONOTONIC */
	struct {
		uint64_t moves_in, moves_out, moves_failed, updates, reconciles, kernel_errors,
			rarp_answers, macs_refused;
	} counters;
};

/* agent_vn.c */
int agent_vn_new(struct agent *agent, const struct vni_config *config, char *reterr_message,
		 struct agent_vn **ret_vn);
struct agent_vn *agent_vn_free(struct agent_vn *vn);
struct agent_vn *agent_vn_find(struct agent *agent, uint32_t vni);
struct agent_vn *agent_vn_by_bridge(struct agent *agent, const char *bridge);
/*
 * Brings what changed into the kernel, the newest first, AGENT_SLICE now and the rest as the loop
 * comes round; then confirms what waited for it. An error is logged and leads to a reconcile.
 */
void agent_vn_flush(struct agent_vn *vn);
/* When the loop comes round: for what comes in large numbers. */
void agent_vn_flush_soon(struct agent_vn *vn);
/* The same for the forwarding entries of one MAC, before this returns. */
void agent_vn_settle(struct agent_vn *vn, struct mac mac);
/*
 * A snapshot of the directory, or of libvirt, is complete: once there are both, what an earlier
 * life of the agent left and nobody claims goes.
 */
void agent_vn_release(struct agent_vn *vn);
/* Somebody else's entry of the flood list, which came or went. */
void agent_vn_note_foreign(struct agent_vn *vn, struct ip vtep, bool gone);
/* After an error, which is logged as "cannot look at @what": the @parts again, a little later. */
void agent_vn_try_again(struct agent_vn *vn, unsigned parts, const char *what, int error);

/* agent_resync.c */
enum resync_part {
	RESYNC_PORTS = 1,	/* the bridge's ports */
	RESYNC_LEARNED = 2,	/* the MACs that it learned on them */
	RESYNC_TABLES = 4,	/* what we told the kernel; then confirms what waited */
};
/*
 * Looks at the wanted parts again, in pieces as the loop comes round. RESYNC_TABLES waits until all
 * that may be deleted is known.
 */
void agent_vn_resync(struct agent_vn *vn, unsigned wanted);
/* At the start: the ports and what was learned on them, at once. 0 or an errno. */
int agent_vn_listen(struct agent_vn *vn);
/* The timer of its next piece. */
void agent_vn_resync_step(void *vn);
bool agent_vn_may_delete(const struct agent_vn *vn);

/* agent_nva.c */
extern const struct nva_link_events agent_nva_events;
/* libvirt has told which VMs run here: questions for others can be answered. */
void agent_nva_answer_consents(struct agent *agent);

/* agent_directory.c */
/* The timer that asks again to be in a VN. */
void agent_directory_resubscribe(void *vn);
/* The timer that ends the grace given to a new NVA. */
void agent_directory_end_grace(void *userdata);
/*
 * Confirms the newest update, unless the kernel's tables are behind, or held packets are still
 * here.
 */
void agent_directory_confirm(struct agent *agent);
/* Takes a mapping that the NVA was asked for, into the kernel too. */
void agent_directory_learn(struct agent_vn *vn, const struct mapping *mapping);

/* agent_vm.c */
extern const struct libvirt_watch_events agent_libvirt_events;
void agent_vm_qemu_event(struct port *port, const struct qmp_event *event);

/* agent_bare.c */
extern const struct qemu_watch_events agent_qemu_events;

/* agent_hook.c */
/* A hook call as a JSON line (docs/operations.md); replies to @request. */
void agent_hook_call(struct agent *agent, struct json_object *call,
		     struct control_request *request);

/* agent_local.c */
extern const struct kernel_watch_events agent_kernel_events;
/* The timer that looks again at MACs that were refused. */
void agent_local_relearn(void *agent);
/* vn->ports[@index] is in the bridge no more; the last one takes its place. */
void agent_local_port_left(struct agent_vn *vn, size_t index);

/* agent_neighbour.c */
/* Hears what endpoints behind a bridge port say; a failure is logged. */
void agent_neighbour_watch(struct agent_vn *vn, const struct kernel_port *link);
void agent_neighbour_unwatch(struct agent *agent, uint32_t ifindex);
void agent_neighbour_unwatch_all(struct agent *agent);
/* Gives @port what it said on its device before its record was made. */
void agent_neighbour_unpark(struct port *port);
/* Frames of a device that came too fast to be looked at. */
uint64_t agent_neighbour_dropped(struct agent *agent, uint32_t ifindex);
/*
 * @port is on another device than before, or on none: keeps the devices' numbers of learned MACs.
 */
void agent_neighbour_count(struct port *port);
/* The name of a bridge port that is watched; NULL: it is none. Borrowed. */
const char *agent_neighbour_device(const struct agent *agent, uint32_t ifindex);
/*
 * Whether one more MAC may be learned on the device. If not: counted, and said once in the log;
 * after many of them the bridge learns no more there, until agent_neighbour_relearn().
 */
bool agent_neighbour_may_learn(struct agent *agent, uint32_t ifindex);
void agent_neighbour_relearn(struct agent *agent);
/* The timer that asks all endpoints of a VN for their addresses. */
void agent_neighbour_verify(void *vn);

/* agent_rarp.c */
/* @question, by RARP, of an endpoint at the bridge port @ifindex. */
void agent_rarp_hear(struct agent_vn *vn, uint32_t ifindex, const struct frame *question);
/* True when @message is the answer to a question of this VN. */
bool agent_rarp_answer(struct agent_vn *vn, const struct nvo3_message *message);

/* local_ips.c */
/* The port's address table has changed, or goes with the port. */
void local_ips_update(struct port *port);
void local_ips_forget(struct port *port);
/* The directory has @mapping: whoever else has one of its addresses here is asked for it. */
void local_ips_doubt_others(struct agent *agent, const struct mapping *mapping);

/* agent_control.c */
void agent_control_handle(void *userdata, struct json_object *object,
			  struct control_request *request);

/* agent_status.c */
/* The NVA's answer to the question @id; @json NULL: there will be none. */
void agent_control_nva_status(struct agent *agent, uint64_t id, const char *json);

/* agent_list.c */
/* A port's record goes: lists that have come to it go on behind it. */
void agent_list_port_gone(struct port *port);

/* agent_wait.c */
/* A port changed its state, or its record goes (@port NULL): answers who waited for that. */
void agent_control_wake(struct agent *agent, uint32_t vni, struct mac mac, const struct port *port);
void agent_control_drop_waiters(struct agent *agent);

#endif
