// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * server_cluster.c - one NVA of several.
 *
 *   standby: etcd ──changes──▶ directory          agents are refused, and told who leads
 *   leading: agents ──▶ directory ──changes──▶ etcd
 *
 * The directory of a standby tells nobody anything and its clock stands still: what happens in it
 * is what the leader wrote. When this NVA takes the lead it goes on from there, as after a restart;
 * when it loses it, what it holds may be what nobody wrote, and is thrown away.
 */
#include "nva/server_internal.h"

#include <errno.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "nva/server_store.h"

static int on_reset(void *userdata)
{
	struct server *server = userdata;

	server->directory = directory_free(server->directory);
	if (server_make_directory(server) < 0)
		return -ENOMEM;
	control_change(server->control, server->directory, "this NVA does not lead any more");
	return 0;
}

static int on_change(void *userdata, const struct change *change, char *reterr_message)
{
	struct server *server = userdata;

	return server_store_apply(server->directory, change, reterr_message);
}

static int on_lead(void *userdata)
{
	struct server *server = userdata;
	struct directory_counts counts;
	int r;

	server->standby = false;
	r = directory_begin(server->directory, clock_monotonic_us(), server_journal, server);
	directory_count(server->directory, &counts);
	log_notice("NVA %s leads: %zu mappings of %zu NVEs in %zu VNIs", server->config.name,
		   counts.mappings, counts.nves, counts.vnis);
	return r;
}

static void on_follow(void *userdata, const char *text)
{
	struct server *server = userdata;

	log_warning("NVA %s does not lead any more: %s", server->config.name, text);
	server->standby = true;
	for (size_t i = 0; i < server->session_count; i++) {
		session_drop_held(server->sessions[i]);
		session_refuse(server->sessions[i], text);
	}
	control_change(
		server->control, server->directory,
		"this NVA does not lead any more: nothing is known of what it was asked to do");
}

static const struct store_etcd_events events = {
	.reset = on_reset,
	.change = on_change,
	.lead = on_lead,
	.follow = on_follow,
};

/* --- for an operator --- */

static int add_standbys(const struct server *server, struct json_object *array)
{
	for (size_t i = 0; i < server->session_count; i++) {
		struct json_object *name;

		if (!session_is_watching(server->sessions[i]) ||
		    session_is_over(server->sessions[i]))
			continue;
		name = json_object_new_string(session_name(server->sessions[i]));
		if (!name || json_object_array_add(array, name) < 0) {
			json_object_put(name);
			return -ENOMEM;
		}
	}
	return 0;
}

int server_about(void *userdata, struct json_object *status)
{
	const struct server *server = userdata;
	struct json_object *store = json_object_new_object();
	struct json_object *standbys;

	if (json_add(status, "store", store) < 0 || store_describe(server->store, store) < 0)
		return -ENOMEM;
	if (server->config.store != NVA_STORE_ETCD)
		return 0;
	standbys = json_object_new_array();
	return json_add(status, "standbys", standbys) < 0 ? -ENOMEM
							  : add_standbys(server, standbys);
}

void server_join(struct server *server)
{
	server->standby = true;
	store_etcd_join(server->store, &events, server);
}
