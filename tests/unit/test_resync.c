// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_resync.c - an NVE that comes back is told what differs: the directory (nva/) and what an NVE
 * remembers (nveagent/vn.c) against each other, and the bytes that this takes.
 */
#include <stdlib.h>

#include "nva/digest.h"
#include "nveagent/vn.h"
#include "tests/unit/directory_world.h"

enum {
	MILLION = 1000000,
	DIFFERENT = 10,
	FULL_BATCH = 2000,
};

/* --- the arithmetic --- */

static struct mapping sample(void)
{
	return (struct mapping){
		.vni = VNI,
		.mac = mac1,
		.ips = { ip_of("10.0.0.1"), ip_of("fd00::1") },
		.ip_count = 2,
		.vtep = ip_of("192.0.2.1"),
		.generation = 3,
		.vm = vm1,
		.flags = MAPPING_VM,
	};
}

/* As docs/protocol.md has it, for other languages. */
static void it_is_these_numbers(void)
{
	const struct mapping mapping = sample();

	CU_ASSERT_EQUAL(digest_leaf(mac1), 40580);
	CU_ASSERT_EQUAL(digest_hash(&mapping), UINT64_C(0xb54d38503d4d5de2));
}

static void every_field_counts_and_no_order_does(void)
{
	const struct mapping plain = sample();
	struct mapping other[8];
	uint64_t hash = digest_hash(&plain);

	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		other[i] = plain;
	other[0].mac.octet[5] ^= 1;
	other[1].ips[0].octet[3] ^= 1;
	other[2].ip_count = 1;
	other[3].vtep = ip_of("::ffff:192.0.2.2");
	other[4].generation++;
	other[5].vm.octet[15] ^= 1;
	other[6].flags |= MAPPING_STANDBY;
	other[7].ips[0] = plain.ips[1];
	other[7].ips[1] = plain.ips[0];
	for (size_t i = 0; i < 7; i++)
		CU_ASSERT_NOT_EQUAL(digest_hash(&other[i]), hash);
	CU_ASSERT_EQUAL(digest_hash(&other[7]), hash);
}

static void a_comparison_finds_every_bit(void)
{
	uint64_t sums[16];
	uint8_t theirs[sizeof(sums)], bits[4];

	for (size_t i = 0; i < 16; i++)
		sums[i] = i << 40;
	for (size_t i = 0; i < 16; i++) {
		digest_write(sums, 16, theirs);
		theirs[i * DIGEST_SUM_SIZE + 7] ^= 1;
		memset(bits, 0, sizeof(bits));
		CU_ASSERT_EQUAL(digest_compare(sums, theirs, 16, bits, 8), 1);
		for (size_t bit = 0; bit < 32; bit++)
			CU_ASSERT_EQUAL(digest_bit(bits, bit), bit == 8 + i);
	}
}

/* --- an NVE with a memory --- */

struct pair {
	struct world *world;
	uint32_t owner, nve;
	struct vn *vn;	   /* what the second one remembers */
	size_t bytes;	   /* exchanged by it since it was last reset */
	size_t told, gone; /* mappings, likewise */
	size_t questions;
};

static void count(struct pair *pair, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size = 0;

	CU_ASSERT_EQUAL(nvo3_pack(message, &frame, &size), 0);
	pair->bytes += size;
}

static void send_counted(struct pair *pair, const struct nvo3_message *message)
{
	count(pair, message);
	send_from(pair->world, pair->nve, message);
}

static void answer_digest(struct pair *pair, const struct nvo3_message *question)
{
	struct nvo3_message reply = { .kind = NVO3_DIGEST, .vni = VNI };

	CU_ASSERT_EQUAL_FATAL(
		vn_digest_leaves(pair->vn, question->digest, &reply.digest, &reply.digest_size), 0);
	send_counted(pair, &reply);
	nvo3_message_clear(&reply);
	pair->questions++;
}

static void take_output(struct pair *pair, const struct nvo3_message *message)
{
	count(pair, message);
	if (message->kind == NVO3_DIGEST)
		answer_digest(pair, message);
	if (message->kind != NVO3_UPDATE)
		return;
	CU_ASSERT_EQUAL(vn_update(pair->vn, message, NULL, NULL), 0);
	pair->told += message->mapping_count;
	pair->gone += message->removed_count;
}

static void exchange(struct pair *pair)
{
	struct directory_output *output;

	while (directory_next_output(pair->world->directory, &output) > 0) {
		for (size_t i = 0; i < output->to_count; i++)
			if (output->to[i] == pair->nve)
				take_output(pair, &output->message);
		directory_output_free(output);
	}
}

/* In a session of its own; @compares: it says what it remembers. */
static void come_back(struct pair *pair, bool compares)
{
	uint8_t sums[DIGEST_BUCKETS_SIZE];
	struct nvo3_message subscribe = { .kind = NVO3_SUBSCRIBE, .vni = VNI };

	pair->nve = connect_as(pair->world, "hv2", "2001:db8::2", 1);
	exchange(pair);
	pair->bytes = pair->told = pair->gone = pair->questions = 0;
	if (compares && vn_digest(pair->vn, sums)) {
		subscribe.digest = sums;
		subscribe.digest_size = sizeof(sums);
	}
	send_counted(pair, &subscribe);
	exchange(pair);
}

static struct mac nth_mac(uint32_t n)
{
	return (struct mac){ { 2, 0, (uint8_t) (n >> 24), (uint8_t) (n >> 16), (uint8_t) (n >> 8),
			       (uint8_t) n } };
}

static struct mapping nth(uint32_t n)
{
	struct mapping mapping = {
		.vni = VNI,
		.mac = nth_mac(n),
		.ips = { { .family = AF_INET,
			   .octet = { 10, (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } },
			 { .family = AF_INET6, .octet = { 0xfd } } },
		.ip_count = 2,
		.vm = { { 7 } },
		.flags = MAPPING_VM,
	};

	memcpy(mapping.ips[1].octet + 12, &n, sizeof(n));
	return mapping;
}

static void serve(struct pair *pair, uint32_t from, uint32_t total)
{
	struct mapping *batch = calloc(FULL_BATCH, sizeof(*batch));

	CU_ASSERT_PTR_NOT_NULL_FATAL(batch);
	for (uint32_t n = from; n < from + total; n += FULL_BATCH) {
		struct nvo3_message message = { .kind = NVO3_REGISTER_BATCH, .mappings = batch };

		while (message.mapping_count < FULL_BATCH &&
		       n + message.mapping_count < from + total) {
			batch[message.mapping_count] = nth(n + (uint32_t) message.mapping_count);
			message.mapping_count++;
		}
		send_from(pair->world, pair->owner, &message);
		exchange(pair);
	}
	free(batch);
}

/* hv1 serves @total; hv2 knows them and has gone away. */
static void prepare(struct pair *pair, uint32_t total)
{
	const struct directory_limits limits = { .nve_mappings = 2 * MILLION };
	const struct vn_devices devices = { .vxlan = 7 };

	*pair = (struct pair){ .world = world_with(limits) };
	CU_ASSERT_EQUAL_FATAL(vn_new(VNI, ip_of("2001:db8::2"), devices, &pair->vn), 0);
	pair->owner = join(pair->world, "hv1", "192.0.2.1");
	pair->nve = UINT32_MAX;
	serve(pair, 0, total);
	come_back(pair, true);
	CU_ASSERT_EQUAL(vn_mapping_count(pair->vn), total);
	disconnect(pair->world, pair->nve);
}

static void clear(struct pair *pair)
{
	vn_free(pair->vn);
	world_free(pair->world);
}

/* Of @n: another address, another generation, or nothing. */
static void change(struct pair *pair, uint32_t n)
{
	struct mapping mapping = nth(n);

	if (n % 3 == 0) {
		send_endpoint(pair->world, pair->owner, NVO3_WITHDRAW, nth_mac(n), 0);
	} else if (n % 3 == 1) {
		mapping.ip_count = 1;
		send_mapping(pair->world, pair->owner, NVO3_REGISTER, mapping);
	} else {
		send_endpoint(pair->world, pair->owner, NVO3_WITHDRAW, nth_mac(n), 0);
		send_mapping(pair->world, pair->owner, NVO3_REGISTER, mapping);
	}
	exchange(pair);
}

struct reading {
	const struct vn *vn;
	size_t count, wrong;
};

static void check_mapping(void *userdata, const struct change *change)
{
	struct reading *reading = userdata;
	struct mapping known = { 0 };

	if (change->kind != CHANGE_MAPPING)
		return;
	reading->count++;
	reading->wrong += !vn_find(reading->vn, change->mapping.mac, &known) ||
			  known.generation != change->mapping.generation ||
			  known.ip_count != change->mapping.ip_count;
}

static void expect_equal(const struct pair *pair)
{
	struct reading reading = { .vn = pair->vn };

	directory_dump(pair->world->directory, pair->world->now_us, 0, check_mapping, &reading);
	CU_ASSERT_EQUAL(reading.wrong, 0);
	CU_ASSERT_EQUAL(vn_mapping_count(pair->vn), reading.count);
}

static void nothing_new_costs_next_to_nothing(void)
{
	struct pair pair;

	prepare(&pair, 1000);
	come_back(&pair, true);
	CU_ASSERT_EQUAL(pair.told, 0);
	CU_ASSERT_EQUAL(pair.questions, 0);
	CU_ASSERT_TRUE(pair.bytes < 3000);
	CU_ASSERT_EQUAL(counter(pair.world, "resyncs"), 1);
	expect_equal(&pair);
	clear(&pair);
}

static void a_small_vni_is_compared_by_buckets(void)
{
	struct pair pair;

	prepare(&pair, 3000);
	for (uint32_t i = 0; i < DIFFERENT; i++)
		change(&pair, i * 200);
	serve(&pair, 3000, 1); /* and a new one */
	come_back(&pair, true);
	CU_ASSERT_EQUAL(pair.questions, 0);
	CU_ASSERT_TRUE(pair.told < 3000 / 10);
	expect_equal(&pair);

	/* It is told of changes again from then on. */
	change(&pair, 1);
	CU_ASSERT_EQUAL(vn_mapping_count(pair.vn), 2997);
	expect_equal(&pair);
	clear(&pair);
}

static void who_remembers_little_gets_everything(void)
{
	struct pair pair;

	prepare(&pair, VN_DIGEST_MIN - 1);
	come_back(&pair, true);
	CU_ASSERT_EQUAL(pair.told, VN_DIGEST_MIN - 1);
	clear(&pair);
}

/* While the leaves are on their way, more changes: also in buckets that were the same. */
static void what_changes_in_between_is_found(void)
{
	struct nvo3_message subscribe = { .kind = NVO3_SUBSCRIBE, .vni = VNI };
	uint8_t sums[DIGEST_BUCKETS_SIZE];
	const struct nvo3_message *question;
	struct pair pair;

	prepare(&pair, 70000);
	change(&pair, 1);
	pair.nve = connect_as(pair.world, "hv2", "2001:db8::2", 1);
	exchange(&pair);
	CU_ASSERT_TRUE(vn_digest(pair.vn, sums));
	subscribe.digest = sums;
	subscribe.digest_size = sizeof(sums);
	send_from(pair.world, pair.nve, &subscribe);
	question = take(pair.world, pair.nve, NVO3_DIGEST);
	for (uint32_t n = 10; n < 20; n++) {
		struct mapping mapping = nth(n);

		mapping.ip_count = 1;
		send_mapping(pair.world, pair.owner, NVO3_REGISTER, mapping);
	}
	answer_digest(&pair, question);
	deliver(pair.world);
	for (const struct delivery *next = pair.world->deliveries; next; next = next->next)
		if (next->to == pair.nve)
			take_output(&pair, &next->output->message);
	forget(pair.world);
	expect_equal(&pair);
	clear(&pair);
}

static void a_wrong_or_late_digest_does_no_harm(void)
{
	uint8_t few[DIGEST_FANOUT * DIGEST_SUM_SIZE] = { 0 }, sums[DIGEST_BUCKETS_SIZE];
	struct nvo3_message digest = {
		.kind = NVO3_DIGEST, .vni = VNI, .digest = few, .digest_size = sizeof(few)
	};
	struct nvo3_message subscribe = { .kind = NVO3_SUBSCRIBE, .vni = VNI };
	struct pair pair;

	prepare(&pair, 70000);
	for (uint32_t n = 0; n < DIFFERENT; n++)
		change(&pair, n);
	pair.nve = connect_as(pair.world, "hv2", "2001:db8::2", 1);
	exchange(&pair);
	send_from(pair.world, pair.nve, &digest); /* asked by nobody */
	CU_ASSERT_TRUE(vn_digest(pair.vn, sums));
	subscribe.digest = sums;
	subscribe.digest_size = sizeof(sums);
	send_from(pair.world, pair.nve, &subscribe);
	(void) take(pair.world, pair.nve, NVO3_DIGEST);
	pair.told = 0;
	send_from(pair.world, pair.nve,
		  &digest); /* of one bucket, not of all that were asked for */
	exchange(&pair);
	CU_ASSERT_TRUE(pair.told > 69000);
	expect_equal(&pair);
	clear(&pair);
}

static void a_million_with_ten_differences_costs_kilobytes(void)
{
	struct pair pair;
	size_t compared;

	prepare(&pair, MILLION);
	for (uint32_t i = 0; i < DIFFERENT; i++)
		change(&pair, i * 99991);
	come_back(&pair, true);
	compared = pair.bytes;
	CU_ASSERT_EQUAL(pair.questions, 1);
	CU_ASSERT_TRUE(pair.told >= 6 && pair.told < 40 * DIFFERENT);
	CU_ASSERT_TRUE(compared < 64 << 10);
	expect_equal(&pair);

	disconnect(pair.world, pair.nve);
	come_back(&pair, false);
	printf("%zu bytes for %d differences of %d mappings; %zu bytes without digests ", compared,
	       DIFFERENT, MILLION, pair.bytes);
	CU_ASSERT_TRUE(pair.bytes > 60 * MILLION);
	clear(&pair);
}

UNIT_MAIN("resync", UNIT_TEST(it_is_these_numbers), UNIT_TEST(every_field_counts_and_no_order_does),
	  UNIT_TEST(a_comparison_finds_every_bit), UNIT_TEST(nothing_new_costs_next_to_nothing),
	  UNIT_TEST(a_small_vni_is_compared_by_buckets),
	  UNIT_TEST(who_remembers_little_gets_everything),
	  UNIT_TEST(what_changes_in_between_is_found),
	  UNIT_TEST(a_wrong_or_late_digest_does_no_harm),
	  UNIT_TEST(a_million_with_ten_differences_costs_kilobytes))
