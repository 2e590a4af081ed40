// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/change_json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/json.h"

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{ MAPPING_VM, "vm" },	      { MAPPING_LEARNED, "learned" },
	{ MAPPING_ROUTER, "router" }, { MAPPING_GATEWAY, "gateway" },
	{ MAPPING_STATIC, "static" }, { MAPPING_STANDBY, "standby" },
};

/* --- writing; nothing that is written needs escaping --- */

static void print_ips(FILE *out, const struct mapping *mapping)
{
	char text[IP_TEXT_SIZE];

	fputs(",\"ips\":[", out);
	for (size_t i = 0; i < mapping->ip_count; i++)
		fprintf(out, "%s\"%s\"", i ? "," : "", ip_text(mapping->ips[i], text));
	fputs("]", out);
}

static void print_flags(FILE *out, uint32_t flags)
{
	const char *separator = "";

	fputs(",\"flags\":[", out);
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (flags & flag_names[i].flag) {
			fprintf(out, "%s\"%s\"", separator, flag_names[i].name);
			separator = ",";
		}
	fputs("]", out);
}

static void print_owner(FILE *out, const struct change *change, struct ip vtep)
{
	char ip[IP_TEXT_SIZE], vm[UUID_TEXT_SIZE];

	fprintf(out, ",\"nve\":\"%s\",\"vtep\":\"%s\"", change->name, ip_text(vtep, ip));
	if (!uuid_is_none(change->mapping.vm))
		fprintf(out, ",\"vm\":\"%s\"", uuid_text(change->mapping.vm, vm));
}

void change_print_json(FILE *out, const struct change *change, struct ip vtep)
{
	const struct mapping *mapping = &change->mapping;
	char mac[MAC_TEXT_SIZE];

	if (change->kind != CHANGE_MAPPING && change->kind != CHANGE_REMOVED)
		return;
	fprintf(out, "{\"vni\":%" PRIu32 ",\"mac\":\"%s\",\"generation\":%" PRIu64, mapping->vni,
		mac_text(mapping->mac, mac), mapping->generation);
	if (change->kind == CHANGE_MAPPING) {
		print_owner(out, change, vtep);
		print_ips(out, mapping);
		print_flags(out, mapping->flags);
	} else {
		fprintf(out, ",\"removed_s\":%" PRIu64, change->removed_s);
	}
	fputs("}\n", out);
}

/* --- reading --- */

/* Each returns 0 or -EINVAL. */
static int read_endpoint(struct json_object *object, struct mapping *mapping)
{
	const char *mac;

	if (json_get_u32(object, "vni", &mapping->vni) < 0 || mapping->vni < 1 ||
	    mapping->vni > VNI_MAX || json_get_string(object, "mac", &mac) < 0 ||
	    mac_from_text(mac, &mapping->mac) < 0 || mac_is_zero(mapping->mac) ||
	    mac_is_group(mapping->mac))
		return -EINVAL;
	return 0;
}

static int read_ip(const char *text, struct ip *ret_ip)
{
	return ip_from_text(text, ret_ip) == 0 && ip_is_unicast(*ret_ip) ? 0 : -EINVAL;
}

static int read_owner(struct json_object *object, struct change *change)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *name, *vtep;
	size_t size;

	if (json_get_string(object, "nve", &name) < 0 ||
	    json_get_string(object, "vtep", &vtep) < 0 || read_ip(vtep, &change->vtep) < 0)
		return -EINVAL;
	size = strlen(name);
	if (size == 0 || size > NVO3_NAME_MAX || strspn(name, allowed) != size)
		return -EINVAL;
	memcpy(change->name, name, size + 1);
	return 0;
}

static int read_vm(struct json_object *object, struct mapping *mapping)
{
	const char *text;
	int r = json_get_string(object, "vm", &text);

	if (r == -ENOENT)
		return 0;
	return r == 0 && uuid_from_text(text, &mapping->vm) == 0 ? 0 : -EINVAL;
}

static int read_ips(struct json_object *object, struct mapping *mapping)
{
	struct json_object *array;
	int r = json_get_array(object, "ips", &array);
	size_t count = r == 0 ? json_object_array_length(array) : 0;

	if (r == -ENOENT)
		return 0;
	if (r < 0 || count > MAPPING_IPS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		if (!json_object_is_type(item, json_type_string) ||
		    read_ip(json_object_get_string(item), &mapping->ips[i]) < 0)
			return -EINVAL;
	}
	mapping->ip_count = (uint8_t) count;
	return 0;
}

static uint32_t flag_of(struct json_object *item)
{
	const char *name = json_object_get_string(item);

	for (size_t i = 0; name && i < ARRAY_SIZE(flag_names); i++)
		if (strcmp(flag_names[i].name, name) == 0)
			return flag_names[i].flag;
	return 0;
}

static int read_flags(struct json_object *object, struct mapping *mapping)
{
	struct json_object *array;
	int r = json_get_array(object, "flags", &array);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return -EINVAL;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		uint32_t flag = flag_of(json_object_array_get_idx(array, i));

		if (!flag)
			return -EINVAL;
		mapping->flags |= flag;
	}
	return 0;
}

int change_from_json(struct json_object *object, struct change *ret_change,
		     const char **reterr_what)
{
	struct change change = { .kind = CHANGE_MAPPING };
	struct mapping *mapping = &change.mapping;
	int r = json_get_u64(object, "removed_s", &change.removed_s);

	if (r == 0)
		change.kind = CHANGE_REMOVED;
	*reterr_what = NULL;
	if (r == -EBADMSG)
		*reterr_what = "removed_s should be a number of seconds";
	else if (read_endpoint(object, mapping) < 0)
		*reterr_what = "vni should be 1 to 16777215, and mac the address of one interface";
	else if (json_get_u64(object, "generation", &mapping->generation) < 0 ||
		 mapping->generation < 1 || mapping->generation > NVO3_GENERATION_MAX)
		*reterr_what = "generation should be a number from 1";
	else if (change.kind == CHANGE_REMOVED)
		;
	else if (read_owner(object, &change) < 0)
		*reterr_what = "nve should be an NVE's name, and vtep its address";
	else if (read_vm(object, mapping) < 0)
		*reterr_what = "vm should be a UUID";
	else if (read_ips(object, mapping) < 0)
		*reterr_what = "ips should be a list of at most 16 unicast addresses";
	else if (read_flags(object, mapping) < 0)
		*reterr_what = "flags should be a list of: vm, learned";
	if (*reterr_what)
		return -EINVAL;
	*ret_change = change;
	return 0;
}
