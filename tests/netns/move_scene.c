/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* move_scene.c - namespaces, a sender, an old and a new "QEMU". */
#include "tests/netns/move_scene.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "nveagent/kernel_link.h"
#include "tests/netns/move_frames.h"

enum {
	TAP_VNET_SIZE = 12,	 /* QEMU's choice with mergeable buffers */
	TAP_BUFFER = TAP_VNET_SIZE + MOVE_BUNDLE_SIZE_MAX,
	READER_POLL_MS = 5,
	GATE_POLL_US = 50,
};

/* --- what a QEMU reads --- */

static void note(struct scene_log *log, uint32_t number)
{
	size_t count = atomic_load(&log->count);

	if (count < SCENE_NUMBERS_MAX) {
		log->numbers[count] = number;
		atomic_store(&log->count, count + 1);
	}
}

/* Reads what waits; false when nothing did. */
static bool read_some(int tap, struct mac vm, struct scene_log *log, uint8_t *buffer)
{
	ssize_t n = read(tap, buffer, TAP_BUFFER);
	struct virtio_net_hdr vnet;
	uint32_t first = 0;
	size_t count;

	if (n <= TAP_VNET_SIZE)
		return false;
	memcpy(&vnet, buffer, sizeof(vnet));
	count = move_frame_read(vm, &vnet, buffer + TAP_VNET_SIZE, (size_t) n - TAP_VNET_SIZE,
				&first);
	for (size_t i = 0; i < count; i++)
		note(log, first + (uint32_t) i);
	return true;
}

/* As QEMU: vnet headers of 12 bytes, and the guest takes unfinished checksums and bundles. */
static int open_scene_tap(void)
{
	int tap = tap_open("tap0", "br100"), vnet_size = TAP_VNET_SIZE;

	if (ioctl(tap, TUNSETVNETHDRSZ, &vnet_size) < 0 ||
	    ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) {
		perror("tap0");
		exit(EXIT_FAILURE);
	}
	if (!run("ip link set tap0 txqueuelen %d", SCENE_TAP_PACKETS))
		exit(EXIT_FAILURE);
	return tap;
}

static void play_old_qemu(struct scene_shared *shared, int tap, struct mac vm)
{
	struct pollfd poller = { .fd = tap, .events = POLLIN };
	uint8_t *buffer = malloc(TAP_BUFFER);

	while (buffer && !atomic_load(&shared->quit)) {
		if (!atomic_load(&shared->run)) {
			atomic_store(&shared->stopped, true);
			(void) poll(NULL, 0, 1);
			continue;
		}
		atomic_store(&shared->stopped, false);
		if (!read_some(tap, vm, &shared->old_log, buffer))
			(void) poll(&poller, 1, READER_POLL_MS);
	}
	_exit(0);
}

static void *play_new_qemu(void *userdata)
{
	struct scene *scene = userdata;
	struct pollfd poller = { .fd = scene->tap, .events = POLLIN };
	uint8_t *buffer = malloc(TAP_BUFFER);

	while (buffer && !atomic_load(&scene->reader_quit))
		if (!read_some(scene->tap, scene->vm, scene->new_log, buffer))
			(void) poll(&poller, 1, READER_POLL_MS);
	free(buffer);
	return NULL;
}

/* --- the sender --- */

/* Sends what follows @number; returns how many numbers that took. */
static uint32_t send_next(const struct scene *scene, struct raw_port *port, uint32_t number)
{
	static __thread uint8_t frame[MOVE_BUNDLE_SIZE_MAX];
	struct virtio_net_hdr vnet = { 0 };
	size_t size;

	if (scene->traffic.bundles)
		size = move_bundle_build(scene->vm, scene->sender_mac, number, &vnet, frame);
	else
		size = move_frame_build(scene->vm, scene->sender_mac, number, frame);
	if (raw_port_send(port, &vnet, frame, size) < 0) {
		perror("sender");
		exit(EXIT_FAILURE);
	}
	return scene->traffic.bundles ? MOVE_BUNDLE_SEGMENTS : 1;
}

/* What the old NVE has taken in over its VXLAN device. */
struct arrival {
	struct kernel *kernel; /* in the old NVE's namespace */
	uint32_t ifindex;
	uint64_t expected;
};

static uint64_t arrived(const struct arrival *arrival)
{
	struct kernel_link link;

	if (kernel_link_by_index(arrival->kernel, arrival->ifindex, &link) < 0)
		exit(EXIT_FAILURE);
	return link.rx_packets;
}

static bool has_arrived(void *userdata)
{
	const struct arrival *arrival = userdata;

	return arrived(arrival) >= arrival->expected;
}

static void await_arrival(struct arrival *arrival)
{
	if (!eventually(has_arrived, arrival)) {
		printf("\n    frames get lost on the way to the old NVE\n");
		exit(EXIT_FAILURE);
	}
}

static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		exit(EXIT_FAILURE);
}

/* Waits at the limit, and when the window is full; and paces. @frames: sent so far, of @numbers. */
static void hold_back(struct scene *scene, struct arrival *arrival, uint32_t frames,
		      uint32_t numbers)
{
	if (frames % SCENE_WINDOW == 0 || numbers >= atomic_load(&scene->limit)) {
		await_arrival(arrival);
		atomic_store(&scene->arrived, numbers);
	}
	while (numbers < scene->total && numbers >= atomic_load(&scene->limit))
		(void) usleep(GATE_POLL_US);
	if (scene->traffic.burst_pause_us && frames % SCENE_BURST == 0)
		(void) usleep(scene->traffic.burst_pause_us);
}

static void *play_sender(void *userdata)
{
	_cleanup_(raw_port_freep) struct raw_port *port = NULL;
	struct scene *scene = userdata;
	struct arrival arrival = { .ifindex = scene->old.devices.vxlan_ifindex };
	uint32_t n = 0;

	stay_on_one_cpu();
	netns_enter(scene->old.netns);
	if (kernel_new(&arrival.kernel) < 0)
		exit(EXIT_FAILURE);
	netns_enter(scene->peer.netns);
	if (raw_port_open(ifindex_of("s0"), false, &port) < 0)
		exit(EXIT_FAILURE);

	arrival.expected = arrived(&arrival);
	for (uint32_t frames = 1; n < scene->total; frames++) {
		n += send_next(scene, port, scene->first + n);
		arrival.expected++;
		hold_back(scene, &arrival, frames, n);
	}
	kernel_free(arrival.kernel);
	return NULL;
}

void scene_send(struct scene *scene, uint32_t total, uint32_t limit)
{
	scene->first += scene->total;
	scene->total = total;
	atomic_store(&scene->limit, limit);
	atomic_store(&scene->arrived, 0);
	atomic_store(&scene->new_log->count, 0);
	atomic_store(&scene->shared->old_log.count, 0);
	scene_run_old(scene);
	if (pthread_create(&scene->sender, NULL, play_sender, scene) != 0)
		exit(EXIT_FAILURE);
}

void scene_go(struct scene *scene, uint32_t limit)
{
	atomic_store(&scene->limit, limit);
}

static bool limit_is_reached(void *userdata)
{
	const struct scene *scene = userdata;

	return atomic_load(&scene->arrived) >= atomic_load(&scene->limit);
}

void scene_await_limit(struct scene *scene)
{
	CU_ASSERT_TRUE_FATAL(eventually(limit_is_reached, scene));
	if (atomic_load(&scene->limit) >= scene->total)
		pthread_join(scene->sender, NULL);
}

/* --- the old QEMU --- */

static bool has_stopped(void *userdata)
{
	const struct scene *scene = userdata;

	return atomic_load(&scene->shared->stopped);
}

void scene_stop_old(struct scene *scene)
{
	atomic_store(&scene->shared->run, false);
	CU_ASSERT_TRUE_FATAL(eventually(has_stopped, scene));
}

void scene_end_old(struct scene *scene)
{
	atomic_store(&scene->shared->quit, true);
	(void) waitpid(scene->qemu, NULL, 0);
	scene->qemu = 0;
}

void scene_run_old(struct scene *scene)
{
	atomic_store(&scene->shared->run, true);
}

/* --- judging --- */

static size_t read_by_all(const struct scene *scene)
{
	return atomic_load(&scene->shared->old_log.count) + atomic_load(&scene->new_log->count);
}

struct reading {
	const struct scene *scene;
	size_t count;
};

static bool are_read(void *userdata)
{
	const struct reading *reading = userdata;

	return read_by_all(reading->scene) >= reading->count;
}

bool scene_await_read(struct scene *scene, size_t count)
{
	return eventually(are_read, &(struct reading){ scene, count });
}

bool scene_await_all(struct scene *scene)
{
	return scene_await_read(scene, scene->total);
}

struct scene_result scene_judge(const struct scene *scene)
{
	const struct scene_log *logs[] = { &scene->shared->old_log, scene->new_log };
	struct scene_result result = {
		.old_count = atomic_load(&logs[0]->count),
		.new_count = atomic_load(&logs[1]->count),
	};
	uint8_t *seen = calloc(scene->total, 1);
	int64_t last = -1;

	for (size_t log = 0; seen && log < ARRAY_SIZE(logs); log++) {
		for (size_t i = 0; i < atomic_load(&logs[log]->count); i++) {
			uint32_t number = logs[log]->numbers[i] - scene->first;

			if (number >= scene->total)
				continue; /* of an earlier run: that one has counted it as lost */
			result.disordered += (int64_t) number <= last;
			last = number;
			result.doubled += seen[number]++ > 0;
		}
	}
	for (size_t i = 0; seen && i < scene->total; i++)
		result.lost += seen[i] == 0;
	free(seen);
	return result;
}

/* --- making --- */

static void make_hub(struct scene *scene)
{
	scene->hub = netns_new();
	if (!run("ip link add hub type bridge mcast_snooping 0 && ip link set hub up"))
		exit(EXIT_FAILURE);
}

static void make_nve(struct scene *scene, struct scene_nve *nve, const char *address)
{
	struct underlay here = *scene->underlay;

	here.ours = address;
	nve->netns = netns_new();
	make_underlay(&here);
	if (!run("ip link set u1 netns /proc/%d/fd/%d", getpid(), scene->hub) ||
	    kernel_new(&nve->kernel) < 0)
		exit(EXIT_FAILURE);
	make_vni(nve->kernel, &here, &nve->devices);

	netns_enter(scene->hub);
	if (!run("ip link set u1 name p%d && ip link set p%d master hub up", nve->netns,
		 nve->netns))
		exit(EXIT_FAILURE);
	netns_enter(nve->netns);
}

static void set_entry(struct scene_nve *nve, const struct fdb_entry *entry)
{
	const struct fdb_change change = { FDB_OP_REPLACE, *entry };

	if (kernel_fdb_apply(nve->kernel, &nve->devices, &change, 1, NULL) < 0)
		exit(EXIT_FAILURE);
}

static void place(struct scene *scene, struct scene_nve *nve, const char *vtep)
{
	const struct fdb_entry far = {
		.layer = FDB_LAYER_VXLAN,
		.ifindex = nve->devices.vxlan_ifindex,
		.mac = scene->vm,
		.vtep = ip_of(vtep),
	};
	const struct fdb_entry port = {
		.layer = FDB_LAYER_BRIDGE,
		.ifindex = nve->devices.vxlan_ifindex,
		.mac = scene->vm,
	};

	set_entry(nve, &far);
	set_entry(nve, &port);
}

void scene_place_at_old(struct scene *scene)
{
	const struct fdb_entry pinned = {
		.layer = FDB_LAYER_BRIDGE,
		.ifindex = scene->old_tap,
		.mac = scene->vm,
		.sticky = true,
	};

	place(scene, &scene->peer, scene->underlay->theirs);
	set_entry(&scene->old, &pinned);
}

static void make_sender_port(struct scene *scene)
{
	netns_enter(scene->peer.netns);
	if (!run("ip link add s0 type veth peer name s1 && ip link set s1 master br100 && "
		 "ip link set s0 up && ip link set s1 up"))
		exit(EXIT_FAILURE);
}

static void start_old_qemu(struct scene *scene)
{
	int tap;

	netns_enter(scene->old.netns);
	tap = open_scene_tap();
	scene->old_tap = ifindex_of("tap0");
	fflush(stdout);
	scene->qemu = fork();
	if (scene->qemu == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play_old_qemu(scene->shared, tap, scene->vm);
	}
	close(tap);
	if (scene->qemu < 0)
		exit(EXIT_FAILURE);
}

static void start_new_qemu(struct scene *scene)
{
	const struct fdb_entry pinned = { .layer = FDB_LAYER_BRIDGE,
					  .mac = scene->vm,
					  .sticky = true };
	struct fdb_entry entry = pinned;

	netns_enter(scene->new.netns);
	scene->tap = open_scene_tap();
	scene->new_tap = entry.ifindex = ifindex_of("tap0");
	set_entry(&scene->new, &entry);
	if (pthread_create(&scene->reader, NULL, play_new_qemu, scene) != 0)
		exit(EXIT_FAILURE);
}

/*
 * What comes in by any link of this namespace is processed on CPU 0, in the order it was sent
 * (Documentation/networking/scaling.rst, RPS). The namespace's /sys is only seen through a mount
 * of its own.
 */
static void deliver_in_order(int netns)
{
	netns_enter(netns);
	if (!run("unshare --mount sh -ec 'mount -t sysfs sysfs /sys; for queue in "
		 "/sys/class/net/[upsh]*/queues/rx-0/rps_cpus; do echo 1 >$queue; done'"))
		exit(EXIT_FAILURE);
}

static bool addresses_are_ready(void *userdata)
{
	(void) userdata;
	return !shows("ip -6 -o addr show dev u0", "tentative", NULL);
}

/*
 * Until duplicate address detection is over no neighbour solicitation goes out that is not caused
 * by a packet.
 */
static void await_addresses(struct scene_nve *nve)
{
	netns_enter(nve->netns);
	if (!eventually(addresses_are_ready, NULL))
		exit(EXIT_FAILURE);
}

static bool knows_old(void *userdata)
{
	const struct scene *scene = userdata;

	return shows("ip neigh show dev u0", scene->underlay->theirs, "lladdr", NULL);
}

/*
 * While a neighbour is unknown few frames may wait for it: the peer meets the old NVE before the
 * first run. (That the old NVE meets the new one is inflight_arm()'s business.)
 */
static void meet_neighbour(struct scene *scene)
{
	await_addresses(&scene->old);
	await_addresses(&scene->new);
	await_addresses(&scene->peer);
	if (!run("ip neigh add %s dev u0 use", scene->underlay->theirs) ||
	    !eventually(knows_old, scene))
		exit(EXIT_FAILURE);
}

struct scene *scene_new(const struct underlay *underlay, const struct scene_traffic *traffic)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	if (!scene)
		exit(EXIT_FAILURE);
	scene->underlay = underlay;
	scene->traffic = *traffic;
	(void) sched_getaffinity(0, sizeof(scene->cpus), &scene->cpus);
	if (traffic->one_cpu)
		stay_on_one_cpu();
	scene->vm = mac_of("52:54:00:aa:00:10");
	scene->sender_mac = mac_of("52:54:00:aa:00:20");
	scene->new_log = calloc(1, sizeof(*scene->new_log));
	scene->shared = mmap(NULL, sizeof(*scene->shared), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!scene->new_log || scene->shared == MAP_FAILED)
		exit(EXIT_FAILURE);

	make_hub(scene);
	make_nve(scene, &scene->peer, underlay->ours);
	make_nve(scene, &scene->old, underlay->theirs);
	make_nve(scene, &scene->new, underlay->third);
	make_sender_port(scene);
	deliver_in_order(scene->hub);
	deliver_in_order(scene->peer.netns);
	deliver_in_order(scene->old.netns);
	deliver_in_order(scene->new.netns);
	start_old_qemu(scene);
	start_new_qemu(scene);
	scene_place_at_old(scene);
	meet_neighbour(scene);
	netns_enter(scene->old.netns);
	return scene;
}

static void free_nve(struct scene_nve *nve)
{
	nve->kernel = kernel_free(nve->kernel);
	close(nve->netns);
}

struct scene *scene_free(struct scene *scene)
{
	if (!scene)
		return NULL;

	(void) sched_setaffinity(0, sizeof(scene->cpus), &scene->cpus);
	if (scene->qemu)
		scene_end_old(scene);
	atomic_store(&scene->reader_quit, true);
	pthread_join(scene->reader, NULL);
	close(scene->tap);
	free_nve(&scene->peer);
	free_nve(&scene->old);
	free_nve(&scene->new);
	close(scene->hub);
	munmap(scene->shared, sizeof(*scene->shared));
	free(scene->new_log);
	free(scene);
	return NULL;
}

void scene_expect_perfect(struct scene *scene, const char *what)
{
	struct scene_result result;

	(void) scene_await_all(scene);
	result = scene_judge(scene);
	CU_ASSERT_EQUAL(result.lost, 0);
	CU_ASSERT_EQUAL(result.doubled, 0);
	CU_ASSERT_EQUAL(result.disordered, 0);
	if (result.lost || result.doubled || result.disordered)
		printf("\n    %s: old %zu new %zu lost %zu doubled %zu disordered %zu\n", what,
		       result.old_count, result.new_count, result.lost, result.doubled,
		       result.disordered);
}

struct inflight *scene_arm(struct scene *scene)
{
	struct inflight *inflight = NULL;

	CU_ASSERT_EQUAL_FATAL(inflight_arm(scene->old.kernel, &scene->old.devices, "tap0",
					   scene->vm, ip_of(scene->underlay->third), &inflight),
			      0);
	return inflight;
}
