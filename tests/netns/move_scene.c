/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* move_scene.c - namespaces, a sender, an old and a new "QEMU". */
#include "tests/netns/move_scene.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <arpa/inet.h>
#include <linux/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "nveagent/kernel_link.h"

enum {
	ETHERTYPE_TEST = 0x88b5, /* IEEE 802 local experimental 1 */
	FRAME_SIZE = 200,
	TAP_VNET_SIZE = 12,	 /* QEMU's choice with mergeable buffers */
	TAP_BUFFER = TAP_VNET_SIZE + 65536,
	READER_POLL_MS = 5,
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

/*
 * The number of each segment in a TCP frame; bundles and segments look alike but for their
 * length.
 */
static void note_segments(struct scene_log *log, const uint8_t *frame, size_t size)
{
	struct iphdr ip;
	struct tcphdr tcp;
	size_t header = sizeof(struct iphdr) + 14 + sizeof(tcp), payload;

	memcpy(&ip, frame + 14, sizeof(ip));
	memcpy(&tcp, frame + 14 + sizeof(ip), sizeof(tcp));
	payload = ntohs(ip.tot_len) - sizeof(ip) - sizeof(tcp);
	for (size_t at = 0; at < payload && header + at < size; at += SCENE_GSO_SIZE)
		note(log, (uint32_t) (ntohl(tcp.seq) + at) / SCENE_GSO_SIZE);
}

static void note_frame(struct scene_log *log, struct mac vm, const uint8_t *frame, size_t size)
{
	uint16_t type;

	if (size < FRAME_SIZE || memcmp(frame, vm.octet, MAC_SIZE) != 0)
		return;
	memcpy(&type, frame + 2 * MAC_SIZE, sizeof(type));
	if (type == htons(ETHERTYPE_TEST))
		note(log, frame_number(frame));
	else if (type == htons(0x0800))
		note_segments(log, frame, size);
}

/* Reads what waits; false when nothing did. */
static bool read_some(int tap, struct mac vm, struct scene_log *log, uint8_t *buffer)
{
	ssize_t n = read(tap, buffer, TAP_BUFFER);

	if (n <= TAP_VNET_SIZE)
		return false;
	note_frame(log, vm, buffer + TAP_VNET_SIZE, (size_t) n - TAP_VNET_SIZE);
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

static size_t build_bundle(const struct scene *scene, uint32_t number, struct virtio_net_hdr *vnet, uint8_t *frame)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(ip) + sizeof(struct tcphdr) + SCENE_GSO_PAYLOAD),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(0xcb007101),
		.daddr = htonl(0xcb007102),
	};
	struct tcphdr tcp = { .source = htons(7), .dest = htons(7), .seq = htonl(number * SCENE_GSO_SIZE), .doff = 5, .ack = 1 };

	numbered_frame(scene->vm, scene->sender_mac, 0x0800, 0, 14 + sizeof(ip) + sizeof(tcp) + SCENE_GSO_PAYLOAD, frame);
	memcpy(frame + 14, &ip, sizeof(ip));
	memcpy(frame + 14 + sizeof(ip), &tcp, sizeof(tcp));
	*vnet = (struct virtio_net_hdr) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 14 + sizeof(ip) + sizeof(tcp),
		.gso_size = SCENE_GSO_SIZE,
		.csum_start = 14 + sizeof(ip),
		.csum_offset = 16, /* of th_sum */
	};
	return 14 + sizeof(ip) + sizeof(tcp) + SCENE_GSO_PAYLOAD;
}

/* Sends what follows @number; returns how many numbers that took. */
static uint32_t send_next(const struct scene *scene, struct raw_port *port, uint32_t number)
{
	static __thread uint8_t frame[65536];
	struct virtio_net_hdr vnet = { 0 };
	size_t size;

	if (scene->traffic.bundles)
		size = build_bundle(scene, number, &vnet, frame);
	else
		size = numbered_frame(scene->vm, scene->sender_mac, ETHERTYPE_TEST, number, FRAME_SIZE, frame);
	if (raw_port_send(port, &vnet, frame, size) < 0) {
		perror("sender");
		exit(EXIT_FAILURE);
	}
	return scene->traffic.bundles ? SCENE_GSO_PAYLOAD / SCENE_GSO_SIZE : 1;
}

struct arrival {
	struct kernel *kernel; /* in the old NVE's namespace */
	uint32_t ifindex;
	uint64_t expected;
};

/* What the old NVE has taken in over its VXLAN device, in frames as they were sent. */
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

/*
 * Bundles may arrive in pieces, more than were sent: then the window is a little wider than it
 * says.
 */
static void await_window(struct arrival *arrival, uint32_t sent_in_window)
{
	if (sent_in_window > 0 && !eventually(has_arrived, arrival)) {
		printf("\n    frames get lost on the way to the old NVE\n");
		exit(EXIT_FAILURE);
	}
	arrival->expected = arrived(arrival) + SCENE_WINDOW;
}

static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		exit(EXIT_FAILURE);
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
	for (uint32_t frames = 0; n < scene->total; frames++) {
		if (scene->traffic.burst_pause_us && frames % SCENE_BURST == 0)
			(void) usleep(scene->traffic.burst_pause_us);
		if (frames % SCENE_WINDOW == 0)
			await_window(&arrival, frames);
		n += send_next(scene, port, scene->first + n);
		atomic_store(&scene->sent, n);
	}
	kernel_free(arrival.kernel);
	return NULL;
}

void scene_send(struct scene *scene, uint32_t total)
{
	scene->first += scene->total;
	scene->total = total;
	atomic_store(&scene->sent, 0);
	atomic_store(&scene->new_log->count, 0);
	atomic_store(&scene->shared->old_log.count, 0);
	scene_run_old(scene);
	if (pthread_create(&scene->sender, NULL, play_sender, scene) != 0)
		exit(EXIT_FAILURE);
}

struct target {
	struct scene *scene;
	uint32_t sent;
};

static bool has_sent(void *userdata)
{
	const struct target *target = userdata;

	return atomic_load(&target->scene->sent) >= target->sent;
}

void scene_await_sent(struct scene *scene, uint32_t at_least)
{
	struct target target = { scene, at_least };

	CU_ASSERT_TRUE_FATAL(eventually(has_sent, &target));
	if (at_least >= scene->total)
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

void scene_run_old(struct scene *scene)
{
	atomic_store(&scene->shared->run, true);
}

/* --- judging --- */

static size_t read_by_all(const struct scene *scene)
{
	return atomic_load(&scene->shared->old_log.count) + atomic_load(&scene->new_log->count);
}

static bool all_are_read(void *userdata)
{
	const struct scene *scene = userdata;

	return read_by_all(scene) >= scene->total;
}

bool scene_await_all(struct scene *scene)
{
	return eventually(all_are_read, scene);
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
	if (!run("ip link set u1 netns /proc/%d/fd/%d", getpid(), scene->hub) || kernel_new(&nve->kernel) < 0)
		exit(EXIT_FAILURE);
	make_vni(nve->kernel, &here, &nve->devices);

	netns_enter(scene->hub);
	if (!run("ip link set u1 name p%d && ip link set p%d master hub up", nve->netns, nve->netns))
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
	const struct fdb_entry pinned = { .layer = FDB_LAYER_BRIDGE, .mac = scene->vm, .sticky = true };
	struct fdb_entry entry = pinned;

	netns_enter(scene->new.netns);
	scene->tap = open_scene_tap();
	scene->new_tap = entry.ifindex = ifindex_of("tap0");
	set_entry(&scene->new, &entry);
	if (pthread_create(&scene->reader, NULL, play_new_qemu, scene) != 0)
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
 * first run. (That the old
 * NVE meets the new one is inflight_arm()'s business.)
 */
static void meet_neighbour(struct scene *scene)
{
	await_addresses(&scene->old);
	await_addresses(&scene->new);
	await_addresses(&scene->peer);
	if (!run("ip neigh add %s dev u0 use", scene->underlay->theirs) || !eventually(knows_old, scene))
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
	scene->shared = mmap(NULL, sizeof(*scene->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!scene->new_log || scene->shared == MAP_FAILED)
		exit(EXIT_FAILURE);

	make_hub(scene);
	make_nve(scene, &scene->peer, underlay->ours);
	make_nve(scene, &scene->old, underlay->theirs);
	make_nve(scene, &scene->new, underlay->third);
	make_sender_port(scene);
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
	atomic_store(&scene->shared->quit, true);
	(void) waitpid(scene->qemu, NULL, 0);
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
