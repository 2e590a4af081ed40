/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/sim/hosts.h"

#include <string.h>

enum {
	PHASE_MAX_US = 800000, /* of a migration */
	ADDRESSES = 12,	       /* that endpoints of a VNI choose from: conflicts happen */
};

static struct nve *nve_at(const struct endpoint *endpoint, int host)
{
	return host < 0 ? NULL : endpoint->sim->nves[host];
}

static void tell(struct endpoint *endpoint, int host, enum port_event event)
{
	struct nve *nve = nve_at(endpoint, host);

	if (nve)
		agent_tell(nve, event, endpoint);
}

static bool is_vm(const struct endpoint *endpoint)
{
	return !uuid_is_none(endpoint->uuid);
}

static void say(const struct endpoint *endpoint, const char *what, int host)
{
	char name[8];

	sim_trace(endpoint->sim, host < 0 ? "world" : endpoint->sim->nves[host]->name, "%s %s",
		  endpoint_name(endpoint, name), what);
}

/* --- life --- */

static void end_migration(struct endpoint *endpoint)
{
	timer_stop(&endpoint->sim->clock, &endpoint->script);
	endpoint->migration = MIGRATION_NONE;
	endpoint->sent = false;
}

void endpoint_end(struct endpoint *endpoint)
{
	if (endpoint->migration == MIGRATION_RESUMED ||
	    (endpoint->migration >= MIGRATION_PLUGGED && endpoint->migration != MIGRATION_RESUMED))
		tell(endpoint, endpoint->destination, PORT_UNPLUG);
	if (endpoint->host >= 0)
		say(endpoint, "ends", endpoint->host);
	tell(endpoint, endpoint->host, PORT_UNPLUG);
	end_migration(endpoint);
	endpoint->host = -1;
	endpoint->running = false;
}

void endpoint_speak(struct endpoint *endpoint)
{
	if (!endpoint->running)
		return;
	if (!is_vm(endpoint))
		tell(endpoint, endpoint->host, PORT_LEARN);
	tell(endpoint, endpoint->host, PORT_SPEAK);
}

void endpoint_age(struct endpoint *endpoint)
{
	for (unsigned i = 0; i < endpoint->sim->weather.nve_count && !is_vm(endpoint); i++)
		if (endpoint->host != (int) i)
			tell(endpoint, (int) i, PORT_UNPLUG);
}

void endpoint_boot(struct endpoint *endpoint, unsigned host)
{
	/* A container's old host may take long to see that it left: its bridge ages. */
	if (is_vm(endpoint) || random_chance(&endpoint->sim->random, 50))
		endpoint_end(endpoint);
	endpoint->host = (int) host;
	endpoint->running = true;
	say(endpoint, "begins here", endpoint->host);
	if (is_vm(endpoint))
		tell(endpoint, endpoint->host, PORT_RUN);
	endpoint_speak(endpoint);
}

void endpoint_readdress(struct endpoint *endpoint)
{
	struct random *random = &endpoint->sim->random;

	endpoint->ip_count = random_below(random, SIM_IPS + 1);
	for (size_t i = 0; i < endpoint->ip_count; i++) {
		bool ipv6 = i % 2;
		struct ip *ip = &endpoint->ips[i];

		*ip = (struct ip){ .family = ipv6 ? AF_INET6 : AF_INET };
		memcpy(ip->octet, ipv6 ? "\xfd\x00" : "\x0a\x00", 2);
		/* Each of its own range: an endpoint has none twice. */
		ip->octet[ipv6 ? 15 : 3] =
			(uint8_t) (1 + i * ADDRESSES + random_below(random, ADDRESSES));
	}
	say(endpoint, "has other addresses", endpoint->host);
	endpoint_speak(endpoint);
}

/* --- migrations --- */

static void await(struct endpoint *endpoint)
{
	struct sim *sim = endpoint->sim;

	timer_start(&sim->clock, &endpoint->script, random_delay(&sim->random, PHASE_MAX_US));
}

/* The two hosts learn of the end of a migration in either order. */
static void resume(struct endpoint *endpoint)
{
	bool sent_first = random_chance(&endpoint->sim->random, 50);
	int source = endpoint->host;

	if (sent_first)
		tell(endpoint, source, PORT_SENT);
	endpoint->host = endpoint->destination;
	endpoint->destination = source;
	endpoint->running = true;
	say(endpoint, "runs here now", endpoint->host);
	tell(endpoint, endpoint->host, PORT_RUN);
	endpoint_speak(endpoint);
	if (!sent_first)
		tell(endpoint, source, PORT_SENT);
}

static void on_script(void *object)
{
	struct endpoint *endpoint = object;

	switch (endpoint->migration) {
	case MIGRATION_NONE:
		return;
	case MIGRATION_EXPECTED:
		endpoint->migration = MIGRATION_PLUGGED;
		tell(endpoint, endpoint->destination, PORT_PLUG);
		break;
	case MIGRATION_PLUGGED:
		endpoint->migration = MIGRATION_ACTIVE;
		tell(endpoint, endpoint->host, PORT_LEAVE);
		break;
	case MIGRATION_ACTIVE:
		endpoint->migration = MIGRATION_STOPPED;
		endpoint->running = false;
		tell(endpoint, endpoint->host, PORT_STOP);
		break;
	case MIGRATION_STOPPED:
		endpoint->migration = MIGRATION_RESUMED;
		resume(endpoint);
		break;
	case MIGRATION_RESUMED:
		tell(endpoint, endpoint->destination, PORT_UNPLUG);
		end_migration(endpoint);
		return;
	}
	await(endpoint);
}

void endpoint_migrate(struct endpoint *endpoint, unsigned host)
{
	if (!is_vm(endpoint) || endpoint->host < 0 || endpoint->host == (int) host ||
	    endpoint->migration != MIGRATION_NONE)
		return;
	say(endpoint, "begins to migrate here", (int) host);
	endpoint->destination = (int) host;
	endpoint->migration = MIGRATION_EXPECTED;
	if (random_chance(&endpoint->sim->random, 80)) /* without libvirt there is no hook */
		tell(endpoint, endpoint->destination, PORT_EXPECT);
	await(endpoint);
}

void endpoint_cancel(struct endpoint *endpoint)
{
	bool stopped = endpoint->migration == MIGRATION_STOPPED;

	if (endpoint->migration == MIGRATION_NONE || endpoint->migration == MIGRATION_RESUMED)
		return;
	say(endpoint, "does not leave: its migration fails", endpoint->host);
	tell(endpoint, endpoint->destination, PORT_UNPLUG);
	if (stopped) {
		endpoint->running = true;
		tell(endpoint, endpoint->host, PORT_RUN);
	}
	if (endpoint->migration >= MIGRATION_ACTIVE)
		tell(endpoint, endpoint->host, PORT_STAY);
	end_migration(endpoint);
}

/* --- a host's end --- */

static void crash_on(struct endpoint *endpoint, int host)
{
	bool migrates = endpoint->migration != MIGRATION_NONE;

	if (migrates && endpoint->migration != MIGRATION_RESUMED && endpoint->destination == host)
		endpoint_cancel(endpoint);
	if (endpoint->host == host)
		endpoint_end(endpoint);
	else if (migrates && endpoint->migration == MIGRATION_RESUMED &&
		 endpoint->destination == host)
		end_migration(endpoint); /* it has left already */
}

void host_crash(struct nve *nve)
{
	for (size_t i = 0; i < nve->sim->weather.endpoint_count; i++)
		crash_on(&nve->sim->endpoints[i], (int) nve->index);
	agent_crash(nve, true);
}

void endpoint_init(struct sim *sim, unsigned index)
{
	struct endpoint *endpoint = &sim->endpoints[index];
	bool vm = index % 4 != 3;

	*endpoint = (struct endpoint){
		.sim = sim,
		.index = index,
		.vni = SIM_FIRST_VNI + index % SIM_VNIS,
		.mac = { { 0x52, 0x54, 0x00, 0x00, 0x00, (uint8_t) (index + 1) } },
		.uuid = { { vm ? (uint8_t) (index + 1) : 0 } },
		.host = -1,
		.script = { .run = on_script, .object = endpoint },
	};
}
