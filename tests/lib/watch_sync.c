// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * watch_sync.c - preloaded into a program under test (LD_PRELOAD), so that a test can hold its
 * fsync() and fdatasync() back, and knows afterwards what a power failure would have left.
 *
 *   WATCH_SYNC_HOLD     while this file exists, neither returns
 *   WATCH_SYNC_RECORD   gets a line "PATH SIZE" for each file that was synced: so much is safe
 *
 * The line is written before the program knows, and the size taken before the sync.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 1000000 };

static void wait_while_held(void)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	const char *hold = getenv("WATCH_SYNC_HOLD");

	while (hold && access(hold, F_OK) == 0)
		(void) nanosleep(&pause, NULL);
}

static void record(int fd, off_t size)
{
	const char *path = getenv("WATCH_SYNC_RECORD");
	char link[64], file[PATH_MAX + 1] = "", line[PATH_MAX + 64];
	int out = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (out < 0)
		return;
	(void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, file, PATH_MAX) > 0) {
		(void) snprintf(line, sizeof(line), "%s %lld\n", file, (long long) size);
		if (write(out, line, strlen(line)) < 0)
			abort();
	}
	close(out);
}

static int sync_with(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
	struct stat status;
	int r;

	wait_while_held();
	if (fstat(fd, &status) < 0)
		return -1;
	r = real(fd);
	if (r == 0)
		record(fd, status.st_size);
	return r;
}

int fdatasync(int fd)
{
	return sync_with("fdatasync", fd);
}

int fsync(int fd)
{
	return sync_with("fsync", fd);
}
