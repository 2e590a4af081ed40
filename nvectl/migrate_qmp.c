/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_qmp.c - moves a guest between two QEMUs that no libvirt manages, by the source's monitor.
 *
 * Theory of operation
 *
 *   migrate --> MIGRATION active, passes --> STOP, pre-switchover --agent: move-switch-->
 *   migrate-continue --> completed
 *
 * pre-switchover is a real barrier here: the guest is stopped, its device state is not sent yet,
 * and QEMU waits for migrate-continue (QEMU qapi/migration.json, pause-before-switchover). The
 * agent of this host switches the guest's traffic to the new NVE in that gap. Whatever goes wrong
 * before QEMU says "completed" is answered with migrate_cancel: the guest then goes on here, and
 * the agent switches back on the RESUME it sees.
 *
 * Each status is acted on once, whether an event or query-migrate told it: events may be lost, the
 * question not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "nvectl/interrupt.h"
#include "nvectl/migrate.h"
#include "nvectl/progress.h"
#include "qmp/client.h"
#include "qmp/migration.h"

enum {
	SWITCH_TIMEOUT_MS = 2000, /* the guest stands still meanwhile */
	RESUME_TIMEOUT_MS = 5000, /* after a cancel, until the guest runs here again */
	URI_SIZE = 300,		  /* "tcp:" and a host name (RFC 1035: 255 bytes) and a port */
};

struct move {
	const struct migrate_options *options;
	struct qmp_client *client;
	struct migrate_account *account;
	struct progress progress;
	struct qmp_migration_info info; /* the last one asked for */
	bool continued;			/* migrate-continue is sent */
	bool cancelled;			/* migrate_cancel is sent */
	bool was_running;
};

static int qmp_fail(struct move *move, int error, const char *what)
{
	return migrate_error(move->account, error, "%s: %s", what,
			     error == -EREMOTEIO ? qmp_client_error(move->client)
						 : strerror(-error));
}

static int begin(struct move *move)
{
	const unsigned capabilities = QMP_CAPABILITY_EVENTS |
				      QMP_CAPABILITY_PAUSE_BEFORE_SWITCHOVER;
	struct qmp_vm_status status;
	char uri[URI_SIZE];
	int r;

	r = qmp_query_status(move->client, &status);
	if (r < 0)
		return qmp_fail(move, r, "cannot ask QEMU for the guest's state");
	move->was_running = status.running;
	r = qmp_set_capabilities(move->client, capabilities, 0);
	if (r < 0)
		return qmp_fail(move, r, "cannot set QEMU's migration capabilities");
	if (snprintf(uri, sizeof(uri), "tcp:%s", move->options->to) >= (int) sizeof(uri))
		return migrate_error(move->account, -ENAMETOOLONG, "'%s' is too long",
				     move->options->to);
	r = qmp_migrate(move->client, uri);
	return r < 0 ? qmp_fail(move, r, "QEMU does not begin the migration") : 0;
}

static int cancel(struct move *move)
{
	if (move->cancelled)
		return 0;
	move->cancelled = true;
	return qmp_migrate_cancel(move->client);
}

/*
 * Has the agent send the guest's traffic to the new NVE. Without a port to switch there is nothing
 * to ask.
 */
static int switch_traffic(struct move *move)
{
	const struct migrate_options *options = move->options;
	_cleanup_(json_unrefp) struct json_object *request = agent_request("move-switch");
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	char message[AGENT_MESSAGE_SIZE];
	int r;

	if (!options->mac)
		return 0;
	if (!request || json_add_string(request, "mac", options->mac) < 0 ||
	    json_add_u64(request, "vni", options->vni) < 0)
		return migrate_error(move->account, -ENOMEM, "out of memory");
	r = agent_ask(options->ctl->socket, request, SWITCH_TIMEOUT_MS, &reply, message);
	return r < 0 ? migrate_error(move->account, r, "the traffic was not switched: %s", message)
		     : 0;
}

static int on_pre_switchover(struct move *move)
{
	int r;

	if (move->continued || move->cancelled)
		return 0;
	if (switch_traffic(move) < 0)
		return cancel(move);
	move->continued = true;
	r = qmp_migrate_continue(move->client, QMP_MIGRATION_PRE_SWITCHOVER);
	if (r < 0) {
		qmp_fail(move, r, "QEMU does not go on with the migration");
		return cancel(move);
	}
	return 0;
}

/* Returns 1 when the migration is over, 0 while it runs, or a negative errno. */
static int on_status(struct move *move, enum qmp_migration_status status)
{
	if (status == QMP_MIGRATION_PRE_SWITCHOVER)
		return on_pre_switchover(move);
	return qmp_migration_status_is_final(status);
}

static int ask_status(struct move *move)
{
	struct progress_sample sample;
	int r = qmp_query_migrate(move->client, &move->info);

	if (r == -ETIMEDOUT)
		return 0; /* QEMU is busy: the next tick asks again */
	if (r < 0)
		return r;
	sample = (struct progress_sample){
		.total_bytes = move->info.ram_total_bytes,
		.remaining_bytes = move->info.ram_remaining_bytes,
		.transferred_bytes = move->info.ram_transferred_bytes,
		.pass = move->info.passes,
	};
	if (sample.total_bytes)
		progress_show(&move->progress, &sample, clock_monotonic_us());
	return on_status(move, move->info.status);
}

/* One event, or a look at the status when none came for a tick. Returns as on_status(). */
static int step(struct move *move)
{
	struct qmp_event event;
	int r = qmp_client_wait_event(move->client,
				      clock_monotonic_us() + MIGRATE_TICK_MS * 1000ULL, &event);

	if (r == -ETIMEDOUT || r == -EOVERFLOW)
		return ask_status(move);
	if (r < 0)
		return r;
	return event.kind == QMP_EVENT_MIGRATION ? on_status(move, event.status) : 0;
}

static int follow(struct move *move, int interrupt_fd)
{
	int r = 0;

	progress_begin(&move->progress);
	while (r == 0) {
		if (interrupt_take(interrupt_fd)) {
			progress_end(&move->progress);
			fprintf(stderr, "aborting\n");
			move->account->end = MIGRATE_ABORTED;
			migrate_error(move->account, -ECANCELED, "aborted by the operator");
			r = cancel(move);
		}
		if (r == 0)
			r = step(move);
	}
	if (r > 0)
		r = qmp_query_migrate(move->client, &move->info);
	progress_end(&move->progress);
	return r < 0 ? r : 0;
}

/* --- afterwards --- */

/* After a cancel or a failure QEMU starts the guest again by itself, a moment later. */
static int wait_until_resumed(struct move *move)
{
	uint64_t deadline_us = clock_monotonic_us() + RESUME_TIMEOUT_MS * 1000ULL;
	struct qmp_vm_status status;
	struct qmp_event event;

	for (;;) {
		int r = qmp_query_status(move->client, &status);

		if (r < 0)
			return r;
		move->account->running = status.running;
		if (status.running == move->was_running || clock_monotonic_us() >= deadline_us)
			return 0;
		r = qmp_client_wait_event(move->client, deadline_us, &event);
		if (r < 0 && r != -ETIMEDOUT && r != -EOVERFLOW)
			return r;
	}
}

static void finish(struct move *move, int error)
{
	struct migrate_account *account = move->account;
	bool explained = account->error[0];

	account->transferred_bytes = move->info.ram_transferred_bytes;
	account->passes = move->info.passes;
	account->place = MIGRATE_AT_UNKNOWN;
	if (error == 0 && move->info.status == QMP_MIGRATION_COMPLETED) {
		account->end = MIGRATE_MOVED;
		account->place = MIGRATE_AT_DESTINATION;
		account->downtime_ms = move->info.downtime_ms;
		account->error[0] = '\0';
		return;
	}
	if (error < 0 && !explained)
		qmp_fail(move, error, "QEMU's monitor");
	else if (!explained)
		migrate_error(account, -EIO, "QEMU: %s",
			      move->info.error[0] ? move->info.error
						  : qmp_migration_status_name(move->info.status));
	if (error == 0 && wait_until_resumed(move) == 0)
		account->place = MIGRATE_AT_SOURCE;
}

int migrate_qmp(const struct migrate_options *options, int interrupt_fd,
		struct migrate_account *account)
{
	_cleanup_(qmp_client_freep) struct qmp_client *client = NULL;
	struct move move = { .options = options, .account = account };
	uint64_t started_us = clock_monotonic_us();
	int r;

	snprintf(account->vm, sizeof(account->vm), "%s", options->qmp);
	r = qmp_client_open(options->qmp, QMP_TIMEOUT_MS, &client);
	if (r < 0)
		return migrate_error(account, r, "no QEMU answers at %s: %s", options->qmp,
				     strerror(-r));
	move.client = client;
	account->end = MIGRATE_FAILED;
	r = begin(&move);
	if (r < 0)
		return r;

	r = follow(&move, interrupt_fd);
	finish(&move, r);
	account->duration_ms = (clock_monotonic_us() - started_us) / 1000;
	return 0;
}
