// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_etcd_group.c - where in etcd what stands, and what of many changes remains for it.
 */
#include <errno.h>
#include <string.h>

#include "nva/etcd_group.h"
#include "nva/etcd_seat.h"
#include "tests/unit/unit.h"

#define PREFIX "/a/b"

static struct change change_of(enum change_kind kind, const char *name, uint32_t vni, uint8_t mac)
{
	struct change change = {
		.kind = kind,
		.incarnation = 7,
		.vtep = { AF_INET, { 192, 0, 2, mac ? mac : 1 } },
		.removed_s = 1700000000,
		.mapping = { .vni = vni, .mac = { { 2, 0, 0, 0, 0, mac } }, .generation = 1 },
	};

	memcpy(change.name, name, strlen(name) + 1);
	return change;
}

/* --- keys --- */

static const struct {
	enum change_kind kind;
	const char *name;
	uint32_t vni;
	uint8_t mac;
	const char *key;
	enum etcd_place place;
	enum change_kind gone; /* 0: none */
} keys[] = {
	{ CHANGE_IDENTITY, "", 0, 0, PREFIX "/identity", ETCD_AT_IDENTITY, 0 },
	{ CHANGE_NVE, "hv1.x", 0, 0, PREFIX "/nve/hv1.x", ETCD_AT_NVE, CHANGE_NVE_GONE },
	{ CHANGE_NVE_GONE, "hv1.x", 0, 0, PREFIX "/nve/hv1.x", ETCD_AT_NVE, CHANGE_NVE_GONE },
	{ CHANGE_MEMBER, "hv1", 100, 0, PREFIX "/member/100/hv1", ETCD_AT_MEMBER,
	  CHANGE_MEMBER_GONE },
	{ CHANGE_MEMBER_GONE, "hv1", VNI_MAX, 0, PREFIX "/member/16777215/hv1", ETCD_AT_MEMBER,
	  CHANGE_MEMBER_GONE },
	{ CHANGE_MAPPING, "hv1", 100, 9, PREFIX "/mapping/100/02:00:00:00:00:09", ETCD_AT_MAPPING,
	  0 },
	{ CHANGE_REMOVED, "", 100, 9, PREFIX "/mapping/100/02:00:00:00:00:09", ETCD_AT_MAPPING, 0 },
};

static void each_change_has_its_key(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct change change =
			change_of(keys[i].kind, keys[i].name, keys[i].vni, keys[i].mac);
		char key[ETCD_KEY_SIZE], first[ETCD_KEY_SIZE], end[ETCD_KEY_SIZE];
		struct change gone;
		unsigned part;

		CU_ASSERT_STRING_EQUAL(etcd_change_key(PREFIX, &change, key), keys[i].key);
		CU_ASSERT_EQUAL(etcd_key_read(PREFIX, key, &gone, &part), (int) keys[i].place);
		CU_ASSERT_EQUAL(gone.kind, keys[i].gone);
		if (keys[i].gone) {
			CU_ASSERT_STRING_EQUAL(gone.name, keys[i].name);
			CU_ASSERT_EQUAL(gone.mapping.vni, keys[i].vni);
		}
		CU_ASSERT_TRUE(strcmp(etcd_place_key(PREFIX, keys[i].place, first), key) <= 0);
		CU_ASSERT_TRUE(strcmp(key, etcd_place_end(PREFIX, keys[i].place, end)) < 0);
	}
}

static void other_keys_are_refused(void)
{
	static const char *const others[] = {
		PREFIX "/nve/",
		PREFIX "/nve/h v",
		PREFIX "/nve/a/b",
		PREFIX "/member/100",
		PREFIX "/member/0/hv1",
		PREFIX "/member/16777216/hv1",
		PREFIX "/member/x/hv1",
		PREFIX "/member/100/",
		PREFIX "/mapping/100/02:00",
		PREFIX "/mapping/0/02:00:00:00:00:09",
		PREFIX "/pending/",
		PREFIX "/pending/65536",
		PREFIX "/pending/1x",
	};
	static const char *const foreign[] = {
		PREFIX "/identity/",
		PREFIX "/leaders",
		PREFIX "/commit ",
		PREFIX "/other",
		PREFIX "/nve",
		PREFIX "/",
		PREFIX,
		"/a/c/leader",
		"/",
		"",
	};
	struct change gone;
	unsigned part;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		CU_ASSERT_EQUAL(etcd_key_read(PREFIX, others[i], &gone, &part), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		CU_ASSERT_EQUAL(etcd_key_read(PREFIX, foreign[i], &gone, &part), -ENOENT);
	CU_ASSERT_EQUAL(etcd_key_read(PREFIX, PREFIX "/leader", &gone, &part), ETCD_AT_LEADER);
	CU_ASSERT_EQUAL(etcd_key_read(PREFIX, PREFIX "/commit", &gone, &part), ETCD_AT_COMMIT);
	CU_ASSERT_EQUAL(etcd_key_read(PREFIX, PREFIX "/pending/00000012", &gone, &part),
			ETCD_AT_PENDING);
	CU_ASSERT_EQUAL(part, 12);
}

static void longest_keys_fit(void)
{
	char prefix[ETCD_PREFIX_SIZE] = "", key[ETCD_KEY_SIZE];
	struct change change = change_of(CHANGE_MEMBER, "", VNI_MAX, 0);

	memset(prefix, 'p', sizeof(prefix) - 1);
	memset(change.name, 'n', NVO3_NAME_MAX);
	etcd_change_key(prefix, &change, key);
	CU_ASSERT_EQUAL(strlen(key),
			sizeof(prefix) - 1 + strlen("/member/16777215/") + NVO3_NAME_MAX);
	CU_ASSERT_TRUE(strlen(key) + 1 < ETCD_KEY_SIZE); /* and one more, for the next page */
}

static int read_commit(const char *text, struct etcd_commit *commit)
{
	return etcd_commit_read((const uint8_t *) text, strlen(text), commit);
}

static void commits(void)
{
	static const char *const bad[] = {
		"",
		"1",
		"1 2",
		"1 2 ",
		"1 2 3 4",
		"x 2 3",
		"1 -2 3",
		"1 2 65537",
		"1 2 3 ",
		"1  2 3",
		"1 99999999999999999999 3",
		"1 2 000000000000000000000000000000000000000000000000000000000000000"
	};
	struct etcd_commit commit = { UINT64_MAX, ETCD_PARTS_MAX }, read;
	char text[ETCD_COMMIT_SIZE];

	etcd_commit_write(&commit, text);
	CU_ASSERT_EQUAL(read_commit(text, &read), 0);
	CU_ASSERT_TRUE(read.sequence == UINT64_MAX && read.parts == ETCD_PARTS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(read_commit(bad[i], &read), -EBADMSG);
	CU_ASSERT_EQUAL(read_commit("2 anything", &read), -EPROTONOSUPPORT);
}

static void leaders(void)
{
	static const char *const bad[] = { "", "{}", "{\"name\":\"nva1\"}",
					   "{\"name\":\"nva1\",\"address\":\"here\"}",
					   "{\"name\":7,\"address\":\"192.0.2.1:7365\"}" };
	const char *good = "{\"name\":\"nva1\",\"address\":\"[2001:db8::1]:7000\",\"more\":1}";
	struct etcd_leader leader = { 0 };

	CU_ASSERT_EQUAL(etcd_leader_read((const uint8_t *) good, strlen(good), &leader), 0);
	CU_ASSERT_STRING_EQUAL(leader.name, "nva1");
	CU_ASSERT_TRUE(leader.port == 7000 && leader.ip.family == AF_INET6);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(etcd_leader_read((const uint8_t *) bad[i], strlen(bad[i]), &leader),
				-EBADMSG);
}

/* --- groups --- */

static struct etcd_group group_of(const struct change *changes, size_t count)
{
	struct etcd_batch batch = { 0 };
	struct etcd_group group;

	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL_FATAL(etcd_batch_add(&batch, &changes[i]), 0);
	CU_ASSERT_EQUAL_FATAL(etcd_group_make(&group, PREFIX, &batch), 0);
	CU_ASSERT_PTR_NULL(batch.data);
	return group;
}

static void the_last_word_of_each_key_remains(void)
{
	const struct change changes[] = {
		change_of(CHANGE_MAPPING, "hv1", 100, 1),
		change_of(CHANGE_NVE, "hv2", 0, 2),
		change_of(CHANGE_MAPPING, "hv1", 100, 2),
		change_of(CHANGE_MEMBER, "hv2", 100, 0),
		change_of(CHANGE_REMOVED, "", 100, 1),
		change_of(CHANGE_MEMBER_GONE, "hv1", 100, 0),
		change_of(CHANGE_NVE_GONE, "hv1", 0, 0),
		change_of(CHANGE_MAPPING, "hv2", 100, 2),
		change_of(CHANGE_IDENTITY, "", 0, 0),
	};
	static const struct {
		enum change_kind kind;
		const char *key;
	} expected[] = {
		{ CHANGE_MEMBER_GONE, PREFIX "/member/100/hv1" },
		{ CHANGE_NVE_GONE, PREFIX "/nve/hv1" },
		{ CHANGE_IDENTITY, PREFIX "/identity" },
		{ CHANGE_NVE, PREFIX "/nve/hv2" },
		{ CHANGE_MEMBER, PREFIX "/member/100/hv2" },
		{ CHANGE_REMOVED, PREFIX "/mapping/100/02:00:00:00:00:01" },
		{ CHANGE_MAPPING, PREFIX "/mapping/100/02:00:00:00:00:02" },
	};
	_cleanup_(etcd_group_clear) struct etcd_group group =
		group_of(changes, ARRAY_SIZE(changes));
	struct change read;

	CU_ASSERT_EQUAL_FATAL(group.count, ARRAY_SIZE(expected));
	for (size_t i = 0; i < group.count; i++) {
		CU_ASSERT_EQUAL(group.entries[i]->kind, expected[i].kind);
		CU_ASSERT_STRING_EQUAL(group.entries[i]->key, expected[i].key);
		CU_ASSERT_EQUAL(
			change_unpack(group.entries[i]->data, group.entries[i]->size, &read), 0);
		CU_ASSERT_EQUAL(read.kind, expected[i].kind);
	}
	CU_ASSERT_EQUAL(change_unpack(group.entries[6]->data, group.entries[6]->size, &read), 0);
	CU_ASSERT_STRING_EQUAL(read.name, "hv2");
	CU_ASSERT_TRUE(group.has_removed);
	CU_ASSERT_FALSE(group.revives);
	CU_ASSERT_PTR_EQUAL(etcd_group_find(&group, PREFIX "/nve/hv2"), group.entries[3]);
	CU_ASSERT_PTR_NULL(etcd_group_find(&group, PREFIX "/nve/hv3"));
}

/*
 * An NVE that ended and came back with another VTEP: what remains does not say that its mappings
 * ended between.
 */
static void what_ends_and_begins_is_noticed(void)
{
	const struct change changes[] = {
		change_of(CHANGE_NVE, "hv1", 0, 1),
		change_of(CHANGE_NVE_GONE, "hv1", 0, 0),
		change_of(CHANGE_NVE, "hv1", 0, 2),
	};
	struct etcd_group group = group_of(changes, 3);

	CU_ASSERT_TRUE(group.revives);
	CU_ASSERT_EQUAL(group.count, 1);
	etcd_group_clear(&group);
	group = group_of(changes, 2);
	CU_ASSERT_FALSE(group.revives);
	etcd_group_clear(&group);
	/* A mapping that is withdrawn and registered again is the same key with another value. */
	const struct change again[] = { change_of(CHANGE_REMOVED, "", 100, 1),
					change_of(CHANGE_MAPPING, "hv1", 100, 1) };
	group = group_of(again, 2);
	CU_ASSERT_FALSE(group.revives || group.has_removed);
	etcd_group_clear(&group);
}

static void parts_end_between_changes(void)
{
	_cleanup_(etcd_batch_clear) struct etcd_batch batch = { 0 };
	struct change change = change_of(CHANGE_MAPPING, "hv1", 100, 1);
	size_t at = 0, parts = 0, read = 0;

	for (unsigned i = 0; i < 50000; i++) {
		change.mapping.mac.octet[4] = (uint8_t) (i >> 8);
		change.mapping.mac.octet[5] = (uint8_t) i;
		CU_ASSERT_EQUAL_FATAL(etcd_batch_add(&batch, &change), 0);
	}
	while (at < batch.size) {
		size_t end = etcd_batch_cut(&batch, at), position = 0;
		const struct etcd_batch part = { batch.data + at, end - at, 0 };

		CU_ASSERT_TRUE_FATAL(end > at && end - at <= ETCD_PART_MAX);
		while (etcd_batch_next(&part, &position, &change) > 0)
			read++;
		CU_ASSERT_EQUAL(position, part.size);
		at = end;
		parts++;
	}
	CU_ASSERT_EQUAL(read, 50000);
	CU_ASSERT_EQUAL(parts, (batch.size + ETCD_PART_MAX - 1) / ETCD_PART_MAX);
}

static void every_cut_of_a_batch_is_noticed(void)
{
	_cleanup_(etcd_batch_clear) struct etcd_batch batch = { 0 };
	const struct change changes[] = { change_of(CHANGE_NVE, "hv1", 0, 1),
					  change_of(CHANGE_MAPPING, "hv1", 100, 1) };
	size_t first, at = 0;
	struct change change;

	for (size_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(etcd_batch_add(&batch, &changes[i]), 0);
	CU_ASSERT_EQUAL(etcd_batch_next(&batch, &at, &change), 1);
	first = at;
	for (size_t size = 1; size < batch.size; size++) {
		_cleanup_(etcd_group_clear) struct etcd_group group = { 0 };
		struct etcd_batch cut = { 0 };

		CU_ASSERT_EQUAL_FATAL(etcd_batch_append(&cut, batch.data, size), 0);
		CU_ASSERT_EQUAL(etcd_group_make(&group, PREFIX, &cut),
				size == first ? 0 : -EBADMSG);
	}
}

UNIT_MAIN("etcd_group", UNIT_TEST(each_change_has_its_key), UNIT_TEST(other_keys_are_refused),
	  UNIT_TEST(longest_keys_fit), UNIT_TEST(commits), UNIT_TEST(leaders),
	  UNIT_TEST(the_last_word_of_each_key_remains), UNIT_TEST(what_ends_and_begins_is_noticed),
	  UNIT_TEST(parts_end_between_changes), UNIT_TEST(every_cut_of_a_batch_is_noticed))
