/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/nva_link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "nveagent/byte_queue.h"

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

enum {
	READ_SIZE = 64 << 10,
	TURN_SIZE = 16 << 10, /* bytes of frames dealt with at once: some 200 mappings */
};

struct nva_link {
	struct loop *loop;
	struct nva_link_config config;
	struct nva_link_events events;
	void *userdata;

	enum link_state state;
	int fd; /* -1: none */
	struct loop_watch *watch;
	struct loop_timer *retry, *ping, *more;
	size_t at;	/* of config.endpoints */
	size_t tried;	/* in this round, without a session */
	uint64_t retry_ms, last_id;
	uint32_t features; /* of the NVA */
	bool pinged; /* nothing was heard since our PING */
	struct byte_queue input, output;
};

static void begin(struct nva_link *link);

/* --- the session's end --- */

static void hang_up(struct nva_link *link)
{
	link->watch = loop_watch_free(link->watch);
	loop_timer_stop(link->ping);
	loop_timer_stop(link->more);
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	byte_queue_clear(&link->input);
	byte_queue_clear(&link->output);
	link->state = LINK_WAITING;
}

/* Which endpoint is next, and when. Returns milliseconds. */
static uint64_t next_attempt(struct nva_link *link)
{
	size_t count = link->config.endpoint_count;
	uint64_t wait_ms = link->retry_ms;
	uint64_t max_ms = count > 1 ? NVA_LINK_SEVERAL_RETRY_MAX_MS : NVA_LINK_RETRY_MAX_MS;

	link->at = (link->at + 1) % count;
	if (++link->tried < count)
		return 0;
	link->tried = 0;
	link->retry_ms = wait_ms * 2 < max_ms ? wait_ms * 2 : max_ms;
	return wait_ms;
}

static uint64_t ping_us(const struct nva_link *link)
{
	unsigned seconds = link->config.endpoint_count > 1 ? NVA_LINK_SEVERAL_PING_S
							   : NVA_LINK_PING_S;

	return seconds * UINT64_C(1000000);
}

__attribute__((format(printf, 2, 3))) static void fail(struct nva_link *link, const char *format,
						       ...)
{
	char reason[NVO3_TEXT_MAX + 64];
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);

	hang_up(link);
	(void) loop_timer_start(link->retry, next_attempt(link) * 1000);
	link->events.down(link->userdata, reason);
}

/* --- output --- */

/* Sends what the socket takes. Returns 0 or a negative errno. */
static int flush(struct nva_link *link)
{
	struct byte_queue *output = &link->output;

	while (byte_queue_size(output) > 0) {
		ssize_t n = send(link->fd, output->data + output->start, byte_queue_size(output),
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -errno;
		output->start += (size_t) n;
	}
	return loop_watch_set(link->watch, LOOP_READ | (byte_queue_size(output) ? LOOP_WRITE : 0u));
}

static int queue(struct nva_link *link, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;
	int r = nvo3_pack(message, &frame, &size);

	if (r < 0)
		return r;
	if (byte_queue_size(&link->output) + size > NVA_LINK_OUTPUT_MAX)
		return -EMSGSIZE;
	return byte_queue_append(&link->output, frame, size);
}

/*
 * Called from within message handlers too, so a broken connection is not torn down here: the socket
 * becomes readable then, and on_ready() sees the end of it.
 */
static int queue_and_flush(struct nva_link *link, const struct nvo3_message *message)
{
	int r = queue(link, message);

	if (r == 0)
		(void) flush(link);
	return r;
}

static int greet(struct nva_link *link)
{
	struct nvo3_message hello = {
		.kind = NVO3_HELLO,
		.version = NVO3_VERSION,
		.role = NVO3_ROLE_NVE,
		.vtep = link->config.vtep,
		.incarnation = link->config.incarnation,
	};

	(void) snprintf(hello.name, sizeof(hello.name), "%s", link->config.name);
	link->state = LINK_GREETING;
	return queue_and_flush(link, &hello);
}

/* --- input --- */

static void answer_ping(struct nva_link *link, uint64_t id)
{
	struct nvo3_message pong = { .kind = NVO3_PONG, .id = id };

	(void) queue_and_flush(link, &pong);
}

static bool take_message(struct nva_link *link, const struct nvo3_message *message)
{
	if (message->kind == NVO3_ERROR) {
		fail(link, "the NVA says: %s", message->text);
		return false;
	}
	if (link->state == LINK_GREETING) {
		if (message->kind != NVO3_WELCOME || message->version != NVO3_VERSION) {
			fail(link, "the NVA answered the greeting with %s, version %u",
			     nvo3_kind_name(message->kind), message->version);
			return false;
		}
		link->state = LINK_UP;
		link->features = message->features;
		link->retry_ms = NVA_LINK_RETRY_MIN_MS;
		link->tried = 0;
		link->events.up(link->userdata, message->name, message->incarnation);
	} else if (message->kind == NVO3_PING) {
		answer_ping(link, message->id);
	} else if (message->kind != NVO3_PONG) {
		link->events.message(link->userdata, message);
	}
	return link->state == LINK_UP;
}

/* Deals with the first frame of the input; false when there is none or the session ended. */
static bool take_frame(struct nva_link *link)
{
	struct byte_queue *input = &link->input;
	long size = nvo3_frame_size(input->data + input->start, byte_queue_size(input));
	struct nvo3_message message;
	const char *what = "";
	bool alive;
	int r;

	if (size < 0) {
		fail(link, "the NVA sent a frame of impossible length");
		return false;
	}
	if (size == 0 || (size_t) size > byte_queue_size(input))
		return false;

	r = nvo3_unpack(input->data + input->start + 4, (size_t) size - 4, &message, &what);
	if (r < 0) {
		fail(link, "the NVA sent a malformed message: %s",
		     r == -EBADMSG ? what : strerror(-r));
		return false;
	}
	input->start += (size_t) size;
	alive = take_message(link, &message);
	nvo3_message_clear(&message);
	return alive;
}

static bool has_frame(const struct byte_queue *input)
{
	long size = nvo3_frame_size(input->data + input->start, byte_queue_size(input));

	return size < 0 || (size > 0 && (size_t) size <= byte_queue_size(input));
}

/*
 * A VM's switch does not wait for all that the NVA has to say: the rest when the loop comes round.
 */
static void take_frames(void *userdata)
{
	struct nva_link *link = userdata;
	size_t before = byte_queue_size(&link->input);

	while (take_frame(link))
		if (before - byte_queue_size(&link->input) >= TURN_SIZE)
			break;
	if (link->state == LINK_UP && has_frame(&link->input))
		(void) loop_timer_start(link->more, 0);
}

static void read_some(struct nva_link *link)
{
	struct byte_queue *input = &link->input;
	ssize_t n;

	if (loop_timer_is_running(link->more))
		return;
	if (byte_queue_reserve(input, READ_SIZE) < 0) {
		fail(link, "out of memory");
		return;
	}
	n = recv(link->fd, input->data + input->end, READ_SIZE, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(link, "%s", n == 0 ? "the NVA closed the connection" : strerror(errno));
		return;
	}
	input->end += (size_t) n;
	link->pinged = false;
	(void) loop_timer_start(link->ping, ping_us(link));
	take_frames(link);
}

static void on_ping_timer(void *userdata)
{
	struct nva_link *link = userdata;
	struct nvo3_message ping = { .kind = NVO3_PING, .id = nva_link_next_id(link) };

	if (link->state == LINK_CONNECTING) {
		fail(link, "cannot connect: no answer");
		return;
	}
	if (link->pinged || link->state != LINK_UP) {
		fail(link, "the NVA has been silent for too long");
		return;
	}
	link->pinged = true;
	(void) queue_and_flush(link, &ping);
	(void) loop_timer_start(link->ping, ping_us(link));
}

/* --- connecting --- */

static int connect_result(const struct nva_link *link)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

static void on_ready(void *userdata, unsigned ready)
{
	struct nva_link *link = userdata;
	int r;

	if (link->state == LINK_CONNECTING) {
		r = connect_result(link);
		if (r == 0)
			r = greet(link);
		if (r == 0) /* an NVA that waits for its store is waited for */
			(void) loop_timer_start(link->ping, NVA_LINK_PING_S * UINT64_C(1000000));
		if (r < 0)
			fail(link, "cannot connect: %s", strerror(-r));
		return;
	}
	if (ready & LOOP_WRITE) {
		r = flush(link);
		if (r < 0) {
			fail(link, "%s", strerror(-r));
			return;
		}
	}
	if (ready & LOOP_READ)
		read_some(link);
}

static int open_socket(struct nva_link *link)
{
	struct sockaddr_storage address;
	const struct nva_endpoint *endpoint = nva_link_endpoint(link);
	socklen_t size = endpoint_to_sockaddr(endpoint->address, endpoint->port, &address);
	const int on = 1;

	link->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -errno;
	/* A commit must not wait for the acknowledgement of the message before it (RFC 896). */
	(void) setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(link->fd, (const struct sockaddr *) &address, size) < 0 && errno != EINPROGRESS)
		return -errno;

	link->watch =
		loop_watch_new(link->loop, "nva", link->fd, LOOP_READ | LOOP_WRITE, on_ready, link);
	return link->watch ? 0 : -ENOMEM;
}

static void begin(struct nva_link *link)
{
	int r;

	link->state = LINK_CONNECTING;
	link->pinged = false;
	r = open_socket(link);
	if (r < 0)
		fail(link, "cannot connect: %s", strerror(-r));
	else if (link->config.endpoint_count > 1)
		(void) loop_timer_start(link->ping,
					NVA_LINK_SEVERAL_CONNECT_MS * UINT64_C(1000));
	else
		(void) loop_timer_start(link->ping, NVA_LINK_PING_S * UINT64_C(1000000));
}

static void on_retry_timer(void *userdata)
{
	begin(userdata);
}

/* --- the interface --- */

int nva_link_new(struct loop *loop, const struct nva_link_config *config,
		 const struct nva_link_events *events, void *userdata, struct nva_link **ret_link)
{
	_cleanup_(nva_link_freep) struct nva_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->fd = -1;
	link->loop = loop;
	link->config = *config;
	link->events = *events;
	link->userdata = userdata;
	link->retry_ms = NVA_LINK_RETRY_MIN_MS;
	link->retry = loop_timer_new(loop, on_retry_timer, link);
	link->ping = loop_timer_new(loop, on_ping_timer, link);
	link->more = loop_timer_new(loop, take_frames, link);
	if (!link->retry || !link->ping || !link->more)
		return -ENOMEM;
	/* From the loop, so that no callback comes before the caller has its pointer. */
	if (loop_timer_start(link->retry, 0) < 0)
		return -ENOMEM;
	*ret_link = TAKE_PTR(link);
	return 0;
}

struct nva_link *nva_link_free(struct nva_link *link)
{
	if (!link)
		return NULL;
	if (link->fd >= 0)
		close(link->fd);
	link->watch = loop_watch_free(link->watch);
	link->retry = loop_timer_free(link->retry);
	link->ping = loop_timer_free(link->ping);
	link->more = loop_timer_free(link->more);
	byte_queue_clear(&link->input);
	byte_queue_clear(&link->output);
	free(link);
	return NULL;
}

bool nva_link_is_up(const struct nva_link *link)
{
	return link->state == LINK_UP;
}

uint32_t nva_link_features(const struct nva_link *link)
{
	return link->features;
}

const struct nva_endpoint *nva_link_endpoint(const struct nva_link *link)
{
	return &link->config.endpoints[link->at];
}

uint64_t nva_link_next_id(struct nva_link *link)
{
	return ++link->last_id;
}

int nva_link_send(struct nva_link *link, const struct nvo3_message *message)
{
	return link->state == LINK_UP ? queue_and_flush(link, message) : -ENOTCONN;
}
