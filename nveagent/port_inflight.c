/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port_inflight.c - the state machine's effects on packets in flight, at the old NVE: armed,
 * switched, released to the new NVE or returned to the tap, disarmed (inflight.h).
 */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_private.h"

enum { RING_FRESH_US = 10000000 }; /* a guest takes longer to start anew, with another ring */

/* --- the guest's ring (guest_ring.h) --- */

/*
 * Asked again while the VM stops, libvirt would keep QEMU's monitor, and whoever wants to abort the
 * job, waiting.
 */
static bool is_fresh(const struct port *port)
{
	return port->ring_us && clock_monotonic_us() < port->ring_us + RING_FRESH_US;
}

static bool may_ask_libvirt(const struct port *port)
{
	return port->agent->libvirt && port->agent->config->guest_ring && port->kind == PORT_VM &&
	       !port->qemu;
}

/* Without an answer what QEMU swallows is doubted. */
void port_find_ring(struct port *port)
{
	if (!mobility_is_local(port->state))
		return;
	if (port->qemu)
		(void) qemu_watch_find_ring(port->qemu, port->mac);
	else if (may_ask_libvirt(port) && !is_fresh(port))
		(void) libvirt_watch_find_ring(port->agent->libvirt, port->uuid, port->mac);
}

static void watch_ring(struct port *port)
{
	if (port->ring_us)
		inflight_know_ring(port->inflight, &port->ring);
	(void) loop_timer_start(port->tend, inflight_tend(port->inflight));
}

void port_know_ring(struct port *port, const struct guest_ring_place *place)
{
	port->ring = *place;
	port->ring_us = clock_monotonic_us();
	if (port->state == MOBILITY_ARMED && port->inflight)
		watch_ring(port);
}

/* --- effects --- */

void port_arm(struct port *port)
{
	int r;

	port_end_guard(port); /* of a move to here that is barely over */
	r = port->inflight ? 0
			   : inflight_arm(port->agent->kernel, &port->vn->devices, port->device,
					  port->mac, port->other, &port->inflight);

	if (r < 0) {
		port_complain(port, "prepare forwarding to the new NVE", r);
		return;
	}
	watch_ring(port);
}

void port_switch(struct port *port)
{
	struct inflight_counters counters = { 0 };
	int r;

	if (!port->inflight)
		return;
	port->switched_us = clock_realtime_us();
	r = vn_hold(port->vn->vn, port->mac, true);
	if (r == 0)
		r = inflight_park(port->inflight, port->stopped_us);
	if (r == 0)
		r = inflight_read(port->inflight, &counters);
	if (r < 0)
		port_complain(port, "switch to the new NVE", r);
	else
		ledger_note(port->agent->ledger, port->move, port->switched_us + counters.switch_us,
			    "switched", "the bridge's entry in %u us", counters.switch_us);
}

static void set_releasing(struct port *port, bool releasing)
{
	if (port->releasing == releasing)
		return;
	port->releasing = releasing;
	port->agent->releasing += releasing ? 1 : -1;
	if (!releasing)
		agent_directory_confirm(port->agent);
}

static const char *why_not_exact(int error)
{
	switch (error) {
	case -ENOENT:
		return "QEMU does not say where it is";
	case -EAGAIN:
		return "it was not watched for long enough";
	case -ENODATA:
		return "none of its frames is known";
	case -ENOTUNIQ:
		return "it can be read in more than one way";
	default:
		return strerror(-error);
	}
}

/*
 * Whether what QEMU swallowed is known, or doubted. Without a monitor of our own nobody was asked.
 */
static void note_exactness(struct port *port, const struct inflight_counters *counters)
{
	if (!port->qemu && !may_ask_libvirt(port))
		return;
	if (counters->exact)
		port_note(port, "exact", "by the guest's ring: read in %u us, judged in %u us",
			  counters->ring_us, counters->judge_us);
	else
		port_note(port, "not-exact", "the guest's ring: %s",
			  why_not_exact(counters->ring_error));
}

static const char *tap_trouble(int error)
{
	return error == -ENOBUFS ? "a burst left no room to keep all that was given to it"
				 : strerror(-error);
}

static void note_release(struct port *port)
{
	struct inflight_counters counters;
	int r = inflight_read(port->inflight, &counters);

	if (r < 0) {
		port_complain(port, "count what was released", r);
		return;
	}
	port_note(port, "released",
		  "%lu pulled from %s, %lu swallowed by QEMU, %lu perhaps; held ones in %u rounds, "
		  "%u us%s",
		  (unsigned long) counters.pulled, port->device, (unsigned long) counters.swallowed,
		  (unsigned long) counters.doubtful, counters.rounds, counters.release_us,
		  counters.unheld ? "; no sch_tbf: may be overtaken" : "");
	note_exactness(port, &counters);
	if (counters.tap_error)
		port_note(port, "trouble", "the tap's queue: %s", tap_trouble(counters.tap_error));
}

/* In slices, because another VM may stop meanwhile. Peers are told when all of it has gone. */
void port_release(struct port *port)
{
	int r = port->inflight ? inflight_release(port->inflight, AGENT_RELEASE_US) : 0;

	set_releasing(port, r == -EINPROGRESS);
	if (r == -EINPROGRESS)
		(void) loop_timer_start(port->release, 0);
	else if (r < 0)
		port_complain(port, "release what was held for the new NVE", r);
	else if (port->inflight)
		note_release(port);
}

/* --- what an earlier life left --- */

static void adopt(struct agent_vn *vn, const struct kernel_left *left)
{
	struct port *port = port_find(vn->agent, vn->devices.vni, left->mac);
	char mac[MAC_TEXT_SIZE], vtep[IP_TEXT_SIZE];
	int r;

	if (!port)
		port = port_new(vn->agent, vn, left->mac, PORT_VM);
	r = port ? inflight_adopt(vn->agent->kernel, &vn->devices, left, &port->inflight) : -ENOMEM;
	if (r < 0) {
		log_warning("VNI %u: cannot take over what is held for %s: %s", vn->devices.vni,
			    mac_text(left->mac, mac), strerror(-r));
		(void) port_free(port);
		return;
	}
	log_notice("VNI %u: took over what is held for %s, which left for %s", vn->devices.vni,
		   mac_text(left->mac, mac), ip_text(left->new_vtep, vtep));
	port->other = left->new_vtep;
	port->adopted = true;
	(void) vn_hold(vn->vn, port->mac, true);
	port_input(port, MOBILITY_HELD);
}

void port_adopt_all(struct agent_vn *vn)
{
	_cleanup_free_ struct kernel_left *left = calloc(KERNEL_LEFT_MAX, sizeof(*left));
	int count = left ? kernel_find_left(vn->agent->kernel, &vn->devices, left) : -ENOMEM;

	if (count < 0)
		log_warning("VNI %u: cannot see what is held here of an earlier life: %s",
			    vn->devices.vni, strerror(-count));
	for (int i = 0; i < count; i++)
		adopt(vn, &left[i]);
}

bool port_meet(struct port *port)
{
	bool adopted = port->adopted;

	port->adopted = false;
	if (adopted && port->inflight && port->ifindex)
		inflight_find_tap(port->inflight, port->device);
	return adopted;
}

void port_leave_inflight(struct port *port)
{
	if (mobility_is_forwarding(port->state))
		port->inflight = inflight_leave(port->inflight);
}

void port_free_inflight(struct port *port)
{
	loop_timer_stop(port->release);
	port->inflight = inflight_free(port->inflight);
	port->arrivals = arrivals_free(port->arrivals);
	set_releasing(port, false);
}

static void note_return(struct port *port)
{
	struct inflight_counters counters;

	if (inflight_read(port->inflight, &counters) < 0)
		return;
	port_note(port, "returned",
		  "%lu to %s, of which %lu swallowed by QEMU, %lu perhaps; %lu it had kept; held "
		  "ones "
		  "in %u rounds, %u us",
		  (unsigned long) counters.returned, port->device,
		  (unsigned long) (counters.swallowed - counters.kept),
		  (unsigned long) counters.doubtful, (unsigned long) counters.kept, counters.rounds,
		  counters.release_us);
	note_exactness(port, &counters);
}

void port_return(struct port *port)
{
	int r = port->inflight ? inflight_return(port->inflight) : 0;

	if (r < 0)
		port_complain(port, "switch back to the tap", r);
	else if (port->inflight)
		note_return(port);
	(void) vn_hold(port->vn->vn, port->mac, false);
	agent_vn_settle(port->vn, port->mac);
}

void port_count(struct port *port)
{
	struct ledger_move *move = ledger_find(port->agent->ledger, port->move);
	struct inflight_counters counters;

	if (!move || !port->inflight || inflight_read(port->inflight, &counters) < 0)
		return;
	move->pulled = counters.pulled;
	move->forwarded = counters.forwarded;
	move->dropped = counters.dropped;
}

void port_disarm(struct port *port)
{
	port_count(port);
	(void) vn_hold(port->vn->vn, port->mac, false);
	agent_vn_settle(port->vn, port->mac);
	loop_timer_stop(port->tend);
	port_free_inflight(port);
}
