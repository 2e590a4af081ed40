/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/tap_steer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "nveagent/tap_queue.h"

enum { NO_PROGRAM = -1 };

struct tap_steer {
	struct tap_queue *queues;
};

/* "return 0;": the number of a queue. Returns a descriptor or a negative errno. */
static int load_program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t) code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uintptr_t) "GPL",
		.prog_name = "rehome_queue_0",
	};
	int fd = (int) syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));

	return fd < 0 ? -errno : fd;
}

/* The device keeps the program; any of its queues may set it. */
static int set_program(const struct tap_queue *queues, int program)
{
	return ioctl(tap_queue_fd(queues), TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
}

int tap_steer_new(const char *tap, struct tap_steer **ret_steer)
{
	_cleanup_(tap_queue_freep) struct tap_queue *queues = NULL;
	_cleanup_close_ int program = -1;
	struct tap_steer *steer;
	int r = tap_queue_open(tap, &queues);

	if (r < 0)
		return r;
	if (tap_queue_owner_has_bpf(queues))
		return -EBUSY;
	program = load_program();
	if (program < 0)
		return program;
	steer = calloc(1, sizeof(*steer));
	if (!steer)
		return -ENOMEM;
	r = set_program(queues, program);
	if (r < 0) {
		free(steer);
		return r;
	}
	steer->queues = TAKE_PTR(queues);
	*ret_steer = steer;
	return 0;
}

bool tap_steer_is_busy(const struct tap_steer *steer)
{
	return tap_queue_is_readable(steer->queues);
}

struct tap_steer *tap_steer_free(struct tap_steer *steer)
{
	if (!steer)
		return NULL;

	(void) set_program(steer->queues, NO_PROGRAM); /* fails when the tap is gone */
	tap_queue_free(steer->queues);
	free(steer);
	return NULL;
}

int tap_steer_undo(const char *tap)
{
	_cleanup_(tap_queue_freep) struct tap_queue *queues = NULL;
	int r = tap_queue_open(tap, &queues);

	if (r == 0 && tap_queue_owner_has_bpf(queues))
		r = -EBUSY;
	return r < 0 ? r : set_program(queues, NO_PROGRAM);
}
