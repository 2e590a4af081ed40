/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* port_effects.c - carries the state machine's effects out: one function an effect, one table. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_private.h"
#include "nveagent/announce.h"

enum {
	STEER_LINGER_US = 1000000,
	UNGUARD_RETRY_US = 5000,
	/* a second: a guest that has not caught up by then is always behind */
	UNGUARD_TRIES_MAX = 200,
};

void port_complain(struct port *port, const char *what, int error)
{
	char mac[MAC_TEXT_SIZE];

	log_warning("%s %s on %s, VNI %u: cannot %s: %s", port_kind_name(port->kind),
		    mac_text(port->mac, mac), port->device[0] ? port->device : "(no device)",
		    port->key.vni, what, strerror(-error));
	port_note(port, "trouble", "cannot %s: %s", what, strerror(-error));
}

/* --- the NVA --- */

static struct nvo3_message request(struct port *port, enum nvo3_kind kind)
{
	port->request_id = nva_link_next_id(port->agent->nva);
	return (struct nvo3_message){
		.kind = kind,
		.id = port->request_id,
		.vni = port->key.vni,
		.mac = port->mac,
		.generation = port->generation,
	};
}

/* A session that is down is no failure: NVA_UP asks again. */
static void send_to_nva(struct port *port, const struct nvo3_message *message)
{
	int r = nva_link_send(port->agent->nva, message);

	if (r < 0 && r != -ENOTCONN)
		port_complain(port, nvo3_kind_name(message->kind), r);
}

static void send_with_mapping(struct port *port, enum nvo3_kind kind)
{
	struct mapping mapping = port_mapping(port);
	struct nvo3_message message = request(port, kind);

	message.mappings = &mapping;
	message.mapping_count = 1;
	send_to_nva(port, &message);
}

static void do_intent(struct port *port)
{
	port->generation = 0; /* the grant will say */
	send_with_mapping(port, NVO3_MOVE_INTENT);
}

static void do_register(struct port *port)
{
	port->unsaid = false;
	withdrawals_remove(port->agent->withdrawals, port->key.vni, port->mac);
	send_with_mapping(port, NVO3_REGISTER);
}

static void do_commit(struct port *port)
{
	struct nvo3_message message = request(port, NVO3_COMMIT);

	withdrawals_remove(port->agent->withdrawals, port->key.vni, port->mac);
	send_to_nva(port, &message);
}

static void do_withdraw(struct port *port)
{
	struct nvo3_message message = request(port, NVO3_WITHDRAW);
	int r = withdrawals_add(port->agent->withdrawals, port->key.vni, port->mac);

	if (r < 0)
		port_complain(port, "remember what is withdrawn", r);
	message.generation = 0; /* whatever it is once all that was said before has been heard */
	send_to_nva(port, &message);
}

static void do_abort(struct port *port)
{
	struct nvo3_message message = request(port, NVO3_ABORT);

	message.generation = 0; /* whatever was granted, or will have been when this arrives */
	send_to_nva(port, &message);
}

static void answer_consent(struct port *port, bool granted)
{
	struct nvo3_message message = {
		.kind = NVO3_CONSENTED,
		.id = port->consent_id,
		.vni = port->key.vni,
		.mac = port->mac,
		.granted = granted,
	};

	if (!granted)
		(void) snprintf(message.text, sizeof(message.text),
				"%.128s: no migration away from %.64s is under way", port->vm,
				port->agent->config->name);
	port->facts.asked_for = false;
	send_to_nva(port, &message);
}

static void do_consent(struct port *port)
{
	answer_consent(port, true);
}

static void do_refuse(struct port *port)
{
	answer_consent(port, false);
}

/* --- the new NVE's tap --- */

static void do_guard(struct port *port)
{
	int r = port->guard ? 0
			    : kernel_guard_new(port->agent->kernel, &port->vn->devices,
					       port->device, port->mac,
					       port->agent->config->queue_packets, &port->guard);

	port->unguard_tries = 0;
	if (r < 0)
		port_complain(port, "guard the tap", r);
}

void port_steer(struct port *port)
{
	int r;

	if (!port->guard || port->state != MOBILITY_PLUGGED || kernel_guard_is_steered(port->guard))
		return;
	r = kernel_guard_steer(port->guard);
	if (r == 0 && kernel_guard_is_steered(port->guard))
		port_note(port, "steered", "all flows to the first queue of %s", port->device);
	else if (r == -EBUSY)
		port_note(port, "unsteered", "QEMU has BPF programs of its own");
	else if (r < 0)
		port_complain(port, "keep the tap's flows in one queue", r);
}

static void do_open(struct port *port)
{
	int r = port->guard ? kernel_guard_open(port->guard) : 0;

	if (r < 0)
		port_complain(port, "open the tap", r);
}

/* What came in the blackout was more than the tap's queue holds. */
static void tell_overflow(struct port *port)
{
	struct ledger_move *move = ledger_find(port->agent->ledger, port->move);
	uint64_t dropped = port->guard ? kernel_guard_dropped(port->guard) : 0;

	if (dropped == 0)
		return;
	if (move && move->role == LEDGER_NEW_NVE)
		move->dropped += dropped;
	port_note(port, "overflow", "%" PRIu64 " frames found no room in %s", dropped,
		  port->device);
	log_warning("%s: %" PRIu64
		    " frames for its VM found no room while it moved here: queue-packets "
		    "is %u",
		    port->device, dropped, port->agent->config->queue_packets);
}

void port_end_guard(struct port *port)
{
	tell_overflow(port);
	loop_timer_stop(port->unguard);
	port->guard = kernel_guard_free(port->guard);
}

void port_unguard(struct port *port)
{
	if (port->guard && kernel_guard_is_busy(port->guard) &&
	    port->unguard_tries++ < UNGUARD_TRIES_MAX)
		(void) loop_timer_start(port->unguard, UNGUARD_RETRY_US);
	else
		port_end_guard(port);
}

/* The guest has much to catch up with: only then may its flows change their queues. */
static void do_unguard(struct port *port)
{
	if (port->guard && kernel_guard_is_steered(port->guard))
		(void) loop_timer_start(port->unguard, STEER_LINGER_US);
	else
		port_end_guard(port);
}

/* --- the bridge's entry --- */

static void do_pin(struct port *port)
{
	int r;

	if (port->kind != PORT_VM || !port->ifindex)
		return;
	r = vn_pin(port->vn->vn, port->mac, port->ifindex);
	if (r < 0)
		port_complain(port, "pin the MAC to its tap", r);
	agent_vn_settle(port->vn, port->mac);
}

static void do_unpin(struct port *port)
{
	int r = vn_unpin(port->vn->vn, port->mac);

	if (r < 0)
		port_complain(port, "take the MAC off its tap", r);
	agent_vn_settle(port->vn, port->mac);
}

/* --- announcements --- */

/* Between the rounds, of which there are 5: those of QEMU's self-announcement (net/announce.c). */
static const uint64_t announce_delays_us[] = { 50000, 150000, 250000, 350000 };

static size_t other_ports(const struct port *port, uint32_t *ports)
{
	size_t n = 0;

	for (size_t i = 0; i < port->vn->port_count; i++)
		if (port->vn->ports[i] != port->ifindex)
			ports[n++] = port->vn->ports[i];
	return n;
}

static void have_qemu_announce(struct port *port)
{
	if (port->qemu)
		(void) qemu_watch_announce(port->qemu);
	else if (port->agent->libvirt && port->agent->config->qemu_announce)
		(void) libvirt_watch_announce(port->agent->libvirt, port->uuid);
}

static void announce_round(struct port *port)
{
	const struct agent_vn *vn = port->vn;
	uint32_t ports[AGENT_BRIDGE_PORTS_MAX];
	struct ip ips[MAPPING_IPS_MAX];
	const struct announce_who who = {
		.mac = port->mac,
		.ips = ips,
		.ip_count = address_table_copy(&port->addresses, ips),
		.router = port->router,
	};
	const struct announce_where where = {
		.ports = ports,
		.port_count = other_ports(port, ports),
		.vteps = vn->foreign,
		.vtep_count = vn->foreign_count,
		.vni = vn->devices.vni,
		.vxlan_port = vn->devices.port,
	};
	int r = announce(port->agent->out, &who, &where);

	if (r < 0)
		port_complain(port, "announce the VM's addresses", r);
	else if (port->announced == 0)
		port_note(port, "announced", "%d frames for %zu addresses", r, who.ip_count);
}

static void do_announce(struct port *port)
{
	announce_round(port);
	if (port->announced == 0 && port->kind == PORT_VM) {
		have_qemu_announce(port);
		agent_suppress_greet(port->vn->suppressor, port);
	}
	port->greeted = true;
	if (port->announced < ARRAY_SIZE(announce_delays_us))
		(void) loop_timer_start(port->announce, announce_delays_us[port->announced++]);
	else
		port->announced = 0;
}

/*
 * Every NVE has confirmed, so nobody needs to hear more; but a VTEP without an agent confirms
 * nothing, and nobody confirms for an endpoint that moved by itself: those are told all rounds.
 */
static void do_hush(struct port *port)
{
	if (port->state == MOBILITY_RESIDENT &&
	    (port->vn->foreign_count > 0 || port->kind == PORT_LEARNED))
		return;
	loop_timer_stop(port->announce);
	port->announced = 0;
}

/* --- timers --- */

static void do_expect_timer(struct port *port)
{
	(void) loop_timer_start(port->expect, AGENT_EXPECT_S * 1000000ull);
}

static void do_retry_timer(struct port *port)
{
	(void) loop_timer_start(port->retry, AGENT_RETRY_MS * 1000ull);
}

static void do_hold_timer(struct port *port)
{
	(void) loop_timer_start(port->hold, AGENT_HOLD_MS * 1000ull);
}

static void do_cap_timer(struct port *port)
{
	if (!loop_timer_is_running(port->cap))
		(void) loop_timer_start(port->cap,
					port->agent->config->forward_timeout_s * 1000000ull);
}

static void do_idle_watch(struct port *port)
{
	int r = port->arrivals ? 0
			       : arrivals_open(port->vn->devices.vxlan_ifindex, port->mac,
					       &port->arrivals);

	if (r < 0)
		port_complain(port, "see whether frames still come from other NVEs", r);
	(void) loop_timer_start(port->idle, port->agent->config->quiet_interval_ms * 1000ull);
}

static void do_stop_timers(struct port *port)
{
	loop_timer_stop(port->expect);
	loop_timer_stop(port->retry);
	loop_timer_stop(port->hold);
	loop_timer_stop(port->cap);
	loop_timer_stop(port->idle);
}

static void do_late(struct port *port)
{
	unsigned seconds = port->agent->config->late_s;
	int r = seconds ? late_add(port->vn->late, port->mac, seconds) : 0;

	if (r < 0)
		port_complain(port, "listen for what still comes for it", r);
}

static void do_forget(struct port *port)
{
	port->forget = true;
}

static void do_nothing(struct port *port)
{
	(void) port;
}

/* clang-format off */
static void (*const effects[MOBILITY_EFFECT_COUNT])(struct port *port) = {
	[MOBILITY_DO_NOTHING]		= do_nothing,
	[MOBILITY_DO_INTENT]		= do_intent,
	[MOBILITY_DO_COMMIT]		= do_commit,
	[MOBILITY_DO_REGISTER]		= do_register,
	[MOBILITY_DO_WITHDRAW]		= do_withdraw,
	[MOBILITY_DO_CONSENT]		= do_consent,
	[MOBILITY_DO_REFUSE]		= do_refuse,
	[MOBILITY_DO_ABORT]		= do_abort,
	[MOBILITY_DO_GUARD]		= do_guard,
	[MOBILITY_DO_OPEN]		= do_open,
	[MOBILITY_DO_UNGUARD]		= do_unguard,
	[MOBILITY_DO_PIN]		= do_pin,
	[MOBILITY_DO_UNPIN]		= do_unpin,
	[MOBILITY_DO_ANNOUNCE]		= do_announce,
	[MOBILITY_DO_HUSH]		= do_hush,
	[MOBILITY_DO_ARM]		= port_arm,
	[MOBILITY_DO_SWITCH]		= port_switch,
	[MOBILITY_DO_RELEASE]		= port_release,
	[MOBILITY_DO_RETURN]		= port_return,
	[MOBILITY_DO_DISARM]		= port_disarm,
	[MOBILITY_DO_LATE]		= do_late,
	[MOBILITY_DO_EXPECT_TIMER]	= do_expect_timer,
	[MOBILITY_DO_RETRY_TIMER]	= do_retry_timer,
	[MOBILITY_DO_HOLD_TIMER]	= do_hold_timer,
	[MOBILITY_DO_CAP_TIMER]		= do_cap_timer,
	[MOBILITY_DO_IDLE_WATCH]	= do_idle_watch,
	[MOBILITY_DO_STOP_TIMERS]	= do_stop_timers,
	[MOBILITY_DO_SEND_FLOWS]	= port_flows_send,
	[MOBILITY_DO_DELETE_FLOWS]	= port_flows_delete,
	[MOBILITY_DO_KEEP_FLOWS]	= port_flows_keep,
	[MOBILITY_DO_FORGET]		= do_forget,
};
/* clang-format on */

void port_do(struct port *port, enum mobility_effect effect)
{
	effects[effect](port);
}
