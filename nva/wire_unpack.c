// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wire_unpack.c - an nvo3.proto Envelope to C values, everything checked.
 *
 * protobuf-c builds the tree first, from an allocator with a budget, because 2 bytes on the wire
 * can become a node of a hundred in memory. The readers below then copy it. They fail stickily: the
 * first field that is wrong is remembered, later reads do nothing, and one look at the end tells.
 */
#include <errno.h>
#include <string.h>

#include "nva/wire_internal.h"

enum {
	/*
	 * Measured: the tree of the largest UPDATE (2048 mappings of 16 addresses each) takes 3.5
	 * MiB.
	 */
	UNPACK_MEMORY_MAX = 8 << 20,
};

struct budget {
	size_t left;
	bool exceeded, out_of_memory;
};

static void *budget_alloc(void *userdata, size_t size)
{
	struct budget *budget = userdata;
	void *memory;

	if (size > budget->left) {
		budget->exceeded = true;
		return NULL;
	}
	memory = malloc(size);
	if (memory)
		budget->left -= size;
	else
		budget->out_of_memory = true;
	return memory;
}

static void budget_free(void *userdata, void *memory)
{
	free(memory);
}

struct reader {
	struct nvo3_message *to;
	const char *what; /* the field that is wrong; NULL as long as none is */
	bool out_of_memory;
};

static void fail(struct reader *reader, const char *what)
{
	if (!reader->what)
		reader->what = what;
}

static void require(struct reader *reader, bool right, const char *what)
{
	if (!right)
		fail(reader, what);
}

static uint32_t read_vni(struct reader *reader, uint32_t vni)
{
	require(reader, vni >= 1 && vni <= VNI_MAX, "vni");
	return vni;
}

static struct mac read_mac(struct reader *reader, ProtobufCBinaryData bytes)
{
	struct mac mac = { 0 };

	if (mac_from_bytes(bytes.data, bytes.len, &mac) < 0 || mac_is_zero(mac) ||
	    mac_is_group(mac))
		fail(reader, "mac");
	return mac;
}

static struct ip read_ip(struct reader *reader, ProtobufCBinaryData bytes, const char *what)
{
	struct ip ip = { 0 };

	if (ip_from_bytes(bytes.data, bytes.len, &ip) < 0 || !ip_is_unicast(ip))
		fail(reader, what);
	return ip;
}

static struct ip read_ip_or_none(struct reader *reader, ProtobufCBinaryData bytes, const char *what)
{
	if (bytes.len == 0)
		return (struct ip){ 0 };
	return read_ip(reader, bytes, what);
}

static struct uuid read_uuid(struct reader *reader, ProtobufCBinaryData bytes)
{
	struct uuid uuid = { 0 };

	if (bytes.len > 0 && uuid_from_bytes(bytes.data, bytes.len, &uuid) < 0)
		fail(reader, "vm");
	return uuid;
}

static uint64_t read_generation(struct reader *reader, uint64_t generation)
{
	require(reader, generation <= NVO3_GENERATION_MAX, "generation");
	return generation;
}

/* A name ends up in logs, JSON and tables: letters, digits, dot, underscore, hyphen. */
static void read_name(struct reader *reader, const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t size = strlen(name);

	if (size == 0 || size > NVO3_NAME_MAX || strspn(name, allowed) != size) {
		fail(reader, "name");
		return;
	}
	memcpy(reader->to->name, name, size + 1);
}

static void read_reason(struct reader *reader, const char *reason)
{
	size_t size = strlen(reason);

	if (size > NVO3_TEXT_MAX) {
		fail(reader, "reason");
		return;
	}
	for (size_t i = 0; i < size; i++)
		require(reader, reason[i] >= ' ' && reason[i] <= '~', "reason");
	memcpy(reader->to->text, reason, size + 1);
}

/* Sets vni, mac and generation of the message. */
static void read_endpoint(struct reader *reader, const Rehome__Nvo3__Endpoint *node)
{
	if (!node) {
		fail(reader, "endpoint");
		return;
	}
	reader->to->vni = read_vni(reader, node->vni);
	reader->to->mac = read_mac(reader, node->mac);
	reader->to->generation = read_generation(reader, node->generation);
}

static void read_mapping(struct reader *reader, const Rehome__Nvo3__Mapping *node,
			 struct mapping *ret)
{
	ret->vni = read_vni(reader, node->vni);
	ret->mac = read_mac(reader, node->mac);
	ret->vtep = read_ip_or_none(reader, node->vtep, "mapping.vtep");
	ret->generation = read_generation(reader, node->generation);
	ret->vm = read_uuid(reader, node->vm);
	ret->flags = node->flags;
	require(reader,
		(node->flags & ~(uint32_t) (MAPPING_VM | MAPPING_LEARNED | MAPPING_ROUTER)) == 0,
		"mapping.flags");
	if (node->n_ips > MAPPING_IPS_MAX) {
		fail(reader, "mapping.ips");
		return;
	}
	ret->ip_count = (uint8_t) node->n_ips;
	for (size_t i = 0; i < node->n_ips; i++)
		ret->ips[i] = read_ip(reader, node->ips[i], "mapping.ips");
}

static struct mapping *new_mappings(struct reader *reader, size_t count)
{
	struct mapping *mappings = calloc(count, sizeof(*mappings));

	if (!mappings) {
		reader->out_of_memory = true;
		fail(reader, "memory");
	}
	return mappings;
}

/* The one mapping of a REGISTER, MOVE_INTENT or ANSWER. */
static void read_single_mapping(struct reader *reader, const Rehome__Nvo3__Mapping *node)
{
	reader->to->mappings = new_mappings(reader, 1);
	if (!reader->to->mappings)
		return;
	reader->to->mapping_count = 1;
	read_mapping(reader, node, &reader->to->mappings[0]);
}

/* What an NVA tells is complete; what an NVE claims may lack its VTEP and generation. */
static void require_complete(struct reader *reader, const struct mapping *mapping)
{
	require(reader, !ip_is_none(mapping->vtep), "mapping.vtep");
	require(reader, mapping->generation > 0, "mapping.generation");
}

static void unpack_hello(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Hello *node = envelope->hello;

	read_name(reader, node->name);
	reader->to->version = node->version;
	require(reader,
		node->role == REHOME__NVO3__ROLE__NVE || node->role == REHOME__NVO3__ROLE__GATEWAY,
		"role");
	reader->to->role = node->role == REHOME__NVO3__ROLE__GATEWAY ? NVO3_ROLE_GATEWAY
								     : NVO3_ROLE_NVE;
	reader->to->vtep = read_ip(reader, node->vtep, "vtep");
	reader->to->incarnation = node->incarnation;
}

static void unpack_welcome(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Welcome *node = envelope->welcome;

	read_name(reader, node->name);
	reader->to->version = node->version;
	reader->to->incarnation = node->incarnation;
}

static void unpack_subscribe(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	reader->to->vni = read_vni(reader, envelope->subscribe->vni);
}

static void unpack_members(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Members *node = envelope->members;

	reader->to->vni = read_vni(reader, node->vni);
	read_reason(reader, node->reason);
	if (node->n_vteps > NVO3_MEMBERS_MAX) {
		fail(reader, "members");
		return;
	}
	reader->to->members = calloc(node->n_vteps + 1, sizeof(*reader->to->members));
	if (!reader->to->members) {
		reader->out_of_memory = true;
		fail(reader, "memory");
		return;
	}
	for (size_t i = 0; i < node->n_vteps; i++)
		reader->to->members[i] = read_ip(reader, node->vteps[i], "members");
	reader->to->member_count = node->n_vteps;
}

static void unpack_registration(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Registration *node = envelope->registration;

	require(reader, node->mapping, "mapping");
	if (node->mapping)
		read_single_mapping(reader, node->mapping);
}

/* Any answer but the one to a question for consent, which does not count generations. */
static void require_granted_generation(struct reader *reader)
{
	const struct nvo3_message *to = reader->to;

	require(reader, !to->granted || to->kind == NVO3_CONSENTED || to->generation > 0,
		"generation");
}

static void unpack_verdict(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Verdict *node = envelope->registered;

	read_endpoint(reader, node->endpoint);
	reader->to->granted = node->granted;
	read_reason(reader, node->reason);
	reader->to->vtep = read_ip_or_none(reader, node->vtep, "vtep");
	require_granted_generation(reader);
}

static void unpack_endpoint(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	read_endpoint(reader, envelope->commit);
}

static void unpack_consent(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Consent *node = envelope->consent;

	read_endpoint(reader, node->endpoint);
	reader->to->vtep = read_ip(reader, node->vtep, "vtep");
	reader->to->vm = read_uuid(reader, node->vm);
}

static void unpack_notice(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Notice *node = envelope->abort;

	read_endpoint(reader, node->endpoint);
	read_reason(reader, node->reason);
	reader->to->revision = node->revision;
}

static void read_update_mappings(struct reader *reader, const Rehome__Nvo3__Update *node)
{
	struct mapping *mappings = new_mappings(reader, node->n_mappings + 1);

	reader->to->mappings = mappings;
	for (size_t i = 0; mappings && i < node->n_mappings; i++) {
		read_mapping(reader, node->mappings[i], &mappings[i]);
		require_complete(reader, &mappings[i]);
		require(reader, mappings[i].vni == node->vni, "mapping.vni");
	}
	reader->to->mapping_count = node->n_mappings;
}

static void read_update_removed(struct reader *reader, const Rehome__Nvo3__Update *node)
{
	struct mapping *removed = new_mappings(reader, node->n_removed + 1);

	reader->to->removed = removed;
	for (size_t i = 0; removed && i < node->n_removed; i++) {
		removed[i].vni = read_vni(reader, node->removed[i]->vni);
		removed[i].mac = read_mac(reader, node->removed[i]->mac);
		removed[i].generation = read_generation(reader, node->removed[i]->generation);
		require(reader, removed[i].vni == node->vni, "removed.vni");
		require(reader, removed[i].generation > 0, "removed.generation");
	}
	reader->to->removed_count = node->n_removed;
}

static void unpack_update(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Update *node = envelope->update;

	reader->to->vni = read_vni(reader, node->vni);
	reader->to->revision = node->revision;
	require(reader, node->revision > 0, "revision");
	reader->to->snapshot = node->snapshot;
	reader->to->snapshot_end = node->snapshot_end;
	if (node->n_mappings > NVO3_BATCH_MAX ||
	    node->n_removed > NVO3_BATCH_MAX - node->n_mappings) {
		fail(reader, "mappings");
		return;
	}
	read_update_mappings(reader, node);
	read_update_removed(reader, node);
}

static void unpack_ack(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	reader->to->revision = envelope->ack->revision;
	require(reader, reader->to->revision > 0, "revision");
}

static void unpack_query(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Query *node = envelope->query;

	reader->to->vni = read_vni(reader, node->vni);
	require(reader, (node->mac.len == 0) != (node->ip.len == 0), "query");
	if (node->mac.len > 0)
		reader->to->mac = read_mac(reader, node->mac);
	reader->to->ip = read_ip_or_none(reader, node->ip, "ip");
}

static void unpack_answer(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Answer *node = envelope->answer;

	read_reason(reader, node->reason);
	if (!node->mapping)
		return;
	read_single_mapping(reader, node->mapping);
	if (reader->to->mappings)
		require_complete(reader, &reader->to->mappings[0]);
}

static void unpack_status_reply(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	if (strlen(envelope->status_reply->json) > NVO3_JSON_MAX) {
		fail(reader, "json");
		return;
	}
	reader->to->json = strdup(envelope->status_reply->json);
	if (!reader->to->json) {
		reader->out_of_memory = true;
		fail(reader, "memory");
	}
}

static void unpack_error(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	read_reason(reader, envelope->error->reason);
}

static void unpack_flows(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	const Rehome__Nvo3__Flows *node = envelope->flows;

	read_endpoint(reader, node->endpoint);
	if (node->flows.len > NVO3_FLOWS_MAX) {
		fail(reader, "flows");
		return;
	}
	reader->to->flows = malloc(node->flows.len + 1);
	if (!reader->to->flows) {
		reader->out_of_memory = true;
		fail(reader, "memory");
		return;
	}
	if (node->flows.len > 0)
		memcpy(reader->to->flows, node->flows.data, node->flows.len);
	reader->to->flows_size = node->flows.len;
}

static void unpack_nothing(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
}

static void (*const unpackers[])(struct reader *reader, const Rehome__Nvo3__Envelope *envelope) = {
	[NVO3_HELLO] = unpack_hello,
	[NVO3_WELCOME] = unpack_welcome,
	[NVO3_SUBSCRIBE] = unpack_subscribe,
	[NVO3_MEMBERS] = unpack_members,
	[NVO3_REGISTER] = unpack_registration,
	[NVO3_REGISTERED] = unpack_verdict,
	[NVO3_WITHDRAW] = unpack_endpoint,
	[NVO3_MOVE_INTENT] = unpack_registration,
	[NVO3_CONSENT] = unpack_consent,
	[NVO3_CONSENTED] = unpack_verdict,
	[NVO3_MOVE_GRANTED] = unpack_verdict,
	[NVO3_COMMIT] = unpack_endpoint,
	[NVO3_COMMITTED] = unpack_verdict,
	[NVO3_ABORT] = unpack_notice,
	[NVO3_UPDATE] = unpack_update,
	[NVO3_ACK] = unpack_ack,
	[NVO3_CONVERGED] = unpack_notice,
	[NVO3_QUERY] = unpack_query,
	[NVO3_ANSWER] = unpack_answer,
	[NVO3_STATUS] = unpack_nothing,
	[NVO3_STATUS_REPLY] = unpack_status_reply,
	[NVO3_PING] = unpack_nothing,
	[NVO3_PONG] = unpack_nothing,
	[NVO3_ERROR] = unpack_error,
	[NVO3_FLOWS] = unpack_flows,
};
static_assert(ARRAY_SIZE(unpackers) == NVO3_KIND_COUNT, "a kind has no unpacker");

static void read_envelope(struct reader *reader, const Rehome__Nvo3__Envelope *envelope)
{
	int kind = (int) envelope->body_case - BODY_FIRST;

	/* An unknown field of the oneof is skipped by protobuf, which leaves the case at 0. */
	if (kind < 0 || kind >= NVO3_KIND_COUNT) {
		fail(reader, "kind");
		return;
	}
	reader->to->kind = (enum nvo3_kind) kind;
	reader->to->id = envelope->id;
	unpackers[kind](reader, envelope);
}

/*
 * Protobuf lets bytes that are no Envelope pass as unknown fields; the budget makes the others
 * fail.
 */
static int unpack_tree(const uint8_t *data, size_t size, ProtobufCAllocator *allocator,
		       Rehome__Nvo3__Envelope **ret_envelope, const char **reterr_what)
{
	const struct budget *budget = allocator->allocator_data;
	Rehome__Nvo3__Envelope *envelope = rehome__nvo3__envelope__unpack(allocator, size, data);

	if (envelope) {
		*ret_envelope = envelope;
		return 0;
	}
	if (budget->out_of_memory)
		return -ENOMEM;
	*reterr_what = budget->exceeded ? "memory" : "envelope";
	return -EBADMSG;
}

int nvo3_unpack(const uint8_t *data, size_t size, struct nvo3_message *ret_message,
		const char **reterr_what)
{
	struct budget budget = { .left = UNPACK_MEMORY_MAX };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	struct reader reader = { .to = &message };
	Rehome__Nvo3__Envelope *envelope;
	int r;

	r = unpack_tree(data, size, &allocator, &envelope, reterr_what);
	if (r < 0)
		return r;
	read_envelope(&reader, envelope);
	rehome__nvo3__envelope__free_unpacked(envelope, &allocator);

	if (reader.out_of_memory)
		return -ENOMEM;
	if (reader.what) {
		*reterr_what = reader.what;
		return -EBADMSG;
	}
	*ret_message = message;
	message = (struct nvo3_message){ 0 }; /* given away */
	return 0;
}
