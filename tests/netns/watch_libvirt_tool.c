/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt_tool.c - shows what watch_libvirt.h tells, one JSON object per line, for
 * test_watch_libvirt.py. usage: watch_libvirt_tool URI Takes lines on stdin: "refresh UUID",
 * "announce UUID", "again" (frees the watch and makes a new one); ends at their end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/lines.h"
#include "common/log.h"
#include "nveagent/watch_libvirt.h"

enum {
	COMMAND_MAX = 256,
};

struct tool {
	const char *uri;
	struct loop *loop;
	struct loop_watch *input;
	struct lines *lines;
	struct libvirt_watch *watch;
};

/* Adds when it was heard, prints and releases @object. */
static void show(struct json_object *object)
{
	json_add_u64(object, "heard_us", clock_realtime_us());
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_unref(object);
}

static struct json_object *say(const char *what)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "what", what);
	return object;
}

static void on_connected(void *userdata, bool connected, const char *reason)
{
	struct json_object *object = say("connected");

	json_add_bool(object, "connected", connected);
	if (reason)
		json_add_string(object, "reason", reason);
	show(object);
}

static struct json_object *ports(const struct domain *domain)
{
	struct json_object *array = json_object_new_array();
	char text[MAC_TEXT_SIZE];

	for (size_t i = 0; i < domain->port_count; i++) {
		struct json_object *port = json_object_new_object();

		json_add_string(port, "mac", mac_text(domain->ports[i].mac, text));
		json_add_string(port, "bridge", domain->ports[i].bridge);
		json_add_string(port, "tap", domain->ports[i].tap);
		json_object_array_add(array, port);
	}
	return array;
}

static void on_domain(void *userdata, const struct domain *domain, enum libvirt_domain_state state,
		      bool migrating_out)
{
	struct json_object *object = say("domain");
	char text[UUID_TEXT_SIZE];

	json_add_string(object, "name", domain->name);
	json_add_string(object, "vm", uuid_text(domain->uuid, text));
	json_add_string(object, "state", libvirt_domain_state_name(state));
	json_add_bool(object, "migrating_out", migrating_out);
	json_add(object, "ports", ports(domain));
	show(object);
}

static void on_resynced(void *userdata)
{
	show(say("resynced"));
}

static void on_qemu(void *userdata, struct uuid vm, const struct qmp_event *event)
{
	struct json_object *object = say("qemu");
	char text[UUID_TEXT_SIZE];

	json_add_string(object, "vm", uuid_text(vm, text));
	json_add_string(object, "event", qmp_event_kind_name(event->kind));
	if (event->kind == QMP_EVENT_MIGRATION)
		json_add_string(object, "status", qmp_migration_status_name(event->status));
	json_add_u64(object, "said_us", event->timestamp_us);
	show(object);
}

static void on_ring(void *userdata, struct uuid vm, struct mac mac,
		    const struct guest_ring_place *place)
{
	struct json_object *object = say("ring");
	char text[UUID_TEXT_SIZE], mac_as_text[MAC_TEXT_SIZE];

	json_add_string(object, "vm", uuid_text(vm, text));
	json_add_string(object, "mac", mac_text(mac, mac_as_text));
	json_add_u64(object, "size", place->size);
	show(object);
}

static const struct libvirt_watch_events callbacks = { on_connected, on_domain, on_resynced,
						       on_qemu, on_ring };

static int start(struct tool *tool)
{
	return libvirt_watch_new(tool->loop, tool->uri, &callbacks, tool, &tool->watch);
}

/* A process has one watch: a second is refused. */
static int start_again(struct tool *tool)
{
	struct libvirt_watch *second = NULL;
	int r = libvirt_watch_new(tool->loop, tool->uri, &callbacks, tool, &second);

	if (r != -EBUSY)
		return -EEXIST;
	tool->watch = libvirt_watch_free(tool->watch);
	return start(tool);
}

static int obey(struct tool *tool, const char *line)
{
	char word[COMMAND_MAX], argument[COMMAND_MAX] = "";
	struct uuid vm = { 0 };

	if (sscanf(line, "%255s %255s", word, argument) < 1)
		return -EINVAL;
	if (strcmp(word, "again") == 0)
		return start_again(tool);
	if (uuid_from_text(argument, &vm) < 0)
		return -EINVAL;
	if (strcmp(word, "refresh") == 0)
		return libvirt_watch_refresh(tool->watch, vm);
	if (strcmp(word, "announce") == 0)
		return libvirt_watch_announce(tool->watch, vm);
	return -EINVAL;
}

static void on_input(void *userdata, unsigned ready)
{
	struct tool *tool = userdata;
	char data[COMMAND_MAX];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));
	const char *line;
	size_t size;

	if (n <= 0 || lines_push(tool->lines, data, (size_t) n) < 0) {
		loop_stop(tool->loop);
		return;
	}
	while (lines_next(tool->lines, &line, &size) > 0) {
		struct json_object *object = say("obeyed");

		json_add(object, "result", json_object_new_int(obey(tool, line)));
		show(object);
	}
}

int main(int argc, char **argv)
{
	struct tool tool = { .uri = argc == 2 ? argv[1] : NULL };
	uint64_t ending_us;

	if (!tool.uri)
		return 2;
	log_open("watch_libvirt_tool", LOG_LEVEL_DEBUG);
	setvbuf(stdout, NULL, _IOLBF, 0);
	tool.loop = loop_new();
	tool.lines = lines_new(COMMAND_MAX);
	tool.input = loop_watch_new(tool.loop, "stdin", STDIN_FILENO, LOOP_READ, on_input, &tool);
	if (start(&tool) < 0)
		return EXIT_FAILURE;
	loop_run(tool.loop);

	ending_us = clock_monotonic_us();
	libvirt_watch_free(tool.watch);
	ending_us = clock_monotonic_us() - ending_us;
	loop_watch_free(tool.input);
	lines_free(tool.lines);
	loop_free(tool.loop);
	printf("{\"what\":\"ended\",\"took_us\":%" PRIu64 "}\n", ending_us);
	return 0;
}
