/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_netlink.h - asking rtnetlink. Internal to kernel_*.c.
 *
 * libnl builds and cuts messages and owns the socket; the reading of answers is ours, because
 * libnl's error numbers fold several errnos into one (ENOENT, ENODEV and ESRCH are all "not found"
 * there).
 */
#ifndef REHOME_NVEAGENT_KERNEL_NETLINK_H
#define REHOME_NVEAGENT_KERNEL_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nveagent/kernel.h"

enum {
	KERNEL_BATCH_MAX = 64,		/* messages at once: their acks fit the receive buffer */
	KERNEL_STREAM_MAX = 128,	/* messages of a stream: as many errors fit it */
	KERNEL_STREAM_SIZE = 12288,	/* bytes: none of ours is longer than 96 */
	KERNEL_BUFFER_SIZE = 65536,	/* the kernel dumps at most 32 KiB at once (af_netlink.c) */
	KERNEL_ANSWER_TIMEOUT_S = 10,	/* an answer is immediate but for the RTNL lock */
	KERNEL_DUMP_ATTEMPTS_MAX = 5,	/* while somebody changes what is being dumped */
};

DEFINE_CLEANUP(struct nl_msg, nlmsg_free)

struct kernel {
	struct nl_sock *socket;
	uint32_t sequence;
	char explanation[KERNEL_MESSAGE_SIZE]; /* the kernel's own words on the last error, or "" */
	uint8_t buffer[KERNEL_BUFFER_SIZE];
};

/*
 * An open, connected socket of @protocol (NETLINK_ROUTE, ...) that only takes part in requests.
 * -EPROTONOSUPPORT: the kernel does not have it.
 */
int kernel_socket_open(int protocol, struct nl_sock **ret_socket);

/*
 * A request without attributes yet: its family header of @size bytes follows the netlink header.
 * NULL: out of memory.
 */
struct nl_msg *kernel_message(int type, int flags, const void *header, size_t size);

/* Sends and waits for the ack. Returns 0 or the kernel's errno. */
int kernel_request(struct kernel *kernel, struct nl_msg *message);

/*
 * Sends a request for one object and calls @each for it (and not after an error). Returns @each's
 * value or an errno.
 */
int kernel_get(struct kernel *kernel, struct nl_msg *message,
	       int (*each)(void *userdata, const struct nlmsghdr *header), void *userdata);

/*
 * Sends a dump request and calls @each for every object; a negative value ends the calls and is
 * returned. The objects of an inconsistent dump (NLM_F_DUMP_INTR) are handed over as well and
 * -EAGAIN is returned in the end.
 */
int kernel_dump(struct kernel *kernel, struct nl_msg *message,
		int (*each)(void *userdata, const struct nlmsghdr *header), void *userdata);

/*
 * Sends @count messages (at most KERNEL_BATCH_MAX) with one system call; results[i] becomes 0 or
 * the errno of message i. The kernel processes each whatever became of those before. Returns 0, or
 * an errno of the transport.
 */
int kernel_batch(struct kernel *kernel, struct nl_msg *const *messages, size_t count, int *results);

/*
 * Many small messages, one after another in one buffer: a tenth of what an nl_msg costs. Begins
 * zeroed.
 */
struct kernel_stream {
	uint8_t data[KERNEL_STREAM_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	size_t size;
	size_t count;
	struct nlmsghdr *last;
};

/* The caller sees to it that there is room: KERNEL_STREAM_MAX messages of at most 96 bytes. */
void kernel_stream_begin(struct kernel_stream *stream, uint16_t type, uint16_t flags,
			 const void *header, size_t size);
/* An attribute of the newest message. */
void kernel_stream_put(struct kernel_stream *stream, uint16_t type, const void *data, size_t size);

/*
 * Sends what is in @stream with one system call, and empties it. Only the last message is
 * acknowledged; @failed is called for each that the kernel refuses, with its place in the stream
 * and the errno. The kernel processes each whatever became of those before. Returns 0, or an errno
 * of the transport.
 */
int kernel_stream_send(struct kernel *kernel, struct kernel_stream *stream,
		       void (*failed)(void *userdata, size_t index, uint16_t type, int error),
		       void *userdata);

/*
 * Sends what is in @stream, requests that are answered by one object each (RTM_GET... without
 * NLM_F_DUMP), and empties it. @each gets every answer: the place of its request in the stream, and
 * the object, or NULL and the errno.
 * Returns 0, or an errno of the transport.
 */
int kernel_stream_ask(struct kernel *kernel, struct kernel_stream *stream,
		      void (*each)(void *userdata, size_t index, const struct nlmsghdr *object,
				   int error),
		      void *userdata);

#endif
