/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_config.c - any bytes as a configuration file: config_read() ends, and an error comes with
 * one line that names the file.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "tests/fuzz/fuzz.h"

/* What the file said, counted. */
struct counts {
	unsigned sections, keys;
};

static int parse_any(void *target, const char *value, char *reterr_message)
{
	struct counts *counts = target;

	FUZZ_CHECK(!strchr(value, '\n'));
	if (strcmp(value, "bad") == 0) {
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "not %s", value);
		return -EINVAL;
	}
	counts->keys++;
	return 0;
}

static int open_any(void *config, const char *argument, void **ret_target, char *reterr_message)
{
	struct counts *counts = config;

	FUZZ_CHECK(!strpbrk(argument, "\n]"));
	if (strcmp(argument, "bad") == 0) {
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "not %s", argument);
		return -EINVAL;
	}
	counts->sections++;
	*ret_target = counts;
	return 0;
}

static const struct config_key keys[] = { { "a", parse_any }, { "bridge", parse_any } };
static const struct config_section sections[] = {
	{ "agent", false, keys, ARRAY_SIZE(keys), open_any },
	{ "vni", true, keys, ARRAY_SIZE(keys), open_any },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64], message[CONFIG_MESSAGE_SIZE];
	struct counts counts = { 0 };
	int r;

	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t) size);
	(void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(message, 'x', sizeof(message));

	r = config_read(path, sections, ARRAY_SIZE(sections), &counts, message);
	FUZZ_CHECK(r == 0 || r == -EINVAL);
	FUZZ_CHECK(counts.keys <= counts.sections * ARRAY_SIZE(keys));
	if (r == 0)
		return 0;
	FUZZ_CHECK(memchr(message, '\0', sizeof(message)) && !strchr(message, '\n'));
	FUZZ_CHECK(strncmp(message, path, strlen(path)) == 0);
	return 0;
}
