// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store_snapshot.c
 *
 * Of each key the last change counts. A first pass over the old files notes, in a hash table, where
 * the last change of each key stands: 8 bytes a key, nothing of the changes themselves. Further
 * passes copy a change if it stands where the table says, NVEs first, then members, then mappings,
 * which is the order store_load() promises.
 *
 * Withdrawn generations are dropped when they have the age, or the number, at which the directory
 * forgets them.
 */
#include "nva/store_snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "nva/change.h"
#include "nva/directory.h"
#include "nva/store.h"
#include "nva/table.h"

enum {
	SLOTS_MIN = 1 << 12,
	OUTPUT_SIZE = 1 << 20, /* of a frame's body */
};

struct store_snapshot {
	const struct store_dir *dir;
	struct store_files files;
	pthread_t thread;
	atomic_bool stop, done;
	int result;
	char message[STORE_MESSAGE_SIZE];

	struct store_map *maps; /* the old snapshot, if any, then the logs */
	size_t map_count;

	uint64_t *slots; /* where a change stands, counted over all maps, from 1; 0: free */
	size_t slot_count, slots_used; /* a power of two */

	int fd;
	uint64_t frames;
	size_t size;	 /* of the new file */
	uint8_t *output; /* a frame being filled */
	size_t output_size;
	size_t removed_to_skip; /* the oldest withdrawn generations */
	uint64_t now_s;
};

/* One change in the old files. */
struct place {
	const uint8_t *data;
	size_t size;
	uint64_t position; /* for the table */
};

/* --- the old files --- */

/* Calls @each for every change from the oldest to the newest. */
static int each_place(struct store_snapshot *snapshot,
		      int (*each)(struct store_snapshot *snapshot, const struct place *place))
{
	uint64_t base = 1;

	for (size_t i = 0; i < snapshot->map_count; base += snapshot->maps[i++].size) {
		const struct store_map *map = &snapshot->maps[i];
		size_t position = STORE_HEAD_SIZE;
		struct frame frame;
		int r;

		for (uint64_t n = 0;
		     (r = frame_next(map->data, map->size, &position, n, &frame)) > 0; n++) {
			struct place place;
			size_t at = 0;

			if (atomic_load(&snapshot->stop))
				return -ECANCELED;
			while (r > 0 &&
			       (r = body_next(&frame, &at, &place.data, &place.size)) > 0) {
				place.position = base + (uint64_t) (place.data - map->data);
				r = each(snapshot, &place);
				if (r < 0)
					return r;
				r = 1;
			}
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static const uint8_t *data_at(const struct store_snapshot *snapshot, uint64_t position,
			      size_t *ret_rest)
{
	const struct store_map *map = snapshot->maps;

	for (position--; position >= map->size; map++)
		position -= map->size;
	*ret_rest = map->size - position;
	return map->data + position;
}

/* --- the table of last changes --- */

/* NVE and NVE_GONE have the same keys, and so on. */
static uint8_t key_space(uint8_t kind)
{
	switch ((enum change_kind) kind) {
	case CHANGE_NVE_GONE:
		return CHANGE_NVE;
	case CHANGE_MEMBER_GONE:
		return CHANGE_MEMBER;
	case CHANGE_REMOVED:
		return CHANGE_MAPPING;
	case CHANGE_IDENTITY:
	case CHANGE_NVE:
	case CHANGE_MEMBER:
	case CHANGE_MAPPING:
	case CHANGE_KIND_COUNT:
		break;
	}
	return kind;
}

static uint64_t hash_of(const uint8_t *data, size_t key_size)
{
	return table_hash(key_space(data[0]), data + 1, key_size - 1);
}

static bool same_key(const struct store_snapshot *snapshot, uint64_t position, const uint8_t *data,
		     size_t key_size)
{
	size_t rest;
	const uint8_t *other = data_at(snapshot, position, &rest);

	return rest >= key_size && key_space(other[0]) == key_space(data[0]) &&
	       memcmp(other + 1, data + 1, key_size - 1) == 0;
}

/* The slot that has this key, or the free one for it. */
static uint64_t *find_slot(const struct store_snapshot *snapshot, const uint8_t *data,
			   size_t key_size)
{
	size_t mask = snapshot->slot_count - 1, i = hash_of(data, key_size) & mask;

	while (snapshot->slots[i] && !same_key(snapshot, snapshot->slots[i], data, key_size))
		i = (i + 1) & mask;
	return &snapshot->slots[i];
}

static int grow(struct store_snapshot *snapshot)
{
	uint64_t *old = snapshot->slots;
	size_t old_count = snapshot->slot_count, rest;

	snapshot->slot_count = old_count ? 2 * old_count : SLOTS_MIN;
	snapshot->slots = calloc(snapshot->slot_count, sizeof(*snapshot->slots));
	if (!snapshot->slots) {
		snapshot->slots = old;
		snapshot->slot_count = old_count;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old_count; i++) {
		const uint8_t *data;

		if (!old[i])
			continue;
		data = data_at(snapshot, old[i], &rest);
		*find_slot(snapshot, data, change_key_size(data, rest)) = old[i];
	}
	free(old);
	return 0;
}

static int note_place(struct store_snapshot *snapshot, const struct place *place)
{
	size_t key_size = change_key_size(place->data, place->size);
	uint64_t *slot;

	if (key_size == 0)
		return -EBADMSG;
	if (4 * (snapshot->slots_used + 1) > 3 * snapshot->slot_count && grow(snapshot) < 0)
		return -ENOMEM;
	slot = find_slot(snapshot, place->data, key_size);
	snapshot->slots_used += *slot == 0;
	*slot = place->position;
	return 0;
}

static bool is_last(const struct store_snapshot *snapshot, const struct place *place)
{
	size_t key_size = change_key_size(place->data, place->size);

	return *find_slot(snapshot, place->data, key_size) == place->position;
}

/* --- the new file --- */

static int flush(struct store_snapshot *snapshot)
{
	size_t size = frame_seal(snapshot->output, snapshot->output_size, snapshot->frames,
				 STORE_HEAD_SIZE);
	const uint8_t *next = snapshot->output, *end = next + size;

	while (next < end) {
		ssize_t n = write(snapshot->fd, next, (size_t) (end - next));

		if (n < 0 && errno != EINTR)
			return -errno;
		next += n > 0 ? n : 0;
	}
	snapshot->frames++;
	snapshot->size += size;
	snapshot->output_size = 0;
	return 0;
}

static int copy_place(struct store_snapshot *snapshot, const struct place *place)
{
	uint8_t *to = snapshot->output + FRAME_HEADER_SIZE + snapshot->output_size;

	memcpy(to + BODY_CHANGE_HEADER_SIZE, place->data, place->size);
	snapshot->output_size += body_seal(to, place->size);
	return snapshot->output_size >= OUTPUT_SIZE ? flush(snapshot) : 0;
}

/* --- the passes --- */

static bool is_forgotten(const struct store_snapshot *snapshot, const struct place *place)
{
	struct change change;

	return change_unpack(place->data, place->size, &change) == 0 &&
	       snapshot->now_s >= change.removed_s + DIRECTORY_TOMBSTONE_AGE_S;
}

static int count_removed(struct store_snapshot *snapshot, const struct place *place)
{
	if (place->data[0] == CHANGE_REMOVED && is_last(snapshot, place))
		snapshot->removed_to_skip++;
	return 0;
}

static int copy_first(struct store_snapshot *snapshot, const struct place *place)
{
	uint8_t kind = place->data[0];

	if ((kind != CHANGE_IDENTITY && kind != CHANGE_NVE) || !is_last(snapshot, place))
		return 0;
	return copy_place(snapshot, place);
}

static int copy_members(struct store_snapshot *snapshot, const struct place *place)
{
	if (place->data[0] != CHANGE_MEMBER || !is_last(snapshot, place))
		return 0;
	return copy_place(snapshot, place);
}

static int copy_endpoints(struct store_snapshot *snapshot, const struct place *place)
{
	if (key_space(place->data[0]) != CHANGE_MAPPING || !is_last(snapshot, place))
		return 0;
	if (place->data[0] == CHANGE_REMOVED) {
		if (snapshot->removed_to_skip > 0) {
			snapshot->removed_to_skip--;
			return 0;
		}
		if (is_forgotten(snapshot, place))
			return 0;
	}
	return copy_place(snapshot, place);
}

static int (*const passes[])(struct store_snapshot *snapshot, const struct place *place) = {
	note_place, count_removed, copy_first, copy_members, copy_endpoints,
};

static int map_files(struct store_snapshot *snapshot)
{
	const struct store_files *files = &snapshot->files;
	int r = 0;

	snapshot->maps = calloc(files->last_log - files->first_log + 1, sizeof(*snapshot->maps));
	if (!snapshot->maps)
		return -ENOMEM;
	if (files->snapshot)
		r = store_map(snapshot->dir, STORE_FILE_SNAPSHOT, files->snapshot,
			      &snapshot->maps[snapshot->map_count++], snapshot->message);
	for (uint64_t log = files->first_log; r == 0 && log < files->last_log; log++)
		r = store_map(snapshot->dir, STORE_FILE_LOG, log,
			      &snapshot->maps[snapshot->map_count++], snapshot->message);
	return r;
}

static int make(struct store_snapshot *snapshot)
{
	const struct store_head head = { STORE_VERSION, STORE_FILE_SNAPSHOT,
					 snapshot->files.last_log };
	const struct store_files left = { .snapshot = head.number };
	int r = map_files(snapshot);

	snapshot->output = malloc(frame_size(OUTPUT_SIZE + BODY_CHANGE_HEADER_SIZE + UINT16_MAX));
	snapshot->now_s = clock_realtime_us() / 1000000;
	if (r < 0 || !snapshot->output)
		return r < 0 ? r : -ENOMEM;
	snapshot->fd = store_file_make(snapshot->dir, &head);
	if (snapshot->fd < 0)
		return snapshot->fd;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(passes); i++) {
		r = each_place(snapshot, passes[i]);
		if (passes[i] == count_removed)
			snapshot->removed_to_skip =
				snapshot->removed_to_skip > DIRECTORY_TOMBSTONES_MAX
					? snapshot->removed_to_skip - DIRECTORY_TOMBSTONES_MAX
					: 0;
	}
	if (r == 0)
		r = flush(snapshot); /* also without a change: then it ends with a good frame */
	if (r == 0)
		r = store_file_publish(snapshot->dir, &head, snapshot->fd);
	if (r == 0)
		(void) store_dir_tidy(snapshot->dir, &left); /* else the next start does it */
	return r;
}

static void *run(void *userdata)
{
	struct store_snapshot *snapshot = userdata;

	snapshot->result = make(snapshot);
	atomic_store(&snapshot->done, true);
	return NULL;
}

/* --- the interface --- */

static void snapshot_free(struct store_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->map_count; i++)
		store_unmap(&snapshot->maps[i]);
	if (snapshot->fd >= 0)
		close(snapshot->fd);
	free(snapshot->maps);
	free(snapshot->slots);
	free(snapshot->output);
	free(snapshot);
}

int store_snapshot_begin(const struct store_dir *dir, const struct store_files *files,
			 struct store_snapshot **ret_snapshot)
{
	struct store_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return -ENOMEM;
	snapshot->dir = dir;
	snapshot->files = *files;
	snapshot->fd = -1;
	snapshot->size = STORE_HEAD_SIZE;
	if (pthread_create(&snapshot->thread, NULL, run, snapshot) != 0) {
		free(snapshot);
		return -EAGAIN;
	}
	*ret_snapshot = snapshot;
	return 0;
}

bool store_snapshot_is_done(const struct store_snapshot *snapshot)
{
	return atomic_load(&snapshot->done);
}

int store_snapshot_finish(struct store_snapshot *snapshot, size_t *ret_size, char *reterr_message)
{
	int r;

	(void) pthread_join(snapshot->thread, NULL);
	r = snapshot->result;
	if (r == 0)
		*ret_size = snapshot->size;
	else if (snapshot->message[0])
		(void) snprintf(reterr_message, STORE_MESSAGE_SIZE, "%s", snapshot->message);
	else
		(void) snprintf(reterr_message, STORE_MESSAGE_SIZE,
				"Cannot make a snapshot of the store %s: %s", snapshot->dir->path,
				strerror(-r));
	snapshot_free(snapshot);
	return r;
}

void store_snapshot_abort(struct store_snapshot *snapshot)
{
	atomic_store(&snapshot->stop, true);
	(void) pthread_join(snapshot->thread, NULL);
	snapshot_free(snapshot);
}
