/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which frames QEMU took from its tap and threw away. The test holds the tap as QEMU does: it reads
 * some frames before the STOP and some after, leaves the rest in the tap's ring, and drains that as
 * inflight.c does.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "nveagent/raw_port.h"
#include "nveagent/swallowed.h"
#include "tests/netns/netns.h"

enum {
	FRAME_SIZE = 200,
	LARGE = 1400,
	EXPERIMENTAL = 0x88b5, /* IEEE 802 local experimental 1 */
	FRAMES = 10,
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac sender = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };
static const struct virtio_net_hdr no_vnet;

struct scene {
	int tap;
	struct raw_port *port;
	struct tail *tail;
	struct parked parked;
};

static struct scene begin(void)
{
	struct scene scene = { .tap = tap_open("tap0", NULL) };

	CU_ASSERT_EQUAL_FATAL(raw_port_open(ifindex_of("tap0"), false, &scene.port), 0);
	CU_ASSERT_EQUAL_FATAL(tail_open(ifindex_of("tap0"), vm, &scene.tail), 0);
	return scene;
}

static void end(struct scene *scene)
{
	scene->port = raw_port_free(scene->port);
	scene->tail = tail_free(scene->tail);
	parked_clear(&scene->parked);
	close(scene->tap);
}

/* Sends frames @first to @last, no two of them within one microsecond. */
static void send_frames(struct scene *scene, uint32_t first, uint32_t last)
{
	uint8_t frame[FRAME_SIZE];

	for (uint32_t number = first; number <= last; number++) {
		uint64_t now = clock_realtime_us();

		numbered_frame(vm, sender, EXPERIMENTAL, number, FRAME_SIZE, frame);
		CU_ASSERT_EQUAL_FATAL(raw_port_send(scene->port, NULL, frame, FRAME_SIZE), 0);
		while (clock_realtime_us() < now + 100)
			;
	}
}

/* The next frame for the VM in the ring; what the host itself says on the tap is passed over. */
static bool next_frame(struct scene *scene, uint8_t frame[static FRAME_SIZE])
{
	size_t size;

	while ((size = tap_read(scene->tap, frame, FRAME_SIZE)) > 0)
		if (size == FRAME_SIZE && memcmp(frame, vm.octet, MAC_SIZE) == 0)
			return true;
	return false;
}

/* QEMU takes the frames @first to @last. */
static void take_frames(struct scene *scene, uint32_t first, uint32_t last)
{
	uint8_t frame[FRAME_SIZE];

	for (uint32_t number = first; number <= last; number++) {
		CU_ASSERT_TRUE_FATAL(next_frame(scene, frame));
		CU_ASSERT_EQUAL(frame_number(frame), number);
	}
}

/* Tried for longer than the agent would: a busy machine's timers may come late. */
static bool is_settled(void *userdata)
{
	return tail_settle(userdata, 0) == 0;
}

static void drain(struct scene *scene)
{
	uint8_t frame[FRAME_SIZE];

	while (next_frame(scene, frame))
		CU_ASSERT_EQUAL_FATAL(
			parked_add(&scene->parked, &no_vnet, frame, FRAME_SIZE, false), 0);
	CU_ASSERT_TRUE(eventually(is_settled, scene->tail));
}

/* When the newest frame of that number left by the tap. */
static uint64_t time_of(const struct scene *scene, uint32_t number)
{
	struct tail_frame frame = { 0 };

	for (size_t age = 0; tail_get(scene->tail, age, &frame); age++)
		if (frame_number(frame.data) == number)
			return frame.at_us;
	CU_FAIL_FATAL("not in the tail");
	return 0;
}

/* Frames 0 to FRAMES - 1 leave; QEMU takes the first @taken, the others stay in the ring. */
static struct scene scene_with(uint32_t taken)
{
	struct scene scene = begin();

	send_frames(&scene, 0, FRAMES - 1);
	if (taken > 0)
		take_frames(&scene, 0, taken - 1);
	drain(&scene);
	CU_ASSERT_EQUAL(scene.parked.count, FRAMES - taken);
	return scene;
}

/*
 * Expects frames @first to FRAMES - 1 but those in [@from, @to); only @in_qemu (-1: none) is said
 * to be in QEMU.
 */
static void expect_all_but(const struct scene *scene, uint32_t first, uint32_t from, uint32_t to,
			   int in_qemu)
{
	struct parked_frame frame = { 0 };
	size_t at = 0, count = 0;

	for (uint32_t number = first; number < FRAMES; number++) {
		if (number >= from && number < to)
			continue;
		CU_ASSERT_TRUE_FATAL(parked_next(&scene->parked, &at, &frame));
		CU_ASSERT_EQUAL(frame.size, FRAME_SIZE);
		CU_ASSERT_EQUAL(frame_number(frame.data), number);
		CU_ASSERT_EQUAL(frame.in_qemu, (int) number == in_qemu);
		count++;
	}
	CU_ASSERT_FALSE(parked_next(&scene->parked, &at, &frame));
	CU_ASSERT_EQUAL(scene->parked.count, count);
}

static void recover_case(struct scene *scene, const struct swallowed_case *what, uint64_t certain,
			 uint64_t doubtful)
{
	struct swallowed_counters counters = { 99, 99, true };

	CU_ASSERT_EQUAL(swallowed_recover(scene->tail, what, &scene->parked, &counters), 0);
	CU_ASSERT_EQUAL(counters.certain, certain);
	CU_ASSERT_EQUAL(counters.doubtful, doubtful);
}

static void recover_when(struct scene *scene, uint64_t stopped_us, uint64_t until_us, size_t queues,
			 bool late, uint64_t certain, uint64_t doubtful)
{
	const struct swallowed_case what = {
		.mac = vm,
		.stopped_us = stopped_us,
		.until_us = until_us,
		.queues = queues,
		.late = late,
	};

	recover_case(scene, &what, certain, doubtful);
}

static void recover(struct scene *scene, uint64_t stopped_us, uint64_t until_us, size_t queues,
		    uint64_t certain, uint64_t doubtful)
{
	recover_when(scene, stopped_us, until_us, queues, false, certain, doubtful);
}

/* Read before STOP: 0 to 3. Read after it: 4 and 5. In the ring: 6 to 9. */
static void recovers_what_was_read_after_stop(void)
{
	struct scene scene = begin();
	uint64_t stopped_us;

	send_frames(&scene, 0, 3);
	take_frames(&scene, 0, 3);
	stopped_us = clock_realtime_us();
	send_frames(&scene, 4, 5);
	take_frames(&scene, 4, 5);
	send_frames(&scene, 6, FRAMES - 1);
	drain(&scene);
	CU_ASSERT_EQUAL(scene.parked.count, 4);

	recover(&scene, stopped_us, UINT64_MAX, 1, 2, 1);
	expect_all_but(&scene, 3, 0, 0, 5);
	end(&scene);
}

/* The VM was idle after STOP: the last frame before it is all there is to doubt. */
static void doubts_the_last_frame_before_stop(void)
{
	struct scene scene = scene_with(FRAMES);

	recover(&scene, time_of(&scene, FRAMES - 1), UINT64_MAX, 1, 0, 1);
	expect_all_but(&scene, FRAMES - 1, 0, 0, -1);
	end(&scene);
}

/* All that left before STOP and is missing stood in one queue or another: one doubt for each. */
static void doubts_one_frame_for_each_queue(void)
{
	for (uint32_t queues = 1; queues <= 4; queues++) {
		struct scene scene = scene_with(6);

		recover(&scene, time_of(&scene, 3), UINT64_MAX, queues, 2, queues);
		expect_all_but(&scene, 4 - queues, 0, 0, 5);
		end(&scene);
	}
}

/*
 * QEMU was reading again before the ring was read: what it took then may have come before STOP, or
 * after it.
 */
static void doubts_one_more_when_late(void)
{
	struct scene scene = scene_with(FRAMES);

	recover_when(&scene, time_of(&scene, FRAMES - 1), UINT64_MAX, 1, true, 0, 2);
	expect_all_but(&scene, FRAMES - 2, 0, 0, -1);
	end(&scene);

	scene = scene_with(6);
	recover_when(&scene, time_of(&scene, 4), UINT64_MAX, 1, true, 1, 1);
	expect_all_but(&scene, 4, 0, 0, 5);
	end(&scene);
}

/*
 * The guest was behind: all came before STOP. QEMU read 0 to 3, the last of which found the guest's
 * ring full; we read 4 and 5, QEMU went on and read 6, and we read the rest.
 */
static void puts_what_was_read_amid_the_queue_in_its_place(void)
{
	struct scene scene = begin();
	uint8_t frame[FRAME_SIZE];

	send_frames(&scene, 0, FRAMES - 1);
	take_frames(&scene, 0, 3);
	for (uint32_t number = 4; number <= 5; number++) {
		CU_ASSERT_TRUE_FATAL(next_frame(&scene, frame));
		CU_ASSERT_EQUAL_FATAL(parked_add(&scene.parked, &no_vnet, frame, FRAME_SIZE, false),
				      0);
	}
	take_frames(&scene, 6, 6);
	drain(&scene);

	recover_when(&scene, time_of(&scene, FRAMES - 1), UINT64_MAX, 1, true, 1, 1);
	expect_all_but(&scene, 3, 0, 0, 6);
	end(&scene);
}

/* What QEMU read after the queue had been emptied stands before what came still later. */
static void puts_what_was_read_amid_two_drains_in_its_place(void)
{
	struct scene scene = begin();
	uint64_t stopped_us;

	send_frames(&scene, 0, 3);
	take_frames(&scene, 0, 1);
	stopped_us = clock_realtime_us();
	drain(&scene);
	send_frames(&scene, 4, 4);
	take_frames(&scene, 4, 4);
	send_frames(&scene, 5, FRAMES - 1);
	drain(&scene);

	recover(&scene, stopped_us, UINT64_MAX, 1, 1, 1);
	expect_all_but(&scene, 1, 0, 0, 4);
	end(&scene);
}

static void doubts_nothing_older_than_its_limit(void)
{
	struct scene young = scene_with(FRAMES), old;
	uint64_t edge = time_of(&young, FRAMES - 1) + SWALLOWED_DOUBT_US;

	recover(&young, edge, UINT64_MAX, 1, 0, 1);
	expect_all_but(&young, FRAMES - 1, 0, 0, -1);
	end(&young);

	old = scene_with(FRAMES);
	edge = time_of(&old, FRAMES - 1) + SWALLOWED_DOUBT_US;
	recover(&old, edge + 1, UINT64_MAX, 4, 0, 0);
	expect_all_but(&old, FRAMES, 0, 0, -1);
	end(&old);
}

/* With room for more doubt, age alone ends it. */
static void the_limit_cuts_between_two_frames(void)
{
	struct scene scene = scene_with(FRAMES);

	recover(&scene, time_of(&scene, FRAMES - 3) + SWALLOWED_DOUBT_US, UINT64_MAX, 4, 0, 3);
	expect_all_but(&scene, FRAMES - 3, 0, 0, -1);
	end(&scene);
}

/*
 * The queue's oldest frame has waited for longer than the limit: the one before it may have been
 * read just then.
 */
static void a_long_queue_moves_the_limit(void)
{
	struct scene scene = scene_with(4);

	recover(&scene, time_of(&scene, FRAMES - 1) + 2 * SWALLOWED_DOUBT_US, UINT64_MAX, 1, 0, 1);
	expect_all_but(&scene, 3, 0, 0, -1);
	end(&scene);
}

/* The number of the next frame for the VM in the ring, which is a large one. */
static uint32_t next_large(struct scene *scene, uint8_t frame[static LARGE])
{
	size_t size;

	do
		size = tap_read(scene->tap, frame, LARGE);
	while (size > 0 && memcmp(frame, vm.octet, MAC_SIZE) != 0);
	CU_ASSERT_EQUAL_FATAL(size, LARGE);
	return frame_number(frame);
}

static bool is_full(void *userdata)
{
	return tail_settle(userdata, 0) == -ENOBUFS;
}

/*
 * A burst that the guest did not keep up with fills the tail, and QEMU reads one more after STOP:
 * that one is older than all that found no room.
 */
static void a_full_tail_still_tells(void)
{
	enum {
		BURST = 5 * TAIL_BLOCKS * (TAIL_BLOCK_SIZE / LARGE) / 4,
		TAKEN = BURST / 2,
	};
	struct scene scene = begin();
	struct parked_frame frame = { 0 };
	struct swallowed_case what = {
		.mac = vm,
		.until_us = UINT64_MAX,
		.queues = 1,
		.late = true,
		.gaps = true,
	};
	uint8_t data[LARGE];
	size_t at = 0;

	CU_ASSERT_TRUE_FATAL(run("ip link set tap0 txqueuelen 20000"));
	for (uint32_t number = 0; number < BURST; number++) {
		numbered_frame(vm, sender, EXPERIMENTAL, number, LARGE, data);
		CU_ASSERT_EQUAL_FATAL(raw_port_send(scene.port, NULL, data, LARGE), 0);
	}
	for (uint32_t number = 0; number < BURST; number++) {
		CU_ASSERT_EQUAL_FATAL(next_large(&scene, data), number);
		if (number >= TAKEN)
			CU_ASSERT_EQUAL_FATAL(
				parked_add(&scene.parked, &no_vnet, data, LARGE, false), 0);
	}
	CU_ASSERT_TRUE(eventually(is_full, scene.tail));

	what.stopped_us = clock_realtime_us();
	recover_case(&scene, &what, 0, 2);
	for (uint32_t number = TAKEN - 2; number < BURST; number++) {
		CU_ASSERT_TRUE_FATAL(parked_next(&scene.parked, &at, &frame));
		CU_ASSERT_EQUAL(frame_number(frame.data), number);
		CU_ASSERT_FALSE(frame.in_qemu);
	}
	CU_ASSERT_FALSE(parked_next(&scene.parked, &at, &frame));
	end(&scene);
}

/* All that is left of it in the tail was in the queue, and so is more. */
static void a_tail_that_is_too_short_says_so(void)
{
	struct scene scene = begin();
	struct swallowed_counters counters = { 0 };
	const struct swallowed_case what = {
		.mac = vm,
		.stopped_us = clock_realtime_us(),
		.until_us = UINT64_MAX,
		.queues = 1,
	};
	uint8_t frame[FRAME_SIZE];

	numbered_frame(vm, sender, EXPERIMENTAL, 1, FRAME_SIZE, frame);
	CU_ASSERT_EQUAL_FATAL(parked_add(&scene.parked, &no_vnet, frame, FRAME_SIZE, false), 0);
	send_frames(&scene, 2, 3);
	drain(&scene);
	CU_ASSERT_EQUAL(swallowed_recover(scene.tail, &what, &scene.parked, &counters), 0);
	CU_ASSERT_TRUE(counters.beyond);
	CU_ASSERT_EQUAL(counters.certain + counters.doubtful, 0);
	end(&scene);
}

static void nothing_was_swallowed(void)
{
	struct scene scene = scene_with(0);

	recover(&scene, time_of(&scene, 5), UINT64_MAX, 1, 0, 0);
	expect_all_but(&scene, 0, 0, 0, -1);
	end(&scene);
}

/*
 * The guest may run again and its queue is QEMU's: what left from until_us on is missing from what
 * was drained, but not swallowed.
 */
static void what_left_later_does_not_count(void)
{
	struct scene scene = scene_with(0);
	uint64_t until_us = time_of(&scene, 7);

	/* Swallowed: 3 and 4. Drained: 5 and 6. Not looked at: 7 to 9. */
	parked_clear(&scene.parked);
	for (uint32_t number = 5; number <= 6; number++) {
		uint8_t frame[FRAME_SIZE];

		numbered_frame(vm, sender, EXPERIMENTAL, number, FRAME_SIZE, frame);
		CU_ASSERT_EQUAL_FATAL(parked_add(&scene.parked, &no_vnet, frame, FRAME_SIZE, false),
				      0);
	}
	recover(&scene, time_of(&scene, 2), until_us, 1, 2, 1);
	expect_all_but(&scene, 2, 7, FRAMES, 4);
	end(&scene);
}

/* A frame sent twice, byte for byte: QEMU took the first, and the ring has the second. */
static void each_frame_in_the_ring_is_found_once(void)
{
	struct scene scene = begin();
	uint64_t stopped_us = clock_realtime_us();
	struct parked_frame frame = { 0 };
	size_t at = 0;

	send_frames(&scene, 1, 1);
	send_frames(&scene, 1, 2);
	take_frames(&scene, 1, 1);
	drain(&scene);
	recover(&scene, stopped_us - 1, UINT64_MAX, 1, 1, 0);
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_TRUE_FATAL(parked_next(&scene.parked, &at, &frame));
		CU_ASSERT_EQUAL(frame_number(frame.data), i == 0 ? 1 : i);
		CU_ASSERT_EQUAL(frame.in_qemu, i == 0);
	}
	CU_ASSERT_FALSE(parked_next(&scene.parked, &at, &frame));
	end(&scene);
}

/*
 * The newest frame, which QEMU took after STOP, is like an older one in the ring, byte for byte: what
 * lies between the two is still found there.
 */
static void a_likeness_hides_nothing_in_between(void)
{
	struct scene scene = begin();
	uint64_t stopped_us = clock_realtime_us();
	struct parked_frame frame = { 0 };
	uint8_t data[FRAME_SIZE];
	size_t at = 0;

	send_frames(&scene, 1, 3);
	send_frames(&scene, 1, 1);
	take_frames(&scene, 1, 3);
	take_frames(&scene, 1, 1);
	for (uint32_t number = 1; number <= 3; number++) {
		numbered_frame(vm, sender, EXPERIMENTAL, number, FRAME_SIZE, data);
		CU_ASSERT_EQUAL_FATAL(parked_add(&scene.parked, &no_vnet, data, FRAME_SIZE, false),
				      0);
	}
	CU_ASSERT_TRUE(eventually(is_settled, scene.tail));
	recover(&scene, stopped_us - 1, UINT64_MAX, 1, 1, 0);
	for (uint32_t i = 0; i < 4; i++) {
		CU_ASSERT_TRUE_FATAL(parked_next(&scene.parked, &at, &frame));
		CU_ASSERT_EQUAL(frame_number(frame.data), i == 0 ? 1 : i);
	}
	CU_ASSERT_FALSE(parked_next(&scene.parked, &at, &frame));
	end(&scene);
}

/* The guest was given frames 0 to @given; QEMU took 0 to 5, and 5 before it said STOP. */
static void know_that(uint32_t given, uint64_t certain, uint32_t first, int in_qemu)
{
	struct scene scene = scene_with(6);
	const struct swallowed_case what = {
		.mac = vm,
		.stopped_us = time_of(&scene, 5) + 1,
		.until_us = UINT64_MAX,
		.queues = 1,
		.late = true,
		.exact = true,
		.undelivered = FRAMES - 1 - given,
	};

	recover_case(&scene, &what, certain, 0);
	expect_all_but(&scene, first, 0, 0, in_qemu);
	end(&scene);
}

static void the_guests_ring_leaves_no_doubt(void)
{
	know_that(5, 0, 6, -1); /* all that QEMU took */
	know_that(4, 1, 5, -1); /* all but the last */
	know_that(3, 2, 4, 5);	/* of two the newer one is the one read last */
}

/* The guest was given 0 to 4, goes on, and is given @number first; frame 5 is missing. */
static void go_on_with(uint32_t number, int in_qemu)
{
	enum { HEADER = 12 };
	struct scene scene = scene_with(6);
	struct delivered_witness first = { .length = HEADER + FRAME_SIZE,
					   .size = sizeof(first.bytes) };
	uint8_t frame[FRAME_SIZE];
	const struct swallowed_case what = {
		.mac = vm,
		.stopped_us = time_of(&scene, 5) + 1,
		.until_us = UINT64_MAX,
		.queues = 1,
		.late = true,
		.exact = true,
		.undelivered = FRAMES - 5,
		.first_since = &first,
	};

	static_assert(sizeof(first.bytes) >= HEADER + FRAME_SIZE, "all of it is compared");
	numbered_frame(vm, sender, EXPERIMENTAL, number, FRAME_SIZE, frame);
	memset(first.bytes, 0, sizeof(first.bytes));
	memcpy(first.bytes + HEADER, frame, FRAME_SIZE);
	recover_case(&scene, &what, 1, 0);
	expect_all_but(&scene, 5, 0, 0, in_qemu);
	end(&scene);
}

/* Purged by QEMU, or kept for the guest: only what the guest goes on with tells. */
static void what_the_guest_goes_on_with_was_kept(void)
{
	go_on_with(5, 5);
	go_on_with(6, -1);
}

/* A guest that is behind: what it was not given can be as old as that. */
static void the_guests_ring_knows_of_old_frames(void)
{
	struct scene scene = scene_with(FRAMES);
	const struct swallowed_case what = {
		.mac = vm,
		.stopped_us = clock_realtime_us() + 10 * SWALLOWED_DOUBT_US,
		.until_us = UINT64_MAX,
		.queues = 1,
		.exact = true,
		.undelivered = 2,
	};

	recover_case(&scene, &what, 2, 0);
	expect_all_but(&scene, 8, 0, 0, FRAMES - 1);
	end(&scene);
}

static void send_to(struct scene *scene, struct mac to, struct mac from, uint32_t number)
{
	uint8_t frame[FRAME_SIZE];

	numbered_frame(to, from, EXPERIMENTAL, number, FRAME_SIZE, frame);
	CU_ASSERT_EQUAL_FATAL(raw_port_send(scene->port, NULL, frame, FRAME_SIZE), 0);
}

/* The number of the next parked frame of ours: the host says things on the tap, too. 0: none. */
static uint32_t next_parked(const struct scene *scene, size_t *at)
{
	struct parked_frame frame = { 0 };

	while (parked_next(&scene->parked, at, &frame))
		if (frame.size == FRAME_SIZE &&
		    memcmp(frame.data + MAC_SIZE, sender.octet, MAC_SIZE) == 0)
			return frame_number(frame.data);
	return 0;
}

/*
 * Of what is for others only broadcast and multicast is given back, and nothing the VM sent itself.
 */
static void the_guests_ring_counts_frames_for_others(void)
{
	static const struct mac multicast = { { 1, 0, 0x5e, 0, 0, 1 } };
	struct scene scene = begin();
	const struct swallowed_case what = { .mac = vm,
					     .queues = 1,
					     .until_us = UINT64_MAX,
					     .exact = true,
					     .undelivered = SIZE_MAX };
	struct swallowed_counters counters = { 0 };
	size_t at = 0;

	CU_ASSERT_EQUAL_FATAL(tail_widen(scene.tail), 0);
	send_to(&scene, vm, sender, 1);
	send_to(&scene, multicast, sender, 2);
	send_to(&scene, sender, vm, 3);
	send_to(&scene, multicast, vm, 4);
	send_to(&scene, sender, sender, 5);
	send_to(&scene, vm, sender, 6);
	CU_ASSERT_TRUE(eventually(is_settled, scene.tail));
	CU_ASSERT_EQUAL(swallowed_recover(scene.tail, &what, &scene.parked, &counters), 0);
	CU_ASSERT_EQUAL(counters.doubtful, 0);
	CU_ASSERT_EQUAL(next_parked(&scene, &at), 1);
	CU_ASSERT_EQUAL(next_parked(&scene, &at), 2);
	CU_ASSERT_EQUAL(next_parked(&scene, &at), 6);
	CU_ASSERT_EQUAL(next_parked(&scene, &at), 0);
	end(&scene);
}

static void a_full_list_stays_as_it_is(void)
{
	_cleanup_free_ uint8_t *big = calloc(1, PARKED_BYTES_MAX);
	struct scene scene = scene_with(FRAMES);
	const struct swallowed_case what = {
		.mac = vm,
		.stopped_us = time_of(&scene, 0),
		.until_us = UINT64_MAX,
		.queues = 1,
	};
	struct swallowed_counters counters = { 98, 99 };
	struct parked before;

	CU_ASSERT_PTR_NOT_NULL_FATAL(big);
	CU_ASSERT_EQUAL_FATAL(
		parked_add(&scene.parked, &no_vnet, big, PARKED_BYTES_MAX - FRAME_SIZE, false), 0);
	before = scene.parked;
	CU_ASSERT_EQUAL(swallowed_recover(scene.tail, &what, &scene.parked, &counters), -ENOSPC);
	CU_ASSERT_EQUAL(memcmp(&before, &scene.parked, sizeof(before)), 0);
	CU_ASSERT_EQUAL(counters.certain, 98);
	CU_ASSERT_EQUAL(counters.doubtful, 99);
	end(&scene);
}

static const struct netns_need needs[] = {
	{ "tun", "ip tuntap add tap0 mode tap" },
};

NETNS_MAIN("swallowed", needs, UNIT_TEST(recovers_what_was_read_after_stop),
	   UNIT_TEST(doubts_the_last_frame_before_stop), UNIT_TEST(doubts_one_frame_for_each_queue),
	   UNIT_TEST(doubts_one_more_when_late),
	   UNIT_TEST(puts_what_was_read_amid_the_queue_in_its_place),
	   UNIT_TEST(puts_what_was_read_amid_two_drains_in_its_place),
	   UNIT_TEST(doubts_nothing_older_than_its_limit),
	   UNIT_TEST(the_limit_cuts_between_two_frames), UNIT_TEST(a_long_queue_moves_the_limit),
	   UNIT_TEST(a_full_tail_still_tells), UNIT_TEST(a_tail_that_is_too_short_says_so),
	   UNIT_TEST(nothing_was_swallowed), UNIT_TEST(what_left_later_does_not_count),
	   UNIT_TEST(each_frame_in_the_ring_is_found_once),
	  UNIT_TEST(a_likeness_hides_nothing_in_between),
	   UNIT_TEST(the_guests_ring_leaves_no_doubt),
	   UNIT_TEST(what_the_guest_goes_on_with_was_kept),
	   UNIT_TEST(the_guests_ring_knows_of_old_frames),
	   UNIT_TEST(the_guests_ring_counts_frames_for_others),
	   UNIT_TEST(a_full_list_stays_as_it_is))
