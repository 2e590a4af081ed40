// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/store_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "nva/store.h"

enum { READ_SIZE = 1 << 20 };

#define UNFINISHED ".tmp"

static const char *const kind_names[] = {
	[STORE_FILE_LOG] = "log",
	[STORE_FILE_SNAPSHOT] = "snapshot",
};

const char *store_file_name(enum store_file_kind kind, uint64_t number, char *buffer)
{
	(void) snprintf(buffer, STORE_NAME_SIZE, "%s-%016" PRIx64, kind_names[kind], number);
	return buffer;
}

/* --- messages --- */

__attribute__((format(printf, 3, 4))) static int fail(int error, char *reterr_message,
						      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(reterr_message, STORE_MESSAGE_SIZE, format, arguments);
	va_end(arguments);
	return error;
}

int store_damaged(const struct store_dir *dir, const char *name, char *reterr_message,
		  const char *format, ...)
{
	char what[128];
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return fail(-EBADMSG, reterr_message,
		    "The store is damaged: %s/%s: %s. Nothing was changed. Put a good copy of the "
		    "directory in its place; or move it away, and the NVA starts empty: import an "
		    "export, "
		    "or let the NVEs register what they serve",
		    dir->path, name, what);
}

/* --- the directory --- */

static int make_directory(const char *path)
{
	char *parent = strdupa(path);

	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (mkdir(dirname(parent), 0755) < 0 && errno != EEXIST)
		return -errno;
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_locked(const char *path, bool read_only)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!read_only && faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return TAKE_FD(fd);
}

int store_dir_open(const char *path, bool read_only, struct store_dir *ret_dir,
		   char *reterr_message)
{
	_cleanup_free_ char *copy = strdup(path);
	int r = 0;

	if (!copy)
		return fail(-ENOMEM, reterr_message, "out of memory");
	if (!read_only)
		r = make_directory(path);
	if (r < 0)
		return fail(r, reterr_message, "Cannot make the store's directory %s: %s", path,
			    strerror(-r));
	r = open_locked(path, read_only);
	if (r == -EBUSY)
		return fail(r, reterr_message,
			    "The store %s is in use by another NVA: stop that one, or give this "
			    "one another path",
			    path);
	if (r < 0)
		return fail(r, reterr_message, "Cannot open the store %s: %s", path, strerror(-r));
	ret_dir->fd = r;
	ret_dir->path = TAKE_PTR(copy);
	return 0;
}

void store_dir_close(struct store_dir *dir)
{
	if (dir->path)
		close(dir->fd);
	free(dir->path);
	dir->path = NULL;
}

/* --- which files there are --- */

/* False for what is no file of a store. */
static bool parse_name(const char *name, enum store_file_kind *ret_kind, uint64_t *ret_number)
{
	for (enum store_file_kind kind = STORE_FILE_LOG; kind <= STORE_FILE_SNAPSHOT; kind++) {
		size_t size = strlen(kind_names[kind]);
		char expected[STORE_NAME_SIZE];
		uint64_t number;

		if (strncmp(name, kind_names[kind], size) != 0 || name[size] != '-')
			continue;
		number = strtoull(name + size + 1, NULL, 16);
		if (strcmp(name, store_file_name(kind, number, expected)) != 0)
			continue;
		*ret_kind = kind;
		*ret_number = number;
		return true;
	}
	return false;
}

static bool is_unfinished(const char *name)
{
	size_t size = strlen(name), end = strlen(UNFINISHED);

	return size > end && strcmp(name + size - end, UNFINISHED) == 0;
}

static int each_name(const struct store_dir *dir, int (*each)(void *userdata, const char *name),
		     void *userdata)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!names) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(names)))
		r = each(userdata, entry->d_name);
	if (r == 0)
		r = -errno;
	closedir(names);
	return r;
}

/* The numbers of the logs, and the newest snapshot. */
struct listing {
	uint64_t snapshot;
	uint64_t *logs;
	size_t log_count;
};

static int take_name(void *userdata, const char *name)
{
	struct listing *listing = userdata;
	enum store_file_kind kind;
	uint64_t number, *logs;

	if (!parse_name(name, &kind, &number))
		return 0;
	if (kind == STORE_FILE_SNAPSHOT) {
		if (number > listing->snapshot)
			listing->snapshot = number;
		return 0;
	}
	logs = reallocarray(listing->logs, listing->log_count + 1, sizeof(*logs));
	if (!logs)
		return -ENOMEM;
	listing->logs = logs;
	logs[listing->log_count++] = number;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* The logs that count must follow each other without a gap. */
static int choose(const struct store_dir *dir, const struct listing *listing,
		  struct store_files *ret_files, char *reterr_message)
{
	struct store_files files = { .snapshot = listing->snapshot };
	uint64_t expected = listing->snapshot ? listing->snapshot : 1;
	char name[STORE_NAME_SIZE];

	for (size_t i = 0; i < listing->log_count; i++) {
		if (listing->logs[i] < expected)
			continue; /* the snapshot has it */
		if (listing->logs[i] != expected)
			break;
		files.first_log = files.first_log ? files.first_log : expected;
		files.last_log = expected++;
	}
	if ((files.snapshot && !files.last_log) ||
	    (listing->log_count && listing->logs[listing->log_count - 1] >= expected))
		return store_damaged(dir, store_file_name(STORE_FILE_LOG, expected, name),
				     reterr_message, "it is missing");
	*ret_files = files;
	return 0;
}

int store_dir_list(const struct store_dir *dir, struct store_files *ret_files, char *reterr_message)
{
	struct listing listing = { 0 };
	int r = each_name(dir, take_name, &listing);

	if (r < 0) {
		(void) fail(r, reterr_message, "Cannot read the store %s: %s", dir->path,
			    strerror(-r));
	} else {
		if (listing.log_count > 0)
			qsort(listing.logs, listing.log_count, sizeof(*listing.logs),
			      compare_numbers);
		r = choose(dir, &listing, ret_files, reterr_message);
	}
	free(listing.logs);
	return r;
}

struct tidying {
	const struct store_dir *dir;
	const struct store_files *files;
};

static int tidy_name(void *userdata, const char *name)
{
	const struct tidying *tidying = userdata;
	enum store_file_kind kind;
	uint64_t number;
	bool is_old = parse_name(name, &kind, &number) && number < tidying->files->snapshot;

	if (!is_old && !is_unfinished(name))
		return 0;
	return unlinkat(tidying->dir->fd, name, 0) < 0 ? -errno : 0;
}

int store_dir_tidy(const struct store_dir *dir, const struct store_files *files)
{
	struct tidying tidying = { dir, files };

	return each_name(dir, tidy_name, &tidying);
}

/* --- files --- */

static const char *unfinished_name(const struct store_head *head, char *buffer)
{
	char name[STORE_NAME_SIZE];

	(void) snprintf(buffer, STORE_NAME_SIZE + sizeof(UNFINISHED), "%s%s",
			store_file_name(head->kind, head->number, name), UNFINISHED);
	return buffer;
}

int store_file_make(const struct store_dir *dir, const struct store_head *head)
{
	char name[STORE_NAME_SIZE + sizeof(UNFINISHED)];
	uint8_t bytes[STORE_HEAD_SIZE];
	_cleanup_close_ int fd = openat(dir->fd, unfinished_name(head, name),
					O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n;

	if (fd < 0)
		return -errno;
	store_head_pack(head, bytes);
	n = write(fd, bytes, sizeof(bytes));
	if (n < 0)
		return -errno;
	return n == sizeof(bytes) ? TAKE_FD(fd) : -ENOSPC;
}

int store_file_publish(const struct store_dir *dir, const struct store_head *head, int fd)
{
	char unfinished[STORE_NAME_SIZE + sizeof(UNFINISHED)], name[STORE_NAME_SIZE];

	if (fsync(fd) < 0 ||
	    renameat(dir->fd, unfinished_name(head, unfinished), dir->fd,
		     store_file_name(head->kind, head->number, name)) < 0 ||
	    fsync(dir->fd) < 0)
		return -errno;
	return 0;
}

/* A medium that cannot be read shows here as an error, and not as a SIGBUS later. */
static int read_through(int fd)
{
	_cleanup_free_ uint8_t *buffer = malloc(READ_SIZE);
	off_t position = 0;
	ssize_t n;

	if (!buffer)
		return -ENOMEM;
	while ((n = pread(fd, buffer, READ_SIZE, position)) > 0)
		position += n;
	return n < 0 ? -errno : 0;
}

static int map_file(const struct store_dir *dir, const char *name, struct store_map *ret_map)
{
	_cleanup_close_ int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;
	void *data;
	int r;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size == 0)
		return -EBADMSG;
	r = read_through(fd);
	if (r < 0)
		return r;
	data = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	*ret_map = (struct store_map){ data, (size_t) status.st_size };
	return 0;
}

static int check_head(const struct store_dir *dir, const char *name, const struct store_map *map,
		      const struct store_head *expected, char *reterr_message)
{
	struct store_head head;
	int r = store_head_unpack(map->data, map->size, &head);

	if (r == -EPROTONOSUPPORT)
		return fail(r, reterr_message,
			    "The store %s is of version %u, and this NVA knows version %d: it was "
			    "written by a newer NVA. Nothing was changed. Start that NVA, or give "
			    "this one another path",
			    dir->path, head.version, STORE_VERSION);
	if (r < 0)
		return store_damaged(dir, name, reterr_message, "it does not begin as it should");
	if (head.kind != expected->kind || head.number != expected->number)
		return store_damaged(dir, name, reterr_message, "it was once called otherwise");
	return 0;
}

int store_map(const struct store_dir *dir, enum store_file_kind kind, uint64_t number,
	      struct store_map *ret_map, char *reterr_message)
{
	const struct store_head expected = { STORE_VERSION, kind, number };
	struct store_map map = { 0 };
	char name[STORE_NAME_SIZE];
	int r = map_file(dir, store_file_name(kind, number, name), &map);

	if (r == -EBADMSG)
		return store_damaged(dir, name, reterr_message, "it is empty, or no file");
	if (r < 0)
		return fail(r, reterr_message, "Cannot read %s/%s of the store: %s", dir->path,
			    name, strerror(-r));
	r = check_head(dir, name, &map, &expected, reterr_message);
	if (r < 0)
		store_unmap(&map);
	else
		*ret_map = map;
	return r;
}

void store_unmap(struct store_map *map)
{
	if (map->data)
		(void) munmap(map->data, map->size);
	*map = (struct store_map){ 0 };
}
