/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory_world.h - a directory, the NVEs around it, and the time, for its unit tests.
 *
 * What the directory says waits in one queue until a test takes it; take() insists on the order in
 * which each NVE would see it. Acknowledging is up to the test.
 */
#ifndef REHOME_TESTS_UNIT_DIRECTORY_WORLD_H
#define REHOME_TESTS_UNIT_DIRECTORY_WORLD_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "nva/directory.h"
#include "tests/unit/unit.h"

#define SECONDS(n) ((n) *UINT64_C(1000000))

enum {
	WORLD_LEASE_S = 60,
	WORLD_CONSENT_S = 30,
	VNI = 100,
};

struct delivery {
	struct delivery *next;
	uint32_t to;
	struct directory_output *output;
	bool last; /* owns the output */
};

struct world {
	struct directory *directory;
	uint64_t now_us;
	struct delivery *deliveries;
	uint64_t told[DIRECTORY_NVES_MAX]; /* the last revision each NVE was sent */
	uint64_t last_id;
};

static const struct mac mac1 = { { 0x52, 0x54, 0x00, 0x00, 0x00, 0x01 } };
static const struct uuid vm1 = { { 1 } };

static inline struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

/* @withdraw_us: as in struct directory_config. */
static inline struct world *world_make(struct directory_limits limits, uint64_t withdraw_us)
{
	const struct directory_config config = {
		.name = "nva1",
		.incarnation = 7,
		.hash_seed = 42,
		.lease_us = SECONDS(WORLD_LEASE_S),
		.withdraw_us = withdraw_us,
		.consent_timeout_us = SECONDS(WORLD_CONSENT_S),
		.limits = limits,
	};
	struct world *world = calloc(1, sizeof(*world));

	CU_ASSERT_PTR_NOT_NULL_FATAL(world);
	world->now_us = SECONDS(1000);
	CU_ASSERT_EQUAL_FATAL(directory_new(&config, world->now_us, &world->directory), 0);
	return world;
}

static inline struct world *world_with(struct directory_limits limits)
{
	return world_make(limits, 0);
}

static inline struct world *world_new(void)
{
	return world_with((struct directory_limits){ 0 });
}

static inline void delivery_free(struct delivery *delivery)
{
	if (delivery->last)
		directory_output_free(delivery->output);
	free(delivery);
}

static inline void forget(struct world *world)
{
	while (world->deliveries) {
		struct delivery *first = world->deliveries;

		world->deliveries = first->next;
		/*
		 * The last delivery of an output may have been taken before others: it stays until
		 * here.
		 */
		delivery_free(first);
	}
}

static inline struct world *world_free(struct world *world)
{
	forget(world);
	directory_free(world->directory);
	free(world);
	return NULL;
}
DEFINE_CLEANUP(struct world, world_free)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration cannot have them. */
#define WORLD(name) _cleanup_(world_freep) struct world *name = world_new()

/* --- outputs --- */

static inline void deliver(struct world *world)
{
	struct delivery **end = &world->deliveries;
	struct directory_output *output;
	int r;

	while (*end)
		end = &(*end)->next;
	while ((r = directory_next_output(world->directory, &output)) > 0) {
		for (size_t i = 0; i < output->to_count; i++) {
			*end = calloc(1, sizeof(**end));
			CU_ASSERT_PTR_NOT_NULL_FATAL(*end);
			(*end)->to = output->to[i];
			(*end)->output = output;
			(*end)->last = i + 1 == output->to_count;
			end = &(*end)->next;
			if (output->message.kind == NVO3_UPDATE) {
				/* Revisions of one session only grow. */
				CU_ASSERT_TRUE(output->message.revision >
					       world->told[output->to[i]]);
				world->told[output->to[i]] = output->message.revision;
			}
		}
		if (output->to_count == 0)
			directory_output_free(output);
	}
	CU_ASSERT_EQUAL_FATAL(r, 0);
}

/*
 * The next message to @nve that was not taken yet, which must be of @kind; borrowed until forget().
 */
static inline const struct nvo3_message *take(struct world *world, uint32_t nve,
					      enum nvo3_kind kind)
{
	deliver(world);
	for (struct delivery *delivery = world->deliveries; delivery; delivery = delivery->next) {
		if (delivery->to != nve)
			continue;
		CU_ASSERT_STRING_EQUAL(nvo3_kind_name(delivery->output->message.kind),
				       nvo3_kind_name(kind));
		CU_ASSERT_EQUAL_FATAL(delivery->output->message.kind, kind);
		delivery->to = UINT32_MAX;
		return &delivery->output->message;
	}
	printf("nothing to NVE %u, expected %s\n", nve, nvo3_kind_name(kind));
	CU_FAIL_FATAL("a message is missing");
	return NULL;
}

static inline bool is_quiet(struct world *world)
{
	deliver(world);
	for (struct delivery *delivery = world->deliveries; delivery; delivery = delivery->next)
		if (delivery->to != UINT32_MAX)
			return false;
	return true;
}

/* Both NVEs of a move hear that everybody has confirmed. */
static inline void take_converged(struct world *world, uint32_t old_nve, uint32_t new_nve)
{
	(void) take(world, old_nve, NVO3_CONVERGED);
	(void) take(world, new_nve, NVO3_CONVERGED);
}

/* --- inputs --- */

static inline int send_result(struct world *world, uint32_t nve, const struct nvo3_message *message)
{
	const char *what = NULL;

	return directory_receive(world->directory, world->now_us, nve, message, &what);
}

static inline void send_from(struct world *world, uint32_t nve, const struct nvo3_message *message)
{
	CU_ASSERT_EQUAL_FATAL(send_result(world, nve, message), 0);
}

static inline struct nvo3_message hello_of(const char *name, const char *vtep, uint64_t incarnation)
{
	struct nvo3_message hello = {
		.kind = NVO3_HELLO,
		.version = NVO3_VERSION,
		.vtep = ip_of(vtep),
		.incarnation = incarnation,
	};

	(void) snprintf(hello.name, sizeof(hello.name), "%s", name);
	return hello;
}

static inline int connect_result(struct world *world, const struct nvo3_message *hello,
				 uint32_t *ret_nve, bool *ret_replaced, char *reterr_text)
{
	int r = directory_connect(world->directory, world->now_us, hello, ret_nve, ret_replaced,
				  reterr_text);

	if (r == 0)
		world->told[*ret_nve] = 0;
	return r;
}

static inline uint32_t connect_as(struct world *world, const char *name, const char *vtep,
				  uint64_t incarnation)
{
	const struct nvo3_message hello = hello_of(name, vtep, incarnation);
	char text[NVO3_TEXT_MAX + 1] = "";
	bool replaced;
	uint32_t nve = 0;

	CU_ASSERT_EQUAL_FATAL(connect_result(world, &hello, &nve, &replaced, text), 0);
	return nve;
}

static inline void disconnect(struct world *world, uint32_t nve)
{
	directory_disconnect(world->directory, world->now_us, nve);
}

static inline void subscribe(struct world *world, uint32_t nve, uint32_t vni)
{
	const struct nvo3_message message = { .kind = NVO3_SUBSCRIBE, .vni = vni };

	send_from(world, nve, &message);
}

/* A connected member of VNI whose greeting nobody need look at. */
static inline uint32_t join(struct world *world, const char *name, const char *vtep)
{
	uint32_t nve = connect_as(world, name, vtep, 1);

	subscribe(world, nve, VNI);
	deliver(world);
	forget(world);
	return nve;
}

static inline void ack(struct world *world, uint32_t nve)
{
	struct nvo3_message message = { .kind = NVO3_ACK };

	deliver(world);
	message.revision = world->told[nve];
	if (message.revision > 0)
		send_from(world, nve, &message);
}

static inline void pass(struct world *world, uint64_t us)
{
	world->now_us += us;
	CU_ASSERT_EQUAL_FATAL(directory_tick(world->directory, world->now_us), 0);
}

static inline struct mapping mapping_of(struct mac mac, uint32_t flags)
{
	struct mapping mapping = {
		.vni = VNI,
		.mac = mac,
		.ips = { ip_of("10.0.0.1"), ip_of("fd00::1") },
		.ip_count = 2,
		.flags = flags,
	};

	if (flags & MAPPING_VM)
		mapping.vm = vm1;
	return mapping;
}

static inline void send_mapping(struct world *world, uint32_t nve, enum nvo3_kind kind,
				struct mapping mapping)
{
	const struct nvo3_message message = {
		.kind = kind,
		.id = ++world->last_id,
		.mappings = &mapping,
		.mapping_count = 1,
	};

	send_from(world, nve, &message);
}

static inline void send_endpoint(struct world *world, uint32_t nve, enum nvo3_kind kind,
				 struct mac mac, uint64_t generation)
{
	const struct nvo3_message message = {
		.kind = kind,
		.id = ++world->last_id,
		.vni = VNI,
		.mac = mac,
		.generation = generation,
	};

	send_from(world, nve, &message);
}

static inline void answer_consent(struct world *world, uint32_t nve, uint64_t id, bool granted)
{
	const struct nvo3_message message = {
		.kind = NVO3_CONSENTED,
		.id = id,
		.vni = VNI,
		.mac = mac1,
		.granted = granted,
	};

	send_from(world, nve, &message);
}

/* @nve becomes the owner of @mac; the answers are not looked at. */
static inline void own(struct world *world, uint32_t nve, struct mac mac, uint32_t flags)
{
	send_mapping(world, nve, NVO3_REGISTER, mapping_of(mac, flags));
	deliver(world);
	forget(world);
}

static inline uint64_t counter(const struct world *world, const char *name)
{
	struct json_object *status, *counters, *value;
	uint64_t number;

	CU_ASSERT_EQUAL_FATAL(directory_status(world->directory, world->now_us, &status), 0);
	CU_ASSERT_TRUE_FATAL(json_object_object_get_ex(status, "counters", &counters));
	CU_ASSERT_TRUE_FATAL(json_object_object_get_ex(counters, name, &value));
	number = json_object_get_uint64(value);
	json_object_put(status);
	return number;
}

#endif
