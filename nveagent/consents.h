/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * consents.h - the NVA's questions for VMs that this NVE does not know yet. Pure.
 *
 * An agent that has just started has not heard from libvirt which VMs run here. "It is not here,
 * take it" would be a guess, and the owner of a running VM would have given it away; so such a
 * question waits for libvirt's first list. If that never comes, the NVA's time for an answer passes
 * (docs/protocol.md, A move).
 */
#ifndef REHOME_NVEAGENT_CONSENTS_H
#define REHOME_NVEAGENT_CONSENTS_H

#include "common/cleanup.h"
#include "nva/wire.h"

enum {
	/* as many VMs on one host, all asked for in its agent's first second */
	CONSENTS_MAX = 1024,
};

struct consent {
	uint64_t id;
	uint32_t vni;
	struct mac mac;
	struct ip vtep; /* of who asks */
};

struct consents;

/* NULL without memory. */
struct consents *consents_new(void);
struct consents *consents_free(struct consents *consents);
DEFINE_CLEANUP(struct consents, consents_free)

/*
 * A question of the same id again, after a new session, waits once. 0, or -ENOSPC at CONSENTS_MAX.
 */
int consents_add(struct consents *consents, const struct consent *consent);
/* Those for one MAC: whoever asked has called it off. */
void consents_forget(struct consents *consents, uint32_t vni, struct mac mac);
void consents_clear(struct consents *consents);
/* The oldest one; false when none waits. */
bool consents_take(struct consents *consents, struct consent *ret_consent);

#endif
