/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/*
 * From @guest on, memory is at @host, up to @end: the end of QEMU's mapping. QEMU has a guard page
 * after it (util/mmap-alloc.c).
 */
struct piece {
	uint64_t guest, host, end;
};

struct guest_memory {
	int fd; /* /proc/PID/mem: of that process, also when the number is another's one day */
	struct piece pieces[GUEST_PLACES_MAX];
	size_t count;
};

/* --- opening --- */

static void take_mapping(struct guest_memory *memory, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < memory->count; i++)
		if (memory->pieces[i].host >= start && memory->pieces[i].host < end)
			memory->pieces[i].end = end;
}

/* A piece without a mapping keeps the end 0, and nothing is read there. proc(5), /proc/PID/maps. */
static int find_ends(pid_t pid, struct guest_memory *memory)
{
	_cleanup_free_ char *line = NULL;
	uint64_t start, end;
	size_t size = 0;
	char path[32];
	FILE *maps;

	(void) snprintf(path, sizeof(path), "/proc/%d/maps", (int) pid);
	maps = fopen(path, "re");
	if (!maps)
		return -errno;
	while (getline(&line, &size, maps) >= 0)
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2)
			take_mapping(memory, start, end);
	(void) fclose(maps);
	return 0;
}

int guest_memory_open(pid_t pid, const struct guest_map *map, struct guest_memory **ret_memory)
{
	_cleanup_(guest_memory_freep) struct guest_memory *memory = calloc(1, sizeof(*memory));
	char path[32];
	int r;

	if (!memory)
		return -ENOMEM;
	memory->count = map->count;
	for (size_t i = 0; i < map->count; i++) {
		memory->pieces[i].guest = map->places[i].guest;
		memory->pieces[i].host = map->places[i].host;
	}
	(void) snprintf(path, sizeof(path), "/proc/%d/mem", (int) pid);
	memory->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (memory->fd < 0)
		return -errno;
	r = find_ends(pid, memory);
	if (r < 0)
		return r;
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

/* --- reading --- */

/* The piece that begins next below @address; NULL: none. */
static const struct piece *find_piece(const struct guest_memory *memory, uint64_t address)
{
	const struct piece *found = NULL;

	for (size_t i = 0; i < memory->count; i++) {
		const struct piece *piece = &memory->pieces[i];

		if (piece->guest <= address && (!found || piece->guest > found->guest))
			found = piece;
	}
	return found;
}

int guest_memory_read(const struct guest_memory *memory, uint64_t address, void *data, size_t size)
{
	const struct piece *piece = find_piece(memory, address);
	uint64_t offset = piece ? address - piece->guest : 0;

	if (!piece || piece->end <= piece->host || offset >= piece->end - piece->host ||
	    size > piece->end - piece->host - offset)
		return -EFAULT;
	return pread(memory->fd, data, size, (off_t) (piece->host + offset)) == (ssize_t) size
		       ? 0
		       : -EFAULT;
}
