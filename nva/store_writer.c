// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store_writer.c
 *
 *   store_writer_give() ──batch──▶ thread: pwrite, fdatasync ──▶ idle, event_fd
 *                                      │
 *                                      └─ the log is long ─▶ a new log; a thread makes a snapshot of
 *                                                            all before it (store_snapshot.c)
 *
 * Two kinds of trouble:
 *   - The disk is full. Nothing of the batch counts yet, whatever part of it has reached the file:
 *     it is written again, to the same place, every STORE_RETRY_MS.
 *   - Anything else, above all a failed fdatasync(): the kernel may have dropped the pages and said
 *     so only once, so writing again proves nothing (fsync(2), "errors"). The writer stops for
 *     good.
 *
 * A batch that was followed by nothing would, if it rotted, look like one that was torn and never
 * acknowledged (store_frame.h). So after a while of silence an empty frame is written after it.
 */
#include "nva/store_writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "nva/store_file.h"
#include "nva/store_snapshot.h"

enum {
	BATCH_KEEP_SIZE = 8 << 20, /* memory that is kept for the next batch */
};

struct store_writer {
	const struct store_dir *dir;
	size_t log_max;
	int event_fd;
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows up to the blank line */
	pthread_cond_t wake;
	struct store_batch batch; /* given, not durable yet */
	bool quit;
	struct store_writer_status status;

	/* the thread's own */
	int fd;
	uint64_t frames;
	size_t size, whole; /* of the log; and what is on disk of it */
	bool marked;	    /* the last frame is an empty one */
	struct store_files files;
	size_t snapshot_size;
	struct store_snapshot *snapshot; /* being made */
	size_t next_try;		 /* size of the log at which a new log is tried again */
};

/* --- batches --- */

int store_batch_add(struct store_batch *batch, const struct change *change)
{
	/* The header, this change, and what aligns the frame. */
	size_t start = batch->size ? batch->size : FRAME_HEADER_SIZE;
	size_t needed = start + BODY_CHANGE_HEADER_SIZE + CHANGE_SIZE_MAX + FRAME_ALIGNMENT;
	uint8_t *bytes;

	if (needed > FRAME_BODY_MAX)
		return -ENOMEM;
	if (needed > batch->room) {
		size_t room = needed > 2 * batch->room ? 2 * needed : 2 * batch->room;
		uint8_t *data = realloc(batch->data, room);

		if (!data)
			return -ENOMEM;
		batch->data = data;
		batch->room = room;
	}
	bytes = batch->data + start;
	batch->size =
		start + body_seal(bytes, change_pack(change, bytes + BODY_CHANGE_HEADER_SIZE));
	return 0;
}

static void batch_clear(struct store_batch *batch)
{
	free(batch->data);
	*batch = (struct store_batch){ 0 };
}

/* --- telling --- */

static void wake_owner(const struct store_writer *writer)
{
	(void) eventfd_write(writer->event_fd, 1);
}

__attribute__((format(printf, 3, 4))) static void
set_state(struct store_writer *writer, enum store_state state, const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&writer->lock);
	writer->status.state = state;
	va_start(arguments, format);
	(void) vsnprintf(writer->status.text, sizeof(writer->status.text), format, arguments);
	va_end(arguments);
	pthread_mutex_unlock(&writer->lock);
	wake_owner(writer);
}

static void set_durable(struct store_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->batch.size = 0;
	if (writer->batch.room > BATCH_KEEP_SIZE)
		batch_clear(&writer->batch);
	writer->status.state = STORE_WORKS;
	writer->status.text[0] = '\0';
	writer->status.idle = true;
	writer->status.syncs++;
	writer->status.files = writer->files;
	writer->status.log_size = writer->size;
	writer->status.snapshot_size = writer->snapshot_size;
	pthread_mutex_unlock(&writer->lock);
	wake_owner(writer);
}

/* Waits for something to do; false when @ms (0: for ever) have passed without. */
static bool wait_for_work(struct store_writer *writer, unsigned ms)
{
	struct timespec until;
	int r = 0;

	(void) clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&writer->lock);
	while (r == 0 && !writer->quit && writer->status.idle)
		r = ms ? pthread_cond_timedwait(&writer->wake, &writer->lock, &until)
		       : pthread_cond_wait(&writer->wake, &writer->lock);
	pthread_mutex_unlock(&writer->lock);
	return r == 0;
}

/* Lets @ms pass; true when it is time to quit. */
static bool pause_or_quit(struct store_writer *writer, unsigned ms)
{
	struct timespec until;
	int r = 0;
	bool quit;

	(void) clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	pthread_mutex_lock(&writer->lock);
	while (r == 0 && !writer->quit)
		r = pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
	quit = writer->quit;
	pthread_mutex_unlock(&writer->lock);
	return quit;
}

/* --- the log --- */

static int write_at(int fd, const uint8_t *data, size_t size, size_t position)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, (off_t) position);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t) n;
		position += (size_t) n;
	}
	return 0;
}

static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

/* Returns 0 or a negative errno; with is_full() nothing has happened. */
static int write_frame(struct store_writer *writer, uint8_t *frame, size_t body_size)
{
	size_t size = frame_seal(frame, body_size, writer->frames, writer->whole);
	int r = write_at(writer->fd, frame, size, writer->size);

	if (r < 0)
		return r;
	writer->frames++;
	writer->size += size;
	return 0;
}

static int sync_log(struct store_writer *writer)
{
	if (fdatasync(writer->fd) < 0)
		return errno == ENOSPC || errno == EDQUOT ? -EIO : -errno;
	writer->whole = writer->size;
	return 0;
}

/* An empty frame; if it cannot be written, the next one will do. */
static void mark_end(struct store_writer *writer)
{
	uint8_t frame[FRAME_HEADER_SIZE];

	writer->marked = true;
	(void) write_frame(writer, frame, 0);
}

/* What was given becomes durable; false when it never will. */
static bool write_batch(struct store_writer *writer)
{
	struct store_batch *batch = &writer->batch;
	bool waits = false;
	int r;

	while (is_full(r = write_frame(writer, batch->data, batch->size - FRAME_HEADER_SIZE))) {
		if (!waits)
			set_state(writer, STORE_WAITS,
				  "Cannot write to the store %s: %s. Nothing is acknowledged until "
				  "there is room",
				  writer->dir->path, strerror(-r));
		waits = true;
		if (pause_or_quit(writer, STORE_RETRY_MS))
			return false;
	}
	if (r == 0)
		r = sync_log(writer);
	if (r < 0) {
		set_state(writer, STORE_FAILED,
			  "Cannot write to the store %s: %s. What was not acknowledged may be lost",
			  writer->dir->path, strerror(-r));
		return false;
	}
	writer->marked = false;
	return true;
}

/* --- a new log, and a snapshot of the old ones --- */

static void finish_snapshot(struct store_writer *writer)
{
	char text[STORE_MESSAGE_SIZE] = "";

	if (store_snapshot_finish(writer->snapshot, &writer->snapshot_size, text) == 0)
		writer->files.snapshot = writer->files.first_log = writer->files.last_log;
	writer->snapshot = NULL;
	pthread_mutex_lock(&writer->lock);
	memcpy(writer->status.snapshot_text, text, sizeof(text));
	pthread_mutex_unlock(&writer->lock);
	wake_owner(writer);
}

/* Returns 0, or a negative errno and goes on with the present log. */
static int begin_log(struct store_writer *writer)
{
	const struct store_head head = { STORE_VERSION, STORE_FILE_LOG,
					 writer->files.last_log + 1 };
	int fd = store_file_make(writer->dir, &head), r = fd < 0 ? fd : 0;

	if (r == 0)
		r = store_file_publish(writer->dir, &head, fd);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	close(writer->fd);
	writer->fd = fd;
	writer->files.last_log = head.number;
	writer->size = writer->whole = STORE_HEAD_SIZE;
	writer->frames = 0;
	writer->marked = true;
	return 0;
}

static void shorten(struct store_writer *writer)
{
	size_t max = writer->log_max > writer->snapshot_size / 2 ? writer->log_max
								 : writer->snapshot_size / 2;

	if (writer->snapshot && store_snapshot_is_done(writer->snapshot))
		finish_snapshot(writer);
	if (writer->size < max || writer->size < writer->next_try || writer->snapshot)
		return;
	/*
	 * On a full disk a snapshot may still make room later: not before the log has grown again.
	 */
	writer->next_try = begin_log(writer) < 0 ? writer->size + max : 0;
	if (writer->next_try == 0)
		(void) store_snapshot_begin(writer->dir, &writer->files, &writer->snapshot);
}

/* --- the thread --- */

static void *run(void *userdata)
{
	struct store_writer *writer = userdata;
	bool works = true;

	while (works) {
		bool woken = wait_for_work(writer, writer->marked ? 0 : STORE_IDLE_MS);

		if (!woken) {
			mark_end(writer);
			continue;
		}
		if (writer->batch.size == 0)
			break; /* to quit */
		works = write_batch(writer);
		if (works) {
			set_durable(writer);
			shorten(writer);
		}
	}
	if (works && !writer->marked)
		mark_end(writer);
	if (works)
		(void) sync_log(writer);
	return NULL;
}

int store_writer_new(const struct store_dir *dir, const struct store_end *end, size_t log_max,
		     int event_fd, struct store_writer **ret_writer)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));
	pthread_condattr_t attributes;

	if (!writer)
		return -ENOMEM;
	*writer = (struct store_writer){
		.dir = dir,
		.log_max = log_max,
		.event_fd = event_fd,
		.status = { .idle = true,
			    .files = end->files,
			    .log_size = end->size,
			    .snapshot_size = end->snapshot_size },
		.fd = end->fd,
		.frames = end->frames,
		.size = end->size,
		.whole = end->size,
		.files = end->files,
		.snapshot_size = end->snapshot_size,
	};
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&writer->thread, NULL, run, writer) != 0) {
		free(writer);
		return -EAGAIN;
	}
	*ret_writer = writer;
	return 0;
}

void store_writer_give(struct store_writer *writer, struct store_batch *batch)
{
	struct store_batch taken = *batch;

	pthread_mutex_lock(&writer->lock);
	*batch = writer->batch; /* its memory, to be used again */
	writer->batch = taken;
	writer->status.idle = false;
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
}

void store_writer_status(struct store_writer *writer, struct store_writer_status *ret_status)
{
	pthread_mutex_lock(&writer->lock);
	*ret_status = writer->status;
	pthread_mutex_unlock(&writer->lock);
}

struct store_writer *store_writer_free(struct store_writer *writer)
{
	if (!writer)
		return NULL;
	pthread_mutex_lock(&writer->lock);
	writer->quit = true;
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
	(void) pthread_join(writer->thread, NULL);
	if (writer->snapshot)
		store_snapshot_abort(writer->snapshot);
	pthread_mutex_destroy(&writer->lock);
	pthread_cond_destroy(&writer->wake);
	batch_clear(&writer->batch);
	close(writer->fd);
	free(writer);
	return NULL;
}
