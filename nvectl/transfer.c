/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transfer.c - nvectl nva export and import: a whole directory out of a running NVA, and into one.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "nvectl/nva_socket.h"
#include "nvectl/nvectl.h"

enum {
	LINE_SIZE_MAX = 4000, /* what the NVA reads */
};

/* --- options --- */

struct transfer {
	struct nvectl *ctl;
	const char *nva_socket;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct transfer *transfer = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = transfer->ctl;
		return 0;
	case OPTION_NVA_SOCKET:
		transfer->nva_socket = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Returns the path of the NVA's socket. */
static const char *parse(struct nvectl *ctl, int argc, char **argv, const char *doc)
{
	static const struct argp_option options[] = {
		NVA_SOCKET_OPTION,
		{ 0 },
	};
	const struct argp_child children[] = { { &nvectl_common_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options, .parser = parse_option, .doc = doc, .children = children
	};
	struct transfer transfer = { .ctl = ctl, .nva_socket = NVA_SOCKET };

	argp_parse(&argp, argc, argv, 0, NULL, &transfer);
	return transfer.nva_socket;
}

/* --- export --- */

static int copy_export(struct nva_connection *connection)
{
	struct json_object *first = NULL;
	int r = nva_read_answer(connection, &first);
	bool whole = false;
	const char *line;

	json_unref(first);
	if (r != 0)
		return r;
	puts(connection->line);
	while ((line = nva_read_line(connection))) {
		puts(line);
		whole = strncmp(line, "{\"end\":", 7) == 0;
	}
	return whole ? EXIT_SUCCESS
		     : nvectl_fail("the NVA stopped in the middle: this is not the whole of it");
}

int nvectl_nva_export(struct nvectl *ctl, int argc, char **argv)
{
	struct nva_connection connection = {
		.path = parse(ctl, argc, argv,
			      "Writes the mappings and the withdrawn generations of the NVA on "
			      "this host to the standard output, a JSON object a line."),
	};
	int status = nva_connection_open(&connection, "{\"op\":\"export\"}");

	if (status == 0)
		status = copy_export(&connection);
	nva_connection_close(&connection);
	return status;
}

/* --- import --- */

/* Sends lines until the input ends, or the NVA does not want more. Returns 0 or an exit status. */
static int send_lines(struct nva_connection *connection)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0, number = 0;
	ssize_t n;

	while ((n = getline(&line, &room, stdin)) > 0) {
		number++;
		if (n > LINE_SIZE_MAX)
			return nvectl_fail("line %zu is too long; nothing was imported", number);
		if (fwrite(line, 1, (size_t) n, connection->out) != (size_t) n)
			break;
	}
	if (ferror(stdin))
		return nvectl_fail("cannot read the standard input; nothing was imported");
	(void) fflush(connection->out);
	(void) shutdown(fileno(connection->out), SHUT_WR);
	return 0;
}

static int import(struct nvectl *ctl, struct nva_connection *connection)
{
	struct json_object *begun = NULL;
	_cleanup_(json_unrefp) struct json_object *done = NULL;
	uint64_t taken = 0, kept = 0;
	int r = nva_read_answer(connection, &begun);

	json_unref(begun);
	if (r == 0)
		r = send_lines(connection);
	if (r == 0)
		r = nva_read_answer(connection, &done);
	if (r != 0)
		return r;
	if (ctl->json) {
		nvectl_print_json(done);
		return EXIT_SUCCESS;
	}
	(void) json_get_u64(done, "taken", &taken);
	(void) json_get_u64(done, "kept", &kept);
	printf("%llu lines taken; of %llu the NVA knew the same or a higher generation\n",
	       (unsigned long long) taken, (unsigned long long) kept);
	return EXIT_SUCCESS;
}

int nvectl_nva_import(struct nvectl *ctl, int argc, char **argv)
{
	struct nva_connection connection = {
		.path = parse(
			ctl, argc, argv,
			"Reads what 'nvectl nva export' has written from the standard input, "
			"and brings what is newer there into the NVA on this host: all of it, "
			"or nothing."),
	};
	int status = nva_connection_open(&connection, "{\"op\":\"import\"}");

	if (status == 0)
		status = import(ctl, &connection);
	nva_connection_close(&connection);
	return status;
}
