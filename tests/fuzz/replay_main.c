/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay_main.c - runs a fuzz target over the files of directories: the regression test of its
 * corpus.
 *
 * Fails when a directory cannot be read or holds no file, so that a lost corpus does not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

enum {
	CORPUS_FILE_MAX = 1 << 20, /* bytes; libFuzzer itself stops at 4096 unless told otherwise */
};

DEFINE_CLEANUP(DIR, closedir)

/* The input lies in a block of its exact size, so that a sanitizer sees a read past it. */
static int replay_file(int fd)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct stat status;
	ssize_t size;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size > CORPUS_FILE_MAX)
		return -EFBIG;

	data = malloc((size_t) status.st_size);
	if (!data && status.st_size > 0)
		return -ENOMEM;
	size = read(fd, data, (size_t) status.st_size);
	if (size != status.st_size)
		return size < 0 ? -errno : -EIO;
	return LLVMFuzzerTestOneInput(data, (size_t) size);
}

/* Returns how many files were replayed, or a negative errno. */
static int replay_directory(const char *path)
{
	_cleanup_(closedirp) DIR *directory = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (!directory)
		return -errno;

	while ((entry = readdir(directory))) {
		_cleanup_close_ int fd = -1;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : replay_file(fd);
		if (r < 0) {
			fprintf(stderr, "%s/%s: %s\n", path, entry->d_name, strerror(-r));
			return r;
		}
		count++;
	}
	return count > 0 ? count : -ENOENT;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "Usage: %s CORPUS_DIRECTORY...\n", argv[0]);
		return EXIT_FAILURE;
	}

	for (int i = 1; i < argc; i++) {
		int count = replay_directory(argv[i]);

		if (count < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-count));
			return EXIT_FAILURE;
		}
		printf("%s: %d inputs\n", argv[i], count);
	}
	return EXIT_SUCCESS;
}
