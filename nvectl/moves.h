/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* moves.h - what 'nvectl moves' and the account after 'nvectl migrate' share. */
#ifndef REHOME_NVECTL_MOVES_H
#define REHOME_NVECTL_MOVES_H

#include <stdio.h>

#include "common/json.h"

/* Asks for the last @limit moves, 0 for all. NULL when out of memory. */
struct json_object *moves_request(unsigned limit);

/* Prints an array of moves. Returns 0, -EBADMSG when an entry is no object, or -ENOMEM. */
int moves_print_table(struct json_object *moves, FILE *out);

#endif
