/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/sim/memory_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Records that wait to be written, and where each commit ends. */
struct memory_store {
	struct store store;
	struct disk *disk;
	void (*ready)(void *userdata);
	void *userdata;
	struct timer write; /* of the oldest commit */
	uint8_t *data;	    /* owned */
	size_t start, end, room;
	size_t *commits; /* owned: ends in @data */
	size_t commit_start, commit_end, commit_room;
	uint64_t ticket, durable;
};

static struct memory_store *of(struct store *store)
{
	return (struct memory_store *) store;
}

static void *grow(void *data, size_t *room, size_t needed, size_t item)
{
	if (needed <= *room)
		return data;
	*room = needed * 2;
	data = reallocarray(data, *room, item);
	if (!data)
		abort();
	return data;
}

/* --- records --- */

static size_t put_record(uint8_t *to, const struct change *change)
{
	size_t size = change_pack(change, to + 2);

	to[0] = (uint8_t) (size >> 8);
	to[1] = (uint8_t) size;
	return size + 2;
}

static int each_record(const uint8_t *data, size_t size,
		       int (*each)(void *userdata, const struct change *change), void *userdata)
{
	for (size_t at = 0; at < size;) {
		const uint8_t *record = data + at;
		size_t length = (size_t) record[0] << 8 | record[1];
		struct change change;
		int r = change_unpack(record + 2, length, &change);

		if (r == 0)
			r = each(userdata, &change);
		if (r != 0)
			return r;
		at += 2 + length;
	}
	return 0;
}

/* --- the disk --- */

static int note_written(void *userdata, const struct change *change)
{
	struct disk *disk = userdata;

	if (disk->written)
		disk->written(disk->userdata, change);
	return 0;
}

static void disk_write(struct disk *disk, const uint8_t *data, size_t size)
{
	disk->data = grow(disk->data, &disk->room, disk->size + size, 1);
	memcpy(disk->data + disk->size, data, size);
	disk->size += size;
	(void) each_record(data, size, note_written, disk);
}

void disk_put(struct disk *disk, const struct change *change)
{
	uint8_t record[CHANGE_SIZE_MAX + 2];

	disk_write(disk, record, put_record(record, change));
}

void disk_clear(struct disk *disk)
{
	free(disk->data);
	disk->data = NULL;
	disk->size = disk->room = 0;
}

/* --- the store --- */

static int store_load_all(struct store *store,
			  int (*each)(void *userdata, const struct change *change), void *userdata,
			  char *reterr_message)
{
	const struct disk *disk = of(store)->disk;

	return each_record(disk->data, disk->size, each, userdata);
}

static int store_append_one(struct store *store, const struct change *change)
{
	struct memory_store *memory = of(store);

	memory->data = grow(memory->data, &memory->room, memory->end + CHANGE_SIZE_MAX + 2, 1);
	memory->end += put_record(memory->data + memory->end, change);
	return 0;
}

static void await_write(struct memory_store *memory)
{
	struct disk *disk = memory->disk;

	if (memory->commit_start < memory->commit_end && !timer_runs(&memory->write))
		timer_start(disk->clock, &memory->write,
			    random_delay(disk->random, disk->write_us));
}

static uint64_t commit_all(struct store *store)
{
	struct memory_store *memory = of(store);
	size_t last = memory->commit_end > memory->commit_start
			      ? memory->commits[memory->commit_end - 1]
			      : memory->start;

	if (memory->end == last)
		return memory->ticket;
	memory->commits =
		grow(memory->commits, &memory->commit_room, memory->commit_end + 1, sizeof(size_t));
	memory->commits[memory->commit_end++] = memory->end;
	await_write(memory);
	return ++memory->ticket;
}

static void write_one(struct memory_store *memory)
{
	size_t end = memory->commits[memory->commit_start++];

	disk_write(memory->disk, memory->data + memory->start, end - memory->start);
	memory->start = end;
	memory->durable++;
	if (memory->start == memory->end) {
		memory->start = memory->end = 0;
		memory->commit_start = memory->commit_end = 0;
	}
}

/* Several commits may go in one write. */
static void on_write(void *object)
{
	struct memory_store *memory = object;
	size_t count = memory->commit_end - memory->commit_start;

	count = 1 + random_below(memory->disk->random, count);
	while (count-- > 0)
		write_one(memory);
	await_write(memory);
	memory->ready(memory->userdata);
}

static uint64_t get_durable(const struct store *store)
{
	return ((const struct memory_store *) store)->durable;
}

static int no_fd(const struct store *store)
{
	return -1;
}

static void dispatch(struct store *store)
{
}

static enum store_state get_state(const struct store *store, const char **ret_text)
{
	*ret_text = "";
	return STORE_WORKS;
}

static int describe(const struct store *store, struct json_object *object)
{
	return 0;
}

static struct store *store_release(struct store *store)
{
	struct memory_store *memory = of(store);

	timer_stop(memory->disk->clock, &memory->write);
	free(memory->data);
	free(memory->commits);
	free(memory);
	return NULL;
}

static const struct store_class memory_class = {
	.load = store_load_all,
	.append = store_append_one,
	.commit = commit_all,
	.durable = get_durable,
	.fd = no_fd,
	.dispatch = dispatch,
	.state = get_state,
	.describe = describe,
	.free = store_release,
};

struct store *memory_store_open(struct disk *disk, void (*ready)(void *userdata), void *userdata)
{
	struct memory_store *memory = calloc(1, sizeof(*memory));

	if (!memory)
		abort();
	memory->store.class = &memory_class;
	memory->disk = disk;
	memory->ready = ready;
	memory->userdata = userdata;
	memory->write = (struct timer){ .run = on_write, .object = memory };
	return &memory->store;
}

void memory_store_crash(struct store *store)
{
	struct memory_store *memory = of(store);
	size_t left = memory->commit_end - memory->commit_start;
	size_t count = left ? random_below(memory->disk->random, left + 1) : 0;

	while (count-- > 0)
		write_one(memory);
	store_free(store);
}

int memory_store_each(const struct store *store,
		      int (*each)(void *userdata, const struct change *change), void *userdata)
{
	const struct memory_store *memory = (const struct memory_store *) store;
	int r = each_record(memory->disk->data, memory->disk->size, each, userdata);

	if (r != 0 || memory->start == memory->end)
		return r;
	return each_record(memory->data + memory->start, memory->end - memory->start, each,
			   userdata);
}
