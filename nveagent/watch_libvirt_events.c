/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt_events.c - the thread of libvirt's event loop, and what it is called back with.
 *
 * Why these registrations and no others: QEMU's own MIGRATION, MIGRATION_PASS, STOP and RESUME
 * (virDomainQemuMonitorEvent) carry QEMU's timestamps and come before libvirt's
 * migration-iteration, job-completed and suspended/resumed, which say the same again. Lifecycle
 * events tell of QEMUs that come and go; device events, of NICs plugged and unplugged. Registering
 * for QEMU's events needs a read-write connection and does not taint the domain.
 *
 * Nothing here asks the daemon: a callback that waited would hold up the STOP behind it.
 */
#include <assert.h>
#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "nveagent/watch_libvirt_client.h"

/* --- the thread --- */

static void ignore_error(void *userdata, virErrorPtr error)
{
}

/*
 * libvirt's event loop is one per process, can be installed once, and hands any watch's events to
 * whichever thread runs it. So this must be of the process too.
 */
static struct {
	pthread_once_t once;
	int r;
	atomic_flag in_use;
} process = { .once = PTHREAD_ONCE_INIT, .in_use = ATOMIC_FLAG_INIT };

static void init_once(void)
{
	virSetErrorFunc(NULL, ignore_error); /* it writes to stderr otherwise */
	process.r = virInitialize() < 0 || virEventRegisterDefaultImpl() < 0 ? -EIO : 0;
}

static void *events_thread(void *userdata)
{
	struct libvirt_shared *shared = userdata;

	while (!atomic_load(&shared->events_stop))
		if (virEventRunDefaultImpl() < 0)
			log_warning("libvirt's event loop: %s", virGetLastErrorMessage());
	return NULL;
}

int libvirt_thread_start(pthread_t *thread, void *(*run)(void *), void *userdata)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(thread, NULL, run, userdata);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int libvirt_events_start_thread(struct libvirt_shared *shared)
{
	int r;

	pthread_once(&process.once, init_once);
	if (process.r < 0)
		return process.r;
	if (atomic_flag_test_and_set(&process.in_use))
		return -EBUSY;
	r = libvirt_thread_start(&shared->events_thread, events_thread, shared);
	if (r < 0)
		atomic_flag_clear(&process.in_use);
	return r;
}

static void on_stop(int timer, void *userdata)
{
	struct libvirt_shared *shared = userdata;

	atomic_store(&shared->events_stop, true);
	virEventRemoveTimeout(timer);
}

void libvirt_events_stop_thread(struct libvirt_shared *shared)
{
	/* The timer does it from within, so that a loop that sleeps in poll() wakes up. */
	if (virEventAddTimeout(0, on_stop, shared, NULL) < 0)
		atomic_store(&shared->events_stop, true); /* seen at the next event or keepalive */
	pthread_join(shared->events_thread, NULL);
	atomic_flag_clear(&process.in_use);
}

/* --- callbacks --- */

static int vm_of(virDomainPtr domain, struct uuid *ret_vm)
{
	unsigned char octets[VIR_UUID_BUFLEN];

	if (virDomainGetUUID(domain, octets) < 0)
		return -EINVAL;
	return uuid_from_bytes(octets, sizeof(octets), ret_vm);
}

/*
 * The entry of the domain; NULL when there is no room: then it is missed, and the resync cannot
 * help.
 */
static struct libvirt_view_entry *entry_of(struct libvirt_shared *shared, virDomainPtr domain)
{
	struct libvirt_view_entry *entry;
	struct uuid vm;

	if (vm_of(domain, &vm) < 0 || libvirt_view_need(&shared->view, vm, &entry) < 0)
		return NULL;
	if (entry->name[0] == '\0')
		snprintf(entry->name, sizeof(entry->name), "%s", virDomainGetName(domain));
	return entry;
}

static void ask_about(struct libvirt_shared *shared, virDomainPtr domain)
{
	struct libvirt_view_entry *entry;

	libvirt_shared_lock(shared);
	entry = entry_of(shared, domain);
	if (entry)
		libvirt_view_ask(&shared->view, entry);
	libvirt_shared_wake(shared);
	libvirt_shared_unlock(shared);
}

static void on_stopped(struct libvirt_shared *shared, virDomainPtr domain)
{
	struct libvirt_view_entry *entry;

	libvirt_shared_lock(shared);
	entry = entry_of(shared, domain);
	if (entry && shared->connected)
		libvirt_tell_stopped(shared, entry);
	libvirt_shared_unlock(shared);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail,
			void *userdata)
{
	switch (event) {
	case VIR_DOMAIN_EVENT_STARTED:
	case VIR_DOMAIN_EVENT_SUSPENDED:
	case VIR_DOMAIN_EVENT_RESUMED:
	case VIR_DOMAIN_EVENT_SHUTDOWN: /* the guest is down; QEMU not yet */
	case VIR_DOMAIN_EVENT_PMSUSPENDED:
	case VIR_DOMAIN_EVENT_CRASHED:
		ask_about(userdata, domain);
		break;
	case VIR_DOMAIN_EVENT_STOPPED:
		on_stopped(userdata, domain);
		break;
	default: /* defined, undefined: nothing about QEMU */
		break;
	}
	return 0;
}

static void on_device(virConnectPtr connection, virDomainPtr domain, const char *alias,
		      void *userdata)
{
	ask_about(userdata, domain);
}

static void on_qemu(virConnectPtr connection, virDomainPtr domain, const char *name,
		    long long seconds, unsigned int micros, const char *details, void *userdata)
{
	struct libvirt_shared *shared = userdata;
	struct libvirt_view_entry *entry;
	struct qmp_event event;
	int r;

	r = qmp_event_from_parts(name, seconds, micros, details, &event);
	if (r < 0) {
		log_warning("%s: QEMU's event %s does not parse: %s", virDomainGetName(domain),
			    name, strerror(-r));
		return;
	}

	libvirt_shared_lock(shared);
	entry = entry_of(shared, domain);
	if (entry) {
		libvirt_view_on_qemu(entry, &event);
		if (shared->connected)
			libvirt_tell_qemu(shared, entry->vm, &event);
	}
	libvirt_shared_unlock(shared);
}

static const struct {
	int reason;
	const char *text;
} close_reasons[] = {
	{ VIR_CONNECT_CLOSE_REASON_ERROR, "error on the connection to libvirtd" },
	{ VIR_CONNECT_CLOSE_REASON_EOF, "libvirtd closed the connection" },
	{ VIR_CONNECT_CLOSE_REASON_KEEPALIVE, "libvirtd does not answer (keepalive)" },
	{ VIR_CONNECT_CLOSE_REASON_CLIENT, "closed by this client" },
};

static void on_close(virConnectPtr connection, int reason, void *userdata)
{
	struct libvirt_shared *shared = userdata;
	const char *text = "the connection to libvirtd ended";

	for (size_t i = 0; i < ARRAY_SIZE(close_reasons); i++)
		if (close_reasons[i].reason == reason)
			text = close_reasons[i].text;

	libvirt_shared_lock(shared);
	shared->closed = true;
	libvirt_tell_lost(shared, text);
	libvirt_shared_wake(shared);
	libvirt_shared_unlock(shared);
}

/* --- registering --- */

static const struct {
	int id; /* of libvirt's events; -1: QEMU's own */
	union {
		virConnectDomainEventGenericCallback libvirt;
		virConnectDomainQemuMonitorEventCallback qemu;
	} callback;
	const char *pattern; /* QEMU's own: a regular expression over their names */
} registrations_wanted[] = {
	{ -1, { .qemu = on_qemu }, "^(STOP|RESUME|SHUTDOWN|MIGRATION|MIGRATION_PASS)$" },
	{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, { VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) }, NULL },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, { VIR_DOMAIN_EVENT_CALLBACK(on_device) }, NULL },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, { VIR_DOMAIN_EVENT_CALLBACK(on_device) }, NULL },
};
static_assert(ARRAY_SIZE(registrations_wanted) == LIBVIRT_REGISTRATIONS, "each has its id kept");

static int register_one(struct libvirt_shared *shared, virConnectPtr connection, size_t i)
{
	if (registrations_wanted[i].id < 0)
		return virConnectDomainQemuMonitorEventRegister(
			connection, NULL, registrations_wanted[i].pattern,
			registrations_wanted[i].callback.qemu, shared, NULL,
			VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX);
	return virConnectDomainEventRegisterAny(connection, NULL, registrations_wanted[i].id,
						registrations_wanted[i].callback.libvirt, shared,
						NULL);
}

int libvirt_events_register(struct libvirt_shared *shared, virConnectPtr connection,
			    struct libvirt_registrations *registrations)
{
	for (size_t i = 0; i < LIBVIRT_REGISTRATIONS; i++)
		registrations->ids[i] = -1;
	registrations->close_callback =
		virConnectRegisterCloseCallback(connection, on_close, shared, NULL) == 0;
	if (!registrations->close_callback)
		return -EIO;

	for (size_t i = 0; i < LIBVIRT_REGISTRATIONS; i++) {
		registrations->ids[i] = register_one(shared, connection, i);
		if (registrations->ids[i] < 0)
			return -EIO;
	}
	return 0;
}

void libvirt_events_deregister(virConnectPtr connection,
			       struct libvirt_registrations *registrations)
{
	for (size_t i = 0; i < LIBVIRT_REGISTRATIONS; i++) {
		if (registrations->ids[i] < 0)
			continue;
		if (registrations_wanted[i].id < 0)
			virConnectDomainQemuMonitorEventDeregister(connection,
								   registrations->ids[i]);
		else
			virConnectDomainEventDeregisterAny(connection, registrations->ids[i]);
	}
	if (registrations->close_callback)
		virConnectUnregisterCloseCallback(connection, on_close);
}
