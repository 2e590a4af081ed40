/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event.h - what QEMU tells unasked, as values.
 *
 * Two ways lead here: a QMP monitor of our own (the whole JSON object) and libvirt's
 * virConnectDomainQemuMonitorEventCallback, which hands over the same event in parts.
 *
 * Sources: QEMU docs/interop/qmp-spec.txt section 2.5; qapi/migration.json (MIGRATION,
 * MIGRATION_PASS, MigrationStatus); qapi/run-state.json (STOP, RESUME, SHUTDOWN).
 */
#ifndef REHOME_QMP_EVENT_H
#define REHOME_QMP_EVENT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

enum qmp_event_kind {
	QMP_EVENT_OTHER,	  /* one we have no use for */
	QMP_EVENT_MIGRATION,	  /* sent only when the migration capability "events" is on */
	QMP_EVENT_MIGRATION_PASS, /* likewise; the first can precede MIGRATION active */
	QMP_EVENT_STOP,
	QMP_EVENT_RESUME,
	QMP_EVENT_SHUTDOWN,
	QMP_EVENT_KIND_COUNT,
};

/* MigrationStatus; a word of a QEMU younger than this table reads as OTHER. */
enum qmp_migration_status {
	QMP_MIGRATION_OTHER,
	QMP_MIGRATION_NONE,
	QMP_MIGRATION_SETUP,
	QMP_MIGRATION_CANCELLING,
	QMP_MIGRATION_CANCELLED,
	QMP_MIGRATION_ACTIVE,
	QMP_MIGRATION_POSTCOPY_ACTIVE,
	QMP_MIGRATION_POSTCOPY_PAUSED,
	QMP_MIGRATION_POSTCOPY_RECOVER,
	QMP_MIGRATION_POSTCOPY_RECOVER_SETUP,
	QMP_MIGRATION_COMPLETED,
	QMP_MIGRATION_FAILED,
	QMP_MIGRATION_COLO,
	QMP_MIGRATION_PRE_SWITCHOVER,
	QMP_MIGRATION_DEVICE,
	QMP_MIGRATION_WAIT_UNPLUG,
	QMP_MIGRATION_STATUS_COUNT,
};

struct qmp_event {
	enum qmp_event_kind kind;
	uint64_t timestamp_us; /* CLOCK_REALTIME of QEMU's host; 0: QEMU could not read its clock */
	union {
		enum qmp_migration_status status; /* QMP_EVENT_MIGRATION */
		uint64_t pass;			  /* QMP_EVENT_MIGRATION_PASS, counted from 1 */
		bool by_guest;			  /* QMP_EVENT_SHUTDOWN: the guest asked for it */
	};
};

/* QEMU's own words; "other" for those it has none for. */
const char *qmp_event_kind_name(enum qmp_event_kind kind);
const char *qmp_migration_status_name(enum qmp_migration_status status);

/* A word that is not in the table gives QMP_MIGRATION_OTHER. */
enum qmp_migration_status qmp_migration_status_from_name(const char *name);

/* True when the migration is over, whichever way: COMPLETED, FAILED, CANCELLED. */
bool qmp_migration_status_is_final(enum qmp_migration_status status);

/*
 * Reads one event, the JSON object that has the member "event".
 * Returns 0, or -EBADMSG when a member that the event must have is missing or of another type.
 * Members that are not known are ignored, as the specification asks (section 5).
 */
int qmp_event_parse(struct json_object *object, struct qmp_event *ret_event);

/*
 * Reads the same from the arguments of libvirt's callback.
 * @seconds, @micros: since 1970; -1 (all bits set) in both when QEMU had no time
 * @details: the event's "data" as JSON text, or NULL
 * Returns 0, -EBADMSG as qmp_event_parse() and when @details is not a JSON object, or -ENOMEM.
 */
int qmp_event_from_parts(const char *name, int64_t seconds, unsigned micros, const char *details,
			 struct qmp_event *ret_event);

#endif
