/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_qmp_event.c - QMP events from our monitor and from libvirt's callback. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/json.h"
#include "qmp/event.h"
#include "tests/unit/unit.h"

#define TIME "\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}"

static const int64_t seconds = 1700000000;
static const unsigned micros = 123456;
static const uint64_t time_us = 1700000000123456;

/* The value an event is left with when it must not be written. */
static const struct qmp_event untouched = {.kind = QMP_EVENT_KIND_COUNT, .timestamp_us = 42};

static int parse(const char *text, struct qmp_event *ret_event)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;

	CU_ASSERT_EQUAL_FATAL(json_parse_object(text, strlen(text), &object), 0);
	return qmp_event_parse(object, ret_event);
}

static void reads_every_migration_status_both_ways(void)
{
	for (unsigned i = QMP_MIGRATION_NONE; i < QMP_MIGRATION_STATUS_COUNT; i++) {
		const char *name = qmp_migration_status_name(i);
		struct qmp_event event = untouched;
		char details[64], text[256];

		(void) snprintf(details, sizeof(details), "{\"status\": \"%s\"}", name);
		(void) snprintf(text, sizeof(text),
				"{\"event\": \"MIGRATION\", \"data\": %s, " TIME "}", details);

		CU_ASSERT_EQUAL(parse(text, &event), 0);
		CU_ASSERT_EQUAL(event.kind, QMP_EVENT_MIGRATION);
		CU_ASSERT_EQUAL(event.status, i);
		CU_ASSERT_EQUAL(event.timestamp_us, time_us);

		event = untouched;
		CU_ASSERT_EQUAL(qmp_event_from_parts("MIGRATION", seconds, micros, details, &event),
				0);
		CU_ASSERT_EQUAL(event.kind, QMP_EVENT_MIGRATION);
		CU_ASSERT_EQUAL(event.status, i);
		CU_ASSERT_EQUAL(event.timestamp_us, time_us);
	}
}

static void knows_the_statuses_by_qemus_words(void)
{
	static const struct {
		const char *name;
		enum qmp_migration_status status;
	} words[] = {
		{"setup", QMP_MIGRATION_SETUP},
		{"active", QMP_MIGRATION_ACTIVE},
		{"pre-switchover", QMP_MIGRATION_PRE_SWITCHOVER},
		{"device", QMP_MIGRATION_DEVICE},
		{"postcopy-active", QMP_MIGRATION_POSTCOPY_ACTIVE},
		{"completed", QMP_MIGRATION_COMPLETED},
		{"failed", QMP_MIGRATION_FAILED},
		{"cancelling", QMP_MIGRATION_CANCELLING},
		{"cancelled", QMP_MIGRATION_CANCELLED},
		{"of a QEMU to come", QMP_MIGRATION_OTHER},
		{"", QMP_MIGRATION_OTHER},
		{"other", QMP_MIGRATION_OTHER},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		CU_ASSERT_EQUAL(qmp_migration_status_from_name(words[i].name), words[i].status);
	CU_ASSERT_STRING_EQUAL(qmp_migration_status_name(QMP_MIGRATION_STATUS_COUNT), "other");
}

static void tells_which_statuses_are_final(void)
{
	for (unsigned i = 0; i < QMP_MIGRATION_STATUS_COUNT; i++)
		CU_ASSERT_EQUAL(qmp_migration_status_is_final(i),
				i == QMP_MIGRATION_COMPLETED || i == QMP_MIGRATION_FAILED ||
					i == QMP_MIGRATION_CANCELLED);
}

static void reads_pass_and_shutdown(void)
{
	struct qmp_event event;

	CU_ASSERT_EQUAL(parse("{" TIME ", \"event\": \"MIGRATION_PASS\", \"data\": {\"pass\": 7}}",
			      &event),
			0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_MIGRATION_PASS);
	CU_ASSERT_EQUAL(event.pass, 7);

	CU_ASSERT_EQUAL(parse("{" TIME ", \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, "
			      "\"reason\": \"guest-shutdown\"}}",
			      &event),
			0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_SHUTDOWN);
	CU_ASSERT_TRUE(event.by_guest);

	CU_ASSERT_EQUAL(
		qmp_event_from_parts("SHUTDOWN", seconds, micros, "{\"guest\": false}", &event), 0);
	CU_ASSERT_FALSE(event.by_guest);
}

static void reads_events_without_data(void)
{
	struct qmp_event event;

	CU_ASSERT_EQUAL(parse("{" TIME ", \"event\": \"STOP\"}", &event), 0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_STOP);
	CU_ASSERT_EQUAL(parse("{" TIME ", \"event\": \"RESUME\", \"data\": {}}", &event), 0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_RESUME);
	CU_ASSERT_EQUAL(qmp_event_from_parts("STOP", seconds, micros, NULL, &event), 0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_STOP);
	CU_ASSERT_EQUAL(event.timestamp_us, time_us);
	CU_ASSERT_EQUAL(qmp_event_from_parts("RESUME", seconds, micros, "{}", &event), 0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_RESUME);
}

static void an_unknown_event_is_other(void)
{
	struct qmp_event event;

	CU_ASSERT_EQUAL(parse("{" TIME ", \"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}",
			      &event),
			0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_OTHER);
	CU_ASSERT_EQUAL(event.timestamp_us, time_us);
	CU_ASSERT_EQUAL(qmp_event_from_parts("other", seconds, micros, NULL, &event), 0);
	CU_ASSERT_EQUAL(event.kind, QMP_EVENT_OTHER);
}

static void every_kind_has_its_name(void)
{
	CU_ASSERT_STRING_EQUAL(qmp_event_kind_name(QMP_EVENT_MIGRATION), "MIGRATION");
	CU_ASSERT_STRING_EQUAL(qmp_event_kind_name(QMP_EVENT_MIGRATION_PASS), "MIGRATION_PASS");
	CU_ASSERT_STRING_EQUAL(qmp_event_kind_name(QMP_EVENT_STOP), "STOP");
	CU_ASSERT_STRING_EQUAL(qmp_event_kind_name(QMP_EVENT_RESUME), "RESUME");
	CU_ASSERT_STRING_EQUAL(qmp_event_kind_name(QMP_EVENT_SHUTDOWN), "SHUTDOWN");
	CU_ASSERT_STRING_EQUAL(qmp_event_kind_name(QMP_EVENT_KIND_COUNT), "other");
}

static void a_host_without_a_clock_gives_zero(void)
{
	struct qmp_event event = untouched;

	CU_ASSERT_EQUAL(parse("{\"event\": \"STOP\", \"timestamp\": {\"seconds\": -1, "
			      "\"microseconds\": -1}}",
			      &event),
			0);
	CU_ASSERT_EQUAL(event.timestamp_us, 0);
	event = untouched;
	CU_ASSERT_EQUAL(qmp_event_from_parts("STOP", -1, (unsigned) -1, NULL, &event), 0);
	CU_ASSERT_EQUAL(event.timestamp_us, 0);
}

static void refuses_times_out_of_range(void)
{
	static const struct {
		int64_t seconds;
		unsigned micros;
		int result;
	} times[] = {
		{0, 0, 0},
		{0, 999999, 0},
		{INT64_MAX / 1000000 - 1, 999999, 0},
		{0, 1000000, -EBADMSG},
		{-1, 0, -EBADMSG},
		{0, UINT_MAX, -EBADMSG},
		{-2, UINT_MAX, -EBADMSG},
		{INT64_MAX / 1000000, 0, -EBADMSG},
		{INT64_MAX, 0, -EBADMSG},
		{INT64_MIN, 0, -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct qmp_event event = untouched;

		CU_ASSERT_EQUAL(qmp_event_from_parts("STOP", times[i].seconds, times[i].micros,
						     NULL, &event),
				times[i].result);
		CU_ASSERT_EQUAL(event.timestamp_us,
				times[i].result < 0
					? untouched.timestamp_us
					: (uint64_t) times[i].seconds * 1000000 + times[i].micros);
	}
}

static void refuses_what_lacks_a_member(void)
{
	static const char *const bad[] = {
		"{}",
		"{\"event\": \"STOP\"}",
		"{" TIME "}",
		"{\"event\": 1, " TIME "}",
		"{\"event\": null, " TIME "}",
		"{\"event\": \"STOP\", \"timestamp\": 5}",
		"{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 5}}",
		"{\"event\": \"STOP\", \"timestamp\": {\"microseconds\": 5}}",
		"{\"event\": \"STOP\", \"timestamp\": {\"seconds\": \"5\", \"microseconds\": 5}}",
		"{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 5, \"microseconds\": 0.5}}",
		"{\"event\": \"STOP\", \"data\": [], " TIME "}",
		"{\"event\": \"MIGRATION\", " TIME "}",
		"{\"event\": \"MIGRATION\", \"data\": {}, " TIME "}",
		"{\"event\": \"MIGRATION\", \"data\": {\"status\": 1}, " TIME "}",
		"{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\\u0000\"}, " TIME "}",
		"{\"event\": \"MIGRATION_PASS\", " TIME "}",
		"{\"event\": \"MIGRATION_PASS\", \"data\": {\"pass\": \"1\"}, " TIME "}",
		"{\"event\": \"MIGRATION_PASS\", \"data\": {\"pass\": -1}, " TIME "}",
		"{\"event\": \"SHUTDOWN\", " TIME "}",
		"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": 1}, " TIME "}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct qmp_event event = untouched;

		CU_ASSERT_EQUAL(parse(bad[i], &event), -EBADMSG);
		CU_ASSERT_EQUAL(event.kind, untouched.kind);
		CU_ASSERT_EQUAL(event.timestamp_us, untouched.timestamp_us);
	}
}

static void refuses_every_truncation_of_the_details(void)
{
	static const char details[] = "{\"status\": \"pre-switchover\"}";

	for (size_t size = 0; size < sizeof(details) - 1; size++) {
		struct qmp_event event = untouched;
		char part[sizeof(details)] = "";

		memcpy(part, details, size);
		CU_ASSERT_EQUAL(qmp_event_from_parts("MIGRATION", seconds, micros, part, &event),
				-EBADMSG);
		CU_ASSERT_EQUAL(event.kind, untouched.kind);
	}
}

UNIT_MAIN("qmp_event", UNIT_TEST(reads_every_migration_status_both_ways),
	  UNIT_TEST(knows_the_statuses_by_qemus_words), UNIT_TEST(tells_which_statuses_are_final),
	  UNIT_TEST(reads_pass_and_shutdown), UNIT_TEST(reads_events_without_data),
	  UNIT_TEST(an_unknown_event_is_other), UNIT_TEST(every_kind_has_its_name),
	  UNIT_TEST(a_host_without_a_clock_gives_zero), UNIT_TEST(refuses_times_out_of_range),
	  UNIT_TEST(refuses_what_lacks_a_member),
	  UNIT_TEST(refuses_every_truncation_of_the_details))
