/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "net/frames.h"
#include "tests/unit/frames_samples.h"
#include "tests/unit/unit.h"

static const struct mac mac_11 = { { MAC_11 } };
static const struct ip v6_11 = { AF_INET6, { IP6_11 } };
static const struct ip none;

/* One field a line. */
/* clang-format off */
static const struct sample {
	const uint8_t *data;
	size_t size;
	struct frame says;
	bool claims;	/* that says.sender_ip is at sender_mac */
} samples[] = {
	{arp_request, sizeof(arp_request), {
		.kind = FRAME_ARP_REQUEST,
		.source = {{MAC_10}}, .destination = {{MAC_ALL}},
		.sender_mac = {{MAC_10}}, .sender_ip = {AF_INET, {IP4_16}},
		.target_ip = {AF_INET, {IP4_17}},
	}, true},
	{arp_reply, sizeof(arp_reply), {
		.kind = FRAME_ARP_REPLY,
		.source = {{MAC_11}}, .destination = {{MAC_10}},
		.sender_mac = {{MAC_11}}, .sender_ip = {AF_INET, {IP4_17}},
		.target_mac = {{MAC_10}}, .target_ip = {AF_INET, {IP4_16}},
	}, true},
	{rarp_request, sizeof(rarp_request), {
		.kind = FRAME_RARP_REQUEST,
		.source = {{MAC_10}}, .destination = {{MAC_ALL}},
		.sender_mac = {{MAC_10}}, .sender_ip = {AF_INET, {0}},
		.target_mac = {{MAC_10}}, .target_ip = {AF_INET, {0}},
	}, false},
	{rarp_reply, sizeof(rarp_reply), {
		.kind = FRAME_RARP_REPLY,
		.source = {{MAC_11}}, .destination = {{MAC_10}},
		.sender_mac = {{MAC_11}}, .sender_ip = {AF_INET, {IP4_17}},
		.target_mac = {{MAC_10}}, .target_ip = {AF_INET, {IP4_16}},
	}, false},
	{ns, sizeof(ns), {
		.kind = FRAME_NS,
		.source = {{MAC_10}}, .destination = {{0x33, 0x33, 0xff, 0x00, 0x00, 0x11}},
		.sender_mac = {{MAC_10}}, .sender_ip = {AF_INET6, {IP6_10}},
		.target_ip = {AF_INET6, {IP6_11}},
	}, true},
	{ns_probe, sizeof(ns_probe), {
		.kind = FRAME_NS,
		.source = {{MAC_11}}, .destination = {{0x33, 0x33, 0xff, 0x00, 0x00, 0x11}},
		.target_ip = {AF_INET6, {IP6_11}},
	}, false},
	{na, sizeof(na), {
		.kind = FRAME_NA,
		.source = {{MAC_11}}, .destination = {{MAC_10}},
		.sender_mac = {{MAC_11}}, .sender_ip = {AF_INET6, {IP6_11}},
		.target_ip = {AF_INET6, {IP6_11}},
		.na_solicited = true, .na_override = true,
	}, true},
	{na_unsolicited, sizeof(na_unsolicited), {
		.kind = FRAME_NA,
		.source = {{MAC_10}}, .destination = {{0x33, 0x33, 0x00, 0x00, 0x00, 0x01}},
		.sender_mac = {{MAC_10}}, .sender_ip = {AF_INET6, {IP6_10}},
		.target_ip = {AF_INET6, {IP6_10}},
		.na_override = true,
	}, true},
	{router_advertisement, sizeof(router_advertisement), {
		.kind = FRAME_RA,
		.source = {{MAC_10}}, .destination = {{0x33, 0x33, 0x00, 0x00, 0x00, 0x01}},
		.sender_mac = {{MAC_10}}, .sender_ip = {AF_INET6, {IP6_LOCAL_10}},
	}, true},
};
/* clang-format on */

static void expect_frame(const struct frame *got, const struct frame *want)
{
	CU_ASSERT_EQUAL(got->kind, want->kind);
	CU_ASSERT_EQUAL(mac_cmp(got->source, want->source), 0);
	CU_ASSERT_EQUAL(mac_cmp(got->destination, want->destination), 0);
	CU_ASSERT_EQUAL(mac_cmp(got->sender_mac, want->sender_mac), 0);
	CU_ASSERT_EQUAL(ip_cmp(got->sender_ip, want->sender_ip), 0);
	CU_ASSERT_EQUAL(mac_cmp(got->target_mac, want->target_mac), 0);
	CU_ASSERT_EQUAL(ip_cmp(got->target_ip, want->target_ip), 0);
	CU_ASSERT_EQUAL(got->na_solicited, want->na_solicited);
	CU_ASSERT_EQUAL(got->na_override, want->na_override);
	CU_ASSERT_EQUAL(got->na_router, want->na_router);
}

/* Parses a copy in a block of its exact size, so that a sanitizer sees a read past it. */
static int parse(const uint8_t *data, size_t size, bool checksum_done, struct frame *ret_frame)
{
	_cleanup_free_ uint8_t *copy = malloc(size ? size : 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, data, size);
	return frame_parse(copy, size, checksum_done, ret_frame);
}

/* --- reading --- */

static void reads_every_kind(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct frame frame = { .kind = FRAME_KIND_COUNT };

		CU_ASSERT_EQUAL(parse(samples[i].data, samples[i].size, true, &frame), 0);
		expect_frame(&frame, &samples[i].says);
	}
}

static void refuses_every_truncation(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct frame frame = { .kind = FRAME_KIND_COUNT };

		for (size_t size = 0; size < samples[i].size; size++) {
			CU_ASSERT_EQUAL(parse(samples[i].data, size, true, &frame), -EBADMSG);
			CU_ASSERT_EQUAL(parse(samples[i].data, size, false, &frame), -EBADMSG);
		}
		CU_ASSERT_EQUAL(frame.kind, FRAME_KIND_COUNT);
	}
}

static void ignores_padding(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t padded[FRAME_BUILD_SIZE];
		struct frame frame = { .kind = FRAME_KIND_COUNT };

		memset(padded, 0xa5, sizeof(padded));
		memcpy(padded, samples[i].data, samples[i].size);
		CU_ASSERT_EQUAL(parse(padded, sizeof(padded), true, &frame), 0);
		expect_frame(&frame, &samples[i].says);
	}
}

enum {
	ND_FIRST_SAMPLE = 4,
	ND_FIRST_BIT = 22 * 8, /* of the IPv6 source address */
};

/* No flipped bit of an ND message or of its addresses passes the checksum. */
static void sees_every_flipped_bit(void)
{
	for (size_t i = ND_FIRST_SAMPLE; i < ARRAY_SIZE(samples); i++) {
		for (size_t bit = ND_FIRST_BIT; bit < samples[i].size * 8; bit++) {
			uint8_t copy[FRAME_BUILD_SIZE];
			struct frame frame = { .kind = FRAME_OTHER };

			memcpy(copy, samples[i].data, samples[i].size);
			copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
			(void) parse(copy, samples[i].size, true, &frame);
			CU_ASSERT_EQUAL(frame.kind, FRAME_OTHER);
		}
	}
}

static void leaves_an_undone_checksum_alone(void)
{
	uint8_t copy[sizeof(na)];
	struct frame frame;

	memcpy(copy, na, sizeof(copy));
	copy[56] ^= 0xff; /* the checksum */
	CU_ASSERT_EQUAL(parse(copy, sizeof(copy), true, &frame), -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(parse(copy, sizeof(copy), false, &frame), 0);
	expect_frame(&frame, &samples[6].says);
}

/* One byte of a sample changed; the checksum is not looked at. */
static const struct mutation {
	const uint8_t *data;
	size_t size, offset;
	uint8_t value;
	int result;
	enum frame_kind kind; /* when the result is 0 */
} mutations[] = {
	{ arp_request, sizeof(arp_request), 15, 6, -EBADMSG, 0 }, /* hardware type */
	{ arp_request, sizeof(arp_request), 14, 1, -EBADMSG, 0 },
	{ arp_request, sizeof(arp_request), 17, 6, -EBADMSG, 0 },    /* protocol type */
	{ arp_request, sizeof(arp_request), 18, 8, -EBADMSG, 0 },    /* hardware size */
	{ arp_request, sizeof(arp_request), 19, 16, -EBADMSG, 0 },   /* protocol size */
	{ arp_request, sizeof(arp_request), 21, 8, 0, FRAME_OTHER }, /* InARP: RFC 2390 */
	{ arp_request, sizeof(arp_request), 20, 1, 0, FRAME_OTHER },
	{ arp_request, sizeof(arp_request), 21, 3, 0,
	  FRAME_OTHER }, /* RARP's, under ARP's EtherType */
	{ rarp_request, sizeof(rarp_request), 21, 1, 0, FRAME_OTHER }, /* and the reverse */
	{ rarp_request, sizeof(rarp_request), 18, 0, -EBADMSG, 0 },
	{ arp_request, sizeof(arp_request), 13, 0x00, 0, FRAME_OTHER }, /* EtherType: IPv4 */
	{ arp_request, sizeof(arp_request), 12, 0x81, 0, FRAME_OTHER },
	{ ns, sizeof(ns), 14, 0x40, -EBADMSG, 0 }, /* IP version */
	{ ns, sizeof(ns), 14, 0x6f, 0, FRAME_NS }, /* traffic class */
	{ ns, sizeof(ns), 19, 0x1f, -EBADMSG, 0 }, /* payload size: an option is cut */
	{ ns, sizeof(ns), 19, 0x18, 0, FRAME_NS }, /* payload size: no option */
	{ ns, sizeof(ns), 19, 0x17, -EBADMSG, 0 },
	{ ns, sizeof(ns), 19, 0x21, -EBADMSG, 0 }, /* payload size: more than there is */
	{ ns, sizeof(ns), 19, 0x00, -EBADMSG, 0 },
	{ ns, sizeof(ns), 20, 17, 0, FRAME_OTHER },  /* UDP */
	{ ns, sizeof(ns), 20, 44, 0, FRAME_OTHER },  /* fragment: RFC 6980 */
	{ ns, sizeof(ns), 20, 59, 0, FRAME_OTHER },  /* nothing */
	{ ns, sizeof(ns), 21, 254, -EBADMSG, 0 },    /* hop limit: a router forwarded it */
	{ ns, sizeof(ns), 22, 0xff, -EBADMSG, 0 },   /* source: multicast */
	{ ns, sizeof(ns), 54, 133, 0, FRAME_OTHER }, /* router solicitation */
	{ ns, sizeof(ns), 54, 134, -EBADMSG, 0 },    /* RA that is not from a link-local address */
	{ ns, sizeof(ns), 55, 1, -EBADMSG, 0 },	     /* code */
	{ ns, sizeof(ns), 62, 0xff, -EBADMSG, 0 },   /* target: multicast */
	{ ns, sizeof(ns), 78, 2, 0, FRAME_NS },	     /* target option in an NS: ignored */
	{ ns, sizeof(ns), 79, 0, -EBADMSG, 0 },	     /* option size */
	{ ns, sizeof(ns), 79, 2, -EBADMSG, 0 },
	{ ns_probe, sizeof(ns_probe), 38, 0xfe, -EBADMSG, 0 }, /* a probe to unicast */
	{ ns_probe, sizeof(ns_probe), 78, 1, -EBADMSG, 0 },    /* a probe with source option */
	{ na, sizeof(na), 21, 64, -EBADMSG, 0 },
	{ na, sizeof(na), 38, 0xff, -EBADMSG, 0 }, /* solicited, to a group */
	{ na, sizeof(na), 55, 1, -EBADMSG, 0 },
	{ na, sizeof(na), 62, 0xff, -EBADMSG, 0 },
	{ na, sizeof(na), 79, 0, -EBADMSG, 0 },
	{ router_advertisement, sizeof(router_advertisement), 21, 64, -EBADMSG, 0 },
	{ router_advertisement, sizeof(router_advertisement), 22, 0x20, -EBADMSG, 0 },
	{ router_advertisement, sizeof(router_advertisement), 23, 0xc0, -EBADMSG,
	  0 }, /* fec0::/10 */
	{ router_advertisement, sizeof(router_advertisement), 23, 0xbf, 0, FRAME_RA },
	{ router_advertisement, sizeof(router_advertisement), 19, 0x10, 0,
	  FRAME_RA }, /* no option */
	{ router_advertisement, sizeof(router_advertisement), 19, 0x0f, -EBADMSG, 0 },
	{ router_advertisement, sizeof(router_advertisement), 55, 1, -EBADMSG, 0 },
	{ router_advertisement, sizeof(router_advertisement), 60, 0, 0, FRAME_RA }, /* lifetime */
	{ router_advertisement, sizeof(router_advertisement), 70, 3, 0, FRAME_RA }, /* a prefix? */
	{ router_advertisement, sizeof(router_advertisement), 71, 0, -EBADMSG, 0 },
	{ router_solicitation, sizeof(router_solicitation), 0, 0x33, 0,
	  FRAME_OTHER }, /* as it was */
};

static void minds_what_the_RFCs_ask(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(mutations); i++) {
		const struct mutation *m = &mutations[i];
		struct frame frame = { .kind = FRAME_KIND_COUNT };
		uint8_t copy[FRAME_BUILD_SIZE];
		int r;

		memcpy(copy, m->data, m->size);
		copy[m->offset] = m->value;
		r = parse(copy, m->size, false, &frame);
		CU_ASSERT_EQUAL(r, m->result);
		CU_ASSERT_EQUAL(frame.kind, r < 0 ? FRAME_KIND_COUNT : m->kind);
		if (r != m->result || frame.kind != (r < 0 ? FRAME_KIND_COUNT : m->kind))
			fprintf(stderr, "mutation %zu, offset %zu\n", i, m->offset);
	}
}

static void reads_the_flags(void)
{
	uint8_t copy[sizeof(na)];
	struct frame frame;

	memcpy(copy, na, sizeof(copy));
	copy[58] = 0x80;
	CU_ASSERT_EQUAL_FATAL(parse(copy, sizeof(copy), false, &frame), 0);
	CU_ASSERT_TRUE(frame.na_router);
	CU_ASSERT_FALSE(frame.na_solicited);
	CU_ASSERT_FALSE(frame.na_override);
}

/* The first of two options counts, as in Linux net/ipv6/ndisc.c, ndisc_parse_options(). */
static void takes_the_first_option(void)
{
	static const uint8_t second[] = { 0x02, 0x01, MAC_10 };
	uint8_t copy[sizeof(na) + sizeof(second)];
	struct frame frame;

	memcpy(copy, na, sizeof(na));
	memcpy(copy + sizeof(na), second, sizeof(second));
	copy[19] += sizeof(second);
	CU_ASSERT_EQUAL_FATAL(parse(copy, sizeof(copy), false, &frame), 0);
	expect_frame(&frame, &samples[6].says);
}

/* --- extension headers --- */

enum {
	EXTENSION_AT = 54, /* behind the IPv6 header */
};

/* Puts @size bytes of extension header between the IPv6 header and the message of ns[]. */
static size_t extend_ns(uint8_t next_header, const uint8_t *extension, size_t size, uint8_t *frame)
{
	memcpy(frame, ns, EXTENSION_AT);
	memcpy(frame + EXTENSION_AT, extension, size);
	memcpy(frame + EXTENSION_AT + size, ns + EXTENSION_AT, sizeof(ns) - EXTENSION_AT);
	frame[20] = next_header;
	frame[19] = (uint8_t) (frame[19] + size);
	return sizeof(ns) + size;
}

static void looks_behind_extension_headers(void)
{
	static const uint8_t pad_8[] = { 58, 0, 1, 4, 0, 0, 0, 0 };
	static const uint8_t pad_16[] = { 58, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t two[] = { 60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0 };
	static const struct {
		uint8_t next_header;
		const uint8_t *data;
		size_t size;
	} extensions[] = {
		{ 0, pad_8, sizeof(pad_8) },  { 60, pad_8, sizeof(pad_8) },
		{ 43, pad_8, sizeof(pad_8) }, { 60, pad_16, sizeof(pad_16) },
		{ 0, two, sizeof(two) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
		struct frame frame = { .kind = FRAME_KIND_COUNT };
		uint8_t data[FRAME_BUILD_SIZE];
		size_t size = extend_ns(extensions[i].next_header, extensions[i].data,
					extensions[i].size, data);

		CU_ASSERT_EQUAL_FATAL(parse(data, size, true, &frame), 0);
		expect_frame(&frame, &samples[4].says);
		for (size_t cut = 0; cut < size; cut++)
			CU_ASSERT_EQUAL(parse(data, cut, true, &frame), -EBADMSG);
	}
}

static void leaves_other_extension_headers(void)
{
	static const uint8_t fragment[] = { 58, 0, 0, 1, 0, 0, 0, 42 };
	static const uint8_t too_long[] = { 58, 200, 1, 4, 0, 0, 0, 0 };
	struct frame frame = { .kind = FRAME_KIND_COUNT };
	uint8_t data[FRAME_BUILD_SIZE];
	size_t size;

	size = extend_ns(44, fragment, sizeof(fragment), data);
	CU_ASSERT_EQUAL_FATAL(parse(data, size, true, &frame), 0);
	CU_ASSERT_EQUAL(frame.kind, FRAME_OTHER);
	size = extend_ns(60, too_long, sizeof(too_long), data);
	CU_ASSERT_EQUAL(parse(data, size, true, &frame), -EBADMSG);
}

/* --- claims --- */

static void claims_what_it_proves(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct frame *says = &samples[i].says;
		struct mac mac = mac_broadcast;
		struct ip ip = none;
		bool claims = frame_claims(says, &mac, &ip);

		CU_ASSERT_EQUAL(claims, samples[i].claims);
		CU_ASSERT_EQUAL(mac_cmp(mac, claims ? says->sender_mac : mac_broadcast), 0);
		CU_ASSERT_EQUAL(ip_cmp(ip, claims ? says->sender_ip : none), 0);
	}
}

static void claims_the_source_without_an_option(void)
{
	struct frame frame = samples[6].says;
	struct mac mac = { 0 };
	struct ip ip = none;

	frame.sender_mac = (struct mac){ 0 };
	CU_ASSERT_TRUE(frame_claims(&frame, &mac, &ip));
	CU_ASSERT_EQUAL(mac_cmp(mac, mac_11), 0);
	CU_ASSERT_EQUAL(ip_cmp(ip, v6_11), 0);
}

static void claims_nothing_that_nobody_owns(void)
{
	static const struct ip nobody[] = {
		{ 0 },
		{ AF_INET, { 0 } },
		{ AF_INET, { 224, 0, 0, 1 } },
		{ AF_INET, { 255, 255, 255, 255 } },
		{ AF_INET, { 127, 0, 0, 1 } },
		{ AF_INET6, { 0 } },
		{ AF_INET6, { [15] = 1 } },
		{ AF_INET6, { 0xff, 0x02, [15] = 1 } },
	};
	struct frame frame;
	struct mac mac;
	struct ip ip;

	for (size_t i = 0; i < ARRAY_SIZE(nobody); i++) {
		frame = samples[0].says;
		frame.sender_ip = nobody[i];
		CU_ASSERT_FALSE(frame_claims(&frame, &mac, &ip));
	}
	frame = samples[0].says;
	frame.sender_mac = mac_broadcast;
	CU_ASSERT_FALSE(frame_claims(&frame, &mac, &ip));
	frame.sender_mac = (struct mac){ 0 };
	CU_ASSERT_FALSE(frame_claims(&frame, &mac, &ip));
}

static void names_every_kind(void)
{
	CU_ASSERT_STRING_EQUAL(frame_kind_name(FRAME_OTHER), "other");
	CU_ASSERT_STRING_EQUAL(frame_kind_name(FRAME_NA), "NA");
	CU_ASSERT_STRING_EQUAL(frame_kind_name(FRAME_KIND_COUNT), "invalid");
}

UNIT_MAIN("frames", UNIT_TEST(reads_every_kind), UNIT_TEST(refuses_every_truncation),
	  UNIT_TEST(ignores_padding), UNIT_TEST(sees_every_flipped_bit),
	  UNIT_TEST(leaves_an_undone_checksum_alone), UNIT_TEST(minds_what_the_RFCs_ask),
	  UNIT_TEST(reads_the_flags), UNIT_TEST(takes_the_first_option),
	  UNIT_TEST(looks_behind_extension_headers), UNIT_TEST(leaves_other_extension_headers),
	  UNIT_TEST(claims_what_it_proves), UNIT_TEST(claims_the_source_without_an_option),
	  UNIT_TEST(claims_nothing_that_nobody_owns), UNIT_TEST(names_every_kind))
