/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "net/uuid.h"
#include "tests/unit/unit.h"

/* A libvirt domain's UUID, each octet another, and its text. */
static const struct uuid sample = { {
	0x4d, 0xea, 0x22, 0xb3,		    /* time_low */
	0x1d, 0x52,			    /* time_mid */
	0xd8, 0xf3,			    /* time_hi_and_version */
	0x25, 0x16,			    /* clock_seq */
	0x78, 0x2e, 0x98, 0xab, 0x3f, 0xa0, /* node */
} };
static const char sample_text[] = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";

static void reads_what_it_writes(void)
{
	char buffer[UUID_TEXT_SIZE];
	struct uuid uuid;

	CU_ASSERT_STRING_EQUAL(uuid_text(sample, buffer), sample_text);
	CU_ASSERT_EQUAL_FATAL(uuid_from_text(sample_text, &uuid), 0);
	CU_ASSERT_EQUAL(uuid_cmp(uuid, sample), 0);
	CU_ASSERT_EQUAL_FATAL(uuid_from_text("4DEA22B3-1D52-D8F3-2516-782E98AB3FA0", &uuid), 0);
	CU_ASSERT_EQUAL(uuid_cmp(uuid, sample), 0);
}

static void refuses_every_truncation(void)
{
	struct uuid uuid = sample;

	for (size_t size = 0; size < sizeof(sample_text) - 1; size++) {
		_cleanup_free_ char *text = strndup(sample_text, size);

		CU_ASSERT_PTR_NOT_NULL_FATAL(text);
		CU_ASSERT_EQUAL(uuid_from_text(text, &uuid), -EINVAL);
	}
	CU_ASSERT_EQUAL(uuid_cmp(uuid, sample), 0);
}

/* Every place in turn holds what does not belong there: a hyphen for a digit, or the reverse. */
static void refuses_every_wrong_character(void)
{
	static const char wrong[] = "-gG/:@`0 \n";
	struct uuid uuid = sample;
	char text[sizeof(sample_text)];

	for (size_t i = 0; i < sizeof(sample_text) - 1; i++) {
		for (size_t w = 0; w < sizeof(wrong) - 1; w++) {
			bool fits = sample_text[i] == '-' ? wrong[w] == '-' : wrong[w] == '0';

			memcpy(text, sample_text, sizeof(text));
			text[i] = wrong[w];
			if (!fits)
				CU_ASSERT_EQUAL(uuid_from_text(text, &uuid), -EINVAL);
		}
	}
	CU_ASSERT_EQUAL(uuid_cmp(uuid, sample), 0);
}

static void refuses_what_stands_around(void)
{
	static const char *const bad[] = {
		" 4dea22b3-1d52-d8f3-2516-782e98ab3fa0", "4dea22b3-1d52-d8f3-2516-782e98ab3fa0 ",
		"4dea22b3-1d52-d8f3-2516-782e98ab3fa00", "{4dea22b3-1d52-d8f3-2516-782e98ab3fa0}",
		"4dea22b31d52d8f32516782e98ab3fa0",
	};
	struct uuid uuid = sample;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(uuid_from_text(bad[i], &uuid), -EINVAL);
	CU_ASSERT_EQUAL(uuid_cmp(uuid, sample), 0);
}

static void reads_16_bytes_only(void)
{
	uint8_t bytes[UUID_SIZE + 1] = { 0 };
	struct uuid uuid = { 0 };

	memcpy(bytes, sample.octet, UUID_SIZE);
	for (size_t size = 0; size <= sizeof(bytes); size++)
		if (size != UUID_SIZE)
			CU_ASSERT_EQUAL(uuid_from_bytes(bytes, size, &uuid), -EINVAL);
	CU_ASSERT_TRUE(uuid_is_none(uuid));
	CU_ASSERT_EQUAL(uuid_from_bytes(bytes, UUID_SIZE, &uuid), 0);
	CU_ASSERT_EQUAL(uuid_cmp(uuid, sample), 0);
}

static void orders_and_knows_none(void)
{
	struct uuid greater = sample;

	greater.octet[UUID_SIZE - 1]++;
	CU_ASSERT_TRUE(uuid_cmp(sample, greater) < 0);
	CU_ASSERT_TRUE(uuid_cmp(greater, sample) > 0);
	CU_ASSERT_FALSE(uuid_is_none(sample));
	CU_ASSERT_TRUE(uuid_is_none((struct uuid){ 0 }));
}

UNIT_MAIN("uuid", UNIT_TEST(reads_what_it_writes), UNIT_TEST(refuses_every_truncation),
	  UNIT_TEST(refuses_every_wrong_character), UNIT_TEST(refuses_what_stands_around),
	  UNIT_TEST(reads_16_bytes_only), UNIT_TEST(orders_and_knows_none))
