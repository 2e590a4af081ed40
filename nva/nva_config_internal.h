/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nva_config_internal.h - what the parts of nva_config*.c share. */
#ifndef REHOME_NVA_NVA_CONFIG_INTERNAL_H
#define REHOME_NVA_NVA_CONFIG_INTERNAL_H

#include "nva/nva_config.h"

/* --- nva_config_etcd.c --- */
enum { NVA_CONFIG_ETCD_KEYS = 7 };
extern const struct config_key nva_config_etcd_keys[NVA_CONFIG_ETCD_KEYS];
/* Whether all is there for store = etcd; sets what has a default. As nva_config_read(). */
int nva_config_check_etcd(const char *path, struct nva_config *config, char *reterr_message);

#endif
