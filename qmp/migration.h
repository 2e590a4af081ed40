/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration.h - QEMU's migration as typed calls.
 *
 * Each call exists twice: qmp_request_X() builds the request, for a bare session in an event loop;
 * qmp_X() sends it through a blocking client and waits. Builders return 0, -EINVAL for an argument
 * QEMU would refuse, or -ENOMEM. Calls return 0, what their builder or qmp_client_call() returns,
 * or -EBADMSG when the answer lacks what it must have.
 *
 * The usual order of a hot move:
 *	destination: started with -incoming defer; set_capabilities, migrate_incoming
 *	source:      set_capabilities, set_parameters, migrate; PRE_SWITCHOVER; migrate_continue
 *	destination: COMPLETED; cont if it was started with -S; announce_self
 *
 * Capabilities: "events" on both sides, else nothing is told. Without "return-path" on the source
 * COMPLETED says only that all bytes were handed to a socket: the destination may be dead by then,
 * and the guest lost with it. A source that FAILED tells RESUME after it; one that was CANCELLED
 * tells RESUME before, and possibly DEVICE.
 *
 * Sources: QEMU qapi/migration.json, qapi/net.json (announce-self), qapi/run-state.json
 * (query-status), qapi/misc.json (cont); ranges as checked by migration/migration.c,
 * migrate_params_check(), of QEMU 7.2.
 */
#ifndef REHOME_QMP_MIGRATION_H
#define REHOME_QMP_MIGRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmp/client.h"
#include "qmp/event.h"

/* Bits, so that a set of them is one value. */
enum qmp_capability {
	QMP_CAPABILITY_EVENTS = 1 << 0,			 /* send MIGRATION and MIGRATION_PASS */
	QMP_CAPABILITY_PAUSE_BEFORE_SWITCHOVER = 1 << 1, /* after STOP wait for migrate-continue */
	QMP_CAPABILITY_POSTCOPY_RAM = 1 << 2,
	QMP_CAPABILITY_AUTO_CONVERGE = 1 << 3,
	QMP_CAPABILITY_RETURN_PATH = 1 << 4, /* the destination answers: see above */
	QMP_CAPABILITY_MULTIFD = 1 << 5,
	QMP_CAPABILITY_XBZRLE = 1 << 6,
};

/* The value's unit is in the name. */
enum qmp_parameter_key {
	QMP_PARAMETER_MAX_BANDWIDTH_BYTES_PER_S,
	QMP_PARAMETER_DOWNTIME_LIMIT_MS,
	QMP_PARAMETER_MULTIFD_CHANNELS,
	QMP_PARAMETER_ANNOUNCE_INITIAL_MS,
	QMP_PARAMETER_ANNOUNCE_MAX_MS,
	QMP_PARAMETER_ANNOUNCE_ROUNDS, /* 0: QEMU sends no RARP by itself */
	QMP_PARAMETER_ANNOUNCE_STEP_MS,
	QMP_PARAMETER_COUNT,
};

struct qmp_parameter {
	enum qmp_parameter_key key;
	uint64_t value;
};

struct qmp_announce {
	uint32_t initial_ms; /* before the second announcement; 0 to 100000 */
	uint32_t max_ms;     /* the longest pause between two; 0 to 100000 */
	uint32_t rounds;     /* announcements per NIC; 1 to 1000 */
	uint32_t step_ms;    /* added to the pause after each round; 1 to 10000 */
};

struct qmp_migration_info {
	enum qmp_migration_status status; /* NONE when this QEMU never migrated */
	uint64_t ram_transferred_bytes;	  /* this and the next two: 0 at the destination */
	uint64_t ram_remaining_bytes;
	uint64_t ram_total_bytes;
	uint64_t passes;		 /* over the guest's memory, so far */
	uint64_t setup_ms;		 /* source */
	uint64_t total_ms;		 /* source; so far, or in all when over */
	uint64_t downtime_ms;		 /* source, once COMPLETED */
	uint64_t expected_downtime_ms;	 /* source, before */
	char error[QMP_ERROR_TEXT_SIZE]; /* why it FAILED or what forbids it; "" for neither */
};

/* RunState, as far as it concerns us. */
enum qmp_run_state {
	QMP_RUN_OTHER,
	QMP_RUN_RUNNING,
	QMP_RUN_PAUSED,
	QMP_RUN_PRELAUNCH,	/* started with -S, never run */
	QMP_RUN_INMIGRATE,	/* waits for, or receives, an incoming migration */
	QMP_RUN_FINISH_MIGRATE, /* stopped by an outgoing migration that is not over */
	QMP_RUN_POSTMIGRATE,	/* stopped, and gone elsewhere */
	QMP_RUN_SHUTDOWN,
	QMP_RUN_STATE_COUNT,
};
const char *qmp_run_state_name(enum qmp_run_state state);

struct qmp_vm_status {
	bool running; /* the vCPUs run */
	enum qmp_run_state state;
};

/*
 * @uri: "tcp:HOST:PORT", "tcp:[HOST]:PORT" for IPv6, "unix:PATH", "fd:NAME", "exec:COMMAND"; not
 * empty.
 */
int qmp_request_migrate(const char *uri, struct json_object **ret_request);
int qmp_request_migrate_incoming(const char *uri, struct json_object **ret_request);

/* @on, @off: sets of enum qmp_capability that do not overlap; the others stay as they are. */
int qmp_request_set_capabilities(unsigned on, unsigned off, struct json_object **ret_request);

/* Each key once; those that are not named stay as they are. */
int qmp_request_set_parameters(const struct qmp_parameter *parameters, size_t count,
			       struct json_object **ret_request);

/* Goes on from @status, which must be the present one: PRE_SWITCHOVER. */
int qmp_request_migrate_continue(enum qmp_migration_status status,
				 struct json_object **ret_request);
int qmp_request_migrate_cancel(struct json_object **ret_request);
int qmp_request_query_migrate(struct json_object **ret_request);
int qmp_request_announce_self(const struct qmp_announce *announce,
			      struct json_object **ret_request);
int qmp_request_query_status(struct json_object **ret_request);
int qmp_request_cont(struct json_object **ret_request);

/* Reads what query-migrate returned: 0 or -EBADMSG. */
int qmp_migration_info_parse(struct json_object *value, struct qmp_migration_info *ret_info);
/* Reads what query-status returned: 0 or -EBADMSG. */
int qmp_vm_status_parse(struct json_object *value, struct qmp_vm_status *ret_status);

/*
 * Returns once the migration has begun, not once it is over: events or qmp_query_migrate() tell the
 * rest.
 */
int qmp_migrate(struct qmp_client *client, const char *uri);
int qmp_migrate_incoming(struct qmp_client *client, const char *uri);
int qmp_set_capabilities(struct qmp_client *client, unsigned on, unsigned off);
int qmp_set_parameters(struct qmp_client *client, const struct qmp_parameter *parameters,
		       size_t count);
int qmp_migrate_continue(struct qmp_client *client, enum qmp_migration_status status);
/*
 * Returns before it is cancelled: CANCELLED tells. Without a migration it does nothing,
 * successfully.
 */
int qmp_migrate_cancel(struct qmp_client *client);
int qmp_query_migrate(struct qmp_client *client, struct qmp_migration_info *ret_info);
/*
 * Asks QEMU to send RARP for each NIC of the guest. Returns once QEMU accepted, not once it has
 * sent.
 */
int qmp_announce_self(struct qmp_client *client, const struct qmp_announce *announce);
int qmp_query_status(struct qmp_client *client, struct qmp_vm_status *ret_status);
/* Starts the vCPUs; at an incoming QEMU: as soon as the migration is in. */
int qmp_cont(struct qmp_client *client);

#endif
