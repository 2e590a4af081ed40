/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress.h - how far a migration is: a bar on a terminal, now and then a line elsewhere. On
 * stderr.
 */
#ifndef REHOME_NVECTL_PROGRESS_H
#define REHOME_NVECTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROGRESS_TEXT_SIZE = 160,
};

struct progress_sample {
	uint64_t total_bytes, remaining_bytes; /* of the guest's memory, in this pass */
	uint64_t transferred_bytes;	       /* over all passes */
	uint64_t pass;			       /* from 1; 0: not begun */
};

struct progress {
	bool terminal;
	bool shown;	  /* a bar stands on the terminal's last line */
	uint64_t line_us; /* when the last plain line was printed, CLOCK_MONOTONIC */
	uint64_t rate_bytes_per_s;
	uint64_t sampled_us; /* of the sample the rate is counted from */
	struct progress_sample last;
};

void progress_begin(struct progress *progress);
void progress_show(struct progress *progress, const struct progress_sample *sample,
		   uint64_t now_us);
/* Ends the bar's line, so that other text can follow. */
void progress_end(struct progress *progress);

/* "63%, 97.0 MiB left, pass 2, 110.0 MiB/s" in @buffer (PROGRESS_TEXT_SIZE bytes); returned. */
const char *progress_text(const struct progress_sample *sample, uint64_t rate_bytes_per_s,
			  char *buffer);

#endif
