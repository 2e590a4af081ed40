/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_announce.c - announcements leave by the ports asked for, and by no other; real stacks heed
 * them.
 *
 *	e0 --veth-- e0p \          / tap0: the VM's own, held by this test
 *	                 br0 -----
 *	e1 --veth-- e1p /          \ vx100: to a VTEP behind u1
 *
 * That the tap hears nothing is proved by what it hears next: a frame flooded by the bridge after
 * the announcements.
 */
#include "nveagent/announce.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "net/frames.h"
#include "tests/unit/unit.h"
#include "watch_scene.h"

enum {
	UDP_HEADER = 8,
	VXLAN_HEADER = 8, /* RFC 7348 section 5 */
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac other = { { 0x52, 0x54, 0, 0xaa, 0, 0x20 } };

struct scene {
	int a, b, tap;
	uint32_t ports[2]; /* e0p, e1p */
	struct ip ips[3];  /* one IPv4, two IPv6 */
};

static struct ip ip(const char *text)
{
	struct ip value = { 0 };

	CU_ASSERT_EQUAL(ip_from_text(text, &value), 0);
	return value;
}

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		return -1;
	return TAKE_FD(fd);
}

static void up(struct scene *scene)
{
	*scene = (struct scene){ .ips = { ip("198.51.100.10"), ip("2001:db8:100::10"),
					  ip("fe80::10") } };
	CU_ASSERT_FATAL(scene_run("ip link add br0 type bridge forward_delay 0 mcast_snooping 0 && "
				  "ip link set br0 up"));
	CU_ASSERT_FATAL(scene_run("for i in e0 e1; do ip link add $i type veth peer name ${i}p && "
				  "ip link set ${i}p master br0 && ip link set $i up && ip link "
				  "set ${i}p up || exit 1; done"));
	scene->tap = open_tap("tap0");
	CU_ASSERT_FATAL(scene->tap >= 0);
	CU_ASSERT_FATAL(scene_run("ip link set tap0 master br0 && ip link set tap0 up"));
	scene->a = scene_socket("e0");
	scene->b = scene_socket("e1");
	CU_ASSERT_FATAL(scene->a >= 0 && scene->b >= 0);
	scene->ports[0] = scene_ifindex("e0p");
	scene->ports[1] = scene_ifindex("e1p");
}

static void down(struct scene *scene)
{
	close(scene->a);
	close(scene->b);
	close(scene->tap);
	CU_ASSERT(scene_run("ip link del br0; ip link del e0; ip link del e1"));
}

/* The next frame that @fd hears. */
static struct frame next(int fd)
{
	uint8_t data[SCENE_FRAME_MAX];
	struct frame frame = { 0 };
	size_t size = scene_receive(fd, data, SCENE_TIMEOUT_MS);

	CU_ASSERT(size >= FRAME_SIZE_MIN);
	CU_ASSERT_EQUAL(frame_parse(data, size, true, &frame), 0);
	return frame;
}

static void check_announces(struct frame frame, enum frame_kind kind, struct ip address)
{
	CU_ASSERT_EQUAL(frame.kind, kind);
	CU_ASSERT_EQUAL(mac_cmp(frame.source, vm), 0);
	CU_ASSERT_EQUAL(mac_cmp(frame.sender_mac, vm), 0);
	CU_ASSERT_EQUAL(ip_cmp(frame.sender_ip, address), 0);
	CU_ASSERT_EQUAL(ip_cmp(frame.target_ip, address), 0);
	CU_ASSERT(mac_is_group(frame.destination));
	CU_ASSERT_EQUAL(frame.na_override, kind == FRAME_NA);
	CU_ASSERT_FALSE(frame.na_solicited);
}

static void announces_each_address_by_each_port(void)
{
	struct scene scene;

	up(&scene);
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 3, scene.ports, 2), 6);
	for (int i = 0; i < 2; i++) {
		int fd = i ? scene.b : scene.a;

		check_announces(next(fd), FRAME_ARP_REQUEST, scene.ips[0]);
		check_announces(next(fd), FRAME_NA, scene.ips[1]);
		check_announces(next(fd), FRAME_NA, scene.ips[2]);
	}
	down(&scene);
}

static void never_reaches_the_vms_own_tap(void)
{
	uint8_t f[FRAME_BUILD_SIZE], got[SCENE_FRAME_MAX];
	struct frame frame = { 0 };
	struct scene scene;
	size_t size;

	up(&scene);
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 3, scene.ports, 2), 6);
	CU_ASSERT_EQUAL(announce(vm, NULL, 0, scene.ports, 2), 2);
	size = frame_build_garp(other, ip("198.51.100.99"), f);
	CU_ASSERT(scene_send(scene.a, f, size)); /* flooded by the bridge */

	size = scene_receive(scene.tap, got, SCENE_TIMEOUT_MS);
	CU_ASSERT_EQUAL(frame_parse(got, size, true, &frame), 0);
	CU_ASSERT_EQUAL(mac_cmp(frame.source, other), 0);
	down(&scene);
}

static void announces_an_unknown_address_by_rarp(void)
{
	static const char *const useless[] = { "0.0.0.0", "::", "224.0.0.1", "ff02::1",
					       "127.0.0.1" };
	struct scene scene;
	struct frame frame;
	struct ip none;

	up(&scene);
	CU_ASSERT_EQUAL(announce(vm, NULL, 0, scene.ports, 1), 1);
	frame = next(scene.a);
	CU_ASSERT_EQUAL(frame.kind, FRAME_RARP_REQUEST);
	CU_ASSERT_EQUAL(mac_cmp(frame.source, vm), 0);
	CU_ASSERT_EQUAL(mac_cmp(frame.target_mac, vm), 0);

	for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
		none = ip(useless[i]);
		CU_ASSERT_EQUAL(announce(vm, &none, 1, scene.ports, 1), 1);
		CU_ASSERT_EQUAL(next(scene.a).kind, FRAME_RARP_REQUEST);
	}
	down(&scene);
}

static void goes_on_past_a_port_that_is_gone(void)
{
	struct scene scene;
	uint32_t ports[2] = { 4242 };

	up(&scene);
	ports[1] = scene.ports[1];
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 3, ports, 2), 3);
	check_announces(next(scene.b), FRAME_ARP_REQUEST, scene.ips[0]);
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 3, ports, 1), -ENXIO);
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 3, NULL, 0), 0);
	down(&scene);
}

/* Which MAC the stack in the namespace "host" has for @address. */
static bool host_has(const char *address, struct mac mac)
{
	char text[MAC_TEXT_SIZE];

	return scene_run("ip -n host neigh get %s dev e0 | grep -q 'lladdr %s '", address,
			 mac_text(mac, text));
}

struct expectation {
	struct mac mac;
	const char *ip4, *ip6;
};

static bool host_heeds(void *userdata)
{
	const struct expectation *expectation = userdata;

	return host_has(expectation->ip4, expectation->mac) &&
	       host_has(expectation->ip6, expectation->mac);
}

/*
 * RFC 826: a sender's known address is updated; RFC 4861 section 7.2.5: the override flag replaces
 * the cached one.
 */
static void is_heeded_by_a_kernel(void)
{
	struct expectation now = { vm, "198.51.100.10", "2001:db8:100::10" };
	struct loop *loop = loop_new();
	char text[MAC_TEXT_SIZE];
	struct scene scene;

	up(&scene);
	CU_ASSERT_FATAL(scene_run(
		"ip netns add host && ip link set e0 netns host && "
		"ip netns exec host sysctl -qw net.ipv6.conf.e0.disable_ipv6=0 "
		"net.ipv6.conf.e0.accept_dad=0 && "
		"ip -n host link set e0 up && ip -n host addr add 198.51.100.1/24 dev e0 && "
		"ip -n host addr add 2001:db8:100::1/64 dev e0 nodad"));
	for (int i = 0; i < 2; i++)
		CU_ASSERT_FATAL(
			scene_run("ip -n host neigh replace %s dev e0 nud reachable lladdr %s",
				  i ? now.ip6 : now.ip4, mac_text(other, text)));
	CU_ASSERT(host_has(now.ip4, other) && host_has(now.ip6, other));

	/*
	 * The kernel takes no ARP update within locktime of the last (net/ipv4/arp.c, 1 s): so off
	 * for this test.
	 */
	CU_ASSERT(scene_run("ip netns exec host sysctl -qw net.ipv4.neigh.e0.locktime=0"));
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 2, scene.ports, 1), 2);
	CU_ASSERT(scene_loop_until(loop, host_heeds, &now, SCENE_TIMEOUT_MS));

	loop_free(loop);
	CU_ASSERT(scene_run("ip -n host link del e0 && ip netns del host && ip link add e0 type "
			    "veth peer name e0p"));
	down(&scene);
}

/* The inner frame of the next VXLAN packet; skips what else the underlay says. */
static struct frame next_inner(int underlay, size_t ip_header, size_t *ret_size)
{
	const size_t outer = ETH_HLEN + ip_header + UDP_HEADER;
	uint8_t data[SCENE_FRAME_MAX];
	struct frame frame = { 0 };
	size_t size;

	do
		size = scene_receive(underlay, data, SCENE_TIMEOUT_MS);
	while (size > 0 &&
	       (size < outer + VXLAN_HEADER || data[outer] != 0x08 || data[outer + 6] != 100));

	*ret_size = size;
	if (size > 0)
		CU_ASSERT_EQUAL(frame_parse(data + outer + VXLAN_HEADER,
					    size - outer - VXLAN_HEADER, true, &frame),
				0);
	return frame;
}

static void check_vxlan(const char *local, const char *remote, const char *length, size_t ip_header)
{
	struct scene scene;
	uint32_t port;
	size_t size;
	int underlay;

	up(&scene);
	CU_ASSERT_FATAL(
		scene_run("ip link add u0 type veth peer name u1 && "
			  "echo 0 > /proc/sys/net/ipv6/conf/u0/disable_ipv6 && "
			  "echo 0 > /proc/sys/net/ipv6/conf/u0/accept_dad && "
			  "ip link set u0 up && ip link set u1 up && ip addr add %s/%s dev u0 && "
			  "ip neigh add %s dev u0 lladdr 02:00:00:00:00:99 nud permanent && "
			  "ip link add vx100 type vxlan id 100 dstport 4789 local %s nolearning && "
			  "ip link set vx100 master br0 && ip link set vx100 up && "
			  "bridge fdb append 00:00:00:00:00:00 dev vx100 dst %s",
			  local, length, remote, local, remote));
	underlay = scene_socket("u1");
	port = scene_ifindex("vx100");
	CU_ASSERT_EQUAL(announce(vm, scene.ips, 2, &port, 1), 2);
	check_announces(next_inner(underlay, ip_header, &size), FRAME_ARP_REQUEST, scene.ips[0]);
	check_announces(next_inner(underlay, ip_header, &size), FRAME_NA, scene.ips[1]);
	close(underlay);
	CU_ASSERT(scene_run("ip link del vx100; ip link del u0"));
	down(&scene);
}

static void reaches_other_nves_over_ipv4(void)
{
	check_vxlan("192.0.2.1", "192.0.2.2", "24", 20);
}

static void reaches_other_nves_over_ipv6(void)
{
	check_vxlan("2001:db8::1", "2001:db8::2", "64", 40);
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(announces_each_address_by_each_port),
		UNIT_TEST(never_reaches_the_vms_own_tap),
		UNIT_TEST(announces_an_unknown_address_by_rarp),
		UNIT_TEST(goes_on_past_a_port_that_is_gone),
		UNIT_TEST(is_heeded_by_a_kernel),
		UNIT_TEST(reaches_other_nves_over_ipv4),
		UNIT_TEST(reaches_other_nves_over_ipv6),
	};
	int r = scene_enter();

	return r != 0 ? r : unit_main("announce", tests, ARRAY_SIZE(tests));
}
