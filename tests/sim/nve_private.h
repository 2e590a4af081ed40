/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nve_private.h - what the parts of an NVE share: nve.c, nve_session.c, nve_messages.c. */
#ifndef REHOME_TESTS_SIM_NVE_PRIVATE_H
#define REHOME_TESTS_SIM_NVE_PRIVATE_H

#include "tests/sim/nve.h"

enum {
	NVE_RETRY_MIN_US = 100000, /* nveagent/nva_link.h, NVA_LINK_RETRY_MIN_MS */
};

/* nve_session.c */
void agent_hang_up(struct nve *nve, bool silent);
void agent_on_retry(void *nve);
void agent_on_grace(void *nve);

/* nve_messages.c: false for what is not for an NVE. */
bool agent_take(struct nve *nve, const struct nvo3_message *message);
/* A mapping in the copy has changed, or is gone: NULL. */
void agent_on_mapping(void *vn, struct mac mac, const struct mapping *mapping);

#endif
