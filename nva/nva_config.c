// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/nva_config_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(char *reterr_message, const char *text)
{
	(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "%s", text);
	return -EINVAL;
}

/* --- values --- */

static int parse_number(const char *text, unsigned long max, unsigned long *ret_number)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end != '\0' || number < 1 || number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

static int parse_seconds(const char *value, uint32_t *ret_seconds, char *reterr_message)
{
	unsigned long seconds;

	if (parse_number(value, NVA_SECONDS_MAX, &seconds) < 0)
		return fail(reterr_message, "should be a number of seconds, 1 to 86400");
	*ret_seconds = (uint32_t) seconds;
	return 0;
}

static size_t name_span(const char *name)
{
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
}

static int parse_name(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	size_t size = strlen(value);

	if (size == 0 || size > NVO3_NAME_MAX || name_span(value) != size)
		return fail(reterr_message,
			    "should be 1 to 64 of the characters A-Z a-z 0-9 . _ -");
	memcpy(config->name, value, size + 1);
	return 0;
}

/* An address, an IPv6 one also as "[2001:db8::10]". */
static int parse_address(char *text, struct ip *ret_ip)
{
	size_t size = strlen(text);

	if (size > 2 && text[0] == '[' && text[size - 1] == ']') {
		text[size - 1] = '\0';
		text++;
	}
	return ip_from_text(text, ret_ip);
}

static int parse_listen(void *target, const char *value, char *reterr_message)
{
	static const char expected[] =
		"should be one or more local addresses, like: 127.0.0.1, ::1";
	struct nva_config *config = target;
	char list[NVA_LISTEN_MAX * IP_TEXT_SIZE], *save = NULL;

	if (strlen(value) >= sizeof(list))
		return fail(reterr_message, "should be at most 8 addresses");
	(void) snprintf(list, sizeof(list), "%s", value);
	config->listen_count = 0;
	for (char *item = strtok_r(list, ", \t", &save); item;
	     item = strtok_r(NULL, ", \t", &save)) {
		if (config->listen_count == NVA_LISTEN_MAX)
			return fail(reterr_message, "should be at most 8 addresses");
		if (parse_address(item, &config->listen[config->listen_count]) < 0)
			return fail(reterr_message, expected);
		config->listen_count++;
	}
	return config->listen_count > 0 ? 0 : fail(reterr_message, expected);
}

static int parse_port(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	unsigned long port;

	if (parse_number(value, UINT16_MAX, &port) < 0)
		return fail(reterr_message, "should be a TCP port, 1 to 65535");
	config->port = (uint16_t) port;
	return 0;
}

static int parse_lease(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	return parse_seconds(value, &config->lease_s, reterr_message);
}

static int parse_withdraw_after(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	unsigned long seconds = 0;

	if (strcmp(value, "never") == 0) {
		config->withdraw_s = NVA_WITHDRAW_NEVER;
		return 0;
	}
	if (strcmp(value, "0") != 0 && parse_number(value, NVA_WITHDRAW_MAX, &seconds) < 0)
		return fail(reterr_message,
			    "should be never, or a number of seconds, 0 to 31536000");
	config->withdraw_s = (uint32_t) seconds;
	return 0;
}
static_assert(NVA_WITHDRAW_MAX == 31536000, "as the message says");

static int parse_consent_timeout(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	return parse_seconds(value, &config->consent_timeout_s, reterr_message);
}

static int parse_socket(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	size_t size = strlen(value);

	if (value[0] != '/' || size >= sizeof(config->socket))
		return fail(reterr_message, "should be an absolute path of at most 107 bytes");
	memcpy(config->socket, value, size + 1);
	return 0;
}

static int parse_store(void *target, const char *value, char *reterr_message)
{
	static const char *const names[] = {
		[NVA_STORE_FILE] = "file",
		[NVA_STORE_ETCD] = "etcd",
		[NVA_STORE_NONE] = "none",
	};
	struct nva_config *config = target;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		config->store = (enum nva_store) i;
		return 0;
	}
	return fail(reterr_message, "should be file, etcd or none");
}

static int parse_path(const char *value, char *ret_path, char *reterr_message)
{
	size_t size = strlen(value);

	if (value[0] != '/' || size >= NVA_STORE_PATH_SIZE)
		return fail(reterr_message, "should be an absolute path of at most 199 bytes");
	memcpy(ret_path, value, size + 1);
	return 0;
}

static int parse_store_path(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	return parse_path(value, config->store_path, reterr_message);
}

static int parse_reservations(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	return parse_path(value, config->reservations, reterr_message);
}

static int parse_log_level(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	if (log_level_from_name(value, &config->log_level) < 0)
		return fail(reterr_message,
			    "should be one of: error, warning, notice, info, debug");
	return 0;
}

static int parse_insecure_plain(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return fail(reterr_message, "should be yes or no");
	config->insecure_plain = strcmp(value, "yes") == 0;
	return 0;
}

/* --- [limits] --- */

static int parse_mappings(const char *value, uint32_t *ret_mappings, char *reterr_message)
{
	unsigned long mappings;

	if (parse_number(value, DIRECTORY_MAPPINGS_MAX, &mappings) < 0)
		return fail(reterr_message, "should be a number of mappings, 1 to 268435456");
	*ret_mappings = (uint32_t) mappings;
	return 0;
}
static_assert(DIRECTORY_MAPPINGS_MAX == 268435456, "as the message says");

static int parse_vni_mappings(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	return parse_mappings(value, &config->limits.vni_mappings, reterr_message);
}

static int parse_nve_mappings(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;

	return parse_mappings(value, &config->limits.nve_mappings, reterr_message);
}

static int parse_mapping_addresses(void *target, const char *value, char *reterr_message)
{
	struct nva_config *config = target;
	unsigned long addresses;

	if (parse_number(value, MAPPING_IPS_MAX, &addresses) < 0)
		return fail(reterr_message, "should be a number of addresses, 1 to 32");
	config->limits.mapping_addresses = (uint32_t) addresses;
	return 0;
}
static_assert(MAPPING_IPS_MAX == 32, "as the message says");

static const struct config_key limit_keys[] = {
	{ "vni-mappings", parse_vni_mappings },
	{ "nve-mappings", parse_nve_mappings },
	{ "mapping-addresses", parse_mapping_addresses },
};

/* --- [nva] --- */

static const struct config_key nva_keys[] = {
	{ "name", parse_name },
	{ "listen", parse_listen },
	{ "port", parse_port },
	{ "lease", parse_lease },
	{ "withdraw-after", parse_withdraw_after },
	{ "consent-timeout", parse_consent_timeout },
	{ "reservations", parse_reservations },
	{ "socket", parse_socket },
	{ "store", parse_store },
	{ "log-level", parse_log_level },
	{ "insecure-plain", parse_insecure_plain },
};

static const struct config_key store_keys[] = {
	{ "path", parse_store_path },
};

static int open_section(void *config, const char *argument, void **ret_target, char *reterr_message)
{
	*ret_target = config;
	return 0;
}

static const struct config_section sections[] = {
	{
		.name = "nva",
		.keys = nva_keys,
		.key_count = ARRAY_SIZE(nva_keys),
		.open = open_section,
	},
	{
		.name = "store",
		.keys = store_keys,
		.key_count = ARRAY_SIZE(store_keys),
		.open = open_section,
	},
	{
		.name = "etcd",
		.keys = nva_config_etcd_keys,
		.key_count = NVA_CONFIG_ETCD_KEYS,
		.open = open_section,
	},
	{
		.name = "limits",
		.keys = limit_keys,
		.key_count = ARRAY_SIZE(limit_keys),
		.open = open_section,
	},
};

/* --- the whole --- */

/* The host's name as far as it is one an NVA may have. */
static void default_name(char *name)
{
	char host[NVO3_NAME_MAX + 1] = "";

	(void) gethostname(host, sizeof(host) - 1);
	host[name_span(host)] = '\0';
	(void) snprintf(name, NVO3_NAME_MAX + 1, "%s", host[0] ? host : "nva");
}

static int check_security(const char *path, const struct nva_config *config, char *reterr_message)
{
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < config->listen_count; i++) {
		if (ip_is_loopback(config->listen[i]) || config->insecure_plain)
			continue;
		(void) snprintf(reterr_message, CONFIG_MESSAGE_SIZE,
				"%s: listen = %s: sessions are neither encrypted nor authenticated "
				"yet; where the "
				"network is trusted, say so: insecure-plain = yes",
				path, ip_text(config->listen[i], text));
		return -EINVAL;
	}
	return 0;
}

int nva_config_read(const char *path, struct nva_config *ret_config, char *reterr_message)
{
	struct nva_config config = {
		.listen_count = 2,
		.port = NVO3_PORT,
		.lease_s = NVA_DEFAULT_LEASE_S,
		.withdraw_s = NVA_DEFAULT_WITHDRAW_S,
		.consent_timeout_s = NVA_DEFAULT_CONSENT_TIMEOUT_S,
		.socket = NVA_DEFAULT_SOCKET,
		.store_path = NVA_DEFAULT_STORE,
		.etcd = { .prefix = NVA_DEFAULT_PREFIX, .ttl_s = STORE_ETCD_TTL_S },
		.log_level = LOG_LEVEL_INFO,
	};
	int r;

	default_name(config.name);
	(void) ip_from_text("127.0.0.1", &config.listen[0]);
	(void) ip_from_text("::1", &config.listen[1]);
	r = config_read(path, sections, ARRAY_SIZE(sections), &config, reterr_message);
	if (r == 0)
		r = check_security(path, &config, reterr_message);
	if (r == 0 && config.store == NVA_STORE_ETCD)
		r = nva_config_check_etcd(path, &config, reterr_message);
	if (r == 0)
		*ret_config = config;
	return r;
}
