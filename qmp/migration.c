/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migration.c - requests and answers of QEMU's migration commands. */
#include "qmp/migration.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

static const char *const capability_names[] = {
	/* by bit number */
	"events",	"pause-before-switchover",
	"postcopy-ram", "auto-converge",
	"return-path",	"multifd",
	"xbzrle",
};
static_assert(QMP_CAPABILITY_XBZRLE == 1 << (ARRAY_SIZE(capability_names) - 1),
	      "a capability has no name");

static const unsigned capabilities_all = (1u << ARRAY_SIZE(capability_names)) - 1;

static const struct {
	const char *name;
	uint64_t min, max;
} parameter_table[] = {
	[QMP_PARAMETER_MAX_BANDWIDTH_BYTES_PER_S] = {"max-bandwidth", 0, INT64_MAX},
	[QMP_PARAMETER_DOWNTIME_LIMIT_MS] = {"downtime-limit", 0, 2000000},
	[QMP_PARAMETER_MULTIFD_CHANNELS] = {"multifd-channels", 1, 255},
	[QMP_PARAMETER_ANNOUNCE_INITIAL_MS] = {"announce-initial", 0, 100000},
	[QMP_PARAMETER_ANNOUNCE_MAX_MS] = {"announce-max", 0, 100000},
	[QMP_PARAMETER_ANNOUNCE_ROUNDS] = {"announce-rounds", 0, 1000},
	[QMP_PARAMETER_ANNOUNCE_STEP_MS] = {"announce-step", 1, 10000},
};
static_assert(ARRAY_SIZE(parameter_table) == QMP_PARAMETER_COUNT, "a parameter has no range");

static const char *const run_state_names[] = {
	[QMP_RUN_OTHER] = "other",
	[QMP_RUN_RUNNING] = "running",
	[QMP_RUN_PAUSED] = "paused",
	[QMP_RUN_PRELAUNCH] = "prelaunch",
	[QMP_RUN_INMIGRATE] = "inmigrate",
	[QMP_RUN_FINISH_MIGRATE] = "finish-migrate",
	[QMP_RUN_POSTMIGRATE] = "postmigrate",
	[QMP_RUN_SHUTDOWN] = "shutdown",
};
static_assert(ARRAY_SIZE(run_state_names) == QMP_RUN_STATE_COUNT, "a run state has no name");

const char *qmp_run_state_name(enum qmp_run_state state)
{
	return run_state_names[state < QMP_RUN_STATE_COUNT ? state : QMP_RUN_OTHER];
}

static enum qmp_run_state run_state_from_name(const char *name)
{
	for (size_t i = QMP_RUN_OTHER + 1; i < ARRAY_SIZE(run_state_names); i++)
		if (strcmp(run_state_names[i], name) == 0)
			return (enum qmp_run_state) i;
	return QMP_RUN_OTHER;
}

static bool parameter_is_valid(const struct qmp_parameter *parameter)
{
	return parameter->key < QMP_PARAMETER_COUNT &&
	       parameter->value >= parameter_table[parameter->key].min &&
	       parameter->value <= parameter_table[parameter->key].max;
}

/* A request whose only argument is the string @key. */
static int request_with_string(const char *command, const char *key, const char *value,
			       struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();
	int r;

	if (!arguments)
		return -ENOMEM;
	r = json_add_string(arguments, key, value);
	if (r < 0)
		return r;
	return qmp_request_new(command, TAKE_PTR(arguments), ret_request);
}

int qmp_request_migrate(const char *uri, struct json_object **ret_request)
{
	return *uri ? request_with_string("migrate", "uri", uri, ret_request) : -EINVAL;
}

int qmp_request_migrate_incoming(const char *uri, struct json_object **ret_request)
{
	return *uri ? request_with_string("migrate-incoming", "uri", uri, ret_request) : -EINVAL;
}

static int add_capability(struct json_object *list, const char *name, bool state)
{
	_cleanup_(json_unrefp) struct json_object *entry = json_object_new_object();
	int r;

	if (!entry)
		return -ENOMEM;
	r = json_add_string(entry, "capability", name);
	if (r == 0)
		r = json_add_bool(entry, "state", state);
	if (r < 0)
		return r;
	if (json_object_array_add(list, entry) < 0)
		return -ENOMEM;
	TAKE_PTR(entry);
	return 0;
}

static int add_capabilities(struct json_object *list, unsigned on, unsigned off)
{
	for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++) {
		unsigned bit = 1u << i;
		int r;

		if (!((on | off) & bit))
			continue;
		r = add_capability(list, capability_names[i], on & bit);
		if (r < 0)
			return r;
	}
	return 0;
}

int qmp_request_set_capabilities(unsigned on, unsigned off, struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();
	_cleanup_(json_unrefp) struct json_object *list = json_object_new_array();
	int r;

	if ((on & off) || ((on | off) & ~capabilities_all) || !(on | off))
		return -EINVAL;
	if (!arguments || !list)
		return -ENOMEM;
	r = add_capabilities(list, on, off);
	if (r < 0)
		return r;
	r = json_add(arguments, "capabilities", TAKE_PTR(list));
	if (r < 0)
		return r;
	return qmp_request_new("migrate-set-capabilities", TAKE_PTR(arguments), ret_request);
}

int qmp_request_set_parameters(const struct qmp_parameter *parameters, size_t count,
			       struct json_object **ret_request)
{
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();

	if (!arguments)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *name;
		int r;

		if (!parameter_is_valid(&parameters[i]))
			return -EINVAL;
		name = parameter_table[parameters[i].key].name;
		if (json_object_object_get_ex(arguments, name, NULL))
			return -EINVAL;
		r = json_add_u64(arguments, name, parameters[i].value);
		if (r < 0)
			return r;
	}
	return qmp_request_new("migrate-set-parameters", TAKE_PTR(arguments), ret_request);
}

int qmp_request_migrate_continue(enum qmp_migration_status status, struct json_object **ret_request)
{
	return request_with_string("migrate-continue", "state", qmp_migration_status_name(status),
				   ret_request);
}

int qmp_request_migrate_cancel(struct json_object **ret_request)
{
	return qmp_request_new("migrate_cancel", NULL, ret_request);
}

int qmp_request_query_migrate(struct json_object **ret_request)
{
	return qmp_request_new("query-migrate", NULL, ret_request);
}

int qmp_request_query_status(struct json_object **ret_request)
{
	return qmp_request_new("query-status", NULL, ret_request);
}

int qmp_request_cont(struct json_object **ret_request)
{
	return qmp_request_new("cont", NULL, ret_request);
}

int qmp_request_announce_self(const struct qmp_announce *announce, struct json_object **ret_request)
{
	const struct {
		const char *name;
		struct qmp_parameter parameter;
	} members[] = {
		{"initial", {QMP_PARAMETER_ANNOUNCE_INITIAL_MS, announce->initial_ms}},
		{"max", {QMP_PARAMETER_ANNOUNCE_MAX_MS, announce->max_ms}},
		{"rounds", {QMP_PARAMETER_ANNOUNCE_ROUNDS, announce->rounds}},
		{"step", {QMP_PARAMETER_ANNOUNCE_STEP_MS, announce->step_ms}},
	};
	_cleanup_(json_unrefp) struct json_object *arguments = json_object_new_object();

	if (!arguments)
		return -ENOMEM;
	if (announce->rounds == 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		int r;

		if (!parameter_is_valid(&members[i].parameter))
			return -EINVAL;
		r = json_add_u64(arguments, members[i].name, members[i].parameter.value);
		if (r < 0)
			return r;
	}
	return qmp_request_new("announce-self", TAKE_PTR(arguments), ret_request);
}

/* Reads numbers that may be absent: they then stay as they are. */
static int read_optional_u64(struct json_object *object, const char *key, uint64_t *value)
{
	int r = json_get_u64(object, key, value);

	return r == -ENOENT ? 0 : r;
}

static int read_ram(struct json_object *value, struct qmp_migration_info *info)
{
	struct json_object *ram;
	int r = json_get_object(value, "ram", &ram);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_get_u64(ram, "transferred", &info->ram_transferred_bytes) < 0 ||
	    json_get_u64(ram, "remaining", &info->ram_remaining_bytes) < 0 ||
	    json_get_u64(ram, "total", &info->ram_total_bytes) < 0 ||
	    read_optional_u64(ram, "dirty-sync-count", &info->passes) < 0)
		return -EBADMSG;
	return 0;
}

static int read_times(struct json_object *value, struct qmp_migration_info *info)
{
	if (read_optional_u64(value, "setup-time", &info->setup_ms) < 0 ||
	    read_optional_u64(value, "total-time", &info->total_ms) < 0 ||
	    read_optional_u64(value, "downtime", &info->downtime_ms) < 0 ||
	    read_optional_u64(value, "expected-downtime", &info->expected_downtime_ms) < 0)
		return -EBADMSG;
	return 0;
}

/* error-desc is why it failed; blocked-reasons (since 6.0) why it cannot begin. */
static int read_error(struct json_object *value, struct qmp_migration_info *info)
{
	struct json_object *reasons;
	const char *text = "";
	int r;

	r = json_get_string(value, "error-desc", &text);
	if (r == -ENOENT) {
		r = json_get_array(value, "blocked-reasons", &reasons);
		if (r == 0 && json_object_array_length(reasons) > 0)
			text = json_object_get_string(json_object_array_get_idx(reasons, 0));
	}
	if ((r < 0 && r != -ENOENT) || !text)
		return -EBADMSG;
	(void) snprintf(info->error, sizeof(info->error), "%s", text);
	return 0;
}

int qmp_migration_info_parse(struct json_object *value, struct qmp_migration_info *ret_info)
{
	struct qmp_migration_info info = {.status = QMP_MIGRATION_NONE};
	const char *status;
	int r;

	if (!json_object_is_type(value, json_type_object))
		return -EBADMSG;
	r = json_get_string(value, "status", &status); /* absent before the first migration */
	if (r == 0)
		info.status = qmp_migration_status_from_name(status);
	if ((r < 0 && r != -ENOENT) || read_ram(value, &info) < 0 || read_times(value, &info) < 0 ||
	    read_error(value, &info) < 0)
		return -EBADMSG;

	*ret_info = info;
	return 0;
}

int qmp_vm_status_parse(struct json_object *value, struct qmp_vm_status *ret_status)
{
	struct qmp_vm_status status;
	const char *state;

	if (!json_object_is_type(value, json_type_object) ||
	    json_get_string(value, "status", &state) < 0 ||
	    json_get_bool(value, "running", &status.running) < 0)
		return -EBADMSG;

	status.state = run_state_from_name(state);
	*ret_status = status;
	return 0;
}

/* Sends what a builder gave, unless it failed. */
static int call(struct qmp_client *client, int built, struct json_object *request,
		struct json_object **ret_value)
{
	return built < 0 ? built : qmp_client_call(client, request, ret_value);
}

int qmp_migrate(struct qmp_client *client, const char *uri)
{
	struct json_object *request = NULL;
	int r = qmp_request_migrate(uri, &request);

	return call(client, r, request, NULL);
}

int qmp_migrate_incoming(struct qmp_client *client, const char *uri)
{
	struct json_object *request = NULL;
	int r = qmp_request_migrate_incoming(uri, &request);

	return call(client, r, request, NULL);
}

int qmp_set_capabilities(struct qmp_client *client, unsigned on, unsigned off)
{
	struct json_object *request = NULL;
	int r = qmp_request_set_capabilities(on, off, &request);

	return call(client, r, request, NULL);
}

int qmp_set_parameters(struct qmp_client *client, const struct qmp_parameter *parameters,
		       size_t count)
{
	struct json_object *request = NULL;
	int r = qmp_request_set_parameters(parameters, count, &request);

	return call(client, r, request, NULL);
}

int qmp_migrate_continue(struct qmp_client *client, enum qmp_migration_status status)
{
	struct json_object *request = NULL;
	int r = qmp_request_migrate_continue(status, &request);

	return call(client, r, request, NULL);
}

int qmp_migrate_cancel(struct qmp_client *client)
{
	struct json_object *request = NULL;
	int r = qmp_request_migrate_cancel(&request);

	return call(client, r, request, NULL);
}

int qmp_announce_self(struct qmp_client *client, const struct qmp_announce *announce)
{
	struct json_object *request = NULL;
	int r = qmp_request_announce_self(announce, &request);

	return call(client, r, request, NULL);
}

int qmp_cont(struct qmp_client *client)
{
	struct json_object *request = NULL;
	int r = qmp_request_cont(&request);

	return call(client, r, request, NULL);
}

int qmp_query_migrate(struct qmp_client *client, struct qmp_migration_info *ret_info)
{
	_cleanup_(json_unrefp) struct json_object *value = NULL;
	struct json_object *request = NULL;
	int r = qmp_request_query_migrate(&request);

	r = call(client, r, request, &value);
	return r < 0 ? r : qmp_migration_info_parse(value, ret_info);
}

int qmp_query_status(struct qmp_client *client, struct qmp_vm_status *ret_status)
{
	_cleanup_(json_unrefp) struct json_object *value = NULL;
	struct json_object *request = NULL;
	int r = qmp_request_query_status(&request);

	r = call(client, r, request, &value);
	return r < 0 ? r : qmp_vm_status_parse(value, ret_status);
}
