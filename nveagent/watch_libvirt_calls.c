/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt_calls.c - the thread that makes every libvirt call: connects, lists, asks, and
 * connects again.
 */
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "nveagent/watch_libvirt_client.h"

enum {
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

struct calls {
	struct libvirt_shared *shared;
	virConnectPtr connection; /* NULL when there is none */
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

/* --- telling what was answered --- */

/*
 * Called with the lock. An answer about a former life of the entry, or one that ended meanwhile, is
 * dropped.
 */
static void tell_answer(struct libvirt_shared *shared, struct uuid vm, uint64_t life,
			struct libvirt_answer *answer)
{
	struct libvirt_view_entry *entry = libvirt_view_find(&shared->view, vm);

	if (!answer->valid || !entry || entry->life != life || !shared->connected)
		return;
	if (answer->name)
		snprintf(entry->name, sizeof(entry->name), "%s", answer->name);
	if (answer->state == LIBVIRT_DOMAIN_STOPPED) {
		libvirt_tell_stopped(shared, entry);
		return;
	}
	entry->told = true;
	libvirt_tell_domain(shared, TAKE_PTR(answer->domain),
			    libvirt_view_correct(entry, answer->state),
			    libvirt_view_is_leaving(entry, answer->migrating_out));
}

static void look_at(struct libvirt_shared *shared, struct uuid vm, uint64_t life,
		    virDomainPtr domain, enum libvirt_ask_job job)
{
	struct libvirt_answer answer = libvirt_ask(domain, job);

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

	if (virDomainGetUUID(domain, octets) < 0 ||
	    uuid_from_bytes(octets, sizeof(octets), &vm) < 0)
		return;
	libvirt_shared_lock(shared);
	if (libvirt_view_need(&shared->view, vm, &entry) == 0) {
		entry->listed = true;
		entry->asked = 0;
		life = entry->life;
	}
	libvirt_shared_unlock(shared);
	if (life)
		look_at(shared, vm, life, domain, LIBVIRT_ASK_JOB_ALWAYS);
	else
		log_warning("Domain %s is left out: there are more than %d",
			    virDomainGetName(domain), WATCH_LIBVIRT_DOMAINS_MAX);
}

/*
 * Those that the listing did not find are gone; those that were only asked about are answered by
 * the asking.
 */
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

/*
 * False when libvirtd did not answer: what is not listed would be taken for gone, so nothing is
 * concluded then.
 */
static bool list_all(struct calls *calls)
{
	virDomainPtr *domains = NULL;
	int count;

	begin_listing(calls->shared);
	count = virConnectListAllDomains(calls->connection, &domains,
					 VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	for (int i = 0; i < count; i++) {
		if (!is_over(calls->shared))
			look_at_listed(calls->shared, domains[i]);
		virDomainFree(domains[i]);
	}
	free(domains);
	if (count < 0 || is_over(calls->shared))
		return false;
	end_listing(calls->shared);
	return true;
}

/* --- what is asked of the thread while connected --- */

struct request {
	bool relist, announce, ring;
	enum libvirt_ask_job job;
	struct mac mac; /* ring */
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
	struct libvirt_ring_wish wish;

	if (!request.relist && libvirt_shared_take_ring(shared, &wish)) {
		*ret_request = (struct request){ .ring = true, .vm = wish.vm, .mac = wish.mac };
		return true;
	}
	if (!request.relist) {
		entry = wants_announcement(&shared->view);
		request.announce = entry != NULL;
	}
	if (!request.relist && !entry)
		entry = libvirt_view_oldest_asked(&shared->view);
	if (entry) {
		request.vm = entry->vm;
		request.life = entry->life;
		request.job = entry->said == QEMU_SAID_NOTHING ? LIBVIRT_ASK_JOB_IF_PAUSED
							       : LIBVIRT_ASK_JOB_NEVER;
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

static void find_ring(struct libvirt_shared *shared, const struct request *request,
		      virDomainPtr domain)
{
	const struct libvirt_ring_wish wish = { request->vm, request->mac };
	struct guest_ring_place place;

	if (libvirt_find_ring(domain, request->mac, &place) < 0)
		return;
	libvirt_shared_lock(shared);
	libvirt_tell_ring(shared, &wish, &place);
	libvirt_shared_unlock(shared);
}

static void serve_request(struct calls *calls, const struct request *request)
{
	_cleanup_(domain_unrefp)
		virDomain *domain = virDomainLookupByUUID(calls->connection, request->vm.octet);
	struct libvirt_answer stopped = { .valid = true, .state = LIBVIRT_DOMAIN_STOPPED };

	if (domain && request->announce) {
		libvirt_announce(domain);
	} else if (domain && request->ring) {
		find_ring(calls->shared, request, domain);
	} else if (domain) {
		look_at(calls->shared, request->vm, request->life, domain, request->job);
	} else if (libvirt_no_such_domain() && !request->ring) {
		libvirt_shared_lock(calls->shared);
		tell_answer(calls->shared, request->vm, request->life, &stopped);
		libvirt_shared_unlock(calls->shared);
	}
}

/* With libvirt's last error as the reason, unless the connection's end told one already. */
static void tell_failure(struct libvirt_shared *shared)
{
	libvirt_shared_lock(shared);
	if (!shared->closed)
		libvirt_tell_lost(shared, virGetLastErrorMessage());
	libvirt_shared_unlock(shared);
}

/* Until the connection or the watch ends. */
static void serve(struct calls *calls)
{
	bool answers = list_all(calls);
	struct request request;

	while (answers && next_request(calls->shared, &request)) {
		if (request.relist)
			answers = list_all(calls);
		else
			serve_request(calls, &request);
	}
	if (!answers)
		tell_failure(calls->shared);
}

/* --- the connection --- */

/* Of a connection not made yet nothing is known but which domains there were. */
static void forget_present(struct libvirt_shared *shared)
{
	libvirt_shared_lock(shared);
	shared->closed = false;
	shared->ring_count = 0;
	for (size_t i = 0; i < shared->view.count; i++) {
		shared->view.entries[i].said = QEMU_SAID_NOTHING;
		shared->view.entries[i].stays = false;
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
	if (virConnectSetKeepAlive(calls->connection, WATCH_LIBVIRT_KEEPALIVE_S,
				   WATCH_LIBVIRT_KEEPALIVE_COUNT) < 0)
		return -ENOTCONN;
	if (libvirt_events_register(shared, calls->connection, &calls->registrations) < 0)
		return -ENOTCONN;

	libvirt_shared_lock(shared);
	if (!shared->closed)
		libvirt_tell_connected(shared);
	libvirt_shared_unlock(shared);
	return 0;
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

	calls->retry_ms = calls->retry_ms * 2 < WATCH_LIBVIRT_RETRY_MAX_MS
				  ? calls->retry_ms * 2
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
