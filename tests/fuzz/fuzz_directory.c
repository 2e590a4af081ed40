// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz_directory.c - any sequence of sessions, messages and times as the directory's input; every
 * answer must be one that can be packed, and revisions must grow in each session.
 *
 * The input is a list of steps of STEP_SIZE bytes: what, which NVE, which MAC and VNI, and three
 * arguments.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nva/digest.h"
#include "nva/directory.h"
#include "tests/fuzz/fuzz.h"

enum {
	STEP_SIZE = 6,
	STEPS_MAX = 2000,
	NVES = 4,
};

struct scene {
	struct directory *directory;
	uint64_t now_us;
	uint32_t ids[NVES];
	bool connected[NVES];
	uint64_t sent[DIRECTORY_NVES_MAX];
};

static const enum nvo3_kind kinds[] = {
	NVO3_SUBSCRIBE, NVO3_REGISTER, NVO3_WITHDRAW, NVO3_MOVE_INTENT, NVO3_CONSENTED, NVO3_COMMIT,
	NVO3_ABORT,	NVO3_ACK,      NVO3_QUERY,    NVO3_STATUS,	NVO3_UPDATE,	NVO3_FLOWS,
};

static void check_output(struct scene *scene, const struct directory_output *output)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	FUZZ_CHECK(nvo3_pack(&output->message, &frame, &size) == 0);
	for (size_t i = 0; i < output->to_count; i++) {
		FUZZ_CHECK(output->to[i] < DIRECTORY_NVES_MAX);
		if (output->message.kind != NVO3_UPDATE)
			continue;
		FUZZ_CHECK(output->message.revision > scene->sent[output->to[i]]);
		scene->sent[output->to[i]] = output->message.revision;
	}
}

static void drain(struct scene *scene)
{
	struct directory_output *output;
	int r;

	while ((r = directory_next_output(scene->directory, &output)) > 0) {
		check_output(scene, output);
		directory_output_free(output);
	}
	FUZZ_CHECK(r == 0);
}

static void toggle_session(struct scene *scene, unsigned i, uint8_t incarnation)
{
	struct nvo3_message hello = { .kind = NVO3_HELLO,
				      .version = NVO3_VERSION,
				      .incarnation = incarnation };
	char text[NVO3_TEXT_MAX + 1];
	bool replaced;

	if (scene->connected[i] && incarnation % 2) {
		directory_disconnect(scene->directory, scene->now_us, scene->ids[i]);
		scene->connected[i] = false;
		return;
	}
	(void) snprintf(hello.name, sizeof(hello.name), "hv%u", i);
	hello.role = i == 0 ? NVO3_ROLE_GATEWAY : NVO3_ROLE_NVE;
	hello.vtep = (struct ip){ .family = AF_INET, .octet = { 192, 0, 2, (uint8_t) (i + 1) } };
	FUZZ_CHECK(directory_connect(scene->directory, scene->now_us, &hello, &scene->ids[i],
				     &replaced, text) == 0);
	FUZZ_CHECK(replaced == scene->connected[i]);
	scene->connected[i] = true;
	scene->sent[scene->ids[i]] = 0;
}

static void message_step(struct scene *scene, unsigned i, const uint8_t *step)
{
	struct mapping mapping = {
		.vni = 1u + step[2] % 2,
		.mac = { { 2, 0, 0, 0, 0, step[2] / 2 % 4 } },
		.ip_count = step[3] % 3,
		.ips = { { .family = AF_INET, .octet = { 10, 0, 0, step[3] } },
			 { .family = AF_INET6, .octet = { 0xfd } } },
		.generation = step[4] % 8,
		.flags = step[5] % 4,
	};
	struct mapping batch[2] = { mapping, mapping };
	uint8_t sums[DIGEST_BUCKETS_SIZE] = { step[4] };
	uint8_t flows[] = { step[3], step[4] };
	struct nvo3_message message = {
		.kind = kinds[step[1] % ARRAY_SIZE(kinds)],
		.id = step[3],
		.vni = mapping.vni,
		.mac = mapping.mac,
		.generation = step[4] % 8,
		.granted = step[5] & 1,
		.revision = step[5] & 2 ? step[4] : scene->sent[scene->ids[i]],
		.mappings = batch,
		.mapping_count = 1,
		.pull = step[5] & 32,
		.more = step[5] & 64,
		.removed = &mapping,
		.removed_count = step[3] % 2,
		.digest = sums,
		.digest_size = step[3] & 4 ? sizeof(sums) : 0,
		.flows = flows,
		.flows_size = sizeof(flows),
	};
	const char *what;
	int r;

	if (!scene->connected[i])
		return;
	if (message.kind == NVO3_REGISTER && (step[5] & 16)) {
		message.kind = NVO3_REGISTER_BATCH;
		batch[1].mac.octet[5] ^= 1;
		batch[1].ips[0].octet[3] ^= step[5] & 4;
		message.mapping_count = 2;
	}
	if (message.kind == NVO3_SUBSCRIBE && (step[5] & 128))
		message.kind = step[3] & 8    ? NVO3_DIGEST
			       : step[3] & 16 ? NVO3_CONVERGED
					      : NVO3_DROP;
	directory_hold(scene->directory, scene->ids[i], step[5] & 8);
	r = directory_receive(scene->directory, scene->now_us, scene->ids[i], &message, &what);
	FUZZ_CHECK(r == 0 || r == -EPROTO);
}

static void one_step(struct scene *scene, const uint8_t *step)
{
	unsigned what = step[0] / NVES % 8, i = step[0] % NVES;

	if (what == 0) {
		toggle_session(scene, i, step[1]);
	} else if (what == 1) {
		scene->now_us += step[1] * UINT64_C(1000000);
		FUZZ_CHECK(directory_tick(scene->directory, scene->now_us) == 0);
	} else {
		message_step(scene, i, step);
	}
	if (what != 2)
		drain(scene);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct directory_config config = {
		.name = "nva1",
		.incarnation = 1,
		.lease_us = 60000000,
		.consent_timeout_us = 30000000,
	};
	struct scene scene = { .now_us = 1 };

	FUZZ_CHECK(directory_new(&config, scene.now_us, &scene.directory) == 0);
	for (size_t n = 0; size >= STEP_SIZE && n < STEPS_MAX;
	     data += STEP_SIZE, size -= STEP_SIZE, n++)
		one_step(&scene, data);
	drain(&scene);
	directory_free(scene.directory);
	return 0;
}
