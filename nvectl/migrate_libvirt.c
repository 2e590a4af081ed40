/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_libvirt.c - moves a VM between two libvirt daemons, peer to peer.
 *
 * Theory of operation
 *
 *   worker thread: virDomainMigrateToURI3(), which returns when all is over --> done_fd
 *   main thread:   poll(done_fd, interrupt_fd, a tick) --> job statistics, abort, start of
 *   post-copy
 *
 * libvirt's connections may be used by several threads at once, and a job's statistics and abort
 * are what it lets through while the job runs. The source's daemon drives the move: should this
 * program die, the move goes on.
 */
#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "nvectl/interrupt.h"
#include "nvectl/migrate.h"
#include "nvectl/progress.h"

static virConnectPtr connection_free(virConnectPtr connection)
{
	virConnectClose(connection);
	return NULL;
}
DEFINE_CLEANUP(virConnect, connection_free)

static virDomainPtr domain_free(virDomainPtr domain)
{
	virDomainFree(domain);
	return NULL;
}
DEFINE_CLEANUP(virDomain, domain_free)

struct job_stats {
	int type; /* virDomainJobType */
	virTypedParameterPtr params;
	int count;
};

static void job_stats_clear(struct job_stats *stats)
{
	virTypedParamsFree(stats->params, stats->count);
}

struct worker {
	virDomainPtr domain;
	const struct migrate_options *options;
	int done_fd;
	int result; /* these two: valid once done_fd is readable */
	char error[MIGRATE_ERROR_SIZE];
};

static void stay_silent(void *userdata, virErrorPtr error)
{
	/* Without a handler libvirt prints each error on stderr, in the middle of the bar. */
}

static int migrate(const struct worker *worker)
{
	const struct migrate_options *options = worker->options;
	unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;
	virTypedParameterPtr params = NULL;
	int count = 0, room = 0, result = 0;

	if (options->postcopy)
		flags |= VIR_MIGRATE_POSTCOPY;
	if (options->persistent)
		flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
	if (options->migrate_uri)
		result = virTypedParamsAddString(&params, &count, &room, VIR_MIGRATE_PARAM_URI,
						 options->migrate_uri);
	if (result == 0)
		result = virDomainMigrateToURI3(worker->domain, options->destination_uri, params,
						(unsigned) count, flags);
	virTypedParamsFree(params, count);
	return result;
}

static void *run_worker(void *userdata)
{
	struct worker *worker = userdata;
	uint64_t one = 1;

	worker->result = migrate(worker);
	if (worker->result < 0)
		snprintf(worker->error, sizeof(worker->error), "%s", virGetLastErrorMessage());
	while (write(worker->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

static uint64_t stat_of(const struct job_stats *stats, const char *name, uint64_t absent)
{
	unsigned long long value;

	return virTypedParamsGetULLong(stats->params, stats->count, name, &value) > 0 ? value
										      : absent;
}

/* What the main thread does while the worker works. */
struct watch {
	virDomainPtr domain;
	struct progress progress;
	bool abort_wanted, aborted;
	bool postcopy_wanted, postcopy_begun;
};

static void say(struct watch *watch, const char *what)
{
	progress_end(&watch->progress);
	fprintf(stderr, "%s\n", what);
}

static void warn(struct watch *watch, const char *what)
{
	progress_end(&watch->progress);
	fprintf(stderr, "%s: %s\n", what, virGetLastErrorMessage());
}

/*
 * libvirt refuses before the job has begun and after the switch to post-copy: then the next tick
 * tries again, or it ends by itself.
 */
static void try_abort(struct watch *watch)
{
	if (virDomainAbortJob(watch->domain) == 0) {
		watch->aborted = true;
		watch->abort_wanted = false;
	} else if (watch->postcopy_begun) {
		warn(watch, "cannot abort: the guest runs at the destination already");
		watch->abort_wanted = false;
	}
}

/*
 * Post-copy is worth it once a whole pass has been sent: what is touched rarely is there by then.
 */
static void try_postcopy(struct watch *watch, uint64_t pass)
{
	if (!watch->postcopy_wanted || watch->postcopy_begun || pass < 2)
		return;
	if (virDomainMigrateStartPostCopy(watch->domain, 0) == 0) {
		watch->postcopy_begun = true;
		say(watch, "switched to post-copy");
	} else {
		warn(watch, "cannot switch to post-copy");
		watch->postcopy_wanted = false;
	}
}

static void on_tick(struct watch *watch)
{
	_cleanup_(job_stats_clear) struct job_stats stats = { 0 };
	struct progress_sample sample;

	if (watch->abort_wanted)
		try_abort(watch);
	if (virDomainGetJobStats(watch->domain, &stats.type, &stats.params, &stats.count, 0) < 0 ||
	    stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_TOTAL, 0) == 0)
		return;

	sample = (struct progress_sample){
		.total_bytes = stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_TOTAL, 0),
		.remaining_bytes = stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_REMAINING, 0),
		.transferred_bytes = stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_PROCESSED, 0),
		.pass = stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_ITERATION, 0),
	};
	progress_show(&watch->progress, &sample, clock_monotonic_us());
	try_postcopy(watch, sample.pass);
}

static void watch_until_done(struct watch *watch, int done_fd, int interrupt_fd)
{
	struct pollfd fds[] = {
		{ .fd = done_fd, .events = POLLIN },
		{ .fd = interrupt_fd, .events = POLLIN },
	};

	progress_begin(&watch->progress);
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), MIGRATE_TICK_MS) > 0 && fds[0].revents)
			break;
		if (interrupt_take(interrupt_fd)) {
			say(watch, "aborting");
			watch->abort_wanted = true;
		}
		on_tick(watch);
	}
	progress_end(&watch->progress);
}

/* --- afterwards --- */

/* A transient VM is gone from the source by now; its statistics are at the destination as well. */
static void read_completed(virDomainPtr domain, struct migrate_account *account)
{
	_cleanup_(job_stats_clear) struct job_stats stats = { 0 };

	if (virDomainGetJobStats(domain, &stats.type, &stats.params, &stats.count,
				 VIR_DOMAIN_JOB_STATS_COMPLETED) < 0)
		return;
	account->downtime_ms = stat_of(&stats, VIR_DOMAIN_JOB_DOWNTIME, account->downtime_ms);
	account->transferred_bytes = stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_PROCESSED, 0);
	account->passes = stat_of(&stats, VIR_DOMAIN_JOB_MEMORY_ITERATION, 0);
}

static void account_of_moved(virDomainPtr domain, const struct migrate_options *options,
			     struct migrate_account *account)
{
	_cleanup_(connection_freep) virConnectPtr destination = NULL;
	_cleanup_(domain_freep) virDomainPtr arrived = NULL;

	account->end = MIGRATE_MOVED;
	account->place = MIGRATE_AT_DESTINATION;
	read_completed(domain, account);
	if (account->downtime_ms != UINT64_MAX)
		return;
	destination = virConnectOpen(options->destination_uri);
	arrived = destination ? virDomainLookupByUUIDString(destination, account->uuid) : NULL;
	if (arrived)
		read_completed(arrived, account);
}

static void account_of_failed(virDomainPtr domain, const struct watch *watch,
			      struct migrate_account *account)
{
	int state, reason;

	account->end = watch->aborted ? MIGRATE_ABORTED : MIGRATE_FAILED;
	account->place = MIGRATE_AT_UNKNOWN;
	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return;
	if (state == VIR_DOMAIN_SHUTOFF ||
	    (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED))
		return;
	account->place = MIGRATE_AT_SOURCE;
	account->running = state == VIR_DOMAIN_RUNNING;
}

static int find_domain(virConnectPtr connection, const struct migrate_options *options,
		       virDomainPtr *ret_domain, struct migrate_account *account)
{
	_cleanup_(domain_freep)
		virDomainPtr domain = virDomainLookupByName(connection, options->vm);

	if (!domain)
		domain = virDomainLookupByUUIDString(connection, options->vm);
	if (!domain)
		return migrate_error(account, -ENOENT, "there is no VM '%s' at %s", options->vm,
				     options->connect_uri);

	snprintf(account->vm, sizeof(account->vm), "%s", virDomainGetName(domain));
	if (virDomainGetUUIDString(domain, account->uuid) < 0)
		account->uuid[0] = '\0';
	*ret_domain = TAKE_PTR(domain);
	return 0;
}

int migrate_libvirt(const struct migrate_options *options, int interrupt_fd,
		    struct migrate_account *account)
{
	_cleanup_(connection_freep) virConnectPtr connection = NULL;
	_cleanup_(domain_freep) virDomainPtr domain = NULL;
	_cleanup_close_ int done_fd = eventfd(0, EFD_CLOEXEC);
	struct worker worker = { .options = options, .done_fd = done_fd };
	struct watch watch = { .postcopy_wanted = options->postcopy };
	uint64_t started_us;
	pthread_t thread;
	int r;

	virSetErrorFunc(NULL, stay_silent);
	if (done_fd < 0)
		return migrate_error(account, -errno, "cannot make an event descriptor: %s",
				     strerror(errno));
	connection = virConnectOpenAuth(options->connect_uri, virConnectAuthPtrDefault, 0);
	if (!connection)
		return migrate_error(account, -ENOTCONN, "%s", virGetLastErrorMessage());
	r = find_domain(connection, options, &domain, account);
	if (r < 0)
		return r;

	worker.domain = watch.domain = domain;
	started_us = clock_monotonic_us();
	r = pthread_create(&thread, NULL, run_worker, &worker);
	if (r > 0)
		return migrate_error(account, -r, "cannot start a thread: %s", strerror(r));
	watch_until_done(&watch, done_fd, interrupt_fd);
	pthread_join(thread, NULL);

	account->duration_ms = (clock_monotonic_us() - started_us) / 1000;
	if (worker.result == 0) {
		account_of_moved(domain, options, account);
	} else {
		migrate_error(account, -EIO, "%s", worker.error);
		account_of_failed(domain, &watch, account);
	}
	return 0;
}
