/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_libvirt.c - the agent's side: takes from the queue and calls back; knows no libvirt. */
#include "nveagent/watch_libvirt.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "nveagent/watch_libvirt_internal.h"

struct libvirt_watch {
	const struct libvirt_watch_events *events;
	void *userdata;
	struct libvirt_shared *shared; /* a reference */
	struct loop_watch *wakeup;
	pthread_t calls_thread;
	bool started;
	bool *freed; /* set while items are handed out: becomes true when a callback frees us */
};

static const char *const state_names[] = {
	[LIBVIRT_DOMAIN_RUNNING] = "running",
	[LIBVIRT_DOMAIN_PAUSED] = "paused",
	[LIBVIRT_DOMAIN_INCOMING] = "incoming",
	[LIBVIRT_DOMAIN_STOPPED] = "stopped",
};
static_assert(ARRAY_SIZE(state_names) == LIBVIRT_DOMAIN_STATE_COUNT, "a state has no name");

const char *libvirt_domain_state_name(enum libvirt_domain_state state)
{
	return (size_t) state < ARRAY_SIZE(state_names) ? state_names[state] : "invalid";
}

/* --- handing out --- */

static void hand_out(const struct libvirt_watch_events *events, void *userdata,
		     const struct libvirt_item *item)
{
	switch (item->kind) {
	case LIBVIRT_ITEM_CONNECTED:
		events->connected(userdata, true, NULL);
		break;
	case LIBVIRT_ITEM_LOST:
		events->connected(userdata, false, item->reason);
		break;
	case LIBVIRT_ITEM_DOMAIN:
		events->domain(userdata, item->domain, item->state, item->migrating_out);
		break;
	case LIBVIRT_ITEM_RESYNCED:
		events->resynced(userdata);
		break;
	case LIBVIRT_ITEM_QEMU:
		events->qemu(userdata, item->vm, &item->event);
		break;
	case LIBVIRT_ITEM_RING:
		events->ring(userdata, item->vm, item->mac, &item->place);
		break;
	}
}

static void hand_out_all(struct libvirt_watch *watch, const struct libvirt_queue *queue)
{
	const struct libvirt_watch_events *events = watch->events;
	void *userdata = watch->userdata;
	bool freed = false;

	watch->freed = &freed;
	if (queue->overflowed)
		events->connected(userdata, false, "too many events waited; those are lost");
	if (queue->overflowed && queue->connected_then && !freed)
		events->connected(userdata, true, NULL);
	for (const struct libvirt_item *item = queue->first; item && !freed; item = item->next)
		hand_out(events, userdata, item);
	if (!freed)
		watch->freed = NULL;
}

static void on_wakeup(void *userdata, unsigned ready)
{
	struct libvirt_watch *watch = userdata;
	struct libvirt_queue taken;
	uint64_t count;

	/* First the descriptor: what is queued from here on makes it readable again. */
	(void) !read(watch->shared->event_fd, &count, sizeof(count));
	libvirt_shared_lock(watch->shared);
	taken = libvirt_shared_take(watch->shared);
	libvirt_shared_unlock(watch->shared);

	hand_out_all(watch, &taken);
	libvirt_items_free(taken.first);
}

/* --- asking --- */

int libvirt_watch_refresh(struct libvirt_watch *watch, struct uuid vm)
{
	struct libvirt_shared *shared = watch->shared;
	struct libvirt_view_entry *entry;
	int r;

	libvirt_shared_lock(shared);
	r = libvirt_view_need(&shared->view, vm, &entry);
	if (r == 0)
		libvirt_view_ask(&shared->view, entry);
	libvirt_shared_wake(shared);
	libvirt_shared_unlock(shared);
	return r;
}

int libvirt_watch_announce(struct libvirt_watch *watch, struct uuid vm)
{
	struct libvirt_shared *shared = watch->shared;
	struct libvirt_view_entry *entry;
	int r = 0;

	libvirt_shared_lock(shared);
	entry = libvirt_view_find(&shared->view, vm);
	if (!shared->connected)
		r = -ENOTCONN;
	else if (!entry)
		r = -ENOENT;
	else
		entry->announce = true;
	libvirt_shared_wake(shared);
	libvirt_shared_unlock(shared);
	return r;
}

int libvirt_watch_find_ring(struct libvirt_watch *watch, struct uuid vm, struct mac mac)
{
	struct libvirt_shared *shared = watch->shared;
	int r = 0;

	libvirt_shared_lock(shared);
	if (!shared->connected)
		r = -ENOTCONN;
	else if (!libvirt_view_find(&shared->view, vm))
		r = -ENOENT;
	else if (shared->ring_count == WATCH_LIBVIRT_RINGS_MAX)
		r = -ENOSPC;
	else
		shared->rings[shared->ring_count++] = (struct libvirt_ring_wish){ vm, mac };
	libvirt_shared_wake(shared);
	libvirt_shared_unlock(shared);
	return r;
}

/* --- coming and going --- */

static int start_threads(struct libvirt_watch *watch)
{
	struct libvirt_shared *shared = watch->shared;
	int r;

	r = libvirt_events_start_thread(shared);
	if (r < 0)
		return r;
	shared->references++; /* the calls thread's; nobody else is there yet */
	r = libvirt_thread_start(&watch->calls_thread, libvirt_calls_thread, shared);
	if (r < 0) {
		shared->references--;
		libvirt_events_stop_thread(shared);
		return r;
	}
	watch->started = true;
	return 0;
}

int libvirt_watch_new(struct loop *loop, const char *uri, const struct libvirt_watch_events *events,
		      void *userdata, struct libvirt_watch **ret_watch)
{
	_cleanup_(libvirt_watch_freep) struct libvirt_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->events = events;
	watch->userdata = userdata;
	r = libvirt_shared_new(uri, &watch->shared);
	if (r < 0)
		return r;
	watch->wakeup = loop_watch_new(loop, "libvirt", watch->shared->event_fd, LOOP_READ,
				       on_wakeup, watch);
	if (!watch->wakeup)
		return -ENOMEM;
	r = loop_watch_set_urgent(watch->wakeup);
	if (r == 0)
		r = start_threads(watch);
	if (r < 0)
		return r;
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

static void stop_threads(struct libvirt_watch *watch)
{
	struct timespec until;

	libvirt_shared_lock(watch->shared);
	watch->shared->stopping = true;
	libvirt_shared_wake(watch->shared);
	libvirt_shared_unlock(watch->shared);

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WATCH_LIBVIRT_STOP_S;
	if (pthread_clockjoin_np(watch->calls_thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		pthread_detach(watch->calls_thread);
}

struct libvirt_watch *libvirt_watch_free(struct libvirt_watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->freed)
		*watch->freed = true;
	loop_watch_free(watch->wakeup);
	if (watch->started)
		stop_threads(watch);
	libvirt_shared_unref(watch->shared);
	free(watch);
	return NULL;
}
