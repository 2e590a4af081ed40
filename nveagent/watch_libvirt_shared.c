/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_libvirt_shared.c - the queue and the view between the threads; knows no libvirt. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "nveagent/watch_libvirt_internal.h"

/* --- the queue --- */

struct libvirt_item *libvirt_items_free(struct libvirt_item *item)
{
	while (item) {
		struct libvirt_item *next = item->next;

		free(item->domain);
		free(item);
		item = next;
	}
	return NULL;
}
DEFINE_CLEANUP(struct libvirt_item, libvirt_items_free)

static void signal_agent(struct libvirt_shared *shared)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(shared->event_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR); /* EAGAIN: it is readable already */
}

static void overflow(struct libvirt_shared *shared)
{
	struct libvirt_queue *queue = &shared->queue;

	libvirt_items_free(queue->first);
	*queue = (struct libvirt_queue){ .overflowed = true, .connected_then = shared->connected };
	shared->relist = true;
	libvirt_shared_wake(shared);
	signal_agent(shared);
}

static void push(struct libvirt_shared *shared, struct libvirt_item *item)
{
	struct libvirt_queue *queue = &shared->queue;

	if (shared->stopping) {
		libvirt_items_free(item);
		return;
	}
	if (!item || queue->count == WATCH_LIBVIRT_QUEUE_MAX) {
		libvirt_items_free(item);
		overflow(shared);
		return;
	}
	if (queue->last)
		queue->last->next = item;
	else
		queue->first = item;
	queue->last = item;
	if (queue->count++ == 0)
		signal_agent(shared);
}

static struct libvirt_item *item_new(enum libvirt_item_kind kind)
{
	struct libvirt_item *item = calloc(1, sizeof(*item));

	if (item)
		item->kind = kind;
	return item;
}

struct libvirt_queue libvirt_shared_take(struct libvirt_shared *shared)
{
	struct libvirt_queue taken = shared->queue;

	shared->queue = (struct libvirt_queue){ 0 };
	return taken;
}

void libvirt_tell_connected(struct libvirt_shared *shared)
{
	shared->connected = true;
	shared->lost_reason[0] = '\0';
	push(shared, item_new(LIBVIRT_ITEM_CONNECTED));
}

void libvirt_tell_lost(struct libvirt_shared *shared, const char *reason)
{
	struct libvirt_item *item;

	if (!shared->connected &&
	    strncmp(shared->lost_reason, reason, LIBVIRT_REASON_SIZE - 1) == 0)
		return;

	shared->connected = false;
	snprintf(shared->lost_reason, sizeof(shared->lost_reason), "%s", reason);
	item = item_new(LIBVIRT_ITEM_LOST);
	if (item)
		memcpy(item->reason, shared->lost_reason, sizeof(item->reason));
	push(shared, item);
}

void libvirt_tell_resynced(struct libvirt_shared *shared)
{
	push(shared, item_new(LIBVIRT_ITEM_RESYNCED));
}

void libvirt_tell_qemu(struct libvirt_shared *shared, struct uuid vm, const struct qmp_event *event)
{
	struct libvirt_item *item = item_new(LIBVIRT_ITEM_QEMU);

	if (item) {
		item->vm = vm;
		item->event = *event;
	}
	push(shared, item);
}

void libvirt_tell_ring(struct libvirt_shared *shared, const struct libvirt_ring_wish *wish,
		       const struct guest_ring_place *place)
{
	struct libvirt_item *item = item_new(LIBVIRT_ITEM_RING);

	if (item) {
		item->vm = wish->vm;
		item->mac = wish->mac;
		item->place = *place;
	}
	push(shared, item);
}

bool libvirt_shared_take_ring(struct libvirt_shared *shared, struct libvirt_ring_wish *ret_wish)
{
	if (shared->ring_count == 0)
		return false;
	*ret_wish = shared->rings[0];
	shared->ring_count--;
	memmove(shared->rings, shared->rings + 1, shared->ring_count * sizeof(shared->rings[0]));
	return true;
}

void libvirt_tell_domain(struct libvirt_shared *shared, struct domain *domain,
			 enum libvirt_domain_state state, bool migrating_out)
{
	_cleanup_free_ struct domain *taken = domain;
	_cleanup_(libvirt_items_freep) struct libvirt_item *item = item_new(LIBVIRT_ITEM_DOMAIN);

	if (!item || !taken) {
		push(shared, NULL);
		return;
	}
	item->domain = TAKE_PTR(taken);
	item->state = state;
	item->migrating_out = migrating_out;
	push(shared, TAKE_PTR(item));
}

void libvirt_tell_stopped(struct libvirt_shared *shared, struct libvirt_view_entry *entry)
{
	struct domain *domain = calloc(1, sizeof(*domain));

	if (domain) {
		domain->uuid = entry->vm;
		memcpy(domain->name, entry->name, sizeof(domain->name));
	}
	libvirt_view_remove(&shared->view, entry);
	libvirt_tell_domain(shared, domain, LIBVIRT_DOMAIN_STOPPED, false);
}

/* --- the view --- */

struct libvirt_view_entry *libvirt_view_find(struct libvirt_view *view, struct uuid vm)
{
	for (size_t i = 0; i < view->count; i++)
		if (uuid_cmp(view->entries[i].vm, vm) == 0)
			return &view->entries[i];
	return NULL;
}

static int grow(struct libvirt_view *view)
{
	size_t capacity = view->capacity ? view->capacity * 2 : 16;
	struct libvirt_view_entry *grown;

	if (view->count == WATCH_LIBVIRT_DOMAINS_MAX)
		return -ENOSPC;
	if (view->count < view->capacity)
		return 0;
	grown = reallocarray(view->entries, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	view->entries = grown;
	view->capacity = capacity;
	return 0;
}

int libvirt_view_need(struct libvirt_view *view, struct uuid vm,
		      struct libvirt_view_entry **ret_entry)
{
	struct libvirt_view_entry *entry = libvirt_view_find(view, vm);
	int r;

	if (!entry) {
		r = grow(view);
		if (r < 0)
			return r;
		entry = &view->entries[view->count++];
		*entry = (struct libvirt_view_entry){ .vm = vm,
						      .life = ++view->last_life,
						      .listed = true };
	}
	*ret_entry = entry;
	return 0;
}

void libvirt_view_remove(struct libvirt_view *view, struct libvirt_view_entry *entry)
{
	*entry = view->entries[--view->count];
}

void libvirt_view_ask(struct libvirt_view *view, struct libvirt_view_entry *entry)
{
	if (entry->asked == 0)
		entry->asked = ++view->last_asked;
}

struct libvirt_view_entry *libvirt_view_oldest_asked(struct libvirt_view *view)
{
	struct libvirt_view_entry *oldest = NULL;

	for (size_t i = 0; i < view->count; i++) {
		struct libvirt_view_entry *entry = &view->entries[i];

		if (entry->asked != 0 && (!oldest || entry->asked < oldest->asked))
			oldest = entry;
	}
	return oldest;
}

void libvirt_view_on_qemu(struct libvirt_view_entry *entry, const struct qmp_event *event)
{
	if (event->kind == QMP_EVENT_STOP)
		entry->said = QEMU_SAID_STOP;
	else if (event->kind == QMP_EVENT_RESUME)
		entry->said = QEMU_SAID_RESUME;
	else if (event->kind == QMP_EVENT_MIGRATION)
		entry->stays = event->status == QMP_MIGRATION_FAILED ||
			       event->status == QMP_MIGRATION_CANCELLED;
}

bool libvirt_view_is_leaving(const struct libvirt_view_entry *entry, bool answered)
{
	return answered && !entry->stays;
}

enum libvirt_domain_state libvirt_view_correct(const struct libvirt_view_entry *entry,
					       enum libvirt_domain_state state)
{
	if (state == LIBVIRT_DOMAIN_STOPPED)
		return state;

	switch (entry->said) {
	case QEMU_SAID_NOTHING:
		return state;
	case QEMU_SAID_STOP:
		return state == LIBVIRT_DOMAIN_RUNNING ? LIBVIRT_DOMAIN_PAUSED : state;
	case QEMU_SAID_RESUME:
		return LIBVIRT_DOMAIN_RUNNING;
	}
	return state;
}

/* --- the whole --- */

static int init_locks(struct libvirt_shared *shared)
{
	pthread_condattr_t attributes;
	int r;

	r = pthread_condattr_init(&attributes);
	if (r != 0)
		return -r;
	r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (r == 0)
		r = pthread_cond_init(&shared->work, &attributes);
	pthread_condattr_destroy(&attributes);
	if (r != 0)
		return -r;
	return -pthread_mutex_init(&shared->lock,
				   NULL); /* cannot fail with default attributes: glibc */
}

int libvirt_shared_new(const char *uri, struct libvirt_shared **ret_shared)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = NULL;
	struct libvirt_shared *made = calloc(1, sizeof(*made));
	int r;

	if (!made)
		return -ENOMEM;
	r = init_locks(made);
	if (r < 0) {
		free(made);
		return r;
	}
	shared = made;
	shared->references = 1;
	shared->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared->event_fd < 0)
		return -errno;
	shared->uri = strdup(uri);
	if (!shared->uri)
		return -ENOMEM;
	*ret_shared = TAKE_PTR(shared);
	return 0;
}

struct libvirt_shared *libvirt_shared_unref(struct libvirt_shared *shared)
{
	unsigned left;

	if (!shared)
		return NULL;
	libvirt_shared_lock(shared);
	left = --shared->references;
	libvirt_shared_unlock(shared);
	if (left > 0)
		return NULL;

	libvirt_items_free(shared->queue.first);
	free(shared->view.entries);
	if (shared->event_fd >= 0)
		close(shared->event_fd);
	free(shared->uri);
	pthread_cond_destroy(&shared->work);
	pthread_mutex_destroy(&shared->lock);
	free(shared);
	return NULL;
}

void libvirt_shared_lock(struct libvirt_shared *shared)
{
	pthread_mutex_lock(&shared->lock);
}

void libvirt_shared_unlock(struct libvirt_shared *shared)
{
	pthread_mutex_unlock(&shared->lock);
}

void libvirt_shared_wake(struct libvirt_shared *shared)
{
	pthread_cond_signal(&shared->work);
}
