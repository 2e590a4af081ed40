/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nva_socket.h - the control socket of an NVA on this host: nva/control.h tells what is said there.
 */
#ifndef REHOME_NVECTL_NVA_SOCKET_H
#define REHOME_NVECTL_NVA_SOCKET_H

#include <argp.h>
#include <stdio.h>

#include "common/json.h"

#define NVA_SOCKET "/run/rehome/nva.sock"

/* The option of sub-commands that talk to it; its argument is the path. */
enum {
	OPTION_NVA_SOCKET = 0x200,
};
#define NVA_SOCKET_OPTION                                                      \
	{                                                                      \
		"nva-socket", OPTION_NVA_SOCKET, "PATH", 0,                    \
			"The NVA's control socket (default " NVA_SOCKET ")", 0 \
	}

struct nva_connection {
	const char *path; /* borrowed */
	FILE *in, *out;	  /* owned */
	char *line;	  /* owned: the last one read */
	size_t room;
};

/*
 * Connects to connection->path and sends @request, a line. Returns 0 or an exit status, having
 * printed why.
 */
int nva_connection_open(struct nva_connection *connection, const char *request);
void nva_connection_close(struct nva_connection *connection);
/* The next line, without its newline; NULL at the end. Borrowed. */
const char *nva_read_line(struct nva_connection *connection);
/* Reads an answer. Returns 0 with *ret_reply, which the caller owns, or has printed why not. */
int nva_read_answer(struct nva_connection *connection, struct json_object **ret_reply);

#endif
