/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * move_scene.h - three NVEs in namespaces, a VM's MAC moving from one to another under traffic
 * from the third.
 *
 *   peer ---\            sender thread: s0 -- s1, a port of br100
 *   old  ---- hub        tap0, held by a child process that plays QEMU: it reads until told to stop
 *   new  ---/            tap0, read by a thread of ours: the VM at its new place
 *
 * The sender never has more than SCENE_WINDOW frames on the way to the old NVE, because a packet
 * socket knows no other back pressure and the kernel drops what a CPU's backlog cannot hold. It
 * stays on one CPU, and every link delivers on that CPU (receive packet steering), as a network
 * card with one receive queue does: by itself veth processes a frame on the CPU that sends it, and
 * frames of two CPUs overtake each other on the way. Every frame bears a number; the old and the
 * new QEMU note the numbers they get.
 */
#ifndef REHOME_TESTS_NETNS_MOVE_SCENE_H
#define REHOME_TESTS_NETNS_MOVE_SCENE_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "nveagent/inflight.h"
#include "nveagent/raw_port.h"
#include "tests/netns/netns.h"

enum {
	SCENE_NUMBERS_MAX = 1 << 20,	/* frames of one run */
	SCENE_TAP_PACKETS = KERNEL_TAP_QUEUE_MAX, /* nothing is lost for want of room */
	/* frames between the sender and the old NVE: netdev_max_backlog is 1000 */
	SCENE_WINDOW = 256,
	SCENE_BURST = 32,
};

/* What one QEMU has read, in order. */
struct scene_log {
	_Atomic size_t count;
	uint32_t numbers[SCENE_NUMBERS_MAX];
};

/* Shared with the child. */
struct scene_shared {
	_Atomic bool run, stopped, quit;
	struct scene_log old_log;
};

struct scene_nve {
	int netns;
	struct kernel *kernel;
	struct vni_devices devices;
};

/* How the sender sends. */
struct scene_traffic {
	const char *name;
	bool bundles;		/* GSO bundles with unfinished checksums */
	bool one_cpu;		/* everything runs on one CPU */
	uint32_t burst_pause_us; /* after SCENE_BURST frames; 0: as fast as the old NVE receives */
};

struct scene {
	const struct underlay *underlay;
	struct scene_traffic traffic;
	cpu_set_t cpus;			/* of the process before */
	struct mac vm, sender_mac;
	int hub;
	struct scene_nve peer, old, new;
	uint32_t old_tap, new_tap;	/* ifindex */
	pid_t qemu;			/* plays the old QEMU */
	struct scene_shared *shared;

	int tap;			/* of the new NVE */
	struct scene_log *new_log;
	pthread_t reader;
	_Atomic bool reader_quit;

	pthread_t sender;
	uint32_t first, total;		/* numbers of this run */
	/* how many of them the sender may send; have come to the old NVE */
	_Atomic uint32_t limit, arrived;
};

struct scene *scene_new(const struct underlay *underlay, const struct scene_traffic *traffic);
struct scene *scene_free(struct scene *scene);
DEFINE_CLEANUP(struct scene, scene_free)

/*
 * Starts a run of @total numbers: empties the logs, lets the old QEMU read, and sends up to @limit
 * numbers as the traffic says. scene_go() raises the limit.
 */
void scene_send(struct scene *scene, uint32_t total, uint32_t limit);
void scene_go(struct scene *scene, uint32_t limit);
/* Until the sender has reached its limit and all of that has come to the old NVE. */
void scene_await_limit(struct scene *scene);
/* The old QEMU stops reading, as at QMP STOP; returns when it has. */
void scene_stop_old(struct scene *scene);
void scene_run_old(struct scene *scene);
/* The old QEMU ends, and closes its tap. */
void scene_end_old(struct scene *scene);
/* Waits until @count frames of the run, or every one, have been read by someone. */
bool scene_await_read(struct scene *scene, size_t count);
bool scene_await_all(struct scene *scene);

/* What became of the run. A bundle counts as the segments that it is. */
struct scene_result {
	size_t old_count, new_count;
	size_t lost, doubled, disordered;
};
struct scene_result scene_judge(const struct scene *scene);
/*
 * Waits for all of it: nothing may be lost, doubled or out of order. @what: of it, for the record.
 */
void scene_expect_perfect(struct scene *scene, const char *what);

/* The VM has its bridge entry at the old NVE, and remote NVEs send there. */
void scene_place_at_old(struct scene *scene);
/* The old NVE is ready to send on what comes for the VM; the caller's to free. */
struct inflight *scene_arm(struct scene *scene);

#endif
