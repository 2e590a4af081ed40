// SPDX-License-Identifier: LGPL-2.1-or-later
/* sync.c - a new NVE subscribes and decodes the whole snapshot. */
#include <stdio.h>

#include "bench/nva_load/link.h"
#include "bench/nva_load/load.h"
#include "common/clock.h"

/* Returns true at the end of the snapshot; adds to *count. */
static bool take_update(const struct link_frame *frame, uint64_t *count)
{
	_cleanup_(nvo3_message_clear) struct nvo3_message message = { 0 };

	link_decode(frame, &message);
	if (message.kind != NVO3_UPDATE)
		return false;
	*count += message.mapping_count;
	return message.snapshot_end;
}

void load_sync(const struct load_options *options)
{
	const struct nvo3_message subscribe = { .kind = NVO3_SUBSCRIBE, .vni = LOAD_VNI };
	struct link_frame frame;
	struct link link;
	uint64_t began_us, count = 0;
	bool ended = false;

	link_open(&link, options->port, options->nve);
	link_say(&link, &subscribe);
	began_us = clock_monotonic_us();
	(void) link_flush(&link);
	while (!ended) {
		(void) link_read(&link);
		while (!ended && link_next(&link, &frame))
			ended = take_update(&frame, &count);
	}
	if (count < options->count) /* changes that are told meanwhile come on top */
		die("the snapshot has %llu mappings, not %u", (unsigned long long) count,
		    options->count);
	printf("{\"count\":%u,\"seconds\":%.6f}\n", options->count,
	       (double) (clock_monotonic_us() - began_us) / 1e6);
	link_close(&link);
}
