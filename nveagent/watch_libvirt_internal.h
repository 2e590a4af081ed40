/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt_internal.h - what the threads of watch_libvirt.h share.
 *
 * Everything in struct libvirt_shared is under its lock, which is never held across a libvirt call
 * or a callback.
 *
 * The view is what the events thread and the calls thread know of each domain. It merges two
 * sources that race: events, which are prompt and in order, and answers, which can be older than an
 * event already told. The rule: since QEMU said STOP, the vCPUs are stopped, until it says RESUME;
 * an answer does not overrule that. A later life of the same UUID (destroyed, started again) has
 * another number, so that an answer about the former one is dropped.
 */
#ifndef REHOME_NVEAGENT_WATCH_LIBVIRT_INTERNAL_H
#define REHOME_NVEAGENT_WATCH_LIBVIRT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/uuid.h"
#include "nveagent/domain_xml.h"
#include "nveagent/watch_libvirt.h"
#include "qmp/event.h"

enum {
	LIBVIRT_REASON_SIZE = 256, /* why the connection is lost; cut to that */
};

/* --- the queue to the agent's thread --- */

enum libvirt_item_kind {
	LIBVIRT_ITEM_CONNECTED,
	LIBVIRT_ITEM_LOST,
	LIBVIRT_ITEM_DOMAIN,
	LIBVIRT_ITEM_RESYNCED,
	LIBVIRT_ITEM_QEMU,
	LIBVIRT_ITEM_RING,
};

struct libvirt_item {
	struct libvirt_item *next;
	enum libvirt_item_kind kind;
	char reason[LIBVIRT_REASON_SIZE]; /* LOST */
	struct domain *domain;		  /* DOMAIN: owned */
	enum libvirt_domain_state state;  /* DOMAIN */
	bool migrating_out;		  /* DOMAIN */
	struct uuid vm;			  /* QEMU, RING */
	struct qmp_event event;		  /* QEMU */
	struct mac mac;			  /* RING */
	struct guest_ring_place place;	  /* RING */
};

struct libvirt_queue {
	struct libvirt_item *first, *last;
	size_t count;
	bool overflowed;     /* items that stood before those in the queue were dropped ... */
	bool connected_then; /* ... and so the connection was at that moment */
};

/* Releases the item and all that follow it; accepts NULL. */
struct libvirt_item *libvirt_items_free(struct libvirt_item *item);

/* --- what is known of each domain --- */

enum qemu_said {
	QEMU_SAID_NOTHING, /* since we are connected */
	QEMU_SAID_STOP,
	QEMU_SAID_RESUME,
};

struct libvirt_view_entry {
	struct uuid vm;
	char name[DOMAIN_NAME_SIZE];
	uint64_t life;	/* of all entries ever, no two have the same */
	uint64_t asked; /* to be looked at: the lowest is served first; 0: not asked */
	enum qemu_said said;
	/* the last migration away from here that QEMU told of has ended, and failed */
	bool stays;
	bool told;     /* through domain(), as not STOPPED */
	bool listed;   /* seen by the listing under way, or younger than it */
	bool announce; /* announce-self is wanted */
};

struct libvirt_view {
	struct libvirt_view_entry *entries; /* owned */
	size_t count, capacity;
	uint64_t last_life, last_asked;
};

/* All pointers to entries are borrowed until the next call that adds or removes one. */
struct libvirt_view_entry *libvirt_view_find(struct libvirt_view *view, struct uuid vm);
/* Finds or makes it: 0, -ENOSPC or -ENOMEM. */
int libvirt_view_need(struct libvirt_view *view, struct uuid vm,
		      struct libvirt_view_entry **ret_entry);
void libvirt_view_remove(struct libvirt_view *view, struct libvirt_view_entry *entry);
void libvirt_view_ask(struct libvirt_view *view, struct libvirt_view_entry *entry);
/* The one that waits longest, or NULL. */
struct libvirt_view_entry *libvirt_view_oldest_asked(struct libvirt_view *view);
void libvirt_view_on_qemu(struct libvirt_view_entry *entry, const struct qmp_event *event);
/* What is true of a domain about which libvirt answered @state, given what QEMU said. */
enum libvirt_domain_state libvirt_view_correct(const struct libvirt_view_entry *entry,
					       enum libvirt_domain_state state);
/* The same of its leaving: an answer may be older than what QEMU has said since. */
bool libvirt_view_is_leaving(const struct libvirt_view_entry *entry, bool answered);

/* --- shared by the threads --- */

/* A receive ring that is to be found. */
struct libvirt_ring_wish {
	struct uuid vm;
	struct mac mac;
};

struct libvirt_shared {
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the calls thread; CLOCK_MONOTONIC */
	unsigned references; /* the watch, and the calls thread, which outlives the events thread */
	int event_fd;	     /* readable while the queue has something */
	char *uri;	     /* owned; never changes */
	pthread_t events_thread;
	atomic_bool events_stop;
	struct libvirt_queue queue;
	struct libvirt_view view;
	bool stopping;	/* the watch is being freed: nothing is queued any more */
	bool connected; /* told so; before, events only change the view */
	bool closed;	/* libvirt says that the present connection is dead */
	bool relist;
	struct libvirt_ring_wish rings[WATCH_LIBVIRT_RINGS_MAX]; /* oldest first */
	size_t ring_count;
	char lost_reason[LIBVIRT_REASON_SIZE]; /* the last one told; "" after a connection */
};

int libvirt_shared_new(const char *uri, struct libvirt_shared **ret_shared);
struct libvirt_shared *libvirt_shared_unref(struct libvirt_shared *shared);
DEFINE_CLEANUP(struct libvirt_shared, libvirt_shared_unref)

void libvirt_shared_lock(struct libvirt_shared *shared);
void libvirt_shared_unlock(struct libvirt_shared *shared);
/* Wakes the calls thread. */
void libvirt_shared_wake(struct libvirt_shared *shared);

/*
 * The rest is called with the lock held. Tellers queue; when memory or the queue's room ends they
 * drop the whole queue instead and ask for a resync, so they cannot fail.
 */
void libvirt_tell_connected(struct libvirt_shared *shared);
void libvirt_tell_lost(struct libvirt_shared *shared, const char *reason);
void libvirt_tell_resynced(struct libvirt_shared *shared);
void libvirt_tell_qemu(struct libvirt_shared *shared, struct uuid vm,
		       const struct qmp_event *event);
void libvirt_tell_ring(struct libvirt_shared *shared, const struct libvirt_ring_wish *wish,
		       const struct guest_ring_place *place);
/* Takes the oldest wish; false when there is none. */
bool libvirt_shared_take_ring(struct libvirt_shared *shared, struct libvirt_ring_wish *ret_wish);
/* @domain: taken over; NULL makes the loss of an event of it. */
void libvirt_tell_domain(struct libvirt_shared *shared, struct domain *domain,
			 enum libvirt_domain_state state, bool migrating_out);
/* Tells STOPPED of the entry's VM and removes the entry. */
void libvirt_tell_stopped(struct libvirt_shared *shared, struct libvirt_view_entry *entry);
/* Takes the whole queue; its items are the caller's. */
struct libvirt_queue libvirt_shared_take(struct libvirt_shared *shared);

/* --- the threads: watch_libvirt_events.c, watch_libvirt_calls.c --- */

/*
 * Makes libvirt and its event loop ready, once per process, and starts the thread that runs the
 * loop. Returns 0, -EBUSY while another watch's thread runs it, -EIO, or what pthread_create(3)
 * said.
 */
int libvirt_events_start_thread(struct libvirt_shared *shared);
/* Ends and joins the thread. */
void libvirt_events_stop_thread(struct libvirt_shared *shared);
/*
 * Starts a thread that gets no signal: they are for the thread of the agent's loop. 0 or a negative
 * errno.
 */
int libvirt_thread_start(pthread_t *thread, void *(*run)(void *), void *userdata);

/* The calls thread; @userdata is a reference to a struct libvirt_shared, which it releases. */
void *libvirt_calls_thread(void *userdata);

#endif
