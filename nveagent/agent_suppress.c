/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/agent_suppress.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "net/frames.h"
#include "nveagent/agent_private.h"
#include "nveagent/kernel_ear.h"
#include "nveagent/query.h"
#include "nveagent/suppress.h"

enum {
	FRAMES_MAX = 32, /* in a window; the rest is lost: a guest that floods must not hold us */
	WINDOW_US = 5000,
	ETHER_HEADER_SIZE = 14,
	GATEWAYS_MAX = 16, /* addresses of the bridge itself */
	HOST_MAC_US = 1000000, /* between two looks at its MAC */
};

struct suppressor {
	struct agent_vn *vn;
	struct kernel_ear *ear;
	struct loop_watch *watch;
	struct loop_timer *pause; /* until the end of a window in which enough was heard */
	uint64_t window_us;	  /* when the present one began */
	unsigned heard;		  /* in it */
	struct query_table *queries;
	struct mac host_mac; /* of the bridge, at @host_mac_us */
	uint64_t host_mac_us;
	struct suppress_counters counters;
};

/* --- answering --- */

static void say(struct suppressor *suppressor, const uint8_t *frame, size_t size)
{
	if (size)
		(void) kernel_ear_send(suppressor->ear, frame, size);
}

static bool is_router(const struct suppressor *suppressor, struct mac mac)
{
	struct mapping mapping;

	return vn_find(suppressor->vn->vn, mac, &mapping) && mapping.flags & MAPPING_ROUTER;
}

static void answer(struct suppressor *suppressor, const struct frame *question, struct mac owner)
{
	uint8_t buffer[FRAME_BUILD_SIZE];
	size_t size = suppress_build_answer(question, owner, is_router(suppressor, owner), buffer);

	suppressor->counters.answered++;
	say(suppressor, buffer, size);
}

/* --- asking --- */

static void ask(struct suppressor *suppressor, const struct query_key *key, struct mac asker,
		const struct frame *question)
{
	struct nva_link *nva = suppressor->vn->agent->nva;
	struct nvo3_message query = {
		.kind = NVO3_QUERY,
		.vni = suppressor->vn->devices.vni,
		.mac = key->mac,
		.ip = key->ip,
	};

	if (!nva_link_is_up(nva))
		return;
	query.id = nva_link_next_id(nva);
	switch (query_ask(suppressor->queries, clock_monotonic_us(), key, asker, question,
			  query.id)) {
	case QUERY_SEND:
		suppressor->counters.asked++;
		(void) nva_link_send(nva, &query);
		break;
	case QUERY_LIMITED:
		suppressor->counters.limited++;
		break;
	case QUERY_JOINED:
	case QUERY_NO:
		break;
	}
}

/* The bridge floods the frame to where it belongs all the same; the next one need not be. */
static void unknown_unicast(struct suppressor *suppressor, struct mac to, struct mac from)
{
	struct query_key key = { .mac = to };
	struct mapping known;

	if (!mac_is_zero(to) && !vn_find(suppressor->vn->vn, to, &known))
		ask(suppressor, &key, from, NULL);
}

static void heard_question(struct suppressor *suppressor, const struct frame *question)
{
	struct query_key key = { .ip = question->target_ip };
	struct mac owner = { { 0 } };
	unsigned owners = vn_resolve(suppressor->vn->vn, question->target_ip, &owner);

	switch (suppress_judge(question, owners, owner, false)) {
	case SUPPRESS_ANSWER:
		answer(suppressor, question, owner);
		break;
	case SUPPRESS_ASK:
		ask(suppressor, &key, question->source, question);
		break;
	case SUPPRESS_LEAVE:
		break;
	}
}

/* The host itself, by its bridge, whose MAC may change as ports come and go. */
static bool is_host(struct suppressor *suppressor, struct mac mac)
{
	uint64_t now_us = clock_monotonic_us();
	struct ip unused[GATEWAYS_MAX];

	if (now_us - suppressor->host_mac_us >= HOST_MAC_US) {
		suppressor->host_mac_us = now_us;
		(void) kernel_addresses(suppressor->vn->agent->kernel,
					suppressor->vn->devices.bridge_ifindex, unused,
					GATEWAYS_MAX, &suppressor->host_mac);
	}
	return mac_cmp(mac, suppressor->host_mac) == 0;
}

/* An NVE that pulls does not know everybody: then only who is known to be here is. */
static bool comes_from_elsewhere(struct suppressor *suppressor, struct mac mac)
{
	const struct agent_vn *vn = suppressor->vn;

	if (!vn->puller)
		return vn_is_remote(vn->vn, mac);
	return !vn_is_here(vn->vn, mac) && !is_host(suppressor, mac);
}

/* What comes from another NVE is for the VMs here; its own NVE asks. */
static void heard(struct suppressor *suppressor, const uint8_t *data, size_t size)
{
	struct mac to, from;
	struct frame frame;

	suppressor->counters.heard++;
	if (size < ETHER_HEADER_SIZE || mac_from_bytes(data, MAC_SIZE, &to) < 0 ||
	    mac_from_bytes(data + MAC_SIZE, MAC_SIZE, &from) < 0 ||
	    comes_from_elsewhere(suppressor, from))
		return;
	if (!mac_is_group(to))
		unknown_unicast(suppressor, to, from);
	else if (frame_parse(data, size, true, &frame) == 0)
		heard_question(suppressor, &frame);
}

static void on_readable(void *userdata, unsigned ready)
{
	struct suppressor *suppressor = userdata;
	uint8_t data[KERNEL_EAR_FRAME_MAX];
	uint64_t now_us = clock_monotonic_us();

	if (now_us - suppressor->window_us >= WINDOW_US) {
		suppressor->window_us = now_us;
		suppressor->heard = 0;
	}
	for (; suppressor->heard < FRAMES_MAX; suppressor->heard++) {
		ssize_t n = kernel_ear_read(suppressor->ear, data, sizeof(data));

		if (n <= 0)
			return;
		heard(suppressor, data, (size_t) n);
	}
	(void) loop_watch_set(suppressor->watch, 0);
	(void) loop_timer_start(suppressor->pause, suppressor->window_us + WINDOW_US - now_us);
}

static void on_pause_over(void *userdata)
{
	struct suppressor *suppressor = userdata;

	(void) loop_watch_set(suppressor->watch, LOOP_READ);
}

bool agent_suppress_answer(struct suppressor *suppressor, const struct nvo3_message *message)
{
	struct frame questions[QUERY_WAITERS_MAX];
	bool found = message->mapping_count > 0;
	struct query_key key;
	int count;

	if (!suppressor)
		return false;
	count = query_answer(suppressor->queries, clock_monotonic_us(), message->id, found, &key,
			     questions);
	if (count < 0)
		return false;
	suppressor->counters.unknown += !found;
	if (found)
		agent_directory_learn(suppressor->vn, &message->mappings[0]);
	for (int i = 0; found && i < count; i++) {
		struct mac owner = { { 0 } };
		unsigned owners = vn_resolve(suppressor->vn->vn, questions[i].target_ip, &owner);

		if (suppress_judge(&questions[i], owners, owner, true) == SUPPRESS_ANSWER)
			answer(suppressor, &questions[i], owner);
	}
	return true;
}

void agent_suppress_forget(struct suppressor *suppressor)
{
	if (suppressor)
		query_forget(suppressor->queries);
}

/* --- telling --- */

/* Of a MAC that is here, the guests here have heard themselves. */
void agent_suppress_tell(struct suppressor *suppressor)
{
	struct vn_news news[VN_NEWS_MAX];
	uint8_t buffer[FRAME_BUILD_SIZE];
	size_t count;

	if (!suppressor)
		return;
	count = vn_take_news(suppressor->vn->vn, news);
	for (size_t i = 0; i < count; i++) {
		if (!vn_is_remote(suppressor->vn->vn, news[i].mac))
			continue;
		say(suppressor, buffer,
		    suppress_build_news(news[i].mac, news[i].ip, is_router(suppressor, news[i].mac),
					buffer));
		suppressor->counters.told++;
	}
}

static const struct ip *first_of_family(const struct ip *ips, size_t count, uint8_t family)
{
	for (size_t i = 0; i < count; i++)
		if (ips[i].family == family)
			return &ips[i];
	return NULL;
}

void agent_suppress_greet(struct suppressor *suppressor, const struct port *port)
{
	struct ip gateways[GATEWAYS_MAX], ips[MAPPING_IPS_MAX];
	uint8_t buffer[FRAME_BUILD_SIZE];
	size_t ip_count;
	struct mac mac;
	int count;

	if (!suppressor)
		return;
	ip_count = address_table_copy(&port->addresses, ips);
	count = kernel_addresses(suppressor->vn->agent->kernel,
				 suppressor->vn->devices.bridge_ifindex, gateways, GATEWAYS_MAX,
				 &mac);
	for (int i = 0; i < count; i++) {
		const struct ip *guest = first_of_family(ips, ip_count, gateways[i].family);

		if (guest)
			say(suppressor, buffer,
			    suppress_build_greeting(mac, gateways[i], port->mac, *guest, buffer));
	}
}

/* --- the ear --- */

int agent_suppress_new(struct agent_vn *vn, struct suppressor **ret_suppressor)
{
	struct suppressor *suppressor = calloc(1, sizeof(*suppressor));
	int r = -ENOMEM;

	if (!suppressor)
		return r;
	suppressor->vn = vn;
	suppressor->queries = query_table_new();
	suppressor->pause = loop_timer_new(vn->agent->loop, on_pause_over, suppressor);
	if (suppressor->queries && suppressor->pause)
		r = kernel_ear_new(vn->agent->kernel, &vn->devices, &suppressor->ear);
	if (r == 0) {
		suppressor->watch = loop_watch_new(vn->agent->loop, "ear",
						   kernel_ear_fd(suppressor->ear), LOOP_READ,
						   on_readable, suppressor);
		r = suppressor->watch ? 0 : -ENOMEM;
	}
	if (r < 0) {
		(void) agent_suppress_free(suppressor);
		return r;
	}
	*ret_suppressor = suppressor;
	return 0;
}

struct suppressor *agent_suppress_free(struct suppressor *suppressor)
{
	if (!suppressor)
		return NULL;
	suppressor->watch = loop_watch_free(suppressor->watch);
	suppressor->pause = loop_timer_free(suppressor->pause);
	suppressor->queries = query_table_free(suppressor->queries);
	suppressor->ear = kernel_ear_free(suppressor->ear);
	free(suppressor);
	return NULL;
}

uint32_t agent_suppress_ifindex(const struct suppressor *suppressor)
{
	return suppressor ? kernel_ear_ifindex(suppressor->ear) : 0;
}

struct suppress_counters agent_suppress_read(const struct suppressor *suppressor)
{
	return suppressor ? suppressor->counters : (struct suppress_counters){ 0 };
}
