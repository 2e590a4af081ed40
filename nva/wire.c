// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire.c - what packing and unpacking share: names of kinds, ownership, the length before each
 * Envelope.
 */
#include "nva/wire.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

static const char *const kind_names[] = {
	[NVO3_HELLO] = "hello",
	[NVO3_WELCOME] = "welcome",
	[NVO3_SUBSCRIBE] = "subscribe",
	[NVO3_MEMBERS] = "members",
	[NVO3_REGISTER] = "register",
	[NVO3_REGISTERED] = "registered",
	[NVO3_WITHDRAW] = "withdraw",
	[NVO3_MOVE_INTENT] = "move-intent",
	[NVO3_CONSENT] = "consent",
	[NVO3_CONSENTED] = "consented",
	[NVO3_MOVE_GRANTED] = "move-granted",
	[NVO3_COMMIT] = "commit",
	[NVO3_COMMITTED] = "committed",
	[NVO3_ABORT] = "abort",
	[NVO3_UPDATE] = "update",
	[NVO3_ACK] = "ack",
	[NVO3_CONVERGED] = "converged",
	[NVO3_QUERY] = "query",
	[NVO3_ANSWER] = "answer",
	[NVO3_STATUS] = "status",
	[NVO3_STATUS_REPLY] = "status-reply",
	[NVO3_PING] = "ping",
	[NVO3_PONG] = "pong",
	[NVO3_ERROR] = "error",
	[NVO3_FLOWS] = "flows",
	[NVO3_REGISTER_BATCH] = "register-batch",
	[NVO3_BATCH_REGISTERED] = "batch-registered",
	[NVO3_DROP] = "drop",
	[NVO3_DIGEST] = "digest",
};
static_assert(ARRAY_SIZE(kind_names) == NVO3_KIND_COUNT, "a kind has no name");

const char *nvo3_kind_name(enum nvo3_kind kind)
{
	return (unsigned) kind < NVO3_KIND_COUNT ? kind_names[kind] : "unknown";
}

void nvo3_message_clear(struct nvo3_message *message)
{
	free(message->members);
	free(message->mappings);
	free(message->removed);
	free(message->generations);
	free(message->refusals);
	free(message->json);
	free(message->flows);
	free(message->digest);
	memset(message, 0, sizeof(*message));
}

long nvo3_frame_size(const uint8_t *data, size_t size)
{
	uint32_t length;

	if (size < sizeof(length))
		return 0;
	memcpy(&length, data, sizeof(length));
	length = be32toh(length);

	if (length == 0)
		return -EBADMSG;
	if (length > NVO3_FRAME_MAX - NVO3_LENGTH_SIZE)
		return -EMSGSIZE;
	return NVO3_LENGTH_SIZE + (long) length;
}
