/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_qmp.c - one thread that walks through the script. */
#include "tests/lib/fake_qmp.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/lines.h"

enum {
	STEPS_MAX = 512,
	LINE_MAX_SIZE = 1 << 20,
	STEP_DEADLINE_MS = 30000, /* no test makes the peer wait that long */
};

struct step {
	int (*act)(struct fake_qmp *qemu, const struct step *step);
	char *text, *command, *arguments; /* owned; those that the step needs */
};

struct fake_qmp {
	struct step steps[STEPS_MAX];
	size_t step_count;
	size_t done; /* written by the thread, read after it was joined */
	struct lines *input;
	int fd; /* the peer's end */
	pthread_t thread;
};

static void *must(void *pointer)
{
	if (!pointer)
		abort();
	return pointer;
}

static char *copy(const char *text)
{
	return text ? must(strdup(text)) : NULL;
}

struct fake_qmp *fake_qmp_new(void)
{
	struct fake_qmp *qemu = must(calloc(1, sizeof(*qemu)));

	qemu->input = must(lines_new(LINE_MAX_SIZE));
	return qemu;
}

static int complain(const char *what, const char *detail)
{
	(void) fprintf(stderr, "fake QEMU: %s: %s\n", what, detail);
	return -EPROTO;
}

static int wait_for(int fd, short events)
{
	struct pollfd entry = {.fd = fd, .events = events};

	return poll(&entry, 1, STEP_DEADLINE_MS) == 1 ? 0 : -ETIMEDOUT;
}

static int say(struct fake_qmp *qemu, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n;
		int r = wait_for(qemu->fd, POLLOUT);

		if (r < 0)
			return r;
		n = send(qemu->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t) n;
	}
	return 0;
}

/* The next line that the client sent. */
static int hear(struct fake_qmp *qemu, struct json_object **ret_line)
{
	const char *text;
	size_t size;

	while (lines_next(qemu->input, &text, &size) == 0) {
		char data[4096];
		ssize_t n;

		if (wait_for(qemu->fd, POLLIN) < 0)
			return complain("nothing was asked", "deadline");
		n = recv(qemu->fd, data, sizeof(data), 0);
		if (n <= 0)
			return complain("nothing was asked", "the client closed");
		if (lines_push(qemu->input, data, (size_t) n) < 0)
			return complain("cannot read", "line too long");
	}
	return json_parse_object(text, size, ret_line) < 0 ? complain("not JSON", text) : 0;
}

static bool has_arguments(struct json_object *line, const char *expected)
{
	_cleanup_(json_unrefp) struct json_object *wanted = NULL;
	struct json_object *arguments;

	if (!json_object_object_get_ex(line, "arguments", &arguments))
		return !expected;
	return expected && json_parse_object(expected, strlen(expected), &wanted) == 0 &&
	       json_object_equal(arguments, wanted);
}

static int answer(struct fake_qmp *qemu, struct json_object *line, const char *text)
{
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	const char *reply_text;
	int r;

	if (json_parse_object(text, strlen(text), &reply) < 0)
		return complain("the script's reply is not JSON", text);
	r = json_add(reply, "id", json_object_get(json_object_object_get(line, "id")));
	if (r < 0)
		return r;
	reply_text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN);
	r = say(qemu, reply_text, strlen(reply_text));
	return r < 0 ? r : say(qemu, "\r\n", 2);
}

static int act_expect(struct fake_qmp *qemu, const struct step *step)
{
	_cleanup_(json_unrefp) struct json_object *line = NULL;
	const char *command;
	int r;

	r = hear(qemu, &line);
	if (r < 0)
		return r;
	if (json_get_string(line, "execute", &command) < 0 || strcmp(command, step->command) != 0 ||
	    !has_arguments(line, step->arguments))
		return complain("asked out of script", json_object_to_json_string(line));
	return step->text ? answer(qemu, line, step->text) : 0;
}

static int act_say(struct fake_qmp *qemu, const struct step *step)
{
	return say(qemu, step->text, strlen(step->text));
}

static int act_flood(struct fake_qmp *qemu, const struct step *step)
{
	int r;

	do {
		r = say(qemu, step->text, strlen(step->text));
	} while (r == 0);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int act_hang_up(struct fake_qmp *qemu, const struct step *step)
{
	return shutdown(qemu->fd, SHUT_RDWR) < 0 ? -errno : 0;
}

static struct step *append(struct fake_qmp *qemu,
			   int (*act)(struct fake_qmp *qemu, const struct step *step),
			   const char *text)
{
	struct step *step = &qemu->steps[qemu->step_count];

	if (++qemu->step_count > STEPS_MAX)
		abort();
	*step = (struct step){.act = act, .text = copy(text)};
	return step;
}

void fake_qmp_expect(struct fake_qmp *qemu, const char *command, const char *arguments,
		     const char *reply)
{
	struct step *step = append(qemu, act_expect, reply);

	step->command = copy(command);
	step->arguments = copy(arguments);
}

void fake_qmp_say(struct fake_qmp *qemu, const char *text)
{
	append(qemu, act_say, text);
}

void fake_qmp_flood(struct fake_qmp *qemu, const char *text)
{
	append(qemu, act_flood, text);
}

void fake_qmp_hang_up(struct fake_qmp *qemu)
{
	append(qemu, act_hang_up, NULL);
}

void fake_qmp_greet(struct fake_qmp *qemu)
{
	fake_qmp_say(
		qemu,
		"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
		"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n");
	fake_qmp_expect(qemu, "qmp_capabilities", NULL, "{\"return\": {}}");
}

static void *act_all(void *argument)
{
	struct fake_qmp *qemu = argument;

	while (qemu->done < qemu->step_count) {
		const struct step *step = &qemu->steps[qemu->done];
		int r = step->act(qemu, step);

		if (r < 0) {
			(void) complain("a step failed", strerror(-r));
			break;
		}
		qemu->done++;
	}
	return NULL;
}

int fake_qmp_start(struct fake_qmp *qemu)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	qemu->fd = ends[0];
	if (pthread_create(&qemu->thread, NULL, act_all, qemu) != 0)
		abort();
	return ends[1];
}

int fake_qmp_finish(struct fake_qmp *qemu)
{
	int left;

	(void) pthread_join(qemu->thread, NULL);
	left = (int) (qemu->step_count - qemu->done);
	for (size_t i = 0; i < qemu->step_count; i++) {
		free(qemu->steps[i].text);
		free(qemu->steps[i].command);
		free(qemu->steps[i].arguments);
	}
	lines_free(qemu->input);
	close(qemu->fd);
	free(qemu);
	return left;
}
