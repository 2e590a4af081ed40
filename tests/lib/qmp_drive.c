/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp_drive.c - drives a migration between two real QEMUs and checks what they tell, event by
 * event.
 *
 * usage: qmp_drive parameters|move|cancel|fail SOURCE-MONITOR DESTINATION-MONITOR URI
 *
 * Both QEMUs wait in -S, the destination with -incoming defer. Prints each event; ends both QEMUs.
 * Exit status: 0 when all went as expected, 1 with one line on stderr that says what did not.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "qmp/client.h"
#include "qmp/migration.h"

enum {
	EVENT_DEADLINE_US = 20000000, /* a loaded machine moves 32 MiB in far less */
};

struct side {
	const char *name;
	struct qmp_client *client;
	uint64_t last_us; /* timestamp of the event before */
};

struct drive {
	struct side source, destination;
	const char *uri;
};

struct expected {
	enum qmp_event_kind kind;
	enum qmp_migration_status status; /* MIGRATION only */
	bool optional;
};

static const struct expected begin_source[] = {
	{QMP_EVENT_RESUME},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_SETUP},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_ACTIVE},
	{QMP_EVENT_STOP},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_PRE_SWITCHOVER},
};
static const struct expected finish_source[] = {
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_DEVICE},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_COMPLETED},
};
static const struct expected finish_destination[] = {
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_SETUP},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_ACTIVE},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_COMPLETED},
};
static const struct expected resume[] = {
	{QMP_EVENT_RESUME},
};
/*
 * QEMU 7.2 wakes its migration thread before it sets "cancelling" (migrate_fd_cancel()), so that
 * thread may get as far as "device": that word alone does not mean that the move goes on.
 */
static const struct expected cancelled_source[] = {
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_DEVICE, .optional = true},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_CANCELLING},
	{QMP_EVENT_RESUME},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_CANCELLED},
};
static const struct expected failed_source[] = {
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_DEVICE},
	{QMP_EVENT_MIGRATION, QMP_MIGRATION_FAILED},
	{QMP_EVENT_RESUME},
};

static int __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void) vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void) fputc('\n', stderr);
	return -EPROTO;
}

/* For a call that must succeed. */
static int check(const struct side *side, const char *what, int r)
{
	if (r < 0)
		return fail("%s: %s: %s (%s)", side->name, what, strerror(-r),
			    r == -EREMOTEIO ? qmp_client_error(side->client) : "no answer");
	return 0;
}

static const char *event_status(const struct qmp_event *event)
{
	return event->kind == QMP_EVENT_MIGRATION ? qmp_migration_status_name(event->status) : "";
}

static void print_event(const struct qmp_event *event, const char *event_name, void *userdata)
{
	const struct side *side = userdata;

	printf("%-11s %llu.%06llu %s %s\n", side->name,
	       (unsigned long long) event->timestamp_us / 1000000,
	       (unsigned long long) event->timestamp_us % 1000000, event_name, event_status(event));
}

/* The next event but for MIGRATION_PASS, whose number depends on the guest's writes. */
static int next_event(struct side *side, struct qmp_event *ret_event)
{
	uint64_t deadline_us = clock_monotonic_us() + EVENT_DEADLINE_US;
	int r;

	do {
		r = check(side, "event",
			  qmp_client_wait_event(side->client, deadline_us, ret_event));
		if (r < 0)
			return r;
		if (ret_event->timestamp_us < side->last_us)
			return fail("%s: time runs backwards", side->name);
		side->last_us = ret_event->timestamp_us;
	} while (ret_event->kind == QMP_EVENT_MIGRATION_PASS);
	return 0;
}

static bool is_expected(const struct qmp_event *event, const struct expected *expected)
{
	return event->kind == expected->kind &&
	       (event->kind != QMP_EVENT_MIGRATION || event->status == expected->status);
}

/* Exactly these events must come next, in this order. */
static int expect_events(struct side *side, const struct expected *expected, size_t count)
{
	const struct expected *end = expected + count;

	while (expected < end) {
		struct qmp_event event;
		int r = next_event(side, &event);

		if (r < 0)
			return r;
		while (expected < end && expected->optional && !is_expected(&event, expected))
			expected++;
		if (expected == end || !is_expected(&event, expected))
			return fail("%s: %s %s comes out of its order", side->name,
				    qmp_event_kind_name(event.kind), event_status(&event));
		expected++;
	}
	return 0;
}
#define EXPECT(side, list) expect_events(side, list, ARRAY_SIZE(list))

static int expect_info(struct side *side, enum qmp_migration_status status,
		       struct qmp_migration_info *ret_info)
{
	int r = check(side, "query-migrate", qmp_query_migrate(side->client, ret_info));

	if (r == 0 && ret_info->status != status)
		return fail("%s: the migration is %s, not %s", side->name,
			    qmp_migration_status_name(ret_info->status),
			    qmp_migration_status_name(status));
	return r;
}

/* Asks until it is so: "finish-migrate" outlasts the COMPLETED event by some microseconds. */
static int await_state(struct side *side, enum qmp_run_state state, bool running)
{
	uint64_t deadline_us = clock_monotonic_us() + EVENT_DEADLINE_US;
	struct qmp_vm_status status;
	int r;

	do {
		r = check(side, "query-status", qmp_query_status(side->client, &status));
		if (r < 0 || (status.state == state && status.running == running))
			return r;
	} while (clock_monotonic_us() < deadline_us);
	return fail("%s: the guest is %s, not %s", side->name, qmp_run_state_name(status.state),
		    qmp_run_state_name(state));
}

static int prepare(struct drive *drive)
{
	const unsigned on = QMP_CAPABILITY_EVENTS | QMP_CAPABILITY_PAUSE_BEFORE_SWITCHOVER |
			    QMP_CAPABILITY_RETURN_PATH;
	struct qmp_client *source = drive->source.client, *destination = drive->destination.client;
	int r;

	if ((r = await_state(&drive->source, QMP_RUN_PRELAUNCH, false)) < 0 ||
	    (r = await_state(&drive->destination, QMP_RUN_INMIGRATE, false)) < 0)
		return r;
	if ((r = check(&drive->source, "capabilities", qmp_set_capabilities(source, on, 0))) < 0)
		return r;
	if ((r = check(&drive->destination, "capabilities",
		       qmp_set_capabilities(destination, on, 0))) < 0)
		return r;
	return check(&drive->destination, "migrate-incoming",
		     qmp_migrate_incoming(destination, drive->uri));
}

/* From two idle QEMUs to a source that waits in pre-switchover. */
static int begin(struct drive *drive)
{
	struct side *source = &drive->source;
	struct qmp_migration_info info;
	int r;

	if ((r = prepare(drive)) < 0 || (r = expect_info(source, QMP_MIGRATION_NONE, &info)) < 0 ||
	    (r = check(source, "cont", qmp_cont(source->client))) < 0 ||
	    (r = check(source, "migrate", qmp_migrate(source->client, drive->uri))) < 0 ||
	    (r = EXPECT(source, begin_source)) < 0 ||
	    (r = expect_info(source, QMP_MIGRATION_PRE_SWITCHOVER, &info)) < 0)
		return r;
	if (info.ram_transferred_bytes == 0 || info.ram_total_bytes == 0 || info.passes == 0)
		return fail("query-migrate tells nothing of the memory");
	return await_state(source, QMP_RUN_FINISH_MIGRATE, false);
}

static int let_go_on(struct side *source)
{
	return check(source, "migrate-continue",
		     qmp_migrate_continue(source->client, QMP_MIGRATION_PRE_SWITCHOVER));
}

static int move(struct drive *drive)
{
	const struct qmp_announce announce = {
		.initial_ms = 50, .max_ms = 550, .rounds = 5, .step_ms = 100};
	struct side *source = &drive->source, *destination = &drive->destination;
	struct qmp_migration_info info;
	int r;

	if ((r = begin(drive)) < 0 || (r = let_go_on(source)) < 0 ||
	    (r = EXPECT(source, finish_source)) < 0 ||
	    (r = EXPECT(destination, finish_destination)) < 0 ||
	    (r = check(destination, "cont", qmp_cont(destination->client))) < 0 ||
	    (r = EXPECT(destination, resume)) < 0 ||
	    (r = check(destination, "announce-self",
		       qmp_announce_self(destination->client, &announce))) < 0 ||
	    (r = expect_info(source, QMP_MIGRATION_COMPLETED, &info)) < 0 ||
	    (r = await_state(source, QMP_RUN_POSTMIGRATE, false)) < 0 ||
	    (r = await_state(destination, QMP_RUN_RUNNING, true)) < 0)
		return r;
	if (destination->last_us <= source->last_us)
		return fail("the destination ran before the source was done");
	printf("total %llu ms, downtime %llu ms, %llu bytes of memory sent\n",
	       (unsigned long long) info.total_ms, (unsigned long long) info.downtime_ms,
	       (unsigned long long) info.ram_transferred_bytes);
	return 0;
}

static int cancel(struct drive *drive)
{
	struct side *source = &drive->source;
	struct qmp_migration_info info;
	int r;

	if ((r = begin(drive)) < 0 ||
	    (r = check(source, "migrate_cancel", qmp_migrate_cancel(source->client))) < 0 ||
	    (r = EXPECT(source, cancelled_source)) < 0 ||
	    (r = expect_info(source, QMP_MIGRATION_CANCELLED, &info)) < 0)
		return r;
	return await_state(source, QMP_RUN_RUNNING, true);
}

static int quit(struct side *side)
{
	struct json_object *request;
	int r = qmp_request_new("quit", NULL, &request);

	return r < 0 ? r : check(side, "quit", qmp_client_call(side->client, request, NULL));
}

/*
 * The destination dies while the source waits in pre-switchover: the guest must go on at the
 * source. It does so reliably only with return-path; without, QEMU 7.2 at times reports COMPLETED
 * for what nobody received.
 */
static int fail_move(struct drive *drive)
{
	struct side *source = &drive->source;
	struct qmp_migration_info info;
	struct qmp_event event;
	int r;

	if ((r = begin(drive)) < 0 || (r = quit(&drive->destination)) < 0)
		return r;
	do { /* until its monitor is gone */
		r = qmp_client_wait_event(drive->destination.client,
					  clock_monotonic_us() + EVENT_DEADLINE_US, &event);
	} while (r == 0);
	if (r != -ECONNRESET)
		return check(&drive->destination, "end", r);

	if ((r = let_go_on(source)) < 0 || (r = EXPECT(source, failed_source)) < 0 ||
	    (r = expect_info(source, QMP_MIGRATION_FAILED, &info)) < 0)
		return r;
	return await_state(source, QMP_RUN_RUNNING, true);
}

/* QEMU must accept both ends of each range that our table allows, and refuse what we refuse too. */
static int try_parameters(struct drive *drive)
{
	static const struct qmp_parameter ends[] = {
		{QMP_PARAMETER_MAX_BANDWIDTH_BYTES_PER_S, 1 << 20},
		{QMP_PARAMETER_MAX_BANDWIDTH_BYTES_PER_S, INT64_MAX},
		{QMP_PARAMETER_DOWNTIME_LIMIT_MS, 0},
		{QMP_PARAMETER_DOWNTIME_LIMIT_MS, 2000000},
		{QMP_PARAMETER_MULTIFD_CHANNELS, 1},
		{QMP_PARAMETER_MULTIFD_CHANNELS, 255},
		{QMP_PARAMETER_ANNOUNCE_INITIAL_MS, 0},
		{QMP_PARAMETER_ANNOUNCE_INITIAL_MS, 100000},
		{QMP_PARAMETER_ANNOUNCE_MAX_MS, 0},
		{QMP_PARAMETER_ANNOUNCE_MAX_MS, 100000},
		{QMP_PARAMETER_ANNOUNCE_ROUNDS, 0},
		{QMP_PARAMETER_ANNOUNCE_ROUNDS, 1000},
		{QMP_PARAMETER_ANNOUNCE_STEP_MS, 1},
		{QMP_PARAMETER_ANNOUNCE_STEP_MS, 10000},
	};
	struct side *source = &drive->source;
	const unsigned all = (QMP_CAPABILITY_XBZRLE << 1) - 1;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		r = check(source, "migrate-set-parameters",
			  qmp_set_parameters(source->client, &ends[i], 1));
		if (r < 0)
			return r;
	}
	for (unsigned bit = 1; bit & all; bit <<= 1)
		if ((r = check(source, "capability on",
			       qmp_set_capabilities(source->client, bit, 0))) < 0 ||
		    (r = check(source, "capability off",
			       qmp_set_capabilities(source->client, 0, bit))) < 0)
			return r;

	r = qmp_migrate_continue(source->client, QMP_MIGRATION_PRE_SWITCHOVER);
	if (r != -EREMOTEIO)
		return fail("QEMU let a migration continue that never began");
	printf("refused as it must be: %s\n", qmp_client_error(source->client));
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct drive *drive);
} scenarios[] = {
	{"parameters", try_parameters},
	{"move", move},
	{"cancel", cancel},
	{"fail", fail_move},
};

static int side_open(struct side *side, const char *name, const char *path)
{
	int r = qmp_client_open(path, QMP_TIMEOUT_MS, &side->client);

	if (r < 0)
		return fail("%s: cannot open %s: %s", name, path, strerror(-r));
	side->name = name;
	qmp_client_observe(side->client, print_event, side);
	return 0;
}

static int run(struct drive *drive, const char *scenario, const char *source,
	       const char *destination)
{
	int r;

	if ((r = side_open(&drive->source, "source", source)) < 0 ||
	    (r = side_open(&drive->destination, "destination", destination)) < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strcmp(scenarios[i].name, scenario) == 0)
			return scenarios[i].run(drive);
	return fail("no such scenario: %s", scenario);
}

int main(int argc, char **argv)
{
	struct drive drive = {0};
	int r;

	if (argc != 5) {
		(void) fprintf(
			stderr,
			"usage: qmp_drive parameters|move|cancel|fail SOURCE DESTINATION URI\n");
		return EXIT_FAILURE;
	}
	(void) setvbuf(stdout, NULL, _IOLBF, 0);
	drive.uri = argv[4];
	r = run(&drive, argv[1], argv[2], argv[3]);
	qmp_client_free(drive.source.client);
	qmp_client_free(drive.destination.client);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
