/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control_reassign.h - {"op":"reassign"} of the NVA's control socket. */
#ifndef REHOME_NVA_CONTROL_REASSIGN_H
#define REHOME_NVA_CONTROL_REASSIGN_H

#include <json-c/json.h>

#include "nva/directory.h"

/*
 * Reads @request, does it, and adds to @reply what became of each mapping. Returns 1 when the
 * directory has changed, 0 when not, or a negative errno with @reterr_text (NVO3_TEXT_MAX + 1
 * bytes): nothing was changed then, unless it is -ENOMEM.
 */
int control_reassign(struct directory *directory, struct json_object *request,
		     struct json_object *reply, char *reterr_text);

#endif
