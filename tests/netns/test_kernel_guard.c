/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guard of a destination's tap. Two namespaces: this NVE, whose taps the test holds as QEMU
 * does ("tap0" is the VM's, "tap1" another's on the same bridge), and a host that sends VXLAN
 * packets to it through a UDP socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/netns/netns.h"

enum {
	FRAME_SIZE = 200,
	VXLAN_HEADER_SIZE = 8, /* RFC 7348 section 5 */
	EXPERIMENTAL = 0x88b5, /* IEEE 802 local experimental 1 */
	RARP = 0x8035,
	QUEUE = 4096,
	/* frames; more than a tap's queue has by itself, 500 (drivers/net/tun.c, TUN_READQ_SIZE) */
	ORDERED = 800,
	SHORT_QUEUE = 1200,
	OVERFLOW = 100,
	LIVES = 10,	/* guards made, opened and freed under one stream */
	STREAM_STEP = 500, /* frames between two steps of a guard's life */
	STREAM_BURST = 32,
	STREAM_PAUSE_US = 500, /* some 50,000 frames/s at most */
	STREAM_MAX = 1 << 20,
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac remote = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };
static const struct mac stranger = { { 0x52, 0x54, 0, 0xaa, 0, 0x12 } };
static const struct mac nobody = { { 0x52, 0x54, 0, 0xaa, 0, 0x13 } };
static const struct mac group = { { 0x01, 0, 0x5e, 0, 0, 0x10 } };

struct scene {
	const struct underlay *underlay;
	struct kernel *kernel;
	struct vni_devices devices;
	int tap, other_tap;
	int udp; /* of the remote host, connected to our VTEP */
};

/* --- the scene --- */

static int udp_from(const struct underlay *underlay)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(VXLAN_PORT) };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(VXLAN_PORT) };
	bool is_ipv4 = inet_pton(AF_INET, underlay->ours, &ipv4.sin_addr) == 1;
	const struct sockaddr *to = is_ipv4 ? (const struct sockaddr *) &ipv4
					    : (const struct sockaddr *) &ipv6;
	int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!is_ipv4)
		CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET6, underlay->ours, &ipv6.sin6_addr), 1);
	CU_ASSERT_EQUAL_FATAL(connect(fd, to, is_ipv4 ? sizeof(ipv4) : sizeof(ipv6)), 0);
	return fd;
}

/* "u1", with the remote host's address, in a namespace of its own; a socket there. */
static int make_remote(const struct underlay *underlay)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), away, fd;

	CU_ASSERT_TRUE_FATAL(home >= 0);
	away = netns_new();
	netns_enter(home);
	CU_ASSERT_TRUE_FATAL(run("ip link set u1 netns /proc/%d/fd/%d", getpid(), away));
	netns_enter(away);
	CU_ASSERT_TRUE_FATAL(run("ip link set u1 up && ip addr add %s/%d dev u1 nodad",
				 underlay->theirs, underlay->prefix));
	fd = udp_from(underlay);
	netns_enter(home);
	close(away);
	close(home);
	return fd;
}

static void send_frame(const struct scene *scene, struct mac to, uint32_t number)
{
	uint8_t packet[VXLAN_HEADER_SIZE + FRAME_SIZE] = { 0x08, 0, 0, 0, 0, 0, 100, 0 };

	numbered_frame(to, remote, EXPERIMENTAL, number, FRAME_SIZE, packet + VXLAN_HEADER_SIZE);
	CU_ASSERT_EQUAL(send(scene->udp, packet, sizeof(packet), 0), (ssize_t) sizeof(packet));
}

/* The next frame of ours that @tap has; what hosts say by themselves is passed over. */
static bool next_frame(int tap, uint8_t frame[static FRAME_SIZE])
{
	size_t size;

	while ((size = tap_read(tap, frame, FRAME_SIZE)) > 0)
		if (size == FRAME_SIZE && (memcmp(frame + 12, "\x88\xb5", 2) == 0 ||
					   memcmp(frame + 12, "\x80\x35", 2) == 0))
			return true;
	return false;
}

struct awaited {
	int tap;
	uint8_t frame[FRAME_SIZE];
};

static bool has_come(void *userdata)
{
	struct awaited *awaited = userdata;

	return next_frame(awaited->tap, awaited->frame);
}

/*
 * Expects that the next frame in @tap is @number. What was sent before it and has not come will
 * not.
 */
static void expect_next(int tap, uint32_t number)
{
	struct awaited awaited = { .tap = tap };

	CU_ASSERT_TRUE_FATAL(eventually(has_come, &awaited));
	CU_ASSERT_EQUAL(frame_number(awaited.frame), number);
	if (frame_number(awaited.frame) != number)
		printf("\n    frame %u instead of %u\n", frame_number(awaited.frame), number);
}

static void expect_nothing(int tap)
{
	uint8_t frame[FRAME_SIZE];

	CU_ASSERT_FALSE(next_frame(tap, frame));
}

static struct scene begin(const struct underlay *underlay)
{
	struct scene scene = { .underlay = underlay };

	close(netns_new());
	CU_ASSERT_EQUAL_FATAL(kernel_new(&scene.kernel), 0);
	make_underlay(underlay);
	scene.udp = make_remote(underlay);
	make_vni(scene.kernel, underlay, &scene.devices);
	scene.tap = tap_open("tap0", "br100");
	scene.other_tap = tap_open("tap1", "br100");
	CU_ASSERT_TRUE_FATAL(run("echo 0 > /proc/sys/net/ipv6/conf/tap0/disable_ipv6"));

	/* Both hosts know each other's MAC from here on. */
	send_frame(&scene, mac_broadcast, 0);
	expect_next(scene.tap, 0);
	expect_next(scene.other_tap, 0);
	return scene;
}

static void end(struct scene *scene)
{
	close(scene->tap);
	close(scene->other_tap);
	close(scene->udp);
	scene->kernel = kernel_free(scene->kernel);
}

static struct kernel_guard *guarded(const struct scene *scene)
{
	struct kernel_guard *guard = NULL;

	CU_ASSERT_EQUAL_FATAL(
		kernel_guard_new(scene->kernel, &scene->devices, "tap0", vm, QUEUE, &guard), 0);
	return guard;
}

static void over_both(void (*test)(struct scene *scene))
{
	for (size_t i = 0; i < ARRAY_SIZE(underlays); i++) {
		struct scene scene = begin(&underlays[i]);

		test(&scene);
		end(&scene);
	}
}

/* --- what must (not) be in the kernel --- */

static void expect_filters(bool on_vxlan, bool on_tap)
{
	CU_ASSERT_EQUAL(shows("tc filter show dev vx100 ingress", "filter", NULL), on_vxlan);
	CU_ASSERT_EQUAL(shows("tc filter show dev tap0 ingress", "filter", NULL), on_tap);
}

static void expect_clsact(void)
{
	CU_ASSERT_TRUE(shows("tc qdisc show dev vx100", "clsact", NULL));
	CU_ASSERT_TRUE(shows("tc qdisc show dev tap0", "clsact", NULL));
}

static void expect_floods(const char *flood, const char *mcast_flood, const char *bcast_flood)
{
	char unicast[32], multicast[32], broadcast[32];

	snprintf(unicast, sizeof(unicast), " flood %s ", flood);
	snprintf(multicast, sizeof(multicast), " mcast_flood %s ", mcast_flood);
	snprintf(broadcast, sizeof(broadcast), " bcast_flood %s ", bcast_flood);
	CU_ASSERT_TRUE(
		shows("bridge -d -o link show dev tap0", unicast, multicast, broadcast, NULL));
}

static void expect_ipv6(const char *disabled)
{
	CU_ASSERT_STRING_EQUAL(output_of("cat /proc/sys/net/ipv6/conf/tap0/disable_ipv6"),
			       disabled);
}

/* As if there had never been a guard, but for the length of the tap's queue and the qdiscs. */
static void expect_lifted(void)
{
	expect_filters(false, false);
	expect_clsact();
	expect_floods("on", "on", "on");
	expect_ipv6("0\n");
}

/* --- floods, and what the guest says --- */

/*
 * Of what is flooded tap1 gets @first to @first + 2, and tap0 as well or nothing; frames for the VM
 * mark the end.
 */
static void flood(const struct scene *scene, uint32_t first, bool to_tap)
{
	const struct mac to[] = { mac_broadcast, group, nobody };

	for (uint32_t i = 0; i < ARRAY_SIZE(to); i++)
		send_frame(scene, to[i], first + i);
	send_frame(scene, vm, first + 90);

	for (uint32_t i = 0; i < ARRAY_SIZE(to); i++) {
		expect_next(scene->other_tap, first + i);
		if (to_tap)
			expect_next(scene->tap, first + i);
	}
	expect_next(scene->tap, first + 90);
}

static void keeps_floods_out_of(struct scene *scene)
{
	struct kernel_guard *guard = guarded(scene);

	expect_filters(true, true);
	expect_floods("off", "off", "off");
	flood(scene, 100, false);
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	expect_filters(true, false);
	expect_floods("on", "on", "on");
	flood(scene, 200, true);
	kernel_guard_free(guard);
	expect_lifted();
}

static void keeps_floods_out(void)
{
	over_both(keeps_floods_out_of);
}

static void say(const struct scene *scene, struct mac from, uint16_t ethertype, uint32_t number)
{
	uint8_t frame[FRAME_SIZE];

	numbered_frame(mac_broadcast, from, ethertype, number, FRAME_SIZE, frame);
	CU_ASSERT_TRUE(tap_write(scene->tap, frame, FRAME_SIZE));
}

/* Says one of each kind; tap1 hears all, or only the VM's own frame that is no RARP. */
static void say_all(const struct scene *scene, uint32_t first, bool hears_all)
{
	say(scene, vm, RARP, first);
	say(scene, stranger, EXPERIMENTAL, first + 1);
	say(scene, stranger, RARP, first + 2);
	say(scene, vm, EXPERIMENTAL, first + 3);
	for (uint32_t i = hears_all ? 0 : 3; i < 4; i++)
		expect_next(scene->other_tap, first + i);
	expect_nothing(scene->other_tap);
}

static void lets_only_the_guest_speak_on(struct scene *scene)
{
	struct kernel_guard *guard;

	say_all(scene, 10, true);
	guard = guarded(scene);
	say_all(scene, 20, false);
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	say_all(scene, 30, true);
	kernel_guard_free(guard);
	say_all(scene, 40, true);
}

static void lets_only_the_guest_speak(void)
{
	over_both(lets_only_the_guest_speak_on);
}

/* A MAC that differs from the VM's in one octet only, whichever it is, is a stranger. */
static void every_octet_of_the_source_counts(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard = guarded(&scene);

	for (uint32_t i = 0; i < MAC_SIZE; i++) {
		struct mac near = vm;

		near.octet[i] ^= 0x20;
		say(&scene, near, EXPERIMENTAL, 100 + i);
		say(&scene, vm, EXPERIMENTAL, 200 + i);
		expect_next(scene.other_tap, 200 + i);
	}
	kernel_guard_free(guard);
	end(&scene);
}

/* --- the redirect --- */

static void redirects_on(struct scene *scene)
{
	/*
	 * Where the bridge believes the VM to be: nowhere, still behind the VXLAN device, or at
	 * another port.
	 */
	static const char *const entries[] = {
		"true",
		"bridge fdb replace 52:54:00:aa:00:10 dev vx100 master static",
		"bridge fdb replace 52:54:00:aa:00:10 dev tap1 master static",
	};
	struct kernel_guard *guard = guarded(scene);

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		CU_ASSERT_TRUE_FATAL(run("%s", entries[i]));
		for (uint32_t number = 0; number < ORDERED; number++) {
			send_frame(scene, vm, number);
			if (number % STREAM_BURST == 0) /* a copy for tap1 would be seen here */
				send_frame(scene, nobody, number);
		}
		for (uint32_t number = 0; number < ORDERED; number++)
			expect_next(scene->tap, number);
		for (uint32_t number = 0; number < ORDERED; number += STREAM_BURST)
			expect_next(scene->other_tap, number);
		expect_nothing(scene->tap);
		expect_nothing(scene->other_tap);
	}

	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0); /* the redirect stays */
	send_frame(scene, vm, 5000);
	expect_next(scene->tap, 5000);
	kernel_guard_free(guard);

	send_frame(scene, vm, 5001); /* from here on the bridge's entry decides */
	expect_next(scene->other_tap, 5001);
	expect_nothing(scene->tap);
}

static bool has_dropped(void *userdata)
{
	return kernel_guard_dropped(userdata) >= OVERFLOW;
}

static void counts_what_finds_no_room(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard;

	CU_ASSERT_EQUAL_FATAL(
		kernel_guard_new(scene.kernel, &scene.devices, "tap0", vm, SHORT_QUEUE, &guard), 0);
	CU_ASSERT_EQUAL(kernel_guard_dropped(guard), 0);
	for (uint32_t number = 0; number < SHORT_QUEUE + OVERFLOW; number++)
		send_frame(&scene, vm, number);
	CU_ASSERT_TRUE(eventually(has_dropped, guard));
	for (uint32_t number = 0; number < SHORT_QUEUE; number++)
		expect_next(scene.tap, number);
	expect_nothing(scene.tap);

	send_frame(&scene, vm, SHORT_QUEUE + OVERFLOW);
	expect_next(scene.tap, SHORT_QUEUE + OVERFLOW);
	CU_ASSERT_EQUAL(kernel_guard_dropped(guard), OVERFLOW);
	kernel_guard_free(guard);
	end(&scene);
}

static void redirects_whatever_the_bridge_believes(void)
{
	over_both(redirects_on);
}

/*
 * What local senders say to the VM still takes the bridge's way: here to another port, which stands
 * for the old NVE.
 */
static void local_frames_are_not_redirected(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard = guarded(&scene);
	int third = tap_open("tap2", "br100");
	uint8_t frame[FRAME_SIZE];

	CU_ASSERT_TRUE(run("bridge fdb replace 52:54:00:aa:00:10 dev tap2 master static"));
	numbered_frame(vm, stranger, EXPERIMENTAL, 7, FRAME_SIZE, frame);
	CU_ASSERT_TRUE(tap_write(scene.other_tap, frame, FRAME_SIZE));
	expect_next(third, 7);
	expect_nothing(scene.tap);
	kernel_guard_free(guard);
	close(third);
	end(&scene);
}

/* --- no frame is lost --- */

struct stream {
	struct scene *scene;
	atomic_uint sent, read;
	atomic_bool stop, failed;
	uint32_t disordered, doubled, expected; /* of the reader */
	bool *seen;
	pthread_t sender, reader;
};

static void *send_stream(void *userdata)
{
	struct stream *stream = userdata;
	cpu_set_t one;

	CPU_ZERO(&one); /* frames sent on two CPUs may overtake each other */
	CPU_SET(0, &one);
	(void) pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	for (uint32_t number = 0; number < STREAM_MAX && !atomic_load(&stream->stop); number++) {
		uint8_t packet[VXLAN_HEADER_SIZE + FRAME_SIZE] = { 0x08, 0, 0, 0, 0, 0, 100, 0 };

		numbered_frame(vm, remote, EXPERIMENTAL, number, FRAME_SIZE,
			       packet + VXLAN_HEADER_SIZE);
		if (send(stream->scene->udp, packet, sizeof(packet), 0) != (ssize_t) sizeof(packet))
			atomic_store(&stream->failed, true);
		atomic_store(&stream->sent, number + 1);
		if (number % STREAM_BURST == 0) /* the speed, no more */
			(void) usleep(STREAM_PAUSE_US);
	}
	return NULL;
}

static void note(struct stream *stream, uint32_t number)
{
	if (number >= STREAM_MAX)
		return;
	stream->doubled += stream->seen[number];
	stream->disordered += number < stream->expected;
	stream->seen[number] = true;
	stream->expected = number + 1;
	atomic_fetch_add(&stream->read, 1);
}

/* QEMU: reads until the sender has ended and nothing has come for a while, or all has. */
static void *read_stream(void *userdata)
{
	struct stream *stream = userdata;
	struct pollfd poller = { .fd = stream->scene->tap, .events = POLLIN };
	uint64_t quiet_since = clock_monotonic_us();
	uint8_t frame[FRAME_SIZE];

	for (;;) {
		if (next_frame(stream->scene->tap, frame)) {
			note(stream, frame_number(frame));
			quiet_since = clock_monotonic_us();
		} else if (!atomic_load(&stream->stop)) {
			quiet_since = clock_monotonic_us();
			(void) poll(&poller, 1, 5);
		} else if (atomic_load(&stream->read) >= atomic_load(&stream->sent) ||
			   clock_monotonic_us() - quiet_since > 1000000) {
			return NULL;
		}
	}
}

static struct stream *stream_begin(struct scene *scene)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	stream->scene = scene;
	stream->seen = calloc(STREAM_MAX, sizeof(*stream->seen));
	CU_ASSERT_PTR_NOT_NULL_FATAL(stream->seen);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&stream->reader, NULL, read_stream, stream), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&stream->sender, NULL, send_stream, stream), 0);
	return stream;
}

struct target {
	struct stream *stream;
	uint32_t sent;
};

static bool has_sent(void *userdata)
{
	const struct target *target = userdata;

	return atomic_load(&target->stream->sent) >= target->sent;
}

static void await_some(struct stream *stream)
{
	struct target target = { stream, atomic_load(&stream->sent) + STREAM_STEP };

	CU_ASSERT_TRUE_FATAL(eventually(has_sent, &target));
}

/* Ends the stream; how many frames were lost. */
static uint32_t stream_end(struct stream *stream, const char *what)
{
	uint32_t sent, lost = 0;

	atomic_store(&stream->stop, true);
	CU_ASSERT_EQUAL(pthread_join(stream->sender, NULL), 0);
	CU_ASSERT_EQUAL(pthread_join(stream->reader, NULL), 0);
	CU_ASSERT_FALSE(stream->failed);
	sent = atomic_load(&stream->sent);
	CU_ASSERT_TRUE(sent < STREAM_MAX);
	for (uint32_t i = 0; i < sent; i++)
		lost += !stream->seen[i];
	CU_ASSERT_EQUAL(stream->doubled, 0);
	CU_ASSERT_EQUAL(stream->disordered, 0);
	printf("\n    %s, %s: %u frames, lost %u, doubled %u, disordered %u ... ",
	       stream->scene->underlay->name, what, sent, lost, stream->doubled,
	       stream->disordered);
	free(stream->seen);
	free(stream);
	return lost;
}

/*
 * The VM runs here from the first kernel_guard_open() on: then the bridge's entry leads to the tap
 * as well, as the agent sees to before it frees the guard. Once a first guard has made the qdiscs
 * and the queue, a whole life of another disturbs nothing either.
 */
static void loses_nothing_on(struct scene *scene)
{
	struct kernel_guard *guard = guarded(scene);
	struct stream *stream = stream_begin(scene);

	CU_ASSERT_TRUE(run("bridge fdb replace 52:54:00:aa:00:10 dev tap0 master static"));
	for (int life = 0; life < LIVES; life++) {
		if (life > 0)
			guard = guarded(scene);
		await_some(stream);
		CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
		await_some(stream);
		guard = kernel_guard_free(guard);
		expect_filters(false, false);
		await_some(stream);
	}
	CU_ASSERT_EQUAL(stream_end(stream, "guards"), 0);
	expect_lifted();
}

static void opening_and_freeing_lose_no_frame(void)
{
	over_both(loses_nothing_on);
}

/* --- what it changes and gives back --- */

static void gives_back_what_it_found(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard;

	CU_ASSERT_TRUE(run("bridge link set dev tap0 flood off bcast_flood on mcast_flood off && "
			   "echo 1 > /proc/sys/net/ipv6/conf/tap0/disable_ipv6"));
	guard = guarded(&scene);
	expect_floods("off", "off", "off");
	expect_ipv6("1\n");
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	expect_floods("off", "off", "on");

	/* Opened: the flags are the operator's again. */
	CU_ASSERT_TRUE(run("bridge link set dev tap0 flood on"));
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	expect_floods("on", "off", "on");
	kernel_guard_free(guard);
	expect_floods("on", "off", "on");
	expect_ipv6("1\n");
	expect_filters(false, false);
	expect_clsact();
	end(&scene);
}

static void switches_ipv6_off_meanwhile(void)
{
	struct scene scene = begin(&underlays[1]);
	struct kernel_guard *guard;

	expect_ipv6("0\n");
	guard = guarded(&scene);
	expect_ipv6("1\n");
	kernel_guard_free(guard);
	expect_ipv6("0\n");
	end(&scene);
}

static void lengthens_the_queue_and_never_shrinks_it(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard = NULL;

	CU_ASSERT_FALSE(shows("ip -o link show tap0", "qlen 4096", NULL));
	guard = guarded(&scene);
	CU_ASSERT_TRUE(shows("ip -o link show tap0", "qlen 4096", NULL));
	kernel_guard_free(guard);
	CU_ASSERT_TRUE(shows("ip -o link show tap0", "qlen 4096", NULL));
	CU_ASSERT_EQUAL_FATAL(
		kernel_guard_new(scene.kernel, &scene.devices, "tap0", vm, 10, &guard), 0);
	kernel_guard_free(guard);
	CU_ASSERT_TRUE(shows("ip -o link show tap0", "qlen 4096", NULL));
	end(&scene);
}

static void refusals_leave_nothing(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard = NULL, *first;
	int loose = tap_open("tap2", NULL);
	char qdiscs[NETNS_OUTPUT_MAX];

	snprintf(qdiscs, sizeof(qdiscs), "%s", output_of("tc qdisc show"));
	CU_ASSERT_EQUAL(kernel_guard_new(scene.kernel, &scene.devices, "nothing", vm, QUEUE,
					 &guard),
			-ENODEV);
	CU_ASSERT_EQUAL(kernel_guard_new(scene.kernel, &scene.devices, "tap2", vm, QUEUE, &guard),
			-ENOTCONN);
	CU_ASSERT_EQUAL(kernel_guard_new(scene.kernel, &scene.devices, "tap0", vm,
					 KERNEL_TAP_QUEUE_MAX + 1, &guard),
			-ERANGE);
	CU_ASSERT_PTR_NULL(guard);
	expect_filters(false, false);
	CU_ASSERT_STRING_EQUAL(qdiscs, output_of("tc qdisc show"));

	first = guarded(&scene);
	CU_ASSERT_EQUAL(kernel_guard_new(scene.kernel, &scene.devices, "tap0", vm, QUEUE, &guard),
			-EEXIST);
	expect_filters(true, true); /* the first one's */
	expect_floods("off", "off", "off");
	kernel_guard_free(first);
	expect_lifted();
	CU_ASSERT_PTR_NULL(kernel_guard_free(NULL));
	close(loose);
	end(&scene);
}

static void a_tap_may_be_gone_or_elsewhere(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard = guarded(&scene);

	CU_ASSERT_TRUE(run("ip link set tap0 nomaster"));
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	kernel_guard_free(guard);
	expect_filters(false, false);

	CU_ASSERT_TRUE(run("ip link set tap0 master br100"));
	guard = guarded(&scene);
	CU_ASSERT_TRUE(run("ip link del tap0"));
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	kernel_guard_free(guard);
	CU_ASSERT_FALSE(shows("tc filter show dev vx100 ingress", "filter", NULL));
	end(&scene);
}

/* --- sweeping --- */

/* An agent that makes a guard, opens it or not, and dies. */
static void live_and_die(const struct scene *scene, bool open)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct kernel_guard *guard = NULL;
		struct kernel *kernel = NULL;
		int r = kernel_new(&kernel);

		if (r == 0)
			r = kernel_guard_new(kernel, &scene->devices, "tap0", vm, QUEUE, &guard);
		if (r == 0 && open)
			r = kernel_guard_open(guard);
		_exit(r == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL_FATAL(status, 0);
}

static void sweeps_on(struct scene *scene)
{
	CU_ASSERT_EQUAL(kernel_sweep(scene->kernel, &scene->devices), 0);

	live_and_die(scene, false);
	expect_filters(true, true);
	CU_ASSERT_EQUAL(kernel_sweep(scene->kernel, &scene->devices), 1);
	expect_lifted();
	CU_ASSERT_EQUAL(kernel_sweep(scene->kernel, &scene->devices), 0);
	flood(scene, 100, true);
	expect_next(scene->other_tap, 190); /* no redirect: the VM's frame was flooded, too */
	say_all(scene, 300, true);

	live_and_die(scene, true);
	expect_filters(true, false);
	CU_ASSERT_EQUAL(kernel_sweep(scene->kernel, &scene->devices), 1);
	expect_lifted();

	live_and_die(scene, false);
	CU_ASSERT_TRUE(run("ip link del tap0"));
	CU_ASSERT_EQUAL(kernel_sweep(scene->kernel, &scene->devices), 1);
	CU_ASSERT_FALSE(shows("tc filter show dev vx100 ingress", "filter", NULL));
}

static void sweeps_what_a_dead_agent_left(void)
{
	over_both(sweeps_on);
}

/* An operator's filter on the same devices is not ours to remove. */
static void others_filters_stay(void)
{
	struct scene scene = begin(&underlays[0]);
	struct kernel_guard *guard;

	/* A program of one instruction that returns TC_ACT_UNSPEC: go on to the next filter. */
	CU_ASSERT_TRUE_FATAL(
		run("tc qdisc add dev tap0 clsact && " /* kernel_vni_ensure() made that of vx100 */
		    "tc filter add dev vx100 ingress pref 7 protocol all bpf da bytecode '1,6 0 0 "
		    "4294967295' && "
		    "tc filter add dev tap0 ingress pref 7 protocol all bpf da bytecode '1,6 0 0 "
		    "4294967295'"));
	guard = guarded(&scene);
	CU_ASSERT_EQUAL(kernel_guard_open(guard), 0);
	expect_floods("on", "on", "on");

	/* Nor is it taken for a sign that the guard is still shut. */
	CU_ASSERT_TRUE(run("bridge link set dev tap0 flood off"));
	kernel_guard_free(guard);
	expect_floods("off", "on", "on");
	CU_ASSERT_EQUAL(kernel_sweep(scene.kernel, &scene.devices), 0);
	CU_ASSERT_TRUE(shows("tc filter show dev vx100 ingress", "pref 7 bpf", NULL));
	CU_ASSERT_TRUE(shows("tc filter show dev tap0 ingress", "pref 7 bpf", NULL));
	CU_ASSERT_FALSE(
		shows("tc filter show dev vx100 ingress | grep -v 'pref 7 '", "filter", NULL));
	CU_ASSERT_FALSE(
		shows("tc filter show dev tap0 ingress | grep -v 'pref 7 '", "filter", NULL));
	end(&scene);
}

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
	{ "veth", "ip link add u0 type veth peer name u1" },
	{ "tun", "ip tuntap add tap0 mode tap" },
	{ "clsact", "tc qdisc add dev lo clsact" },
	{ "cls_bpf", "tc qdisc add dev lo clsact && tc filter add dev lo ingress bpf da bytecode "
		     "'1,6 0 0 4294967295'" },
};

NETNS_MAIN("kernel_guard", needs,
	   UNIT_TEST(keeps_floods_out),
	   UNIT_TEST(lets_only_the_guest_speak),
	   UNIT_TEST(every_octet_of_the_source_counts),
	   UNIT_TEST(counts_what_finds_no_room),
	   UNIT_TEST(redirects_whatever_the_bridge_believes),
	   UNIT_TEST(local_frames_are_not_redirected),
	   UNIT_TEST(opening_and_freeing_lose_no_frame),
	   UNIT_TEST(gives_back_what_it_found),
	   UNIT_TEST(switches_ipv6_off_meanwhile),
	   UNIT_TEST(lengthens_the_queue_and_never_shrinks_it),
	   UNIT_TEST(refusals_leave_nothing),
	   UNIT_TEST(a_tap_may_be_gone_or_elsewhere),
	   UNIT_TEST(sweeps_what_a_dead_agent_left),
	   UNIT_TEST(others_filters_stay))
