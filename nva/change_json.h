/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change_json.h - a directory as lines of JSON, for nvectl nva export and import.
 *
 *   {"vni":100,"mac":"52:54:00:aa:00:10","ips":["10.0.0.1","fd00::1"],"nve":"hv1",
 *    "vtep":"192.0.2.1","generation":3,"vm":"...","flags":["vm"]}
 *   {"vni":100,"mac":"52:54:00:aa:00:11","generation":7,"removed_s":1700000000}
 *
 * A mapping, and the generation of a withdrawn one with the time when (CLOCK_REALTIME).
 */
#ifndef REHOME_NVA_CHANGE_JSON_H
#define REHOME_NVA_CHANGE_JSON_H

#include <json-c/json.h>
#include <stdio.h>

#include "nva/change.h"

/* @vtep: of a mapping's NVE. Other kinds write nothing. */
void change_print_json(FILE *out, const struct change *change, struct ip vtep);

/*
 * Reads one such object: MAPPING, with .vtep and an incarnation of 0 (nobody has said so in this
 * life), or REMOVED. Returns 0, or -EINVAL with *reterr_what (static text).
 */
int change_from_json(struct json_object *object, struct change *ret_change,
		     const char **reterr_what);

#endif
