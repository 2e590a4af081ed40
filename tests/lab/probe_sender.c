/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_sender.h"

#include <errno.h>
#include <string.h>

#include "tests/lab/probe_pacer.h"
#include "tests/lab/probe_stats.h"
#include "tests/lab/probe_wire.h"

struct probe_sender {
	struct probe_sender_config config;
	struct probe_pacer pacer;
	uint32_t next_seq[PROBE_FLOWS_MAX];
	uint8_t next_flow;
	uint64_t blocked;
	bool too_large;

	/* A batch: each packet is a header of its own and the shared padding. */
	struct probe_data_wire heads[PROBE_BATCH];
	struct iovec iov[PROBE_BATCH][2];
	struct mmsghdr messages[PROBE_BATCH];
	uint8_t control[PROBE_SOURCE_SIZE] __attribute__((aligned(8)));
	uint8_t padding[PROBE_FRAME_MAX];
};

struct probe_sender *probe_sender_new(const struct probe_sender_config *config, uint64_t now_ns)
{
	struct probe_sender *sender = calloc(1, sizeof(*sender));

	if (!sender)
		return NULL;

	sender->config = *config;
	probe_pacer_start(&sender->pacer, config->pps, now_ns);
	for (size_t i = 0; i < PROBE_BATCH; i++) {
		sender->iov[i][0] = (struct iovec){ &sender->heads[i], sizeof(sender->heads[i]) };
		sender->iov[i][1] = (struct iovec){
			sender->padding,
			config->payload - sizeof(struct probe_data_wire),
		};
	}
	return sender;
}

struct probe_sender *probe_sender_free(struct probe_sender *sender)
{
	free(sender);
	return NULL;
}

static void fill_batch(struct probe_sender *sender, uint8_t flow, uint32_t count, uint64_t now_us)
{
	uint32_t seen = sender->config.seen ? sender->config.seen[flow] : 0;

	for (uint32_t i = 0; i < count; i++) {
		struct msghdr *header = &sender->messages[i].msg_hdr;

		probe_wire_encode_data(sender->config.session, flow, sender->next_seq[flow] + i,
				       now_us, seen, &sender->heads[i]);
		*header = (struct msghdr){ .msg_iov = sender->iov[i], .msg_iovlen = 2 };
		probe_target_address(&sender->config.targets[flow], header, sender->control);
	}
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Sends up to @count packets on @flow; returns how many the kernel took. */
static uint32_t send_on_flow(struct probe_sender *sender, uint8_t flow, uint32_t count,
			     uint64_t now_us)
{
	uint32_t goal = smaller(count, PROBE_SEQ_MAX - sender->next_seq[flow]), done = 0;

	while (done < goal) {
		uint32_t batch = smaller(goal - done, PROBE_BATCH);
		int n;

		fill_batch(sender, flow, batch, now_us);
		n = sendmmsg(sender->config.targets[flow].fd, sender->messages, batch,
			     MSG_DONTWAIT);
		if (n > 0) {
			sender->next_seq[flow] += (uint32_t) n;
			done += (uint32_t) n;
		}
		if (n < (int) batch) {
			sender->blocked++;
			sender->too_large = n < 0 && errno == EMSGSIZE;
			break;
		}
	}
	return done;
}

uint32_t probe_sender_tick(struct probe_sender *sender, uint64_t now_ns)
{
	uint32_t due = probe_pacer_due(&sender->pacer, now_ns), sent = 0;
	uint8_t flows = sender->config.flows, first = sender->next_flow;

	/* Flow after flow, beginning where the last tick ended, as if packet by packet in turn. */
	for (uint8_t i = 0; i < flows && due > 0; i++) {
		uint8_t flow = (uint8_t) ((first + i) % flows);
		uint32_t share = due / flows + (i < due % flows ? 1 : 0);

		sent += send_on_flow(sender, flow, share, now_ns / 1000);
	}
	sender->next_flow = (uint8_t) ((first + due) % flows);
	probe_pacer_sent(&sender->pacer, sent);
	return sent;
}

uint32_t probe_sender_sent(const struct probe_sender *sender, uint8_t flow)
{
	return sender ? sender->next_seq[flow] : 0;
}

uint64_t probe_sender_sent_total(const struct probe_sender *sender)
{
	uint64_t total = 0;

	for (uint8_t flow = 0; sender && flow < sender->config.flows; flow++)
		total += sender->next_seq[flow];
	return total;
}

bool probe_sender_is_too_large(const struct probe_sender *sender)
{
	return sender->too_large;
}

uint64_t probe_sender_skipped(const struct probe_sender *sender)
{
	return sender ? sender->pacer.skipped : 0;
}

uint64_t probe_sender_blocked(const struct probe_sender *sender)
{
	return sender ? sender->blocked : 0;
}
