/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.c - an endpoint at an NVE: nveagent/port.c, port_effects.c, port_addresses.c, and what
 * agent_vm.c and agent_local.c make of what happens on the host. Packets, taps and connections are
 * left out.
 */
#include <stdlib.h>

#include "tests/sim/nve.h"

enum {
	EXPECT_US = 10000000,	/* as AGENT_EXPECT_S: longer than a migration waits */
	RETRY_US = 1000000,	/* nveagent/agent_private.h, AGENT_RETRY_MS */
	HOLD_US = 500000,	/* AGENT_HOLD_MS */
	CAP_US = 5000000,	/* forward-timeout */
	QUIET_US = 200000,	/* quiet-interval */
	TELL_US = 10000,	/* nveagent/port_addresses.c, TELL_DELAY_US */
	RELEASE_MAX_US = 20000, /* to let out what was held */
	VERIFY_US = 200000,	/* AGENT_VERIFY_DELAY_MS */
	AGE_US = 4000000,	/* neighbour-age */
};

static struct clock *clock_of(const struct port *port)
{
	return &port->nve->sim->clock;
}

/* --- addresses --- */

static void tell_later(struct port *port)
{
	port->unsaid = true;
	if (!timer_runs(&port->tell))
		timer_start(clock_of(port), &port->tell, TELL_US);
}

static bool may_ask(const struct port *port)
{
	return port->state == MOBILITY_RESIDENT && port->here && !port->facts.stopped;
}

static void schedule(struct port *port)
{
	struct clock *clock = clock_of(port);
	uint64_t due_us = address_table_due(&port->addresses);

	if (!may_ask(port) || due_us == ADDRESS_NEVER)
		timer_stop(clock, &port->age);
	else
		timer_start(clock, &port->age, due_us > clock->now_us ? due_us - clock->now_us : 0);
}

static bool is_really_here(const struct port *port)
{
	return port->endpoint->running && port->endpoint->host == (int) port->nve->index;
}

static void hear(struct port *port, struct ip ip)
{
	if (address_table_hear(&port->addresses, ip, clock_of(port)->now_us) == ADDRESS_NEW)
		tell_later(port);
	schedule(port);
}

/* The guest answers at once: what matters is whether it has the address. */
static void ask(struct port *port, struct ip ip)
{
	const struct endpoint *endpoint = port->endpoint;

	for (size_t i = 0; i < endpoint->ip_count && is_really_here(port); i++)
		if (ip_cmp(endpoint->ips[i], ip) == 0)
			hear(port, ip);
}

static void on_age(void *object)
{
	struct port *port = object;
	struct address_work work;

	if (!may_ask(port))
		return;
	work = address_table_work(&port->addresses, clock_of(port)->now_us);
	for (size_t i = 0; i < work.probe_count; i++)
		ask(port, work.probe[i]);
	if (work.gone_count > 0)
		tell_later(port);
	schedule(port);
}

static void on_tell(void *object)
{
	struct port *port = object;

	if (port->unsaid &&
	    mobility_step(port->state, MOBILITY_ADDRESS)->effects[0] != MOBILITY_DO_NOTHING)
		port_input(port, MOBILITY_ADDRESS);
}

static void adopt(struct port *port, const struct mapping *mapping, bool verify)
{
	for (size_t i = 0; i < mapping->ip_count; i++)
		(void) address_table_adopt(&port->addresses, mapping->ips[i], verify,
					   clock_of(port)->now_us);
	schedule(port);
}

void port_take_mapping(struct port *port, const struct mapping *mapping)
{
	if (ip_cmp(mapping->vtep, port->nve->vtep) == 0) {
		adopt(port, mapping, true);
		if (!address_table_equals(&port->addresses, mapping->ips, mapping->ip_count))
			tell_later(port);
		return;
	}
	if (port->state != MOBILITY_EXPECTED && port->state != MOBILITY_PLUGGED)
		return;
	address_table_retain(&port->addresses, mapping->ips, mapping->ip_count);
	adopt(port, mapping, false);
}

void port_lose_mapping(struct port *port)
{
	if (mobility_is_local(port->state))
		tell_later(port);
}

void port_doubt(struct port *port, const struct mapping *mapping)
{
	for (size_t i = 0; i < mapping->ip_count; i++)
		if (address_table_has(&port->addresses, mapping->ips[i]))
			address_table_doubt(&port->addresses, mapping->ips[i],
					    clock_of(port)->now_us);
	schedule(port);
}

void port_verify(struct port *port)
{
	address_table_verify(&port->addresses, clock_of(port)->now_us);
	schedule(port);
}

static void entered(struct port *port, enum mobility_state before)
{
	if (port->unsaid)
		tell_later(port);
	if (port->state == MOBILITY_RESIDENT)
		schedule(port);
	if (port->state == MOBILITY_FORWARDING ||
	    (mobility_is_local(before) && port->state == MOBILITY_ABSENT))
		timer_start(clock_of(port), &port->vn->verify, VERIFY_US);
}

/* --- effects --- */

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

static void on_release(void *object)
{
	set_releasing(object, false);
}

/* What was held goes out in slices; nothing is confirmed meanwhile. */
static void do_release(struct port *port)
{
	set_releasing(port, true);
	timer_start(clock_of(port), &port->release,
		    random_delay(&port->nve->sim->random, RELEASE_MAX_US));
}

/* The forward device's entry goes with it, then the bridge's has its place again. */
static void do_disarm(struct port *port)
{
	agent_lane_removed(port->vn, port->endpoint->mac);
	(void) vn_hold(port->vn->vn, port->endpoint->mac, false);
	agent_settle(port->vn, port->endpoint->mac);
	timer_stop(clock_of(port), &port->release);
	set_releasing(port, false);
}

static void do_expect_timer(struct port *port)
{
	timer_start(clock_of(port), &port->expect, EXPECT_US);
}

static void do_retry_timer(struct port *port)
{
	timer_start(clock_of(port), &port->retry, RETRY_US);
}

static void do_hold_timer(struct port *port)
{
	timer_start(clock_of(port), &port->hold, HOLD_US);
}

static void do_cap_timer(struct port *port)
{
	if (!timer_runs(&port->cap))
		timer_start(clock_of(port), &port->cap, CAP_US);
}

static void do_idle_watch(struct port *port)
{
	timer_start(clock_of(port), &port->idle, QUIET_US);
}

static void do_stop_timers(struct port *port)
{
	struct clock *clock = clock_of(port);

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
	[MOBILITY_DO_STOP_TIMERS] = do_stop_timers,
	[MOBILITY_DO_SEND_FLOWS] = do_send_flows,
	[MOBILITY_DO_FORGET] = do_forget,
};

/* --- the machine --- */

static void step(struct port *port, enum mobility_input input)
{
	const struct mobility_step *step = mobility_step(port->state, input);
	enum mobility_state before = port->state;
	char name[8];

	if (step->next != before || step->effects[0] != MOBILITY_DO_NOTHING)
		sim_trace(port->nve->sim, port->nve->name, "%s %s: %s -> %s",
			  endpoint_name(port->endpoint, name), mobility_input_name(input),
			  mobility_state_name(before), mobility_state_name(step->next));
	port->state = step->next;
	if (port->state != MOBILITY_ABSENT)
		port->forget = false;
	for (size_t i = 0; step->effects[i] != MOBILITY_DO_NOTHING; i++)
		if (effects[step->effects[i]])
			effects[step->effects[i]](port);
	if (port->state != before)
		entered(port, before);
}

void port_input(struct port *port, enum mobility_input input)
{
	struct nve_vn *vn = port->vn;

	while (input != MOBILITY_INPUT_COUNT) {
		step(port, input);
		input = mobility_pending(port->state, &port->facts);
	}
	agent_flush(vn);
	if (port->forget && port->state == MOBILITY_ABSENT &&
	    (port->facts.unplugged || !port->here))
		(void) port_free(port);
}

static void on_expect(void *object)
{
	port_input(object, MOBILITY_TIMEOUT_EXPECT);
}

static void on_retry(void *object)
{
	struct port *port = object;

	port_input(port, port->is_vm ? MOBILITY_TIMEOUT_RETRY : MOBILITY_RUN);
}

static void on_hold(void *object)
{
	port_input(object, MOBILITY_TIMEOUT_HOLD);
}

static void on_cap(void *object)
{
	port_input(object, MOBILITY_TIMEOUT_CAP);
}

static void on_idle(void *object)
{
	port_input(object, MOBILITY_IDLE);
}

struct port *port_new(struct nve *nve, struct endpoint *endpoint)
{
	const struct address_policy policy = { .cap = SIM_IPS + 1, .age_us = AGE_US };
	struct port *port = calloc(1, sizeof(*port));
	struct mapping known;

	if (!port)
		abort();
	port->nve = nve;
	port->vn = agent_vn_find(nve, endpoint->vni);
	port->endpoint = endpoint;
	port->is_vm = !uuid_is_none(endpoint->uuid);
	port->expect = (struct timer){ .run = on_expect, .object = port };
	port->retry = (struct timer){ .run = on_retry, .object = port };
	port->hold = (struct timer){ .run = on_hold, .object = port };
	port->cap = (struct timer){ .run = on_cap, .object = port };
	port->idle = (struct timer){ .run = on_idle, .object = port };
	port->tell = (struct timer){ .run = on_tell, .object = port };
	port->age = (struct timer){ .run = on_age, .object = port };
	port->release = (struct timer){ .run = on_release, .object = port };
	nve->ports[endpoint->index] = port;
	address_table_init(&port->addresses, policy);
	if (vn_find(port->vn->vn, endpoint->mac, &known))
		adopt(port, &known, !port->is_vm || ip_cmp(known.vtep, nve->vtep) == 0);
	return port;
}

struct port *port_free(struct port *port)
{
	if (!port)
		return NULL;
	do_stop_timers(port);
	timer_stop(clock_of(port), &port->tell);
	timer_stop(clock_of(port), &port->age);
	timer_stop(clock_of(port), &port->release);
	address_table_clear(&port->addresses);
	port->nve->ports[port->endpoint->index] = NULL;
	if (port->releasing)
		port->nve->releasing--;
	free(port);
	return NULL;
}

/* --- what happens on the host: agent_vm.c, agent_local.c --- */

static void run(struct port *port)
{
	bool came_back = port->migrated, stood_still = port->facts.stopped;
	struct nve *nve = port->nve;
	unsigned index = port->endpoint->index;

	port->facts.stopped = false;
	port->facts.unplugged = false;
	if (stood_still)
		address_table_restart(&port->addresses, clock_of(port)->now_us);
	port_input(port, MOBILITY_RUN);
	port = nve->ports[index];
	if (!came_back || !port)
		return;
	port->migrated = false;
	port->facts.migrating_out = false;
	port_input(port, MOBILITY_STAY);
}

static void leave(struct port *port)
{
	if (port->facts.migrating_out ||
	    (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED))
		return;
	port->facts.migrating_out = true;
	port_input(port, MOBILITY_LEAVE);
}

static void stop(struct port *port)
{
	port->facts.stopped = true;
	if (port->facts.migrating_out)
		port_input(port, MOBILITY_STOP);
}

static void sent(struct port *port)
{
	if (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED)
		return;
	port->migrated = port->facts.migrating_out;
	port_input(port, MOBILITY_SENT);
}

static void stay(struct port *port)
{
	if (!mobility_is_local(port->state) && port->state != MOBILITY_SWITCHED)
		return;
	port->facts.migrating_out = false;
	port->migrated = false;
	port_input(port, MOBILITY_STAY);
}

static void unplug(struct port *port)
{
	port->here = false;
	agent_port_removed(port->vn, NVE_PORT_IFINDEX + port->endpoint->index);
	vn_port_gone(port->vn->vn, NVE_PORT_IFINDEX + port->endpoint->index);
	port->facts =
		(struct mobility_facts){ .asked_for = port->facts.asked_for, .unplugged = true };
	port->migrated = false;
	port_input(port, MOBILITY_UNPLUG);
}

static void plug(struct port *port)
{
	port->here = true;
	port->facts.unplugged = false;
	port_input(port, MOBILITY_PLUG);
}

static void expect(struct port *port)
{
	port_input(port, MOBILITY_EXPECT);
}

static void run_here(struct port *port)
{
	port->here = true;
	run(port);
}

static void speak(struct port *port)
{
	for (size_t i = 0; i < port->endpoint->ip_count; i++)
		hear(port, port->endpoint->ips[i]);
}

static void learn(struct port *port)
{
	if (!port->here) {
		port->here = true;
		port->facts.unplugged = false;
		port_input(port, MOBILITY_RUN);
	}
}

/* libvirt lists what is here. */
static void found(struct nve *nve, struct endpoint *endpoint)
{
	struct port *port = nve->ports[endpoint->index];
	bool fresh;

	if (!port)
		port = port_new(nve, endpoint);
	fresh = port->state == MOBILITY_ABSENT && !port->forget;
	port->here = true;
	port->facts.unplugged = false;
	port->facts.stopped = !endpoint->running;
	if (endpoint->migration == MIGRATION_ACTIVE || endpoint->migration == MIGRATION_STOPPED)
		port->facts.migrating_out = endpoint->host == (int) nve->index;
	if (endpoint->running && endpoint->host == (int) nve->index)
		port_input(port, MOBILITY_RUN);
	else if (endpoint->migration != MIGRATION_NONE && endpoint->host != (int) nve->index &&
		 endpoint->migration != MIGRATION_RESUMED)
		port_input(port, MOBILITY_PLUG);
	else if (fresh)
		port_input(port, MOBILITY_FOUND);
}

static bool is_at(const struct endpoint *endpoint, int host)
{
	if (endpoint->host == host)
		return true;
	return endpoint->migration >= MIGRATION_PLUGGED && endpoint->destination == host;
}

static void scan(struct nve *nve)
{
	nve->scanned = true;
	for (size_t i = 0; i < nve->sim->weather.endpoint_count; i++)
		if (is_at(&nve->sim->endpoints[i], (int) nve->index))
			found(nve, &nve->sim->endpoints[i]);
	agent_answer_consents(nve);
	for (size_t i = 0; i < SIM_VNIS; i++)
		agent_release_unclaimed(&nve->vns[i]);
}

/* Those that make a record if there is none. */
static const bool makes_port[PORT_EVENT_COUNT] = {
	[PORT_EXPECT] = true,
	[PORT_PLUG] = true,
	[PORT_RUN] = true,
	[PORT_LEARN] = true,
};

static void (*const happenings[PORT_EVENT_COUNT])(struct port *port) = {
	[PORT_EXPECT] = expect, [PORT_PLUG] = plug,    [PORT_LEAVE] = leave, [PORT_STOP] = stop,
	[PORT_SENT] = sent,	[PORT_RUN] = run_here, [PORT_STAY] = stay,   [PORT_UNPLUG] = unplug,
	[PORT_LEARN] = learn,	[PORT_SPEAK] = speak,
};

void port_event(struct nve *nve, enum port_event event, struct endpoint *endpoint)
{
	struct port *port = endpoint ? nve->ports[endpoint->index] : NULL;

	if (event == PORT_SCAN) {
		scan(nve);
		return;
	}
	if (!port && makes_port[event])
		port = port_new(nve, endpoint);
	if (port)
		happenings[event](port);
}
