/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reassign.c - nvectl nva reassign: gives a VM's or a MAC's mappings to another NVE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/addr.h"
#include "net/uuid.h"
#include "nvectl/nva_socket.h"
#include "nvectl/nvectl.h"
#include "nvectl/view.h"

enum {
	OPTION_VNI = 0x300,
	OPTION_MAC,
	OPTION_VM,
	OPTION_DRY_RUN,
};

static const struct view_column columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "MAC", "mac" }, { "FROM", "from" }, { "TO", "to" },
	{ "GENERATION", "generation" }, { "CHANGED", "changed" },
	/* clang-format on */
};

static const struct argp_option argp_options[] = {
	/* clang-format off */
	{ "vni", OPTION_VNI, "VNI", 0, "The VN of the MAC; with --vm: only in this one", 0 },
	{ "mac", OPTION_MAC, "MAC", 0, "The endpoint, of a VM or not", 0 },
	{ "vm", OPTION_VM, "UUID", 0, "All endpoints of this VM", 0 },
	{ "dry-run", OPTION_DRY_RUN, NULL, 0, "Check, and show what there is; change nothing", 0 },
	NVA_SOCKET_OPTION,
	{ 0 },
	/* clang-format on */
};

struct options {
	struct nvectl *ctl;
	const char *nva_socket, *mac, *vm, *to;
	uint32_t vni;
	bool dry_run;
};

static void check_arguments(const struct options *options, struct argp_state *state)
{
	if (!options->mac == !options->vm)
		argp_error(state, "give --mac with --vni, or --vm");
	if (options->mac && !options->vni)
		argp_error(state, "a MAC is one in a VN: give --vni");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	struct mac mac;
	struct uuid vm;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case OPTION_VNI:
		if (vni_from_text(argument, &options->vni) < 0)
			argp_error(state, "'%s' is no VNI, 1 to 16777215", argument);
		return 0;
	case OPTION_MAC:
		if (mac_from_text(argument, &mac) < 0)
			argp_error(state, "'%s' is no MAC, like 52:54:00:aa:00:10", argument);
		options->mac = argument;
		return 0;
	case OPTION_VM:
		if (uuid_from_text(argument, &vm) < 0)
			argp_error(state, "'%s' is no UUID", argument);
		options->vm = argument;
		return 0;
	case OPTION_DRY_RUN:
		options->dry_run = true;
		return 0;
	case OPTION_NVA_SOCKET:
		options->nva_socket = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (options->to)
			argp_error(state, "there can be one NVE only");
		options->to = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->to)
			argp_error(state, "say to which NVE");
		check_arguments(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static struct json_object *build_request(const struct options *options)
{
	_cleanup_(json_unrefp) struct json_object *request = json_object_new_object();

	if (!request || json_add_string(request, "op", "reassign") < 0 ||
	    json_add_string(request, "to", options->to) < 0 ||
	    (options->mac && json_add_string(request, "mac", options->mac) < 0) ||
	    (options->vm && json_add_string(request, "vm", options->vm) < 0) ||
	    (options->vni && json_add_u64(request, "vni", options->vni) < 0) ||
	    json_add_bool(request, "dry_run", options->dry_run) < 0)
		return NULL;
	return TAKE_PTR(request);
}

static int show(const struct options *options, struct json_object *reply)
{
	struct json_object *rows;

	if (options->ctl->json) {
		nvectl_print_json(reply);
		return EXIT_SUCCESS;
	}
	if (json_get_array(reply, "mappings", &rows) < 0 ||
	    view_table(rows, columns, ARRAY_SIZE(columns), stdout) < 0)
		return nvectl_fail("the NVA gave a reply that is not understood");
	if (options->dry_run)
		puts("nothing was changed: this was a dry run");
	return EXIT_SUCCESS;
}

static int ask(const struct options *options)
{
	struct nva_connection connection = { .path = options->nva_socket };
	_cleanup_(json_unrefp) struct json_object *request = build_request(options), *reply = NULL;
	int status;

	if (!request)
		return nvectl_fail("out of memory");
	status = nva_connection_open(
		&connection, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	if (status == 0)
		status = nva_read_answer(&connection, &reply);
	nva_connection_close(&connection);
	return status == 0 ? show(options, reply) : status;
}

int nvectl_nva_reassign(struct nvectl *ctl, int argc, char **argv)
{
	const struct argp_child children[] = { { &nvectl_common_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "NVE",
		.doc = "Makes NVE the one that serves a MAC, or all MACs of a VM, in the directory "
		       "of "
		       "the NVA on this host, without asking the one that serves them now."
		       "\v"
		       "For a host that will not come back, or says wrong things. The generation "
		       "grows, so that every NVE believes it, the old one too: what that claims "
		       "from "
		       "now on is refused. Where the VM was started at NVE, nothing need be "
		       "reassigned once the lease of the old NVE has ended. Doing it twice is "
		       "doing "
		       "it once.",
		.children = children,
	};
	struct options options = { .ctl = ctl, .nva_socket = NVA_SOCKET };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return ask(&options);
}
