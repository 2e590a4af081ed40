// SPDX-License-Identifier: LGPL-2.1-or-later
/* nva_config_etcd.c - section [etcd] of the NVA's configuration. */
#include "nva/nva_config_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(char *reterr_message, const char *text)
{
	(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "%s", text);
	return -EINVAL;
}

static int parse_endpoint(struct etcd_client_config *config, const char *item, char *reterr_message)
{
	size_t size = strlen(item);

	if (config->endpoint_count == ETCD_ENDPOINTS_MAX)
		return fail(reterr_message, "should be at most 8 endpoints");
	if ((strncmp(item, "http://", 7) != 0 && strncmp(item, "https://", 8) != 0) ||
	    size >= ETCD_URL_SIZE || item[size - 1] == '/')
		return fail(reterr_message, "should be one or more, like: https://192.0.2.10:2379, "
					    "https://[2001:db8::10]:2379");
	memcpy(config->endpoints[config->endpoint_count++], item, size + 1);
	return 0;
}
static_assert(ETCD_ENDPOINTS_MAX == 8, "as the message says");

static int parse_endpoints(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	char list[ETCD_ENDPOINTS_MAX * ETCD_URL_SIZE], *save = NULL;
	int r = 0;

	if (strlen(value) >= sizeof(list))
		return fail(reterr_message, "is too long");
	(void) snprintf(list, sizeof(list), "%s", value);
	for (char *item = strtok_r(list, ", \t", &save); r == 0 && item;
	     item = strtok_r(NULL, ", \t", &save))
		r = parse_endpoint(&config->etcd.client, item, reterr_message);
	return r;
}

static int parse_prefix(void *target, const char *value, char *reterr_message)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
	struct nva_config *config = target;
	size_t size = strlen(value);

	if (size < 2 || size >= sizeof(config->etcd.prefix) || value[0] != '/' ||
	    value[size - 1] == '/')
		return fail(reterr_message, "should be like: /rehome");
	if (strspn(value, allowed) != size)
		return fail(reterr_message, "should have the characters A-Z a-z 0-9 . _ - / only");
	memcpy(config->etcd.prefix, value, size + 1);
	return 0;
}

static int parse_advertised(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	if (endpoint_from_text(value, NVO3_PORT, &config->etcd.ip, &config->etcd.port) < 0 ||
	    !(ip_is_unicast(config->etcd.ip) || ip_is_loopback(config->etcd.ip)))
		return fail(reterr_message,
			    "should be the address that agents call, like: 192.0.2.10:7365");
	return 0;
}

static int parse_ttl(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	char *end;
	unsigned long ttl;

	ttl = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || ttl < NVA_TTL_MIN_S || ttl > NVA_TTL_MAX_S)
		return fail(reterr_message, "should be a number of seconds, 2 to 60");
	config->etcd.ttl_s = (unsigned) ttl;
	return 0;
}
static_assert(NVA_TTL_MIN_S == 2 && NVA_TTL_MAX_S == 60, "as the message says");

static int parse_file(char target[ETCD_PATH_SIZE], const char *value, char *reterr_message)
{
	size_t size = strlen(value);

	if (value[0] != '/' || size >= ETCD_PATH_SIZE)
		return fail(reterr_message, "should be an absolute path of at most 199 bytes");
	if (access(value, R_OK) < 0)
		return fail(reterr_message, "names a file that cannot be read");
	memcpy(target, value, size + 1);
	return 0;
}

static int parse_ca(void *target, const char *value, char *reterr_message)
{
	return parse_file(((struct nva_config *) target)->etcd.client.ca, value, reterr_message);
}

static int parse_cert(void *target, const char *value, char *reterr_message)
{
	return parse_file(((struct nva_config *) target)->etcd.client.cert, value, reterr_message);
}

static int parse_key(void *target, const char *value, char *reterr_message)
{
	return parse_file(((struct nva_config *) target)->etcd.client.key, value, reterr_message);
}

const struct config_key nva_config_etcd_keys[NVA_CONFIG_ETCD_KEYS] = {
	{ "endpoints", parse_endpoints },
	{ "prefix", parse_prefix },
	{ "address", parse_advertised },
	{ "leader-ttl", parse_ttl },
	{ "ca", parse_ca },
	{ "cert", parse_cert },
	{ "key", parse_key },
};

/* --- the whole --- */

/* Of "http://[::1]:2379" and the like. */
static bool is_here(const char *endpoint)
{
	char host[ETCD_URL_SIZE];
	uint16_t port;
	struct ip ip;

	(void) snprintf(host, sizeof(host), "%s", endpoint + strlen("http://"));
	return strncmp(host, "localhost:", 10) == 0 ||
	       (endpoint_from_text(host, 1, &ip, &port) == 0 && ip_is_loopback(ip));
}

static int complain(const char *path, const char *text, char *reterr_message)
{
	(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "%s: %s", path, text);
	return -EINVAL;
}

int nva_config_check_etcd(const char *path, struct nva_config *config, char *reterr_message)
{
	static const uint8_t none[sizeof(config->etcd.ip.octet)];
	struct etcd_client_config *client = &config->etcd.client;

	if (client->endpoint_count == 0)
		return complain(path, "store = etcd, but section [etcd] has no endpoints",
				reterr_message);
	if (!client->cert[0] != !client->key[0])
		return complain(path, "section [etcd]: cert and key go together", reterr_message);
	for (size_t i = 0; i < client->endpoint_count; i++)
		if (strncmp(client->endpoints[i], "http://", 7) == 0 &&
		    !is_here(client->endpoints[i]) && !config->insecure_plain)
			return complain(path,
					"section [etcd]: an endpoint on another host is called "
					"without TLS; where "
					"the network is trusted, say so: insecure-plain = yes",
					reterr_message);
	if (ip_is_none(config->etcd.ip))
		config->etcd.ip = config->listen[0];
	if (config->etcd.port == 0)
		config->etcd.port = config->port;
	if (memcmp(config->etcd.ip.octet, none, sizeof(none)) == 0)
		return complain(path,
				"section [etcd] has no address: say where agents find this NVA, "
				"which listens "
				"at every address",
				reterr_message);
	return 0;
}
