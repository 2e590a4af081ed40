// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/etcd_health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

struct endpoint_health {
	struct etcd_client *client; /* borrowed */
	size_t number;
	struct etcd_call *call;
	uint64_t due_us, asked_us;
	uint64_t answer_us; /* it took */
	bool answered, leads;
	char error[ETCD_ERROR_SIZE]; /* "": none */
};

struct etcd_health {
	struct etcd_client *client;
	const struct etcd_client_config *config;
	struct endpoint_health endpoints[ETCD_ENDPOINTS_MAX];
};

static void note_error(struct endpoint_health *endpoint, const char *text)
{
	(void) snprintf(endpoint->error, sizeof(endpoint->error), "%s", text);
}

static void on_status(void *userdata, const struct etcd_answer *answer, const char *text)
{
	struct endpoint_health *endpoint = userdata;

	endpoint->call = NULL;
	endpoint->answered = answer != NULL;
	endpoint->answer_us = clock_monotonic_us() - endpoint->asked_us;
	endpoint->leads = false;
	note_error(endpoint, "");
	if (!answer || answer->error)
		note_error(endpoint, text);
	else if (!answer->raft_leader)
		note_error(endpoint, "its cluster has no leader");
	else
		endpoint->leads = answer->raft_leader == answer->member;
}

static void ask(struct endpoint_health *endpoint, uint64_t now_us)
{
	endpoint->due_us = now_us + ETCD_HEALTH_MS * UINT64_C(1000);
	endpoint->asked_us = now_us;
	if (etcd_call_at(endpoint->client, endpoint->number, "/v3/maintenance/status", strdup("{}"),
			 on_status, endpoint, &endpoint->call) < 0)
		endpoint->call = NULL; /* it is asked again */
}

void etcd_health_tick(struct etcd_health *health, uint64_t now_us)
{
	for (size_t i = 0; i < health->config->endpoint_count; i++)
		if (!health->endpoints[i].call && now_us >= health->endpoints[i].due_us)
			ask(&health->endpoints[i], now_us);
}

/* --- for an operator --- */

static int describe(const struct etcd_health *health, const struct endpoint_health *endpoint,
		    struct json_object *object)
{
	const char *url = health->config->endpoints[endpoint->number];

	if (json_add_string(object, "endpoint", url) < 0 ||
	    json_add_bool(object, "used", strcmp(etcd_client_endpoint(health->client), url) == 0) <
		    0 ||
	    json_add_bool(object, "healthy", endpoint->answered && !endpoint->error[0]) < 0 ||
	    json_add_bool(object, "leads", endpoint->leads) < 0)
		return -ENOMEM;
	if (endpoint->answered && json_add_u64(object, "answer_ms", endpoint->answer_us / 1000) < 0)
		return -ENOMEM;
	return endpoint->error[0] ? json_add_string(object, "error", endpoint->error) : 0;
}

int etcd_health_describe(const struct etcd_health *health, struct json_object *object)
{
	struct json_object *array = json_object_new_array();

	if (json_add(object, "endpoints", array) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < health->config->endpoint_count; i++) {
		struct json_object *item = json_object_new_object();

		if (!item || json_object_array_add(array, item) < 0) {
			json_object_put(item);
			return -ENOMEM;
		}
		if (describe(health, &health->endpoints[i], item) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* --- life --- */

struct etcd_health *etcd_health_new(struct etcd_client *client,
				    const struct etcd_client_config *config)
{
	struct etcd_health *health = calloc(1, sizeof(*health));

	if (!health)
		return NULL;
	health->client = client;
	health->config = config;
	for (size_t i = 0; i < ETCD_ENDPOINTS_MAX; i++) {
		health->endpoints[i].client = client;
		health->endpoints[i].number = i;
		note_error(&health->endpoints[i], "it has not been asked yet");
	}
	return health;
}

struct etcd_health *etcd_health_free(struct etcd_health *health)
{
	if (!health)
		return NULL;
	for (size_t i = 0; i < ETCD_ENDPOINTS_MAX; i++)
		etcd_call_free(health->endpoints[i].call);
	free(health);
	return NULL;
}
