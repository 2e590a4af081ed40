/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nva_config.h - the NVA's configuration file: sections [nva], [store], [etcd] and [limits]. */
#ifndef REHOME_NVA_NVA_CONFIG_H
#define REHOME_NVA_NVA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "common/config.h"
#include "common/log.h"
#include "net/addr.h"
#include "nva/directory.h"
#include "nva/store_etcd.h"
#include "nva/wire.h"

#define NVA_CONFIG_DEFAULT_PATH "/etc/rehome/nva.conf"
#define NVA_DEFAULT_SOCKET	"/run/rehome/nva.sock"
#define NVA_DEFAULT_STORE	"/var/lib/rehome/nva"
#define NVA_DEFAULT_PREFIX	"/rehome"

enum {
	NVA_LISTEN_MAX = 8, /* addresses */
	NVA_DEFAULT_LEASE_S = 60,
	NVA_DEFAULT_WITHDRAW_S = 3600, /* a host that reboots, or is repaired, is back by then */
	NVA_DEFAULT_CONSENT_TIMEOUT_S = 30,
	NVA_SECONDS_MAX = 86400,
	NVA_WITHDRAW_MAX = 365 * 86400,
	NVA_TTL_MIN_S = 2, /* etcd makes no shorter lease of its defaults */
	NVA_TTL_MAX_S = 60,
	NVA_STORE_PATH_SIZE = 200, /* longer lines are not read, see config.h */
};

#define NVA_WITHDRAW_NEVER UINT32_MAX

enum nva_store {
	NVA_STORE_FILE, /* in a directory of this host */
	NVA_STORE_ETCD, /* shared with other NVAs */
	NVA_STORE_NONE, /* in memory: a restart forgets */
};

struct nva_config {
	char name[NVO3_NAME_MAX + 1];
	struct ip listen[NVA_LISTEN_MAX];
	size_t listen_count;
	uint16_t port;
	uint32_t lease_s, consent_timeout_s;
	uint32_t withdraw_s; /* or NVA_WITHDRAW_NEVER */
	char socket[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
	enum nva_store store;
	char store_path[NVA_STORE_PATH_SIZE];
	char reservations[NVA_STORE_PATH_SIZE]; /* "": no file of them */
	struct store_etcd_config etcd;
	enum log_level log_level;
	struct directory_limits limits;
	bool insecure_plain; /* sessions without TLS may come from other hosts */
};

/*
 * Reads @path over the defaults: the host's name, both loopback addresses, NVO3_PORT.
 * Returns 0, or a negative errno with @reterr_message (CONFIG_MESSAGE_SIZE bytes) for the user.
 */
int nva_config_read(const char *path, struct nva_config *ret_config, char *reterr_message);

#endif
