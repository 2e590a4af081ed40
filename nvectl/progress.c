/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_INTERVAL_US = 1000000, /* between plain lines of one pass */
	RATE_INTERVAL_US = 500000,  /* a shorter one gives a jumping figure */
	BAR_WIDTH = 30,
};

void progress_begin(struct progress *progress)
{
	*progress = (struct progress){ .terminal = isatty(STDERR_FILENO) };
}

static unsigned percent(const struct progress_sample *sample)
{
	if (sample->total_bytes == 0 || sample->remaining_bytes > sample->total_bytes)
		return 0;
	return (unsigned) ((sample->total_bytes - sample->remaining_bytes) * 100 /
			   sample->total_bytes);
}

static double mib(uint64_t bytes)
{
	return (double) bytes / (1 << 20);
}

const char *progress_text(const struct progress_sample *sample, uint64_t rate_bytes_per_s,
			  char *buffer)
{
	snprintf(buffer, PROGRESS_TEXT_SIZE, "%3u%%, %.1f MiB left, pass %llu, %.1f MiB/s",
		 percent(sample), mib(sample->remaining_bytes), (unsigned long long) sample->pass,
		 mib(rate_bytes_per_s));
	return buffer;
}

static void update_rate(struct progress *progress, const struct progress_sample *sample,
			uint64_t now_us)
{
	uint64_t us = now_us - progress->sampled_us;

	if (progress->sampled_us && us < RATE_INTERVAL_US)
		return;
	if (progress->sampled_us && sample->transferred_bytes >= progress->last.transferred_bytes)
		progress->rate_bytes_per_s =
			(sample->transferred_bytes - progress->last.transferred_bytes) * 1000000 /
			us;
	progress->last = *sample;
	progress->sampled_us = now_us;
}

static void draw_bar(const struct progress_sample *sample, const char *text)
{
	static const char full[] = "##############################";
	int done = (int) (percent(sample) * BAR_WIDTH / 100);

	_Static_assert(sizeof(full) == BAR_WIDTH + 1, "a full bar fills it");
	/* CSI K: erase to the end of the line, ECMA-48 section 8.3.41. */
	fprintf(stderr, "\r[%.*s%*s] %s\033[K", done, full, BAR_WIDTH - done, "", text);
	fflush(stderr);
}

void progress_show(struct progress *progress, const struct progress_sample *sample, uint64_t now_us)
{
	char text[PROGRESS_TEXT_SIZE];

	update_rate(progress, sample, now_us);
	progress_text(sample, progress->rate_bytes_per_s, text);
	if (progress->terminal) {
		draw_bar(sample, text);
		progress->shown = true;
	} else if (progress->line_us == 0 || now_us - progress->line_us >= LINE_INTERVAL_US) {
		fprintf(stderr, "%s\n", text);
		progress->line_us = now_us;
	}
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputc('\n', stderr);
	progress->shown = false;
}
