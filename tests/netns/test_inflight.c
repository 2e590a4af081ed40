/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets in flight, under traffic at full speed: none lost, none doubled, none out of order. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "tests/netns/move_scene.h"

enum {
	SWITCHES = 50,
	FRAMES = 20000,		/* of one switch */
	BEFORE_ARMING = 2000,
	BEFORE_STOP = 4000,
	MISSED = 1000,		/* frames that go to the tap when nobody reads it: several windows of the sender */
};

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
	{ "tun", "ip tuntap add tap0 mode tap" },
	{ "clsact", "tc qdisc add dev lo clsact" },
	{ "sch_tbf", "tc qdisc add dev lo root tbf rate 8bit burst 10k limit 1m" },
};

/* Worst and sums over all switches, for the record. */
struct record {
	uint64_t pulled, stragglers, switch_us_max, park_us_max, release_us_max;
};

static struct inflight *armed(struct scene *scene)
{
	struct inflight *inflight = NULL;

	CU_ASSERT_EQUAL_FATAL(inflight_arm(scene->old.kernel, &scene->old.devices, "tap0", scene->vm,
					   ip_of(scene->underlay->third), &inflight), 0);
	return inflight;
}

static void expect_perfect(struct scene *scene, const char *what)
{
	struct scene_result result;

	(void) scene_await_all(scene);
	result = scene_judge(scene);
	CU_ASSERT_EQUAL(result.lost, 0);
	CU_ASSERT_EQUAL(result.doubled, 0);
	CU_ASSERT_EQUAL(result.disordered, 0);
	if (result.lost || result.doubled || result.disordered)
		printf("\n    %s: old %zu new %zu lost %zu doubled %zu disordered %zu\n", what, result.old_count,
		       result.new_count, result.lost, result.doubled, result.disordered);
}

/* No device, entry, queue or filter of ours. */
static void expect_nothing_left(struct scene *scene)
{
	(void) scene;
	CU_ASSERT_FALSE(shows("ip -o link", "rhf", NULL));
	CU_ASSERT_FALSE(shows("bridge fdb show", "rhf", NULL));
	CU_ASSERT_FALSE(shows("tc qdisc show", "tbf", NULL));
	CU_ASSERT_FALSE(shows("tc filter show dev vx100 ingress", "filter", NULL));
}

static void take_record(struct record *record, const struct inflight_counters *counters, uint64_t release_us)
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

static void switch_once(struct scene *scene, struct record *record)
{
	_cleanup_(inflight_freep) struct inflight *inflight = NULL;
	struct inflight_counters counters = { 0 };
	uint64_t started, release_us;
	uint32_t sent;

	scene_send(scene, FRAMES);
	scene_await_sent(scene, BEFORE_ARMING);
	inflight = armed(scene);
	scene_await_sent(scene, BEFORE_STOP);
	scene_stop_old(scene);
	sent = atomic_load(&scene->sent);
	scene_await_sent(scene, sent + MISSED < FRAMES ? sent + MISSED : FRAMES - 1);
	CU_ASSERT_EQUAL(inflight_park(inflight, 0), 0);
	started = clock_monotonic_us();
	CU_ASSERT_EQUAL(inflight_release(inflight), 0);
	release_us = clock_monotonic_us() - started;
	scene_await_sent(scene, FRAMES);
	expect_perfect(scene, "switch");

	CU_ASSERT_EQUAL(inflight_read(inflight, &counters), 0);
	CU_ASSERT_FALSE(counters.unheld);
	CU_ASSERT_EQUAL(counters.tap_error, 0);
	CU_ASSERT_EQUAL(counters.dropped, 0);
	CU_ASSERT_EQUAL(counters.held_bytes, 0);
	CU_ASSERT_TRUE(counters.pulled > 0);
	CU_ASSERT_TRUE(counters.forwarded >= counters.pulled);
	take_record(record, &counters, release_us);
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
}

static const struct scene_traffic saturating = { "saturating one CPU", .one_cpu = true };
static const struct scene_traffic steady = { "50,000 packets/s", .burst_pause_us = 32 * 1000000 / 50000 };

static void switches_over(const struct underlay *underlay, const struct scene_traffic *traffic)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new(underlay, traffic);
	struct record record = { 0 };

	for (int i = 0; i < SWITCHES; i++)
		switch_once(scene, &record);
	printf("\n    %s, %s: %d switches, pulled %lu, stragglers %lu; at most: entry %lu us, parked %lu us, released %lu us ... ",
	       underlay->name, traffic->name, SWITCHES, record.pulled, record.stragglers, record.switch_us_max,
	       record.park_us_max, record.release_us_max);
	expect_nothing_left(scene);
}

static void switches_at_full_speed(void)
{
	switches_over(&underlays[0], &saturating);
	switches_over(&underlays[1], &saturating);
}

static void switches_under_steady_traffic(void)
{
	switches_over(&underlays[0], &steady);
	switches_over(&underlays[1], &steady);
}

NETNS_MAIN("inflight", needs,
	   UNIT_TEST(switches_at_full_speed),
	   UNIT_TEST(switches_under_steady_traffic))
