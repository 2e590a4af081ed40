// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/wire_schema.h"

#include <assert.h>

#include "nva/digest.h"

/* clang-format off */
#define AT(member) offsetof(struct nvo3_message, member)
#define BODY(table, ...) { .fields = (table), .count = ARRAY_SIZE(table), ##__VA_ARGS__ }

static const struct field hello[] = {
	{ 1, FIELD_NAME,	AT(name),	 "name" },
	{ 2, FIELD_U32,		AT(version),	 "version" },
	{ 3, FIELD_ROLE,	AT(role),	 "role" },
	{ 4, FIELD_IP,		AT(vtep),	 "vtep" },
	{ 5, FIELD_U64,		AT(incarnation), "incarnation" },
};

static const struct field welcome[] = {
	{ 1, FIELD_NAME,	AT(name),	 "name" },
	{ 2, FIELD_U32,		AT(version),	 "version" },
	{ 3, FIELD_U64,		AT(incarnation), "incarnation" },
	{ 4, FIELD_U32,		AT(features),	 "features" },
};

static const struct field subscribe[] = {
	{ 1, FIELD_VNI,		AT(vni),	 "vni" },
	{ 2, FIELD_BOOL,	AT(pull),	 "pull" },
	{ 3, FIELD_REMOVED,	0,		 "held" },
	{ 4, FIELD_BOOL,	AT(more),	 "more" },
	{ 5, FIELD_DIGEST,	0,		 "digest" },
};

static const struct field digest[] = {
	{ 1, FIELD_VNI,		AT(vni),	 "vni" },
	{ 2, FIELD_DIGEST,	0,		 "digest" },
};

static const struct field drop[] = {
	{ 1, FIELD_VNI,		AT(vni),	 "vni" },
	{ 2, FIELD_REMOVED,	0,		 "dropped" },
};

static const struct field members[] = {
	{ 1, FIELD_VNI,		AT(vni),	 "vni" },
	{ 2, FIELD_MEMBERS,	0,		 "members" },
	{ 3, FIELD_REASON,	AT(text),	 "reason" },
};

static const struct field registration[] = {
	{ 1, FIELD_MAPPING,	0,		 "mapping" },
};

static const struct field verdict[] = {
	{ 1, FIELD_ENDPOINT,	0,		 "endpoint" },
	{ 2, FIELD_BOOL,	AT(granted),	 "granted" },
	{ 3, FIELD_REASON,	AT(text),	 "reason" },
	{ 4, FIELD_IP_OR_NONE,	AT(vtep),	 "vtep" },
};

static const struct field endpoint[] = {
	{ 1, FIELD_VNI,		AT(vni),	 "vni" },
	{ 2, FIELD_MAC,		AT(mac),	 "mac" },
	{ 3, FIELD_GENERATION,	AT(generation),	 "generation" },
};

static const struct field consent[] = {
	{ 1, FIELD_ENDPOINT,	0,		 "endpoint" },
	{ 2, FIELD_IP,		AT(vtep),	 "vtep" },
	{ 3, FIELD_UUID,	AT(vm),		 "vm" },
};

static const struct field notice[] = {
	{ 1, FIELD_ENDPOINT,	0,		 "endpoint" },
	{ 2, FIELD_REASON,	AT(text),	 "reason" },
	{ 3, FIELD_U64,		AT(revision),	 "revision" },
};

static const struct field update[] = {
	{ 1, FIELD_REVISION,	AT(revision),	 "revision" },
	{ 2, FIELD_VNI,		AT(vni),	 "vni" },
	{ 3, FIELD_BOOL,	AT(snapshot),	 "snapshot" },
	{ 4, FIELD_BOOL,	AT(snapshot_end), "snapshot_end" },
	{ 5, FIELD_REMOVED,	0,		 "mappings" },
	{ 6, FIELD_MAPPINGS,	0,		 "mappings" },
	{ 7, FIELD_DIGEST,	0,		 "scope" },
};

static const struct field ack[] = {
	{ 1, FIELD_REVISION,	AT(revision),	 "revision" },
};

static const struct field query[] = {
	{ 1, FIELD_VNI,		AT(vni),	 "vni" },
	{ 2, FIELD_MAC_OR_NONE,	AT(mac),	 "mac" },
	{ 3, FIELD_IP_OR_NONE,	AT(ip),		 "ip" },
};

static const struct field answer[] = {
	{ 1, FIELD_MAPPING_OR_NONE, 0,		 "mapping" },
	{ 2, FIELD_REASON,	AT(text),	 "reason" },
	{ 3, FIELD_IP_OR_NONE,	AT(ip),		 "ip" },
};

static const struct field status_reply[] = {
	{ 1, FIELD_JSON,	AT(json),	 "json" },
};

static const struct field error[] = {
	{ 1, FIELD_REASON,	AT(text),	 "reason" },
};

static const struct field flows[] = {
	{ 1, FIELD_ENDPOINT,	0,		 "endpoint" },
	{ 2, FIELD_FLOWS,	AT(flows),	 "flows" },
};

static const struct field register_batch[] = {
	{ 1, FIELD_MAPPINGS,	0,		 "mappings" },
};

static const struct field batch_registered[] = {
	{ 1, FIELD_GENERATIONS,	0,		 "generations" },
	{ 2, FIELD_REFUSALS,	0,		 "refused" },
};
/* clang-format on */

/* Any answer but the one to a question for consent, which does not count generations. */
static const char *verdict_fault(const struct nvo3_message *message)
{
	if (!message->granted || message->kind == NVO3_CONSENTED || message->generation > 0)
		return NULL;
	return "generation";
}

/* What an NVA tells is complete; what an NVE claims may lack its VTEP and generation. */
static const char *incomplete(const struct mapping *mapping)
{
	if (ip_is_none(mapping->vtep))
		return "mapping.vtep";
	return mapping->generation == 0 ? "mapping.generation" : NULL;
}

static const char *update_fault(const struct nvo3_message *message)
{
	if (message->mapping_count + message->removed_count > NVO3_BATCH_MAX)
		return "mappings";
	if (message->digest_size > 0 &&
	    (!message->snapshot || (message->digest_size != DIGEST_BUCKET_BITS_SIZE &&
				    message->digest_size != DIGEST_LEAF_BITS_SIZE)))
		return "scope";
	for (size_t i = 0; i < message->mapping_count; i++) {
		const char *what = incomplete(&message->mappings[i]);

		if (what)
			return what;
		if (message->mappings[i].vni != message->vni)
			return "mapping.vni";
	}
	for (size_t i = 0; i < message->removed_count; i++) {
		if (message->removed[i].generation == 0)
			return "removed.generation";
		if (message->removed[i].vni != message->vni)
			return "removed.vni";
	}
	return NULL;
}

static const char *digest_fault(const struct nvo3_message *message)
{
	bool question = message->digest_size == DIGEST_BUCKET_BITS_SIZE;

	return question || (message->digest_size > 0 &&
			    message->digest_size % (DIGEST_FANOUT * DIGEST_SUM_SIZE) == 0)
		       ? NULL
		       : "digest";
}

/* A list of endpoints is of the message's own VNI. */
static const char *held_fault(const struct nvo3_message *message)
{
	if (message->digest_size > 0 && message->digest_size != DIGEST_BUCKETS_SIZE)
		return "digest";
	for (size_t i = 0; i < message->removed_count; i++)
		if (message->removed[i].vni != message->vni)
			return message->kind == NVO3_DROP ? "dropped.vni" : "held.vni";
	return NULL;
}

static const char *query_fault(const struct nvo3_message *message)
{
	return mac_is_zero(message->mac) == ip_is_none(message->ip) ? "query" : NULL;
}

static const char *answer_fault(const struct nvo3_message *message)
{
	return message->mapping_count > 0 ? incomplete(&message->mappings[0]) : NULL;
}

static const char *batch_fault(const struct nvo3_message *message)
{
	return message->mapping_count == 0 ? "mappings" : NULL;
}

static const char *batch_verdict_fault(const struct nvo3_message *message)
{
	for (size_t i = 0; i < message->refusal_count; i++)
		if (message->refusals[i].index >= message->generation_count)
			return "refused.index";
	return NULL;
}

const struct body nvo3_endpoint = BODY(endpoint);

const struct body nvo3_bodies[] = {
	[NVO3_HELLO] = BODY(hello),
	[NVO3_WELCOME] = BODY(welcome),
	[NVO3_SUBSCRIBE] = BODY(subscribe, .fault = held_fault),
	[NVO3_MEMBERS] = BODY(members),
	[NVO3_REGISTER] = BODY(registration),
	[NVO3_REGISTERED] = BODY(verdict, .fault = verdict_fault),
	[NVO3_WITHDRAW] = BODY(endpoint),
	[NVO3_MOVE_INTENT] = BODY(registration),
	[NVO3_CONSENT] = BODY(consent),
	[NVO3_CONSENTED] = BODY(verdict, .fault = verdict_fault),
	[NVO3_MOVE_GRANTED] = BODY(verdict, .fault = verdict_fault),
	[NVO3_COMMIT] = BODY(endpoint),
	[NVO3_COMMITTED] = BODY(verdict, .fault = verdict_fault),
	[NVO3_ABORT] = BODY(notice),
	[NVO3_UPDATE] = BODY(update, .fault = update_fault),
	[NVO3_ACK] = BODY(ack),
	[NVO3_CONVERGED] = BODY(notice),
	[NVO3_QUERY] = BODY(query, .fault = query_fault),
	[NVO3_ANSWER] = BODY(answer, .fault = answer_fault),
	[NVO3_STATUS] = { 0 },
	[NVO3_STATUS_REPLY] = BODY(status_reply),
	[NVO3_PING] = { 0 },
	[NVO3_PONG] = { 0 },
	[NVO3_ERROR] = BODY(error),
	[NVO3_FLOWS] = BODY(flows),
	[NVO3_REGISTER_BATCH] = BODY(register_batch, .fault = batch_fault),
	[NVO3_BATCH_REGISTERED] = BODY(batch_registered, .fault = batch_verdict_fault),
	[NVO3_DROP] = BODY(drop, .fault = held_fault),
	[NVO3_DIGEST] = BODY(digest, .fault = digest_fault),
};
