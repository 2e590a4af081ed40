/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_neighbour.c - the ARP, RARP and ND of a port's endpoint is heard, nothing else, and no more
 * of it than can be borne.
 *
 * 	vm0 --veth-- vm0p \
 * 	                   br0 (the port under watch is vm0p)
 * 	vm1 --veth-- vm1p /
 *
 * That something is not heard is proved without waiting: a frame that must be heard follows it on
 * the same device, and a device keeps the order.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "net/frames.h"
#include "net/frames_wire.h"
#include "nveagent/neighbour.h"
#include "tests/unit/unit.h"
#include "watch_scene.h"

enum {
	CLAIMS_MAX = 16384,
	FLOOD_FRAMES = 5000,
	NOISE_FRAMES = 100,
	CHECKSUM_AT = ETH_HLEN + 40 + 2, /* of an ICMPv6 message */
};

struct claim {
	struct mac mac;
	struct ip ip;
};

struct scene {
	struct loop *loop;
	struct neighbour_watch *watch;
	int vm0, vm1; /* the guests' ends */
	struct claim claims[CLAIMS_MAX];
	size_t count, wanted;
	size_t kinds[FRAME_KIND_COUNT]; /* frames heard */
	unsigned floods;
	bool free_on_claim;
};

static const struct mac mac0 = { { 0x02, 0, 0, 0, 0, 0x10 } };
static const struct mac mac1 = { { 0x02, 0, 0, 0, 0, 0x11 } };

static struct ip ip(const char *text)
{
	struct ip value = { 0 };

	CU_ASSERT_EQUAL(ip_from_text(text, &value), 0);
	return value;
}

static void on_heard(void *userdata, const struct frame *frame)
{
	struct scene *scene = userdata;
	struct mac mac;
	struct ip address;

	scene->kinds[frame->kind]++;
	if (!frame_claims(frame, &mac, &address) || mac_cmp(mac, frame->source) != 0)
		return;
	if (scene->count < CLAIMS_MAX)
		scene->claims[scene->count++] = (struct claim){ mac, address };
	if (scene->free_on_claim)
		scene->watch = neighbour_watch_free(scene->watch);
}

static void on_flooded(void *userdata)
{
	((struct scene *) userdata)->floods++;
}

static const struct neighbour_events events = { .heard = on_heard, .flooded = on_flooded };

static bool enough(void *userdata)
{
	struct scene *scene = userdata;

	return scene->count >= scene->wanted;
}

static bool heard(struct scene *scene, size_t count)
{
	scene->wanted = count;
	return scene_loop_until(scene->loop, enough, scene, SCENE_TIMEOUT_MS);
}

static bool is_claim(const struct scene *scene, size_t i, struct mac mac, const char *address)
{
	return i < scene->count && mac_cmp(scene->claims[i].mac, mac) == 0 &&
	       ip_cmp(scene->claims[i].ip, ip(address)) == 0;
}

static void up(struct scene *scene)
{
	*scene = (struct scene){ .loop = loop_new(), .vm0 = -1, .vm1 = -1 };
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->loop);
	CU_ASSERT_FATAL(scene_run("ip link add br0 type bridge forward_delay 0 mcast_snooping 0 && "
				  "ip link set br0 up"));
	for (int i = 0; i < 2; i++)
		CU_ASSERT_FATAL(scene_run("ip link add vm%d type veth peer name vm%dp && ip link "
					  "set vm%dp master br0 && "
					  "ip link set vm%d up && ip link set vm%dp up",
					  i, i, i, i, i));
	CU_ASSERT_FATAL(scene_await_forwarding("vm0p") && scene_await_forwarding("vm1p"));
	scene->vm0 = scene_socket("vm0");
	scene->vm1 = scene_socket("vm1");
	CU_ASSERT_FATAL(scene->vm0 >= 0 && scene->vm1 >= 0);
	CU_ASSERT_EQUAL_FATAL(neighbour_watch_new(scene->loop, scene_ifindex("vm0p"), &events,
						  scene, &scene->watch),
			      0);
}

static void down(struct scene *scene)
{
	neighbour_watch_free(scene->watch);
	loop_free(scene->loop);
	close(scene->vm0);
	close(scene->vm1);
	(void) scene_run("ip link del br0; ip link del vm0 2>&-; ip link del vm1 2>&-; true");
}

static void say(int fd, const uint8_t *frame, size_t size)
{
	CU_ASSERT_NOT_EQUAL(size, 0);
	CU_ASSERT(scene_send(fd, frame, size));
}

/* Writes the ICMPv6 checksum of a frame whose checksum field is 0. */
static void finish_checksum(uint8_t *frame, size_t size)
{
	const struct ipv6_wire *header = (const struct ipv6_wire *) (frame + ETH_HLEN);

	be16_write(frame + CHECKSUM_AT,
		   icmpv6_checksum(header, frame + ETH_HLEN + 40, size - ETH_HLEN - 40));
}

/* What ends each "nothing was heard". */
static void say_last(int fd, struct mac mac, const char *address)
{
	uint8_t frame[FRAME_BUILD_SIZE];

	say(fd, frame, frame_build_garp(mac, ip(address), frame));
}

static void hears_each_kind(void)
{
	static const char *const wanted[] = { "198.51.100.10", "198.51.100.11",
					      "198.51.100.12", "2001:db8:100::10",
					      "fe80::10",      "2001:db8:100::11" };
	uint8_t f[FRAME_BUILD_SIZE];
	struct scene scene;

	up(&scene);
	say(scene.vm0, f, frame_build_arp_request(mac0, ip(wanted[0]), ip("198.51.100.1"), f));
	say(scene.vm0, f, frame_build_arp_reply(mac0, ip(wanted[1]), mac1, ip("198.51.100.1"), f));
	say(scene.vm0, f, frame_build_garp(mac0, ip(wanted[2]), f));
	say(scene.vm0, f, frame_build_ns(mac0, ip(wanted[3]), ip("2001:db8:100::1"), f));
	say(scene.vm0, f, frame_build_unsolicited_na(mac0, ip(wanted[4]), false, f));
	say(scene.vm0, f, frame_build_na(mac0, ip(wanted[5]), mac1, ip("2001:db8:100::1"), f));
	CU_ASSERT(heard(&scene, ARRAY_SIZE(wanted)));
	CU_ASSERT_EQUAL(scene.count, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		CU_ASSERT(is_claim(&scene, i, mac0, wanted[i]));
	down(&scene);
}

/* An 802.1Q tag (IEEE 802.1Q, TPID 0x8100, VLAN 5) behind the addresses. */
static size_t tag(uint8_t *frame, size_t size)
{
	static const uint8_t tag_bytes[4] = { 0x81, 0x00, 0x00, 0x05 };
	const size_t at = offsetof(struct ethhdr, h_proto);

	memmove(frame + at + sizeof(tag_bytes), frame + at, size - at);
	memcpy(frame + at, tag_bytes, sizeof(tag_bytes));
	return size + sizeof(tag_bytes);
}

static void hears_no_probe_no_forgery_no_other_network(void)
{
	uint8_t f[FRAME_BUILD_SIZE + 4];
	struct scene scene;
	size_t size;

	up(&scene);
	say(scene.vm0, f,
	    frame_build_arp_request(mac0, ip("0.0.0.0"), ip("198.51.100.10"), f)); /* ARP probe */
	say(scene.vm0, f,
	    frame_build_ns(mac0, (struct ip){ 0 }, ip("2001:db8:100::10"), f)); /* DAD */
	say(scene.vm0, f, frame_build_rarp_request(mac0, f));

	size = frame_build_garp(mac1, ip("198.51.100.11"), f); /* for another's MAC, from mac0 */
	memcpy(f + ETH_ALEN, mac0.octet, ETH_ALEN);
	say(scene.vm0, f, size);
	size = frame_build_unsolicited_na(mac1, ip("2001:db8:100::11"), false, f);
	memcpy(f + ETH_ALEN, mac0.octet, ETH_ALEN);
	say(scene.vm0, f, size);

	size = frame_build_garp(mac0, ip("198.51.100.10"), f);
	say(scene.vm0, f, tag(f, size));
	(void) frame_build_garp(mac0, ip("198.51.100.10"), f);
	say(scene.vm0, f, ETH_HLEN + 20); /* cut within the sender's address */
	size = frame_build_unsolicited_na(mac0, ip("2001:db8:100::10"), false, f);
	f[CHECKSUM_AT] ^= 0xff;
	say(scene.vm0, f, size);

	say_last(scene.vm0, mac0, "198.51.100.99");
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT_EQUAL(scene.count, 1);
	CU_ASSERT(is_claim(&scene, 0, mac0, "198.51.100.99"));
	CU_ASSERT_EQUAL(scene.kinds[FRAME_RARP_REQUEST], 1);
	down(&scene);
}

/* A router's RA is heard, other ICMPv6 is not: an RS, an Echo Request, an MLD report. */
static void hears_a_router(void)
{
	static const uint8_t others[] = { 133, 128, 131, 137 };
	uint8_t f[FRAME_BUILD_SIZE];
	struct scene scene;
	size_t size;

	up(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		size = frame_build_unsolicited_na(mac0, ip("fe80::10"), true, f);
		f[ETH_HLEN + 40] = others[i];
		say(scene.vm0, f, size);
	}
	/*
	 * RFC 4861 section 4.2: 16 bytes, then options; the NA's target stands where no option
	 * does.
	 */
	size = frame_build_unsolicited_na(mac0, ip("fe80::10"), true, f);
	f[ETH_HLEN + 40] = 134;
	memset(f + ETH_HLEN + 40 + 16, 0, 8);
	f[ETH_HLEN + 40 + 16] = 1; /* source link-layer address */
	f[ETH_HLEN + 40 + 17] = 1;
	memcpy(f + ETH_HLEN + 40 + 18, mac0.octet, ETH_ALEN);
	memset(f + CHECKSUM_AT, 0, 2);
	finish_checksum(f, size);
	say(scene.vm0, f, size);
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT(is_claim(&scene, 0, mac0, "fe80::10"));
	CU_ASSERT_EQUAL(scene.kinds[FRAME_RA], 1);
	CU_ASSERT_EQUAL(scene.kinds[FRAME_OTHER], 0);
	down(&scene);
}

/*
 * The host on the port itself, and another port through the bridge: both leave towards the
 * endpoint.
 */
static void hears_nothing_that_goes_to_the_endpoint(void)
{
	uint8_t f[FRAME_BUILD_SIZE], got[SCENE_FRAME_MAX];
	struct scene scene;
	int host;

	up(&scene);
	host = scene_socket("vm0p");
	CU_ASSERT_FATAL(host >= 0);
	say(host, f, frame_build_garp(mac1, ip("198.51.100.1"), f));
	say(host, f, frame_build_unsolicited_na(mac1, ip("2001:db8:100::1"), false, f));
	say(scene.vm1, f, frame_build_garp(mac1, ip("198.51.100.11"), f));
	say(scene.vm1, f, frame_build_unsolicited_na(mac1, ip("2001:db8:100::11"), false, f));
	for (int i = 0; i < 4; i++) /* they did go there */
		CU_ASSERT(scene_receive(scene.vm0, got, SCENE_TIMEOUT_MS) > 0);

	say_last(scene.vm0, mac0, "198.51.100.99");
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT_EQUAL(scene.count, 1);
	CU_ASSERT(is_claim(&scene, 0, mac0, "198.51.100.99"));
	close(host);
	down(&scene);
}

/*
 * As a guest with checksum offload sends: the checksum's place holds the pseudo-header's sum, or
 * anything.
 */
static void hears_an_unfinished_checksum(void)
{
	struct {
		struct virtio_net_hdr header;
		uint8_t frame[FRAME_BUILD_SIZE];
	} __attribute__((packed)) sent = {
		.header = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = ETH_HLEN + 40,
			.csum_offset = 2,
		},
	};
	struct scene scene;
	size_t size;
	int one = 1;

	up(&scene);
	size = frame_build_unsolicited_na(mac0, ip("2001:db8:100::10"), false, sent.frame);
	memset(sent.frame + CHECKSUM_AT, 0, 2);
	CU_ASSERT_EQUAL_FATAL(setsockopt(scene.vm0, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)),
			      0);
	say(scene.vm0, (const uint8_t *) &sent, sizeof(sent.header) + size);
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT(is_claim(&scene, 0, mac0, "2001:db8:100::10"));
	down(&scene);
}

/*
 * The watch's socket, found among our descriptors: the packet socket bound to @ifindex that has a
 * filter.
 */
static int filtered_socket(uint32_t ifindex)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;

	while (directory && found < 0 && (entry = readdir(directory))) {
		struct sockaddr_ll address = { 0 };
		socklen_t size = sizeof(address), instructions = 0;
		int fd = (int) strtol(entry->d_name, NULL, 10);

		if (getsockname(fd, (struct sockaddr *) &address, &size) == 0 &&
		    address.sll_family == AF_PACKET && address.sll_ifindex == (int) ifindex &&
		    getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &instructions) == 0 &&
		    instructions > 0)
			found = fd;
	}
	if (directory)
		closedir(directory);
	return found;
}

/* An IPv4 and an IPv6 UDP frame; only what the filter looks at is true to life. */
static size_t build_udp(bool v6, uint8_t *frame)
{
	memset(frame, 0, FRAME_SIZE_MIN);
	memcpy(frame, mac1.octet, ETH_ALEN);
	memcpy(frame + ETH_ALEN, mac0.octet, ETH_ALEN);
	frame[12] = v6 ? 0x86 : 0x08;
	frame[13] = v6 ? 0xdd : 0x00;
	frame[ETH_HLEN] = v6 ? 0x60 : 0x45;
	frame[v6 ? ETH_HLEN + 6 : ETH_HLEN + 9] = 17;
	return FRAME_SIZE_MIN;
}

/* PACKET_STATISTICS (packet(7)) counts what the filter let through. */
static void lets_the_kernel_filter(void)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);
	uint8_t f[FRAME_BUILD_SIZE];
	struct scene scene;
	int fd;

	up(&scene);
	fd = filtered_socket(scene_ifindex("vm0p"));
	CU_ASSERT_FATAL(fd >= 0);
	for (int i = 0; i < NOISE_FRAMES; i++)
		say(scene.vm0, f, build_udp(i % 2, f));
	say_last(scene.vm0, mac0, "198.51.100.99");
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT_EQUAL(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size), 0);
	CU_ASSERT_EQUAL(stats.tp_packets, 1);
	down(&scene);
}

static void may_be_freed_by_its_callback(void)
{
	uint8_t f[FRAME_BUILD_SIZE];
	struct scene scene;

	up(&scene);
	scene.free_on_claim = true;
	for (int i = 0; i < 3; i++)
		say(scene.vm0, f, frame_build_garp(mac0, ip("198.51.100.10"), f));
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT_EQUAL(scene.count, 1);
	CU_ASSERT_PTR_NULL(scene.watch);
	down(&scene);
}

/* One turn of the loop reads a part; the rest follows, none is lost. */
static void hears_a_burst(void)
{
	struct scene scene;
	char text[IP_TEXT_SIZE];

	up(&scene);
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i + 1);
		say_last(scene.vm0, mac0, text);
	}
	CU_ASSERT(heard(&scene, 200));
	CU_ASSERT(is_claim(&scene, 0, mac0, "198.51.100.1"));
	CU_ASSERT(is_claim(&scene, 199, mac0, "198.51.100.200"));
	down(&scene);
}

static bool has_paused(void *userdata)
{
	return ((struct scene *) userdata)->floods > 0;
}

/* The guest says it again until it is heard. */
static bool hears_the_next(void *userdata)
{
	struct scene *scene = userdata;

	if (scene->count > 0 && is_claim(scene, scene->count - 1, mac0, "198.51.100.99"))
		return true;
	say_last(scene->vm0, mac0, "198.51.100.99");
	return false;
}

/*
 * What is read of a flood does not depend on how fast it is: the burst, and the rate for as long as
 * it lasts. What the kernel dropped is counted. After it another claim is heard.
 */
static void bears_a_flood(void)
{
	uint64_t begin_us = clock_monotonic_us(), taken, seconds;
	uint8_t f[FRAME_BUILD_SIZE];
	struct scene scene;
	size_t size;

	up(&scene);
	size = frame_build_arp_request(mac0, ip("198.51.100.10"), ip("198.51.100.1"), f);
	for (int i = 0; i < FLOOD_FRAMES; i++)
		say(scene.vm0, f, size);
	CU_ASSERT(scene_loop_until(scene.loop, has_paused, &scene, SCENE_TIMEOUT_MS));
	for (int i = 0; i < 2 * FLOOD_FRAMES; i++)
		say(scene.vm0, f, size);
	CU_ASSERT(neighbour_watch_dropped(scene.watch) >= FLOOD_FRAMES);

	taken = scene.kinds[FRAME_ARP_REQUEST];
	seconds = (clock_monotonic_us() - begin_us) / 1000000 + 1;
	CU_ASSERT(taken >= NEIGHBOUR_FRAMES_BURST);
	CU_ASSERT(taken <= NEIGHBOUR_FRAMES_BURST + seconds * NEIGHBOUR_FRAMES_PER_S);
	CU_ASSERT_EQUAL(scene.floods, 1);
	CU_ASSERT(scene_loop_until(scene.loop, hears_the_next, &scene, SCENE_TIMEOUT_MS));
	down(&scene);
}

static bool link_is_gone(void *userdata)
{
	return scene_ifindex(userdata) == 0;
}

static void outlives_its_device(void)
{
	struct scene scene;
	char name[] = "vm0p";

	up(&scene);
	say_last(scene.vm0, mac0, "198.51.100.10");
	CU_ASSERT(heard(&scene, 1));
	CU_ASSERT(scene_loop_until(scene.loop, scene_is_running, name, SCENE_TIMEOUT_MS));
	say_last(scene.vm0, mac0, "198.51.100.11");
	CU_ASSERT(heard(&scene, 2));
	CU_ASSERT(scene_run("ip link del vm0"));
	CU_ASSERT(scene_loop_until(scene.loop, link_is_gone, name, SCENE_TIMEOUT_MS));
	CU_ASSERT_EQUAL(scene.count, 2);
	down(&scene);
}

static void refuses_a_device_that_is_not_there(void)
{
	struct neighbour_watch *watch = NULL;
	struct loop *loop = loop_new();

	CU_ASSERT_EQUAL(neighbour_watch_new(loop, 4242, &events, NULL, &watch), -ENODEV);
	CU_ASSERT_PTR_NULL(watch);
	loop_free(loop);
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(hears_each_kind),
		UNIT_TEST(hears_no_probe_no_forgery_no_other_network),
		UNIT_TEST(hears_nothing_that_goes_to_the_endpoint),
		UNIT_TEST(hears_an_unfinished_checksum),
		UNIT_TEST(lets_the_kernel_filter),
		UNIT_TEST(may_be_freed_by_its_callback),
		UNIT_TEST(hears_a_burst),
		UNIT_TEST(hears_a_router),
		UNIT_TEST(bears_a_flood),
		UNIT_TEST(outlives_its_device),
		UNIT_TEST(refuses_a_device_that_is_not_there),
	};
	int r = scene_enter();

	return r != 0 ? r : unit_main("neighbour", tests, ARRAY_SIZE(tests));
}
