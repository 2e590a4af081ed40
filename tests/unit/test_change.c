// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "nva/change.h"
#include "tests/unit/unit.h"

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

static struct change full_mapping(void)
{
	struct change change = {
		.kind = CHANGE_MAPPING,
		.incarnation = UINT64_MAX,
		.mapping = { .vni = VNI_MAX,
			     .mac = { { 0x52, 0x54, 0, 0, 0, 1 } },
			     .ip_count = MAPPING_IPS_MAX,
			     .generation = NVO3_GENERATION_MAX,
			     .vm = { { 1, 2, 3 } },
			     .flags = MAPPING_VM },
	};

	memset(change.name, 'n', NVO3_NAME_MAX);
	for (size_t i = 0; i < MAPPING_IPS_MAX; i++) {
		change.mapping.ips[i] = ip_of(i % 2 ? "2001:db8::1" : "192.0.2.1");
		change.mapping.ips[i].octet[3] = (uint8_t) i;
	}
	return change;
}

static const struct change samples[] = {
	{ .kind = CHANGE_IDENTITY, .incarnation = 7 },
	{ .kind = CHANGE_NVE,
	  .incarnation = 1,
	  .name = "hv1",
	  .vtep = { AF_INET, { 192, 0, 2, 1 } },
	  .role = NVO3_ROLE_GATEWAY },
	{ .kind = CHANGE_NVE,
	  .incarnation = 1,
	  .name = "hv2",
	  .vtep = { AF_INET6, { 0x20, 1, 0xd, 0xb8, [15] = 2 } } },
	{ .kind = CHANGE_NVE_GONE, .name = "hv1" },
	{ .kind = CHANGE_MEMBER, .name = "a", .mapping = { .vni = 1 } },
	{ .kind = CHANGE_MEMBER_GONE, .name = "a.b-c_D9", .mapping = { .vni = 5000 } },
	{ .kind = CHANGE_MAPPING,
	  .incarnation = 3,
	  .name = "hv1",
	  .mapping = { .vni = 100, .mac = { { 2, 0, 0, 0, 0, 1 } }, .generation = 1 } },
	{ .kind = CHANGE_REMOVED,
	  .removed_s = 1700000000,
	  .mapping = { .vni = 100, .mac = { { 2, 0, 0, 0, 0, 1 } }, .generation = 9 } },
};

static void check_round_trip(const struct change *change)
{
	uint8_t bytes[CHANGE_SIZE_MAX], again[CHANGE_SIZE_MAX];
	size_t size = change_pack(change, bytes);
	struct change read;

	CU_ASSERT_TRUE_FATAL(size < CHANGE_SIZE_MAX);
	CU_ASSERT_EQUAL_FATAL(change_unpack(bytes, size, &read), 0);
	CU_ASSERT_EQUAL(read.kind, change->kind);
	CU_ASSERT_STRING_EQUAL(read.name, change->name);
	CU_ASSERT_EQUAL(read.incarnation, change->incarnation);
	CU_ASSERT_EQUAL(ip_cmp(read.vtep, change->vtep), 0);
	CU_ASSERT_EQUAL(read.role, change->role);
	CU_ASSERT_EQUAL(read.removed_s, change->removed_s);
	CU_ASSERT_EQUAL(memcmp(&read.mapping, &change->mapping, sizeof(read.mapping)), 0);
	CU_ASSERT_EQUAL(change_pack(&read, again), size);
	CU_ASSERT_EQUAL(memcmp(bytes, again, size), 0);
}

static void every_kind_comes_back(void)
{
	const struct change full = full_mapping();

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		check_round_trip(&samples[i]);
	check_round_trip(&full);
}

static void every_truncation_is_refused(void)
{
	const struct change full = full_mapping();
	uint8_t bytes[CHANGE_SIZE_MAX + 1];
	struct change read;

	for (size_t i = 0; i <= ARRAY_SIZE(samples); i++) {
		size_t size = change_pack(i < ARRAY_SIZE(samples) ? &samples[i] : &full, bytes);

		for (size_t cut = 0; cut < size; cut++)
			CU_ASSERT_EQUAL(change_unpack(bytes, cut, &read), -EBADMSG);
		bytes[size] = 0;
		CU_ASSERT_EQUAL(change_unpack(bytes, size + 1, &read), -EBADMSG);
	}
}

/* The same change with one field that no NVA would have taken. */
static void what_is_not_valid_is_refused(void)
{
	static const struct change bad[] = {
		{ .kind = CHANGE_IDENTITY, .incarnation = 0 },
		{ .kind = CHANGE_NVE_GONE, .name = "" },
		{ .kind = CHANGE_NVE_GONE, .name = "a b" },
		{ .kind = CHANGE_NVE, .name = "hv1", .vtep = { AF_INET, { 224, 0, 0, 1 } } },
		{ .kind = CHANGE_NVE, .name = "hv1" },
		{ .kind = CHANGE_NVE,
		  .name = "hv1",
		  .vtep = { AF_INET, { 192, 0, 2, 1 } },
		  .role = (enum nvo3_role) 2 },
		{ .kind = CHANGE_MEMBER, .name = "a", .mapping = { .vni = 0 } },
		{ .kind = CHANGE_MEMBER, .name = "a", .mapping = { .vni = VNI_MAX + 1 } },
		{ .kind = CHANGE_REMOVED,
		  .mapping = { .vni = 1, .mac = { { 1, 0, 0, 0, 0, 1 } }, .generation = 9 } },
		{ .kind = CHANGE_REMOVED, .mapping = { .vni = 1, .generation = 9 } },
		{ .kind = CHANGE_REMOVED,
		  .mapping = { .vni = 1, .mac = { { 2, 0, 0, 0, 0, 1 } }, .generation = 0 } },
		{ .kind = CHANGE_REMOVED,
		  .mapping = { .vni = 1,
			       .mac = { { 2, 0, 0, 0, 0, 1 } },
			       .generation = NVO3_GENERATION_MAX + 1 } },
		{ .kind = CHANGE_MAPPING,
		  .name = "a",
		  .mapping = { .vni = 1,
			       .mac = { { 2, 0, 0, 0, 0, 1 } },
			       .generation = 1,
			       .ip_count = 1,
			       .ips = { { AF_INET, { 255, 255, 255, 255 } } } } },
	};
	static const uint8_t unknown[] = { CHANGE_KIND_COUNT, 0, 0 };
	uint8_t bytes[CHANGE_SIZE_MAX];
	struct change read;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		size_t size = change_pack(&bad[i], bytes);

		if (change_unpack(bytes, size, &read) != -EBADMSG) {
			printf("number %zu\n", i);
			CU_FAIL("taken");
		}
	}
	CU_ASSERT_EQUAL(change_unpack(unknown, sizeof(unknown), &read), -EBADMSG);
}

static size_t key_of(const struct change *change, uint8_t *bytes)
{
	return change_key_size(bytes, change_pack(change, bytes));
}

/* NVE and NVE_GONE of one name have one key; another name, VNI or MAC has another. */
static void keys_are_what_replaces_what(void)
{
	uint8_t a[CHANGE_SIZE_MAX], b[CHANGE_SIZE_MAX];
	size_t size;

	CU_ASSERT_EQUAL(key_of(&samples[0], a), 1);
	size = key_of(&samples[1], a);
	CU_ASSERT_EQUAL(size, 1 + 1 + 3);
	CU_ASSERT_EQUAL(key_of(&samples[3], b), size);
	CU_ASSERT_EQUAL(memcmp(a + 1, b + 1, size - 1), 0);
	CU_ASSERT_EQUAL(key_of(&samples[2], b), size);
	CU_ASSERT_NOT_EQUAL(memcmp(a + 1, b + 1, size - 1), 0);
	CU_ASSERT_EQUAL(key_of(&samples[4], a), 1 + 4 + 1 + 1);
	size = key_of(&samples[6], a);
	CU_ASSERT_EQUAL(size, 1 + 4 + 6);
	CU_ASSERT_EQUAL(key_of(&samples[7], b), size);
	CU_ASSERT_EQUAL(memcmp(a + 1, b + 1, size - 1), 0);
	CU_ASSERT_EQUAL(change_key_size(a, size - 1), 0);
	CU_ASSERT_EQUAL(change_key_size(a, 0), 0);
}

UNIT_MAIN("change", UNIT_TEST(every_kind_comes_back), UNIT_TEST(every_truncation_is_refused),
	  UNIT_TEST(what_is_not_valid_is_refused), UNIT_TEST(keys_are_what_replaces_what))
