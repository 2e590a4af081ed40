/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/addr.h"
#include "tests/unit/unit.h"

static struct mac mac(const char *text)
{
	struct mac mac = { 0 };

	CU_ASSERT_EQUAL_FATAL(mac_from_text(text, &mac), 0);
	return mac;
}

static struct ip ip(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

/* --- MAC --- */

static void mac_reads_what_it_writes(void)
{
	static const uint8_t octets[MAC_SIZE] = { 0x52, 0x54, 0x00, 0xaA, 0x00, 0x1f };
	char buffer[MAC_TEXT_SIZE];

	CU_ASSERT_EQUAL(memcmp(mac("52:54:00:aa:00:1f").octet, octets, MAC_SIZE), 0);
	CU_ASSERT_STRING_EQUAL(mac_text(mac("52:54:00:AA:00:1F"), buffer), "52:54:00:aa:00:1f");
	CU_ASSERT_STRING_EQUAL(mac_text(mac_broadcast, buffer), "ff:ff:ff:ff:ff:ff");
}

static void mac_refuses_other_text(void)
{
	static const char *const bad[] = {
		"52:54:00:aa:00:1f ", " 52:54:00:aa:00:1f", "52:54:00:aa:00:1f:00",
		"52-54-00-aa-00-1f",  "525400aa001f",	    "52:54:00:aa:00:1g",
		"5254.00aa.001f",     "52:54:00:aa:001:f",  "52:54:00:aa:00:+f",
		":2:54:00:aa:00:1f:", "52:54:00:aa:00: 1",
	};
	static const char good[] = "52:54:00:aa:00:1f";
	struct mac result = { { 42 } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(mac_from_text(bad[i], &result), -EINVAL);
	for (size_t size = 0; size < sizeof(good) - 1; size++) {
		_cleanup_free_ char *text = strndup(good, size);

		CU_ASSERT_PTR_NOT_NULL_FATAL(text);
		CU_ASSERT_EQUAL(mac_from_text(text, &result), -EINVAL);
	}
	CU_ASSERT_EQUAL(mac_cmp(result, (struct mac){ { 42 } }), 0);
}

static void mac_reads_6_bytes_only(void)
{
	static const uint8_t bytes[] = { 0x52, 0x54, 0, 1, 2, 3, 4 };
	struct mac result = { { 42 } };

	for (size_t size = 0; size <= sizeof(bytes); size++)
		if (size != MAC_SIZE)
			CU_ASSERT_EQUAL(mac_from_bytes(bytes, size, &result), -EINVAL);
	CU_ASSERT_EQUAL(result.octet[0], 42);
	CU_ASSERT_EQUAL(mac_from_bytes(bytes, MAC_SIZE, &result), 0);
	CU_ASSERT_EQUAL(mac_cmp(result, mac("52:54:00:01:02:03")), 0);
}

static void mac_is_classified(void)
{
	CU_ASSERT_TRUE(mac_is_zero(mac("00:00:00:00:00:00")));
	CU_ASSERT_FALSE(mac_is_zero(mac("00:00:00:00:00:01")));
	CU_ASSERT_TRUE(mac_is_group(mac_broadcast));
	CU_ASSERT_TRUE(mac_is_group(mac("33:33:00:00:00:01")));
	CU_ASSERT_TRUE(mac_is_group(mac("01:00:5e:00:00:01")));
	CU_ASSERT_FALSE(mac_is_group(mac("52:54:00:aa:00:1f")));
	CU_ASSERT_TRUE(mac_cmp(mac("00:00:00:00:00:ff"), mac("00:00:00:00:01:00")) < 0);
	CU_ASSERT_TRUE(mac_cmp(mac_broadcast, mac("7f:00:00:00:00:00")) > 0);
}

/* --- IP --- */

static void knows_loopback(void)
{
	static const char *const inside[] = { "127.0.0.1", "127.255.255.255", "::1" };
	static const char *const outside[] = { "126.255.255.255", "128.0.0.1",	"::", "::2",
					       "192.0.2.1",	  "2001:db8::1" };
	struct ip ip;

	for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
		CU_ASSERT_EQUAL_FATAL(ip_from_text(inside[i], &ip), 0);
		CU_ASSERT_TRUE(ip_is_loopback(ip));
	}
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		CU_ASSERT_EQUAL_FATAL(ip_from_text(outside[i], &ip), 0);
		CU_ASSERT_FALSE(ip_is_loopback(ip));
	}
}

static const struct ip_case {
	const char *text;
	size_t size;
	uint8_t octet[16];
	bool unicast, link_local;
} ip_cases[] = {
	{ "192.0.2.10", 4, { 192, 0, 2, 10 }, true, false },
	{ "169.254.1.2", 4, { 169, 254, 1, 2 }, true, true },
	{ "169.253.255.255", 4, { 169, 253, 255, 255 }, true, false },
	{ "0.0.0.0", 4, { 0 }, false, false },
	{ "0.0.0.1", 4, { 0, 0, 0, 1 }, true, false },
	{ "127.0.0.1", 4, { 127, 0, 0, 1 }, false, false },
	{ "126.255.255.255", 4, { 126, 255, 255, 255 }, true, false },
	{ "128.0.0.0", 4, { 128 }, true, false },
	{ "223.255.255.255", 4, { 223, 255, 255, 255 }, true, false },
	{ "224.0.0.1", 4, { 224, 0, 0, 1 }, false, false },
	{ "239.255.255.255", 4, { 239, 255, 255, 255 }, false, false },
	{ "255.255.255.255", 4, { 255, 255, 255, 255 }, false, false },
	{ "2001:db8::10", 16, { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x10 }, true, false },
	{ "fe80::1", 16, { 0xfe, 0x80, [15] = 1 }, true, true },
	{ "febf::1", 16, { 0xfe, 0xbf, [15] = 1 }, true, true },
	{ "fec0::1", 16, { 0xfe, 0xc0, [15] = 1 }, true, false },
	{ "fe7f::1", 16, { 0xfe, 0x7f, [15] = 1 }, true, false },
	{ "::", 16, { 0 }, false, false },
	{ "::1", 16, { [15] = 1 }, false, false },
	{ "::2", 16, { [15] = 2 }, true, false },
	{ "ff02::1", 16, { 0xff, 0x02, [15] = 1 }, false, false },
	{ "fdff::1", 16, { 0xfd, 0xff, [15] = 1 }, true, false },
};

static void ip_reads_what_it_writes(void)
{
	char buffer[IP_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(ip_cases); i++) {
		const struct ip_case *c = &ip_cases[i];
		struct ip address = ip(c->text), bytes = { 0 };

		CU_ASSERT_EQUAL(address.family, c->size == 4 ? AF_INET : AF_INET6);
		CU_ASSERT_EQUAL(ip_size(address), c->size);
		CU_ASSERT_EQUAL(memcmp(address.octet, c->octet, sizeof(c->octet)), 0);
		CU_ASSERT_STRING_EQUAL(ip_text(address, buffer), c->text);
		CU_ASSERT_EQUAL(ip_from_bytes(c->octet, c->size, &bytes), 0);
		CU_ASSERT_EQUAL(ip_cmp(address, bytes), 0);
	}
}

static void ip_is_classified(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ip_cases); i++) {
		const struct ip_case *c = &ip_cases[i];

		CU_ASSERT_EQUAL(ip_is_unicast(ip(c->text)), c->unicast);
		CU_ASSERT_EQUAL(ip_is_link_local(ip(c->text)), c->link_local);
		CU_ASSERT_FALSE(ip_is_none(ip(c->text)));
	}
}

static void ip_none_is_no_address(void)
{
	struct ip none = { 0 };
	char buffer[IP_TEXT_SIZE];

	CU_ASSERT_TRUE(ip_is_none(none));
	CU_ASSERT_EQUAL(ip_size(none), 0);
	CU_ASSERT_FALSE(ip_is_unicast(none));
	CU_ASSERT_FALSE(ip_is_link_local(none));
	CU_ASSERT_STRING_EQUAL(ip_text(none, buffer), "-");
	CU_ASSERT_NOT_EQUAL(ip_cmp(none, ip("0.0.0.0")), 0);
	CU_ASSERT_NOT_EQUAL(ip_cmp(ip("0.0.0.0"), ip("::")), 0);
	CU_ASSERT_TRUE(ip_cmp(ip("192.0.2.9"), ip("192.0.2.10")) < 0);
	CU_ASSERT_TRUE(ip_cmp(ip("2001:db8::2"), ip("2001:db8::1:0")) < 0);
}

static void ip_refuses_other_text(void)
{
	static const char *const bad[] = {
		"",
		"-",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.1 ",
		" 192.0.2.1",
		"192.0.2.1/24",
		"192.0.2.01",
		"0x7f.0.0.1",
		"3232235777",
		"2001:db8:::1",
		"2001:db8::1/64",
		"[2001:db8::1]",
		"fe80::1%eth0",
		"2001:db8::g",
		"::1 ",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"host.example",
	};
	struct ip result = ip("192.0.2.1");

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(ip_from_text(bad[i], &result), -EINVAL);
	CU_ASSERT_EQUAL(ip_cmp(result, ip("192.0.2.1")), 0);
}

static void ip_reads_4_or_16_bytes_only(void)
{
	static const uint8_t bytes[17] = { 1, 2, 3, 4, 5 };
	struct ip result = ip("192.0.2.1");

	for (size_t size = 0; size <= sizeof(bytes); size++)
		if (size != 4 && size != 16)
			CU_ASSERT_EQUAL(ip_from_bytes(bytes, size, &result), -EINVAL);
	CU_ASSERT_EQUAL(ip_cmp(result, ip("192.0.2.1")), 0);
}

/* --- endpoint --- */

static void endpoint_reads_what_it_writes(void)
{
	static const char *const good[] = { "192.0.2.10:7365", "[2001:db8::10]:7365", "[::1]:1",
					    "255.255.255.255:65535" };
	char buffer[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct ip address = { 0 };
		uint16_t port = 0;

		CU_ASSERT_EQUAL(endpoint_from_text(good[i], 0, &address, &port), 0);
		CU_ASSERT_STRING_EQUAL(endpoint_text(address, port, buffer), good[i]);
	}
}

static void endpoint_takes_the_default_port(void)
{
	struct ip address = { 0 };
	uint16_t port = 0;

	CU_ASSERT_EQUAL(endpoint_from_text("192.0.2.10", 7365, &address, &port), 0);
	CU_ASSERT_EQUAL(ip_cmp(address, ip("192.0.2.10")), 0);
	CU_ASSERT_EQUAL(port, 7365);
	CU_ASSERT_EQUAL(endpoint_from_text("[2001:db8::10]", 7366, &address, &port), 0);
	CU_ASSERT_EQUAL(ip_cmp(address, ip("2001:db8::10")), 0);
	CU_ASSERT_EQUAL(port, 7366);
	CU_ASSERT_EQUAL(endpoint_from_text("192.0.2.10:1", 7365, &address, &port), 0);
	CU_ASSERT_EQUAL(port, 1);
	CU_ASSERT_EQUAL(endpoint_from_text("192.0.2.10", 0, &address, &port), -EINVAL);
	CU_ASSERT_EQUAL(endpoint_from_text("[2001:db8::10]", 0, &address, &port), -EINVAL);
}

static void endpoint_refuses_other_text(void)
{
	static const char *const bad[] = {
		"",
		":7365",
		"192.0.2.10:",
		"192.0.2.10:0",
		"192.0.2.10:65536",
		"192.0.2.10:+1",
		"192.0.2.10: 1",
		"192.0.2.10:1 ",
		"192.0.2.10:0x10",
		"[192.0.2.10]:1",
		"2001:db8::10",
		"2001:db8::10:7365",
		"[2001:db8::10",
		"[2001:db8::10]x",
		"[2001:db8::10]:",
		"[2001:db8::10]7365",
		"[]:1",
		"[",
		"host.example:1",
		"192.0.2.10:4294967297",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1",
	};
	struct ip address = ip("192.0.2.1");
	uint16_t port = 42;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(endpoint_from_text(bad[i], 1, &address, &port), -EINVAL);
	CU_ASSERT_EQUAL(ip_cmp(address, ip("192.0.2.1")), 0);
	CU_ASSERT_EQUAL(port, 42);
}

static void endpoint_fills_a_socket_address(void)
{
	struct sockaddr_storage storage;
	const struct sockaddr_in *in = (const struct sockaddr_in *) &storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &storage;

	CU_ASSERT_EQUAL(endpoint_to_sockaddr(ip("192.0.2.10"), 7365, &storage), sizeof(*in));
	CU_ASSERT_EQUAL(in->sin_family, AF_INET);
	CU_ASSERT_EQUAL(ntohs(in->sin_port), 7365);
	CU_ASSERT_EQUAL(ntohl(in->sin_addr.s_addr), 0xc000020a);

	CU_ASSERT_EQUAL(endpoint_to_sockaddr(ip("2001:db8::10"), 7366, &storage), sizeof(*in6));
	CU_ASSERT_EQUAL(in6->sin6_family, AF_INET6);
	CU_ASSERT_EQUAL(ntohs(in6->sin6_port), 7366);
	CU_ASSERT_EQUAL(memcmp(&in6->sin6_addr, ip("2001:db8::10").octet, 16), 0);
	CU_ASSERT_EQUAL(in6->sin6_scope_id, 0);

	CU_ASSERT_EQUAL(endpoint_to_sockaddr((struct ip){ 0 }, 1, &storage), 0);
	CU_ASSERT_EQUAL(storage.ss_family, AF_UNSPEC);
}

/* --- VNI --- */

static void vni_is_1_to_24_bits(void)
{
	static const struct {
		const char *text;
		int result;
		uint32_t vni;
	} cases[] = {
		{ "1", 0, 1 },
		{ "100", 0, 100 },
		{ "16777215", 0, VNI_MAX },
		{ "007", 0, 7 },
		{ "0", -ERANGE, 42 },
		{ "16777216", -ERANGE, 42 },
		{ "", -EINVAL, 42 },
		{ "-1", -EINVAL, 42 },
		{ "4294967297", -ERANGE, 42 },
		{ "+1", -EINVAL, 42 },
		{ " 1", -EINVAL, 42 },
		{ "18446744073709551617", -ERANGE, 42 },
		{ "1 ", -EINVAL, 42 },
		{ "0x10", -EINVAL, 42 },
		{ "99999999999999999999x", -EINVAL, 42 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t vni = 42;

		CU_ASSERT_EQUAL(vni_from_text(cases[i].text, &vni), cases[i].result);
		CU_ASSERT_EQUAL(vni, cases[i].vni);
	}
}

/* RFC 4291 appendix A: ff:fe in the middle, and the universal/local bit turned over. */
static void makes_a_link_local_address(void)
{
	struct mac mac = { 0 };

	CU_ASSERT_EQUAL(mac_from_text("52:54:00:aa:00:10", &mac), 0);
	CU_ASSERT_EQUAL(ip_cmp(ip_link_local_of(mac), ip("fe80::5054:ff:feaa:10")), 0);
	CU_ASSERT_EQUAL(mac_from_text("00:11:22:33:44:55", &mac), 0);
	CU_ASSERT_EQUAL(ip_cmp(ip_link_local_of(mac), ip("fe80::211:22ff:fe33:4455")), 0);
}

UNIT_MAIN("addr", UNIT_TEST(makes_a_link_local_address), UNIT_TEST(knows_loopback),
	  UNIT_TEST(mac_reads_what_it_writes), UNIT_TEST(mac_refuses_other_text),
	  UNIT_TEST(mac_reads_6_bytes_only), UNIT_TEST(mac_is_classified),
	  UNIT_TEST(ip_reads_what_it_writes), UNIT_TEST(ip_is_classified),
	  UNIT_TEST(ip_none_is_no_address), UNIT_TEST(ip_refuses_other_text),
	  UNIT_TEST(ip_reads_4_or_16_bytes_only), UNIT_TEST(endpoint_reads_what_it_writes),
	  UNIT_TEST(endpoint_takes_the_default_port), UNIT_TEST(endpoint_refuses_other_text),
	  UNIT_TEST(endpoint_fills_a_socket_address), UNIT_TEST(vni_is_1_to_24_bits))
