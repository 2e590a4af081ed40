/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/agent_config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "nveagent/kernel.h"

static int explain(char *reterr_message, const char *text)
{
	(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "%s", text);
	return -EINVAL;
}

static int parse_text(const char *value, char *target, size_t size, char *reterr_message)
{
	if (!*value || strlen(value) >= size) {
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "give 1 to %zu characters",
				size - 1);
		return -EINVAL;
	}
	memcpy(target, value, strlen(value) + 1);
	return 0;
}

static int parse_number(const char *value, unsigned min, unsigned max, unsigned *target,
			char *reterr_message)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || number < min || number > max) {
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE,
				"\"%.40s\" is not a number from %u to %u", value, min, max);
		return -EINVAL;
	}
	*target = (unsigned) number;
	return 0;
}

static int parse_bool(const char *value, bool *target, char *reterr_message)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return explain(reterr_message, "say yes or no");
	*target = strcmp(value, "yes") == 0;
	return 0;
}

/* --- [agent] --- */

static int parse_name(void *target, const char *value, char *reterr_message)
{
	struct agent_config *config = target;

	return parse_text(value, config->name, sizeof(config->name), reterr_message);
}

static int parse_vtep(void *target, const char *value, char *reterr_message)
{
	struct agent_config *config = target;

	if (ip_from_text(value, &config->vtep) < 0 || !ip_is_unicast(config->vtep))
		return explain(
			reterr_message,
			"give this host's underlay address, such as 192.0.2.1 or 2001:db8::1");
	return 0;
}

static int add_nva(struct agent_config *config, const char *text, char *reterr_message)
{
	struct nva_endpoint *endpoint = &config->nvas[config->nva_count];

	if (config->nva_count == NVA_LINK_ENDPOINTS_MAX)
		return explain(reterr_message, "there are more than 8 NVAs");
	if (endpoint_from_text(text, NVO3_PORT, &endpoint->address, &endpoint->port) < 0)
		return explain(reterr_message, "give the NVA's address, such as 192.0.2.10:7365 or "
					       "[2001:db8::10]:7365, or those of several");
	config->nva_count++;
	return 0;
}
static_assert(NVA_LINK_ENDPOINTS_MAX == 8, "as the message says");

static int parse_nva(void *target, const char *value, char *reterr_message)
{
	char list[NVA_LINK_ENDPOINTS_MAX * (ENDPOINT_TEXT_SIZE + 2)], *save = NULL;
	int r = 0;

	if (!*value || strlen(value) >= sizeof(list))
		value = "?"; /* which is no address */
	(void) snprintf(list, sizeof(list), "%s", value);
	for (char *item = strtok_r(list, ", \t", &save); r == 0 && item;
	     item = strtok_r(NULL, ", \t", &save))
		r = add_nva(target, item, reterr_message);
	return r;
}

static int parse_insecure_plain(void *target, const char *value, char *reterr_message)
{
	return parse_bool(value, &((struct agent_config *) target)->insecure_plain, reterr_message);
}

static int parse_socket(void *target, const char *value, char *reterr_message)
{
	struct agent_config *config = target;

	if (*value != '/')
		return explain(reterr_message, "give an absolute path");
	return parse_text(value, config->socket, sizeof(config->socket), reterr_message);
}

static int parse_libvirt_uri(void *target, const char *value, char *reterr_message)
{
	struct agent_config *config = target;

	return parse_text(value, config->libvirt_uri, sizeof(config->libvirt_uri), reterr_message);
}

static int parse_qemu_announce(void *target, const char *value, char *reterr_message)
{
	return parse_bool(value, &((struct agent_config *) target)->qemu_announce, reterr_message);
}

static int parse_guest_ring(void *target, const char *value, char *reterr_message)
{
	return parse_bool(value, &((struct agent_config *) target)->guest_ring, reterr_message);
}

static int parse_forward_timeout(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 1, 3600, &((struct agent_config *) target)->forward_timeout_s,
			    reterr_message);
}

static int parse_quiet_interval(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 10, 60000, &((struct agent_config *) target)->quiet_interval_ms,
			    reterr_message);
}

static int parse_late(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 0, 86400, &((struct agent_config *) target)->late_s,
			    reterr_message);
}

static int parse_icmp_unreachable(void *target, const char *value, char *reterr_message)
{
	return parse_bool(value, &((struct agent_config *) target)->icmp_unreachable,
			  reterr_message);
}

static int parse_queue_packets(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 100, KERNEL_TAP_QUEUE_MAX,
			    &((struct agent_config *) target)->queue_packets, reterr_message);
}

static int parse_neighbour_age(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 0, 86400, &((struct agent_config *) target)->neighbour_age_s,
			    reterr_message);
}

static int parse_pull_age(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 1, 86400, &((struct agent_config *) target)->pull_age_s,
			    reterr_message);
}

static int parse_port_addresses(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 1, MAPPING_IPS_MAX,
			    &((struct agent_config *) target)->port_addresses, reterr_message);
}

static int parse_port_macs(void *target, const char *value, char *reterr_message)
{
	return parse_number(value, 1, 65536, &((struct agent_config *) target)->port_macs,
			    reterr_message);
}

static int parse_log_level(void *target, const char *value, char *reterr_message)
{
	if (log_level_from_name(value, &((struct agent_config *) target)->log_level) < 0)
		return explain(reterr_message, "say error, warning, notice, info or debug");
	return 0;
}

/* clang-format off */
static const struct config_key agent_keys[] = {
	{ "name",		parse_name },
	{ "vtep",		parse_vtep },
	{ "nva",		parse_nva },
	{ "insecure-plain",	parse_insecure_plain },
	{ "socket",		parse_socket },
	{ "libvirt-uri",	parse_libvirt_uri },
	{ "qemu-announce",	parse_qemu_announce },
	{ "guest-ring",		parse_guest_ring },
	{ "forward-timeout",	parse_forward_timeout },
	{ "quiet-interval-ms",	parse_quiet_interval },
	{ "late-time",		parse_late },
	{ "icmp-unreachable",	parse_icmp_unreachable },
	{ "queue-packets",	parse_queue_packets },
	{ "neighbour-age",	parse_neighbour_age },
	{ "pull-age",		parse_pull_age },
	{ "port-addresses",	parse_port_addresses },
	{ "port-macs",		parse_port_macs },
	{ "log-level",		parse_log_level },
};
/* clang-format on */

static int open_agent(void *config, const char *argument, void **ret_target, char *reterr_message)
{
	*ret_target = config;
	return 0;
}

/* --- [vni N] --- */

/* The IPv4 dummy address (RFC 7600, IANA's special-purpose registry): of a sender that has none. */
static const struct ip dummy_ipv4 = { AF_INET, { 192, 0, 0, 8 } };

static int parse_device(const char *value, char *target, char *reterr_message)
{
	if (!*value || strlen(value) >= IFNAMSIZ || strpbrk(value, "/ \t:"))
		return explain(reterr_message,
			       "a device name has 1 to 15 characters, no slash, colon or space");
	memcpy(target, value, strlen(value) + 1);
	return 0;
}

static int parse_bridge(void *target, const char *value, char *reterr_message)
{
	return parse_device(value, ((struct vni_config *) target)->bridge, reterr_message);
}

static int parse_vxlan(void *target, const char *value, char *reterr_message)
{
	return parse_device(value, ((struct vni_config *) target)->vxlan, reterr_message);
}

static int parse_port(void *target, const char *value, char *reterr_message)
{
	unsigned port;
	int r = parse_number(value, 1, 65535, &port, reterr_message);

	if (r == 0)
		((struct vni_config *) target)->port = (uint16_t) port;
	return r;
}

static int parse_rarp_server(void *target, const char *value, char *reterr_message)
{
	struct vni_config *vni = target;

	if (ip_from_text(value, &vni->rarp_server) < 0 || vni->rarp_server.family != AF_INET ||
	    !ip_is_unicast(vni->rarp_server))
		return explain(reterr_message, "give an IPv4 address, such as 198.51.100.1");
	return 0;
}

static int parse_create(void *target, const char *value, char *reterr_message)
{
	return parse_bool(value, &((struct vni_config *) target)->create, reterr_message);
}

static int parse_conntrack_zone(void *target, const char *value, char *reterr_message)
{
	struct vni_config *config = target;
	unsigned zone;
	int r;

	if (strcmp(value, "none") == 0) {
		config->conntrack_zone = AGENT_CONNTRACK_NONE;
		return 0;
	}
	r = parse_number(value, 0, UINT16_MAX, &zone, reterr_message);
	if (r == 0)
		config->conntrack_zone = (int) zone;
	return r;
}

static int parse_suppress(void *target, const char *value, char *reterr_message)
{
	return parse_bool(value, &((struct vni_config *) target)->suppress, reterr_message);
}

static int parse_mode(void *target, const char *value, char *reterr_message)
{
	if (strcmp(value, "push") != 0 && strcmp(value, "pull") != 0)
		return explain(reterr_message, "say push or pull");
	((struct vni_config *) target)->pull = strcmp(value, "pull") == 0;
	return 0;
}

/* clang-format off */
static const struct config_key vni_keys[] = {
	{ "bridge",	parse_bridge },
	{ "vxlan",	parse_vxlan },
	{ "port",	parse_port },
	{ "create",	parse_create },
	{ "suppress",	parse_suppress },
	{ "mode",	parse_mode },
	{ "rarp-server", parse_rarp_server },
	{ "conntrack-zone", parse_conntrack_zone },
};
/* clang-format on */

static int open_vni(void *target, const char *argument, void **ret_target, char *reterr_message)
{
	struct agent_config *config = target;
	struct vni_config *vni = &config->vnis[config->vni_count];
	uint32_t number;

	if (vni_from_text(argument, &number) < 0) {
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE,
				"a VNI is a number from 1 to %d", VNI_MAX);
		return -EINVAL;
	}
	if (config->vni_count == AGENT_VNIS_MAX)
		return explain(reterr_message, "there are too many VNIs");
	for (size_t i = 0; i < config->vni_count; i++)
		if (config->vnis[i].vni == number)
			return explain(reterr_message,
				       "this VNI is there twice; join the two sections");

	*vni = (struct vni_config){
		.vni = number,
		.port = VXLAN_PORT,
		.rarp_server = dummy_ipv4,
		.create = true,
		.suppress = true,
	};
	(void) snprintf(vni->bridge, sizeof(vni->bridge), "br%u", number);
	(void) snprintf(vni->vxlan, sizeof(vni->vxlan), "vx%u", number);
	config->vni_count++;
	*ret_target = vni;
	return 0;
}

/* --- the file --- */

static void note_agent_line(void *target, const char *key, unsigned line)
{
	if (key && strcmp(key, "vtep") == 0)
		((struct agent_config *) target)->vtep_line = line;
}

static void note_vni_line(void *target, const char *key, unsigned line)
{
	if (!key)
		((struct vni_config *) target)->line = line;
}

/* clang-format off */
static const struct config_section sections[] = {
	{ "agent", false, agent_keys, ARRAY_SIZE(agent_keys), open_agent, note_agent_line },
	{ "vni",   true,  vni_keys,   ARRAY_SIZE(vni_keys),   open_vni,   note_vni_line },
};
/* clang-format on */

static void set_defaults(struct agent_config *config)
{
	*config = (struct agent_config){
		.socket = "/run/rehome/agent.sock",
		.libvirt_uri = "qemu:///system",
		.forward_timeout_s = 30,
		.quiet_interval_ms = 200,
		.late_s = 300,
		.neighbour_age_s = 300,
		.pull_age_s = 300,
		.port_addresses = MAPPING_IPS_DEFAULT,
		.port_macs = 1024,
		.queue_packets = 16384,
		.log_level = LOG_LEVEL_INFO,
	};
	if (gethostname(config->name, sizeof(config->name) - 1) < 0)
		config->name[0] = '\0';
}

static int missing(const char *path, const char *what, char *reterr_message)
{
	(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "%s: %s", path, what);
	return -EINVAL;
}

/* Misses are heard by the ear, which a VNI that does not suppress lacks. */
static int check_modes(const char *path, const struct agent_config *config, char *reterr_message)
{
	for (size_t i = 0; i < config->vni_count; i++) {
		const struct vni_config *vni = &config->vnis[i];

		if (!vni->pull || vni->suppress)
			continue;
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE,
				"%s:%u: [vni %u]: mode = pull needs suppress = yes", path,
				vni->line, vni->vni);
		return -EINVAL;
	}
	return 0;
}

int agent_config_read(const char *path, struct agent_config *ret_config, char *reterr_message)
{
	int r;

	set_defaults(ret_config);
	r = config_read(path, sections, ARRAY_SIZE(sections), ret_config, reterr_message);
	if (r < 0)
		return r;
	if (!ret_config->name[0])
		return missing(path, "section [agent] has no name, and the host has none either",
			       reterr_message);
	if (ip_is_none(ret_config->vtep))
		return missing(path,
			       "section [agent] has no vtep: give this host's underlay address",
			       reterr_message);
	if (ret_config->nva_count == 0)
		return missing(path, "section [agent] has no nva: give its address and port",
			       reterr_message);
	if (ret_config->vni_count == 0)
		return missing(path, "there is no [vni N] section", reterr_message);
	return check_modes(path, ret_config, reterr_message);
}
