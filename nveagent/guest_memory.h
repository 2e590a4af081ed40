/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_memory.h - a guest's memory, read out of the process that runs it. Nothing is ever written,
 * and the guest and its QEMU notice nothing.
 */
#ifndef REHOME_NVEAGENT_GUEST_MEMORY_H
#define REHOME_NVEAGENT_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"

enum { GUEST_PLACES_MAX = 8 };

/*
 * Where a guest's memory is in its QEMU: each place says where one guest physical address is.
 * Memory is one piece from there up to the next place, or to the end of QEMU's mapping.
 */
struct guest_map {
	struct {
		uint64_t guest, host;
	} places[GUEST_PLACES_MAX];
	size_t count;
};

struct guest_memory;

/*
 * @pid: QEMU. Needs what ptrace(2) calls PTRACE_MODE_ATTACH_FSCREDS over it. Returns 0, -EACCES,
 * -ENOENT or another negative errno.
 */
int guest_memory_open(pid_t pid, const struct guest_map *map, struct guest_memory **ret_memory);
struct guest_memory *guest_memory_free(struct guest_memory *memory);
DEFINE_CLEANUP(struct guest_memory, guest_memory_free)

/*
 * Reads @size bytes at the guest physical @address, which may be any number. Returns 0; -EFAULT
 * when the guest has no memory there, or not that much: what else QEMU has in its memory is not
 * read.
 */
int guest_memory_read(const struct guest_memory *memory, uint64_t address, void *data, size_t size);

#endif
