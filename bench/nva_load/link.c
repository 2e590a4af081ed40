// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bench/nva_load/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nva/protobuf.h"

enum {
	ENVELOPE_ID = 1,
	ENVELOPE_BODY = 10,
	UPDATE_REVISION = 1,
};

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void) fprintf(stderr, "nva-load: ");
	(void) vfprintf(stderr, format, arguments);
	(void) fprintf(stderr, "\n");
	va_end(arguments);
	exit(EXIT_FAILURE);
}

/* --- bytes --- */

static void reserve(struct link_bytes *bytes, size_t size)
{
	if (bytes->room - bytes->end >= size)
		return;
	memmove(bytes->data, bytes->data + bytes->start, bytes->end - bytes->start);
	bytes->end -= bytes->start;
	bytes->start = 0;
	if (bytes->room - bytes->end >= size)
		return;
	bytes->room = bytes->end + size;
	bytes->data = realloc(bytes->data, bytes->room);
	if (!bytes->data)
		die("out of memory");
}

/* --- the connection --- */

static int connect_loopback(uint16_t port)
{
	const struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		.sin6_port = htons(port),
	};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
		die("cannot connect to port %u: %s", port, strerror(errno));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

void link_open(struct link *link, uint16_t port, uint32_t number)
{
	struct nvo3_message hello = {
		.kind = NVO3_HELLO,
		.version = NVO3_VERSION,
		.incarnation = 1,
		.vtep = { .family = AF_INET,
			  .octet = { 198, 18, (uint8_t) (number >> 8), (uint8_t) (number + 1) } },
	};
	struct link_frame frame;

	*link = (struct link){ .fd = connect_loopback(port) };
	hello.vtep.octet[1] = (uint8_t) (18 + (number >> 16));
	(void) snprintf(hello.name, sizeof(hello.name), "load%u", number);
	link_say(link, &hello);
	(void) link_flush(link);
	while (!link_next(link, &frame))
		(void) link_read(link);
	if (frame.kind != NVO3_WELCOME)
		die("the NVA answers a greeting with %s", nvo3_kind_name(frame.kind));
}

void link_set_nonblocking(struct link *link)
{
	int flags = fcntl(link->fd, F_GETFL);

	if (flags < 0 || fcntl(link->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		die("cannot set a socket non-blocking");
}

void link_close(struct link *link)
{
	close(link->fd);
	free(link->in.data);
	free(link->out.data);
}

void link_say(struct link *link, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;

	if (nvo3_pack(message, &frame, &size) < 0)
		die("cannot pack %s", nvo3_kind_name(message->kind));
	reserve(&link->out, size);
	memcpy(link->out.data + link->out.end, frame, size);
	link->out.end += size;
}

bool link_flush(struct link *link)
{
	while (link->out.start < link->out.end) {
		ssize_t n = send(link->fd, link->out.data + link->out.start,
				 link->out.end - link->out.start, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			die("cannot send: %s", strerror(errno));
		link->out.start += (size_t) n;
	}
	link->out.start = link->out.end = 0;
	return true;
}

bool link_read(struct link *link)
{
	ssize_t n;

	reserve(&link->in, LINK_READ_SIZE);
	n = recv(link->fd, link->in.data + link->in.end, link->in.room - link->in.end, 0);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		die("the NVA has closed a connection: %s", n < 0 ? strerror(errno) : "end");
	link->in.end += (size_t) n;
	return true;
}

/* --- frames --- */

static void look_into(const uint8_t *data, size_t size, struct link_frame *frame)
{
	struct pb_reader reader = { data, data + size, false };
	uint64_t tag = pb_read_varint(&reader);
	struct pb_reader body;

	*frame = (struct link_frame){ .envelope = data, .envelope_size = size };
	if (tag == PB_TAG(ENVELOPE_ID, PB_VARINT)) {
		frame->id = pb_read_varint(&reader);
		tag = pb_read_varint(&reader);
	}
	body = pb_read_bytes(&reader);
	if (reader.failed || (tag & 7) != PB_BYTES)
		die("the NVA sent a frame that is none");
	frame->kind = (enum nvo3_kind)((tag >> 3) - ENVELOPE_BODY);
	frame->body = body.pos;
	frame->body_size = pb_left(&body);
}

bool link_next(struct link *link, struct link_frame *ret_frame)
{
	struct link_bytes *in = &link->in;
	long size = in->data ? nvo3_frame_size(in->data + in->start, in->end - in->start) : 0;

	if (size < 0)
		die("the NVA sent an impossible length");
	if (size == 0 || in->end - in->start < (size_t) size) {
		if (size > 0) /* make room for all of it */
			reserve(in, (size_t) size - (in->end - in->start));
		return false;
	}
	look_into(in->data + in->start + NVO3_LENGTH_SIZE, (size_t) size - NVO3_LENGTH_SIZE,
		  ret_frame);
	in->start += (size_t) size;
	if (ret_frame->kind == NVO3_ERROR)
		die("the NVA refuses: %.*s", (int) ret_frame->body_size, ret_frame->body);
	return true;
}

void link_decode(const struct link_frame *frame, struct nvo3_message *ret_message)
{
	const char *what;

	if (nvo3_unpack(frame->envelope, frame->envelope_size, ret_message, &what) < 0)
		die("the NVA sent a %s with a wrong %s", nvo3_kind_name(frame->kind), what);
}

uint64_t link_revision(const struct link_frame *frame)
{
	struct pb_reader body = { frame->body, frame->body + frame->body_size, false };

	if (pb_read_varint(&body) != PB_TAG(UPDATE_REVISION, PB_VARINT))
		die("an UPDATE does not begin with its revision");
	return pb_read_varint(&body);
}

/* --- mappings --- */

void load_mapping(uint32_t number, struct mapping *ret_mapping)
{
	uint8_t a = (uint8_t) (number >> 24), b = (uint8_t) (number >> 16),
		c = (uint8_t) (number >> 8), d = (uint8_t) number;

	/* Not the whole: there is room for many more addresses, and a million mappings to make. */
	ret_mapping->vni = LOAD_VNI;
	ret_mapping->mac = (struct mac){ { 0x52, 0x54, a, b, c, d } };
	ret_mapping->ips[0] = (struct ip){ .family = AF_INET, .octet = { 10 + a, b, c, d } };
	ret_mapping->ips[1] = (struct ip){
		.family = AF_INET6,
		.octet = { 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d },
	};
	ret_mapping->ip_count = 2;
	ret_mapping->vtep = (struct ip){ 0 };
	ret_mapping->generation = 0;
	ret_mapping->vm = (struct uuid){ { 0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x41, 0xd1, 0x80,
					   0xb4, 0, 0, a, b, c, d } };
	ret_mapping->flags = MAPPING_VM;
}

uint32_t load_number(struct mac mac)
{
	return (uint32_t) mac.octet[2] << 24 | (uint32_t) mac.octet[3] << 16 |
	       (uint32_t) mac.octet[4] << 8 | mac.octet[5];
}
