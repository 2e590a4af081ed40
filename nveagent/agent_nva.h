/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_nva.h - the NVA's messages about a VNI (agent_directory.c), for the table in agent_nva.c.
 */
#ifndef REHOME_NVEAGENT_AGENT_NVA_H
#define REHOME_NVEAGENT_AGENT_NVA_H

#include "nveagent/agent_private.h"

void agent_directory_members(struct agent *agent, const struct nvo3_message *message);
void agent_directory_answer(struct agent *agent, const struct nvo3_message *message);
void agent_directory_update(struct agent *agent, const struct nvo3_message *message);
void agent_directory_digest(struct agent *agent, const struct nvo3_message *message);

/* The NVA is another one than before, and remembers nothing. */
void agent_directory_begin_grace(struct agent *agent);

#endif
