/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_resync.c - looking at a VN's kernel objects again, after notifications were lost or the
 * kernel refused something.
 *
 * In pieces, one each time the loop comes round, so that a VM's switch waits for one of them at
 * most: the bridge's ports; what the bridge has learned on each port, a port at a time; what we
 * told the kernel, by vn.h's audit. What comes out of the audit goes into the kernel as all changes
 * do. Asked for again meanwhile, it begins anew when it has ended.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "nveagent/agent_private.h"

enum { AUDIT_PIECE = KERNEL_LOOKUPS_MAX / 2 }; /* lookups at once: some 100 us */

/* Before the directory and libvirt have spoken, an entry that looks stale may be a running VM's. */
bool agent_vn_may_delete(const struct agent_vn *vn)
{
	const struct agent *agent = vn->agent;

	return vn_is_synced(vn->vn) && (!agent->libvirt || agent->libvirt_synced);
}

/* --- the bridge's ports --- */

struct presence {
	struct agent_vn *vn;
	uint32_t here[AGENT_BRIDGE_PORTS_MAX];
	size_t count;
};

static void on_present(void *userdata, const struct kernel_port *link, bool gone)
{
	struct presence *presence = userdata;

	if (presence->count < ARRAY_SIZE(presence->here))
		presence->here[presence->count++] = link->ifindex;
	agent_kernel_events.link(presence->vn->agent, link, gone);
}

static bool is_present(const struct presence *presence, uint32_t ifindex)
{
	for (size_t i = 0; i < presence->count; i++)
		if (presence->here[i] == ifindex)
			return true;
	return false;
}

static int look_at_ports(struct agent_vn *vn)
{
	static const struct kernel_watch_events events = { .link = on_present };
	_cleanup_free_ struct presence *presence = calloc(1, sizeof(*presence));
	int r;

	if (!presence)
		return -ENOMEM;
	presence->vn = vn;
	r = kernel_watch_replay_bridge(vn->agent->kernel, vn->devices.bridge_ifindex, &events,
				       presence);
	if (r < 0)
		return r;
	for (size_t i = vn->port_count; i-- > 0;)
		if (!is_present(presence, vn->ports[i]))
			agent_local_port_left(vn, i);
	return 0;
}

/* --- a piece of each part; 1: there is more of it, 0: it is done --- */

static int piece_of_ports(struct agent_vn *vn)
{
	return look_at_ports(vn);
}

static int piece_of_learned(struct agent_vn *vn)
{
	struct agent *agent = vn->agent;
	int r;

	if (vn->resync.port >= vn->port_count)
		return 0;
	r = kernel_watch_replay_port(agent->kernel, vn->ports[vn->resync.port++],
				     &agent_kernel_events, agent);
	return r < 0 ? r : 1;
}

static int piece_of_tables(struct agent_vn *vn)
{
	struct fdb_entry asked[AUDIT_PIECE];
	struct kernel_lookup lookups[AUDIT_PIECE];
	size_t count;
	int r;

	if (!vn_audit_next(vn->vn, asked, AUDIT_PIECE, &count))
		return 0;
	for (size_t i = 0; i < count; i++)
		lookups[i].asked = asked[i];
	r = kernel_look(vn->agent->kernel, &vn->devices, lookups, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		vn_audit_take(vn->vn, &asked[i], lookups[i].found ? &lookups[i].actual : NULL);
	if (vn_has_changes(vn->vn))
		agent_vn_flush_soon(vn);
	return 1;
}

static void tell_of_theirs(const struct agent_vn *vn)
{
	struct mac first = { { 0 } };
	char text[MAC_TEXT_SIZE];
	size_t count = vn_theirs(vn->vn, &first);

	if (count)
		log_warning("VNI %u: %zu MACs that somebody made static stand against the "
			    "directory and are left "
			    "alone, %s for one: see bridge fdb show br %s",
			    vn->devices.vni, count, mac_text(first, text), vn->devices.bridge);
}

static void end_of_tables(struct agent_vn *vn)
{
	tell_of_theirs(vn);
	vn->behind =
		loop_timer_is_running(vn->reconcile); /* the kernel refused something meanwhile */
	agent_vn_flush(vn);
}

static void begin_learned(struct agent_vn *vn)
{
	vn->resync.port = 0;
}

static void begin_tables(struct agent_vn *vn)
{
	vn->agent->counters.reconciles++;
	vn_audit_begin(vn->vn);
}

/* In this order: what was learned elsewhere is known before entries are found to be gone. */
static const struct part {
	unsigned bit;
	const char *name;
	void (*begin)(struct agent_vn *vn); /* may be NULL, and so may @end */
	int (*piece)(struct agent_vn *vn);
	void (*end)(struct agent_vn *vn);
} parts[] = {
	{ RESYNC_PORTS, "the bridge's ports", NULL, piece_of_ports, NULL },
	{ RESYNC_LEARNED, "what the bridge has learned", begin_learned, piece_of_learned, NULL },
	{ RESYNC_TABLES, "the forwarding tables", begin_tables, piece_of_tables, end_of_tables },
};

static const struct part *next_part(const struct agent_vn *vn)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (vn->resync.todo & parts[i].bit)
			return &parts[i];
	return NULL;
}

static void begin_next(struct agent_vn *vn)
{
	const struct part *part;

	if (!vn->resync.todo) {
		vn->resync.todo = vn->resync.again;
		vn->resync.again = 0;
	}
	part = next_part(vn);
	if (part && part->begin)
		part->begin(vn);
	if (part)
		(void) loop_timer_start(vn->resync.timer, 0);
}

void agent_vn_resync_step(void *userdata)
{
	struct agent_vn *vn = userdata;
	const struct part *part = next_part(vn);
	int r = part->piece(vn);

	if (r > 0) {
		(void) loop_timer_start(vn->resync.timer, 0);
		return;
	}
	vn->resync.todo &= ~part->bit;
	if (r < 0)
		agent_vn_try_again(vn, part->bit, part->name, r);
	else if (part->end)
		part->end(vn);
	begin_next(vn);
}

void agent_vn_resync(struct agent_vn *vn, unsigned wanted)
{
	if (wanted & RESYNC_TABLES && !agent_vn_may_delete(vn)) {
		wanted &= ~(unsigned) RESYNC_TABLES;
		if (vn->behind)
			(void) loop_timer_start(vn->reconcile, AGENT_RECONCILE_RETRY_MS * 1000ull);
	}
	vn->resync.again |= wanted;
	if (!vn->resync.todo)
		begin_next(vn);
}

int agent_vn_listen(struct agent_vn *vn)
{
	int r = look_at_ports(vn);

	for (begin_learned(vn); r >= 0; r = piece_of_learned(vn))
		if (vn->resync.port >= vn->port_count)
			return 0;
	return r;
}
