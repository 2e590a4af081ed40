/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port_addresses.c - a port's addresses between the endpoint and the directory: what the endpoint
 * says is told to the NVA, what the NVA says is compared with it, and who has gone silent is asked.
 *
 * Asking must not disturb the guest. So it is done to the endpoint's own MAC alone, and
 *   - for IPv4 with the sender address 0 (an ARP probe in form, RFC 5227 section 1.1): the guest
 *     answers, and makes no entry for us. Not while it probes for the address itself: see
 *     address_table.h.
 *   - for IPv6 with the bridge's link-local address and MAC. The unspecified address would say that
 *     we want the address for ourselves: a guest that is just taking it would give it up, and one
 *     that has it would answer to everybody (RFC 4862 section 5.4.3, RFC 4861 section 7.2.4).
 * The answer goes to the bridge's MAC, which the bridge knows for its own: it is not flooded.
 *
 * A guest that stands still, or is on its way to another NVE, is not asked.
 */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "net/frames.h"
#include "nveagent/agent_private.h"

enum {
	TELL_DELAY_US = 10000, /* what comes together is told together */
	ARRIVAL_WINDOW_US =
		2000000, /* QEMU announces for 800 ms, and our announce-self repeats that */
};

/* --- to the NVA --- */

static void tell_later(struct port *port)
{
	port->unsaid = true;
	if (!loop_timer_is_running(port->tell))
		(void) loop_timer_start(port->tell, TELL_DELAY_US);
}

/* A state without this input says it all when it is left, or in port_addresses_entered(). */
void port_on_tell(void *userdata)
{
	struct port *port = userdata;

	if (port->unsaid &&
	    mobility_step(port->state, MOBILITY_ADDRESS)->effects[0] != MOBILITY_DO_NOTHING)
		port_input(port, MOBILITY_ADDRESS);
}

/* --- asking --- */

static bool may_ask(const struct port *port)
{
	return port->state == MOBILITY_RESIDENT && port->ifindex && !port->facts.stopped;
}

static void schedule(struct port *port)
{
	uint64_t now_us = clock_monotonic_us(), due_us = address_table_due(&port->addresses);

	if (!may_ask(port) || due_us == ADDRESS_NEVER)
		loop_timer_stop(port->age);
	else
		(void) loop_timer_start(port->age, due_us > now_us ? due_us - now_us : 0);
}

static void ask(struct port *port, struct mac source, struct ip ip)
{
	uint8_t frame[FRAME_BUILD_SIZE];
	size_t size = ip.family == AF_INET
			      ? frame_build_arp_poll(source, (struct ip){ 0 }, port->mac, ip, frame)
			      : frame_build_ns_poll(source, ip_link_local_of(source), port->mac, ip,
						    frame);

	(void) frame_out_device(port->agent->out, port->ifindex, frame, size);
}

static void ask_all(struct port *port, const struct ip *ips, size_t count)
{
	struct kernel_port bridge;

	if (count == 0 ||
	    kernel_port_by_name(port->agent->kernel, port->vn->devices.bridge, &bridge) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		ask(port, bridge.mac, ips[i]);
}

static void give_up(struct port *port, struct ip ip)
{
	char mac[MAC_TEXT_SIZE], text[IP_TEXT_SIZE];

	log_info("%s %s on %s, VNI %u: %s does not answer any more: withdrawn",
		 port_kind_name(port->kind), mac_text(port->mac, mac), port->device, port->key.vni,
		 ip_text(ip, text));
	tell_later(port);
}

void port_on_age(void *userdata)
{
	struct port *port = userdata;
	struct address_work work;

	if (!may_ask(port))
		return;
	work = address_table_work(&port->addresses, clock_monotonic_us());
	ask_all(port, work.probe, work.probe_count);
	for (size_t i = 0; i < work.gone_count; i++)
		give_up(port, work.gone[i]);
	local_ips_update(port);
	schedule(port);
}

void port_verify_addresses(struct port *port)
{
	address_table_verify(&port->addresses, clock_monotonic_us());
	schedule(port);
}

void port_doubt(struct port *port, struct ip ip)
{
	address_table_doubt(&port->addresses, ip, clock_monotonic_us());
	schedule(port);
}

void port_addresses_resumed(struct port *port)
{
	address_table_restart(&port->addresses, clock_monotonic_us());
	schedule(port);
}

/* --- from the endpoint --- */

static void say_limit(struct port *port, struct ip ip, const char *why)
{
	char mac[MAC_TEXT_SIZE], text[IP_TEXT_SIZE];

	if (port->limit_said)
		return;
	port->limit_said = true;
	log_warning("%s %s on %s, VNI %u: %s is not registered: %s; nvectl ports counts what more "
		    "is refused",
		    port_kind_name(port->kind), mac_text(port->mac, mac), port->device,
		    port->key.vni, ip_text(ip, text), why);
}

void port_hear(struct port *port, struct ip ip)
{
	uint64_t due_us = address_table_due(&port->addresses);

	switch (address_table_hear(&port->addresses, ip, clock_monotonic_us())) {
	case ADDRESS_KNOWN:
		break;
	case ADDRESS_NEW:
		local_ips_update(port);
		tell_later(port);
		break;
	case ADDRESS_OVER_CAP:
		say_limit(port, ip, "it has as many addresses as port-addresses allows");
		break;
	case ADDRESS_OVER_RATE:
		say_limit(port, ip, "it claims new addresses too fast");
		break;
	}
	/* A later due time needs no new timer: it finds nothing to do and starts itself anew. */
	if (address_table_due(&port->addresses) < due_us)
		schedule(port);
}

void port_hear_probe(struct port *port, struct ip ip)
{
	address_table_hold(&port->addresses, ip, clock_monotonic_us());
}

void port_hear_router(struct port *port, bool router)
{
	if (port->router == router)
		return;
	port->router = router;
	tell_later(port);
}

/* --- from the directory --- */

static void adopt(struct port *port, const struct mapping *mapping, bool verify)
{
	uint64_t now_us = clock_monotonic_us();

	for (size_t i = 0; i < mapping->ip_count; i++)
		(void) address_table_adopt(&port->addresses, mapping->ips[i], verify, now_us);
	local_ips_update(port);
	schedule(port);
}

static bool is_here(const struct port *port, const struct mapping *mapping)
{
	return ip_cmp(mapping->vtep, port->agent->config->vtep) == 0;
}

/*
 * A VM that comes from another NVE brings its addresses along. What the directory has of an
 * endpoint that nobody moved here is true as far as the endpoint says so when it is asked.
 */
void port_addresses_init(struct port *port)
{
	const struct agent_config *config = port->agent->config;
	const struct address_policy policy = {
		.cap = (uint8_t) config->port_addresses,
		.age_us = config->neighbour_age_s * UINT64_C(1000000),
	};

	struct mapping known;

	address_table_init(&port->addresses, policy);
	if (!vn_find(port->vn->vn, port->mac, &known))
		return;
	port->router = known.flags & MAPPING_ROUTER;
	adopt(port, &known, port->kind == PORT_LEARNED || is_here(port, &known));
}

/* What the directory has is what we registered, unless something was lost on the way. */
static void compare(struct port *port, const struct mapping *mapping)
{
	bool router = mapping->flags & MAPPING_ROUTER;

	adopt(port, mapping, true);
	if (!address_table_equals(&port->addresses, mapping->ips, mapping->ip_count) ||
	    router != port->router)
		tell_later(port);
}

void port_take_mapping(struct port *port, const struct mapping *mapping)
{
	if (is_here(port, mapping)) {
		compare(port, mapping);
		return;
	}
	/* Until the VM runs here, its present NVE is right about it. */
	if (port->state != MOBILITY_EXPECTED && port->state != MOBILITY_PLUGGED)
		return;
	address_table_retain(&port->addresses, mapping->ips, mapping->ip_count);
	adopt(port, mapping, false);
	port->router = mapping->flags & MAPPING_ROUTER;
}

void port_lose_mapping(struct port *port)
{
	if (mobility_is_local(port->state))
		tell_later(port);
}

/* --- with the machine --- */

void port_addresses_entered(struct port *port, enum mobility_state before)
{
	if (port->state == MOBILITY_COMMITTING)
		port->arrived_us = clock_monotonic_us();
	if (port->unsaid)
		tell_later(port);
	if (port->state == MOBILITY_RESIDENT)
		schedule(port);
	/* The VM has left (draft-ietf-nvo3-vmm section 4.2). */
	if (port->state == MOBILITY_FORWARDING ||
	    (mobility_is_local(before) && port->state == MOBILITY_ABSENT))
		(void) loop_timer_start(port->vn->verify, AGENT_VERIFY_DELAY_MS * 1000ull);
}

/*
 * By its bytes a self-announcement cannot be told from a diskless client's question: QEMU
 * (net/announce.c, announce_self_create()) fills in the same fields as Linux does
 * (net/ipv4/ipconfig.c, ic_rarp): both hardware addresses its own, both protocol addresses 0. But a
 * QEMU announces when a VM arrives, and a client asks when it boots.
 */
bool port_is_arriving(const struct port *port)
{
	if (port->state == MOBILITY_EXPECTED || port->state == MOBILITY_PLUGGED)
		return true;
	return port->arrived_us && clock_monotonic_us() - port->arrived_us < ARRIVAL_WINDOW_US;
}
