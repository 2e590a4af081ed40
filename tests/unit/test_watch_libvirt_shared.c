/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the threads behind watch_libvirt.h share: the queue and its overflow, the view and how it
 * settles races.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "nveagent/watch_libvirt_internal.h"
#include "tests/unit/unit.h"

static struct uuid vm(unsigned number)
{
	struct uuid value = { { 0x7c, 0x0e } };

	value.octet[UUID_SIZE - 1] = (uint8_t) number;
	value.octet[UUID_SIZE - 2] = (uint8_t) (number >> 8);
	return value;
}

static struct libvirt_shared *shared_new(void)
{
	struct libvirt_shared *shared = NULL;

	CU_ASSERT_EQUAL_FATAL(libvirt_shared_new("qemu:///system", &shared), 0);
	return shared;
}

static bool is_readable(const struct libvirt_shared *shared)
{
	struct pollfd entry = { .fd = shared->event_fd, .events = POLLIN };

	return poll(&entry, 1, 0) == 1;
}

static struct libvirt_view_entry *entry_new(struct libvirt_shared *shared, unsigned number)
{
	struct libvirt_view_entry *entry = NULL;

	CU_ASSERT_EQUAL_FATAL(libvirt_view_need(&shared->view, vm(number), &entry), 0);
	return entry;
}

static void tell_event(struct libvirt_shared *shared, enum qmp_event_kind kind, uint64_t at_us)
{
	struct qmp_event event = { .kind = kind, .timestamp_us = at_us };

	libvirt_tell_qemu(shared, vm(1), &event);
}

static void keeps_the_order_of_all_kinds(void)
{
	static const enum libvirt_item_kind wanted[] = { LIBVIRT_ITEM_CONNECTED, LIBVIRT_ITEM_QEMU,
							 LIBVIRT_ITEM_DOMAIN, LIBVIRT_ITEM_RESYNCED,
							 LIBVIRT_ITEM_RING, LIBVIRT_ITEM_LOST };
	const struct libvirt_ring_wish wish = { .vm = vm(3), .mac = { { 2, 0, 0, 0, 0, 9 } } };
	const struct guest_ring_place place = { .size = 256 };
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	struct libvirt_item *item;
	struct libvirt_queue taken;
	size_t n = 0;

	CU_ASSERT_FALSE(is_readable(shared));
	libvirt_tell_connected(shared);
	tell_event(shared, QMP_EVENT_STOP, 7);
	libvirt_tell_stopped(shared, entry_new(shared, 1));
	libvirt_tell_resynced(shared);
	libvirt_tell_ring(shared, &wish, &place);
	libvirt_tell_lost(shared, "gone");
	CU_ASSERT_TRUE(is_readable(shared));

	taken = libvirt_shared_take(shared);
	CU_ASSERT_FALSE(taken.overflowed);
	CU_ASSERT_EQUAL(taken.count, ARRAY_SIZE(wanted));
	for (item = taken.first; item && n < ARRAY_SIZE(wanted); item = item->next)
		CU_ASSERT_EQUAL(item->kind, wanted[n++]);
	CU_ASSERT_EQUAL(n, ARRAY_SIZE(wanted));
	for (item = taken.first; item; item = item->next)
		if (item->kind == LIBVIRT_ITEM_RING)
			CU_ASSERT_TRUE(item->place.size == 256 && uuid_cmp(item->vm, vm(3)) == 0 &&
				       mac_cmp(item->mac, wish.mac) == 0);
	CU_ASSERT_EQUAL(taken.first->next->event.timestamp_us, 7);
	CU_ASSERT_STRING_EQUAL(taken.last->reason, "gone");
	libvirt_items_free(taken.first);
	CU_ASSERT_PTR_NULL(libvirt_shared_take(shared).first);
}

/*
 * The eventfd is written for the first item only; taking all and then pushing must make it readable
 * again.
 */
static void wakes_for_each_first_item(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	uint64_t count;

	for (int i = 0; i < 3; i++) {
		tell_event(shared, QMP_EVENT_STOP, 1);
		tell_event(shared, QMP_EVENT_RESUME, 2);
		CU_ASSERT_EQUAL(read(shared->event_fd, &count, sizeof(count)), sizeof(count));
		CU_ASSERT_EQUAL(count, 1);
		libvirt_items_free(libvirt_shared_take(shared).first);
		CU_ASSERT_FALSE(is_readable(shared));
	}
}

static void overflows_into_a_resync(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	struct libvirt_queue taken;

	libvirt_tell_connected(shared);
	for (size_t i = 1; i < WATCH_LIBVIRT_QUEUE_MAX; i++)
		tell_event(shared, QMP_EVENT_STOP, i);
	CU_ASSERT_FALSE(shared->relist);
	CU_ASSERT_EQUAL(shared->queue.count, WATCH_LIBVIRT_QUEUE_MAX);

	tell_event(shared, QMP_EVENT_STOP, 4242);
	CU_ASSERT_TRUE(shared->relist);
	tell_event(shared, QMP_EVENT_RESUME, 4243);
	CU_ASSERT_TRUE(is_readable(shared));
	taken = libvirt_shared_take(shared);
	CU_ASSERT_TRUE(taken.overflowed);
	CU_ASSERT_TRUE(taken.connected_then);
	CU_ASSERT_EQUAL(taken.count, 1);
	CU_ASSERT_EQUAL(taken.first->event.timestamp_us, 4243);
	libvirt_items_free(taken.first);
	CU_ASSERT_FALSE(libvirt_shared_take(shared).overflowed);
}

/* The loss of the connection among what was dropped must not turn into "connected". */
static void an_overflow_keeps_who_is_connected(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	struct libvirt_queue taken;

	libvirt_tell_connected(shared);
	for (size_t i = 1; i < WATCH_LIBVIRT_QUEUE_MAX; i++)
		tell_event(shared, QMP_EVENT_STOP, i);
	libvirt_tell_lost(shared, "gone");
	taken = libvirt_shared_take(shared);
	CU_ASSERT_TRUE(taken.overflowed);
	CU_ASSERT_FALSE(taken.connected_then);
	CU_ASSERT_EQUAL(taken.count, 0);
	libvirt_items_free(taken.first);
}

static void tells_a_reason_once(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	char giant[2 * LIBVIRT_REASON_SIZE];
	struct libvirt_queue taken;

	memset(giant, 'x', sizeof(giant) - 1);
	giant[sizeof(giant) - 1] = '\0';
	for (int i = 0; i < 3; i++)
		libvirt_tell_lost(shared, "no socket");
	CU_ASSERT_EQUAL(shared->queue.count, 1);
	for (int i = 0; i < 3; i++)
		libvirt_tell_lost(shared, giant);
	CU_ASSERT_EQUAL(shared->queue.count, 2);
	libvirt_tell_connected(shared);
	libvirt_tell_lost(shared, giant);
	CU_ASSERT_EQUAL(shared->queue.count, 4);
	taken = libvirt_shared_take(shared);
	CU_ASSERT_EQUAL(strlen(taken.last->reason), LIBVIRT_REASON_SIZE - 1);
	libvirt_items_free(taken.first);
}

static void queues_nothing_once_it_ends(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();

	shared->stopping = true;
	libvirt_tell_connected(shared);
	libvirt_tell_stopped(shared, entry_new(shared, 1));
	CU_ASSERT_EQUAL(shared->queue.count, 0);
	CU_ASSERT_FALSE(is_readable(shared));
}

static void lives_until_the_last_reference(void)
{
	struct libvirt_shared *shared = shared_new();

	shared->references++;
	CU_ASSERT_PTR_NULL(libvirt_shared_unref(shared));
	libvirt_tell_connected(shared); /* the sanitizer would object */
	CU_ASSERT_PTR_NULL(libvirt_shared_unref(shared));
	CU_ASSERT_PTR_NULL(libvirt_shared_unref(NULL));
}

/* --- the view --- */

static void serves_the_longest_waiting_first(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	struct libvirt_view *view = &shared->view;

	for (unsigned i = 1; i <= 20; i++)
		(void) entry_new(shared, i);
	CU_ASSERT_PTR_NULL(libvirt_view_oldest_asked(view));
	libvirt_view_ask(view, libvirt_view_find(view, vm(7)));
	libvirt_view_ask(view, libvirt_view_find(view, vm(3)));
	libvirt_view_ask(view, libvirt_view_find(view, vm(7))); /* asked again: keeps its place */
	CU_ASSERT_EQUAL_FATAL(uuid_cmp(libvirt_view_oldest_asked(view)->vm, vm(7)), 0);
	libvirt_view_oldest_asked(view)->asked = 0;
	CU_ASSERT_EQUAL_FATAL(uuid_cmp(libvirt_view_oldest_asked(view)->vm, vm(3)), 0);
	libvirt_view_remove(view, libvirt_view_find(view, vm(3)));
	CU_ASSERT_PTR_NULL(libvirt_view_oldest_asked(view));
	CU_ASSERT_PTR_NULL(libvirt_view_find(view, vm(3)));
	CU_ASSERT_EQUAL(view->count, 19);
}

static void takes_wishes_for_rings_in_order(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	struct libvirt_ring_wish wish;

	CU_ASSERT_FALSE(libvirt_shared_take_ring(shared, &wish));
	for (unsigned i = 0; i < WATCH_LIBVIRT_RINGS_MAX; i++)
		shared->rings[shared->ring_count++] = (struct libvirt_ring_wish){ .vm = vm(i) };
	for (unsigned i = 0; i < WATCH_LIBVIRT_RINGS_MAX; i++) {
		CU_ASSERT_TRUE(libvirt_shared_take_ring(shared, &wish));
		CU_ASSERT_EQUAL(uuid_cmp(wish.vm, vm(i)), 0);
	}
	CU_ASSERT_FALSE(libvirt_shared_take_ring(shared, &wish));
}

static void gives_each_life_a_number(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	uint64_t life = entry_new(shared, 1)->life;

	CU_ASSERT_NOT_EQUAL(life, 0);
	CU_ASSERT_EQUAL(entry_new(shared, 1)->life, life);
	libvirt_view_remove(&shared->view, libvirt_view_find(&shared->view, vm(1)));
	CU_ASSERT_NOT_EQUAL(entry_new(shared, 1)->life, life);
}

static void refuses_too_many(void)
{
	_cleanup_(libvirt_shared_unrefp) struct libvirt_shared *shared = shared_new();
	struct libvirt_view_entry *entry = NULL;

	for (unsigned i = 0; i < WATCH_LIBVIRT_DOMAINS_MAX; i++)
		(void) entry_new(shared, i);
	CU_ASSERT_EQUAL(libvirt_view_need(&shared->view, vm(WATCH_LIBVIRT_DOMAINS_MAX), &entry),
			-ENOSPC);
	CU_ASSERT_PTR_NULL(entry);
	CU_ASSERT_EQUAL(libvirt_view_need(&shared->view, vm(5), &entry), 0);
}

static void say(struct libvirt_view_entry *entry, enum qmp_event_kind kind,
		enum qmp_migration_status status)
{
	const struct qmp_event event = { .kind = kind, .status = status };

	libvirt_view_on_qemu(entry, &event);
}

/* Every answer of libvirt against every last word of QEMU. */
static void believes_qemu_about_running(void)
{
	static const struct {
		enum qmp_event_kind said;
		enum libvirt_domain_state answered, wanted;
	} cases[] = {
		{ QMP_EVENT_OTHER, LIBVIRT_DOMAIN_RUNNING, LIBVIRT_DOMAIN_RUNNING },
		{ QMP_EVENT_OTHER, LIBVIRT_DOMAIN_PAUSED, LIBVIRT_DOMAIN_PAUSED },
		{ QMP_EVENT_OTHER, LIBVIRT_DOMAIN_INCOMING, LIBVIRT_DOMAIN_INCOMING },
		{ QMP_EVENT_OTHER, LIBVIRT_DOMAIN_STOPPED, LIBVIRT_DOMAIN_STOPPED },
		{ QMP_EVENT_STOP, LIBVIRT_DOMAIN_RUNNING, LIBVIRT_DOMAIN_PAUSED },
		{ QMP_EVENT_STOP, LIBVIRT_DOMAIN_PAUSED, LIBVIRT_DOMAIN_PAUSED },
		{ QMP_EVENT_STOP, LIBVIRT_DOMAIN_INCOMING, LIBVIRT_DOMAIN_INCOMING },
		{ QMP_EVENT_STOP, LIBVIRT_DOMAIN_STOPPED, LIBVIRT_DOMAIN_STOPPED },
		{ QMP_EVENT_RESUME, LIBVIRT_DOMAIN_RUNNING, LIBVIRT_DOMAIN_RUNNING },
		{ QMP_EVENT_RESUME, LIBVIRT_DOMAIN_PAUSED, LIBVIRT_DOMAIN_RUNNING },
		{ QMP_EVENT_RESUME, LIBVIRT_DOMAIN_INCOMING, LIBVIRT_DOMAIN_RUNNING },
		{ QMP_EVENT_RESUME, LIBVIRT_DOMAIN_STOPPED, LIBVIRT_DOMAIN_STOPPED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct libvirt_view_entry entry = { 0 };

		say(&entry, cases[i].said, QMP_MIGRATION_NONE);
		say(&entry, QMP_EVENT_MIGRATION,
		    QMP_MIGRATION_ACTIVE); /* says nothing about running */
		CU_ASSERT_EQUAL(libvirt_view_correct(&entry, cases[i].answered), cases[i].wanted);
	}
}

/* libvirt was asked while the job ran, and its answer comes after QEMU said that it has ended. */
static void believes_qemu_about_leaving(void)
{
	struct libvirt_view_entry entry = { 0 };

	CU_ASSERT_TRUE(libvirt_view_is_leaving(&entry, true));
	CU_ASSERT_FALSE(libvirt_view_is_leaving(&entry, false));
	say(&entry, QMP_EVENT_MIGRATION, QMP_MIGRATION_ACTIVE);
	CU_ASSERT_TRUE(libvirt_view_is_leaving(&entry, true));
	say(&entry, QMP_EVENT_MIGRATION, QMP_MIGRATION_CANCELLED);
	say(&entry, QMP_EVENT_RESUME, QMP_MIGRATION_NONE);
	CU_ASSERT_FALSE(libvirt_view_is_leaving(&entry, true));
	say(&entry, QMP_EVENT_MIGRATION, QMP_MIGRATION_SETUP);
	CU_ASSERT_TRUE(libvirt_view_is_leaving(&entry, true));
	say(&entry, QMP_EVENT_MIGRATION, QMP_MIGRATION_FAILED);
	CU_ASSERT_FALSE(libvirt_view_is_leaving(&entry, true));
}

UNIT_MAIN("watch_libvirt_shared", UNIT_TEST(keeps_the_order_of_all_kinds),
	  UNIT_TEST(wakes_for_each_first_item), UNIT_TEST(overflows_into_a_resync),
	  UNIT_TEST(an_overflow_keeps_who_is_connected), UNIT_TEST(tells_a_reason_once),
	  UNIT_TEST(queues_nothing_once_it_ends), UNIT_TEST(lives_until_the_last_reference),
	  UNIT_TEST(serves_the_longest_waiting_first), UNIT_TEST(takes_wishes_for_rings_in_order),
	  UNIT_TEST(gives_each_life_a_number),
	  UNIT_TEST(refuses_too_many), UNIT_TEST(believes_qemu_about_running),
	  UNIT_TEST(believes_qemu_about_leaving))
