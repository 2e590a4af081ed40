/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/ethers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SIZE = 128 };

/* --- the table --- */

static int compare_macs(const void *a, const void *b)
{
	return mac_cmp(((const struct ethers_entry *) a)->mac,
		       ((const struct ethers_entry *) b)->mac);
}

/* "MAC IPV4", comment and blanks at the end cut off. NULL, or what is wrong. */
static const char *read_entry(char *line, struct ethers_entry *ret_entry)
{
	static const char blanks[] = " \t\r";
	char *rest = NULL, *mac = strtok_r(line, blanks, &rest),
	     *ip = strtok_r(NULL, blanks, &rest);

	if (!ip || strtok_r(NULL, blanks, &rest))
		return "this is not \"MAC IPV4-ADDRESS\"";
	if (mac_from_text(mac, &ret_entry->mac) < 0 || mac_is_group(ret_entry->mac) ||
	    mac_is_zero(ret_entry->mac))
		return "the first word is not a station's MAC address";
	if (ip_from_text(ip, &ret_entry->ip) < 0 || ret_entry->ip.family != AF_INET ||
	    !ip_is_unicast(ret_entry->ip))
		return "the second word is not a host's IPv4 address";
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
	struct ethers_entry *entries;
	size_t count, room;
};

static int add(struct parsing *parsing, struct ethers_entry entry, const char **reterr_what)
{
	if (parsing->count == ETHERS_ENTRIES_MAX) {
		*reterr_what = "there are too many entries";
		return -E2BIG;
	}
	if (parsing->count == parsing->room) {
		size_t room = parsing->room ? 2 * parsing->room : 64;
		struct ethers_entry *entries =
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
	struct ethers_entry entry = { .line = number };
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
		const struct ethers_entry *a = &parsing->entries[i - 1], *b = &parsing->entries[i];

		if (compare_macs(a, b) != 0)
			continue;
		*reterr_line = a->line > b->line ? a->line : b->line;
		*reterr_what = "this MAC is there twice";
		return -EBADMSG;
	}
	return 0;
}

int ethers_parse(const char *text, size_t size, struct ethers_entry **ret_entries,
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
		qsort(parsing.entries, parsing.count, sizeof(*parsing.entries), compare_macs);
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

struct ethers {
	char *path;
	struct stat as; /* when it was read last, or tried to be */
	struct ethers_entry *entries;
	size_t count;
};

static int explain(const struct ethers *ethers, int error, char *reterr_message)
{
	(void) snprintf(reterr_message, ETHERS_MESSAGE_SIZE, "%.150s: %s", ethers->path,
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
	if (as->st_size > ETHERS_FILE_MAX)
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

static int load(struct ethers *ethers, int fd, char *reterr_message)
{
	_cleanup_free_ char *text = NULL;
	struct ethers_entry *entries = NULL;
	const char *what = "";
	unsigned line = 0;
	size_t size = 0;
	int r = read_whole(fd, &ethers->as, &text, &size);

	if (r < 0)
		return explain(ethers, r, reterr_message);
	r = ethers_parse(text, size, &entries, &line, &what);
	if (r == -ENOMEM)
		return explain(ethers, r, reterr_message);
	if (r < 0) {
		(void) snprintf(reterr_message, ETHERS_MESSAGE_SIZE, "%.150s:%u: %s", ethers->path,
				line, what);
		return r;
	}
	free(ethers->entries);
	ethers->entries = entries;
	ethers->count = (size_t) r;
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int ethers_refresh(struct ethers *ethers, char *reterr_message)
{
	_cleanup_close_ int fd = open(ethers->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat as = { 0 };
	int error = fd < 0 || fstat(fd, &as) < 0 ? -errno : 0;

	if (is_same(&as, &ethers->as))
		return 0; /* it is as it was, or still not there */
	ethers->as = as;
	return error < 0 ? explain(ethers, error, reterr_message)
			 : load(ethers, fd, reterr_message);
}

int ethers_open(const char *path, struct ethers **ret_ethers, char *reterr_message)
{
	_cleanup_(ethers_freep) struct ethers *ethers = calloc(1, sizeof(*ethers));
	int r;

	(void) snprintf(reterr_message, ETHERS_MESSAGE_SIZE, "%.150s: out of memory", path);
	if (!ethers)
		return -ENOMEM;
	ethers->path = strdup(path);
	if (!ethers->path)
		return -ENOMEM;
	ethers->as.st_size = -1; /* no file is like that */
	r = ethers_refresh(ethers, reterr_message);
	if (r < 0)
		return r;
	*ret_ethers = TAKE_PTR(ethers);
	return 0;
}

struct ethers *ethers_free(struct ethers *ethers)
{
	if (!ethers)
		return NULL;
	free(ethers->entries);
	free(ethers->path);
	free(ethers);
	return NULL;
}

struct ip ethers_find(const struct ethers *ethers, struct mac mac)
{
	const struct ethers_entry key = { .mac = mac };
	const struct ethers_entry *found =
		ethers->count
			? bsearch(&key, ethers->entries, ethers->count, sizeof(key), compare_macs)
			: NULL;

	return found ? found->ip : (struct ip){ 0 };
}
