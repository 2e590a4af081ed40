/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_libvirt_ask.c - what libvirt answers about one domain.
 *
 * What libvirt 9.0 says of a domain during a live migration, as observed on both hosts:
 *
 * 		state, reason			virDomainGetJobStats()
 *   destination
 * 		paused, STARTING_UP		VIR_ERR_OPERATION_UNSUPPORTED: "migration statistics
 * 						are available only on the source host"
 * 		paused, PAUSED_MIGRATION	likewise, until RESUME
 * 		running, MIGRATED		type none
 * 		or paused, PAUSED_USER		UNSUPPORTED for a moment, then type none
 *   source
 * 		running				operation MIGRATION_OUT, type unbounded
 * 		paused, PAUSED_MIGRATION	likewise
 *
 * So the reason does not tell the sides apart, the job does; the reason tells when a domain that
 * stays paused has arrived, for libvirt ends the job only after its last event.
 * virDomainGetControlInfo() does not either: it says "ok" on both while memory moves. The event
 * "started, migrated" comes when the destination's QEMU is ready for memory.
 *
 * virDomainGetJobStats() is the one call here that can wait for a busy QEMU monitor (up to
 * libvirt's 30 s for a job lock), and meanwhile keeps others from that lock: `virsh domjobabort`
 * for one. It is made only where its answer matters: in a listing, and for a paused domain of which
 * QEMU has said nothing since we are connected. When a guest has stopped in order to leave, QEMU's
 * monitor is busy until all is sent.
 */
#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "nveagent/ring_search.h"
#include "nveagent/watch_libvirt_client.h"
#include "qmp/migration.h"

/* QEMU's own defaults for the announcements after a migration (migration/migration.c). */
static const struct qmp_announce announce_again = {
	.initial_ms = 50,
	.max_ms = 550,
	.rounds = 5,
	.step_ms = 100,
};

/* What libvirt says, as ours. QEMU serves a guest in S3 sleep as before: its port stays live. */
static const enum libvirt_domain_state states[] = {
	[VIR_DOMAIN_NOSTATE] = LIBVIRT_DOMAIN_PAUSED,
	[VIR_DOMAIN_RUNNING] = LIBVIRT_DOMAIN_RUNNING,
	[VIR_DOMAIN_BLOCKED] = LIBVIRT_DOMAIN_RUNNING,
	[VIR_DOMAIN_PAUSED] = LIBVIRT_DOMAIN_PAUSED,
	[VIR_DOMAIN_SHUTDOWN] = LIBVIRT_DOMAIN_PAUSED, /* the guest is down, QEMU is not */
	[VIR_DOMAIN_SHUTOFF] = LIBVIRT_DOMAIN_STOPPED,
	[VIR_DOMAIN_CRASHED] = LIBVIRT_DOMAIN_PAUSED, /* on_crash=preserve: QEMU is there */
	[VIR_DOMAIN_PMSUSPENDED] = LIBVIRT_DOMAIN_RUNNING,
};

/*
 * True when the last call failed because there is no such domain; a broken connection must not look
 * like that.
 */
bool libvirt_no_such_domain(void)
{
	return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
}

/*
 * @ret_arriving: paused for a reason that a domain has while it migrates in (and at other times).
 */
static bool ask_state(virDomainPtr domain, enum libvirt_domain_state *ret_state, bool *ret_arriving)
{
	int state, reason;

	*ret_state = LIBVIRT_DOMAIN_STOPPED;
	*ret_arriving = false;
	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return libvirt_no_such_domain();

	*ret_state = state >= 0 && (size_t) state < ARRAY_SIZE(states) ? states[state]
								       : LIBVIRT_DOMAIN_PAUSED;
	*ret_arriving = state == VIR_DOMAIN_PAUSED && (reason == VIR_DOMAIN_PAUSED_STARTING_UP ||
						       reason == VIR_DOMAIN_PAUSED_MIGRATION);
	return true;
}

/* See the head of this file. */
static void ask_job(virDomainPtr domain, bool *ret_incoming, bool *ret_outgoing)
{
	virTypedParameterPtr parameters = NULL;
	int count = 0, type = VIR_DOMAIN_JOB_NONE, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;

	*ret_incoming = *ret_outgoing = false;
	if (virDomainGetJobStats(domain, &type, &parameters, &count, 0) < 0) {
		*ret_incoming = virGetLastErrorCode() == VIR_ERR_OPERATION_UNSUPPORTED;
		return;
	}
	virTypedParamsGetInt(parameters, count, VIR_DOMAIN_JOB_OPERATION, &operation);
	virTypedParamsFree(parameters, count);
	*ret_outgoing = operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT &&
			(type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED);
}

static struct domain *ask_ports(virDomainPtr domain)
{
	_cleanup_free_ struct domain *read = calloc(1, sizeof(*read));
	_cleanup_free_ char *xml = virDomainGetXMLDesc(domain, 0);
	char message[DOMAIN_XML_MESSAGE_SIZE];

	if (!xml || !read)
		return NULL;
	if (domain_xml_parse(xml, strlen(xml), read, message) < 0) {
		log_warning("The XML of domain %s: %s", virDomainGetName(domain), message);
		return NULL;
	}
	return TAKE_PTR(read);
}

/* The state is asked for last: it changes more often than the devices. */
struct libvirt_answer libvirt_ask(virDomainPtr domain, enum libvirt_ask_job job)
{
	struct libvirt_answer answer = { .name = virDomainGetName(domain),
					 .domain = ask_ports(domain) };
	bool arriving, incoming = false;

	answer.valid = ask_state(domain, &answer.state, &arriving);
	if (answer.state != LIBVIRT_DOMAIN_STOPPED && !answer.domain)
		answer.valid = false;
	if ((answer.state == LIBVIRT_DOMAIN_PAUSED && job != LIBVIRT_ASK_JOB_NEVER) ||
	    (answer.state == LIBVIRT_DOMAIN_RUNNING && job == LIBVIRT_ASK_JOB_ALWAYS))
		ask_job(domain, &incoming, &answer.migrating_out);
	if (arriving && incoming)
		answer.state = LIBVIRT_DOMAIN_INCOMING;
	return answer;
}

void libvirt_announce(virDomainPtr domain)
{
	_cleanup_(json_unrefp) struct json_object *request = NULL;
	_cleanup_free_ char *reply = NULL;

	if (qmp_request_announce_self(&announce_again, &request) < 0)
		return;
	if (virDomainQemuMonitorCommand(domain, json_object_to_json_string(request), &reply, 0) < 0)
		log_debug("announce-self of %s: %s", virDomainGetName(domain),
			  virGetLastErrorMessage());
}

/* What QEMU returned to @request, which is taken over; NULL when it, or libvirt, refused. */
static struct json_object *ask_qemu(virDomainPtr domain, struct json_object *request)
{
	_cleanup_(json_unrefp) struct json_object *taken = request, *answer = NULL;
	_cleanup_free_ char *reply = NULL;
	struct json_object *value = NULL;

	if (virDomainQemuMonitorCommand(domain, json_object_to_json_string(taken), &reply, 0) < 0 ||
	    json_parse_object(reply, strlen(reply), &answer) < 0 ||
	    !json_object_object_get_ex(answer, "return", &value))
		return NULL;
	return json_object_get(value);
}

static int answer_one(virDomainPtr domain, struct ring_search *search,
		      struct guest_ring_place *ret_place)
{
	_cleanup_(json_unrefp) struct json_object *value = NULL;
	struct json_object *request = NULL;
	int r = ring_search_request(search, &request);

	if (r < 0)
		return r;
	value = ask_qemu(domain, request);
	return value ? ring_search_answer(search, value, ret_place) : -EIO;
}

int libvirt_find_ring(virDomainPtr domain, struct mac mac, struct guest_ring_place *ret_place)
{
	_cleanup_(ring_search_freep) struct ring_search *search = ring_search_new(mac);
	int r = search ? 0 : -ENOMEM;

	while (r == 0)
		r = answer_one(domain, search, ret_place);
	if (r < 0)
		log_debug("The receive ring of %s: %s", virDomainGetName(domain), strerror(-r));
	return r < 0 ? r : 0;
}
