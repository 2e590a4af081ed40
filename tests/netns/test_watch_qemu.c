/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_watch_qemu.c - a real QEMU (no guest, TCG) under watch: its status, its events, its end, and
 * a broken connection.
 *
 * Each QEMU has two monitors: one for the watch, one through which the test gives its orders. For
 * the broken connection a relay stands between the watch and QEMU, and is cut.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/unix_socket.h"
#include "nveagent/watch_qemu.h"
#include "qmp/client.h"
#include "qmp/migration.h"
#include "tests/unit/unit.h"
#include "watch_scene.h"

enum {
	EVENTS_MAX = 256,
	START_TIMEOUT_MS = 20000,
	ROUNDS = 50, /* of stop and cont, for the order and the delay */
	EVENTS_WANTED = 2 * ROUNDS,
	DELAY_MAX_US = 500000, /* far above what a loaded machine needs, far below a lost wake-up */
	RELAY_SIZE = 4096,
};

struct scene {
	struct loop *loop;
	struct qemu_watch *watch;
	pid_t qemu;
	char path[64], orders[64];
	unsigned statuses, gones, wanted;
	bool running, incoming;
	struct qmp_event events[EVENTS_MAX];
	uint64_t heard_us[EVENTS_MAX]; /* CLOCK_REALTIME */
	size_t count;
	bool free_in_status, free_in_event, free_in_gone;
};

/* --- what the watch says --- */

static void on_status(void *userdata, bool running, bool incoming)
{
	struct scene *scene = userdata;

	scene->statuses++;
	scene->running = running;
	scene->incoming = incoming;
	if (scene->free_in_status)
		scene->watch = qemu_watch_free(scene->watch);
}

static void on_event(void *userdata, const struct qmp_event *event)
{
	struct scene *scene = userdata;

	if (scene->count < EVENTS_MAX) {
		scene->heard_us[scene->count] = clock_realtime_us();
		scene->events[scene->count++] = *event;
	}
	if (scene->free_in_event)
		scene->watch = qemu_watch_free(scene->watch);
}

static void on_gone(void *userdata)
{
	struct scene *scene = userdata;

	scene->gones++;
	if (scene->free_in_gone)
		scene->watch = qemu_watch_free(scene->watch);
}

static const struct qemu_watch_events callbacks = { on_status, on_event, on_gone };

static bool has_statuses(void *userdata)
{
	struct scene *scene = userdata;

	return scene->statuses >= scene->wanted;
}

static bool has_events(void *userdata)
{
	struct scene *scene = userdata;

	return scene->count >= scene->wanted;
}

static bool is_gone(void *userdata)
{
	struct scene *scene = userdata;

	return scene->gones > 0;
}

static bool until(struct scene *scene, bool (*holds)(void *userdata), unsigned wanted)
{
	scene->wanted = wanted;
	return scene_loop_until(scene->loop, holds, scene, START_TIMEOUT_MS);
}

/* --- QEMU --- */

static void qemu_start(struct scene *scene, const char *incoming)
{
	char watched[128], orders[128];
	pid_t pid;

	snprintf(watched, sizeof(watched), "unix:%s,server=on,wait=off", scene->path);
	snprintf(orders, sizeof(orders), "unix:%s,server=on,wait=off", scene->orders);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-S", "-machine", "pc,accel=tcg",
		       "-m", "16", "-nodefaults", "-display", "none", "-qmp", watched, "-qmp",
		       orders, incoming ? "-incoming" : NULL, incoming, NULL);
		_exit(127);
	}
	CU_ASSERT_FATAL(pid > 0);
	scene->qemu = pid;
}

static void qemu_reap(struct scene *scene)
{
	if (scene->qemu <= 0)
		return;
	kill(scene->qemu, SIGKILL);
	waitpid(scene->qemu, NULL, 0);
	scene->qemu = 0;
}

static bool takes_orders(void *userdata)
{
	struct scene *scene = userdata;
	int fd = unix_socket_connect(scene->orders, 0);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static struct qmp_client *orders_open(struct scene *scene)
{
	struct qmp_client *client = NULL;

	CU_ASSERT_FATAL(scene_loop_until(scene->loop, takes_orders, scene, START_TIMEOUT_MS));
	CU_ASSERT_EQUAL_FATAL(qmp_client_open(scene->orders, START_TIMEOUT_MS, &client), 0);
	return client;
}

static int order(struct qmp_client *client, const char *command)
{
	struct json_object *request = NULL;
	int r;

	r = qmp_request_new(command, NULL, &request);
	return r < 0 ? r : qmp_client_call(client, request, NULL);
}

static void up_in(struct scene *scene, const char *name, struct loop *loop)
{
	*scene = (struct scene){ .loop = loop };
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->loop);
	snprintf(scene->path, sizeof(scene->path), "/run/%s.qmp", name);
	snprintf(scene->orders, sizeof(scene->orders), "/run/%s.orders", name);
}

static void up(struct scene *scene, const char *name)
{
	up_in(scene, name, loop_new());
}

static void watch(struct scene *scene, const char *path)
{
	CU_ASSERT_EQUAL_FATAL(qemu_watch_new(scene->loop, path, &callbacks, scene, &scene->watch),
			      0);
}

static void end(struct scene *scene)
{
	qemu_watch_free(scene->watch);
	qemu_reap(scene);
}

static void down(struct scene *scene)
{
	end(scene);
	loop_free(scene->loop);
}

/* --- the tests --- */

static void waits_for_qemu_and_tells_it_is_paused(void)
{
	struct scene scene;

	up(&scene, "a");
	watch(&scene, scene.path);
	CU_ASSERT_EQUAL(qemu_watch_announce(scene.watch), -ENOTCONN);
	qemu_start(&scene, NULL);
	CU_ASSERT(until(&scene, has_statuses, 1));
	CU_ASSERT_FALSE(scene.running);
	CU_ASSERT_FALSE(scene.incoming);
	CU_ASSERT_EQUAL(scene.gones, 0);
	CU_ASSERT_EQUAL(qemu_watch_announce(scene.watch), 0);
	down(&scene);
}

static void tells_a_running_one(void)
{
	struct qmp_client *orders;
	struct scene scene;

	up(&scene, "a");
	qemu_start(&scene, NULL);
	orders = orders_open(&scene);
	CU_ASSERT_EQUAL(order(orders, "cont"), 0);
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 1));
	CU_ASSERT_TRUE(scene.running);
	qmp_client_free(orders);
	down(&scene);
}

static void tells_an_incoming_one(void)
{
	struct scene scene;

	up(&scene, "a");
	qemu_start(&scene, "defer");
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 1));
	CU_ASSERT_FALSE(scene.running);
	CU_ASSERT_TRUE(scene.incoming);
	down(&scene);
}

static void *stop_and_go(void *userdata)
{
	struct qmp_client *orders = userdata;

	for (int i = 0; i < ROUNDS; i++)
		if (order(orders, "cont") < 0 || order(orders, "stop") < 0)
			return NULL;
	return orders;
}

static int compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void tells_stop_and_resume_in_order_and_soon(void)
{
	uint64_t delays_us[EVENTS_WANTED];
	struct qmp_client *orders;
	struct scene scene;
	pthread_t thread;
	void *done = NULL;

	up(&scene, "a");
	qemu_start(&scene, NULL);
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 1));
	orders = orders_open(&scene);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stop_and_go, orders), 0);
	CU_ASSERT(until(&scene, has_events, EVENTS_WANTED));
	pthread_join(thread, &done);
	CU_ASSERT_PTR_NOT_NULL(done);

	CU_ASSERT_EQUAL_FATAL(scene.count, EVENTS_WANTED);
	for (size_t i = 0; i < scene.count; i++) {
		CU_ASSERT_EQUAL(scene.events[i].kind, i % 2 ? QMP_EVENT_STOP : QMP_EVENT_RESUME);
		CU_ASSERT(i == 0 ||
			  scene.events[i].timestamp_us >= scene.events[i - 1].timestamp_us);
		delays_us[i] = scene.heard_us[i] - scene.events[i].timestamp_us;
	}
	qsort(delays_us, scene.count, sizeof(delays_us[0]), compare_u64);
	printf("QEMU's timestamp to callback, us: min %" PRIu64 " median %" PRIu64 " max %" PRIu64
	       "\n",
	       delays_us[0], delays_us[ROUNDS], delays_us[EVENTS_WANTED - 1]);
	CU_ASSERT(delays_us[EVENTS_WANTED - 1] < DELAY_MAX_US);
	qmp_client_free(orders);
	down(&scene);
}

static bool saw_status(const struct scene *scene, enum qmp_migration_status status)
{
	for (size_t i = 0; i < scene->count; i++)
		if (scene->events[i].kind == QMP_EVENT_MIGRATION &&
		    scene->events[i].status == status)
			return true;
	return false;
}

static bool has_migrated(void *userdata)
{
	return saw_status(userdata, QMP_MIGRATION_COMPLETED);
}

/* The capability "events" is the watch's doing: without it QEMU says nothing of a migration. */
static void tells_of_a_migration_on_both_sides(void)
{
	struct qmp_client *orders;
	struct scene source, destination;

	up(&source, "a");
	up_in(&destination, "b", source.loop);
	qemu_start(&source, NULL);
	qemu_start(&destination, "unix:/run/b.memory");
	watch(&source, source.path);
	watch(&destination, destination.path);
	CU_ASSERT(until(&source, has_statuses, 1));
	CU_ASSERT(until(&destination, has_statuses, 1));
	CU_ASSERT_TRUE(destination.incoming);

	orders = orders_open(&source);
	CU_ASSERT_EQUAL(order(orders, "cont"), 0);
	CU_ASSERT_EQUAL(qmp_migrate(orders, "unix:/run/b.memory"), 0);
	CU_ASSERT(until(&source, has_migrated, 0));
	CU_ASSERT(until(&destination, has_migrated, 0));
	CU_ASSERT(saw_status(&source, QMP_MIGRATION_SETUP));
	CU_ASSERT(saw_status(&source, QMP_MIGRATION_ACTIVE));
	qmp_client_free(orders);
	end(&destination);
	down(&source);
}

static void tells_the_end_of_a_killed_one(void)
{
	uint64_t killed_us;
	struct scene scene;

	up(&scene, "a");
	qemu_start(&scene, NULL);
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 1));
	killed_us = clock_monotonic_us();
	qemu_reap(&scene);
	CU_ASSERT(until(&scene, is_gone, 0));
	printf("kill -9 to gone(): %" PRIu64 " us\n", clock_monotonic_us() - killed_us);
	CU_ASSERT_EQUAL(scene.gones, 1);
	CU_ASSERT_EQUAL(qemu_watch_announce(scene.watch), -ENOTCONN);

	/* It said that no more callbacks follow: a new QEMU at the same path is not its own. */
	qemu_start(&scene, NULL);
	qmp_client_free(orders_open(&scene));
	CU_ASSERT_EQUAL(scene.statuses, 1);
	CU_ASSERT_EQUAL(scene.gones, 1);
	down(&scene);
}

static void tells_the_end_of_one_that_quits(void)
{
	struct qmp_client *orders;
	struct scene scene;

	up(&scene, "a");
	qemu_start(&scene, NULL);
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 1));
	orders = orders_open(&scene);
	CU_ASSERT_EQUAL(order(orders, "quit"), 0);
	scene.free_in_gone = true;
	CU_ASSERT(until(&scene, is_gone, 0));
	CU_ASSERT_PTR_NULL(scene.watch);
	CU_ASSERT_EQUAL(scene.gones, 1);
	CU_ASSERT(scene.count >= 1 && scene.events[0].kind == QMP_EVENT_SHUTDOWN);
	CU_ASSERT_FALSE(scene.events[0].by_guest);
	qmp_client_free(orders);
	down(&scene);
}

static void may_be_freed_by_its_callbacks(void)
{
	struct qmp_client *orders;
	struct scene scene;

	up(&scene, "a");
	qemu_start(&scene, NULL);
	orders = orders_open(&scene);
	scene.free_in_status = true;
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 1));
	CU_ASSERT_PTR_NULL(scene.watch);

	scene.free_in_status = false;
	scene.free_in_event = true;
	watch(&scene, scene.path);
	CU_ASSERT(until(&scene, has_statuses, 2));
	CU_ASSERT_EQUAL(order(orders, "cont"), 0);
	CU_ASSERT_EQUAL(order(orders, "stop"), 0);
	CU_ASSERT(until(&scene, has_events, 1));
	CU_ASSERT_PTR_NULL(scene.watch);
	CU_ASSERT_EQUAL(scene.count, 1);
	qmp_client_free(orders);
	down(&scene);
}

/* --- a broken connection --- */

struct relay {
	struct loop *loop;
	const char *target;
	int listener, client, server;
	struct loop_watch *on_listener, *on_client, *on_server;
};

static void copy(int from, int to)
{
	char data[RELAY_SIZE];
	ssize_t n = recv(from, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		(void) !send(to, data, (size_t) n, MSG_NOSIGNAL);
}

static void from_client(void *userdata, unsigned ready)
{
	struct relay *relay = userdata;

	copy(relay->client, relay->server);
}

static void from_server(void *userdata, unsigned ready)
{
	struct relay *relay = userdata;

	copy(relay->server, relay->client);
}

static void on_accept(void *userdata, unsigned ready)
{
	struct relay *relay = userdata;

	relay->client = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
	relay->server = unix_socket_connect(relay->target, SCENE_TIMEOUT_MS);
	relay->on_client =
		loop_watch_new(relay->loop, "relay", relay->client, LOOP_READ, from_client, relay);
	relay->on_server =
		loop_watch_new(relay->loop, "relay", relay->server, LOOP_READ, from_server, relay);
}

static void relay_cut(struct relay *relay)
{
	relay->on_client = loop_watch_free(relay->on_client);
	relay->on_server = loop_watch_free(relay->on_server);
	close(relay->client);
	close(relay->server);
}

static void comes_back_after_a_broken_connection(void)
{
	struct qmp_client *orders;
	struct relay relay;
	struct scene scene;

	up(&scene, "a");
	relay = (struct relay){ .loop = scene.loop, .target = scene.path };
	relay.listener = unix_socket_listen("/run/relay.qmp", 0600);
	CU_ASSERT_FATAL(relay.listener >= 0);
	relay.on_listener =
		loop_watch_new(scene.loop, "relay", relay.listener, LOOP_READ, on_accept, &relay);
	qemu_start(&scene, NULL);
	orders = orders_open(&scene);
	watch(&scene, "/run/relay.qmp");
	for (unsigned i = 1; i <= 5; i++) {
		CU_ASSERT(until(&scene, has_statuses, i));
		CU_ASSERT_EQUAL(scene.running, i % 2 == 0);
		CU_ASSERT_EQUAL(order(orders, i % 2 ? "cont" : "stop"), 0);
		CU_ASSERT(until(&scene, has_events, i));
		CU_ASSERT_EQUAL(scene.events[i - 1].kind,
				i % 2 ? QMP_EVENT_RESUME : QMP_EVENT_STOP);
		relay_cut(&relay);
	}
	CU_ASSERT_EQUAL(scene.gones, 0);
	CU_ASSERT(until(&scene, has_statuses, 6));
	relay_cut(&relay);
	loop_watch_free(relay.on_listener);
	close(relay.listener);
	qmp_client_free(orders);
	down(&scene);
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(waits_for_qemu_and_tells_it_is_paused),
		UNIT_TEST(tells_a_running_one),
		UNIT_TEST(tells_an_incoming_one),
		UNIT_TEST(tells_stop_and_resume_in_order_and_soon),
		UNIT_TEST(tells_of_a_migration_on_both_sides),
		UNIT_TEST(tells_the_end_of_a_killed_one),
		UNIT_TEST(tells_the_end_of_one_that_quits),
		UNIT_TEST(may_be_freed_by_its_callbacks),
		UNIT_TEST(comes_back_after_a_broken_connection),
	};
	int r = scene_enter();

	if (r == 0 && !scene_run("qemu-system-x86_64 --version >/dev/null")) {
		printf("SKIP: no qemu-system-x86_64\n");
		r = SCENE_SKIP;
	}
	return r != 0 ? r : unit_main("watch_qemu", tests, ARRAY_SIZE(tests));
}
