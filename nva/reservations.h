/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reservations.h - the IPv4 addresses that an operator has given to diskless clients, which ask for
 * them by RARP (RFC 903), from a file.
 *
 * A line has a VNI, a MAC and an IPv4 address; comments begin with '#'. The file is read again when
 * it has changed.
 */
#ifndef REHOME_NVA_RESERVATIONS_H
#define REHOME_NVA_RESERVATIONS_H

#include <stddef.h>

#include "common/cleanup.h"
#include "net/addr.h"

enum {
	RESERVATIONS_MESSAGE_SIZE = 256,
	RESERVATIONS_ENTRIES_MAX = 65536,
	RESERVATIONS_FILE_MAX =
		8 << 20, /* bytes: a line of any length we understand for each entry */
};

/* --- the table; pure --- */
struct reservation {
	uint32_t vni;
	struct mac mac;
	struct ip ip;
	unsigned line; /* from 1 */
};

/*
 * Fills *ret_entries, sorted by VNI and MAC and freed by the caller with free(). Returns how many,
 * or
 *   -EBADMSG  a line is malformed, or its MAC came before in its VNI; *reterr_line is its number,
 *             from 1, and *reterr_what, static, says what is wrong
 *   -E2BIG    there are more than RESERVATIONS_ENTRIES_MAX; likewise
 *   -ENOMEM
 */
int reservations_parse(const char *text, size_t size, struct reservation **ret_entries,
		       unsigned *reterr_line, const char **reterr_what);

/* --- the file --- */
struct reservations;

/*
 * Reads @path. Returns 0, or a negative errno with "PATH:LINE: what is wrong" in @reterr_message
 * (RESERVATIONS_MESSAGE_SIZE).
 */
int reservations_open(const char *path, struct reservations **ret_reservations,
		      char *reterr_message);
struct reservations *reservations_free(struct reservations *reservations);
DEFINE_CLEANUP(struct reservations, reservations_free)

/*
 * Reads the file again if it is another one than before, or has changed. Returns 0, or an errno and
 * a message as above, once for each such change; what was read before stays then.
 */
int reservations_refresh(struct reservations *reservations, char *reterr_message);

/* The address of @mac in @vni; none when the file has none, or @reservations is NULL. */
struct ip reservations_find(const struct reservations *reservations, uint32_t vni, struct mac mac);

#endif
