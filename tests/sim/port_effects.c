/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port_effects.c - what the machine of an endpoint asks for: nveagent/port_effects.c. Packets, taps
 * and connections are left out.
 */
#include "tests/sim/port_private.h"

enum {
	EXPECT_US = 10000000,	/* as AGENT_EXPECT_S: longer than a migration waits */
	RETRY_US = 1000000,	/* nveagent/agent_private.h, AGENT_RETRY_MS */
	HOLD_US = 500000,	/* AGENT_HOLD_MS */
	CAP_US = 5000000,	/* forward-timeout */
	QUIET_US = 200000,	/* quiet-interval */
	RELEASE_MAX_US = 20000, /* to let out what was held */
};

static struct nvo3_message request(struct port *port, enum nvo3_kind kind)
{
	port->request_id = agent_next_id(port->nve);
	return (struct nvo3_message){
		.kind = kind,
		.id = port->request_id,
		.vni = port->endpoint->vni,
		.mac = port->endpoint->mac,
		.generation = port->generation,
	};
}

static void send_with_mapping(struct port *port, enum nvo3_kind kind)
{
	struct mapping mapping = {
		.vni = port->endpoint->vni,
		.mac = port->endpoint->mac,
		.vtep = port->nve->vtep,
		.generation = port->generation,
		.vm = port->endpoint->uuid,
		.flags = port->is_vm ? MAPPING_VM : MAPPING_LEARNED,
	};
	struct nvo3_message message = request(port, kind);

	mapping.ip_count = (uint8_t) address_table_copy(&port->addresses, mapping.ips);
	message.mappings = &mapping;
	message.mapping_count = 1;
	agent_send(port->nve, &message);
}

static void send_request(struct port *port, enum nvo3_kind kind)
{
	const struct nvo3_message message = request(port, kind);

	agent_send(port->nve, &message);
}

static void do_intent(struct port *port)
{
	port->generation = 0;
	send_with_mapping(port, NVO3_MOVE_INTENT);
}

static void not_withdrawn(struct port *port)
{
	withdrawals_remove(port->nve->withdrawals, port->endpoint->vni, port->endpoint->mac);
}

static void do_register(struct port *port)
{
	port->unsaid = false;
	not_withdrawn(port);
	send_with_mapping(port, NVO3_REGISTER);
}

static void do_commit(struct port *port)
{
	not_withdrawn(port);
	send_request(port, NVO3_COMMIT);
}

static void do_withdraw(struct port *port)
{
	struct nvo3_message message = request(port, NVO3_WITHDRAW);

	message.generation = 0;
	(void) withdrawals_add(port->nve->withdrawals, port->endpoint->vni, port->endpoint->mac);
	agent_send(port->nve, &message);
}

static void do_abort(struct port *port)
{
	struct nvo3_message message = request(port, NVO3_ABORT);

	message.generation = 0;
	agent_send(port->nve, &message);
}

static void answer_consent(struct port *port, bool granted)
{
	const struct nvo3_message message = {
		.kind = NVO3_CONSENTED,
		.id = port->consent_id,
		.vni = port->endpoint->vni,
		.mac = port->endpoint->mac,
		.granted = granted,
	};

	port->facts.asked_for = false;
	agent_send(port->nve, &message);
}

static void do_consent(struct port *port)
{
	answer_consent(port, true);
}

static void do_refuse(struct port *port)
{
	answer_consent(port, false);
}

static void do_pin(struct port *port)
{
	if (!port->is_vm || !port->here)
		return;
	(void) vn_pin(port->vn->vn, port->endpoint->mac, NVE_PORT_IFINDEX + port->endpoint->index);
	agent_settle(port->vn, port->endpoint->mac);
}

static void do_unpin(struct port *port)
{
	(void) vn_unpin(port->vn->vn, port->endpoint->mac);
	agent_settle(port->vn, port->endpoint->mac);
}

/* The forward device's entry replaces the bridge's for this MAC. */
static void do_switch(struct port *port)
{
	const struct fdb_entry lane = {
		.layer = FDB_LAYER_BRIDGE,
		.ifindex = NVE_LANE_IFINDEX,
		.mac = port->endpoint->mac,
		.fixed = true,
	};

	(void) vn_hold(port->vn->vn, port->endpoint->mac, true);
	kernel_put(port->vn->kernel, &lane);
}

static void set_releasing(struct port *port, bool releasing)
{
	if (port->releasing == releasing)
		return;
	port->releasing = releasing;
	port->nve->releasing += releasing ? 1 : -1;
	if (!releasing)
		agent_confirm(port->nve);
}

void port_on_release(void *object)
{
	set_releasing(object, false);
}

/* What was held goes out in slices; nothing is confirmed meanwhile. */
static void do_release(struct port *port)
{
	set_releasing(port, true);
	timer_start(port_clock(port), &port->release,
		    random_delay(&port->nve->sim->random, RELEASE_MAX_US));
}

/* The forward device's entry goes with it, then the bridge's has its place again. */
static void do_disarm(struct port *port)
{
	agent_lane_removed(port->vn, port->endpoint->mac);
	(void) vn_hold(port->vn->vn, port->endpoint->mac, false);
	agent_settle(port->vn, port->endpoint->mac);
	timer_stop(port_clock(port), &port->release);
	set_releasing(port, false);
}

static void do_expect_timer(struct port *port)
{
	timer_start(port_clock(port), &port->expect, EXPECT_US);
}

static void do_retry_timer(struct port *port)
{
	timer_start(port_clock(port), &port->retry, RETRY_US);
}

static void do_hold_timer(struct port *port)
{
	timer_start(port_clock(port), &port->hold, HOLD_US);
}

static void do_cap_timer(struct port *port)
{
	if (!timer_runs(&port->cap))
		timer_start(port_clock(port), &port->cap, CAP_US);
}

static void do_idle_watch(struct port *port)
{
	timer_start(port_clock(port), &port->idle, QUIET_US);
}

void port_stop_timers(struct port *port)
{
	struct clock *clock = port_clock(port);

	timer_stop(clock, &port->expect);
	timer_stop(clock, &port->retry);
	timer_stop(clock, &port->hold);
	timer_stop(clock, &port->cap);
	timer_stop(clock, &port->idle);
}

static void do_forget(struct port *port)
{
	port->forget = true;
}

/*
 * Connections' bytes mean nothing here: that they get to the right one is the directory's unit
 * test.
 */
static void do_send_flows(struct port *port)
{
	uint8_t flows[] = { 1, 0, 0 };
	struct nvo3_message message = request(port, NVO3_FLOWS);

	message.generation = 0;
	message.flows = flows;
	message.flows_size = sizeof(flows);
	agent_send(port->nve, &message);
}

/* Those that are not there concern the tap, the guest and its connections only. */
static void (*const effects[MOBILITY_EFFECT_COUNT])(struct port *port) = {
	[MOBILITY_DO_INTENT] = do_intent,
	[MOBILITY_DO_COMMIT] = do_commit,
	[MOBILITY_DO_REGISTER] = do_register,
	[MOBILITY_DO_WITHDRAW] = do_withdraw,
	[MOBILITY_DO_CONSENT] = do_consent,
	[MOBILITY_DO_REFUSE] = do_refuse,
	[MOBILITY_DO_ABORT] = do_abort,
	[MOBILITY_DO_PIN] = do_pin,
	[MOBILITY_DO_UNPIN] = do_unpin,
	[MOBILITY_DO_SWITCH] = do_switch,
	[MOBILITY_DO_RELEASE] = do_release,
	[MOBILITY_DO_RETURN] = do_disarm,
	[MOBILITY_DO_DISARM] = do_disarm,
	[MOBILITY_DO_EXPECT_TIMER] = do_expect_timer,
	[MOBILITY_DO_RETRY_TIMER] = do_retry_timer,
	[MOBILITY_DO_HOLD_TIMER] = do_hold_timer,
	[MOBILITY_DO_CAP_TIMER] = do_cap_timer,
	[MOBILITY_DO_IDLE_WATCH] = do_idle_watch,
	[MOBILITY_DO_STOP_TIMERS] = port_stop_timers,
	[MOBILITY_DO_SEND_FLOWS] = do_send_flows,
	[MOBILITY_DO_FORGET] = do_forget,
};

void port_do(struct port *port, enum mobility_effect effect)
{
	if (effects[effect])
		effects[effect](port);
}
