/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_wire.h"

#include <errno.h>
#include <stdbool.h>

#include "common/cleanup.h"
#include "tests/lab/probe_bytes.h"

/* The fields of control messages; a message has them in this order. */
enum field {
	FIELD_SETUP = 1 << 0,
	FIELD_RECEIVED = 1 << 1,
	FIELD_COUNTS = 1 << 2,
	FIELD_TOTAL = 1 << 3,
	FIELD_OFFSET = 1 << 4,
	FIELD_CHUNK = 1 << 5,
	FIELD_REASON = 1 << 6,
};

static const unsigned fields_of[] = {
	[PROBE_DATA] = 0,
	[PROBE_OPEN] = FIELD_SETUP,
	[PROBE_OPENED] = 0,
	[PROBE_START] = 0,
	[PROBE_STARTED] = 0,
	[PROBE_STOP] = 0,
	[PROBE_STOPPED] = FIELD_RECEIVED | FIELD_COUNTS,
	[PROBE_CLOSE] = FIELD_COUNTS,
	[PROBE_CLOSED] = FIELD_TOTAL,
	[PROBE_READ] = FIELD_OFFSET,
	[PROBE_CHUNK] = FIELD_TOTAL | FIELD_OFFSET | FIELD_CHUNK,
	[PROBE_REFUSED] = FIELD_REASON,
};
static_assert(ARRAY_SIZE(fields_of) == PROBE_TYPE_COUNT, "a type has no fields");

static const char *const reason_names[] = {
	[PROBE_REASON_UNKNOWN_SESSION] =
		"the guest does not know the session (was its probe restarted?)",
	[PROBE_REASON_BUSY] = "the guest has no free session",
	[PROBE_REASON_MISMATCH] = "the request does not fit the session",
	[PROBE_REASON_NO_MEMORY] = "the guest is out of memory",
};
static_assert(ARRAY_SIZE(reason_names) == PROBE_REASON_COUNT, "a reason has no name");

const char *probe_reason_name(enum probe_reason reason)
{
	return (unsigned) reason < PROBE_REASON_COUNT ? reason_names[reason] : "invalid";
}

static bool payload_is_valid(uint16_t payload)
{
	return payload >= sizeof(struct probe_data_wire) && payload <= PROBE_FRAME_MAX;
}

static bool setup_is_valid(const struct probe_setup *setup)
{
	return setup->flows >= 1 && setup->flows <= PROBE_FLOWS_MAX &&
	       setup->up_pps <= PROBE_RATE_MAX && payload_is_valid(setup->up_payload) &&
	       payload_is_valid(setup->down_payload);
}

static void read_setup(struct probe_reader *rd, struct probe_setup *setup)
{
	setup->flows = (uint8_t) probe_read(rd, 1);
	setup->up_pps = (uint32_t) probe_read(rd, 4);
	setup->up_payload = (uint16_t) probe_read(rd, 2);
	setup->down_payload = (uint16_t) probe_read(rd, 2);
	if (!setup_is_valid(setup))
		rd->failed = true;
}

static void write_setup(struct probe_writer *wr, const struct probe_setup *setup)
{
	probe_write(wr, setup->flows, 1);
	probe_write(wr, setup->up_pps, 4);
	probe_write(wr, setup->up_payload, 2);
	probe_write(wr, setup->down_payload, 2);
}

static void read_counts(struct probe_reader *rd, struct probe_message *message)
{
	message->counts_size = (uint8_t) probe_read(rd, 1);
	if (message->counts_size > PROBE_FLOWS_MAX) {
		rd->failed = true;
		return;
	}
	for (size_t i = 0; i < message->counts_size; i++)
		message->counts[i] = (uint32_t) probe_read(rd, 4);
}

static void write_counts(struct probe_writer *wr, const struct probe_message *message)
{
	probe_write(wr, message->counts_size, 1);
	for (size_t i = 0; i < message->counts_size; i++)
		probe_write(wr, message->counts[i], 4);
}

static void read_chunk(struct probe_reader *rd, struct probe_message *message)
{
	message->chunk_size = (uint16_t) probe_read(rd, 2);
	if (message->chunk_size > PROBE_CHUNK_MAX)
		rd->failed = true;
	message->chunk = probe_read_bytes(rd, message->chunk_size);
}

static void write_chunk(struct probe_writer *wr, const struct probe_message *message)
{
	probe_write(wr, message->chunk_size, 2);
	probe_write_bytes(wr, message->chunk, message->chunk_size);
}

static void read_reason(struct probe_reader *rd, struct probe_message *message)
{
	uint64_t reason = probe_read(rd, 1);

	if (reason >= PROBE_REASON_COUNT)
		rd->failed = true;
	else
		message->reason = (enum probe_reason) reason;
}

static void read_control(struct probe_reader *rd, struct probe_message *message)
{
	unsigned fields = fields_of[message->type];

	message->token = (uint32_t) probe_read(rd, 4);
	if (fields & FIELD_SETUP)
		read_setup(rd, &message->setup);
	if (fields & FIELD_RECEIVED)
		message->received = probe_read(rd, 8);
	if (fields & FIELD_COUNTS)
		read_counts(rd, message);
	if (fields & FIELD_TOTAL)
		message->total = (uint32_t) probe_read(rd, 4);
	if (fields & FIELD_OFFSET)
		message->offset = (uint32_t) probe_read(rd, 4);
	if (fields & FIELD_CHUNK)
		read_chunk(rd, message);
	if (fields & FIELD_REASON)
		read_reason(rd, message);
	if (rd->pos != rd->end)
		rd->failed = true;
}

static void write_control(struct probe_writer *wr, const struct probe_message *message)
{
	unsigned fields = fields_of[message->type];

	probe_write(wr, message->token, 4);
	if (fields & FIELD_SETUP)
		write_setup(wr, &message->setup);
	if (fields & FIELD_RECEIVED)
		probe_write(wr, message->received, 8);
	if (fields & FIELD_COUNTS)
		write_counts(wr, message);
	if (fields & FIELD_TOTAL)
		probe_write(wr, message->total, 4);
	if (fields & FIELD_OFFSET)
		probe_write(wr, message->offset, 4);
	if (fields & FIELD_CHUNK)
		write_chunk(wr, message);
	if (fields & FIELD_REASON)
		probe_write(wr, message->reason, 1);
}

static bool control_is_valid(const struct probe_message *message)
{
	unsigned fields;

	if (message->type == PROBE_DATA || (unsigned) message->type >= PROBE_TYPE_COUNT ||
	    message->flow >= PROBE_FLOWS_MAX)
		return false;

	fields = fields_of[message->type];
	return (!(fields & FIELD_SETUP) || setup_is_valid(&message->setup)) &&
	       (!(fields & FIELD_COUNTS) || message->counts_size <= PROBE_FLOWS_MAX) &&
	       (!(fields & FIELD_CHUNK) || message->chunk_size <= PROBE_CHUNK_MAX) &&
	       (!(fields & FIELD_REASON) || (unsigned) message->reason < PROBE_REASON_COUNT);
}

static void read_data(struct probe_reader *rd, struct probe_message *message)
{
	message->seq = (uint32_t) probe_read(rd, 4);
	message->time_us = probe_read(rd, 6);
	message->seen = (uint32_t) probe_read(rd, 4);
}

int probe_wire_decode(const uint8_t *data, size_t size, struct probe_message *ret_message)
{
	struct probe_reader rd = { .pos = data, .end = data + size };
	struct probe_message message;
	uint64_t magic = probe_read(&rd, 2), version_type = probe_read(&rd, 1);

	if (rd.failed || magic != PROBE_MAGIC)
		return -EBADMSG;
	if (version_type >> 4 != PROBE_VERSION)
		return -EPROTONOSUPPORT;
	if ((version_type & 0xf) >= PROBE_TYPE_COUNT)
		return -EBADMSG;

	message.type = (enum probe_type)(version_type & 0xf);
	message.flow = (uint8_t) probe_read(&rd, 1);
	message.session = (uint32_t) probe_read(&rd, 4);
	if (message.type == PROBE_DATA)
		read_data(&rd, &message);
	else
		read_control(&rd, &message);
	if (rd.failed || message.flow >= PROBE_FLOWS_MAX)
		return -EBADMSG;

	*ret_message = message;
	return 0;
}

int probe_wire_encode(const struct probe_message *message, uint8_t *buffer, size_t size)
{
	struct probe_writer wr = { .pos = buffer, .end = buffer + size };

	if (!control_is_valid(message))
		return -EINVAL;

	probe_write(&wr, PROBE_MAGIC, 2);
	probe_write(&wr, PROBE_VERSION << 4 | (unsigned) message->type, 1);
	probe_write(&wr, message->flow, 1);
	probe_write(&wr, message->session, 4);
	write_control(&wr, message);
	if (wr.failed)
		return -ENOBUFS;
	return (int) (wr.pos - buffer);
}

void probe_wire_encode_data(uint32_t session, uint8_t flow, uint32_t seq, uint64_t time_us,
			    uint32_t seen, struct probe_data_wire *ret_data)
{
	struct probe_writer wr = { .pos = (uint8_t *) ret_data, .end = (uint8_t *) (ret_data + 1) };

	probe_write(&wr, PROBE_MAGIC, 2);
	probe_write(&wr, PROBE_VERSION << 4 | PROBE_DATA, 1);
	probe_write(&wr, flow, 1);
	probe_write(&wr, session, 4);
	probe_write(&wr, seq, 4);
	probe_write(&wr, time_us, 6);
	probe_write(&wr, seen, 4);
}
