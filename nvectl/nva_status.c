/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva_status.c - nvectl nva status: the NVA that this host's agent is connected to, which is the
 * one that leads; or the one on this host, which may stand by.
 */
#include <stdio.h>
#include <string.h>

#include "nvectl/nva_socket.h"
#include "nvectl/nvectl.h"
#include "nvectl/show.h"

/* --- what it keeps --- */

static const struct view_column nve_columns[] = {
	/* clang-format off */
	{ "NVE", "name" }, { "VTEP", "vtep" }, { "ROLE", "role" }, { "CONNECTED", "connected" },
	{ "STALE", "stale" },
	{ "ACKED REVISION", "acked_revision" }, { "VNIS", "vnis" },
	/* clang-format on */
};

static const struct view_column nva_vni_columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "MEMBERS", "members" }, { "MAPPINGS", "mappings" },
	/* clang-format on */
};

static const struct view_column nva_move_columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "MAC", "mac" }, { "FROM", "from" }, { "TO", "to" },
	{ "STATE", "state" }, { "GENERATION", "generation" },
	/* clang-format on */
};

/* "52:54:00:aa:00:10 (hv1), ...": the one that has the address, then those that wait. */
static char *claims_text(struct json_object *claims)
{
	char *text = NULL;
	size_t size;
	FILE *out;

	if (!json_object_is_type(claims, json_type_array))
		return view_text(claims);
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (size_t i = 0; i < json_object_array_length(claims); i++) {
		struct json_object *claim = json_object_array_get_idx(claims, i);
		_cleanup_free_ char *mac = NULL, *nve = NULL;

		if (!json_object_is_type(claim, json_type_object))
			continue;
		mac = view_member(claim, "mac");
		nve = view_member(claim, "nve");
		fprintf(out, "%s%s (%s)", i ? ", " : "", mac ? mac : "", nve ? nve : "");
	}
	fclose(out);
	return text;
}

static const struct view_column conflict_columns[] = {
	/* clang-format off */
	{ "VNI", "vni" }, { "ADDRESS", "ip" }, { "CLAIMED BY", "claims", claims_text },
	/* clang-format on */
};

static const struct nvectl_list nva_conflicts = { "conflicts", conflict_columns,
						  ARRAY_SIZE(conflict_columns) };

static const struct nvectl_list nva_lists[] = {
	{ "nves", nve_columns, ARRAY_SIZE(nve_columns) },
	{ "vnis", nva_vni_columns, ARRAY_SIZE(nva_vni_columns) },
	{ "moves", nva_move_columns, ARRAY_SIZE(nva_move_columns) },
};

/* --- how it keeps that --- */

static const struct view_column endpoint_columns[] = {
	/* clang-format off */
	{ "ENDPOINT", "endpoint" }, { "HEALTHY", "healthy" }, { "LEADS", "leads" }, { "USED", "used" },
	{ "ANSWER MS", "answer_ms" }, { "ERROR", "error" },
	/* clang-format on */
};
static const struct nvectl_list endpoints = { "endpoints", endpoint_columns,
					      ARRAY_SIZE(endpoint_columns) };

static bool has(struct json_object *object, const char *key)
{
	return json_object_object_get(object, key);
}

/* "LABEL: FIRST, SECOND"; the second, with what comes before it, only where there is one. */
static void print_pair(const char *label, struct json_object *object, const char *first,
		       const char *before, const char *second)
{
	_cleanup_free_ char *one = view_member(object, first), *other = view_member(object, second);

	if (has(object, first))
		printf("%-10s %s%s%s\n", label, one ? one : "", has(object, second) ? before : "",
		       has(object, second) && other ? other : "");
}

static void print_role(struct json_object *store)
{
	_cleanup_free_ char *role = view_member(store, "role");
	uint64_t since_ms = 0;

	if (!has(store, "role"))
		return;
	(void) json_get_u64(store, "role_since_ms", &since_ms);
	printf("%-10s %s", "role", role ? role : "");
	if (since_ms >= 1000) {
		_cleanup_(json_unrefp) struct json_object *since_s =
			json_object_new_int64((int64_t) (since_ms / 1000));
		_cleanup_free_ char *since = view_duration_s(since_s);

		printf(" for %s", since ? since : "");
	}
	putchar('\n');
}

/* An older NVA does not tell all of it. */
static void print_store(struct json_object *nva)
{
	struct json_object *store;

	if (json_get_object(nva, "store", &store) < 0)
		return;
	print_pair("store", store, "kind", ", ", "path");
	print_pair("state", store, "state", ": ", "error");
	print_role(store);
	print_pair("leader", store, "leader", ", ", "leader_address");
	nvectl_print_field("standbys", nva, "standbys", view_text);
}

static int print_endpoints(struct json_object *nva)
{
	struct json_object *store;

	if (json_get_object(nva, "store", &store) < 0 || !has(store, "endpoints"))
		return EXIT_SUCCESS;
	puts("\netcd");
	return nvectl_print_list(store, &endpoints);
}

/* --- all of it --- */

static int print_nva(struct json_object *nva)
{
	struct json_object *part;

	nvectl_print_field("NVA", nva, "name", view_text);
	nvectl_print_field("up", nva, "uptime_s", view_duration_s);
	nvectl_print_field("revision", nva, "revision", view_text);
	print_store(nva);
	if (print_endpoints(nva) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	for (size_t i = 0; i < ARRAY_SIZE(nva_lists); i++) {
		printf("\n%s\n", nva_lists[i].key);
		if (nvectl_print_list(nva, &nva_lists[i]) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	}
	if (has(nva, "conflicts")) { /* an older NVA does not tell */
		printf("\nconflicts\n");
		if (nvectl_print_list(nva, &nva_conflicts) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	}
	if (json_get_object(nva, "counters", &part) == 0) {
		printf("\ncounters\n");
		view_members(part, stdout);
	}
	return EXIT_SUCCESS;
}

static int show_agents(const struct nvectl *ctl)
{
	_cleanup_(json_unrefp) struct json_object *reply =
		nvectl_ask(ctl, agent_request("nva-status"));
	struct json_object *nva;

	if (!reply)
		return EXIT_FAILURE;
	if (ctl->json) {
		nvectl_print_json(reply);
		return EXIT_SUCCESS;
	}
	if (json_get_object(reply, "nva", &nva) < 0)
		return nvectl_fail("the agent's reply has no object 'nva'");
	return print_nva(nva);
}

/* With --json the same object as of the agent's. */
static int print_json(struct json_object *reply)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	json_object_object_del(reply, "ok");
	if (!object || json_add(object, "nva", json_object_get(reply)) < 0)
		return nvectl_fail("out of memory");
	nvectl_print_json(object);
	return EXIT_SUCCESS;
}

static int show_local(const struct nvectl *ctl, const char *path)
{
	struct nva_connection connection = { .path = path };
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	int status = nva_connection_open(&connection, "{\"op\":\"status\"}");

	if (status == 0)
		status = nva_read_answer(&connection, &reply);
	nva_connection_close(&connection);
	if (status != 0)
		return status;
	return ctl->json ? print_json(reply) : print_nva(reply);
}

/* --- the command --- */

enum {
	OPTION_HERE = 0x300,
};

struct options {
	struct nvectl *ctl;
	const char *nva_socket; /* NULL: the agent is asked */
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case OPTION_HERE:
		options->nva_socket = NVA_SOCKET;
		return 0;
	case OPTION_NVA_SOCKET:
		options->nva_socket = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int nvectl_nva_status(struct nvectl *ctl, int argc, char **argv)
{
	static const struct argp_option argp_options[] = {
		{ "here", OPTION_HERE, NULL, 0, "Ask the NVA on this host, not the agent's", 0 },
		{ "nva-socket", OPTION_NVA_SOCKET, "PATH", 0,
		  "The same, at its control socket (default " NVA_SOCKET ")", 0 },
		{ 0 },
	};
	const struct argp_child children[] = { { &nvectl_common_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.doc = "Shows the NVA that this host's agent is connected to: of several, the one "
		       "that leads."
		       "\v"
		       "An NVA that stands by serves no agent: ask it on its own host, with "
		       "--here.",
		.children = children,
	};
	struct options options = { .ctl = ctl };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return options.nva_socket ? show_local(ctl, options.nva_socket) : show_agents(ctl);
}
