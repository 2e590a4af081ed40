/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.c - the ports of QEMUs that were started without libvirt, which nobody else tells the agent
 * of.
 */
#include <stdio.h>

#include "net/addr.h"
#include "net/uuid.h"
#include "nvectl/nvectl.h"

enum {
	OPTION_QMP = 0x200,
	OPTION_TAP,
	OPTION_MAC,
	OPTION_VNI,
	OPTION_VM,
	OPTION_UUID,
};

struct port {
	struct nvectl *ctl;
	bool adding;
	const char *qmp, *tap, *mac, *vm, *uuid; /* borrowed from argv; NULL when not given */
	uint32_t vni;				 /* 0 when not given */
};

static const struct argp_option key_options[] = {
	/* clang-format off */
	{ "mac",	OPTION_MAC,	"MAC",	0, "The MAC address of the guest's interface" },
	{ "vni",	OPTION_VNI,	"VNI",	0, "The virtual network it is in" },
	{ 0 },
	/* clang-format on */
};

static const struct argp_option add_options[] = {
	/* clang-format off */
	{ "qmp",	OPTION_QMP,	"PATH",	0, "QEMU's monitor socket, for the agent alone" },
	{ "tap",	OPTION_TAP,	"DEVICE", 0, "The tap device of the interface" },
	{ "mac",	OPTION_MAC,	"MAC",	0, "The MAC address of the guest's interface" },
	{ "vni",	OPTION_VNI,	"VNI",	0, "The virtual network it is in" },
	{ "uuid",	OPTION_UUID,	"UUID",	0, "The VM's UUID, the same on both hosts" },
	{ "vm",		OPTION_VM,	"NAME",	0, "The VM's name, for people" },
	{ 0 },
	/* clang-format on */
};

static void check_complete(const struct port *port, struct argp_state *state)
{
	if (!port->mac || !port->vni)
		argp_error(state, "--mac and --vni are needed");
	if (port->adding && (!port->qmp || !port->tap || !port->uuid))
		argp_error(state, "--qmp, --tap and --uuid are needed");
}

static error_t parse_port(int key, char *argument, struct argp_state *state)
{
	struct port *port = state->input;
	struct mac mac;
	struct uuid uuid;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = port->ctl;
		return 0;
	case OPTION_QMP:
		port->qmp = argument;
		return 0;
	case OPTION_TAP:
		port->tap = argument;
		return 0;
	case OPTION_VM:
		port->vm = argument;
		return 0;
	case OPTION_MAC:
		if (mac_from_text(argument, &mac) < 0)
			argp_error(state, "'%s' is not a MAC address", argument);
		port->mac = argument;
		return 0;
	case OPTION_UUID:
		if (uuid_from_text(argument, &uuid) < 0)
			argp_error(state, "'%s' is not a UUID", argument);
		port->uuid = argument;
		return 0;
	case OPTION_VNI:
		if (vni_from_text(argument, &port->vni) < 0)
			argp_error(state, "'%s' is not a VNI: 1 to %d", argument, VNI_MAX);
		return 0;
	case ARGP_KEY_END:
		check_complete(port, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static struct json_object *build_request(const struct port *port)
{
	_cleanup_(json_unrefp) struct json_object *request =
		agent_request(port->adding ? "port-add" : "port-del");
	const struct {
		const char *key, *value;
	} texts[] = {
		/* clang-format off */
		{ "qmp", port->qmp }, { "tap", port->tap }, { "mac", port->mac },
		{ "uuid", port->uuid }, { "vm", port->vm },
		/* clang-format on */
	};

	if (!request || json_add_u64(request, "vni", port->vni) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].value && json_add_string(request, texts[i].key, texts[i].value) < 0)
			return NULL;
	return TAKE_PTR(request);
}

static int run(struct port *port, int argc, char **argv, const struct argp_option *options,
	       const char *doc)
{
	static const struct argp_child children[] = { { &nvectl_common_argp }, { 0 } };
	const struct argp argp = { options, parse_port, NULL, doc, children };
	_cleanup_(json_unrefp) struct json_object *reply = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, port);
	reply = nvectl_ask(port->ctl, build_request(port));
	if (!reply)
		return EXIT_FAILURE;
	if (port->ctl->json)
		nvectl_print_json(reply);
	else
		printf("port %s %s VNI %u\n", port->mac, port->adding ? "added to" : "removed from",
		       port->vni);
	return EXIT_SUCCESS;
}

int nvectl_port_add(struct nvectl *ctl, int argc, char **argv)
{
	struct port port = { .ctl = ctl, .adding = true };

	return run(&port, argc, argv, add_options,
		   "Has the agent take on the port of a QEMU started without libvirt.");
}

int nvectl_port_del(struct nvectl *ctl, int argc, char **argv)
{
	struct port port = { .ctl = ctl };

	return run(&port, argc, argv, key_options,
		   "Has the agent give up a port that was added by 'port add'.");
}
