/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames that come late: sent on, answered or dropped, and only those for endpoints on the list.
 *
 *   ours: br100 - vx100 - u0 ---- u1 - vx100 :far      far is the NVE that was cut off, and, under
 *                                                      its second address, the new NVE
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "nveagent/late.h"
#include "nveagent/raw_port.h"
#include "tests/netns/netns.h"

enum {
	SECONDS = 600,
	TURN_US = 1000,
	ETHERTYPE = 0x88b5, /* IEEE 802 local experimental 1 */
	SMALL = 64,
	LARGE = 1400,
};

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac sender = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };
static const struct mac stranger = { { 0x52, 0x54, 0, 0xaa, 0, 0x12 } };

struct scene {
	int home, far;
	struct kernel *kernel;
	struct vni_devices devices;
	struct loop *loop;
	struct loop_timer *turn;
	struct late *late;
	enum late_verdict verdict;
	struct raw_port *from; /* far's vx100 */
	int heard;	       /* what far's vx100 receives */

	bool (*wanted)(struct scene *scene);
	bool got;
	uint64_t turns_left;
	uint8_t frame[LARGE];
	size_t size;
};

static enum late_verdict judge(void *userdata, struct mac mac)
{
	struct scene *scene = userdata;

	CU_ASSERT_EQUAL(mac_cmp(mac, vm), 0);
	return scene->verdict;
}

/* --- running the loop until something holds --- */

static void on_turn(void *userdata)
{
	struct scene *scene = userdata;

	scene->got = scene->wanted(scene);
	if (scene->got || scene->turns_left-- == 0)
		loop_stop(scene->loop);
	else
		(void) loop_timer_start(scene->turn, TURN_US);
}

static bool wait_for(struct scene *scene, bool (*wanted)(struct scene *scene))
{
	scene->wanted = wanted;
	scene->turns_left = NETNS_DEADLINE_MS;
	(void) loop_timer_start(scene->turn, TURN_US);
	CU_ASSERT_EQUAL(loop_run(scene->loop), 0);
	return scene->got;
}

static bool far_has_heard(struct scene *scene)
{
	ssize_t n = recv(scene->heard, scene->frame, sizeof(scene->frame), MSG_DONTWAIT);

	scene->size = n < 0 ? 0 : (size_t) n;
	return n > 0;
}

static bool one_was_dropped(struct scene *scene)
{
	return late_read(scene->late).dropped == 1;
}

/* --- the two ends --- */

static int listen_on(const char *device)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int) ifindex_of(device),
	};
	static const int one = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
	return fd;
}

static void make_far(struct scene *scene, const struct underlay *underlay)
{
	scene->far = netns_new();
	netns_enter(scene->home);
	CU_ASSERT_TRUE_FATAL(run("ip link set u1 netns /proc/%d/fd/%d", getpid(), scene->far));
	netns_enter(scene->far);
	CU_ASSERT_TRUE_FATAL(
		run("ip addr add %s/%d dev u1 nodad && ip addr add %s/%d dev u1 nodad && "
		    "ip link set u1 up",
		    underlay->theirs, underlay->prefix, underlay->third, underlay->prefix));
	CU_ASSERT_TRUE_FATAL(
		run("ip link add vx100 type vxlan id 100 dstport 4789 local %s remote %s && "
		    "echo 1 > /proc/sys/net/ipv6/conf/vx100/disable_ipv6 && "
		    "ip link set vx100 up",
		    underlay->theirs, underlay->ours));
	CU_ASSERT_EQUAL_FATAL(raw_port_open(ifindex_of("vx100"), false, &scene->from), 0);
	scene->heard = listen_on("vx100");
	netns_enter(scene->home);
}

static void begin(struct scene *scene, const struct underlay *underlay)
{
	*scene = (struct scene){ .verdict = LATE_FORWARD };
	scene->home = netns_new();
	make_underlay(underlay);
	CU_ASSERT_EQUAL_FATAL(kernel_new(&scene->kernel), 0);
	make_vni(scene->kernel, underlay, &scene->devices);
	make_far(scene, underlay);
	CU_ASSERT_TRUE_FATAL(run("bridge fdb replace 52:54:00:aa:00:10 dev vx100 dst %s self && "
				 "bridge fdb replace 52:54:00:aa:00:11 dev vx100 dst %s self",
				 underlay->third, underlay->theirs));
	scene->loop = loop_new();
	scene->turn = loop_timer_new(scene->loop, on_turn, scene);
	scene->late = late_new(scene->loop, scene->devices.vxlan_ifindex, judge, scene);
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->late);
}

static void end(struct scene *scene)
{
	late_free(scene->late);
	loop_timer_free(scene->turn);
	loop_free(scene->loop);
	raw_port_free(scene->from);
	close(scene->heard);
	kernel_free(scene->kernel);
	close(scene->far);
	close(scene->home);
}

static void send_number(struct scene *scene, struct mac to, uint32_t number, size_t size)
{
	uint8_t frame[LARGE];

	(void) numbered_frame(to, sender, ETHERTYPE, number, size, frame);
	CU_ASSERT_EQUAL(raw_port_send(scene->from, NULL, frame, size), 0);
}

static void for_both(void (*test)(struct scene *scene))
{
	for (size_t i = 0; i < ARRAY_SIZE(underlays); i++) {
		struct scene scene;

		begin(&scene, &underlays[i]);
		test(&scene);
		end(&scene);
	}
}

/* --- tests --- */

/* The stranger's comes first: had it been heard, it would have come out first. */
static void forward(struct scene *scene)
{
	CU_ASSERT_EQUAL(late_add(scene->late, vm, SECONDS), 0);
	send_number(scene, stranger, 1, SMALL);
	send_number(scene, vm, 2, LARGE);
	CU_ASSERT_TRUE(wait_for(scene, far_has_heard));
	CU_ASSERT_EQUAL(scene->size, LARGE);
	CU_ASSERT_EQUAL(memcmp(scene->frame, vm.octet, MAC_SIZE), 0);
	CU_ASSERT_EQUAL(frame_number(scene->frame), 2);
	CU_ASSERT_EQUAL(late_read(scene->late).forwarded, 1);
}

static void sends_on(void)
{
	for_both(forward);
}

static void answer(struct scene *scene)
{
	static const uint8_t udp[] = {
		0x52, 0x54, 0, 0xaa, 0, 0x10, 0x52, 0x54, 0, 0xaa, 0, 0x11, 8, 0,
		0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 198, 51, 100, 11, 198, 51, 100, 10,
		0x30, 0x39, 0, 7, 0, 8, 0, 0,
	};

	scene->verdict = LATE_ANSWER;
	CU_ASSERT_EQUAL(late_add(scene->late, vm, SECONDS), 0);
	CU_ASSERT_EQUAL(raw_port_send(scene->from, NULL, udp, sizeof(udp)), 0);
	CU_ASSERT_TRUE(wait_for(scene, far_has_heard));
	CU_ASSERT_EQUAL(memcmp(scene->frame, sender.octet, MAC_SIZE), 0);
	CU_ASSERT_EQUAL(scene->frame[14 + 9], 1);  /* ICMP */
	CU_ASSERT_EQUAL(scene->frame[14 + 20], 3); /* unreachable */
	CU_ASSERT_EQUAL(late_read(scene->late).answered, 1);

	send_number(scene, vm, 1, SMALL); /* nothing to answer */
	CU_ASSERT_TRUE(wait_for(scene, one_was_dropped));
}

static void answers(void)
{
	for_both(answer);
}

static void drop(struct scene *scene)
{
	scene->verdict = LATE_DROP;
	CU_ASSERT_EQUAL(late_add(scene->late, vm, SECONDS), 0);
	send_number(scene, vm, 1, SMALL);
	CU_ASSERT_TRUE(wait_for(scene, one_was_dropped));
	scene->verdict = LATE_FORWARD;
	send_number(scene, vm, 2, SMALL);
	CU_ASSERT_TRUE(wait_for(scene, far_has_heard));
	CU_ASSERT_EQUAL(frame_number(scene->frame), 2);
}

static void drops(void)
{
	for_both(drop);
}

static bool has_socket(void)
{
	return shows("cat /proc/net/packet | tail -n +2", " ", NULL);
}

static bool list_has_expired(struct scene *scene)
{
	(void) scene;
	return !has_socket();
}

/* It listens only while somebody is on the list, and forgets by itself. */
static void expire(struct scene *scene)
{
	CU_ASSERT_FALSE(has_socket());
	CU_ASSERT_EQUAL(late_add(scene->late, vm, SECONDS), 0);
	CU_ASSERT_TRUE(has_socket());
	late_remove(scene->late, stranger);
	CU_ASSERT_TRUE(has_socket());
	late_remove(scene->late, vm);
	CU_ASSERT_TRUE(wait_for(scene, list_has_expired));
	CU_ASSERT_EQUAL(late_add(scene->late, vm, 0), 0);
	CU_ASSERT_TRUE(wait_for(scene, list_has_expired));
}

static void listens_no_longer_than_asked(void)
{
	for_both(expire);
}

/* At the cap the oldest makes room, and each of the others is still heard. */
static void fill(struct scene *scene)
{
	struct mac mac = stranger;

	CU_ASSERT_EQUAL(late_add(scene->late, stranger, SECONDS), 0);
	for (uint8_t i = 1; i < LATE_MACS_MAX; i++) {
		mac.octet[3] = i;
		CU_ASSERT_EQUAL(late_add(scene->late, mac, SECONDS), 0);
	}
	CU_ASSERT_EQUAL(late_add(scene->late, vm, SECONDS), 0);
	send_number(scene, stranger, 1, SMALL);
	send_number(scene, vm, 2, SMALL);
	CU_ASSERT_TRUE(wait_for(scene, far_has_heard));
	CU_ASSERT_EQUAL(frame_number(scene->frame), 2);
}

static void forgets_the_oldest(void)
{
	for_both(fill);
}

static void says_when_the_device_is_gone(void)
{
	struct loop *loop = loop_new();
	struct late *late = late_new(loop, 4711, judge, NULL);

	CU_ASSERT_EQUAL(late_add(late, vm, SECONDS), -ENODEV);
	late_free(late);
	loop_free(loop);
}

NETNS_MAIN("late", needs, UNIT_TEST(sends_on), UNIT_TEST(answers), UNIT_TEST(drops),
	   UNIT_TEST(listens_no_longer_than_asked), UNIT_TEST(forgets_the_oldest),
	   UNIT_TEST(says_when_the_device_is_gone))
