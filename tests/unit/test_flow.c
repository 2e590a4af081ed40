// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_flow.c - flows as bytes: annotated, both families, each protocol, every truncation and
 * fault.
 */
#include <errno.h>
#include <string.h>

#include "nveagent/flow.h"
#include "tests/unit/unit.h"

/* clang-format off */
/*
 * A TCP connection over IPv4 from 10.0.0.1 to a translated 192.0.2.80:80, served by 10.0.0.16:8080.
 */
static const uint8_t tcp4_bytes[] = {
	0x01,			/* version */
	0x00, 0x01,		/* one flow */
	0x04, 0x06,		/* IPv4, TCP */
	0x07,			/* zones of both directions, labels */
	0x00, 0x00, 0x00, 0x06,	/* assured, seen reply */
	0x00, 0x06, 0x97, 0x80,	/* 432000 s */
	0x00, 0x00, 0x00, 0x2a,	/* mark 42 */
	10, 0, 0, 1,  192, 0, 2, 80,  0x9c, 0x40, 0x00, 0x50,
	10, 0, 0, 16, 10, 0, 0, 1,    0x1f, 0x90, 0x9c, 0x40,
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
	0x03,			/* established */
	0x03, 0x0b,		/* window scale and SACK; liberal as well */
	0x07, 0x0e,		/* 7, 14 */
};
enum { TCP4_FAMILY = 3, TCP4_PROTOCOL, TCP4_BITS, TCP4_STATUS = 6, TCP4_TIMEOUT = 10,
       TCP4_STATE = 58, TCP4_FLAGS, TCP4_SCALE = 61 };

/* An echo over IPv6 that nobody has answered. */
static const uint8_t icmp6_bytes[] = {
	0x01, 0x00, 0x01,
	0x06, 0x3a, 0x00,
	0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x1e,
	0x00, 0x00, 0x00, 0x00,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
	0x12, 0x34, 0x80, 0x00,	/* identifier; echo request */
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	0x12, 0x34, 0x81, 0x00,	/* echo reply */
};
/* clang-format on */

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

static void expect_bytes(const struct flow *flow, const uint8_t *bytes, size_t size)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t packed = 0;

	CU_ASSERT_EQUAL_FATAL(flows_pack(flow, 1, 4096, &data, &packed), 1);
	CU_ASSERT_EQUAL_FATAL(packed, size);
	CU_ASSERT_EQUAL(memcmp(data, bytes, size), 0);
}

/* As bytes, which have no padding. */
static void expect_same(const struct flow *flow, const struct flow *other)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t size = 0;

	CU_ASSERT_EQUAL_FATAL(flows_pack(other, 1, 4096, &data, &size), 1);
	expect_bytes(flow, data, size);
}

static void reads_tcp_over_ipv4(void)
{
	_cleanup_free_ struct flow *flows = NULL;
	const char *what = NULL;
	const struct flow_tuple *there, *back;

	CU_ASSERT_EQUAL_FATAL(flows_unpack(tcp4_bytes, sizeof(tcp4_bytes), &flows, &what), 1);
	there = &flows->tuples[FLOW_ORIGINAL];
	back = &flows->tuples[FLOW_REPLY];
	CU_ASSERT_EQUAL(ip_cmp(there->src, ip_of("10.0.0.1")), 0);
	CU_ASSERT_EQUAL(ip_cmp(there->dst, ip_of("192.0.2.80")), 0);
	CU_ASSERT_EQUAL(ip_cmp(back->src, ip_of("10.0.0.16")), 0);
	CU_ASSERT_EQUAL(there->src_port, 40000);
	CU_ASSERT_EQUAL(there->dst_port, 80);
	CU_ASSERT_EQUAL(back->src_port, 8080);
	CU_ASSERT_EQUAL(flows->protocol, IPPROTO_TCP);
	CU_ASSERT_EQUAL(flows->zones, 3);
	CU_ASSERT_EQUAL(flows->status, FLOW_ASSURED | FLOW_SEEN_REPLY);
	CU_ASSERT_EQUAL(flows->timeout_s, 432000);
	CU_ASSERT_EQUAL(flows->mark, 42);
	CU_ASSERT_TRUE(flows->has_labels);
	CU_ASSERT_EQUAL(flows->labels[15], 16);
	CU_ASSERT_EQUAL(flows->tcp.state, 3);
	CU_ASSERT_EQUAL(flows->tcp.flags[FLOW_REPLY], 0x0b);
	CU_ASSERT_EQUAL(flows->tcp.scale[FLOW_REPLY], 14);
	CU_ASSERT_FALSE(flow_is_translated(flows, true));
	CU_ASSERT_TRUE(flow_is_translated(flows, false));
	expect_bytes(flows, tcp4_bytes, sizeof(tcp4_bytes));
}

static void reads_icmp_over_ipv6(void)
{
	_cleanup_free_ struct flow *flows = NULL;
	const char *what = NULL;

	CU_ASSERT_EQUAL_FATAL(flows_unpack(icmp6_bytes, sizeof(icmp6_bytes), &flows, &what), 1);
	CU_ASSERT_EQUAL(ip_cmp(flows->tuples[FLOW_ORIGINAL].src, ip_of("fd00::10")), 0);
	CU_ASSERT_EQUAL(flows->tuples[FLOW_ORIGINAL].src_port, 0x1234);
	CU_ASSERT_EQUAL(flows->tuples[FLOW_ORIGINAL].dst_port, 128 << 8);
	CU_ASSERT_EQUAL(flows->timeout_s, 30);
	CU_ASSERT_FALSE(flows->has_labels);
	CU_ASSERT_FALSE(
		flow_is_translated(flows, true)); /* that a type is answered by another is no NAT */
	CU_ASSERT_FALSE(flow_is_translated(flows, false));
	expect_bytes(flows, icmp6_bytes, sizeof(icmp6_bytes));
}

/* --- there and back --- */

static struct flow sample(uint8_t protocol, bool ipv4, uint16_t port)
{
	struct ip ours = ip_of(ipv4 ? "10.0.0.16" : "fd00::10");
	struct ip other = ip_of(ipv4 ? "10.0.0.1" : "fd00::1");
	struct flow flow = {
		.tuples = {
			{ ours, other, port, 7 },
			{ other, ours, 7, port },
		},
		.protocol = protocol,
		.timeout_s = FLOW_TIMEOUT_MAX_S,
		.status = FLOW_STATUS_ALL,
		.mark = UINT32_MAX,
	};

	if (protocol == IPPROTO_SCTP) {
		flow.sctp.state = FLOW_SCTP_STATE_MAX;
		flow.sctp.tags[FLOW_ORIGINAL] = 0xdeadbeef;
		flow.sctp.tags[FLOW_REPLY] = 0xcafe;
	}
	return flow;
}

static void carries_each_protocol_of_both_families(void)
{
	static const uint8_t protocols[] = { IPPROTO_TCP,  IPPROTO_UDP, IPPROTO_UDPLITE,
					     IPPROTO_SCTP, IPPROTO_GRE, IPPROTO_ESP };
	struct flow flows[2 * ARRAY_SIZE(protocols)];
	_cleanup_free_ struct flow *read = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	const char *what = NULL;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
		flows[i] = sample(protocols[i / 2], i % 2, 1000);
	CU_ASSERT_EQUAL_FATAL(flows_pack(flows, ARRAY_SIZE(flows), 1 << 16, &data, &size),
			      (int) ARRAY_SIZE(flows));
	CU_ASSERT_EQUAL_FATAL(flows_unpack(data, size, &read, &what), (int) ARRAY_SIZE(flows));
	for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
		expect_same(&read[i], &flows[i]);
}

static void carries_none(void)
{
	_cleanup_free_ struct flow *read = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	const char *what = NULL;
	size_t size;

	CU_ASSERT_EQUAL_FATAL(flows_pack(NULL, 0, 4096, &data, &size), 0);
	CU_ASSERT_EQUAL(flows_unpack(data, size, &read, &what), 0);
}

static void packs_what_fits(void)
{
	_cleanup_free_ struct flow *flows = calloc(100, sizeof(*flows));
	size_t done = 0, size;
	unsigned parts = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(flows);
	for (size_t i = 0; i < 100; i++)
		flows[i] = sample(IPPROTO_TCP, i % 2, (uint16_t) i);
	for (; done < 100; parts++) {
		_cleanup_free_ struct flow *read = NULL;
		_cleanup_free_ uint8_t *data = NULL;
		const char *what = NULL;
		int n = flows_pack(flows + done, 100 - done, 4096, &data, &size);

		CU_ASSERT_TRUE_FATAL(n > 0);
		CU_ASSERT_TRUE(size <= 4096);
		CU_ASSERT_EQUAL_FATAL(flows_unpack(data, size, &read, &what), n);
		for (int i = 0; i < n; i++)
			CU_ASSERT_EQUAL(read[i].tuples[FLOW_ORIGINAL].src_port, done + (size_t) i);
		done += (size_t) n;
	}
	CU_ASSERT_TRUE(parts > 1);
	CU_ASSERT_EQUAL(flows_pack(flows, 1, 32, NULL, NULL), -EMSGSIZE);
}

/* --- what is wrong --- */

static void refuses_every_truncation(void)
{
	static const struct {
		const uint8_t *bytes;
		size_t size;
	} samples[] = { { tcp4_bytes, sizeof(tcp4_bytes) }, { icmp6_bytes, sizeof(icmp6_bytes) } };

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (size_t size = 0; size < samples[i].size; size++) {
			/* In a block of its size, so that a sanitizer sees a read past it. */
			_cleanup_free_ uint8_t *cut = malloc(size + (size == 0));
			struct flow *flows = NULL;
			const char *what = NULL;

			CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
			memcpy(cut, samples[i].bytes, size);
			CU_ASSERT_EQUAL(flows_unpack(cut, size, &flows, &what), -EBADMSG);
			CU_ASSERT_PTR_NOT_NULL(what);
			CU_ASSERT_PTR_NULL(flows);
		}
}

static void expect_fault(size_t at, uint8_t value, int error, const char *field)
{
	uint8_t bytes[sizeof(tcp4_bytes)];
	struct flow *flows = NULL;
	const char *what = "";

	memcpy(bytes, tcp4_bytes, sizeof(bytes));
	bytes[at] = value;
	CU_ASSERT_EQUAL(flows_unpack(bytes, sizeof(bytes), &flows, &what), error);
	CU_ASSERT_STRING_EQUAL(what, field);
	CU_ASSERT_PTR_NULL(flows);
}

static void names_what_is_wrong(void)
{
	expect_fault(0, 2, -EPROTONOSUPPORT, "");
	expect_fault(1, 0xff, -EBADMSG, "count");
	expect_fault(2, 0, -EBADMSG, "length");
	expect_fault(2, 2, -EBADMSG, "count");
	expect_fault(TCP4_FAMILY, 5, -EBADMSG, "family");
	expect_fault(TCP4_PROTOCOL, IPPROTO_ICMPV6, -EBADMSG, "protocol");
	expect_fault(TCP4_PROTOCOL, IPPROTO_UDP, -EBADMSG, "length");
	expect_fault(TCP4_BITS, 0x0f, -EBADMSG, "zones");
	expect_fault(TCP4_STATUS + 3, 0x08, -EBADMSG, "status");
	expect_fault(TCP4_TIMEOUT, 0x01, -EBADMSG, "timeout");
	expect_fault(TCP4_STATE, FLOW_TCP_STATE_MAX + 1, -EBADMSG, "TCP state");
	expect_fault(TCP4_FLAGS, 0x20, -EBADMSG, "TCP flags");
	expect_fault(TCP4_SCALE, FLOW_TCP_SCALE_MAX + 1, -EBADMSG, "TCP window scale");
}

static void tells_whose_a_flow_is(void)
{
	struct flow flow = sample(IPPROTO_UDP, true, 1);
	const struct ip vm = ip_of("10.0.0.16"), peer = ip_of("10.0.0.1"),
			other = ip_of("10.0.0.2"), vm6 = ip_of("fd00::10");
	const struct ip both[] = { vm6, vm };

	CU_ASSERT_TRUE(flow_has_end(&flow, &vm, 1));
	CU_ASSERT_TRUE(flow_has_end(&flow, &peer, 1));
	CU_ASSERT_TRUE(flow_has_end(&flow, both, 2));
	CU_ASSERT_FALSE(flow_has_end(&flow, &other, 1));
	CU_ASSERT_FALSE(flow_has_end(&flow, &vm6, 1));
	CU_ASSERT_FALSE(flow_has_end(&flow, NULL, 0));
	/* Sent to the VM's address but served by another: no flow of the VM. */
	flow.tuples[FLOW_ORIGINAL] = (struct flow_tuple){ peer, vm, 7, 80 };
	flow.tuples[FLOW_REPLY] = (struct flow_tuple){ other, peer, 80, 7 };
	CU_ASSERT_FALSE(flow_has_end(&flow, &vm, 1));
}

UNIT_MAIN("flow", UNIT_TEST(reads_tcp_over_ipv4), UNIT_TEST(reads_icmp_over_ipv6),
	  UNIT_TEST(carries_each_protocol_of_both_families), UNIT_TEST(carries_none),
	  UNIT_TEST(packs_what_fits), UNIT_TEST(refuses_every_truncation),
	  UNIT_TEST(names_what_is_wrong), UNIT_TEST(tells_whose_a_flow_is))
