/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An agent that ends while packets are in flight, and its next life: under traffic none is lost,
 * doubled or out of order.
 *
 * A dead agent is a struct inflight that nobody touches any more: what it has in the kernel stays.
 */
#include <errno.h>

#include "tests/netns/move_scene.h"

enum {
	FRAMES = 6000,
	BEFORE_STOP = 1500,
	MISSED = 500,	     /* go to the tap when nobody reads it */
	WHILE_HELD = 3000,   /* of all, sent until the new agent is there */
	RELEASE_US = 3600000, /* longer than any release may take */
	TIMES = 3,
};

static const struct scene_traffic steady = {
	"50,000 packets/s",
	.burst_pause_us = SCENE_BURST * 1000000 / 50000,
};

/* The VM has stopped; @missed frames came to its tap, and the switch has been made. */
static struct inflight *parked(struct scene *scene, uint32_t missed)
{
	struct inflight *inflight;

	scene_send(scene, FRAMES, BEFORE_STOP);
	inflight = scene_arm(scene);
	scene_await_limit(scene);
	CU_ASSERT_TRUE_FATAL(scene_await_read(scene, BEFORE_STOP));
	scene_stop_old(scene);
	if (missed) {
		scene_go(scene, BEFORE_STOP + missed);
		scene_await_limit(scene);
	}
	CU_ASSERT_EQUAL_FATAL(inflight_park(inflight, 0), 0);
	return inflight;
}

/* Its next life: finds it, and does not sweep it. */
static struct inflight *adopted(struct scene *scene)
{
	_cleanup_free_ struct kernel_left *left = calloc(KERNEL_LEFT_MAX, sizeof(*left));
	struct inflight *inflight = NULL;

	CU_ASSERT_EQUAL(kernel_sweep(scene->old.kernel, &scene->old.devices), 0);
	CU_ASSERT_EQUAL_FATAL(kernel_find_left(scene->old.kernel, &scene->old.devices, left), 1);
	CU_ASSERT_EQUAL(mac_cmp(left->mac, scene->vm), 0);
	CU_ASSERT_EQUAL(ip_cmp(left->new_vtep, ip_of(scene->underlay->third)), 0);
	CU_ASSERT_EQUAL_FATAL(
		inflight_adopt(scene->old.kernel, &scene->old.devices, left, &inflight), 0);
	return inflight;
}

/* The handle on the tap, which the dead agent's process would have closed, is what is left. */
static void bury(struct inflight *dead)
{
	static struct inflight *dead_ones[64];

	for (size_t i = 0; i < ARRAY_SIZE(dead_ones); i++)
		if (!dead_ones[i]) {
			dead_ones[i] = dead;
			return;
		}
	CU_FAIL_FATAL("too many");
}

/* Ends it, with the VM at the old NVE again, for the next run. */
static void end(struct scene *scene, struct inflight *inflight)
{
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
	inflight_free(inflight);
	CU_ASSERT_FALSE(shows("ip -o link", "rhf", NULL));
	scene_place_at_old(scene);
}

static void repeat(void (*once)(struct scene *scene))
{
	for (size_t i = 0; i < ARRAY_SIZE(underlays); i++) {
		_cleanup_(scene_freep) struct scene *scene = scene_new(&underlays[i], &steady);

		for (int n = 0; n < TIMES; n++)
			once(scene);
	}
}

static void hold_over(struct scene *scene)
{
	struct inflight *inflight;

	bury(parked(scene, 0));
	scene_go(scene, WHILE_HELD);
	scene_await_limit(scene);
	inflight = adopted(scene);
	CU_ASSERT_EQUAL(atomic_load(&scene->new_log->count), 0);
	scene_go(scene, FRAMES);
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0);
	scene_await_limit(scene);
	scene_expect_perfect(scene, "held over");
	inflight_find_tap(inflight, "tap0");
	end(scene, inflight);
}

static void what_a_dead_agent_held_goes_to_the_new_nve(void)
{
	repeat(hold_over);
}

static void hold_over_and_return(struct scene *scene)
{
	struct inflight *inflight;

	bury(parked(scene, 0));
	scene_go(scene, WHILE_HELD);
	scene_await_limit(scene);
	inflight = adopted(scene);
	CU_ASSERT_EQUAL(inflight_return(inflight), -ENODEV); /* as long as it knows of no tap */
	inflight_find_tap(inflight, "tap0");
	scene_run_old(scene);
	scene_go(scene, FRAMES);
	CU_ASSERT_EQUAL(inflight_return(inflight), 0);
	scene_await_limit(scene);
	scene_expect_perfect(scene, "returned");
	CU_ASSERT_EQUAL(atomic_load(&scene->new_log->count), 0);
	end(scene, inflight);
}

static void what_a_dead_agent_held_goes_back_to_the_tap(void)
{
	repeat(hold_over_and_return);
}

/* It died while it let out what was held: the older part is in the other device. */
static void die_amid_release(struct scene *scene)
{
	struct inflight *dead = parked(scene, MISSED), *inflight;

	scene_go(scene, WHILE_HELD);
	scene_await_limit(scene);
	CU_ASSERT_EQUAL(inflight_release(dead, 0), -EINPROGRESS);
	bury(dead);
	scene_go(scene, FRAMES);
	inflight = adopted(scene);
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0);
	scene_await_limit(scene);
	scene_expect_perfect(scene, "died amid the release");
	inflight_find_tap(inflight, "tap0");
	end(scene, inflight);
}

static void a_release_that_was_begun_is_ended(void)
{
	repeat(die_amid_release);
}

/* What was pulled from the tap, too; and the kernel goes on alone. */
static void leave_once(struct scene *scene)
{
	struct inflight *inflight = parked(scene, MISSED);

	scene_go(scene, WHILE_HELD);
	scene_await_limit(scene);
	CU_ASSERT_PTR_NULL(inflight_leave(inflight));
	scene_go(scene, FRAMES);
	scene_await_limit(scene);
	scene_expect_perfect(scene, "left");
	inflight = adopted(scene);
	CU_ASSERT_EQUAL(inflight_release(inflight, RELEASE_US), 0);
	inflight_find_tap(inflight, "tap0");
	end(scene, inflight);
}

static void an_agent_that_ends_leaves_nothing_behind_it(void)
{
	repeat(leave_once);
}

/* Armed only, or given back: there is nothing to hold over. */
static void what_is_not_in_use_is_swept(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new(&underlays[0], &steady);
	_cleanup_free_ struct kernel_left *left = calloc(KERNEL_LEFT_MAX, sizeof(*left));

	bury(scene_arm(scene));
	CU_ASSERT_EQUAL(kernel_find_left(scene->old.kernel, &scene->old.devices, left), 0);
	CU_ASSERT_EQUAL(kernel_sweep(scene->old.kernel, &scene->old.devices), 2);
	CU_ASSERT_PTR_NULL(inflight_leave(scene_arm(scene)));
	CU_ASSERT_FALSE(shows("ip -o link", "rhf", NULL));
	CU_ASSERT_PTR_NULL(inflight_leave(NULL));
}

NETNS_MAIN("inflight_left", inflight_needs,
	   UNIT_TEST(what_a_dead_agent_held_goes_to_the_new_nve),
	   UNIT_TEST(what_a_dead_agent_held_goes_back_to_the_tap),
	   UNIT_TEST(a_release_that_was_begun_is_ended),
	   UNIT_TEST(an_agent_that_ends_leaves_nothing_behind_it),
	   UNIT_TEST(what_is_not_in_use_is_swept))
