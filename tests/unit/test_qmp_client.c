/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_qmp_client.c - the blocking client against a scripted peer: answers, events, deadlines,
 * ends.
 */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "qmp/client.h"
#include "tests/lib/fake_qmp.h"
#include "tests/unit/unit.h"

#define STOP_AT(seconds)                                                               \
	"{\"timestamp\": {\"seconds\": " seconds ", \"microseconds\": 0}, \"event\": " \
	"\"STOP\"}\r\n"
#define OK "{\"return\": {}}"

enum {
	LONG_MS = 30000, /* must not pass */
	SHORT_MS = 1000, /* must pass, but not while a peer greets */
	SLACK_US = 2000000,
};

static struct qmp_client *client_of(struct fake_qmp *qemu, unsigned timeout_ms)
{
	struct qmp_client *client = NULL;

	CU_ASSERT_EQUAL_FATAL(qmp_client_new(fake_qmp_start(qemu), timeout_ms, &client), 0);
	return client;
}

static int ask(struct qmp_client *client, const char *command, struct json_object **ret_value)
{
	struct json_object *request;

	CU_ASSERT_EQUAL_FATAL(qmp_request_new(command, NULL, &request), 0);
	return qmp_client_call(client, request, ret_value);
}

static uint64_t in_ms(unsigned ms)
{
	return clock_monotonic_us() + (uint64_t) ms * 1000;
}

/* True when @deadline_us has passed, and not by much. */
static bool is_just_over(uint64_t deadline_us)
{
	uint64_t now_us = clock_monotonic_us();

	return now_us >= deadline_us && now_us < deadline_us + SLACK_US;
}

static void negotiates_and_calls(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(json_unrefp) struct json_object *value = NULL;
	struct qmp_client *client;
	struct qmp_version version;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "query-migrate", NULL, "{\"return\": {\"status\": \"active\"}}");
	fake_qmp_expect(qemu, "cont", NULL, OK);
	client = client_of(qemu, LONG_MS);
	version = qmp_client_version(client);
	CU_ASSERT_TRUE(version.major == 7 && version.minor == 2 && version.micro == 22);

	CU_ASSERT_EQUAL(ask(client, "query-migrate", &value), 0);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), 0);
	CU_ASSERT_STRING_EQUAL(qmp_client_error(client), "");
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
	(void) qmp_client_free(client);
	CU_ASSERT_STRING_EQUAL(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN),
			       "{\"status\":\"active\"}"); /* outlives the client */
}

static void tells_why_qemu_refused(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct json_object *value = NULL;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "cont", NULL,
			"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}");
	fake_qmp_expect(qemu, "cont", NULL, OK);
	client = client_of(qemu, LONG_MS);

	CU_ASSERT_EQUAL(ask(client, "cont", &value), -EREMOTEIO);
	CU_ASSERT_STRING_EQUAL(qmp_client_error(client), "GenericError: not now");
	CU_ASSERT_PTR_NULL(value);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), 0);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void cuts_a_long_error(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	char reply[1024];

	(void) snprintf(reply, sizeof(reply),
			"{\"error\": {\"class\": \"GenericError\", \"desc\": \"%0500d\"}}", 0);
	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "cont", NULL, reply);
	client = client_of(qemu, LONG_MS);

	CU_ASSERT_EQUAL(ask(client, "cont", NULL), -EREMOTEIO);
	CU_ASSERT_EQUAL(strlen(qmp_client_error(client)), QMP_ERROR_TEXT_SIZE - 1);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void gives_up_on_a_peer_that_does_not_greet(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	uint64_t deadline_us = in_ms(SHORT_MS);
	struct qmp_client *client = NULL;

	CU_ASSERT_EQUAL(qmp_client_new(fake_qmp_start(qemu), SHORT_MS, &client), -ETIMEDOUT);
	CU_ASSERT_TRUE(is_just_over(deadline_us));
	CU_ASSERT_PTR_NULL(client);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void drops_a_late_answer_and_goes_on(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	_cleanup_(json_unrefp) struct json_object *value = NULL;
	uint64_t deadline_us;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "query-status", NULL, NULL);
	fake_qmp_expect(qemu, "query-migrate", NULL, NULL);
	fake_qmp_say(qemu, "{\"return\": \"of the first\", \"id\": 2}\n"
			   "{\"return\": \"of the second\", \"id\": 3}\n");
	client = client_of(qemu, SHORT_MS);

	deadline_us = in_ms(SHORT_MS);
	CU_ASSERT_EQUAL(ask(client, "query-status", &value), -ETIMEDOUT);
	CU_ASSERT_TRUE(is_just_over(deadline_us));
	CU_ASSERT_PTR_NULL(value);
	CU_ASSERT_EQUAL(ask(client, "query-migrate", &value), 0);
	CU_ASSERT_STRING_EQUAL(json_object_get_string(value), "of the second");
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void a_flood_of_events_does_not_hold_a_call(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	struct qmp_client *client;
	uint64_t deadline_us;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "cont", NULL, NULL);
	fake_qmp_flood(qemu, STOP_AT("1"));
	client = client_of(qemu, SHORT_MS);

	deadline_us = in_ms(SHORT_MS);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), -ETIMEDOUT);
	CU_ASSERT_TRUE(is_just_over(deadline_us));
	(void) qmp_client_free(client);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void count_event(const struct qmp_event *event, const char *event_name, void *userdata)
{
	unsigned *seen = userdata;

	CU_ASSERT_STRING_EQUAL(event_name, "STOP");
	*seen = *seen * 10 + (unsigned) (event->timestamp_us / 1000000);
}

static void keeps_events_that_come_during_a_call(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct qmp_event event;
	unsigned seen = 0;

	fake_qmp_greet(qemu);
	fake_qmp_say(qemu, STOP_AT("1") STOP_AT("2"));
	fake_qmp_expect(qemu, "cont", NULL, OK);
	fake_qmp_say(qemu, STOP_AT("3"));
	client = client_of(qemu, LONG_MS);
	qmp_client_observe(client, count_event, &seen);

	CU_ASSERT_EQUAL(ask(client, "cont", NULL), 0);
	CU_ASSERT_TRUE(seen == 12 || seen == 123);
	for (uint64_t i = 1; i <= 3; i++) {
		CU_ASSERT_EQUAL(qmp_client_wait_event(client, in_ms(LONG_MS), &event), 0);
		CU_ASSERT_EQUAL(event.kind, QMP_EVENT_STOP);
		CU_ASSERT_EQUAL(event.timestamp_us, i * 1000000);
	}
	CU_ASSERT_EQUAL(seen, 123); /* each once */
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void waits_for_an_event_until_the_deadline(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct qmp_event event = {.timestamp_us = 42};
	uint64_t deadline_us;

	fake_qmp_greet(qemu);
	client = client_of(qemu, LONG_MS);
	deadline_us = in_ms(SHORT_MS);
	CU_ASSERT_EQUAL(qmp_client_wait_event(client, deadline_us, &event), -ETIMEDOUT);
	CU_ASSERT_TRUE(is_just_over(deadline_us));
	CU_ASSERT_EQUAL(event.timestamp_us, 42);
	CU_ASSERT_EQUAL(qmp_client_wait_event(client, 0, &event), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void a_passed_deadline_still_gives_what_is_there(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct qmp_event event;

	fake_qmp_greet(qemu);
	fake_qmp_say(qemu, STOP_AT("1"));
	client = client_of(qemu, LONG_MS);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0); /* all was said */
	CU_ASSERT_EQUAL(qmp_client_wait_event(client, 0, &event), 0);
	CU_ASSERT_EQUAL(event.timestamp_us, 1000000);
	CU_ASSERT_EQUAL(qmp_client_wait_event(client, in_ms(LONG_MS), &event), -ECONNRESET);
}

static void tells_once_that_events_were_lost(void)
{
	enum { SAID = QMP_EVENTS_QUEUED_MAX + 10 };
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct qmp_event event;

	fake_qmp_greet(qemu);
	for (unsigned i = 0; i < SAID; i++) {
		char text[128];

		(void) snprintf(text, sizeof(text),
				"{\"timestamp\": {\"seconds\": %u, \"microseconds\": 0}, "
				"\"event\": \"STOP\"}\r\n",
				i);
		fake_qmp_say(qemu, text);
	}
	fake_qmp_expect(qemu, "cont", NULL, OK);
	client = client_of(qemu, LONG_MS);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), 0);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);

	CU_ASSERT_EQUAL(qmp_client_wait_event(client, 0, &event), -EOVERFLOW);
	for (uint64_t i = SAID - QMP_EVENTS_QUEUED_MAX; i < SAID; i++) { /* the newest, in order */
		CU_ASSERT_EQUAL(qmp_client_wait_event(client, 0, &event), 0);
		CU_ASSERT_EQUAL(event.timestamp_us, i * 1000000);
	}
}

static void hears_last_words_and_then_the_end(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct qmp_event event;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "quit", NULL, OK);
	fake_qmp_say(
		qemu,
		"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 0}, \"event\": \"SHUTDOWN\", "
		"\"data\": {\"guest\": false}}\r\n");
	fake_qmp_hang_up(qemu);
	client = client_of(qemu, LONG_MS);

	CU_ASSERT_EQUAL(ask(client, "quit", NULL), 0);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
	CU_ASSERT_EQUAL(qmp_client_wait_event(client, in_ms(LONG_MS), &event), 0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_SHUTDOWN);
	CU_ASSERT_EQUAL(qmp_client_wait_event(client, in_ms(LONG_MS), &event), -ECONNRESET);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), -ECONNRESET);
}

static void a_peer_that_closes_ends_a_call_at_once(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	uint64_t deadline_us;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "cont", NULL, NULL);
	fake_qmp_hang_up(qemu);
	client = client_of(qemu, LONG_MS);
	deadline_us = in_ms(LONG_MS);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), -ECONNRESET);
	CU_ASSERT_TRUE(clock_monotonic_us() < deadline_us);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void passes_on_what_the_session_refuses(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "cont", NULL, NULL);
	fake_qmp_say(qemu, "nonsense\n");
	client = client_of(qemu, LONG_MS);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(ask(client, "cont", NULL), -EBADMSG);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void opens_no_path_that_is_not_there(void)
{
	struct qmp_client *client = NULL;

	CU_ASSERT_EQUAL(qmp_client_open("/nonexistent/monitor", LONG_MS, &client), -ENOENT);
	CU_ASSERT_PTR_NULL(client);
	CU_ASSERT_PTR_NULL(qmp_client_free(NULL));
}

UNIT_MAIN("qmp_client", UNIT_TEST(negotiates_and_calls), UNIT_TEST(tells_why_qemu_refused),
	  UNIT_TEST(cuts_a_long_error), UNIT_TEST(gives_up_on_a_peer_that_does_not_greet),
	  UNIT_TEST(drops_a_late_answer_and_goes_on),
	  UNIT_TEST(a_flood_of_events_does_not_hold_a_call),
	  UNIT_TEST(keeps_events_that_come_during_a_call),
	  UNIT_TEST(waits_for_an_event_until_the_deadline),
	  UNIT_TEST(a_passed_deadline_still_gives_what_is_there),
	  UNIT_TEST(tells_once_that_events_were_lost), UNIT_TEST(hears_last_words_and_then_the_end),
	  UNIT_TEST(a_peer_that_closes_ends_a_call_at_once),
	  UNIT_TEST(passes_on_what_the_session_refuses), UNIT_TEST(opens_no_path_that_is_not_there))
