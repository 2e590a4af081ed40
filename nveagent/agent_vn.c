/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_private.h"

static void on_reconcile(void *userdata)
{
	struct agent_vn *vn = userdata;
	unsigned parts = vn->retry;

	vn->retry = 0;
	agent_vn_resync(vn, parts | RESYNC_TABLES);
}

static size_t flush_slice(struct agent_vn *vn);

/* Further slices, at a pace that the kernel can keep. */
static void on_more(void *userdata)
{
	struct agent_vn *vn = userdata;
	uint64_t began_us = clock_monotonic_us(), rest_us;
	size_t count = flush_slice(vn);

	rest_us = pace_worked(&vn->agent->pace, clock_monotonic_us() - began_us, count);
	if (rest_us && !vn->agent->releasing) /* held packets do not rest */
		loop_rest(vn->agent->loop, rest_us);
}

static int make_devices(struct agent *agent, const struct vni_config *config,
			struct vni_devices *devices, char *reterr_message)
{
	*devices = (struct vni_devices){
		.vni = config->vni,
		.vtep = agent->config->vtep,
		.port = config->port,
		.create = config->create,
		.suppress = config->suppress,
	};
	memcpy(devices->bridge, config->bridge, sizeof(devices->bridge));
	memcpy(devices->vxlan, config->vxlan, sizeof(devices->vxlan));
	return kernel_vni_ensure(agent->kernel, devices, reterr_message);
}

static void sweep(struct agent_vn *vn)
{
	int r = kernel_sweep(vn->agent->kernel, &vn->devices);

	if (r > 0)
		log_notice("VNI %u: removed %d things an earlier life of this agent left behind",
			   vn->devices.vni, r);
	else if (r < 0)
		log_warning("VNI %u: cannot sweep up after an earlier life: %s", vn->devices.vni,
			    strerror(-r));
}

static bool is_foreign(const struct agent_vn *vn, const struct fdb_entry *entry)
{
	return entry->layer == FDB_LAYER_VXLAN && entry->ifindex == vn->devices.vxlan_ifindex &&
	       mac_is_zero(entry->mac) && !entry->ours && !ip_is_none(entry->vtep);
}

/* Notes who is flooded to without our doing: nobody tells these VTEPs of a move. */
static int note_foreign(struct agent_vn *vn, const struct fdb_table *actual)
{
	const struct fdb_entry *entries = fdb_table_entries(actual);
	size_t total = fdb_table_count(actual), count = 0;
	struct ip *foreign;

	for (size_t i = 0; i < total; i++)
		count += is_foreign(vn, &entries[i]);
	foreign = calloc(count + 1, sizeof(*foreign));
	if (!foreign)
		return -ENOMEM;
	free(vn->foreign);
	vn->foreign = foreign;
	vn->foreign_count = 0;
	for (size_t i = 0; i < total; i++)
		if (is_foreign(vn, &entries[i]))
			foreign[vn->foreign_count++] = entries[i].vtep;
	return 0;
}

void agent_vn_note_foreign(struct agent_vn *vn, struct ip vtep, bool gone)
{
	size_t at = 0;
	struct ip *foreign;

	while (at < vn->foreign_count && ip_cmp(vn->foreign[at], vtep) != 0)
		at++;
	if (gone && at < vn->foreign_count)
		vn->foreign[at] = vn->foreign[--vn->foreign_count];
	if (gone || at < vn->foreign_count || at == AGENT_FOREIGN_MAX)
		return;
	foreign = reallocarray(vn->foreign, vn->foreign_count + 1, sizeof(*foreign));
	if (!foreign)
		return;
	foreign[vn->foreign_count++] = vtep;
	vn->foreign = foreign;
}

/* Takes over what an earlier life of this agent left in the tables. */
static int take_over(struct agent_vn *vn)
{
	_cleanup_(fdb_table_freep) struct fdb_table *actual = fdb_table_new();
	int r = actual ? kernel_fdb_dump(vn->agent->kernel, &vn->devices, actual) : -ENOMEM;
	const struct fdb_entry *entries;

	if (r == 0)
		r = note_foreign(vn, actual);
	if (r < 0)
		return r;
	entries = fdb_table_entries(actual);
	for (size_t i = 0; i < fdb_table_count(actual) && r == 0; i++)
		r = vn_note(vn->vn, &entries[i]);
	vn_noted(vn->vn);
	return r;
}

/* Without it the kernel still answers for what it knows. */
static void give_ear(struct agent_vn *vn)
{
	int r = vn->devices.suppress ? agent_suppress_new(vn, &vn->suppressor) : 0;

	if (r < 0)
		log_warning("VNI %u: cannot hear what guests on %s ask (%s): what the directory "
			    "does not "
			    "tell by itself is flooded, and duplicate addresses go unnoticed",
			    vn->devices.vni, vn->devices.bridge, strerror(-r));
}

/* Where frames for an endpoint that left this NVE should go. */
static enum late_verdict judge_late(void *userdata, struct mac mac)
{
	struct agent_vn *vn = userdata;
	struct mapping mapping;

	if (!vn_find(vn->vn, mac, &mapping))
		return vn->agent->config->icmp_unreachable ? LATE_ANSWER : LATE_DROP;
	return ip_cmp(mapping.vtep, vn->agent->config->vtep) != 0 ? LATE_FORWARD : LATE_DROP;
}

static int begin(struct agent_vn *vn, const struct vni_config *config, char *reterr_message)
{
	struct vn_devices devices;
	int r = make_devices(vn->agent, config, &vn->devices, reterr_message);

	if (r < 0)
		return r;
	if (config->suppress && !vn->devices.suppress)
		log_notice("VNI %u: this kernel has no IPv6: ARP is flooded, not answered here",
			   config->vni);
	devices.vxlan = vn->devices.vxlan_ifindex;
	devices.neighbours = vn->devices.suppress ? vn->devices.bridge_ifindex : 0;
	r = vn_new(config->vni, vn->agent->config->vtep, devices, &vn->vn);
	if (r < 0)
		return r;
	vn->late = late_new(vn->agent->loop, vn->devices.vxlan_ifindex, judge_late, vn);
	if (!vn->late)
		return -ENOMEM;
	sweep(vn);
	give_ear(vn);
	r = config->pull ? agent_pull_new(vn, vn->agent->config->pull_age_s, &vn->puller) : 0;
	if (r == 0)
		r = take_over(vn);
	if (r == 0)
		port_adopt_all(vn);
	return r;
}

int agent_vn_new(struct agent *agent, const struct vni_config *config, char *reterr_message,
		 struct agent_vn **ret_vn)
{
	struct agent_vn *vn = calloc(1, sizeof(*vn));
	int r = -ENOMEM;

	(void) snprintf(reterr_message, KERNEL_MESSAGE_SIZE, "out of memory");
	if (!vn)
		return r;
	vn->agent = agent;
	vn->rarp_server = config->rarp_server;
	vn->conntrack_zone = config->conntrack_zone;
	vn->reconcile = loop_timer_new(agent->loop, on_reconcile, vn);
	vn->resync.timer = loop_timer_new(agent->loop, agent_vn_resync_step, vn);
	vn->resubscribe = loop_timer_new(agent->loop, agent_directory_resubscribe, vn);
	vn->more = loop_timer_new(agent->loop, on_more, vn);
	vn->verify = loop_timer_new(agent->loop, agent_neighbour_verify, vn);
	vn->rarp_queries = query_table_new();
	if (vn->reconcile && vn->resync.timer && vn->resubscribe && vn->more && vn->verify &&
	    vn->rarp_queries)
		r = begin(vn, config, reterr_message);
	if (r < 0) {
		(void) agent_vn_free(vn);
		return r;
	}
	*ret_vn = vn;
	return 0;
}

struct agent_vn *agent_vn_free(struct agent_vn *vn)
{
	if (!vn)
		return NULL;
	vn->reconcile = loop_timer_free(vn->reconcile);
	vn->resync.timer = loop_timer_free(vn->resync.timer);
	vn->resubscribe = loop_timer_free(vn->resubscribe);
	vn->more = loop_timer_free(vn->more);
	vn->puller = agent_pull_free(vn->puller);
	vn->suppressor = agent_suppress_free(vn->suppressor);
	vn->late = late_free(vn->late);
	vn->verify = loop_timer_free(vn->verify);
	free(vn->foreign);
	vn->rarp_queries = query_table_free(vn->rarp_queries);
	vn->vn = vn_free(vn->vn);
	free(vn);
	return NULL;
}

struct agent_vn *agent_vn_find(struct agent *agent, uint32_t vni)
{
	for (size_t i = 0; i < agent->vn_count; i++)
		if (agent->vns[i]->devices.vni == vni)
			return agent->vns[i];
	return NULL;
}

struct agent_vn *agent_vn_by_bridge(struct agent *agent, const char *bridge)
{
	for (size_t i = 0; i < agent->vn_count; i++)
		if (strcmp(agent->vns[i]->devices.bridge, bridge) == 0)
			return agent->vns[i];
	return NULL;
}

void agent_vn_try_again(struct agent_vn *vn, unsigned parts, const char *what, int error)
{
	vn->behind = true;
	vn->retry |= parts;
	vn->agent->counters.kernel_errors++;
	log_warning("VNI %u: cannot look at, or change, %s: %s; trying again", vn->devices.vni,
		    what, strerror(-error));
	(void) loop_timer_start(vn->reconcile, AGENT_RECONCILE_RETRY_MS * 1000ull);
}

static void apply(struct agent_vn *vn, const struct fdb_change *changes, size_t count)
{
	int r = count ? kernel_fdb_apply(vn->agent->kernel, &vn->devices, changes, count, NULL) : 0;

	if (r < 0)
		agent_vn_try_again(vn, RESYNC_TABLES, "the forwarding tables", r);
}

void agent_vn_settle(struct agent_vn *vn, struct mac mac)
{
	struct fdb_change changes[VN_COLLECT_MIN];

	apply(vn, changes, vn_collect_mac(vn->vn, mac, changes));
}

/* Returns how many changes it made. */
static size_t flush_slice(struct agent_vn *vn)
{
	struct fdb_change changes[AGENT_SLICE];
	size_t count = vn_collect(vn->vn, changes, ARRAY_SIZE(changes));

	apply(vn, changes, count);
	agent_suppress_tell(vn->suppressor);
	if (vn_has_changes(vn->vn))
		(void) loop_timer_start(vn->more, 0);
	else
		agent_directory_confirm(vn->agent);
	return count;
}

/*
 * A large update goes in by slices, a slice each time the loop comes round: a VM's switch never
 * waits for more than one.
 */
void agent_vn_flush(struct agent_vn *vn)
{
	(void) flush_slice(vn);
}

void agent_vn_flush_soon(struct agent_vn *vn)
{
	if (!loop_timer_is_running(vn->more))
		(void) loop_timer_start(vn->more, 0);
}

void agent_vn_release(struct agent_vn *vn)
{
	if (!agent_vn_may_delete(vn))
		return;
	vn_drop_unclaimed(vn->vn);
	agent_vn_flush(vn);
}
