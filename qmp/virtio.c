/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/virtio.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "qmp/session.h"

enum { HMP_SIZE = 64 };

/* --- requests --- */

static int request_of_path(const char *command, const char *path, struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();

	if (!arguments || json_add_string(arguments, "path", path) < 0)
		return -ENOMEM;
	return qmp_request_new(command, TAKE_PTR(arguments), ret_request);
}

int qmp_request_query_virtio(struct json_object **ret_request)
{
	return qmp_request_new("x-query-virtio", NULL, ret_request);
}

int qmp_request_virtio_net_mac(const char *path, struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();

	if (!arguments || json_add_string(arguments, "path", path) < 0 ||
	    json_add_string(arguments, "property", "mac") < 0)
		return -ENOMEM;
	return qmp_request_new("qom-get", TAKE_PTR(arguments), ret_request);
}

int qmp_request_virtio_status(const char *path, struct json_object **ret_request)
{
	return request_of_path("x-query-virtio-status", path, ret_request);
}

int qmp_request_virtio_queue(const char *path, uint64_t queue, struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();

	if (!arguments || json_add_string(arguments, "path", path) < 0 ||
	    json_add_u64(arguments, "queue", queue) < 0)
		return -ENOMEM;
	return qmp_request_new("x-query-virtio-queue-status", TAKE_PTR(arguments), ret_request);
}

int qmp_request_host_address(uint64_t guest, struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();
	char line[HMP_SIZE];

	(void) snprintf(line, sizeof(line), "gpa2hva 0x%" PRIx64, guest);
	if (!arguments || json_add_string(arguments, "command-line", line) < 0)
		return -ENOMEM;
	return qmp_request_new("human-monitor-command", TAKE_PTR(arguments), ret_request);
}

/* --- answers --- */

static int read_net(struct json_object *entry, struct qmp_virtio_nets *nets)
{
	const char *name, *path;

	if (!json_object_is_type(entry, json_type_object) ||
	    json_get_string(entry, "name", &name) < 0 || json_get_string(entry, "path", &path) < 0)
		return -EBADMSG;
	if (strcmp(name, "virtio-net") != 0 || strlen(path) >= QMP_PATH_SIZE ||
	    nets->count == QMP_VIRTIO_NETS_MAX)
		return 0;
	memcpy(nets->paths[nets->count++], path, strlen(path) + 1);
	return 0;
}

int qmp_virtio_nets_parse(struct json_object *value, struct qmp_virtio_nets *ret_nets)
{
	struct qmp_virtio_nets nets = { .count = 0 };
	int r = json_object_is_type(value, json_type_array) ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < json_object_array_length(value); i++)
		r = read_net(json_object_array_get_idx(value, i), &nets);
	if (r == 0)
		*ret_nets = nets;
	return r;
}

int qmp_virtio_net_mac_parse(struct json_object *value, struct mac *ret_mac)
{
	if (!json_object_is_type(value, json_type_string) ||
	    mac_from_text(json_object_get_string(value), ret_mac) < 0)
		return -EBADMSG;
	return 0;
}

/* A feature is told as "NAME: what it is". */
static bool is_feature(struct json_object *entry, const char *name)
{
	const char *text = json_object_get_string(entry);
	size_t size = strlen(name);

	return text && strncmp(text, name, size) == 0 && (text[size] == ':' || !text[size]);
}

static bool has_feature(struct json_object *features, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(features); i++)
		if (is_feature(json_object_array_get_idx(features, i), name))
			return true;
	return false;
}

int qmp_virtio_status_parse(struct json_object *value, bool *ret_plain)
{
	struct json_object *features, *transports;
	const char *endian;
	bool started;

	if (!json_object_is_type(value, json_type_object) ||
	    json_get_string(value, "device-endian", &endian) < 0 ||
	    json_get_bool(value, "started", &started) < 0 ||
	    json_get_object(value, "guest-features", &features) < 0 ||
	    json_get_array(features, "transports", &transports) < 0)
		return -EBADMSG;
	*ret_plain = started && strcmp(endian, "little") == 0 &&
		     !has_feature(transports, "VIRTIO_F_RING_PACKED") &&
		     !has_feature(transports, "VIRTIO_F_IOMMU_PLATFORM");
	return 0;
}

int qmp_virtio_queue_parse(struct json_object *value, struct qmp_virtio_queue *ret_queue)
{
	struct qmp_virtio_queue queue;

	if (!json_object_is_type(value, json_type_object) ||
	    json_get_u64(value, "vring-num", &queue.size) < 0 ||
	    json_get_u64(value, "vring-desc", &queue.descriptors) < 0 ||
	    json_get_u64(value, "vring-avail", &queue.available) < 0 ||
	    json_get_u64(value, "vring-used", &queue.used) < 0)
		return -EBADMSG;
	*ret_queue = queue;
	return 0;
}

/*
 * monitor/hmp-cmds-target.c, hmp_gpa2hva(): "Host virtual address for 0x1000 (pc.ram) is 0x7f..."
 */
int qmp_host_address_parse(struct json_object *value, uint64_t *ret_host)
{
	const char *text, *found;
	char *end;

	if (!json_object_is_type(value, json_type_string))
		return -EBADMSG;
	text = json_object_get_string(value);
	found = strstr(text, ") is 0x");
	if (!found && !strstr(text, "No memory is mapped") && !strstr(text, "is not RAM"))
		return -EBADMSG;
	*ret_host = found ? strtoull(found + strlen(") is "), &end, 16) : 0;
	return 0;
}
