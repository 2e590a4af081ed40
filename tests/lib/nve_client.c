// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nve_client.c - a scripted NVE: says to an NVA what its standard input tells it, one command a
 * line, and writes what the NVA says to its standard output, one message a line.
 *
 *   nve_client ADDRESS PORT
 *
 *   hello NAME VTEP INCARNATION [gateway] [VERSION]
 *   subscribe VNI                            register ID VNI MAC FLAGS [IP...]
 *   withdraw VNI MAC GENERATION              intent ID VNI MAC FLAGS [IP...]
 *   consented ID VNI MAC yes|no              commit ID VNI MAC GENERATION
 *   abort VNI MAC GENERATION                 ack REVISION
 *   converged VNI MAC GENERATION
 *   query ID VNI MAC|IP                      status ID              ping ID
 *   send KIND                                a message of that kind with nothing in it
 *   raw HEX                                  these bytes, as they are
 *   many VNI COUNT SALT                      COUNT registrations of 16 addresses that SALT makes
 *   new, as fast as they go
 *   pause / resume                           stops reading what the NVA sends, and goes on
 *
 * A PING that it reads is answered. Output lines: the kind and its fields, for example "update
 * revision=3 vni=100 mapping=52:54:00:00:00:01/2/192.0.2.2/10.0.0.1,fd00::1"; "closed" when the NVA
 * has closed; "bad COMMAND" for a line that is not understood.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "nva/wire.h"

enum {
	WORDS_MAX = 32,
	LINE_MAX_SIZE = 4096,
	INPUT_SIZE = 2 * NVO3_FRAME_MAX,
};

struct client {
	int fd;
	bool paused;
	bool over;	  /* the NVA has closed, or said what is not understood */
	uint64_t pong_id; /* of a PING to be answered; 0: none */
	uint8_t *input;	  /* INPUT_SIZE */
	size_t used;
};

/* --- what is said --- */

static int hear_some(struct client *client);

/*
 * An NVA that waits for us to read does not read: so while it takes nothing, what it says is heard.
 */
static void wait_to_send(struct client *client)
{
	struct pollfd fd = { .fd = client->fd, .events = POLLOUT };

	if (!client->paused)
		fd.events |= POLLIN;
	if (poll(&fd, 1, -1) > 0 && (fd.revents & POLLIN) && hear_some(client) < 0)
		client->over = true;
}

static void send_all(struct client *client, const uint8_t *data, size_t size)
{
	while (size > 0 && !client->over) {
		ssize_t n = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return; /* shown as "closed" by the next read */
		if (n < 0) {
			wait_to_send(client);
			continue;
		}
		data += n;
		size -= (size_t) n;
	}
}

static int say(struct client *client, const struct nvo3_message *message)
{
	_cleanup_free_ uint8_t *frame = NULL;
	size_t size;
	int r = nvo3_pack(message, &frame, &size);

	if (r == 0)
		send_all(client, frame, size);
	return r;
}

static uint64_t number(const char *word)
{
	return strtoull(word, NULL, 0);
}

static int hello(struct client *client, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_HELLO, .version = NVO3_VERSION };

	if (count < 4 || ip_from_text(words[2], &message.vtep) < 0)
		return -EINVAL;
	(void) snprintf(message.name, sizeof(message.name), "%s", words[1]);
	message.incarnation = number(words[3]);
	if (count > 4 && strcmp(words[4], "gateway") == 0)
		message.role = NVO3_ROLE_GATEWAY;
	if (count > 5)
		message.version = (uint32_t) number(words[5]);
	return say(client, &message);
}

static int subscribe(struct client *client, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_SUBSCRIBE };

	if (count != 2)
		return -EINVAL;
	message.vni = (uint32_t) number(words[1]);
	return say(client, &message);
}

/* register and intent: ID VNI MAC FLAGS [IP...] */
static int say_mapping(struct client *client, enum nvo3_kind kind, char **words, int count)
{
	struct mapping mapping = { 0 };
	struct nvo3_message message = { .kind = kind, .mappings = &mapping, .mapping_count = 1 };

	if (count < 5 || count > 5 + MAPPING_IPS_DEFAULT ||
	    mac_from_text(words[3], &mapping.mac) < 0)
		return -EINVAL;
	message.id = number(words[1]);
	mapping.vni = (uint32_t) number(words[2]);
	mapping.flags = (uint32_t) number(words[4]);
	for (int i = 5; i < count; i++)
		if (ip_from_text(words[i], &mapping.ips[mapping.ip_count++]) < 0)
			return -EINVAL;
	return say(client, &message);
}

static int registration(struct client *client, char **words, int count)
{
	return say_mapping(client, NVO3_REGISTER, words, count);
}

static int intent(struct client *client, char **words, int count)
{
	return say_mapping(client, NVO3_MOVE_INTENT, words, count);
}

/* withdraw and abort: VNI MAC GENERATION; commit has an ID before them. */
static int say_endpoint(struct client *client, enum nvo3_kind kind, uint64_t id, char **words)
{
	struct nvo3_message message = { .kind = kind, .id = id };

	if (mac_from_text(words[1], &message.mac) < 0)
		return -EINVAL;
	message.vni = (uint32_t) number(words[0]);
	message.generation = number(words[2]);
	return say(client, &message);
}

static int withdraw(struct client *client, char **words, int count)
{
	return count == 4 ? say_endpoint(client, NVO3_WITHDRAW, 0, words + 1) : -EINVAL;
}

static int give_up(struct client *client, char **words, int count)
{
	return count == 4 ? say_endpoint(client, NVO3_ABORT, 0, words + 1) : -EINVAL;
}

static int ask_converged(struct client *client, char **words, int count)
{
	return count == 4 ? say_endpoint(client, NVO3_CONVERGED, 0, words + 1) : -EINVAL;
}

static int commit(struct client *client, char **words, int count)
{
	return count == 5 ? say_endpoint(client, NVO3_COMMIT, number(words[1]), words + 2)
			  : -EINVAL;
}

static int consented(struct client *client, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_CONSENTED };

	if (count != 5 || mac_from_text(words[3], &message.mac) < 0)
		return -EINVAL;
	message.id = number(words[1]);
	message.vni = (uint32_t) number(words[2]);
	message.granted = strcmp(words[4], "yes") == 0;
	return say(client, &message);
}

static int ack(struct client *client, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_ACK };

	if (count != 2)
		return -EINVAL;
	message.revision = number(words[1]);
	return say(client, &message);
}

static int query(struct client *client, char **words, int count)
{
	struct nvo3_message message = { .kind = NVO3_QUERY };

	if (count != 4 ||
	    (mac_from_text(words[3], &message.mac) < 0 && ip_from_text(words[3], &message.ip) < 0))
		return -EINVAL;
	message.id = number(words[1]);
	message.vni = (uint32_t) number(words[2]);
	return say(client, &message);
}

static int status(struct client *client, char **words, int count)
{
	const struct nvo3_message message = { .kind = NVO3_STATUS,
					      .id = count > 1 ? number(words[1]) : 0 };

	return say(client, &message);
}

static int ping(struct client *client, char **words, int count)
{
	const struct nvo3_message message = { .kind = NVO3_PING,
					      .id = count > 1 ? number(words[1]) : 0 };

	return say(client, &message);
}

static int send_kind(struct client *client, char **words, int count)
{
	struct nvo3_message message = { 0 };

	if (count != 2)
		return -EINVAL;
	while (message.kind < NVO3_KIND_COUNT &&
	       strcmp(nvo3_kind_name(message.kind), words[1]) != 0)
		message.kind++;
	return say(client, &message);
}

static int raw(struct client *client, char **words, int count)
{
	const char *hex = count == 2 ? words[1] : "";
	uint8_t bytes[LINE_MAX_SIZE / 2];
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		bytes[i] = (uint8_t) strtoul(digits, NULL, 16);
	}
	send_all(client, bytes, size);
	return 0;
}

static int many(struct client *client, char **words, int count)
{
	struct mapping mapping = { .flags = MAPPING_VM, .ip_count = MAPPING_IPS_DEFAULT };
	struct nvo3_message message = { .kind = NVO3_REGISTER,
					.mappings = &mapping,
					.mapping_count = 1 };
	int r = count == 4 ? 0 : -EINVAL;
	uint64_t n = r == 0 ? number(words[2]) : 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		const uint8_t low[] = { (uint8_t) (i >> 16), (uint8_t) (i >> 8), (uint8_t) i };

		mapping.vni = (uint32_t) number(words[1]);
		mapping.mac = (struct mac){ { 0x52, 0x54, 0xff, low[0], low[1], low[2] } };
		for (unsigned j = 0; j < MAPPING_IPS_DEFAULT; j++) {
			mapping.ips[j] =
				(struct ip){ AF_INET6,
					     { 0xfd, (uint8_t) number(words[3]), (uint8_t) j } };
			memcpy(mapping.ips[j].octet + 13, low, sizeof(low));
		}
		message.id = i + 1;
		r = say(client, &message);
	}
	return r;
}

static const struct command {
	const char *name;
	int (*run)(struct client *client, char **words, int count);
} commands[] = {
	{ "hello", hello },
	{ "subscribe", subscribe },
	{ "register", registration },
	{ "withdraw", withdraw },
	{ "intent", intent },
	{ "consented", consented },
	{ "commit", commit },
	{ "abort", give_up },
	{ "converged", ask_converged },
	{ "ack", ack },
	{ "query", query },
	{ "status", status },
	{ "ping", ping },
	{ "send", send_kind },
	{ "raw", raw },
	{ "many", many },
};

static void run_line(struct client *client, char *line)
{
	char *words[WORDS_MAX], *save = NULL;
	int count = 0;

	for (char *word = strtok_r(line, " \n", &save); word && count < WORDS_MAX;
	     word = strtok_r(NULL, " \n", &save))
		words[count++] = word;
	if (count == 0)
		return;
	if (strcmp(words[0], "pause") == 0 || strcmp(words[0], "resume") == 0) {
		client->paused = words[0][0] == 'p';
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, words[0]) == 0 &&
		    commands[i].run(client, words, count) == 0)
			return;
	printf("bad %s\n", words[0]);
}

/* --- what is heard --- */

static void show_mapping(const struct mapping *mapping)
{
	char mac[MAC_TEXT_SIZE], ip[IP_TEXT_SIZE];

	printf(" mapping=%s/%llu/%s/", mac_text(mapping->mac, mac),
	       (unsigned long long) mapping->generation, ip_text(mapping->vtep, ip));
	for (size_t i = 0; i < mapping->ip_count; i++)
		printf("%s%s", i ? "," : "", ip_text(mapping->ips[i], ip));
}

static void show_lists(const struct nvo3_message *message)
{
	char mac[MAC_TEXT_SIZE], ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < message->member_count; i++)
		printf(" member=%s", ip_text(message->members[i], ip));
	for (size_t i = 0; i < message->removed_count; i++)
		printf(" removed=%s/%llu", mac_text(message->removed[i].mac, mac),
		       (unsigned long long) message->removed[i].generation);
	/* A batch is shown by its size: it is there to be counted. */
	if (message->mapping_count > 8)
		printf(" mappings=%zu", message->mapping_count);
	else
		for (size_t i = 0; i < message->mapping_count; i++)
			show_mapping(&message->mappings[i]);
}

static void show(const struct nvo3_message *message)
{
	char mac[MAC_TEXT_SIZE], ip[IP_TEXT_SIZE];

	printf("%s", nvo3_kind_name(message->kind));
	if (message->id)
		printf(" id=%llu", (unsigned long long) message->id);
	if (message->name[0])
		printf(" name=%s", message->name);
	if (message->revision)
		printf(" revision=%llu", (unsigned long long) message->revision);
	if (message->vni)
		printf(" vni=%u", message->vni);
	if (!mac_is_zero(message->mac))
		printf(" mac=%s", mac_text(message->mac, mac));
	if (message->generation)
		printf(" generation=%llu", (unsigned long long) message->generation);
	if (!ip_is_none(message->vtep))
		printf(" vtep=%s", ip_text(message->vtep, ip));
	printf("%s%s%s", message->granted ? " yes" : "", message->snapshot ? " snapshot" : "",
	       message->snapshot_end ? " end" : "");
	show_lists(message);
	if (message->text[0])
		printf(" text=\"%s\"", message->text);
	if (message->json)
		printf(" json=%s", message->json);
	printf("\n");
}

/* Not while the input is being read: sending may have to read some more. */
static void answer_ping(struct client *client)
{
	const struct nvo3_message pong = { .kind = NVO3_PONG, .id = client->pong_id };

	client->pong_id = 0;
	if (pong.id)
		(void) say(client, &pong);
}

/*
 * Shows the frame at *@taken of the input and goes past it; returns 0 when it is not whole yet, or
 * an errno.
 */
static long hear_frame(struct client *client, size_t *taken)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };
	const uint8_t *frame = client->input + *taken;
	const char *what = "";
	long size = nvo3_frame_size(frame, client->used - *taken);
	int r;

	if (size <= 0 || (size_t) size > client->used - *taken)
		return size < 0 ? size : 0;
	r = nvo3_unpack(frame + NVO3_LENGTH_SIZE, (size_t) size - NVO3_LENGTH_SIZE, &message,
			&what);
	if (r < 0) {
		printf("malformed %s\n", what);
		return r;
	}
	*taken += (size_t) size;
	show(&message);
	if (message.kind == NVO3_PING)
		client->pong_id = message.id;
	return size;
}

/* Returns 0, or a negative errno when the session is over. */
static int hear_some(struct client *client)
{
	ssize_t n = recv(client->fd, client->input + client->used, INPUT_SIZE - client->used, 0);
	size_t taken = 0;
	long size;

	if (n <= 0) {
		printf("closed\n");
		return -ECONNRESET;
	}
	client->used += (size_t) n;
	while ((size = hear_frame(client, &taken)) > 0)
		;
	memmove(client->input, client->input + taken, client->used - taken);
	client->used -= taken;
	answer_ping(client);
	return size < 0 ? (int) size : 0;
}

/* --- the loop --- */

static int open_session(const char *address, const char *port)
{
	struct sockaddr_storage peer;
	const int on = 1;
	struct ip ip;
	socklen_t size;
	int fd;

	if (ip_from_text(address, &ip) < 0)
		return -EINVAL;
	size = endpoint_to_sockaddr(ip, (uint16_t) number(port), &peer);
	fd = socket(peer.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *) &peer, size) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* Until standard input ends. After "closed" the socket is not looked at any more. */
static int talk(struct client *client)
{
	char line[LINE_MAX_SIZE];

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = client->over || client->paused ? -1 : client->fd,
			  .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents && hear_some(client) < 0)
			client->over = true;
		if (fds[0].revents) {
			if (!fgets(line, sizeof(line), stdin))
				return 0;
			run_line(client, line);
		}
	}
}

int main(int argc, char **argv)
{
	_cleanup_free_ uint8_t *input = malloc(INPUT_SIZE);
	struct client client = { .input = input };

	if (argc != 3 || !input) {
		fprintf(stderr, "usage: nve_client ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	client.fd = open_session(argv[1], argv[2]);
	if (client.fd < 0) {
		fprintf(stderr, "nve_client: %s: %s\n", argv[1], strerror(-client.fd));
		return EXIT_FAILURE;
	}
	/*
	 * Lines are written and read one at a time: the driver waits for them, and poll() sees no
	 * buffer.
	 */
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	return talk(&client) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
