/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct guest_memory {
	int fd; /* /proc/PID/mem: of that process, also when the number is another's one day */
	struct guest_map map;
};

int guest_memory_open(pid_t pid, const struct guest_map *map, struct guest_memory **ret_memory)
{
	_cleanup_(guest_memory_freep) struct guest_memory *memory = calloc(1, sizeof(*memory));
	char path[32];

	if (!memory)
		return -ENOMEM;
	(void) snprintf(path, sizeof(path), "/proc/%d/mem", (int) pid);
	memory->map = *map;
	memory->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (memory->fd < 0)
		return -errno;
	*ret_memory = TAKE_PTR(memory);
	return 0;
}

struct guest_memory *guest_memory_free(struct guest_memory *memory)
{
	if (!memory)
		return NULL;
	if (memory->fd >= 0)
		close(memory->fd);
	free(memory);
	return NULL;
}

/* Where @size bytes at @address are in the process; 0: nowhere. */
static uint64_t translate(const struct guest_map *map, uint64_t address, size_t size)
{
	uint64_t below = UINT64_MAX, host = 0;

	for (size_t i = 0; i < map->count; i++) {
		uint64_t offset = address - map->places[i].guest;

		if (address < map->places[i].guest || offset >= below)
			continue;
		below = offset;
		host = map->places[i].host;
	}
	if (host == 0 || below > map->size || size > map->size - below || host > INT64_MAX - below)
		return 0;
	return host + below;
}

int guest_memory_read(const struct guest_memory *memory, uint64_t address, void *data, size_t size)
{
	uint64_t at = translate(&memory->map, address, size);
	ssize_t n = at ? pread(memory->fd, data, size, (off_t) at) : -1;

	return n == (ssize_t) size ? 0 : -EFAULT;
}
