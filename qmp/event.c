/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* event.c - QMP events as values. */
#include "qmp/event.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/json.h"

enum {
	MICROS_PER_SECOND = 1000000,
};

/* Seconds whose microseconds still fit 63 bits; 292,000 years hence. */
static const int64_t seconds_max = INT64_MAX / MICROS_PER_SECOND - 1;

static const char *const status_names[] = {
	[QMP_MIGRATION_OTHER] = "other",
	[QMP_MIGRATION_NONE] = "none",
	[QMP_MIGRATION_SETUP] = "setup",
	[QMP_MIGRATION_CANCELLING] = "cancelling",
	[QMP_MIGRATION_CANCELLED] = "cancelled",
	[QMP_MIGRATION_ACTIVE] = "active",
	[QMP_MIGRATION_POSTCOPY_ACTIVE] = "postcopy-active",
	[QMP_MIGRATION_POSTCOPY_PAUSED] = "postcopy-paused",
	[QMP_MIGRATION_POSTCOPY_RECOVER] = "postcopy-recover",
	[QMP_MIGRATION_POSTCOPY_RECOVER_SETUP] = "postcopy-recover-setup",
	[QMP_MIGRATION_COMPLETED] = "completed",
	[QMP_MIGRATION_FAILED] = "failed",
	[QMP_MIGRATION_COLO] = "colo",
	[QMP_MIGRATION_PRE_SWITCHOVER] = "pre-switchover",
	[QMP_MIGRATION_DEVICE] = "device",
	[QMP_MIGRATION_WAIT_UNPLUG] = "wait-unplug",
};
static_assert(ARRAY_SIZE(status_names) == QMP_MIGRATION_STATUS_COUNT, "a status has no name");

/* @data is NULL when the event carries none. */
static int read_nothing(struct json_object *data, struct qmp_event *event)
{
	return 0;
}

static int read_migration(struct json_object *data, struct qmp_event *event)
{
	const char *status;

	if (!data || json_get_string(data, "status", &status) < 0)
		return -EBADMSG;
	event->status = qmp_migration_status_from_name(status);
	return 0;
}

static int read_pass(struct json_object *data, struct qmp_event *event)
{
	if (!data || json_get_u64(data, "pass", &event->pass) < 0)
		return -EBADMSG;
	return 0;
}

static int read_shutdown(struct json_object *data, struct qmp_event *event)
{
	if (!data || json_get_bool(data, "guest", &event->by_guest) < 0)
		return -EBADMSG;
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct json_object *data, struct qmp_event *event);
} kinds[] = {
	[QMP_EVENT_OTHER] = {"other", read_nothing},
	[QMP_EVENT_MIGRATION] = {"MIGRATION", read_migration},
	[QMP_EVENT_MIGRATION_PASS] = {"MIGRATION_PASS", read_pass},
	[QMP_EVENT_STOP] = {"STOP", read_nothing},
	[QMP_EVENT_RESUME] = {"RESUME", read_nothing},
	[QMP_EVENT_SHUTDOWN] = {"SHUTDOWN", read_shutdown},
};
static_assert(ARRAY_SIZE(kinds) == QMP_EVENT_KIND_COUNT, "an event has no reader");

const char *qmp_event_kind_name(enum qmp_event_kind kind)
{
	return kinds[kind < QMP_EVENT_KIND_COUNT ? kind : QMP_EVENT_OTHER].name;
}

static enum qmp_event_kind kind_from_name(const char *name)
{
	for (size_t i = QMP_EVENT_OTHER + 1; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return (enum qmp_event_kind) i;
	return QMP_EVENT_OTHER;
}

const char *qmp_migration_status_name(enum qmp_migration_status status)
{
	return status_names[status < QMP_MIGRATION_STATUS_COUNT ? status : QMP_MIGRATION_OTHER];
}

enum qmp_migration_status qmp_migration_status_from_name(const char *name)
{
	for (size_t i = QMP_MIGRATION_OTHER + 1; i < ARRAY_SIZE(status_names); i++)
		if (strcmp(status_names[i], name) == 0)
			return (enum qmp_migration_status) i;
	return QMP_MIGRATION_OTHER;
}

bool qmp_migration_status_is_final(enum qmp_migration_status status)
{
	return status == QMP_MIGRATION_COMPLETED || status == QMP_MIGRATION_FAILED ||
	       status == QMP_MIGRATION_CANCELLED;
}

static int read_timestamp(int64_t seconds, int64_t micros, uint64_t *ret_timestamp_us)
{
	if (seconds == -1 && micros == -1) {
		*ret_timestamp_us = 0;
		return 0;
	}
	if (seconds < 0 || seconds > seconds_max || micros < 0 || micros >= MICROS_PER_SECOND)
		return -EBADMSG;

	*ret_timestamp_us = (uint64_t) seconds * MICROS_PER_SECOND + (uint64_t) micros;
	return 0;
}

static int event_read(const char *name, int64_t seconds, int64_t micros, struct json_object *data,
		      struct qmp_event *ret_event)
{
	struct qmp_event event = {.kind = kind_from_name(name)};
	int r;

	r = read_timestamp(seconds, micros, &event.timestamp_us);
	if (r < 0)
		return r;
	r = kinds[event.kind].read(data, &event);
	if (r < 0)
		return r;

	*ret_event = event;
	return 0;
}

int qmp_event_parse(struct json_object *object, struct qmp_event *ret_event)
{
	struct json_object *timestamp, *data = NULL;
	int64_t seconds, micros;
	const char *name;
	int r;

	if (json_get_string(object, "event", &name) < 0 ||
	    json_get_object(object, "timestamp", &timestamp) < 0 ||
	    json_get_i64(timestamp, "seconds", &seconds) < 0 ||
	    json_get_i64(timestamp, "microseconds", &micros) < 0)
		return -EBADMSG;

	r = json_get_object(object, "data", &data);
	if (r < 0 && r != -ENOENT)
		return -EBADMSG;

	return event_read(name, seconds, micros, data, ret_event);
}

int qmp_event_from_parts(const char *name, int64_t seconds, unsigned micros, const char *details,
			 struct qmp_event *ret_event)
{
	_cleanup_(json_unrefp) struct json_object *data = NULL;
	int r;

	if (details) {
		r = json_parse_object(details, strlen(details), &data);
		if (r < 0)
			return r;
	}
	return event_read(name, seconds, micros == UINT_MAX ? -1 : (int64_t) micros, data,
			  ret_event);
}
