// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nveagent/port_flows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "nveagent/agent_private.h"
#include "nveagent/conntrack.h"

enum {
	/* The NVA passes that much of a move on (nva/directory.h); FLOWS_MAX flows fit. */
	FLOWS_MESSAGE_SIZE = NVO3_FLOWS_MAX,
};

/* --- the VM's addresses --- */

struct addresses {
	struct ip ips[2 * MAPPING_IPS_MAX]; /* seen here, and in the directory */
	bool shared[2 * MAPPING_IPS_MAX];
	size_t count;
};

static void add_addresses(struct addresses *addresses, const struct ip *ips, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t n = 0; n < addresses->count; n++)
			known |= ip_cmp(addresses->ips[n], ips[i]) == 0;
		if (!known)
			addresses->ips[addresses->count++] = ips[i];
	}
}

static void mark_shared(void *userdata, const struct mapping *mapping)
{
	struct addresses *addresses = userdata;

	for (size_t i = 0; i < mapping->ip_count; i++)
		for (size_t n = 0; n < addresses->count; n++)
			addresses->shared[n] |= ip_cmp(addresses->ips[n], mapping->ips[i]) == 0;
}

/* Says so when they would have been sent. */
static void drop_shared(struct port *port, struct addresses *addresses, bool sending)
{
	char text[IP_TEXT_SIZE];
	size_t kept = 0;

	for (size_t i = 0; i < addresses->count; i++) {
		if (!addresses->shared[i])
			addresses->ips[kept++] = addresses->ips[i];
		else if (sending)
			port_note(port, "conntrack",
				  "%s left out: another VNI of zone %d has it, too",
				  ip_text(addresses->ips[i], text), port->vn->conntrack_zone);
	}
	addresses->count = kept;
}

/* Those whose entries are this VM's beyond doubt. */
static void find_addresses(struct port *port, struct addresses *addresses, bool sending)
{
	const struct mapping own = port_mapping(port);
	const struct agent *agent = port->agent;
	struct mapping mapping;

	*addresses = (struct addresses){ 0 };
	add_addresses(addresses, own.ips, own.ip_count);
	if (vn_find(port->vn->vn, port->mac, &mapping))
		add_addresses(addresses, mapping.ips, mapping.ip_count);
	for (size_t i = 0; i < agent->vn_count; i++)
		if (agent->vns[i] != port->vn &&
		    agent->vns[i]->conntrack_zone == port->vn->conntrack_zone)
			vn_each(agent->vns[i]->vn, mark_shared, addresses);
	drop_shared(port, addresses, sending);
	if (addresses->count > MAPPING_IPS_MAX)
		addresses->count = MAPPING_IPS_MAX;
}

/* --- what is held --- */

static void hold(struct port *port, const struct flow *flow)
{
	port->flows.list[port->flows.count++] = *flow;
}

static bool make_room(struct port *port, size_t count)
{
	struct flow *list =
		reallocarray(port->flows.list, port->flows.count + count + 1, sizeof(*list));

	if (list)
		port->flows.list = list;
	return list;
}

void port_flows_keep(struct port *port)
{
	free(port->flows.list);
	port->flows = (struct port_flows){ 0 };
	conntrack_forget(port->agent->conntrack, port);
}

/* --- old NVE: reading and sending --- */

static int send_message(struct port *port, uint8_t *data, size_t size)
{
	const struct nvo3_message message = {
		.kind = NVO3_FLOWS,
		.vni = port->key.vni,
		.mac = port->mac,
		.flows = data,
		.flows_size = size,
	};

	return nva_link_send(port->agent->nva, &message);
}

/* Returns how many were sent; less than @count: *ret_error is why. */
static size_t send_all(struct port *port, const struct flow *flows, size_t count, int *ret_error)
{
	size_t sent = 0;

	*ret_error = 0;
	while (sent < count) {
		_cleanup_free_ uint8_t *data = NULL;
		size_t size;
		int n = flows_pack(flows + sent, count - sent, FLOWS_MESSAGE_SIZE, &data, &size);
		int r = n < 0 ? n : send_message(port, data, size);

		if (r < 0) {
			*ret_error = r;
			break;
		}
		sent += (size_t) n;
	}
	return sent;
}

static void note_sent(struct port *port, const struct kernel_conntrack_found *found, size_t sent,
		      int error)
{
	port_note(port, "conntrack", "%zu entries sent%s%s", sent, error < 0 ? ", then: " : "",
		  error < 0 ? strerror(-error) : "");
	if (found->over)
		port_note(port, "trouble", "conntrack: %zu entries over the cap of %d stay behind",
			  found->over, FLOWS_MAX);
	if (found->unfit)
		port_note(port, "trouble", "conntrack: %zu entries of DCCP or a helper stay behind",
			  found->unfit);
}

static void on_read(void *userdata, struct conntrack_answer *answer)
{
	struct kernel_conntrack_found *found = &answer->found;
	struct port *port = userdata;
	size_t sent;
	int error;

	if (answer->error < 0) {
		port_note(port, "trouble", "conntrack: cannot read: %s", strerror(-answer->error));
		return;
	}
	/* It stays after all, or there is nothing to say. */
	if ((port->state != MOBILITY_ARMED && !mobility_is_forwarding(port->state)) ||
	    found->count + found->over + found->unfit == 0)
		return;
	sent = send_all(port, found->flows, found->count, &error);
	note_sent(port, found, sent, error);
	free(port->flows.list);
	port->flows =
		(struct port_flows){ .list = TAKE_PTR(found->flows), .count = sent, .sent = true };
}

void port_flows_send(struct port *port)
{
	struct addresses addresses;
	int r;

	if (port->kind != PORT_VM || port->vn->conntrack_zone < 0 || !kernel_conntrack_in_use())
		return;
	find_addresses(port, &addresses, true);
	if (addresses.count == 0)
		return;
	r = conntrack_read(port->agent->conntrack, (uint16_t) port->vn->conntrack_zone,
			   addresses.ips, addresses.count, on_read, port);
	if (r < 0)
		port_note(port, "trouble", "conntrack: cannot read: %s", strerror(-r));
}

/* --- new NVE: installing --- */

static bool awaits_flows(const struct port *port, const struct nvo3_message *message)
{
	return (port->state == MOBILITY_EXPECTED || port->state == MOBILITY_PLUGGED ||
		port->state == MOBILITY_COMMITTING || port->state == MOBILITY_SETTLING) &&
	       message->generation == port->generation;
}

static void on_installed(void *userdata, struct conntrack_answer *answer)
{
	size_t made = 0, there = 0, refused = 0;
	struct port *port = userdata;
	int why = 0;

	if (answer->error < 0) {
		port_note(port, "trouble", "conntrack: cannot install: %s",
			  strerror(-answer->error));
		return;
	}
	if (!make_room(port, answer->count)) {
		port_note(port, "trouble", "conntrack: %s", strerror(ENOMEM));
		return;
	}
	for (size_t i = 0; i < answer->count; i++) {
		if (answer->results[i] == 0) {
			hold(port, &answer->flows[i]);
			made++;
		} else if (answer->results[i] == KERNEL_CONNTRACK_WAS_THERE) {
			there++;
		} else {
			refused++;
			why = answer->results[i];
		}
	}
	port_note(port, "conntrack", "%zu entries installed, %zu brought up to date%s", made, there,
		  mobility_is_local(port->state) ? ", after it ran here" : "");
	if (refused)
		port_note(port, "trouble", "conntrack: %zu entries refused: %s", refused,
			  strerror(-why));
}

/* Keeps of @flows what is the VM's; returns how many. */
static size_t sift(struct port *port, struct flow *flows, size_t count)
{
	struct addresses addresses;
	size_t kept = 0;

	find_addresses(port, &addresses, false);
	for (size_t i = 0; i < count; i++)
		if (flow_has_end(&flows[i], addresses.ips, addresses.count))
			flows[kept++] = flows[i];
	if (kept < count)
		port_note(port, "trouble", "conntrack: %zu entries are not of this VM",
			  count - kept);
	return kept;
}

/* What is wrong with a message, or NULL; then *ret_flows is the caller's. */
static const char *unpack(struct port *port, const struct nvo3_message *message,
			  struct flow **ret_flows, size_t *ret_count)
{
	const char *what = "";
	int count = flows_unpack(message->flows, message->flows_size, ret_flows, &what);

	if (count < 0)
		return count == -EBADMSG ? what : strerror(-count);
	if ((size_t) count > FLOWS_TAKEN_MAX - port->flows.taken) {
		free(*ret_flows);
		return "too many";
	}
	port->flows.taken += (size_t) count;
	*ret_count = (size_t) count;
	return NULL;
}

void port_flows_take(struct port *port, const struct nvo3_message *message)
{
	struct flow *flows = NULL;
	const char *wrong;
	size_t count = 0;
	int r;

	if (!awaits_flows(port, message) || port->vn->conntrack_zone < 0)
		return;
	wrong = unpack(port, message, &flows, &count);
	if (wrong) {
		log_warning(
			"%s, VNI %u: connection tracking entries from the old NVE are refused: %s",
			port->vm, port->key.vni, wrong);
		port_note(port, "trouble", "conntrack: entries refused: %s", wrong);
		return;
	}
	count = sift(port, flows, count);
	r = conntrack_install(port->agent->conntrack, (uint16_t) port->vn->conntrack_zone, flows,
			      count, on_installed, port);
	if (r < 0)
		port_note(port, "trouble", "conntrack: cannot install: %s", strerror(-r));
}

/* --- deleting --- */

enum whereabouts { UNKNOWN, REMOTE, LOCAL };

/* The other ends of a list of flows, sorted, and where the directory has them. */
struct ends {
	struct ip own_vtep;
	struct ip *ips; /* owned */
	uint8_t *where; /* owned; enum whereabouts */
	size_t count;
};

static void ends_clear(struct ends *ends)
{
	free(ends->ips);
	free(ends->where);
}

static int compare_ips(const void *a, const void *b)
{
	return ip_cmp(*(const struct ip *) a, *(const struct ip *) b);
}

static uint8_t *whereabouts_of(const struct ends *ends, struct ip ip)
{
	const struct ip *found = bsearch(&ip, ends->ips, ends->count, sizeof(ip), compare_ips);

	return found ? &ends->where[found - ends->ips] : NULL;
}

static void look_up(void *userdata, const struct mapping *mapping)
{
	struct ends *ends = userdata;
	bool local = ip_cmp(mapping->vtep, ends->own_vtep) == 0;

	for (size_t i = 0; i < mapping->ip_count; i++) {
		uint8_t *where = whereabouts_of(ends, mapping->ips[i]);

		if (where && *where != LOCAL)
			*where = local ? LOCAL : REMOTE;
	}
}

/* Without repetition, so that one mark holds for all. */
static void sort_ends(struct ends *ends)
{
	size_t kept = 0;

	qsort(ends->ips, ends->count, sizeof(*ends->ips), compare_ips);
	for (size_t i = 0; i < ends->count; i++)
		if (kept == 0 || ip_cmp(ends->ips[kept - 1], ends->ips[i]) != 0)
			ends->ips[kept++] = ends->ips[i];
	ends->count = kept;
}

/* Of the VM itself the directory knows that it is elsewhere. */
static int find_ends(const struct port *port, struct ends *ends)
{
	const struct port_flows *flows = &port->flows;

	ends->own_vtep = port->agent->config->vtep;
	ends->ips = calloc(flows->count + 1, FLOW_DIRECTIONS * sizeof(*ends->ips));
	ends->where = calloc(flows->count + 1, FLOW_DIRECTIONS);
	if (!ends->ips || !ends->where)
		return -ENOMEM;
	for (size_t i = 0; i < flows->count; i++)
		for (size_t way = 0; way < FLOW_DIRECTIONS; way++)
			ends->ips[ends->count++] = flows->list[i].tuples[way].src;
	sort_ends(ends);
	vn_each(port->vn->vn, look_up, ends);
	return 0;
}

/* Keeps in the list only what nobody on this host needs. */
static int spare_neighbours(struct port *port)
{
	_cleanup_(ends_clear) struct ends ends = { 0 };
	struct port_flows *flows = &port->flows;
	int r = find_ends(port, &ends);
	size_t kept = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < flows->count; i++) {
		const struct flow *flow = &flows->list[i];

		if (*whereabouts_of(&ends, flow->tuples[FLOW_ORIGINAL].src) == REMOTE &&
		    *whereabouts_of(&ends, flow->tuples[FLOW_REPLY].src) == REMOTE)
			flows->list[kept++] = *flow;
	}
	flows->count = kept;
	return 0;
}

void port_flows_delete(struct port *port)
{
	struct port_flows *flows = &port->flows;
	size_t count = flows->count;

	conntrack_undo(port->agent->conntrack, port);
	if (count > 0 && (!flows->sent || spare_neighbours(port) == 0)) {
		port_note(port, "conntrack", "%zu of %zu entries deleted here", flows->count,
			  count);
		(void) conntrack_remove(port->agent->conntrack, (uint16_t) port->vn->conntrack_zone,
					TAKE_PTR(flows->list), flows->count);
	}
	port_flows_keep(port);
}
