/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "net/frames.h"
#include "net/frames_wire.h"
#include "tests/unit/frames_samples.h"
#include "tests/unit/unit.h"

static const struct mac mac_10 = { { MAC_10 } }, mac_11 = { { MAC_11 } };
static const struct ip v4_16 = { AF_INET, { IP4_16 } }, v4_17 = { AF_INET, { IP4_17 } };
static const struct ip v6_10 = { AF_INET6, { IP6_10 } }, v6_11 = { AF_INET6, { IP6_11 } };
static const struct ip none;

/* A canary follows, so that a builder that writes too much is seen. */
struct target {
	uint8_t bytes[FRAME_BUILD_SIZE];
	uint8_t canary[16];
};

static void target_reset(struct target *target)
{
	memset(target, 0xa5, sizeof(*target));
}

/* The frame is @sample, then zeros up to the least size of a frame. */
static void expect_built(const struct target *target, size_t size, const uint8_t *sample,
			 size_t sample_size)
{
	size_t want = sample_size < FRAME_SIZE_MIN ? FRAME_SIZE_MIN : sample_size;

	CU_ASSERT_EQUAL_FATAL(size, want);
	CU_ASSERT_EQUAL(memcmp(target->bytes, sample, sample_size), 0);
	for (size_t i = sample_size; i < want; i++)
		CU_ASSERT_EQUAL(target->bytes[i], 0);
	for (size_t i = 0; i < sizeof(target->canary); i++)
		CU_ASSERT_EQUAL(target->canary[i], 0xa5);
}

#define EXPECT_BUILT(sample, builder, ...)                               \
	do {                                                             \
		struct target target_;                                   \
		size_t size_;                                            \
                                                                         \
		target_reset(&target_);                                  \
		size_ = (builder) (__VA_ARGS__, target_.bytes);          \
		expect_built(&target_, size_, (sample), sizeof(sample)); \
	} while (0)

static void builds_what_the_kernel_sends(void)
{
	EXPECT_BUILT(arp_request, frame_build_arp_request, mac_10, v4_16, v4_17);
	EXPECT_BUILT(arp_reply, frame_build_arp_reply, mac_11, v4_17, mac_10, v4_16);
	EXPECT_BUILT(ns, frame_build_ns, mac_10, v6_10, v6_11);
	EXPECT_BUILT(na, frame_build_na, mac_11, v6_11, mac_10, v6_10);
	EXPECT_BUILT(na_unsolicited, frame_build_unsolicited_na, mac_10, v6_10, false);
}

static void builds_rarp(void)
{
	EXPECT_BUILT(rarp_request, frame_build_rarp_request, mac_10);
	EXPECT_BUILT(rarp_reply, frame_build_rarp_reply, mac_11, v4_17, mac_10, v4_16);
}

/* RFC 5227: both addresses are the announced one (2.3); a probe has no sender (2.1.1). */
static void builds_announcement_and_probe(void)
{
	uint8_t want[sizeof(arp_request)];

	memcpy(want, arp_request, sizeof(want));
	want[41] = 0x10;
	EXPECT_BUILT(want, frame_build_garp, mac_10, v4_16);

	/* RFC 5944 section 4.6: the reply form says it twice. */
	memcpy(want, arp_reply, sizeof(want));
	memcpy(want, (const uint8_t[]){ MAC_ALL, MAC_10 }, 12);
	memcpy(want + 22, (const uint8_t[]){ MAC_10, IP4_16, MAC_10, IP4_16 }, 20);
	EXPECT_BUILT(want, frame_build_garp_reply, mac_10, v4_16);

	memcpy(want, arp_request, sizeof(want));
	memset(want + 28, 0, 4);
	EXPECT_BUILT(want, frame_build_arp_request, mac_10, none, v4_17);
}

/*
 * As the kernel's request and NS, but to one host: RFC 1122 section 2.3.2.1, RFC 4861 section
 * 7.3.3.
 */
static void builds_polls(void)
{
	uint8_t arp[sizeof(arp_request)], nd[sizeof(ns)];
	struct ipv6_wire *header = (struct ipv6_wire *) (nd + 14);

	memcpy(arp, arp_request, sizeof(arp));
	memcpy(arp, mac_11.octet, MAC_SIZE);
	memset(arp + 28, 0, 4);
	EXPECT_BUILT(arp, frame_build_arp_poll, mac_10, none, mac_11, v4_17);

	memcpy(nd, ns, sizeof(nd));
	memcpy(nd, mac_11.octet, MAC_SIZE);
	memcpy(header->destination, v6_11.octet, sizeof(header->destination));
	memset(nd + 56, 0, 2);
	be16_write(nd + 56, icmpv6_checksum(header, nd + 54, sizeof(nd) - 54));
	EXPECT_BUILT(nd, frame_build_ns_poll, mac_10, v6_10, mac_11, v6_11);
}

static void builds_a_routers_na(void)
{
	uint8_t want[sizeof(na_unsolicited)];
	struct ipv6_wire *header = (struct ipv6_wire *) (want + 14);

	memcpy(want, na_unsolicited, sizeof(want));
	want[58] = 0xa0; /* router, override */
	memset(want + 56, 0, 2);
	be16_write(want + 56, icmpv6_checksum(header, want + 54, sizeof(want) - 54));
	EXPECT_BUILT(want, frame_build_unsolicited_na, mac_10, v6_10, true);
}

/* The kernel's probe, but for its nonce. */
static void builds_a_dad_probe(void)
{
	struct frame got, want;
	struct target target;
	size_t size;

	target_reset(&target);
	size = frame_build_ns(mac_11, none, v6_11, target.bytes);
	CU_ASSERT_EQUAL_FATAL(size, sizeof(ns_probe) - 8);
	CU_ASSERT_EQUAL_FATAL(frame_parse(target.bytes, size, true, &got), 0);
	CU_ASSERT_EQUAL_FATAL(frame_parse(ns_probe, sizeof(ns_probe), true, &want), 0);
	CU_ASSERT_EQUAL(got.kind, FRAME_NS);
	CU_ASSERT_EQUAL(mac_cmp(got.source, want.source), 0);
	CU_ASSERT_EQUAL(mac_cmp(got.destination, want.destination), 0);
	CU_ASSERT_TRUE(mac_is_zero(got.sender_mac));
	CU_ASSERT_TRUE(ip_is_none(got.sender_ip));
	CU_ASSERT_EQUAL(ip_cmp(got.target_ip, want.target_ip), 0);
}

static void answers_a_dad_probe_to_all(void)
{
	EXPECT_BUILT(na_unsolicited, frame_build_na, mac_10, v6_10, mac_11, none);
}

static void builds_no_mixed_families(void)
{
	uint8_t buffer[FRAME_BUILD_SIZE];

	CU_ASSERT_EQUAL(frame_build_garp(mac_10, v6_10, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_garp(mac_10, none, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_garp_reply(mac_10, v6_10, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_garp_reply(mac_10, none, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_poll(mac_10, none, mac_11, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_poll(mac_10, v4_16, mac_11, none, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_ns_poll(mac_10, none, mac_11, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_ns_poll(mac_10, v6_10, mac_11, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_request(mac_10, v6_10, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_request(mac_10, v4_16, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_request(mac_10, v4_16, none, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_reply(mac_10, v6_10, mac_11, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_reply(mac_10, v4_16, mac_11, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_arp_reply(mac_10, none, mac_11, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_rarp_reply(mac_10, v6_10, mac_11, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_rarp_reply(mac_10, v4_16, mac_11, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_rarp_reply(mac_10, none, mac_11, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_rarp_reply(mac_10, v4_16, mac_11, none, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_unsolicited_na(mac_10, v4_16, false, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_unsolicited_na(mac_10, none, false, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_ns(mac_10, v4_16, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_ns(mac_10, v6_10, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_ns(mac_10, v6_10, none, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_na(mac_10, v4_16, mac_11, v6_11, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_na(mac_10, v6_10, mac_11, v4_17, buffer), 0);
	CU_ASSERT_EQUAL(frame_build_na(mac_10, none, mac_11, v6_11, buffer), 0);
}

UNIT_MAIN("frames_build", UNIT_TEST(builds_what_the_kernel_sends), UNIT_TEST(builds_rarp),
	  UNIT_TEST(builds_announcement_and_probe), UNIT_TEST(builds_polls),
	  UNIT_TEST(builds_a_routers_na), UNIT_TEST(builds_a_dad_probe),
	  UNIT_TEST(answers_a_dad_probe_to_all), UNIT_TEST(builds_no_mixed_families))
