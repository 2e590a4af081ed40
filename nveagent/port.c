/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/port.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_private.h"
#include "nveagent/tail.h"

static const char *const kind_names[] = {
	[PORT_VM] = "vm",
	[PORT_LEARNED] = "learned",
};

const char *port_kind_name(enum port_kind kind)
{
	return kind_names[kind];
}

/* --- records --- */

static struct port_key port_key(uint32_t vni, struct mac mac)
{
	struct port_key key = { .vni = vni };

	memcpy(key.mac, mac.octet, MAC_SIZE);
	return key;
}

struct port *port_find(struct agent *agent, uint32_t vni, struct mac mac)
{
	struct port_key key = port_key(vni, mac);
	struct port *port = NULL;

	HASH_FIND(hh, agent->ports, &key, sizeof(key), port);
	return port;
}

static void on_expect(void *userdata)
{
	port_input(userdata, MOBILITY_TIMEOUT_EXPECT);
}

static void on_retry(void *userdata)
{
	struct port *port = userdata;

	/* Only a VM moves by consent. */
	port_input(port, port->kind == PORT_VM ? MOBILITY_TIMEOUT_RETRY : MOBILITY_RUN);
}

/* What an earlier life held, and nobody has told of its VM since: taken for gone. */
static void on_hold(void *userdata)
{
	struct port *port = userdata;

	port_input(port, port_meet(port) ? MOBILITY_UNPLUG : MOBILITY_TIMEOUT_HOLD);
}

static void on_cap(void *userdata)
{
	port_input(userdata, MOBILITY_TIMEOUT_CAP);
}

static void on_tend(void *userdata)
{
	struct port *port = userdata;

	(void) loop_timer_start(port->tend, inflight_tend(port->inflight));
}

/* Nobody has sent here for the VM in the last interval, and nothing waits to be sent on. */
static bool is_idle(struct port *port)
{
	struct inflight_counters counters = { 0 };
	unsigned arrived = 0;

	if (!port->inflight || inflight_read(port->inflight, &counters) < 0)
		return true;
	return port->arrivals && arrivals_count(port->arrivals, &arrived) == 0 && arrived == 0 &&
	       counters.held_bytes == 0;
}

static void on_idle(void *userdata)
{
	struct port *port = userdata;

	if (is_idle(port))
		port_input(port, MOBILITY_IDLE);
	else
		port_do(port, MOBILITY_DO_IDLE_WATCH);
}

static void on_release(void *userdata)
{
	port_do(userdata, MOBILITY_DO_RELEASE);
}

static void on_announce(void *userdata)
{
	port_do(userdata, MOBILITY_DO_ANNOUNCE);
}

static void on_unguard(void *userdata)
{
	port_unguard(userdata);
}

static int make_timers(struct port *port)
{
	/* clang-format off */
	const struct {
		struct loop_timer **timer;
		loop_timer_handler handler;
	} timers[] = {
		{ &port->expect, on_expect },	{ &port->retry, on_retry },	{ &port->hold, on_hold },
		{ &port->tend, on_tend },	{ &port->cap, on_cap },		{ &port->idle, on_idle },
		{ &port->announce, on_announce },	{ &port->release, on_release },
		{ &port->tell, port_on_tell },	{ &port->age, port_on_age },	{ &port->unguard, on_unguard },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		*timers[i].timer = loop_timer_new(port->agent->loop, timers[i].handler, port);
		if (!*timers[i].timer)
			return -ENOMEM;
	}
	return 0;
}

struct port *port_new(struct agent *agent, struct agent_vn *vn, struct mac mac, enum port_kind kind)
{
	struct port *port = agent->ports_count < AGENT_PORTS_MAX ? calloc(1, sizeof(*port)) : NULL;

	if (!port)
		return NULL;
	port->agent = agent;
	port->vn = vn;
	port->key = port_key(vn->devices.vni, mac);
	port->mac = mac;
	port->kind = kind;
	late_remove(vn->late, mac);
	HASH_ADD(hh, agent->ports, key, sizeof(port->key), port);
	agent->ports_count++;
	if (make_timers(port) < 0)
		return port_free(port);
	port_addresses_init(port);
	return port;
}

struct port *port_free(struct port *port)
{
	if (!port)
		return NULL;
	local_ips_forget(port);
	address_table_clear(&port->addresses);
	port->ifindex = 0;
	agent_neighbour_count(port);
	agent_list_port_gone(port);
	HASH_DEL(port->agent->ports, port);
	port->agent->ports_count--;
	port->qemu = qemu_watch_free(port->qemu);
	port->guard = kernel_guard_free(port->guard);
	port_free_inflight(port);
	port_flows_keep(port);
	port->expect = loop_timer_free(port->expect);
	port->retry = loop_timer_free(port->retry);
	port->hold = loop_timer_free(port->hold);
	port->tend = loop_timer_free(port->tend);
	port->cap = loop_timer_free(port->cap);
	port->idle = loop_timer_free(port->idle);
	port->announce = loop_timer_free(port->announce);
	port->release = loop_timer_free(port->release);
	port->tell = loop_timer_free(port->tell);
	port->age = loop_timer_free(port->age);
	port->unguard = loop_timer_free(port->unguard);
	free(port);
	return NULL;
}

int port_set_device(struct port *port, const char *device)
{
	struct kernel_port found;
	int r = kernel_port_by_name(port->agent->kernel, device, &found);

	port_set_place(port, device, r < 0 ? 0 : found.ifindex);
	return r;
}

void port_set_place(struct port *port, const char *device, uint32_t ifindex)
{
	uint32_t before = port->ifindex;

	if (device != port->device)
		(void) snprintf(port->device, sizeof(port->device), "%s", device);
	port->ifindex = ifindex;
	if (ifindex == 0 || ifindex == before)
		return;

	port->facts.unplugged = false;
	if (port->kind == PORT_LEARNED) {
		port->arrived_us = clock_monotonic_us();
		port->greeted = false;
	}
	agent_neighbour_count(port);
	agent_neighbour_unpark(port);
}

struct mapping port_mapping(const struct port *port)
{
	struct mapping mapping = {
		.vni = port->key.vni,
		.mac = port->mac,
		.vtep = port->agent->config->vtep,
		.generation = port->generation,
		.vm = port->uuid,
		.flags = port->kind == PORT_VM ? MAPPING_VM : MAPPING_LEARNED,
	};

	mapping.flags |= port->router ? MAPPING_ROUTER : 0;
	mapping.ip_count = (uint8_t) address_table_copy(&port->addresses, mapping.ips);
	return mapping;
}

/* --- the ledger --- */

void port_note(struct port *port, const char *what, const char *format, ...)
{
	char detail[LEDGER_DETAIL_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	ledger_note(port->agent->ledger, port->move, clock_realtime_us(), what, "%s", detail);
}

static bool is_move_of_new_nve(enum mobility_state state)
{
	return state == MOBILITY_EXPECTED || state == MOBILITY_PLUGGED;
}

static bool is_move_of_old_nve(enum mobility_state state)
{
	return state == MOBILITY_ASKED || state == MOBILITY_LEAVING;
}

static bool is_rest(enum mobility_state state)
{
	return state == MOBILITY_ABSENT || state == MOBILITY_RESIDENT ||
	       state == MOBILITY_REGISTERING;
}

static void begin_move(struct port *port, enum ledger_role role)
{
	struct ledger_move *move;

	port->move = ledger_begin(port->agent->ledger, clock_realtime_us());
	move = ledger_find(port->agent->ledger, port->move);
	move->uuid = port->uuid;
	move->vni = port->key.vni;
	move->mac = port->mac;
	move->role = role;
	(void) snprintf(move->vm, sizeof(move->vm), "%.*s", LEDGER_VM_SIZE - 1, port->vm);
}

/* Keeps the record's summary true to the port. */
static void sum_up(struct port *port)
{
	struct ledger_move *move = ledger_find(port->agent->ledger, port->move);
	bool old = move && move->role == LEDGER_OLD_NVE;

	if (!move)
		return;
	move->from = old ? port->agent->config->vtep : port->other;
	move->to = old ? port->other : port->agent->config->vtep;
	move->generation = port->generation;
	move->state = mobility_state_name(port->state);
}

static void count_move(struct agent *agent, const struct ledger_move *move, enum mobility_state end)
{
	bool old = move->role == LEDGER_OLD_NVE;

	if (old != (end == MOBILITY_ABSENT))
		agent->counters.moves_failed++;
	else if (old)
		agent->counters.moves_out++;
	else
		agent->counters.moves_in++;
}

static void record(struct port *port, enum mobility_state before, enum mobility_input input)
{
	struct ledger_move *move;

	if (port->kind != PORT_VM || port->state == before)
		return;
	if (is_rest(before) || mobility_is_forwarding(before)) {
		if (is_move_of_new_nve(port->state))
			begin_move(port, LEDGER_NEW_NVE);
		else if (is_move_of_old_nve(port->state) && is_rest(before))
			begin_move(port, LEDGER_OLD_NVE);
	} else if (before == MOBILITY_SETTLING && is_move_of_old_nve(port->state)) {
		begin_move(port, LEDGER_OLD_NVE);
	}
	port_note(port, mobility_input_name(input), "%s -> %s", mobility_state_name(before),
		  mobility_state_name(port->state));
	sum_up(port);

	move = is_rest(port->state) ? ledger_find(port->agent->ledger, port->move) : NULL;
	if (move && !move->over) {
		move->over = true;
		count_move(port->agent, move, port->state);
	}
}

/* --- the machine --- */

static void step(struct port *port, enum mobility_input input)
{
	const struct mobility_step *step = mobility_step(port->state, input);
	enum mobility_state before = port->state;
	char mac[MAC_TEXT_SIZE];

	if (step->next != before || step->effects[0] != MOBILITY_DO_NOTHING)
		log_debug("%s %s: %s: %s -> %s", port->vm, mac_text(port->mac, mac),
			  mobility_input_name(input), mobility_state_name(before),
			  mobility_state_name(step->next));
	port->state = step->next;
	if (port->state != MOBILITY_ABSENT)
		port->forget = false;

	/* The switch is timed to the microsecond: it comes before any bookkeeping. */
	for (size_t i = 0; step->effects[i] != MOBILITY_DO_NOTHING; i++)
		if (step->effects[i] == MOBILITY_DO_SWITCH)
			port_do(port, MOBILITY_DO_SWITCH);
	record(port, before, input);
	for (size_t i = 0; step->effects[i] != MOBILITY_DO_NOTHING; i++)
		if (step->effects[i] != MOBILITY_DO_SWITCH)
			port_do(port, step->effects[i]);
	if (is_rest(port->state) && port->state != before)
		port->move = 0;
	if (port->state != before)
		port_addresses_entered(port, before);
}

void port_input(struct port *port, enum mobility_input input)
{
	struct agent *agent = port->agent;
	struct agent_vn *vn = port->vn;
	struct mac mac = port->mac;

	assert(!port->in_step);
	port->in_step = true;
	while (input != MOBILITY_INPUT_COUNT) {
		step(port, input);
		input = mobility_pending(port->state, &port->facts);
	}
	port->in_step = false;

	agent_vn_flush(vn);
	agent_control_wake(agent, vn->devices.vni, mac, port);
	/*
	 * A record that nothing refers to any more: its VM is gone from this host too, or never
	 * was here.
	 */
	if (port->forget && port->state == MOBILITY_ABSENT &&
	    (port->facts.unplugged || !port->ifindex))
		(void) port_free(port);
}
