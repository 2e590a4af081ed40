/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

struct ledger {
	uint64_t newest;			    /* id; 0: none yet */
	struct ledger_move moves[LEDGER_MOVES_MAX]; /* id % LEDGER_MOVES_MAX */
};

struct ledger *ledger_new(void)
{
	return calloc(1, sizeof(struct ledger));
}

struct ledger *ledger_free(struct ledger *ledger)
{
	free(ledger);
	return NULL;
}

uint64_t ledger_begin(struct ledger *ledger, uint64_t now_us)
{
	uint64_t id = ++ledger->newest;
	struct ledger_move *move = &ledger->moves[id % LEDGER_MOVES_MAX];

	*move = (struct ledger_move){ .id = id, .started_us = now_us, .state = "begun" };
	return id;
}

struct ledger_move *ledger_find(struct ledger *ledger, uint64_t id)
{
	struct ledger_move *move = &ledger->moves[id % LEDGER_MOVES_MAX];

	return id && move->id == id ? move : NULL;
}

uint64_t ledger_newest(const struct ledger *ledger)
{
	return ledger->newest;
}

void ledger_note(struct ledger *ledger, uint64_t id, uint64_t at_us, const char *what,
		 const char *format, ...)
{
	struct ledger_move *move = ledger_find(ledger, id);
	struct ledger_event *event;
	va_list arguments;

	if (!move)
		return;
	if (move->event_count == LEDGER_EVENTS_MAX) {
		move->events_lost++;
		return;
	}
	event = &move->events[move->event_count++];
	event->at_us = at_us;
	(void) snprintf(event->what, sizeof(event->what), "%s", what);
	va_start(arguments, format);
	(void) vsnprintf(event->detail, sizeof(event->detail), format, arguments);
	va_end(arguments);
}

static int event_to_json(const struct ledger_event *event, struct json_object *array)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();

	if (!object || json_add_u64(object, "at_us", event->at_us) < 0 ||
	    json_add_string(object, "what", event->what) < 0 ||
	    (event->detail[0] && json_add_string(object, "detail", event->detail) < 0))
		return -1;
	return json_object_array_add(array, TAKE_PTR(object));
}

static struct json_object *events_to_json(const struct ledger_move *move)
{
	_cleanup_(json_unrefp) struct json_object *array = json_object_new_array();

	for (unsigned i = 0; array && i < move->event_count; i++)
		if (event_to_json(&move->events[i], array) < 0)
			return NULL;
	return TAKE_PTR(array);
}

struct json_object *ledger_move_to_json(const struct ledger_move *move)
{
	_cleanup_(json_unrefp) struct json_object *object = json_object_new_object();
	char mac[MAC_TEXT_SIZE], from[IP_TEXT_SIZE], to[IP_TEXT_SIZE], uuid[UUID_TEXT_SIZE];

	if (!object || json_add_u64(object, "id", move->id) < 0 ||
	    json_add_string(object, "vm", move->vm) < 0 ||
	    json_add_string(object, "uuid", uuid_text(move->uuid, uuid)) < 0 ||
	    json_add_u64(object, "vni", move->vni) < 0 ||
	    json_add_string(object, "mac", mac_text(move->mac, mac)) < 0 ||
	    json_add_string(object, "role", move->role == LEDGER_OLD_NVE ? "old" : "new") < 0 ||
	    json_add_string(object, "from", ip_text(move->from, from)) < 0 ||
	    json_add_string(object, "to", ip_text(move->to, to)) < 0 ||
	    json_add_u64(object, "generation", move->generation) < 0 ||
	    json_add_string(object, "state", move->state) < 0 ||
	    json_add_bool(object, "over", move->over) < 0 ||
	    json_add_u64(object, "started_us", move->started_us) < 0 ||
	    json_add_u64(object, "pulled", move->pulled) < 0 ||
	    json_add_u64(object, "forwarded", move->forwarded) < 0 ||
	    json_add_u64(object, "dropped", move->dropped) < 0 ||
	    json_add_u64(object, "events_lost", move->events_lost) < 0 ||
	    json_add(object, "events", events_to_json(move)) < 0)
		return NULL;
	return TAKE_PTR(object);
}
