/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One VNI's bridge and VXLAN device: made, adopted, refused, removed. */
#include <errno.h>
#include <string.h>

#include "tests/netns/netns.h"

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
	{ "veth", "ip link add u0 type veth peer name u1" },
};

static struct kernel *opened(void)
{
	struct kernel *kernel = NULL;

	CU_ASSERT_EQUAL_FATAL(kernel_new(&kernel), 0);
	return kernel;
}

static struct vni_devices wanted(const struct underlay *underlay)
{
	return (struct vni_devices) {
		.vni = 100,
		.bridge = "br100",
		.vxlan = "vx100",
		.vtep = ip_of(underlay->ours),
		.port = VXLAN_PORT,
		.create = true,
	};
}

/* Expects a refusal that mentions @why, changes nothing and makes nothing. */
/* Without what changes by itself: a carrier comes up a moment after its device, and timers run. */
#define LINKS                                                                                  \
	"ip -d -o link | sed -E 's/<[^>]*>//; s/ state [A-Z]+//; s/ qdisc [a-z]+//; s/_timer " \
	"+[0-9.]+//g'"

static void expect_refusal(struct kernel *kernel, struct vni_devices devices, int error,
			   const char *why)
{
	const struct vni_devices before = devices;
	char message[KERNEL_MESSAGE_SIZE] = "";
	char links[NETNS_OUTPUT_MAX];

	snprintf(links, sizeof(links), "%s", output_of(LINKS));
	CU_ASSERT_EQUAL(kernel_vni_ensure(kernel, &devices, message), error);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, why));
	if (!strstr(message, why))
		printf("\n    got: %s\n", message);
	CU_ASSERT_EQUAL(memcmp(&before, &devices, sizeof(before)), 0);
	CU_ASSERT_STRING_EQUAL(links, output_of(LINKS));
}

static void makes_on(const struct underlay *underlay)
{
	_cleanup_(kernel_freep) struct kernel *kernel = NULL;
	struct vni_devices devices;
	char mtu[32];

	close(netns_new());
	kernel = opened();
	make_underlay(underlay);
	make_vni(kernel, underlay, &devices);

	CU_ASSERT_TRUE(devices.made_bridge && devices.made_vxlan);
	CU_ASSERT_EQUAL(devices.bridge_ifindex, ifindex_of("br100"));
	CU_ASSERT_EQUAL(devices.vxlan_ifindex, ifindex_of("vx100"));

	snprintf(mtu, sizeof(mtu), "mtu %u ", 1500 - underlay->mtu_overhead);
	CU_ASSERT_TRUE(shows("ip -d -o link show vx100", "vxlan id 100 ", underlay->ours,
			     "dstport 4789", "nolearning", mtu, "master br100", ",UP",
			     "learning off", NULL));
	CU_ASSERT_TRUE(shows("ip -d -o link show br100", mtu, ",UP", "stp_state 0",
			     "mcast_snooping 0", NULL));
	CU_ASSERT_FALSE(shows("ip -o -6 addr show dev vx100", "inet6", NULL));
	CU_ASSERT_FALSE(shows("ip -o -6 addr show dev br100", "inet6", NULL));

	CU_ASSERT_EQUAL(kernel_vni_remove(kernel, &devices), 0);
	CU_ASSERT_EQUAL(ifindex_of("br100"), 0);
	CU_ASSERT_EQUAL(ifindex_of("vx100"), 0);
	CU_ASSERT_EQUAL(kernel_vni_remove(kernel, &devices), 0); /* already gone */
}

static void makes_what_is_missing(void)
{
	makes_on(&underlays[0]);
	makes_on(&underlays[1]);
}

static void adopts_on(const struct underlay *underlay)
{
	_cleanup_(kernel_freep) struct kernel *kernel = NULL;
	struct vni_devices devices = wanted(underlay), again;
	char message[KERNEL_MESSAGE_SIZE] = "";

	close(netns_new());
	kernel = opened();
	make_underlay(underlay);
	CU_ASSERT_TRUE_FATAL(
		run("ip link add br100 type bridge && "
		    "ip link add vx100 mtu 1400 type vxlan id 100 dstport 4789 local %s",
		    underlay->ours));
	CU_ASSERT_FALSE(shows("ip -d -o link show vx100", "nolearning", NULL));

	devices.create = false;
	CU_ASSERT_EQUAL_FATAL(kernel_vni_ensure(kernel, &devices, message), 0);
	CU_ASSERT_FALSE(devices.made_bridge || devices.made_vxlan);
	CU_ASSERT_TRUE(shows("ip -d -o link show vx100", "nolearning", "mtu 1400", "master br100",
			     ",UP", "learning off", NULL));

	again = devices;
	CU_ASSERT_EQUAL(kernel_vni_ensure(kernel, &again, message), 0);
	CU_ASSERT_EQUAL(memcmp(&again, &devices, sizeof(again)), 0);

	CU_ASSERT_EQUAL(kernel_vni_remove(kernel, &devices), 0);
	CU_ASSERT_NOT_EQUAL(ifindex_of("br100"), 0);
	CU_ASSERT_NOT_EQUAL(ifindex_of("vx100"), 0);
}

static void adopts_what_is_there(void)
{
	adopts_on(&underlays[0]);
	adopts_on(&underlays[1]);
}

static void adopts_one_and_makes_the_other(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();
	struct vni_devices devices;

	make_underlay(&underlays[0]);
	CU_ASSERT_TRUE_FATAL(run("ip link add br100 type bridge"));
	make_vni(kernel, &underlays[0], &devices);
	CU_ASSERT_FALSE(devices.made_bridge);
	CU_ASSERT_TRUE(devices.made_vxlan);

	CU_ASSERT_EQUAL(kernel_vni_remove(kernel, &devices), 0);
	CU_ASSERT_NOT_EQUAL(ifindex_of("br100"), 0);
	CU_ASSERT_EQUAL(ifindex_of("vx100"), 0);
}

static void refuses_a_missing_device_when_not_to_make_it(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();
	struct vni_devices devices = wanted(&underlays[0]);

	make_underlay(&underlays[0]);
	devices.create = false;
	expect_refusal(kernel, devices, -ENODEV, "no device br100");
	CU_ASSERT_TRUE(run("ip link add br100 type bridge"));
	expect_refusal(kernel, devices, -ENODEV, "no device vx100");
}

static void refuses_a_vtep_that_is_not_here(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();

	expect_refusal(kernel, wanted(&underlays[0]), -EADDRNOTAVAIL, "VTEP");
	expect_refusal(kernel, wanted(&underlays[1]), -EADDRNOTAVAIL, "VTEP");
}

static void refuses_devices_of_another_kind(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();
	struct vni_devices devices = wanted(&underlays[0]);

	make_underlay(&underlays[0]);
	CU_ASSERT_TRUE(run("ip link add br100 type veth peer name other"));
	expect_refusal(kernel, devices, -ENOTUNIQ, "not a bridge");
	CU_ASSERT_TRUE(run("ip link del br100 && ip link add vx100 type bridge"));
	expect_refusal(kernel, devices, -ENOTUNIQ, "not a VXLAN");
}

/* Each wrong VXLAN device, and what must be said about it. */
static void refuses_vxlan_devices_that_do_not_fit(void)
{
	static const struct {
		const char *type, *why;
	} wrong[] = {
		{ "id 101 dstport 4789 local 192.0.2.1", "VNI 101, not 100" },
		{ "id 100 dstport 8472 local 192.0.2.1", "UDP port 8472" },
		{ "id 100 dstport 4789 local 192.0.2.9", "192.0.2.9" },
		{ "id 100 dstport 4789", "sends from -" },
		{ "id 100 dstport 4789 local 2001:db8::1", "2001:db8::1" },
		{ "external dstport 4789 local 192.0.2.1", "several VNIs" },
	};
	_cleanup_(kernel_freep) struct kernel *kernel = opened();
	struct vni_devices devices = wanted(&underlays[0]);

	make_underlay(&underlays[0]);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CU_ASSERT_TRUE(run("ip link add vx100 type vxlan %s", wrong[i].type));
		expect_refusal(kernel, devices, -ENOTUNIQ, wrong[i].why);
		CU_ASSERT_TRUE(run("ip link del vx100"));
	}
}

static void refuses_a_port_of_another_bridge(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();

	make_underlay(&underlays[0]);
	CU_ASSERT_TRUE(run(
		"ip link add other type bridge && "
		"ip link add vx100 type vxlan id 100 dstport 4789 local 192.0.2.1 nolearning && "
		"ip link set vx100 master other"));
	expect_refusal(kernel, wanted(&underlays[0]), -EBUSY, "another bridge");
}

static void refuses_a_second_device_of_the_vni(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();

	make_underlay(&underlays[0]);
	CU_ASSERT_TRUE(run("ip link add elsewhere type vxlan id 100 dstport 4789 local 192.0.2.1"));
	expect_refusal(kernel, wanted(&underlays[0]), -EEXIST, "another VXLAN device has VNI 100");
}

static void knows_the_hosts_addresses(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();
	bool found = false;

	make_underlay(&underlays[0]);
	CU_ASSERT_TRUE(run("ip addr add 2001:db8::1/64 dev u0 nodad && ip addr add 198.51.100.1 "
			   "peer 198.51.100.2 dev u0"));
	CU_ASSERT_EQUAL(kernel_has_address(kernel, ip_of("192.0.2.1"), &found), 0);
	CU_ASSERT_TRUE(found);
	CU_ASSERT_EQUAL(kernel_has_address(kernel, ip_of("2001:db8::1"), &found), 0);
	CU_ASSERT_TRUE(found);
	CU_ASSERT_EQUAL(kernel_has_address(kernel, ip_of("198.51.100.1"), &found), 0);
	CU_ASSERT_TRUE(found);
	CU_ASSERT_EQUAL(kernel_has_address(kernel, ip_of("198.51.100.2"), &found), 0);
	CU_ASSERT_FALSE(found);
	CU_ASSERT_EQUAL(kernel_has_address(kernel, ip_of("192.0.2.2"), &found), 0);
	CU_ASSERT_FALSE(found);
	CU_ASSERT_EQUAL(kernel_has_address(kernel, ip_of("2001:db8::2"), &found), 0);
	CU_ASSERT_FALSE(found);
}

static void knows_ports(void)
{
	_cleanup_(kernel_freep) struct kernel *kernel = opened();
	struct kernel_port port = { 0 };
	struct vni_devices devices;

	make_underlay(&underlays[0]);
	make_vni(kernel, &underlays[0], &devices);
	CU_ASSERT_TRUE(run("ip link set u1 address 02:00:00:00:00:77"));

	CU_ASSERT_EQUAL(kernel_port_by_name(kernel, "nothing", &port), -ENODEV);
	CU_ASSERT_EQUAL(kernel_port_by_name(kernel, "", &port), -ENODEV);
	CU_ASSERT_EQUAL(kernel_port_by_name(kernel, "a-name-that-is-too-long", &port), -ENODEV);
	CU_ASSERT_EQUAL(port.ifindex, 0);

	CU_ASSERT_EQUAL(kernel_port_by_name(kernel, "u1", &port), 0);
	CU_ASSERT_EQUAL(port.ifindex, ifindex_of("u1"));
	CU_ASSERT_EQUAL(mac_cmp(port.mac, mac_of("02:00:00:00:00:77")), 0);
	CU_ASSERT_TRUE(port.up && !port.is_vxlan && port.master == 0);

	CU_ASSERT_EQUAL(kernel_port_by_name(kernel, "vx100", &port), 0);
	CU_ASSERT_TRUE(port.is_vxlan && port.master == devices.bridge_ifindex);
}

NETNS_MAIN("kernel_vni", needs,
	   UNIT_TEST(makes_what_is_missing),
	   UNIT_TEST(adopts_what_is_there),
	   UNIT_TEST(adopts_one_and_makes_the_other),
	   UNIT_TEST(refuses_a_missing_device_when_not_to_make_it),
	   UNIT_TEST(refuses_a_vtep_that_is_not_here),
	   UNIT_TEST(refuses_devices_of_another_kind),
	   UNIT_TEST(refuses_vxlan_devices_that_do_not_fit),
	   UNIT_TEST(refuses_a_port_of_another_bridge),
	   UNIT_TEST(refuses_a_second_device_of_the_vni),
	   UNIT_TEST(knows_the_hosts_addresses),
	   UNIT_TEST(knows_ports))
