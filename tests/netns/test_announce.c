/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_announce.c - announcements leave by the ports asked for, and by no other; real stacks heed
 * them.
 *
 *	e0 --veth-- e0p \          / tap0: the VM's own, held by this test
 *	                 br0 -----
 *	e1 --veth-- e1p /
 *
 *	a VTEP that no directory tells: a VXLAN device in a namespace "far" behind the underlay
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
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "net/frames.h"
#include "tests/unit/unit.h"
#include "watch_scene.h"

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac other = { { 0x52, 0x54, 0, 0xaa, 0, 0x20 } };

struct scene {
	int a, b, tap;
	uint32_t ports[2]; /* e0p, e1p */
	struct ip ips[3];  /* one IPv4, two IPv6 */
	struct frame_out *out;
};

enum {
	FRAMES_OF_ALL = 5, /* two for the IPv4 address, one for each IPv6 address, and RARP */
};

static struct announce_who who(const struct scene *scene, size_t ip_count)
{
	return (struct announce_who){ .mac = vm, .ips = scene->ips, .ip_count = ip_count };
}

/* One round for the first @ip_count addresses by @ports. */
static int announce_by(struct scene *scene, size_t ip_count, const uint32_t *ports, size_t count)
{
	const struct announce_who whom = who(scene, ip_count);
	const struct announce_where where = { .ports = ports, .port_count = count };

	return announce(scene->out, &whom, &where);
}

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
	CU_ASSERT_FATAL(scene_await_forwarding("e0p") && scene_await_forwarding("e1p") &&
			scene_await_forwarding("tap0"));
	scene->a = scene_socket("e0");
	scene->b = scene_socket("e1");
	CU_ASSERT_FATAL(scene->a >= 0 && scene->b >= 0);
	CU_ASSERT_EQUAL_FATAL(frame_out_new((struct ip){ 0 }, &scene->out), 0);
	scene->ports[0] = scene_ifindex("e0p");
	scene->ports[1] = scene_ifindex("e1p");
}

static void down(struct scene *scene)
{
	frame_out_free(scene->out);
	close(scene->a);
	close(scene->b);
	close(scene->tap);
	CU_ASSERT(scene_run("ip link del br0; ip link del e0; ip link del e1"));
}

/* scene_socket() in the named namespace. */
static int netns_socket(const char *netns, const char *device)
{
	_cleanup_close_ int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int there = -1;
	char path[64];
	int fd;

	(void) snprintf(path, sizeof(path), "/run/netns/%s", netns);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (setns(there, CLONE_NEWNET) < 0)
		return -1;
	fd = scene_socket(device);
	CU_ASSERT_EQUAL_FATAL(setns(here, CLONE_NEWNET), 0);
	return fd;
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

static void check_rarp(struct frame frame)
{
	CU_ASSERT_EQUAL(frame.kind, FRAME_RARP_REQUEST);
	CU_ASSERT_EQUAL(mac_cmp(frame.source, vm), 0);
	CU_ASSERT_EQUAL(mac_cmp(frame.sender_mac, vm), 0);
	CU_ASSERT_EQUAL(mac_cmp(frame.target_mac, vm), 0);
}

static void announces_each_address_by_each_port(void)
{
	struct scene scene;

	up(&scene);
	CU_ASSERT_EQUAL(announce_by(&scene, 3, scene.ports, 2), 2 * FRAMES_OF_ALL);
	for (int i = 0; i < 2; i++) {
		int fd = i ? scene.b : scene.a;

		check_announces(next(fd), FRAME_ARP_REQUEST, scene.ips[0]);
		check_announces(next(fd), FRAME_ARP_REPLY, scene.ips[0]);
		check_announces(next(fd), FRAME_NA, scene.ips[1]);
		check_announces(next(fd), FRAME_NA, scene.ips[2]);
		check_rarp(next(fd));
	}
	down(&scene);
}

static void says_who_is_a_router(void)
{
	struct announce_who whom;
	struct scene scene;

	up(&scene);
	for (int router = 0; router < 2; router++) {
		const struct announce_where where = { .ports = scene.ports, .port_count = 1 };

		whom = who(&scene, 2);
		whom.router = router;
		CU_ASSERT_EQUAL(announce(scene.out, &whom, &where), 4);
		CU_ASSERT_EQUAL(next(scene.a).kind, FRAME_ARP_REQUEST);
		CU_ASSERT_EQUAL(next(scene.a).kind, FRAME_ARP_REPLY);
		CU_ASSERT_EQUAL(next(scene.a).na_router, router);
		check_rarp(next(scene.a));
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
	CU_ASSERT_EQUAL(announce_by(&scene, 3, scene.ports, 2), 2 * FRAMES_OF_ALL);
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

	up(&scene);
	CU_ASSERT_EQUAL(announce_by(&scene, 0, scene.ports, 1), 1);
	check_rarp(next(scene.a));
	for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
		scene.ips[0] = ip(useless[i]);
		CU_ASSERT_EQUAL(announce_by(&scene, 1, scene.ports, 1), 1);
		check_rarp(next(scene.a));
	}
	down(&scene);
}

static void goes_on_past_a_port_that_is_gone(void)
{
	struct scene scene;
	uint32_t ports[2] = { 4242 };

	up(&scene);
	ports[1] = scene.ports[1];
	CU_ASSERT_EQUAL(announce_by(&scene, 3, ports, 2), FRAMES_OF_ALL);
	check_announces(next(scene.b), FRAME_ARP_REQUEST, scene.ips[0]);
	CU_ASSERT_EQUAL(announce_by(&scene, 3, ports, 1), -ENXIO);
	CU_ASSERT_EQUAL(announce_by(&scene, 3, NULL, 0), 0);
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
	CU_ASSERT_EQUAL(announce_by(&scene, 2, scene.ports, 1), 4);
	CU_ASSERT(scene_loop_until(loop, host_heeds, &now, SCENE_TIMEOUT_MS));

	loop_free(loop);
	CU_ASSERT(scene_run("ip -n host link del e0 && ip netns del host && ip link add e0 type "
			    "veth peer name e0p"));
	down(&scene);
}

struct far {
	const char *local, *remote;
	int prefix;
};

/* What the VXLAN device in the namespace "far" gave to its end of the network, vx7. */
static void hear_far(const struct far *far)
{
	const struct ip vteps[] = { ip(far->remote) };
	const struct announce_where where = {
		.vteps = vteps, .vtep_count = 1, .vni = 0x070605, .vxlan_port = VXLAN_PORT
	};
	struct announce_who whom;
	struct scene scene;
	int vxlan;

	up(&scene);
	scene.out = frame_out_free(scene.out);
	CU_ASSERT_EQUAL_FATAL(frame_out_new(ip(far->local), &scene.out), 0);
	vxlan = netns_socket("far", "vx7");
	CU_ASSERT_FATAL(vxlan >= 0);
	whom = who(&scene, 3);
	CU_ASSERT_EQUAL(announce(scene.out, &whom, &where), FRAMES_OF_ALL);
	check_announces(next(vxlan), FRAME_ARP_REQUEST, scene.ips[0]);
	check_announces(next(vxlan), FRAME_ARP_REPLY, scene.ips[0]);
	check_announces(next(vxlan), FRAME_NA, scene.ips[1]);
	check_announces(next(vxlan), FRAME_NA, scene.ips[2]);
	check_rarp(next(vxlan));
	close(vxlan);
	down(&scene);
}

static void check_vtep(const struct far *far)
{
	CU_ASSERT_FATAL(
		scene_run("ip netns add far && ip -n far link set lo up && "
			  "ip link add u0 type veth peer name u1 netns far && "
			  "for n in '' '-n far'; do i=u$([ -z \"$n\" ] && echo 0 || echo 1); "
			  "${n:+ip netns exec far} sysctl -qw net.ipv6.conf.$i.disable_ipv6=0 "
			  "net.ipv6.conf.$i.accept_dad=0 && ip $n link set $i up || exit 1; done; "
			  "ip addr add %s/%d dev u0 && ip -n far addr add %s/%d dev u1 && "
			  "ip -n far link add vx7 type vxlan id 460293 dstport 4789 local %s && "
			  "ip -n far link set vx7 up",
			  far->local, far->prefix, far->remote, far->prefix, far->remote));
	hear_far(far);
	CU_ASSERT(scene_run("ip link del u0; ip netns del far"));
}

static void reaches_a_vtep_over_ipv4(void)
{
	check_vtep(&(struct far){ "192.0.2.1", "192.0.2.2", 24 });
}

static void reaches_a_vtep_over_ipv6(void)
{
	check_vtep(&(struct far){ "2001:db8::1", "2001:db8::2", 64 });
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(announces_each_address_by_each_port),
		UNIT_TEST(never_reaches_the_vms_own_tap),
		UNIT_TEST(announces_an_unknown_address_by_rarp),
		UNIT_TEST(goes_on_past_a_port_that_is_gone),
		UNIT_TEST(is_heeded_by_a_kernel),
		UNIT_TEST(says_who_is_a_router),
		UNIT_TEST(reaches_a_vtep_over_ipv4),
		UNIT_TEST(reaches_a_vtep_over_ipv6),
	};
	int r = scene_enter();

	return r != 0 ? r : unit_main("announce", tests, ARRAY_SIZE(tests));
}
