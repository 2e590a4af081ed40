/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lab/probe_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	LINE_MAX_SIZE = 64, /* the longest command is four letters */
	REPLY_MAX_SIZE = 1024,
	OUT_SIZE = 32 << 10,  /* what a client that does not read may leave with us */
	NET_DEV_COLUMNS = 16, /* proc(5): eight of receive, then eight of transmit */
	DEVICE_LINE_MAX = 512,
	MIB_LINE_MAX = 4096, /* "TcpExt:" and the names or values of some 130 counters */
};

struct client {
	int fd; /* -1: slot is free */
	bool echo;
	char in[LINE_MAX_SIZE];
	size_t in_size;
	char out[OUT_SIZE];
	size_t out_size;
};

struct probe_lines {
	int fd;
	const struct probe_sessions *sessions;
	struct client clients[PROBE_CLIENTS_MAX];
};

int probe_lines_new(uint16_t port, const struct probe_sessions *sessions,
		    struct probe_lines **ret_lines)
{
	_cleanup_(probe_lines_freep) struct probe_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;

	lines->sessions = sessions;
	for (size_t i = 0; i < PROBE_CLIENTS_MAX; i++)
		lines->clients[i].fd = -1;
	lines->fd = probe_tcp_listen(port);
	if (lines->fd < 0)
		return lines->fd;
	*ret_lines = TAKE_PTR(lines);
	return 0;
}

struct probe_lines *probe_lines_free(struct probe_lines *lines)
{
	if (!lines)
		return NULL;

	cleanup_closep(&lines->fd);
	for (size_t i = 0; i < PROBE_CLIENTS_MAX; i++)
		cleanup_closep(&lines->clients[i].fd);
	free(lines);
	return NULL;
}

static void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	client->echo = false;
	client->in_size = client->out_size = 0;
}

/* Finds "NAME:" at the start of a line of /proc/net/dev and reads its columns. */
static bool read_device(const char *name, uint64_t columns[NET_DEV_COLUMNS])
{
	FILE *file = fopen("/proc/net/dev", "re");
	char line[DEVICE_LINE_MAX];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *pos = line + strspn(line, " ");
		size_t length = strlen(name);

		found = strncmp(pos, name, length) == 0 && pos[length] == ':';
		pos += length + 1;
		for (size_t i = 0; found && i < NET_DEV_COLUMNS; i++)
			columns[i] = strtoull(pos, &pos, 10);
	}
	if (file)
		fclose(file);
	return found;
}

/*
 * The value below the word @name, in two lines of words that go by column. 0 when it is not there.
 */
static uint64_t below(const char *names, const char *values, const char *name)
{
	size_t length = strlen(name);

	while (*names && *values) {
		size_t word = strcspn(names, " \n");

		if (word == length && memcmp(names, name, length) == 0)
			return strtoull(values, NULL, 10);
		names += word + strspn(names + word, " \n");
		values += strcspn(values, " \n");
		values += strspn(values, " \n");
	}
	return 0;
}

/*
 * One counter of /proc/net/snmp or /proc/net/netstat (proc(5)): lines in pairs that begin with
 * @group, first names, then values.
 */
static uint64_t read_counter(const char *path, const char *group, const char *name)
{
	FILE *file = fopen(path, "re");
	char names[MIB_LINE_MAX], values[MIB_LINE_MAX];
	uint64_t value = 0;

	while (file && fgets(names, sizeof(names), file) && fgets(values, sizeof(values), file)) {
		if (strncmp(names, group, strlen(group)) == 0) {
			value = below(names, values, name);
			break;
		}
	}
	if (file)
		fclose(file);
	return value;
}

/* Commands write their reply, without newline, into @reply (REPLY_MAX_SIZE bytes). */
static void command_info(struct probe_lines *lines, struct client *client, char *reply)
{
	uint64_t c[NET_DEV_COLUMNS] = { 0 };
	int n = snprintf(reply, REPLY_MAX_SIZE,
			 "{\"uptime_us\":%" PRIu64 ",\"bad\":%" PRIu64
			 ",\"tcp\":{\"retransmissions\":%" PRIu64 ",\"timeouts\":%" PRIu64
			 "},\"eth0\":",
			 probe_now_us(), probe_sessions_bad(lines->sessions),
			 read_counter("/proc/net/snmp", "Tcp:", "RetransSegs"),
			 read_counter("/proc/net/netstat", "TcpExt:", "TCPTimeouts"));
	char *rest = reply + n;
	size_t room = REPLY_MAX_SIZE - (size_t) n;

	if (!read_device("eth0", c))
		snprintf(rest, room, "null}");
	else
		snprintf(rest, room,
			 "{\"rx_packets\":%" PRIu64 ",\"rx_errors\":%" PRIu64
			 ",\"rx_dropped\":%" PRIu64 ",\"tx_packets\":%" PRIu64
			 ",\"tx_errors\":%" PRIu64 ",\"tx_dropped\":%" PRIu64 "}}",
			 c[1], c[2], c[3], c[9], c[10], c[11]);
}

static void command_echo(struct probe_lines *lines, struct client *client, char *reply)
{
	client->echo = true;
	reply[0] = '\0'; /* nothing but the echo follows */
}

static const struct command {
	const char *name;
	void (*run)(struct probe_lines *lines, struct client *client, char *reply);
} commands[] = {
	{ "INFO", command_info },
	{ "ECHO", command_echo },
};

static void obey(struct probe_lines *lines, struct client *client, const char *line, size_t size)
{
	char reply[REPLY_MAX_SIZE] = "unknown command";
	size_t length;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (size == strlen(commands[i].name) && memcmp(line, commands[i].name, size) == 0)
			commands[i].run(lines, client, reply);

	length = strlen(reply);
	if (length == 0)
		return;
	reply[length++] = '\n';
	memcpy(client->out + client->out_size, reply, length);
	client->out_size += length;
}

/* Obeys whole lines while there is room for a reply. Returns false when a line is too long. */
static bool obey_lines(struct probe_lines *lines, struct client *client)
{
	while (!client->echo && client->out_size + REPLY_MAX_SIZE <= OUT_SIZE) {
		char *newline = memchr(client->in, '\n', client->in_size);
		size_t size = newline ? (size_t) (newline - client->in) : 0;

		if (!newline)
			return client->in_size < LINE_MAX_SIZE;
		obey(lines, client, client->in, size);
		client->in_size -= size + 1;
		memmove(client->in, newline + 1, client->in_size);
	}
	if (client->echo && client->out_size + client->in_size <= OUT_SIZE) {
		memcpy(client->out + client->out_size, client->in, client->in_size);
		client->out_size += client->in_size;
		client->in_size = 0;
	}
	return true;
}

static bool would_block(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Where the next bytes go: straight back in echo mode, else into the line being read. */
static size_t room_of(struct client *client, char **ret_room)
{
	bool direct = client->echo && client->in_size == 0;

	*ret_room = direct ? client->out + client->out_size : client->in + client->in_size;
	return direct ? OUT_SIZE - client->out_size : LINE_MAX_SIZE - client->in_size;
}

/* Both return false when the connection has ended. */
static bool client_read(struct probe_lines *lines, struct client *client)
{
	char *room;
	size_t size = room_of(client, &room);
	ssize_t n;

	if (size == 0)
		return true;
	n = recv(client->fd, room, size, MSG_DONTWAIT);
	if (n <= 0)
		return would_block(n);

	if (room == client->in + client->in_size)
		client->in_size += (size_t) n;
	else
		client->out_size += (size_t) n;
	return obey_lines(lines, client);
}

static bool client_write(struct client *client)
{
	ssize_t n;

	if (client->out_size == 0)
		return true;
	n = send(client->fd, client->out, client->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return would_block(n);

	client->out_size -= (size_t) n;
	memmove(client->out, client->out + n, client->out_size);
	return true;
}

static void accept_client(struct probe_lines *lines)
{
	_cleanup_close_ int fd = accept4(lines->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	(void) probe_tcp_prepare(fd);
	for (size_t i = 0; i < PROBE_CLIENTS_MAX; i++)
		if (lines->clients[i].fd < 0) {
			lines->clients[i].fd = TAKE_FD(fd);
			return;
		}
}

nfds_t probe_lines_poll(const struct probe_lines *lines, struct pollfd *fds)
{
	nfds_t count = 0;

	fds[count++] = (struct pollfd){ .fd = lines->fd, .events = POLLIN };
	for (size_t i = 0; i < PROBE_CLIENTS_MAX; i++) {
		const struct client *client = &lines->clients[i];
		short events = client->out_size < OUT_SIZE ? POLLIN : 0;

		if (client->out_size > 0)
			events |= POLLOUT;
		fds[count++] =
			(struct pollfd){ .fd = client->fd, .events = events }; /* -1 is skipped */
	}
	return count;
}

void probe_lines_serve(struct probe_lines *lines, const struct pollfd *fds, nfds_t count)
{
	for (nfds_t i = 1; i < count; i++) {
		struct client *client = &lines->clients[i - 1];

		if (fds[i].revents == 0)
			continue;
		if (!client_read(lines, client) || !client_write(client) ||
		    !obey_lines(lines, client))
			client_close(client);
	}
	if (fds[0].revents)
		accept_client(lines);
}
