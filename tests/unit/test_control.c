/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket, over a real one. The server's loop has a thread of its own; whatever must
 * happen in it, in an order, is asked for through the socket itself:
 *   {"op":"ping","n":N}	answered at once with {"ok":true,"n":N}
 *   {"op":"hold","n":N}	kept
 *   {"op":"release"}		answers what is kept, the last one first, then itself
 *   {"op":"big"}		answered with BIG bytes
 *   {"op":"list","n":N}	answered with N items, each made by itself; the numbers from 0
 *   {"op":"wait"}		a list that ends when it is told to:
 *   {"op":"enough"}		answered with how many items of lists were made, n
 *   {"op":"stop"}		ends the loop
 * A client is heard no later than those that spoke after it, so two pings show that the server
 * knows of what was done before them.
 */
#include "nveagent/control.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "common/json.h"
#include "common/unix_socket.h"
#include "tests/unit/unit.h"

enum {
	DEADLINE_S = 100, /* for any one answer */
	ROUND_TRIPS_MAX = 1000,
	HELD_MAX = CONTROL_REQUESTS_MAX,
	BIG = 1 << 20,
	BIG_FITTING = 8,
	BIG_TOO_MANY = CONTROL_OUTPUT_MAX / BIG + 8,
	REPLY_MAX = BIG + 4096,
};

struct held {
	struct control_request *request;
	uint32_t n;
};

struct scene {
	char directory[64], path[96];
	struct loop *loop;
	struct control *control;
	pthread_t thread;
	struct held held[HELD_MAX];
	size_t held_count;
	char *padding; /* BIG bytes */
	bool enough;
	uint32_t made;	/* items of lists */
	uint32_t freed; /* lists */
};

/* --- the server --- */

static struct json_object *numbered(uint32_t n)
{
	struct json_object *reply = control_ok();

	if (reply)
		(void) json_add_u64(reply, "n", n);
	return reply;
}

static void ping(struct scene *scene, uint32_t n, struct control_request *request)
{
	control_reply(request, numbered(n));
}

static void hold(struct scene *scene, uint32_t n, struct control_request *request)
{
	if (scene->held_count < HELD_MAX)
		scene->held[scene->held_count++] = (struct held) { request, n };
	else
		control_reply_error(request, "no room for %u", n);
}

static void release(struct scene *scene, uint32_t n, struct control_request *request)
{
	while (scene->held_count > 0) {
		struct held *held = &scene->held[--scene->held_count];

		control_reply(held->request, numbered(held->n));
	}
	control_reply(request, numbered(n));
}

static void big(struct scene *scene, uint32_t n, struct control_request *request)
{
	struct json_object *reply = numbered(n);

	if (reply)
		(void) json_add_string(reply, "big", scene->padding);
	control_reply(request, reply);
}

/* --- lists --- */

struct counting {
	struct scene *scene;
	uint32_t at, end;
	bool waits;
};

static int next_number(void *state, struct json_object *array)
{
	struct counting *counting = state;

	if (counting->waits)
		return !counting->scene->enough;
	if (counting->at == counting->end)
		return 0;
	counting->scene->made++;
	return json_object_array_add(array, json_object_new_int64(counting->at++)) == 0 ? 1
											: -ENOMEM;
}

static void free_counting(void *state)
{
	((struct counting *) state)->scene->freed++;
	free(state);
}

static void reply_list(struct scene *scene, uint32_t n, bool waits, struct control_request *request)
{
	struct counting *counting = calloc(1, sizeof(*counting));
	const struct control_list list = {
		.key = "list",
		.next = next_number,
		.what = "cannot count",
		.free = free_counting,
		.state = counting,
	};

	if (counting)
		*counting = (struct counting) { scene, 0, n, waits };
	if (counting)
		control_reply_list(request, &list);
	else
		control_reply(request, NULL);
}

static void list(struct scene *scene, uint32_t n, struct control_request *request)
{
	reply_list(scene, n, false, request);
}

static void wait(struct scene *scene, uint32_t n, struct control_request *request)
{
	reply_list(scene, n, true, request);
}

static void enough(struct scene *scene, uint32_t n, struct control_request *request)
{
	scene->enough = true;
	control_reply(request, numbered(scene->made));
}

static void stop(struct scene *scene, uint32_t n, struct control_request *request)
{
	control_reply(request, numbered(n));
	loop_stop(scene->loop);
}

static void no_memory(struct scene *scene, uint32_t n, struct control_request *request)
{
	control_reply(request, NULL);
}

static void handle(void *userdata, struct json_object *object, struct control_request *request)
{
	static const struct {
		const char *name;
		void (*run)(struct scene *scene, uint32_t n, struct control_request *request);
	} operations[] = {
		{ "ping", ping }, { "hold", hold }, { "release", release },
		{ "big", big },	  { "stop", stop }, { "no-memory", no_memory },
		{ "list", list }, { "wait", wait }, { "enough", enough },
	};
	const char *name = "";
	uint32_t n = 0;

	(void) json_get_string(object, "op", &name);
	(void) json_get_u32(object, "n", &n);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (strcmp(operations[i].name, name) == 0) {
			operations[i].run(userdata, n, request);
			return;
		}
	}
	control_reply_error(request, "no operation \"%s\"", name);
}

static void *serve(void *userdata)
{
	struct scene *scene = userdata;

	return (void *) (intptr_t) loop_run(scene->loop);
}

static struct scene *begin(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CU_ASSERT_PTR_NOT_NULL_FATAL(scene);
	strcpy(scene->directory, "/tmp/test_control.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(scene->directory));
	snprintf(scene->path, sizeof(scene->path), "%s/socket", scene->directory);
	scene->padding = malloc(BIG + 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->padding);
	memset(scene->padding, 'x', BIG);
	scene->padding[BIG] = '\0';
	scene->loop = loop_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->loop);
	CU_ASSERT_EQUAL_FATAL(control_new(scene->loop, scene->path, handle, scene, &scene->control),
			      0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&scene->thread, NULL, serve, scene), 0);
	return scene;
}

/* --- clients --- */

static int connected(const struct scene *scene)
{
	const struct timeval deadline = { .tv_sec = DEADLINE_S };
	int fd = unix_socket_connect(scene->path, DEADLINE_S * 1000);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)),
			      0);
	CU_ASSERT_EQUAL_FATAL(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)),
			      0);
	return fd;
}

static bool say_bytes(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		size -= (size_t) n;
	}
	return true;
}

static void say(int fd, const char *text)
{
	CU_ASSERT_TRUE_FATAL(say_bytes(fd, text, strlen(text)));
}

static void ask(int fd, const char *operation, uint32_t n)
{
	char line[128];

	snprintf(line, sizeof(line), "{\"op\":\"%s\",\"n\":%u}\n", operation, n);
	say(fd, line);
}

/*
 * One line without its newline; NULL when the server has closed. Fails the test when neither comes
 * in time.
 */
static const char *heard(int fd)
{
	static char line[REPLY_MAX];
	size_t size = 0;

	while (size < sizeof(line)) {
		ssize_t n = recv(fd, line + size, sizeof(line) - size, MSG_PEEK), take;
		char *end;

		if (n <= 0) {
			CU_ASSERT_TRUE(n == 0 || errno == ECONNRESET);
			CU_ASSERT_EQUAL(size, 0);
			return NULL;
		}
		end = memchr(line + size, '\n', (size_t) n);
		take = end ? end - (line + size) + 1 : n;
		CU_ASSERT_EQUAL_FATAL(recv(fd, line + size, (size_t) take, MSG_WAITALL), take);
		size += (size_t) take;
		if (end) {
			*end = '\0';
			return line;
		}
	}
	CU_FAIL_FATAL("the line is too long");
	return NULL;
}

static void expect_line(int fd, const char *wanted)
{
	const char *line = heard(fd);

	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	CU_ASSERT_STRING_EQUAL(line, wanted);
	if (strcmp(line, wanted) != 0)
		printf("\n    got: %.200s\n", line);
}

static void expect_number(int fd, uint32_t n)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "{\"ok\":true,\"n\":%u}", n);
	expect_line(fd, wanted);
}

static void expect_closed(int fd)
{
	CU_ASSERT_PTR_NULL(heard(fd));
	close(fd);
}

static void round_trip(int fd)
{
	for (uint32_t n = 71; n <= 72; n++) {
		ask(fd, "ping", n);
		expect_number(fd, n);
	}
}

/* Ends the loop through @fd, which is closed. */
static void end(struct scene *scene, int fd)
{
	void *result = NULL;

	ask(fd, "stop", 9);
	expect_number(fd, 9);
	CU_ASSERT_EQUAL(pthread_join(scene->thread, &result), 0);
	CU_ASSERT_PTR_NULL(result);
	scene->control = control_free(scene->control);
	CU_ASSERT_EQUAL(access(scene->path, F_OK), -1);
	expect_closed(fd);
	scene->loop = loop_free(scene->loop);
	CU_ASSERT_EQUAL(rmdir(scene->directory), 0); /* nothing else is left in it */
	free(scene->padding);
	free(scene);
}

/* --- tests --- */

static void answers_a_line_with_a_line(void)
{
	struct scene *scene = begin();
	struct stat status = { 0 };
	int fd = connected(scene);

	CU_ASSERT_EQUAL(stat(scene->path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0660);
	ask(fd, "ping", 1);
	expect_number(fd, 1);
	ask(fd, "nothing", 0);
	expect_line(fd, "{\"ok\":false,\"error\":\"no operation \\\"nothing\\\"\"}");
	ask(fd, "no-memory", 0);
	expect_line(fd, "{\"ok\":false,\"error\":\"out of memory\"}");
	end(scene, fd);
}

static void joins_and_splits(void)
{
	static const char text[] = "{\"op\":\"ping\",\"n\":4}\r\n{\"op\":\"ping\",\"n\":5}\n";
	struct scene *scene = begin();
	int fd = connected(scene);

	say(fd, "{\"op\":\"ping\",\"n\":1}\n{\"op\":\"ping\",\"n\":2}\n{\"op\":\"pi");
	expect_number(fd, 1);
	expect_number(fd, 2);
	say(fd, "ng\",\"n\":3}\n");
	expect_number(fd, 3);
	for (const char *c = text; *c; c++)
		CU_ASSERT_TRUE_FATAL(say_bytes(fd, c, 1));
	expect_number(fd, 4);
	expect_number(fd, 5);
	end(scene, fd);
}

static void answers_in_the_order_asked(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	ask(fd, "hold", 1);
	ask(fd, "ping", 2);
	ask(fd, "hold", 3);
	ask(fd, "ping", 4);
	ask(fd, "hold", 5);
	round_trip(other); /* another client does not wait for it */
	/* 2 and 4 are answered, but wait */
	CU_ASSERT_EQUAL(recv(fd, &(char) { 0 }, 1, MSG_DONTWAIT), -1);
	CU_ASSERT_TRUE(errno == EAGAIN || errno == EWOULDBLOCK);

	ask(fd, "release", 6);
	for (uint32_t n = 1; n <= 6; n++)
		expect_number(fd, n);
	close(other);
	end(scene, fd);
}

static void each_client_gets_its_own_answers(void)
{
	struct scene *scene = begin();
	int first = connected(scene), second = connected(scene);

	ask(first, "hold", 1);
	round_trip(second);
	ask(second, "hold", 2);
	ask(second, "release", 3);
	expect_number(second, 2);
	expect_number(second, 3);
	expect_number(first, 1);
	close(first);
	end(scene, second);
}

/* As of `echo '{"op":"status"}' | socat - UNIX:...`. */
static void a_client_that_shut_down_its_side_is_answered(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	ask(fd, "ping", 1);
	ask(fd, "hold", 2);
	CU_ASSERT_EQUAL(shutdown(fd, SHUT_WR), 0);
	expect_number(fd, 1);
	ask(other, "release", 3);
	expect_number(other, 3);
	expect_number(fd, 2);
	expect_closed(fd);
	end(scene, other);
}

static void a_client_may_be_gone_before_the_reply(void)
{
	struct scene *scene = begin();
	int gone = connected(scene), other = connected(scene);

	ask(gone, "hold", 1);
	ask(gone, "ping", 2); /* answered, but its turn does not come */
	ask(gone, "hold", 3);
	round_trip(other);
	close(gone);
	round_trip(other);
	ask(other, "release", 4);
	expect_number(other, 4);
	end(scene, other);
}

static void what_is_not_json_is_refused_and_the_rest_goes_on(void)
{
	static const char *const wrong[] = {
		"hello\n",
		"\n",
		"{\n",
		"[1]\n",
		"\"ping\"\n",
		"null\n",
		"{\"op\":\"ping\"} {\"op\":\"ping\"}\n",
		"{\"op\":\"ping\"}x\n",
		"{\"op\":}\n",
	};
	struct scene *scene = begin();
	int fd = connected(scene);

	for (uint32_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		say(fd, wrong[i]);
		expect_line(fd, "{\"ok\":false,\"error\":\"the request is not one JSON object on "
				"one line\"}");
		ask(fd, "ping", i);
		expect_number(fd, i);
	}
	CU_ASSERT_TRUE(say_bytes(fd, "{\"op\":\"ping\"\0}\n", 15));
	expect_line(fd,
		    "{\"ok\":false,\"error\":\"the request is not one JSON object on one line\"}");
	end(scene, fd);
}

/* A ping of @size bytes, newline not counted. */
static bool say_padded(int fd, size_t size)
{
	static const char head[] = "{\"op\":\"ping\",\"n\":1,\"pad\":\"", tail[] = "\"}\n";
	_cleanup_free_ char *line = malloc(size + 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	memset(line, 'x', size + 1);
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + size + 1 - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	return say_bytes(fd, line, size + 1);
}

static void an_overlong_line_ends_the_client(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	CU_ASSERT_TRUE(say_padded(fd, CONTROL_LINE_MAX));
	expect_number(fd, 1);
	(void) say_padded(fd, CONTROL_LINE_MAX + 1); /* may be cut off while it speaks */
	expect_closed(fd);
	round_trip(other);
	end(scene, other);
}

static void too_many_clients_are_turned_away(void)
{
	struct scene *scene = begin();
	int fds[CONTROL_CLIENTS_MAX], more;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = connected(scene);
		round_trip(fds[i]);
	}
	more = connected(scene);
	expect_line(more, "{\"ok\":false,\"error\":\"too many clients; try again\"}");
	expect_closed(more);

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		round_trip(fds[i]);
	close(fds[0]);
	round_trip(fds[1]);
	fds[0] = connected(scene);
	round_trip(fds[0]);
	for (size_t i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	end(scene, fds[0]);
}

static void too_many_unanswered_requests_end_the_client(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	for (uint32_t n = 0; n < CONTROL_REQUESTS_MAX; n++)
		ask(fd, "hold", n);
	round_trip(other);
	CU_ASSERT_EQUAL(recv(fd, &(char) { 0 }, 1, MSG_DONTWAIT), -1); /* still there */
	CU_ASSERT_TRUE(errno == EAGAIN || errno == EWOULDBLOCK);
	ask(fd, "ping", 1);
	expect_closed(fd);
	ask(other, "release", 2);
	expect_number(other, 2);
	end(scene, other);
}

static void expect_big(int fd, uint32_t n, const struct scene *scene)
{
	const char *line = heard(fd);
	char head[64];

	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	snprintf(head, sizeof(head), "{\"ok\":true,\"n\":%u,\"big\":\"", n);
	CU_ASSERT_EQUAL_FATAL(strlen(line), strlen(head) + BIG + 2);
	CU_ASSERT_EQUAL(strncmp(line, head, strlen(head)), 0);
	CU_ASSERT_EQUAL(strncmp(line + strlen(head), scene->padding, BIG), 0);
	CU_ASSERT_STRING_EQUAL(line + strlen(head) + BIG, "\"}");
}

static void waits_for_a_slow_client(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	for (uint32_t n = 0; n < BIG_FITTING; n++)
		ask(fd, "big", n);
	round_trip(other);
	for (uint32_t n = 0; n < BIG_FITTING; n++)
		expect_big(fd, n, scene);
	round_trip(fd);
	close(other);
	end(scene, fd);
}

static void a_client_that_never_reads_is_closed(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);
	size_t lines = 0, bytes = 0;
	char data[4096];
	ssize_t n;

	for (uint32_t i = 0; i < BIG_TOO_MANY; i++)
		ask(fd, "big", i);
	round_trip(other);
	while ((n = recv(fd, data, sizeof(data), 0)) > 0) {
		bytes += (size_t) n;
		for (ssize_t i = 0; i < n; i++)
			lines += data[i] == '\n';
	}
	CU_ASSERT_TRUE(n == 0 || errno == ECONNRESET);
	CU_ASSERT_TRUE(lines < BIG_TOO_MANY);
	CU_ASSERT_TRUE(bytes < CONTROL_OUTPUT_MAX); /* what the socket had room for */
	close(fd);
	round_trip(other);
	end(scene, other);
}

static void a_list_is_a_line_and_waits_its_turn(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	ask(fd, "hold", 1);
	ask(fd, "list", 0);
	ask(fd, "list", 3);
	ask(fd, "ping", 2);
	round_trip(other);
	ask(other, "release", 3);
	expect_number(other, 3);
	expect_number(fd, 1);
	expect_line(fd, "{\"list\":[],\"ok\":true}");
	expect_line(fd, "{\"list\":[0,1,2],\"ok\":true}");
	expect_number(fd, 2);
	CU_ASSERT_EQUAL(scene->freed, 2);
	close(other);
	end(scene, fd);
}

/* It ends only because others are heard in between. */
static void others_do_not_wait_for_a_list(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	ask(fd, "wait", 1);
	round_trip(other);
	ask(other, "enough", 0);
	expect_number(other, 0);
	expect_line(fd, "{\"list\":[],\"ok\":true}");
	close(other);
	end(scene, fd);
}

static void a_list_ends_with_its_client(void)
{
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);

	ask(fd, "wait", 1);
	ask(fd, "wait", 2);
	round_trip(other);
	close(fd);
	/* Which of the two descriptors is looked at first is not said. */
	for (unsigned i = 0; i < ROUND_TRIPS_MAX && scene->freed < 2; i++)
		round_trip(other);
	CU_ASSERT_EQUAL(scene->freed, 2);
	end(scene, other);
}

static uint32_t made_so_far(int fd)
{
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	uint32_t made = 0;
	const char *line;

	ask(fd, "enough", 0);
	line = heard(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	CU_ASSERT_EQUAL_FATAL(json_parse_object(line, strlen(line), &reply), 0);
	CU_ASSERT_EQUAL(json_get_u32(reply, "n", &made), 0);
	return made;
}

/* What waits for a slow client is bounded, however long the list. */
static void a_list_is_made_as_it_is_read(void)
{
	enum { ITEM = 6, MANY = 3 * CONTROL_LIST_AHEAD / ITEM };
	struct scene *scene = begin();
	int fd = connected(scene), other = connected(scene);
	const char *line;
	uint32_t made = 0, before;

	ask(fd, "list", MANY);
	do { /* until no more are made, though the loop has come round */
		before = made;
		for (unsigned i = 0; i < 100; i++)
			round_trip(other);
		made = made_so_far(other);
	} while (made != before || made == 0);
	CU_ASSERT_TRUE(made < MANY);
	line = heard(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	CU_ASSERT_EQUAL(strncmp(line, "{\"list\":[0,1,2,3,", 17), 0);
	CU_ASSERT_STRING_EQUAL(line + strlen(line) - 12, "],\"ok\":true}");
	CU_ASSERT_EQUAL(made_so_far(other), MANY);
	close(other);
	end(scene, fd);
}

static void refuses_a_path_in_use(void)
{
	struct scene *scene = begin();
	struct control *second = NULL;
	int fd = connected(scene);

	/* It fails before it needs the loop, which is another thread's now. */
	CU_ASSERT_EQUAL(control_new(scene->loop, scene->path, handle, scene, &second), -EADDRINUSE);
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_PTR_NULL(control_free(NULL));
	round_trip(fd); /* the first one goes on */
	end(scene, fd);
}

/* clang-format off */
UNIT_MAIN("control",
	UNIT_TEST(answers_a_line_with_a_line),
	UNIT_TEST(joins_and_splits),
	UNIT_TEST(answers_in_the_order_asked),
	UNIT_TEST(each_client_gets_its_own_answers),
	UNIT_TEST(a_client_that_shut_down_its_side_is_answered),
	UNIT_TEST(a_client_may_be_gone_before_the_reply),
	UNIT_TEST(what_is_not_json_is_refused_and_the_rest_goes_on),
	UNIT_TEST(an_overlong_line_ends_the_client),
	UNIT_TEST(too_many_clients_are_turned_away),
	UNIT_TEST(too_many_unanswered_requests_end_the_client),
	UNIT_TEST(waits_for_a_slow_client),
	UNIT_TEST(a_client_that_never_reads_is_closed),
	UNIT_TEST(a_list_is_a_line_and_waits_its_turn),
	UNIT_TEST(others_do_not_wait_for_a_list),
	UNIT_TEST(a_list_ends_with_its_client),
	UNIT_TEST(a_list_is_made_as_it_is_read),
	UNIT_TEST(refuses_a_path_in_use))
