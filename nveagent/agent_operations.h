/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_operations.h - what can be asked for over the control socket, an operation a function
 * (docs/operations.md). Each answers @request, at once or later.
 */
#ifndef REHOME_NVEAGENT_AGENT_OPERATIONS_H
#define REHOME_NVEAGENT_AGENT_OPERATIONS_H

#include "nveagent/agent_private.h"

/* The members "vni" and "mac" of a request. 0 or -EINVAL. */
int agent_read_key(struct json_object *object, uint32_t *ret_vni, struct mac *ret_mac);

/* agent_status.c */
void agent_show_status(struct agent *agent, struct json_object *object,
		       struct control_request *request);
void agent_show_nva_status(struct agent *agent, struct json_object *object,
			   struct control_request *request);

/* agent_list.c */
void agent_show_ports(struct agent *agent, struct json_object *object,
		      struct control_request *request);
void agent_show_mappings(struct agent *agent, struct json_object *object,
			 struct control_request *request);
void agent_show_moves(struct agent *agent, struct json_object *object,
		      struct control_request *request);

/* agent_bare.c */
void agent_bare_add(struct agent *agent, struct json_object *object,
		    struct control_request *request);
void agent_bare_remove(struct agent *agent, struct json_object *object,
		       struct control_request *request);
void agent_bare_switch(struct agent *agent, struct json_object *object,
		       struct control_request *request);

/* agent_wait.c */
void agent_wait_for_state(struct agent *agent, struct json_object *object,
			  struct control_request *request);

#endif
