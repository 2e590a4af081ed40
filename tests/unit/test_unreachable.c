// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The answers' layout is RFC 792's and RFC 4443's; both checksums are summed here independently.
 */
#include <string.h>

#include "net/unreachable.h"
#include "tests/unit/unit.h"

#define ETHER(type_) 0x52, 0x54, 0, 0xaa, 0, 0x10, 0x52, 0x54, 0, 0xaa, 0, 0x11, type_
#define ETHER_BACK   0x52, 0x54, 0, 0xaa, 0, 0x11, 0x52, 0x54, 0, 0xaa, 0, 0x10
#define FROM_4	     192, 0, 2, 17
#define TO_4	     192, 0, 2, 16
#define FROM_6	     0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11
#define TO_6	     0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10
#define UDP_12	     0x30, 0x39, 0x00, 0x07, 0x00, 0x0c, 0, 0, 'm', 'o', 'v', 'e'

enum {
	ETHER_SIZE = 14,
	IPV4_AT = ETHER_SIZE,
	IPV6_AT = ETHER_SIZE,
	ICMP_OF_IPV4 = ETHER_SIZE + 20,
	ICMP_OF_IPV6 = ETHER_SIZE + 40,
};

static const uint8_t udp4[] = {
	ETHER(0x08), 0x00, 0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, FROM_4, TO_4, UDP_12,
};
static const uint8_t udp6[] = {
	ETHER(0x86), 0xdd, 0x60, 0, 0, 0, 0, 12, 17, 64, FROM_6, TO_6, UDP_12,
};

/* RFC 1071's sum; a message with its checksum in place sums to 0xffff. */
static uint32_t sum_of(uint32_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum += (uint32_t) bytes[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void answers_ipv4(void)
{
	static const uint8_t back[] = { ETHER_BACK, 0x08, 0x00 };
	static const uint8_t addresses[] = { TO_4, FROM_4 };
	uint8_t answer[UNREACHABLE_SIZE_MAX];
	size_t size = unreachable_build(udp4, sizeof(udp4), answer);

	CU_ASSERT_EQUAL_FATAL(size, ICMP_OF_IPV4 + 8 + sizeof(udp4) - ETHER_SIZE);
	CU_ASSERT_EQUAL(memcmp(answer, back, sizeof(back)), 0);
	CU_ASSERT_EQUAL(answer[IPV4_AT], 0x45);
	CU_ASSERT_EQUAL(answer[IPV4_AT + 3], size - ETHER_SIZE);
	CU_ASSERT_EQUAL(answer[IPV4_AT + 9], 1); /* ICMP */
	CU_ASSERT_EQUAL(memcmp(answer + IPV4_AT + 12, addresses, sizeof(addresses)), 0);
	CU_ASSERT_EQUAL(sum_of(0, answer + IPV4_AT, 20), 0xffff);
	CU_ASSERT_EQUAL(answer[ICMP_OF_IPV4], 3);     /* unreachable */
	CU_ASSERT_EQUAL(answer[ICMP_OF_IPV4 + 1], 1); /* host */
	CU_ASSERT_EQUAL(sum_of(0, answer + ICMP_OF_IPV4, size - ICMP_OF_IPV4), 0xffff);
	CU_ASSERT_EQUAL(
		memcmp(answer + ICMP_OF_IPV4 + 8, udp4 + ETHER_SIZE, sizeof(udp4) - ETHER_SIZE), 0);
}

static void answers_ipv6(void)
{
	static const uint8_t back[] = { ETHER_BACK, 0x86, 0xdd };
	static const uint8_t addresses[] = { TO_6, FROM_6 };
	uint8_t answer[UNREACHABLE_SIZE_MAX];
	size_t size = unreachable_build(udp6, sizeof(udp6), answer);
	size_t icmp_size = size - ICMP_OF_IPV6;
	uint32_t pseudo;

	CU_ASSERT_EQUAL_FATAL(size, ICMP_OF_IPV6 + 8 + sizeof(udp6) - ETHER_SIZE);
	CU_ASSERT_EQUAL(memcmp(answer, back, sizeof(back)), 0);
	CU_ASSERT_EQUAL(answer[IPV6_AT], 0x60);
	CU_ASSERT_EQUAL(answer[IPV6_AT + 5], icmp_size);
	CU_ASSERT_EQUAL(answer[IPV6_AT + 6], 58); /* ICMPv6 */
	CU_ASSERT_EQUAL(memcmp(answer + IPV6_AT + 8, addresses, sizeof(addresses)), 0);
	CU_ASSERT_EQUAL(answer[ICMP_OF_IPV6], 1);     /* unreachable */
	CU_ASSERT_EQUAL(answer[ICMP_OF_IPV6 + 1], 3); /* address */
	pseudo = sum_of((uint32_t) icmp_size + 58, answer + IPV6_AT + 8, 32);
	CU_ASSERT_EQUAL(sum_of(pseudo, answer + ICMP_OF_IPV6, icmp_size), 0xffff);
	CU_ASSERT_EQUAL(
		memcmp(answer + ICMP_OF_IPV6 + 8, udp6 + ETHER_SIZE, sizeof(udp6) - ETHER_SIZE), 0);
}

static void cuts_long_ones(void)
{
	uint8_t frame[1514] = { 0 }, answer[UNREACHABLE_SIZE_MAX];

	memcpy(frame, udp4, sizeof(udp4));
	frame[IPV4_AT + 2] = 1500 >> 8;
	frame[IPV4_AT + 3] = 1500 & 0xff;
	CU_ASSERT_EQUAL(unreachable_build(frame, sizeof(frame), answer), ETHER_SIZE + 576);

	memcpy(frame, udp6, sizeof(udp6));
	frame[IPV6_AT + 4] = 1460 >> 8;
	frame[IPV6_AT + 5] = 1460 & 0xff;
	CU_ASSERT_EQUAL(unreachable_build(frame, sizeof(frame), answer), ETHER_SIZE + 1280);
}

static void leaves_padding_out(void)
{
	uint8_t frame[60] = { 0 }, answer[UNREACHABLE_SIZE_MAX];

	memcpy(frame, udp4, sizeof(udp4));
	CU_ASSERT_EQUAL(unreachable_build(frame, sizeof(frame), answer), ICMP_OF_IPV4 + 8 + 32);
}

/* One byte changed makes it a frame that must not be answered. */
static bool answers_with(const uint8_t *frame, size_t size, size_t at, uint8_t value)
{
	uint8_t copy[128], answer[UNREACHABLE_SIZE_MAX];

	memcpy(copy, frame, size);
	copy[at] = value;
	return unreachable_build(copy, size, answer) > 0;
}

static void keeps_silent_ipv4(void)
{
	CU_ASSERT_TRUE(answers_with(udp4, sizeof(udp4), IPV4_AT + 1, 0));
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), 0, 0x53));	    /* to a group */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), 12, 0x81));	    /* another EtherType */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT, 0x44));   /* header too short */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT, 0x65));   /* version 6 */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT + 3, 19)); /* too short */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT + 7, 1));  /* second fragment */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT + 12, 0)); /* from 0.0.2.17 */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT + 12, 127)); /* from loopback */
	CU_ASSERT_FALSE(answers_with(udp4, sizeof(udp4), IPV4_AT + 16, 224)); /* to a group */
}

static void answers_queries_alone(void)
{
	uint8_t icmp[sizeof(udp4)], icmp6[sizeof(udp6)];

	memcpy(icmp, udp4, sizeof(udp4));
	icmp[IPV4_AT + 9] = 1;
	memcpy(icmp6, udp6, sizeof(udp6));
	icmp6[IPV6_AT + 6] = 58;
	for (unsigned type = 0; type < 256; type++) {
		bool query = type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);

		CU_ASSERT_EQUAL(answers_with(icmp, sizeof(icmp), ICMP_OF_IPV4, (uint8_t) type),
				query);
		CU_ASSERT_EQUAL(answers_with(icmp6, sizeof(icmp6), ICMP_OF_IPV6, (uint8_t) type),
				type >= 128 && type != 137);
	}
}

static void keeps_silent_ipv6(void)
{
	static const uint8_t headers[] = { 0, 43, 44, 60 };

	CU_ASSERT_TRUE(answers_with(udp6, sizeof(udp6), IPV6_AT + 1, 0));
	CU_ASSERT_FALSE(answers_with(udp6, sizeof(udp6), IPV6_AT, 0x40));      /* version 4 */
	CU_ASSERT_FALSE(answers_with(udp6, sizeof(udp6), IPV6_AT + 8, 0xff));  /* from a group */
	CU_ASSERT_FALSE(answers_with(udp6, sizeof(udp6), IPV6_AT + 24, 0xff)); /* to a group */
	for (size_t i = 0; i < sizeof(headers); i++)
		CU_ASSERT_FALSE(answers_with(udp6, sizeof(udp6), IPV6_AT + 6, headers[i]));
}

static void survives_every_truncation(void)
{
	uint8_t answer[UNREACHABLE_SIZE_MAX];

	for (size_t size = 0; size < sizeof(udp4); size++)
		CU_ASSERT_TRUE(unreachable_build(udp4, size, answer) <= ICMP_OF_IPV4 + 8 + size);
	for (size_t size = 0; size < ETHER_SIZE + 20; size++)
		CU_ASSERT_EQUAL(unreachable_build(udp4, size, answer), 0);
	for (size_t size = 0; size < ETHER_SIZE + 40; size++)
		CU_ASSERT_EQUAL(unreachable_build(udp6, size, answer), 0);
}

UNIT_MAIN("unreachable", UNIT_TEST(answers_ipv4), UNIT_TEST(answers_ipv6),
	  UNIT_TEST(cuts_long_ones), UNIT_TEST(leaves_padding_out), UNIT_TEST(keeps_silent_ipv4),
	  UNIT_TEST(keeps_silent_ipv6), UNIT_TEST(answers_queries_alone),
	  UNIT_TEST(survives_every_truncation))
