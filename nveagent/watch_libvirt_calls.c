/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt_calls.c - the thread that makes every libvirt call: connects, lists, asks, and connects again.
 *
 * What libvirt 9.0 says of a domain during a live migration, as observed on both hosts:
 *
 *			state, reason			virDomainGetJobStats()
 *   destination	paused, STARTING_UP		VIR_ERR_OPERATION_UNSUPPORTED: "migration statistics are available
 *							only on the source host"; from the first moment to RESUME
 *			paused, PAUSED_MIGRATION	likewise
 *			running, MIGRATED		type none
 *   source		running				operation MIGRATION_OUT, type unbounded
 *			paused, PAUSED_MIGRATION	likewise
 *
 * So the reason does not tell the sides apart, the job does. virDomainGetControlInfo() does not either: it says "ok"
 * on both while memory moves. The event "started, migrated" comes when the destination's QEMU is ready for memory.
 *
 * virDomainGetJobStats() is the one call here that can wait for a busy QEMU monitor (up to libvirt's 30 s for a job
 * lock). It is made only where its answer matters: in a listing, and for a paused domain.
 */
#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "nveagent/watch_libvirt_internal.h"
#include "qmp/migration.h"

enum {
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

/* QEMU's own defaults for the announcements after a migration (migration/migration.c). */
static const struct qmp_announce announce_again = {
	.initial_ms = 50,
	.max_ms = 550,
	.rounds = 5,
	.step_ms = 100,
};

struct calls {
	struct libvirt_shared *shared;
	virConnectPtr connection;	/* NULL when there is none */
	struct libvirt_registrations registrations;
	unsigned retry_ms;
};

static virDomainPtr domain_unref(virDomainPtr domain)
{
	if (domain)
		virDomainFree(domain);
	return NULL;
}
DEFINE_CLEANUP(virDomain, domain_unref)

/* --- asking about one domain --- */

struct answer {
	bool valid;		/* libvirt answered all we need; nothing may be told otherwise */
	enum libvirt_domain_state state;
	bool migrating_out;
	const char *name;	/* borrowed from the virDomainPtr; NULL when libvirt knows no such domain */
	struct domain *domain;	/* owned; needed unless STOPPED */
};

/* What libvirt says, as ours. QEMU serves a guest in S3 sleep as before: its port stays live. */
static const enum libvirt_domain_state states[] = {
	[VIR_DOMAIN_NOSTATE] = LIBVIRT_DOMAIN_PAUSED,
	[VIR_DOMAIN_RUNNING] = LIBVIRT_DOMAIN_RUNNING,
	[VIR_DOMAIN_BLOCKED] = LIBVIRT_DOMAIN_RUNNING,
	[VIR_DOMAIN_PAUSED] = LIBVIRT_DOMAIN_PAUSED,
	[VIR_DOMAIN_SHUTDOWN] = LIBVIRT_DOMAIN_PAUSED,	/* the guest is down, QEMU is not */
	[VIR_DOMAIN_SHUTOFF] = LIBVIRT_DOMAIN_STOPPED,
	[VIR_DOMAIN_CRASHED] = LIBVIRT_DOMAIN_PAUSED,	/* on_crash=preserve: QEMU is there */
	[VIR_DOMAIN_PMSUSPENDED] = LIBVIRT_DOMAIN_RUNNING,
};

/* True when the last call failed because there is no such domain; a broken connection must not look like that. */
static bool no_such_domain(void)
{
	return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
}

static bool ask_state(virDomainPtr domain, enum libvirt_domain_state *ret_state)
{
	int state, reason;

	if (virDomainGetState(domain, &state, &reason, 0) < 0) {
		*ret_state = LIBVIRT_DOMAIN_STOPPED;
		return no_such_domain();
	}
	*ret_state = state >= 0 && (size_t) state < ARRAY_SIZE(states) ? states[state] : LIBVIRT_DOMAIN_PAUSED;
	return true;
}

/* See the head of this file. */
static void ask_job(virDomainPtr domain, bool *ret_incoming, bool *ret_outgoing)
{
	virTypedParameterPtr parameters = NULL;
	int count = 0, type = VIR_DOMAIN_JOB_NONE, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;

	*ret_incoming = *ret_outgoing = false;
	if (virDomainGetJobStats(domain, &type, &parameters, &count, 0) < 0) {
		*ret_incoming = virGetLastErrorCode() == VIR_ERR_OPERATION_UNSUPPORTED;
		return;
	}
	virTypedParamsGetInt(parameters, count, VIR_DOMAIN_JOB_OPERATION, &operation);
	virTypedParamsFree(parameters, count);
	*ret_outgoing = operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT &&
			(type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED);
}

static struct domain *ask_ports(virDomainPtr domain)
{
	_cleanup_free_ struct domain *read = calloc(1, sizeof(*read));
	_cleanup_free_ char *xml = virDomainGetXMLDesc(domain, 0);
	char message[DOMAIN_XML_MESSAGE_SIZE];

	if (!xml || !read)
		return NULL;
	if (domain_xml_parse(xml, strlen(xml), read, message) < 0) {
		log_warning("The XML of domain %s: %s", virDomainGetName(domain), message);
		return NULL;
	}
	return TAKE_PTR(read);
}

/* The state is asked for last: it changes more often than the devices. */
static struct answer ask_domain(virDomainPtr domain, bool listing)
{
	struct answer answer = { .name = virDomainGetName(domain), .domain = ask_ports(domain) };
	bool incoming = false;

	answer.valid = ask_state(domain, &answer.state);
	if (answer.state != LIBVIRT_DOMAIN_STOPPED && !answer.domain)
		answer.valid = false;
	if (answer.state == LIBVIRT_DOMAIN_PAUSED || (listing && answer.state == LIBVIRT_DOMAIN_RUNNING))
		ask_job(domain, &incoming, &answer.migrating_out);
	if (incoming && answer.state == LIBVIRT_DOMAIN_PAUSED)
		answer.state = LIBVIRT_DOMAIN_INCOMING;
	return answer;
}

/* --- telling what was answered --- */

/* Called with the lock. An answer about a former life of the entry, or one that ended meanwhile, is dropped. */
static void tell_answer(struct libvirt_shared *shared, struct uuid vm, uint64_t life, struct answer *answer)
{
	struct libvirt_view_entry *entry = libvirt_view_find(&shared->view, vm);

	if (!answer->valid || !entry || entry->life != life || !shared->connected)
		return;
	if (answer->name)
		snprintf(entry->name, sizeof(entry->name), "%s", answer->name);
	if (answer->state == LIBVIRT_DOMAIN_STOPPED) {
		libvirt_tell_stopped(shared, entry);
		return;
	}	entry->told = true;
	libvirt_tell_domain(shared, TAKE_PTR(answer->domain), libvirt_view_correct(entry, answer->state),
			    answer->migrating_out);
}

static void look_at(struct libvirt_shared *shared, struct uuid vm, uint64_t life, virDomainPtr domain, bool listing)
{
	struct answer answer = ask_domain(domain, listing);

	libvirt_shared_lock(shared);
	tell_answer(shared, vm, life, &answer);
	libvirt_shared_unlock(shared);
	free(answer.domain);
}

/* --- listing all --- */

static void begin_listing(struct libvirt_shared *shared)
{
	libvirt_shared_lock(shared);
	shared->relist = false;
	for (size_t i = 0; i < shared->view.count; i++)
		shared->view.entries[i].listed = false;
	libvirt_shared_unlock(shared);
}

static void look_at_listed(struct libvirt_shared *shared, virDomainPtr domain)
{
	unsigned char octets[VIR_UUID_BUFLEN];
	struct libvirt_view_entry *entry;
	uint64_t life = 0;
	struct uuid vm;

	if (virDomainGetUUID(domain, octets) < 0 || uuid_from_bytes(octets, sizeof(octets), &vm) < 0)
		return;
	libvirt_shared_lock(shared);
	if (libvirt_view_need(&shared->view, vm, &entry) == 0) {
		entry->listed = true;
		entry->asked = 0;
		life = entry->life;
	}
	libvirt_shared_unlock(shared);
	if (life)
		look_at(shared, vm, life, domain, true);
	else
		log_warning("Domain %s is left out: there are more than %d", virDomainGetName(domain),
			    WATCH_LIBVIRT_DOMAINS_MAX);
}

/* Those that the listing did not find are gone; those that were only asked about are answered by the asking. */
static void end_listing(struct libvirt_shared *shared)
{
	struct libvirt_view *view = &shared->view;

	libvirt_shared_lock(shared);
	for (size_t i = view->count; i-- > 0;) {
		struct libvirt_view_entry *entry = &view->entries[i];

		if (entry->listed || entry->asked != 0)
			continue;
		if (entry->told)
			libvirt_tell_stopped(shared, entry);
		else
			libvirt_view_remove(view, entry);
	}
	libvirt_tell_resynced(shared);
	libvirt_shared_unlock(shared);
}

static bool is_over(struct libvirt_shared *shared)
{
	bool over;

	libvirt_shared_lock(shared);
	over = shared->closed || shared->stopping;
	libvirt_shared_unlock(shared);
	return over;
}

static void list_all(struct calls *calls)
{
	virDomainPtr *domains = NULL;
	int count;

	begin_listing(calls->shared);
	count = virConnectListAllDomains(calls->connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	for (int i = 0; i < count; i++) {
		if (!is_over(calls->shared))
			look_at_listed(calls->shared, domains[i]);
		virDomainFree(domains[i]);
	}
	free(domains);
	if (count >= 0 && !is_over(calls->shared))
		end_listing(calls->shared);
}

/* --- what is asked of the thread while connected --- */

struct request {
	bool relist, announce;
	struct uuid vm;
	uint64_t life;
};

static struct libvirt_view_entry *wants_announcement(struct libvirt_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		if (view->entries[i].announce)
			return &view->entries[i];
	return NULL;
}

/* Called with the lock. False when there is nothing to do. */
static bool take_request(struct libvirt_shared *shared, struct request *ret_request)
{
	struct libvirt_view_entry *entry = NULL;
	struct request request = { .relist = shared->relist };

	if (!request.relist) {
		entry = wants_announcement(&shared->view);
		request.announce = entry != NULL;
	}
	if (!request.relist && !entry)
		entry = libvirt_view_oldest_asked(&shared->view);
	if (entry) {
		request.vm = entry->vm;
		request.life = entry->life;
		if (request.announce)
			entry->announce = false;
		else
			entry->asked = 0;
	}
	*ret_request = request;
	return request.relist || entry;
}

/* Waits for something to do. False when the connection or the watch has ended. */
static bool next_request(struct libvirt_shared *shared, struct request *ret_request)
{
	bool found = false;

	libvirt_shared_lock(shared);
	while (!shared->closed && !shared->stopping && !(found = take_request(shared, ret_request)))
		pthread_cond_wait(&shared->work, &shared->lock);
	libvirt_shared_unlock(shared);
	return found;
}

static void announce_domain(virDomainPtr domain)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	_cleanup_free_ char *reply = NULL;

	if (qmp_request_announce_self(&announce_again, &request) < 0)
		return;
	if (virDomainQemuMonitorCommand(domain, json_object_to_json_string(request), &reply, 0) < 0)
		log_debug("announce-self of %s: %s", virDomainGetName(domain), virGetLastErrorMessage());
}

static void serve_request(struct calls *calls, const struct request *request)
{
	_cleanup_(domain_unrefp) virDomain *domain = virDomainLookupByUUID(calls->connection, request->vm.octet);
	struct answer stopped = { .valid = true, .state = LIBVIRT_DOMAIN_STOPPED };

	if (domain && request->announce) {
		announce_domain(domain);
	} else if (domain) {
		look_at(calls->shared, request->vm, request->life, domain, false);
	} else if (no_such_domain()) {
		libvirt_shared_lock(calls->shared);
		tell_answer(calls->shared, request->vm, request->life, &stopped);
		libvirt_shared_unlock(calls->shared);
	}
}

static void serve(struct calls *calls)
{
	struct request request;

	list_all(calls);
	while (next_request(calls->shared, &request)) {
		if (request.relist)
			list_all(calls);
		else
			serve_request(calls, &request);
	}
}

/* --- the connection --- */

/* Of a connection not made yet nothing is known but which domains there were. */
static void forget_present(struct libvirt_shared *shared)
{
	libvirt_shared_lock(shared);
	shared->closed = false;
	for (size_t i = 0; i < shared->view.count; i++) {
		shared->view.entries[i].said = QEMU_SAID_NOTHING;
		shared->view.entries[i].announce = false;
	}
	libvirt_shared_unlock(shared);
}

static int connect_once(struct calls *calls)
{
	struct libvirt_shared *shared = calls->shared;

	forget_present(shared);
	calls->connection = virConnectOpen(shared->uri);
	if (!calls->connection)
		return -ENOTCONN;
	/* 1: the driver has none, as those without a daemon. */
	if (virConnectSetKeepAlive(calls->connection, WATCH_LIBVIRT_KEEPALIVE_S, WATCH_LIBVIRT_KEEPALIVE_COUNT) < 0)
		return -ENOTCONN;
	if (libvirt_events_register(shared, calls->connection, &calls->registrations) < 0)
		return -ENOTCONN;

	libvirt_shared_lock(shared);
	if (!shared->closed)
		libvirt_tell_connected(shared);
	libvirt_shared_unlock(shared);
	return 0;
}

/* With libvirt's last error as the reason, unless the connection's end told one already. */
static void tell_failure(struct libvirt_shared *shared)
{
	libvirt_shared_lock(shared);
	if (!shared->closed)
		libvirt_tell_lost(shared, virGetLastErrorMessage());
	libvirt_shared_unlock(shared);
}

static void disconnect(struct calls *calls)
{
	if (!calls->connection)
		return;
	libvirt_events_deregister(calls->connection, &calls->registrations);
	virConnectClose(calls->connection);
	calls->connection = NULL;
}

static struct timespec monotonic_after_ms(unsigned ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / MS_PER_S;
	at.tv_nsec += (long) (ms % MS_PER_S) * NS_PER_MS;
	if (at.tv_nsec >= NS_PER_S) {
		at.tv_sec++;
		at.tv_nsec -= NS_PER_S;
	}
	return at;
}

/* False when the watch is being freed. */
static bool wait_to_retry(struct calls *calls)
{
	struct libvirt_shared *shared = calls->shared;
	struct timespec at = monotonic_after_ms(calls->retry_ms);
	bool stopping;
	int r = 0;

	calls->retry_ms = calls->retry_ms * 2 < WATCH_LIBVIRT_RETRY_MAX_MS ? calls->retry_ms * 2
									   : WATCH_LIBVIRT_RETRY_MAX_MS;
	libvirt_shared_lock(shared);
	while (!shared->stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&shared->work, &shared->lock, &at);
	stopping = shared->stopping;
	libvirt_shared_unlock(shared);
	return !stopping;
}

void *libvirt_calls_thread(void *userdata)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = userdata;
	struct calls calls = { .shared = shared, .retry_ms = WATCH_LIBVIRT_RETRY_MIN_MS };

	do {
		if (connect_once(&calls) == 0) {
			calls.retry_ms = WATCH_LIBVIRT_RETRY_MIN_MS;
			serve(&calls);
		} else {
			tell_failure(shared);
		}
		disconnect(&calls);
	} while (wait_to_retry(&calls));

	libvirt_events_stop_thread(shared);
	return NULL;
}
