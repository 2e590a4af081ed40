/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_wire.h - what the two ends of the packet counter say to each other over UDP.
 *
 * A message is one datagram. It starts with struct probe_head_wire; a DATA message goes on with the
 * rest of struct probe_data_wire and padding up to the size under test; every other message is a
 * control message: a token, then the fields of its type (see probe_wire.c), and nothing after them.
 *
 *   peer                              guest
 *    |-- OPEN (each flow) ------------->|  makes the session; learns where the flow comes from
 *    |<------------------- OPENED ------|
 *    |-- START ------------------------>|  the up stream begins; again each second: sign of life
 *    |<------------------- STARTED -----|
 *    |== DATA ==> and <== DATA =========|
 *    |-- STOP ------------------------->|  the up stream ends; repeated to watch stragglers arrive
 *    |<-- STOPPED: sent up, received ---|
 *    |-- CLOSE: sent down ------------->|  the guest's report is made, and never changes again
 *    |<-- CLOSED: size of the report ---|
 *    |-- READ: offset ----------------->|  as often as needed
 *    |<------------ CHUNK --------------|
 *
 * Every request may be lost, doubled or late: the peer repeats it until an answer carries its
 * token, and the guest's state only ever moves forward (opened, streaming, stopped, closed).
 */
#ifndef REHOME_TESTS_LAB_PROBE_WIRE_H
#define REHOME_TESTS_LAB_PROBE_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROBE_PORT_DEFAULT = 7000,
	PROBE_MAGIC = 0x7270,
	PROBE_VERSION = 1,
	PROBE_FLOWS_MAX = 64,
	PROBE_FRAME_MAX = 9000,	  /* jumbo frames */
	PROBE_FRAME_MIN = 64,	  /* without FCS; the data header just fits, see below */
	PROBE_RATE_MAX = 1000000, /* packets per second in one direction */
	PROBE_CHUNK_MAX = 1024,	  /* all in all below 1280 bytes, which any IPv6 link carries */
	PROBE_CONTROL_MAX = 1200,
	PROBE_ETHERNET_HEADER = 14,
	PROBE_IPV4_HEADER = 20, /* RFC 791 section 3.1, no options */
	PROBE_IPV6_HEADER = 40, /* RFC 8200 section 3 */
	PROBE_UDP_HEADER = 8,	/* RFC 768 */
};

enum probe_type {
	PROBE_DATA,
	PROBE_OPEN,
	PROBE_OPENED,
	PROBE_START,
	PROBE_STARTED,
	PROBE_STOP,
	PROBE_STOPPED,
	PROBE_CLOSE,
	PROBE_CLOSED,
	PROBE_READ,
	PROBE_CHUNK,
	PROBE_REFUSED,
	PROBE_TYPE_COUNT,
};
static_assert(PROBE_TYPE_COUNT <= 16, "a type has four bits");

struct probe_head_wire {
	uint8_t magic[2];
	uint8_t version_type; /* version << 4 | type */
	uint8_t flow;
	uint8_t session[4]; /* chosen at random by the peer */
} __attribute__((packed));
static_assert(sizeof(struct probe_head_wire) == 8, "packet filters in tests rely on the offsets");

struct probe_data_wire {
	struct probe_head_wire head;
	uint8_t seq[4];	    /* per flow and direction, from 0 */
	uint8_t time_us[6]; /* the sender's CLOCK_MONOTONIC, modulo 2^48 */
	uint8_t seen[4]; /* up stream: one above the highest number of the flow received so far */
} __attribute__((packed));
static_assert(sizeof(struct probe_data_wire) == PROBE_FRAME_MIN - PROBE_ETHERNET_HEADER -
							PROBE_IPV4_HEADER - PROBE_UDP_HEADER,
	      "a 64-byte IPv4 frame holds the data header");
static_assert(offsetof(struct probe_data_wire, seq) == 8,
	      "packet filters in tests rely on the offsets");

/* Why the guest says REFUSED. */
enum probe_reason {
	PROBE_REASON_UNKNOWN_SESSION, /* never opened here, or the guest's probe was restarted */
	PROBE_REASON_BUSY,	      /* all sessions are in use */
	PROBE_REASON_MISMATCH, /* reopened with other parameters, or asked in the wrong state */
	PROBE_REASON_NO_MEMORY,
	PROBE_REASON_COUNT,
};

/* What a session is for; fixed by its first OPEN. */
struct probe_setup {
	uint8_t flows;	     /* 1 to PROBE_FLOWS_MAX */
	uint32_t up_pps;     /* 0 to PROBE_RATE_MAX, all flows together */
	uint16_t up_payload; /* bytes of UDP payload, header included */
	uint16_t down_payload;
};

/*
 * One message, decoded. Which fields are set depends on the type; counts has counts_size entries.
 */
struct probe_message {
	enum probe_type type;
	uint8_t flow;
	uint32_t session;

	uint32_t seq; /* DATA */
	uint64_t time_us;
	uint32_t seen;

	uint32_t token;		  /* every control message */
	struct probe_setup setup; /* OPEN */
	uint64_t received;	  /* STOPPED: DATA messages of the session so far, doubles too */
	uint8_t counts_size;	  /* STOPPED, CLOSE: numbers sent, per flow */
	uint32_t counts[PROBE_FLOWS_MAX];
	uint32_t total;		  /* CLOSED, CHUNK: bytes of the report */
	uint32_t offset;	  /* READ, CHUNK */
	uint16_t chunk_size;	  /* CHUNK */
	const uint8_t *chunk;	  /* borrowed from the datagram */
	enum probe_reason reason; /* REFUSED */
};

/*
 * Decodes one datagram. Returns 0, or
 *   -EBADMSG          not one of ours: magic, unknown type, short, too long, a field out of range
 *   -EPROTONOSUPPORT  ours, but of another version
 */
int probe_wire_decode(const uint8_t *data, size_t size, struct probe_message *ret_message);

/*
 * Encodes a control message into @buffer. Returns its size, -EINVAL for a DATA message or a field
 * out of range, -ENOBUFS when @size is too small (PROBE_CONTROL_MAX always suffices).
 */
int probe_wire_encode(const struct probe_message *message, uint8_t *buffer, size_t size);

/* The header of a DATA message. */
void probe_wire_encode_data(uint32_t session, uint8_t flow, uint32_t seq, uint64_t time_us,
			    uint32_t seen, struct probe_data_wire *ret_data);

const char *probe_reason_name(enum probe_reason reason);

#endif
