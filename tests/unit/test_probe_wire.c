/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The packet counter's messages: annotated bytes, every truncation, every type there and back. */
#include <errno.h>
#include <string.h>

#include "tests/lab/probe_summary.h"
#include "tests/lab/probe_wire.h"
#include "tests/unit/unit.h"

static const uint8_t data_bytes[] = {
	0x72, 0x70,			    /* magic */
	0x10,				    /* version 1, type DATA */
	0x03,				    /* flow 3 */
	0xde, 0xad, 0xbe, 0xef,		    /* session */
	0x00, 0x00, 0x01, 0x02,		    /* number 258 */
	0x00, 0x01, 0x00, 0x00, 0x00, 0x05, /* time: 2^32 + 5 us */
	0x00, 0x00, 0x00, 0x07,		    /* seen: up to number 6 */
};

static const uint8_t open_bytes[] = {
	0x72, 0x70, 0x11, 0x01, /* version 1, type OPEN, flow 1 */
	0x00, 0x00, 0x00, 0x2a, /* session 42 */
	0x00, 0x00, 0x00, 0x09, /* token */
	0x02,			/* flows */
	0x00, 0x00, 0x4e, 0x20, /* up: 20,000 packets/s */
	0x05, 0x4e,		/* up payload: 1358 */
	0x00, 0x16,		/* down payload: 22 */
};

static const uint8_t stopped_bytes[] = {
	0x72, 0x70, 0x16, 0x00,				/* version 1, type STOPPED, flow 0 */
	0x00, 0x00, 0x00, 0x2a,				/* session */
	0x00, 0x00, 0x00, 0x0a,				/* token */
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, /* received 256 */
	0x02,						/* counts of 2 flows */
	0x00, 0x00, 0x00, 0x05,				/* flow 0 sent 5 */
	0x00, 0x00, 0x00, 0x06,				/* flow 1 sent 6 */
};

static void reads_data(void)
{
	struct probe_message message;

	CU_ASSERT_EQUAL_FATAL(probe_wire_decode(data_bytes, sizeof(data_bytes), &message), 0);
	CU_ASSERT_EQUAL(message.type, PROBE_DATA);
	CU_ASSERT_EQUAL(message.flow, 3);
	CU_ASSERT_EQUAL(message.session, 0xdeadbeef);
	CU_ASSERT_EQUAL(message.seq, 258);
	CU_ASSERT_EQUAL(message.time_us, (UINT64_C(1) << 32) + 5);
	CU_ASSERT_EQUAL(message.seen, 7);
}

static void writes_data(void)
{
	struct probe_data_wire data;

	/* The time goes modulo 2^48. */
	probe_wire_encode_data(0xdeadbeef, 3, 258, (UINT64_C(9) << 48) + (UINT64_C(1) << 32) + 5, 7,
			       &data);
	CU_ASSERT_EQUAL(memcmp(&data, data_bytes, sizeof(data_bytes)), 0);
}

static void data_may_be_padded(void)
{
	uint8_t padded[sizeof(data_bytes) + 100] = { 0 };
	struct probe_message message;

	memcpy(padded, data_bytes, sizeof(data_bytes));
	CU_ASSERT_EQUAL(probe_wire_decode(padded, sizeof(padded), &message), 0);
	CU_ASSERT_EQUAL(message.seq, 258);
}

static void reads_an_open(void)
{
	struct probe_message message;

	CU_ASSERT_EQUAL_FATAL(probe_wire_decode(open_bytes, sizeof(open_bytes), &message), 0);
	CU_ASSERT_EQUAL(message.type, PROBE_OPEN);
	CU_ASSERT_EQUAL(message.token, 9);
	CU_ASSERT_EQUAL(message.setup.flows, 2);
	CU_ASSERT_EQUAL(message.setup.up_pps, 20000);
	CU_ASSERT_EQUAL(message.setup.up_payload, 1358);
	CU_ASSERT_EQUAL(message.setup.down_payload, 22);
}

static void reads_a_stopped(void)
{
	struct probe_message message;

	CU_ASSERT_EQUAL_FATAL(probe_wire_decode(stopped_bytes, sizeof(stopped_bytes), &message), 0);
	CU_ASSERT_EQUAL(message.received, 256);
	CU_ASSERT_EQUAL_FATAL(message.counts_size, 2);
	CU_ASSERT_EQUAL(message.counts[0], 5);
	CU_ASSERT_EQUAL(message.counts[1], 6);
}

static void refuses_every_truncation_and_any_excess(void)
{
	static const struct {
		const uint8_t *bytes;
		size_t size;
	} all[] = {
		{ data_bytes, sizeof(data_bytes) },
		{ open_bytes, sizeof(open_bytes) },
		{ stopped_bytes, sizeof(stopped_bytes) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint8_t longer[64] = { 0 };
		struct probe_message message = { .token = 42 };

		for (size_t size = 0; size < all[i].size; size++) {
			/*
			 * A block of just that size, so that a sanitizer sees any read beyond it.
			 */
			_cleanup_free_ uint8_t *cut = malloc(size ? size : 1);

			CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
			memcpy(cut, all[i].bytes, size);
			CU_ASSERT_EQUAL(probe_wire_decode(cut, size, &message), -EBADMSG);
		}
		memcpy(longer, all[i].bytes, all[i].size);
		if (i > 0)
			CU_ASSERT_EQUAL(probe_wire_decode(longer, all[i].size + 1, &message),
					-EBADMSG);
		CU_ASSERT_EQUAL(message.token, 42);
	}
}

/* Changes one byte of @bytes and expects @error. */
static void expect_change(const uint8_t *bytes, size_t size, size_t at, uint8_t value, int error)
{
	uint8_t changed[64];
	struct probe_message message;

	memcpy(changed, bytes, size);
	changed[at] = value;
	CU_ASSERT_EQUAL(probe_wire_decode(changed, size, &message), error);
}

static void refuses_what_is_out_of_range(void)
{
	expect_change(data_bytes, sizeof(data_bytes), 0, 0x73, -EBADMSG);
	expect_change(data_bytes, sizeof(data_bytes), 2, 0x20, -EPROTONOSUPPORT);
	expect_change(data_bytes, sizeof(data_bytes), 2, 0x10 | PROBE_TYPE_COUNT, -EBADMSG);
	expect_change(data_bytes, sizeof(data_bytes), 3, PROBE_FLOWS_MAX, -EBADMSG);
	expect_change(open_bytes, sizeof(open_bytes), 12, 0, -EBADMSG); /* no flows */
	expect_change(open_bytes, sizeof(open_bytes), 12, PROBE_FLOWS_MAX + 1, -EBADMSG);
	expect_change(open_bytes, sizeof(open_bytes), 13, 0x01, -EBADMSG); /* 16 million pps */
	expect_change(open_bytes, sizeof(open_bytes), 17, 0xff, -EBADMSG); /* payload 65,358 */
	expect_change(open_bytes, sizeof(open_bytes), 20, 21, -EBADMSG);   /* less than a header */
	expect_change(stopped_bytes, sizeof(stopped_bytes), 20, PROBE_FLOWS_MAX + 1, -EBADMSG);
	expect_change(stopped_bytes, sizeof(stopped_bytes), 20, 1, -EBADMSG);
}

/* A message with every field at its largest; only those of the type matter. */
static struct probe_message full_message(enum probe_type type, const uint8_t *chunk)
{
	struct probe_message message = {
		.type = type,
		.flow = PROBE_FLOWS_MAX - 1,
		.session = UINT32_MAX,
		.token = 0x01020304,
		.setup = { PROBE_FLOWS_MAX, PROBE_RATE_MAX, PROBE_FRAME_MAX, PROBE_FRAME_MAX },
		.received = UINT64_MAX,
		.counts_size = PROBE_FLOWS_MAX,
		.total = UINT32_MAX,
		.offset = UINT32_MAX - 1,
		.chunk_size = PROBE_CHUNK_MAX,
		.chunk = chunk,
		.reason = PROBE_REASON_COUNT - 1,
	};

	for (uint32_t i = 0; i < PROBE_FLOWS_MAX; i++)
		message.counts[i] = UINT32_MAX - i;
	return message;
}

static void every_control_message_survives_the_way(void)
{
	uint8_t chunk[PROBE_CHUNK_MAX], buffer[PROBE_CONTROL_MAX], again[PROBE_CONTROL_MAX];

	memset(chunk, 0xc5, sizeof(chunk));
	for (int type = PROBE_OPEN; type < PROBE_TYPE_COUNT; type++) {
		struct probe_message sent = full_message((enum probe_type) type, chunk),
				     got = { 0 };
		int size = probe_wire_encode(&sent, buffer, sizeof(buffer));

		CU_ASSERT_TRUE_FATAL(size > 0);
		CU_ASSERT_EQUAL_FATAL(probe_wire_decode(buffer, (size_t) size, &got), 0);
		CU_ASSERT_EQUAL((int) got.type, type);
		CU_ASSERT_EQUAL(got.token, sent.token);
		/* What was read says the same when written: no field of the type got lost. */
		CU_ASSERT_EQUAL(probe_wire_encode(&got, again, sizeof(again)), size);
		CU_ASSERT_EQUAL(memcmp(buffer, again, (size_t) size), 0);
		for (int room = 0; room < size; room++)
			CU_ASSERT_EQUAL(probe_wire_encode(&sent, again, (size_t) room), -ENOBUFS);
	}
}

static void does_not_write_what_it_would_not_read(void)
{
	uint8_t buffer[PROBE_CONTROL_MAX];
	struct probe_message data = { .type = PROBE_DATA };
	struct probe_message open = full_message(PROBE_OPEN, NULL);
	struct probe_message close = full_message(PROBE_CLOSE, NULL);
	struct probe_message chunk = full_message(PROBE_CHUNK, buffer);

	CU_ASSERT_EQUAL(probe_wire_encode(&data, buffer, sizeof(buffer)), -EINVAL);
	open.setup.flows = 0;
	CU_ASSERT_EQUAL(probe_wire_encode(&open, buffer, sizeof(buffer)), -EINVAL);
	close.counts_size = PROBE_FLOWS_MAX + 1;
	CU_ASSERT_EQUAL(probe_wire_encode(&close, buffer, sizeof(buffer)), -EINVAL);
	chunk.chunk_size = PROBE_CHUNK_MAX + 1;
	CU_ASSERT_EQUAL(probe_wire_encode(&chunk, buffer, sizeof(buffer)), -EINVAL);
}

static void every_reason_has_a_text(void)
{
	for (int reason = 0; reason < PROBE_REASON_COUNT; reason++)
		CU_ASSERT_STRING_NOT_EQUAL(probe_reason_name((enum probe_reason) reason),
					   "invalid");
	CU_ASSERT_STRING_EQUAL(probe_reason_name(PROBE_REASON_COUNT), "invalid");
}

/* All lists full, every number different. */
static struct probe_summary *full_summary(void)
{
	struct probe_summary *sum = calloc(1, sizeof(*sum));

	CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
	for (uint32_t i = 0; i < PROBE_COUNTER_COUNT; i++)
		sum->counters[i] = UINT64_MAX - i;
	sum->lost_ranges_total = 1000;
	sum->lost_count = sum->duplicated_count = sum->reordered_count = PROBE_LIST_MAX;
	for (uint32_t i = 0; i < PROBE_LIST_MAX; i++) {
		sum->lost[i] = (struct probe_range){ i * 3, i * 3 + 1, (uint8_t) i };
		sum->duplicated[i] = (struct probe_mark){ i + 1000, 1 };
		sum->reordered[i] = (struct probe_mark){ i + 2000, 2 };
	}
	probe_gaps_note(&sum->gaps, 0, 0, 0, 0);
	for (uint32_t i = 1; i <= PROBE_GAPS_MAX; i++)
		probe_gaps_note(&sum->gaps, i * UINT64_C(1000003), i * UINT64_C(999983), 5, i);
	return sum;
}

static void a_full_report_survives_the_way(void)
{
	_cleanup_free_ struct probe_summary *sent = full_summary(), *got = calloc(1, sizeof(*got));
	uint8_t buffer[PROBE_SUMMARY_SIZE_MAX], again[PROBE_SUMMARY_SIZE_MAX];
	int size = probe_summary_encode(sent, buffer, sizeof(buffer));

	CU_ASSERT_EQUAL_FATAL(size, PROBE_SUMMARY_SIZE_MAX); /* full: just the most there can be */
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL_FATAL(probe_summary_decode(buffer, (size_t) size, got), 0);
	CU_ASSERT_EQUAL(memcmp(got->counters, sent->counters, sizeof(got->counters)), 0);
	CU_ASSERT_EQUAL(got->lost[63].last, 190);
	CU_ASSERT_EQUAL(got->duplicated[63].seq, 1063);
	CU_ASSERT_EQUAL(got->reordered[63].flow, 2);
	CU_ASSERT_EQUAL(got->gaps.items[63].sender_length_us, 999983);
	CU_ASSERT_EQUAL(probe_summary_encode(got, again, sizeof(again)), size);
	CU_ASSERT_EQUAL(memcmp(buffer, again, (size_t) size), 0);
}

static void a_report_cut_anywhere_is_refused(void)
{
	_cleanup_free_ struct probe_summary *sum = full_summary(), *got = calloc(1, sizeof(*got));
	uint8_t buffer[PROBE_SUMMARY_SIZE_MAX + 1] = { 0 }, room[PROBE_SUMMARY_SIZE_MAX];
	int size = probe_summary_encode(sum, buffer, sizeof(buffer));

	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	for (int cut = 0; cut < size; cut++) {
		CU_ASSERT_EQUAL(probe_summary_decode(buffer, (size_t) cut, got), -EBADMSG);
		CU_ASSERT_EQUAL(probe_summary_encode(sum, room, (size_t) cut), -ENOBUFS);
	}
	CU_ASSERT_EQUAL(probe_summary_decode(buffer, (size_t) size + 1, got), -EBADMSG);
	buffer[8 * (PROBE_COUNTER_COUNT + 1)] = PROBE_LIST_MAX + 1; /* length of the lost list */
	CU_ASSERT_EQUAL(probe_summary_decode(buffer, (size_t) size, got), -EBADMSG);
}

UNIT_MAIN("probe_wire", UNIT_TEST(reads_data), UNIT_TEST(writes_data),
	  UNIT_TEST(data_may_be_padded), UNIT_TEST(reads_an_open), UNIT_TEST(reads_a_stopped),
	  UNIT_TEST(refuses_every_truncation_and_any_excess),
	  UNIT_TEST(refuses_what_is_out_of_range),
	  UNIT_TEST(every_control_message_survives_the_way),
	  UNIT_TEST(does_not_write_what_it_would_not_read), UNIT_TEST(every_reason_has_a_text),
	  UNIT_TEST(a_full_report_survives_the_way), UNIT_TEST(a_report_cut_anywhere_is_refused))
