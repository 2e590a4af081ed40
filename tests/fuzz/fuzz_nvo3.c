// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz_nvo3.c - any bytes as an Envelope; and what was read, packed again, is a frame that reads
 * the same, here and in the code that protobuf's own compiler makes of nvo3.proto.
 *
 * The input is the Envelope without its length.
 */
#include <errno.h>
#include <string.h>

#include "nva/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/nvo3.pb-c.h"

static void check_mapping(const struct mapping *mapping)
{
	FUZZ_CHECK(mapping->vni >= 1 && mapping->vni <= VNI_MAX);
	FUZZ_CHECK(!mac_is_zero(mapping->mac) && !mac_is_group(mapping->mac));
	FUZZ_CHECK(mapping->ip_count <= MAPPING_IPS_MAX);
	FUZZ_CHECK(mapping->generation <= NVO3_GENERATION_MAX);
	for (size_t i = 0; i < mapping->ip_count; i++)
		FUZZ_CHECK(ip_is_unicast(mapping->ips[i]));
}

/* What the rest of the program relies on without looking again. */
static void check_message(const struct nvo3_message *message)
{
	FUZZ_CHECK((unsigned) message->kind < NVO3_KIND_COUNT);
	FUZZ_CHECK(strlen(message->name) <= NVO3_NAME_MAX);
	FUZZ_CHECK(strlen(message->text) <= NVO3_TEXT_MAX);
	FUZZ_CHECK(message->vni <= VNI_MAX);
	FUZZ_CHECK(message->generation <= NVO3_GENERATION_MAX);
	FUZZ_CHECK(message->member_count <= NVO3_MEMBERS_MAX);
	FUZZ_CHECK(message->mapping_count + message->removed_count <= NVO3_BATCH_MAX);
	FUZZ_CHECK(message->kind != NVO3_REGISTER || message->mapping_count == 1);
	FUZZ_CHECK(message->kind != NVO3_MOVE_INTENT || message->mapping_count == 1);
	FUZZ_CHECK(message->kind != NVO3_REGISTER_BATCH || message->mapping_count >= 1);
	FUZZ_CHECK(message->generation_count <= NVO3_BATCH_MAX);
	FUZZ_CHECK(message->refusal_count <= NVO3_BATCH_MAX);
	FUZZ_CHECK(message->kind != NVO3_STATUS_REPLY || message->json);
	FUZZ_CHECK(message->kind != NVO3_FLOWS || message->flows);
	FUZZ_CHECK(message->flows_size <= NVO3_FLOWS_MAX);
	for (size_t i = 0; i < message->mapping_count; i++)
		check_mapping(&message->mappings[i]);
	for (size_t i = 0; i < message->removed_count; i++)
		check_mapping(&message->removed[i]);
}

/* Another implementation reads our bytes, and writes the same. */
static void check_other(const uint8_t *envelope, size_t size)
{
	Rehome__Nvo3__Envelope *tree = rehome__nvo3__envelope__unpack(NULL, size, envelope);
	_cleanup_free_ uint8_t *packed = NULL;

	FUZZ_CHECK(tree && tree->body_case != REHOME__NVO3__ENVELOPE__BODY__NOT_SET);
	FUZZ_CHECK(rehome__nvo3__envelope__get_packed_size(tree) == size);
	packed = malloc(size + 1);
	FUZZ_CHECK(packed);
	FUZZ_CHECK(rehome__nvo3__envelope__pack(tree, packed) == size);
	FUZZ_CHECK(memcmp(packed, envelope, size) == 0);
	rehome__nvo3__envelope__free_unpacked(tree, NULL);
}

static void check_again(const struct nvo3_message *message)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message again = { 0 };
	_cleanup_free_ uint8_t *first = NULL, *second = NULL;
	size_t first_size = 0, second_size = 0;
	const char *what = NULL;

	FUZZ_CHECK(nvo3_pack(message, &first, &first_size) == 0);
	FUZZ_CHECK(nvo3_frame_size(first, first_size) == (long) first_size);
	FUZZ_CHECK(nvo3_unpack(first + NVO3_LENGTH_SIZE, first_size - NVO3_LENGTH_SIZE, &again,
			       &what) == 0);
	FUZZ_CHECK(nvo3_pack(&again, &second, &second_size) == 0);
	FUZZ_CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
	check_other(first + NVO3_LENGTH_SIZE, first_size - NVO3_LENGTH_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	const char *what = NULL;
	long frame_size = nvo3_frame_size(data, size);
	int r;

	FUZZ_CHECK(frame_size <= NVO3_FRAME_MAX);
	r = nvo3_unpack(data, size, &message, &what);
	FUZZ_CHECK(r == 0 || (r == -EBADMSG && what));
	if (r < 0)
		return 0;
	check_message(&message);
	check_again(&message);
	return 0;
}
