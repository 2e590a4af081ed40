/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/agent_json.h"

#include <errno.h>

#include "common/json.h"

int agent_json_add_ips(struct json_object *object, const char *key, const struct ip *ips,
		       size_t count)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; array && i < count; i++)
		if (json_object_array_add(array, json_object_new_string(ip_text(ips[i], text))) < 0)
			return -ENOMEM;
	return json_add(object, key, TAKE_PTR(array));
}

int agent_json_add_ip(struct json_object *object, const char *key, struct ip ip)
{
	char text[IP_TEXT_SIZE];

	return json_add_string(object, key, ip_text(ip, text));
}

int agent_json_add_mac(struct json_object *object, struct mac mac)
{
	char text[MAC_TEXT_SIZE];

	return json_add_string(object, "mac", mac_text(mac, text));
}

int agent_json_add_uuid(struct json_object *object, const char *key, struct uuid uuid)
{
	char text[UUID_TEXT_SIZE];

	return uuid_is_none(uuid) ? 0 : json_add_string(object, key, uuid_text(uuid, text));
}

int agent_json_append(struct json_object *array, struct json_object *item)
{
	if (!item)
		return -ENOMEM;
	if (json_object_array_add(array, item) == 0)
		return 0;
	json_unref(item);
	return -ENOMEM;
}

void agent_json_reply(struct control_request *request, const char *key, struct json_object *value)
{
	_cleanup_(json_unrefp) struct json_object *reply = control_ok();

	if (!reply || !value || json_add(reply, key, value) < 0)
		reply = json_unref(reply);
	control_reply(request, TAKE_PTR(reply));
}
