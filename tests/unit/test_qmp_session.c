/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_qmp_session.c - QMP as bytes in, messages out: order, splits, caps, errors, and what real
 * QEMUs said.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/json.h"
#include "qmp/session.h"
#include "tests/unit/unit.h"

#define GREETING                                                                           \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, " \
	"\"package\": \"\"}, "                                                             \
	"\"capabilities\": [\"oob\"]}}\r\n"
#define TIME "\"timestamp\": {\"seconds\": 3, \"microseconds\": 4}"
#define STOP "{" TIME ", \"event\": \"STOP\"}\r\n"

/* The negotiation's id follows those of the three commands that wait for it. */
static const char dialogue[] = GREETING
	"{\"return\": {}, \"id\": 4}\r\n" STOP
	"{\"return\": {\"status\": \"active\"}, \"id\": 1}\r\n"
	"{\"id\": 3, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\r\n"
	"{" TIME ", \"event\": \"MIGRATION\", \"data\": {\"status\": \"device\"}}\r\n"
	"{\"return\": [1, \"two\"], \"id\": 2}\n"
	"{" TIME ", \"event\": \"NEW_IN_QEMU_99\", \"data\": {\"x\": [{}]}}\r\n";

static const char dialogue_trace[] = "ready\n"
				     "event STOP kind 3 at 3000004\n"
				     "return 1 token a {\"status\":\"active\"}\n"
				     "error 3 token c GenericError: no\n"
				     "event MIGRATION kind 1 at 3000004\n"
				     "return 2 token b [1,\"two\"]\n"
				     "event NEW_IN_QEMU_99 kind 0 at 3000004\n";

struct trace {
	char text[8192];
	size_t size;
};

static void __attribute__((format(printf, 2, 3)))
trace_add(struct trace *trace, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(trace->text + trace->size, sizeof(trace->text) - trace->size, format,
		      arguments);
	va_end(arguments);
	CU_ASSERT_FATAL(n >= 0 && (size_t) n < sizeof(trace->text) - trace->size);
	trace->size += (size_t) n;
}

static void trace_message(struct trace *trace, const struct qmp_message *message)
{
	switch (message->kind) {
	case QMP_MESSAGE_READY:
		trace_add(trace, "ready\n");
		break;
	case QMP_MESSAGE_RETURN:
		trace_add(trace, "return %u token %s %s\n", (unsigned) message->id,
			  (const char *) message->token,
			  json_object_to_json_string_ext(message->return_value,
							 JSON_C_TO_STRING_PLAIN));
		break;
	case QMP_MESSAGE_ERROR:
		trace_add(trace, "error %u token %s %s: %s\n", (unsigned) message->id,
			  (const char *) message->token, message->error_class, message->error_text);
		break;
	case QMP_MESSAGE_EVENT:
		trace_add(trace, "event %s kind %u at %u\n", message->event_name,
			  (unsigned) message->event.kind, (unsigned) message->event.timestamp_us);
		break;
	}
}

/* Feeds bytes and writes down what comes; returns what ended it: 0 or an error. */
static int feed(struct qmp_session *session, const char *data, size_t size, struct trace *trace)
{
	struct qmp_message message;
	int received = qmp_session_receive(session, data, size), r;

	while ((r = qmp_session_next(session, &message)) > 0)
		trace_message(trace, &message);
	if (received < 0)
		CU_ASSERT_EQUAL(r, received);
	return r;
}

static int feed_text(struct qmp_session *session, const char *text)
{
	struct trace trace = { 0 };

	return feed(session, text, strlen(text), &trace);
}

static uint64_t ask(struct qmp_session *session, const char *command, char *token)
{
	struct json_object *request;
	uint64_t id = 0;

	CU_ASSERT_EQUAL_FATAL(qmp_request_new(command, NULL, &request), 0);
	CU_ASSERT_EQUAL_FATAL(qmp_session_command(session, request, token, &id), 0);
	return id;
}

/* A session that has asked for three things; they got the ids 1 to 3. */
static struct qmp_session *session_asking(void)
{
	static char tokens[][2] = { "a", "b", "c" };
	struct qmp_session *session = qmp_session_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(session);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
		CU_ASSERT_EQUAL(ask(session, "query-migrate", tokens[i]), i + 1);
	return session;
}

static struct qmp_session *session_ready(void)
{
	struct qmp_session *session = qmp_session_new();
	size_t size;

	CU_ASSERT_PTR_NOT_NULL_FATAL(session);
	CU_ASSERT_EQUAL_FATAL(feed_text(session, GREETING "{\"return\": {}, \"id\": 1}\r\n"), 0);
	(void) qmp_session_to_send(session, &size);
	qmp_session_sent(session, size);
	return session;
}

static bool sends(struct qmp_session *session, const char *expected)
{
	size_t size;
	const char *data = qmp_session_to_send(session, &size);
	bool equal = size == strlen(expected) && (size == 0 || memcmp(data, expected, size) == 0);

	qmp_session_sent(session, size);
	return equal;
}

static void sends_waiting_commands_after_the_negotiation(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_asking();
	struct qmp_version version;

	CU_ASSERT_EQUAL(qmp_session_version(session, &version), -EAGAIN);
	CU_ASSERT_TRUE(sends(session, ""));
	CU_ASSERT_EQUAL(feed_text(session, GREETING), 0);
	CU_ASSERT_EQUAL(qmp_session_version(session, &version), 0);
	CU_ASSERT_TRUE(version.major == 7 && version.minor == 2 && version.micro == 22);
	CU_ASSERT_TRUE(sends(session, "{\"execute\":\"qmp_capabilities\",\"id\":4}\n"));
	CU_ASSERT_EQUAL(ask(session, "cont", NULL), 5);
	CU_ASSERT_TRUE(sends(session, ""));

	CU_ASSERT_EQUAL(feed_text(session, "{\"return\": {}, \"id\": 4}\r\n"), 0);
	CU_ASSERT_TRUE(sends(session, "{\"execute\":\"query-migrate\",\"id\":1}\n"
				      "{\"execute\":\"query-migrate\",\"id\":2}\n"
				      "{\"execute\":\"query-migrate\",\"id\":3}\n"
				      "{\"execute\":\"cont\",\"id\":5}\n"));
	CU_ASSERT_EQUAL(ask(session, "stop", NULL), 6);
	CU_ASSERT_TRUE(sends(session, "{\"execute\":\"stop\",\"id\":6}\n"));
	CU_ASSERT_EQUAL(qmp_session_outstanding(session), 5);
}

static void sends_byte_by_byte(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	static const char expected[] =
		"{\"execute\":\"cont\",\"id\":2}\n{\"execute\":\"stop\",\"id\":3}\n";
	size_t size;

	(void) ask(session, "cont", NULL);
	for (size_t i = 0; i < sizeof(expected) - 1; i++) {
		const char *data = qmp_session_to_send(session, &size);

		CU_ASSERT_FATAL(size > 0);
		CU_ASSERT_EQUAL(*data, expected[i]);
		qmp_session_sent(session, 1);
		if (i == 5)
			(void) ask(session, "stop", NULL); /* in the midst of the first */
	}
	CU_ASSERT_TRUE(sends(session, ""));
}

static void reads_a_dialogue_at_every_split(void)
{
	const size_t size = sizeof(dialogue) - 1;

	for (size_t split = 0; split <= size; split++) {
		_cleanup_(qmp_session_freep) struct qmp_session *session = session_asking();
		struct trace trace = { 0 };

		CU_ASSERT_EQUAL(feed(session, dialogue, split, &trace), 0);
		CU_ASSERT_EQUAL(strncmp(trace.text, dialogue_trace, trace.size), 0);
		CU_ASSERT_EQUAL(feed(session, dialogue + split, size - split, &trace), 0);
		CU_ASSERT_STRING_EQUAL(trace.text, dialogue_trace);
		CU_ASSERT_EQUAL(qmp_session_outstanding(session), 0);
	}
}

static void reads_a_dialogue_byte_by_byte(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_asking();
	struct trace trace = { 0 };

	for (size_t i = 0; i < sizeof(dialogue) - 1; i++)
		CU_ASSERT_EQUAL(feed(session, dialogue + i, 1, &trace), 0);
	CU_ASSERT_STRING_EQUAL(trace.text, dialogue_trace);
}

static void refuses_every_truncated_line(void)
{
	static const char *const lines[] = {
		GREETING,
		STOP,
		"{\"return\": {\"status\": \"active\"}, \"id\": 1}\r\n",
		"{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		for (size_t size = 0; size < strlen(lines[i]) - 2; size++) {
			_cleanup_(qmp_session_freep) struct qmp_session *session = session_asking();
			struct trace trace = { 0 };

			CU_ASSERT_EQUAL(feed(session, lines[i], size, &trace), 0);
			CU_ASSERT_EQUAL(feed(session, "\n", 1, &trace), -EBADMSG);
			CU_ASSERT_EQUAL(trace.size, 0);
		}
	}
}

static void refuses_what_is_no_message_and_stays_so(void)
{
	static const char *const bad[] = {
		"\n",
		"[]\n",
		"1\n",
		"\"QMP\"\n",
		"null\n",
		"{}\n",
		"{\"id\": 1}\n",
		"nonsense\n",
		"{\"QMP\": 1}\n",
		"{\"QMP\": {}}\n",
		"{\"QMP\": {\"version\": {\"qemu\": {}}}}\n",
		"{\"event\": \"STOP\"}\n",
		"{\"return\": null, \"id\": 1}\n",
		"{\"error\": {}, \"id\": 1}\n",
		"{\"error\": \"no\", \"id\": 1}\n",
		"{\"error\": {\"class\": \"GenericError\"}, \"id\": 1}\n",
		"{\"return\": {}} {\"return\": {}}\n",
		"{\"return\": {}, \"id\": 1}}\n",
		"{\"return\": \"\xff\", \"id\": 1}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(qmp_session_freep) struct qmp_session *session = session_asking();
		struct json_object *request;
		struct trace trace = { 0 };

		CU_ASSERT_EQUAL(feed_text(session, bad[i]), -EBADMSG);
		CU_ASSERT_EQUAL(feed(session, dialogue, sizeof(dialogue) - 1, &trace), -EBADMSG);
		CU_ASSERT_EQUAL(trace.size, 0);
		CU_ASSERT_EQUAL_FATAL(qmp_request_new("cont", NULL, &request), 0);
		CU_ASSERT_EQUAL(qmp_session_command(session, request, NULL, NULL), -EBADMSG);
		CU_ASSERT_TRUE(sends(session, ""));
	}
}

static void gives_what_came_before_a_bad_line(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	struct trace trace = { 0 };
	static const char text[] = STOP "nonsense\n" STOP;

	CU_ASSERT_EQUAL(feed(session, text, sizeof(text) - 1, &trace), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(trace.text, "event STOP kind 3 at 3000004\n");
}

static void a_failed_session_sends_nothing(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	size_t size;

	(void) ask(session, "cont", NULL);
	(void) qmp_session_to_send(session, &size);
	CU_ASSERT(size > 0);
	CU_ASSERT_EQUAL(feed_text(session, "nonsense\n"), -EBADMSG);
	(void) qmp_session_to_send(session, &size);
	CU_ASSERT_EQUAL(size, 0);
}

static void refuses_what_is_out_of_place(void)
{
	static const char *const bad[] = {
		GREETING GREETING,
		GREETING "{\"return\": {}, \"id\": 4}\n" GREETING,
		GREETING
		"{\"id\": 4, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n",
		GREETING
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(qmp_session_freep) struct qmp_session *session = session_asking();

		CU_ASSERT_EQUAL(feed_text(session, bad[i]), -EPROTO);
		CU_ASSERT_EQUAL(feed_text(session, STOP), -EPROTO);
	}
}

static void drops_answers_nobody_waits_for(void)
{
	static const char *const unknown[] = {
		"{\"return\": {}, \"id\": 99}\n",
		"{\"return\": {}, \"id\": \"2\"}\n",
		"{\"return\": {}, \"id\": -2}\n",
		"{\"return\": {}}\n",
		"{\"return\": {}, \"id\": 0}\n",
		"{\"id\": 99, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n",
		"{\"return\": {}, \"id\": 1}\n", /* the negotiation's, again */
	};
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	struct trace trace = { 0 };
	char token[] = "t";

	CU_ASSERT_EQUAL(ask(session, "cont", token), 2);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		CU_ASSERT_EQUAL(feed(session, unknown[i], strlen(unknown[i]), &trace), 0);
	CU_ASSERT_EQUAL(trace.size, 0);

	CU_ASSERT_EQUAL(feed(session, "{\"return\": {}, \"id\": 2}\n", 24, &trace), 0);
	CU_ASSERT_EQUAL(feed(session, "{\"return\": {}, \"id\": 2}\n", 24, &trace), 0); /* twice */
	CU_ASSERT_STRING_EQUAL(trace.text, "return 2 token t {}\n");
}

static void an_event_may_precede_the_greeting(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = qmp_session_new();
	struct trace trace = { 0 };
	static const char text[] = STOP GREETING STOP "{\"return\": {}, \"id\": 1}\r\n";

	CU_ASSERT_PTR_NOT_NULL_FATAL(session);
	CU_ASSERT_EQUAL(feed(session, text, sizeof(text) - 1, &trace), 0);
	CU_ASSERT_STRING_EQUAL(
		trace.text, "event STOP kind 3 at 3000004\nevent STOP kind 3 at 3000004\nready\n");
}

/* {"return": "xxx...", "id": 2} of @size bytes without its newline */
static char *long_line(size_t size)
{
	static const char head[] = "{\"return\": \"", tail[] = "\", \"id\": 2}\n";
	char *line = malloc(size + 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(line);
	memset(line, 'x', size);
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + size + 1 - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	return line;
}

static void takes_the_longest_line(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	_cleanup_free_ char *line = long_line(QMP_LINE_MAX);
	struct qmp_message message;

	(void) ask(session, "cont", NULL);
	CU_ASSERT_EQUAL(qmp_session_receive(session, line, QMP_LINE_MAX + 1), 0);
	CU_ASSERT_EQUAL(qmp_session_next(session, &message), 1);
	CU_ASSERT_EQUAL(message.kind, QMP_MESSAGE_RETURN);
	CU_ASSERT_EQUAL(qmp_session_next(session, &message), 0);
}

static void refuses_a_longer_line_but_gives_those_before(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	_cleanup_free_ char *line = long_line(QMP_LINE_MAX + 1);
	struct trace trace = { 0 };
	struct qmp_message message;

	CU_ASSERT_EQUAL(qmp_session_receive(session, STOP, strlen(STOP)), 0);
	CU_ASSERT_EQUAL(feed(session, line, QMP_LINE_MAX + 2, &trace), -EMSGSIZE);
	CU_ASSERT_STRING_EQUAL(trace.text, "event STOP kind 3 at 3000004\n");
	CU_ASSERT_EQUAL(qmp_session_receive(session, STOP, strlen(STOP)), -EMSGSIZE);
	CU_ASSERT_EQUAL(qmp_session_next(session, &message), -EMSGSIZE);
}

static void caps_the_commands_outstanding(void)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = session_ready();
	struct json_object *request;
	uint64_t id = 42;

	for (unsigned i = 0; i < QMP_OUTSTANDING_MAX; i++)
		(void) ask(session, "cont", NULL);
	CU_ASSERT_EQUAL_FATAL(qmp_request_new("cont", NULL, &request), 0);
	CU_ASSERT_EQUAL(qmp_session_command(session, request, NULL, &id), -ENOBUFS);
	CU_ASSERT_EQUAL(id, 42);

	CU_ASSERT_EQUAL(feed_text(session, "{\"return\": {}, \"id\": 17}\n"), 0);
	(void) ask(session, "cont", NULL); /* there is room again */
}

static int ask_long(struct qmp_session *session, size_t size)
{
	_cleanup_free_ char *command = calloc(1, size + 1);
	struct json_object *request;

	CU_ASSERT_PTR_NOT_NULL_FATAL(command);
	memset(command, 'x', size);
	CU_ASSERT_EQUAL_FATAL(qmp_request_new(command, NULL, &request), 0);
	return qmp_session_command(session, request, NULL, NULL);
}

static void caps_the_bytes_queued(void)
{
	static const size_t frame = sizeof("{\"execute\":\"\",\"id\":1}\n") - 1;
	_cleanup_(qmp_session_freep) struct qmp_session *session = qmp_session_new();
	size_t size;

	CU_ASSERT_PTR_NOT_NULL_FATAL(session);
	CU_ASSERT_EQUAL(ask_long(session, QMP_QUEUED_BYTES_MAX - frame + 1), -ENOBUFS);
	CU_ASSERT_EQUAL(ask_long(session, QMP_QUEUED_BYTES_MAX - frame), 0);
	CU_ASSERT_EQUAL(ask_long(session, 1), -ENOBUFS);

	CU_ASSERT_EQUAL(feed_text(session, GREETING), 0); /* the negotiation has room in any case */
	CU_ASSERT_EQUAL(ask_long(session, 1), -ENOBUFS);
	CU_ASSERT_TRUE(sends(session, "{\"execute\":\"qmp_capabilities\",\"id\":2}\n"));
	CU_ASSERT_EQUAL(feed_text(session, "{\"return\": {}, \"id\": 2}\n"), 0);
	(void) qmp_session_to_send(session, &size);
	CU_ASSERT_EQUAL(size, QMP_QUEUED_BYTES_MAX);
	qmp_session_sent(session, size);
	CU_ASSERT_EQUAL(ask_long(session, 1), 0);
}

static void free_takes_null(void)
{
	CU_ASSERT_PTR_NULL(qmp_session_free(NULL));
}

/* A client's line of a transcript: the session must produce exactly these bytes. */
static void replay_asked(struct qmp_session *session, const char *line)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	_cleanup_free_ char *expected = NULL;

	if (json_parse_object(line, strlen(line), &request) < 0)
		return; /* the one that provokes an error */
	json_object_object_del(request, "id");
	if (!strstr(line, "qmp_capabilities"))
		CU_ASSERT_EQUAL(qmp_session_command(session, json_object_get(request), NULL, NULL),
				0);
	CU_ASSERT_FATAL(asprintf(&expected, "%s\n", line) > 0);
	CU_ASSERT_TRUE(sends(session, expected));
}

/* Returns what the last line came to. */
static int replay(const char *path, struct trace *trace)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = qmp_session_new();
	_cleanup_free_ char *line = NULL;
	FILE *file = fopen(path, "re");
	size_t capacity = 0;
	ssize_t size;
	int r = 0;

	CU_ASSERT_FATAL(session && file);
	while (r == 0 && (size = getline(&line, &capacity, file)) > 2) {
		if (line[0] == '<') {
			r = feed(session, line + 2, (size_t) size - 2, trace);
		} else if (line[0] == '>') {
			line[size - 1] = '\0';
			replay_asked(session, line + 2);
		}
	}
	(void) fclose(file);
	if (r == 0)
		CU_ASSERT_EQUAL(qmp_session_outstanding(session), 0);
	return r;
}

static void replays_what_real_qemus_said(void)
{
	DIR *directory = opendir(QMP_SAMPLES);
	struct dirent *entry;
	unsigned replayed = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
	while ((entry = readdir(directory))) {
		_cleanup_free_ char *path = NULL;
		struct trace trace = { 0 };
		int expected = strstr(entry->d_name, "not-json") ? -EPROTO : 0;

		if (!strstr(entry->d_name, ".txt"))
			continue;
		CU_ASSERT_FATAL(asprintf(&path, "%s/%s", QMP_SAMPLES, entry->d_name) > 0);
		CU_ASSERT_EQUAL(replay(path, &trace), expected);
		CU_ASSERT_EQUAL(strncmp(trace.text, "ready\n", 6), 0);
		replayed++;
	}
	(void) closedir(directory);
	CU_ASSERT(replayed >= 7);
}

UNIT_MAIN("qmp_session", UNIT_TEST(sends_waiting_commands_after_the_negotiation),
	  UNIT_TEST(sends_byte_by_byte), UNIT_TEST(reads_a_dialogue_at_every_split),
	  UNIT_TEST(reads_a_dialogue_byte_by_byte), UNIT_TEST(refuses_every_truncated_line),
	  UNIT_TEST(refuses_what_is_no_message_and_stays_so),
	  UNIT_TEST(gives_what_came_before_a_bad_line), UNIT_TEST(a_failed_session_sends_nothing),
	  UNIT_TEST(refuses_what_is_out_of_place), UNIT_TEST(drops_answers_nobody_waits_for),
	  UNIT_TEST(an_event_may_precede_the_greeting), UNIT_TEST(takes_the_longest_line),
	  UNIT_TEST(refuses_a_longer_line_but_gives_those_before),
	  UNIT_TEST(caps_the_commands_outstanding), UNIT_TEST(caps_the_bytes_queued),
	  UNIT_TEST(free_takes_null), UNIT_TEST(replays_what_real_qemus_said))
