/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets in flight, under traffic at full speed: none lost, none doubled, none out of order. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/netns/move_frames.h"
#include "tests/netns/move_scene.h"

#define VM "52:54:00:aa:00:10" /* scene->vm */

enum {
	SWITCHES = 50,
	SWITCHES_FEW = 20,
	FRAMES = 9600,		/* of one switch; whole bundles */
	BEFORE_STOP = 2400,
	RELEASE_US = 3600000,	/* longer than any release may take */
	MISSED = 1200,		/* go to the tap when nobody reads it */
	MISSED_FEW = 300,
	NEW_TAP_PACKETS = 1000,	/* txqueuelen of a new tap: ether_setup(), net/ethernet/eth.c */
	RETURNS_OF_MUCH = 3,
};

/* Worst and sums over all switches, for the record. */
struct record {
	uint64_t pulled, stragglers, switch_us_max, park_us_max, release_us_max;
};

/* No device, entry, queue or filter of ours. */
static void expect_nothing_left(struct scene *scene)
{
	(void) scene;
	CU_ASSERT_FALSE(shows("ip -o link", "rhf", NULL));
	CU_ASSERT_FALSE(shows("bridge fdb show", "rhf", NULL));
	CU_ASSERT_FALSE(shows("tc qdisc show", "tbf", NULL));
	CU_ASSERT_FALSE(shows("tc filter show dev vx100 ingress", "filter", NULL));
}

static void take_record(struct record *record, const struct inflight_counters *counters,
			uint64_t release_us)
{
	if (release_us > record->release_us_max)
		record->release_us_max = release_us;
	record->pulled += counters->pulled;
	record->stragglers += counters->stragglers;
	if (counters->switch_us > record->switch_us_max)
		record->switch_us_max = counters->switch_us;
	if (counters->park_us > record->park_us_max)
		record->park_us_max = counters->park_us;
}

/*
 * The VM is here and gets frames, is about to leave, stops; some more frames come to its tap. From
 * then on traffic flows as fast as it may.
 */
static struct inflight *stop_under_traffic(struct scene *scene)
{
	struct inflight *inflight;

	scene_send(scene, FRAMES, BEFORE_STOP);
	inflight = scene_arm(scene);
	scene_await_limit(scene);
	scene_stop_old(scene);
	scene_go(scene, BEFORE_STOP + MISSED);
	scene_await_limit(scene);
	scene_go(scene, FRAMES);
	return inflight;
}

static void expect_counters(const struct inflight_counters *counters)
{
	CU_ASSERT_FALSE(counters->unheld);
	CU_ASSERT_EQUAL(counters->tap_error, 0);
	CU_ASSERT_EQUAL(counters->dropped, 0);
	CU_ASSERT_EQUAL(counters->held_bytes, 0);
	CU_ASSERT_TRUE(counters->pulled > 0); /* it stopped with frames in its tap */
}

static void switch_once(struct scene *scene, struct record *record)
{
	_cleanup_(inflight_freep) struct inflight *inflight = stop_under_traffic(scene);
	struct inflight_counters counters = { 0 };
	uint64_t started;

	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	CU_ASSERT_EQUAL(counters.forwarded, 0); /* until it is released */
	CU_ASSERT_EQUAL(atomic_load(&scene->new_log->count), 0);

	started = clock_monotonic_us();
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0);
	started = clock_monotonic_us() - started;
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0); /* idempotent */
	scene_await_limit(scene);
	scene_expect_perfect(scene, "switch");

	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	expect_counters(&counters);
	CU_ASSERT_TRUE(counters.forwarded >= counters.pulled);
	if (!scene->traffic.bundles) /* and perhaps some multicast of the host's own */
		CU_ASSERT_TRUE(counters.forwarded >= atomic_load(&scene->new_log->count));
	take_record(record, &counters, started);
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
	CU_ASSERT_EQUAL(inflight_park(inflight, 0), -EALREADY);
}

/* The move fails before anything is released: the guest goes on here and misses nothing. */
static void return_once(struct scene *scene, struct record *record)
{
	_cleanup_(inflight_freep) struct inflight *inflight = stop_under_traffic(scene);
	struct inflight_counters counters = { 0 };
	uint64_t started;

	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	scene_run_old(scene);
	started = clock_monotonic_us();
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
	started = clock_monotonic_us() - started;
	CU_ASSERT_EQUAL(inflight_return(inflight), 0); /* idempotent */
	scene_await_limit(scene);
	scene_expect_perfect(scene, "return");

	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	expect_counters(&counters);
	CU_ASSERT_EQUAL(counters.returned, counters.pulled);
	CU_ASSERT_EQUAL(atomic_load(&scene->new_log->count), 0);
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), -EALREADY);
	CU_ASSERT_TRUE(
		shows("bridge fdb show br br100", VM, "tap0", "extern_learn", "sticky", NULL));
	take_record(record, &counters, started);
}

/*
 * What has waited is more than a tap's queue holds as QEMU or libvirt made it, and the guest does
 * not read yet: the source's QEMU says that the migration has failed before it says RESUME.
 */
static void return_much(struct scene *scene, struct record *record)
{
	_cleanup_(inflight_freep) struct inflight *inflight = NULL;
	struct inflight_counters counters = { 0 };
	uint64_t started;

	CU_ASSERT_TRUE_FATAL(run("ip link set tap0 txqueuelen %d", NEW_TAP_PACKETS));
	scene_send(scene, FRAMES, BEFORE_STOP);
	inflight = scene_arm(scene);
	scene_await_limit(scene);
	scene_stop_old(scene);
	scene_go(scene, BEFORE_STOP + MISSED_FEW);
	scene_await_limit(scene);
	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	scene_go(scene, FRAMES);
	scene_await_limit(scene);

	started = clock_monotonic_us();
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
	started = clock_monotonic_us() - started;
	scene_run_old(scene);
	scene_expect_perfect(scene, "return of much");
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	expect_counters(&counters);
	take_record(record, &counters, started);
}

static const struct scene_traffic saturating = { "saturating one CPU", .one_cpu = true };
static const struct scene_traffic steady = {
	"50,000 packets/s",
	.burst_pause_us = SCENE_BURST * 1000000 / 50000,
};
static const struct scene_traffic bundles = { "bundles", .bundles = true, .one_cpu = true };

static void repeat(const struct underlay *underlay, const struct scene_traffic *traffic, int times,
		   void (*once)(struct scene *scene, struct record *record))
{
	_cleanup_(scene_freep) struct scene *scene = scene_new(underlay, traffic);
	struct record record = { 0 };

	for (int i = 0; i < times; i++)
		once(scene, &record);
	printf("\n    %s, %s: %d times, pulled %lu, stragglers %lu; "
	       "at most: entry %lu us, parked %lu us, released or returned %lu us ... ",
	       underlay->name, traffic->name, times, record.pulled, record.stragglers,
	       record.switch_us_max, record.park_us_max, record.release_us_max);
	expect_nothing_left(scene);
}

static void switches_at_full_speed(void)
{
	repeat(&underlays[0], &saturating, SWITCHES, switch_once);
	repeat(&underlays[1], &saturating, SWITCHES, switch_once);
}

static void switches_under_steady_traffic(void)
{
	repeat(&underlays[0], &steady, SWITCHES, switch_once);
	repeat(&underlays[1], &steady, SWITCHES, switch_once);
}

static void switches_bundles_with_unfinished_checksums(void)
{
	repeat(&underlays[0], &bundles, SWITCHES_FEW, switch_once);
	repeat(&underlays[1], &bundles, SWITCHES_FEW, switch_once);
}

static void returns_at_full_speed(void)
{
	repeat(&underlays[0], &saturating, SWITCHES_FEW, return_once);
	repeat(&underlays[1], &saturating, SWITCHES_FEW, return_once);
}

static void returns_bundles(void)
{
	repeat(&underlays[0], &bundles, SWITCHES_FEW, return_once);
	repeat(&underlays[1], &bundles, SWITCHES_FEW, return_once);
}

static void returns_more_than_the_tap_has_room_for(void)
{
	repeat(&underlays[0], &saturating, RETURNS_OF_MUCH, return_much);
	repeat(&underlays[1], &saturating, RETURNS_OF_MUCH, return_much);
}

/* --- broadcast and multicast --- */

static const struct mac everybody = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
static const struct mac group = { { 0x33, 0x33, 0, 0, 0, 1 } };

static void send_into_bridge(struct raw_port *bridge, struct mac to, struct mac from,
			     uint32_t number)
{
	uint8_t frame[MOVE_FRAME_SIZE];
	size_t size = move_frame_build(to, from, number, frame);

	CU_ASSERT_EQUAL(raw_port_send(bridge, NULL, frame, size), 0);
}

static bool four_have_come(void *userdata)
{
	const struct scene *scene = userdata;

	return atomic_load(&scene->new_log->count) >= 4;
}

/*
 * What was flooded to the VM while it stood still comes too, in its place; its own frames do not,
 * nor what is flooded later: that reaches its new tap directly.
 */
static void take_groups_along(const struct underlay *underlay)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new(underlay, &steady);
	_cleanup_(inflight_freep) struct inflight *inflight = scene_arm(scene);
	_cleanup_(raw_port_freep) struct raw_port *bridge = NULL;
	static const uint32_t expected[] = { 1, 2, 4, 6 };

	scene_stop_old(scene);
	CU_ASSERT_EQUAL_FATAL(raw_port_open(ifindex_of("br100"), true, &bridge), 0);
	send_into_bridge(bridge, everybody, scene->sender_mac, 1);
	send_into_bridge(bridge, scene->vm, scene->sender_mac, 2);
	send_into_bridge(bridge, everybody, scene->vm, 3);
	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	send_into_bridge(bridge, group, scene->sender_mac, 4);
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0);
	send_into_bridge(bridge, everybody, scene->sender_mac, 5);
	send_into_bridge(bridge, scene->vm, scene->sender_mac, 6);

	CU_ASSERT_TRUE_FATAL(eventually(four_have_come, scene));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		CU_ASSERT_EQUAL(scene->new_log->numbers[i], expected[i]);
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
}

static void takes_groups_along(void)
{
	take_groups_along(&underlays[0]);
	take_groups_along(&underlays[1]);
}

/* --- without traffic --- */

static bool tap_is_gone(void *userdata)
{
	(void) userdata;
	return ifindex_of("tap0") == 0;
}

/* Our handle must not keep the tap of a QEMU that has ended. */
static void lets_the_tap_go_with_its_qemu(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new(&underlays[0], &saturating);
	_cleanup_(inflight_freep) struct inflight *inflight = scene_arm(scene);
	struct inflight_counters counters;

	scene_stop_old(scene);
	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0);
	scene_end_old(scene);
	CU_ASSERT_NOT_EQUAL(ifindex_of("tap0"), 0);
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	CU_ASSERT_TRUE(eventually(tap_is_gone, NULL));
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
}

struct local {
	struct kernel *kernel;
	struct vni_devices devices;
};

static struct local local_new(void)
{
	struct local local;

	CU_ASSERT_EQUAL_FATAL(kernel_new(&local.kernel), 0);
	make_underlay(&underlays[0]);
	make_vni(local.kernel, &underlays[0], &local.devices);
	return local;
}

static int arm_locally(struct local *local, const char *tap, const char *mac,
		       struct inflight **ret_inflight)
{
	return inflight_arm(local->kernel, &local->devices, tap, mac_of(mac), ip_of("192.0.2.3"),
			    ret_inflight);
}

/* What the forward device is, by the eyes of ip(8), bridge(8) and tc(8). */
static void makes_the_device_it_says(void)
{
	struct local local = local_new();
	struct inflight *inflight = NULL;
	char *bridge = strdup(output_of("ip -o link show br100 | grep -o 'link/ether [^ ]*'"));

	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "none", VM, &inflight), 0);
	CU_ASSERT_TRUE(shows("ip -d -o link show rhf0", "vxlan id 1 ", "dstport 14789",
			     "srcport 49152 49153", "nolearning", "mtu 1450", "master br100",
			     "learning off", " flood off", "mcast_flood off", "bcast_flood off",
			     ",UP", NULL));
	CU_ASSERT_TRUE(shows("ip link show rhf0", "alias rehome forward vni 100 mac " VM, NULL));
	CU_ASSERT_TRUE(shows("bridge fdb show dev rhf0", VM " dst 192.0.2.3 port 4789 vni 100 self",
			     "extern_learn", NULL));
	CU_ASSERT_FALSE(shows("bridge fdb show br br100", VM " dev rhf0", "master", NULL));
	CU_ASSERT_TRUE(shows("tc filter show dev rhf0 ingress", "direct-action", NULL));
	CU_ASSERT_TRUE(shows("tc qdisc show dev rhf0 root", "tbf 7268:", NULL));
	CU_ASSERT_FALSE(shows("ip -6 -o addr show dev rhf0", "inet6", NULL));
	CU_ASSERT_EQUAL(inflight_ifindex(inflight), ifindex_of("rhf0"));

	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	CU_ASSERT_TRUE(
		shows("bridge fdb show br br100", VM " dev rhf0", "extern_learn", "sticky", NULL));
	CU_ASSERT_EQUAL(inflight_return(inflight), -ENODEV); /* no tap to return to */

	inflight_free(inflight);
	CU_ASSERT_EQUAL(ifindex_of("rhf0"), 0);
	CU_ASSERT_FALSE(shows("bridge fdb show br br100", VM, NULL));
	CU_ASSERT_STRING_EQUAL(bridge,
			       output_of("ip -o link show br100 | grep -o 'link/ether [^ ]*'"));
	free(bridge);
	kernel_free(local.kernel);
}

static void forwards_several_at_once(void)
{
	struct local local = local_new();
	struct inflight *first = NULL, *second = NULL;

	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "none", VM, &first), 0);
	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "none", "52:54:00:aa:00:11", &second), 0);
	CU_ASSERT_EQUAL(inflight_ifindex(first), ifindex_of("rhf0"));
	CU_ASSERT_EQUAL(inflight_ifindex(second), ifindex_of("rhf2"));

	first = inflight_free(first);
	CU_ASSERT_TRUE(!ifindex_of("rhf0") && ifindex_of("rhf2"));
	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "none", "52:54:00:aa:00:12", &first), 0);
	CU_ASSERT_EQUAL(inflight_ifindex(first), ifindex_of("rhf0"));
	inflight_free(second);
	inflight_free(first);
	CU_ASSERT_FALSE(shows("ip -o link", "rhf", NULL));
	kernel_free(local.kernel);
}

/* A device or a VNI of somebody else's is not in the way, and not touched. */
static void keeps_clear_of_others(void)
{
	struct local local = local_new();
	struct inflight *inflight = NULL;

	CU_ASSERT_TRUE(run(
		"ip link add rhf0 type bridge && ip link add vx7 type vxlan id 2 dstport 14789"));
	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "none", VM, &inflight), 0);
	/* of 1 the VNI, 2, is taken */
	CU_ASSERT_EQUAL(inflight_ifindex(inflight), ifindex_of("rhf2"));
	inflight_free(inflight);
	CU_ASSERT_TRUE(ifindex_of("rhf0") && ifindex_of("vx7"));
	kernel_free(local.kernel);
}

static void tells_why_nothing_is_pulled(void)
{
	struct local local = local_new();
	struct inflight_counters counters = { 0 };
	struct inflight *inflight = NULL;

	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "none", VM, &inflight), 0);
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	CU_ASSERT_EQUAL(counters.tap_error, -ENODEV);
	inflight_free(inflight);

	/* u1 is no tap, and nobody holds it. */
	CU_ASSERT_EQUAL_FATAL(arm_locally(&local, "u1", VM, &inflight), 0);
	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	CU_ASSERT_EQUAL(counters.tap_error, -ENOENT);
	inflight_free(inflight);
	kernel_free(local.kernel);
}

static void leaves_nothing_when_it_cannot_arm(void)
{
	struct local local = local_new();
	struct inflight *inflight = NULL;

	CU_ASSERT_EQUAL(inflight_arm(local.kernel, &local.devices, "none", mac_of(VM),
				     ip_of("2001:db8::3"), &inflight),
			-EAFNOSUPPORT);
	CU_ASSERT_EQUAL(arm_locally(&local, "none", "ff:ff:ff:ff:ff:ff", &inflight), -EINVAL);
	local.devices.bridge_ifindex = ifindex_of("u1");
	CU_ASSERT_TRUE(arm_locally(&local, "none", VM, &inflight) < 0);
	CU_ASSERT_PTR_NULL(inflight);
	CU_ASSERT_FALSE(shows("ip -o link", "rhf", NULL));
	CU_ASSERT_PTR_NULL(inflight_free(NULL));
	kernel_free(local.kernel);
}

/* An agent that arms, parks or not, and dies. */
static void live_and_die(struct local *local, bool park)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct inflight *inflight = NULL;
		int r = kernel_new(&local->kernel);

		if (r == 0)
			r = arm_locally(local, "none", VM, &inflight);
		if (r == 0 && park)
			r = inflight_park(inflight, 0);
		_exit(r == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL_FATAL(status, 0);
}

/* What looks like ours but bears not all marks, or belongs to another VNI's bridge, stays. */
static void sweeps_what_a_dead_agent_left(void)
{
	struct local local = local_new();

	CU_ASSERT_TRUE(run(
		"ip link add rhf3 type vxlan id 9 dstport 9999 && ip link set rhf3 master br100 && "
		"ip link add br200 type bridge && "
		"ip link add rhf4 address fe:ff:ff:ff:00:04 type vxlan id 10 dstport 9999 && "
		"ip link set rhf4 master br200"));
	live_and_die(&local, false);
	CU_ASSERT_TRUE(ifindex_of("rhf0") && ifindex_of("rhf1"));
	CU_ASSERT_EQUAL(kernel_sweep(local.kernel, &local.devices), 2);
	CU_ASSERT_FALSE(ifindex_of("rhf0") || ifindex_of("rhf1"));

	/* What is in use is for the next life to adopt: test_inflight_left.c. */
	live_and_die(&local, true);
	CU_ASSERT_EQUAL(kernel_sweep(local.kernel, &local.devices), 0);
	CU_ASSERT_TRUE(shows("bridge fdb show br br100", VM " dev rhf0", NULL));
	CU_ASSERT_TRUE(run("bridge fdb del " VM " dev rhf0 master"));
	CU_ASSERT_EQUAL(kernel_sweep(local.kernel, &local.devices), 2);
	CU_ASSERT_FALSE(ifindex_of("rhf0") || ifindex_of("rhf1"));
	CU_ASSERT_FALSE(shows("bridge fdb show br br100", VM, NULL));
	CU_ASSERT_TRUE(ifindex_of("rhf3") && ifindex_of("rhf4"));
	CU_ASSERT_EQUAL(kernel_sweep(local.kernel, &local.devices), 0);
	kernel_free(local.kernel);
}

/* --- the forward device is no way in --- */

static bool rogue_frames_are_dropped(void *userdata)
{
	(void) userdata;
	return shows("tc -s qdisc show dev rhf0 clsact", "Sent", "dropped 10,", NULL);
}

static void lets_nothing_in_by_the_forward_device(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new(&underlays[0], &saturating);
	_cleanup_(inflight_freep) struct inflight *inflight = scene_arm(scene);
	_cleanup_(raw_port_freep) struct raw_port *rogue = NULL;
	uint8_t frame[MOVE_FRAME_SIZE];

	netns_enter(scene->peer.netns);
	CU_ASSERT_TRUE_FATAL(
		run("ip link add rogue type vxlan id 1 dstport 14789 remote 192.0.2.2 && "
		    "echo 1 > /proc/sys/net/ipv6/conf/rogue/disable_ipv6 && "
		    "ip link set rogue up"));
	CU_ASSERT_EQUAL_FATAL(raw_port_open(ifindex_of("rogue"), false, &rogue), 0);
	move_frame_build(scene->vm, scene->sender_mac, 0, frame);
	for (int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(raw_port_send(rogue, NULL, frame, sizeof(frame)), 0);
	netns_enter(scene->old.netns);
	CU_ASSERT_TRUE(eventually(rogue_frames_are_dropped, NULL));

	/* What comes the right way afterwards arrives alone. */
	scene_send(scene, FRAMES, FRAMES);
	scene_await_limit(scene);
	scene_expect_perfect(scene, "rogue");
	CU_ASSERT_EQUAL(atomic_load(&scene->shared->old_log.count), FRAMES);
}

NETNS_MAIN("inflight", inflight_needs,
	   UNIT_TEST(switches_at_full_speed),
	   UNIT_TEST(switches_under_steady_traffic),
	   UNIT_TEST(switches_bundles_with_unfinished_checksums),
	   UNIT_TEST(returns_at_full_speed),
	   UNIT_TEST(returns_bundles),
	   UNIT_TEST(returns_more_than_the_tap_has_room_for),
	   UNIT_TEST(takes_groups_along),
	   UNIT_TEST(lets_the_tap_go_with_its_qemu),
	   UNIT_TEST(makes_the_device_it_says),
	   UNIT_TEST(forwards_several_at_once),
	   UNIT_TEST(keeps_clear_of_others),
	   UNIT_TEST(tells_why_nothing_is_pulled),
	   UNIT_TEST(leaves_nothing_when_it_cannot_arm),
	   UNIT_TEST(sweeps_what_a_dead_agent_left),
	   UNIT_TEST(lets_nothing_in_by_the_forward_device))
