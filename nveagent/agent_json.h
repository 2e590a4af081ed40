/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent_json.h - what the answers to an operator (nvectl) are made of. */
#ifndef REHOME_NVEAGENT_AGENT_JSON_H
#define REHOME_NVEAGENT_AGENT_JSON_H

#include <stddef.h>

#include "net/addr.h"
#include "net/uuid.h"
#include "nveagent/control.h"

/* Each adds a member to @object, as text. 0 or -ENOMEM. No UUID: nothing is added. */
int agent_json_add_ips(struct json_object *object, const char *key, const struct ip *ips,
		       size_t count);
int agent_json_add_ip(struct json_object *object, const char *key, struct ip ip);
int agent_json_add_mac(struct json_object *object, struct mac mac);
int agent_json_add_uuid(struct json_object *object, const char *key, struct uuid uuid);

/* Appends @item, which is taken over. 0 or -ENOMEM; NULL gives -ENOMEM. */
int agent_json_append(struct json_object *array, struct json_object *item);

/* Replies {"ok":true, KEY: VALUE}; takes @value over, and @request is spent. */
void agent_json_reply(struct control_request *request, const char *key, struct json_object *value);

#endif
