/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show.c - the commands that show what an agent holds. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/addr.h"
#include "nvectl/nvectl.h"
#include "nvectl/show.h"
#include "nvectl/view.h"

static const struct view_column vni_columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "BRIDGE", "bridge" }, { "VXLAN", "vxlan" }, { "PORTS", "ports" },
	{ "MAPPINGS", "mappings" }, { "MEMBERS", "members" },
	/* clang-format on */
};
static const struct nvectl_list status_vnis = { "vnis", vni_columns, ARRAY_SIZE(vni_columns) };

static const struct view_column port_columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "MAC", "mac" }, { "DEVICE", "device" }, { "STATE", "state" },
	{ "GENERATION", "generation" }, { "KIND", "kind" }, { "VM", "vm" }, { "REFUSED", "addresses_refused" },
	{ "DROPPED", "frames_dropped" }, { "IPS", "ips" },
	/* clang-format on */
};
static const struct nvectl_list ports = { "ports", port_columns, ARRAY_SIZE(port_columns) };

static const struct view_column mapping_columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "MAC", "mac" }, { "VTEP", "vtep" },
	{ "GENERATION", "generation" }, { "LOCAL", "local" }, { "KERNEL", "in_kernel" },
	{ "CONFIRMED", "confirmed" }, { "FLAGS", "flags" },
	{ "VM", "vm" }, { "IPS", "ips" },
	/* clang-format on */
};
static const struct nvectl_list mappings = { "mappings", mapping_columns,
					     ARRAY_SIZE(mapping_columns) };

int nvectl_print_list(struct json_object *reply, const struct nvectl_list *list)
{
	struct json_object *rows;

	if (json_get_array(reply, list->key, &rows) < 0)
		return nvectl_fail("the reply has no list '%s'", list->key);
	switch (view_table(rows, list->columns, list->column_count, stdout)) {
	case 0:
		return EXIT_SUCCESS;
	case -EBADMSG:
		return nvectl_fail("the list '%s' holds something that is not understood",
				   list->key);
	default:
		return nvectl_fail("out of memory");
	}
}

void nvectl_print_field(const char *label, struct json_object *object, const char *key,
			char *(*form)(struct json_object *value))
{
	struct json_object *value = json_object_object_get(object, key);
	_cleanup_free_ char *text = form(value);

	if (value)
		printf("%-10s %s\n", label, text ? text : "");
}

/* Asks, then prints the reply as JSON or the one list in it. Takes @request over. */
static int show_list(const struct nvectl *ctl, struct json_object *request,
		     const struct nvectl_list *list)
{
	_cleanup_(json_unrefp) struct json_object *reply =
		nvectl_ask_for(ctl, request, AGENT_LIST_TIMEOUT_MS);

	if (!reply)
		return EXIT_FAILURE;
	if (!ctl->json)
		return nvectl_print_list(reply, list);
	nvectl_print_json(reply);
	return EXIT_SUCCESS;
}

int nvectl_ports(struct nvectl *ctl, int argc, char **argv)
{
	nvectl_parse_plain(
		ctl, argc, argv,
		"Lists the addresses that live on this host, and those arriving or leaving.");
	return show_list(ctl, agent_request("ports"), &ports);
}

/* --- mappings --- */

struct mappings_options {
	struct nvectl *ctl;
	uint32_t vni; /* 0: all */
};

static error_t parse_mappings(int key, char *argument, struct argp_state *state)
{
	struct mappings_options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case 'n':
		if (vni_from_text(argument, &options->vni) < 0)
			argp_error(state, "'%s' is not a VNI: 1 to %d", argument, VNI_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int nvectl_mappings(struct nvectl *ctl, int argc, char **argv)
{
	static const struct argp_option options[] = { { "vni", 'n', "VNI", 0, "Only this VNI" },
						      { 0 } };
	static const struct argp_child children[] = { { &nvectl_common_argp }, { 0 } };
	static const struct argp argp = {
		options, parse_mappings, NULL, "Lists which NVE has which addresses.", children,
	};
	_cleanup_(json_unrefp) struct json_object *request = agent_request("mappings");
	struct mappings_options mappings_options = { .ctl = ctl };

	argp_parse(&argp, argc, argv, 0, NULL, &mappings_options);
	if (request && mappings_options.vni &&
	    json_add_u64(request, "vni", mappings_options.vni) < 0)
		request = json_unref(request);
	return show_list(ctl, TAKE_PTR(request), &mappings);
}

/* --- status --- */

/* "LABEL: NAME, connected since 3 h 1 min", of a peer the agent talks to. */
static void print_peer(const char *label, struct json_object *peer, const char *name_key)
{
	_cleanup_free_ char *name = view_member(peer, name_key);
	_cleanup_free_ char *since = view_duration_s(json_object_object_get(peer, "since_s"));
	bool connected = false, timed = json_object_object_get(peer, "since_s");

	(void) json_get_bool(peer, "connected", &connected); /* absent: not connected */
	printf("%-10s %s, %sconnected%s%s\n", label, name ? name : "", connected ? "" : "not ",
	       timed ? " for " : "", timed && since ? since : "");
}

static int print_status(struct json_object *reply)
{
	struct json_object *part;

	nvectl_print_field("NVE", reply, "name", view_text);
	nvectl_print_field("version", reply, "version", view_text);
	nvectl_print_field("VTEP", reply, "vtep", view_text);
	nvectl_print_field("up", reply, "uptime_s", view_duration_s);
	if (json_get_object(reply, "nva", &part) == 0)
		print_peer("NVA", part, "address");
	if (json_get_object(reply, "libvirt", &part) == 0)
		print_peer("libvirt", part, "uri");
	putchar('\n');
	if (nvectl_print_list(reply, &status_vnis) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	if (json_get_object(reply, "counters", &part) == 0) {
		printf("\ncounters\n");
		view_members(part, stdout);
	}
	return EXIT_SUCCESS;
}

int nvectl_status(struct nvectl *ctl, int argc, char **argv)
{
	_cleanup_(json_unrefp) struct json_object *reply = NULL;

	nvectl_parse_plain(ctl, argc, argv, "Shows this NVE: its NVA, libvirt, VNIs and counters.");
	reply = nvectl_ask(ctl, agent_request("status"));
	if (!reply)
		return EXIT_FAILURE;
	if (!ctl->json)
		return print_status(reply);
	nvectl_print_json(reply);
	return EXIT_SUCCESS;
}
