// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_wire.c - the NVE-NVA messages: bytes as the schema says, every kind there and back, every
 * cap.
 *
 * Source of the encoding: protobuf.dev/programming-guides/encoding (varints, tags, length-delimited
 * fields).
 */
#include <errno.h>
#include <string.h>

#include "nva/digest.h"
#include "nva/wire.h"
#include "tests/unit/unit.h"

/* --- samples --- */

static const struct mac vm_mac = { { 0x52, 0x54, 0x00, 0xaa, 0x00, 0x10 } };
static const struct uuid vm_uuid = { { 0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4,
				       0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 } };

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

static struct mapping full_mapping(void)
{
	struct mapping mapping = {
		.vni = 100,
		.mac = vm_mac,
		.ip_count = 2,
		.vtep = ip_of("2001:db8::1"),
		.generation = 7,
		.vm = vm_uuid,
		.flags = MAPPING_VM,
	};

	mapping.ips[0] = ip_of("10.0.0.16");
	mapping.ips[1] = ip_of("fd00::10");
	return mapping;
}

static void set_digest(struct nvo3_message *message, size_t size)
{
	message->digest = malloc(size);
	message->digest_size = size;
	for (size_t i = 0; i < size; i++)
		message->digest[i] = (uint8_t) (i * 7);
}

/* A message of @kind in which every field that kind carries is set. */
static struct nvo3_message sample(enum nvo3_kind kind)
{
	struct nvo3_message message = { .kind = kind, .id = 300 };

	switch (kind) {
	case NVO3_HELLO:
		message.role = NVO3_ROLE_GATEWAY;
		message.vtep = ip_of("192.0.2.1");
		/* fall through */
	case NVO3_WELCOME:
		(void) strcpy(message.name, "hv-1.example_x");
		message.version = NVO3_VERSION;
		message.incarnation = UINT64_MAX;
		message.features = kind == NVO3_WELCOME ? UINT32_MAX : 0;
		break;
	case NVO3_SUBSCRIBE:
		message.pull = true;
		message.more = true;
		set_digest(&message, DIGEST_BUCKETS_SIZE);
		/* fall through */
	case NVO3_DROP:
		message.vni = VNI_MAX;
		message.removed_count = 2;
		message.removed = calloc(2, sizeof(*message.removed));
		message.removed[0] = (struct mapping){ .vni = VNI_MAX, .mac = vm_mac };
		message.removed[1] = message.removed[0];
		message.removed[1].generation = 8;
		break;
	case NVO3_MEMBERS:
		message.vni = 100;
		message.member_count = 2;
		message.members = calloc(2, sizeof(*message.members));
		message.members[0] = ip_of("192.0.2.1");
		message.members[1] = ip_of("2001:db8::2");
		break;
	case NVO3_ANSWER:
		message.ip = ip_of("198.51.100.7");
		/* fall through */
	case NVO3_REGISTER:
	case NVO3_MOVE_INTENT:
		message.mapping_count = 1;
		message.mappings = calloc(1, sizeof(*message.mappings));
		message.mappings[0] = full_mapping();
		break;
	case NVO3_REGISTERED:
	case NVO3_CONSENTED:
	case NVO3_MOVE_GRANTED:
	case NVO3_COMMITTED:
		message.vni = 100;
		message.mac = vm_mac;
		message.generation = NVO3_GENERATION_MAX;
		message.granted = true;
		message.vtep = ip_of("2001:db8::1");
		(void) strcpy(message.text, "because");
		break;
	case NVO3_WITHDRAW:
	case NVO3_COMMIT:
		message.vni = 100;
		message.mac = vm_mac;
		message.generation = 8;
		break;
	case NVO3_CONSENT:
		message.vni = 100;
		message.mac = vm_mac;
		message.vtep = ip_of("192.0.2.2");
		message.vm = vm_uuid;
		break;
	case NVO3_ABORT:
	case NVO3_CONVERGED:
		message.vni = 100;
		message.mac = vm_mac;
		message.generation = 8;
		message.revision = 1234;
		(void) strcpy(message.text, "cancelled");
		break;
	case NVO3_UPDATE:
		message.vni = 100;
		message.revision = UINT64_MAX;
		message.snapshot = true;
		message.snapshot_end = true;
		set_digest(&message, DIGEST_LEAF_BITS_SIZE);
		message.mapping_count = 1;
		message.mappings = calloc(1, sizeof(*message.mappings));
		message.mappings[0] = full_mapping();
		message.removed_count = 1;
		message.removed = calloc(1, sizeof(*message.removed));
		message.removed[0] = (struct mapping){ .vni = 100, .mac = vm_mac, .generation = 3 };
		break;
	case NVO3_ACK:
		message.revision = 1;
		break;
	case NVO3_QUERY:
		message.vni = 100;
		message.ip = ip_of("fd00::10");
		break;
	case NVO3_REGISTER_BATCH:
		message.mapping_count = 3;
		message.mappings = calloc(3, sizeof(*message.mappings));
		for (unsigned i = 0; i < 3; i++) {
			message.mappings[i] = full_mapping();
			message.mappings[i].vni += i;
			message.mappings[i].flags = MAPPING_FLAGS;
		}
		break;
	case NVO3_BATCH_REGISTERED:
		message.generation_count = 3;
		message.generations = calloc(3, sizeof(*message.generations));
		message.generations[0] = NVO3_GENERATION_MAX;
		message.generations[2] = 1;
		message.refusal_count = 1;
		message.refusals = calloc(1, sizeof(*message.refusals));
		message.refusals[0].index = 1;
		(void) strcpy(message.refusals[0].text, "no room");
		break;
	case NVO3_STATUS_REPLY:
		message.json = strdup("{\"name\":\"nva1\"}");
		break;
	case NVO3_ERROR:
		(void) strcpy(message.text, "no");
		break;
	case NVO3_FLOWS:
		message.vni = 100;
		message.mac = vm_mac;
		message.generation = 8;
		message.flows = (uint8_t *) strdup("any bytes");
		message.flows_size = 9;
		break;
	case NVO3_DIGEST:
		message.vni = 100;
		set_digest(&message, 2 * DIGEST_FANOUT * DIGEST_SUM_SIZE);
		break;
	case NVO3_STATUS:
	case NVO3_PING:
	case NVO3_PONG:
	case NVO3_KIND_COUNT:
		break;
	}
	return message;
}

static bool same_mapping(const struct mapping *a, const struct mapping *b)
{
	if (a->vni != b->vni || mac_cmp(a->mac, b->mac) != 0 || a->ip_count != b->ip_count ||
	    ip_cmp(a->vtep, b->vtep) != 0 || a->generation != b->generation ||
	    uuid_cmp(a->vm, b->vm) != 0 || a->flags != b->flags)
		return false;
	for (size_t i = 0; i < a->ip_count; i++)
		if (ip_cmp(a->ips[i], b->ips[i]) != 0)
			return false;
	return true;
}

static bool same_mappings(const struct mapping *a, size_t a_count, const struct mapping *b,
			  size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!same_mapping(&a[i], &b[i]))
			return false;
	return true;
}

static void assert_same(const struct nvo3_message *a, const struct nvo3_message *b)
{
	CU_ASSERT_EQUAL(a->kind, b->kind);
	CU_ASSERT_EQUAL(a->id, b->id);
	CU_ASSERT_STRING_EQUAL(a->name, b->name);
	CU_ASSERT_EQUAL(a->version, b->version);
	CU_ASSERT_EQUAL(a->role, b->role);
	CU_ASSERT_EQUAL(ip_cmp(a->vtep, b->vtep), 0);
	CU_ASSERT_EQUAL(a->incarnation, b->incarnation);
	CU_ASSERT_EQUAL(a->features, b->features);
	CU_ASSERT_EQUAL(a->pull, b->pull);
	CU_ASSERT_EQUAL(a->more, b->more);
	CU_ASSERT_EQUAL_FATAL(a->digest_size, b->digest_size);
	CU_ASSERT_TRUE(a->digest_size == 0 || memcmp(a->digest, b->digest, a->digest_size) == 0);
	CU_ASSERT_EQUAL(a->vni, b->vni);
	CU_ASSERT_EQUAL(mac_cmp(a->mac, b->mac), 0);
	CU_ASSERT_EQUAL(ip_cmp(a->ip, b->ip), 0);
	CU_ASSERT_EQUAL(a->generation, b->generation);
	CU_ASSERT_EQUAL(uuid_cmp(a->vm, b->vm), 0);
	CU_ASSERT_EQUAL(a->granted, b->granted);
	CU_ASSERT_STRING_EQUAL(a->text, b->text);
	CU_ASSERT_EQUAL(a->revision, b->revision);
	CU_ASSERT_EQUAL(a->snapshot, b->snapshot);
	CU_ASSERT_EQUAL(a->snapshot_end, b->snapshot_end);
	CU_ASSERT_EQUAL_FATAL(a->member_count, b->member_count);
	for (size_t i = 0; i < a->member_count; i++)
		CU_ASSERT_EQUAL(ip_cmp(a->members[i], b->members[i]), 0);
	CU_ASSERT_TRUE(same_mappings(a->mappings, a->mapping_count, b->mappings, b->mapping_count));
	CU_ASSERT_TRUE(same_mappings(a->removed, a->removed_count, b->removed, b->removed_count));
	CU_ASSERT_EQUAL_FATAL(a->generation_count, b->generation_count);
	for (size_t i = 0; i < a->generation_count; i++)
		CU_ASSERT_EQUAL(a->generations[i], b->generations[i]);
	CU_ASSERT_EQUAL_FATAL(a->refusal_count, b->refusal_count);
	for (size_t i = 0; i < a->refusal_count; i++) {
		CU_ASSERT_EQUAL(a->refusals[i].index, b->refusals[i].index);
		CU_ASSERT_STRING_EQUAL(a->refusals[i].text, b->refusals[i].text);
	}
	CU_ASSERT_STRING_EQUAL(a->json ? a->json : "", b->json ? b->json : "");
	CU_ASSERT_EQUAL_FATAL(a->flows_size, b->flows_size);
	CU_ASSERT_TRUE(a->flows_size == 0 || memcmp(a->flows, b->flows, a->flows_size) == 0);
}

/* --- there and back --- */

static void every_kind_comes_back(void)
{
	for (unsigned kind = 0; kind < NVO3_KIND_COUNT; kind++) {
		_cleanup_(nvo3_message_clear) struct nvo3_message sent = sample(
									  (enum nvo3_kind) kind),
								  got = { 0 };
		_cleanup_free_ uint8_t *frame = NULL;
		const char *what = "";
		size_t size = 0;

		CU_ASSERT_EQUAL_FATAL(nvo3_pack(&sent, &frame, &size), 0);
		CU_ASSERT_EQUAL(nvo3_frame_size(frame, size), (long) size);
		CU_ASSERT_EQUAL_FATAL(nvo3_unpack(frame + 4, size - 4, &got, &what), 0);
		assert_same(&sent, &got);
		nvo3_message_clear(&got);
	}
}

static void every_truncation_is_refused(void)
{
	for (unsigned kind = 0; kind < NVO3_KIND_COUNT; kind++) {
		_cleanup_(nvo3_message_clear) struct nvo3_message sent =
			sample((enum nvo3_kind) kind);
		_cleanup_free_ uint8_t *frame = NULL;
		size_t size = 0;

		CU_ASSERT_EQUAL_FATAL(nvo3_pack(&sent, &frame, &size), 0);
		for (size_t cut = 0; cut < size; cut++)
			CU_ASSERT_EQUAL(nvo3_frame_size(frame, cut), cut < 4 ? 0 : (long) size);
		for (size_t cut = 4; cut < size; cut++) {
			struct nvo3_message got = { .kind = NVO3_PONG, .id = 42 };
			const char *what = NULL;

			CU_ASSERT_EQUAL(nvo3_unpack(frame + 4, cut - 4, &got, &what), -EBADMSG);
			CU_ASSERT_PTR_NOT_NULL(what);
			CU_ASSERT_EQUAL(got.id, 42); /* untouched on failure */
		}
	}
}

static void every_kind_has_a_name(void)
{
	for (unsigned kind = 0; kind < NVO3_KIND_COUNT; kind++)
		for (unsigned other = 0; other < kind; other++)
			CU_ASSERT_STRING_NOT_EQUAL(nvo3_kind_name((enum nvo3_kind) kind),
						   nvo3_kind_name((enum nvo3_kind) other));
	CU_ASSERT_STRING_EQUAL(nvo3_kind_name(NVO3_MOVE_INTENT), "move-intent");
	CU_ASSERT_STRING_EQUAL(nvo3_kind_name((enum nvo3_kind) 99), "unknown");
}

/* --- bytes --- */

/* clang-format off */
/* A COMMIT: the VM with this MAC in VNI 5000 runs here, generation 2. */
static const uint8_t commit_bytes[] = {
	0x00, 0x00, 0x00, 0x13,				/* 19 bytes follow */
	0x08, 0xac, 0x02,				/* Envelope.id (field 1, varint): 300 */
	/* Envelope.commit (field 21, length-delimited): 13 bytes */
	0xaa, 0x01, 0x0d,
	0x08, 0x88, 0x27,				/*   Endpoint.vni (1): 5000 */
	0x12, 0x06, 0x52, 0x54, 0x00, 0xaa, 0x00, 0x10,	/*   Endpoint.mac (2) */
	0x18, 0x02,					/*   Endpoint.generation (3): 2 */
};

/* A REGISTER of an IPv4 and an IPv6 address by an NVE that does not know the generation yet. */
static const uint8_t register_bytes[] = {
	0x00, 0x00, 0x00, 0x30,				/* 48 bytes follow */
	0x08, 0x01,					/* Envelope.id: 1 */
	0x72, 0x2c,					/* Envelope.registration (14): 44 bytes */
	0x0a, 0x2a,					/*   Registration.mapping (1): 42 bytes */
	0x08, 0x64,					/*     Mapping.vni (1): 100 */
	0x12, 0x06, 0x52, 0x54, 0x00, 0xaa, 0x00, 0x10,	/*     Mapping.mac (2) */
	0x1a, 0x04, 0x0a, 0x00, 0x00, 0x10,		/*     Mapping.ips (3): 10.0.0.16 */
	0x1a, 0x10, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00,	/*     Mapping.ips (3): fd00::10 */
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10,
	0x22, 0x04, 0xc0, 0x00, 0x02, 0x01,		/*     Mapping.vtep (4): 192.0.2.1 */
	0x38, 0x01,					/*     Mapping.flags (7): a VM port */
};
/* clang-format on */

static void commit_is_these_bytes(void)
{
	const struct nvo3_message commit = {
		.kind = NVO3_COMMIT,
		.id = 300,
		.vni = 5000,
		.mac = vm_mac,
		.generation = 2,
	};
	_cleanup_(nvo3_message_clear) struct nvo3_message got = { 0 };
	_cleanup_free_ uint8_t *frame = NULL;
	const char *what;
	size_t size = 0;

	CU_ASSERT_EQUAL_FATAL(nvo3_unpack(commit_bytes + 4, sizeof(commit_bytes) - 4, &got, &what),
			      0);
	assert_same(&got, &commit);
	CU_ASSERT_EQUAL_FATAL(nvo3_pack(&commit, &frame, &size), 0);
	CU_ASSERT_EQUAL_FATAL(size, sizeof(commit_bytes));
	CU_ASSERT_EQUAL(memcmp(frame, commit_bytes, size), 0);
}

static void register_is_these_bytes(void)
{
	struct mapping mapping = {
		.vni = 100,
		.mac = vm_mac,
		.ips = { ip_of("10.0.0.16"), ip_of("fd00::10") },
		.ip_count = 2,
		.vtep = ip_of("192.0.2.1"),
		.flags = MAPPING_VM,
	};
	const struct nvo3_message registration = {
		.kind = NVO3_REGISTER,
		.id = 1,
		.mappings = &mapping,
		.mapping_count = 1,
	};
	_cleanup_(nvo3_message_clear) struct nvo3_message got = { 0 };
	_cleanup_free_ uint8_t *frame = NULL;
	const char *what;
	size_t size = 0;

	CU_ASSERT_EQUAL_FATAL(
		nvo3_unpack(register_bytes + 4, sizeof(register_bytes) - 4, &got, &what), 0);
	assert_same(&got, &registration);
	CU_ASSERT_EQUAL_FATAL(nvo3_pack(&registration, &frame, &size), 0);
	CU_ASSERT_EQUAL_FATAL(size, sizeof(register_bytes));
	CU_ASSERT_EQUAL(memcmp(frame, register_bytes, size), 0);
}

static void frame_length_is_bounded(void)
{
	static const uint8_t none[] = { 0, 0, 0, 0 };		     /* no Envelope is empty */
	static const uint8_t largest[] = { 0x00, 0x0f, 0xff, 0xfc }; /* 2^20 - 4 */
	static const uint8_t over[] = { 0x00, 0x0f, 0xff, 0xfd };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff };

	CU_ASSERT_EQUAL(nvo3_frame_size(none, 4), -EBADMSG);
	CU_ASSERT_EQUAL(nvo3_frame_size(largest, 4), NVO3_FRAME_MAX);
	CU_ASSERT_EQUAL(nvo3_frame_size(over, 4), -EMSGSIZE);
	CU_ASSERT_EQUAL(nvo3_frame_size(huge, 4), -EMSGSIZE);
}

/* --- what no packer of ours makes --- */

/* Writes protobuf backwards, so that a length is known when it is written. */
struct writer {
	uint8_t *data;
	size_t at, room;
};

static struct writer writer_new(size_t room)
{
	struct writer writer = { malloc(room), room, room };

	CU_ASSERT_PTR_NOT_NULL_FATAL(writer.data);
	return writer;
}

static void writer_clear(struct writer *writer)
{
	free(writer->data);
}

static size_t written(const struct writer *writer)
{
	return writer->room - writer->at;
}

static void put_bytes(struct writer *writer, const void *data, size_t size)
{
	CU_ASSERT_TRUE_FATAL(writer->at >= size);
	writer->at -= size;
	if (size > 0)
		memcpy(writer->data + writer->at, data, size);
}

static void put_varint(struct writer *writer, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (uint8_t) (value | 0x80);
	bytes[n++] = (uint8_t) value;
	put_bytes(writer, bytes, n);
}

/* The head of what was written since @before, as length-delimited field @number. */
static void wrap(struct writer *writer, size_t before, unsigned number)
{
	put_varint(writer, written(writer) - before);
	put_varint(writer, number << 3 | 2);
}

static void put_field(struct writer *writer, unsigned number, const void *data, size_t size)
{
	size_t before = written(writer);

	put_bytes(writer, data, size);
	wrap(writer, before, number);
}

static void put_number(struct writer *writer, unsigned number, uint64_t value)
{
	put_varint(writer, value);
	put_varint(writer, number << 3);
}

/* The field that is wrong in the Envelope written, or "" when there is none. */
static const char *fault_of(const struct writer *writer)
{
	struct nvo3_message got = { 0 };
	const char *what = NULL;
	int r = nvo3_unpack(writer->data + writer->at, written(writer), &got, &what);

	nvo3_message_clear(&got);
	if (r == 0)
		return "";
	CU_ASSERT_EQUAL(r, -EBADMSG);
	return what;
}

enum {
	FIELD_HELLO = 10,
	FIELD_SUBSCRIBE = 12,
	FIELD_MEMBERS = 13,
	FIELD_REGISTRATION = 14,
	FIELD_COMMIT = 21,
	FIELD_UPDATE = 24,
	FIELD_STATUS_REPLY = 30,
	FIELD_ERROR = 33,
	FIELD_REGISTER_BATCH = 35,
	FIELD_BATCH_REGISTERED = 36,
	FIELD_UNKNOWN = 127
};

static void refuses_an_envelope_without_a_known_body(void)
{
	_cleanup_(writer_clear) struct writer none = writer_new(64), unknown = writer_new(64),
					      junk = writer_new(64);

	CU_ASSERT_STRING_EQUAL(fault_of(&none), "kind");
	put_field(&unknown, FIELD_UNKNOWN, "", 0);
	CU_ASSERT_STRING_EQUAL(fault_of(&unknown), "kind");
	put_bytes(&junk, "GET / HTTP/1.1\r\n", 16);
	CU_ASSERT_STRING_EQUAL(fault_of(&junk), "envelope");
}

static const char *fault_of_vni(uint64_t vni)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(64);

	put_number(&writer, 1, vni);
	wrap(&writer, 0, FIELD_SUBSCRIBE);
	return fault_of(&writer);
}

static void refuses_a_vni_out_of_range(void)
{
	CU_ASSERT_STRING_EQUAL(fault_of_vni(0), "vni");
	CU_ASSERT_STRING_EQUAL(fault_of_vni(1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_vni(VNI_MAX), "");
	CU_ASSERT_STRING_EQUAL(fault_of_vni(VNI_MAX + 1), "vni");
	CU_ASSERT_STRING_EQUAL(fault_of_vni(UINT32_MAX), "vni");
}

/* Fields of a HELLO that are good unless the test says otherwise. */
static const char *fault_of_hello(const char *name, const char *vtep, size_t vtep_size,
				  uint64_t role)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(256);

	put_field(&writer, 4, vtep, vtep_size);
	put_number(&writer, 3, role);
	put_number(&writer, 2, NVO3_VERSION);
	put_field(&writer, 1, name, strlen(name));
	wrap(&writer, 0, FIELD_HELLO);
	return fault_of(&writer);
}

static void refuses_a_hello_that_names_nobody(void)
{
	char longest[NVO3_NAME_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[NVO3_NAME_MAX + 1] = '\0';
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1", "\xc0\x00\x02\x01", 4, 0), "");
	CU_ASSERT_STRING_EQUAL(fault_of_hello(longest, "\xc0\x00\x02\x01", 4, 0), "name");
	longest[NVO3_NAME_MAX] = '\0';
	CU_ASSERT_STRING_EQUAL(fault_of_hello(longest, "\xc0\x00\x02\x01", 4, 1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("", "\xc0\x00\x02\x01", 4, 0), "name");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv 1", "\xc0\x00\x02\x01", 4, 0), "name");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1\n", "\xc0\x00\x02\x01", 4, 0), "name");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv\xc3\xa9", "\xc0\x00\x02\x01", 4, 0), "name");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1", "", 0, 0), "vtep");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1", "\xc0\x00\x02", 3, 0), "vtep");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1", "\xe0\x00\x00\x01", 4, 0),
			       "vtep"); /* multicast */
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, 0),
			       "vtep");
	CU_ASSERT_STRING_EQUAL(fault_of_hello("hv1", "\xc0\x00\x02\x01", 4, 3), "role");
}

/* A mapping with one thing odd. */
struct odd_mapping {
	const char *mac;
	size_t mac_size, ip_count, ip_size, vm_size;
	uint64_t generation, flags;
};

static const char *fault_of_mapping(struct odd_mapping odd)
{
	static const uint8_t address[17] = { 10, 0, 0, 1 }, vm[17] = { 1 };
	_cleanup_(writer_clear) struct writer writer = writer_new(1024);

	put_number(&writer, 7, odd.flags);
	put_field(&writer, 6, vm, odd.vm_size);
	put_number(&writer, 5, odd.generation);
	for (size_t i = 0; i < odd.ip_count; i++)
		put_field(&writer, 3, address, odd.ip_size);
	put_field(&writer, 2, odd.mac, odd.mac_size);
	put_number(&writer, 1, 100);
	wrap(&writer, 0, 1);
	wrap(&writer, 0, FIELD_REGISTRATION);
	return fault_of(&writer);
}

static void refuses_an_odd_mapping(void)
{
	static const char mac[] = "\x52\x54\x00\xaa\x00\x10\x00",
			  group[] = "\x01\x00\x5e\x00\x00\x01", zero[] = "\0\0\0\0\0\0";
	static const struct {
		struct odd_mapping mapping;
		const char *fault;
	} cases[] = {
		{ { mac, 6, 1, 4, 16, 3, 1 }, "" },
		{ { mac, 6, 0, 4, 0, 0, 0 }, "" },
		{ { mac, 6, 1, 16, 16, 0, 3 }, "" },
		{ { mac, 6, MAPPING_IPS_MAX, 4, 16, 3, 1 }, "" },
		{ { mac, 6, MAPPING_IPS_MAX + 1, 4, 16, 3, 1 }, "mapping.ips" },
		{ { mac, 6, 1, 0, 16, 3, 1 }, "mapping.ips" },
		{ { mac, 6, 1, 5, 16, 3, 1 }, "mapping.ips" },
		{ { mac, 6, 1, 17, 16, 3, 1 }, "mapping.ips" },
		{ { mac, 5, 1, 4, 16, 3, 1 }, "mac" },
		{ { mac, 7, 1, 4, 16, 3, 1 }, "mac" },
		{ { mac, 0, 1, 4, 16, 3, 1 }, "mac" },
		{ { group, 6, 1, 4, 16, 3, 1 }, "mac" },
		{ { zero, 6, 1, 4, 16, 3, 1 }, "mac" },
		{ { mac, 6, 1, 4, 15, 3, 1 }, "vm" },
		{ { mac, 6, 1, 4, 17, 3, 1 }, "vm" },
		{ { mac, 6, 1, 4, 16, 3, 5 }, "" }, /* a VM that is a router */
		{ { mac, 6, 1, 4, 16, 3, MAPPING_FLAGS }, "" },
		{ { mac, 6, 1, 4, 16, 3, MAPPING_FLAGS + 1 }, "mapping.flags" },
		{ { mac, 6, 1, 4, 16, UINT64_C(1) << 48, 1 }, "" },
		{ { mac, 6, 1, 4, 16, (UINT64_C(1) << 48) + 1, 1 }, "generation" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT_STRING_EQUAL(fault_of_mapping(cases[i].mapping), cases[i].fault);
}

static void refuses_a_registration_of_nothing(void)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(64);

	wrap(&writer, 0, FIELD_REGISTRATION);
	CU_ASSERT_STRING_EQUAL(fault_of(&writer), "mapping");
}

static const char *fault_of_reason(const char *reason, size_t size)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(512);

	put_field(&writer, 1, reason, size);
	wrap(&writer, 0, FIELD_ERROR);
	return fault_of(&writer);
}

static void refuses_a_reason_that_could_forge_a_log_line(void)
{
	char longest[NVO3_TEXT_MAX + 1];

	memset(longest, 'x', sizeof(longest));
	CU_ASSERT_STRING_EQUAL(fault_of_reason(longest, NVO3_TEXT_MAX), "");
	CU_ASSERT_STRING_EQUAL(fault_of_reason(longest, NVO3_TEXT_MAX + 1), "reason");
	CU_ASSERT_STRING_EQUAL(fault_of_reason("a\nb", 3), "reason");
	CU_ASSERT_STRING_EQUAL(fault_of_reason("\x1b[2J", 4), "reason");
	CU_ASSERT_STRING_EQUAL(fault_of_reason("\xc2\x9b", 2),
			       "reason"); /* a control character, in UTF-8 */
}

/* An UPDATE of VNI 100; its mappings and removed ones are of @vni, with @generation. */
static const char *fault_of_update(size_t mappings, size_t removed, uint32_t vni,
				   uint64_t generation)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(1 << 20);

	for (size_t i = 0; i < mappings; i++) {
		size_t before = written(&writer);

		put_number(&writer, 5, generation);
		put_field(&writer, 4, "\xc0\x00\x02\x01", 4);
		put_field(&writer, 2, vm_mac.octet, 6);
		put_number(&writer, 1, vni);
		wrap(&writer, before, 6);
	}
	for (size_t i = 0; i < removed; i++) {
		size_t before = written(&writer);

		put_number(&writer, 3, generation);
		put_field(&writer, 2, vm_mac.octet, 6);
		put_number(&writer, 1, vni);
		wrap(&writer, before, 5);
	}
	put_number(&writer, 2, 100);
	put_number(&writer, 1, 1);
	wrap(&writer, 0, FIELD_UPDATE);
	return fault_of(&writer);
}

static void refuses_an_update_beyond_a_batch(void)
{
	CU_ASSERT_STRING_EQUAL(fault_of_update(0, 0, 100, 1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_update(NVO3_BATCH_MAX, 0, 100, 1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_update(0, NVO3_BATCH_MAX, 100, 1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_update(1000, NVO3_BATCH_MAX - 1000, 100, 1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_update(NVO3_BATCH_MAX + 1, 0, 100, 1), "mappings");
	CU_ASSERT_STRING_EQUAL(fault_of_update(0, NVO3_BATCH_MAX + 1, 100, 1), "mappings");
	CU_ASSERT_STRING_EQUAL(fault_of_update(1, NVO3_BATCH_MAX, 100, 1), "mappings");
}

static void refuses_an_update_that_mixes_vnis_or_tells_no_generation(void)
{
	CU_ASSERT_STRING_EQUAL(fault_of_update(1, 0, 101, 1), "mapping.vni");
	CU_ASSERT_STRING_EQUAL(fault_of_update(0, 1, 101, 1), "removed.vni");
	CU_ASSERT_STRING_EQUAL(fault_of_update(1, 0, 100, 0), "mapping.generation");
	CU_ASSERT_STRING_EQUAL(fault_of_update(0, 1, 100, 0), "removed.generation");
}

static const char *fault_of_members(size_t count)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(1 << 20);

	for (size_t i = 0; i < count; i++)
		put_field(&writer, 2, "\xc0\x00\x02\x01", 4);
	put_number(&writer, 1, 100);
	wrap(&writer, 0, FIELD_MEMBERS);
	return fault_of(&writer);
}

static void refuses_too_many_members(void)
{
	CU_ASSERT_STRING_EQUAL(fault_of_members(NVO3_MEMBERS_MAX), "");
	CU_ASSERT_STRING_EQUAL(fault_of_members(NVO3_MEMBERS_MAX + 1), "members");
}

/* 2 bytes on the wire that would be hundreds in memory, half a million times. */
static void small_bytes_cannot_become_much_memory(void)
{
	static const struct {
		unsigned field, body;
		const char *what;
	} cases[] = {
		{ 6, FIELD_UPDATE, "mappings" },	  { 5, FIELD_UPDATE, "mappings" },
		{ 2, FIELD_MEMBERS, "members" },	  { 1, FIELD_REGISTER_BATCH, "mappings" },
		{ 2, FIELD_BATCH_REGISTERED, "refused" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(writer_clear) struct writer writer = writer_new(NVO3_FRAME_MAX);

		for (size_t n = 0; n < 500000; n++)
			put_field(&writer, cases[i].field, "", 0);
		wrap(&writer, 0, cases[i].body);
		CU_ASSERT_STRING_EQUAL(fault_of(&writer), cases[i].what);
	}
}

/* --- batches --- */

static const char *fault_of_batch(size_t count)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(1 << 20);

	for (size_t i = 0; i < count; i++) {
		size_t before = written(&writer);

		put_field(&writer, 2, vm_mac.octet, 6);
		put_number(&writer, 1, 1 + i % 3);
		wrap(&writer, before, 1);
	}
	wrap(&writer, 0, FIELD_REGISTER_BATCH);
	return fault_of(&writer);
}

static void a_batch_has_something_but_not_too_much(void)
{
	CU_ASSERT_STRING_EQUAL(fault_of_batch(0), "mappings");
	CU_ASSERT_STRING_EQUAL(fault_of_batch(1), "");
	CU_ASSERT_STRING_EQUAL(fault_of_batch(NVO3_BATCH_MAX), "");
	CU_ASSERT_STRING_EQUAL(fault_of_batch(NVO3_BATCH_MAX + 1), "mappings");
}

/* Generations 5, 0 and 300, packed or each in a field of its own; a refusal of @index. */
static const char *fault_of_batch_verdict(bool packed, uint64_t index, uint64_t generation)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(512);
	size_t before;

	put_field(&writer, 2, "why", 3);
	put_number(&writer, 1, index);
	wrap(&writer, 0, 2);
	before = written(&writer);
	if (packed) {
		put_varint(&writer, generation);
		put_varint(&writer, 0);
		put_varint(&writer, 5);
		wrap(&writer, before, 1);
	} else {
		put_number(&writer, 1, generation);
		put_number(&writer, 1, 0);
		put_number(&writer, 1, 5);
	}
	wrap(&writer, 0, FIELD_BATCH_REGISTERED);
	return fault_of(&writer);
}

static void a_batch_is_answered_mapping_by_mapping(void)
{
	CU_ASSERT_STRING_EQUAL(fault_of_batch_verdict(true, 1, 300), "");
	CU_ASSERT_STRING_EQUAL(fault_of_batch_verdict(false, 1, 300), "");
	CU_ASSERT_STRING_EQUAL(fault_of_batch_verdict(true, 3, 300), "refused.index");
	CU_ASSERT_STRING_EQUAL(fault_of_batch_verdict(true, 1, NVO3_GENERATION_MAX + 1),
			       "generations");
}

/* A field that comes twice counts as it came last; two bodies of one kind are one. */
static void later_fields_replace_earlier_ones(void)
{
	_cleanup_(writer_clear) struct writer writer = writer_new(256);
	_cleanup_(nvo3_message_clear) struct nvo3_message got = { 0 };
	const char *what = "";
	size_t before;

	put_number(&writer, 3, 9);
	wrap(&writer, 0, FIELD_COMMIT);
	before = written(&writer);
	put_number(&writer, 3, 7);
	put_field(&writer, 2, vm_mac.octet, 6);
	put_number(&writer, 1, 200);
	put_number(&writer, 1, 100);
	wrap(&writer, before, FIELD_COMMIT);
	before = written(&writer);
	wrap(&writer, before, FIELD_STATUS_REPLY);
	put_number(&writer, 1, 4);
	CU_ASSERT_EQUAL_FATAL(nvo3_unpack(writer.data + writer.at, written(&writer), &got, &what),
			      0);
	CU_ASSERT_EQUAL(got.kind, NVO3_COMMIT);
	CU_ASSERT_EQUAL(got.id, 4);
	CU_ASSERT_EQUAL(got.vni, 200);
	CU_ASSERT_EQUAL(mac_cmp(got.mac, vm_mac), 0);
	CU_ASSERT_EQUAL(got.generation, 9);
}

/* --- what the packer refuses --- */

static int pack_result(const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	return nvo3_pack(message, &frame, &size);
}

static void packs_the_largest_update(void)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message update = { .kind = NVO3_UPDATE },
							  got = { 0 };
	_cleanup_free_ uint8_t *frame = NULL;
	const char *what = "";
	size_t size = 0;

	update.vni = VNI_MAX;
	update.revision = UINT64_MAX;
	update.mapping_count = NVO3_BATCH_MAX / 2; /* of such long ones */
	update.mappings = calloc(NVO3_BATCH_MAX + 1, sizeof(*update.mappings));
	for (size_t i = 0; i < NVO3_BATCH_MAX; i++) {
		update.mappings[i] = full_mapping();
		update.mappings[i].vni = VNI_MAX;
		update.mappings[i].generation = NVO3_GENERATION_MAX;
		update.mappings[i].ip_count = MAPPING_IPS_MAX;
		for (size_t j = 0; j < MAPPING_IPS_MAX; j++)
			update.mappings[i].ips[j] = ip_of("fd00::10");
	}
	CU_ASSERT_EQUAL_FATAL(nvo3_pack(&update, &frame, &size), 0);
	CU_ASSERT_TRUE(size <= NVO3_FRAME_MAX);
	CU_ASSERT_EQUAL_FATAL(nvo3_unpack(frame + 4, size - 4, &got, &what), 0);
	assert_same(&update, &got);

	update.mapping_count = NVO3_BATCH_MAX + 1;
	CU_ASSERT_EQUAL(pack_result(&update), -EMSGSIZE);
	update.mapping_count = 1;
	update.removed_count = NVO3_BATCH_MAX;
	CU_ASSERT_EQUAL(pack_result(&update), -EMSGSIZE);
	update.removed_count = 0;
	update.mappings[0].ip_count = MAPPING_IPS_MAX + 1;
	CU_ASSERT_EQUAL(pack_result(&update), -EMSGSIZE);
}

static void refuses_to_pack_nonsense(void)
{
	struct nvo3_message none = { .kind = NVO3_KIND_COUNT }, empty = { .kind = NVO3_REGISTER },
			    silent = { .kind = NVO3_STATUS_REPLY };
	_cleanup_free_ char *json = malloc(NVO3_JSON_MAX + 2);

	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	CU_ASSERT_EQUAL(pack_result(&none), -EINVAL);
	CU_ASSERT_EQUAL(pack_result(&empty), -EINVAL);
	CU_ASSERT_EQUAL(pack_result(&silent), -EINVAL);
	memset(json, ' ', NVO3_JSON_MAX + 2);
	silent.json = json;
	json[NVO3_JSON_MAX + 1] = '\0';
	CU_ASSERT_EQUAL(pack_result(&silent), -EMSGSIZE);
	json[NVO3_JSON_MAX] = '\0';
	CU_ASSERT_EQUAL(pack_result(&silent), 0);
}

static void caps_flows(void)
{
	_cleanup_free_ uint8_t *bytes = calloc(1, NVO3_FLOWS_MAX + 1), *frame = NULL;
	struct nvo3_message flows = { .kind = NVO3_FLOWS,
				      .vni = 100,
				      .mac = vm_mac,
				      .flows = bytes,
				      .flows_size = NVO3_FLOWS_MAX };
	_cleanup_(nvo3_message_clear) struct nvo3_message got = { 0 };
	const char *what = "";
	size_t size = 0;
	uint8_t *length;

	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	CU_ASSERT_EQUAL_FATAL(nvo3_pack(&flows, &frame, &size), 0);
	CU_ASSERT_EQUAL_FATAL(nvo3_unpack(frame + 4, size - 4, &got, &what), 0);
	CU_ASSERT_EQUAL(got.flows_size, NVO3_FLOWS_MAX);
	flows.flows_size++;
	CU_ASSERT_EQUAL(pack_result(&flows), -EMSGSIZE);

	/*
	 * A peer that does not keep to it: one byte more, in both lengths (varints of three bytes).
	 */
	frame = realloc(frame, size + 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
	frame[size] = 0;
	length = frame + 4 + 2; /* after the tag of field 34 */
	length[0]++;
	frame[size - NVO3_FLOWS_MAX - 3]++;
	nvo3_message_clear(&got);
	CU_ASSERT_EQUAL(nvo3_unpack(frame + 4, size - 3, &got, &what), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(what, "flows");
}

static void sends_only_printable_reasons(void)
{
	const struct nvo3_message error = { .kind = NVO3_ERROR, .text = "caf\xc3\xa9\n" };
	_cleanup_(nvo3_message_clear) struct nvo3_message got = { 0 };
	_cleanup_free_ uint8_t *frame = NULL;
	const char *what;
	size_t size = 0;

	CU_ASSERT_EQUAL_FATAL(nvo3_pack(&error, &frame, &size), 0);
	CU_ASSERT_EQUAL_FATAL(nvo3_unpack(frame + 4, size - 4, &got, &what), 0);
	CU_ASSERT_STRING_EQUAL(got.text, "caf???");
}

UNIT_MAIN("wire", UNIT_TEST(every_kind_comes_back), UNIT_TEST(every_truncation_is_refused),
	  UNIT_TEST(every_kind_has_a_name), UNIT_TEST(commit_is_these_bytes),
	  UNIT_TEST(register_is_these_bytes), UNIT_TEST(frame_length_is_bounded),
	  UNIT_TEST(refuses_an_envelope_without_a_known_body),
	  UNIT_TEST(refuses_a_vni_out_of_range), UNIT_TEST(refuses_a_hello_that_names_nobody),
	  UNIT_TEST(refuses_an_odd_mapping), UNIT_TEST(refuses_a_registration_of_nothing),
	  UNIT_TEST(refuses_a_reason_that_could_forge_a_log_line),
	  UNIT_TEST(refuses_an_update_beyond_a_batch),
	  UNIT_TEST(refuses_an_update_that_mixes_vnis_or_tells_no_generation),
	  UNIT_TEST(refuses_too_many_members), UNIT_TEST(small_bytes_cannot_become_much_memory),
	  UNIT_TEST(a_batch_has_something_but_not_too_much),
	  UNIT_TEST(a_batch_is_answered_mapping_by_mapping),
	  UNIT_TEST(later_fields_replace_earlier_ones), UNIT_TEST(packs_the_largest_update),
	  UNIT_TEST(refuses_to_pack_nonsense), UNIT_TEST(caps_flows),
	  UNIT_TEST(sends_only_printable_reasons))
