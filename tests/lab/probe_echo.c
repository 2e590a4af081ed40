/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_echo.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>

#include "tests/lab/probe_pacer.h"

enum {
	QUESTION_SIZE = 64,
	QUESTIONS_PER_S = 500,
	OUTSTANDING_MAX = 1 << 15, /* 65 s without an answer; then no more questions */
	OUT_SIZE = 64 << 10,	   /* questions the socket would not take yet */
	IN_SIZE = 16 << 10,
};

#define SAMPLE_EVERY_NS \
	UINT64_C(10000000) /* a tenth of the shortest retransmission timeout, 200 ms */

/*
 * struct tcp_info grows with the kernel; Debian 12's header ends at tcpi_snd_wnd. After it come
 * tcpi_rcv_wnd and tcpi_rehash, four bytes each, then the 16 bits of tcpi_total_rto
 * (include/uapi/linux/tcp.h of Linux 6.7).
 */
enum {
	TOTAL_RTO_OFFSET = offsetof(struct tcp_info, tcpi_snd_wnd) + 3 * sizeof(__u32),
	TCP_INFO_SIZE_MAX = 512,
};
static_assert(sizeof(struct tcp_info) < TCP_INFO_SIZE_MAX,
	      "the kernel's idea of the struct must fit too");

enum echo_state { ECHO_CONNECTING, ECHO_RUNNING, ECHO_DEAD };

struct probe_echo {
	int fd;
	enum echo_state state;
	struct probe_pacer pacer;
	uint64_t next_sample_ns;
	uint64_t asked_at_us[OUTSTANDING_MAX]; /* ring: question n at n % OUTSTANDING_MAX */
	uint64_t received_bytes;
	uint8_t out[OUT_SIZE];
	size_t out_size;
	struct probe_echo_result result;
};

static const char echo_command[] = "ECHO\n";

int probe_echo_new(const union probe_address *to, struct probe_echo **ret_echo)
{
	_cleanup_(probe_echo_freep) struct probe_echo *echo = calloc(1, sizeof(*echo));

	if (!echo)
		return -ENOMEM;

	echo->fd = probe_tcp_connect(to);
	if (echo->fd < 0)
		return echo->fd;
	echo->out_size = strlen(echo_command);
	memcpy(echo->out, echo_command, echo->out_size);
	*ret_echo = TAKE_PTR(echo);
	return 0;
}

struct probe_echo *probe_echo_free(struct probe_echo *echo)
{
	if (!echo)
		return NULL;

	cleanup_closep(&echo->fd);
	free(echo);
	return NULL;
}

static void check_connected(struct probe_echo *echo, uint64_t now_ns)
{
	struct pollfd fd = { .fd = echo->fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&fd, 1, 0) <= 0)
		return;
	if (getsockopt(echo->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
		echo->state = ECHO_DEAD;
		return;
	}
	echo->state = ECHO_RUNNING;
	probe_pacer_start(&echo->pacer, QUESTIONS_PER_S, now_ns);
}

static void ask(struct probe_echo *echo, uint64_t now_ns)
{
	struct probe_echo_result *result = &echo->result;
	uint32_t due = probe_pacer_due(&echo->pacer, now_ns), done = 0;

	while (done < due && echo->out_size + QUESTION_SIZE <= OUT_SIZE &&
	       result->asked - result->answered < OUTSTANDING_MAX) {
		uint8_t *question = echo->out + echo->out_size;

		for (size_t i = 0; i < QUESTION_SIZE; i++)
			question[i] = (uint8_t) (result->asked + i);
		echo->asked_at_us[result->asked % OUTSTANDING_MAX] = now_ns / 1000;
		echo->out_size += QUESTION_SIZE;
		result->asked++;
		done++;
	}
	probe_pacer_sent(&echo->pacer, done);
}

/* Judges the outcome of send() or recv(); returns whether @n bytes were moved. */
static bool moved(struct probe_echo *echo, ssize_t n)
{
	if (n > 0)
		return true;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		echo->state = ECHO_DEAD;
	return false;
}

static void flush(struct probe_echo *echo)
{
	ssize_t n;

	if (echo->out_size == 0)
		return;
	n = send(echo->fd, echo->out, echo->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!moved(echo, n))
		return;
	echo->out_size -= (size_t) n;
	memmove(echo->out, echo->out + n, echo->out_size);
}

/* Each byte of question q at i is q + i: an echo that is not what was asked ends the connection. */
static bool is_right(const struct probe_echo *echo, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint64_t pos = echo->received_bytes + i;

		if (bytes[i] != (uint8_t) (pos / QUESTION_SIZE + pos % QUESTION_SIZE))
			return false;
	}
	return echo->received_bytes + size <= echo->result.asked * QUESTION_SIZE;
}

static void note_answers(struct probe_echo *echo, uint64_t now_us)
{
	struct probe_echo_result *result = &echo->result;

	while (result->answered < echo->received_bytes / QUESTION_SIZE) {
		uint64_t asked_us = echo->asked_at_us[result->answered % OUTSTANDING_MAX];

		if (now_us - asked_us > result->longest_stall_us)
			result->longest_stall_us = now_us - asked_us;
		probe_gaps_note(&result->gaps, now_us, asked_us, 0, (uint32_t) result->answered);
		result->answered++;
	}
}

static void take_answers(struct probe_echo *echo)
{
	uint8_t in[IN_SIZE];
	ssize_t n = recv(echo->fd, in, sizeof(in), MSG_DONTWAIT);

	if (!moved(echo, n))
		return;
	if (!is_right(echo, in, (size_t) n)) {
		echo->state = ECHO_DEAD;
		return;
	}
	echo->received_bytes += (uint64_t) n;
	note_answers(echo, probe_now_us());
}

static void sample(struct probe_echo *echo)
{
	uint8_t bytes[TCP_INFO_SIZE_MAX] = { 0 };
	struct probe_echo_result *result = &echo->result;
	socklen_t size = sizeof(bytes);
	struct tcp_info info;
	uint16_t total_rto;

	if (getsockopt(echo->fd, IPPROTO_TCP, TCP_INFO, bytes, &size) < 0)
		return;
	memcpy(&info, bytes, sizeof(info));
	result->retransmissions = info.tcpi_total_retrans;
	result->timeouts_exact = size >= TOTAL_RTO_OFFSET + sizeof(total_rto);
	if (result->timeouts_exact) {
		memcpy(&total_rto, bytes + TOTAL_RTO_OFFSET, sizeof(total_rto));
		result->timeouts = total_rto;
	} else if (info.tcpi_retransmits > result->timeouts) {
		result->timeouts = info.tcpi_retransmits;
	}
}

void probe_echo_tick(struct probe_echo *echo, uint64_t now_ns, bool may_ask)
{
	if (echo->state == ECHO_CONNECTING)
		check_connected(echo, now_ns);
	if (echo->state != ECHO_RUNNING)
		return;

	if (may_ask)
		ask(echo, now_ns);
	take_answers(echo);
	if (echo->state == ECHO_RUNNING)
		flush(echo);
	if (now_ns >= echo->next_sample_ns) {
		echo->next_sample_ns = now_ns + SAMPLE_EVERY_NS;
		sample(echo);
	}
}

bool probe_echo_waiting(const struct probe_echo *echo)
{
	return echo->state == ECHO_RUNNING && echo->result.answered < echo->result.asked;
}

bool probe_echo_connected(const struct probe_echo *echo)
{
	return echo->state == ECHO_RUNNING;
}

bool probe_echo_failed(const struct probe_echo *echo)
{
	return echo->state == ECHO_DEAD;
}

struct probe_echo_result probe_echo_result(struct probe_echo *echo, uint64_t now_us)
{
	struct probe_echo_result result;

	if (echo->state == ECHO_RUNNING)
		sample(echo);
	result = echo->result;
	result.alive = echo->state == ECHO_RUNNING && result.answered == result.asked;
	if (result.answered < result.asked) {
		uint64_t waiting_us = now_us - echo->asked_at_us[result.answered % OUTSTANDING_MAX];

		if (waiting_us > result.longest_stall_us)
			result.longest_stall_us = waiting_us;
	}
	return result;
}
