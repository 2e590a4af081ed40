// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * register.c - one NVE registers many mappings. It takes part in the VNI like any other, so the NVA
 * sends it each of them back in UPDATEs, which it reads past, and confirms.
 */
#include <poll.h>
#include <stdio.h>

#include "bench/nva_load/link.h"
#include "bench/nva_load/load.h"
#include "common/clock.h"

struct run {
	const struct load_options *options;
	struct link link;
	struct mapping *mappings; /* a batch; owned */
	uint32_t sent, answered;  /* mappings */
	uint64_t revision;	  /* to confirm; 0: nothing new */
	uint64_t last_answer_us, longest_gap_us;
};

static void say_batch(struct run *run)
{
	uint32_t left = run->options->count - run->sent;
	struct nvo3_message message = {
		.kind = run->options->batch == 1 ? NVO3_REGISTER : NVO3_REGISTER_BATCH,
		.id = run->sent + 1,
		.mappings = run->mappings,
		.mapping_count = left < run->options->batch ? left : run->options->batch,
	};

	for (size_t i = 0; i < message.mapping_count; i++)
		load_mapping(run->options->first + run->sent + (uint32_t) i, &run->mappings[i]);
	link_say(&run->link, &message);
	run->sent += (uint32_t) message.mapping_count;
}

static void take_answer(struct run *run, const struct link_frame *frame)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	uint64_t now_us = clock_monotonic_us();

	link_decode(frame, &message);
	if (message.refusal_count > 0)
		die("refused: %s", message.refusals[0].text);
	if (frame->kind == NVO3_REGISTERED && !message.granted)
		die("refused: %s", message.text);
	run->answered += frame->kind == NVO3_REGISTERED ? 1 : (uint32_t) message.generation_count;
	if (run->last_answer_us && now_us - run->last_answer_us > run->longest_gap_us)
		run->longest_gap_us = now_us - run->last_answer_us;
	run->last_answer_us = now_us;
}

static void take_frames(struct run *run)
{
	struct link_frame frame;

	while (link_next(&run->link, &frame)) {
		if (frame.kind == NVO3_UPDATE)
			run->revision = link_revision(&frame);
		else if (frame.kind == NVO3_REGISTERED || frame.kind == NVO3_BATCH_REGISTERED)
			take_answer(run, &frame);
	}
}

static void confirm(struct run *run)
{
	const struct nvo3_message ack = { .kind = NVO3_ACK, .revision = run->revision };

	if (run->revision > 0)
		link_say(&run->link, &ack);
	run->revision = 0;
}

static void turn(struct run *run)
{
	uint32_t window = run->options->window * run->options->batch;
	struct pollfd poll_fd = { .fd = run->link.fd, .events = POLLIN };

	while (run->sent < run->options->count && run->sent - run->answered < window)
		say_batch(run);
	confirm(run);
	if (!link_flush(&run->link))
		poll_fd.events |= POLLOUT;
	if (poll(&poll_fd, 1, -1) < 0)
		die("cannot wait");
	if ((poll_fd.revents & POLLIN) && link_read(&run->link))
		take_frames(run);
}

void load_register(const struct load_options *options)
{
	const struct nvo3_message subscribe = { .kind = NVO3_SUBSCRIBE, .vni = LOAD_VNI };
	struct run run = { .options = options };
	uint64_t began_us, took_us;

	run.mappings = calloc(options->batch, sizeof(*run.mappings));
	if (!run.mappings)
		die("out of memory");
	link_open(&run.link, options->port, options->nve);
	link_say(&run.link, &subscribe);
	link_set_nonblocking(&run.link);
	began_us = clock_monotonic_us();
	while (run.answered < options->count)
		turn(&run);
	took_us = clock_monotonic_us() - began_us;
	printf("{\"count\":%u,\"seconds\":%.6f,\"per_s\":%.0f,\"longest_gap_ms\":%.3f}\n",
	       options->count, (double) took_us / 1e6,
	       (double) options->count * 1e6 / (double) took_us, (double) run.longest_gap_us / 1e3);
	link_close(&run.link);
	free(run.mappings);
}
