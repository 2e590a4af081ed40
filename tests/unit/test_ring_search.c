/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_ring_search.c - what is asked to find a receive ring, and what QEMU 7.2.22 answered. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "nveagent/ring_search.h"
#include "tests/unit/unit.h"

#define DEVICE "/machine/peripheral-anon/device[0]/virtio-backend"
#define OTHER  "/machine/peripheral/net1/virtio-backend"
#define NETS                                                                                   \
	"[{\"name\": \"virtio-blk\", \"path\": \"/b\"}, {\"name\": \"virtio-net\", \"path\": " \
	"\"" DEVICE "\"}]"
#define MAC_TEXT "52:54:00:aa:00:10"
#define STATUS(endian, started, feature)                                                        \
	"{\"device-endian\": \"" endian "\", \"started\": " started ", \"guest-features\": "    \
	"{\"dev-features\": [], \"transports\": [\"VIRTIO_RING_F_EVENT_IDX: Used\", \"" feature \
	"\"]}}"
#define PLAIN STATUS("little", "true", "VIRTIO_F_VERSION_1: Device compliant for v1 spec (legacy)")
#define QUEUE                                                                        \
	"{\"vring-num\": 256, \"vring-desc\": 45219840, \"vring-avail\": 45223936, " \
	"\"vring-used\": 45224512, \"used-idx\": 12}"
#define NOWHERE "\"No memory is mapped at address 0x100000000\\r\\n\""

static const struct mac mac = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };

/* A question must be this text, and is answered with that. */
struct exchange {
	const char *question, *answer;
};

#define ASK(command, arguments)	      "{\"execute\":\"" command "\"" arguments "}"
#define ASK_PATH(command, path, more) ASK(command, ",\"arguments\":{\"path\":\"" path "\"" more "}")
#define ASK_HOST(address) \
	ASK("human-monitor-command", ",\"arguments\":{\"command-line\":\"gpa2hva " address "\"}")
#define HOST(text) "\"Host virtual address for 0x2b20000 (pc.ram) is " text "\\r\\n\""

static const struct exchange nets = { ASK("x-query-virtio", ""), NETS };
static const struct exchange net_mac = { ASK_PATH("qom-get", DEVICE, ",\"property\":\"mac\""),
					 "\"" MAC_TEXT "\"" };
static const struct exchange status = { ASK_PATH("x-query-virtio-status", DEVICE, ""), PLAIN };
static const struct exchange queue = {
	ASK_PATH("x-query-virtio-queue-status", DEVICE, ",\"queue\":0"), QUEUE
};

static struct json_object *value_of(const char *text)
{
	struct json_object *value = json_tokener_parse(text);

	CU_ASSERT_TRUE_FATAL(value || strcmp(text, "null") == 0);
	return value;
}

static int answer(struct ring_search *search, const struct exchange *exchange,
		  struct guest_ring_place *ret_place)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	_cleanup_(json_unrefp) struct json_object *value = value_of(exchange->answer);
	const char *text;

	CU_ASSERT_EQUAL_FATAL(ring_search_request(search, &request), 0);
	text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE);
	CU_ASSERT_STRING_EQUAL(text, exchange->question);
	if (strcmp(text, exchange->question) != 0)
		printf("\nasked  %s\nwanted %s\n", text, exchange->question);
	return ring_search_answer(search, value, ret_place);
}

/* All but the last answer lead on; what the last one gives. */
static int search_all(const struct exchange *const *exchanges, size_t count,
		      struct guest_ring_place *ret_place)
{
	_cleanup_(ring_search_freep) struct ring_search *search = ring_search_new(mac);
	int r = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(search);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL_FATAL(r, 0);
		r = answer(search, exchanges[i], ret_place);
	}
	return r;
}

#define SEARCH(...)                                                                          \
	search_all((const struct exchange *const[]){ __VA_ARGS__ },                          \
		   sizeof((const struct exchange *const[]){ __VA_ARGS__ }) / sizeof(void *), \
		   &place)

static void finds_the_ring(void)
{
	static const struct exchange hosts[] = {
		{ ASK_HOST("0x2b20000"), HOST("0x7f03f0920000") },
		{ ASK_HOST("0x2b21000"), HOST("0x7f03f0921000") },
		{ ASK_HOST("0x2b21240"), HOST("0x7f03f0921240") },
		{ ASK_HOST("0x100000"), HOST("0x7f03edf00000") },
		{ ASK_HOST("0x100000000"), NOWHERE },
	};
	struct guest_ring_place place = { 0 };

	CU_ASSERT_EQUAL(SEARCH(&nets, &net_mac, &status, &queue, &hosts[0], &hosts[1],
			       &hosts[2], &hosts[3], &hosts[4]),
			1);
	CU_ASSERT_EQUAL(place.size, 256);
	CU_ASSERT_EQUAL(place.descriptors, 45219840);
	CU_ASSERT_EQUAL(place.available, 45223936);
	CU_ASSERT_EQUAL(place.used, 45224512);
	CU_ASSERT_EQUAL(place.map.count, 4);
	CU_ASSERT_EQUAL(place.map.places[2].guest, 45224512);
	CU_ASSERT_EQUAL(place.map.places[2].host, 0x7f03f0921240);
	CU_ASSERT_EQUAL(place.map.places[3].guest, 0x100000);
	CU_ASSERT_EQUAL(place.map.places[3].host, 0x7f03edf00000);
}

static void looks_for_the_nic_with_the_mac(void)
{
	static const struct exchange two = { ASK("x-query-virtio", ""),
					     "[{\"name\": \"virtio-net\", \"path\": \"" OTHER
					     "\"}, {\"name\": \"virtio-net\", \"path\": \"" DEVICE
					     "\"}]" };
	static const struct exchange first = { ASK_PATH("qom-get", OTHER, ",\"property\":\"mac\""),
					       "\"52:54:00:aa:00:11\"" };
	static const struct exchange last = { ASK_PATH("qom-get", DEVICE, ",\"property\":\"mac\""),
					      "\"52:54:00:aa:00:12\"" };
	struct guest_ring_place place;

	CU_ASSERT_EQUAL(SEARCH(&two, &first, &net_mac, &status), 0);
	CU_ASSERT_EQUAL(SEARCH(&two, &first, &last), -ENODEV);
}

static void gives_up_without_a_nic(void)
{
	static const struct exchange none = { ASK("x-query-virtio", ""), "[]" };
	static const struct exchange disk = { ASK("x-query-virtio", ""),
					      "[{\"name\": \"virtio-blk\", \"path\": \"/b\"}]" };
	struct guest_ring_place place;

	CU_ASSERT_EQUAL(SEARCH(&none), -ENODEV);
	CU_ASSERT_EQUAL(SEARCH(&disk), -ENODEV);
}

static void gives_up_where_the_ring_is_of_another_kind(void)
{
	static const char *const kinds[] = {
		STATUS("big", "true", "x"),
		STATUS("little", "false", "x"),
		STATUS("little", "true", "VIRTIO_F_RING_PACKED: Device supports packed VQ layout"),
		STATUS("little", "true", "VIRTIO_F_RING_PACKED"),
		STATUS("little", "true", "VIRTIO_F_IOMMU_PLATFORM: Device can be used on IOMMU"),
	};
	struct guest_ring_place place;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct exchange kind = { status.question, kinds[i] };

		CU_ASSERT_EQUAL(SEARCH(&nets, &net_mac, &kind), -EOPNOTSUPP);
	}
}

static void refuses_answers_that_lack_something(void)
{
	static const char *const bad[] = {
		"null", "{}", "[1]", "[{}]", "\"\"", "7", "[{\"name\": 1, \"path\": \"/a\"}]"
	};
	struct guest_ring_place place;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct exchange one = { nets.question, bad[i] }, two = { net_mac.question, bad[i] },
				three = { status.question, bad[i] },
				four = { queue.question, bad[i] },
				five = { ASK_HOST("0x2b20000"), bad[i] };

		CU_ASSERT_EQUAL(SEARCH(&one), -EBADMSG);
		CU_ASSERT_EQUAL(SEARCH(&nets, &two), -EBADMSG);
		CU_ASSERT_EQUAL(SEARCH(&nets, &net_mac, &three), -EBADMSG);
		CU_ASSERT_EQUAL(SEARCH(&nets, &net_mac, &status, &four), -EBADMSG);
		CU_ASSERT_EQUAL(SEARCH(&nets, &net_mac, &status, &queue, &five), -EBADMSG);
	}
}

static void a_guest_may_have_too_many_nics(void)
{
	char text[4096] = "[";
	struct exchange many = { nets.question, text };
	struct guest_ring_place place;

	for (unsigned i = 0; i < 40; i++)
		(void) snprintf(text + strlen(text), sizeof(text) - strlen(text),
				"%s{\"name\": \"virtio-net\", \"path\": \"" DEVICE "\"}",
				i ? ", " : "");
	(void) snprintf(text + strlen(text), sizeof(text) - strlen(text), "]");
	CU_ASSERT_EQUAL(SEARCH(&many, &net_mac), 0);
}

UNIT_MAIN("ring_search", UNIT_TEST(finds_the_ring), UNIT_TEST(looks_for_the_nic_with_the_mac),
	  UNIT_TEST(gives_up_without_a_nic), UNIT_TEST(gives_up_where_the_ring_is_of_another_kind),
	  UNIT_TEST(refuses_answers_that_lack_something), UNIT_TEST(a_guest_may_have_too_many_nics))
