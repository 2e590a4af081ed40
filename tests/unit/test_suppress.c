/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "nveagent/suppress.h"
#include "tests/unit/unit.h"

static const struct mac guest = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac owner = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };
static const struct mac nobody;

static struct ip ip(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

struct pair {
	const char *guest, *target;
};

static const struct pair families[] = { { "10.0.0.1", "10.0.0.2" }, { "fd00::1", "fd00::2" } };

static struct frame read_back(const uint8_t *data, size_t size)
{
	struct frame frame = { 0 };

	CU_ASSERT_EQUAL_FATAL(frame_parse(data, size, true, &frame), 0);
	return frame;
}

/* The question of @source for @target; @sender none: a probe. */
static struct frame question(struct mac source, struct ip sender, struct ip target)
{
	uint8_t buffer[FRAME_BUILD_SIZE];
	size_t size = target.family == AF_INET
			      ? frame_build_arp_request(source, sender, target, buffer)
			      : frame_build_ns(source, sender, target, buffer);

	return read_back(buffer, size);
}

static void the_kernel_answers_what_is_known(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct frame asked = question(guest, ip(families[i].guest), ip(families[i].target));

		CU_ASSERT_EQUAL(suppress_judge(&asked, 1, owner, false), SUPPRESS_LEAVE);
		CU_ASSERT_EQUAL(suppress_judge(&asked, 0, nobody, false), SUPPRESS_ASK);
		CU_ASSERT_EQUAL(suppress_judge(&asked, 1, owner, true), SUPPRESS_ANSWER);
		CU_ASSERT_EQUAL(suppress_judge(&asked, 0, nobody, true), SUPPRESS_LEAVE);
		CU_ASSERT_EQUAL(suppress_judge(&asked, 2, owner, true), SUPPRESS_LEAVE);
	}
}

static void a_probe_is_answered_only_for_another(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct frame probe = question(guest, (struct ip){ 0 }, ip(families[i].target));

		CU_ASSERT_EQUAL(suppress_judge(&probe, 1, owner, false), SUPPRESS_ANSWER);
		CU_ASSERT_EQUAL(suppress_judge(&probe, 1, guest, false), SUPPRESS_LEAVE);
		CU_ASSERT_EQUAL(suppress_judge(&probe, 2, owner, false), SUPPRESS_LEAVE);
		CU_ASSERT_EQUAL(suppress_judge(&probe, 0, nobody, false), SUPPRESS_ASK);
		CU_ASSERT_EQUAL(suppress_judge(&probe, 1, guest, true), SUPPRESS_LEAVE);
	}
}

static void announcements_and_answers_are_left(void)
{
	uint8_t buffer[FRAME_BUILD_SIZE];
	struct frame frame = read_back(buffer, frame_build_garp(guest, ip("10.0.0.1"), buffer));

	CU_ASSERT_EQUAL(suppress_judge(&frame, 1, owner, false), SUPPRESS_LEAVE);
	CU_ASSERT_EQUAL(suppress_judge(&frame, 0, nobody, false), SUPPRESS_LEAVE);
	frame = read_back(buffer, frame_build_arp_reply(guest, ip("10.0.0.1"), owner,
							ip("10.0.0.2"), buffer));
	CU_ASSERT_EQUAL(suppress_judge(&frame, 0, nobody, false), SUPPRESS_LEAVE);
	frame = read_back(buffer, frame_build_unsolicited_na(guest, ip("fd00::1"), false, buffer));
	CU_ASSERT_EQUAL(suppress_judge(&frame, 0, nobody, false), SUPPRESS_LEAVE);
}

static void the_answer_is_the_owners_to_the_asker(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct frame asked = question(guest, ip(families[i].guest), ip(families[i].target)),
			     answer;
		uint8_t buffer[FRAME_BUILD_SIZE];

		answer = read_back(buffer, suppress_build_answer(&asked, owner, false, buffer));
		CU_ASSERT_EQUAL(answer.kind, asked.kind == FRAME_NS ? FRAME_NA : FRAME_ARP_REPLY);
		CU_ASSERT_EQUAL(mac_cmp(answer.source, owner), 0);
		CU_ASSERT_EQUAL(mac_cmp(answer.destination, guest), 0);
		CU_ASSERT_EQUAL(mac_cmp(answer.sender_mac, owner), 0);
		CU_ASSERT_EQUAL(ip_cmp(answer.sender_ip, ip(families[i].target)), 0);
		CU_ASSERT_EQUAL(answer.na_solicited, asked.kind == FRAME_NS);
		CU_ASSERT_FALSE(answer.na_router);
	}
}

static void the_answer_to_a_probe_is_for_the_asker_alone(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct frame probe = question(guest, (struct ip){ 0 }, ip(families[i].target)),
			     answer;
		uint8_t buffer[FRAME_BUILD_SIZE];

		answer = read_back(buffer, suppress_build_answer(&probe, owner, false, buffer));
		CU_ASSERT_EQUAL(mac_cmp(answer.destination, guest), 0);
		CU_ASSERT_EQUAL(ip_cmp(answer.sender_ip, ip(families[i].target)), 0);
		CU_ASSERT_FALSE(answer.na_solicited);
	}
}

/* Or the guest takes it from its list of default routers: RFC 4861 section 7.2.5. */
static void a_router_stays_one(void)
{
	struct frame asked = question(guest, ip("fd00::1"), ip("fe80::1")), answer;
	uint8_t buffer[FRAME_BUILD_SIZE];

	answer = read_back(buffer, suppress_build_answer(&asked, owner, true, buffer));
	CU_ASSERT_TRUE(answer.na_router);
	CU_ASSERT_TRUE(answer.na_override);
	answer = read_back(buffer, suppress_build_news(owner, ip("fe80::1"), true, buffer));
	CU_ASSERT_TRUE(answer.na_router);
	CU_ASSERT_FALSE(answer.na_solicited);
}

static void news_are_announcements(void)
{
	uint8_t buffer[FRAME_BUILD_SIZE];
	struct frame frame =
		read_back(buffer, suppress_build_news(owner, ip("10.0.0.2"), false, buffer));

	CU_ASSERT_EQUAL(frame.kind, FRAME_ARP_REQUEST);
	CU_ASSERT_EQUAL(mac_cmp(frame.destination, mac_broadcast), 0);
	CU_ASSERT_EQUAL(ip_cmp(frame.sender_ip, frame.target_ip), 0);
}

static void a_greeting_is_a_question_to_one_guest(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		uint8_t buffer[FRAME_BUILD_SIZE];
		size_t size = suppress_build_greeting(owner, ip(families[i].target), guest,
						      ip(families[i].guest), buffer);
		struct frame frame = read_back(buffer, size);
		struct mac mac;
		struct ip claimed;

		CU_ASSERT_EQUAL(mac_cmp(frame.destination, guest), 0);
		CU_ASSERT_EQUAL(ip_cmp(frame.target_ip, ip(families[i].guest)), 0);
		CU_ASSERT_TRUE(frame_claims(&frame, &mac, &claimed));
		CU_ASSERT_EQUAL(mac_cmp(mac, owner), 0);
		CU_ASSERT_EQUAL(ip_cmp(claimed, ip(families[i].target)), 0);
		CU_ASSERT_EQUAL(suppress_build_greeting(owner, ip(families[i].target), guest,
							ip(families[1 - i].guest), buffer),
				0);
	}
}

UNIT_MAIN("suppress", UNIT_TEST(the_kernel_answers_what_is_known),
	  UNIT_TEST(a_probe_is_answered_only_for_another),
	  UNIT_TEST(announcements_and_answers_are_left),
	  UNIT_TEST(the_answer_is_the_owners_to_the_asker),
	  UNIT_TEST(the_answer_to_a_probe_is_for_the_asker_alone), UNIT_TEST(a_router_stays_one),
	  UNIT_TEST(news_are_announcements), UNIT_TEST(a_greeting_is_a_question_to_one_guest))
