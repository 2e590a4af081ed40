// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire_pack.c - C values to an nvo3.proto Envelope.
 *
 * A protobuf-c message is a tree of pointers. Its small nodes stand in struct packing; the lists
 * are allocated. Bytes are pointed at where they lie in the nvo3_message, so the tree lives only
 * while that message does.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "nva/wire_internal.h"

struct packed_mapping {
	Rehome__Nvo3__Mapping node;
	ProtobufCBinaryData ips[MAPPING_IPS_MAX];
};

struct packing {
	const struct nvo3_message *from;
	union {
		ProtobufCMessage base;
		Rehome__Nvo3__Hello hello;
		Rehome__Nvo3__Welcome welcome;
		Rehome__Nvo3__Subscribe subscribe;
		Rehome__Nvo3__Members members;
		Rehome__Nvo3__Registration registration;
		Rehome__Nvo3__Verdict verdict;
		Rehome__Nvo3__Endpoint endpoint;
		Rehome__Nvo3__Consent consent;
		Rehome__Nvo3__Notice notice;
		Rehome__Nvo3__Update update;
		Rehome__Nvo3__Ack ack;
		Rehome__Nvo3__Query query;
		Rehome__Nvo3__Answer answer;
		Rehome__Nvo3__StatusReply status_reply;
		Rehome__Nvo3__Error error;
		Rehome__Nvo3__Flows flows;
		Rehome__Nvo3__Nothing nothing;
	} body;
	Rehome__Nvo3__Endpoint endpoint; /* of a Verdict, Consent, Notice or Flows */
	char text[NVO3_TEXT_MAX + 1];
	/* Owned: */
	ProtobufCBinaryData *vteps;
	struct packed_mapping *mappings;
	Rehome__Nvo3__Mapping **mapping_list;
	Rehome__Nvo3__Endpoint *removed;
	Rehome__Nvo3__Endpoint **removed_list;
};

static void packing_clear(struct packing *packing)
{
	free(packing->vteps);
	free(packing->mappings);
	free(packing->mapping_list);
	free(packing->removed);
	free(packing->removed_list);
}

/* protobuf-c has no const in its trees; packing only reads them. */
static ProtobufCBinaryData bytes_of(const void *data, size_t size)
{
	return (ProtobufCBinaryData){ .len = size, .data = (uint8_t *) data };
}

static ProtobufCBinaryData bytes_of_ip(const struct ip *ip)
{
	return bytes_of(ip->octet, ip_size(*ip));
}

static ProtobufCBinaryData bytes_of_mac(const struct mac *mac)
{
	return bytes_of(mac->octet, mac_is_zero(*mac) ? 0 : MAC_SIZE);
}

static ProtobufCBinaryData bytes_of_uuid(const struct uuid *uuid)
{
	return bytes_of(uuid->octet, uuid_is_none(*uuid) ? 0 : UUID_SIZE);
}

static char *string_of(const char *text)
{
	return (char *) text;
}

/* The message's text with everything but printable ASCII replaced. */
static char *reason_of(struct packing *packing)
{
	size_t i;

	for (i = 0; i < NVO3_TEXT_MAX && packing->from->text[i] != '\0'; i++) {
		packing->text[i] = packing->from->text[i];
		if (packing->text[i] < ' ' || packing->text[i] > '~')
			packing->text[i] = '?';
	}
	packing->text[i] = '\0';
	return packing->text;
}

static void fill_endpoint(Rehome__Nvo3__Endpoint *node, uint32_t vni, const struct mac *mac,
			  uint64_t generation)
{
	rehome__nvo3__endpoint__init(node);
	node->vni = vni;
	node->mac = bytes_of_mac(mac);
	node->generation = generation;
}

static Rehome__Nvo3__Endpoint *endpoint_of(struct packing *packing)
{
	const struct nvo3_message *from = packing->from;

	fill_endpoint(&packing->endpoint, from->vni, &from->mac, from->generation);
	return &packing->endpoint;
}

static void fill_mapping(struct packed_mapping *packed, const struct mapping *mapping)
{
	Rehome__Nvo3__Mapping *node = &packed->node;

	rehome__nvo3__mapping__init(node);
	node->vni = mapping->vni;
	node->mac = bytes_of_mac(&mapping->mac);
	node->n_ips = mapping->ip_count;
	node->ips = packed->ips;
	for (size_t i = 0; i < mapping->ip_count; i++)
		packed->ips[i] = bytes_of_ip(&mapping->ips[i]);
	node->vtep = bytes_of_ip(&mapping->vtep);
	node->generation = mapping->generation;
	node->vm = bytes_of_uuid(&mapping->vm);
	node->flags = mapping->flags;
}

static int pack_mappings(struct packing *packing)
{
	size_t count = packing->from->mapping_count;

	if (count > NVO3_BATCH_MAX)
		return -EMSGSIZE;
	if (count == 0)
		return 0;

	packing->mappings = calloc(count, sizeof(*packing->mappings));
	packing->mapping_list = calloc(count, sizeof(Rehome__Nvo3__Mapping *));
	if (!packing->mappings || !packing->mapping_list)
		return -ENOMEM;

	for (size_t i = 0; i < count; i++) {
		if (packing->from->mappings[i].ip_count > MAPPING_IPS_MAX)
			return -EMSGSIZE;
		fill_mapping(&packing->mappings[i], &packing->from->mappings[i]);
		packing->mapping_list[i] = &packing->mappings[i].node;
	}
	return 0;
}

static int pack_removed(struct packing *packing)
{
	size_t count = packing->from->removed_count;

	if (count + packing->from->mapping_count > NVO3_BATCH_MAX)
		return -EMSGSIZE;
	if (count == 0)
		return 0;

	packing->removed = calloc(count, sizeof(*packing->removed));
	packing->removed_list = calloc(count, sizeof(Rehome__Nvo3__Endpoint *));
	if (!packing->removed || !packing->removed_list)
		return -ENOMEM;

	for (size_t i = 0; i < count; i++) {
		const struct mapping *gone = &packing->from->removed[i];

		fill_endpoint(&packing->removed[i], gone->vni, &gone->mac, gone->generation);
		packing->removed_list[i] = &packing->removed[i];
	}
	return 0;
}

static int pack_hello(struct packing *packing)
{
	Rehome__Nvo3__Hello *node = &packing->body.hello;

	rehome__nvo3__hello__init(node);
	node->name = string_of(packing->from->name);
	node->version = packing->from->version;
	node->role = packing->from->role == NVO3_ROLE_GATEWAY ? REHOME__NVO3__ROLE__GATEWAY
							      : REHOME__NVO3__ROLE__NVE;
	node->vtep = bytes_of_ip(&packing->from->vtep);
	node->incarnation = packing->from->incarnation;
	return 0;
}

static int pack_welcome(struct packing *packing)
{
	Rehome__Nvo3__Welcome *node = &packing->body.welcome;

	rehome__nvo3__welcome__init(node);
	node->name = string_of(packing->from->name);
	node->version = packing->from->version;
	node->incarnation = packing->from->incarnation;
	return 0;
}

static int pack_subscribe(struct packing *packing)
{
	rehome__nvo3__subscribe__init(&packing->body.subscribe);
	packing->body.subscribe.vni = packing->from->vni;
	return 0;
}

static int pack_members(struct packing *packing)
{
	Rehome__Nvo3__Members *node = &packing->body.members;
	size_t count = packing->from->member_count;

	if (count > NVO3_MEMBERS_MAX)
		return -EMSGSIZE;
	packing->vteps = calloc(count + 1, sizeof(*packing->vteps));
	if (!packing->vteps)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		packing->vteps[i] = bytes_of_ip(&packing->from->members[i]);

	rehome__nvo3__members__init(node);
	node->vni = packing->from->vni;
	node->n_vteps = count;
	node->vteps = packing->vteps;
	node->reason = reason_of(packing);
	return 0;
}

static int pack_registration(struct packing *packing)
{
	int r;

	if (packing->from->mapping_count != 1)
		return -EINVAL;
	r = pack_mappings(packing);
	if (r < 0)
		return r;
	rehome__nvo3__registration__init(&packing->body.registration);
	packing->body.registration.mapping = packing->mapping_list[0];
	return 0;
}

static int pack_verdict(struct packing *packing)
{
	Rehome__Nvo3__Verdict *node = &packing->body.verdict;

	rehome__nvo3__verdict__init(node);
	node->endpoint = endpoint_of(packing);
	node->granted = packing->from->granted;
	node->reason = reason_of(packing);
	node->vtep = bytes_of_ip(&packing->from->vtep);
	return 0;
}

static int pack_endpoint(struct packing *packing)
{
	const struct nvo3_message *from = packing->from;

	fill_endpoint(&packing->body.endpoint, from->vni, &from->mac, from->generation);
	return 0;
}

static int pack_consent(struct packing *packing)
{
	Rehome__Nvo3__Consent *node = &packing->body.consent;

	rehome__nvo3__consent__init(node);
	node->endpoint = endpoint_of(packing);
	node->vtep = bytes_of_ip(&packing->from->vtep);
	node->vm = bytes_of_uuid(&packing->from->vm);
	return 0;
}

static int pack_notice(struct packing *packing)
{
	Rehome__Nvo3__Notice *node = &packing->body.notice;

	rehome__nvo3__notice__init(node);
	node->endpoint = endpoint_of(packing);
	node->reason = reason_of(packing);
	node->revision = packing->from->revision;
	return 0;
}

static int pack_update(struct packing *packing)
{
	Rehome__Nvo3__Update *node = &packing->body.update;
	int r;

	r = pack_mappings(packing);
	if (r < 0)
		return r;
	r = pack_removed(packing);
	if (r < 0)
		return r;

	rehome__nvo3__update__init(node);
	node->revision = packing->from->revision;
	node->vni = packing->from->vni;
	node->snapshot = packing->from->snapshot;
	node->snapshot_end = packing->from->snapshot_end;
	node->n_removed = packing->from->removed_count;
	node->removed = packing->removed_list;
	node->n_mappings = packing->from->mapping_count;
	node->mappings = packing->mapping_list;
	return 0;
}

static int pack_ack(struct packing *packing)
{
	rehome__nvo3__ack__init(&packing->body.ack);
	packing->body.ack.revision = packing->from->revision;
	return 0;
}

static int pack_query(struct packing *packing)
{
	Rehome__Nvo3__Query *node = &packing->body.query;

	rehome__nvo3__query__init(node);
	node->vni = packing->from->vni;
	node->mac = bytes_of_mac(&packing->from->mac);
	node->ip = bytes_of_ip(&packing->from->ip);
	return 0;
}

static int pack_answer(struct packing *packing)
{
	int r;

	if (packing->from->mapping_count > 1)
		return -EINVAL;
	r = pack_mappings(packing);
	if (r < 0)
		return r;
	rehome__nvo3__answer__init(&packing->body.answer);
	packing->body.answer.mapping = packing->mapping_list ? packing->mapping_list[0] : NULL;
	packing->body.answer.reason = reason_of(packing);
	return 0;
}

static int pack_status_reply(struct packing *packing)
{
	const char *json = packing->from->json;

	if (!json)
		return -EINVAL;
	if (strlen(json) > NVO3_JSON_MAX)
		return -EMSGSIZE;
	rehome__nvo3__status_reply__init(&packing->body.status_reply);
	packing->body.status_reply.json = string_of(json);
	return 0;
}

static int pack_error(struct packing *packing)
{
	rehome__nvo3__error__init(&packing->body.error);
	packing->body.error.reason = reason_of(packing);
	return 0;
}

static int pack_flows(struct packing *packing)
{
	Rehome__Nvo3__Flows *node = &packing->body.flows;

	if (packing->from->flows_size > NVO3_FLOWS_MAX)
		return -EMSGSIZE;
	rehome__nvo3__flows__init(node);
	node->endpoint = endpoint_of(packing);
	node->flows = bytes_of(packing->from->flows, packing->from->flows_size);
	return 0;
}

static int pack_nothing(struct packing *packing)
{
	rehome__nvo3__nothing__init(&packing->body.nothing);
	return 0;
}

static int (*const packers[])(struct packing *packing) = {
	[NVO3_HELLO] = pack_hello,
	[NVO3_WELCOME] = pack_welcome,
	[NVO3_SUBSCRIBE] = pack_subscribe,
	[NVO3_MEMBERS] = pack_members,
	[NVO3_REGISTER] = pack_registration,
	[NVO3_REGISTERED] = pack_verdict,
	[NVO3_WITHDRAW] = pack_endpoint,
	[NVO3_MOVE_INTENT] = pack_registration,
	[NVO3_CONSENT] = pack_consent,
	[NVO3_CONSENTED] = pack_verdict,
	[NVO3_MOVE_GRANTED] = pack_verdict,
	[NVO3_COMMIT] = pack_endpoint,
	[NVO3_COMMITTED] = pack_verdict,
	[NVO3_ABORT] = pack_notice,
	[NVO3_UPDATE] = pack_update,
	[NVO3_ACK] = pack_ack,
	[NVO3_CONVERGED] = pack_notice,
	[NVO3_QUERY] = pack_query,
	[NVO3_ANSWER] = pack_answer,
	[NVO3_STATUS] = pack_nothing,
	[NVO3_STATUS_REPLY] = pack_status_reply,
	[NVO3_PING] = pack_nothing,
	[NVO3_PONG] = pack_nothing,
	[NVO3_ERROR] = pack_error,
	[NVO3_FLOWS] = pack_flows,
};
static_assert(ARRAY_SIZE(packers) == NVO3_KIND_COUNT, "a kind has no packer");

static int pack_frame(const ProtobufCMessage *envelope, uint8_t **ret_frame, size_t *ret_size)
{
	size_t size = protobuf_c_message_get_packed_size(envelope);
	uint32_t length = htobe32((uint32_t) size);
	uint8_t *frame;

	if (size > NVO3_FRAME_MAX - NVO3_LENGTH_SIZE)
		return -EMSGSIZE;
	frame = malloc(NVO3_LENGTH_SIZE + size);
	if (!frame)
		return -ENOMEM;

	memcpy(frame, &length, NVO3_LENGTH_SIZE);
	protobuf_c_message_pack(envelope, frame + NVO3_LENGTH_SIZE);
	*ret_frame = frame;
	*ret_size = NVO3_LENGTH_SIZE + size;
	return 0;
}

int nvo3_pack(const struct nvo3_message *message, uint8_t **ret_frame, size_t *ret_size)
{
	_cleanup_(packing_clear) struct packing packing = { .from = message };
	Rehome__Nvo3__Envelope envelope = REHOME__NVO3__ENVELOPE__INIT;
	int r;

	if ((unsigned) message->kind >= NVO3_KIND_COUNT)
		return -EINVAL;
	r = packers[message->kind](&packing);
	if (r < 0)
		return r;

	envelope.id = message->id;
	envelope.body_case = (Rehome__Nvo3__Envelope__BodyCase) (BODY_FIRST + (int) message->kind);
	envelope.hello =
		&packing.body.hello; /* every member of the oneof is a pointer to its body */
	return pack_frame(&envelope.base, ret_frame, ret_size);
}
