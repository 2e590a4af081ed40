/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook/hook_message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

static int add_ports(struct json_object *message, const struct domain *domain)
{
	struct json_object *ports = json_object_new_array();
	int r = json_add(message, "ports", ports);

	for (size_t i = 0; r == 0 && i < domain->port_count; i++) {
		const struct domain_port *port = &domain->ports[i];
		struct json_object *object = json_object_new_object();
		char mac[MAC_TEXT_SIZE];

		if (!object || json_object_array_add(ports, object) < 0) {
			json_unref(object);
			return -ENOMEM;
		}
		r = json_add_string(object, "mac", mac_text(port->mac, mac));
		if (r == 0 && port->bridge[0])
			r = json_add_string(object, "bridge", port->bridge);
		if (r == 0 && port->tap[0])
			r = json_add_string(object, "tap", port->tap);
	}
	return r;
}

int hook_message_build(const struct hook_call *call, const struct domain *domain, char **ret_line)
{
	_cleanup_(json_unrefp) struct json_object *message = json_object_new_object();
	char uuid[UUID_TEXT_SIZE];
	const struct {
		const char *key, *value;
	} members[] = {
		/* clang-format off */
		{ "op",		"hook" },
		{ "operation",	call->operation },
		{ "sub",	call->sub },
		{ "extra",	call->extra },
		{ "vm",		call->object },
		{ "uuid",	uuid_text(domain->uuid, uuid) },
		/* clang-format on */
	};
	char *line;
	int r = message ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++)
		r = json_add_string(message, members[i].key, members[i].value);
	if (r == 0)
		r = add_ports(message, domain);
	if (r < 0)
		return r;

	line = strdup(json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN));
	if (!line)
		return -ENOMEM;
	*ret_line = line;
	return 0;
}

enum hook_answer hook_message_read(const char *reply, char *ret_text)
{
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	const char *text = "";
	bool ok, refuse = false;

	*ret_text = '\0';
	if (json_parse_object(reply, strlen(reply), &object) < 0 ||
	    json_get_bool(object, "ok", &ok) < 0 ||
	    json_get_bool(object, "refuse", &refuse) == -EBADMSG)
		return HOOK_ANSWER_GARBLED;

	/* Without a text the user still sees that it failed. */
	(void) json_get_string(object, "error", &text);
	snprintf(ret_text, HOOK_TEXT_SIZE, "%s", text);
	for (char *c = ret_text; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			*c = ' ';

	if (ok)
		return HOOK_ANSWER_READY;
	return refuse ? HOOK_ANSWER_REFUSE : HOOK_ANSWER_ERROR;
}
