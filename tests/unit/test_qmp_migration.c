/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_qmp_migration.c - each typed call as it goes over the wire, and what it makes of the answer.
 */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "qmp/migration.h"
#include "tests/lib/fake_qmp.h"
#include "tests/unit/unit.h"

#define OK "{\"return\": {}}"

static const struct qmp_announce announce = {
	.initial_ms = 50,
	.max_ms = 550,
	.rounds = 5,
	.step_ms = 100,
};

static int call_migrate(struct qmp_client *client)
{
	return qmp_migrate(client, "tcp:[2001:db8::2]:49152");
}

static int call_migrate_incoming(struct qmp_client *client)
{
	return qmp_migrate_incoming(client, "tcp:192.0.2.2:49152");
}

static int call_set_capabilities(struct qmp_client *client)
{
	return qmp_set_capabilities(client,
				    QMP_CAPABILITY_EVENTS | QMP_CAPABILITY_PAUSE_BEFORE_SWITCHOVER,
				    QMP_CAPABILITY_POSTCOPY_RAM);
}

static int call_set_parameters(struct qmp_client *client)
{
	const struct qmp_parameter parameters[] = {
		{ QMP_PARAMETER_MAX_BANDWIDTH_BYTES_PER_S, 100 << 20 },
		{ QMP_PARAMETER_DOWNTIME_LIMIT_MS, 300 },
		{ QMP_PARAMETER_ANNOUNCE_ROUNDS, 0 },
	};

	return qmp_set_parameters(client, parameters, ARRAY_SIZE(parameters));
}

static int call_migrate_continue(struct qmp_client *client)
{
	return qmp_migrate_continue(client, QMP_MIGRATION_PRE_SWITCHOVER);
}

static int call_announce_self(struct qmp_client *client)
{
	return qmp_announce_self(client, &announce);
}

/* The table of what each call must put on the wire. */
static const struct {
	int (*call)(struct qmp_client *client);
	const char *command, *arguments;
} calls[] = {
	{ call_migrate, "migrate", "{\"uri\": \"tcp:[2001:db8::2]:49152\"}" },
	{ call_migrate_incoming, "migrate-incoming", "{\"uri\": \"tcp:192.0.2.2:49152\"}" },
	{ call_set_capabilities, "migrate-set-capabilities",
	  "{\"capabilities\": [{\"capability\": \"events\", \"state\": true}, "
	  "{\"capability\": \"pause-before-switchover\", \"state\": true}, "
	  "{\"capability\": \"postcopy-ram\", \"state\": false}]}" },
	{ call_set_parameters, "migrate-set-parameters",
	  "{\"max-bandwidth\": 104857600, \"downtime-limit\": 300, \"announce-rounds\": 0}" },
	{ call_migrate_continue, "migrate-continue", "{\"state\": \"pre-switchover\"}" },
	{ qmp_migrate_cancel, "migrate_cancel", NULL },
	{ call_announce_self, "announce-self",
	  "{\"initial\": 50, \"max\": 550, \"rounds\": 5, \"step\": 100}" },
	{ qmp_cont, "cont", NULL },
};

static void each_call_asks_what_qemu_expects(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;

	fake_qmp_greet(qemu);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		fake_qmp_expect(qemu, calls[i].command, calls[i].arguments, OK);
	CU_ASSERT_EQUAL_FATAL(qmp_client_new(fake_qmp_start(qemu), QMP_TIMEOUT_MS, &client), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		CU_ASSERT_EQUAL(calls[i].call(client), 0);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void each_call_passes_a_refusal_on(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;

	fake_qmp_greet(qemu);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		fake_qmp_expect(qemu, calls[i].command, calls[i].arguments,
				"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}");
	CU_ASSERT_EQUAL_FATAL(qmp_client_new(fake_qmp_start(qemu), QMP_TIMEOUT_MS, &client), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		CU_ASSERT_EQUAL(calls[i].call(client), -EREMOTEIO);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void asks_how_it_goes(void)
{
	struct fake_qmp *qemu = fake_qmp_new();
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct qmp_migration_info info;
	struct qmp_vm_status status;

	fake_qmp_greet(qemu);
	fake_qmp_expect(qemu, "query-migrate", NULL, "{\"return\": {\"status\": \"device\"}}");
	fake_qmp_expect(qemu, "query-migrate", NULL, "{\"return\": []}");
	fake_qmp_expect(qemu, "query-status", NULL,
			"{\"return\": {\"status\": \"inmigrate\", \"singlestep\": false, "
			"\"running\": false}}");
	fake_qmp_expect(qemu, "query-status", NULL, "{\"return\": {\"status\": \"running\"}}");
	CU_ASSERT_EQUAL_FATAL(qmp_client_new(fake_qmp_start(qemu), QMP_TIMEOUT_MS, &client), 0);

	CU_ASSERT_EQUAL(qmp_query_migrate(client, &info), 0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_DEVICE);
	CU_ASSERT_EQUAL(qmp_query_migrate(client, &info), -EBADMSG);
	CU_ASSERT_EQUAL(qmp_query_status(client, &status), 0);
	CU_ASSERT_EQUAL(status.state, QMP_RUN_INMIGRATE);
	CU_ASSERT_FALSE(status.running);
	CU_ASSERT_EQUAL(qmp_query_status(client, &status), -EBADMSG);
	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
}

static void builders_refuse_what_qemu_would(void)
{
	static const struct qmp_parameter bad[] = {
		{ QMP_PARAMETER_DOWNTIME_LIMIT_MS, 2000001 },
		{ QMP_PARAMETER_MULTIFD_CHANNELS, 0 },
		{ QMP_PARAMETER_MULTIFD_CHANNELS, 256 },
		{ QMP_PARAMETER_ANNOUNCE_INITIAL_MS, 100001 },
		{ QMP_PARAMETER_ANNOUNCE_MAX_MS, 100001 },
		{ QMP_PARAMETER_ANNOUNCE_ROUNDS, 1001 },
		{ QMP_PARAMETER_ANNOUNCE_STEP_MS, 0 },
		{ QMP_PARAMETER_ANNOUNCE_STEP_MS, 10001 },
		{ QMP_PARAMETER_MAX_BANDWIDTH_BYTES_PER_S, 1ull << 63 },
		{ QMP_PARAMETER_COUNT, 1 },
	};
	static const struct qmp_parameter twice[] = {
		{ QMP_PARAMETER_DOWNTIME_LIMIT_MS, 1 },
		{ QMP_PARAMETER_DOWNTIME_LIMIT_MS, 2 },
	};
	struct json_object *request = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(qmp_request_set_parameters(&bad[i], 1, &request), -EINVAL);
	CU_ASSERT_EQUAL(qmp_request_set_parameters(twice, 2, &request), -EINVAL);
	CU_ASSERT_EQUAL(qmp_request_migrate("", &request), -EINVAL);
	CU_ASSERT_EQUAL(qmp_request_migrate_incoming("", &request), -EINVAL);
	CU_ASSERT_EQUAL(qmp_request_set_capabilities(0, 0, &request), -EINVAL);
	CU_ASSERT_EQUAL(qmp_request_set_capabilities(1, 1, &request), -EINVAL);
	CU_ASSERT_EQUAL(qmp_request_set_capabilities(QMP_CAPABILITY_XBZRLE << 1, 0, &request),
			-EINVAL);
	CU_ASSERT_PTR_NULL(request);
}

static void announcing_is_bounded(void)
{
	static const struct qmp_announce bad[] = {
		{ .initial_ms = 100001, .max_ms = 1, .rounds = 1, .step_ms = 1 },
		{ .initial_ms = 1, .max_ms = 100001, .rounds = 1, .step_ms = 1 },
		{ .initial_ms = 1, .max_ms = 1, .rounds = 0, .step_ms = 1 },
		{ .initial_ms = 1, .max_ms = 1, .rounds = 1001, .step_ms = 1 },
		{ .initial_ms = 1, .max_ms = 1, .rounds = 1, .step_ms = 0 },
		{ .initial_ms = 1, .max_ms = 1, .rounds = 1, .step_ms = 10001 },
	};
	_cleanup_(json_unrefp) struct json_object *request = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(qmp_request_announce_self(&bad[i], &request), -EINVAL);
	CU_ASSERT_PTR_NULL(request);
	CU_ASSERT_EQUAL(qmp_request_announce_self(&announce, &request), 0);
}

static int parse_info(const char *text, struct qmp_migration_info *ret_info)
{
	_cleanup_(json_unrefp) struct json_object *value = NULL;

	CU_ASSERT_EQUAL_FATAL(json_parse_object(text, strlen(text), &value), 0);
	return qmp_migration_info_parse(value, ret_info);
}

/* As QEMU 7.2.22 says it; tests/data/qmp has the whole. */
static void reads_a_migration_that_is_on_its_way(void)
{
	struct qmp_migration_info info;

	CU_ASSERT_EQUAL(parse_info("{\"expected-downtime\": 300, \"status\": \"pre-switchover\", "
				   "\"setup-time\": 2, "
				   "\"total-time\": 22, \"ram\": {\"total\": 34086912, "
				   "\"dirty-sync-count\": 1, "
				   "\"mbps\": 0.5, \"remaining\": 4096, \"transferred\": 279740}}",
				   &info),
			0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_PRE_SWITCHOVER);
	CU_ASSERT_EQUAL(info.ram_total_bytes, 34086912);
	CU_ASSERT_EQUAL(info.ram_remaining_bytes, 4096);
	CU_ASSERT_EQUAL(info.ram_transferred_bytes, 279740);
	CU_ASSERT_EQUAL(info.passes, 1);
	CU_ASSERT_EQUAL(info.setup_ms, 2);
	CU_ASSERT_EQUAL(info.total_ms, 22);
	CU_ASSERT_EQUAL(info.expected_downtime_ms, 300);
	CU_ASSERT_EQUAL(info.downtime_ms, 0);
	CU_ASSERT_STRING_EQUAL(info.error, "");
}

static void reads_the_ends_of_a_migration(void)
{
	struct qmp_migration_info info;

	CU_ASSERT_EQUAL(parse_info("{}", &info), 0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_NONE);
	CU_ASSERT_EQUAL(info.ram_total_bytes, 0);

	CU_ASSERT_EQUAL(
		parse_info("{\"status\": \"completed\", \"downtime\": 8, \"total-time\": 25}",
			   &info),
		0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_COMPLETED);
	CU_ASSERT_EQUAL(info.downtime_ms, 8);

	CU_ASSERT_EQUAL(parse_info("{\"status\": \"failed\", \"error-desc\": \"no route\"}", &info),
			0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_FAILED);
	CU_ASSERT_STRING_EQUAL(info.error, "no route");

	CU_ASSERT_EQUAL(parse_info("{\"blocked-reasons\": [\"a device\", \"another\"]}", &info), 0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_NONE);
	CU_ASSERT_STRING_EQUAL(info.error, "a device");

	CU_ASSERT_EQUAL(parse_info("{\"status\": \"of a QEMU to come\", \"blocked-reasons\": []}",
				   &info),
			0);
	CU_ASSERT_EQUAL(info.status, QMP_MIGRATION_OTHER);
	CU_ASSERT_STRING_EQUAL(info.error, "");
}

static void refuses_answers_of_another_shape(void)
{
	static const char *const bad[] = {
		"{\"status\": 1}",
		"{\"status\": \"active\", \"ram\": 1}",
		"{\"status\": \"active\", \"ram\": {}}",
		"{\"status\": \"active\", \"ram\": {\"transferred\": 1, \"remaining\": 2}}",
		"{\"status\": \"active\", \"ram\": {\"transferred\": -1, \"remaining\": 2, "
		"\"total\": 3}}",
		"{\"ram\": {\"transferred\": 1, \"remaining\": 2, \"total\": 3, "
		"\"dirty-sync-count\": []}}",
		"{\"status\": \"active\", \"total-time\": 0.5}",
		"{\"status\": \"active\", \"setup-time\": -1}",
		"{\"status\": \"active\", \"expected-downtime\": true}",
		"{\"status\": \"completed\", \"downtime\": \"8\"}",
		"{\"status\": \"failed\", \"error-desc\": 5}",
		"{\"blocked-reasons\": \"a device\"}",
		"{\"blocked-reasons\": [null]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct qmp_migration_info info = { .passes = 42 };

		CU_ASSERT_EQUAL(parse_info(bad[i], &info), -EBADMSG);
		CU_ASSERT_EQUAL(info.passes, 42);
	}
}

static void reads_every_run_state(void)
{
	for (unsigned i = QMP_RUN_OTHER; i < QMP_RUN_STATE_COUNT; i++) {
		_cleanup_(json_unrefp) struct json_object *value = NULL;
		struct qmp_vm_status status;
		char text[128];

		(void) snprintf(text, sizeof(text), "{\"running\": %s, \"status\": \"%s\"}",
				i == QMP_RUN_RUNNING ? "true" : "false", qmp_run_state_name(i));
		CU_ASSERT_EQUAL_FATAL(json_parse_object(text, strlen(text), &value), 0);
		CU_ASSERT_EQUAL(qmp_vm_status_parse(value, &status), 0);
		CU_ASSERT_EQUAL(status.state, i);
		CU_ASSERT_EQUAL(status.running, i == QMP_RUN_RUNNING);
	}
	CU_ASSERT_STRING_EQUAL(qmp_run_state_name(QMP_RUN_POSTMIGRATE), "postmigrate");
}

UNIT_MAIN("qmp_migration", UNIT_TEST(each_call_asks_what_qemu_expects),
	  UNIT_TEST(each_call_passes_a_refusal_on), UNIT_TEST(asks_how_it_goes),
	  UNIT_TEST(builders_refuse_what_qemu_would), UNIT_TEST(announcing_is_bounded),
	  UNIT_TEST(reads_a_migration_that_is_on_its_way), UNIT_TEST(reads_the_ends_of_a_migration),
	  UNIT_TEST(refuses_answers_of_another_shape), UNIT_TEST(reads_every_run_state))
