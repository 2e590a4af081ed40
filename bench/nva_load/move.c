// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * move.c - many NVEs of one VNI, and VMs that move among them.
 *
 *   MOVE_INTENT ─▶ CONSENT, yes ─▶ MOVE_GRANTED ─▶ COMMIT ─▶ UPDATE to the old NVE, ACK ─▶ UPDATE to
 *   all, ACK by all ─▶ CONVERGED
 *
 * What is measured is from the COMMIT, when the VM runs at the new NVE, to CONVERGED at that NVE:
 * the last of all NVEs has confirmed. A simulated NVE confirms an UPDATE when it has read it; it
 * does not decode the mappings in it, because one core has to stand for all NVEs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/nva_load/link.h"
#include "bench/nva_load/load.h"
#include "common/clock.h"

enum {
	VMS_PER_NVE = 20,
	EVENTS_MAX = 1024,
	UNDER_WAY_MAX = 3000,  /* an NVA has room for 4096 moves; more would be refused */
	STALLED_US = 60000000, /* no progress for so long: something is wrong */
	QUIET_MS = 500,	       /* nothing comes for so long: the stage is set */
};

struct nve {
	struct link link;
	uint64_t revision; /* to confirm; 0: nothing new */
};

struct vm {
	uint32_t at, to; /* NVEs */
	bool moving;
	uint64_t commit_us;
};

struct scene {
	const struct load_options *options;
	int epoll;
	struct nve *nves;
	struct vm *vms;
	uint32_t vm_count, next_vm;
	uint64_t *latencies; /* microseconds */
	uint32_t begun, done;
	uint32_t registered, subscribed;
	uint64_t progress_us;
	uint64_t late_us; /* how far behind the schedule a move began at most */
};

/* --- messages --- */

static void say_endpoint(struct nve *nve, enum nvo3_kind kind, uint64_t id,
			 const struct nvo3_message *about, bool granted)
{
	const struct nvo3_message message = {
		.kind = kind,
		.id = id,
		.vni = about->vni,
		.mac = about->mac,
		.generation = kind == NVO3_COMMIT ? about->generation : 0,
		.granted = granted,
	};

	link_say(&nve->link, &message);
}

static void take_converged(struct scene *scene, uint32_t at, const struct nvo3_message *message)
{
	struct vm *vm = &scene->vms[load_number(message->mac)];

	if (!vm->moving || vm->to != at)
		return; /* the old NVE is told, too */
	vm->at = vm->to;
	vm->moving = false;
	scene->latencies[scene->done++] = clock_monotonic_us() - vm->commit_us;
}

static void take_message(struct scene *scene, uint32_t at, const struct link_frame *frame)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	const struct nvo3_message pong = { .kind = NVO3_PONG, .id = frame->id };
	struct nve *nve = &scene->nves[at];

	link_decode(frame, &message);
	if (frame->kind == NVO3_CONSENT) {
		say_endpoint(nve, NVO3_CONSENTED, message.id, &message, true);
	} else if (frame->kind == NVO3_MOVE_GRANTED) {
		if (!message.granted)
			die("a move is refused: %s (%u of %u under way)", message.text,
			    scene->begun - scene->done, scene->options->count);
		scene->vms[load_number(message.mac)].commit_us = clock_monotonic_us();
		say_endpoint(nve, NVO3_COMMIT, message.id, &message, false);
	} else if (frame->kind == NVO3_CONVERGED) {
		take_converged(scene, at, &message);
	} else if (frame->kind == NVO3_COMMITTED && !message.granted) {
		die("a commit is refused: %s", message.text);
	} else if (frame->kind == NVO3_PING) {
		link_say(&nve->link, &pong);
	} else if (frame->kind == NVO3_BATCH_REGISTERED) {
		scene->registered += (uint32_t) message.generation_count;
	}
}

static void take_frames(struct scene *scene, uint32_t at)
{
	struct nve *nve = &scene->nves[at];
	struct link_frame frame;

	while (link_next(&nve->link, &frame)) {
		if (frame.kind == NVO3_UPDATE)
			nve->revision = link_revision(&frame);
		else if (frame.kind == NVO3_MEMBERS)
			scene->subscribed++;
		else
			take_message(scene, at, &frame);
	}
}

static void answer(struct nve *nve)
{
	const struct nvo3_message ack = { .kind = NVO3_ACK, .revision = nve->revision };

	if (nve->revision > 0)
		link_say(&nve->link, &ack);
	nve->revision = 0;
	if (!link_flush(&nve->link))
		die("the NVA does not read what an NVE says");
}

static bool wait_for_input(struct scene *scene, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = scene->epoll, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) > 0;
}

/* Takes what comes within @timeout_ms. */
static void turn(struct scene *scene, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(scene->epoll, events, EVENTS_MAX, timeout_ms);

	if (count < 0 && errno != EINTR)
		die("cannot wait");
	for (int i = 0; i < count; i++) {
		uint32_t at = events[i].data.u32;

		if (link_read(&scene->nves[at].link))
			take_frames(scene, at);
		answer(&scene->nves[at]);
	}
	if (count > 0)
		scene->progress_us = clock_monotonic_us();
	else if (clock_monotonic_us() - scene->progress_us > STALLED_US)
		die("nothing goes on: %u of %u moves have converged", scene->done,
		    scene->options->count);
}

/* --- the stage --- */

static void open_nve(struct scene *scene, uint32_t number)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = number };
	struct nve *nve = &scene->nves[number];

	link_open(&nve->link, scene->options->port, scene->options->nve + number);
	link_set_nonblocking(&nve->link);
	if (epoll_ctl(scene->epoll, EPOLL_CTL_ADD, nve->link.fd, &event) < 0)
		die("cannot watch a connection");
}

static void register_vms(struct scene *scene, uint32_t number)
{
	struct mapping mappings[VMS_PER_NVE];
	const struct nvo3_message message = {
		.kind = NVO3_REGISTER_BATCH,
		.mappings = mappings,
		.mapping_count = VMS_PER_NVE,
	};

	for (uint32_t i = 0; i < VMS_PER_NVE; i++) {
		load_mapping(number * VMS_PER_NVE + i, &mappings[i]);
		scene->vms[number * VMS_PER_NVE + i].at = number;
	}
	link_say(&scene->nves[number].link, &message);
	answer(&scene->nves[number]);
}

static void set_stage(struct scene *scene)
{
	const struct nvo3_message subscribe = { .kind = NVO3_SUBSCRIBE, .vni = LOAD_VNI };

	for (uint32_t i = 0; i < scene->options->nves; i++)
		open_nve(scene, i);
	for (uint32_t i = 0; i < scene->options->nves; i++) {
		link_say(&scene->nves[i].link, &subscribe);
		answer(&scene->nves[i]);
	}
	while (scene->subscribed < scene->options->nves)
		turn(scene, 1000);
	for (uint32_t i = 0; i < scene->options->nves; i++) {
		register_vms(scene, i);
		turn(scene, 0);
	}
	while (scene->registered < scene->vm_count)
		turn(scene, 1000);
	while (wait_for_input(scene, QUIET_MS)) /* the last UPDATEs */
		turn(scene, 0);
}

/* --- moves --- */

/* The next VM that does not move goes to another NVE, of which all have their turn. */
static void begin_move(struct scene *scene)
{
	struct mapping mapping;
	struct nvo3_message intent = {
		.kind = NVO3_MOVE_INTENT,
		.mappings = &mapping,
		.mapping_count = 1,
	};
	struct vm *vm;

	do {
		scene->next_vm = (scene->next_vm + 7919) % scene->vm_count;
		vm = &scene->vms[scene->next_vm];
	} while (vm->moving);
	vm->moving = true;
	vm->to = (vm->at + 1 + scene->begun % (scene->options->nves - 1)) % scene->options->nves;
	load_mapping(scene->next_vm, &mapping);
	intent.id = ++scene->begun;
	link_say(&scene->nves[vm->to].link, &intent);
	answer(&scene->nves[vm->to]);
}

static void move_one_by_one(struct scene *scene)
{
	while (scene->done < scene->options->count) {
		if (scene->begun == scene->done)
			begin_move(scene);
		turn(scene, 1000);
	}
}

static void move_at_rate(struct scene *scene)
{
	uint32_t most = scene->vm_count / 2 < UNDER_WAY_MAX ? scene->vm_count / 2 : UNDER_WAY_MAX;
	uint64_t began_us = clock_monotonic_us();

	while (scene->done < scene->options->count) {
		uint64_t passed_us = clock_monotonic_us() - began_us;
		uint64_t due = passed_us * scene->options->rate / 1000000;

		if (due > scene->options->count)
			due = scene->options->count;
		if (due > scene->begun) {
			uint64_t late_us =
				passed_us - scene->begun * UINT64_C(1000000) / scene->options->rate;

			scene->late_us = late_us > scene->late_us ? late_us : scene->late_us;
		}
		while (scene->begun < due && scene->begun - scene->done < most)
			begin_move(scene);
		turn(scene, scene->begun < scene->options->count ? 1 : 1000);
	}
}

/* --- the result --- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

static double percentile_ms(const struct scene *scene, double part)
{
	return (double) scene->latencies[(size_t) (part * (scene->done - 1))] / 1e3;
}

static void report(const struct scene *scene, uint64_t took_us)
{
	qsort(scene->latencies, scene->done, sizeof(*scene->latencies), compare);
	printf("{\"nves\":%u,\"moves\":%u,\"moves_per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
	       "\"max_ms\":%.3f,\"late_ms\":%.3f}\n",
	       scene->options->nves, scene->done, (double) scene->done * 1e6 / (double) took_us,
	       percentile_ms(scene, 0.5), percentile_ms(scene, 0.99), percentile_ms(scene, 1),
	       (double) scene->late_us / 1e3);
}

void load_move(const struct load_options *options)
{
	struct scene scene = {
		.options = options,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.nves = calloc(options->nves, sizeof(*scene.nves)),
		.vm_count = options->nves * VMS_PER_NVE,
		.vms = calloc((size_t) options->nves * VMS_PER_NVE, sizeof(*scene.vms)),
		.latencies = calloc(options->count, sizeof(*scene.latencies)),
		.progress_us = clock_monotonic_us(),
	};
	uint64_t began_us;

	if (scene.epoll < 0 || !scene.nves || !scene.vms || !scene.latencies)
		die("out of memory");
	set_stage(&scene);
	began_us = clock_monotonic_us();
	if (options->rate == 0)
		move_one_by_one(&scene);
	else
		move_at_rate(&scene);
	report(&scene, clock_monotonic_us() - began_us);
	for (uint32_t i = 0; i < options->nves; i++)
		link_close(&scene.nves[i].link);
	close(scene.epoll);
	free(scene.nves);
	free(scene.vms);
	free(scene.latencies);
}
