/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conntrack.h - connection tracking beside the loop.
 *
 * A walk of a large table takes the kernel tens of milliseconds, in one system call, and the loop
 * has VMs to switch. So a thread makes the calls of kernel_conntrack.h, one after the other, in the
 * order they were asked for. It is started with the first call. Answers come from the loop; all of
 * this is for the loop's thread.
 */
#ifndef REHOME_NVEAGENT_CONNTRACK_H
#define REHOME_NVEAGENT_CONNTRACK_H

#include "common/cleanup.h"
#include "nva/wire.h"
#include "nveagent/kernel_conntrack.h"
#include "nveagent/loop.h"

struct conntrack;

/* Returns 0 or a negative errno. */
int conntrack_new(struct loop *loop, struct conntrack **ret_conntrack);
/* Waits for the call under way; what was not begun is not done, and nobody is answered. */
struct conntrack *conntrack_free(struct conntrack *conntrack);
DEFINE_CLEANUP(struct conntrack, conntrack_free)

/* Borrowed, as all of it, for the call. */
struct conntrack_answer {
	int error;			     /* 0, or why nothing is known of the rest */
	struct kernel_conntrack_found found; /* of a read; who sets flows to NULL has taken them */
	const struct flow *flows;	     /* of an install: as given, and what became of each */
	const int *results;
	size_t count;
};
typedef void (*conntrack_done)(void *userdata, struct conntrack_answer *answer);

/*
 * Each returns 0 or -ENOMEM, -EAGAIN (no thread); only after 0 there is an answer. @count: to
 * MAPPING_IPS_MAX.
 */
int conntrack_read(struct conntrack *conntrack, uint16_t zone, const struct ip *ips, size_t count,
		   conntrack_done done, void *userdata);
/* Takes @flows over, whatever it returns. */
int conntrack_install(struct conntrack *conntrack, uint16_t zone, struct flow *flows, size_t count,
		      conntrack_done done, void *userdata);
/* Takes @flows over; there is no answer. */
int conntrack_remove(struct conntrack *conntrack, uint16_t zone, struct flow *flows, size_t count);

/* @userdata gets no answer any more. */
void conntrack_forget(struct conntrack *conntrack, const void *userdata);
/* And what was installed for it, and not answered yet, is removed again. */
void conntrack_undo(struct conntrack *conntrack, const void *userdata);

#endif
