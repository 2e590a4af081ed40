/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_pull.h - a VNI of which this NVE knows only what it talks to (mode = pull; RFC 8171 section
 * 3). Misses are asked for by agent_suppress.c; what is not used any more is dropped here.
 */
#ifndef REHOME_NVEAGENT_AGENT_PULL_H
#define REHOME_NVEAGENT_AGENT_PULL_H

#include <stdint.h>

struct agent_vn;
struct puller;

enum {
	PULL_LOOKS = 4, /* in an age: an entry is kept for at most a quarter longer */
};

/* @age_s: without use, then an entry is dropped. 0 or -ENOMEM. */
int agent_pull_new(struct agent_vn *vn, unsigned age_s, struct puller **ret_puller);
/* May be given NULL, which a VNI that is pushed everything has. */
struct puller *agent_pull_free(struct puller *puller);

/* Takes part in the VNI in a new session; @features: of its NVA (enum nvo3_features). */
void agent_pull_subscribe(struct agent_vn *vn, uint32_t features);

uint64_t agent_pull_dropped(const struct puller *puller);

#endif
