// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/control_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/json.h"
#include "nva/change_json.h"

/* --- export --- */

struct export
{
	FILE *out;
	size_t lines;
};

static void print_change(void *userdata, const struct change *change)
{
	struct export *export = userdata;

	if (change->kind != CHANGE_MAPPING && change->kind != CHANGE_REMOVED)
		return;
	change_print_json(export->out, change, change->vtep);
	export->lines++;
}

static int print_all(const struct directory *directory, FILE *out)
{
	struct export export = { .out = out };
	struct directory_counts counts;

	directory_count(directory, &counts);
	fprintf(out, "{\"ok\":true,\"rehome_export\":%d,\"mappings\":%zu,\"withdrawn\":%zu}\n",
		EXPORT_VERSION, counts.mappings, counts.tombstones);
	directory_dump(directory, clock_monotonic_us(), clock_realtime_us() / 1000000, print_change,
		       &export);
	fprintf(out, "{\"end\":%zu}\n", export.lines);
	return fclose(out);
}

/*
 * Nothing of the parent's may live on here: not its lock on the store, not its signal handlers, and
 * no more of its time than EXPORT_MAX_S.
 */
__attribute__((noreturn)) static void run_child(const struct directory *directory, int fd,
						pid_t parent)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGPIPE };
	FILE *out;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void) signal(signals[i], SIG_DFL);
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void) alarm(EXPORT_MAX_S);
	if (getppid() != parent || dup2(fd, STDIN_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0U, 0) < 0 || fcntl(STDIN_FILENO, F_SETFL, 0) < 0)
		_exit(EXIT_FAILURE);
	out = fdopen(STDIN_FILENO, "w");
	_exit(out && print_all(directory, out) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

pid_t export_begin(const struct directory *directory, int fd)
{
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		return -errno;
	if (child == 0)
		run_child(directory, fd, parent);
	return child;
}

/* --- import --- */

struct import {
	struct directory *directory; /* what has been read so far */
	size_t lines;		     /* the first one included */
};

struct import *import_new(void)
{
	/* What is too much is for the directory that it is merged into to say. */
	const struct directory_config config = {
		.incarnation = 1,
		.limits = { .vni_mappings = DIRECTORY_MAPPINGS_MAX },
	};
	struct import *import = calloc(1, sizeof(*import));

	if (import && directory_new(&config, clock_monotonic_us(), &import->directory) < 0) {
		free(import);
		return NULL;
	}
	return import;
}

struct import *import_free(struct import *import)
{
	if (!import)
		return NULL;
	directory_free(import->directory);
	free(import);
	return NULL;
}

void import_explain(const struct import *import, const char *what, char *text)
{
	(void) snprintf(text, IMPORT_TEXT_SIZE, "line %zu: %s; nothing was imported", import->lines,
			what);
}

static int restore(struct import *import, const struct change *change, const char **reterr_what)
{
	return directory_restore(import->directory, clock_monotonic_us(), change->removed_s, change,
				 reterr_what);
}

/* A mapping brings its NVE, which it makes a member of its VNI. */
static int take_change(struct import *import, const struct change *change, const char **reterr_what)
{
	struct change about = *change;
	int r = 0;

	if (change->mapping.generation > DIRECTORY_CLAIM_MAX) {
		*reterr_what = "no generation is that high";
		return -EINVAL;
	}
	if (change->kind == CHANGE_MAPPING) {
		about.kind = CHANGE_NVE;
		r = restore(import, &about, reterr_what);
	}
	if (r == 0 && change->kind == CHANGE_MAPPING) {
		about.kind = CHANGE_MEMBER;
		r = restore(import, &about, reterr_what);
	}
	if (r == 0 && change->mapping.generation > directory_generation(import->directory,
									change->mapping.vni,
									change->mapping.mac))
		r = restore(import, change, reterr_what);
	return r;
}

static int take_first(struct json_object *line, const char **reterr_what)
{
	uint32_t version;

	if (json_get_u32(line, "rehome_export", &version) < 0)
		*reterr_what = "this is not what nvectl nva export has written";
	else if (version != EXPORT_VERSION)
		*reterr_what = "this export is of another version";
	else
		return 0;
	return -EINVAL;
}

static int take_line(struct import *import, struct json_object *line, const char **reterr_what)
{
	struct change change;
	uint64_t end;
	int r;

	if (import->lines == 1)
		return take_first(line, reterr_what);
	if (json_get_u64(line, "end", &end) == 0) {
		*reterr_what = "lines are missing before the end";
		return end == import->lines - 2 ? 1 : -EINVAL;
	}
	r = change_from_json(line, &change, reterr_what);
	return r < 0 ? r : take_change(import, &change, reterr_what);
}

int import_line(struct import *import, struct json_object *line, char *reterr_text)
{
	const char *what = "";
	int r;

	import->lines++;
	r = take_line(import, line, &what);
	if (r == -EINVAL)
		import_explain(import, what, reterr_text);
	return r;
}

int import_apply(const struct import *import, struct directory *directory, size_t *ret_taken,
		 size_t *ret_kept, const char **reterr_what)
{
	return directory_merge(directory, clock_monotonic_us(), import->directory, ret_taken,
			       ret_kept, reterr_what);
}
