/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/unix_socket.h"
#include "tests/unit/unit.h"

enum {
	PATH_SIZE = 80,
	REQUEST_SIZE = 1 << 24, /* more than a socket's buffer holds */
	PATIENCE_MS = 30000,	/* what must happen has happened by then */
	SHORT_MS = 50,		/* for what must time out */
	SHORT_US = 1000 * SHORT_MS,
};

/* A directory of its own for each test, and a path in it. */
struct place {
	char directory[PATH_SIZE / 2], path[PATH_SIZE];
};

static struct place place_new(void)
{
	struct place place = { .directory = "/tmp/rehome-test-XXXXXX" };

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(place.directory));
	snprintf(place.path, sizeof(place.path), "%s/socket", place.directory);
	return place;
}

static void place_end(struct place *place)
{
	unlink(place->path);
	rmdir(place->directory);
}

/* Leaves behind what a killed process leaves: a socket nobody listens at. */
static void leave_dead_socket(const char *path)
{
	int fd = unix_socket_listen(path, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL(unix_socket_connect(path, SHORT_MS), -ECONNREFUSED);
}

/* --- listening --- */

static void listens_with_its_mode(void)
{
	static const mode_t modes[] = { 0600, 0660, 0666 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		_cleanup_(place_end) struct place place = place_new();
		_cleanup_close_ int fd = unix_socket_listen(place.path, modes[i]);
		struct stat status;

		CU_ASSERT_TRUE_FATAL(fd >= 0);
		CU_ASSERT_EQUAL(stat(place.path, &status), 0);
		CU_ASSERT_TRUE(S_ISSOCK(status.st_mode));
		CU_ASSERT_EQUAL(status.st_mode & 07777, modes[i]);
		CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		CU_ASSERT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
		CU_ASSERT_EQUAL(accept(fd, NULL, NULL), -1);
		CU_ASSERT_EQUAL(errno, EAGAIN);
	}
}

static void makes_one_level_of_directory(void)
{
	_cleanup_(place_end) struct place place = place_new();
	char child[PATH_SIZE], path[PATH_SIZE * 2];
	struct stat status;
	int fd;

	snprintf(child, sizeof(child), "%s/child", place.directory);
	snprintf(path, sizeof(path), "%s/grandchild/socket", child);
	CU_ASSERT_EQUAL(unix_socket_listen(path, 0600), -ENOENT);
	CU_ASSERT_NOT_EQUAL(access(child, F_OK), 0);

	snprintf(path, sizeof(path), "%s/socket", child);
	fd = unix_socket_listen(path, 0600);
	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_EQUAL(stat(child, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0755, 0755);
	close(fd);
	unlink(path);
	rmdir(child);
}

static void replaces_a_dead_socket_only(void)
{
	_cleanup_(place_end) struct place place = place_new();
	_cleanup_close_ int fd = -1, client = -1;

	leave_dead_socket(place.path);
	fd = unix_socket_listen(place.path, 0600);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(unix_socket_listen(place.path, 0600), -EADDRINUSE);
	client = unix_socket_connect(place.path, PATIENCE_MS);
	CU_ASSERT_TRUE(client >= 0); /* the one that answers is still there */
}

static void leaves_other_files_alone(void)
{
	_cleanup_(place_end) struct place place = place_new();
	int fd = open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL(unix_socket_listen(place.path, 0600), -EEXIST);
	CU_ASSERT_EQUAL(unlink(place.path), 0);
	CU_ASSERT_EQUAL(symlink("/dev/null", place.path), 0);
	CU_ASSERT_EQUAL(unix_socket_listen(place.path, 0600), -EEXIST);
}

enum {
	RIVALS = 8,
	ROUNDS = 20, /* enough that two rivals meet inside an unguarded unix_socket_listen() */
};

/*
 * A rival process: begins when the last writer of @start has closed it, tells the result through
 * @report, and holds the socket until it is killed.
 */
__attribute__((noreturn)) static void rival(const char *path, int start, int report)
{
	char byte;
	int fd;

	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(start, &byte, 1) != 0)
		_exit(1);
	fd = unix_socket_listen(path, 0600);
	if (write(report, fd >= 0 ? "w" : fd == -EADDRINUSE ? "l" : "?", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* Starts rivals at one moment, and counts who got the socket and who was told that it is in use. */
static void compete(const char *path, int *ret_winners, int *ret_losers)
{
	int start[2], report[2];
	pid_t pids[RIVALS];
	char byte;

	*ret_winners = *ret_losers = 0;
	CU_ASSERT_EQUAL_FATAL(pipe2(start, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(report, O_CLOEXEC), 0);
	for (size_t i = 0; i < RIVALS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(start[1]);
			rival(path, start[0], report[1]);
		}
		CU_ASSERT_TRUE_FATAL(pids[i] > 0);
	}
	close(start[1]);
	for (size_t i = 0; i < RIVALS; i++) {
		CU_ASSERT_EQUAL(read(report[0], &byte, 1), 1);
		*ret_winners += byte == 'w';
		*ret_losers += byte == 'l';
	}
	for (size_t i = 0; i < RIVALS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close(start[0]);
	close(report[0]);
	close(report[1]);
}

/* Of many that start at once over a dead socket exactly one gets it. */
static void lets_one_of_many_listen(void)
{
	_cleanup_(place_end) struct place place = place_new();
	int winners, losers;

	leave_dead_socket(place.path);
	for (int round = 0; round < ROUNDS; round++) {
		compete(place.path, &winners, &losers);
		CU_ASSERT_EQUAL(winners, 1);
		CU_ASSERT_EQUAL(losers, RIVALS - 1);
	}
}

/* The longest path that fits sun_path with its NUL works, one byte more does not. */
static void knows_how_long_a_path_may_be(void)
{
	enum {
		PATH_MAX_SIZE = sizeof(((struct sockaddr_un *) 0)->sun_path),
	};
	_cleanup_(place_end) struct place place = place_new();
	char path[PATH_MAX_SIZE + 1];
	int fd, client;

	memset(path, 'x', sizeof(path));
	memcpy(path, place.directory, strlen(place.directory));
	path[strlen(place.directory)] = '/';
	path[PATH_MAX_SIZE] = '\0';
	CU_ASSERT_EQUAL(unix_socket_listen(path, 0600), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(unix_socket_connect(path, SHORT_MS), -ENAMETOOLONG);

	path[PATH_MAX_SIZE - 1] = '\0';
	fd = unix_socket_listen(path, 0600);
	CU_ASSERT_TRUE(fd >= 0);
	client = unix_socket_connect(path, PATIENCE_MS);
	CU_ASSERT_TRUE(client >= 0);
	close(client);
	close(fd);
	unlink(path);
}

/* --- connecting --- */

static void says_why_it_cannot_connect(void)
{
	_cleanup_(place_end) struct place place = place_new();

	CU_ASSERT_EQUAL(unix_socket_connect(place.path, SHORT_MS), -ENOENT);
	CU_ASSERT_EQUAL(unix_socket_connect("", SHORT_MS), -ENOENT);
	leave_dead_socket(place.path);
	CU_ASSERT_EQUAL(unix_socket_connect(place.path, SHORT_MS), -ECONNREFUSED);
}

static void connects_blocking(void)
{
	_cleanup_(place_end) struct place place = place_new();
	_cleanup_close_ int fd = unix_socket_listen(place.path, 0600);
	_cleanup_close_ int client = unix_socket_connect(place.path, PATIENCE_MS);
	struct timeval timeout = { 42, 42 };
	socklen_t size = sizeof(timeout);

	CU_ASSERT_TRUE_FATAL(fd >= 0 && client >= 0);
	CU_ASSERT_TRUE(fcntl(client, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT_FALSE(fcntl(client, F_GETFL) & O_NONBLOCK);
	CU_ASSERT_EQUAL(getsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, &size), 0);
	CU_ASSERT_EQUAL(timeout.tv_sec, 0);
	CU_ASSERT_EQUAL(timeout.tv_usec, 0);
}

/* Nobody accepts, and the backlog is full. */
static void gives_up_on_a_full_backlog(void)
{
	enum {
		MANY = 256,
	};
	_cleanup_(place_end) struct place place = place_new();
	_cleanup_close_ int fd = unix_socket_listen(place.path, 0600);
	int clients[MANY], count = 0, last = 0;
	uint64_t start;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	while (count < MANY) {
		start = clock_monotonic_us();
		last = unix_socket_connect(place.path, SHORT_MS);
		if (last < 0)
			break;
		clients[count++] = last;
	}
	CU_ASSERT_EQUAL(last, -ETIMEDOUT);
	CU_ASSERT_TRUE(clock_monotonic_us() - start >= SHORT_US);
	CU_ASSERT_EQUAL(unix_socket_listen(place.path, 0600), -EADDRINUSE);
	while (count > 0)
		close(clients[--count]);
}

/* --- asking --- */

/* A peer that serves one connection by a script. */
struct peer {
	int listener;
	const char *reply; /* NULL: none */
	size_t reply_size;
	size_t piece;  /* bytes per send(); 0: all at once */
	bool hear_out; /* read the request before the reply */
	bool hold;     /* keep the connection until the asker closes it */
	char request[128];
	pthread_t thread;
};

static void peer_hear(struct peer *peer, int fd)
{
	size_t size = 0;

	while (size + 1 < sizeof(peer->request) && !memchr(peer->request, '\n', size)) {
		ssize_t r = read(fd, peer->request + size, sizeof(peer->request) - 1 - size);

		if (r <= 0)
			break;
		size += (size_t) r;
	}
	peer->request[size] = '\0';
}

static void peer_say(const struct peer *peer, int fd)
{
	size_t piece = peer->piece ? peer->piece : peer->reply_size;

	for (size_t at = 0; at < peer->reply_size; at += piece) {
		size_t left = peer->reply_size - at;

		if (send(fd, peer->reply + at, left < piece ? left : piece, MSG_NOSIGNAL) < 0)
			break;
	}
}

static void *peer_run(void *argument)
{
	struct peer *peer = argument;
	struct pollfd item = { .fd = peer->listener, .events = POLLIN };
	_cleanup_close_ int fd = -1;
	char byte;

	if (poll(&item, 1, PATIENCE_MS) == 1)
		fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (peer->hear_out)
		peer_hear(peer, fd);
	peer_say(peer, fd);
	while (peer->hold && read(fd, &byte, 1) > 0)
		;
	return NULL;
}

static int ask(struct peer *peer, const char *request, unsigned timeout_ms, size_t reply_size_max,
	       char **ret_reply)
{
	_cleanup_(place_end) struct place place = place_new();
	int r;

	peer->listener = unix_socket_listen(place.path, 0600);
	CU_ASSERT_TRUE_FATAL(peer->listener >= 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
	r = unix_socket_ask(place.path, request, timeout_ms, reply_size_max, ret_reply);
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	return r;
}

static void asks_and_reads_one_line(void)
{
	static const char reply[] = "{\"ok\": true}\r\nmore";

	for (size_t piece = 0; piece < sizeof(reply); piece++) {
		struct peer peer = { .reply = reply,
				     .reply_size = sizeof(reply) - 1,
				     .piece = piece,
				     .hear_out = true,
				     .hold = true };
		_cleanup_free_ char *line = NULL;

		CU_ASSERT_EQUAL_FATAL(ask(&peer, "{\"show\": 1}", PATIENCE_MS, 64, &line), 0);
		CU_ASSERT_STRING_EQUAL(line, "{\"ok\": true}");
		CU_ASSERT_STRING_EQUAL(peer.request, "{\"show\": 1}\n");
	}
}

static void asks_with_an_empty_request(void)
{
	struct peer peer = { .reply = "\n", .reply_size = 1, .hear_out = true };
	_cleanup_free_ char *line = NULL;

	CU_ASSERT_EQUAL_FATAL(ask(&peer, "", PATIENCE_MS, 0, &line), 0);
	CU_ASSERT_STRING_EQUAL(line, "");
	CU_ASSERT_STRING_EQUAL(peer.request, "\n");
}

/* Every truncation of an answer, its newline left out included. */
static void sees_an_answer_cut_short(void)
{
	static const char reply[] = "{\"ok\": true}\n";

	for (size_t size = 0; size < sizeof(reply) - 1; size++) {
		struct peer peer = { .reply = reply, .reply_size = size, .hear_out = true };
		char *line = NULL;

		CU_ASSERT_EQUAL(ask(&peer, "x", PATIENCE_MS, 64, &line), -ECONNRESET);
		CU_ASSERT_PTR_NULL(line);
	}
}

static void times_out_on_silence(void)
{
	struct peer peer = { .hold = true };
	uint64_t start = clock_monotonic_us();
	char *line = NULL;

	CU_ASSERT_EQUAL(ask(&peer, "x", SHORT_MS, 64, &line), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(line);
	CU_ASSERT_TRUE(clock_monotonic_us() - start >= SHORT_US);
}

/* The deadline is for the whole, not for each byte. */
static void times_out_on_half_an_answer(void)
{
	struct peer peer = { .reply = "half", .reply_size = 4, .hear_out = true, .hold = true };
	char *line = NULL;

	CU_ASSERT_EQUAL(ask(&peer, "x", SHORT_MS, 64, &line), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(line);
}

/* A request that fills the socket's buffer while the peer does not read. */
static char *long_request(void)
{
	char *request = malloc(REQUEST_SIZE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(request);
	memset(request, 'x', REQUEST_SIZE);
	request[REQUEST_SIZE - 1] = '\0';
	return request;
}

static void times_out_on_a_deaf_peer(void)
{
	_cleanup_(place_end) struct place place = place_new();
	_cleanup_close_ int listener = unix_socket_listen(place.path, 0600);
	_cleanup_free_ char *request = long_request();
	char *line = NULL;

	CU_ASSERT_TRUE_FATAL(listener >= 0);
	CU_ASSERT_EQUAL(unix_socket_ask(place.path, request, SHORT_MS, 64, &line), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(line);
}

static void refuses_a_reply_over_the_cap(void)
{
	struct peer peer = {
		.reply = "12345678\n", .reply_size = 9, .hear_out = true, .hold = true
	};
	_cleanup_free_ char *good = NULL;
	char *line = NULL;

	CU_ASSERT_EQUAL(ask(&peer, "x", PATIENCE_MS, 8, &good), 0);
	CU_ASSERT_STRING_EQUAL(good, "12345678");
	CU_ASSERT_EQUAL(ask(&peer, "x", PATIENCE_MS, 7, &line), -EMSGSIZE);
	CU_ASSERT_PTR_NULL(line);

	/* What follows the line that was asked for does not count. */
	peer.reply = "1\n12345678901234567890";
	peer.reply_size = strlen(peer.reply);
	free(good);
	good = NULL;
	CU_ASSERT_EQUAL(ask(&peer, "x", PATIENCE_MS, 7, &good), 0);
	CU_ASSERT_STRING_EQUAL(good, "1");
}

static void refuses_a_reply_with_nul(void)
{
	struct peer peer = { .reply = "a\0b\n", .reply_size = 4, .hear_out = true };
	char *line = NULL;

	CU_ASSERT_EQUAL(ask(&peer, "x", PATIENCE_MS, 64, &line), -EBADMSG);
	CU_ASSERT_PTR_NULL(line);
}

/* A server that is full may answer and close without reading, while the question is being sent. */
static void hears_an_answer_given_before_the_question(void)
{
	struct peer peer = { .reply = "busy\n", .reply_size = 5 };
	_cleanup_free_ char *request = long_request(), *line = NULL;

	CU_ASSERT_EQUAL_FATAL(ask(&peer, request, PATIENCE_MS, 64, &line), 0);
	CU_ASSERT_STRING_EQUAL(line, "busy");
}

static void passes_on_why_it_cannot_connect(void)
{
	_cleanup_(place_end) struct place place = place_new();
	char *line = NULL;

	CU_ASSERT_EQUAL(unix_socket_ask(place.path, "x", SHORT_MS, 64, &line), -ENOENT);
	leave_dead_socket(place.path);
	CU_ASSERT_EQUAL(unix_socket_ask(place.path, "x", SHORT_MS, 64, &line), -ECONNREFUSED);
	CU_ASSERT_PTR_NULL(line);
}

UNIT_MAIN("unix_socket", UNIT_TEST(listens_with_its_mode), UNIT_TEST(makes_one_level_of_directory),
	  UNIT_TEST(replaces_a_dead_socket_only), UNIT_TEST(leaves_other_files_alone),
	  UNIT_TEST(lets_one_of_many_listen), UNIT_TEST(knows_how_long_a_path_may_be),
	  UNIT_TEST(says_why_it_cannot_connect), UNIT_TEST(connects_blocking),
	  UNIT_TEST(gives_up_on_a_full_backlog), UNIT_TEST(asks_and_reads_one_line),
	  UNIT_TEST(asks_with_an_empty_request), UNIT_TEST(sees_an_answer_cut_short),
	  UNIT_TEST(times_out_on_silence), UNIT_TEST(times_out_on_half_an_answer),
	  UNIT_TEST(times_out_on_a_deaf_peer), UNIT_TEST(refuses_a_reply_over_the_cap),
	  UNIT_TEST(refuses_a_reply_with_nul), UNIT_TEST(hears_an_answer_given_before_the_question),
	  UNIT_TEST(passes_on_why_it_cannot_connect))
