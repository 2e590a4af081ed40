/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nva/reservations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SIZE = 128 };

/* --- the table --- */

static int compare_keys(const void *left, const void *right)
{
	const struct reservation *a = left, *b = right;

	if (a->vni != b->vni)
		return a->vni < b->vni ? -1 : 1;
	return mac_cmp(a->mac, b->mac);
}

/* "VNI MAC IPV4", comment and blanks at the end cut off. NULL, or what is wrong. */
static const char *read_entry(char *line, struct reservation *ret_entry)
{
	static const char blanks[] = " \t\r";
	char *rest = NULL, *vni = strtok_r(line, blanks, &rest),
	     *mac = strtok_r(NULL, blanks, &rest), *ip = strtok_r(NULL, blanks, &rest);

	if (!ip || strtok_r(NULL, blanks, &rest))
		return "this is not \"VNI MAC IPV4-ADDRESS\"";
	if (vni_from_text(vni, &ret_entry->vni) < 0)
		return "the first word is not a VNI, 1 to 16777215";
	if (mac_from_text(mac, &ret_entry->mac) < 0 || mac_is_group(ret_entry->mac) ||
	    mac_is_zero(ret_entry->mac))
		return "the second word is not a station's MAC address";
	if (ip_from_text(ip, &ret_entry->ip) < 0 || ret_entry->ip.family != AF_INET ||
	    !ip_is_unicast(ret_entry->ip))
		return "the third word is not a host's IPv4 address";
	return NULL;
}

/*
 * Copies the line at @text without its comment. False when it is too long for anything that we
 * understand.
 */
static bool copy_line(const char *text, size_t size, char line[LINE_SIZE])
{
	const char *comment = memchr(text, '#', size);

	size = comment ? (size_t) (comment - text) : size;
	if (size >= LINE_SIZE || memchr(text, '\0', size))
		return false;
	memcpy(line, text, size);
	line[size] = '\0';
	return true;
}

struct parsing {
	struct reservation *entries;
	size_t count, room;
};

static int add(struct parsing *parsing, struct reservation entry, const char **reterr_what)
{
	if (parsing->count == RESERVATIONS_ENTRIES_MAX) {
		*reterr_what = "there are too many entries";
		return -E2BIG;
	}
	if (parsing->count == parsing->room) {
		size_t room = parsing->room ? 2 * parsing->room : 64;
		struct reservation *entries =
			reallocarray(parsing->entries, room, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		parsing->entries = entries;
		parsing->room = room;
	}
	parsing->entries[parsing->count++] = entry;
	return 0;
}

static int parse_line(struct parsing *parsing, unsigned number, const char *text, size_t size,
		      const char **reterr_what)
{
	struct reservation entry = { .line = number };
	char line[LINE_SIZE];

	if (!copy_line(text, size, line)) {
		*reterr_what = "this line is too long, or no text";
		return -EBADMSG;
	}
	if (strspn(line, " \t\r") == strlen(line))
		return 0;
	*reterr_what = read_entry(line, &entry);
	return *reterr_what ? -EBADMSG : add(parsing, entry, reterr_what);
}

static int check_twice(const struct parsing *parsing, unsigned *reterr_line,
		       const char **reterr_what)
{
	for (size_t i = 1; i < parsing->count; i++) {
		const struct reservation *a = &parsing->entries[i - 1], *b = &parsing->entries[i];

		if (compare_keys(a, b) != 0)
			continue;
		*reterr_line = a->line > b->line ? a->line : b->line;
		*reterr_what = "this MAC is there twice in its VNI";
		return -EBADMSG;
	}
	return 0;
}

int reservations_parse(const char *text, size_t size, struct reservation **ret_entries,
		       unsigned *reterr_line, const char **reterr_what)
{
	struct parsing parsing = { 0 };
	const char *end = text + size;
	unsigned line = 0;
	int r = 0;

	while (text < end && r == 0) {
		const char *newline = memchr(text, '\n', (size_t) (end - text));
		const char *stop = newline ? newline : end;

		line++;
		r = parse_line(&parsing, line, text, (size_t) (stop - text), reterr_what);
		text = newline ? newline + 1 : end;
	}
	if (r == 0 && parsing.count)
		qsort(parsing.entries, parsing.count, sizeof(*parsing.entries), compare_keys);
	if (r == 0)
		r = check_twice(&parsing, &line, reterr_what);
	if (r < 0) {
		*reterr_line = line;
		free(parsing.entries);
		return r;
	}
	*ret_entries = parsing.entries;
	return (int) parsing.count;
}

/* --- the file --- */

struct reservations {
	char *path;
	struct stat as; /* when it was read last, or tried to be */
	struct reservation *entries;
	size_t count;
};

static int explain(const struct reservations *reservations, int error, char *reterr_message)
{
	(void) snprintf(reterr_message, RESERVATIONS_MESSAGE_SIZE, "%.150s: %s", reservations->path,
			strerror(-error));
	return error;
}

/* The whole file, to be freed with free(). */
static int read_whole(int fd, const struct stat *as, char **ret_text, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t used = 0;

	if (!S_ISREG(as->st_mode))
		return -EINVAL;
	if (as->st_size > RESERVATIONS_FILE_MAX)
		return -EFBIG;
	text = malloc((size_t) as->st_size + 1);
	if (!text)
		return -ENOMEM;
	while (used < (size_t) as->st_size) {
		ssize_t n = read(fd, text + used, (size_t) as->st_size - used);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t) n;
	}
	*ret_text = TAKE_PTR(text);
	*ret_size = used;
	return 0;
}

static int load(struct reservations *reservations, int fd, char *reterr_message)
{
	_cleanup_free_ char *text = NULL;
	struct reservation *entries = NULL;
	const char *what = "";
	unsigned line = 0;
	size_t size = 0;
	int r = read_whole(fd, &reservations->as, &text, &size);

	if (r < 0)
		return explain(reservations, r, reterr_message);
	r = reservations_parse(text, size, &entries, &line, &what);
	if (r == -ENOMEM)
		return explain(reservations, r, reterr_message);
	if (r < 0) {
		(void) snprintf(reterr_message, RESERVATIONS_MESSAGE_SIZE, "%.150s:%u: %s",
				reservations->path, line, what);
		return r;
	}
	free(reservations->entries);
	reservations->entries = entries;
	reservations->count = (size_t) r;
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int reservations_refresh(struct reservations *reservations, char *reterr_message)
{
	_cleanup_close_ int fd = open(reservations->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat as = { 0 };
	int error = fd < 0 || fstat(fd, &as) < 0 ? -errno : 0;

	if (is_same(&as, &reservations->as))
		return 0; /* it is as it was, or still not there */
	reservations->as = as;
	return error < 0 ? explain(reservations, error, reterr_message)
			 : load(reservations, fd, reterr_message);
}

int reservations_open(const char *path, struct reservations **ret_reservations,
		      char *reterr_message)
{
	_cleanup_(reservations_freep) struct reservations *reservations =
		calloc(1, sizeof(*reservations));
	int r;

	(void) snprintf(reterr_message, RESERVATIONS_MESSAGE_SIZE, "%.150s: out of memory", path);
	if (!reservations)
		return -ENOMEM;
	reservations->path = strdup(path);
	if (!reservations->path)
		return -ENOMEM;
	reservations->as.st_size = -1; /* no file is like that */
	r = reservations_refresh(reservations, reterr_message);
	if (r < 0)
		return r;
	*ret_reservations = TAKE_PTR(reservations);
	return 0;
}

struct reservations *reservations_free(struct reservations *reservations)
{
	if (!reservations)
		return NULL;
	free(reservations->entries);
	free(reservations->path);
	free(reservations);
	return NULL;
}

struct ip reservations_find(const struct reservations *reservations, uint32_t vni, struct mac mac)
{
	const struct reservation key = { .vni = vni, .mac = mac }, *found = NULL;

	if (reservations && reservations->count)
		found = bsearch(&key, reservations->entries, reservations->count, sizeof(key),
				compare_keys);
	return found ? found->ip : (struct ip){ 0 };
}
