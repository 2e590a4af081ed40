// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fake_nva.c - a scripted NVA for one NVE: says to it what its standard input tells it, one command
 * a line, and writes what the NVE says to its standard output, one message a line. Tests use it for
 * what a real NVA does not do on demand, bench/agent for directories of any size.
 *
 *   fake_nva ADDRESS PORT [VNI COUNT VTEPS]
 *
 * A SUBSCRIBE to VNI is answered with a snapshot of COUNT generated mappings at VTEPS NVEs, to
 * another one with an empty snapshot; a REGISTER, MOVE_INTENT or COMMIT is granted; a PING is
 * answered. Generated mapping I (from 0) has MAC 02:00:00:XX:XX:XX, addresses 10.X.X.X and
 * fd00::XX:XXXX of I + 1, and is at 198.18.Y.Y, or 2001:db8:5::Y where the NVE's VTEP is IPv6, of I
 * modulo VTEPS.
 *
 *   map VNI MAC VTEP GENERATION [router] [IP...]
 *   unmap VNI MAC GENERATION                   members VNI VTEP...
 *   change FIRST COUNT GENERATION SHIFT        generated mappings, at the NVE of I + SHIFT
 *   answer ID none                             answer ID VNI MAC VTEP GENERATION [IP...]
 *   consent VNI MAC VTEP                       asks the NVE for its VM
 *   abort VNI MAC                              calls that off
 *   refuse VNI WORD                            MEMBERS without any, for that reason; and no more
 *                                              to its subscriptions until "members"
 *   close                                      ends the session
 *
 * Each output line begins with CLOCK_MONOTONIC in microseconds: "listens", "hello NAME VTEP",
 * "subscribe VNI", "sent REVISION", "ack REVISION", "query ID VNI MAC|IP", "register MAC [IP...]",
 * or the name of another message with its MAC; "closed".
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "nva/wire.h"

enum {
	WORDS_MAX = 32,
	LINE_SIZE = 4096,
	UPDATE_MAPPINGS = 256, /* docs/protocol.md, Membership and push */
	INPUT_SIZE = 2 * NVO3_FRAME_MAX,
};

struct fake {
	int listener, fd; /* @fd -1: no session */
	uint32_t vni, count, vteps;
	uint32_t refused; /* a VNI; 0: none */
	uint8_t family; /* of the NVE's VTEP */
	struct ip vtep;
	uint64_t revision;
	uint8_t *input; /* INPUT_SIZE */
	size_t used;
	char line[LINE_SIZE];
	size_t line_used;
	struct mapping *batch; /* UPDATE_MAPPINGS */
};

__attribute__((format(printf, 1, 2))) static void show(const char *format, ...)
{
	va_list arguments;

	printf("%llu ", (unsigned long long) clock_monotonic_us());
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static void end_session(struct fake *fake)
{
	if (fake->fd >= 0)
		close(fake->fd);
	fake->fd = -1;
	fake->used = 0;
	show("closed");
}

static void say(struct fake *fake, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size = 0, sent = 0;

	if (fake->fd < 0 || nvo3_pack(message, &frame, &size) < 0)
		return;
	while (sent < size) {
		ssize_t n = send(fake->fd, frame + sent, size - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return; /* seen by the next read */
		sent += n > 0 ? (size_t) n : 0;
	}
}

/* --- what is in it --- */

static struct mapping generated(const struct fake *fake, uint32_t i, uint64_t generation,
				uint32_t shift)
{
	uint32_t n = i + 1, place = (i + shift) % fake->vteps;
	struct mapping mapping = {
		.vni = fake->vni,
		.mac = { { 2, 0, 0, (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } },
		.ips = { { AF_INET, { 10, (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } },
			 { AF_INET6,
			   { 0xfd, [13] = (uint8_t) (n >> 16), (uint8_t) (n >> 8),
			     (uint8_t) n } } },
		.ip_count = 2,
		.vtep = { AF_INET, { 198, 18, (uint8_t) (place >> 8), (uint8_t) (place + 1) } },
		.generation = generation,
		.vm = { { 0xfa, [13] = (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } },
		.flags = MAPPING_VM,
	};

	if (fake->family == AF_INET6)
		mapping.vtep =
			(struct ip){ AF_INET6,
				     { 0x20, 0x01, 0x0d, 0xb8, 0, 5, [14] = (uint8_t) (place >> 8),
				       (uint8_t) (place + 1) } };
	return mapping;
}

struct range {
	uint32_t first, count;
	uint64_t generation;
	uint32_t shift;
	bool snapshot;
};

static void send_range(struct fake *fake, uint32_t vni, struct range range)
{
	uint32_t done = 0;

	do {
		struct nvo3_message update = { .kind = NVO3_UPDATE,
					       .vni = vni,
					       .revision = ++fake->revision,
					       .mappings = fake->batch };

		update.snapshot = range.snapshot && done == 0;
		for (; done < range.count && update.mapping_count < UPDATE_MAPPINGS; done++)
			fake->batch[update.mapping_count++] =
				generated(fake, range.first + done, range.generation, range.shift);
		update.snapshot_end = range.snapshot && done == range.count;
		say(fake, &update);
		show("sent %llu", (unsigned long long) fake->revision);
	} while (done < range.count);
}

/* --- what the NVE says --- */

static void on_hello(struct fake *fake, const struct nvo3_message *message)
{
	struct nvo3_message welcome = {
		.kind = NVO3_WELCOME, .name = "fake", .version = NVO3_VERSION, .incarnation = 1
	};
	char text[IP_TEXT_SIZE];

	fake->vtep = message->vtep;
	fake->family = message->vtep.family;
	show("hello %s %s", message->name, ip_text(message->vtep, text));
	say(fake, &welcome);
}

static void on_subscribe(struct fake *fake, const struct nvo3_message *message)
{
	struct nvo3_message members = {
		.kind = NVO3_MEMBERS, .vni = message->vni, .members = &fake->vtep, .member_count = 1
	};
	bool ours = message->vni == fake->vni;

	show("subscribe %u", message->vni);
	if (fake->refused == message->vni)
		return;
	say(fake, &members);
	send_range(fake, message->vni,
		   (struct range){
			   .count = ours ? fake->count : 0, .generation = 1, .snapshot = true });
}

static void grant(struct fake *fake, const struct nvo3_message *message, enum nvo3_kind kind)
{
	const struct mapping *mapping = message->mapping_count ? &message->mappings[0] : NULL;
	struct nvo3_message verdict = {
		.kind = kind,
		.id = message->id,
		.vni = mapping ? mapping->vni : message->vni,
		.mac = mapping ? mapping->mac : message->mac,
		.generation = mapping && mapping->generation ? mapping->generation : 1,
		.granted = true,
	};

	say(fake, &verdict);
}

static void show_register(const struct mapping *mapping)
{
	char line[LINE_SIZE], mac[MAC_TEXT_SIZE], ip[IP_TEXT_SIZE];
	int n = snprintf(line, sizeof(line), "register %s", mac_text(mapping->mac, mac));

	for (size_t i = 0; i < mapping->ip_count; i++)
		n += snprintf(line + n, sizeof(line) - (size_t) n, " %s",
			      ip_text(mapping->ips[i], ip));
	show("%s", line);
}

static void show_query(const struct nvo3_message *message)
{
	char text[IP_TEXT_SIZE > MAC_TEXT_SIZE ? IP_TEXT_SIZE : MAC_TEXT_SIZE];

	show("query %llu %u %s", (unsigned long long) message->id, message->vni,
	     ip_is_none(message->ip) ? mac_text(message->mac, text) : ip_text(message->ip, text));
}

static void hear(struct fake *fake, const struct nvo3_message *message)
{
	struct nvo3_message pong = { .kind = NVO3_PONG, .id = message->id };
	char mac[MAC_TEXT_SIZE];

	if (message->kind == NVO3_HELLO) {
		on_hello(fake, message);
	} else if (message->kind == NVO3_SUBSCRIBE) {
		on_subscribe(fake, message);
	} else if (message->kind == NVO3_ACK) {
		show("ack %llu", (unsigned long long) message->revision);
	} else if (message->kind == NVO3_QUERY) {
		show_query(message);
	} else if (message->kind == NVO3_PING) {
		say(fake, &pong);
	} else if (message->kind == NVO3_REGISTER) {
		show_register(&message->mappings[0]);
		grant(fake, message, NVO3_REGISTERED);
	} else {
		show("%s %s", nvo3_kind_name(message->kind), mac_text(message->mac, mac));
		if (message->kind == NVO3_MOVE_INTENT)
			grant(fake, message, NVO3_MOVE_GRANTED);
		if (message->kind == NVO3_COMMIT)
			grant(fake, message, NVO3_COMMITTED);
	}
}

/* False when the session is over. */
static bool take_frame(struct fake *fake)
{
	long size = nvo3_frame_size(fake->input, fake->used);
	struct nvo3_message message;
	const char *what;

	if (size == 0 || (size > 0 && (size_t) size > fake->used))
		return false;
	if (size < 0 || nvo3_unpack(fake->input + NVO3_LENGTH_SIZE,
				    (size_t) size - NVO3_LENGTH_SIZE, &message, &what) < 0) {
		end_session(fake);
		return false;
	}
	hear(fake, &message);
	nvo3_message_clear(&message);
	fake->used -= (size_t) size;
	memmove(fake->input, fake->input + size, fake->used);
	return fake->fd >= 0;
}

static void read_session(struct fake *fake)
{
	ssize_t n = recv(fake->fd, fake->input + fake->used, INPUT_SIZE - fake->used, 0);

	if (n <= 0) {
		end_session(fake);
		return;
	}
	fake->used += (size_t) n;
	while (take_frame(fake))
		;
}

/* --- commands --- */

static uint64_t number(const char *word)
{
	return strtoull(word, NULL, 0);
}

/* VNI MAC VTEP GENERATION [router] [IP...] */
static int read_mapping(char **words, int count, struct mapping *ret_mapping)
{
	struct mapping mapping = { 0 };

	if (count < 4 || mac_from_text(words[1], &mapping.mac) < 0 ||
	    ip_from_text(words[2], &mapping.vtep) < 0)
		return -EINVAL;
	mapping.vni = (uint32_t) number(words[0]);
	mapping.generation = number(words[3]);
	for (int i = 4; i < count && mapping.ip_count < MAPPING_IPS_MAX; i++) {
		if (strcmp(words[i], "router") == 0)
			mapping.flags |= MAPPING_ROUTER;
		else if (ip_from_text(words[i], &mapping.ips[mapping.ip_count++]) < 0)
			return -EINVAL;
	}
	*ret_mapping = mapping;
	return 0;
}

static int do_map(struct fake *fake, char **words, int count)
{
	struct mapping mapping;
	struct nvo3_message update = { .kind = NVO3_UPDATE,
				       .mappings = &mapping,
				       .mapping_count = 1 };

	if (read_mapping(words + 1, count - 1, &mapping) < 0)
		return -EINVAL;
	update.vni = mapping.vni;
	update.revision = ++fake->revision;
	say(fake, &update);
	show("sent %llu", (unsigned long long) fake->revision);
	return 0;
}

static int do_unmap(struct fake *fake, char **words, int count)
{
	struct mapping mapping = { 0 };
	struct nvo3_message update = { .kind = NVO3_UPDATE,
				       .removed = &mapping,
				       .removed_count = 1 };

	if (count != 4 || mac_from_text(words[2], &mapping.mac) < 0)
		return -EINVAL;
	update.vni = mapping.vni = (uint32_t) number(words[1]);
	mapping.generation = number(words[3]);
	update.revision = ++fake->revision;
	say(fake, &update);
	show("sent %llu", (unsigned long long) fake->revision);
	return 0;
}

static int do_members(struct fake *fake, char **words, int count)
{
	struct ip members[WORDS_MAX] = { fake->vtep };
	struct nvo3_message message = { .kind = NVO3_MEMBERS,
					.members = members,
					.member_count = 1 };

	if (count < 2)
		return -EINVAL;
	message.vni = (uint32_t) number(words[1]);
	for (int i = 2; i < count; i++)
		if (ip_from_text(words[i], &members[message.member_count++]) < 0)
			return -EINVAL;
	fake->refused = 0;
	say(fake, &message);
	return 0;
}

static int do_refuse(struct fake *fake, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_MEMBERS };

	if (count != 3)
		return -EINVAL;
	message.vni = fake->refused = (uint32_t) number(words[1]);
	(void) snprintf(message.text, sizeof(message.text), "%s", words[2]);
	say(fake, &message);
	return 0;
}

static int do_change(struct fake *fake, char **words, int count)
{
	if (count != 5)
		return -EINVAL;
	send_range(fake, fake->vni,
		   (struct range){
			   .first = (uint32_t) number(words[1]),
			   .count = (uint32_t) number(words[2]),
			   .generation = number(words[3]),
			   .shift = (uint32_t) number(words[4]),
		   });
	return 0;
}

static int do_answer(struct fake *fake, char **words, int count)
{
	struct mapping mapping;
	struct nvo3_message answer = { .kind = NVO3_ANSWER, .mappings = &mapping };

	if (count < 3)
		return -EINVAL;
	answer.id = number(words[1]);
	if (strcmp(words[2], "none") != 0) {
		if (read_mapping(words + 2, count - 2, &mapping) < 0)
			return -EINVAL;
		answer.mapping_count = 1;
	}
	say(fake, &answer);
	return 0;
}

static int do_consent(struct fake *fake, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_CONSENT, .id = ++fake->revision };

	if (count != 4 || mac_from_text(words[2], &message.mac) < 0 ||
	    ip_from_text(words[3], &message.vtep) < 0)
		return -EINVAL;
	message.vni = (uint32_t) number(words[1]);
	say(fake, &message);
	return 0;
}

static int do_abort(struct fake *fake, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_ABORT };

	if (count != 3 || mac_from_text(words[2], &message.mac) < 0)
		return -EINVAL;
	message.vni = (uint32_t) number(words[1]);
	say(fake, &message);
	return 0;
}

static int do_close(struct fake *fake, char **words, int count)
{
	end_session(fake);
	return 0;
}

static void command(struct fake *fake, char *line)
{
	static const struct {
		const char *name;
		int (*run)(struct fake *fake, char **words, int count);
	} commands[] = {
		{ "map", do_map },	 { "unmap", do_unmap },	  { "members", do_members },
		{ "change", do_change }, { "answer", do_answer }, { "consent", do_consent },
		{ "abort", do_abort },	 { "refuse", do_refuse }, { "close", do_close },
	};
	char *words[WORDS_MAX], *rest = line;
	int count = 0;

	while (count < WORDS_MAX && (words[count] = strsep(&rest, " ")))
		count += words[count][0] != '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands) && count > 0; i++)
		if (strcmp(commands[i].name, words[0]) == 0 &&
		    commands[i].run(fake, words, count) == 0)
			return;
	show("bad %s", count ? words[0] : "line");
}

/* False at the end of the input. */
static bool read_commands(struct fake *fake)
{
	ssize_t n = read(STDIN_FILENO, fake->line + fake->line_used,
			 sizeof(fake->line) - fake->line_used);
	char *end;

	if (n <= 0)
		return false;
	fake->line_used += (size_t) n;
	while ((end = memchr(fake->line, '\n', fake->line_used))) {
		*end = '\0';
		command(fake, fake->line);
		fake->line_used -= (size_t) (end + 1 - fake->line);
		memmove(fake->line, end + 1, fake->line_used);
	}
	return fake->line_used < sizeof(fake->line);
}

/* --- the program --- */

static int listen_at(const char *address, const char *port)
{
	struct sockaddr_storage to;
	struct ip ip;
	const int on = 1;
	socklen_t size;
	int fd;

	if (ip_from_text(address, &ip) < 0)
		return -EINVAL;
	size = endpoint_to_sockaddr(ip, (uint16_t) number(port), &to);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *) &to, size) < 0 || listen(fd, 1) < 0)
		return -errno;
	return fd;
}

static void serve(struct fake *fake)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = fake->fd < 0 ? fake->listener : fake->fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			return;
		if (fds[1].revents && fake->fd < 0)
			fake->fd = accept(fake->listener, NULL, NULL);
		else if (fds[1].revents)
			read_session(fake);
		if (fds[0].revents && !read_commands(fake))
			return;
	}
}

int main(int argc, char **argv)
{
	struct fake fake = { .fd = -1, .vteps = 1 };

	if (argc != 3 && argc != 6) {
		fprintf(stderr, "usage: fake_nva ADDRESS PORT [VNI COUNT VTEPS]\n");
		return 2;
	}
	if (argc == 6) {
		fake.vni = (uint32_t) number(argv[3]);
		fake.count = (uint32_t) number(argv[4]);
		fake.vteps = (uint32_t) number(argv[5]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	fake.input = malloc(INPUT_SIZE);
	fake.batch = calloc(UPDATE_MAPPINGS, sizeof(*fake.batch));
	fake.listener = listen_at(argv[1], argv[2]);
	if (!fake.input || !fake.batch || fake.vteps == 0 || fake.listener < 0) {
		fprintf(stderr, "fake_nva: cannot listen at %s port %s: %s\n", argv[1], argv[2],
			strerror(-fake.listener));
		return 1;
	}
	show("listens");
	serve(&fake);
	free(fake.input);
	free(fake.batch);
	return 0;
}
