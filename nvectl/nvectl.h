/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvectl.h - what the sub-commands of nvectl share. */
#ifndef REHOME_NVECTL_NVECTL_H
#define REHOME_NVECTL_NVECTL_H

#include <argp.h>
#include <stdbool.h>

#include "nvectl/agent.h"

enum {
	EXIT_USAGE = 2,
};

/* The options every sub-command takes. */
struct nvectl {
	const char *socket; /* borrowed from argv */
	bool json;
};

/*
 * Put this among the children of a sub-command's argp, and a struct nvectl into its child_inputs.
 */
extern const struct argp nvectl_common_argp;

/*
 * A sub-command: @argv[0] is its full name ("nvectl port add"). Returns the exit status of the
 * program; has printed its error by then.
 */
typedef int nvectl_command_fn(struct nvectl *ctl, int argc, char **argv);

nvectl_command_fn nvectl_status, nvectl_ports, nvectl_mappings; /* show.c */
nvectl_command_fn nvectl_nva_status;				/* nva_status.c */
nvectl_command_fn nvectl_nva_export, nvectl_nva_import;		/* transfer.c */
nvectl_command_fn nvectl_nva_reassign;				/* reassign.c */
nvectl_command_fn nvectl_moves;					/* moves.c */
nvectl_command_fn nvectl_port_add, nvectl_port_del;		/* port.c */
nvectl_command_fn nvectl_migrate;				/* migrate.c */

/* Prints "nvectl: ..." on stderr and returns EXIT_FAILURE. */
int nvectl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Parses a sub-command that takes no option but the common ones. */
void nvectl_parse_plain(struct nvectl *ctl, int argc, char **argv, const char *doc);

/* Prints an object for programs. */
void nvectl_print_json(struct json_object *object);

/*
 * Asks the agent; takes @request over (NULL: out of memory). Returns the reply, which the caller
 * owns, or NULL when the error is printed.
 */
struct json_object *nvectl_ask(const struct nvectl *ctl, struct json_object *request);
/* The same for what takes longer than AGENT_TIMEOUT_MS. */
struct json_object *nvectl_ask_for(const struct nvectl *ctl, struct json_object *request,
				   unsigned timeout_ms);

#endif
