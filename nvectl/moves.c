/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* moves.c - the ledger of moves: a table, or what happened when in each. */
#include "nvectl/moves.h"

#include <errno.h>
#include <stdio.h>

#include "nvectl/nvectl.h"
#include "nvectl/view.h"

enum {
	LAST_MAX = 100000,
};

static const struct view_column columns[] = {
	/* clang-format off */
	{ "STARTED", "started_us", view_time_us }, { "VM", "vm" }, { "VNI", "vni" },
	{ "MAC", "mac" }, { "ROLE", "role" }, { "FROM", "from" }, { "TO", "to" },
	{ "GENERATION", "generation" },
	{ "STATE", "state" }, { "PULLED", "pulled" }, { "FORWARDED", "forwarded" },
	{ "DROPPED", "dropped" },
	/* clang-format on */
};

int moves_print_table(struct json_object *moves, FILE *out)
{
	return view_table(moves, columns, ARRAY_SIZE(columns), out);
}

static void print_event(struct json_object *event, uint64_t started_us, FILE *out)
{
	_cleanup_free_ char *what = view_member(event, "what");
	_cleanup_free_ char *detail = view_member(event, "detail");
	bool has_detail = json_object_object_get(event, "detail");
	uint64_t at_us = started_us;

	(void) json_get_u64(event, "at_us", &at_us); /* without a time it is shown at the start */
	fprintf(out, "  %+12.3f ms  %s%s%s\n", ((double) at_us - (double) started_us) / 1000,
		what ? what : "", has_detail ? "  " : "", has_detail && detail ? detail : "");
}

/*
 * Events stand in the order in which the agent heard of them; QEMU's own are told a little later.
 */
static int by_time(const void *a, const void *b)
{
	struct json_object *const *events[] = { a, b };
	uint64_t at_us[] = { 0, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		(void) json_get_u64(*events[i], "at_us", &at_us[i]); /* without a time: first */
	return (at_us[0] > at_us[1]) - (at_us[0] < at_us[1]);
}

static void print_move(struct json_object *move, FILE *out)
{
	_cleanup_free_ char *started = view_time_us(json_object_object_get(move, "started_us"));
	_cleanup_free_ char *vm = view_member(move, "vm");
	_cleanup_free_ char *mac = view_member(move, "mac");
	_cleanup_free_ char *vni = view_member(move, "vni");
	_cleanup_free_ char *from = view_member(move, "from");
	_cleanup_free_ char *to = view_member(move, "to");
	_cleanup_free_ char *role = view_member(move, "role");
	_cleanup_free_ char *state = view_member(move, "state");
	struct json_object *events;
	uint64_t started_us = 0, lost;

	fprintf(out, "%s  VM %s, %s in VNI %s, from %s to %s, as the %s NVE: %s\n", started, vm,
		mac, vni, from, to, role, state);
	(void) json_get_u64(move, "started_us", &started_us);
	if (json_get_array(move, "events", &events) < 0)
		return;
	json_object_array_sort(events, by_time);
	for (size_t i = 0; i < json_object_array_length(events); i++)
		print_event(json_object_array_get_idx(events, i), started_us, out);
	if (json_get_u64(move, "events_lost", &lost) == 0 && lost > 0)
		fprintf(out, "  and %llu more that were not kept\n", (unsigned long long) lost);
}

static int print_timelines(struct json_object *moves, FILE *out)
{
	size_t count = json_object_array_length(moves);

	if (count == 0)
		fputs("none\n", out);
	for (size_t i = 0; i < count; i++) {
		struct json_object *move = json_object_array_get_idx(moves, i);

		if (!json_object_is_type(move, json_type_object))
			return -EBADMSG;
		if (i)
			fputc('\n', out);
		print_move(move, out);
	}
	return 0;
}

struct options {
	struct nvectl *ctl;
	unsigned last; /* 0: all */
	bool timeline;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	char *end;
	long number;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case 't':
		options->timeline = true;
		return 0;
	case 'l':
		number = strtol(argument, &end, 10);
		if (end == argument || *end || number < 1 || number > LAST_MAX)
			argp_error(state, "'%s' is not a number of moves: 1 to %d", argument,
				   LAST_MAX);
		options->last = (unsigned) number;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct json_object *moves_request(unsigned limit)
{
	_cleanup_(json_unrefp) struct json_object *request = agent_request("moves");

	if (!request || (limit && json_add_u64(request, "limit", limit) < 0))
		return NULL;
	return TAKE_PTR(request);
}

static int show(const struct options *options, struct json_object *reply)
{
	struct json_object *moves;
	int r;

	if (json_get_array(reply, "moves", &moves) < 0)
		return nvectl_fail("the agent's reply has no list 'moves'");
	r = options->timeline ? print_timelines(moves, stdout) : moves_print_table(moves, stdout);
	if (r == -EBADMSG)
		return nvectl_fail(
			"the agent's list 'moves' holds something that is not understood");
	return r < 0 ? nvectl_fail("out of memory") : EXIT_SUCCESS;
}

int nvectl_moves(struct nvectl *ctl, int argc, char **argv)
{
	static const struct argp_option argp_options[] = {
		/* clang-format off */
		{ "last",	'l', "N",	0, "Only the last N moves" },
		{ "timeline",	't', NULL,	0, "Show the events of each move" },
		{ 0 },
		/* clang-format on */
	};
	static const struct argp_child children[] = { { &nvectl_common_argp }, { 0 } };
	static const struct argp argp = {
		argp_options, parse, NULL, "Shows the moves this host took part in.", children,
	};
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	struct options options = { .ctl = ctl };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	reply = nvectl_ask(ctl, moves_request(options.last));
	if (!reply)
		return EXIT_FAILURE;
	if (!ctl->json)
		return show(&options, reply);
	nvectl_print_json(reply);
	return EXIT_SUCCESS;
}
