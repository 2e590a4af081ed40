/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which the loop deals with what is ready. */
#include "nveagent/loop.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/unit.h"

enum { USUAL = 5, ROUNDS = 20 };

struct scene {
	struct loop *loop;
	struct loop_watch *urgent, *usual[USUAL];
	struct loop_timer *bulk;
	int urgent_fds[2], usual_fds[USUAL][2];
	unsigned usual_runs, since_stop, longest, urgent_runs, bulk_runs;
	bool stopped; /* the urgent descriptor is ready */
	bool mad;     /* it is never read */
};

static void a_callback(struct scene *scene)
{
	scene->usual_runs++;
	if (scene->stopped) {
		scene->since_stop++;
		return;
	}
	/* What makes it ready comes while something else is dealt with. */
	CU_ASSERT_EQUAL(write(scene->urgent_fds[1], "", 1), 1);
	scene->stopped = true;
	scene->since_stop = 0;
}

static void on_usual(void *userdata, unsigned ready)
{
	a_callback(userdata);
}

static void on_bulk(void *userdata)
{
	struct scene *scene = userdata;

	a_callback(scene);
	scene->bulk_runs++;
	CU_ASSERT_EQUAL(loop_timer_start(scene->bulk, 0), 0);
}

static void on_urgent(void *userdata, unsigned ready)
{
	struct scene *scene = userdata;
	char byte;

	if (scene->mad) {
		if (++scene->urgent_runs == 100 * ROUNDS)
			loop_stop(scene->loop);
		return;
	}
	CU_ASSERT_EQUAL(read(scene->urgent_fds[0], &byte, 1), 1);
	if (scene->since_stop > scene->longest)
		scene->longest = scene->since_stop;
	scene->stopped = false;
	if (++scene->urgent_runs == ROUNDS)
		loop_stop(scene->loop);
}

static struct loop_watch *watched(struct scene *scene, int *fds, loop_fd_handler handler)
{
	struct loop_watch *watch;

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	watch = loop_watch_new(scene->loop, "test", fds[0], LOOP_READ, handler, scene);
	CU_ASSERT_PTR_NOT_NULL_FATAL(watch);
	return watch;
}

/* @again: the interest is set anew, which keeps what is urgent. */
static unsigned longest_wait(bool urgent, bool again, bool mad)
{
	struct scene scene = { .loop = loop_new(), .mad = mad };

	CU_ASSERT_PTR_NOT_NULL_FATAL(scene.loop);
	/* These are always ready: nobody reads them. */
	for (unsigned i = 0; i < USUAL; i++) {
		scene.usual[i] = watched(&scene, scene.usual_fds[i], on_usual);
		CU_ASSERT_EQUAL(write(scene.usual_fds[i][1], "", 1), 1);
	}
	scene.urgent = watched(&scene, scene.urgent_fds, on_urgent);
	if (urgent)
		CU_ASSERT_EQUAL(loop_watch_set_urgent(scene.urgent), 0);
	if (again)
		CU_ASSERT_EQUAL(loop_watch_set(scene.urgent, LOOP_READ), 0);
	scene.bulk = loop_timer_new(scene.loop, on_bulk, &scene);
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene.bulk);
	CU_ASSERT_EQUAL(loop_timer_start(scene.bulk, 0), 0);

	CU_ASSERT_EQUAL(loop_run(scene.loop), 0);
	CU_ASSERT_EQUAL(scene.urgent_runs, mad ? 100 * ROUNDS : ROUNDS);
	if (mad) {
		CU_ASSERT_TRUE(scene.usual_runs >= ROUNDS);
		CU_ASSERT_TRUE(scene.usual_runs < 30 * ROUNDS); /* it comes first all the same */
	}
	CU_ASSERT_TRUE(scene.bulk_runs > 0); /* nobody starves */
	scene.bulk = loop_timer_free(scene.bulk);
	scene.urgent = loop_watch_free(scene.urgent);
	for (unsigned i = 0; i < USUAL; i++) {
		scene.usual[i] = loop_watch_free(scene.usual[i]);
		close(scene.usual_fds[i][0]);
		close(scene.usual_fds[i][1]);
	}
	close(scene.urgent_fds[0]);
	close(scene.urgent_fds[1]);
	scene.loop = loop_free(scene.loop);
	return scene.longest;
}

static void what_is_urgent_waits_for_nothing_else(void)
{
	CU_ASSERT_EQUAL(longest_wait(true, false, false), 0);
	CU_ASSERT_EQUAL(longest_wait(true, true, false), 0);
}

static void what_is_usual_waits_for_its_turn(void)
{
	unsigned longest = longest_wait(false, false, false);

	CU_ASSERT_TRUE(longest > 0);
	CU_ASSERT_TRUE(longest <= 2 * (USUAL + 1));
}

static void who_never_stops_does_not_starve_the_others(void)
{
	(void) longest_wait(true, false, true);
}

/* --- rests --- */

enum { SHORT_US = 2000, LONG_US = 60 * 1000000 };

struct resting {
	struct loop *loop;
	struct loop_watch *watch;
	int fds[2];
};

static void on_nothing(void *userdata, unsigned ready)
{
	CU_FAIL("a rest calls nobody");
}

static void begin_resting(struct resting *resting, bool urgent, unsigned interest)
{
	resting->loop = loop_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(resting->loop);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, resting->fds), 0);
	resting->watch = loop_watch_new(resting->loop, "test", resting->fds[0], interest,
					on_nothing, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(resting->watch);
	if (urgent)
		CU_ASSERT_EQUAL(loop_watch_set_urgent(resting->watch), 0);
	CU_ASSERT_EQUAL(write(resting->fds[1], "", 1), 1);
}

static void end_resting(struct resting *resting)
{
	resting->watch = loop_watch_free(resting->watch);
	close(resting->fds[0]);
	close(resting->fds[1]);
	resting->loop = loop_free(resting->loop);
}

static bool rests_all_of(struct loop *loop, uint64_t us)
{
	uint64_t began_us = clock_monotonic_us();

	loop_rest(loop, us);
	return clock_monotonic_us() - began_us >= us;
}

static void what_is_urgent_ends_a_rest(void)
{
	struct resting resting;

	begin_resting(&resting, true, LOOP_READ);
	CU_ASSERT_FALSE(rests_all_of(resting.loop, LONG_US));
	/* Not while nobody wants to hear it, nor once it is watched no more. */
	CU_ASSERT_EQUAL(loop_watch_set(resting.watch, 0), 0);
	CU_ASSERT_TRUE(rests_all_of(resting.loop, SHORT_US));
	CU_ASSERT_EQUAL(loop_watch_set(resting.watch, LOOP_READ), 0);
	CU_ASSERT_FALSE(rests_all_of(resting.loop, LONG_US));
	resting.watch = loop_watch_free(resting.watch);
	CU_ASSERT_TRUE(rests_all_of(resting.loop, SHORT_US));
	end_resting(&resting);
}

static void what_is_usual_waits_for_its_end(void)
{
	struct resting resting;

	begin_resting(&resting, false, LOOP_READ);
	CU_ASSERT_TRUE(rests_all_of(resting.loop, SHORT_US));
	end_resting(&resting);
}

UNIT_MAIN("loop",
	UNIT_TEST(what_is_urgent_ends_a_rest),
	UNIT_TEST(what_is_usual_waits_for_its_end),
	UNIT_TEST(what_is_urgent_waits_for_nothing_else),
	UNIT_TEST(what_is_usual_waits_for_its_turn),
	UNIT_TEST(who_never_stops_does_not_starve_the_others))
