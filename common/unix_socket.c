/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/lines.h"

enum {
	BACKLOG = 32,	  /* connections that wait for accept() */
	READ_SIZE = 4096, /* bytes per recv() */
	US_PER_MS = 1000,
	US_PER_S = 1000 * 1000,
};

static int address_from_path(const char *path, struct sockaddr_un *ret_address)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (path[0] == '\0')
		return -ENOENT;
	memcpy(address.sun_path, path, strlen(path));
	*ret_address = address;
	return 0;
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* --- listening --- */

/*
 * Opens the directory of @address, which it makes if need be, and locks it. While the lock is held
 * no other caller can find the socket between bind() and listen() and take it for a dead one.
 */
static int lock_parent(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	char parent[sizeof(address->sun_path)];
	char *slash;

	memcpy(parent, address->sun_path, sizeof(parent));
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0'; /* "/" stays */
	else
		(void) snprintf(parent, sizeof(parent), ".");

	if (mkdir(parent, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return TAKE_FD(fd);
}

/* Removes the socket at @address if nobody listens there any more. */
static int remove_dead_socket(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) == 0)
		return -EADDRINUSE;
	if (errno == EAGAIN) /* its backlog is full */
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * The new socket's inode takes the mode of @fd less the umask (Linux net/unix/af_unix.c,
 * unix_bind_bsd()), so that it is never more open than @mode; chmod() adds what the umask took.
 */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
	if (fchmod(fd, mode) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0)
		return -errno;
	if (chmod(address->sun_path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		int r = -errno;

		(void) unlink(address->sun_path);
		return r;
	}
	return 0;
}

int unix_socket_listen(const char *path, mode_t mode)
{
	_cleanup_close_ int lock = -1, fd = -1;
	struct sockaddr_un address;
	int r;

	r = address_from_path(path, &address);
	if (r < 0)
		return r;
	lock = lock_parent(&address);
	if (lock < 0)
		return lock;
	r = remove_dead_socket(&address);
	if (r < 0)
		return r;

	fd = open_socket();
	if (fd < 0)
		return fd;
	r = bind_with_mode(fd, &address, mode);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* --- connecting --- */

static uint64_t deadline_us(unsigned timeout_ms)
{
	return clock_monotonic_us() + (uint64_t) timeout_ms * US_PER_MS;
}

static uint64_t left_us(uint64_t deadline)
{
	uint64_t now = clock_monotonic_us();

	return now < deadline ? deadline - now : 0;
}

/* connect() waits for room in the backlog, at most this long (unix(7), socket(7)). */
static int set_connect_timeout(int fd, uint64_t timeout_us)
{
	struct timeval timeout = {
		.tv_sec = (time_t) (timeout_us / US_PER_S),
		.tv_usec = (suseconds_t) (timeout_us % US_PER_S),
	};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ? -errno : 0;
}

static int connect_until(const struct sockaddr_un *address, uint64_t deadline)
{
	const struct sockaddr *peer = (const struct sockaddr *) address;
	_cleanup_close_ int fd = open_socket();
	int r;

	if (fd < 0)
		return fd;

	do {
		/* Zero would mean for ever. */
		r = set_connect_timeout(fd, left_us(deadline) + 1);
		if (r < 0)
			return r;
		r = connect(fd, peer, sizeof(*address)) < 0 ? -errno : 0;
	} while (r == -EINTR);
	if (r == -EAGAIN)
		return -ETIMEDOUT;
	if (r < 0)
		return r;

	r = set_connect_timeout(fd, 0);
	return r < 0 ? r : TAKE_FD(fd);
}

int unix_socket_connect(const char *path, unsigned timeout_ms)
{
	struct sockaddr_un address;
	int r;

	r = address_from_path(path, &address);
	if (r < 0)
		return r;
	return connect_until(&address, deadline_us(timeout_ms));
}

/* --- one question, one answer --- */

static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd item = { .fd = fd, .events = events };
	uint64_t left, left_ms;
	int r;

	do {
		left = left_us(deadline);
		left_ms = (left + US_PER_MS - 1) / US_PER_MS;
		if (left == 0)
			return -ETIMEDOUT;
		r = poll(&item, 1, left_ms < INT_MAX ? (int) left_ms : INT_MAX);
	} while (r == 0 || (r < 0 && errno == EINTR));
	return r < 0 ? -errno : 0;
}

/* A peer that has closed already may have answered before: the reading decides. */
static int send_until(int fd, const char *data, size_t size, int flags, uint64_t deadline)
{
	while (size > 0) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT | flags);

		if (sent >= 0) {
			data += sent;
			size -= (size_t) sent;
		} else if (errno == EAGAIN) {
			int r = wait_for(fd, POLLOUT, deadline);

			if (r < 0)
				return r;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return 0;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Returns how many bytes came, 0 at the end of the stream. */
static ssize_t receive_until(int fd, char *buffer, size_t size, uint64_t deadline)
{
	for (;;) {
		ssize_t received = recv(fd, buffer, size, MSG_DONTWAIT);
		int r;

		if (received >= 0)
			return received;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = wait_for(fd, POLLIN, deadline);
		if (r < 0)
			return r;
	}
}

static int read_reply(int fd, size_t reply_size_max, uint64_t deadline, char **ret_reply)
{
	_cleanup_(lines_freep) struct lines *lines = lines_new(reply_size_max);
	const char *line;
	size_t size;
	char *reply;
	int r = 0;

	if (!lines)
		return -ENOMEM;

	while (!lines_next(lines, &line, &size)) {
		char buffer[READ_SIZE];
		ssize_t received;

		if (r < 0)
			return r;
		received = receive_until(fd, buffer, sizeof(buffer), deadline);
		if (received <= 0)
			return received < 0 ? (int) received : -ECONNRESET;
		r = lines_push(lines, buffer, (size_t) received);
	}

	if (memchr(line, '\0', size))
		return -EBADMSG; /* the caller would see another line */
	reply = malloc(size + 1);
	if (!reply)
		return -ENOMEM;
	memcpy(reply, line, size + 1);
	*ret_reply = reply;
	return 0;
}

int unix_socket_ask(const char *path, const char *request, unsigned timeout_ms,
		    size_t reply_size_max, char **ret_reply)
{
	uint64_t deadline = deadline_us(timeout_ms);
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	int r;

	r = address_from_path(path, &address);
	if (r < 0)
		return r;
	fd = connect_until(&address, deadline);
	if (fd < 0)
		return fd;

	r = send_until(fd, request, strlen(request), MSG_MORE, deadline);
	if (r == 0)
		r = send_until(fd, "\n", 1, 0, deadline);
	if (r < 0)
		return r;
	return read_reply(fd, reply_size_max, deadline, ret_reply);
}
