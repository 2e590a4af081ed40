// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/json.h"
#include "nva/store_dir.h"
#include "nva/store_writer.h"

struct file_store {
	struct store store; /* first: the interface */
	struct store_dir dir;
	bool read_only;
	size_t log_max;
	int event_fd;

	struct store_end end;	     /* found by load() */
	size_t torn;		     /* bytes at the end that were never acknowledged */
	uint64_t changes;	     /* loaded */
	struct store_writer *writer; /* after load() */

	struct store_batch batch;      /* what was appended, and not given to the writer yet */
	bool open;		       /* appended since the last commit */
	uint64_t last, given, durable; /* tickets */
	struct store_writer_status status;
};

static struct file_store *of(struct store *store)
{
	return (struct file_store *) store;
}

static const struct file_store *of_const(const struct store *store)
{
	return (const struct file_store *) store;
}

/* --- load --- */

struct loading {
	struct file_store *store;
	int (*each)(void *userdata, const struct change *change);
	void *userdata;
	char *message;
};

static int load_frame(struct loading *loading, const char *name, const struct frame *frame,
		      size_t position)
{
	size_t at = 0, size;
	const uint8_t *data;
	int r;

	while ((r = body_next(frame, &at, &data, &size)) > 0) {
		struct change change;

		r = change_unpack(data, size, &change);
		if (r < 0)
			break;
		r = loading->each(loading->userdata, &change);
		if (r != 0)
			return r;
		loading->store->changes++;
	}
	if (r == -EBADMSG)
		return store_damaged(&loading->store->dir, name, loading->message,
				     "byte %zu: it says what no NVA can have written", position);
	return r;
}

/* *ret_end: just after the last good frame. @may_be_torn: the end of what was written last. */
static int load_map(struct loading *loading, const char *name, const struct store_map *map,
		    bool may_be_torn, size_t *ret_end, uint64_t *ret_frames)
{
	size_t position = STORE_HEAD_SIZE, at = position;
	struct frame frame;
	uint64_t n = 0;
	int r;

	while ((r = frame_next(map->data, map->size, &position, n, &frame)) > 0) {
		r = load_frame(loading, name, &frame, at);
		if (r != 0)
			return r;
		at = position;
		n++;
	}
	if (r == -EBADMSG || (r == -ENODATA && !may_be_torn))
		return store_damaged(&loading->store->dir, name, loading->message,
				     "byte %zu: a checksum is wrong", position);
	*ret_end = position;
	*ret_frames = n;
	return 0;
}

static int load_file(struct loading *loading, enum store_file_kind kind, uint64_t number,
		     bool is_last)
{
	struct file_store *store = loading->store;
	struct store_map map = { 0 };
	char name[STORE_NAME_SIZE];
	size_t end = 0;
	int r = store_map(&store->dir, kind, number, &map, loading->message);

	if (r < 0)
		return r;
	r = load_map(loading, store_file_name(kind, number, name), &map, is_last, &end,
		     &store->end.frames);
	/* A snapshot gets its name when it is whole: it ends with a good frame, and has one. */
	if (r == 0 && kind == STORE_FILE_SNAPSHOT && store->end.frames == 0)
		r = store_damaged(&store->dir, name, loading->message, "it is cut off");
	if (kind == STORE_FILE_SNAPSHOT)
		store->end.snapshot_size = map.size;
	if (is_last) {
		store->end.size = end;
		store->torn = map.size - end;
	}
	store_unmap(&map);
	return r;
}

static int load_files(struct loading *loading)
{
	const struct store_files *files = &loading->store->end.files;
	int r = 0;

	if (files->snapshot)
		r = load_file(loading, STORE_FILE_SNAPSHOT, files->snapshot, false);
	for (uint64_t log = files->first_log; r == 0 && log != 0 && log <= files->last_log; log++)
		r = load_file(loading, STORE_FILE_LOG, log, log == files->last_log);
	return r;
}

/* --- from then on it is written to --- */

static int make_first_log(struct file_store *store)
{
	const struct store_head head = { STORE_VERSION, STORE_FILE_LOG, 1 };
	_cleanup_close_ int fd = store_file_make(&store->dir, &head);
	int r = fd < 0 ? fd : store_file_publish(&store->dir, &head, fd);

	if (r < 0)
		return r;
	store->end.files.first_log = store->end.files.last_log = 1;
	store->end.size = STORE_HEAD_SIZE;
	store->end.fd = TAKE_FD(fd);
	return 0;
}

/*
 * What a killed NVA wrote may have been read from memory just now: it is told to NVEs from here on,
 * so it must be on disk. And what was torn must be gone before anything is written after it.
 */
static int open_last_log(struct file_store *store)
{
	char name[STORE_NAME_SIZE];
	_cleanup_close_ int fd = openat(
		store->dir.fd, store_file_name(STORE_FILE_LOG, store->end.files.last_log, name),
		O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || ftruncate(fd, (off_t) store->end.size) < 0 || fsync(fd) < 0 ||
	    fsync(store->dir.fd) < 0)
		return -errno;
	store->end.fd = TAKE_FD(fd);
	return 0;
}

static int begin_writing(struct file_store *store)
{
	int r = store_dir_tidy(&store->dir, &store->end.files);

	if (r == 0)
		r = store->end.files.last_log ? open_last_log(store) : make_first_log(store);
	if (r < 0)
		return r;
	r = store_writer_new(&store->dir, &store->end, store->log_max, store->event_fd,
			     &store->writer);
	if (r < 0)
		close(store->end.fd);
	else
		store_writer_status(store->writer, &store->status);
	return r;
}

static int file_load(struct store *base, int (*each)(void *userdata, const struct change *change),
		     void *userdata, char *reterr_message)
{
	struct file_store *store = of(base);
	struct loading loading = { store, each, userdata, reterr_message };
	int r = store_dir_list(&store->dir, &store->end.files, reterr_message);

	if (r == 0)
		r = load_files(&loading);
	if (r != 0 || store->read_only)
		return r;
	r = begin_writing(store);
	if (r < 0)
		(void) snprintf(reterr_message, STORE_MESSAGE_SIZE,
				"Cannot write to the store %s: %s", store->dir.path, strerror(-r));
	return r;
}

/* --- append, commit --- */

static int file_append(struct store *base, const struct change *change)
{
	struct file_store *store = of(base);

	store->open = true;
	return store_batch_add(&store->batch, change);
}

/* Gives the writer what has gathered, if it has nothing to do. */
static void give(struct file_store *store)
{
	if (!store->status.idle || store->batch.size == 0 || store->open)
		return;
	store->given = store->last;
	store->status.idle = false;
	store_writer_give(store->writer, &store->batch);
}

static uint64_t file_commit(struct store *base)
{
	struct file_store *store = of(base);

	if (store->open) {
		store->open = false;
		store->last++;
		give(store);
	}
	return store->last;
}

static uint64_t file_durable(const struct store *base)
{
	return of_const(base)->durable;
}

static int file_fd(const struct store *base)
{
	return of_const(base)->event_fd;
}

static void file_dispatch(struct store *base)
{
	struct file_store *store = of(base);
	eventfd_t count;

	(void) eventfd_read(store->event_fd, &count);
	store_writer_status(store->writer, &store->status);
	if (!store->status.idle)
		return;
	store->durable = store->given;
	give(store);
}

static enum store_state file_state(const struct store *base, const char **ret_text)
{
	const struct file_store *store = of_const(base);

	*ret_text = store->status.text;
	return store->status.state;
}

static int file_describe(const struct store *base, struct json_object *object)
{
	const struct file_store *store = of_const(base);
	const struct store_writer_status *status = &store->status;

	if (json_add_string(object, "kind", "file") < 0 ||
	    json_add_string(object, "path", store->dir.path) < 0 ||
	    json_add_u64(object, "changes_loaded", store->changes) < 0 ||
	    json_add_u64(object, "torn_bytes", store->torn) < 0 ||
	    json_add_u64(object, "syncs", status->syncs) < 0 ||
	    json_add_u64(object, "log_bytes", store->writer ? status->log_size : store->end.size) <
		    0 ||
	    json_add_u64(object, "snapshot_bytes",
			 store->writer ? status->snapshot_size : store->end.snapshot_size) < 0)
		return -ENOMEM;
	return status->snapshot_text[0]
		       ? json_add_string(object, "snapshot_error", status->snapshot_text)
		       : 0;
}

/* --- life --- */

/* Also what has gathered behind what is being written. */
static void wait_for_all(struct file_store *store)
{
	struct pollfd fd = { .fd = store->event_fd, .events = POLLIN };

	while (store->writer && store->status.state == STORE_WORKS && !store->status.idle) {
		(void) poll(&fd, 1, -1);
		file_dispatch(&store->store);
	}
}

static struct store *file_free(struct store *base)
{
	struct file_store *store = of(base);

	wait_for_all(store);
	store->writer = store_writer_free(store->writer);
	store_dir_close(&store->dir);
	if (store->event_fd >= 0)
		close(store->event_fd);
	free(store->batch.data);
	free(store);
	return NULL;
}

static const struct store_class file_class = {
	.load = file_load,
	.append = file_append,
	.commit = file_commit,
	.durable = file_durable,
	.fd = file_fd,
	.dispatch = file_dispatch,
	.state = file_state,
	.describe = file_describe,
	.free = file_free,
};

int store_file_open(const struct store_file_options *options, struct store **ret_store,
		    char *reterr_message)
{
	struct file_store *store = calloc(1, sizeof(*store));
	int r;

	(void) snprintf(reterr_message, STORE_MESSAGE_SIZE, "Cannot open the store: out of memory");
	if (!store)
		return -ENOMEM;
	store->store.class = &file_class;
	store->read_only = options->read_only;
	store->log_max = options->log_max ? options->log_max : STORE_LOG_MAX;
	store->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = store->event_fd < 0 ? -errno
				: store_dir_open(options->path, options->read_only, &store->dir,
						 reterr_message);
	if (r < 0) {
		(void) file_free(&store->store);
		return r;
	}
	*ret_store = &store->store;
	return 0;
}
