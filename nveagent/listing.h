/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listing.h - an answer of the control socket that is made in pieces (struct control_list), as
 * bytes. No I/O.
 */
#ifndef REHOME_NVEAGENT_LISTING_H
#define REHOME_NVEAGENT_LISTING_H

#include <stdbool.h>

#include "nveagent/byte_queue.h"
#include "nveagent/control.h"

/* All zero: none. */
struct listing {
	struct control_list list;
	bool opened;	/* what stands before its first item has been made */
	size_t count;	/* of items so far */
};

/* Takes @list's head and state over. */
void listing_begin(struct listing *listing, const struct control_list *list);
void listing_clear(struct listing *listing);
bool listing_is_there(const struct listing *listing);

/*
 * Appends the next piece to @output. Returns 1 when there is more, 0 when the line is complete, its
 * newline included, or -ENOMEM: it cannot be completed any more.
 */
int listing_make(struct listing *listing, struct byte_queue *output);

#endif
