/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_netlink.c - asking rtnetlink; rtnetlink(7),
 * Documentation/userspace-api/netlink/intro.rst.
 */
#include "nveagent/kernel_netlink.h"

#include <errno.h>
#include <netlink/errno.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static int set_option(int fd, int option)
{
	int one = 1;

	return setsockopt(fd, SOL_NETLINK, option, &one, sizeof(one)) < 0 ? -errno : 0;
}

static int set_options(int fd)
{
	struct timeval timeout = { .tv_sec = KERNEL_ANSWER_TIMEOUT_S };
	int r;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;

	r = set_option(fd, NETLINK_EXT_ACK);
	if (r == 0)
		r = set_option(fd, NETLINK_CAP_ACK); /* an ack does not echo the request */
	if (r == 0)
		r = set_option(fd, NETLINK_GET_STRICT_CHK); /* dumps filter in the kernel */
	return r;
}

int kernel_socket_open(int protocol, struct nl_sock **ret_socket)
{
	struct nl_sock *nl = nl_socket_alloc();
	int r;

	if (!nl)
		return -ENOMEM;

	r = nl_connect(nl, protocol) < 0 ? -EPROTONOSUPPORT : set_options(nl_socket_get_fd(nl));
	if (r < 0) {
		nl_socket_free(nl);
		return r;
	}

	*ret_socket = nl;
	return 0;
}

struct nl_msg *kernel_message(int type, int flags, const void *header, size_t size)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (!message || nlmsg_append(message, (void *) header, size, NLMSG_ALIGNTO) < 0)
		return NULL;
	return TAKE_PTR(message);
}

static int send_all(struct kernel *kernel, struct nl_msg *const *messages, size_t count)
{
	struct iovec parts[KERNEL_BATCH_MAX];
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct msghdr envelope = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = parts,
		.msg_iovlen = count,
	};

	for (size_t i = 0; i < count; i++) {
		struct nlmsghdr *header = nlmsg_hdr(messages[i]);

		header->nlmsg_seq = ++kernel->sequence;
		parts[i] = (struct iovec) { header, NLMSG_ALIGN(header->nlmsg_len) };
	}

	kernel->explanation[0] = '\0';
	return sendmsg(nl_socket_get_fd(kernel->socket), &envelope, 0) < 0 ? -errno : 0;
}

/* Fills the buffer; returns the number of bytes or an errno. */
static ssize_t receive(struct kernel *kernel)
{
	ssize_t n;

	do {
		n = recv(nl_socket_get_fd(kernel->socket), kernel->buffer, sizeof(kernel->buffer),
			 MSG_TRUNC);
	} while (n < 0 && errno == EINTR);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t) n > sizeof(kernel->buffer) ? -EMSGSIZE : n;
}

/*
 * Keeps the text that came with an error (NLMSGERR_ATTR_MSG); with NETLINK_CAP_ACK it follows the
 * nlmsgerr at once.
 */
static void keep_explanation(struct kernel *kernel, struct nlmsghdr *header)
{
	struct nlattr *text;

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return;

	text = nlmsg_find_attr(header, sizeof(struct nlmsgerr), NLMSGERR_ATTR_MSG);
	if (text)
		snprintf(kernel->explanation, sizeof(kernel->explanation), "%.*s", nla_len(text),
			 (const char *) nla_data(text));
}

static int error_of(struct kernel *kernel, struct nlmsghdr *header)
{
	int error = ((struct nlmsgerr *) nlmsg_data(header))->error;

	if (error < 0)
		keep_explanation(kernel, header);
	return error;
}

struct answer {
	uint32_t sequence;
	int (*each)(void *userdata, const struct nlmsghdr *header); /* may be NULL */
	void *userdata;
	int result;
	bool done, interrupted;
};

static void take_answer(struct kernel *kernel, struct answer *answer, struct nlmsghdr *header)
{
	if (header->nlmsg_seq != answer->sequence || answer->done)
		return; /* of an earlier request that timed out */

	answer->interrupted |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	if (header->nlmsg_type == NLMSG_ERROR) {
		int r = error_of(kernel, header);

		answer->result = answer->result < 0 ? answer->result : r;
		answer->done = true;
	} else if (header->nlmsg_type == NLMSG_DONE) {
		answer->done = true;
	} else if (answer->each && answer->result >= 0) {
		answer->result = answer->each(answer->userdata, header);
	}
}

static int await(struct kernel *kernel, struct answer *answer)
{
	while (!answer->done) {
		ssize_t n = receive(kernel);
		int left = (int) n;

		if (n < 0)
			return (int) n;
		for (struct nlmsghdr *header = (struct nlmsghdr *) kernel->buffer;
		     nlmsg_ok(header, left); header = nlmsg_next(header, &left))
			take_answer(kernel, answer, header);
	}
	return answer->result < 0 ? answer->result : answer->interrupted ? -EAGAIN : answer->result;
}

int kernel_request(struct kernel *kernel, struct nl_msg *message)
{
	return kernel_get(kernel, message, NULL, NULL);
}

/* The ack asked for comes after the object and ends the wait. */
int kernel_get(struct kernel *kernel, struct nl_msg *message,
	       int (*each)(void *userdata, const struct nlmsghdr *header), void *userdata)
{
	struct answer answer = { .each = each, .userdata = userdata };
	int r;

	nlmsg_hdr(message)->nlmsg_flags |= NLM_F_ACK;
	r = send_all(kernel, &message, 1);
	if (r < 0)
		return r;

	answer.sequence = kernel->sequence;
	return await(kernel, &answer);
}

int kernel_dump(struct kernel *kernel, struct nl_msg *message,
		int (*each)(void *userdata, const struct nlmsghdr *header), void *userdata)
{
	struct answer answer = { .each = each, .userdata = userdata };
	int r;

	nlmsg_hdr(message)->nlmsg_flags |= NLM_F_DUMP;
	r = send_all(kernel, &message, 1);
	if (r < 0)
		return r;

	answer.sequence = kernel->sequence;
	return await(kernel, &answer);
}

int kernel_batch(struct kernel *kernel, struct nl_msg *const *messages, size_t count, int *results)
{
	uint32_t first = kernel->sequence + 1;
	size_t waiting = count;
	int r;

	if (count > KERNEL_BATCH_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++)
		nlmsg_hdr(messages[i])->nlmsg_flags |= NLM_F_ACK;

	r = count ? send_all(kernel, messages, count) : 0;
	while (r == 0 && waiting > 0) {
		ssize_t n = receive(kernel);
		int left = (int) n;

		if (n < 0)
			return (int) n;
		for (struct nlmsghdr *header = (struct nlmsghdr *) kernel->buffer;
		     nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			uint32_t index = header->nlmsg_seq - first;

			if (header->nlmsg_type != NLMSG_ERROR || index >= count)
				continue;
			results[index] = error_of(kernel, header);
			waiting--;
		}
	}
	return r;
}

/* --- streams --- */

void kernel_stream_begin(struct kernel_stream *stream, uint16_t type, uint16_t flags,
			 const void *header, size_t size)
{
	struct nlmsghdr *message = (struct nlmsghdr *) (stream->data + stream->size);

	*message = (struct nlmsghdr) {
		.nlmsg_len = (uint32_t) NLMSG_LENGTH(size),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags,
	};
	memcpy(NLMSG_DATA(message), header, size);
	stream->last = message;
	stream->size += NLMSG_ALIGN(message->nlmsg_len);
	stream->count++;
}

void kernel_stream_put(struct kernel_stream *stream, uint16_t type, const void *data, size_t size)
{
	struct nlattr *attribute = (struct nlattr *) (stream->data + stream->size);
	size_t padded = NLA_ALIGN(NLA_HDRLEN + size);

	memset(attribute, 0, padded);
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t) (NLA_HDRLEN + size);
	memcpy((uint8_t *) attribute + NLA_HDRLEN, data, size);
	stream->size += padded;
	stream->last->nlmsg_len =
		(uint32_t) (stream->data + stream->size - (uint8_t *) stream->last);
}

/* Where each message begins is found again from its length. */
static uint16_t type_of(const struct kernel_stream *stream, size_t index)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *) stream->data;

	while (index--)
		message = (const struct nlmsghdr *) ((const uint8_t *) message +
						     NLMSG_ALIGN(message->nlmsg_len));
	return message->nlmsg_type;
}

static int send_stream(struct kernel *kernel, struct kernel_stream *stream, uint16_t flags_of_last)
{
	int left = (int) stream->size;

	for (struct nlmsghdr *message = (struct nlmsghdr *) stream->data; nlmsg_ok(message, left);
	     message = nlmsg_next(message, &left))
		message->nlmsg_seq = ++kernel->sequence;
	stream->last->nlmsg_flags |= flags_of_last;
	kernel->explanation[0] = '\0';
	return send(nl_socket_get_fd(kernel->socket), stream->data, stream->size, 0) < 0 ? -errno
											 : 0;
}

int kernel_stream_send(struct kernel *kernel, struct kernel_stream *stream,
		       void (*failed)(void *userdata, size_t index, uint16_t type, int error),
		       void *userdata)
{
	uint32_t first = kernel->sequence + 1;
	bool done = stream->count == 0;
	int r = done ? 0 : send_stream(kernel, stream, NLM_F_ACK);

	while (r == 0 && !done) {
		ssize_t n = receive(kernel);
		int left = (int) n;

		if (n < 0) {
			r = (int) n;
			break;
		}
		for (struct nlmsghdr *header = (struct nlmsghdr *) kernel->buffer;
		     nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			uint32_t index = header->nlmsg_seq - first;
			int error;

			if (header->nlmsg_type != NLMSG_ERROR || index >= stream->count)
				continue;
			error = error_of(kernel, header);
			if (error < 0)
				failed(userdata, index, type_of(stream, index), error);
			done |= index == stream->count - 1;
		}
	}
	stream->size = stream->count = 0;
	return r;
}

int kernel_stream_ask(struct kernel *kernel, struct kernel_stream *stream,
		      void (*each)(void *userdata, size_t index, const struct nlmsghdr *object,
				   int error),
		      void *userdata)
{
	uint32_t first = kernel->sequence + 1;
	size_t waiting = stream->count;
	int r = waiting ? send_stream(kernel, stream, 0) : 0;

	while (r == 0 && waiting > 0) {
		ssize_t n = receive(kernel);
		int left = (int) n;

		if (n < 0) {
			r = (int) n;
			break;
		}
		for (struct nlmsghdr *header = (struct nlmsghdr *) kernel->buffer;
		     nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			uint32_t index = header->nlmsg_seq - first;
			bool failed = header->nlmsg_type == NLMSG_ERROR;

			if (index >= stream->count)
				continue; /* of an earlier request that timed out */
			each(userdata, index, failed ? NULL : header,
			     failed ? error_of(kernel, header) : 0);
			waiting--;
		}
	}
	stream->size = stream->count = 0;
	return r;
}
