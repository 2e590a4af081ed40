// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/control_reassign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

static int refuse(char *reterr_text, const char *text)
{
	(void) snprintf(reterr_text, NVO3_TEXT_MAX + 1, "%s", text);
	return -EINVAL;
}

/* Absent ones stay as they are. */
static int read_request(struct json_object *request, struct directory_reassignment *what,
			char *reterr_text)
{
	const char *text;
	int r = json_get_u32(request, "vni", &what->vni);

	if (r != -ENOENT && (r < 0 || what->vni < 1 || what->vni > VNI_MAX))
		return refuse(reterr_text, "vni should be a number, 1 to 16777215");
	if (json_get_string(request, "mac", &text) == 0 &&
	    (mac_from_text(text, &what->mac) < 0 || mac_is_group(what->mac) ||
	     mac_is_zero(what->mac)))
		return refuse(reterr_text, "mac should be a unicast MAC, like 52:54:00:aa:00:10");
	if (json_get_string(request, "vm", &text) == 0 &&
	    (uuid_from_text(text, &what->vm) < 0 || uuid_is_none(what->vm)))
		return refuse(reterr_text, "vm should be a UUID");
	if (json_get_string(request, "to", &text) < 0 || text[0] == '\0' ||
	    strlen(text) > NVO3_NAME_MAX)
		return refuse(reterr_text, "to should be the name of an NVE");
	(void) snprintf(what->to, sizeof(what->to), "%s", text);
	r = json_get_bool(request, "dry_run", &what->dry);
	return r == 0 || r == -ENOENT ? 0 : refuse(reterr_text, "dry_run should be true or false");
}

static int add_item(struct json_object *array, const struct directory_reassigned *item,
		    const char *to)
{
	struct json_object *object = json_object_new_object();
	char mac[MAC_TEXT_SIZE];

	if (!object || json_object_array_add(array, object) < 0) {
		json_unref(object);
		return -ENOMEM;
	}
	if (json_add_u64(object, "vni", item->vni) < 0 ||
	    json_add_string(object, "mac", mac_text(item->mac, mac)) < 0 ||
	    json_add_string(object, "from", item->from) < 0 ||
	    json_add_string(object, "to", to) < 0 ||
	    json_add_u64(object, "generation", item->generation) < 0 ||
	    json_add_bool(object, "changed", item->changed) < 0)
		return -ENOMEM;
	return 0;
}

int control_reassign(struct directory *directory, struct json_object *request,
		     struct json_object *reply, char *reterr_text)
{
	struct directory_reassignment what = { 0 };
	_cleanup_free_ struct directory_reassigned *list = NULL;
	struct json_object *array;
	size_t count = 0;
	bool changed = false;
	int r = read_request(request, &what, reterr_text);

	if (r == 0)
		r = directory_reassign(directory, clock_monotonic_us(), &what, &list, &count,
				       reterr_text);
	if (r < 0)
		return r;
	array = json_object_new_array();
	if (json_add(reply, "mappings", array) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		changed |= list[i].changed;
		if (add_item(array, &list[i], what.to) < 0)
			return -ENOMEM;
	}
	return changed;
}
