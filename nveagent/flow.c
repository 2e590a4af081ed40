// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * flow.c - flows as bytes.
 *
 *   u8 version, u16 count, then each flow: u8 family (4 or 6), u8 protocol, u8 zones (bits 0, 1)
 *   and labels (bit 2), u32 status, u32 timeout, u32 mark, two tuples: source and destination (4 or
 *   16 bytes each), u16 source and u16 destination port, with labels: 16 bytes, TCP: u8 state, u8
 *   flags and u8 window scale of each direction, SCTP: u8 state, u32 verification tag of each
 *   direction.
 *
 * Big endian. Nothing may follow the last flow.
 */
#include "nveagent/flow.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

enum {
	HEADER_SIZE = 3,
	FLOW_SIZE_MIN = 3 + 3 * 4 + 2 * (2 * 4 + 2 * 2),
	FLOW_SIZE_MAX = 3 + 3 * 4 + 2 * (2 * 16 + 2 * 2) + FLOW_LABELS_SIZE + 9,
	WIRE_ZONES = 0x03,
	WIRE_LABELS = 0x04,
	WIRE_IPV4 = 4,
	WIRE_IPV6 = 6,
};

bool flow_has_end(const struct flow *flow, const struct ip *ips, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t way = 0; way < FLOW_DIRECTIONS; way++)
			if (ip_cmp(flow->tuples[way].src, ips[i]) == 0)
				return true;
	return false;
}

/* ICMP has no ports that a reply would turn round. */
static bool has_ports(uint8_t protocol)
{
	return protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6;
}

bool flow_is_translated(const struct flow *flow, bool source)
{
	const struct flow_tuple *there = &flow->tuples[FLOW_ORIGINAL];
	const struct flow_tuple *back = &flow->tuples[FLOW_REPLY];
	bool ports = has_ports(flow->protocol);

	if (source)
		return ip_cmp(there->src, back->dst) != 0 ||
		       (ports && there->src_port != back->dst_port);
	return ip_cmp(there->dst, back->src) != 0 || (ports && there->dst_port != back->src_port);
}

/* --- packing: the room is there --- */

struct writer {
	uint8_t *position;
};

static void put(struct writer *writer, const void *data, size_t size)
{
	memcpy(writer->position, data, size);
	writer->position += size;
}

static void put_u8(struct writer *writer, uint8_t value)
{
	put(writer, &value, sizeof(value));
}

static void put_u16(struct writer *writer, uint16_t value)
{
	uint16_t wire = htobe16(value);

	put(writer, &wire, sizeof(wire));
}

static void put_u32(struct writer *writer, uint32_t value)
{
	uint32_t wire = htobe32(value);

	put(writer, &wire, sizeof(wire));
}

static void put_tuple(struct writer *writer, const struct flow_tuple *tuple)
{
	put(writer, tuple->src.octet, ip_size(tuple->src));
	put(writer, tuple->dst.octet, ip_size(tuple->dst));
	put_u16(writer, tuple->src_port);
	put_u16(writer, tuple->dst_port);
}

static void put_protocol(struct writer *writer, const struct flow *flow)
{
	if (flow->protocol == IPPROTO_TCP) {
		put_u8(writer, flow->tcp.state);
		put(writer, flow->tcp.flags, sizeof(flow->tcp.flags));
		put(writer, flow->tcp.scale, sizeof(flow->tcp.scale));
	} else if (flow->protocol == IPPROTO_SCTP) {
		put_u8(writer, flow->sctp.state);
		put_u32(writer, flow->sctp.tags[FLOW_ORIGINAL]);
		put_u32(writer, flow->sctp.tags[FLOW_REPLY]);
	}
}

static void put_flow(struct writer *writer, const struct flow *flow)
{
	bool ipv4 = flow->tuples[FLOW_ORIGINAL].src.family == AF_INET;

	put_u8(writer, ipv4 ? WIRE_IPV4 : WIRE_IPV6);
	put_u8(writer, flow->protocol);
	put_u8(writer, flow->zones | (flow->has_labels ? WIRE_LABELS : 0));
	put_u32(writer, flow->status);
	put_u32(writer, flow->timeout_s);
	put_u32(writer, flow->mark);
	put_tuple(writer, &flow->tuples[FLOW_ORIGINAL]);
	put_tuple(writer, &flow->tuples[FLOW_REPLY]);
	if (flow->has_labels)
		put(writer, flow->labels, sizeof(flow->labels));
	put_protocol(writer, flow);
}

int flows_pack(const struct flow *flows, size_t count, size_t max, uint8_t **ret_data,
	       size_t *ret_size)
{
	size_t fits = max < HEADER_SIZE + FLOW_SIZE_MAX ? 0 : (max - HEADER_SIZE) / FLOW_SIZE_MAX;
	struct writer writer;
	uint8_t *data;

	fits = fits < FLOWS_MAX ? fits : FLOWS_MAX;
	count = count < fits ? count : fits;
	if (fits == 0)
		return -EMSGSIZE;
	data = malloc(HEADER_SIZE + count * FLOW_SIZE_MAX);
	if (!data)
		return -ENOMEM;

	writer.position = data;
	put_u8(&writer, FLOWS_VERSION);
	put_u16(&writer, (uint16_t) count);
	for (size_t i = 0; i < count; i++)
		put_flow(&writer, &flows[i]);
	*ret_data = data;
	*ret_size = (size_t) (writer.position - data);
	return (int) count;
}

/* --- unpacking: sticky, as the first fault decides --- */

struct reader {
	const uint8_t *position;
	size_t size;
	const char *what; /* the field that is wrong; NULL as long as none is */
};

static void require(struct reader *reader, bool right, const char *what)
{
	if (!right && !reader->what)
		reader->what = what;
}

/* Zeroes @target where there is not enough. */
static void take(struct reader *reader, void *target, size_t size)
{
	require(reader, size <= reader->size, "length");
	if (reader->what) {
		memset(target, 0, size);
		return;
	}
	memcpy(target, reader->position, size);
	reader->position += size;
	reader->size -= size;
}

static uint8_t take_u8(struct reader *reader)
{
	uint8_t value;

	take(reader, &value, sizeof(value));
	return value;
}

static uint16_t take_u16(struct reader *reader)
{
	uint16_t wire;

	take(reader, &wire, sizeof(wire));
	return be16toh(wire);
}

static uint32_t take_u32(struct reader *reader)
{
	uint32_t wire;

	take(reader, &wire, sizeof(wire));
	return be32toh(wire);
}

static struct ip take_ip(struct reader *reader, uint8_t family)
{
	struct ip ip = { .family = family };

	take(reader, ip.octet, ip_size(ip));
	return ip;
}

static struct flow_tuple take_tuple(struct reader *reader, uint8_t family)
{
	struct flow_tuple tuple;

	tuple.src = take_ip(reader, family);
	tuple.dst = take_ip(reader, family);
	tuple.src_port = take_u16(reader);
	tuple.dst_port = take_u16(reader);
	return tuple;
}

static void take_tcp(struct reader *reader, struct flow *flow)
{
	flow->tcp.state = take_u8(reader);
	require(reader, flow->tcp.state <= FLOW_TCP_STATE_MAX, "TCP state");
	take(reader, flow->tcp.flags, sizeof(flow->tcp.flags));
	take(reader, flow->tcp.scale, sizeof(flow->tcp.scale));
	for (size_t way = 0; way < FLOW_DIRECTIONS; way++) {
		require(reader, (flow->tcp.flags[way] & ~FLOW_TCP_FLAGS_ALL) == 0, "TCP flags");
		require(reader, flow->tcp.scale[way] <= FLOW_TCP_SCALE_MAX, "TCP window scale");
	}
}

static void take_sctp(struct reader *reader, struct flow *flow)
{
	flow->sctp.state = take_u8(reader);
	require(reader, flow->sctp.state <= FLOW_SCTP_STATE_MAX, "SCTP state");
	flow->sctp.tags[FLOW_ORIGINAL] = take_u32(reader);
	flow->sctp.tags[FLOW_REPLY] = take_u32(reader);
}

static void take_protocol(struct reader *reader, struct flow *flow)
{
	bool ipv4 = flow->tuples[FLOW_ORIGINAL].src.family == AF_INET;

	require(reader, flow->protocol != (ipv4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP), "protocol");
	if (flow->protocol == IPPROTO_TCP)
		take_tcp(reader, flow);
	else if (flow->protocol == IPPROTO_SCTP)
		take_sctp(reader, flow);
}

static void take_flow(struct reader *reader, struct flow *flow)
{
	uint8_t version = take_u8(reader), family = version == WIRE_IPV4 ? AF_INET : AF_INET6, bits;

	require(reader, version == WIRE_IPV4 || version == WIRE_IPV6, "family");
	flow->protocol = take_u8(reader);
	bits = take_u8(reader);
	require(reader, (bits & ~(WIRE_ZONES | WIRE_LABELS)) == 0, "zones");
	flow->zones = bits & WIRE_ZONES;
	flow->has_labels = bits & WIRE_LABELS;
	flow->status = take_u32(reader);
	require(reader, (flow->status & ~(uint32_t) FLOW_STATUS_ALL) == 0, "status");
	flow->timeout_s = take_u32(reader);
	require(reader, flow->timeout_s > 0 && flow->timeout_s <= FLOW_TIMEOUT_MAX_S, "timeout");
	flow->mark = take_u32(reader);
	flow->tuples[FLOW_ORIGINAL] = take_tuple(reader, family);
	flow->tuples[FLOW_REPLY] = take_tuple(reader, family);
	if (flow->has_labels)
		take(reader, flow->labels, sizeof(flow->labels));
	take_protocol(reader, flow);
}

int flows_unpack(const uint8_t *data, size_t size, struct flow **ret_flows,
		 const char **reterr_what)
{
	struct reader reader = { .position = data, .size = size };
	_cleanup_free_ struct flow *flows = NULL;
	uint8_t version = take_u8(&reader);
	uint16_t count = take_u16(&reader);

	if (!reader.what && version != FLOWS_VERSION)
		return -EPROTONOSUPPORT;
	/* What is allocated is in proportion to what was sent. */
	require(&reader, count <= FLOWS_MAX && count <= reader.size / FLOW_SIZE_MIN, "count");
	if (!reader.what) {
		flows = calloc(count + 1u, sizeof(*flows));
		if (!flows)
			return -ENOMEM;
		for (size_t i = 0; i < count; i++)
			take_flow(&reader, &flows[i]);
	}
	require(&reader, reader.size == 0, "length");
	if (reader.what) {
		*reterr_what = reader.what;
		return -EBADMSG;
	}
	*ret_flows = TAKE_PTR(flows);
	return count;
}
