/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring of what left a device: which frames get in, which are the newest, and what happens
 * when it is full.
 */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "common/clock.h"
#include "nveagent/raw_port.h"
#include "nveagent/tail.h"
#include "tests/netns/netns.h"

enum { SMALL = 64, LARGE = 1400 };

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac other = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

struct scene {
	uint32_t ifindex;
	struct raw_port *port;
	struct tail *tail;
};

static struct scene begin(void)
{
	struct scene scene = { 0 };

	CU_ASSERT_TRUE_FATAL(run(
		"ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up"));
	scene.ifindex = if_nametoindex("a0");
	CU_ASSERT_EQUAL_FATAL(raw_port_open(scene.ifindex, false, &scene.port), 0);
	CU_ASSERT_EQUAL_FATAL(tail_open(scene.ifindex, vm, &scene.tail), 0);
	return scene;
}

static void end(struct scene *scene)
{
	scene->tail = tail_free(scene->tail);
	scene->port = raw_port_free(scene->port);
}

/* Sends a frame to @mac that carries @number. */
static void send_numbered(struct scene *scene, struct mac mac, uint32_t number, size_t size)
{
	uint8_t frame[LARGE] = { 0 };

	memcpy(frame, mac.octet, MAC_SIZE);
	memcpy(frame + MAC_SIZE, other.octet, MAC_SIZE);
	frame[12] = 0x88, frame[13] = 0xb5; /* IEEE 802 local experimental 1 */
	memcpy(frame + 14, &number, sizeof(number));
	CU_ASSERT_EQUAL_FATAL(raw_port_send(scene->port, NULL, frame, size), 0);
}

static uint32_t number_of(const struct tail_frame *frame)
{
	uint32_t number;

	memcpy(&number, frame->data + 14, sizeof(number));
	return number;
}

static void expect(const struct scene *scene, size_t age, uint32_t number, size_t size)
{
	struct tail_frame frame = { 0 };

	CU_ASSERT_TRUE_FATAL(tail_get(scene->tail, age, &frame));
	CU_ASSERT_EQUAL(number_of(&frame), number);
	CU_ASSERT_EQUAL(frame.size, size);
	CU_ASSERT_EQUAL(memcmp(frame.data, vm.octet, MAC_SIZE), 0);
	CU_ASSERT_EQUAL(frame.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

struct settling {
	struct tail *tail;
	uint64_t since_us;
	int result;
};

static bool is_over(void *userdata)
{
	struct settling *settling = userdata;

	settling->result = tail_settle(settling->tail, settling->since_us);
	return settling->result != -ETIMEDOUT;
}

/*
 * As tail_settle(), for longer: on a machine where other tests keep all CPUs busy the kernel's
 * timer, or this process, may come too late once.
 */
static int settle(const struct scene *scene, uint64_t since_us)
{
	struct settling settling = { scene->tail, since_us, 0 };

	(void) eventually(is_over, &settling);
	return settling.result;
}

static void keeps_what_went_to_the_mac(void)
{
	struct scene scene = begin();
	struct tail_frame frame;

	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	CU_ASSERT_FALSE(tail_get(scene.tail, 0, &frame));

	for (uint32_t i = 0; i < 10; i++) {
		send_numbered(&scene, vm, i, i % 2 ? SMALL : LARGE);
		send_numbered(&scene, other, 1000 + i, SMALL);
		send_numbered(&scene, mac_broadcast, 2000 + i, SMALL);
	}
	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	for (uint32_t i = 0; i < 10; i++)
		expect(&scene, 9 - i, i, i % 2 ? SMALL : LARGE);
	CU_ASSERT_FALSE(tail_get(scene.tail, 10, &frame));
	end(&scene);
}

/* The newest to @mac. */
static const struct tail_frame *find_frame(const struct tail_frames *frames, struct mac mac)
{
	const struct tail_frame *found = NULL;

	for (size_t i = 0; i < frames->count; i++)
		if (memcmp(frames->frames[i].data, mac.octet, MAC_SIZE) == 0)
			found = &frames->frames[i];
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	return found;
}

static void keeps_all_once_it_is_widened(void)
{
	struct scene scene = begin();
	struct tail_frames frames = { 0 };
	uint64_t before_us = clock_realtime_us();

	send_numbered(&scene, other, 1, SMALL);
	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	CU_ASSERT_EQUAL(tail_list(scene.tail, &frames), 0);
	CU_ASSERT_EQUAL(frames.since_us, 0);
	tail_frames_clear(&frames);
	CU_ASSERT_EQUAL(tail_widen(scene.tail), 0);
	CU_ASSERT_EQUAL(tail_widen(scene.tail), 0);
	send_numbered(&scene, other, 2, SMALL);
	send_numbered(&scene, vm, 3, SMALL);
	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	CU_ASSERT_EQUAL(tail_list(scene.tail, &frames), 0);
	CU_ASSERT_TRUE_FATAL(frames.count >= 2); /* and perhaps some multicast of the host's own */
	CU_ASSERT_EQUAL(number_of(find_frame(&frames, other)), 2);
	CU_ASSERT_EQUAL(number_of(find_frame(&frames, vm)), 3);
	CU_ASSERT_TRUE(frames.since_us >= before_us && frames.since_us <= frames.frames[0].at_us);
	tail_frames_clear(&frames);
	end(&scene);
}

/*
 * What is complete begins with the oldest that is listed: more than can be listed, or trimmed away.
 */
static void says_since_when_it_is_complete(void)
{
	struct scene scene = begin();
	struct tail_frames frames = { 0 };

	CU_ASSERT_EQUAL(tail_widen(scene.tail), 0);
	for (uint32_t i = 0; i < TAIL_FRAMES_MAX + 100; i++)
		send_numbered(&scene, vm, i, SMALL);
	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	CU_ASSERT_EQUAL(tail_list(scene.tail, &frames), 0);
	CU_ASSERT_EQUAL_FATAL(frames.count, TAIL_FRAMES_MAX);
	CU_ASSERT_EQUAL(number_of(find_frame(&frames, vm)), TAIL_FRAMES_MAX + 99);
	CU_ASSERT_EQUAL(frames.since_us, frames.frames[0].at_us);
	tail_frames_clear(&frames);
	end(&scene);
}

static void what_comes_in_is_not_kept(void)
{
	struct scene scene = begin();
	struct scene from_outside = scene;
	struct tail_frame frame;

	CU_ASSERT_EQUAL_FATAL(raw_port_open(if_nametoindex("a1"), false, &from_outside.port), 0);
	send_numbered(&from_outside, vm, 1, SMALL);
	raw_port_free(from_outside.port);
	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	CU_ASSERT_FALSE(tail_get(scene.tail, 0, &frame));
	end(&scene);
}

/* Many times the ring, trimmed as the agent does: the newest frames are always there. */
static void trimming_keeps_the_newest(void)
{
	enum {
		FRAMES = 4 * TAIL_BLOCKS * TAIL_BLOCK_SIZE / LARGE,
		BETWEEN_TRIMS = 2 * TAIL_BLOCK_SIZE / LARGE
	};
	struct scene scene = begin();

	for (uint32_t i = 0; i < FRAMES; i++) {
		send_numbered(&scene, vm, i, LARGE);
		if (i % BETWEEN_TRIMS == 0)
			tail_trim(scene.tail);
	}
	CU_ASSERT_EQUAL(settle(&scene, 0), 0);
	for (uint32_t age = 0; age < 16; age++)
		expect(&scene, age, FRAMES - 1 - age, LARGE);
	end(&scene);
}

static size_t count_seen(const struct scene *scene)
{
	struct tail_frame frame;
	size_t count = 0;

	while (tail_get(scene->tail, count, &frame))
		count++;
	return count;
}

/* And shows what it has: the frames before it was full. */
static void a_full_ring_says_so(void)
{
	enum { FRAMES = 2 * TAIL_BLOCKS * TAIL_BLOCK_SIZE / LARGE };
	struct scene scene = begin();

	for (uint32_t i = 0; i < FRAMES; i++)
		send_numbered(&scene, vm, i, LARGE);
	CU_ASSERT_EQUAL(settle(&scene, 0), -ENOBUFS);
	expect(&scene, count_seen(&scene) - 1, 0, LARGE);
	end(&scene);
}

/* Once there is room again, what came since is all there. */
static void a_ring_that_was_full_recovers(void)
{
	enum { FRAMES = 2 * TAIL_BLOCKS * TAIL_BLOCK_SIZE / LARGE, LATER = 100 };
	struct scene scene = begin();
	uint64_t trimmed_us;

	for (uint32_t i = 0; i < FRAMES; i++)
		send_numbered(&scene, vm, i, LARGE);
	tail_trim(scene.tail);
	trimmed_us = clock_realtime_us();
	for (uint32_t i = 0; i < LATER; i++)
		send_numbered(&scene, vm, FRAMES + i, SMALL);
	CU_ASSERT_EQUAL(settle(&scene, trimmed_us), 0);
	for (uint32_t age = 0; age < LATER; age++)
		expect(&scene, age, FRAMES + LATER - 1 - age, SMALL);
	CU_ASSERT_EQUAL(settle(&scene, trimmed_us - 1000000), -ENOBUFS);
	end(&scene);
}

static void refuses_a_device_that_is_not_there(void)
{
	struct tail *tail = NULL;

	CU_ASSERT_EQUAL(tail_open(9999, vm, &tail), -ENODEV);
	CU_ASSERT_PTR_NULL(tail);
	CU_ASSERT_PTR_NULL(tail_free(NULL));
}

static const struct netns_need needs[] = {
	{ "veth", "ip link add a0 type veth peer name a1" },
};

NETNS_MAIN("tail", needs,
	UNIT_TEST(keeps_what_went_to_the_mac),
	UNIT_TEST(keeps_all_once_it_is_widened),
	UNIT_TEST(says_since_when_it_is_complete),
	UNIT_TEST(what_comes_in_is_not_kept),
	UNIT_TEST(trimming_keeps_the_newest),
	UNIT_TEST(a_full_ring_says_so),
	   UNIT_TEST(a_ring_that_was_full_recovers),
	UNIT_TEST(refuses_a_device_that_is_not_there))
