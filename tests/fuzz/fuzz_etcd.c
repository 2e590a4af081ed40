// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz_etcd.c - what comes from etcd. The first byte says what the rest is: an answer; a key;
 * PREFIX/commit; PREFIX/leader; the parts of a commit.
 */
#include <errno.h>
#include <string.h>

#include "nva/etcd_group.h"
#include "nva/etcd_message.h"
#include "nva/etcd_seat.h"
#include "tests/fuzz/fuzz.h"

#define PREFIX "/rehome"

static void read_answer(const uint8_t *data, size_t size)
{
	_cleanup_(etcd_answer_clear) struct etcd_answer answer = { 0 };
	int r = etcd_answer_read((const char *) data, size, &answer);

	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r < 0)
		return;
	for (size_t i = 0; i < answer.kv_count; i++) {
		const struct etcd_kv *kv = &answer.kvs[i];
		const struct etcd_kv *found = etcd_answer_find(&answer, kv->key);

		FUZZ_CHECK(kv->key && kv->key[0] && strlen(kv->key) <= ETCD_KEY_MAX);
		FUZZ_CHECK(kv->value || kv->size == 0);
		FUZZ_CHECK(kv->deleted || found);
	}
	FUZZ_CHECK(memchr(answer.error_text, '\0', sizeof(answer.error_text)));
}

static void read_key(const uint8_t *data, size_t size)
{
	char key[ETCD_KEY_MAX + 1] = "";
	struct change gone;
	unsigned part;
	int place;

	memcpy(key, data, size < ETCD_KEY_MAX ? size : ETCD_KEY_MAX);
	place = etcd_key_read(PREFIX, key, &gone, &part);
	FUZZ_CHECK(place >= -EINVAL && place < ETCD_PLACE_COUNT && part < ETCD_PARTS_MAX);
	if (place >= 0 && gone.kind) {
		char again[ETCD_KEY_SIZE];

		FUZZ_CHECK(change_is_end(gone.kind));
		(void) etcd_change_key(PREFIX, &gone, again);
		FUZZ_CHECK(etcd_key_read(PREFIX, again, &gone, &part) == place);
	}
}

static void read_commit(const uint8_t *data, size_t size)
{
	struct etcd_commit commit, again;
	char text[ETCD_COMMIT_SIZE];

	if (etcd_commit_read(data, size, &commit) < 0)
		return;
	etcd_commit_write(&commit, text);
	FUZZ_CHECK(etcd_commit_read((const uint8_t *) text, strlen(text), &again) == 0);
	FUZZ_CHECK(again.sequence == commit.sequence && again.parts == commit.parts);
}

static void read_leader(const uint8_t *data, size_t size)
{
	struct etcd_leader leader = { 0 };

	if (etcd_leader_read(data, size, &leader) == 0)
		FUZZ_CHECK(!ip_is_none(leader.ip) && strlen(leader.name) <= NVO3_NAME_MAX);
}

static void read_parts(const uint8_t *data, size_t size)
{
	_cleanup_(etcd_group_clear) struct etcd_group group = { 0 };
	struct etcd_batch batch = { 0 };
	int r = etcd_batch_append(&batch, data, size);

	FUZZ_CHECK(r == 0);
	r = etcd_group_make(&group, PREFIX, &batch);
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	for (size_t i = 0; r == 0 && i < group.count; i++)
		FUZZ_CHECK(etcd_group_find(&group, group.entries[i]->key) == group.entries[i]);
	for (size_t at = 0; r == 0 && at < group.batch.size;) {
		size_t end = etcd_batch_cut(&group.batch, at);

		FUZZ_CHECK(end > at && end - at <= ETCD_PART_MAX);
		at = end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const uint8_t *data, size_t size) = {
		read_answer, read_key, read_commit, read_leader, read_parts,
	};

	if (size > 0)
		readers[data[0] % ARRAY_SIZE(readers)](data + 1, size - 1);
	return 0;
}
