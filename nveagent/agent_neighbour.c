/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_neighbour.c - what endpoints say in ARP, RARP and ND: one watch for each bridge port, and
 * what each kind of frame means for the endpoint that sent it.
 *
 * An endpoint that is new on a device is heard before the bridge tells that it has learned its MAC
 * (the packet socket comes first in the kernel's receive path). Only what the bridge learns is
 * registered, so what such an endpoint says is parked with the device for that moment.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "net/frames.h"
#include "nveagent/agent_private.h"
#include "nveagent/neighbour.h"

enum {
	PARKED_MAX = 32,     /* claims of a device; the oldest gives way */
	REFUSED_STORM = 256, /* MACs beyond the limit, then the bridge need not learn them either */
};

struct local_device {
	struct agent_vn *vn;
	uint32_t ifindex;
	char name[IFNAMSIZ];
	struct neighbour_watch *watch; /* NULL: it could not be made */
	struct parked_claim {
		struct mac mac;	 /* zero: none */
		struct ip ip;	 /* none: it announced itself by RARP */
		bool advertised; /* in an NA or RA, which says whether */
		bool router;	 /* it is a router */
	} parked[PARKED_MAX];
	unsigned parked_next;
	unsigned macs;	  /* learned on it, with a record */
	unsigned refused; /* since the last relearn */
	bool limit_said;  /* that there are too many is in the log */
	bool deaf;	  /* the bridge learns no more there */
	UT_hash_handle hh;
};

static struct local_device *find_device(const struct agent *agent, uint32_t ifindex)
{
	struct local_device *device = NULL;

	HASH_FIND(hh, agent->devices, &ifindex, sizeof(ifindex), device);
	return device;
}

/* --- claims of endpoints that are not known yet --- */

/* The place for what @mac says of @ip. */
static struct parked_claim *parked(struct local_device *device, struct mac mac, struct ip ip)
{
	struct parked_claim *oldest;

	for (size_t i = 0; i < PARKED_MAX; i++)
		if (mac_cmp(device->parked[i].mac, mac) == 0 &&
		    ip_cmp(device->parked[i].ip, ip) == 0)
			return &device->parked[i];
	oldest = &device->parked[device->parked_next];
	device->parked_next = (device->parked_next + 1) % PARKED_MAX;
	*oldest = (struct parked_claim){ 0 };
	return oldest;
}

static bool is_advertisement(const struct frame *frame)
{
	return frame->kind == FRAME_NA || frame->kind == FRAME_RA;
}

static bool is_of_router(const struct frame *frame)
{
	return frame->kind == FRAME_RA || frame->na_router;
}

static void park(struct local_device *device, const struct frame *frame, struct mac mac,
		 struct ip ip)
{
	struct parked_claim *claim = parked(device, mac, ip);

	claim->mac = mac;
	claim->ip = ip;
	if (is_advertisement(frame)) {
		claim->advertised = true;
		claim->router = is_of_router(frame);
	}
}

/*
 * An endpoint announces its own arrival. A VM is not believed in that: it is announced when its
 * move is committed, and until then its old NVE serves it.
 */
static void greet(struct port *port)
{
	struct mapping known = { 0 };

	(void) vn_find(port->vn->vn, port->mac, &known);
	if (port->kind == PORT_VM || known.flags & MAPPING_VM)
		return;
	if (!port->greeted && port_is_arriving(port))
		port_do(port, MOBILITY_DO_ANNOUNCE);
}

void agent_neighbour_unpark(struct port *port)
{
	struct local_device *device = find_device(port->agent, port->ifindex);

	for (size_t i = 0; device && i < PARKED_MAX; i++) {
		struct parked_claim *claim = &device->parked[i];

		if (mac_cmp(claim->mac, port->mac) != 0)
			continue;
		if (ip_is_none(claim->ip))
			greet(port);
		else
			port_hear(port, claim->ip);
		if (claim->advertised)
			port_hear_router(port, claim->router);
		*claim = (struct parked_claim){ 0 };
	}
}

/* --- learned MACs --- */

void agent_neighbour_count(struct port *port)
{
	struct local_device *before = find_device(port->agent, port->counted_on);
	struct local_device *now = find_device(port->agent, port->ifindex);

	if (port->kind != PORT_LEARNED || port->counted_on == port->ifindex)
		return;
	if (before)
		before->macs--;
	if (now)
		now->macs++;
	port->counted_on = now ? port->ifindex : 0;
}

/*
 * A guest that sends from a new MAC with each frame would fill the bridge's table, and us with its
 * notifications. What the bridge has learned there stays until it ages, and a VM's own MAC is
 * pinned.
 */
static void set_deaf(struct agent *agent, struct local_device *device, bool deaf)
{
	int r = kernel_port_set_deaf(agent->kernel, device->ifindex, deaf);

	if (r < 0 && r != -ENODEV)
		log_warning("%s: cannot switch learning %s: %s", device->name, deaf ? "off" : "on",
			    strerror(-r));
	device->deaf = deaf;
}

void agent_neighbour_relearn(struct agent *agent)
{
	for (struct local_device *device = agent->devices; device; device = device->hh.next) {
		device->refused = 0;
		if (device->deaf)
			set_deaf(agent, device, false);
	}
}

const char *agent_neighbour_device(const struct agent *agent, uint32_t ifindex)
{
	const struct local_device *device = find_device(agent, ifindex);

	return device ? device->name : NULL;
}

bool agent_neighbour_may_learn(struct agent *agent, uint32_t ifindex)
{
	struct local_device *device = find_device(agent, ifindex);

	if (!device || device->macs < agent->config->port_macs)
		return true;
	agent->counters.macs_refused++;
	if (!device->limit_said)
		log_warning(
			"%s, VNI %u: more than %u MACs (port-macs); the others are not registered",
			device->name, device->vn->devices.vni, agent->config->port_macs);
	device->limit_said = true;
	if (++device->refused >= REFUSED_STORM && !device->deaf)
		set_deaf(agent, device, true);
	return false;
}

/* --- a kind of frame a function --- */

/* The record of the endpoint that sent @frame by @device. */
static struct port *sender(const struct local_device *device, const struct frame *frame)
{
	struct port *port = port_find(device->vn->agent, device->vn->devices.vni, frame->source);

	return port && port->ifindex == device->ifindex ? port : NULL;
}

/* Who speaks for another MAC than it sends from (a proxy, a forger) is not heard. */
static void hear_claim(struct local_device *device, const struct frame *frame)
{
	struct port *port = sender(device, frame);
	struct mac mac;
	struct ip ip;

	if (!frame_claims(frame, &mac, &ip) || mac_cmp(mac, frame->source) != 0)
		return;
	if (port)
		port_hear(port, ip);
	else
		park(device, frame, mac, ip);
}

/* RFC 5227 section 1.1; RFC 4862 section 5.4.2: it claims nothing until it is announced or used. */
static bool is_own_probe(const struct frame *frame)
{
	static const struct ip any = { .family = AF_INET };

	if (frame->kind == FRAME_NS)
		return ip_is_none(frame->sender_ip);
	return frame->kind == FRAME_ARP_REQUEST && ip_cmp(frame->sender_ip, any) == 0;
}

static void hear_question(struct local_device *device, const struct frame *frame)
{
	struct port *port = sender(device, frame);

	if (!is_own_probe(frame))
		hear_claim(device, frame);
	else if (port)
		port_hear_probe(port, frame->target_ip);
}

static void hear_advertisement(struct local_device *device, const struct frame *frame)
{
	struct port *port = sender(device, frame);

	hear_claim(device, frame);
	if (port)
		port_hear_router(port, is_of_router(frame));
}

/* --- RARP --- */

/*
 * A VM's self-announcement needs no answer: we announce it ourselves. An endpoint that no libvirt
 * and no QMP tells us of may be either: it is announced, and answered too, which a VM that did not
 * ask ignores.
 */
static void hear_rarp(struct local_device *device, const struct frame *frame)
{
	struct port *port = sender(device, frame);

	if (port && port->kind == PORT_VM && port_is_arriving(port))
		return;
	if (port)
		greet(port);
	else
		park(device, frame, frame->source, (struct ip){ 0 });
	agent_rarp_hear(device->vn, device->ifindex, frame);
}

/* clang-format off */
static void (*const hearers[FRAME_KIND_COUNT])(struct local_device *device,
					       const struct frame *frame) = {
	[FRAME_ARP_REQUEST]	= hear_question,
	[FRAME_ARP_REPLY]	= hear_claim,
	[FRAME_RARP_REQUEST]	= hear_rarp,
	[FRAME_NS]		= hear_question,
	[FRAME_NA]		= hear_advertisement,
	[FRAME_RA]		= hear_advertisement,
};
/* clang-format on */

static void on_heard(void *userdata, const struct frame *frame)
{
	if (hearers[frame->kind])
		hearers[frame->kind](userdata, frame);
}

static void on_flooded(void *userdata)
{
	const struct local_device *device = userdata;

	log_warning(
		"%s, VNI %u: ARP or ND comes faster than %d frames/s; what is beyond that is not "
		"looked at (nvectl ports counts it)",
		device->name, device->vn->devices.vni, NEIGHBOUR_FRAMES_PER_S);
}

static const struct neighbour_events events = { .heard = on_heard, .flooded = on_flooded };

/* --- devices --- */

void agent_neighbour_watch(struct agent_vn *vn, const struct kernel_port *link)
{
	struct local_device *device = calloc(1, sizeof(*device));
	int r = -ENOMEM;

	if (device) {
		device->vn = vn;
		device->ifindex = link->ifindex;
		memcpy(device->name, link->name, sizeof(device->name));
		HASH_ADD(hh, vn->agent->devices, ifindex, sizeof(device->ifindex), device);
		if (link->deaf)
			set_deaf(vn->agent, device,
				 false); /* by a life that was killed in a storm */
		r = neighbour_watch_new(vn->agent->loop, link->ifindex, &events, device,
					&device->watch);
	}
	if (r < 0)
		log_warning("%s, VNI %u: cannot watch ARP and ND: %s; the addresses behind it stay "
			    "unknown",
			    link->name, vn->devices.vni, strerror(-r));
}

static void forget(struct agent *agent, struct local_device *device)
{
	if (device->deaf)
		set_deaf(agent, device, false);
	HASH_DEL(agent->devices, device);
	device->watch = neighbour_watch_free(device->watch);
	free(device);
}

void agent_neighbour_unwatch(struct agent *agent, uint32_t ifindex)
{
	struct local_device *device = find_device(agent, ifindex);

	if (device)
		forget(agent, device);
}

void agent_neighbour_unwatch_all(struct agent *agent)
{
	struct local_device *device, *next;

	HASH_ITER(hh, agent->devices, device, next)
		forget(agent, device);
}

uint64_t agent_neighbour_dropped(struct agent *agent, uint32_t ifindex)
{
	struct local_device *device = find_device(agent, ifindex);

	return device && device->watch ? neighbour_watch_dropped(device->watch) : 0;
}

void agent_neighbour_verify(void *userdata)
{
	struct agent_vn *vn = userdata;

	for (struct port *port = vn->agent->ports; port; port = port->hh.next)
		if (port->vn == vn)
			port_verify_addresses(port);
}
