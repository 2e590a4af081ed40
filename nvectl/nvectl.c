/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvectl.c - the operator's command: shows what the agent knows, and moves VMs. */
#include "nvectl/nvectl.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "nvectl/text.h"

static const struct command {
	const char *group; /* first of two words, or "" */
	const char *name;
	nvectl_command_fn *run;
	const char *summary;
} commands[] = {
	/* clang-format off */
	{ "",	  "status",   nvectl_status,	 "this NVE: its NVA, libvirt, VNIs and counters" },
	{ "",	  "ports",    nvectl_ports,	 "the addresses that live on this host" },
	{ "",	  "mappings", nvectl_mappings,	 "which NVE has which MAC and IP addresses" },
	{ "",	  "moves",    nvectl_moves,	 "the ledger of moves this host took part in" },
	{ "nva",  "status",   nvectl_nva_status, "the NVA: its NVEs, VNIs and counters" },
	{ "nva",  "reassign", nvectl_nva_reassign, "give a MAC or a VM to another NVE, without consent" },
	{ "nva",  "export",   nvectl_nva_export, "write the directory of this host's NVA, as JSON lines" },
	{ "nva",  "import",   nvectl_nva_import, "bring an export into this host's NVA" },
	{ "port", "add",      nvectl_port_add,	 "take on the port of a QEMU without libvirt" },
	{ "port", "del",      nvectl_port_del,	 "give such a port up" },
	{ "",	  "migrate",  nvectl_migrate,	 "move a running VM, by libvirt or by QMP" },
	/* clang-format on */
};

enum {
	OPTION_JSON = 0x100,
	OPTION_SOCKET,

	FAIL_TEXT_SIZE = 2048, /* an error of libvirt that quotes its hook's */
};

static const struct argp_option common_options[] = {
	/* clang-format off */
	{ "json", OPTION_JSON, NULL, 0, "Print JSON" },
	{ "socket", OPTION_SOCKET, "PATH", 0,
	  "The agent's control socket (default " AGENT_SOCKET ")" },
	{ 0 },
	/* clang-format on */
};

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
	struct nvectl *ctl = state->input;

	switch (key) {
	case OPTION_JSON:
		ctl->json = true;
		return 0;
	case OPTION_SOCKET:
		ctl->socket = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}
const struct argp nvectl_common_argp = { .options = common_options, .parser = parse_common };

int nvectl_fail(const char *format, ...)
{
	char text[FAIL_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "nvectl: %s\n", text_disarm(text));
	return EXIT_FAILURE;
}

void nvectl_print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_SPACED |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
}

struct json_object *nvectl_ask(const struct nvectl *ctl, struct json_object *request)
{
	return nvectl_ask_for(ctl, request, AGENT_TIMEOUT_MS);
}

struct json_object *nvectl_ask_for(const struct nvectl *ctl, struct json_object *request,
				   unsigned timeout_ms)
{
	struct json_object *reply = NULL;
	char message[AGENT_MESSAGE_SIZE];

	if (!request)
		nvectl_fail("out of memory");
	else if (agent_ask(ctl->socket, request, timeout_ms, &reply, message) < 0)
		nvectl_fail("%s", message);
	json_unref(request);
	return reply;
}

static error_t hand_down(int key, char *argument, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static const struct argp_child plain_children[] = { { &nvectl_common_argp }, { 0 } };

void nvectl_parse_plain(struct nvectl *ctl, int argc, char **argv, const char *doc)
{
	const struct argp argp = { .parser = hand_down, .doc = doc, .children = plain_children };

	argp_parse(&argp, argc, argv, 0, NULL, ctl);
}

/* How many words of @argv name @command: 0, 1 or 2. */
static int matches(const struct command *command, int argc, char **argv)
{
	bool grouped = command->group[0];

	if (argc < 1 + grouped || (grouped && strcmp(argv[0], command->group) != 0) ||
	    strcmp(argv[grouped], command->name) != 0)
		return 0;
	return 1 + grouped;
}

/* What argp found before the sub-command, and where that begins. */
struct invocation {
	struct nvectl ctl;
	int command_index;
};

static error_t parse_main(int key, char *argument, struct argp_state *state)
{
	struct invocation *invocation = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &invocation->ctl;
		return 0;
	case ARGP_KEY_ARG:
		invocation->command_index = state->next - 1;
		state->next = state->argc; /* the rest is the sub-command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *list_commands(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *) text;
	out = open_memstream(&list, &size);
	if (!out)
		return (char *) text;
	fputs("Commands (nvectl COMMAND --help tells more):\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %s%s%-*s  %s\n", commands[i].group, commands[i].group[0] ? " " : "",
			(int) (12 - strlen(commands[i].group) - (commands[i].group[0] != 0)),
			commands[i].name, commands[i].summary);
	fclose(out);
	return list;
}

static int run_command(struct nvectl *ctl, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int words = matches(&commands[i], argc, argv);
		char name[64];

		if (!words)
			continue;
		snprintf(name, sizeof(name), "nvectl %s%s%s", commands[i].group,
			 words == 2 ? " " : "", commands[i].name);
		argv[words - 1] = name; /* what the sub-command's help and errors call it */
		return commands[i].run(ctl, argc - words + 1, argv + words - 1);
	}
	nvectl_fail("there is no command '%s%s%s'; see nvectl --help", argv[0], argc > 1 ? " " : "",
		    argc > 1 ? argv[1] : "");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_main,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = "Shows what this host's NVE agent knows, and moves VMs.\v",
		.children = plain_children,
		.help_filter = list_commands,
	};
	struct invocation invocation = { .ctl = { .socket = AGENT_SOCKET } };
	int status;

	setlocale(LC_CTYPE, "");
	argp_program_version = "nvectl " REHOME_VERSION;
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &invocation);

	status = run_command(&invocation.ctl, argc - invocation.command_index,
			     argv + invocation.command_index);
	if (fflush(stdout) != 0 || ferror(stdout))
		return nvectl_fail("cannot write the output");
	return status;
}
