/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio.h - where a guest's virtio-net receive ring is, as QEMU tells it: requests, and what their
 * answers say. Pure.
 *
 * Sources: QEMU qapi/virtio.json (x-query-virtio and the others, since 7.2; "x-": may change),
 * hmp-commands.hx (gpa2hva).
 *
 * Builders return 0 or -ENOMEM. Readers return 0, or -EBADMSG when an answer lacks what it must
 * have; members that are not known are ignored.
 */
#ifndef REHOME_QMP_VIRTIO_H
#define REHOME_QMP_VIRTIO_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

enum {
	QMP_VIRTIO_NETS_MAX = 16, /* NICs of a guest; the others are not seen */
	QMP_PATH_SIZE = 256,	  /* of a QOM path, with the NUL */
};

/* The QOM paths of a guest's virtio-net devices. */
struct qmp_virtio_nets {
	char paths[QMP_VIRTIO_NETS_MAX][QMP_PATH_SIZE];
	size_t count;
};

/* Guest physical addresses, if the device uses those: see qmp_virtio_status_parse(). */
struct qmp_virtio_queue {
	uint64_t size, descriptors, available, used;
};

int qmp_request_query_virtio(struct json_object **ret_request);
int qmp_virtio_nets_parse(struct json_object *value, struct qmp_virtio_nets *ret_nets);

/* The MAC its QEMU gave the device. */
int qmp_request_virtio_net_mac(const char *path, struct json_object **ret_request);
int qmp_virtio_net_mac_parse(struct json_object *value, struct mac *ret_mac);

/* *ret_plain: its rings are split ones, little endian, at guest physical addresses, and in use. */
int qmp_request_virtio_status(const char *path, struct json_object **ret_request);
int qmp_virtio_status_parse(struct json_object *value, bool *ret_plain);

int qmp_request_virtio_queue(const char *path, uint64_t queue, struct json_object **ret_request);
int qmp_virtio_queue_parse(struct json_object *value, struct qmp_virtio_queue *ret_queue);

/*
 * Where in QEMU's memory a guest physical address is. *ret_host: 0 when nowhere. The answer is
 * text for people: -EBADMSG when neither sentence is in it.
 */
int qmp_request_host_address(uint64_t guest, struct json_object **ret_request);
int qmp_host_address_parse(struct json_object *value, uint64_t *ret_host);

#endif
