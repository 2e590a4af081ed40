// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_conntrack_thread.c - the thread beside the loop: order, answers, and what is forgotten or
 * undone.
 */
#include <errno.h>
#include <string.h>

#include "nveagent/conntrack.h"
#include "tests/netns/netns.h"

enum { FLOWS = 100 };

struct scene {
	struct loop *loop;
	struct conntrack *conntrack;
	struct loop_timer *deadline;
	unsigned answers;
	size_t made, there, found;
	int error;
};

static void on_deadline(void *userdata)
{
	struct scene *scene = userdata;

	CU_FAIL("no answer");
	loop_stop(scene->loop);
}

static void scene_begin(struct scene *scene)
{
	*scene = (struct scene){ .loop = loop_new() };
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->loop);
	CU_ASSERT_EQUAL_FATAL(conntrack_new(scene->loop, &scene->conntrack), 0);
	scene->deadline = loop_timer_new(scene->loop, on_deadline, scene);
	CU_ASSERT_EQUAL_FATAL(loop_timer_start(scene->deadline, NETNS_DEADLINE_MS * 1000), 0);
}

static void scene_end(struct scene *scene)
{
	scene->conntrack = conntrack_free(scene->conntrack);
	scene->deadline = loop_timer_free(scene->deadline);
	scene->loop = loop_free(scene->loop);
}

static struct flow *some_flows(void)
{
	struct flow *flows = calloc(FLOWS, sizeof(*flows));

	CU_ASSERT_PTR_NOT_NULL_FATAL(flows);
	for (size_t i = 0; i < FLOWS; i++) {
		const struct ip vm = ip_of(i % 2 ? "10.0.0.16" : "fd00::10");
		const struct ip peer = ip_of(i % 2 ? "10.0.0.1" : "fd00::1");
		uint16_t port = (uint16_t) (i + 1);

		flows[i] = (struct flow){
			.tuples = { { vm, peer, port, 53 }, { peer, vm, 53, port } },
			.protocol = IPPROTO_UDP,
			.zones = 3,
			.timeout_s = 100,
		};
	}
	return flows;
}

static void on_installed(void *userdata, struct conntrack_answer *answer)
{
	struct scene *scene = userdata;

	scene->answers++;
	scene->error = answer->error;
	for (size_t i = 0; answer->error == 0 && i < answer->count; i++) {
		scene->made += answer->results[i] == 0;
		scene->there += answer->results[i] == KERNEL_CONNTRACK_WAS_THERE;
	}
}

static void on_read(void *userdata, struct conntrack_answer *answer)
{
	struct scene *scene = userdata;

	scene->answers++;
	scene->error = answer->error;
	scene->found = answer->found.count;
	loop_stop(scene->loop);
}

static void install(struct scene *scene)
{
	CU_ASSERT_EQUAL(conntrack_install(scene->conntrack, 0, some_flows(), FLOWS, on_installed,
					  scene),
			0);
}

/* Also the way to see that all before it is done. */
static void read_all(struct scene *scene)
{
	const struct ip vm[] = { ip_of("10.0.0.16"), ip_of("fd00::10") };

	CU_ASSERT_EQUAL(conntrack_read(scene->conntrack, 0, vm, 2, on_read, scene), 0);
	CU_ASSERT_EQUAL(loop_run(scene->loop), 0);
	CU_ASSERT_EQUAL(scene->error, 0);
}

static void does_one_after_the_other(void)
{
	struct scene scene;

	scene_begin(&scene);
	install(&scene);
	install(&scene);
	read_all(&scene);
	CU_ASSERT_EQUAL(scene.answers, 3);
	CU_ASSERT_EQUAL(scene.made, FLOWS);
	CU_ASSERT_EQUAL(scene.there, FLOWS);
	CU_ASSERT_EQUAL(scene.found, FLOWS);
	CU_ASSERT_EQUAL(conntrack_remove(scene.conntrack, 0, some_flows(), FLOWS / 2), 0);
	read_all(&scene);
	CU_ASSERT_EQUAL(scene.found, FLOWS / 2);
	scene_end(&scene);
}

static void undoes_what_it_made(void)
{
	struct scene scene;

	scene_begin(&scene);
	CU_ASSERT_EQUAL(conntrack_install(scene.conntrack, 0, some_flows(), FLOWS / 2, on_installed,
					  &scene),
			0);
	read_all(&scene);
	install(&scene);
	conntrack_undo(scene.conntrack, &scene);
	read_all(&scene); /* behind the installation, and before its undoing */
	read_all(&scene);
	CU_ASSERT_EQUAL(scene.found, FLOWS / 2); /* what was there before is left */
	CU_ASSERT_EQUAL(scene.made, FLOWS / 2);
	scene_end(&scene);
}

static void answers_nobody_it_forgot(void)
{
	struct scene scene;

	scene_begin(&scene);
	install(&scene);
	conntrack_forget(scene.conntrack, &scene);
	read_all(&scene);
	CU_ASSERT_EQUAL(scene.answers, 1);
	CU_ASSERT_EQUAL(scene.found, FLOWS); /* done all the same */
	scene_end(&scene);
}

static void ends_with_work_to_do(void)
{
	struct scene scene;

	for (int i = 0; i < 20; i++) {
		scene_begin(&scene);
		for (int n = 0; n < 20; n++)
			install(&scene);
		scene_end(&scene);
		CU_ASSERT_EQUAL(scene.answers, 0);
	}
	scene_begin(&scene);
	scene_end(&scene); /* or without any */
}

static const struct netns_need needs[] = {
	{ "connection tracking", "conntrack -L" },
};

NETNS_MAIN("conntrack_thread", needs, UNIT_TEST(does_one_after_the_other),
	   UNIT_TEST(undoes_what_it_made), UNIT_TEST(answers_nobody_it_forgot),
	   UNIT_TEST(ends_with_work_to_do))
