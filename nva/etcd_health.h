/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_health.h - how each endpoint of etcd is, for an operator: whether it answers, how fast, and
 * whether it knows a leader of etcd's, without which nothing can be written there. Nothing is
 * decided by it.
 */
#ifndef REHOME_NVA_ETCD_HEALTH_H
#define REHOME_NVA_ETCD_HEALTH_H

#include <json-c/json.h>

#include "nva/etcd_client.h"

enum {
	ETCD_HEALTH_MS = 3000, /* between two questions to an endpoint */
};

struct etcd_health;

/* Both are borrowed. NULL without memory. */
struct etcd_health *etcd_health_new(struct etcd_client *client,
				    const struct etcd_client_config *config);
struct etcd_health *etcd_health_free(struct etcd_health *health);
DEFINE_CLEANUP(struct etcd_health, etcd_health_free)

/* Several times a second. */
void etcd_health_tick(struct etcd_health *health, uint64_t now_us);

/*
 * Adds "endpoints": of each "endpoint", "used" (the next request goes there), "healthy", "leads"
 * (it is etcd's leader), "answer_ms" (it took, if it answered), "error". 0 or -ENOMEM.
 */
int etcd_health_describe(const struct etcd_health *health, struct json_object *object);

#endif
