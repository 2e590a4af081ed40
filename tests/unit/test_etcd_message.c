// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_etcd_message.c - what is said to etcd, and what it answers; the answers are what etcd 3.4.23
 * of Debian 12 gave.
 */
#include <errno.h>
#include <string.h>

#include "common/base64.h"
#include "nva/etcd_message.h"
#include "tests/unit/unit.h"

/* RFC 4648 section 10. */
static void base64_there_and_back(void)
{
	static const char *const texts[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd", "//79" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char text[16] = "";
		uint8_t data[16];
		size_t size;

		base64_encode(texts[i][0], strlen(texts[i][0]), text);
		CU_ASSERT_STRING_EQUAL(text, texts[i][1]);
		CU_ASSERT_EQUAL(strlen(text), BASE64_SIZE(strlen(texts[i][0])));
		CU_ASSERT_EQUAL(base64_decode(text, strlen(text), data, &size), 0);
		CU_ASSERT_EQUAL(size, strlen(texts[i][0]));
		CU_ASSERT_EQUAL(memcmp(data, texts[i][0], size), 0);
	}
}

static void base64_that_nobody_writes(void)
{
	static const char *const texts[] = {
		"Z",	"Zg",	"Zg=",	    "=Zg=",	"====", "Z===",
		"Zh==", "Zm9=", "Zm9v====", "Zg==Zg==", "Zm-_", "Zm 9",
	};
	uint8_t data[16];
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		CU_ASSERT_EQUAL(base64_decode(texts[i], strlen(texts[i]), data, &size), -EBADMSG);
}

static void check_request(char *request, const char *expected)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(request);
	CU_ASSERT_STRING_EQUAL(request, expected);
	free(request);
}

static void requests(void)
{
	check_request(etcd_range_request("/r/a", NULL, 0, 0),
		      "{\"key\":\"L3IvYQ==\",\"revision\":\"0\",\"limit\":\"0\"}");
	check_request(
		etcd_range_request("/r/", "/r0", 18446744073709551615u, 2000),
		"{\"key\":\"L3Iv\",\"range_end\":\"L3Iw\",\"revision\":\"18446744073709551615\","
		"\"limit\":\"2000\"}");
	check_request(etcd_watch_request("/r/", "/r0", 7),
		      "{\"create_request\":{\"key\":\"L3Iv\",\"range_end\":\"L3Iw\",\"start_"
		      "revision\":\"7\",\"progress_notify\":true}}");
	check_request(etcd_lease_grant_request(5), "{\"TTL\":\"5\"}");
	check_request(etcd_lease_request(2324035549856900357u), "{\"ID\":\"2324035549856900357\"}");
}

static void transactions(void)
{
	struct etcd_txn *txn = etcd_txn_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
	check_request(etcd_txn_request(txn), "{}");
	etcd_txn_free(txn);

	txn = etcd_txn_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
	etcd_txn_compare(txn, "/r/leader", 2);
	etcd_txn_compare(txn, "/r/commit", 0);
	etcd_txn_put(txn, "/r/a", "\0\1", 2, 0);
	etcd_txn_put(txn, "/r/b", "", 0, 9);
	etcd_txn_delete(txn, "/r/c", NULL);
	etcd_txn_delete(txn, "/r/p/", "/r/p0");
	etcd_txn_else_read(txn, "/r/leader");
	check_request(
		etcd_txn_request(txn),
		"{\"compare\":[{\"key\":\"L3IvbGVhZGVy\",\"target\":\"MOD\",\"result\":\"EQUAL\","
		"\"mod_revision\":\"2\"},"
		"{\"key\":\"L3IvY29tbWl0\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_"
		"revision\":\"0\"}],"
		"\"success\":[{\"request_put\":{\"key\":\"L3IvYQ==\",\"value\":\"AAE=\"}},"
		"{\"request_put\":{\"key\":\"L3IvYg==\",\"value\":\"\",\"lease\":\"9\"}},"
		"{\"request_delete_range\":{\"key\":\"L3IvYw==\"}},"
		"{\"request_delete_range\":{\"key\":\"L3IvcC8=\",\"range_end\":\"L3IvcDA=\"}}],"
		"\"failure\":[{\"request_range\":{\"key\":\"L3IvbGVhZGVy\"}}]}");
	etcd_txn_free(txn);

	/* One that is given up. */
	txn = etcd_txn_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
	etcd_txn_compare(txn, "/r/leader", 2);
	etcd_txn_free(txn);
}

static int read_text(const char *text, struct etcd_answer *answer)
{
	return etcd_answer_read(text, strlen(text), answer);
}

#define HEADER                                                                                     \
	"\"header\":{\"cluster_id\":\"324952591200643719\",\"member_id\":\"3319814642761637952\"," \
	"\"revision\":\"3\",\"raft_term\":\"2\"}"

static void answers(void)
{
	struct etcd_answer answer;
	const struct etcd_kv *kv;

	CU_ASSERT_EQUAL_FATAL(read_text("{" HEADER ",\"kvs\":[{\"key\":\"L3IvYQ==\",\"create_"
					"revision\":\"3\",\"mod_revision\":\"4\","
					"\"version\":\"1\",\"value\":\"MQ==\",\"lease\":"
					"\"2324035549856900367\"},{\"key\":\"L3IvYg==\"}],"
					"\"more\":true,\"count\":\"9\"}",
					&answer),
			      0);
	CU_ASSERT_EQUAL(answer.revision, 3);
	CU_ASSERT_TRUE(answer.more);
	CU_ASSERT_EQUAL(answer.kv_count, 2);
	kv = etcd_answer_find(&answer, "/r/a");
	CU_ASSERT_PTR_NOT_NULL_FATAL(kv);
	CU_ASSERT_TRUE(kv->size == 1 && kv->value[0] == '1' && kv->revision == 4 &&
		       kv->lease == 2324035549856900367u && !kv->deleted);
	kv = etcd_answer_find(&answer, "/r/b");
	CU_ASSERT_PTR_NOT_NULL_FATAL(kv);
	CU_ASSERT_TRUE(kv->size == 0 && !kv->value);
	CU_ASSERT_PTR_NULL(etcd_answer_find(&answer, "/r/"));
	etcd_answer_clear(&answer);

	CU_ASSERT_EQUAL_FATAL(
		read_text("{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{"
			  "\"header\":{\"revision\":\"3\"}}},"
			  "{\"response_delete_range\":{\"header\":{\"revision\":\"3\"}}}]}",
			  &answer),
		0);
	CU_ASSERT_TRUE(answer.succeeded && answer.kv_count == 0);
	etcd_answer_clear(&answer);

	CU_ASSERT_EQUAL_FATAL(read_text("{" HEADER ",\"responses\":[{\"response_range\":{"
					"\"header\":{\"revision\":\"3\"},\"kvs\":["
					"{\"key\":\"L3IvYQ==\",\"mod_revision\":\"2\",\"value\":"
					"\"eA==\"}],\"count\":\"1\"}},"
					"{\"response_range\":{\"header\":{\"revision\":\"3\"}}}]}",
					&answer),
			      0);
	CU_ASSERT_TRUE(!answer.succeeded && answer.kv_count == 1 && answer.kvs[0].revision == 2);
	etcd_answer_clear(&answer);

	CU_ASSERT_EQUAL_FATAL(read_text("{\"result\":{" HEADER
					",\"ID\":\"2324035549856900357\",\"TTL\":\"3\"}}\n",
					&answer),
			      0);
	CU_ASSERT_TRUE(answer.lease == 2324035549856900357u && answer.ttl_s == 3);
	etcd_answer_clear(&answer);
}

static void watches(void)
{
	struct etcd_answer answer;

	CU_ASSERT_EQUAL_FATAL(read_text("{\"result\":{" HEADER ",\"created\":true}}", &answer), 0);
	CU_ASSERT_TRUE(answer.created && !answer.canceled && answer.kv_count == 0);
	CU_ASSERT_EQUAL_FATAL(read_text("{\"result\":{" HEADER
					",\"canceled\":true,\"compact_revision\":\"3\"}}",
					&answer),
			      0);
	CU_ASSERT_TRUE(answer.canceled && answer.compact_revision == 3);
	CU_ASSERT_EQUAL_FATAL(read_text("{\"result\":{" HEADER
					",\"events\":[{\"kv\":{\"key\":\"L3IvYQ==\",\"mod_"
					"revision\":\"3\",\"value\":\"MQ==\"}},"
					"{\"type\":\"DELETE\",\"kv\":{\"key\":\"L3IvYg==\",\"mod_"
					"revision\":\"4\"}}]}}",
					&answer),
			      0);
	CU_ASSERT_EQUAL_FATAL(answer.kv_count, 2);
	CU_ASSERT_FALSE(answer.kvs[0].deleted);
	CU_ASSERT_TRUE(answer.kvs[1].deleted && answer.kvs[1].revision == 4);
	CU_ASSERT_PTR_NULL(etcd_answer_find(&answer, "/r/b"));
	etcd_answer_clear(&answer);
}

static void refusals(void)
{
	struct etcd_answer answer;

	CU_ASSERT_EQUAL_FATAL(
		read_text("{\"error\":\"etcdserver: mvcc: required revision has been "
			  "compacted\",\"message\":"
			  "\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}",
			  &answer),
		0);
	CU_ASSERT_EQUAL(answer.error, ETCD_ERROR_OUT_OF_RANGE);
	CU_ASSERT_STRING_EQUAL(answer.error_text,
			       "etcdserver: mvcc: required revision has been compacted");
	CU_ASSERT_EQUAL_FATAL(read_text("{\"error\":{\"grpc_code\":14,\"http_code\":503,"
					"\"message\":\"etcdserver: no leader\"}}",
					&answer),
			      0);
	CU_ASSERT_EQUAL(answer.error, 14);
	CU_ASSERT_STRING_EQUAL(answer.error_text, "etcdserver: no leader");
	/* Whatever it is, it is one. */
	CU_ASSERT_EQUAL_FATAL(read_text("{\"error\":\"x\",\"code\":0}", &answer), 0);
	CU_ASSERT_EQUAL(answer.error, ETCD_ERROR_UNKNOWN);
	CU_ASSERT_EQUAL_FATAL(read_text("{\"error\":{}}", &answer), 0);
	CU_ASSERT_EQUAL(answer.error, ETCD_ERROR_UNKNOWN);
}

/* Keys of others can be any bytes: they are told, but never as one of ours. */
static void keys_that_are_no_text(void)
{
	enum { LONG = ETCD_KEY_MAX + 30 };
	char encoded[BASE64_SIZE(LONG)] = "", text[sizeof(encoded) + 64];
	uint8_t key[LONG];
	struct etcd_answer answer;

	/* "/r/leader" NUL "x" */
	CU_ASSERT_EQUAL_FATAL(read_text("{\"kvs\":[{\"key\":\"L3IvbGVhZGVyAHg=\"}]}", &answer), 0);
	CU_ASSERT_STRING_EQUAL(answer.kvs[0].key, "/r/leader\1x");
	etcd_answer_clear(&answer);

	memset(key, 'k', sizeof(key));
	base64_encode(key, sizeof(key), encoded);
	(void) snprintf(text, sizeof(text), "{\"kvs\":[{\"key\":\"%.*s\"}]}",
			(int) BASE64_SIZE(LONG), encoded);
	CU_ASSERT_EQUAL_FATAL(read_text(text, &answer), 0);
	CU_ASSERT_EQUAL(strlen(answer.kvs[0].key), ETCD_KEY_MAX);
	etcd_answer_clear(&answer);
}

/* Of one member's health: POST /v3/maintenance/status, as etcd 3.4 answers it. */
static void statuses(void)
{
	struct etcd_answer answer;

	CU_ASSERT_EQUAL_FATAL(
		read_text(
			"{\"header\":{\"cluster_id\":\"1\",\"member_id\":\"10276657743932975437\","
			"\"revision\":\"3\",\"raft_term\":\"2\"},\"version\":\"3.4.23\","
			"\"dbSize\":\"20480\",\"leader\":\"10276657743932975437\"}",
			&answer),
		0);
	CU_ASSERT_EQUAL(answer.member, UINT64_C(10276657743932975437));
	CU_ASSERT_EQUAL(answer.raft_leader, answer.member);
	CU_ASSERT_EQUAL(answer.error, 0);
	etcd_answer_clear(&answer);
	CU_ASSERT_EQUAL_FATAL(read_text("{\"header\":{\"member_id\":\"7\"},\"errors\":"
					"[\"etcdserver: no leader\"]}",
					&answer),
			      0);
	CU_ASSERT_EQUAL(answer.raft_leader, 0);
	etcd_answer_clear(&answer);
}

static void no_answers(void)
{
	static const char *const texts[] = {
		"",
		"[]",
		"null",
		"{",
		"<html>",
		"{\"header\":3}",
		"{\"header\":{\"revision\":3}}",
		"{\"header\":{\"revision\":\"\"}}",
		"{\"header\":{\"revision\":\"-1\"}}",
		"{\"header\":{\"revision\":\"18446744073709551616\"}}",
		"{\"succeeded\":1}",
		"{\"kvs\":{}}",
		"{\"kvs\":[3]}",
		"{\"kvs\":[{}]}",
		"{\"kvs\":[{\"key\":\"L3IvYQ=\"}]}",
		"{\"kvs\":[{\"key\":\"\"}]}",
		"{\"kvs\":[{\"key\":\"L3IvYQ==\",\"value\":\"?\"}]}",
		"{\"kvs\":[{\"key\":\"L3IvYQ==\"},{\"key\":\"L3IvYQ==\",\"lease\":1}]}",
		"{\"events\":[{}]}",
		"{\"events\":[{\"type\":\"MOVE\",\"kv\":{\"key\":\"L3IvYQ==\"}}]}",
		"{\"events\":[{\"kv\":[]}]}",
		"{\"responses\":[[]]}",
		"{\"responses\":{}}",
		"{\"responses\":[{\"response_range\":[]}]}",
		"{\"responses\":[{\"response_range\":{\"kvs\":[{}]}}]}",
		"{\"result\":[]}",
		"{\"TTL\":\"x\"}",
	};
	struct etcd_answer answer;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		CU_ASSERT_EQUAL(read_text(texts[i], &answer), -EBADMSG);
}

UNIT_MAIN("etcd_message", UNIT_TEST(base64_there_and_back), UNIT_TEST(base64_that_nobody_writes),
	  UNIT_TEST(requests), UNIT_TEST(transactions), UNIT_TEST(answers), UNIT_TEST(watches),
	  UNIT_TEST(refusals), UNIT_TEST(keys_that_are_no_text), UNIT_TEST(statuses),
	  UNIT_TEST(no_answers))
