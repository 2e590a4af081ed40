/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook/hook_message.h"

#include <string.h>

#include "unit.h"

static const struct hook_call call = { "a \"b\"\nc", "migrate", "begin", "-" };

static void builds_one_line_with_all_members(void)
{
	static const char wanted[] =
		"{\"op\":\"hook\",\"operation\":\"migrate\",\"sub\":\"begin\",\"extra\":\"-\","
		"\"vm\":\"a \\\"b\\\"\\nc\","
		"\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\",\"ports\":["
		"{\"mac\":\"52:54:00:aa:00:10\",\"bridge\":\"br100\",\"tap\":\"vnet0\"},"
		"{\"mac\":\"52:54:00:aa:00:11\",\"bridge\":\"br100\"},"
		"{\"mac\":\"52:54:00:aa:00:12\",\"tap\":\"tap7\"}]}";
	static struct domain domain = {
		.port_count = 3,
		.ports = {
			{ { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } }, "br100", "vnet0" },
			{ { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } }, "br100", "" },
			{ { { 0x52, 0x54, 0, 0xaa, 0, 0x12 } }, "", "tap7" },
		},
	};
	_cleanup_free_ char *line = NULL;

	CU_ASSERT_EQUAL_FATAL(uuid_from_text("01234567-89ab-cdef-0123-456789abcdef", &domain.uuid),
			      0);
	CU_ASSERT_EQUAL_FATAL(hook_message_build(&call, &domain, &line), 0);
	CU_ASSERT_STRING_EQUAL(line, wanted);
}

static void builds_a_vm_without_ports(void)
{
	static const struct domain domain;
	_cleanup_free_ char *line = NULL;

	CU_ASSERT_EQUAL_FATAL(hook_message_build(&call, &domain, &line), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"ports\":[]}"));
}

static const struct {
	const char *reply;
	enum hook_answer answer;
	const char *text;
} replies[] = {
	/* clang-format off */
	{ "{\"ok\":true}",					HOOK_ANSWER_READY,	"" },
	{ " {\"ok\":true,\"extra\":[1]} ",			HOOK_ANSWER_READY,	"" },
	{ "{\"ok\":false,\"error\":\"no VNI\"}",		HOOK_ANSWER_ERROR,	"no VNI" },
	{ "{\"ok\":false}",					HOOK_ANSWER_ERROR,	"" },
	{ "{\"ok\":false,\"error\":7}",				HOOK_ANSWER_ERROR,	"" },
	{ "{\"ok\":false,\"error\":\"a\\nb\\u001bc\",\"refuse\":true}", 
	  HOOK_ANSWER_REFUSE, "a b c" },
	{ "{\"ok\":false,\"refuse\":false}",			HOOK_ANSWER_ERROR,	"" },
	/* ok decides */
	{ "{\"ok\":true,\"refuse\":true}",			HOOK_ANSWER_READY,	"" },
	{ "{\"ok\":false,\"refuse\":1}",			HOOK_ANSWER_GARBLED,	"" },
	{ "{\"ok\":\"true\"}",					HOOK_ANSWER_GARBLED,	"" },
	{ "{\"ok\":null}",					HOOK_ANSWER_GARBLED,	"" },
	{ "{}",							HOOK_ANSWER_GARBLED,	"" },
	{ "[]",							HOOK_ANSWER_GARBLED,	"" },
	{ "",							HOOK_ANSWER_GARBLED,	"" },
	{ "HTTP/1.1 400 Bad Request",				HOOK_ANSWER_GARBLED,	"" },
	/* clang-format on */
};

static void reads_every_kind_of_reply(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		char text[HOOK_TEXT_SIZE] = "untouched";

		CU_ASSERT_EQUAL(hook_message_read(replies[i].reply, text), replies[i].answer);
		CU_ASSERT_STRING_EQUAL(text, replies[i].text);
	}
}

static void takes_no_truncated_reply(void)
{
	static const char reply[] = "{\"ok\":false,\"error\":\"no VNI\",\"refuse\":true}";
	char cut[sizeof(reply)], text[HOOK_TEXT_SIZE];

	for (size_t size = 0; size < sizeof(reply) - 1; size++) {
		memcpy(cut, reply, size);
		cut[size] = '\0';
		CU_ASSERT_EQUAL(hook_message_read(cut, text), HOOK_ANSWER_GARBLED);
	}
}

static void cuts_a_long_error(void)
{
	char reply[2 * HOOK_TEXT_SIZE], text[HOOK_TEXT_SIZE];

	snprintf(reply, sizeof(reply), "{\"ok\":false,\"error\":\"%0*d\"}", HOOK_TEXT_SIZE + 10, 0);
	CU_ASSERT_EQUAL(hook_message_read(reply, text), HOOK_ANSWER_ERROR);
	CU_ASSERT_EQUAL(strlen(text), HOOK_TEXT_SIZE - 1);
}

UNIT_MAIN("hook_message", UNIT_TEST(builds_one_line_with_all_members),
	  UNIT_TEST(builds_a_vm_without_ports), UNIT_TEST(reads_every_kind_of_reply),
	  UNIT_TEST(takes_no_truncated_reply), UNIT_TEST(cuts_a_long_error))
