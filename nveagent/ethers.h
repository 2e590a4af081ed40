/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ethers.h - the IPv4 addresses of diskless clients that nobody has heard yet, from a file.
 *
 * The file has the form of ethers(5), as rarpd(8) reads it, with addresses in place of names: a MAC
 * and an IPv4 address a line, and comments that begin with '#'. It is read again when it has
 * changed.
 */
#ifndef REHOME_NVEAGENT_ETHERS_H
#define REHOME_NVEAGENT_ETHERS_H

#include <stddef.h>

#include "common/cleanup.h"
#include "net/addr.h"

enum {
	ETHERS_MESSAGE_SIZE = 256,
	ETHERS_ENTRIES_MAX = 65536,
	ETHERS_FILE_MAX = 8 << 20,	/* bytes: a line of any length we understand for each entry */
};

/* --- the table; pure --- */
struct ethers_entry {
	struct mac mac;
	struct ip ip;
	unsigned line;	/* from 1 */
};

/*
 * Fills *ret_entries, sorted by MAC and freed by the caller with free(). Returns how many, or
 *   -EBADMSG  a line is malformed, or its MAC came before; *reterr_line is its number, from 1, and *reterr_what, static,
 *             says what is wrong
 *   -E2BIG    there are more than ETHERS_ENTRIES_MAX; likewise
 *   -ENOMEM
 */
int ethers_parse(const char *text, size_t size, struct ethers_entry **ret_entries, unsigned *reterr_line,
		 const char **reterr_what);

/* --- the file --- */
struct ethers;

/*
 * Reads @path. Returns 0, or a negative errno with "PATH:LINE: what is wrong" in @reterr_message
 * (ETHERS_MESSAGE_SIZE).
 */
int ethers_open(const char *path, struct ethers **ret_ethers, char *reterr_message);
struct ethers *ethers_free(struct ethers *ethers);
DEFINE_CLEANUP(struct ethers, ethers_free)

/*
 * Reads the file again if it is another one than before, or has changed. Returns 0, or an errno and
 * a message as above, once for each such change; what was read before stays then.
 */
int ethers_refresh(struct ethers *ethers, char *reterr_message);

/* The address of @mac; none when the file has none. */
struct ip ethers_find(const struct ethers *ethers, struct mac mac);

#endif
