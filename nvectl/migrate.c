/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate.c - 'nvectl migrate': its options, and the account it prints when all is over. */
#include "nvectl/migrate.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "net/addr.h"
#include "nvectl/interrupt.h"
#include "nvectl/moves.h"

enum {
	OPTION_CONNECT = 0x300,
	OPTION_MIGRATE_URI,
	OPTION_POSTCOPY,
	OPTION_PERSISTENT,
	OPTION_QMP,
	OPTION_TO,
	OPTION_MAC,
	OPTION_VNI,

	MOVES_LOOKED_AT = 64, /* more moves than a VM has ports */
};

static const struct argp_option option_table[] = {
	/* clang-format off */
	{ "connect", OPTION_CONNECT, "URI", 0,
	  "The libvirt the VM runs at (default qemu:///system)" },
	{ "migrate-uri", OPTION_MIGRATE_URI, "URI", 0,
	  "Where QEMU sends to (tcp://ADDRESS), when libvirt must not choose" },
	{ "postcopy", OPTION_POSTCOPY, NULL, 0,
	  "Let the guest run at the destination after the first pass" },
	{ "persistent",	OPTION_PERSISTENT, NULL, 0, "Move the VM's definition as well" },
	{ "qmp", OPTION_QMP, "PATH", 0,
	  "Without libvirt: the monitor socket of the source's QEMU" },
	{ "to", OPTION_TO, "HOST:PORT", 0,
	  "With --qmp: where the destination's QEMU listens; [ADDRESS]:PORT for IPv6" },
	{ "mac",	OPTION_MAC,	"MAC",	0, "With --qmp: the port the agent switches over" },
	{ "vni",	OPTION_VNI,	"VNI",	0, "With --mac: its virtual network" },
	{ 0 },
	/* clang-format on */
};

int migrate_error(struct migrate_account *account, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(account->error, sizeof(account->error), format, args);
	va_end(args);
	/* libvirt quotes what its hook said, with the newline. */
	account->error[strcspn(account->error, "\n")] = '\0';
	return error;
}

/* An address of either family or a host name, and a port. */
static bool is_endpoint(const char *text)
{
	const char *colon = strchr(text, ':');
	struct ip ip;
	uint16_t port;
	long number;
	char *end;

	if (endpoint_from_text(text, 0, &ip, &port) == 0)
		return true;
	if (!colon || colon == text || strchr("[0123456789", text[0]) ||
	    !isdigit((unsigned char) colon[1]))
		return false;
	number = strtol(colon + 1, &end, 10);
	return *end == '\0' && number >= 1 && number <= UINT16_MAX;
}

static void check_complete(const struct migrate_options *options, struct argp_state *state)
{
	bool libvirt_only = options->postcopy || options->persistent || options->migrate_uri;

	if (!options->qmp && (options->to || options->mac || options->vni))
		argp_error(state, "--to, --mac and --vni go with --qmp");
	if (!options->qmp && !options->destination_uri)
		argp_error(state, "which VM, and the URI of which libvirt?");
	if (options->qmp && (options->vm || libvirt_only))
		argp_error(state, "--qmp moves a guest that libvirt does not know");
	if (options->qmp && !options->to)
		argp_error(state, "--qmp needs --to HOST:PORT");
	if (!options->mac != !options->vni)
		argp_error(state, "--mac and --vni go together");
}

static void take_argument(struct migrate_options *options, const char *argument,
			  struct argp_state *state)
{
	if (!options->vm)
		options->vm = argument;
	else if (!options->destination_uri)
		options->destination_uri = argument;
	else
		argp_error(state, "too many arguments");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct migrate_options *options = state->input;
	struct mac mac;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case ARGP_KEY_ARG:
		take_argument(options, argument, state);
		return 0;
	case OPTION_CONNECT:
		options->connect_uri = argument;
		return 0;
	case OPTION_MIGRATE_URI:
		options->migrate_uri = argument;
		return 0;
	case OPTION_POSTCOPY:
		options->postcopy = true;
		return 0;
	case OPTION_PERSISTENT:
		options->persistent = true;
		return 0;
	case OPTION_QMP:
		options->qmp = argument;
		return 0;
	case OPTION_TO:
		if (!is_endpoint(argument))
			argp_error(state, "'%s' is not HOST:PORT", argument);
		options->to = argument;
		return 0;
	case OPTION_MAC:
		if (mac_from_text(argument, &mac) < 0)
			argp_error(state, "'%s' is not a MAC address", argument);
		options->mac = argument;
		return 0;
	case OPTION_VNI:
		if (vni_from_text(argument, &options->vni) < 0)
			argp_error(state, "'%s' is not a VNI: 1 to %d", argument, VNI_MAX);
		return 0;
	case ARGP_KEY_END:
		check_complete(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- the account --- */

static const char *const end_names[] = {
	/* clang-format off */
	[MIGRATE_MOVED]		= "moved",
	[MIGRATE_ABORTED]	= "aborted",
	[MIGRATE_FAILED]	= "failed",
	/* clang-format on */
};
static_assert(ARRAY_SIZE(end_names) == MIGRATE_END_COUNT, "an end has no name");

static const char *const place_names[] = {
	/* clang-format off */
	[MIGRATE_AT_SOURCE]	 = "source",
	[MIGRATE_AT_DESTINATION] = "destination",
	[MIGRATE_AT_UNKNOWN]	 = "unknown",
	/* clang-format on */
};
static_assert(ARRAY_SIZE(place_names) == MIGRATE_PLACE_COUNT, "a place has no name");

static bool text_is(struct json_object *object, const char *key, const char *wanted)
{
	const char *text;

	return wanted && wanted[0] && json_get_string(object, key, &text) == 0 &&
	       strcasecmp(text, wanted) == 0;
}

/* True when @move is of the VM, or of the port, that was moved. */
static bool concerns(struct json_object *move, const struct migrate_options *options,
		     const struct migrate_account *account)
{
	uint64_t vni = 0;

	if (options->mac)
		return text_is(move, "mac", options->mac) && json_get_u64(move, "vni", &vni) == 0 &&
		       vni == options->vni;
	return text_is(move, "vm", account->vm) || text_is(move, "vm", account->uuid) ||
	       text_is(move, "uuid", account->uuid);
}

/*
 * libvirt begins a move by telling the destination's hook, after we began. Without libvirt the
 * agents may have armed long before: there the port's last move is the one, as it was just
 * switched.
 */
static int select_moves(struct json_object *moves, const struct migrate_options *options,
			const struct migrate_account *account, struct json_object *selected)
{
	uint64_t since_us = options->qmp ? 0 : account->started_us;

	for (size_t i = 0; i < json_object_array_length(moves); i++) {
		struct json_object *move = json_object_array_get_idx(moves, i);
		uint64_t started_us;

		if (!concerns(move, options, account) ||
		    json_get_u64(move, "started_us", &started_us) < 0 || started_us < since_us)
			continue;
		if (options->qmp) {
			since_us = started_us;
			json_object_array_del_idx(selected, 0, json_object_array_length(selected));
		}
		if (json_object_array_add(selected, json_object_get(move)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/*
 * What the agent of this host has in its ledger. The VM has moved whether or not an agent answers,
 * so anything amiss here gives NULL and no error.
 */
static struct json_object *find_moves(const struct migrate_options *options,
				      const struct migrate_account *account)
{
	_cleanup_(json_unrefp) struct json_object *request = moves_request(MOVES_LOOKED_AT);
	_cleanup_(json_unrefp) struct json_object *selected = json_object_new_array();
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	struct json_object *moves;
	char message[AGENT_MESSAGE_SIZE];

	if ((options->qmp && !options->mac) || !request || !selected ||
	    agent_ask(options->ctl->socket, request, AGENT_TIMEOUT_MS, &reply, message) < 0 ||
	    json_get_array(reply, "moves", &moves) < 0 ||
	    select_moves(moves, options, account, selected) < 0)
		return NULL;
	return TAKE_PTR(selected);
}

static int print_json(const struct migrate_account *account, struct json_object *moves)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	int r = object ? 0 : -ENOMEM;

	if (r == 0)
		r = json_add_string(object, "vm", account->vm);
	if (r == 0 && account->uuid[0])
		r = json_add_string(object, "uuid", account->uuid);
	if (r == 0)
		r = json_add_string(object, "result", end_names[account->end]);
	if (r == 0)
		r = json_add_string(object, "vm_at", place_names[account->place]);
	if (r == 0 && account->place == MIGRATE_AT_SOURCE)
		r = json_add_bool(object, "running", account->running);
	if (r == 0 && account->error[0])
		r = json_add_string(object, "error", account->error);
	if (r == 0)
		r = json_add_u64(object, "duration_ms", account->duration_ms);
	if (r == 0 && account->downtime_ms != UINT64_MAX)
		r = json_add_u64(object, "downtime_ms", account->downtime_ms);
	if (r == 0)
		r = json_add_u64(object, "transferred_bytes", account->transferred_bytes);
	if (r == 0)
		r = json_add_u64(object, "passes", account->passes);
	if (r == 0 && moves)
		r = json_add(object, "moves", json_object_get(moves));
	if (r < 0)
		return nvectl_fail("out of memory");
	nvectl_print_json(object);
	return EXIT_SUCCESS;
}

static void print_text(const struct migrate_account *account, struct json_object *moves)
{
	printf("%s moved in %.3f s", account->vm, (double) account->duration_ms / 1000);
	if (account->downtime_ms != UINT64_MAX)
		printf(", stood still for %llu ms", (unsigned long long) account->downtime_ms);
	printf(", %.1f MiB sent in %llu passes\n", (double) account->transferred_bytes / (1 << 20),
	       (unsigned long long) account->passes);
	if (moves && json_object_array_length(moves) > 0)
		(void) moves_print_table(moves, stdout); /* find_moves() let only objects through */
}

static void print_failure(const struct migrate_account *account)
{
	switch (account->place) {
	case MIGRATE_AT_SOURCE:
		nvectl_fail("%s is still at the source, %s: %s", account->vm,
			    account->running ? "running" : "not running", account->error);
		return;
	case MIGRATE_AT_DESTINATION:
		nvectl_fail("%s is at the destination: %s", account->vm, account->error);
		return;
	case MIGRATE_AT_UNKNOWN:
	case MIGRATE_PLACE_COUNT:
		break;
	}
	nvectl_fail("%s may be at the source or the destination, look at both: %s", account->vm,
		    account->error);
}

static int report(const struct migrate_options *options, const struct migrate_account *account)
{
	_cleanup_(json_unrefp) struct json_object *moves = NULL;

	if (account->end == MIGRATE_MOVED)
		moves = find_moves(options, account);
	if (options->ctl->json) {
		if (print_json(account, moves) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	} else if (account->end == MIGRATE_MOVED) {
		print_text(account, moves);
	}
	if (account->end != MIGRATE_MOVED)
		print_failure(account);
	return account->end == MIGRATE_MOVED ? EXIT_SUCCESS : EXIT_FAILURE;
}

int nvectl_migrate(struct nvectl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &nvectl_common_argp }, { 0 } };
	static const struct argp argp = {
		option_table,
		parse,
		"VM DESTINATION-URI\n--qmp PATH --to HOST:PORT [--mac MAC --vni VNI]",
		"Moves a running VM. Ctrl-C aborts the move; the VM then goes on where it was.",
		children,
	};
	struct migrate_options options = { .ctl = ctl, .connect_uri = "qemu:///system" };
	struct migrate_account account = { .downtime_ms = UINT64_MAX,
					   .started_us = clock_realtime_us() };
	_cleanup_close_ int interrupt_fd = -1;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	interrupt_fd = interrupt_open();
	if (interrupt_fd < 0)
		return nvectl_fail("cannot watch for signals: %s", strerror(-interrupt_fd));

	r = options.qmp ? migrate_qmp(&options, interrupt_fd, &account)
			: migrate_libvirt(&options, interrupt_fd, &account);
	return r < 0 ? nvectl_fail("%s", account.error) : report(&options, &account);
}
